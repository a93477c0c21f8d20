#pragma once
/// Time as the injected clock tells it: nanoseconds from a zero that only the clock knows.

#include <compare>
#include <cstdint>

namespace ashlar::inline v0 {

struct duration {
    std::uint64_t         nanoseconds                     = 0;
    friend constexpr auto operator<=>(duration, duration) = default;
};

struct time_point {
    std::uint64_t         nanoseconds                         = 0;
    friend constexpr auto operator<=>(time_point, time_point) = default;
};

inline constexpr std::uint64_t nanoseconds_per_second = 1'000'000'000;

[[nodiscard]] constexpr duration milliseconds(std::uint64_t n) noexcept { return {n * 1'000'000}; }

constexpr duration   operator-(time_point a, time_point b) noexcept { return {a.nanoseconds - b.nanoseconds}; }
constexpr time_point operator+(time_point a, duration d) noexcept { return {a.nanoseconds + d.nanoseconds}; }

}  // namespace ashlar::inline v0
