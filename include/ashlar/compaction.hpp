#pragma once
/// Compacting a store's regions: the task with its memory.

#include <ashlar/device/lazy_queue.hpp>
#include <ashlar/maintenance/region_compactor.hpp>
#include <ashlar/regions.hpp>

namespace ashlar::inline v0 {

/// A compaction of the regions of a store, in steps that its owner drives, with the blueprint's throttle and clock.
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
                                                       typename B::throttle{chosen.throttle}, chosen.clock));
        const auto transfers = chosen.regions.transfers_max;
        return compaction{of.beside(), std::move(memory), std::move(made), transfers < transfers_min ? 0 : transfers};
    }

    compaction(compaction&& other) noexcept
        : store_{other.store_},
          memory_{std::move(other.memory_)},
          task_{std::move(other.task_)},
          queue_{std::move(other.queue_)},
          owns_{std::exchange(other.owns_, false)} {}
    compaction& operator=(compaction&&)      = delete;
    compaction(const compaction&)            = delete;
    compaction& operator=(const compaction&) = delete;
    ~compaction() {
        if (owns_) task_.stop(store_.volume());
    }

    /// See region_compactor.
    void start() noexcept { task_.start(); }
    void pause() noexcept { task_.pause(); }
    void resume() noexcept { task_.resume(); }
    void cancel() noexcept { task_.cancel(); }

    [[nodiscard]] progress step(step_budget budget = {}) noexcept {
        return task_.step(store_.volume(), budget, queue_.get(store_.volume().device));
    }
    [[nodiscard]] result<region_compaction_plan> plan(std::span<region_move> moves) noexcept {
        return task_.plan(store_.volume(), moves);
    }
    [[nodiscard]] const region_compaction_result& last_result() const noexcept { return task_.last_result(); }
    [[nodiscard]] bool                            active() const noexcept { return task_.active(); }

  private:
    using compactor = region_compactor<typename store<B>::volume_type, typename B::throttle, typename B::clock>;

    compaction(typename store<B>::companion of, aligned_buffer&& memory, compactor&& task,
               std::size_t transfers) noexcept
        : store_{of}, memory_{std::move(memory)}, task_{std::move(task)}, queue_{transfers} {}

    typename store<B>::companion   store_;
    aligned_buffer                 memory_;
    compactor                      task_;
    lazy_queue<typename B::device> queue_;
    bool                           owns_ = true;
};

}  // namespace ashlar::inline v0
