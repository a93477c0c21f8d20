#pragma once
/// Threads of which one runs at a time, in an order that a seed decides.

#include <ashlar/config.hpp>
#include <ashlar/testing/random_bits.hpp>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace ashlar::inline v0 {

struct schedule_options {
    /// How often another thread goes first where one could: few switches let one thread come far while the others stand
    /// in the middle of something, many mix all of them.
    std::uint32_t switch_permille = 250;
    std::uint64_t points_max      = 20'000'000;  ///< More places to switch at are a run that does not end.
};

/// What became of a run.
struct schedule_report {
    std::string   stuck{};       ///< Empty when every thread came to its end; else what each of them waits for.
    std::uint64_t points   = 0;  ///< Places where another thread could have gone first.
    std::uint64_t switches = 0;  ///< Places where it did.
    std::uint64_t trace    = 0;  ///< One number for all choices: equal for equal runs.
};

namespace detail {

/// The state of one run. Only the thread whose turn it is touches it, but for `turn_` and what stands under the mutex:
/// handing the turn over orders everything, so a race detector sees one thread after the other.
class turn_keeper {
  public:
    static constexpr std::size_t nobody = std::numeric_limits<std::size_t>::max();

    enum class waits_for : std::uint8_t { nothing, mutex, condition, end };

    struct logical_thread {
        std::string             name;
        std::function<void()>   work;
        std::condition_variable turn{};
        waits_for               waits = waits_for::nothing;
        const void*             what  = nullptr;
        const std::size_t*      owner = nullptr;  ///< Of the mutex that it waits for.
    };

    turn_keeper(std::uint64_t seed, schedule_options options) : random_{seed}, options_{options} {}

    /// The run and the thread that call this; null and `nobody` outside of any run.
    static turn_keeper*& run() noexcept {
        thread_local turn_keeper* mine = nullptr;
        return mine;
    }
    static std::size_t& self() noexcept {
        thread_local std::size_t mine = nobody;
        return mine;
    }

    void spawn(std::string name, std::function<void()> work) {
        threads_.emplace_back();
        threads_.back().name = std::move(name);
        threads_.back().work = std::move(work);
    }

    /// The thread could stop here.
    void point() noexcept {
        if (++report_.points == options_.points_max) stop("the run does not end");
        if (random_.below(1000) < options_.switch_permille) hand_over();
    }

    /// Goes on when somebody has called `release` with the same arguments.
    void block(waits_for waits, const void* what, const std::size_t* owner) noexcept {
        auto& mine = threads_[self()];
        mine.waits = waits;
        mine.what  = what;
        mine.owner = owner;
        hand_over();
    }
    void release(waits_for waits, const void* what) noexcept {
        for (auto& one : threads_) {
            if (one.waits == waits && one.what == what) one.waits = waits_for::nothing;
        }
    }

    /// Runs one thread from its first turn to its end.
    void live(std::size_t number) {
        run()  = this;
        self() = number;
        await_turn(number);
        threads_[number].work();
        threads_[number].waits = waits_for::end;
        const auto next        = choose();
        if (next != nobody) return give_turn(next);
        if (std::any_of(threads_.begin(), threads_.end(), [](const auto& t) { return t.waits != waits_for::end; }))
            report_.stuck = "nobody can go on: " + everybody();
        end();
    }

    /// Gives the first turn, and waits until all have ended or nobody can go on.
    schedule_report conduct() {
        if (threads_.empty()) return {};
        give_turn(choose());
        std::unique_lock lock{mutex_};
        ended_.wait(lock, [this] { return over_; });
        return report_;
    }

    [[nodiscard]] std::size_t threads() const noexcept { return threads_.size(); }

  private:
    std::size_t choose() noexcept {
        std::size_t ready = 0;
        for (const auto& one : threads_) ready += one.waits == waits_for::nothing ? 1 : 0;
        if (ready == 0) return nobody;
        auto        left = random_.below(ready);
        std::size_t next = 0;
        while (threads_[next].waits != waits_for::nothing || left-- != 0) ++next;
        report_.trace = random_bits{report_.trace ^ (report_.points * 64 + next)}.next();
        return next;
    }

    void hand_over() noexcept {
        const auto next = choose();
        if (next == nobody) stop("nobody can go on");
        if (next == self()) return;
        ++report_.switches;
        give_turn(next);
        await_turn(self());
    }
    void give_turn(std::size_t next) noexcept {
        const std::lock_guard lock{mutex_};
        turn_ = next;
        threads_[next].turn.notify_one();
    }
    void await_turn(std::size_t number) noexcept {
        std::unique_lock lock{mutex_};
        threads_[number].turn.wait(lock, [&] { return turn_ == number; });
    }
    void end() noexcept {
        const std::lock_guard lock{mutex_};
        over_ = true;
        turn_ = nobody;
        ended_.notify_one();
    }

    /// The run is over, but what the threads stand in cannot be undone: they wait for ever.
    void stop(const char* why) noexcept {
        report_.stuck = std::string{why} + ": " + everybody();
        end();
        std::unique_lock lock{mutex_};
        threads_[self()].turn.wait(lock, [] { return false; });
    }

    [[nodiscard]] std::string everybody() const {
        std::string text;
        for (const auto& one : threads_) {
            text += (text.empty() ? "" : "; ") + one.name;
            switch (one.waits) {
                case waits_for::nothing: text += " could go on"; break;
                case waits_for::end: text += " has ended"; break;
                case waits_for::condition: text += " waits for a wake"; break;
                case waits_for::mutex:
                    text += " waits for a mutex that ";
                    text += *one.owner < threads_.size() ? threads_[*one.owner].name : std::string{"nobody"};
                    text += " holds";
            }
        }
        return text;
    }

    std::deque<logical_thread> threads_;
    random_bits                random_;
    schedule_options           options_;
    schedule_report            report_{};
    std::mutex                 mutex_;
    std::condition_variable    ended_;
    std::size_t                turn_ = nobody;
    bool                       over_ = false;
};

}  // namespace detail

/// Logical threads, run one at a time. At every lock, unlock, wait, wake, counter and yield of `scheduled`, and at
/// every `point`, the seed decides who goes on; the same seed and the same work give the same run.
///
/// A thread in which nothing of this is called is never interrupted. Work must not wait for another thread by any other
/// means, and must hold no lock of the system at a point.
class schedule {
  public:
    explicit schedule(std::uint64_t seed, schedule_options options = {})
        : keeper_{std::make_shared<detail::turn_keeper>(seed, options)} {}

    /// The name is for the report.
    void spawn(std::string name, std::function<void()> work) { keeper_->spawn(std::move(name), std::move(work)); }

    /// Runs all threads to their end, or until none can go on. Then the report says what each waits for, and the
    /// threads stay where they are for ever: what they use must not be destroyed. Call it once.
    [[nodiscard]] schedule_report run() {
        std::vector<std::thread> real;
        for (std::size_t i = 0; i < keeper_->threads(); ++i) real.emplace_back([keep = keeper_, i] { keep->live(i); });
        auto report = keeper_->conduct();
        for (auto& one : real) report.stuck.empty() ? one.join() : one.detach();
        return report;
    }

    /// Another thread may go first here. Outside of a run it does nothing.
    static void point() noexcept {
        if (auto* const run = detail::turn_keeper::run()) run->point();
    }

    /// The caller's number within its run, from 0 in the order of `spawn`; the largest value outside of any.
    [[nodiscard]] static std::size_t self() noexcept { return detail::turn_keeper::self(); }

  private:
    std::shared_ptr<detail::turn_keeper> keeper_;
};

}  // namespace ashlar::inline v0
