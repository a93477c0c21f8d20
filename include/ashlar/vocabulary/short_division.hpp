#pragma once
/// Division by 2^k - 1 without a division: metadata blocks give 16 bytes to their trailer, so they hold so many items.

#include <cstdint>

namespace ashlar::inline v0 {

struct quotient_and_rest {
    std::uint64_t quotient = 0;
    std::uint64_t rest     = 0;
    friend constexpr bool operator==(quotient_and_rest, quotient_and_rest) = default;
};

/// Divides by `2^k - 1`. A 64-bit division costs small processors a library call of 800 bytes; this is shifts.
/// Precondition: 1 <= k <= 63. Cost: at most 64 / k + 2 rounds for k > 1.
[[nodiscard]] constexpr quotient_and_rest divide_by_ones(std::uint64_t value, unsigned k) noexcept {
    const std::uint64_t divisor = (std::uint64_t{1} << k) - 1U;
    if (divisor == 1) return {value, 0};
    quotient_and_rest answer{0, value};
    while (answer.rest >= divisor) {
        // x = high * 2^k + low = high * (2^k - 1) + (high + low): the high part is a quotient that is never too large.
        const std::uint64_t high = answer.rest == divisor ? 1U : answer.rest >> k;
        answer.quotient += high;
        answer.rest -= high * divisor;
    }
    return answer;
}

}  // namespace ashlar::inline v0
