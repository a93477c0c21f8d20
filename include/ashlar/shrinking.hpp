#pragma once
/// A store becomes smaller while it is in use.

#include <ashlar/evacuation.hpp>
#include <ashlar/resize.hpp>

#include <algorithm>

namespace ashlar::inline v0 {

/// Where a shrink stands; `progress::phase` is its number.
enum class shrink_phase : std::uint8_t {
    idle,
    emptying,     ///< Nothing new comes behind the new end, and what is there moves away.
    cutting,      ///< One batch says the new size.
    giving_back,  ///< The device becomes shorter, where it can.
};

/// Of the last shrink.
struct shrink_result {
    block_count   before{};
    block_count   after{};       ///< What the volume has now.
    block_count   moved{};       ///< Blocks that were in the way.
    block_count   given_back{};  ///< Blocks that the device has less.
    std::uint64_t obstacles = 0;
    stop_reasons  reasons{};
    error         failure{};

    [[nodiscard]] bool shrank() const noexcept { return after < before; }
};

/// A shrink of an open store, in steps that its owner drives: what lies behind the new end moves away while it is read
/// and written, then one batch cuts the volume, and once that is at home the device gives its end back, where it can
/// (`ResizableDevice`). Paused or cancelled between two steps it leaves a volume of the old size, whole, and what moved
/// stays moved; so does a crash, until the cut is durable. After a crash behind the cut the volume has the new size and
/// its device the old one: the same shrink again gives the rest back.
///
///     BOOST_OUTCOME_TRY(auto task, ashlar::shrinking<my_blueprint>::open(store));
///     BOOST_OUTCOME_TRY(const auto plan, task.plan(blocks));
///     if (plan.possible()) {
///         BOOST_OUTCOME_TRY(task.start(blocks));
///         while (task.running()) task.step();
///     }
///
/// Precondition: the store outlives it and stays open; its handle may move.
/// Safe from: one thread at a time; others use the store meanwhile.
template <Blueprint B>
class shrinking {
  public:
    struct options {
        typename evacuation<B>::options evacuation = smaller_moves();  ///< Fit a step: what is written between two
                                                                       ///< steps undoes moves that take longer.
        bool gives_back = true;                                        ///< The device becomes shorter too.

      private:
        static typename ashlar::evacuation<B>::options smaller_moves() noexcept {
            typename ashlar::evacuation<B>::options chosen;
            chosen.moves.window = block_count{64};
            return chosen;
        }
    };

    /// Takes its memory from the heap, once. Errors: workspace_too_small where there is none.
    [[nodiscard]] static result<shrinking> open(store<B>& of, options chosen = {}) noexcept {
        BOOST_OUTCOME_TRY(auto mover, evacuation<B>::open(of, chosen.evacuation));
        return shrinking{of.beside(), std::move(mover), chosen.gives_back};
    }

    shrinking(shrinking&& other) noexcept
        : store_{other.store_},
          mover_{std::move(other.mover_)},
          blocks_{other.blocks_},
          range_{other.range_},
          phase_{std::exchange(other.phase_, shrink_phase::idle)},
          cuts_{other.cuts_},
          paused_{other.paused_},
          cancelled_{other.cancelled_},
          gives_back_{other.gives_back_},
          result_{other.result_} {}
    shrinking& operator=(shrinking&&)      = delete;
    shrinking(const shrinking&)            = delete;
    shrinking& operator=(const shrinking&) = delete;
    ~shrinking() {
        if (running()) conclude(stop_reason::cancelled, {});
    }

    /// See plan_shrink; and what would have to move, with the obstacles by name.
    [[nodiscard]] result<shrink_plan> plan(block_count blocks) noexcept {
        const entered guard{volume(), store_.time()};
        return plan_shrink(volume(), blocks);
    }
    /// What emptying the end would move. Errors: invalid_argument where the volume is not longer; those of evacuation's
    /// plan. Precondition: as of `start`.
    [[nodiscard]] result<evacuation_plan> plan_moves(block_count blocks) noexcept {
        const auto now = [&]() noexcept {
            const entered guard{volume()};
            return volume().geometry.blocks;
        }();
        return mover_.plan({block_index{blocks.value}, now - std::min(blocks, now)});
    }

    /// From here on nothing new comes behind the new end. The volume's own size is allowed: then only the device
    /// becomes shorter. Errors: busy while a shrink is under way, or others withhold blocks; read_only; those of the
    /// plan and of withhold. Cost: that of plan_shrink, for what it found may be different now; withhold.
    [[nodiscard]] result<> start(block_count blocks) noexcept {
        if (phase_ != shrink_phase::idle) return errc::busy;
        BOOST_OUTCOME_TRY(const auto planned, plan_for_writing(blocks));
        if (!planned.possible()) return planned.why;
        blocks_ = blocks;
        cuts_   = 0;
        result_ = {.before = planned.before, .after = planned.before};
        paused_ = cancelled_ = false;
        if (blocks == planned.before) {
            phase_ = shrink_phase::giving_back;
            return success();
        }
        range_ = {block_index{blocks.value}, planned.before - blocks};
        {
            const entered guard{volume(), store_.time()};
            BOOST_OUTCOME_TRY(withhold_end());
        }
        phase_          = shrink_phase::emptying;
        const auto done = mover_.start(range_);
        if (!done) conclude({}, done.error());
        return done;
    }
    void pause() noexcept {
        paused_ = true;
        mover_.pause();
    }
    void resume() noexcept {
        paused_ = false;
        mover_.resume();
    }
    /// The next step ends it. Behind the cut there is nothing to cancel.
    void cancel() noexcept { cancelled_ = true; }

    /// Works on, within the budget. `done` and `total` count blocks behind the new end while it is emptied.
    progress step(step_budget budget = {}) noexcept {
        progress said;
        if (phase_ == shrink_phase::emptying) {
            if (!empty(budget, said)) return said;
        } else if (paused_ && phase_ != shrink_phase::idle) {
            said.phase   = static_cast<std::uint32_t>(phase_);
            said.reasons = stop_reason::paused;
            return said;
        }
        if (phase_ == shrink_phase::cutting && !cut(said)) return said;
        if (phase_ == shrink_phase::giving_back) give_back(said);
        if (said.reasons.none()) said.reasons = stop_reason::finished;
        return said;
    }

    [[nodiscard]] bool                 running() const noexcept { return phase_ != shrink_phase::idle; }
    [[nodiscard]] const shrink_result& last_result() const noexcept { return result_; }
    /// What is in the way, as the last step that emptied the end, or `plan_moves`, saw it.
    [[nodiscard]] std::span<const evacuation_obstacle> obstacles() const noexcept { return mover_.obstacles(); }

  private:
    static constexpr unsigned cuts_max = 4;  ///< Tries; between them what came into the way moves.

    using volume_type = typename store<B>::volume_type;

    shrinking(typename store<B>::companion of, evacuation<B>&& mover, bool gives_back) noexcept
        : store_{of}, mover_{std::move(mover)}, gives_back_{gives_back} {}

    [[nodiscard]] volume_type& volume() const noexcept { return store_.volume(); }

    result<shrink_plan> plan_for_writing(block_count blocks) noexcept {
        const entered guard{volume(), store_.time()};
        BOOST_OUTCOME_TRY(volume().writable());
        return plan_shrink(volume(), blocks);
    }

    /// What waits to be free counts as free here: where it is needed, it is made so first.
    result<> withhold_end() noexcept {
        const auto done = withhold(volume(), range_);
        if (done || done.error().code != errc::no_space || volume().read_only) return done;
        BOOST_OUTCOME_TRY(relieve(volume(), errc::no_space));
        return withhold(volume(), range_);
    }

    /// Answers whether the end is empty, as far as it can be: the cut decides.
    bool empty(step_budget budget, progress& said) noexcept {
        if (cancelled_) mover_.cancel();
        said              = mover_.step(budget);
        said.phase        = static_cast<std::uint32_t>(phase_);
        result_.obstacles = mover_.last_result().obstacles;
        if (mover_.running()) return false;
        result_.moved += mover_.last_result().moved;
        result_.reasons = said.reasons;
        if (cancelled_ || said.reasons.has(stop_reason::cancelled)) {
            conclude(said.reasons | stop_reason::cancelled, {});
            said.reasons |= stop_reason::cancelled;
            return false;
        }
        phase_ = shrink_phase::cutting;
        return true;
    }

    /// Why what lies behind the new end keeps the volume from being cut: the error that kept it there, where one did.
    [[nodiscard]] error why_uncut(error said) const noexcept {
        const auto& moved = mover_.last_result().failure;
        const bool  stays = said.code == errc::busy || said.code == errc::pinned;
        return stays && moved.code != errc::none ? moved : said;
    }

    /// Answers whether the volume is shorter now.
    bool cut(progress& said) noexcept {
        said.phase    = static_cast<std::uint32_t>(phase_);
        result<> done = success();
        {
            const entered guard{volume(), store_.time()};
            done = volume_cut{volume()}.run(blocks_);
        }
        if (done) {
            result_.after = blocks_;
            said.reasons  = {};
            phase_        = shrink_phase::giving_back;
            return true;
        }
        said.failure = why_uncut(done.error());
        if (done.error().code == errc::busy && ++cuts_ < cuts_max && !cancelled_) {
            said.reasons = stop_reason::budget_spent;
            if (mover_.start(range_)) {
                phase_ = shrink_phase::emptying;
                return false;
            }
        }
        said.reasons |= why_no_shorter(said.failure.code);
        conclude(said.reasons, said.failure);
        return false;
    }

    [[nodiscard]] static stop_reason why_no_shorter(errc code) noexcept {
        switch (code) {
            case errc::pinned: return stop_reason::pinned;
            case errc::busy: return stop_reason::raced;
            case errc::no_space:
            case errc::reserve_only:
            case errc::no_contiguous_space: return stop_reason::no_contiguous_space;
            default: return stop_reason::device_error;
        }
    }

    /// A device that cannot become shorter keeps its blocks: the volume is cut all the same.
    void give_back(progress& said) noexcept {
        said.phase = static_cast<std::uint32_t>(phase_);
        error why{};
        if constexpr (ResizableDevice<typename B::device>) {
            const auto done = gives_back_ ? shorten_device() : result<>{success()};
            if (!done && done.error().code != errc::unsupported) why = done.error();
        }
        if (why.code != errc::none) said.reasons |= why_no_shorter(why.code);
        said.failure = why;
        said.reasons |= stop_reason::finished;
        conclude(said.reasons, why);
    }

    /// The device becomes as long as the volume, which keeps its size meanwhile. Errors: read_only, where the size in
    /// memory may not be the one at home; busy where the volume has become another size since; those of resize.
    result<> shorten_device() noexcept {
        const entered            guard{volume(), store_.time()};
        const detail::no_changes alone{volume()};
        BOOST_OUTCOME_TRY(volume().writable());
        if (volume().geometry.blocks != blocks_) return errc::busy;
        auto&      device = volume().device;
        const auto had    = device.geometry().blocks;
        if (had <= blocks_) return success();
        BOOST_OUTCOME_TRY(volume().lock.outside([&]() noexcept { return device.resize(blocks_); }));
        result_.given_back = had - device.geometry().blocks;
        return success();
    }

    void conclude(stop_reasons reasons, error why) noexcept {
        const entered guard{volume(), store_.time()};
        if (!range_.empty() && volume().space.withheld() == range_) stop_withholding(volume());
        range_          = {};
        result_.reasons = reasons;
        result_.failure = why;
        phase_          = shrink_phase::idle;
    }

    typename store<B>::companion store_;
    evacuation<B>                mover_;
    block_count                  blocks_{};
    extent                       range_{};  ///< Withheld while a shrink is under way.
    shrink_phase                 phase_      = shrink_phase::idle;
    unsigned                     cuts_       = 0;
    bool                         paused_     = false;
    bool                         cancelled_  = false;
    bool                         gives_back_ = true;
    shrink_result                result_{};
};

}  // namespace ashlar::inline v0
