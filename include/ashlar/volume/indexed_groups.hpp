#pragma once
/// The groups in memory of a store with an index: their free runs, and hints about all others.

#include <ashlar/allocator/run_index.hpp>
#include <ashlar/volume/run_hints.hpp>
#include <ashlar/volume/space.hpp>

namespace ashlar::inline v0 {

/// A fixed number of groups in one `run_index`. The least recently used one gives way.
///
/// Invariant: what the index holds as free of a loaded group is what may be allocated of it now. What is said of
/// "lowest" among loaded groups means the lowest slot; as slots are given out by the order of use alone, the same
/// operations find the same runs.
class indexed_groups {
  public:
    constexpr void take(arena& from, block_size block, const space_limits& limits) noexcept {
        const auto count  = static_cast<std::uint32_t>(limits.groups_loaded);
        const auto blocks = blocks_per_group(block);
        slots_            = from.take<slot>(limits.groups_loaded);
        sets_             = from.take<std::uint64_t>(run_index::words(count));
        hints_.take(from, limits.hint_cells);
        const auto runs = from.take_bytes(run_memory::bytes(count, blocks), run_memory::alignment);
        if (!runs.empty()) memory_ = run_memory{runs, count, blocks};
    }

    void open(const volume_geometry& geometry) noexcept {
        for (auto& one : slots_) one = slot{};
        index_ = run_index{memory_, sets_};
        hints_.open(geometry.groups);
    }

    /// What may be allocated of a group. Errors: those of reading its record and bitmap.
    template <class Source>
    result<group_view> view(const space& counts, const metadata_access<Source>& at, std::uint64_t group) noexcept {
        BOOST_OUTCOME_TRY(const auto i, load(counts, at, group));
        return index_.view(i);
    }

    /// Takes a run; empty where no group has one. First the group of the goal, or where the last run lay; then the best
    /// fit of all loaded groups; then the groups of which the hints say that they may have it, from `start` on. What is
    /// moved without a goal takes the first group that has it. Errors: those of reading records and bitmaps; then
    /// nothing is taken.
    template <Allocator A, class Source>
    result<extent> allocate(const space& counts, const metadata_access<Source>& at, const A&,
                            const space_request& request, std::uint64_t start) noexcept {
        const auto wanted = static_cast<std::uint32_t>(request.blocks.value);
        const auto least  = static_cast<std::uint32_t>(request.least.value);
        if (request.goal.value != 0 || request.use != space_use::relocation) {
            BOOST_OUTCOME_TRY(const auto near, look_at_start(counts, at, request, start));
            if (!near.empty()) return near;
            if (const auto best = index_.allocate(wanted); best.run.count != 0) return whole(best, at.geometry.block);
        }
        BOOST_OUTCOME_TRY(auto found,
                          search(counts, at, request, start, wanted, least < wanted ? cells_tried : hints_.cells()));
        if (!found.empty() || least == wanted) return found;
        const auto cell = hints_.highest_above(index_.largest());
        if (cell != hints_.cells()) { BOOST_OUTCOME_TRY(load_longest_of(counts, at, cell)); }
        if (const auto longest = index_.allocate(wanted, least); longest.run.count != 0)
            return whole(longest, at.geometry.block);
        return search(counts, at, request, start, least, hints_.cells());
    }

    /// The run was found free in the view of its group.
    void set_busy(extent blocks, block_size size) noexcept {
        for_each_part(blocks, size, [&](std::uint64_t group, group_run part) noexcept {
            if (const auto i = find(group); i != none) index_.take(i, part);
        });
    }
    void set_free(extent blocks, block_size size) noexcept {
        ++frees_;
        for_each_part(blocks, size, [&](std::uint64_t group, group_run part) noexcept {
            if (const auto i = find(group); i != none) {
                hints_.raise(group, index_.free(i, part).count);
            } else {
                hints_.forget(group);
            }
        });
    }

    /// What was known of these blocks is old: their groups are looked at anew.
    void forget(extent blocks, block_size size) noexcept {
        if (blocks.empty()) return;
        ++frees_;
        for (std::uint32_t i = 0; i < slots_.size(); ++i) {
            if (slots_[i].used == 0 || part_in_group(blocks, slots_[i].group, size).count == 0) continue;
            index_.release(i);
            slots_[i] = {};
        }
        for_each_cell(blocks, size, [&](std::size_t cell) noexcept { hints_.forget(hints_.first_group(cell)); });
    }
    /// Nothing of these blocks can be had: no search looks into cells that lie in them.
    void exclude(extent blocks, const volume_geometry& geometry) noexcept {
        for_each_cell(blocks, geometry.block, [&](std::size_t cell) noexcept {
            const auto first = first_of_group(hints_.first_group(cell), geometry.block);
            const auto last  = hints_.end_group(cell) - 1;
            const auto end   = first_of_group(last, geometry.block) + block_count{geometry.group_blocks(last)};
            if (lies_in({first, end - first}, blocks)) hints_.lower(cell, 0);
        });
    }

    [[nodiscard]] const run_hints& hints() const noexcept { return hints_; }

  private:
    struct slot {
        std::uint64_t group = ~std::uint64_t{0};
        std::uint64_t used  = 0;
    };

    static constexpr std::uint32_t none        = ~std::uint32_t{0};
    static constexpr std::size_t   cells_tried = 16;  // before a split is accepted

    template <class Each>
    static void for_each_part(extent blocks, block_size size, Each each) noexcept {
        static_cast<void>(
            for_each_group_part(blocks, size, [&](std::uint64_t group, group_run part) noexcept -> result<> {
                each(group, part);
                return success();
            }));
    }

    template <class Each>
    void for_each_cell(extent blocks, block_size size, Each each) noexcept {
        if (blocks.empty()) return;
        const auto last = hints_.cell_of(place_of(blocks.end() - block_count{1}, size).group);
        for (auto cell = hints_.cell_of(place_of(blocks.first, size).group); cell <= last; ++cell) each(cell);
    }

    [[nodiscard]] std::uint32_t find(std::uint64_t group) const noexcept {
        for (std::uint32_t i = 0; i < slots_.size(); ++i) {
            if (slots_[i].group == group) return i;
        }
        return none;
    }
    /// A slot for a group that is not loaded; the index does not hold it yet.
    [[nodiscard]] std::uint32_t claim(std::uint64_t group) noexcept {
        std::uint32_t oldest = 0;
        for (std::uint32_t i = 1; i < slots_.size(); ++i) {
            if (slots_[i].used < slots_[oldest].used) oldest = i;
        }
        if (slots_[oldest].used != 0) {
            if (hints_.is_exact()) hints_.lower(hints_.cell_of(slots_[oldest].group), index_.largest(oldest));
            index_.release(oldest);
        }
        slots_[oldest] = {.group = group, .used = ++uses_};
        return oldest;
    }
    /// The slot of a group, which is read where it is not loaded.
    template <class Source>
    result<std::uint32_t> load(const space& counts, const metadata_access<Source>& at, std::uint64_t group) noexcept {
        std::uint32_t i = find(group);
        if (i != none) {
            slots_[i].used = ++uses_;
            return i;
        }
        bool by_another = false;  // while this thread waited for a block
        BOOST_OUTCOME_TRY(const bool any, counts.read_busy(at, group, [&]() noexcept -> std::span<bitmap_word> {
            i          = find(group);
            by_another = i != none;
            if (by_another) return {};
            i = claim(group);
            return index_.words_of(i);
        }));
        if (by_another) return i;
        const std::uint32_t blocks = at.geometry.group_blocks(group);
        any ? index_.load(i, blocks) : index_.load_empty(i, blocks);
        return i;
    }

    [[nodiscard]] extent whole(placed_run found, block_size size) noexcept {
        slots_[found.group].used = ++uses_;
        return run_of(slots_[found.group].group, found.run, size);
    }
    [[nodiscard]] static extent run_of(std::uint64_t group, group_run run, block_size size) noexcept {
        return {first_of_group(group, size) + block_count{run.first}, block_count{run.count}};
    }

    /// Takes all of a request from the group where it best lies.
    template <class Source>
    result<extent> look_at_start(const space& counts, const metadata_access<Source>& at, const space_request& request,
                                 std::uint64_t start) noexcept {
        const auto wanted = static_cast<std::uint32_t>(request.blocks.value);
        if (const auto i = find(start); i != none) {
            if (request.goal.value == 0 && index_.largest(i) < wanted) return extent{};
        } else {
            if (!hints_.may_hold(hints_.cell_of(start), wanted)) return extent{};
            BOOST_OUTCOME_TRY(const auto known, space::summary(at, start));
            if (hints_.is_exact()) hints_.lower(hints_.cell_of(start), known.largest);
            if (known.largest < wanted) return extent{};
        }
        return look_in(counts, at, request, start, wanted);
    }
    /// Takes from one group; empty where it has no run of `least` blocks.
    template <class Source>
    result<extent> look_in(const space& counts, const metadata_access<Source>& at, const space_request& request,
                           std::uint64_t group, std::uint32_t least) noexcept {
        BOOST_OUTCOME_TRY(const auto i, load(counts, at, group));
        const auto run = index_.allocate_in(i, request_in_group(request, group, block_count{least}, at.geometry.block));
        return run_of(group, run, at.geometry.block);
    }

    /// Takes a run of `least` blocks or more from the groups that may have one, from those around `start` on.
    template <class Source>
    result<extent> search(const space& counts, const metadata_access<Source>& at, const space_request& request,
                          std::uint64_t start, std::uint32_t least, std::size_t cells_max) noexcept {
        const std::size_t cells = hints_.cells();
        const std::size_t first = hints_.cell_of(start);
        std::size_t       tried = 0;
        for (const bool wrapped : {false, true}) {
            std::size_t       cell = wrapped ? 0 : first;
            const std::size_t end  = wrapped ? first : cells;
            while ((cell = hints_.next(cell, end, least)) < end) {
                if (tried++ == cells_max) return extent{};
                BOOST_OUTCOME_TRY(const auto found, look_in_cell(counts, at, request, cell, least));
                if (!found.empty()) return found;
                ++cell;
            }
        }
        return extent{};
    }
    template <class Source>
    result<extent> look_in_cell(const space& counts, const metadata_access<Source>& at, const space_request& request,
                                std::size_t cell, std::uint32_t least) noexcept {
        const auto    frees   = frees_;
        std::uint32_t longest = 0;
        for (auto group = hints_.first_group(cell); group < hints_.end_group(cell); ++group) {
            std::uint32_t here = 0;
            if (find(group) == none) {
                BOOST_OUTCOME_TRY(const auto known, space::summary(at, group));
                here = known.largest;
            }
            if (find(group) != none || here >= least) {
                BOOST_OUTCOME_TRY(const auto i, load(counts, at, group));
                here = index_.largest(i);
                if (here >= least) return look_in(counts, at, request, group, least);
            }
            longest = here > longest ? here : longest;
        }
        lower(cell, longest, frees);
        return extent{};
    }
    /// What was seen of a cell counts only where nothing came free since: looking may wait for a block, and other
    /// threads work meanwhile.
    void lower(std::size_t cell, std::uint32_t longest, std::uint64_t frees) noexcept {
        if (frees == frees_) hints_.lower(cell, longest);
    }
    /// Loads the group of a cell that seems to have the longest run.
    template <class Source>
    result<> load_longest_of(const space& counts, const metadata_access<Source>& at, std::size_t cell) noexcept {
        const auto    frees   = frees_;
        std::uint64_t best    = hints_.first_group(cell);
        std::uint32_t most    = 0;  // of the group that is loaded then
        std::uint32_t longest = 0;  // of all others
        for (auto group = best; group < hints_.end_group(cell); ++group) {
            std::uint32_t here = 0;
            if (const auto i = find(group); i != none) {
                here = index_.largest(i);
            } else {
                BOOST_OUTCOME_TRY(const auto known, space::summary(at, group));
                here = known.largest;
            }
            const bool more = here > most;
            longest         = more ? (most > longest ? most : longest) : (here > longest ? here : longest);
            best            = more ? group : best;
            most            = more ? here : most;
        }
        BOOST_OUTCOME_TRY(const auto i, load(counts, at, best));
        most = index_.largest(i);
        lower(cell, most > longest ? most : longest, frees);
        return success();
    }

    std::span<slot>          slots_{};
    std::span<std::uint64_t> sets_{};
    run_memory               memory_{};
    run_index                index_{};
    run_hints                hints_{};
    std::uint64_t            uses_  = 0;
    std::uint64_t            frees_ = 0;  ///< How often something came free.
};

}  // namespace ashlar::inline v0
