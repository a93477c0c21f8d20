#pragma once
/// The system's clock that never goes back.

#include <ashlar/concepts/clock.hpp>

#include <chrono>

namespace ashlar::inline v0 {

/// Zero is the zero of std::chrono::steady_clock, which is often the start of the machine: right for rates and waits,
/// and no date. Cost: one call that needs no switch to the kernel on common systems.
struct steady_clock {
    static constexpr bool ticks = true;

    [[nodiscard]] time_point now() const noexcept {
        const auto since = std::chrono::steady_clock::now().time_since_epoch();
        return {static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(since).count())};
    }
};
static_assert(Clock<steady_clock>);

}  // namespace ashlar::inline v0
