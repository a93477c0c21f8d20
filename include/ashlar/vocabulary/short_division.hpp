#pragma once
/// Division without the 64-bit division that small processors lack. By 2^k - 1 it is shifts: metadata blocks give 16
/// bytes to their trailer, so they hold so many items.

#include <cstddef>
#include <cstdint>

namespace ashlar::inline v0 {

struct quotient_and_rest {
    std::uint64_t         quotient                                         = 0;
    std::uint64_t         rest                                             = 0;
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

/// Divides in four digits of 16 bits, each by a 32-bit division. Precondition: divisor is not zero.
[[nodiscard]] constexpr quotient_and_rest divide_in_digits(std::uint64_t value, std::uint16_t divisor) noexcept {
    quotient_and_rest answer;
    std::uint32_t     rest = 0;
    for (unsigned shift = 64; shift != 0;) {
        shift -= 16;
        const std::uint32_t digit = (rest << 16U) | static_cast<std::uint16_t>(value >> shift);
        answer.quotient           = (answer.quotient << 16U) | (digit / divisor);
        rest                      = digit % divisor;
    }
    answer.rest = rest;
    return answer;
}

/// Divides by a small number: by the processor's own division where it has one of 64 bits. Precondition: divisor is not
/// zero.
[[nodiscard]] constexpr quotient_and_rest divide_by_short(std::uint64_t value, std::uint16_t divisor) noexcept {
    if constexpr (sizeof(std::size_t) >= sizeof(std::uint64_t)) {
        return {value / divisor, value % divisor};
    } else {
        return divide_in_digits(value, divisor);
    }
}

}  // namespace ashlar::inline v0
