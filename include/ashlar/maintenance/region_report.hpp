#pragma once
/// How the regions of a volume lie, and the free space between them.

#include <ashlar/maintenance/region_compaction.hpp>

#include <algorithm>

namespace ashlar::inline v0 {

/// Free runs shorter than this are of use to small objects alone.
inline constexpr block_count wasted_run_blocks{16};

/// One region.
struct region_row {
    region_id   name{};
    extent      place{};
    block_count gap_after{};  ///< Free blocks directly behind it.
    bool        pinned = false;
    bool        engine = false;  ///< The store's own.
    bool        slides = false;  ///< It lies in parts, here and in the region SLID before it.

    friend bool operator==(const region_row&, const region_row&) = default;
};

/// All regions, and all free runs, groups joined. What is neither is objects, and what the store keeps beside them.
struct region_report {
    std::size_t      regions = 0;  ///< Rows.
    std::size_t      own     = 0;  ///< Of them the store's.
    block_count      in_regions{};
    free_space_shape free{};
    block_count      smallest{};       ///< Free run.
    block_count      wasted{};         ///< In runs under `wasted_run_blocks`.
    std::uint64_t    entries     = 0;  ///< Of the indirection table,
    std::uint64_t    entries_max = 0;  ///< and what memory holds of them.
    block_count      slid{};           ///< Blocks of a region that slides which lie elsewhere than the directory says.

    /// Of free runs, rounded down.
    [[nodiscard]] block_count average() const noexcept { return {quotient_of(free.free.value, free.runs)}; }
    /// What the largest run would gain if all free space became one.
    [[nodiscard]] block_count perfect_gain() const noexcept { return free.free - free.largest; }

    friend bool operator==(const region_report&, const region_report&) = default;
};

/// Reports on the regions of a volume, and on its free runs as `each(extent)` gets them. `rows` takes a row for each
/// region, lowest place first; `region_slots` are always enough. `each` calls nothing of the store.
/// Errors: too_many_extents where `rows` is too short; those of reading metadata.
/// Cost: every bitmap that was ever written.
template <class Volume, class Each>
result<region_report> report_regions(Volume& volume, std::span<region_row> rows, Each&& each) noexcept {
    const entered guard{volume};
    region_report report{.regions     = volume.regions.slots(),
                         .entries     = volume.indirection.count(),
                         .entries_max = volume.indirection.capacity()};
    if (const auto slide = find_slide(volume)) report.slid = slide->moved;
    if (rows.size() < report.regions) return errc::too_many_extents;
    rows = rows.first(report.regions);
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const auto slot = slot_at(volume, static_cast<std::uint32_t>(i));
        rows[i]         = {.name   = name_of(slot),
                           .place  = slot.place(),
                           .pinned = (slot.flags & region_flag::pinned) != 0,
                           .engine = !is_user_region(slot.type),
                           .slides = is_sliding(volume, name_of(slot))};
        report.own += rows[i].engine ? 1U : 0U;
        report.in_regions += rows[i].place.count;
    }
    std::sort(rows.begin(), rows.end(),
              [](const region_row& a, const region_row& b) { return a.place.first < b.place.first; });

    volume_free_space<Volume> free{volume};
    std::size_t               behind = 0;  // the first row that does not end before the run
    BOOST_OUTCOME_TRY(for_each_free_run(free, {}, [&](extent run) noexcept {
        while (behind < rows.size() && rows[behind].place.end() < run.first) ++behind;
        if (behind < rows.size() && rows[behind].place.end() == run.first) rows[behind].gap_after = run.count;
        if (report.free.runs == 0 || run.count < report.smallest) report.smallest = run.count;
        if (run.count < wasted_run_blocks) report.wasted += run.count;
        if (run.count > report.free.largest) report.free.largest = run.count;
        report.free.free += run.count;
        ++report.free.runs;
        each(run);
        return true;
    }));
    return report;
}

}  // namespace ashlar::inline v0
