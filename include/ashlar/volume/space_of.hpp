#pragma once
/// Where a volume's free blocks are found: rules R3, R7 and R10.

#include <ashlar/volume/group_windows.hpp>
#include <ashlar/volume/indexed_groups.hpp>
#include <ashlar/volume/space_join.hpp>

#include <type_traits>

namespace ashlar::inline v0 {

/// Space of one volume, allocated by the rules of an allocator.
///
/// Invariant: a block is allocated only when it is free in its group as it stands in memory, which is the durable
/// bitmap without all that is reserved or retired. A function that fails takes nothing and gives nothing back.
template <Allocator A>
class space_of : public space {
  public:
    constexpr void take(arena& from, block_size block, const space_limits& limits, std::size_t reserved_max,
                        std::size_t cache_slots) noexcept {
        groups_.take(from, block, limits);
        space::take(from, block, limits, reserved_max, cache_slots);
    }

    /// Reads the totals; no group is in memory then. Errors: those of the device; damaged.
    template <class Source>
    result<> open(const metadata_access<Source>& at) noexcept {
        groups_.open(at.geometry);
        return space::open(at);
    }

    /// Takes a run. It belongs to the caller until it joins a batch or is released.
    /// Errors: no_space, reserve_only, no_contiguous_space; those of reading group records and bitmaps.
    template <class Source>
    result<extent> reserve(const metadata_access<Source>& at, const A& allocator, space_request request) noexcept {
        BOOST_OUTCOME_TRY(admit(request, at.geometry.block));
        BOOST_OUTCOME_TRY(const auto found,
                          groups_.allocate(*this, at, allocator, request, first_group_for(request, at.geometry)));
        if (found.empty()) return error{errc::no_contiguous_space};
        if (!can_reserve()) {  // another thread was faster, while this one waited for a block
            groups_.set_free(found, at.geometry.block);
            return error{errc::too_large};
        }
        note_placed(found, request.is_data, at.geometry.block);
        note_reserved(found);
        return found;
    }

    /// Takes a run that the caller found free in its group's window.
    void reserve_run(extent run, block_size size) noexcept {
        groups_.set_busy(run, size);
        note_reserved(run);
    }

    /// Gives a reserved run back. It was never in use, so it is free at once.
    void release(extent run, block_size size) noexcept {
        unreserve(run);
        for_each_not_withheld(run, [&](extent part) noexcept { groups_.set_free(part, size); });
    }

    /// Frees what waited: runs whose batch is confirmed, and for former metadata also behind the journal's tail.
    void drain(sequence confirmed, sequence tail, block_size size) noexcept {
        drain_retired(confirmed, tail, [&](extent run) noexcept {
            for_each_not_withheld(run, [&](extent part) noexcept { groups_.set_free(part, size); });
        });
    }

    /// From here on no block of the extent is given out; an empty one ends it. Count what is withheld then.
    void withhold(extent blocks, const volume_geometry& geometry) noexcept {
        const auto before = withheld();
        space::withhold(blocks, geometry);
        groups_.forget(before, geometry.block);
        groups_.forget(blocks, geometry.block);
        groups_.exclude(blocks, geometry);
    }

    /// What may be allocated of a group. It stands until space changes or another group is looked at.
    template <class Source>
    result<group_view> window(const metadata_access<Source>& at, std::uint64_t group) noexcept {
        return groups_.view(*this, at, group);
    }

    /// The first run at or behind `from` that may be allocated; empty at the end. Cost: the windows of the groups
    /// between.
    template <class Source>
    result<std::optional<extent>> next_free(const metadata_access<Source>& at, block_index from) noexcept {
        auto place = place_of(from, at.geometry.block);
        for (; place.group < at.geometry.groups; place = {place.group + 1, 0}) {
            BOOST_OUTCOME_TRY(const auto view, window(at, place.group));
            const std::uint32_t first = next_clear(view.busy, place.offset, view.blocks);
            if (first == view.blocks) continue;
            const std::uint32_t end = next_set(view.busy, first, view.blocks);
            return std::optional{
                extent{first_of_group(place.group, at.geometry.block) + block_count{first}, block_count{end - first}}};
        }
        return std::optional<extent>{};
    }

  private:
    std::conditional_t<IndexedAllocator<A>, indexed_groups, group_windows> groups_{};
};

}  // namespace ashlar::inline v0
