#pragma once
/// Emptying a range of a store's blocks: the task with its memory.

#include <ashlar/device/lazy_queue.hpp>
#include <ashlar/maintenance/evacuator.hpp>
#include <ashlar/store.hpp>

namespace ashlar::inline v0 {

/// An evacuation of any block range of a store, in steps that its owner drives, with the blueprint's throttle and
/// clock: objects, the nodes of their trees, users' regions and the object table leave the range while they are read,
/// written and erased.
///
///     BOOST_OUTCOME_TRY(auto task, ashlar::evacuation<my_blueprint>::open(store));
///     BOOST_OUTCOME_TRY(const auto plan, task.plan(range));             // what would move, and what cannot
///     BOOST_OUTCOME_TRY(task.start(range));
///     while (task.running()) task.step();                               // beside the store's ordinary use
///     if (!task.last_result().emptied) show(task.obstacles());          // what is in the way, by name
///
/// Who has other plans with the range withholds it before (`withhold`, withheld_space.hpp): then it stays withheld when
/// the task ends; or opens the task with `keeps_withheld`. Else others may use it again from the last step on.
/// Precondition: the store outlives it and stays open; its handle may move.
/// Safe from: one thread at a time; others use the store and its regions meanwhile.
template <Blueprint B>
class evacuation {
  public:
    struct options {
        evacuation_options            moves{};
        typename B::throttle::options throttle{};
        typename B::clock             clock{};
    };

    /// Takes its memory from the heap, once. Errors: workspace_too_small where there is none.
    [[nodiscard]] static result<evacuation> open(store<B>& of, options chosen = {}) noexcept {
        const auto block = of.volume().geometry.block;
        BOOST_OUTCOME_TRY(auto memory, aligned_buffer::allocate(task_type::memory_bytes(chosen.moves, block)));
        BOOST_OUTCOME_TRY(auto made, task_type::create(chosen.moves, block, memory.bytes(),
                                                       of.beside().throttle(chosen.throttle), chosen.clock));
        const auto transfers = chosen.moves.transfers_max;
        return evacuation{of.beside(), std::move(memory), std::move(made), transfers < transfers_min ? 0 : transfers};
    }

    evacuation(evacuation&& other) noexcept
        : store_{other.store_},
          memory_{std::move(other.memory_)},
          task_{std::move(other.task_)},
          queue_{std::move(other.queue_)},
          owns_{std::exchange(other.owns_, false)} {}
    evacuation& operator=(evacuation&&)      = delete;
    evacuation(const evacuation&)            = delete;
    evacuation& operator=(const evacuation&) = delete;
    ~evacuation() {
        if (owns_) task_.stop(store_.volume());
    }

    /// See evacuator.
    [[nodiscard]] result<> start(extent range) noexcept { return task_.start(store_.volume(), range); }
    void                   pause() noexcept { task_.pause(); }
    void                   resume() noexcept { task_.resume(); }
    void                   cancel() noexcept { task_.cancel(); }
    void                   release() noexcept { task_.release(store_.volume()); }

    progress step(step_budget budget = {}) noexcept {
        return task_.step(store_.volume(), budget, queue_.get(store_.volume().device));
    }
    [[nodiscard]] result<evacuation_plan>  plan(extent range) noexcept { return task_.plan(store_.volume(), range); }
    [[nodiscard]] const evacuation_result& last_result() const noexcept { return task_.last_result(); }
    [[nodiscard]] std::span<const evacuation_obstacle> obstacles() const noexcept { return task_.obstacles(); }
    [[nodiscard]] bool                                 active() const noexcept { return task_.active(); }
    [[nodiscard]] bool                                 running() const noexcept { return task_.running(); }

  private:
    using task_type = evacuator<typename store<B>::volume_type, typename B::throttle, typename B::clock>;

    evacuation(typename store<B>::companion of, aligned_buffer&& memory, task_type&& task,
               std::size_t transfers) noexcept
        : store_{of}, memory_{std::move(memory)}, task_{std::move(task)}, queue_{transfers} {}

    typename store<B>::companion   store_;
    aligned_buffer                 memory_;
    task_type                      task_;
    lazy_queue<typename B::device> queue_;
    bool                           owns_ = true;
};

}  // namespace ashlar::inline v0
