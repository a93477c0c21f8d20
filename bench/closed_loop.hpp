#pragma once
/// The foreground: one read after the other, each timed.

#include "measure.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace bench {

[[nodiscard]] inline std::uint64_t nanoseconds_now() noexcept {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(now.tv_nsec);
}

/// One operation: when it ended, and how long it took.
struct timed {
    std::uint64_t at   = 0;  ///< Nanoseconds, as nanoseconds_now.
    std::uint64_t took = 0;  ///< Nanoseconds.
};

/// Times of operations that followed each other.
class latencies {
  public:
    void                                    add(timed one) { all_.push_back(one); }
    [[nodiscard]] std::size_t               count() const noexcept { return all_.size(); }
    [[nodiscard]] const std::vector<timed>& all() const noexcept { return all_; }

    /// Microseconds that this share of the operations did not exceed; 0 of none.
    [[nodiscard]] double microseconds(double share) const {
        std::vector<double> took;
        took.reserve(all_.size());
        for (const auto& one : all_) took.push_back(static_cast<double>(one.took) * 1e-3);
        return percentile(std::move(took), share);
    }

    void append(const latencies& more) { all_.insert(all_.end(), more.all_.begin(), more.all_.end()); }

  private:
    std::vector<timed> all_{};
};

/// Calls `read`, a bool() that answers whether it succeeded, again and again until `ended` says so. Answers the times;
/// stops early where a read fails, which its owner hears of by `read` itself.
template <class Read, class Ended>
[[nodiscard]] latencies closed_loop(Read&& read, Ended&& ended) {
    latencies     seen;
    std::uint64_t before = nanoseconds_now();
    while (!ended(before)) {
        const auto begin = nanoseconds_now();
        if (!read()) break;
        before = nanoseconds_now();
        seen.add({before, before - begin});
    }
    return seen;
}

/// For so many seconds.
template <class Read>
[[nodiscard]] latencies closed_loop_for(double seconds, Read&& read) {
    const auto end = nanoseconds_now() + static_cast<std::uint64_t>(seconds * 1e9);
    return closed_loop(std::forward<Read>(read), [end](std::uint64_t now) noexcept { return now >= end; });
}

}  // namespace bench
