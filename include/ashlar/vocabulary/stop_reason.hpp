#pragma once
/// Why a maintenance step returned. A stop may have several reasons at once.

#include <cstdint>

namespace ashlar::inline v0 {

enum class stop_reason : std::uint16_t {
    finished            = 1 << 0,  ///< The pass is complete.
    budget_spent        = 1 << 1,  ///< The step's budget is used; call again.
    throttled           = 1 << 2,  ///< The throttle said not before a time.
    paused              = 1 << 3,
    cancelled           = 1 << 4,
    nothing_to_gain     = 1 << 5,  ///< No move that is left would improve anything.
    no_contiguous_space = 1 << 6,  ///< A move was worth making, but no free run was long enough.
    pinned              = 1 << 7,  ///< A pinned extent was in the way.
    raced               = 1 << 8,  ///< A mapping kept changing while it was copied.
    device_error        = 1 << 9,  ///< A block could not be read or written; it was set aside.
};

/// A set of reasons.
class stop_reasons {
  public:
    constexpr stop_reasons() noexcept = default;
    constexpr stop_reasons(stop_reason one) noexcept : bits_{static_cast<std::uint16_t>(one)} {}

    [[nodiscard]] constexpr bool has(stop_reason one) const noexcept {
        return (bits_ & static_cast<std::uint16_t>(one)) != 0;
    }
    [[nodiscard]] constexpr bool none() const noexcept { return bits_ == 0; }
    constexpr stop_reasons&      operator|=(stop_reasons more) noexcept {
             bits_ = static_cast<std::uint16_t>(bits_ | more.bits_);
             return *this;
    }
    friend constexpr stop_reasons operator|(stop_reasons a, stop_reasons b) noexcept { return a |= b; }
    friend constexpr bool         operator==(stop_reasons, stop_reasons) = default;

  private:
    std::uint16_t bits_ = 0;
};

constexpr stop_reasons operator|(stop_reason a, stop_reason b) noexcept { return stop_reasons{a} | stop_reasons{b}; }

}  // namespace ashlar::inline v0
