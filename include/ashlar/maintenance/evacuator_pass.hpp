#pragma once
/// The pass of an evacuator: what leads from phase to phase.

#include <ashlar/maintenance/evacuator_interface.hpp>

namespace ashlar::inline v0 {

template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
progress evacuator<Volume, Throttle, C>::step(Volume& volume, step_budget budget, queue_type* queue)
noexcept {
    turn now{block_count{budget.blocks_max}, budget.candidates_max, queue, {}};
    if (cancelled_) {
        cancelled_ = false;
        abandon(volume, queue);
        undo_table(volume);
        if (phase_ != evacuation_phase::idle) conclude(volume, false);
        release(volume);
        now.said.reasons = stop_reason::cancelled;
        return now.said;
    }
    if (paused_) {
        abandon(volume, queue);
        commit(volume, now);
        now.said.reasons |= stop_reason::paused;
    }
    while (now.said.reasons.none()) advance(volume, now);
    now.said.phase = static_cast<std::uint32_t>(phase_);
    now.said.moved = result_.moved;
    now.said.total = result_.before.value;
    if (phase_ == evacuation_phase::idle) {
        now.said.done = (result_.before - (result_.after < result_.before ? result_.after : result_.before)).value;
    } else if (phase_ != evacuation_phase::withholding) {
        const entered guard{volume};
        const auto    left = volume.space.withheld_now().in_use;
        now.said.done      = left < result_.before ? (result_.before - left).value : 0;
    }
    return now.said;
}

template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void evacuator<Volume, Throttle, C>::advance(Volume& volume, turn& now) noexcept {
    switch (phase_) {
        case evacuation_phase::idle: now.said.reasons |= stop_reason::finished; break;
        case evacuation_phase::withholding: withhold_range(volume, now); break;
        case evacuation_phase::settling: settle_range(volume, now); break;
        case evacuation_phase::tables: move_table(volume, now); break;
        case evacuation_phase::regions:
        case evacuation_phase::objects:
            if (move_.active() ? now.blocks.value == 0 : now.looks == 0 || now.blocks.value == 0) {
                now.said.reasons |= stop_reason::budget_spent;
            } else if (owed_.value != 0) {
                pay_owed(owed_, volume.geometry.block, throttle_, clock_, now.said);
            } else if (move_.active()) {
                go_on(volume, now);
            } else {
                --now.looks;
                phase_ == evacuation_phase::regions ? next_region(volume, now) : next_evacuee(volume, now);
            }
            break;
    }
}

/// What is dying is freed first, a part of it at each look, and what was freed comes free: it need not move, and moves
/// may need it.
template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void evacuator<Volume, Throttle, C>::withhold_range(Volume& volume, turn& now) noexcept {
    bool       freed = false;
    const auto ready = [&]() noexcept -> result<> {
        const entered guard{volume};
        BOOST_OUTCOME_TRY(volume.writable());
        BOOST_OUTCOME_TRY(freed, reap(volume));
        if (freed) return success();
        BOOST_OUTCOME_TRY(relieve(volume, errc::no_space));
        if (volume.space.withheld() != range_) {
            BOOST_OUTCOME_TRY(withhold(volume, range_));
            withholds_ = true;
        }
        result_.before = volume.space.withheld_now().in_use;
        return success();
    }();
    if (ready.has_error()) return give_up(volume, now, ready.error());
    freed ? now.look() : begin_walk(volume);
}

template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void evacuator<Volume, Throttle, C>::begin_walk(Volume& volume) noexcept {
    obstacles_.clear();
    notes_         = {};
    cursor_        = {};
    region_cursor_ = {};
    most_ = room_ = window_of(volume);
    relieved_     = false;
    phase_        = evacuation_phase::regions;
    bool any      = false;
    {
        const entered guard{volume};
        const auto    seen = volume.space.withheld_now();
        walk_began_        = seen.in_use + seen.reserved;
        fixed_             = list_fixed(volume, range_, obstacles_);
        if (fixed_.value != 0) notes_ |= stop_reason::pinned;
        if (!table_why_.none()) {
            fixed_ += list_object_tables(volume, range_, table_why_, table_failure_, obstacles_);
            notes_ |= table_why_;
        }
        any = walk_began_ > fixed_;
    }
    if (!any) end_walk(volume);
}

/// What was erased or cut off meanwhile is freed before anything is counted, a part of it at a time: then the walk ends
/// when it comes here again. One that left less than there was before may leave less again, where something is left.
template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void evacuator<Volume, Throttle, C>::end_walk(Volume& volume) noexcept {
    bool again = false;
    {
        const entered guard{volume};
        const auto    freed = reap(volume);
        if (freed.has_value() && freed.value()) return;
        const auto seen = volume.space.withheld_now();
        left_           = seen.in_use;
        again           = left_ > fixed_ && left_ + seen.reserved < walk_began_;
    }
    if (again) return begin_walk(volume);
    settle_tries_ = 0;
    phase_        = evacuation_phase::settling;
}

/// Makes durable what moved, and waits a few steps for what readers and other operations still hold.
template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void evacuator<Volume, Throttle, C>::settle_range(Volume& volume, turn& now) noexcept {
    constexpr std::uint32_t tries_max = 8;
    withheld_blocks         seen;
    bool                    freed   = false;
    const auto              settled = [&]() noexcept -> result<> {
        const entered guard{volume};
        BOOST_OUTCOME_TRY(freed, reap(volume));
        if (freed) return success();
        auto done = checkpoint(volume);
        seen      = volume.space.withheld_now();
        return done;
    }();
    if (freed) return now.look();
    unsynced_ = 0;
    if (settled.has_error() && settled.error().code != errc::busy) return give_up(volume, now, settled.error());
    if (seen.in_use > left_) return begin_walk(volume);  // an operation that began before used what it had reserved
    const auto waits = seen.reserved + seen.draining;
    if (waits.value != 0 && ++settle_tries_ < tries_max) {
        now.said.reasons |= stop_reason::budget_spent;
        return;
    }
    if (waits.value != 0) {
        notes_ |= stop_reason::raced;
        obstacles_.add({.kind = obstacle_kind::reserved, .why = stop_reason::raced, .blocks = {range_.first, waits}});
    }
    conclude(volume, true);
    now.said.reasons |= notes_ | stop_reason::finished;
}

/// The volume cannot be written or read any more, or not be prepared.
template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void evacuator<Volume, Throttle, C>::give_up(Volume& volume, turn& now, error why) noexcept {
    failure_ = why;
    notes_ |= why.code == errc::no_space ? stop_reason::no_contiguous_space
              : why.code == errc::busy   ? stop_reason::raced
                                         : stop_reason::device_error;
    conclude(volume, false);
    now.said.failure = why;
    now.said.reasons |= notes_;
}

template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void evacuator<Volume, Throttle, C>::conclude(Volume& volume, bool whole) noexcept {
    const entered guard{volume};
    const auto    seen = volume.space.withheld_now();
    const bool    ours = volume.space.withheld() == range_;
    result_.after      = ours ? seen.in_use : result_.before;
    result_.emptied    = whole && ours && seen.none();
    result_.obstacles  = obstacles_.count();
    result_.reasons    = notes_;
    result_.failure    = failure_;
    result_.took       = clock_.now() - began_;
    last_              = result_;
    phase_             = evacuation_phase::idle;
    table_moves_       = false;
    if (withholds_ && !(result_.emptied && options_.keeps_withheld)) {
        if (ours) stop_withholding(volume);
        withholds_ = false;
    }
}

}  // namespace ashlar::inline v0
