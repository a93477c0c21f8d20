#include <ashlar/hosted/steady_clock.hpp>
#include <ashlar/testing/manual_clock.hpp>

#include <gtest/gtest.h>

namespace manual_clock_test {

using namespace ashlar;

TEST(ManualClock, StandsStillUntilItIsMovedAndCopiesMoveTogether) {
    manual_clock mine{time_point{100}};
    const auto   theirs = mine;
    EXPECT_EQ(theirs.now(), time_point{100});
    mine.advance(milliseconds(2));
    EXPECT_EQ(theirs.now(), time_point{2'000'100});
    mine.set(time_point{3'000'000});
    EXPECT_EQ(theirs.now(), time_point{3'000'000});
    EXPECT_EQ(manual_clock{}.now(), time_point{}) << "another clock is another time";
}

TEST(SteadyClock, GoesOnAndNeverBack) {
    const steady_clock clock;
    const auto         first = clock.now();
    auto               last  = first;
    for (unsigned i = 0; i < 1'000'000 && last == first; ++i) {
        const auto now = clock.now();
        ASSERT_GE(now, last);
        last = now;
    }
    EXPECT_GT(last, first);
    EXPECT_GT(first.nanoseconds, 0U);
}

}  // namespace manual_clock_test
