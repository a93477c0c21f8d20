#pragma once
/// The defragmenter as its users see it. Include defragmenter.hpp: it adds what the members do.

#include <ashlar/concepts/clock.hpp>
#include <ashlar/defrag_policy/best_gain.hpp>
#include <ashlar/defrag_policy/threshold_policy.hpp>
#include <ashlar/maintenance/defrag_memory.hpp>
#include <ashlar/maintenance/defrag_plan.hpp>
#include <ashlar/maintenance/defrag_statistics.hpp>
#include <ashlar/maintenance/group_order.hpp>
#include <ashlar/maintenance/step_budget.hpp>
#include <ashlar/relocation/relocation.hpp>
#include <ashlar/throttle/no_throttle.hpp>
#include <ashlar/vocabulary/progress.hpp>

namespace ashlar::inline v0 {

/// Where a pass stands; `progress::phase` is its number.
enum class defrag_phase : std::uint8_t {
    idle,
    choosing_group,  ///< Groups are ordered worst first.
    measuring_objects,
    measuring_space,
    merging,     ///< Whole extents between free runs leave their place.
    relocating,  ///< Ranges in several pieces are put together.
    concluding,  ///< A cycle is over: free space is measured again.
};

/// A defragmenter of any engine that models `RelocationHost`; it is handed the engine at each call.
///
/// A *pass* walks all candidates: first those whole extents whose leaving makes one free run of two, then the ranges in
/// several pieces, best first within a window of candidates. Where no free run holds a range, the part of it that fits
/// the longest run and gains most is moved, and the whole is tried again once a batch has made room. When ranges are
/// still left, the pass walks again: pieces of those ranges now make room as well. It ends when no range is left, or
/// when such a round moved nothing; only then it says `no_contiguous_space`. A *cycle* is the part of a pass that one
/// budget of blocks covers. A pass that moved nothing ends with `nothing_to_gain`, and the next one begins after a
/// cycle's interval, so that driving a tidy volume costs nothing.
///
/// Invariants:
///  - Every move lowers the pair (pieces of objects, free runs), in the order of words in a dictionary; so moving ends.
///  - At most one target is reserved, and none while paused, cancelled or idle.
///  - No step copies more blocks, or looks at more candidates, than its budget says.
/// Safe from: one thread at a time; the engine may be used by others meanwhile.
template <RelocationHost Host, DefragPolicy Policy = best_gain, IoThrottle Throttle = no_throttle, Clock C = no_clock>
    requires(!Throttle::needs_clock || C::ticks)
class defragmenter {
  public:
    /// Bytes of memory that a defragmenter with these options needs.
    [[nodiscard]] static constexpr std::size_t memory_bytes(const defrag_options& options, block_size block) noexcept {
        arena counted;
        (void)carve_defrag_memory(counted, options, block);
        return counted.used();
    }

    /// `memory` is lent for the defragmenter's life. Errors: workspace_too_small.
    [[nodiscard]] static result<defragmenter> create(const defrag_options& options, block_size block,
                                                     std::span<std::byte> memory, Policy policy = {},
                                                     Throttle throttle = {}, C clock = {}) noexcept {
        arena      place{memory};
        const auto parts = carve_defrag_memory(place, options, block);
        if (memory.empty() || place.spent()) return errc::workspace_too_small;
        return defragmenter{options, parts, std::move(policy), std::move(throttle), std::move(clock)};
    }

    // ---- what to do; each takes effect at the next step ----------------------------------------------------------

    /// A pass over the whole volume. A step without a task begins one by itself.
    void start_pass() noexcept { start({}); }
    /// One cycle on one group: only what has a piece in it. Cost: a walk over all candidates.
    void start_cycle(std::uint64_t group) noexcept { start({.groups = true, .one_group = true, .group = group}); }
    /// A pass that only joins free runs.
    void start_merging() noexcept { start({.only_merge = true}); }
    /// A cycle on each group, worst first, each once a pass; then again, until told to stop or a pass moves nothing.
    /// Cost: a walk over all candidates for each group; `start_pass` walks once.
    void start_groups() noexcept { start({.groups = true}); }

    /// A move under way is undone at the next step, and the flips so far are made durable.
    void pause() noexcept { paused_ = true; }
    void resume() noexcept { paused_ = false; }
    /// As `pause`; the next step says so, and the one after it begins anew.
    void cancel() noexcept { cancelled_ = true; }
    void set_priority(defrag_intensity intensity) noexcept { options_.priority = intensity; }

    /// Works on, within the budget. Returns why it stopped; several reasons may hold at once.
    /// A failed block is set aside and named in `failure`; the pass goes on. When the host cannot sync or list
    /// candidates the pass ends. Cost: at most the budget's blocks read (twice when verified) and written.
    [[nodiscard]] progress step(Host& host, step_budget budget) noexcept;

    /// What a pass over the whole volume would do; one on a group where `group` is given. Works at any moment.
    /// Errors: the host's. Cost: metadata reads only.
    [[nodiscard]] result<defrag_plan> plan(Host& host, std::optional<std::uint64_t> group = {}) noexcept;

    /// Ends what an interrupted task left: releases the target of a move under way and makes flips durable.
    /// After a restart there is nothing to do. Errors: those of the host's sync.
    [[nodiscard]] result<recovered_moves> recover(Host& host) noexcept {
        const recovered_moves found{move_.active() ? 1U : 0U, move_.flips()};
        move_.undo(host);
        BOOST_OUTCOME_TRY(move_.commit(host));
        return found;
    }

    // ---- what was done -------------------------------------------------------------------------------------------

    [[nodiscard]] defrag_status status() const noexcept {
        return {phase_ != defrag_phase::idle && !paused_,
                paused_,
                options_.priority,
                lifetime_.objects_processed,
                lifetime_.objects_defragmented,
                lifetime_.bytes_moved,
                lifetime_.errors,
                last_stop_};
    }
    /// Whether a move is under way: a target is reserved, and the next step goes on copying.
    [[nodiscard]] bool                             active() const noexcept { return move_.active(); }
    [[nodiscard]] const defrag_cycle_result&       last_cycle() const noexcept { return last_cycle_; }
    [[nodiscard]] const defrag_lifetime&           lifetime() const noexcept { return lifetime_; }
    [[nodiscard]] const defrag_options&            options() const noexcept { return options_; }
    [[nodiscard]] std::span<const set_aside_range> set_aside() const noexcept { return aside_.ranges(); }
    void                                           forget_set_aside() noexcept { aside_.clear(); }
    [[nodiscard]] Throttle&                        throttle() noexcept { return throttle_; }
    [[nodiscard]] C&                               clock() noexcept { return clock_; }

  private:
    static constexpr std::uint64_t no_limit = ~std::uint64_t{0};
    struct task {
        bool          groups = false, one_group = false, only_merge = false;
        std::uint64_t group = 0;
    };
    /// What is left of a step, and what it will say.
    struct turn {
        std::uint64_t blocks = 0;
        std::uint64_t looks  = 0;
        progress      said{};
    };

    defragmenter(const defrag_options& options, const defrag_memory& memory, Policy&& policy, Throttle&& throttle,
                 C&& clock) noexcept
        : options_{options},
          chunk_{memory.move.chunk},
          policy_{std::move(policy)},
          throttle_{std::move(throttle)},
          clock_{std::move(clock)},
          window_{memory.candidates},
          aside_{memory.aside},
          order_{memory.groups},
          move_{{options.races_max, options.failures_max, options.verify_target, options.read_bytes}, memory.move} {}

    // defragmenter_pass.hpp: what leads from phase to phase. Each answers true to go on, false to return from the step.
    void start(const task& what) noexcept;
    bool advance(Host& host, turn& now) noexcept;
    bool rests(turn& now) const noexcept;
    bool begin_pass(Host& host) noexcept;
    void begin_measuring() noexcept;
    void begin_space() noexcept;
    bool choose_group(Host& host, turn& now) noexcept;
    bool end_groups(turn& now) noexcept;
    bool measure_objects(Host& host, turn& now) noexcept;
    bool measure_space(Host& host, turn& now) noexcept;
    void begin_cycle() noexcept;
    bool next_kind(Host& host, turn& now) noexcept;
    bool begin_walk(defrag_phase phase) noexcept;
    bool end_cycle(Host& host, turn& now, defrag_phase then) noexcept;
    bool conclude_cycle(Host& host, turn& now) noexcept;
    bool close_cycle(turn& now) noexcept;
    bool end_pass(turn& now) noexcept;
    bool give_up(Host& host, turn& now, error why) noexcept;
    bool out_of_looks(turn& now) const noexcept;

    progress report(turn& now, Host& host) noexcept;  // defragmenter_report.hpp

    // defragmenter_moves.hpp: what happens within merging and relocating.
    bool run_moves(Host& host, turn& now) noexcept;
    bool begin_move(Host& host, turn& now) noexcept;
    bool settle(Host& host, turn& now, const move_answer& answer) noexcept;
    bool find_room(Host& host, turn& now) noexcept;
    bool without_room(Host& host, turn& now, bool part_gains) noexcept;
    bool is_worth_its_place(Host& host) noexcept;
    void count_flip(Host& host) noexcept;
    bool commit(Host& host, turn& now) noexcept;
    bool suspend(Host& host, turn& now) noexcept;

    defrag_options                 options_;
    std::span<std::byte>           chunk_;
    [[no_unique_address]] Policy   policy_;
    [[no_unique_address]] Throttle throttle_;
    [[no_unique_address]] C        clock_;
    candidate_window               window_;
    set_aside_list                 aside_;
    group_order                    order_;
    relocation                     move_;
    object_meter                   objects_{};
    space_meter                    space_{};
    defrag_candidate               moving_{};

    task                task_{}, next_task_{};
    defrag_phase        phase_       = defrag_phase::idle;
    defrag_phase        after_cycle_ = defrag_phase::idle;  ///< Where to go on once a cycle is concluded.
    std::uint64_t       group_       = 0;
    extent              scope_{};
    bool                paused_ = false, cancelled_ = false, requested_ = false;
    time_point          not_before_{};  ///< A rest, or the next cycle.
    time_point          pass_began_{}, cycle_began_{};
    block_count         cycle_left_{}, pass_moved_{};
    block_count         room_{no_limit};      ///< No free run is longer, as far as this batch has found out.
    bool                seeks_room_ = false;  ///< The longest free run is being looked for.
    bool                waiting_    = false;  ///< The last walk over ranges left some that found no room.
    bool                moved_      = false;  ///< Something moved since that walk began.
    bool                gap_stays_  = false;  ///< A whole extent found no room, and nothing moved since.
    std::uint64_t       pass_flips_ = 0, fragmented_ = 0, owners_ = 0;
    std::uint64_t       walked_ = 0;  ///< Objects, or groups, behind this walk.
    stop_reasons        pass_notes_{}, last_stop_{};
    fragmentation       as_measured_{};  ///< As last measured.
    defrag_cycle_result cycle_{}, last_cycle_{};
    defrag_lifetime     lifetime_{};
};

}  // namespace ashlar::inline v0
