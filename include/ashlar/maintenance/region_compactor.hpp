#pragma once
/// Moves users' regions together while they are read and written.

#include <ashlar/maintenance/region_compactor_slides.hpp>

namespace ashlar::inline v0 {

template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void region_compactor<Volume, Throttle, C>::advance(Volume& volume, region_source<Volume>& source, turn& now,
                                                    progress& said) noexcept {
    switch (phase_) {
        case compaction_phase::clearing:  // that is never this task's own
        case compaction_phase::idle: start(); break;
        case compaction_phase::analyzing: analyze(volume, now, said); break;
        case compaction_phase::relocating:
        case compaction_phase::updating:
            if (move_.active() ? now.blocks.value == 0 : now.looks == 0) {
                said.reasons |= stop_reason::budget_spent;
            } else if (owed_.value != 0) {
                pay_owed(owed_, volume.geometry.block, throttle_, clock_, said);
            } else if (!move_.active()) {
                --now.looks;
                begin_next(volume, source, said);
            } else {
                const auto owed_before = source.copied_again();
                const auto answer      = move_.advance(source, throttle_, clock_, now.blocks);
                now.blocks -= answer.copied < now.blocks ? answer.copied : now.blocks;
                result_.blocks_moved += answer.copied;
                owed_ += source.copied_again() - owed_before;
                settle(volume, source, answer, said);
            }
            break;
    }
}

template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void region_compactor<Volume, Throttle, C>::analyze(Volume& volume, turn& now, progress& said) noexcept {
    if (make_room(volume)) {
        if (now.looks == 0) return static_cast<void>(said.reasons |= stop_reason::budget_spent);
        return static_cast<void>(--now.looks);
    }
    const auto first = std::exchange(first_, std::nullopt);
    const auto seen  = measure(volume);
    if (seen.has_error()) {
        said.failure = seen.error();
        said.reasons |= stop_reason::device_error;
        phase_ = compaction_phase::idle;
        last_  = result_;
        return;
    }
    result_.before = seen.value();
    cursor_        = {};
    passed_        = 0;
    moved_         = false;
    if (first) cursor_.logical = {first->value};
    if (const entered guard{volume}; find_slide(volume)) {  // a cut one is finished first
        phase_   = compaction_phase::relocating;
        sliding_ = name_of(find_slide(volume)->region);
        if (sliding_.type == 0) sliding_.type = tag::slide;  // its region went; its blocks are given back
        return;
    }
    if (!first && result_.before.permille() < options_.threshold_permille) {
        conclude(volume, said, true);
        said.reasons |= stop_reason::finished | stop_reason::nothing_to_gain;
        return;
    }
    phase_ = compaction_phase::relocating;
}

template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void region_compactor<Volume, Throttle, C>::begin_next(Volume& volume, region_source<Volume>& source,
                                                       progress& said) noexcept {
    const auto next = source.next_candidate(cursor_, {}).value();  // the directory is in memory: this never fails
    if (!next) return end_walk(volume, said);
    ++passed_;
    moving_         = *next;
    was_at_         = block_index{cursor_.logical.value - 1};
    const auto name = region_source<Volume>::region_of(moving_.owner);
    if (options_.only && name != *options_.only) return;
    if (const entered guard{volume}; is_sliding(volume, name)) {  // and could not go on
        notes_ |= moving_.has_pinned ? stop_reason::pinned : stop_reason::raced;
        return;
    }
    source.aim_into(below(volume));
    const auto answer = move_.begin(source, {.owner  = moving_.owner,
                                             .first  = {},
                                             .blocks = moving_.blocks,
                                             .window = moving_.blocks,
                                             .where  = placement::tight});
    if (answer.verdict != move_verdict::more) settle(volume, source, answer, said);
}

template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void region_compactor<Volume, Throttle, C>::settle(Volume& volume, region_source<Volume>& source,
                                                   const move_answer& answer, progress& said) noexcept {
    switch (answer.verdict) {
        case move_verdict::more: break;
        case move_verdict::throttled:
            said.reasons |= stop_reason::throttled;
            said.not_before = answer.not_before;
            break;
        case move_verdict::flipped: {
            auto done = move_.commit(source);
            if (done.has_error() && done.error().code == errc::busy)
                done = success();    // a later batch makes it durable
            if (done.has_value()) {  // the old place is free once that is confirmed, for the next region
                const entered guard{volume};
                done = confirm_when_idle(volume);
            }
            if (done.has_error()) {
                failure_ = done.error();
                conclude(volume, said, false);
                break;
            }
            ++result_.regions_moved;
            moved_ = true;
            break;
        }
        case move_verdict::nothing_to_gain: break;
        case move_verdict::no_contiguous_space: try_slide(volume, said); break;
        case move_verdict::pinned: notes_ |= stop_reason::pinned; break;
        case move_verdict::raced: notes_ |= stop_reason::raced; break;
        case move_verdict::failed:
            forget_motion(volume, parts_.move.motion);
            notes_ |= stop_reason::device_error;
            failure_ = answer.failure;
            if (failure_.code == errc::read_only) conclude(volume, said, false);  // no other region could move
            break;
    }
}

/// Blocks that wait to be free are made free where they can be: a walk sees what it may use (R7). Where it fails the
/// walk meets the same failure, or makes do without. Answers whether a part of what is dying was freed, and there may
/// be more.
template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
bool region_compactor<Volume, Throttle, C>::make_room(Volume& volume) noexcept {
    const entered guard{volume};
    if (volume.writable().has_error() || !may_be_relieved(volume, errc::no_space)) return false;
    const auto freed = reap(volume);
    if (freed.has_value() && freed.value()) return true;
    static_cast<void>(relieve(volume, errc::no_space));
    return false;
}

/// A walk that moved something may have made room for regions above: another one follows.
template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void region_compactor<Volume, Throttle, C>::end_walk(Volume& volume, progress& said) noexcept {
    if (moved_) {
        if (make_room(volume)) return;  // the next look ends here again
        cursor_ = {};
        passed_ = 0;
        moved_  = false;
        notes_  = {};
        return;
    }
    if (result_.regions_moved == 0) notes_ |= stop_reason::nothing_to_gain;
    conclude(volume, said, !notes_.has(stop_reason::device_error));
    said.reasons |= notes_ | stop_reason::finished;
}

template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void region_compactor<Volume, Throttle, C>::conclude(Volume& volume, progress& said, bool finished) noexcept {
    if (const auto seen = measure(volume); seen.has_value()) result_.after = seen.value();
    if (phase_ == compaction_phase::analyzing) result_.before = result_.after;  // cancelled before it began
    result_.finished = finished;
    result_.took     = clock_.now() - began_;
    last_            = result_;
    phase_           = compaction_phase::idle;
    sliding_         = {};  // where it lies in parts the next pass finds it on the volume
    said.failure     = failure_.code != errc::none ? failure_ : too_large_;
    if (failure_.code != errc::none) said.reasons |= stop_reason::device_error;
}

template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
result<region_compaction_plan> region_compactor<Volume, Throttle, C>::plan(Volume& volume, std::span<region_move> moves)
noexcept {
    region_source<Volume>      source{volume, parts_.move, {}};
    drained_free_space<Volume> now{volume};
    region_compaction_plan     made{.memory_bytes = memory_bytes_, .entries_max = volume.indirection.capacity()};
    std::size_t                count = 0;
    relocation_cursor          cursor;
    {
        const entered guard{volume};
        BOOST_OUTCOME_TRY(made.before, measure_free_space(now));
    }
    for (;;) {
        const auto next = source.next_candidate(cursor, {}).value();
        if (!next) break;
        if (count == moves.size()) return errc::too_many_extents;
        const block_index from{cursor.logical.value - 1};
        const auto        name = region_source<Volume>::region_of(next->owner);
        region_move       line{name, {from, next->blocks}, from, false, next->has_pinned};
        if (!line.pinned && (!options_.only || *options_.only == name)) {
            const entered                                  guard{volume};
            planned_free_space<drained_free_space<Volume>> then{now, moves.first(count)};
            BOOST_OUTCOME_TRY(const auto to, first_fit(then, next->blocks, data_begin(volume), from));
            line.needed = to.has_value();
            if (to) line.to = to->first;
            if (!to) { BOOST_OUTCOME_TRY(plan_slide(volume, then, made, line)); }
        }
        made.slides += line.slides ? 1U : 0U;
        made.moves += line.needed ? 1U : 0U;
        if (line.needed) made.blocks += line.from.count;
        moves[count++] = line;
    }
    made.regions = count;
    const entered                                  guard{volume};
    planned_free_space<drained_free_space<Volume>> then{now, moves.first(count)};
    BOOST_OUTCOME_TRY(made.after, measure_free_space(then));
    if (made.before.permille() < options_.threshold_permille) {  // a pass would stop before its first move
        for (auto& line : moves.first(count)) line.needed = line.slides = false;
        made.slides = 0;
        made.after  = made.before;
        made.moves  = 0;
        made.blocks = {};
    }
    return made;
}

}  // namespace ashlar::inline v0
