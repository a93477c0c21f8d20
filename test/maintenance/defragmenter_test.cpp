#include "../relocation/fake_host.hpp"

#include <ashlar/defrag_policy/no_defrag.hpp>
#include <ashlar/maintenance/defragmenter.hpp>
#include <ashlar/throttle/token_bucket.hpp>

#include <gtest/gtest.h>

#include <memory>

using namespace ashlar_test;

namespace defragmenter_test {

using untimed   = defragmenter<fake_host, threshold_policy, no_throttle, no_clock>;
using timed     = defragmenter<fake_host, threshold_policy, no_throttle, hand_clock>;
using throttled = defragmenter<fake_host, threshold_policy, token_bucket, hand_clock>;

/// Small memory, no rests, no cycles: what tests of single traits begin with.
defrag_options plain() {
    defrag_options options;
    options.threshold_permille = 1;
    options.cycle_blocks_max   = {0};
    options.window             = {64};
    options.extents_min        = 2;
    options.priority           = defrag_intensity::unpaced;
    options.chunk_bytes        = 8 * fake_host::block_bytes;
    options.pieces_max         = 67;
    options.candidates_max     = 32;
    return options;
}

template <class Defragmenter>
struct rig {
    explicit rig(const defrag_options& options, auto... rest)
        : memory(Defragmenter::memory_bytes(options, {fake_host::block_bytes})),
          worker{Defragmenter::create(options, {fake_host::block_bytes}, memory,
                                      threshold_policy{.extents_min = options.extents_min}, rest...)
                     .value()} {}

    /// Steps until the pass is over, passing time when told to wait.
    progress finish(fake_host& host, step_budget budget = {}) {
        for (int steps = 0; steps < 100'000; ++steps) {
            const auto said = worker.step(host, budget);
            if (said.reasons.has(stop_reason::finished)) return said;
            if constexpr (requires { worker.clock().time; }) {
                if (said.reasons.has(stop_reason::throttled)) worker.clock().time = said.not_before;
            }
        }
        ADD_FAILURE() << "the pass never ends";
        return {};
    }

    std::vector<std::byte> memory;
    Defragmenter           worker;
};

fake_host scattered(std::uint64_t objects = 4, std::uint64_t pieces = 6) {
    fake_host host{1024};
    for (std::uint64_t o = 0; o < objects; ++o) {
        for (std::uint64_t i = 0; i < pieces; ++i) host.add(o + 1, i * 2, 1 + (i * objects + o) * 5, 2);
    }
    return host;
}

// ---- what a pass does
// ------------------------------------------------------------------------------------------------

TEST(Defragmenter, PutsObjectsTogetherAndKeepsTheirContent) {
    auto         host = scattered();
    rig<untimed> r{plain()};
    const auto   said = r.finish(host);
    EXPECT_FALSE(said.reasons.has(stop_reason::nothing_to_gain));
    for (std::uint64_t o = 1; o <= 4; ++o) EXPECT_EQ(host.pieces(o), 1U);
    EXPECT_EQ(host.broken(), "");
    EXPECT_EQ(r.worker.last_cycle().objects_defragmented, 4U);
    EXPECT_EQ(r.worker.last_cycle().before.objects_permille, 1000U);
    EXPECT_EQ(r.worker.last_cycle().after.objects_permille, 0U);
    EXPECT_EQ(said.moved, r.worker.lifetime().blocks_moved);
    EXPECT_EQ(said.done, said.total);
}

TEST(Defragmenter, ThePotentialFallsWithEveryFlip) {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        fake_host host{3000};
        host.scatter(seed, 60, 9, 7);
        auto options     = plain();
        auto energy      = host.energy();
        options.priority = defrag_intensity::low;  // one move a batch
        rig<untimed> r{options};
        host.on_sync = [&] {
            EXPECT_LT(host.energy(), energy) << "a sync follows each move";
            energy = host.energy();
        };
        int passes = 0;
        while (!r.finish(host).reasons.has(stop_reason::nothing_to_gain)) ASSERT_LT(++passes, 100);
        EXPECT_GT(host.flips, 10U);
        EXPECT_EQ(host.broken(), "");
    }
}

TEST(Defragmenter, StopsWhenNothingIsToBeGained) {
    fake_host host{3000};
    host.scatter(7, 60, 9, 7);
    rig<untimed> r{plain()};
    while (!r.finish(host).reasons.has(stop_reason::nothing_to_gain)) {}
    const auto flips = host.flips;
    EXPECT_TRUE(r.finish(host).reasons.has(stop_reason::nothing_to_gain));
    EXPECT_EQ(host.flips, flips) << "a tidy volume is not moved about";
}

TEST(Defragmenter, AnEmptyVolumeHasNothingToGain) {
    fake_host    host{64};
    rig<untimed> r{plain()};
    EXPECT_EQ(r.worker.step(host, {}).reasons, stop_reason::finished | stop_reason::nothing_to_gain);
    EXPECT_EQ(r.worker.last_cycle(), defrag_cycle_result{});
}

TEST(Defragmenter, WorksOnlyAboveItsThreshold) {
    auto host = scattered(1);
    for (std::uint64_t o = 0; o < 9; ++o) host.add(100 + o, 0, 900 + o, 1);
    auto options                 = plain();
    options.compact_free_extents = false;
    options.threshold_permille   = 101;
    rig<untimed> idle{options};
    fake_host    compact = host;
    for (auto run : compact.free_runs()) {  // one free run: only objects could pass the threshold
        if (run != compact.free_runs().back()) compact.add(1000 + run.first.value, 0, run.first.value, run.count.value);
    }
    EXPECT_TRUE(idle.finish(compact).reasons.has(stop_reason::nothing_to_gain));
    EXPECT_TRUE(idle.worker.plan(compact).value().below_threshold);
    options.threshold_permille = 20;
    rig<untimed> busy{options};
    EXPECT_FALSE(busy.finish(compact).reasons.has(stop_reason::nothing_to_gain));
    EXPECT_EQ(compact.pieces(1), 1U);
}

TEST(Defragmenter, LeavesObjectsWithFewerPiecesThanExtentsMin) {
    auto host = scattered(2, 4);
    for (std::uint64_t i = 0; i < 5; ++i) host.add(9, i, 500 + 3 * i, 1);
    auto options                 = plain();
    options.extents_min          = 5;
    options.compact_free_extents = false;
    rig<untimed> r{options};
    r.finish(host);
    EXPECT_EQ(host.pieces(1), 4U);
    EXPECT_EQ(host.pieces(9), 1U);
}

TEST(Defragmenter, MovesTheBestCandidateFirst) {
    auto host = scattered(1, 3);
    for (std::uint64_t i = 0; i < 12; ++i) host.add(5, i, 500 + 3 * i, 1);
    auto options                 = plain();
    options.compact_free_extents = false;
    options.priority             = defrag_intensity::low;
    rig<untimed> r{options};
    while (host.flips == 0) (void)r.worker.step(host, {.blocks_max = 1});
    EXPECT_EQ(host.pieces(5), 1U) << "most pieces to lose, though it comes last";
    EXPECT_EQ(host.pieces(1), 3U);
}

TEST(Defragmenter, GoesOnWithTheCursorWhenItsWindowIsSpent) {
    auto host              = scattered(30, 4);
    auto options           = plain();
    options.candidates_max = 3;
    rig<untimed> r{options};
    r.finish(host);
    for (std::uint64_t o = 1; o <= 30; ++o) EXPECT_EQ(host.pieces(o), 1U);
}

TEST(Defragmenter, MergesFreeRunsByMovingWhatStandsBetweenThem) {
    fake_host host{200};
    for (std::uint64_t o = 0; o < 5; ++o) host.add(o + 1, 0, 20 * o + 10, 3);
    host.add(9, 0, 110, 80);
    const auto   before = host.energy();
    rig<untimed> r{plain()};
    r.worker.start_merging();
    r.finish(host);
    EXPECT_EQ(r.worker.last_cycle().extents_merged, host.flips);
    EXPECT_GT(host.flips, 0U);
    EXPECT_LE(host.energy().second, before.second - host.flips) << "each merge takes one free run away, or two";
    EXPECT_LT(r.worker.last_cycle().after.free_permille, r.worker.last_cycle().before.free_permille);
    EXPECT_EQ(host.broken(), "");
}

TEST(Defragmenter, StartMergingMovesNoRanges) {
    auto         host = scattered(3, 4);
    rig<untimed> r{plain()};
    r.worker.start_merging();
    r.finish(host);
    EXPECT_EQ(r.worker.lifetime().extents_saved, 0U);
}

// ---- groups
// ----------------------------------------------------------------------------------------------------------

TEST(Defragmenter, ACycleOnAGroupTouchesOnlyWhatHasAPieceInIt) {
    fake_host host{400, 100};
    for (std::uint64_t o = 0; o < 4; ++o) {
        for (std::uint64_t i = 0; i < 5; ++i) host.add(o + 1, i, o * 100 + 3 + i * 4, 1);
    }
    auto options                 = plain();
    options.compact_free_extents = false;
    rig<untimed> r{options};
    r.worker.start_cycle(2);
    r.finish(host);
    EXPECT_EQ(host.pieces(3), 1U);
    for (const std::uint64_t o : {1U, 2U, 4U}) EXPECT_EQ(host.pieces(o), 5U);
    EXPECT_EQ(r.worker.lifetime().cycles, 1U);
}

TEST(Defragmenter, AGroupThatDoesNotExistIsAnError) {
    fake_host    host{64};
    rig<untimed> r{plain()};
    r.worker.start_cycle(99);
    const auto said = r.worker.step(host, {});
    EXPECT_TRUE(said.reasons.has(stop_reason::device_error));
    EXPECT_EQ(said.failure.code, errc::out_of_range);
}

TEST(Defragmenter, GroupsComeWorstFirstEachOnceAPassUntilNothingMoves) {
    fake_host           host{400, 100};
    const std::uint64_t pieces[] = {3, 9, 6, 0};
    for (std::uint64_t o = 0; o < 4; ++o) {
        for (std::uint64_t i = 0; i < pieces[o]; ++i) host.add(o + 1, i, o * 100 + 3 + i * 10, 1);
    }
    auto options                 = plain();
    options.compact_free_extents = false;
    options.priority             = defrag_intensity::low;
    rig<untimed> r{options};
    r.worker.start_groups();
    std::vector<std::uint64_t> order;
    host.on_sync = [&] {
        for (std::uint64_t o = 1; o <= 3; ++o) {
            if (host.pieces(o) == 1 && std::find(order.begin(), order.end(), o) == order.end()) order.push_back(o);
        }
    };
    const auto said = r.finish(host);
    EXPECT_EQ(order, (std::vector<std::uint64_t>{2, 3, 1}));
    EXPECT_TRUE(said.reasons.has(stop_reason::nothing_to_gain)) << "the second pass found nothing";
    EXPECT_EQ(r.worker.lifetime().passes, 2U);
    EXPECT_EQ(r.worker.lifetime().cycles, 8U) << "four groups, twice";
}

TEST(GroupOrder, HandsOutEachGroupOnceHoweverSmallItsMemory) {
    fake_host host{1000, 10};
    for (std::uint64_t g = 0; g < 100; ++g) host.add(g + 1, 0, g * 10 + g % 8, 1);
    std::vector<ranked_group> memory(7);
    group_order               order{memory};
    order.begin();
    std::set<std::uint64_t> seen;
    for (;;) {
        std::uint64_t looks = 3;
        while (!order.advance(host, looks).value()) looks = 3;
        const auto group = order.take();
        if (!group) break;
        EXPECT_TRUE(seen.insert(*group).second);
    }
    EXPECT_EQ(seen.size(), 100U);
}

// ---- budgets, rests and cycles
// ---------------------------------------------------------------------------------------

TEST(Defragmenter, NoStepCopiesMoreThanItsBudget) {
    for (std::uint64_t blocks = 1; blocks < 20; ++blocks) {
        auto         host = scattered();
        rig<untimed> r{plain()};
        for (bool done = false; !done;) {
            const auto before = host.blocks_written;
            const auto calls  = host.calls;
            done = r.worker.step(host, {.blocks_max = blocks, .candidates_max = 3}).reasons.has(stop_reason::finished);
            ASSERT_LE(host.blocks_written - before, blocks);
            ASSERT_LE(host.calls - calls, 3U + 3U * 16U);
        }
        EXPECT_EQ(host.broken(), "");
        EXPECT_EQ(host.pieces(4), 1U);
    }
}

TEST(Defragmenter, ACycleMovesAtMostItsBlocksAndTheNextWaitsForItsTime) {
    auto host                    = scattered(12, 6);  // 144 blocks
    auto options                 = plain();
    options.cycle_blocks_max     = {40};
    options.compact_free_extents = false;
    rig<timed> r{options};
    progress   said;
    do said = r.worker.step(host, {});
    while (!said.reasons.has(stop_reason::throttled));
    EXPECT_EQ(said.not_before.nanoseconds, 30 * nanoseconds_per_second);
    EXPECT_EQ(host.blocks_written, 36U) << "the fourth object does not fit";
    EXPECT_TRUE(r.worker.last_cycle().budget_exhausted);
    EXPECT_EQ(r.worker.last_cycle().objects_defragmented, 3U);
    EXPECT_EQ(host.broken(), "") << "what was moved is durable";
    r.finish(host);
    EXPECT_EQ(r.worker.lifetime().cycles, 4U);
    EXPECT_EQ(r.worker.lifetime().cycles_exhausted, 3U);
    EXPECT_EQ(r.worker.clock().time.nanoseconds, 90 * nanoseconds_per_second);
    EXPECT_EQ(host.pieces(12), 1U);
}

TEST(Defragmenter, WithoutAClockACycleEndsTheStep) {
    auto host                    = scattered(12, 6);
    auto options                 = plain();
    options.cycle_blocks_max     = {40};
    options.compact_free_extents = false;
    rig<untimed> r{options};
    EXPECT_TRUE(r.worker.step(host, {.blocks_max = 1000}).reasons.has(stop_reason::budget_spent));
    EXPECT_EQ(host.blocks_written, 36U);
    r.finish(host, {.blocks_max = 1000});
    EXPECT_EQ(host.blocks_written, 144U);
}

TEST(Defragmenter, AMoveThatRacesMakeTooDearForItsCycleIsUndone) {
    auto host                    = scattered(1, 6);
    auto options                 = plain();
    options.cycle_blocks_max     = {20};
    options.compact_free_extents = false;
    rig<untimed> r{options};
    int          races = 1;
    host.on_flip       = [&] {
        if (races-- > 0) host.overwrite(1, 3);
    };
    r.finish(host);
    EXPECT_EQ(r.worker.lifetime().undone, 1U);
    EXPECT_EQ(r.worker.lifetime().moves, 0U);
    EXPECT_EQ(r.worker.lifetime().blocks_copied.value, 20U);
    EXPECT_EQ(host.broken(), "") << "its target is free again";
    r.finish(host);
    EXPECT_EQ(host.pieces(1), 1U) << "the next pass moves it";
}

TEST(Defragmenter, IntensitiesRestBetweenBatches) {
    EXPECT_EQ(pace_of(defrag_intensity::normal), (defrag_pace{5, milliseconds(50)}));
    EXPECT_EQ(pace_of(defrag_intensity::aggressive), (defrag_pace{10, milliseconds(10)}));
    auto host                    = scattered(12, 6);
    auto options                 = plain();
    options.compact_free_extents = false;
    options.priority             = defrag_intensity::medium;
    rig<timed> r{options};
    auto       said = r.worker.step(host, {.blocks_max = 1000});
    EXPECT_TRUE(said.reasons.has(stop_reason::throttled));
    EXPECT_EQ(said.not_before.nanoseconds, 50'000'000U);
    EXPECT_EQ(host.flips, 5U) << "five extents share a sync";
    EXPECT_EQ(host.syncs, 1U);
    said = r.worker.step(host, {.blocks_max = 1000});
    EXPECT_EQ(host.flips, 5U) << "too early";
    r.finish(host);
    EXPECT_EQ(host.syncs, 3U);
}

TEST(Defragmenter, LowIntensityRestsLongerNearTheEndOfACycle) {
    auto host                    = scattered(2, 6);
    auto options                 = plain();
    options.compact_free_extents = false;
    options.cycle_blocks_max     = {26};
    options.priority             = defrag_intensity::background;
    rig<timed> r{options};
    auto       said = r.worker.step(host, {});
    EXPECT_EQ(said.not_before.nanoseconds, 100'000'000U);
    r.worker.clock().time = said.not_before;
    said                  = r.worker.step(host, {.blocks_max = 12});
    EXPECT_EQ(said.not_before.nanoseconds, 210'000'000U) << "two blocks of 26 are left";
}

TEST(Defragmenter, HandsOnWhatTheThrottleSays) {
    auto host                    = scattered(4, 8);
    auto options                 = plain();
    options.compact_free_extents = false;
    options.chunk_bytes          = 4 * 4096;
    rig<throttled> r{
        options, token_bucket{{.bytes_per_second = 16 * 1024, .bytes_in_flight_max = 16 * 1024, .burst = 16 * 1024}}};
    auto said = r.worker.step(host, {});
    EXPECT_TRUE(said.reasons.has(stop_reason::throttled));
    EXPECT_GT(said.not_before.nanoseconds, 0U);
    EXPECT_EQ(r.worker.throttle().in_flight(), 0U);
    r.finish(host);
    EXPECT_EQ(host.pieces(4), 1U);
    EXPECT_GE(r.worker.clock().time.nanoseconds, 1'000'000'000U) << "32 KiB at 16 KiB a second, 16 of them at once";
}

TEST(Defragmenter, BacksOffAfterAPassThatMovedNothing) {
    fake_host host{64};
    host.add(1, 0, 10, 4);
    rig<timed> r{plain()};
    (void)r.finish(host);
    const auto calls = host.calls;
    const auto said  = r.worker.step(host, {});
    EXPECT_EQ(said.reasons, stop_reason::throttled | stop_reason::nothing_to_gain);
    EXPECT_EQ(said.not_before.nanoseconds, 30 * nanoseconds_per_second);
    EXPECT_EQ(host.calls, calls) << "it did not even look";
    r.worker.start_pass();
    EXPECT_TRUE(r.worker.step(host, {}).reasons.has(stop_reason::finished)) << "who asks is served";
}

// ---- plan
// ------------------------------------------------------------------------------------------------------------

void expect_within(std::uint64_t planned, std::uint64_t real, const char* what) {
    EXPECT_LE(planned, real + (real + 19) / 20) << what;
    EXPECT_GE(planned + (real + 19) / 20, real) << what;
}

TEST(DefragPlan, ForeseesRangesWithinFivePercent) {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        fake_host host{20000};
        host.scatter(seed, 50, 14, 9, 9000);
        auto options                 = plain();
        options.compact_free_extents = false;
        options.extents_min          = 5;
        rig<untimed> r{options};
        const auto   energy = host.energy();
        const auto   plan   = r.worker.plan(host).value();
        EXPECT_EQ(host.blocks_written, 0U);
        EXPECT_EQ(host.energy(), energy) << "a plan changes nothing";
        r.finish(host);
        const auto& real = r.worker.lifetime();
        expect_within(plan.moves, real.moves, "moves");
        expect_within(plan.blocks.value, real.blocks_moved.value, "blocks");
        expect_within(plan.bytes_written, real.bytes_moved, "bytes");
        expect_within(plan.extents_saved, real.extents_saved, "extents");
        expect_within(plan.extents_saved, energy.first - host.energy().first, "extents as the host counts them");
        EXPECT_NEAR(plan.after.objects_permille, r.worker.last_cycle().after.objects_permille,
                    plan.before.objects_permille / 20.0);
        EXPECT_EQ(plan.before, r.worker.last_cycle().before);
        EXPECT_EQ(plan.memory_bytes, r.memory.size());
        EXPECT_GT(plan.moves, 20U);
    }
}

TEST(DefragPlan, ForeseesMergesWithinFivePercent) {
    std::uint64_t planned = 0, real = 0, planned_blocks = 0, real_blocks = 0;
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        fake_host     host{60000};
        random_bits   random{seed};
        std::uint64_t at = 0;
        for (std::uint64_t owner = 1; at < 50000; ++owner) {
            at += 1 + random.below(400);
            const auto count = 1 + random.below(20);
            host.add(owner, 0, at, count);
            at += count;
        }
        auto options        = plain();
        options.chunk_bytes = 64 * 1024;  // room for the plan's targets
        rig<untimed> r{options};
        const auto   plan = r.worker.plan(host).value();
        EXPECT_EQ(host.broken(), "") << "what the plan reserved is free again";
        EXPECT_EQ(plan.moves, plan.merges);
        r.finish(host);
        planned += plan.merges;
        planned_blocks += plan.blocks.value;
        real += r.worker.lifetime().extents_merged;
        real_blocks += r.worker.lifetime().blocks_moved.value;
    }
    expect_within(planned, real, "merges");
    expect_within(planned_blocks, real_blocks, "blocks");
    EXPECT_GT(real, 500U);
}

TEST(DefragPlan, ForeseesAPassOfBothKindsWithinFivePercent) {
    std::uint64_t planned = 0, real = 0;
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        fake_host host{30000};
        host.scatter(seed, 40, 12, 9, 12000);
        auto options        = plain();
        options.extents_min = 5;
        options.chunk_bytes = 64 * 1024;
        rig<untimed> r{options};
        const auto   plan = r.worker.plan(host).value();
        r.finish(host);
        planned += plan.blocks.value;
        real += r.worker.lifetime().blocks_moved.value;
        EXPECT_GT(plan.merges, 10U);
        EXPECT_GT(plan.moves, plan.merges + 50);
    }
    expect_within(planned, real, "blocks");
}

TEST(DefragPlan, ReckonsTimeFromRateRestsAndCycles) {
    auto host                    = scattered(10, 6);  // 120 blocks of 512
    auto options                 = plain();
    options.compact_free_extents = false;
    options.bytes_per_second     = 6144;
    EXPECT_EQ(rig<untimed>{options}.worker.plan(host).value().time.nanoseconds, 10 * nanoseconds_per_second);
    options.priority = defrag_intensity::medium;
    EXPECT_EQ(rig<untimed>{options}.worker.plan(host).value().time.nanoseconds, 10'100'000'000U);
    options.cycle_blocks_max = {60};
    EXPECT_EQ(rig<untimed>{options}.worker.plan(host).value().time.nanoseconds, 60 * nanoseconds_per_second);
    options.verify_target = true;
    const auto plan       = rig<untimed>{options}.worker.plan(host).value();
    EXPECT_EQ(plan.bytes_read, 2 * plan.bytes_written);
}

TEST(DefragPlan, MayBeAskedInTheMiddleOfAMove) {
    auto host                    = scattered();
    auto options                 = plain();
    options.compact_free_extents = false;
    rig<untimed> r{options};
    (void)r.worker.step(host, {.blocks_max = 5});
    EXPECT_EQ(r.worker.plan(host).value().moves, 4U);
    r.finish(host);
    EXPECT_EQ(host.broken(), "");
    EXPECT_EQ(r.worker.lifetime().moves, 4U);
}

TEST(DefragPlan, CountsWhatIsPinnedAndWhatHasNoRoom) {
    fake_host host{64};
    host.add(1, 0, 1, 1, true);
    host.add(1, 1, 6, 1, true);
    for (std::uint64_t i = 0; i < 9; ++i) host.add(2, 5 * i, 9 + 6 * i, 5);  // any two of them are longer than any run
    auto options                 = plain();
    options.compact_free_extents = false;
    const auto plan              = rig<untimed>{options}.worker.plan(host).value();
    EXPECT_EQ(plan.pinned, 1U);
    EXPECT_EQ(plan.without_room, 1U);
    EXPECT_EQ(plan.moves, 0U);
}

// ---- pause, cancel and what goes wrong
// -------------------------------------------------------------------------------

TEST(Defragmenter, CanBePausedAndResumedAtEveryStep) {
    for (int stop = 0; stop < 60; ++stop) {
        auto         host = scattered();
        rig<untimed> r{plain()};
        for (int i = 0; i < stop; ++i) (void)r.worker.step(host, {.blocks_max = 1, .candidates_max = 5});
        r.worker.pause();
        EXPECT_TRUE(r.worker.step(host, {}).reasons.has(stop_reason::paused));
        EXPECT_EQ(host.broken(), "") << "nothing is reserved or pending while paused, after step " << stop;
        EXPECT_TRUE(r.worker.status().paused);
        EXPECT_FALSE(r.worker.status().running);
        const auto flips = host.flips;
        EXPECT_EQ(r.worker.step(host, {}).reasons, stop_reasons{stop_reason::paused});
        EXPECT_EQ(host.flips, flips);
        r.worker.resume();
        r.finish(host);
        for (std::uint64_t o = 1; o <= 4; ++o) EXPECT_EQ(host.pieces(o), 1U) << "the pass goes on after step " << stop;
    }
}

TEST(Defragmenter, CanBeCancelledAtEveryStepAndTheNextRunGoesOn) {
    for (int stop = 0; stop < 60; ++stop) {
        auto         host = scattered();
        rig<untimed> r{plain()};
        for (int i = 0; i < stop; ++i) (void)r.worker.step(host, {.blocks_max = 1, .candidates_max = 5});
        r.worker.cancel();
        EXPECT_EQ(r.worker.step(host, {}).reasons, stop_reasons{stop_reason::cancelled});
        EXPECT_EQ(host.broken(), "") << stop;
        EXPECT_FALSE(r.worker.status().running);
        EXPECT_TRUE(r.worker.status().last_stop.has(stop_reason::cancelled));
        r.finish(host);
        EXPECT_EQ(host.pieces(4), 1U);
    }
}

TEST(Defragmenter, RecoverReleasesTheTargetAndKeepsTheFlips) {
    auto host                    = scattered();
    auto options                 = plain();
    options.compact_free_extents = false;
    rig<untimed> r{options};
    (void)r.worker.step(host, {.blocks_max = 14});
    EXPECT_EQ(r.worker.recover(host).value(), (recovered_moves{1, 1}));
    EXPECT_EQ(host.broken(), "");
    EXPECT_EQ(r.worker.recover(host).value(), recovered_moves{}) << "once is enough";
    EXPECT_EQ(rig<untimed>{options}.worker.recover(host).value(), recovered_moves{}) << "as after a restart";
}

TEST(Defragmenter, SkipsAndCountsWhatKeepsRacing) {
    auto host                    = scattered(2);
    auto options                 = plain();
    options.compact_free_extents = false;
    rig<untimed> r{options};
    int          flips = 0;
    host.on_flip       = [&] {
        if (++flips <= 4) host.overwrite(1, 3);
    };
    EXPECT_TRUE(r.finish(host).reasons.has(stop_reason::raced));
    EXPECT_EQ(r.worker.lifetime().skipped, 1U);
    EXPECT_EQ(r.worker.lifetime().races, 3U);
    EXPECT_EQ(host.pieces(2), 1U) << "the others are moved";
    EXPECT_EQ(host.broken(), "");
}

TEST(Defragmenter, ReportsWhatIsPinnedAndNeverMovesIt) {
    fake_host host{200};
    host.add(1, 0, 10, 1, true);
    host.add(1, 1, 20, 1, true);
    host.add(1, 2, 30, 1, true);
    rig<untimed> r{plain()};
    const auto   said = r.finish(host);
    EXPECT_TRUE(said.reasons.has(stop_reason::pinned));
    EXPECT_TRUE(said.reasons.has(stop_reason::nothing_to_gain));
    EXPECT_EQ(host.flips, 0U);
}

TEST(Defragmenter, SetsAsideWhatCannotBeRead) {
    auto host                                                  = scattered(3);
    auto options                                               = plain();
    options.compact_free_extents                               = false;
    host.bad_reads[host.owners[2].map[3].physical.first.value] = 1'000'000;
    rig<untimed> r{options};
    progress     said;
    error        failure;
    do {
        said = r.worker.step(host, {.blocks_max = 4});
        if (said.reasons.has(stop_reason::device_error) && !said.reasons.has(stop_reason::finished))
            failure = said.failure;
    } while (!said.reasons.has(stop_reason::finished));
    EXPECT_TRUE(said.reasons.has(stop_reason::device_error));
    EXPECT_EQ(failure.where, host.owners[2].map[3].physical.first);
    ASSERT_EQ(r.worker.set_aside().size(), 1U);
    EXPECT_EQ(r.worker.set_aside()[0].owner, object_id{2});
    EXPECT_EQ(r.worker.status().errors, 1U);
    EXPECT_EQ(host.pieces(1) + host.pieces(3), 2U);
    EXPECT_EQ(host.broken(), "");
    const auto reads = host.reads;
    r.finish(host);
    EXPECT_EQ(host.reads, reads) << "it is not tried again";
    r.worker.forget_set_aside();
    host.bad_reads.clear();
    r.finish(host);
    EXPECT_EQ(host.pieces(2), 1U);
}

TEST(Defragmenter, SaysWhenNoFreeRunIsLongEnough) {
    fake_host host{60};
    for (std::uint64_t i = 0; i < 20; ++i) host.add(1, i * 2, i * 3, 2);
    rig<untimed> r{plain()};
    const auto   said = r.finish(host);
    EXPECT_TRUE(said.reasons.has(stop_reason::no_contiguous_space));
    EXPECT_TRUE(said.reasons.has(stop_reason::nothing_to_gain));
    EXPECT_EQ(host.broken(), "");
}

// ---- crowded volumes
// -------------------------------------------------------------------------------------------------

/// Objects that grew in turns on a volume of which only crumbs are left, `percent` of it in use.
fake_host crowded(std::uint64_t seed, std::uint64_t blocks, std::uint64_t percent) {
    fake_host                  host{blocks};
    random_bits                random{seed};
    std::vector<std::uint64_t> ends(8);
    std::uint64_t              owed = 0, hole = 4;
    for (std::uint64_t at = 0; at + 16 < blocks;) {
        const auto owner = random.below(ends.size());
        const auto count = 1 + random.below(5);
        host.add(owner + 1, ends[owner], at, count);
        ends[owner] += count;
        at += count;
        owed += count * (100 - percent);
        if (owed < hole * percent) continue;
        at += hole;
        owed -= hole * percent;
        hole = 1 + random.below(8);
    }
    return host;
}

std::uint64_t longest_run(const fake_host& host) {
    std::uint64_t longest = 0;
    for (const auto& run : host.free_runs()) longest = std::max(longest, run.count.value);
    return longest;
}

struct crowd {
    std::uint64_t percent        = 0;
    std::uint64_t left_per_mille = 0;  ///< Of the pieces, at most.
};

class CrowdedVolume : public testing::TestWithParam<crowd> {};

TEST_P(CrowdedVolume, EndsInFewerPiecesAndThePotentialFallsWithEveryMove) {
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
        auto       host    = crowded(seed, 4000, GetParam().percent);
        auto       options = plain();
        const auto before  = host.energy();
        auto       energy  = before;
        options.priority   = defrag_intensity::low;  // one move a batch
        ASSERT_LT(longest_run(host), 32U) << "no run holds a range of 64";
        rig<untimed> r{options};
        host.on_sync = [&] {
            EXPECT_LT(host.energy(), energy) << "a sync follows each move";
            energy = host.energy();
        };
        const auto said = r.finish(host);
        EXPECT_TRUE(said.reasons.has(stop_reason::no_contiguous_space));
        EXPECT_FALSE(said.reasons.has(stop_reason::nothing_to_gain));
        EXPECT_LT(host.energy().first * 1000, before.first * GetParam().left_per_mille) << "seed " << seed;
        EXPECT_EQ(host.broken(), "");
        const auto moves = host.flips;
        EXPECT_TRUE(r.finish(host).reasons.has(stop_reason::nothing_to_gain))
            << "it did say that no more could be done";
        EXPECT_EQ(host.flips, moves);
    }
}
// Seen: 1061 -> 169, 1123 -> 902 and 1130 -> 1008 pieces with the first seed. Before parts of ranges were moved: none.
INSTANTIATE_TEST_SUITE_P(PercentInUse, CrowdedVolume, testing::Values(crowd{90, 200}, crowd{95, 850}, crowd{97, 930}));

TEST(Defragmenter, MovesThePartOfARangeThatFitsTheLongestFreeRunAndGainsMost) {
    fake_host host{90};
    host.add(1, 0, 0, 18);
    for (std::uint64_t i = 0; i < 9; ++i) host.add(1, 18 + i * 2, 20 + 3 * i, 2);
    host.add(1, 36, 48, 18);
    host.add(2, 0, 66, 16);  // behind it the 8 blocks of the longest run
    auto options                 = plain();
    options.compact_free_extents = false;
    options.priority             = defrag_intensity::low;
    rig<untimed> r{options};
    while (host.flips == 0) (void)r.worker.step(host, {.blocks_max = 1, .candidates_max = 4});
    EXPECT_EQ(r.worker.lifetime().blocks_moved.value, 8U) << "four of the short pieces";
    EXPECT_EQ(r.worker.lifetime().extents_saved, 3U);
    r.finish(host);
    EXPECT_EQ(host.broken(), "");
}

TEST(Defragmenter, AHostWhoseScopesPromiseMoreThanItGivesIsAskedForHalfAsMuch) {
    struct boasting_host : fake_host {
        using fake_host::fake_host;
        [[nodiscard]] result<relocation_scope> scope(std::uint64_t n) noexcept {
            BOOST_OUTCOME_TRY(auto said, fake_host::scope(n));
            said.largest_free = {1000};
            return said;
        }
    };
    boasting_host host{64};
    for (std::uint64_t i = 0; i < 16; ++i) host.add(1, i, 2 * i, 1);
    host.add(2, 0, 32, 26);  // behind it 6 blocks
    auto options                 = plain();
    options.compact_free_extents = false;
    using boasted                = defragmenter<boasting_host, threshold_policy>;
    std::vector<std::byte> memory(boasted::memory_bytes(options, host.block()));
    auto                   worker = boasted::create(options, host.block(), memory, {.extents_min = 2}).value();
    progress               said;
    do said = worker.step(host, {});
    while (!said.reasons.has(stop_reason::finished));
    EXPECT_LE(host.pieces(1), 4U);
    EXPECT_EQ(host.broken(), "");
}

TEST(Defragmenter, PiecesThatWaitForTheirRangeMakeRoomForIt) {
    fake_host host{41};
    for (std::uint64_t i = 0; i < 20; ++i) host.add(1, i, 1 + i * 2, 1);
    rig<untimed> r{plain()};
    const auto   said = r.finish(host);
    EXPECT_LE(host.pieces(1), 2U) << "every free run was as short as a piece";
    EXPECT_GT(r.worker.lifetime().extents_merged, 0U);
    EXPECT_TRUE(said.reasons.has(stop_reason::no_contiguous_space)) << "for all of it there never is room";
    EXPECT_EQ(host.broken(), "");
}

TEST(Defragmenter, AWholeExtentNeverMovesBesideThePlaceThatItLeaves) {
    struct stubborn_host : fake_host {
        using fake_host::fake_host;
        [[nodiscard]] result<extent> reserve_target(target_request wanted) noexcept {
            const extent behind{{wanted.goal.value + wanted.blocks.value}, wanted.blocks};
            for (auto i = behind.first.value; i < behind.end().value; ++i) {
                if (uses[i] != use::free) return errc::no_contiguous_space;
            }
            for (auto i = behind.first.value; i < behind.end().value; ++i) uses[i] = use::reserved;
            return behind;
        }
    };
    stubborn_host host{64};
    host.add(1, 0, 20, 3);
    using stubborn = defragmenter<stubborn_host, threshold_policy>;
    std::vector<std::byte> memory(stubborn::memory_bytes(plain(), host.block()));
    auto                   worker = stubborn::create(plain(), host.block(), memory).value();
    const auto             said   = worker.step(host, {.blocks_max = 1000});
    EXPECT_TRUE(said.reasons.has(stop_reason::no_contiguous_space));
    EXPECT_EQ(host.flips, 0U) << "else it would wander through the free run";
    EXPECT_EQ(host.broken(), "");
}

TEST(Defragmenter, SaysWhetherAMoveIsUnderWay) {
    auto         host = scattered();
    rig<untimed> r{plain()};
    EXPECT_FALSE(r.worker.active());
    (void)r.worker.step(host, {.blocks_max = 5});
    EXPECT_TRUE(r.worker.active());
    r.worker.pause();
    (void)r.worker.step(host, {});
    EXPECT_FALSE(r.worker.active());
}

TEST(CandidateWindow, AGapThatTheWalkHasPassedIsNotLookedForInOtherOwners) {
    struct terse_host : fake_host {
        using fake_host::fake_host;
        [[nodiscard]] result<std::optional<defrag_candidate>> next_candidate(relocation_cursor& cursor,
                                                                             candidate_request) noexcept {
            ++calls;
            cursor = {{cursor.owner.value + 1}, {}, cursor.seen + 1};
            return std::optional{defrag_candidate{}};
        }
    };
    terse_host                    host{64};
    std::vector<ranked_candidate> memory(4);
    candidate_window              window{memory};
    window.begin({candidate_kind::free_space_gap}, false);
    EXPECT_FALSE(window.still_stands(host, {.owner = {1}, .blocks = {1}, .free_runs_merged = 1}).value());
    EXPECT_EQ(host.calls, 1U);
}

TEST(Defragmenter, MakesABatchDurableWhenItsOldPlacesAreNeeded) {
    fake_host host{32};
    for (std::uint64_t i = 0; i < 6; ++i) host.add(1, i, 5 - i, 1);  // fits into 10 to 15
    host.add(2, 4, 22, 4);                                           // needs 0 to 7, where the first was
    host.add(2, 0, 26, 4);
    host.add(3, 0, 8, 2);
    host.add(4, 0, 16, 6);
    host.add(5, 0, 30, 2);
    auto options                 = plain();
    options.compact_free_extents = false;
    rig<untimed> r{options};
    const auto   said = r.finish(host);
    EXPECT_FALSE(said.reasons.has(stop_reason::no_contiguous_space));
    EXPECT_EQ(host.pieces(1) + host.pieces(2), 2U);
    EXPECT_EQ(host.syncs, 2U);
    EXPECT_EQ(host.broken(), "");
}

TEST(Defragmenter, AFailedSyncEndsThePass) {
    auto         host = scattered();
    rig<untimed> r{plain()};
    host.sync_error = {errc::read_only, block_index{9}};
    const auto said = r.worker.step(host, {.blocks_max = 1000});
    EXPECT_TRUE(said.reasons.has(stop_reason::device_error));
    EXPECT_EQ(said.failure, host.sync_error);
    EXPECT_FALSE(r.worker.status().running);
}

TEST(Defragmenter, AHostThatCannotListItsCandidatesEndsThePass) {
    auto         host = scattered();
    rig<untimed> r{plain()};
    host.walk_error = {errc::damaged, block_index{4}};
    const auto said = r.worker.step(host, {});
    EXPECT_EQ(said.failure, host.walk_error);
    EXPECT_FALSE(said.reasons.has(stop_reason::finished));
    EXPECT_TRUE(r.worker.plan(host).has_error());
}

// ---- the rest
// --------------------------------------------------------------------------------------------------------

TEST(Defragmenter, SaysHowFastAndHowLong) {
    auto host                    = scattered(12, 6);
    auto options                 = plain();
    options.compact_free_extents = false;
    options.priority             = defrag_intensity::low;
    rig<timed> r{options};
    (void)r.worker.step(host, {});
    r.worker.clock().time = {nanoseconds_per_second};
    const auto said       = r.worker.step(host, {});
    EXPECT_EQ(said.bytes_per_second, said.moved.value * fake_host::block_bytes);
    EXPECT_GT(said.total, said.done);
}

TEST(Defragmenter, RefusesMemoryThatIsTooSmall) {
    const auto             options = plain();
    std::vector<std::byte> memory(untimed::memory_bytes(options, {512}) / 2);
    EXPECT_EQ(untimed::create(options, {512}, memory).error().code, errc::workspace_too_small);
    EXPECT_EQ(untimed::create(options, {512}, {}).error().code, errc::workspace_too_small);
}

TEST(Defragmenter, WithoutAPolicyThereIsNothingToDo) {
    auto host  = scattered();
    using none = defragmenter<fake_host, no_defrag, no_throttle, no_clock>;
    std::vector<std::byte> memory(none::memory_bytes(plain(), {512}));
    auto                   worker = none::create(plain(), {512}, memory).value();
    EXPECT_EQ(worker.step(host, {}).reasons, stop_reason::finished | stop_reason::nothing_to_gain);
    EXPECT_EQ(host.calls, 0U);
}

TEST(Defragmenter, TheSameVolumeGivesTheSameMoves) {
    fake_host one{3000};
    one.scatter(5, 60, 9, 7);
    fake_host    two = one;
    rig<untimed> first{plain()}, second{plain()};
    first.finish(one);
    second.finish(two, {.blocks_max = 3, .candidates_max = 7});
    EXPECT_EQ(one.bytes, two.bytes) << "however the work was cut into steps";
    EXPECT_EQ(first.worker.last_cycle(), second.worker.last_cycle());
}

TEST(SetAsideList, KeepsTheNewestWhenItIsFull) {
    std::vector<set_aside_range> memory(2);
    set_aside_list               list{memory};
    for (std::uint64_t i = 1; i <= 3; ++i) list.add({{i}, {10}, {5}, {}});
    EXPECT_FALSE(list.holds({.owner = {1}, .first = {10}, .blocks = {1}}));
    EXPECT_TRUE(list.holds({.owner = {3}, .first = {14}, .blocks = {1}}));
    EXPECT_TRUE(list.holds({.owner = {3}, .first = {8}, .blocks = {3}}));
    EXPECT_FALSE(list.holds({.owner = {3}, .first = {15}, .blocks = {1}}));
    EXPECT_FALSE(list.holds({.owner = {3}, .first = {8}, .blocks = {2}}));
}

TEST(CandidateHeap, HandsOutTheHighestRankFirstAndEqualOnesInTurn) {
    std::vector<ranked_candidate> memory(4);
    candidate_heap                heap{memory};
    const std::uint64_t           ranks[] = {5, 9, 5, 7};
    for (std::uint64_t i = 0; i < 4; ++i) EXPECT_TRUE(heap.push({.owner = {i + 1}}, ranks[i]));
    EXPECT_FALSE(heap.push({.owner = {9}}, 100));
    for (const std::uint64_t owner : {2U, 4U, 1U, 3U}) {
        EXPECT_EQ(heap.best().owner.value, owner);
        heap.pop();
    }
    EXPECT_TRUE(heap.empty());
}

}  // namespace defragmenter_test
