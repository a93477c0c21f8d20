#pragma once
/// Maintenance at full speed.

#include <ashlar/concepts/io_throttle.hpp>

namespace ashlar::inline v0 {

/// Grants whatever is asked. For volumes that nobody uses meanwhile, and for firmware that paces by the step's budget.
struct no_throttle {
    static constexpr bool needs_clock = false;

    struct options {};

    constexpr no_throttle() noexcept = default;
    constexpr explicit no_throttle(options) noexcept {}

    [[nodiscard]] constexpr io_grant acquire(io_request request, time_point) noexcept { return {request.want, {}}; }
    constexpr void                   release(std::uint64_t, time_point) noexcept {}
    constexpr void                   observe(io_kind, std::uint64_t, duration, time_point) noexcept {}
};
static_assert(IoThrottle<no_throttle>);
static_assert(no_throttle{}.acquire({.want = 7, .least = 1}, {}).bytes == 7);

}  // namespace ashlar::inline v0
