#pragma once
/// How a compaction moves a region in parts: begun where it fits nowhere whole, one part at a time, ended in one batch.

#include <ashlar/maintenance/region_compactor_interface.hpp>

namespace ashlar::inline v0 {

/// A region that no run holds slides where something is free directly below it.
template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void region_compactor<Volume, Throttle, C>::try_slide(Volume& volume, progress& said) noexcept {
    const auto name  = region_source<Volume>::region_of(moving_.owner);
    const auto begun = with_motion(volume, name, [&]() noexcept -> result<> {
        volume_free_space<Volume> free{volume};
        BOOST_OUTCOME_TRY(const auto below, free_run_below(free, data_begin(volume), was_at_));
        const auto room = volume.space.available(space_use::relocation);
        const auto gap  = slide_gap(below.count, table_blocks_of_slide(volume, moving_.blocks), room);
        if (gap.value == 0) return errc::no_contiguous_space;
        BOOST_OUTCOME_TRY(slide_is_possible(volume, moving_.blocks));  // else nobody makes room for it either
        if (name != even_ && below.count < std::min(gap_min_, moving_.blocks)) {
            holds_back_ = true;
            return errc::no_contiguous_space;
        }
        return begin_slide(volume, name, gap);
    });
    if (begun.has_value()) {
        sliding_ = name;
        part_    = {};
        return;
    }
    switch (begun.error().code) {
        case errc::too_large: too_large_ = begun.error(); [[fallthrough]];
        case errc::no_space:
        case errc::reserve_only:
        case errc::no_contiguous_space:  // of a region with nothing free below it that is no reason to tell
            if (is_free_below(volume, was_at_)) notes_ |= stop_reason::no_contiguous_space;
            break;
        case errc::busy:
        case errc::pinned:
        case errc::not_found: notes_ |= stop_reason::raced; break;
        default:
            notes_ |= stop_reason::device_error;
            failure_ = begun.error();
            if (failure_.code == errc::read_only) conclude(volume, said, false);
            break;
    }
}

/// Runs `work` with the engine's lock, as the one who moves that region. Errors: busy where another one moves; those of
/// `work`.
template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
template <class Work>
result<> region_compactor<Volume, Throttle, C>::with_motion(Volume& volume, region_id name, Work&& work) noexcept {
    const entered guard{volume};
    auto&         motion = *parts_.move.motion;
    BOOST_OUTCOME_TRY(motion_scope<Volume>::begin(volume, motion));
    const motion_scope<Volume> scope{volume};
    motion = region_motion{name};
    return work();
}

/// The next part of the region that slides.
template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void region_compactor<Volume, Throttle, C>::advance_slide(Volume& volume, queue_type* queue, turn& now,
                                                          progress& said) noexcept {
    if (!move_.active()) {
        std::optional<region_slide> slide;
        {
            const entered guard{volume};
            slide = find_slide(volume);
            if (slide) part_ = slide_source<Volume>::next_part(volume, *slide, block_count{~std::uint64_t{0}});
        }
        if (!slide || !is_slide_of(*slide, sliding_)) {  // its region was removed
            sliding_ = {};
            return;
        }
        if (slide->left().value == 0) return finish_slide(volume, said);
        if (owed_.value != 0) return pay_owed(owed_, volume.geometry.block, throttle_, clock_, said);
        if (now.blocks.value == 0) {
            said.reasons |= stop_reason::budget_spent;
            return;
        }
        if (part_.empty()) {  // it was begun by somebody whose memory holds entries
            too_large_ = error{errc::too_large, block_index{slide->left().value}};
            notes_ |= stop_reason::no_contiguous_space;
            sliding_ = {};
            return;
        }
    }
    slide_source<Volume> source{volume, parts_.move, part_, queue};
    move_answer          answer{};
    if (!move_.active()) {
        answer = move_.begin(source, {.owner  = region_source<Volume>::owner_of(sliding_),
                                      .first  = {part_.first.value},
                                      .blocks = part_.count,
                                      .window = part_.count,
                                      .where  = placement::tight});
    } else if (now.blocks.value == 0) {
        said.reasons |= stop_reason::budget_spent;
    } else {
        answer = move_.advance(source, throttle_, clock_, now.blocks);
        owed_ += source.copied_again();
        now.blocks -= answer.copied < now.blocks ? answer.copied : now.blocks;
        result_.blocks_moved += answer.copied;
    }
    settle_slide(volume, answer, said);
}

template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void region_compactor<Volume, Throttle, C>::settle_slide(Volume& volume, const move_answer& answer,
                                                         progress& said) noexcept {
    switch (answer.verdict) {
        case move_verdict::more:
        case move_verdict::flipped: return;  // durable already, and the next part follows
        case move_verdict::throttled:
            said.reasons |= stop_reason::throttled;
            said.not_before = answer.not_before;
            return;
        case move_verdict::pinned: notes_ |= stop_reason::pinned; break;
        case move_verdict::raced: notes_ |= stop_reason::raced; break;
        case move_verdict::nothing_to_gain: break;  // the region went
        case move_verdict::no_contiguous_space:
        case move_verdict::failed:
            if (answer.lost) lose_part(volume, answer.failure);
            forget_motion(volume, parts_.move.motion);
            notes_ |= stop_reason::device_error;
            failure_ = answer.failure;
            break;
    }
    sliding_ = {};  // it lies in parts until another pass
    if (answer.lost || failure_.code == errc::read_only) conclude(volume, said, false);
}

/// The directory says the new place, and the table goes.
template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void region_compactor<Volume, Throttle, C>::finish_slide(Volume& volume, progress& said) noexcept {
    phase_           = compaction_phase::updating;
    bool       moved = false;
    const auto name  = std::exchange(sliding_, {});
    const auto done  = with_motion(volume, name, [&]() noexcept -> result<> {
        const auto slide = find_slide(volume);  // another thread may have removed the region just now
        if (!slide || !is_slide_of(*slide, name) || slide->left().value != 0) return errc::busy;
        moved = slide->moved.value != 0;
        BOOST_OUTCOME_TRY(end_slide(volume));
        return checkpoint(volume);  // what it left, and the table, is free then for the next region
    });
    phase_           = compaction_phase::relocating;
    if (done.has_error() && done.error().code != errc::busy) {
        failure_ = done.error();
        return conclude(volume, said, false);
    }
    if (done.has_error()) notes_ |= stop_reason::raced;
    if (done.has_error() || !moved) return;
    ++result_.regions_moved;
    ++result_.regions_slid;
    moved_ = true;
}

/// What a slide of the region would do; it is not made where memory holds no entries.
template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
template <class Space>
result<> region_compactor<Volume, Throttle, C>::plan_slide(Volume& volume, Space& then, region_compaction_plan& made,
                                                           region_move& line) noexcept {
    if (is_sliding(volume, line.region)) {  // it goes on where it was cut
        line.to     = volume.regions.slide().first;
        line.slides = line.needed = true;
        return success();
    }
    BOOST_OUTCOME_TRY(const auto below, free_run_below(then, data_begin(volume), line.from.first));
    const auto room = volume.space.available(space_use::relocation) + volume.space.draining();
    const auto gap  = slide_gap(below.count, table_blocks_of_slide(volume, line.from.count), room);
    if (gap.value == 0) return success();
    if (line.from.count.value > made.entries) made.entries = line.from.count.value;
    line.slides = line.needed = slide_is_possible(volume, line.from.count).has_value();
    if (!line.slides) return success();
    line.to = below.first;
    if (gap < below.count) made.blocks += line.from.count;  // a second slide takes the rest
    return success();
}

}  // namespace ashlar::inline v0
