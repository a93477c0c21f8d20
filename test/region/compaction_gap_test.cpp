// Before a region slides into a short gap, objects leave the blocks below the gap, so that it is longer.

#include "way_fixture.hpp"

#include <ashlar/testing/faulty_device.hpp>

namespace ashlar::test {
namespace compaction_gap_test {

way_task::options widening(std::size_t gap_blocks) {
    auto chosen              = clearing();
    chosen.regions.gap_bytes = gap_blocks * 512;
    return chosen;
}

/// Objects, a gap of a few blocks, and a region behind it that no window below it holds.
struct CompactionGap : testing::Test, way_world {
    static constexpr std::uint64_t blocks = 900;
    static constexpr std::uint64_t gap    = 6;

    void make() {
        fill();
        ASHLAR_ASSERT_OK(live.checkpoint());
        add(blocks, behind_objects(live) + gap);
        place = place_of_region(0);
    }
    /// Blocks directly below the region that are free.
    std::uint64_t free_below() {
        ASHLAR_EXPECT_OK(live.checkpoint());
        for (const auto& run : live.free_runs()) {
            if (run.end() == place_of_region(0)) return run.count.value;
        }
        return 0;
    }
    [[nodiscard]] std::uint64_t lowered() { return place.value - place_of_region(0).value; }

    block_index place{};
};

TEST_F(CompactionGap, ARegionSlidesAsFarAsAllThatLeftTheBlocksBelowItsGap) {
    make();
    ASSERT_EQ(free_below(), gap);
    const auto lowest     = lowest_places(live, {blocks})[0];
    auto       compacting = way_task::open(live, clearing()).value();  // four mebibytes: more than there are
    bool       cleared    = false;
    const auto said       = run(compacting, {.blocks_max = 64}, [&](const progress& now) {
        cleared = cleared || now.phase == phase_clearing;
        if (!live.volume().regions.slide().empty()) {
            EXPECT_GT(live.volume().regions.slide().count.value, 100U) << "nobody slides into the short gap";
        }
    });
    EXPECT_TRUE(said.reasons.has(stop_reason::finished));
    EXPECT_EQ(said.failure.code, errc::none);
    EXPECT_TRUE(cleared);
    EXPECT_EQ(place_of_region(0), lowest);
    EXPECT_EQ(compacting.last_result().regions_slid, 1U);
    EXPECT_EQ(compacting.last_result().ways_cleared, 1U);
    EXPECT_GT(compacting.last_result().blocks_cleared.value, 0U);
    EXPECT_FALSE(compacting.active());
    EXPECT_TRUE(live.volume().space.withheld().empty());
    expect_same();
}

TEST_F(CompactionGap, NoMoreLeavesThanTheGapShallBe) {
    make();
    auto compacting = way_task::open(live, widening(100)).value();
    bool seen       = false;
    EXPECT_TRUE(run(compacting, {.blocks_max = 64}, [&](const progress&) {
                    const auto slide = live.volume().regions.slide();
                    if (slide.empty()) return;
                    if (!std::exchange(seen, true)) {
                        EXPECT_EQ(slide.count, block_count{100});
                        EXPECT_EQ(slide.end(), place);
                    }
                    EXPECT_LE(slide.count, block_count{100});
                }).reasons.has(stop_reason::finished));
    EXPECT_TRUE(seen);
    EXPECT_GE(lowered(), 100U);
    EXPECT_LE(compacting.last_result().ways_cleared, 3U);
    expect_same();
}

TEST_F(CompactionGap, AGapThatIsLongEnoughIsSlidIntoAsItIs) {
    for (const std::size_t enough : {std::size_t{0}, std::size_t{gap}}) {
        way_world world;
        world.fill();
        ASHLAR_ASSERT_OK(world.live.checkpoint());
        world.add(blocks, behind_objects(world.live) + gap);
        const auto before     = world.place_of_region(0);
        auto       compacting = way_task::open(world.live, widening(enough)).value();
        EXPECT_TRUE(world.run(compacting).reasons.has(stop_reason::finished));
        EXPECT_EQ(compacting.last_result().blocks_cleared, block_count{0});
        EXPECT_EQ(world.place_of_region(0).value + gap, before.value);
        world.expect_same();
    }
}

TEST_F(CompactionGap, ARunThatIsStartedFirstHoldsBackTheSame) {
    make();
    auto compacting = way_task::open(live, widening(100)).value();
    compacting.start();
    bool seen = false;
    EXPECT_TRUE(run(compacting, {.blocks_max = 64}, [&](const progress&) {
                    const auto slide = live.volume().regions.slide();
                    if (!slide.empty() && !std::exchange(seen, true)) { EXPECT_EQ(slide.count, block_count{100}); }
                }).reasons.has(stop_reason::finished));
    EXPECT_TRUE(seen);
    EXPECT_GE(lowered(), 100U);
    expect_same();
}

TEST_F(CompactionGap, WhereNoneCanSlideNothingIsMovedOutOfItsWay) {
    make();
    static_cast<void>(live.abandon());
    auto limits                    = small_limits();
    limits.indirection_entries_max = 0;
    live                           = opened_on(checked, limits);
    auto       compacting          = way_task::open(live, clearing()).value();
    const auto said                = run(compacting);
    EXPECT_TRUE(said.reasons.has(stop_reason::no_contiguous_space));
    EXPECT_EQ(said.failure.code, errc::too_large);
    EXPECT_EQ(compacting.last_result().blocks_cleared, block_count{0});
    EXPECT_EQ(compacting.last_result().ways_cleared, 0U);
    EXPECT_EQ(place_of_region(0), place);
    expect_same();
}

/// Another region goes down whole in the first pass, and then too little lies apart for anything to be emptied.
TEST_F(CompactionGap, WhereTooLittleIsToBeGainedItSlidesIntoTheGapThatThereIs) {
    fill();
    ASHLAR_ASSERT_OK(live.checkpoint());
    add(200, behind_objects(live) + gap);
    place = place_of_region(0);
    add(300, place.value + 600);
    auto compacting = way_task::open(live, clearing(50)).value();
    EXPECT_TRUE(run(compacting).reasons.has(stop_reason::finished));
    EXPECT_EQ(compacting.last_result().blocks_cleared, block_count{0});
    EXPECT_EQ(lowered(), gap);
    EXPECT_EQ(compacting.last_result().regions_slid, 2U);
    expect_same();
}

TEST_F(CompactionGap, WhatIsPinnedBoundsTheGap) {
    const auto pinned = model.create(live);
    ASSERT_TRUE(pinned.succeeded());
    fill(4, 20);
    ASSERT_TRUE(model.write(live, {pinned.made}, 0, pattern(2, 512, 4)).succeeded());
    ASHLAR_ASSERT_OK(live.pin({pinned.made}, 0, 1024));
    extent stays{};
    for (const auto& piece : live.extents({pinned.made})) stays = piece.physical;
    for (int i = 0; i < 60; ++i) ASSERT_TRUE(model.append(live, live.root(), pattern(1, 512, 4)).succeeded());
    ASHLAR_ASSERT_OK(live.checkpoint());
    ASSERT_GT(behind_objects(live), stays.end().value + 20);
    add(blocks, behind_objects(live) + gap);
    auto compacting = way_task::open(live, clearing()).value();
    EXPECT_TRUE(run(compacting).reasons.has(stop_reason::finished));
    EXPECT_EQ(place_of_region(0), stays.end());
    EXPECT_GE(compacting.last_result().ways_cleared, 1U);
    expect_same();
}

TEST_F(CompactionGap, WithoutRoomForWhatIsBelowItSlidesIntoTheGapThatThereIs) {
    make();
    for (std::uint64_t size = 512; size > 0; size /= 2) {
        while (store_regions{live}.add(
            {.type = maps, .blocks = block_count{size}, .from = place + block_count{blocks + 130}})) {}
    }
    auto options         = clearing();
    options.regions.only = region_id{logs, 0};
    auto compacting      = way_task::open(live, options).value();
    EXPECT_TRUE(run(compacting).reasons.has(stop_reason::finished));
    EXPECT_GE(lowered(), gap);
    EXPECT_LT(lowered(), 160U);
    expect_same();
}

TEST_F(CompactionGap, UsersReadAndWriteMeanwhile) {
    std::uint64_t widened = 0;
    for (std::uint64_t seed = 1; seed <= scaled(6); ++seed) {
        way_world world;
        world.fill();
        ASHLAR_ASSERT_OK(world.live.checkpoint());
        world.add(blocks, behind_objects(world.live) + 40);
        const auto                    before     = world.place_of_region(0);
        auto                          compacting = way_task::open(world.live, clearing()).value();
        auto                          region     = store_regions{world.live}.open({logs, 0}).value();
        random_bits                   random{seed};
        random_operations<test_store> users{seed, {.create = 1, .erase = 1, .size_max = 6'000}};
        world.run(compacting, {.blocks_max = 60, .candidates_max = 8}, [&](const progress&) {
            if (random.below(3) == 0) users.step(world.live, world.model);
            const auto at    = random.below(blocks - 4);
            const auto bytes = pattern(4, 512, static_cast<std::uint32_t>(random.next()));
            ASHLAR_ASSERT_OK(region.write({block_index{at}, {4}}, bytes));
            std::copy(bytes.begin(), bytes.end(), world.content[0].begin() + static_cast<std::ptrdiff_t>(at * 512));
        });
        widened += compacting.last_result().ways_cleared;
        EXPECT_LE(world.place_of_region(0), before) << seed;
        world.expect_same();
        ASSERT_FALSE(HasFailure()) << seed;
    }
    EXPECT_GE(widened, scaled(2));
}

TEST_F(CompactionGap, CancelledOrLeftAfterAnyStepItHoldsNothingAndTheNextRunGoesOn) {
    int at = 0;
    for (bool left = true; left; ++at) {
        ASSERT_LT(at, 400);
        way_world world;
        world.fill(4, 15);
        ASHLAR_ASSERT_OK(world.live.checkpoint());
        world.add(blocks, behind_objects(world.live) + gap);
        const auto lowest = lowest_places(world.live, {blocks})[0];
        left              = false;
        {
            auto compacting = way_task::open(world.live, clearing()).value();
            int  steps      = 0;
            for (auto said = stop_reasons{stop_reason::budget_spent}; said == stop_reason::budget_spent && !left;) {
                said = compacting.step({.blocks_max = 90, .candidates_max = 8}).reasons;
                left = said == stop_reason::budget_spent && steps++ == at;
            }
            if (left && at % 2 == 0) {
                compacting.cancel();
                EXPECT_TRUE(compacting.step().reasons.has(stop_reason::cancelled));
            }
        }
        EXPECT_TRUE(world.live.volume().space.withheld().empty()) << at;
        if (at % 3 == 0) {
            static_cast<void>(world.live.abandon());
            world.live = opened_on(world.checked);
        }
        world.expect_same();
        auto again = way_task::open(world.live, clearing()).value();
        EXPECT_TRUE(world.run(again).reasons.has(stop_reason::finished)) << at;
        if (at % 3 != 0) { EXPECT_EQ(world.place_of_region(0), lowest) << at; }
        world.expect_same();
        ASSERT_FALSE(HasFailure()) << at;
    }
    EXPECT_GT(at, 8);
}

}  // namespace compaction_gap_test
}  // namespace ashlar::test
