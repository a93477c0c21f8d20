#pragma once
/// Quotients for reports, without the library call that a 64-bit division costs small processors.

#include <bit>
#include <cstdint>

namespace ashlar::inline v0 {

/// `dividend / divisor`, rounded down; 0 when the divisor is 0. Cost: one round for each bit by which they differ.
[[nodiscard]] constexpr std::uint64_t quotient_of(std::uint64_t dividend, std::uint64_t divisor) noexcept {
    if (divisor == 0 || dividend < divisor) return 0;
    std::uint64_t quotient = 0;
    for (auto shift = std::countl_zero(divisor) - std::countl_zero(dividend); shift >= 0; --shift) {
        quotient <<= 1U;
        if (dividend >= divisor << shift) {
            dividend -= divisor << shift;
            quotient |= 1U;
        }
    }
    return quotient;
}

/// How many thousandths of `whole` are `part`; 0 of an empty whole. Does not overflow.
[[nodiscard]] constexpr std::uint32_t permille_of(std::uint64_t part, std::uint64_t whole) noexcept {
    while (part > ~std::uint64_t{0} / 1024U || whole > ~std::uint64_t{0} / 1024U) {
        part >>= 1U;
        whole >>= 1U;
    }
    return static_cast<std::uint32_t>(quotient_of(part * 1000U, whole));
}
static_assert(quotient_of(1000, 7) == 142 && quotient_of(~std::uint64_t{0}, 1) == ~std::uint64_t{0} &&
              quotient_of(6, 7) == 0);
static_assert(permille_of(1, 3) == 333 && permille_of(5, 0) == 0 && permille_of(1ULL << 63U, ~std::uint64_t{0}) == 500);

}  // namespace ashlar::inline v0
