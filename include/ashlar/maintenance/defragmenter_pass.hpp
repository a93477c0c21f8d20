#pragma once
/// The pass of a defragmenter: what leads from phase to phase.

#include <ashlar/maintenance/defragmenter_interface.hpp>

namespace ashlar::inline v0 {

template <RelocationHost Host, DefragPolicy Policy, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
progress defragmenter<Host, Policy, Throttle, C>::step(Host& host, step_budget budget)
noexcept {
    turn now{budget.blocks_max, budget.candidates_max, {}};
    if constexpr (!Policy::enabled) {
        now.said.reasons = stop_reason::finished | stop_reason::nothing_to_gain;
        return now.said;
    }
    if (cancelled_) {
        cancelled_ = requested_ = false;
        if (suspend(host, now)) now.said.reasons |= stop_reason::cancelled;
        phase_      = defrag_phase::idle;
        not_before_ = {};
        return report(now, host);
    }
    if (paused_) {
        if (suspend(host, now)) now.said.reasons |= stop_reason::paused;
        return report(now, host);
    }
    if (requested_ && phase_ != defrag_phase::idle) {
        if (!suspend(host, now)) return report(now, host);
        phase_ = defrag_phase::idle;
    }
    while (advance(host, now)) {}
    return report(now, host);
}

/// Does a bounded part of the phase. True: go on; false: return from the step.
template <RelocationHost Host, DefragPolicy Policy, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
bool defragmenter<Host, Policy, Throttle, C>::advance(Host& host, turn& now) noexcept {
    if (phase_ != defrag_phase::concluding && !requested_ && rests(now)) return false;
    switch (phase_) {
        case defrag_phase::idle: return begin_pass(host);
        case defrag_phase::choosing_group: return choose_group(host, now);
        case defrag_phase::measuring_objects: return measure_objects(host, now);
        case defrag_phase::measuring_space: return measure_space(host, now);
        case defrag_phase::merging:
        case defrag_phase::relocating: return run_moves(host, now);
        case defrag_phase::concluding: break;
    }
    return conclude_cycle(host, now);
}

/// Whether it is too early: between two batches, two cycles, or after a pass that moved nothing.
template <RelocationHost Host, DefragPolicy Policy, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
bool defragmenter<Host, Policy, Throttle, C>::rests(turn& now) const noexcept {
    if (!C::ticks || clock_.now() >= not_before_) return false;
    now.said.reasons |= stop_reason::throttled;
    now.said.not_before = not_before_;
    if (phase_ == defrag_phase::idle && pass_flips_ == 0) now.said.reasons |= stop_reason::nothing_to_gain;
    return true;
}

template <RelocationHost Host, DefragPolicy Policy, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void defragmenter<Host, Policy, Throttle, C>::start(const task& what) noexcept {
    next_task_ = what;
    requested_ = true;
}

template <RelocationHost Host, DefragPolicy Policy, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
bool defragmenter<Host, Policy, Throttle, C>::begin_pass(Host& host) noexcept {
    task_       = requested_ ? next_task_ : task{};
    requested_  = false;
    not_before_ = {};
    pass_began_ = clock_.now();
    pass_moved_ = {};
    pass_flips_ = walked_ = 0;
    pass_notes_           = {};
    owners_               = host.owner_count();
    scope_                = {};
    order_.begin();
    if (task_.groups)
        phase_ = defrag_phase::choosing_group;
    else
        begin_measuring();
    return true;
}

template <RelocationHost Host, DefragPolicy Policy, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void defragmenter<Host, Policy, Throttle, C>::begin_measuring() noexcept {
    objects_.begin({candidate_kind::fragmented_range, range_limit(options_), scope_}, options_.extents_min);
    phase_ = defrag_phase::measuring_objects;
}

template <RelocationHost Host, DefragPolicy Policy, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void defragmenter<Host, Policy, Throttle, C>::begin_space() noexcept {
    if (task_.groups)
        space_.begin(group_);
    else
        space_.begin();
}

template <RelocationHost Host, DefragPolicy Policy, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
bool defragmenter<Host, Policy, Throttle, C>::choose_group(Host& host, turn& now) noexcept {
    if (task_.one_group) {
        group_ = task_.group;
    } else {
        const auto ready = order_.advance(host, now.looks);
        if (ready.has_error()) return give_up(host, now, ready.error());
        if (!ready.value()) return out_of_looks(now);
        const auto worst = order_.take();
        if (!worst) return end_groups(now);
        group_ = *worst;
        ++walked_;
    }
    const auto group = host.scope(group_);
    if (group.has_error()) return give_up(host, now, group.error());
    scope_ = group.value().blocks;
    begin_measuring();
    return true;
}

/// Each group had its turn. When something moved, they all have another: until told to stop, or nothing moves.
template <RelocationHost Host, DefragPolicy Policy, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
bool defragmenter<Host, Policy, Throttle, C>::end_groups(turn& now) noexcept {
    if (pass_flips_ == 0) return end_pass(now);
    ++lifetime_.passes;
    pass_flips_ = walked_ = 0;
    pass_notes_           = {};
    order_.begin();
    return true;
}

template <RelocationHost Host, DefragPolicy Policy, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
bool defragmenter<Host, Policy, Throttle, C>::measure_objects(Host& host, turn& now) noexcept {
    const auto done = objects_.advance(host, now.looks);
    if (done.has_error()) return give_up(host, now, done.error());
    if (!done.value()) return out_of_looks(now);
    fragmented_ = objects_.fragmented();
    lifetime_.objects_processed += objects_.seen();
    phase_ = defrag_phase::measuring_space;
    begin_space();
    return true;
}

template <RelocationHost Host, DefragPolicy Policy, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
bool defragmenter<Host, Policy, Throttle, C>::measure_space(Host& host, turn& now) noexcept {
    const auto done = space_.advance(host, now.looks);
    if (done.has_error()) return give_up(host, now, done.error());
    if (!done.value()) return out_of_looks(now);
    as_measured_ = {permille_of(fragmented_, owners_), space_.sums().permille()};
    begin_cycle();
    const auto threshold = options_.threshold_permille;
    if (as_measured_.objects_permille >= threshold || as_measured_.free_permille >= threshold)
        return next_kind(host, now);
    after_cycle_ = task_.groups ? defrag_phase::choosing_group : defrag_phase::idle;
    return close_cycle(now);
}

template <RelocationHost Host, DefragPolicy Policy, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void defragmenter<Host, Policy, Throttle, C>::begin_cycle() noexcept {
    cycle_        = {};
    cycle_.before = as_measured_;
    cycle_began_  = std::max(clock_.now(), not_before_);  // it may still have to wait for its time
    cycle_left_   = options_.cycle_blocks_max.value == 0 ? block_count{~std::uint64_t{0}} : options_.cycle_blocks_max;
}

template <RelocationHost Host, DefragPolicy Policy, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
bool defragmenter<Host, Policy, Throttle, C>::begin_walk(defrag_phase phase) noexcept {
    const bool merging = phase == defrag_phase::merging;
    const bool crowded = merging && (waiting_ || task_.only_merge);
    phase_             = phase;
    room_              = {no_limit};
    seeks_room_        = false;
    if (!merging) waiting_ = moved_ = false;
    const auto kind = merging ? candidate_kind::free_space_gap : candidate_kind::fragmented_range;
    window_.begin({kind, range_limit(options_), scope_}, crowded);
    return true;
}

/// From one kind of candidates to the next. Behind the last, those that found no room have another round, until one
/// moves nothing; then the cycle ends.
template <RelocationHost Host, DefragPolicy Policy, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
bool defragmenter<Host, Policy, Throttle, C>::next_kind(Host& host, turn& now) noexcept {
    const bool merges    = options_.compact_free_extents || task_.only_merge;
    const bool relocates = options_.relocate_fragmented && !task_.only_merge;
    const bool first     = phase_ == defrag_phase::measuring_space;
    const bool last      = phase_ == defrag_phase::relocating;
    if (!task_.groups) walked_ += owners_;
    if (first) waiting_ = moved_ = gap_stays_ = false;
    if (first && merges) return begin_walk(defrag_phase::merging);
    if (!last && relocates && (moved_ || !waiting_)) return begin_walk(defrag_phase::relocating);
    if (last && waiting_ && (moved_ || merges)) {
        if (!commit(host, now)) return false;
        if (!task_.groups) walked_ = owners_;
        return begin_walk(merges ? defrag_phase::merging : defrag_phase::relocating);
    }
    if (waiting_ || gap_stays_) pass_notes_ |= stop_reason::no_contiguous_space;
    return end_cycle(host, now, task_.groups ? defrag_phase::choosing_group : defrag_phase::idle);
}

template <RelocationHost Host, DefragPolicy Policy, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
bool defragmenter<Host, Policy, Throttle, C>::end_cycle(Host& host, turn& now, defrag_phase then) noexcept {
    if (!commit(host, now)) return false;
    after_cycle_ = then;
    phase_       = defrag_phase::concluding;
    begin_space();
    return true;
}

template <RelocationHost Host, DefragPolicy Policy, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
bool defragmenter<Host, Policy, Throttle, C>::conclude_cycle(Host& host, turn& now) noexcept {
    const auto done = space_.advance(host, now.looks);
    if (done.has_error()) return give_up(host, now, done.error());
    if (!done.value()) return out_of_looks(now);
    as_measured_ = {permille_of(fragmented_, owners_), space_.sums().permille()};
    return close_cycle(now);
}

/// Writes the cycle's result down and goes where the cycle was cut off.
template <RelocationHost Host, DefragPolicy Policy, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
bool defragmenter<Host, Policy, Throttle, C>::close_cycle(turn& now) noexcept {
    cycle_.after = as_measured_;
    cycle_.took  = clock_.now() - cycle_began_;
    last_cycle_  = cycle_;
    ++lifetime_.cycles;
    lifetime_.cycles_exhausted += cycle_.budget_exhausted ? 1U : 0U;
    lifetime_.busy.nanoseconds += cycle_.took.nanoseconds;
    const bool spent = cycle_.budget_exhausted || cycle_.blocks_moved.value > 0;
    phase_           = after_cycle_;
    if (phase_ == defrag_phase::idle) return end_pass(now);
    if (spent) not_before_ = cycle_began_ + options_.cycle_interval;
    if (phase_ == defrag_phase::choosing_group) return task_.one_group ? end_pass(now) : true;
    begin_cycle();
    if (C::ticks) return true;  // the rest is noticed at once
    now.said.reasons |= stop_reason::budget_spent;
    return false;
}

template <RelocationHost Host, DefragPolicy Policy, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
bool defragmenter<Host, Policy, Throttle, C>::end_pass(turn& now) noexcept {
    ++lifetime_.passes;
    now.said.reasons |= pass_notes_ | stop_reason::finished;
    if (pass_flips_ == 0) now.said.reasons |= stop_reason::nothing_to_gain;
    not_before_ = (pass_flips_ == 0 ? clock_.now() : cycle_began_) + options_.cycle_interval;
    phase_      = defrag_phase::idle;
    return false;
}

/// The host itself fails, so no candidate is to blame. The next pass waits for a cycle's interval.
template <RelocationHost Host, DefragPolicy Policy, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
bool defragmenter<Host, Policy, Throttle, C>::give_up(Host& host, turn& now, error why) noexcept {
    move_.undo(host);
    now.said.reasons |= stop_reason::device_error;
    now.said.failure = why;
    ++lifetime_.errors;
    phase_      = defrag_phase::idle;
    not_before_ = clock_.now() + options_.cycle_interval;
    return false;
}

template <RelocationHost Host, DefragPolicy Policy, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
bool defragmenter<Host, Policy, Throttle, C>::out_of_looks(turn& now) const noexcept {
    now.said.reasons |= stop_reason::budget_spent;
    return false;
}

}  // namespace ashlar::inline v0
