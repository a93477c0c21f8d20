#pragma once
/// Empties the way of regions that found no free run below them, between the passes of their compactor.

#include <ashlar/maintenance/way_clearing_interface.hpp>

namespace ashlar::inline v0 {

template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
progress way_clearing<Volume, Throttle, C>::step(Volume& volume, compactor& regions, step_budget budget,
                                                 queue_type* queue)
noexcept {
    task_.throttle() = lent_throttle<Throttle>{regions.throttle()};  // which moves with its owner
    if (cancelled_) return end_cancelled(volume, regions, queue);
    progress said;
    if (paused_ && (stage_ == stage::idle || stage_ == stage::looking)) {
        said.reasons = stop_reason::paused;
        return said_of(said);
    }
    switch (stage_) {
        case stage::idle: begin_run(regions); [[fallthrough]];
        case stage::moving:
            if (std::exchange(begins_, false)) regions.hold_back(gap_min(volume));
            said   = regions.step(volume, budget, queue);
            done_  = said.done;
            total_ = said.total;
            if (!regions.running()) end_pass(volume, regions, said);
            break;
        case stage::looking: look(volume, regions, budget, said); break;
        case stage::emptying: empty(volume, regions, budget, queue, said); break;
    }
    return said_of(said);
}

template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void way_clearing<Volume, Throttle, C>::begin_run(compactor& regions) noexcept {
    attempts_.fill({});
    looked_at_   = {};
    looked_from_ = {};
    here_ = notes_ = pass_ = {};
    failure_               = {};
    result_                = {};
    any_pass_              = false;
    plans_                 = false;
    widens_                = false;
    begins_                = true;
    stage_                 = stage::moving;
    regions.start();
}

template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void way_clearing<Volume, Throttle, C>::count(const region_compaction_result& pass) noexcept {
    if (!any_pass_) result_.before = pass.before;
    any_pass_        = true;
    result_.finished = pass.finished;
    result_.regions_moved += pass.regions_moved;
    result_.regions_slid += pass.regions_slid;
    result_.blocks_moved += pass.blocks_moved;
    result_.after = pass.after;
    result_.took.nanoseconds += pass.took.nanoseconds;
}

/// A pass that ended with nothing to be gained by more, or with a failure, ends the run. But where too little is to be
/// gained by longer gaps, those that waited for one slide into what there is, in a last pass.
template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void way_clearing<Volume, Throttle, C>::end_pass(Volume& volume, compactor& regions, progress& said) noexcept {
    count(regions.last_result());
    pass_            = said.reasons;
    failure_         = said.failure;
    const bool whole = said.reasons.has(stop_reason::finished) && result_.finished;
    const bool gains = result_.after.permille() >= options_.threshold_permille;
    if (!whole || (!gains && !regions.holds_back())) return end_run(volume, said);
    said.reasons = stop_reason::budget_spent;
    said.failure = {};
    if (!gains) return slide_as_is(regions);
    stage_       = stage::looking;
    widens_      = false;
    looked_at_   = {};
    looked_from_ = {};
}

/// A part of the look at one window.
template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void way_clearing<Volume, Throttle, C>::look(Volume& volume, compactor& regions, step_budget budget,
                                             progress& said) noexcept {
    const auto next = next_way(volume);
    if (!next || next->region != looked_at_) notes_ |= std::exchange(here_, {});
    if (!next) return leave_windows(volume, regions, said);
    if (next->region != looked_at_) looks_ = 0;
    looked_at_       = next->region;
    looked_from_     = next->place;
    said.reasons     = stop_reason::budget_spent;
    const auto whole = see(volume, *next, budget);
    if (whole.has_error()) {
        failure_ = whole.error();
        notes_ |= stop_reason::device_error;
        return end_run(volume, said);
    }
    if (!whole.value()) return;
    plans_ = false;
    if (!plan_.succeeds() || plan_.room + plan_.free < next->window.count) return pass_by(*next);
    ++attempts(next->slot, next->region);
    clearing_    = *next;
    looked_at_   = {};
    looked_from_ = {};
    here_        = {};
    stage_       = task_.start(volume, next->window).has_value() ? stage::emptying : stage::looking;
}

/// No region has a window any more. Those that a short gap kept from sliding get a longer one, each in turn, and slide
/// then as they may.
template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void way_clearing<Volume, Throttle, C>::leave_windows(Volume& volume, compactor& regions, progress& said) noexcept {
    if (!regions.holds_back()) return end_run(volume, said);
    said.reasons = stop_reason::budget_spent;
    looked_at_   = {};
    looked_from_ = {};
    if (std::exchange(widens_, true)) slide_as_is(regions);
}

template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void way_clearing<Volume, Throttle, C>::slide_as_is(compactor& regions) noexcept {
    regions.hold_back({});
    regions.start_at({});
    stage_ = stage::moving;
}

/// Goes on with the plan for a window, or begins it. Answers whether it is whole.
template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
result<bool> way_clearing<Volume, Throttle, C>::see(Volume& volume, const way& next, step_budget budget)
noexcept {
    if (!plans_ || plan_.range != next.window) {
        BOOST_OUTCOME_TRY(plan_, task_.begin_plan(volume, next.window));
        planned_to_ = {};
        plans_      = true;
    }
    return task_.plan_objects(volume, plan_, planned_to_, budget.candidates_max);
}

/// The next window of that region begins behind what cannot leave this one.
template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void way_clearing<Volume, Throttle, C>::pass_by(const way& at) noexcept {
    constexpr std::uint32_t looks_max = 8;
    behind_                           = at.window.first + block_count{1};
    for (const auto& one : task_.obstacles()) {
        if (!widens_) here_ |= one.why;  // else it slides all the same
        behind_ = std::max(behind_, one.blocks.end());
    }
    if (plan_.obstacles == 0) {  // it wants more room than there is: another one may hold less
        if (!widens_) here_ |= stop_reason::no_contiguous_space;
        behind_ = std::max(behind_, at.window.first + block_count{at.window.count.value / 2});
    }
    if (++looks_ == looks_max) attempts(at.slot, at.region) = options_.ways_max;
}

/// The lowest region that has a window to try. Those below the one that was looked at last are not looked at again: two
/// that take turns would never come to the end of their looks.
template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
auto way_clearing<Volume, Throttle, C>::next_way(Volume& volume) noexcept -> std::optional<way> {
    const entered      guard{volume};
    std::optional<way> lowest;
    if (find_slide(volume)) return lowest;
    for (std::uint32_t i = 0; i < volume.regions.slots(); ++i) {
        const auto slot = slot_at(volume, i);
        const auto at   = slot.place();
        if (!is_user_region(slot.type) || (slot.flags & region_flag::pinned) != 0) continue;
        if (!is_asked_for(name_of(slot)) || attempts(i, name_of(slot)) >= options_.ways_max) continue;
        if (at.first < looked_from_ || (lowest && lowest->place < at.first)) continue;
        const auto window = widens_ ? window_at_gap(volume, slot) : window_below(volume, slot);
        if (window) lowest = way{name_of(slot), i, at.first, *window};
    }
    if (lowest && !volume.space.withheld().empty()) {  // nothing could be emptied, whatever a look saw
        here_ |= stop_reason::raced;
        return std::nullopt;
    }
    return lowest;
}

/// The lowest window of the region's length with no region in it.
template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
std::optional<extent> way_clearing<Volume, Throttle, C>::window_below(Volume& volume, const region_slot& slot)
noexcept {
    const auto from = name_of(slot) == looked_at_ ? behind_ : frames_end(volume.geometry.block);
    return lowest_window(slot.place().count, from, slot.place().first, [&](extent tried) noexcept {
        return behind_regions(volume, tried, [](const region_slot&) noexcept { return true; });
    });
}

/// The blocks directly below a region with a short gap there, that gap among them, as far as no region is in them.
/// Empty too where the bitmaps cannot be read: the pass that follows says why.
template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
std::optional<extent> way_clearing<Volume, Throttle, C>::window_at_gap(Volume& volume, const region_slot& slot)
noexcept {
    const auto at         = slot.place();
    const auto data_begin = frames_end(volume.geometry.block);
    const auto wanted     = std::min({gap_min(volume), at.count, at.first - std::min(data_begin, at.first)});
    auto       from       = at.first - wanted;
    from                  = behind_regions(volume, {from, wanted}, [](const region_slot&) noexcept { return true; });
    volume_free_space<Volume> free{volume};
    const auto                gap = free_run_below(free, from, at.first);
    if (gap.has_error() || gap.value().empty()) return std::nullopt;
    if (name_of(slot) == looked_at_) from = std::max(from, behind_);
    if (from >= gap.value().first) return std::nullopt;
    return extent{from, at.first - from};
}

/// Works on the window; once it is empty it is given out again, and the region's move takes it in the same step.
template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void way_clearing<Volume, Throttle, C>::empty(Volume& volume, compactor& regions, step_budget budget, queue_type* queue,
                                              progress& said) noexcept {
    said = task_.step(volume, budget, queue);
    if (task_.running()) return;
    const auto& did = task_.last_result();
    result_.blocks_cleared += did.moved;
    result_.took.nanoseconds += did.took.nanoseconds;
    stage_       = stage::looking;
    said.failure = {};
    said.moved   = {};  // it is counted now
    said.reasons = stop_reason::budget_spent;
    if (!did.emptied) {
        notes_ |= did.reasons;
        if (did.reasons.has(stop_reason::device_error)) {
            failure_ = did.failure;
            end_run(volume, said);
        }
        return;
    }
    ++result_.ways_cleared;
    stage_ = stage::moving;
    regions.hold_back(gap_min(volume), widens_ ? clearing_.region : region_id{});
    regions.start_at(clearing_.place);
    task_.release(volume);
    const auto first = regions.step(volume, {.blocks_max = 0, .candidates_max = 1}, queue);
    said.reasons     = first.reasons;
    said.failure     = first.failure;
    said.not_before  = first.not_before;
    if (!regions.running()) end_pass(volume, regions, said);
}

template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void way_clearing<Volume, Throttle, C>::end_run(Volume& volume, progress& said) noexcept {
    said.reasons = notes_;
    for (const auto one : {stop_reason::finished, stop_reason::no_contiguous_space, stop_reason::pinned,
                           stop_reason::raced, stop_reason::device_error}) {
        if (pass_.has(one)) said.reasons |= one;
    }
    if (result_.regions_moved == 0 && pass_.has(stop_reason::nothing_to_gain))
        said.reasons |= stop_reason::nothing_to_gain;
    said.failure = failure_;
    if (result_.blocks_cleared.value != 0) {
        const entered             guard{volume};
        volume_free_space<Volume> free{volume};
        if (const auto seen = measure_free_space(free); seen.has_value()) result_.after = seen.value();
    }
    if (notes_.has(stop_reason::device_error)) result_.finished = false;
    last_  = result_;
    stage_ = stage::idle;
}

template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
progress way_clearing<Volume, Throttle, C>::end_cancelled(Volume& volume, compactor& regions, queue_type* queue)
noexcept {
    cancelled_         = false;
    const bool ran     = regions.running();
    const bool emptied = task_.running();
    task_.stop(volume);
    if (emptied) result_.blocks_cleared += task_.last_result().moved;
    regions.cancel();
    const auto said = regions.step(volume, {}, queue);
    if (ran) count(regions.last_result());
    result_.finished = false;
    if (stage_ != stage::idle) last_ = result_;
    stage_ = stage::idle;
    return said;
}

/// What a step says, in the numbers of the whole run.
template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
progress way_clearing<Volume, Throttle, C>::said_of(progress said)
const noexcept {
    if (stage_ == stage::looking || stage_ == stage::emptying) {
        said.phase = static_cast<std::uint32_t>(compaction_phase::clearing);
    }
    const auto under_way = stage_ == stage::moving || stage_ == stage::emptying ? said.moved : block_count{};
    said.moved           = result_.blocks_moved + result_.blocks_cleared + under_way;
    said.done            = done_;
    said.total           = total_;
    return said;
}

template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
result<> way_clearing<Volume, Throttle, C>::plan(Volume& volume, region_compaction_plan& made,
                                                 std::span<region_move> lines)
noexcept {
    made.memory_bytes += memory_bytes_;
    const entered guard{volume};
    if (made.after.permille() < options_.threshold_permille || find_slide(volume)) return success();
    const auto all        = lines.first(made.regions);
    const auto data_begin = frames_end(volume.geometry.block);
    const auto now_at     = [](const region_move& line) noexcept {
        return extent{line.needed ? line.to : line.from.first, line.from.count};
    };
    for (auto& line : all) {
        if (line.pinned || !is_asked_for(line.region)) continue;
        const auto at     = now_at(line);
        const auto window = lowest_window(at.count, data_begin, at.first, [&](extent tried) noexcept {
            const auto own  = [](const region_slot& slot) noexcept { return !is_user_region(slot.type); };
            auto       last = behind_regions(volume, tried, own);
            for (const auto& other : all) {
                if (overlap(now_at(other), tried)) last = std::max(last, now_at(other).end());
            }
            return last;
        });
        if (!window) continue;
        drained_free_space<Volume>                     now{volume};
        planned_free_space<drained_free_space<Volume>> then{now, all};
        block_count                                    free{};
        BOOST_OUTCOME_TRY(for_each_free_run(then, window->first, [&](extent run) noexcept {
            free += common_part(run, *window).count;
            return run.end() < window->end();
        }));
        line.clears  = true;
        line.cleared = window->count - free;
        line.to      = window->first;
        ++made.ways;
        made.moves += line.needed ? 0U : 1U;
        line.needed = true;
        made.blocks += at.count;
        made.cleared += line.cleared;
    }
    return success();
}

}  // namespace ashlar::inline v0
