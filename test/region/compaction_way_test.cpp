// Objects and the nodes of their trees leave the way of regions that no free run below them holds.

#include "way_fixture.hpp"

namespace ashlar::test {
namespace compaction_way_test {

constexpr auto shape = way_world::shape;

struct CompactionWay : testing::Test, way_world {};

TEST_F(CompactionWay, ObjectsLeaveTheWayAndRegionsEndAtTheLowestPlaces) {
    fill();
    add(300, 1800);
    add(90, 2200);
    const auto lowest = lowest_places(live, {300, 90});
    {
        auto without = way_task::open(live,
                                      [] {
                                          way_task::options chosen;
                                          chosen.regions.threshold_permille = 0;
                                          return chosen;
                                      }())
                           .value();
        run(without);
        EXPECT_GT(place_of_region(0), lowest[0]) << "nothing is in its way";
    }
    auto        compacting = way_task::open(live, clearing()).value();
    region_move lines[4];
    const auto  plan = compacting.plan(lines);
    ASHLAR_ASSERT_OK(plan);
    EXPECT_EQ(plan.value().ways, 2U);
    EXPECT_EQ(plan.value().moves, 2U);
    EXPECT_EQ(plan.value().blocks, block_count{390});
    EXPECT_GT(plan.value().cleared, block_count{100});
    EXPECT_EQ(plan.value().cleared, lines[0].cleared + lines[1].cleared);
    bool        cleared = false;
    block_count moved{};
    const auto  said = run(compacting, {.blocks_max = 40, .candidates_max = 8}, [&](const progress& now) {
        EXPECT_GE(now.moved, moved);
        moved = now.moved;
        cleared |= now.phase == phase_clearing && compacting.active();
    });
    EXPECT_TRUE(cleared);
    EXPECT_TRUE(said.reasons.has(stop_reason::finished));
    const auto& did = compacting.last_result();
    EXPECT_TRUE(did.finished);
    EXPECT_EQ(did.ways_cleared, 2U);
    EXPECT_GE(did.regions_moved, 2U) << "a region may go into a hole before its own way is cleared";
    EXPECT_GE(did.blocks_moved, block_count{390});
    EXPECT_GT(did.blocks_cleared, block_count{100});
    EXPECT_EQ(said.moved, did.blocks_moved + did.blocks_cleared);
    for (std::uint32_t i = 0; i < 2; ++i) {
        EXPECT_EQ(place_of_region(i), lowest[i]) << i;
        EXPECT_EQ(lines[i].to, lowest[i]) << i;
        EXPECT_TRUE(lines[i].clears) << i;
    }
    expect_same();
    static_cast<void>(live.abandon());
    live = opened_on(checked);
    EXPECT_EQ(place_of_region(0), lowest[0]);
    expect_same();
    auto again = way_task::open(live, clearing()).value();
    run(again);
    EXPECT_EQ(again.last_result().regions_moved + again.last_result().ways_cleared, 0U);
}

TEST_F(CompactionWay, CancelledBeforeItsFirstStepARunSaysNothingOfTheOneBefore) {
    fill();
    add(120, 1800);
    for (const bool clears : {false, true}) {
        auto chosen               = clearing();
        chosen.regions.clears_way = clears;
        auto compacting           = way_task::open(live, chosen).value();
        EXPECT_FALSE(compacting.running());
        run(compacting);
        EXPECT_FALSE(compacting.running());
        EXPECT_GT(compacting.last_result().blocks_moved, block_count{});
        compacting.start();
        EXPECT_TRUE(compacting.running());
        compacting.cancel();
        EXPECT_EQ(compacting.step().reasons, stop_reason::cancelled);
        EXPECT_FALSE(compacting.running());
        EXPECT_FALSE(compacting.last_result().finished);
        EXPECT_EQ(compacting.last_result().blocks_moved, block_count{});
        EXPECT_EQ(compacting.last_result().gained(), block_count{});
    }
    expect_same();
}

TEST_F(CompactionWay, OneRegionAlone) {
    fill();
    add(60, 1800);
    add(90, 2200);
    const auto before   = place_of_region(0);
    auto       chosen   = clearing();
    chosen.regions.only = region_id{logs, 1};
    auto compacting     = way_task::open(live, chosen).value();
    run(compacting);
    EXPECT_EQ(place_of_region(0), before);
    EXPECT_EQ(place_of_region(1), lowest_places(live, {90})[0]);
    EXPECT_EQ(compacting.last_result().ways_cleared, 1U);
    expect_same();
}

TEST_F(CompactionWay, WhereFreeSpaceIsTogetherNobodysWayIsCleared) {
    fill();
    add(60, 1800);
    auto        compacting = way_task::open(live, clearing(999)).value();
    region_move lines[2];
    EXPECT_EQ(compacting.plan(lines).value().ways, 0U);
    EXPECT_TRUE(run(compacting).reasons.has(stop_reason::nothing_to_gain));
    EXPECT_EQ(compacting.last_result().blocks_cleared, block_count{});
}

TEST_F(CompactionWay, PinnedObjectsInTheWayLeaveAnotherWindowOrAreTheReason) {
    fill();
    add(120, 1800);
    std::vector<extent> pinned;
    ASHLAR_ASSERT_OK(live.pin(live.root(), 0, 6 * 512));
    for (const auto& piece : live.extents(live.root())) {
        if (piece.logical.value < 6) pinned.push_back(piece.physical);
    }
    ASSERT_FALSE(pinned.empty());
    auto compacting = way_task::open(live, clearing()).value();
    EXPECT_TRUE(run(compacting).reasons.has(stop_reason::finished));
    EXPECT_EQ(place_of_region(0), lowest_places(live, {120}, pinned)[0]);
    EXPECT_GT(place_of_region(0), lowest_places(live, {120})[0]);
    expect_same();
}

/// Of a long region each window has something pinned in it; of a short one not all windows are looked at.
TEST(CompactionWayControl, WhereAllThatIsInTheWayIsPinnedThatIsTheReason) {
    for (const std::uint64_t blocks : {200U, 12U}) {
        way_world world;
        world.fill();
        world.add(blocks, 1800);
        for (const auto& id : world.live.objects()) ASHLAR_ASSERT_OK(world.live.pin(id, 0, 400 * 512));
        auto chosen               = clearing();
        chosen.regions.clears_way = false;
        auto without              = way_task::open(world.live, chosen).value();
        world.run(without);
        const auto at         = world.place_of_region(0);
        auto       compacting = way_task::open(world.live, clearing()).value();
        const auto said       = world.run(compacting);
        EXPECT_TRUE(said.reasons.has(stop_reason::finished) && said.reasons.has(stop_reason::pinned)) << blocks;
        EXPECT_EQ(compacting.last_result().ways_cleared, 0U);
        EXPECT_EQ(world.place_of_region(0), at);
        world.expect_same();
    }
}

TEST_F(CompactionWay, ALookGoesNoFurtherInOneStepThanItsBudgetSays) {
    fill();
    add(200, 1800);
    const auto lowest     = lowest_places(live, {200})[0];
    auto       compacting = way_task::open(live, clearing()).value();
    int        looks      = 0;
    run(compacting, {.blocks_max = 64, .candidates_max = 1}, [&](const progress& now) {
        if (now.phase == phase_clearing && live.volume().space.withheld().empty()) ++looks;
    });
    EXPECT_GT(looks, 30) << "there are more pieces of objects in the way";
    EXPECT_EQ(place_of_region(0), lowest);
    expect_same();
}

/// A look at the lower one comes to its end, and one at the upper one does not send it back to the lower one.
TEST(CompactionWayControl, TwoRegionsWithNothingButPinnedObjectsBelowThemAreLookedAtOnce) {
    way_world world;
    world.fill();
    for (const std::uint64_t from : {1600U, 2000U}) world.add(200, from);
    for (const auto& id : world.live.objects()) ASHLAR_ASSERT_OK(world.live.pin(id, 0, 400 * 512));
    auto compacting = way_task::open(world.live, clearing()).value();
    int  looks      = 0;
    for (bool ended = false; !ended; ++looks) {
        ASSERT_LT(looks, 200) << "it looks for ever";
        const auto said = compacting.step({.blocks_max = 4096});
        ended           = said.reasons != stop_reason::budget_spent;
        if (ended) { EXPECT_TRUE(said.reasons.has(stop_reason::finished) && said.reasons.has(stop_reason::pinned)); }
    }
    EXPECT_EQ(compacting.last_result().ways_cleared, 0U);
    world.expect_same();
}

TEST_F(CompactionWay, APinnedRegionAndOneThatIsNotAskedForStay) {
    fill();
    for (const std::uint64_t from : {1800U, 2000U, 2200U}) add(60, from);
    ASHLAR_ASSERT_OK(store_regions{live}.pin({logs, 0}));
    auto chosen            = clearing();
    chosen.regions.only    = region_id{logs, 2};
    auto        compacting = way_task::open(live, chosen).value();
    region_move lines[4];
    EXPECT_EQ(compacting.plan(lines).value().ways, 1U);
    EXPECT_FALSE(lines[0].clears || lines[1].clears);
    EXPECT_EQ(lines[2].to, lowest_places(live, {60})[0]);
    const auto first = place_of_region(0), second = place_of_region(1);
    run(compacting);
    EXPECT_EQ(place_of_region(0), first);
    EXPECT_EQ(place_of_region(1), second);
    EXPECT_EQ(place_of_region(2), lines[2].to);
    auto all = way_task::open(live, clearing()).value();
    EXPECT_TRUE(run(all).reasons.has(stop_reason::pinned));
    EXPECT_EQ(place_of_region(0), first);
    EXPECT_LT(place_of_region(1), second);
    expect_same();
}

TEST_F(CompactionWay, WhileARegionLiesInPartsNobodysWayIsCleared) {
    fill();
    add(600, 720);
    add(90, 2200);
    {
        auto options              = clearing();
        options.regions.gap_bytes = 0;
        auto sliding              = way_task::open(live, options).value();
        for (int i = 0; i < 1000 && live.volume().indirection.empty(); ++i)
            static_cast<void>(sliding.step({.blocks_max = 16}));
    }
    ASSERT_FALSE(live.volume().regions.slide().empty());
    ASHLAR_ASSERT_OK(store_regions{live}.pin({logs, 0}));
    auto        compacting = way_task::open(live, clearing()).value();
    region_move lines[4];
    EXPECT_EQ(compacting.plan(lines).value().ways, 0U);
    run(compacting);
    EXPECT_EQ(compacting.last_result().ways_cleared, 0U);
    ASHLAR_ASSERT_OK(store_regions{live}.pin({logs, 0}, false));
    run(compacting);
    EXPECT_TRUE(live.volume().regions.slide().empty());
    EXPECT_EQ(place_of_region(1), lowest_places(live, {90})[0]);
    expect_same();
}

TEST_F(CompactionWay, WithoutRoomForWhatIsInTheWayItStaysAndSaysSo) {
    fill();
    add(700, 1500);
    while (model.append(live, live.root(), pattern(4, 512, 3)).succeeded()) {}
    const auto before     = place_of_region(0);
    auto       compacting = way_task::open(live, clearing()).value();
    const auto said       = run(compacting);
    EXPECT_TRUE(said.reasons.has(stop_reason::finished));
    EXPECT_TRUE(said.reasons.has(stop_reason::no_contiguous_space));
    EXPECT_LE(place_of_region(0), before);
    expect_same();
}

TEST(CompactionWayControl, PausedAtAnyStepItHoldsNoTargetAndGoesOn) {
    int at = 0;
    for (bool paused = true; paused; ++at) {
        ASSERT_LT(at, 500);
        way_world world;
        world.fill();
        world.add(120, 1800);
        auto compacting = way_task::open(world.live, clearing()).value();
        int  steps      = 0;
        paused          = false;
        world.run(compacting, {.blocks_max = 32, .candidates_max = 8}, [&](const progress& now) {
            if (steps++ != at || now.reasons != stop_reason::budget_spent) return;
            paused = true;
            compacting.pause();
            for (int i = 0; i < 2; ++i) EXPECT_EQ(compacting.step().reasons, stop_reason::paused) << at;
            EXPECT_FALSE(compacting.active());
            compacting.resume();
        });
        EXPECT_EQ(world.place_of_region(0), lowest_places(world.live, {120})[0]) << at;
        world.expect_same();
        ASSERT_FALSE(testing::Test::HasFailure()) << at;
    }
    EXPECT_GT(at, 10);
}

TEST_F(CompactionWay, CancelledAtEveryStepItHoldsNothing) {
    fill();
    add(120, 1800);
    const auto lowest = lowest_places(live, {120})[0];
    int        after  = 0;
    for (bool ended = false; !ended; ++after) {
        ASSERT_LT(after, 500);
        auto compacting = way_task::open(live, clearing()).value();
        for (int i = 0; i < after && !ended; ++i)
            ended = compacting.step({.blocks_max = 24, .candidates_max = 8}).reasons.has(stop_reason::finished);
        if (ended) break;
        compacting.cancel();
        EXPECT_EQ(compacting.step().reasons, stop_reason::cancelled);
        EXPECT_FALSE(compacting.active());
        EXPECT_FALSE(compacting.last_result().finished);
        ASHLAR_ASSERT_OK(live.checkpoint());
        std::uint64_t free = 0;
        for (const auto& one : live.free_runs()) free += one.count.value;
        EXPECT_EQ(live.info().free.value, free) << "something is held after " << after;
        EXPECT_TRUE(live.volume().space.withheld().empty()) << after;
        ASSERT_EQ(findings_of(live), "") << after;
    }
    EXPECT_GT(after, 5);
    EXPECT_EQ(place_of_region(0), lowest);
    expect_same();
}

TEST(CompactionWayControl, UsersReadAndWriteMeanwhile) {
    std::uint64_t cleared = 0;
    for (std::uint64_t seed = 1; seed <= scaled(8); ++seed) {
        way_world world;
        world.fill();
        world.add(200, 1500);
        const auto                    before     = world.place_of_region(0);
        auto                          compacting = way_task::open(world.live, clearing()).value();
        auto                          region     = store_regions{world.live}.open({logs, 0}).value();
        random_bits                   random{seed};
        random_operations<test_store> users{seed, {.create = 1, .erase = 1, .size_max = 40'000}};
        world.run(compacting, {.blocks_max = 24, .candidates_max = 6}, [&](const progress&) {
            users.step(world.live, world.model);
            const auto at    = random.below(190);
            const auto bytes = pattern(4, 512, static_cast<std::uint32_t>(random.next()));
            ASHLAR_ASSERT_OK(region.write({block_index{at}, {4}}, bytes));
            std::copy(bytes.begin(), bytes.end(), world.content[0].begin() + static_cast<std::ptrdiff_t>(at * 512));
        });
        cleared += compacting.last_result().ways_cleared != 0 ? 1U : 0U;  // else a run came free by itself
        // Not always the lowest place: users may leave a lower run first that ends where none of its length is below
        // it.
        EXPECT_LT(world.place_of_region(0), before) << seed;
        world.expect_same();
        ASSERT_FALSE(testing::Test::HasFailure()) << seed;
    }
    EXPECT_GE(cleared, scaled(6));
}

TEST_F(CompactionWay, WhereOthersWithholdBlocksTheRunEndsAndSaysItRaced) {
    fill();
    add(120, 1800);
    auto other = evacuation<test_blueprint<>>::open(live, small_moves<test_blueprint<>>()).value();
    ASHLAR_ASSERT_OK(other.start({lowest_places(live, {120})[0] + block_count{200}, {100}}));
    other.step({.blocks_max = 0, .candidates_max = 0});
    ASSERT_TRUE(other.running());
    auto       compacting = way_task::open(live, clearing()).value();
    int        looks      = 0;
    const auto said =
        run(compacting, {.blocks_max = 64}, [&](const progress& now) { looks += now.phase == phase_clearing ? 1 : 0; });
    EXPECT_TRUE(said.reasons.has(stop_reason::finished) && said.reasons.has(stop_reason::raced));
    EXPECT_EQ(looks, 1) << "no object was walked for nothing";
    EXPECT_EQ(compacting.last_result().ways_cleared, 0U);
    EXPECT_FALSE(live.volume().space.withheld().empty()) << "what others withhold stays so";
    test::run(other);
    run(compacting);
    EXPECT_EQ(place_of_region(0), lowest_places(live, {120})[0]);
    expect_same();
}

}  // namespace compaction_way_test
}  // namespace ashlar::test
