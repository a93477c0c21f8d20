#pragma once
/// Moves users' regions together while they are read and written.

#include <ashlar/maintenance/region_compaction.hpp>
#include <ashlar/maintenance/step_budget.hpp>
#include <ashlar/region/slide_source.hpp>
#include <ashlar/relocation/relocation.hpp>
#include <ashlar/throttle/no_throttle.hpp>
#include <ashlar/vocabulary/progress.hpp>

#include <utility>

namespace ashlar::inline v0 {

/// Moves each region into the first free run below it that holds it, lowest region first, again until no region moves.
/// Where no run holds it, it slides in parts into the free run that ends where it begins. Where nothing is free there,
/// or the region has more blocks than `indirection_entries_max`, it stays, and the pass says `no_contiguous_space`.
///
/// Invariants:
///  - Each move lowers the sum of the regions' first blocks, so moving ends.
///  - At most one target is reserved, and none while paused, cancelled or idle.
///  - Each block of a region is at its old place or at its new one after a crash at any moment. A slide that was cut or
///    cancelled stays as it is, the region is used meanwhile, and the next pass goes on with it first.
/// Objects and the store's own tables are not moved. Safe from: one thread at a time; others use the store meanwhile.
template <class Volume, IoThrottle Throttle = no_throttle, Clock C = no_clock>
    requires(!Throttle::needs_clock || C::ticks)
class region_compactor {
  public:
    using queue_type = typename region_source<Volume>::queue_type;

    [[nodiscard]] static constexpr std::size_t memory_bytes(const region_compaction_options& options,
                                                            block_size                       block) noexcept {
        arena counted;
        static_cast<void>(carve(counted, options, block));
        return counted.used();
    }

    /// `memory` is lent for the compactor's life. Errors: workspace_too_small.
    [[nodiscard]] static result<region_compactor> create(const region_compaction_options& options, block_size block,
                                                         std::span<std::byte> memory, Throttle throttle = {},
                                                         C clock = {}) noexcept {
        arena      place{memory};
        const auto parts = carve(place, options, block);
        if (memory.empty() || place.spent()) return errc::workspace_too_small;
        return region_compactor{options, memory.size(), parts, std::move(throttle), std::move(clock)};
    }

    /// Begins a pass at the next step. A step without a pass begins one by itself.
    void start() noexcept { phase_ = phase_ == compaction_phase::idle ? compaction_phase::analyzing : phase_; }
    /// A move under way is undone at the next step.
    void pause() noexcept { paused_ = true; }
    void resume() noexcept { paused_ = false; }
    /// As `pause`; the next step says so, and the one after it begins anew.
    void cancel() noexcept { cancelled_ = true; }

    /// Works on, within the budget. Returns why it stopped; several reasons may hold at once. `done` and `total` count
    /// regions. A region that cannot be read or written is left where it is, and named in `failure`.
    [[nodiscard]] progress step(Volume& volume, step_budget budget, queue_type* queue = nullptr) noexcept {
        progress              said;
        region_source<Volume> source{volume, parts_.move, below(volume), queue};
        turn                  now{block_count{budget.blocks_max}, budget.candidates_max};
        if (cancelled_) {
            cancelled_ = false;
            abandon(volume, source);
            if (phase_ != compaction_phase::idle) conclude(volume, said, false);
            said.reasons = stop_reason::cancelled;
            return said;
        }
        if (paused_) {
            abandon(volume, source);
            said.reasons = stop_reason::paused;
        }
        while (said.reasons.none()) {
            if (sliding_.type != 0)
                advance_slide(volume, queue, now, said);
            else
                advance(volume, source, now, said);
        }
        said.phase = static_cast<std::uint32_t>(phase_);
        said.moved = result_.blocks_moved;
        said.done  = passed_;
        said.total = source.owner_count();
        return said;
    }

    /// What a pass would do; moves nothing. `moves` takes a line for each user's region, in the order of their places.
    /// Errors: too_many_extents where `moves` is too short; those of reading metadata.
    /// Cost: every bitmap that was ever written, once for each region.
    [[nodiscard]] result<region_compaction_plan> plan(Volume& volume, std::span<region_move> moves) noexcept;

    /// Undoes a move under way. Precondition for destroying a compactor of a volume that lives on.
    void stop(Volume& volume) noexcept {
        region_source<Volume> source{volume, parts_.move, {}};
        abandon(volume, source);
    }

    [[nodiscard]] const region_compaction_result& last_result() const noexcept { return last_; }
    [[nodiscard]] bool                            active() const noexcept { return move_.active(); }
    [[nodiscard]] Throttle&                       throttle() noexcept { return throttle_; }

  private:
    struct turn {
        block_count   blocks{};  ///< What is left of a step.
        std::uint64_t looks = 0;
    };
    struct memory_parts {
        relocation_memory  copy{};
        region_move_memory move{};
    };
    [[nodiscard]] static constexpr memory_parts carve(arena& from, const region_compaction_options& options,
                                                      block_size block) noexcept {
        const std::size_t least = 2 * std::size_t{block.bytes};
        memory_parts      parts;
        parts.copy.chunk = from.take_bytes(options.chunk_bytes > least ? options.chunk_bytes : least,
                                           block.bytes < 4096 ? block.bytes : 4096);
        parts.copy.pieces = from.take<mapped_extent>(4);
        if (options.transfers_max >= transfers_min) parts.copy.transfers = from.take<transfer>(options.transfers_max);
        parts.move.window = parts.copy.chunk;  // no chunk is under way while windows are copied again
        parts.move.written =
            from.take<bitmap_word>(options.window_bits == 0 ? 1 : (options.window_bits + word_bits - 1) / word_bits);
        parts.move.verify = options.verify_target;
        const auto motion = from.take<region_motion>(1);
        parts.move.motion = motion.data();
        return parts;
    }

    region_compactor(const region_compaction_options& options, std::size_t bytes, const memory_parts& parts,
                     Throttle&& throttle, C&& clock) noexcept
        : options_{options},
          memory_bytes_{bytes},
          parts_{parts},
          throttle_{std::move(throttle)},
          clock_{std::move(clock)},
          move_{{options.races_max, options.failures_max, options.verify_target}, parts.copy} {}

    void advance(Volume& volume, region_source<Volume>& source, turn& now, progress& said) noexcept;
    void analyze(Volume& volume, progress& said) noexcept;
    void begin_next(Volume& volume, region_source<Volume>& source, progress& said) noexcept;
    void try_slide(Volume& volume, progress& said) noexcept;
    void advance_slide(Volume& volume, queue_type* queue, turn& now, progress& said) noexcept;
    void settle_slide(Volume& volume, const move_answer& answer, progress& said) noexcept;
    void finish_slide(Volume& volume, progress& said) noexcept;
    template <class Work>
    [[nodiscard]] result<> with_motion(Volume& volume, region_id name, Work&& work) noexcept;
    template <class Space>
    [[nodiscard]] result<> plan_slide(Volume& volume, Space& then, region_compaction_plan& made,
                                      region_move& line) noexcept;
    void settle(Volume& volume, region_source<Volume>& source, const move_answer& answer, progress& said) noexcept;
    void end_walk(Volume& volume, progress& said) noexcept;
    void make_room(Volume& volume) noexcept;
    void pay(const Volume& volume, progress& said) noexcept;
    void conclude(Volume& volume, progress& said, bool finished) noexcept;
    /// The region that was being moved is the next one again.
    void abandon(Volume& volume, region_source<Volume>& source) noexcept {
        if (!move_.active()) return;
        if (sliding_.type != 0) {  // its next part is taken up again
            slide_source<Volume> parts{volume, parts_.move, part_};
            return move_.undo(parts);
        }
        cursor_.logical = {was_at_.value};
        --passed_;
        move_.undo(source);
    }
    /// Where the region that moves may go, also after a race in a later step.
    [[nodiscard]] extent below(const Volume& volume) const noexcept {
        const auto first = data_begin(volume);
        return was_at_ > first ? extent{first, was_at_ - first} : extent{first, {}};
    }

    [[nodiscard]] static result<free_space_shape> measure(Volume& volume) noexcept {
        const entered             guard{volume};
        volume_free_space<Volume> free{volume};
        return measure_free_space(free);
    }
    /// `tag::slide` names the slide whose region went.
    [[nodiscard]] static bool is_slide_of(const region_slide& slide, region_id name) noexcept {
        return name.type == tag::slide || name_of(slide.region) == name;
    }
    /// A move whose queue was lost keeps its target reserved; its region is free to move or go all the same.
    void forget_motion(Volume& volume) noexcept {
        const entered guard{volume};
        if (volume.region_traffic.motion == parts_.move.motion) motion_scope<Volume>::end(volume);
    }
    [[nodiscard]] static bool is_free_below(Volume& volume, block_index end) noexcept {
        const entered             guard{volume};
        volume_free_space<Volume> free{volume};
        const auto                first = free.next_free(data_begin(volume));
        return first.has_value() && first.value() && first.value()->first < end;
    }
    [[nodiscard]] static block_index data_begin(const Volume& volume) noexcept {
        return frame_home(frame::count, volume.geometry.block);
    }

    region_compaction_options      options_;
    std::size_t                    memory_bytes_;
    memory_parts                   parts_;
    [[no_unique_address]] Throttle throttle_;
    [[no_unique_address]] C        clock_;
    relocation                     move_;
    relocation_cursor              cursor_{};
    defrag_candidate               moving_{};
    region_id                      sliding_{};  ///< Type 0: none.
    extent                         part_{};     ///< Of it, which moves now.
    block_index                    was_at_{};
    compaction_phase               phase_     = compaction_phase::idle;
    bool                           paused_    = false;
    bool                           cancelled_ = false;
    bool                           moved_     = false;  ///< Something moved since this walk began.
    std::uint64_t                  passed_    = 0;
    stop_reasons                   notes_{};  ///< Why regions of this walk stay.
    error                          failure_{};
    error                          too_large_{};  ///< Of a region that may not slide; `where` is what it needs.
    time_point                     began_{};
    region_compaction_result       result_{}, last_{};
    block_count                    owed_{};  ///< Copied by flips, and not asked of the throttle yet.
};

template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void region_compactor<Volume, Throttle, C>::advance(Volume& volume, region_source<Volume>& source, turn& now,
                                                    progress& said) noexcept {
    switch (phase_) {
        case compaction_phase::idle: phase_ = compaction_phase::analyzing; break;
        case compaction_phase::analyzing: analyze(volume, said); break;
        case compaction_phase::relocating:
        case compaction_phase::updating:
            if (move_.active() ? now.blocks.value == 0 : now.looks == 0) {
                said.reasons |= stop_reason::budget_spent;
            } else if (owed_.value != 0) {
                pay(volume, said);
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
void region_compactor<Volume, Throttle, C>::analyze(Volume& volume, progress& said) noexcept {
    make_room(volume);
    result_         = {};
    notes_          = {};
    failure_        = {};
    too_large_      = {};
    began_          = clock_.now();
    const auto seen = measure(volume);
    if (seen.has_error()) {
        said.failure = seen.error();
        said.reasons |= stop_reason::device_error;
        phase_ = compaction_phase::idle;
        return;
    }
    result_.before = seen.value();
    cursor_        = {};
    passed_        = 0;
    moved_         = false;
    if (const entered guard{volume}; find_slide(volume)) {  // a cut one is finished first
        phase_   = compaction_phase::relocating;
        sliding_ = name_of(find_slide(volume)->region);
        if (sliding_.type == 0) sliding_.type = tag::slide;  // its region went; its blocks are given back
        return;
    }
    if (result_.before.permille() < options_.threshold_permille) {
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
            forget_motion(volume);
            notes_ |= stop_reason::device_error;
            failure_ = answer.failure;
            if (failure_.code == errc::read_only) conclude(volume, said, false);  // no other region could move
            break;
    }
}

/// Blocks that wait to be free are made free where they can be: a walk sees what it may use (R7). Where it fails the
/// walk meets the same failure, or makes do without.
template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void region_compactor<Volume, Throttle, C>::make_room(Volume& volume) noexcept {
    const entered guard{volume};
    if (volume.writable().has_error() || !may_be_relieved(volume, errc::no_space)) return;
    static_cast<void>(relieve(volume, errc::no_space));
}

/// Asks the throttle for what flips copied while writers waited, before anything else is copied.
template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void region_compactor<Volume, Throttle, C>::pay(const Volume& volume, progress& said) noexcept {
    const auto size  = volume.geometry.block;
    const auto grant = throttle_.acquire({bytes_of(owed_, size), size.bytes}, clock_.now());
    throttle_.release(grant.bytes, clock_.now());
    if (grant.bytes == 0) {
        said.reasons |= stop_reason::throttled;
        said.not_before = grant.not_before;
    }
    owed_ -= std::min(whole_blocks(grant.bytes, size), owed_);
}

/// A region that no run holds slides where something is free directly below it.
template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void region_compactor<Volume, Throttle, C>::try_slide(Volume& volume, progress& said) noexcept {
    const auto name  = region_source<Volume>::region_of(moving_.owner);
    const auto begun = with_motion(volume, name, [&]() noexcept -> result<> {
        volume_free_space<Volume> free{volume};
        BOOST_OUTCOME_TRY(const auto below, free_run_below(free, data_begin(volume), was_at_));
        if (below.empty()) return errc::no_contiguous_space;
        return begin_slide(volume, name, below.count);
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
        }
        if (!slide || !is_slide_of(*slide, sliding_)) {  // its region was removed
            sliding_ = {};
            return;
        }
        if (slide->left().value == 0) return finish_slide(volume, said);
        if (owed_.value != 0) return pay(volume, said);
        if (now.blocks.value == 0) {
            said.reasons |= stop_reason::budget_spent;
            return;
        }
        part_ = slide_source<Volume>::next_part(volume, *slide, block_count{~std::uint64_t{0}});
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
            forget_motion(volume);
            notes_ |= stop_reason::device_error;
            failure_ = answer.failure;
            break;
    }
    sliding_ = {};  // it lies in parts until another pass
    if (failure_.code == errc::read_only) conclude(volume, said, false);
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
        moved = volume.indirection.count() != 0;
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

/// A walk that moved something may have made room for regions above: another one follows.
template <class Volume, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
void region_compactor<Volume, Throttle, C>::end_walk(Volume& volume, progress& said) noexcept {
    if (moved_) {
        make_room(volume);
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
    result_.finished = finished;
    result_.took     = clock_.now() - began_;
    last_            = result_;
    phase_           = compaction_phase::idle;
    said.failure     = failure_.code != errc::none ? failure_ : too_large_;
    if (failure_.code != errc::none) said.reasons |= stop_reason::device_error;
}

/// What a slide of the region would do; it is not made where it needs more entries than memory holds.
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
    if (below.empty()) return success();
    if (line.from.count.value > made.entries) made.entries = line.from.count.value;
    line.slides = line.needed = line.from.count.value <= made.entries_max;
    if (line.slides) line.to = below.first;
    return success();
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
