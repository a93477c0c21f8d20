#pragma once
/// How small a volume can become, and what is in the way.

#include <ashlar/maintenance/table_move.hpp>
#include <ashlar/maintenance/volume_cut.hpp>

namespace ashlar::inline v0 {

/// What cutting a volume to a size would meet.
struct shrink_plan {
    block_count before{};
    block_count after{};
    block_count smallest{};  ///< No size below it can be reached while what is in use stays so; unless the object
                             ///< table moves, which is looked at for the size that was asked for alone.
    block_count in_use{};    ///< Blocks behind the new end that must move.
    block_count tables{};    ///< Blocks of the store's tables that nobody needs then.
    error       why{};       ///< Why it cannot be; code none where nothing speaks against it.
    region_id   region{};    ///< With `pinned`: the region that stays, or
    object_id   object{};    ///< the object whose pinned extent does.

    [[nodiscard]] bool        possible() const noexcept { return why.code == errc::none; }
    [[nodiscard]] block_count gained() const noexcept { return before - after; }
};

namespace detail {

/// Free blocks of a group at or behind `end`, as its durable bitmap says. Errors: those of reading it.
template <class Volume>
result<block_count> free_behind(Volume& volume, std::uint64_t group, block_index end) noexcept {
    const auto          at     = volume.metadata();
    const auto          first  = first_of_group(group, volume.geometry.block);
    const std::uint32_t blocks = volume.geometry.group_blocks(group);
    const auto          from   = end > first ? static_cast<std::uint32_t>((end - first).value) : 0U;
    BOOST_OUTCOME_TRY(const auto known, space::summary(at, group));
    if (from == 0) return block_count{known.free};
    if (!known.bitmap_written) return block_count{blocks - from};
    BOOST_OUTCOME_TRY(const auto bitmap, at.get(at.regions.bitmap(group)));
    const auto words = volume.space.scratch();
    load_bitmap(words, volume.cache.bytes(bitmap.slot()), blocks);
    return block_count{blocks - from - count_set(words, {from, blocks - from})};
}

/// The end of the last pinned extent, and whose it is.
struct last_pinned {
    block_index end{};
    object_id   object{};
};

/// Looks at every extent of every object. Errors: those of reading metadata.
template <class Volume>
result<last_pinned> find_last_pinned(Volume& volume) noexcept {
    last_pinned found;
    for (object_id id{};;) {
        BOOST_OUTCOME_TRY(const auto next, with_loads(volume, [&]() noexcept { return next_object(volume, id); }));
        if (!next) return found;
        id = *next;
        for (logical_block from{};;) {
            const auto piece = with_loads(volume, [&]() noexcept -> result<std::optional<mapped_extent>> {
                BOOST_OUTCOME_TRY(auto object, load_object(volume, no_transaction, id));
                return map_of(volume, no_transaction, object, space_use::data).find(from);
            });
            if (piece.has_error() && piece.error().code == errc::not_found) break;  // erased meanwhile
            if (piece.has_error()) return piece.error();
            if (!piece.value()) break;
            from = piece.value()->logical + piece.value()->physical.count;
            if (!piece.value()->pinned || piece.value()->physical.end() <= found.end) continue;
            found = {piece.value()->physical.end(), id};
        }
    }
}

/// The region of those that do not move which ends last behind `end`; empty where there is none. Pinned ones of users
/// do not move, nor do tables, but for parts of them that go with the end, and for the object table by request.
template <class Volume>
[[nodiscard]] region_slot last_fixed_region(Volume& volume, block_index end, bool table_moves) noexcept {
    const auto  tail = look_at_tail(volume, end - block_index{});
    region_slot last;
    for (std::uint32_t i = 0; i < volume.regions.slots(); ++i) {
        const auto slot  = slot_at(volume, i);
        const auto table = sized_table_of(slot.type);
        const bool goes  = table != sized_tables && slot.id >= tail.parts[table];
        const bool moves = is_user_region(slot.type) ? (slot.flags & region_flag::pinned) == 0
                                                     : table_moves && slot.type == tag::objects;
        if (!goes && !moves && slot.place().end() > end && slot.place().end() > last.place().end()) last = slot;
    }
    return last;
}

/// Whether the object table has a place before `end`. Errors and cost: plan_record_migration.
template <class Volume>
result<bool> table_moves_before(Volume& volume, block_index end) noexcept {
    const extent               behind{end, block_index{volume.geometry.blocks.value} - end};
    drained_free_space<Volume> all{volume};
    block_count                free{};
    BOOST_OUTCOME_TRY(for_each_free_run(all, end, [&](extent run) noexcept {
        free += common_part(run, behind).count;
        return true;
    }));
    BOOST_OUTCOME_TRY(const auto table, plan_table_move(volume, behind, {}, room_outside(volume, behind, free)));
    return table.obstacle == errc::none;
}

}  // namespace detail

/// The least size at which what is in use still fits, with the reserves that every volume has. Regions of users need a
/// run of their length below it, which is not looked for. Cost: the directory, in memory.
template <class Volume>
[[nodiscard]] block_count smallest_size(Volume& volume, block_index pinned_end, bool table_moves = false) noexcept {
    const block_count now    = volume.geometry.blocks;
    const block_count in_use = now - block_count{volume.space.totals().free};
    block_count       size{pinned_end.value};
    for (bool grew = true; grew && size < now;) {
        const auto before = size;
        if (const auto fixed = detail::last_fixed_region(volume, block_index{size.value}, table_moves); fixed.type != 0)
            size = fixed.place().end() - block_index{};
        block_count goes{};
        const auto  tail = look_at_tail(volume, size);
        for (std::size_t i = 0; i < sized_tables; ++i)
            goes += block_count{length_of(parts_of(volume.regions, i).subspan(tail.parts[i]))};
        if (const auto least = in_use - goes + space::reserve_of(size); size < least) size = least;
        grew = before < size;
    }
    return size < now ? size : now;
}

/// What shrinking to so many blocks would meet now. The plan says no with: invalid_argument where the volume is not
/// longer; pinned; no_space below `smallest`. Errors: those of reading metadata.
/// Cost: every record and node of every object, the group records behind the new end; where the object table lies
/// there, every bitmap that was ever written.
template <class Volume>
result<shrink_plan> plan_shrink(Volume& volume, block_count blocks) noexcept {
    const block_index end{blocks.value};
    shrink_plan       plan;
    plan.before = volume.geometry.blocks;
    plan.after  = blocks;
    BOOST_OUTCOME_TRY(const auto pinned, detail::find_last_pinned(volume));
    plan.smallest = smallest_size(volume, pinned.end);
    if (blocks > plan.before || blocks.value == 0) {
        plan.why = errc::invalid_argument;
        return plan;
    }
    auto fixed = detail::last_fixed_region(volume, end, false);
    if (fixed.type == tag::objects) {
        BOOST_OUTCOME_TRY(const bool moves, detail::table_moves_before(volume, end));
        if (moves) fixed = detail::last_fixed_region(volume, end, true);
        if (moves && smallest_size(volume, pinned.end, true) <= blocks) plan.smallest = blocks;
    }
    if (fixed.type != 0) {
        plan.why    = error{errc::pinned, fixed.place().first};
        plan.region = name_of(fixed);
    } else if (pinned.end > end) {
        plan.why    = error{errc::pinned, pinned.end - block_count{1}};
        plan.object = pinned.object;
    } else if (blocks < plan.smallest && blocks < plan.before) {
        plan.why = error{errc::no_space, block_index{plan.smallest.value}};
    }
    const auto tail = look_at_tail(volume, blocks);
    for (std::size_t i = 0; i < sized_tables; ++i)
        plan.tables += block_count{length_of(parts_of(volume.regions, i).subspan(tail.parts[i]))};
    const block_count behind = plan.before - blocks;
    block_count       free{};
    for (auto group = place_of(end, volume.geometry.block).group; group < volume.geometry.groups; ++group) {
        BOOST_OUTCOME_TRY(free, with_loads(volume, [&]() noexcept -> result<block_count> {
                              BOOST_OUTCOME_TRY(const auto here, detail::free_behind(volume, group, end));
                              return free + here;
                          }));
    }
    const auto stays = behind - free;
    const auto going = plan.tables - tail.given;
    plan.in_use      = stays < going ? block_count{} : stays - going;
    return plan;
}

}  // namespace ashlar::inline v0
