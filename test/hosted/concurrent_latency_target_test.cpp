#include <ashlar/hosted/concurrent_latency_target.hpp>
#include <ashlar/testing/throttle_conformance.hpp>

#include <gtest/gtest.h>

#include <thread>

using namespace ashlar;

namespace concurrent_latency_target_test {

TEST(ConcurrentLatencyTarget, KeepsTheContractOfThrottles) {
    for (std::uint64_t seed = 1; seed <= 4; ++seed) {
        concurrent_latency_target throttle;
        EXPECT_EQ(check_throttle(throttle, seed), "");
    }
}

TEST(ConcurrentLatencyTarget, LosesNoCountOfManyThreads) {
    constexpr unsigned        threads = 6;
    constexpr unsigned        each    = 20'000;
    concurrent_latency_counts counts;
    std::vector<std::thread>  running;
    for (unsigned t = 0; t < threads; ++t) {
        running.emplace_back([&counts, t] {
            for (unsigned i = 0; i < each; ++i) counts.count(t % 2 == 0 ? 40 : i % latency_buckets);
        });
    }
    for (auto& one : running) one.join();
    EXPECT_EQ(samples_in(counts.totals()), threads * each);
    EXPECT_GE(counts.totals()[40], threads / 2 * each);
}

TEST(ConcurrentLatencyTarget, HearsThreadsWhileItGrants) {
    concurrent_latency_target throttle{{.goal = {100'000}}};
    std::atomic<bool>         enough{false};
    std::atomic<unsigned>     told{0};
    std::vector<std::thread>  foreground;
    for (int t = 0; t < 3; ++t) {
        foreground.emplace_back([&] {
            while (!enough) {
                throttle.observe(io_kind::read, 4096, {5'000'000}, {});
                ++told;
                std::this_thread::yield();
            }
        });
    }
    time_point now{1};
    while (throttle.cap() > latency_cap::cap_min) {
        const auto before = told.load();
        while (told.load() < before + 20) std::this_thread::yield();
        const auto grant = throttle.acquire({65536, 4096}, now);
        now              = now + milliseconds(25);
        throttle.release(grant.bytes, now);
    }
    enough = true;
    for (auto& one : foreground) one.join();
    EXPECT_GT(throttle.p99(), duration{4'000'000});
}

TEST(ConcurrentLatencyTarget, MovesWithWhatItCounted) {
    concurrent_latency_counts counts;
    counts.count(7);
    auto other = counts;
    other.count(7);
    counts = other;
    EXPECT_EQ(counts.totals()[7], 2U);
}

}  // namespace concurrent_latency_target_test
