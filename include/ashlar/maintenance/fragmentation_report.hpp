#pragma once
/// How objects and free space lie.

#include <ashlar/object/object_operation.hpp>
#include <ashlar/vocabulary/ratio.hpp>

namespace ashlar::inline v0 {

/// Free runs are those of the whole volume here: one may cross the border of two groups. An allocation does not.
struct fragmentation_report {
    std::uint64_t                              objects            = 0;
    std::uint64_t                              objects_with_data  = 0;
    std::uint64_t                              objects_fragmented = 0;  ///< With five extents or more.
    std::uint64_t                              extents            = 0;
    std::array<std::uint32_t, extents_classes> objects_by_extents{};

    block_count                   free{};
    std::uint64_t                 free_runs = 0;
    block_count                   largest_free{};
    block_count                   smallest_free{};
    block_count                   wasted{};             ///< In free runs of less than 16 blocks.
    block_count                   largest_request{};    ///< The largest contiguous request of data that succeeds now.
    std::array<std::uint64_t, 32> free_runs_by_size{};  ///< By log2 of their length.
    std::uint32_t                 free_permille   = 0;  ///< 1000 * (1 - largest / total free); 0 when nothing is free.
    std::uint32_t                 object_permille = 0;  ///< 1000 * fragmented / objects with data.
    std::uint32_t score_permille = 1000;  ///< 1000: nothing to do. To be shown, and compared with nothing.
};

namespace detail {

/// Adds up free runs; what ends at a group's border may go on in the next.
struct free_run_counter {
    fragmentation_report& report;
    std::uint64_t         open = 0;

    void close() noexcept {
        if (open == 0) return;
        ++report.free_runs;
        ++report.free_runs_by_size[static_cast<std::size_t>(std::bit_width(open)) - 1 < 31
                                       ? static_cast<std::size_t>(std::bit_width(open)) - 1
                                       : 31];
        if (open > report.largest_free.value) report.largest_free = {open};
        if (report.smallest_free.value == 0 || open < report.smallest_free.value) report.smallest_free = {open};
        if (open < 16) report.wasted += block_count{open};
        open = 0;
    }
};

}  // namespace detail

/// Reads every group's bitmap. Errors: those of reading. Cost: the group records and the bitmaps that were ever
/// written.
template <class Volume>
result<fragmentation_report> report_fragmentation(Volume& volume) noexcept {
    fragmentation_report report;
    const auto&          totals = volume.space.totals();
    report.objects              = totals.objects;
    report.objects_with_data    = totals.objects_with_data;
    report.extents              = totals.allocated_extents;
    for (std::size_t k = 0; k < extents_classes; ++k) {
        report.objects_by_extents[k] = totals.extents[k];
        if (k >= extents_class(5)) report.objects_fragmented += totals.extents[k];
    }
    detail::free_run_counter runs{report};
    block_count              largest_in_group{};
    for (std::uint64_t group = 0; group < volume.geometry.groups; ++group) {
        BOOST_OUTCOME_TRY(const auto window, volume.space.window(volume.metadata(), group));
        std::uint32_t end = 0;
        for_each_clear_run(window.busy, 0, window.blocks, 1, [&](group_run run) noexcept {
            if (run.first != end || run.first != 0) runs.close();
            runs.open += run.count;
            end = run.first + run.count;
            report.free += block_count{run.count};
            if (run.count > largest_in_group.value) largest_in_group = {run.count};
            return true;
        });
        if (end != window.blocks) runs.close();
    }
    runs.close();
    const auto available   = volume.space.available(space_use::data);
    report.largest_request = largest_in_group < available ? largest_in_group : available;
    report.free_permille =
        report.free.value == 0 ? 0 : 1000 - permille_of(report.largest_free.value, report.free.value);
    report.object_permille = permille_of(report.objects_fragmented, report.objects_with_data);
    report.score_permille  = 1000 - (report.free_permille + report.object_permille) / 2;
    return report;
}

}  // namespace ashlar::inline v0
