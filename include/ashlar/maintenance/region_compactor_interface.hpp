#pragma once
/// What moves users' regions together: its verbs, its memory, what it holds.

#include <ashlar/maintenance/region_compaction.hpp>
#include <ashlar/maintenance/region_mover.hpp>
#include <ashlar/maintenance/step_budget.hpp>
#include <ashlar/region/slide_source.hpp>
#include <ashlar/throttle/no_throttle.hpp>

#include <utility>

namespace ashlar::inline v0 {

/// Moves each region into the first free run below it that holds it, lowest region first, again until no region moves.
/// Where no run holds it, it slides in parts into the free run that ends where it begins. Where nothing is free there,
/// or `indirection_entries_max` is 0, it stays, and the pass says `no_contiguous_space`.
///
/// Invariants:
///  - Each move lowers the sum of the regions' first blocks, so moving ends.
///  - At most one target is reserved, and none while paused, cancelled or idle.
///  - Each block of a region is at its old place or at its new one after a crash at any moment. A slide that was cut or
///    cancelled stays as it is, the region is used meanwhile, and the next pass goes on with it first.
///  - Where a queue is lost while a part moves, writing of the volume ends: what is in flight may write over whatever
///    comes there. Of a region that moves whole the target stays reserved, and nothing else ends.
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
    void start() noexcept {
        if (running()) return;
        phase_      = compaction_phase::analyzing;
        result_     = {};
        notes_      = {};
        failure_    = {};
        too_large_  = {};
        holds_back_ = false;
        began_      = clock_.now();
    }
    /// As `start`, but the first region that is looked at is the one that lies there, or the next above, and the pass
    /// is made however little there is to gain: a run below was emptied for it.
    void start_at(block_index place) noexcept {
        first_ = place;
        start();
    }
    /// From here on no region slides into a gap of fewer blocks that is shorter than itself: somebody may make it
    /// longer. But that one does, where `even` names one. 0: all do.
    void hold_back(block_count gap_min, region_id even = {}) noexcept {
        gap_min_ = gap_min;
        even_    = even;
    }
    /// Whether a region was held back in the last pass, or is in this one.
    [[nodiscard]] bool holds_back() const noexcept { return holds_back_; }
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

    /// Of the last pass that ended, also where it was cancelled.
    [[nodiscard]] const region_compaction_result& last_result() const noexcept { return last_; }
    /// Whether a move is under way: a target is reserved, and the next step goes on copying.
    [[nodiscard]] bool active() const noexcept { return move_.active(); }
    /// Whether a pass was started and has not ended.
    [[nodiscard]] bool running() const noexcept { return phase_ != compaction_phase::idle; }
    /// Whoever shares its rate asks it, or says it anew.
    [[nodiscard]] Throttle& throttle() noexcept { return throttle_; }

  private:
    struct turn {
        block_count   blocks{};  ///< What is left of a step.
        std::uint64_t looks = 0;
    };
    [[nodiscard]] static constexpr mover_memory carve(arena& from, const region_compaction_options& options,
                                                      block_size block) noexcept {
        return carve_moves(from, options, block, 4);
    }

    region_compactor(const region_compaction_options& options, std::size_t bytes, const mover_memory& parts,
                     Throttle&& throttle, C&& clock) noexcept
        : options_{options},
          memory_bytes_{bytes},
          parts_{parts},
          throttle_{std::move(throttle)},
          clock_{std::move(clock)},
          move_{{options.races_max, options.failures_max, options.verify_target, options.read_bytes}, parts.copy} {}

    void advance(Volume& volume, region_source<Volume>& source, turn& now, progress& said) noexcept;
    void analyze(Volume& volume, turn& now, progress& said) noexcept;
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
    bool make_room(Volume& volume) noexcept;
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
    [[nodiscard]] static bool is_free_below(Volume& volume, block_index end) noexcept {
        const entered             guard{volume};
        volume_free_space<Volume> free{volume};
        const auto                first = free.next_free(data_begin(volume));
        return first.has_value() && first.value() && first.value()->first < end;
    }
    [[nodiscard]] static block_index data_begin(const Volume& volume) noexcept {
        return frames_end(volume.geometry.block);
    }

    region_compaction_options      options_;
    std::size_t                    memory_bytes_;
    mover_memory                   parts_;
    [[no_unique_address]] Throttle throttle_;
    [[no_unique_address]] C        clock_;
    relocation                     move_;
    relocation_cursor              cursor_{};
    defrag_candidate               moving_{};
    region_id                      sliding_{};  ///< Type 0: none.
    extent                         part_{};     ///< Of it, which moves now.
    block_index                    was_at_{};
    block_count                    gap_min_{};  ///< Into a shorter gap no region slides,
    region_id                      even_{};     ///< but that one; type 0: none.
    bool                           holds_back_ = false;
    std::optional<block_index>     first_{};  ///< Where the next pass begins to look, and moves whatever it gains.
    compaction_phase               phase_     = compaction_phase::idle;
    bool                           paused_    = false;
    bool                           cancelled_ = false;
    bool                           moved_     = false;  ///< Something moved since this walk began.
    std::uint64_t                  passed_    = 0;
    stop_reasons                   notes_{};  ///< Why regions of this walk stay.
    error                          failure_{};
    error                          too_large_{};  ///< Of a region that may not slide; `where` is its blocks.
    time_point                     began_{};
    region_compaction_result       result_{}, last_{};
    block_count                    owed_{};  ///< Copied by flips, and not asked of the throttle yet.
};

}  // namespace ashlar::inline v0
