#pragma once
/// What an evacuation would do, before it does it.

#include <ashlar/maintenance/evacuator_interface.hpp>

namespace ashlar::inline v0 {

template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
result<evacuation_plan> evacuator<Volume, Throttle, C>::plan(Volume& volume, extent range)
noexcept {
    BOOST_OUTCOME_TRY(auto made, begin_plan(volume, range));
    evacuee_cursor at;
    BOOST_OUTCOME_TRY(plan_objects(volume, made, at, ~std::uint64_t{0}));
    return made;
}

template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
result<evacuation_plan> evacuator<Volume, Throttle, C>::begin_plan(Volume& volume, extent range)
noexcept {
    if (phase_ != evacuation_phase::idle) return errc::busy;
    evacuation_plan made{.range = range, .memory_bytes = memory_bytes_};
    {
        const entered guard{volume};
        BOOST_OUTCOME_TRY(check_range(volume, range));
        range_ = range;
        obstacles_.clear();
        made.fixed = list_fixed(volume, range, obstacles_);
        BOOST_OUTCOME_TRY(plan_room(volume, made));
    }
    BOOST_OUTCOME_TRY(plan_regions(volume, made));
    BOOST_OUTCOME_TRY(plan_table(volume, made));
    return made;
}

/// What is free in the range and outside, as it is now.
template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
result<> evacuator<Volume, Throttle, C>::plan_room(Volume& volume, evacuation_plan& made)
noexcept {
    made.free = {};
    drained_free_space<Volume> free{volume};
    BOOST_OUTCOME_TRY(for_each_free_run(free, made.range.first, [&](extent run) noexcept {
        made.free += common_part(run, made.range).count;
        return run.end() < made.range.end();
    }));
    made.room = room_outside(volume, made.range, made.free);
    return success();
}

/// Each region takes the first run that holds it, and those after it what is left.
template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
result<> evacuator<Volume, Throttle, C>::plan_regions(Volume& volume, evacuation_plan& made)
noexcept {
    auto                       source = regions_of(volume, nullptr);
    drained_free_space<Volume> all{volume};
    std::size_t                planned = 0;
    for (relocation_cursor at;;) {
        const auto next = source.next_candidate(at, {.scope = made.range}).value();
        if (!next) return success();
        region_ = region_source<Volume>::region_of(next->owner);
        was_at_ = {block_index{at.logical.value - 1}, next->blocks};
        if (next->has_pinned) {
            made.fixed += common_part(was_at_, made.range).count;
            leave(obstacle_kind::region, stop_reason::pinned);
            continue;
        }
        if (slides(volume, region_)) {
            leave(obstacle_kind::region, stop_reason::raced);
            continue;
        }
        const entered                                  guard{volume};
        free_space_outside<drained_free_space<Volume>> outside{all, made.range, parts_.targets.first(planned)};
        BOOST_OUTCOME_TRY(const auto to, first_fit(outside, next->blocks, frames_end(volume.geometry.block)));
        if (!to) {
            leave(obstacle_kind::region, stop_reason::no_contiguous_space);
            continue;
        }
        if (planned < parts_.targets.size()) parts_.targets[planned++] = *to;
        ++made.regions;
        made.region_blocks += next->blocks;
    }
}

/// The table takes what regions leave. Without a place for a whole copy of it, nothing of it moves.
template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
result<> evacuator<Volume, Throttle, C>::plan_table(Volume& volume, evacuation_plan& made)
noexcept {
    const entered guard{volume};
    BOOST_OUTCOME_TRY(check_range(volume, made.range));
    if (object_table_blocks(volume, made.range).value == 0) return success();
    const auto planned = std::min(static_cast<std::size_t>(made.regions), parts_.targets.size());
    const auto room    = made.room - std::min(made.room, made.region_blocks);
    BOOST_OUTCOME_TRY(const auto table, plan_table_move(volume, made.range, parts_.targets.first(planned), room));
    if (table.obstacle == errc::none) {
        made.tables       = 1;
        made.table_blocks = table.blocks;
        return success();
    }
    made.fixed += list_object_tables(volume, made.range, why_table_stays(table.obstacle), table.obstacle, obstacles_);
    return success();
}

template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
result<bool> evacuator<Volume, Throttle, C>::plan_objects(Volume& volume, evacuation_plan& made, evacuee_cursor& at,
                                                          std::uint64_t looks)
noexcept {
    auto walk = walk_of(volume, made.range);
    for (; looks != 0; --looks) {
        BOOST_OUTCOME_TRY(const auto next, walk.next(at));
        if (!next) {
            const entered guard{volume};
            BOOST_OUTCOME_TRY(check_range(volume, made.range));
            BOOST_OUTCOME_TRY(plan_room(volume, made));
            // What was written again between two parts was seen twice, or is gone.
            const auto fixed   = made.fixed + made.free;
            made.object_blocks = std::min(made.object_blocks, made.range.count - std::min(made.range.count, fixed));
            made.obstacles     = obstacles_.count();
            return true;
        }
        moving_ = *next;
        if (moving_.pinned) {
            made.fixed += moving_.place.count;
            leave(obstacle_kind::extents, stop_reason::pinned);
        } else if (moving_.is_node) {
            ++made.nodes;
        } else if (moving_.blocks.value != 0) {
            ++made.extents;
            made.object_blocks += moving_.blocks;
        }
    }
    return false;
}

}  // namespace ashlar::inline v0
