#pragma once
/// What clears the way of regions: its verbs, and what it remembers between two steps.

#include <ashlar/maintenance/evacuator.hpp>
#include <ashlar/maintenance/region_compactor.hpp>
#include <ashlar/maintenance/region_window.hpp>

#include <array>

namespace ashlar::inline v0 {

/// Drives a compactor of regions, and an evacuator between its passes. When a pass has ended and free space still lies
/// apart by the threshold, the lowest region with a window below it gets the lowest one that can be emptied: a run of
/// its length with no region of anybody's in it. Objects leave the window; in the step in which the last one has left
/// it is given out again, and the compactor's next pass begins with that region.
///
/// Invariants:
///  - A window lies below its region, so each move lowers the sum of the regions' first blocks. A region gets
///    `ways_max` attempts in one run, whatever comes of them, and a bounded number of looks: so a run ends.
///  - Somebody else may take blocks of the window between its being given out and the move: then the pass moves the
///    region elsewhere, or leaves it, and that was one attempt.
///  - A window stays withheld while paused, and for no longer than it is emptied. Nothing is while cancelled or idle.
///  - While a region lies in parts, and while others withhold blocks, nobody's way is cleared.
///  - A region that could slide, but into a gap under `gap_bytes` alone, waits until no region has a window.
///    Then objects leave the blocks below its gap, up to that many and as far as they can; it slides in any case.
/// Cost: a look at a window is one walk over all records and nodes of all objects, in steps.
/// Safe from: one thread at a time; others use the volume meanwhile.
template <class Volume, IoThrottle Throttle = no_throttle, Clock C = no_clock>
    requires(!Throttle::needs_clock || C::ticks)
class way_clearing {
  public:
    using compactor  = region_compactor<Volume, Throttle, C>;
    using task_type  = evacuator<Volume, lent_throttle<Throttle>, C>;
    using queue_type = typename task_type::queue_type;

    [[nodiscard]] static constexpr std::size_t memory_bytes(const region_compaction_options& options,
                                                            block_size                       block) noexcept {
        return task_type::memory_bytes(moves_of(options), block);
    }

    /// `memory` is lent for its life. The throttle is the compactor's: all that moves in a run has one rate.
    /// Errors: workspace_too_small.
    [[nodiscard]] static result<way_clearing> create(const region_compaction_options& options, block_size block,
                                                     std::span<std::byte> memory, C clock = {}) noexcept {
        BOOST_OUTCOME_TRY(auto made, task_type::create(moves_of(options), block, memory, {}, clock));
        return way_clearing{options, memory.size(), std::move(made)};
    }

    /// A run begins with the next step, where none is under way. A step without a run begins one by itself.
    void start(compactor& regions) noexcept {
        if (!running()) begin_run(regions);
    }
    void pause() noexcept {
        paused_ = true;
        task_.pause();
    }
    void resume() noexcept {
        paused_ = false;
        task_.resume();
    }
    void cancel() noexcept { cancelled_ = true; }

    /// One step of the pass, of a look, or of what empties a window. As `region_compactor::step`; `moved` counts the
    /// blocks of regions and those that left their way.
    [[nodiscard]] progress step(Volume& volume, compactor& regions, step_budget budget,
                                queue_type* queue = nullptr) noexcept;

    /// Adds to the plan of a compactor for which regions a window would be emptied. An estimate by the bitmaps: each
    /// region after its planned move, lowest first. Errors: those of reading metadata.
    [[nodiscard]] result<> plan(Volume& volume, region_compaction_plan& made, std::span<region_move> lines) noexcept;

    /// Ends what is under way. Precondition for destroying it where the volume lives on.
    void stop(Volume& volume, compactor& regions) noexcept {
        task_.throttle() = lent_throttle<Throttle>{regions.throttle()};
        task_.stop(volume);
    }

    /// Of the last run that ended, also where it was cancelled.
    [[nodiscard]] const region_compaction_result& last_result() const noexcept { return last_; }
    /// Whether a move out of a window is under way: a target is reserved.
    [[nodiscard]] bool active() const noexcept { return task_.active(); }
    /// Whether a run was begun and has not ended.
    [[nodiscard]] bool running() const noexcept { return stage_ != stage::idle; }

  private:
    enum class stage : std::uint8_t { idle, moving, looking, emptying };

    /// A region, and a window below it.
    struct way {
        region_id     region{};
        std::uint32_t slot = 0;
        block_index   place{};
        extent        window{};
    };
    struct attempts_of {
        region_id     region{};
        std::uint32_t windows = 0;
        std::uint32_t gaps    = 0;
    };

    [[nodiscard]] static constexpr evacuation_options moves_of(const region_compaction_options& options) noexcept {
        evacuation_options moves;
        moves.keeps_withheld = true;  // until the step in which the region's move begins
        moves.races_max      = options.races_max;
        moves.failures_max   = options.failures_max;
        moves.verify_target  = options.verify_target;
        moves.chunk_bytes    = options.chunk_bytes;
        moves.read_bytes     = options.read_bytes;
        moves.window_bits    = options.window_bits;
        moves.transfers_max  = options.transfers_max;
        return moves;
    }

    way_clearing(const region_compaction_options& options, std::size_t bytes, task_type&& task) noexcept
        : options_{options}, memory_bytes_{bytes}, task_{std::move(task)} {}

    /// So many were made for the region in that slot, of the kind that is made now; a region that takes over another
    /// one's slot begins anew.
    [[nodiscard]] std::uint32_t& attempts(std::uint32_t slot, region_id name) noexcept {
        auto& one = attempts_[slot];
        if (one.region != name) one = {name};
        return widens_ ? one.gaps : one.windows;
    }
    [[nodiscard]] bool is_asked_for(region_id name) const noexcept { return !options_.only || name == *options_.only; }

    void begin_run(compactor& regions) noexcept;
    void end_pass(Volume& volume, compactor& regions, progress& said) noexcept;
    void look(Volume& volume, compactor& regions, step_budget budget, progress& said) noexcept;
    void leave_windows(Volume& volume, compactor& regions, progress& said) noexcept;
    void slide_as_is(compactor& regions) noexcept;
    void pass_by(const way& at) noexcept;
    void empty(Volume& volume, compactor& regions, step_budget budget, queue_type* queue, progress& said) noexcept;
    void end_run(Volume& volume, progress& said) noexcept;
    void count(const region_compaction_result& pass) noexcept;
    [[nodiscard]] progress           end_cancelled(Volume& volume, compactor& regions, queue_type* queue) noexcept;
    [[nodiscard]] result<bool>       see(Volume& volume, const way& next, step_budget budget) noexcept;
    [[nodiscard]] std::optional<way> next_way(Volume& volume) noexcept;
    [[nodiscard]] progress           said_of(progress said) const noexcept;

    [[nodiscard]] std::optional<extent> window_below(Volume& volume, const region_slot& slot) noexcept;
    [[nodiscard]] std::optional<extent> window_at_gap(Volume& volume, const region_slot& slot) noexcept;
    [[nodiscard]] block_count           gap_min(const Volume& volume) const noexcept {
                  return whole_blocks(options_.gap_bytes, volume.geometry.block);
    }

    region_compaction_options options_;
    std::size_t               memory_bytes_;
    task_type                 task_;
    stage                     stage_     = stage::idle;
    bool                      paused_    = false;
    bool                      cancelled_ = false;
    bool                      begins_    = false;  ///< No step of this run was made yet.
    bool                      any_pass_  = false;  ///< A pass of this run has ended.
    bool                      widens_    = false;  ///< Gaps become longer now, as no region has a window.

    std::array<attempts_of, region_slots> attempts_{};  ///< By slot of the directory.
    way                                   clearing_{};
    region_id                             looked_at_{};    ///< The region of the last look; type 0: none,
    block_index                           looked_from_{};  ///< which lay here: none below it is looked at,
    block_index                           behind_{};       ///< whose windows begin here or above,
    std::uint32_t                         looks_ = 0;      ///< of which so many were looked at,
    bool                                  plans_ = false;  ///< One look is under way,
    evacuation_plan                       plan_{};         ///< which saw so much
    evacuee_cursor                        planned_to_{};   ///< up to here.
    stop_reasons                          here_{};         ///< and were passed by for these reasons.
    stop_reasons                          notes_{};        ///< Why regions stay, of this run,
    stop_reasons                          pass_{};         ///< and of its last pass.
    error                                 failure_{};
    std::uint64_t                         done_ = 0, total_ = 0;  ///< Regions, as the last pass said.
    region_compaction_result              result_{}, last_{};
};

}  // namespace ashlar::inline v0
