#pragma once
/// How a region begins to slide, and how a slide ends: rules R3, R8 and R14.

#include <ashlar/region/region_space.hpp>
#include <ashlar/volume/indirection.hpp>

#include <algorithm>

namespace ashlar::inline v0 {

/// The free run that ends where a region begins; empty where none does.
/// Errors: those of reading metadata. Cost: the bitmaps up to the region.
template <FreeSpace S>
[[nodiscard]] result<extent> free_run_below(S& source, block_index from, block_index end) noexcept {
    extent below{};
    BOOST_OUTCOME_TRY(for_each_free_run(source, from, [&](extent run) noexcept {
        if (run.first < end && run.end() >= end) below = {run.first, end - run.first};
        return run.end() < end;
    }));
    return below;
}

/// How many of the `below` free blocks that end where a region begins a slide may take, where moves may take `room` and
/// the table needs some of that (R7). None where it is less than half: so a region is copied twice at most for a run.
[[nodiscard]] constexpr block_count slide_gap(block_count below, block_count table, block_count room) noexcept {
    const auto gap = std::min(below, room - std::min(room, table));
    return below - gap > gap ? block_count{} : gap;
}

namespace detail {

[[nodiscard]] constexpr bool is_without_room(errc code) noexcept {
    return code == errc::no_space || code == errc::no_contiguous_space;
}

/// Makes blocks that the transaction took a region of the engine's own, beside others that it changes.
template <class Volume>
result<> add_own_region(Volume& volume, std::uint32_t tx, std::uint32_t type, extent place) noexcept {
    region_slot slot;
    slot.type   = type;
    slot.start  = place.first.value;
    slot.blocks = place.count.value;
    if (type == tag::slide) return change_region(volume, tx, {.before = {}, .after = slot});
    return change_beside(volume, tx, {.before = {}, .after = slot});
}

/// Takes a run for the transaction, which gives it back where it fails, whatever else it was to do.
/// Errors: those of reserve_long_run.
template <class Volume>
result<extent> take_long_run(Volume& volume, std::uint32_t tx, block_count blocks, space_use use, block_index from = {},
                             block_index end = {~std::uint64_t{0}}) noexcept {
    BOOST_OUTCOME_TRY(const auto run, reserve_long_run(volume, blocks, use, from, end));
    volume.transactions[tx].taken.push({.blocks = run});
    return run;
}

/// Takes the table's blocks: behind the highest region, else anywhere. Errors: those of reserve_long_run.
template <class Volume>
result<extent> take_table(Volume& volume, std::uint32_t tx, block_count blocks) noexcept {
    block_index highest{};
    for (std::uint32_t i = 0; i < volume.regions.slots(); ++i)
        highest = std::max(highest, slot_at(volume, i).place().end());
    auto run = take_long_run(volume, tx, blocks, space_use::metadata, highest);
    if (run.has_error() && run.error().code == errc::no_contiguous_space)
        run = take_long_run(volume, tx, blocks, space_use::metadata);
    return run;
}

/// The regions of a slide go with a transaction; nothing of the table may be in the journal then. Where the table is
/// forgotten, memory follows with end_entries.
template <class Volume>
result<> drop_own_regions(Volume& volume, std::uint32_t tx) noexcept {
    const auto drop = [&](std::uint32_t type) noexcept -> result<> {
        const auto slot = find_region(volume, {type, 0});
        if (slot.has_error()) return success();
        if (volume.transactions[tx].region.any()) return change_beside(volume, tx, {.before = slot.value()});
        return change_region(volume, tx, {.before = slot.value()});
    };
    BOOST_OUTCOME_TRY(drop(tag::slide));
    BOOST_OUTCOME_TRY(drop(tag::indirection));
    const auto table = volume.regions.indirection();
    if (!table.empty()) volume.transactions[tx].given.push({.blocks = table, .metadata = true});
    return success();
}

/// The table went: every block lies where the directory says.
template <class Volume>
void end_entries(Volume& volume, extent table) noexcept {
    for (std::uint64_t i = 0; i < table.count.value; ++i) volume.cache.forget(table.first + block_count{i});
    volume.indirection.clear();
}

}  // namespace detail

/// Whether a region of so many blocks could slide at all, whatever is free.
/// Error: too_large, `where` the blocks: memory has room for no entry, or the directory not for the slide's two
/// regions.
template <class Volume>
[[nodiscard]] result<> slide_is_possible(const Volume& volume, block_count blocks) noexcept {
    if (volume.indirection.capacity() != 0 && volume.regions.slots() + 2 <= region_slots) return success();
    return error{errc::too_large, block_index{blocks.value}};
}

/// Prepares a region to be moved in parts into the `gap` free blocks directly below it: they and the table become
/// regions of the store's own, in one transaction. Nothing is moved yet.
/// Errors: not_found; pinned; busy where a region slides already, or the gap is not free any more; too_large where
/// memory has room for no entry, or the directory is full; no_space, reserve_only, no_contiguous_space for the table;
/// those of reading metadata. Precondition: no region moves.
template <class Volume>
result<> begin_slide(Volume& volume, region_id name, block_count gap) noexcept {
    if (!volume.regions.slide().empty()) return errc::busy;
    BOOST_OUTCOME_TRY(const auto seen, find_region(volume, name));
    BOOST_OUTCOME_TRY(slide_is_possible(volume, seen.place().count));
    for (auto& part : volume.region_traffic.left) part = {};
    const auto table_blocks = table_blocks_of_slide(volume, seen.place().count);
    return run_transaction(volume, [&](std::uint32_t tx) noexcept -> result<> {
        BOOST_OUTCOME_TRY(const auto slot, find_region(volume, name));
        if ((slot.flags & region_flag::pinned) != 0) return error{errc::pinned, slot.place().first};
        const auto end   = slot.place().first;
        auto       below = detail::take_long_run(volume, tx, gap, space_use::relocation, {end.value - gap.value}, end);
        if (below.has_error()) return below.error().code == errc::no_contiguous_space ? errc::busy : below.error();
        auto       table = detail::take_table(volume, tx, table_blocks);
        const bool apart = table.has_error() && detail::is_without_room(table.error().code);
        if (apart && gap > table_blocks) {  // what else is free lies in shorter runs
            table         = part_of(below.value(), {}, table_blocks);
            below.value() = part_of(below.value(), table_blocks, gap);
        }
        BOOST_OUTCOME_TRY(table);
        BOOST_OUTCOME_TRY(detail::add_own_region(volume, tx, tag::slide, below.value()));
        BOOST_OUTCOME_TRY(detail::add_own_region(volume, tx, tag::indirection, table.value()));
        BOOST_OUTCOME_TRY(auto first, create_block(volume, tx, table.value().first, {tag::indirection, 0, 0}));
        encode_indirection_head(first.modify(0, sizeof(indirection_head)), 0, 0);
        return success();
    });
}

/// Ends a slide whose parts have all moved, or of which none has: in one transaction the directory says the new place,
/// and the table and the blocks that the slide had beside it are free once that is confirmed.
/// Errors: those of a checkpoint, which comes first, so that no replay meets the table again; those of the transaction.
/// Precondition: no region moves; a slide is under way, and is at its beginning or its end.
template <class Volume>
result<> end_slide(Volume& volume) noexcept {
    BOOST_OUTCOME_TRY(checkpoint(volume));
    const auto table = volume.regions.indirection();
    BOOST_OUTCOME_TRY(run_transaction(volume, [&](std::uint32_t tx) noexcept -> result<> {
        const auto slide = *find_slide(volume);
        auto&      state = volume.transactions[tx];
        auto       given = slide.below;
        if (slide.moved.value != 0) {
            ASHLAR_ASSERT(slide.left().value == 0);
            auto after       = slide.region;
            after.start      = slide.below.first.value;
            after.generation = slide.region.generation + 1;
            given            = {after.place().end(), slide.below.count};
            BOOST_OUTCOME_TRY(change_region(volume, tx, {.before = slide.region, .after = after}));
        }
        state.given.push({.blocks = given});
        return detail::drop_own_regions(volume, tx);
    }));
    detail::end_entries(volume, table);
    return success();
}

}  // namespace ashlar::inline v0
