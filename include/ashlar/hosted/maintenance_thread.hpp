#pragma once
/// A thread that gives a store its maintenance.

#include <ashlar/hosted/steady_clock.hpp>
#include <ashlar/maintenance/step_budget.hpp>
#include <ashlar/vocabulary/progress.hpp>
#include <ashlar/vocabulary/result.hpp>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace ashlar::inline v0 {

/// What is maintained in bounded steps: a store whose threading is concurrent, or a wrapper of one.
template <class M>
concept Maintainable = requires(M& maintained, step_budget budget) {
    { maintained.maintain(budget) }
    noexcept->std::same_as<result<progress>>;
};

struct maintenance_options {
    step_budget budget{};                            ///< Of one step.
    duration    idle_interval = milliseconds(200);   ///< Rest when there is nothing to do, or a step failed.
    duration    rest_max      = milliseconds(1000);  ///< Longest rest, whatever a throttle says or however much failed.
    duration    between_steps = {};                  ///< Rest while there is more to do; 0 only yields.
    bool        starts_paused = false;
};

/// What a maintenance thread did and does.
struct maintenance_status {
    bool          running  = false;  ///< Between `start` and `stop`.
    bool          paused   = false;
    bool          working  = false;  ///< Within a step at this moment.
    std::uint64_t steps    = 0;      ///< That returned without an error.
    std::uint64_t failures = 0;      ///< Steps that returned an error.
    progress      last{};            ///< Of the last step without an error; its reasons say why that ended.
    error         last_error{};      ///< Code `none` when no step ever failed.
};

/// Calls `maintain` again and again: at once while a budget was spent, at `not_before` when a throttle says so, after
/// the idle interval when there is nothing to do. Errors do not end it: what failed may work later, so it rests longer
/// each time, up to `rest_max`, and the status tells.
///
/// The store must outlive the thread and stay where it is. `TimeOf` is the clock that the store's blueprint names,
/// for `not_before`; where the two differ, a rest may be wrong, but never longer than `rest_max`.
/// Safe from: several threads; `start`, `stop` and the destructor exclude each other by the caller's care.
template <Maintainable M, Clock TimeOf = steady_clock>
class maintenance_thread {
  public:
    explicit maintenance_thread(M& maintained, maintenance_options options = {}, TimeOf clock = {}) noexcept
        : maintained_{maintained}, options_{options}, clock_{clock} {
        said_.paused = options.starts_paused;
    }
    maintenance_thread(const maintenance_thread&)            = delete;
    maintenance_thread& operator=(const maintenance_thread&) = delete;
    ~maintenance_thread() { stop(); }

    /// Begins. Does nothing while it runs. Errors: busy when the system has no thread to give; in a build without
    /// exceptions that ends the program instead, as std::thread has no other way to say it.
    result<> start() noexcept {
        if (thread_.joinable()) return success();
        {
            const std::lock_guard held{mutex_};
            said_.running = true;
            stopping_     = false;
        }
#if defined(__cpp_exceptions)
        try {
            thread_ = std::thread{[this] { run(); }};
        } catch (...) {
            const std::lock_guard held{mutex_};
            said_.running = false;
            return errc::busy;
        }
#else
        thread_ = std::thread{[this] { run(); }};
#endif
        return success();
    }

    /// Ends after the step that is under way, and waits for it. What that step moved stands; it can start again.
    void stop() noexcept {
        {
            const std::lock_guard held{mutex_};
            stopping_ = true;
        }
        changed_.notify_all();
        if (thread_.joinable()) thread_.join();
        const std::lock_guard held{mutex_};
        said_.running = false;
    }

    /// No step begins from here on; one that is under way goes on to its end, and `pause` does not wait for it.
    void pause() noexcept { set_paused(true); }
    void resume() noexcept { set_paused(false); }

    /// Ends a rest now: there is new work, or the throttle was told another rate.
    void poke() noexcept {
        {
            const std::lock_guard held{mutex_};
            poked_ = true;
        }
        changed_.notify_all();
    }

    [[nodiscard]] maintenance_status status() const noexcept {
        const std::lock_guard held{mutex_};
        return said_;
    }

  private:
    using lock = std::unique_lock<std::mutex>;

    void set_paused(bool paused) noexcept {
        {
            const std::lock_guard held{mutex_};
            said_.paused = paused;
        }
        changed_.notify_all();
    }

    void run() noexcept {
        lock held{mutex_};
        while (!stopping_) {
            if (said_.paused) {
                changed_.wait(held);
                continue;
            }
            poked_        = false;
            said_.working = true;
            held.unlock();
            const auto stepped = maintained_.maintain(options_.budget);
            held.lock();
            said_.working = false;
            rest(held, note(stepped));
        }
    }

    /// Writes down what a step said, and answers how long to rest.
    duration note(const result<progress>& stepped) noexcept {
        if (!stepped) {
            ++said_.failures;
            said_.last_error = stepped.error();
            failed_in_a_row_ += failed_in_a_row_ < 16 ? 1U : 0U;
            return {options_.idle_interval.nanoseconds << (failed_in_a_row_ - 1U)};
        }
        ++said_.steps;
        failed_in_a_row_ = 0;
        said_.last       = stepped.value();
        const auto& said = said_.last;
        if (said.reasons.has(stop_reason::throttled)) {
            const auto now = clock_.now();
            return now < said.not_before ? said.not_before - now : options_.between_steps;
        }
        return said.reasons.has(stop_reason::budget_spent) ? options_.between_steps : options_.idle_interval;
    }

    void rest(lock& held, duration how_long) noexcept {
        if (how_long > options_.rest_max) how_long = options_.rest_max;
        if (how_long == duration{}) {
            held.unlock();
            std::this_thread::yield();
            held.lock();
            return;
        }
        const auto until = std::chrono::steady_clock::now() + std::chrono::nanoseconds{how_long.nanoseconds};
        changed_.wait_until(held, until, [this] { return stopping_ || poked_; });
    }

    M&                        maintained_;
    const maintenance_options options_;
    TimeOf                    clock_;
    mutable std::mutex        mutex_;
    std::condition_variable   changed_;  ///< Stopping, paused or poked.
    std::thread               thread_;
    maintenance_status        said_{};
    std::uint32_t             failed_in_a_row_ = 0;
    bool                      stopping_        = false;
    bool                      poked_           = false;
};

}  // namespace ashlar::inline v0
