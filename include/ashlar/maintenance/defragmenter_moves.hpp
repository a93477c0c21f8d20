#pragma once
/// The moves of a defragmenter: one candidate after another, until a budget ends or nothing is left.

#include <ashlar/maintenance/defragmenter_interface.hpp>

namespace ashlar::inline v0 {

/// Goes on with the move under way, or takes the next candidate.
template <RelocationHost Host, DefragPolicy Policy, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
bool defragmenter<Host, Policy, Throttle, C>::run_moves(Host& host, turn& now) noexcept {
    if (!move_.active()) return begin_move(host, now);
    if (now.blocks == 0) {
        now.said.reasons |= stop_reason::budget_spent;
        return false;
    }
    const block_count most{std::min(now.blocks, cycle_left_.value)};
    const auto        answer = move_.advance(host, throttle_, clock_, most);
    now.blocks -= answer.copied.value;
    cycle_left_ -= answer.copied;
    lifetime_.blocks_copied += answer.copied;
    return settle(host, now, answer);
}

template <RelocationHost Host, DefragPolicy Policy, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
bool defragmenter<Host, Policy, Throttle, C>::begin_move(Host& host, turn& now) noexcept {
    if (seeks_room_ && !find_room(host, now)) return false;
    const auto ready = window_.collect(host, policy_, options_, aside_, now.looks);
    if (ready.has_error()) return give_up(host, now, ready.error());
    if (!ready.value() || now.looks == 0) {
        now.said.reasons |= stop_reason::budget_spent;
        return false;
    }
    if (window_.empty()) return next_kind(host, now);
    moving_ = window_.best();
    if (moving_.blocks > cycle_left_) {
        cycle_.budget_exhausted = true;
        return end_cycle(host, now, task_.groups ? defrag_phase::choosing_group : phase_);
    }
    window_.pop();
    --now.looks;
    if (!selects(policy_, options_, aside_, moving_, window_.crowded()))
        return true;  // an earlier move improved its owner
    const auto stands = window_.still_stands(host, moving_);
    if (stands.has_error()) return give_up(host, now, stands.error());
    if (!stands.value()) return true;
    const auto answer = move_.begin(host, request_of(moving_, range_limit(options_), room_));
    if (answer.verdict != move_verdict::more) return settle(host, now, answer);
    if (is_worth_its_place(host)) return true;
    move_.undo(host);
    return without_room(host, now, false);
}

/// Whether the target is what the proof of progress needs: for a part of a range the policy gains too, and a whole
/// extent does not stay beside the place that it leaves, where it would go on keeping two free runs apart.
template <RelocationHost Host, DefragPolicy Policy, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
bool defragmenter<Host, Policy, Throttle, C>::is_worth_its_place(Host& host) noexcept {
    const auto& stretch = move_.stretch();
    if (moving_.free_runs_merged == 0)
        return room_.value == no_limit || policy_.worth_moving(as_candidate(moving_, stretch, host.block()));
    const auto source = stretch.pieces.front().physical;
    return move_.target().first != source.end() && move_.target().end() != source.first;
}

/// Looks for the longest free run; each scope costs one look. False: return from the step.
template <RelocationHost Host, DefragPolicy Policy, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
bool defragmenter<Host, Policy, Throttle, C>::find_room(Host& host, turn& now) noexcept {
    const auto done = space_.advance(host, now.looks);
    if (done.has_error()) return give_up(host, now, done.error());
    if (!done.value()) return out_of_looks(now);
    seeks_room_ = false;
    room_       = {space_.sums().largest};
    return true;
}

/// A candidate found no room. It is tried again when this batch has made some, and, unless a part of it would not gain,
/// as far as the longest free run reaches; or half as far where even that is not to be had. Else a range waits for the
/// next walk, and a whole extent stays.
template <RelocationHost Host, DefragPolicy Policy, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
bool defragmenter<Host, Policy, Throttle, C>::without_room(Host& host, turn& now, bool part_gains) noexcept {
    const bool range = moving_.free_runs_merged == 0;
    if (move_.flips() > 0 || (range && part_gains)) {
        window_.put_back(moving_, policy_.rank(moving_));
        if (move_.flips() > 0) return commit(host, now);  // the old places of this batch become free with its sync
        seeks_room_ = room_.value == no_limit;
        room_       = {move_.stretch().blocks.value >> 1U};
        if (seeks_room_) space_.begin();
        return true;
    }
    (range ? waiting_ : gap_stays_) = true;
    ++lifetime_.skipped;
    return true;
}

/// Draws the consequence of an answer of the move core. True: go on with the pass.
template <RelocationHost Host, DefragPolicy Policy, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
bool defragmenter<Host, Policy, Throttle, C>::settle(Host& host, turn& now, const move_answer& answer) noexcept {
    if (!move_.active()) lifetime_.races += move_.races();
    switch (answer.verdict) {
        case move_verdict::more:
            if (cycle_left_.value == 0) {  // races made the move dearer than the cycle can pay
                lifetime_.races += move_.races();
                move_.undo(host);
                ++lifetime_.undone;
                cycle_.budget_exhausted = true;
                return end_cycle(host, now, task_.groups ? defrag_phase::choosing_group : phase_);
            }
            now.said.reasons |= stop_reason::budget_spent;
            return false;
        case move_verdict::throttled:
            now.said.reasons |= stop_reason::throttled;
            now.said.not_before = answer.not_before;
            return false;
        case move_verdict::flipped:
            count_flip(host);
            moved_     = true;
            gap_stays_ = false;
            if (moving_.free_runs_merged == 0 && room_.value != no_limit) {  // more of it may fit elsewhere
                moving_ = rest_of(moving_, as_candidate(moving_, move_.stretch(), host.block()));
                window_.put_back(moving_, policy_.rank(moving_));
            }
            return move_.flips() < pace_of(options_.priority).extents_per_batch || commit(host, now);
        case move_verdict::nothing_to_gain: return true;
        case move_verdict::no_contiguous_space: return without_room(host, now, move_.stretch().blocks <= room_);
        case move_verdict::pinned: now.said.reasons |= stop_reason::pinned; break;
        case move_verdict::raced: now.said.reasons |= stop_reason::raced; break;
        case move_verdict::failed:
            if (answer.failure.code == errc::read_only) return give_up(host, now, answer.failure);
            aside_.add({moving_.owner, moving_.first, moving_.blocks, answer.failure});
            now.said.reasons |= stop_reason::device_error;
            now.said.failure = answer.failure;
            ++lifetime_.errors;
            break;
    }
    pass_notes_ |= now.said.reasons;
    ++lifetime_.skipped;
    return true;
}

template <RelocationHost Host, DefragPolicy Policy, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void defragmenter<Host, Policy, Throttle, C>::count_flip(Host& host) noexcept {
    const auto& stretch = move_.stretch();
    const auto  blocks  = stretch.blocks - stretch.unwritten;
    const auto  bytes   = bytes_of(blocks, host.block());
    ++pass_flips_;
    ++lifetime_.moves;
    pass_moved_ += blocks;
    cycle_.blocks_moved += blocks;
    cycle_.bytes_moved += bytes;
    lifetime_.blocks_moved += blocks;
    lifetime_.bytes_moved += bytes;
    if (moving_.free_runs_merged > 0) {
        cycle_.extents_merged += moving_.free_runs_merged;
        lifetime_.extents_merged += moving_.free_runs_merged;
        return;
    }
    const auto after = moving_.owner_extents - std::min(moving_.owner_extents, stretch.gain);
    lifetime_.extents_saved += stretch.gain;
    window_.owner_improved(moving_.owner, stretch.gain);
    if (after >= options_.extents_min) return;  // it was no less before, else it would not have been moved
    ++cycle_.objects_defragmented;
    ++lifetime_.objects_defragmented;
    if (fragmented_ > 0) --fragmented_;
}

/// Makes a batch durable and rests after it.
template <RelocationHost Host, DefragPolicy Policy, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
bool defragmenter<Host, Policy, Throttle, C>::commit(Host& host, turn& now) noexcept {
    if (move_.flips() == 0) return true;
    if (const auto done = move_.commit(host); done.has_error()) return give_up(host, now, done.error());
    room_           = {no_limit};
    const auto pace = pace_of(options_.priority);
    auto       rest = pace.between_batches;
    if (cycle_left_ < pace.low_budget) rest.nanoseconds += pace.low_budget_wait.nanoseconds;
    not_before_ = clock_.now() + rest;
    return true;
}

/// Undoes the move under way and makes the flips durable. The candidate waits for its next turn.
template <RelocationHost Host, DefragPolicy Policy, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
bool defragmenter<Host, Policy, Throttle, C>::suspend(Host& host, turn& now) noexcept {
    if (move_.active()) {
        lifetime_.races += move_.races();
        move_.undo(host);
        ++lifetime_.undone;
        window_.put_back(moving_, policy_.rank(moving_));
    }
    return commit(host, now);
}

}  // namespace ashlar::inline v0
