#pragma once
/// The object table leaves the range of an evacuator: a migration of its records, of which a step is all that is held.

#include <ashlar/maintenance/evacuator_interface.hpp>

namespace ashlar::inline v0 {

/// Where a migration to the same width is under way it goes on, whoever began it: it may have left the table here.
template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void evacuator<Volume, Throttle, C>::move_table(Volume& volume, turn& now) noexcept {
    if (now.looks == 0 || now.blocks.value == 0)
        return static_cast<void>(now.said.reasons |= stop_reason::budget_spent);
    if (owed_.value != 0) return pay_owed(owed_, volume.geometry.block, throttle_, clock_, now.said);
    table_mover mover{lent_throttle<Throttle>{throttle_}, clock_};
    if (!table_moves_) {
        if (!begin_table(volume, now)) return;
        mover.start(same_records(volume));
    }
    const auto said = mover.step(volume, {.blocks_max = now.blocks.value, .candidates_max = now.looks});
    --now.looks;
    settle_table(volume, now, said, mover.last_result());
}

/// Answers whether the table is to be moved and can be. What waits to be free comes free first: a copy needs room.
template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
bool evacuator<Volume, Throttle, C>::begin_table(Volume& volume, turn& now) noexcept {
    bool       here = false, other = false, freed = false;
    const auto ready = [&]() noexcept -> result<> {
        const entered guard{volume};
        here = table_why_.none() && object_table_blocks(volume, range_).value != 0;
        if (!here) return success();
        other = is_widening(volume);
        if (other) return success();
        BOOST_OUTCOME_TRY(freed, reap(volume));
        return freed ? result<>{success()} : relieve(volume, errc::no_space);
    }();
    if (ready.has_error() && ready.error().code != errc::busy) {
        give_up(volume, now, ready.error());
        return false;
    }
    if (!here) phase_ = evacuation_phase::objects;
    if (other) leave_table(volume, stop_reason::raced, errc::busy);
    if (freed) now.look();  // and here again
    table_moves_ = here && !other && !freed;
    return table_moves_;
}

/// Draws the consequence of a step of the migration.
template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void evacuator<Volume, Throttle, C>::settle_table(Volume& volume, turn& now, const progress& said,
                                                  const record_migration_result& done) noexcept {
    constexpr std::uint32_t tries_max = 64;
    result_.moved += said.moved;
    now.blocks -= std::min(said.moved, now.blocks);
    if (done.failure.code != errc::none) table_failure_ = done.failure;
    const bool ended = said.reasons.has(stop_reason::finished) || said.reasons.has(stop_reason::cancelled);
    const bool none  = said.phase == static_cast<std::uint32_t>(migration_phase::none);  // nor did it begin
    if (ended || none) table_moves_ = false;
    if (ended && done.finished) ++result_.tables;
    const bool other = ended && table_failure_.code == errc::busy;  // it began when ours was about to
    if (said.reasons.has(stop_reason::raced) || other) {
        table_failure_ = {};
        now.said.reasons |= stop_reason::budget_spent;
        if (++table_tries_ < tries_max) return;
        undo_table(volume);
        return leave_table(volume, stop_reason::raced, errc::busy);
    }
    table_tries_ = 0;
    if (said.reasons.has(stop_reason::device_error)) {
        if (said.failure.code == errc::read_only) return give_up(volume, now, said.failure);
        undo_table(volume);
        return leave_table(volume, stop_reason::device_error, said.failure);
    }
    if (ended && table_failure_.code != errc::none)
        return leave_table(volume, why_table_stays(table_failure_.code), table_failure_);
    if (said.reasons.has(stop_reason::budget_spent)) now.said.reasons |= stop_reason::budget_spent;
    if (said.reasons.has(stop_reason::throttled)) {
        now.said.reasons |= stop_reason::throttled;
        now.said.not_before = said.not_before;
    }
}

/// The table stays, for this evacuation.
template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void evacuator<Volume, Throttle, C>::leave_table(Volume& volume, stop_reasons why, error failure) noexcept {
    const entered guard{volume};
    table_why_     = why;
    table_failure_ = failure;
    notes_ |= why;
    if (!why.has(stop_reason::raced)) failure_ = failure;
    fixed_ += list_object_tables(volume, range_, why, failure, obstacles_);
    phase_ = evacuation_phase::objects;
}

/// Ends a migration that is under way: back, or where the next table is in use already, forth. It is bounded by the
/// parts of a table. What stands in the way leaves it to the next one that steps.
template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void evacuator<Volume, Throttle, C>::undo_table(Volume& volume) noexcept {
    if (!table_moves_) return;
    table_moves_ = false;
    table_mover mover{lent_throttle<Throttle>{throttle_}, clock_};
    mover.cancel();
    static_cast<void>(mover.step(volume, {.blocks_max = 1, .candidates_max = region_table::object_parts_max + 2}));
}

}  // namespace ashlar::inline v0
