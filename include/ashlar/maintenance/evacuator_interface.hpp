#pragma once
/// The evacuator: what its users call, and what it remembers between two steps.

#include <ashlar/maintenance/evacuation_report.hpp>
#include <ashlar/maintenance/record_migrator.hpp>
#include <ashlar/maintenance/region_mover.hpp>
#include <ashlar/maintenance/step_budget.hpp>
#include <ashlar/maintenance/table_move.hpp>
#include <ashlar/object/evacuee_walk.hpp>
#include <ashlar/object/relocation_source.hpp>
#include <ashlar/throttle/lent_throttle.hpp>
#include <ashlar/throttle/no_throttle.hpp>
#include <ashlar/vocabulary/progress.hpp>
#include <ashlar/volume/withheld_space.hpp>

#include <algorithm>

namespace ashlar::inline v0 {

/// The range is withheld first, so that nothing new comes into it. Then users' regions that touch it move away whole;
/// then the object table does, where a part of it lies there, by a migration of its records to the width that they
/// have; then every object is walked, and what lies in the range of its extents and of the nodes of its tree moves out,
/// in several pieces where no run outside is long enough. A walk that moved something but left something follows
/// another. At the end what is left is named: frames and the store's other tables, which do not move; pinned extents
/// and regions; regions without a run that holds them; what raced or failed.
///
/// Invariants:
///  - Nothing comes into the range, so the number of its blocks in use or reserved falls with each move, and moving
///    ends. A walk after which it did not fall is the last one.
///  - At most one target is reserved, and none while paused, cancelled or idle.
///  - Everything is at its old place or at its new one, whole, after a crash at any moment. What was moved stays moved;
///    the next evacuation of the range goes on with what is left, also with a copy of the object table.
///  - Who ends it undoes a copy of the object table, unless that is in use already: then the old one is freed.
/// A caller who withholds exactly the range already keeps it withheld; else it is withheld for as long as the task
/// runs, or until `release` by option. One task of a volume may withhold at a time.
/// Safe from: one thread at a time; others use the volume meanwhile.
template <class Volume, IoThrottle Throttle = no_throttle, Clock C = no_clock>
    requires(!Throttle::needs_clock || C::ticks)
class evacuator {
  public:
    using queue_type = typename region_source<Volume>::queue_type;

    [[nodiscard]] static constexpr std::size_t memory_bytes(const evacuation_options& options,
                                                            block_size                block) noexcept {
        arena counted;
        static_cast<void>(carve(counted, options, block));
        return counted.used();
    }

    /// `memory` is lent for the evacuator's life. Errors: workspace_too_small.
    [[nodiscard]] static result<evacuator> create(const evacuation_options& options, block_size block,
                                                  std::span<std::byte> memory, Throttle throttle = {},
                                                  C clock = {}) noexcept {
        arena      place{memory};
        const auto parts = carve(place, options, block);
        if (memory.empty() || place.spent()) return errc::workspace_too_small;
        return evacuator{options, memory.size(), parts, std::move(throttle), std::move(clock)};
    }

    /// The next step begins. Errors: busy while an evacuation is under way, or another range is kept withheld until
    /// `release`; invalid_argument for no blocks; out_of_range.
    [[nodiscard]] result<> start(Volume& volume, extent range) noexcept {
        if (phase_ != evacuation_phase::idle) return errc::busy;
        {
            const entered guard{volume};
            BOOST_OUTCOME_TRY(check_range(volume, range));
            if (withholds_ && volume.space.withheld() != range) return error{errc::busy, volume.space.withheld().first};
        }
        range_         = range;
        result_        = {.range = range};
        began_         = clock_.now();
        failure_       = {};
        notes_         = {};
        table_tries_   = 0;
        table_why_     = {};
        table_failure_ = {};
        phase_         = evacuation_phase::withholding;
        obstacles_.clear();
        return success();
    }
    /// A move under way is undone at the next step. The range stays withheld.
    void pause() noexcept { paused_ = true; }
    void resume() noexcept { paused_ = false; }
    /// As `pause`, and nothing is withheld any more; the next step says so.
    void cancel() noexcept { cancelled_ = true; }

    /// Works on, within the budget. Returns why it stopped; several reasons may hold at once. `done` and `total` count
    /// blocks of the range. What cannot be read or written stays where it is and is named in `obstacles()`.
    [[nodiscard]] progress step(Volume& volume, step_budget budget, queue_type* queue = nullptr) noexcept;

    /// What an evacuation of the range would do now; writes and withholds nothing. Errors: busy while one is under way;
    /// those of `start`; those of reading metadata. Cost: every record and node of every object, and the bitmaps of the
    /// volume once for each region in the range.
    [[nodiscard]] result<evacuation_plan> plan(Volume& volume, extent range) noexcept;
    /// The same in parts: all but what objects have in the range,
    [[nodiscard]] result<evacuation_plan> begin_plan(Volume& volume, extent range) noexcept;
    /// and that, behind the cursor and by so many looks at most. Answers whether the plan is whole: until then nothing
    /// else is planned or started.
    [[nodiscard]] result<bool> plan_objects(Volume& volume, evacuation_plan& made, evacuee_cursor& at,
                                            std::uint64_t looks) noexcept;

    /// Ends what is under way: undoes a move, and withholds nothing any more. Precondition for destroying an evacuator
    /// of a volume that lives on. Where nothing is under way or kept the volume is not looked at.
    void stop(Volume& volume) noexcept {
        abandon(volume, nullptr);
        undo_table(volume);
        if (phase_ != evacuation_phase::idle) conclude(volume, false);
        release(volume);
    }
    /// Blocks of the range may be given out again, where they were kept withheld.
    void release(Volume& volume) noexcept {
        if (!withholds_) return;  // the store may be closed
        const entered guard{volume};
        stop_withholding(volume);
        withholds_ = false;
    }

    /// Of the last evacuation that ended, also where it was cancelled.
    [[nodiscard]] const evacuation_result& last_result() const noexcept { return last_; }
    /// What is in the way, as the last step or the last plan saw it.
    [[nodiscard]] std::span<const evacuation_obstacle> obstacles() const noexcept { return obstacles_.named(); }
    /// Whether a move is under way: a target is reserved, and the next step goes on copying.
    [[nodiscard]] bool active() const noexcept { return move_.active(); }
    /// Whether an evacuation was started and has not ended.
    [[nodiscard]] bool running() const noexcept { return phase_ != evacuation_phase::idle; }
    /// Whoever shares its rate asks it, or says it anew.
    [[nodiscard]] Throttle& throttle() noexcept { return throttle_; }

  private:
    struct turn {
        block_count   blocks{};  ///< What is left of a step.
        std::uint64_t looks = 0;
        queue_type*   queue = nullptr;
        progress      said{};

        /// A part of what is dying was freed: that is a look.
        void look() noexcept {
            if (looks == 0)
                said.reasons |= stop_reason::budget_spent;
            else
                --looks;
        }
    };
    struct memory_parts : mover_memory {
        std::span<evacuation_obstacle> obstacles{};
        std::span<extent>              targets{};
    };
    [[nodiscard]] static constexpr memory_parts carve(arena& from, const evacuation_options& options,
                                                      block_size block) noexcept {
        // A look at a range sees one piece before and one behind it as well.
        memory_parts parts{carve_moves(from, options, block, std::max<std::size_t>(options.pieces_max, 4) + 2)};
        parts.obstacles = from.take<evacuation_obstacle>(options.obstacles_max);
        parts.targets   = from.take<extent>(region_slots);
        return parts;
    }

    evacuator(const evacuation_options& options, std::size_t bytes, const memory_parts& parts, Throttle&& throttle,
              C&& clock) noexcept
        : options_{options},
          memory_bytes_{bytes},
          parts_{parts},
          throttle_{std::move(throttle)},
          clock_{std::move(clock)},
          obstacles_{parts.obstacles},
          move_{{options.races_max, options.failures_max, options.verify_target, options.read_bytes}, parts.copy} {}

    // evacuator_pass.hpp: what leads from phase to phase.
    void advance(Volume& volume, turn& now) noexcept;
    void withhold_range(Volume& volume, turn& now) noexcept;
    void begin_walk(Volume& volume) noexcept;
    void end_walk(Volume& volume) noexcept;
    void settle_range(Volume& volume, turn& now) noexcept;
    void give_up(Volume& volume, turn& now, error why) noexcept;
    void conclude(Volume& volume, bool whole) noexcept;

    // evacuator_moves.hpp: what happens within regions and objects.
    void next_region(Volume& volume, turn& now) noexcept;
    void next_evacuee(Volume& volume, turn& now) noexcept;
    void begin_extents(Volume& volume, turn& now) noexcept;
    void go_on(Volume& volume, turn& now) noexcept;
    void settle(Volume& volume, turn& now, const move_answer& answer) noexcept;
    void count_flip(Volume& volume, turn& now) noexcept;
    void without_room(Volume& volume, turn& now, error why) noexcept;
    void take_node(Volume& volume, turn& now) noexcept;
    void leave(obstacle_kind kind, stop_reasons why, error failure = {}) noexcept;
    void commit(Volume& volume, turn& now) noexcept;
    void abandon(Volume& volume, queue_type* queue) noexcept;

    // evacuator_table.hpp: what happens to the object table.
    void move_table(Volume& volume, turn& now) noexcept;
    bool begin_table(Volume& volume, turn& now) noexcept;
    void settle_table(Volume& volume, turn& now, const progress& said, const record_migration_result& done) noexcept;
    void leave_table(Volume& volume, stop_reasons why, error failure) noexcept;
    void undo_table(Volume& volume) noexcept;

    // evacuator_plan.hpp
    result<> plan_room(Volume& volume, evacuation_plan& made) noexcept;
    result<> plan_regions(Volume& volume, evacuation_plan& made) noexcept;
    result<> plan_table(Volume& volume, evacuation_plan& made) noexcept;

    using table_mover = record_migrator<Volume, lent_throttle<Throttle>, C>;

    [[nodiscard]] static block_count in_use(Volume& volume) noexcept {
        const entered guard{volume};
        return volume.space.withheld_now().in_use;
    }
    /// Whether a region lies in parts now: it goes on to its new place when its compaction does.
    [[nodiscard]] static bool slides(Volume& volume, region_id name) noexcept {
        const entered guard{volume};
        return is_sliding(volume, name);
    }
    /// The volume may become another size whenever nobody has entered it. Errors: invalid_argument for no blocks;
    /// out_of_range. Precondition: the volume is entered.
    [[nodiscard]] static result<> check_range(const Volume& volume, extent range) noexcept {
        if (range.empty()) return errc::invalid_argument;
        if (!lies_in(range, {block_index{0}, volume.geometry.blocks})) return error{errc::out_of_range, range.first};
        return success();
    }
    /// Anywhere but among the frames; what is withheld is no free space.
    [[nodiscard]] static extent anywhere(Volume& volume) noexcept {
        const entered guard{volume};
        const auto    first = frames_end(volume.geometry.block);
        return {first, block_index{volume.geometry.blocks.value} - first};
    }
    [[nodiscard]] relocation_source<Volume> objects_of(Volume& volume, queue_type* queue) noexcept {
        return relocation_source<Volume>{volume, queue};
    }
    [[nodiscard]] region_source<Volume> regions_of(Volume& volume, queue_type* queue) noexcept {
        return region_source<Volume>{volume, parts_.move, anywhere(volume), queue};
    }
    /// Blocks of an object that one move may take: their checksums ride in one transaction.
    [[nodiscard]] block_count window_of(const Volume& volume) const noexcept {
        const block_count most{volume.limits.transaction.data_blocks};
        const auto        window = options_.window < most ? options_.window : most;
        return window.value == 0 ? block_count{1} : window;
    }
    [[nodiscard]] evacuee_walk<Volume> walk_of(Volume& volume, extent range) const noexcept {
        const std::size_t half   = volume.limits.transaction.extents / 2;
        const std::size_t pieces = options_.pieces_max < half ? options_.pieces_max : half;
        return evacuee_walk<Volume>{volume, range, window_of(volume), pieces == 0 ? 1 : pieces};
    }

    evacuation_options             options_;
    std::size_t                    memory_bytes_;
    memory_parts                   parts_;
    [[no_unique_address]] Throttle throttle_;
    [[no_unique_address]] C        clock_;
    obstacle_list                  obstacles_;
    relocation                     move_;

    extent            range_{};
    evacuation_phase  phase_       = evacuation_phase::idle;
    bool              paused_      = false;
    bool              cancelled_   = false;
    bool              withholds_   = false;  ///< The range is withheld by this task, not by its caller.
    bool              relieved_    = false;  ///< Room was made since something last moved.
    bool              table_moves_ = false;  ///< A migration of records goes on with the next step.
    std::uint32_t     table_tries_ = 0;      ///< Steps that others kept it from doing anything.
    stop_reasons      table_why_{};          ///< Why the object table stays, in this evacuation.
    error             table_failure_{};
    evacuee_cursor    cursor_{};  ///< Behind the evacuee that is moving.
    evacuee_cursor    before_{};  ///< At it.
    evacuee           moving_{};
    relocation_cursor region_cursor_{};
    region_id         region_{};          ///< That is moving,
    extent            was_at_{};          ///< from there.
    block_count       room_{};            ///< No longer run was to be had lately.
    block_count       most_{};            ///< What one transaction can move.
    block_count       fixed_{};           ///< Blocks of the range that never move.
    block_count       owed_{};            ///< Copied by flips of regions, and not asked of the throttle yet.
    std::uint64_t     unsynced_     = 0;  ///< Moves that no sync has made durable.
    std::uint32_t     settle_tries_ = 0;
    block_count       walk_began_{};  ///< Blocks in use when this walk began.
    block_count       left_{};        ///< And when the last walk ended.
    stop_reasons      notes_{};       ///< Why something stays, of this walk.
    error             failure_{};
    time_point        began_{};
    evacuation_result result_{}, last_{};
};

}  // namespace ashlar::inline v0
