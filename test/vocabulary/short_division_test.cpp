#include <ashlar/vocabulary/short_division.hpp>

#include <gtest/gtest.h>

#include <limits>

namespace short_division_test {

using namespace ashlar;

TEST(ShortDivision, InDigitsAgreesWithADivision) {
    constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
    for (const unsigned wide : {1U, 2U, 3U, 18U, 36U, 37U, 255U, 256U, 585U, 32767U, 32768U, 65535U}) {
        const auto divisor = static_cast<std::uint16_t>(wide);
        for (unsigned bit = 0; bit < 64; ++bit) {
            for (const std::uint64_t near : {std::uint64_t{0}, std::uint64_t{1}, most}) {
                const std::uint64_t     value = (std::uint64_t{1} << bit) + near;
                const quotient_and_rest expected{value / divisor, value % divisor};
                EXPECT_EQ(divide_in_digits(value, divisor), expected) << value << " / " << divisor;
                EXPECT_EQ(divide_by_short(value, divisor), expected) << value << " / " << divisor;
            }
        }
        EXPECT_EQ(divide_in_digits(most, divisor), (quotient_and_rest{most / divisor, most % divisor}));
    }
}

}  // namespace short_division_test
