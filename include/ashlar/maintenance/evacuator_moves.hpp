#pragma once
/// The moves of an evacuator: one region, range or node after another.

#include <ashlar/maintenance/evacuator_interface.hpp>

namespace ashlar::inline v0 {

template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void evacuator<Volume, Throttle, C>::next_region(Volume& volume, turn& now) noexcept {
    auto       source = regions_of(volume, now.queue);
    const auto next   = source.next_candidate(region_cursor_, {.scope = range_}).value();  // from memory: never fails
    if (!next) {
        phase_ = evacuation_phase::tables;
        return;
    }
    region_ = region_source<Volume>::region_of(next->owner);
    was_at_ = {block_index{region_cursor_.logical.value - 1}, next->blocks};
    if (next->has_pinned) return leave(obstacle_kind::region, stop_reason::pinned);
    if (slides(volume, region_)) return leave(obstacle_kind::region, stop_reason::raced);
    const auto answer = move_.begin(
        source,
        {.owner = next->owner, .first = {}, .blocks = next->blocks, .window = next->blocks, .where = placement::tight});
    if (answer.verdict != move_verdict::more) settle(volume, now, answer);
}

template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void evacuator<Volume, Throttle, C>::next_evacuee(Volume& volume, turn& now) noexcept {
    before_         = cursor_;
    const auto next = walk_of(volume, range_).next(cursor_);
    if (next.has_error()) return give_up(volume, now, next.error());
    if (!next.value()) return end_walk(volume);
    moving_ = *next.value();
    if (moving_.blocks.value == 0) return;
    if (moving_.pinned) return leave(obstacle_kind::extents, stop_reason::pinned);
    moving_.is_node ? take_node(volume, now) : begin_extents(volume, now);
}

template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void evacuator<Volume, Throttle, C>::begin_extents(Volume& volume, turn& now) noexcept {
    auto       source = objects_of(volume, now.queue);
    const auto blocks = moving_.blocks < room_ ? moving_.blocks : room_;
    const auto answer = move_.begin(
        source,
        {.owner = moving_.owner, .first = moving_.first, .blocks = blocks, .window = blocks, .where = placement::away});
    if (answer.verdict != move_verdict::more) settle(volume, now, answer);
}

template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void evacuator<Volume, Throttle, C>::go_on(Volume& volume, turn& now) noexcept {
    move_answer answer;
    if (phase_ == evacuation_phase::regions) {
        auto source = regions_of(volume, now.queue);
        answer      = move_.advance(source, throttle_, clock_, now.blocks);
        owed_ += source.copied_again();
    } else {
        auto source = objects_of(volume, now.queue);
        answer      = move_.advance(source, throttle_, clock_, now.blocks);
    }
    now.blocks -= answer.copied < now.blocks ? answer.copied : now.blocks;
    settle(volume, now, answer);
}

/// Draws the consequence of an answer of the move core.
template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void evacuator<Volume, Throttle, C>::settle(Volume& volume, turn& now, const move_answer& answer) noexcept {
    const bool region = phase_ == evacuation_phase::regions;
    const auto kind   = region ? obstacle_kind::region : obstacle_kind::extents;
    switch (answer.verdict) {
        case move_verdict::more: break;
        case move_verdict::throttled:
            now.said.reasons |= stop_reason::throttled;
            now.said.not_before = answer.not_before;
            break;
        case move_verdict::flipped: count_flip(volume, now); break;
        case move_verdict::nothing_to_gain: break;  // it is gone
        case move_verdict::no_contiguous_space:
            region ? leave(kind, stop_reason::no_contiguous_space, answer.failure)
                   : without_room(volume, now, answer.failure);
            break;
        case move_verdict::pinned: leave(kind, stop_reason::pinned); break;
        case move_verdict::raced: leave(kind, stop_reason::raced); break;
        case move_verdict::failed:
            if (region) forget_motion(volume, parts_.move.motion);
            if (answer.failure.code == errc::read_only) return give_up(volume, now, answer.failure);
            if (!region && answer.failure.code == errc::too_large && move_.stretch().blocks.value > 1) {
                most_ = block_count{move_.stretch().blocks.value >> 1U};
                return without_room(volume, now, answer.failure);
            }
            leave(kind, stop_reason::device_error, answer.failure);
            break;
    }
}

template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void evacuator<Volume, Throttle, C>::count_flip(Volume& volume, turn& now) noexcept {
    const auto& stretch = move_.stretch();
    result_.moved += stretch.blocks;
    relieved_ = false;
    if (phase_ == evacuation_phase::regions) {
        ++result_.regions;
        unsynced_ = options_.moves_per_sync;
    } else {
        ++result_.extents;
        ++unsynced_;
        if (stretch.blocks < moving_.blocks) {  // the rest of it is next
            cursor_         = before_;
            cursor_.owner   = moving_.owner;
            cursor_.inside  = true;
            cursor_.nodes   = false;
            cursor_.logical = stretch.first + stretch.logical_blocks;
        }
        if (stretch.blocks == room_ && room_ < most_) room_ += room_;  // such a run was there: a longer one may be
    }
    if (unsynced_ >= options_.moves_per_sync) commit(volume, now);
}

/// No run outside is as long: half of it is tried, down to a block. Where not even one is to be had, room is made once:
/// what is freed waits for a batch. If that was in vain nothing of any object can move.
template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void evacuator<Volume, Throttle, C>::without_room(Volume& volume, turn& now, error why) noexcept {
    cursor_ = before_;
    if (!moving_.is_node) {
        const auto asked = move_.stretch().blocks;
        room_            = block_count{asked.value >> 1U};
        if (room_.value != 0) return;
        room_ = block_count{1};
    }
    if (!relieved_) {
        const auto done = [&]() noexcept -> result<> {
            const entered guard{volume};
            BOOST_OUTCOME_TRY(const bool freed, reap(volume));
            if (freed) return success();  // the next look that finds no room comes here again
            relieved_ = true;
            return relieve(volume, errc::no_space);
        }();
        if (done.has_error() && done.error().code != errc::busy) give_up(volume, now, done.error());
        return;
    }
    leave(moving_.is_node ? obstacle_kind::node : obstacle_kind::extents, stop_reason::no_contiguous_space, why);
    failure_ = why;
    end_walk(volume);
}

template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void evacuator<Volume, Throttle, C>::take_node(Volume& volume, turn& now) noexcept {
    if constexpr (Volume::map_type::has_tree) {
        const auto bytes = volume.geometry.block.bytes;
        const auto grant = throttle_.acquire({bytes, bytes}, clock_.now());
        if (grant.bytes == 0) {
            cursor_ = before_;
            now.said.reasons |= stop_reason::throttled;
            now.said.not_before = grant.not_before;
            return;
        }
        auto moved = [&]() noexcept {
            const entered guard{volume};
            return move_node(volume, moving_.owner, moving_.node);
        }();
        throttle_.release(grant.bytes, clock_.now());
        now.blocks -= block_count{1};
        if (moved.has_error()) {
            const auto code = moved.error().code;
            if (code == errc::read_only) return give_up(volume, now, moved.error());
            if (code == errc::no_space || code == errc::reserve_only || code == errc::no_contiguous_space)
                return without_room(volume, now, moved.error());
            return leave(obstacle_kind::node, code == errc::busy ? stop_reason::raced : stop_reason::device_error,
                         moved.error());
        }
        if (!moved.value()) return leave(obstacle_kind::node, stop_reason::raced);
        relieved_ = false;
        ++result_.nodes;
        ++result_.moved.value;
        if (++unsynced_ >= options_.moves_per_sync) commit(volume, now);
    }
}

/// What is moving stays, at least for this walk.
template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void evacuator<Volume, Throttle, C>::leave(obstacle_kind kind, stop_reasons why, error failure) noexcept {
    notes_ |= why;
    if (why.has(stop_reason::device_error)) failure_ = failure;
    const auto place = kind == obstacle_kind::region ? was_at_ : moving_.place;
    obstacles_.add({.kind    = kind,
                    .why     = why,
                    .region  = kind == obstacle_kind::region ? region_ : region_id{},
                    .object  = kind == obstacle_kind::region ? object_id{} : moving_.owner,
                    .logical = kind == obstacle_kind::region ? logical_block{} : moving_.first,
                    .blocks  = common_part(place, range_),
                    .failure = failure});
}

/// Makes the moves so far durable.
template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void evacuator<Volume, Throttle, C>::commit(Volume& volume, turn& now) noexcept {
    if (unsynced_ == 0) return;
    unsynced_   = 0;
    auto source = objects_of(volume, nullptr);
    auto done   = move_.commit(source);
    if (done.has_value()) done = source.sync();
    if (done.has_error() && done.error().code != errc::busy) return give_up(volume, now, done.error());
    if (phase_ == evacuation_phase::objects && in_use(volume) <= fixed_) end_walk(volume);  // nothing else could move
}

/// Undoes the move under way; what was moving is the next one again.
template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void evacuator<Volume, Throttle, C>::abandon(Volume& volume, queue_type* queue) noexcept {
    if (!move_.active()) return;
    if (phase_ == evacuation_phase::regions) {
        auto source = regions_of(volume, queue);
        move_.undo(source);
        region_cursor_.logical = {was_at_.first.value};
    } else {
        auto source = objects_of(volume, queue);
        move_.undo(source);
        cursor_ = before_;
    }
}

}  // namespace ashlar::inline v0
