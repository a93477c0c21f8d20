#include <ashlar/testing/throttle_conformance.hpp>
#include <ashlar/throttle/combined_throttle.hpp>
#include <ashlar/throttle/cycle_budget.hpp>
#include <ashlar/throttle/no_throttle.hpp>
#include <ashlar/throttle/token_bucket.hpp>

#include <gtest/gtest.h>

using namespace ashlar;

namespace combined_throttle_test {

using both = combined_throttle<token_bucket, cycle_budget>;
static_assert(IoThrottle<both>);
static_assert(both::needs_clock);
static_assert(!combined_throttle<no_throttle, no_throttle>::needs_clock);
static_assert(!IoThrottle<int>);

TEST(NoThrottle, KeepsTheContractOfThrottles) {
    no_throttle throttle;
    EXPECT_EQ(check_throttle(throttle, 1), "");
}

TEST(CombinedThrottle, KeepsTheContractOfThrottles) {
    for (std::uint64_t seed = 1; seed <= 8; ++seed) {
        both throttle{{.first  = {.bytes_per_second = 1 << 26},
                       .second = {.bytes_per_cycle = 1 << 20, .interval = milliseconds(20)}}};
        EXPECT_EQ(check_throttle(throttle, seed), "");
    }
}

TEST(CombinedThrottle, GrantsWhatBothAllow) {
    both throttle{{.first  = {.bytes_per_second = 0, .bytes_in_flight_max = 32 * 1024},
                   .second = {.bytes_per_cycle = 40 * 1024, .interval = milliseconds(1)}}};
    EXPECT_EQ(throttle.acquire({1 << 20, 512}, {}).bytes, 32 * 1024U) << "the first is the narrower";
    throttle.release(32 * 1024, {});
    EXPECT_EQ(throttle.acquire({1 << 20, 512}, {}).bytes, 8 * 1024U) << "the second is";
}

TEST(CombinedThrottle, ARefusalOfTheSecondCostsTheFirstNothing) {
    both throttle{{.first  = {.bytes_per_second = 1 << 20, .bytes_in_flight_max = 64 * 1024, .burst = 64 * 1024},
                   .second = {.bytes_per_cycle = 64 * 1024, .interval = milliseconds(1000)}}};
    EXPECT_EQ(throttle.acquire({64 * 1024, 4096}, {}).bytes, 64 * 1024U);
    throttle.release(64 * 1024, {});
    time_point now{100'000'000};
    for (int i = 0; i < 20; ++i) EXPECT_EQ(throttle.acquire({64 * 1024, 4096}, now).bytes, 0U);
    now = {1'000'000'000};
    EXPECT_EQ(throttle.acquire({64 * 1024, 4096}, now).bytes, 64 * 1024U) << "what the first granted was kept";
}

TEST(CombinedThrottle, ReleasesWhatIsKeptWhenItIsTooLittle) {
    both throttle{{.first  = {.bytes_per_second = 0, .bytes_in_flight_max = 64 * 1024},
                   .second = {.bytes_per_cycle = 60 * 1024, .interval = milliseconds(1)}}};
    EXPECT_EQ(throttle.acquire({64 * 1024, 512}, {}).bytes, 60 * 1024U);
    throttle.release(60 * 1024, {});
    EXPECT_EQ(throttle.acquire({60 * 1024, 60 * 1024}, {1'000'000}).bytes, 60 * 1024U)
        << "4 KiB were kept, which would not do";
}

}  // namespace combined_throttle_test
