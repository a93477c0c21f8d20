#include <ashlar/testing/throttle_conformance.hpp>
#include <ashlar/throttle/token_bucket.hpp>

#include <gtest/gtest.h>

using namespace ashlar;

namespace token_bucket_test {

constexpr std::uint64_t mib = 1024 * 1024;

TEST(TokenBucket, KeepsTheContractOfThrottles) {
    for (std::uint64_t seed = 1; seed <= 8; ++seed) {
        token_bucket throttle{
            {.bytes_per_second = 20 * mib, .operations_per_second = 500, .bytes_in_flight_max = 128 * 1024}};
        EXPECT_EQ(check_throttle(throttle, seed), "");
    }
}

TEST(TokenBucket, RefusesWhatWouldBeTooMuchInFlightUntilARelease) {
    token_bucket throttle{{.bytes_per_second = 0, .bytes_in_flight_max = 64 * 1024}};
    EXPECT_EQ(throttle.acquire({48 * 1024, 4096}, {}).bytes, 48 * 1024);
    EXPECT_EQ(throttle.acquire({48 * 1024, 4096}, {}).bytes, 16 * 1024) << "what is left is granted";
    EXPECT_EQ(throttle.acquire({4096, 4096}, {}), (io_grant{0, after_release}));
    throttle.release(16 * 1024, {});
    EXPECT_EQ(throttle.acquire({64 * 1024, 4096}, {}).bytes, 16 * 1024);
}

TEST(TokenBucket, DoesNotCutChunksBelowItsFloor) {
    token_bucket throttle{{.bytes_per_second = 0, .bytes_in_flight_max = 64 * 1024}};
    EXPECT_EQ(throttle.acquire({56 * 1024, 4096}, {}).bytes, 56 * 1024);
    EXPECT_EQ(throttle.acquire({64 * 1024, 4096}, {}).bytes, 0U) << "8 KiB are left, which is too little for a chunk";
    EXPECT_EQ(throttle.acquire({8 * 1024, 4096}, {}).bytes, 8 * 1024) << "but all that this one wants";
}

TEST(TokenBucket, RaisesSmallerCapsToItsFloor) {
    token_bucket throttle{{.bytes_per_second = 0, .bytes_in_flight_max = 1, .burst = 1}};
    EXPECT_EQ(throttle.acquire({64 * 1024, 512}, {}).bytes, token_bucket::chunk_floor);
}

TEST(TokenBucket, GrantsABlockLargerThanItsCapWhenNothingIsInFlight) {
    token_bucket throttle{{.bytes_per_second = 0, .bytes_in_flight_max = 16 * 1024}};
    EXPECT_EQ(throttle.acquire({64 * 1024, 64 * 1024}, {}).bytes, 64 * 1024);
    EXPECT_EQ(throttle.acquire({64 * 1024, 64 * 1024}, {}).bytes, 0U);
}

TEST(TokenBucket, PassesNoMoreThanBurstAndRateInAnyTime) {
    token_bucket  throttle{{.bytes_per_second = 10 * mib, .bytes_in_flight_max = 256 * 1024, .burst = 512 * 1024}};
    std::uint64_t passed = 0;
    time_point    now{};
    while (now.nanoseconds < 2 * nanoseconds_per_second) {
        const auto grant = throttle.acquire({256 * 1024, 4096}, now);
        passed += grant.bytes;
        throttle.release(grant.bytes, now);
        if (grant.bytes == 0) now = grant.not_before;
    }
    EXPECT_LE(passed, 20 * mib + 512 * 1024 + 256 * 1024);
    EXPECT_GE(passed, 20 * mib - 256 * 1024) << "who comes back at the time named gets the whole rate";
}

TEST(TokenBucket, SpacesOperationsEvenly) {
    token_bucket throttle{{.bytes_per_second = 0, .operations_per_second = 100, .bytes_in_flight_max = mib}};
    EXPECT_EQ(throttle.acquire({4096, 4096}, {}).bytes, 4096U);
    EXPECT_EQ(throttle.acquire({4096, 4096}, {}), (io_grant{0, time_point{10'000'000}}));
    EXPECT_EQ(throttle.acquire({4096, 4096}, {10'000'000}).bytes, 4096U);
}

TEST(TokenBucket, CountsSlowRatesExactly) {
    token_bucket throttle{{.bytes_per_second = 1, .burst = 1}};
    EXPECT_EQ(throttle.acquire({16 * 1024, 1}, {}).bytes, 16 * 1024U);
    const auto refused = throttle.acquire({16 * 1024, 1}, {});
    EXPECT_EQ(refused.bytes, 0U);
    throttle.release(16 * 1024, {});
    EXPECT_EQ(throttle.acquire({16 * 1024, 1}, {}).not_before, (time_point{16 * 1024 * nanoseconds_per_second}));
}

TEST(TokenBucket, DoesNotWrapAtTheEndOfTime) {
    token_bucket     throttle{{.bytes_per_second = 1, .burst = 1}};
    const time_point end{~std::uint64_t{0} - 5};
    EXPECT_EQ(throttle.acquire({~std::uint64_t{0}, 16 * 1024}, end).bytes, 64 * 1024U);
    throttle.release(64 * 1024, end);
    const auto refused = throttle.acquire({16 * 1024, 1}, end);
    EXPECT_EQ(refused.bytes, 0U);
    EXPECT_GT(refused.not_before, end);
}

TEST(Pacer, DelaysOneRequestAboveItsAllowanceUntilNothingIsOwed) {
    pacer pace{1000, 10};
    EXPECT_EQ(pace.due(100), time_point{});
    pace.pass(100, {});
    EXPECT_EQ(pace.due(100), (time_point{100'000'000}));
    EXPECT_EQ(pace.due(4), (time_point{94'000'000})) << "the allowance covers it earlier";
}

}  // namespace token_bucket_test
