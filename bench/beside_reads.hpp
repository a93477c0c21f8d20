#pragma once
/// A task that moves what a volume holds, beside a foreground that reads: how fast, and what the reads feel.

#include "defrag_subject.hpp"
#include "report.hpp"

#include <ashlar/hosted/concurrent_latency_target.hpp>

#include <algorithm>
#include <functional>

namespace bench {

using paced = ashlar::concurrent_latency_target;

/// A little below the goal: the throttle keeps the p99 around its target, not below it.
[[nodiscard]] inline paced::options pace_for(double p99_goal) {
    return {.factor_permille = static_cast<std::uint32_t>(p99_goal * 985)};
}

/// A task that is stepped in a thread of its own, from construction until it is stopped or has finished.
class background {
  public:
    /// `step` answers its progress, and `copied` the bytes that were copied so far.
    background(std::function<ashlar::progress()> step, std::function<std::uint64_t()> copied)
        : step_{std::move(step)},
          copied_{std::move(copied)},
          begun_{nanoseconds_now()},
          ended_{begun_},
          thread_{[this] { work(); }} {}
    ~background() { stop(); }

    void stop() {
        stopping_ = true;
        if (thread_.joinable()) thread_.join();
    }
    [[nodiscard]] bool finished() const noexcept { return finished_; }

    // Once stopped:
    [[nodiscard]] double seconds() const noexcept { return static_cast<double>(ended_ - begun_) * 1e-9; }
    [[nodiscard]] double bytes() const noexcept { return bytes_; }
    [[nodiscard]] double megabytes_per_second() const noexcept { return bytes_ / seconds() * 1e-6; }
    /// Bytes copied so far, at times.
    [[nodiscard]] const std::vector<timed>& progress() const noexcept { return progress_; }

  private:
    void work() {
        const auto before = copied_();
        while (!stopping_) {
            const auto said = step_();
            ended_          = nanoseconds_now();
            progress_.push_back({ended_, copied_() - before});
            if (said.reasons.has(ashlar::stop_reason::device_error)) give_up("a move failed");
            if (said.reasons.has(ashlar::stop_reason::finished)) break;
            if (said.reasons.has(ashlar::stop_reason::throttled)) wait_for(said.not_before);
        }
        bytes_    = static_cast<double>(copied_() - before);
        finished_ = true;
    }

    void wait_for(ashlar::time_point not_before) const {
        const ashlar::steady_clock clock;
        const auto                 now = clock.now();
        if (not_before <= now) return;
        const auto most = std::min((not_before - now).nanoseconds, ashlar::milliseconds(10).nanoseconds);
        std::this_thread::sleep_for(std::chrono::nanoseconds{most});
    }

    std::function<ashlar::progress()> step_;
    std::function<std::uint64_t()>    copied_;
    std::uint64_t                     begun_;
    std::uint64_t                     ended_;
    double                            bytes_ = 0;
    std::vector<timed>                progress_{};
    std::atomic<bool>                 stopping_{false};
    std::atomic<bool>                 finished_{false};
    std::thread                       thread_;
};

/// What one situation was like.
struct seen {
    double rate = 0;  ///< Megabytes a second in the background.
    double p99 = 0, p999 = 0;
};

[[nodiscard]] inline seen look_at(const latencies& times, double rate = 0) {
    return {rate, times.microseconds(0.99), times.microseconds(0.999)};
}

/// Medians of what rounds saw, and of ratios within rounds.
struct tally {
    std::vector<double> rate, raw, p99, p999, idle, rate_ratio, p99_ratio, p999_ratio;

    void add(const seen& busy, const seen& quiet, double raw_rate) {
        rate.push_back(busy.rate);
        raw.push_back(raw_rate);
        p99.push_back(busy.p99);
        p999.push_back(busy.p999);
        idle.push_back(quiet.p99);
        rate_ratio.push_back(busy.rate / raw_rate);
        p99_ratio.push_back(busy.p99 / quiet.p99);
        p999_ratio.push_back(busy.p999 / quiet.p999);
    }
};

struct question {
    const char* id;
    double      p99_goal;  ///< Times the idle p99.
    double      p999_goal;
    double      floor, goal;
    double      seconds;
    double      prime_floor, prime_goal;
};
inline constexpr question questions[] = {{"G1", 2.0, 4.0, 0.30, 0.40, 4.0, 0.85, 0.9},
                                         {"G2", 3.3, 0, 0.50, 0.70, 3.0, 0, 0}};

/// A rate beside the raw copy, and what reads felt beside those at rest.
inline void report_beside(const std::string& id, const char* measure, const tally& of, const question& asked) {
    report({.id        = id,
            .measure   = measure,
            .ours      = median(of.rate),
            .peer      = median(of.raw),
            .peer_name = "raw copy 1 MiB x 8",
            .unit      = "MB/s",
            .floor     = asked.floor,
            .goal      = asked.goal,
            .ratio     = median(of.rate_ratio)});
    report({.id        = id,
            .measure   = "p99 of those reads",
            .ours      = median(of.p99),
            .peer      = median(of.idle),
            .peer_name = "idle",
            .unit      = "us",
            .direction = better::lower,
            .floor     = asked.p99_goal,
            .goal      = asked.p99_goal,
            .ratio     = median(of.p99_ratio)});
    report({.id        = id,
            .measure   = "p99.9 of those reads",
            .ours      = median(of.p999),
            .peer      = median(of.p999) / median(of.p999_ratio),
            .peer_name = "idle",
            .unit      = "us",
            .direction = better::lower,
            .floor     = asked.p999_goal,
            .goal      = asked.p999_goal,
            .ratio     = median(of.p999_ratio)});
}

}  // namespace bench
