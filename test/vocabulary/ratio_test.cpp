#include <ashlar/vocabulary/ratio.hpp>
#include <ashlar/vocabulary/stop_reason.hpp>

#include <gtest/gtest.h>

#include <limits>

namespace ratio_test {

using namespace ashlar;

TEST(Ratio, QuotientsAgreeWithADivision) {
    constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
    for (const std::uint64_t dividend : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{999}, most / 3, most}) {
        for (const std::uint64_t divisor : {std::uint64_t{1}, std::uint64_t{7}, most / 2, most})
            EXPECT_EQ(quotient_of(dividend, divisor), dividend / divisor) << dividend << " / " << divisor;
        EXPECT_EQ(quotient_of(dividend, 0), 0U);
    }
}

TEST(Ratio, ThousandthsOfAnySizeDoNotOverflow) {
    for (unsigned shift = 0; shift < 54; ++shift) {
        const std::uint64_t whole = std::uint64_t{1000} << shift;
        EXPECT_EQ(permille_of(whole / 4, whole), 250U) << shift;
        EXPECT_EQ(permille_of(whole, whole), 1000U) << shift;
    }
    EXPECT_EQ(permille_of(1, 0), 0U);
    EXPECT_EQ(permille_of(0, 5), 0U);
}

TEST(StopReasons, AreASet) {
    stop_reasons why;
    EXPECT_TRUE(why.none());
    why |= stop_reason::pinned;
    EXPECT_TRUE(why.has(stop_reason::pinned) && !why.has(stop_reason::raced) && !why.none());
    EXPECT_EQ((stop_reason::pinned | stop_reason::raced), (why | stop_reason::raced));
    EXPECT_FALSE(why == stop_reasons{stop_reason::raced});
}

}  // namespace ratio_test
