#pragma once
/// The arithmetic of a latency target: how much background may be in flight.

#include <ashlar/concepts/io_throttle.hpp>
#include <ashlar/vocabulary/ratio.hpp>

#include <algorithm>

namespace ashlar::inline v0 {

/// A time in which something was in flight without a break.
struct held_bytes {
    std::uint64_t moved           = 0;  ///< Granted in it.
    std::uint64_t kib_nanoseconds = 0;  ///< Bytes times how long each was in flight, in 1024 of them.
    duration      took{};
};

/// Bytes of maintenance that may be in flight on an average, and what follows from them.
///
/// What a foreground transfer waits for are the bytes in flight beside it. Of equal bytes one large transfer costs less
/// than several small ones, so a growing cap first makes the chunk larger, and only a cap above the largest chunk lets
/// several be in flight. A cap below the smallest chunk cannot make it smaller: then rests between chunks keep the
/// average.
class latency_cap {
  public:
    static constexpr std::uint64_t chunk_floor = 16 * 1024;  ///< Smaller chunks cost more in requests than they spare.
    static constexpr std::uint64_t cap_min     = chunk_floor / 128;  ///< Chunks take about 1 % of the time.
    static constexpr std::uint64_t cap_first   = 64 * 1024;

    struct limits {
        std::uint64_t chunk_max            = 1024 * 1024;
        std::uint64_t in_flight_max        = 8 * 1024 * 1024;
        std::uint64_t bytes_per_second_min = 1024 * 1024;
    };

    constexpr explicit latency_cap(limits chosen) noexcept
        : chunk_max_{std::max(chosen.chunk_max, chunk_floor)},
          cap_max_{std::max(chosen.in_flight_max, chunk_max_)},
          rate_min_{std::max(chosen.bytes_per_second_min, chunk_floor)},
          cap_{std::min(cap_first, cap_max_)} {}

    /// One step towards the goal: `cap *= 1 + 0.4 * clamp((goal - p99) / goal, -0.5, 0.5)`. Without `may_grow` it only
    /// falls, for what was not used cannot be known to be harmless.
    constexpr void adapt(duration p99, duration goal, bool may_grow) noexcept {
        if (p99 < goal && !may_grow) return;
        const auto far  = p99 < goal ? goal.nanoseconds - p99.nanoseconds : p99.nanoseconds - goal.nanoseconds;
        const auto part = permille_of(std::min(far, goal.nanoseconds >> 1U), goal.nanoseconds);
        const auto by   = quotient_of(cap_ * part * 2U, 5000);
        cap_            = std::clamp(p99 < goal ? cap_ + by : cap_ - by, cap_min, cap_max_);
    }

    [[nodiscard]] constexpr std::uint64_t bytes() const noexcept { return cap_; }
    [[nodiscard]] constexpr std::uint64_t bytes_max() const noexcept { return cap_max_; }
    [[nodiscard]] constexpr std::uint64_t chunk() const noexcept { return std::clamp(cap_, chunk_floor, chunk_max_); }
    [[nodiscard]] constexpr std::uint64_t chunk_max() const noexcept { return chunk_max_; }

    /// How long nothing may follow a time with bytes in flight, so that the average is kept; never so long that less
    /// than the least rate remains.
    [[nodiscard]] constexpr duration rest_after(const held_bytes& held) const noexcept {
        constexpr std::uint64_t most    = std::uint64_t{1} << 32U;  // no product wraps
        const auto              took    = held.took.nanoseconds;
        const auto              wished  = quotient_of(held.kib_nanoseconds, cap_) << 10U;
        const auto              longest = quotient_of(std::min(held.moved, most) * nanoseconds_per_second, rate_min_);
        const auto              whole   = std::min(wished, longest);
        return {whole > took ? whole - took : 0};
    }

  private:
    std::uint64_t chunk_max_;
    std::uint64_t cap_max_;
    std::uint64_t rate_min_;
    std::uint64_t cap_;
};

}  // namespace ashlar::inline v0
