#pragma once
/// Compacting a store's regions: the task with its memory.

#include <ashlar/device/lazy_queue.hpp>
#include <ashlar/maintenance/way_clearing.hpp>
#include <ashlar/regions.hpp>

namespace ashlar::inline v0 {

/// A compaction of the regions of a store, in steps that its owner drives, with the blueprint's throttle and clock.
/// With `regions.clears_way` objects and their trees leave the way of a region that no free run below it holds
/// (way_clearing); that walks every object of the store for each region, and takes the memory of an evacuation as well.
/// They also leave the blocks below a gap that is shorter than `gap_bytes`, before a region slides into it.
/// Precondition: the store outlives it and stays open; its handle may move.
/// Safe from: one thread at a time; others use the store and its regions meanwhile.
template <Blueprint B>
class compaction {
  public:
    struct options {
        region_compaction_options     regions{};
        typename B::throttle::options throttle{};
        typename B::clock             clock{};
    };

    /// Takes its memory from the heap, once. Errors: workspace_too_small where there is none.
    [[nodiscard]] static result<compaction> open(store<B>& of, options chosen = {}) noexcept {
        const auto block = of.volume().geometry.block;
        BOOST_OUTCOME_TRY(auto memory, aligned_buffer::allocate(compactor::memory_bytes(chosen.regions, block)));
        BOOST_OUTCOME_TRY(auto made, compactor::create(chosen.regions, block, memory.bytes(),
                                                       of.beside().throttle(chosen.throttle), chosen.clock));
        const auto transfers = chosen.regions.transfers_max;
        compaction task{of.beside(), std::move(memory), std::move(made), transfers < transfers_min ? 0 : transfers};
        if (chosen.regions.clears_way) {
            BOOST_OUTCOME_TRY(task.way_memory_, aligned_buffer::allocate(clearer::memory_bytes(chosen.regions, block)));
            BOOST_OUTCOME_TRY(auto way, clearer::create(chosen.regions, block, task.way_memory_.bytes(), chosen.clock));
            task.way_.emplace(std::move(way));
        }
        return task;
    }

    compaction(compaction&& other) noexcept
        : store_{other.store_},
          memory_{std::move(other.memory_)},
          way_memory_{std::move(other.way_memory_)},
          task_{std::move(other.task_)},
          way_{std::move(other.way_)},
          queue_{std::move(other.queue_)},
          owns_{std::exchange(other.owns_, false)} {}
    compaction& operator=(compaction&&)      = delete;
    compaction(const compaction&)            = delete;
    compaction& operator=(const compaction&) = delete;
    ~compaction() {
        if (!owns_) return;
        if (way_) way_->stop(store_.volume(), task_);
        task_.stop(store_.volume());
    }

    /// See region_compactor and way_clearing.
    void start() noexcept { way_ ? way_->start(task_) : task_.start(); }
    void pause() noexcept {
        task_.pause();
        if (way_) way_->pause();
    }
    void resume() noexcept {
        task_.resume();
        if (way_) way_->resume();
    }
    void cancel() noexcept { way_ ? way_->cancel() : task_.cancel(); }

    progress step(step_budget budget = {}) noexcept {
        auto&      volume = store_.volume();
        const auto queue  = queue_.get(volume.device);
        return way_ ? way_->step(volume, task_, budget, queue) : task_.step(volume, budget, queue);
    }
    /// See region_compactor. What leaves the way of a region is estimated; gaps that would be made longer are not
    /// foreseen.
    [[nodiscard]] result<region_compaction_plan> plan(std::span<region_move> moves) noexcept {
        BOOST_OUTCOME_TRY(auto made, task_.plan(store_.volume(), moves));
        if (way_) { BOOST_OUTCOME_TRY(way_->plan(store_.volume(), made, moves)); }
        return made;
    }
    [[nodiscard]] const region_compaction_result& last_result() const noexcept {
        return way_ ? way_->last_result() : task_.last_result();
    }
    /// Whether a move is under way, of a region or of what leaves its way: a target is reserved.
    [[nodiscard]] bool active() const noexcept { return task_.active() || (way_ && way_->active()); }
    /// Whether a pass, or with `clears_way` a run, has begun and not ended.
    [[nodiscard]] bool running() const noexcept { return task_.running() || (way_ && way_->running()); }

  private:
    using compactor = region_compactor<typename store<B>::volume_type, typename B::throttle, typename B::clock>;
    using clearer   = way_clearing<typename store<B>::volume_type, typename B::throttle, typename B::clock>;

    compaction(typename store<B>::companion of, aligned_buffer&& memory, compactor&& task,
               std::size_t transfers) noexcept
        : store_{of}, memory_{std::move(memory)}, task_{std::move(task)}, queue_{transfers} {}

    typename store<B>::companion   store_;
    aligned_buffer                 memory_;
    aligned_buffer                 way_memory_{};
    compactor                      task_;
    std::optional<clearer>         way_{};
    lazy_queue<typename B::device> queue_;
    bool                           owns_ = true;
};

}  // namespace ashlar::inline v0
