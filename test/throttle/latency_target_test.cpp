#include <ashlar/testing/throttle_conformance.hpp>
#include <ashlar/throttle/combined_throttle.hpp>
#include <ashlar/throttle/cycle_budget.hpp>
#include <ashlar/throttle/latency_target.hpp>
#include <ashlar/throttle/token_bucket.hpp>

#include <gtest/gtest.h>

#include "latency_model.hpp"

using namespace ashlar;

namespace latency_target_test {

constexpr std::uint64_t kib = 1024;
constexpr std::uint64_t mib = 1024 * kib;

static_assert(latency_target::observes_alone && observes_alone<latency_target>);
static_assert(!observes_alone<token_bucket>);
static_assert(observes_alone<combined_throttle<token_bucket, latency_target>>);

/// The 99th percentile of the model's reads when nothing is in flight: that of an exponential jitter is mean * ln 100.
double p99_at_rest(model_disk disk) { return disk.at_rest + disk.jitter * std::log(100.0); }

TEST(LatencyCounts, APercentileLiesWithinAnEighthOfTheSampleItStandsFor) {
    random_bits random{3};
    for (const std::uint64_t scale : {1'000ULL, 80'000ULL, 30'000'000ULL}) {
        latency_counts             counts;
        std::vector<std::uint64_t> samples;
        for (int i = 0; i < 5000; ++i) {
            samples.push_back(scale + random.below(scale));
            counts.count(latency_bucket({samples.back()}));
        }
        std::sort(samples.begin(), samples.end());
        const auto exact = static_cast<double>(samples[4949]);
        EXPECT_NEAR(static_cast<double>(percentile_99(counts.totals()).nanoseconds), exact, exact / 16);
    }
}

TEST(LatencyCounts, NothingCountedHasNoPercentile) { EXPECT_EQ(percentile_99({}), duration{}); }

TEST(LatencyCounts, OneSlowSampleInAHundredIsLeftOut) {
    latency_counts counts;
    for (int i = 0; i < 99; ++i) counts.count(latency_bucket({50'000}));
    counts.count(latency_bucket({9'000'000}));
    EXPECT_LT(percentile_99(counts.totals()), duration{60'000});
    counts.count(latency_bucket({9'000'000}));
    EXPECT_GT(percentile_99(counts.totals()), duration{8'000'000}) << "two of 101 are more than a hundredth";
}

TEST(LatencyCounts, BucketsFollowEachOtherWithoutAGap) {
    for (std::size_t bucket = 0; bucket < latency_buckets; ++bucket) {
        EXPECT_EQ(latency_bucket(latency_floor(bucket)), bucket);
        if (bucket == 0) continue;
        EXPECT_EQ(latency_bucket({latency_floor(bucket).nanoseconds - 1}), bucket - 1);
    }
}

duration rest_after_one(const latency_cap& cap, std::uint64_t chunk, duration took) {
    return cap.rest_after({.moved = chunk, .kib_nanoseconds = (chunk >> 10U) * took.nanoseconds, .took = took});
}

TEST(LatencyCap, TakesStepsOfAtMostAFifth) {
    latency_cap cap{{}};
    cap.adapt({1'000'000}, {100'000}, true);
    EXPECT_EQ(cap.bytes(), 64 * kib * 4 / 5 + 1) << "far above the goal";
    latency_cap other{{}};
    other.adapt({1}, {100'000}, true);
    EXPECT_EQ(other.bytes(), 64 * kib * 6 / 5) << "far below";
    other.adapt({100'000}, {100'000}, true);
    EXPECT_EQ(other.bytes(), 64 * kib * 6 / 5) << "at the goal";
    other.adapt({1}, {100'000}, false);
    EXPECT_EQ(other.bytes(), 64 * kib * 6 / 5) << "what was not used does not grow";
    other.adapt({75'000}, {100'000}, true);
    EXPECT_EQ(other.bytes(), 64 * kib * 6 / 5 * 11 / 10) << "a quarter below: a tenth more";
}

TEST(LatencyCap, MakesChunksLargerFirstAndRestsLast) {
    latency_cap   cap{{.chunk_max = 256 * kib, .in_flight_max = mib}};
    std::uint64_t before = cap.chunk();
    while (cap.chunk() < 256 * kib) {
        EXPECT_EQ(rest_after_one(cap, cap.chunk(), milliseconds(1)), duration{});
        cap.adapt({1}, {100}, true);
        EXPECT_GT(cap.chunk(), before);
        before = cap.chunk();
    }
    for (int i = 0; i < 20; ++i) cap.adapt({1}, {100}, true);
    EXPECT_EQ(cap.chunk(), 256 * kib);
    EXPECT_EQ(cap.bytes(), mib) << "four of them";
    while (cap.bytes() > latency_cap::chunk_floor) cap.adapt({1000}, {100}, true);
    EXPECT_EQ(cap.chunk(), latency_cap::chunk_floor);
    cap.adapt({1000}, {100}, true);
    EXPECT_EQ(cap.chunk(), latency_cap::chunk_floor) << "chunks do not become smaller";
    const auto rest = rest_after_one(cap, cap.chunk(), {100'000});
    const auto mean = cap.chunk() * 100'000 / (100'000 + rest.nanoseconds);
    EXPECT_NEAR(static_cast<double>(mean), static_cast<double>(cap.bytes()), 50.0) << "but fewer of the time";
    for (int i = 0; i < 100; ++i) cap.adapt({1000}, {100}, true);
    EXPECT_EQ(rest_after_one(cap, 16 * kib, {625'000}), duration{15'000'000}) << "16 KiB at 1 MiB/s";
    EXPECT_EQ(rest_after_one(cap, 16 * kib, milliseconds(1000)), duration{}) << "which a slow disk does not reach";
}

TEST(LatencyTarget, KeepsTheContractOfThrottles) {
    for (std::uint64_t seed = 1; seed <= 8; ++seed) {
        latency_target throttle{{.factor_permille = 1000 + 100 * static_cast<std::uint32_t>(seed)}};
        EXPECT_EQ(check_throttle(throttle, seed), "");
        latency_target absolute{{.goal = {100'000}}};
        EXPECT_EQ(check_throttle(absolute, seed), "");
    }
}

TEST(LatencyTarget, KeepsTheContractBehindOtherThrottles) {
    combined_throttle<token_bucket, combined_throttle<latency_target, cycle_budget>> throttle{
        {.first  = {.bytes_per_second = 100 * mib},
         .second = {.first = {}, .second = {.bytes_per_cycle = 4 * mib, .interval = milliseconds(20)}}}};
    EXPECT_EQ(check_throttle(throttle, 5), "");
}

struct disk_case {
    std::uint64_t bytes_per_second;
    double        at_rest;
    unsigned      depth;
};

class OnDisks : public testing::TestWithParam<disk_case> {};

TEST_P(OnDisks, LatencyTargetKeepsTwiceTheRestAndMovesWhatTheBestFixedChunkMoves) {
    const auto [bandwidth, at_rest, depth] = GetParam();
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
        const model_disk disk{.bytes_per_second = bandwidth, .at_rest = at_rest, .jitter = at_rest / 15};
        latency_target   throttle;
        throttle_model   model{throttle, disk, seed, depth};
        model.run(milliseconds(1000));
        model.run(milliseconds(6000));  // with a pause to learn in it
        const auto goal = 2 * p99_at_rest(disk);
        EXPECT_GE(model.p99(), 0.75 * goal) << "seed " << seed;
        EXPECT_LE(model.p99(), 1.25 * goal) << "seed " << seed;
        EXPECT_GE(model.bytes_per_second(), 0.85 * best_fixed(disk, goal, seed, milliseconds(300))) << "seed " << seed;
        EXPECT_LE(model.longest_wait(), milliseconds(100)) << "a pause is short";
    }
}

// Disks on which some chunk from 16 KiB on meets the goal.
INSTANTIATE_TEST_SUITE_P(LatencyTarget, OnDisks,
                         testing::Values(disk_case{100'000'000, 200'000, 1}, disk_case{500'000'000, 50'000, 1},
                                         disk_case{500'000'000, 200'000, 4}, disk_case{2'000'000'000, 50'000, 1},
                                         disk_case{2'000'000'000, 50'000, 4}, disk_case{3'500'000'000, 200'000, 4},
                                         disk_case{7'000'000'000, 30'000, 2}));

TEST(LatencyTarget, IsNotMisledByRareStallsThatItDoesNotCause) {
    const model_disk disk;
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
        latency_target throttle;
        throttle_model model{throttle, disk, seed};
        model.stalls = 3000;  // 0.3 %: one in each second window of 150
        model.run(milliseconds(2000));
        model.run(milliseconds(10'000));
        const auto goal = 2 * p99_at_rest(disk);
        EXPECT_NEAR(model.p99(), goal, 0.25 * goal);
        EXPECT_GE(model.bytes_per_second(), 0.85 * best_fixed(disk, goal, seed, milliseconds(300)));
    }
}

TEST(LatencyTarget, GrowsBesideMoversThatAskForWhatTheyGot) {
    for (const double at_rest : {50'000.0, 200'000.0}) {
        const model_disk disk{.bytes_per_second = 1'000'000'000, .at_rest = at_rest, .jitter = at_rest / 15};
        latency_target   throttle;
        throttle_model   model{throttle, disk, 1, 2, 16 * kib};
        model.shares = true;
        model.run(milliseconds(2000));
        model.run(milliseconds(6000));
        const auto goal = 2 * p99_at_rest(disk);
        EXPECT_LE(model.p99(), 1.25 * goal);
        EXPECT_GE(model.bytes_per_second(), 0.85 * best_fixed(disk, goal, 1, milliseconds(300)));
    }
}

TEST(LatencyTarget, PutsSeveralChunksInFlightWhereOneIsNotEnough) {
    const model_disk disk{.bytes_per_second = 7'000'000'000, .at_rest = 400'000, .jitter = 20'000};
    latency_target   throttle{{.chunk_max = 256 * kib}};
    throttle_model   model{throttle, disk, 1, 16};
    model.run(milliseconds(2000));
    EXPECT_GT(throttle.cap(), 4 * 256 * kib);
    model.run(milliseconds(2000));
    EXPECT_LE(model.p99(), 1.25 * 2 * p99_at_rest(disk));
    EXPECT_GE(model.p99(), 0.75 * 2 * p99_at_rest(disk));
}

TEST(LatencyTarget, SpacesChunksWhereEvenTheSmallestIsTooLarge) {
    const model_disk disk{.bytes_per_second = 50'000'000, .at_rest = 50'000};
    EXPECT_EQ(best_fixed(disk, 2 * p99_at_rest(disk), 1, milliseconds(300)), 0.0) << "no fixed chunk would do";
    latency_target throttle;
    throttle_model model{throttle, disk, 1};
    model.run(milliseconds(2000));
    model.run(milliseconds(6000));
    EXPECT_LT(throttle.cap(), latency_cap::chunk_floor);
    EXPECT_LE(model.p99(), 1.25 * 2 * p99_at_rest(disk));
    EXPECT_GE(model.bytes_per_second(), 0.9 * 1024 * 1024) << "and what is least is granted, pauses apart";
    EXPECT_LE(model.longest_wait(), milliseconds(100));
}

TEST(LatencyTarget, DoesNotStarveWhateverTheForegroundSays) {
    latency_target throttle{{.goal = {1}}};  // can never be met
    throttle_model model{throttle, {}, 2};
    model.run(milliseconds(2000));
    EXPECT_GE(model.bytes_per_second(), 0.95 * 1024 * 1024);
}

TEST(LatencyTarget, LearnsAgainWhenTheRestChanges) {
    latency_target throttle;
    throttle_model model{throttle, {.at_rest = 50'000}, 4};
    model.run(milliseconds(3000));
    const auto before  = throttle.cap();
    model.disk.at_rest = 150'000;  // another neighbour on the same array
    model.run(milliseconds(25'000));
    model.run(milliseconds(5000));
    const auto slow = p99_at_rest(model.disk);
    EXPECT_NEAR(static_cast<double>(throttle.p99_at_rest().nanoseconds), slow, 0.15 * slow);
    EXPECT_NEAR(model.p99(), 2 * slow, 0.25 * 2 * slow);
    EXPECT_GT(throttle.cap(), 2 * before);
    model.disk.at_rest = 50'000;
    model.run(milliseconds(25'000));
    model.run(milliseconds(5000));
    EXPECT_NEAR(model.p99(), 2 * p99_at_rest(model.disk), 0.25 * 2 * p99_at_rest(model.disk));
}

TEST(LatencyTarget, KeepsAGoalInTimeWithoutPauses) {
    latency_target throttle{{.goal = {300'000}}};
    throttle_model model{throttle, {}, 5};
    model.run(milliseconds(1000));
    model.run(milliseconds(6000));
    EXPECT_NEAR(model.p99(), 300'000, 0.25 * 300'000);
    EXPECT_LT(model.longest_wait(), milliseconds(5));
    EXPECT_EQ(throttle.p99_at_rest(), duration{});
}

TEST(LatencyTarget, GrantsFreelyWhileNobodyReads) {
    latency_target throttle;
    throttle_model model{throttle, {.bytes_per_second = 300'000'000}, 6};
    model.run(milliseconds(1500));
    model.reads = false;
    model.run(milliseconds(1000));
    const auto learned = throttle.cap();
    EXPECT_LT(learned, 64 * kib);
    model.run(milliseconds(1000));
    EXPECT_EQ(model.bytes_per_second() / static_cast<double>(mib), static_cast<double>(model.chunks())) << "1 MiB each";
    EXPECT_EQ(throttle.cap(), learned) << "what was learned is kept";
    model.reads = true;
    model.run(milliseconds(20));
    EXPECT_LT(throttle.acquire({mib, 4 * kib}, model.now()).bytes, 128 * kib) << "the first reads end it";
}

TEST(LatencyTarget, DoesNotOpenForTheNextBurstWhileMaintenanceRests) {
    latency_target throttle{{.goal = {200'000}}};
    const auto     read = [&](time_point now) { throttle.observe(io_kind::read, 4096, {50'000}, now); };
    time_point     now{};
    for (int round = 0; round < 200; ++round) {  // one short chunk in each tenth of a second
        const auto grant = throttle.acquire({64 * kib, 4 * kib}, now);
        throttle.release(grant.bytes, now + duration{100'000});
        for (int i = 0; i < 1000; ++i) read(now);
        now = now + milliseconds(100);
    }
    EXPECT_EQ(throttle.cap(), latency_cap::cap_first);
}

TEST(LatencyTarget, WatchesOnlyWhatItIsToldToWatch) {
    const auto drive = [](io_kind watched) {
        latency_target throttle{{.goal = {200'000}, .watched = watched}};
        for (time_point now{}; now < time_point{} + milliseconds(400); now = now + milliseconds(1)) {
            const auto grant = throttle.acquire({64 * kib, 4 * kib}, now);
            throttle.release(grant.bytes, now + duration{100'000});
            for (int i = 0; i < 20; ++i) throttle.observe(io_kind::write, 4096, {900'000}, now);
        }
        return throttle.cap();
    };
    EXPECT_EQ(drive(io_kind::read), latency_cap::cap_first);
    EXPECT_LT(drive(io_kind::write), 4 * kib);
}

TEST(LatencyTarget, GrantsABlockLargerThanItsCapWhenNothingIsInFlight) {
    latency_target throttle{{.goal = {1'000'000}}};
    EXPECT_EQ(throttle.acquire({128 * kib, 128 * kib}, {}).bytes, 128 * kib);
    EXPECT_EQ(throttle.acquire({16 * kib, 4 * kib}, {}), (io_grant{0, after_release}));
    throttle.release(128 * kib, {1});
    EXPECT_EQ(throttle.in_flight(), 0U);
}

}  // namespace latency_target_test
