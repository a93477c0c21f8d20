#pragma once
/// Where time comes from.

#include <ashlar/vocabulary/time_point.hpp>

#include <concepts>

namespace ashlar::inline v0 {

/// Semantics: `now` never goes back. With `ticks` false it always answers zero, and nothing may wait for it.
template <class C>
concept Clock = requires(const C& clock) {
    { C::ticks } -> std::convertible_to<bool>;
    { clock.now() }
    noexcept->std::same_as<time_point>;
};

/// No time: rates and schedules are off.
struct no_clock {
    static constexpr bool              ticks = false;
    [[nodiscard]] constexpr time_point now() const noexcept { return {}; }
};
static_assert(Clock<no_clock>);

}  // namespace ashlar::inline v0
