#pragma once
/// The arithmetic of a rate: when the next unit is due.

#include <ashlar/concepts/io_throttle.hpp>
#include <ashlar/vocabulary/ratio.hpp>

namespace ashlar::inline v0 {

/// The answer "not before something in flight comes back": a time that never arrives.
inline constexpr time_point after_release{~std::uint64_t{0}};

/// Sums of times stop at the largest value instead of wrapping to the past.
[[nodiscard]] constexpr time_point later(time_point from, duration by) noexcept {
    return by.nanoseconds > after_release.nanoseconds - from.nanoseconds ? after_release : from + by;
}

/// Lets units pass at a rate, with an allowance that may pass at once.
///
/// It keeps one time, the moment at which all that passed is paid for. In any interval no more than
/// `allowance + rate * interval` units pass; a single request above the allowance passes when nothing is owed, and is
/// paid for afterwards. The only division is in the constructor.
/// Source: the virtual scheduling form of the generic cell rate algorithm, ITU-T I.371.
class pacer {
  public:
    /// A rate of 0 lets everything pass.
    constexpr pacer(std::uint64_t units_per_second, std::uint64_t allowance) noexcept {
        if (units_per_second == 0) return;
        constexpr std::uint64_t second = nanoseconds_per_second << 32U;
        const auto              price  = quotient_of(second, units_per_second);
        whole_                         = price >> 32U;
        part_                          = price & 0xFFFF'FFFFU;
        allowance_                     = cost(allowance);
        limits_                        = true;
    }

    /// When `units` may pass; a time that is not after `now` means at once.
    [[nodiscard]] constexpr time_point due(std::uint64_t units) const noexcept {
        if (!limits_) return {};
        const auto price = cost(units);
        if (price >= allowance_) return paid_;
        const auto slack = allowance_.nanoseconds - price.nanoseconds;
        return {paid_.nanoseconds > slack ? paid_.nanoseconds - slack : 0};
    }

    /// Counts `units` as passed.
    constexpr void pass(std::uint64_t units, time_point now) noexcept {
        if (limits_) paid_ = later(paid_ > now ? paid_ : now, cost(units));
    }

  private:
    /// Nanoseconds that `units` take at the rate. Units above 2^31 count as 2^31, so that no product wraps.
    [[nodiscard]] constexpr duration cost(std::uint64_t units) const noexcept {
        constexpr std::uint64_t most = std::uint64_t{1} << 31U;
        const auto              n    = units < most ? units : most;
        return {n * whole_ + ((n * part_) >> 32U)};
    }

    std::uint64_t whole_ = 0;  // nanoseconds of one unit
    std::uint64_t part_  = 0;  // and 2^-32 parts of one
    duration      allowance_{};
    time_point    paid_{};
    bool          limits_ = false;
};

}  // namespace ashlar::inline v0
