#include <ashlar/testing/throttle_conformance.hpp>
#include <ashlar/throttle/cycle_budget.hpp>

#include <gtest/gtest.h>

using namespace ashlar;

namespace cycle_budget_test {

TEST(CycleBudget, KeepsTheContractOfThrottles) {
    for (std::uint64_t seed = 1; seed <= 8; ++seed) {
        cycle_budget throttle{{.bytes_per_cycle = 300'000, .interval = milliseconds(5)}};
        EXPECT_EQ(check_throttle(throttle, seed), "");
    }
}

TEST(CycleBudget, AllowsTwoHundredAndFiftySixBlocksInThirtySecondsByDefault) {
    cycle_budget  throttle;
    std::uint64_t blocks = 0;
    while (throttle.acquire({4096, 4096}, {1}).bytes == 4096) ++blocks;
    EXPECT_EQ(blocks, 256U);
    EXPECT_EQ(throttle.acquire({4096, 4096}, {2}), (io_grant{0, time_point{30 * nanoseconds_per_second + 1}}));
    EXPECT_EQ(throttle.acquire({4096, 4096}, {30 * nanoseconds_per_second + 1}).bytes, 4096U)
        << "the next cycle begins";
}

TEST(CycleBudget, DoesNotSaveUpWhatACycleLeaves) {
    cycle_budget throttle{cycle_budget::of_blocks({4}, {512}, milliseconds(1))};
    EXPECT_EQ(throttle.acquire({512, 512}, {}).bytes, 512U);
    const time_point later_on{100'000'000};
    EXPECT_EQ(throttle.acquire({1 << 20, 512}, later_on).bytes, 2048U);
    EXPECT_EQ(throttle.acquire({1 << 20, 512}, later_on).bytes, 0U);
}

TEST(CycleBudget, CutsTheLastGrantToWhatIsLeft) {
    cycle_budget throttle{{.bytes_per_cycle = 10'000, .interval = milliseconds(1)}};
    EXPECT_EQ(throttle.acquire({8192, 512}, {}).bytes, 8192U);
    EXPECT_EQ(throttle.acquire({8192, 4096}, {}).bytes, 0U);
    EXPECT_EQ(throttle.acquire({8192, 512}, {}).bytes, 10'000U - 8192U);
}

TEST(CycleBudget, SpendsAWholeCycleOnABlockLargerThanIt) {
    cycle_budget throttle{{.bytes_per_cycle = 4096, .interval = milliseconds(1)}};
    EXPECT_EQ(throttle.acquire({65536, 65536}, {}).bytes, 65536U);
    EXPECT_EQ(throttle.acquire({512, 512}, {}), (io_grant{0, time_point{1'000'000}}));
}

}  // namespace cycle_budget_test
