// A region that is moved in parts into free blocks below it that do not hold it whole.

#include "slide_fixture.hpp"

namespace ashlar::test {
namespace slide_test {

using SlideTest = slide_fixture;

TEST_F(SlideTest, ARegionGoesIntoAGapThatIsSmallerThanItself) {
    for (const std::uint64_t gap : {1U, 2U, 3U, 7U, 30U, 150U}) {
        make(gap);
        auto       compacting = opened();
        const auto said       = run(compacting);
        EXPECT_TRUE(said.reasons.has(stop_reason::finished)) << gap;
        EXPECT_EQ(said.failure.code, errc::none) << said.failure.where.value;
        EXPECT_EQ(where(), (extent{{place.first.value - gap}, place.count}));
        EXPECT_EQ(compacting.last_result().regions_slid, 1U);
        EXPECT_EQ(compacting.last_result().blocks_moved, place.count);
        EXPECT_TRUE(live.volume().indirection.empty());
        EXPECT_TRUE(live.volume().regions.slide().empty());
        ASHLAR_ASSERT_OK(live.checkpoint());  // until then a replay could write to the table's blocks
        EXPECT_EQ(live.info().available, available);
        expect_content();
        EXPECT_EQ(findings_of(live), "");
        open_again();
        expect_content();
        EXPECT_EQ(findings_of(live), "");
        ASHLAR_ASSERT_OK(store_regions{live}.remove({logs, 0}));
        ASHLAR_ASSERT_OK(live.checkpoint());
    }
}

TEST_F(SlideTest, TheRegionIsReadAndWrittenMeanwhileAndAfterEachStepAStoreThatIsOpenedAgainGoesOn) {
    constexpr std::uint64_t gap = 25;  // in parts of 12 blocks
    make(gap);
    random_bits random{7};
    int         steps = 0;
    for (bool done = false; !done; ++steps) {
        ASSERT_LT(steps, 300);
        auto compacting = opened();
        for (int i = 0; i < 3 && !done; ++i) {
            const auto said = compacting.step({.blocks_max = 5});
            done            = said.reasons.has(stop_reason::finished);
            ASSERT_TRUE(done || said.reasons == stop_reason::budget_spent) << said.failure.where.value;
            write(random.below(190), 1 + random.below(10), static_cast<std::uint32_t>(steps));
            // And where the part is that moves now, of which some was copied already.
            const auto at = std::min<std::uint64_t>(live.volume().indirection.count(), blocks - 12);
            write(at + random.below(5), 1 + random.below(3), static_cast<std::uint32_t>(steps + 7));
            expect_content();
            if (i == 1) ASHLAR_ASSERT_OK(live.append(live.root(), pattern(1, 512, 1)));
        }
        if (steps % 4 == 3) {
            compacting.cancel();
            EXPECT_TRUE(compacting.step({}).reasons.has(stop_reason::cancelled));
            EXPECT_EQ(findings_of(live), "");
        }
        auto moved = std::move(compacting);  // gives up what is under way
    }
    EXPECT_EQ(where().first + block_count{gap}, place.first);
    EXPECT_EQ(findings_of(live), "");
    open_again();
    expect_content();
}

TEST_F(SlideTest, PinnedHalfWayItStaysInPartsUntilItIsReleased) {
    make(12);
    {
        auto compacting = opened();
        for (int i = 0; i < 4; ++i) EXPECT_EQ(compacting.step({.blocks_max = 20}).reasons, stop_reason::budget_spent);
    }
    const auto moved = live.volume().indirection.count();
    EXPECT_GT(moved, 0U);
    EXPECT_LT(moved, blocks);
    ASHLAR_ASSERT_OK(store_regions{live}.pin({logs, 0}));
    auto compacting = opened();
    EXPECT_TRUE(run(compacting).reasons.has(stop_reason::pinned));
    EXPECT_EQ(live.volume().indirection.count(), moved);
    EXPECT_EQ(code_of(store_regions{live}.remove({logs, 0})), errc::pinned);
    ASHLAR_ASSERT_OK(store_regions{live}.add({.type = maps, .blocks = block_count{30}}));  // others go on
    write(moved - 3, 6, 9);
    open_again();
    expect_content();
    EXPECT_EQ(live.volume().indirection.count(), moved);
    ASHLAR_ASSERT_OK(store_regions{live}.pin({logs, 0}, false));
    auto again = opened();
    EXPECT_TRUE(run(again).reasons.has(stop_reason::finished));
    EXPECT_TRUE(live.volume().indirection.empty());
    EXPECT_LT(where().first, place.first);
    expect_content();
    EXPECT_EQ(findings_of(live), "");
}

TEST_F(SlideTest, ARegionThatLiesInPartsIsMovedByNobodyElseAndIsRemovedWithAllItHas) {
    make(12);
    {
        auto compacting = opened();
        for (int i = 0; i < 4; ++i) static_cast<void>(compacting.step({.blocks_max = 20}));
    }
    ASSERT_FALSE(live.volume().indirection.empty());
    using source = region_source<test_store::volume_type>;
    source        whole{live.volume(), {}, {}};
    mapped_extent pieces[4];
    EXPECT_EQ(code_of(whole.mapping(source::owner_of({logs, 0}), {0}, block_count{5}, pieces)), errc::busy);
    EXPECT_EQ(code_of(begin_slide(live.volume(), {logs, 0}, block_count{1})), errc::busy);
    ASHLAR_ASSERT_OK(store_regions{live}.remove({logs, 0}));
    ASHLAR_ASSERT_OK(live.checkpoint());
    EXPECT_TRUE(live.volume().indirection.empty());
    EXPECT_TRUE(live.volume().regions.indirection().empty());
    EXPECT_EQ(live.info().available, available + block_count{blocks});
    EXPECT_EQ(findings_of(live), "");
    open_again();
    EXPECT_EQ(findings_of(live), "");
}

TEST_F(SlideTest, WhereTheGapIsAllThatIsFreeTheTableLiesInItAndTheRegionMovesInTwoSlides) {
    make(40);
    take_all_behind();
    auto        compacting = opened({.threshold_permille = 0, .only = region_id{logs, 0}});
    region_move lines[region_slots];
    const auto  plan = compacting.plan(lines);
    ASHLAR_ASSERT_OK(plan);
    EXPECT_EQ(plan.value().slides, 1U);
    EXPECT_EQ(lines[0].to.value + 40, place.first.value);
    EXPECT_GE(plan.value().blocks, place.count + place.count);
    extent table{};
    for (int i = 0; i < 1000 && table.empty(); ++i) {
        static_cast<void>(compacting.step({.blocks_max = 16}));
        table = live.volume().regions.indirection();
    }
    EXPECT_EQ(table.count, block_count{7});
    EXPECT_TRUE(lies_in(table, {{place.first.value - 40}, {40}})) << table.first.value;
    EXPECT_GE(live.volume().space.available(space_use::metadata), live.volume().space.metadata_reserve({1500}));
    const auto said = run(compacting);
    EXPECT_TRUE(said.reasons.has(stop_reason::finished)) << said.failure.where.value;
    EXPECT_EQ(said.failure.code, errc::none) << message(said.failure.code);
    EXPECT_EQ(where(), (extent{{place.first.value - 40}, place.count}));
    EXPECT_GE(compacting.last_result().regions_slid, 2U);
    EXPECT_TRUE(live.volume().indirection.empty());
    expect_content();
    EXPECT_EQ(findings_of(live), "");
}

TEST_F(SlideTest, WhereTheTableOrHalfOfTheGapWouldTakeWhatMetadataKeepsNothingBegins) {
    make(16);  // of which 7 are the table's, and 8 are kept
    take_all_behind();
    auto        compacting = opened({.threshold_permille = 0, .only = region_id{logs, 0}});
    region_move lines[region_slots];
    EXPECT_EQ(compacting.plan(lines).value().slides, 0U);
    EXPECT_FALSE(lines[0].needed);
    const auto said = run(compacting);
    EXPECT_TRUE(said.reasons.has(stop_reason::finished));
    EXPECT_TRUE(said.reasons.has(stop_reason::no_contiguous_space));
    EXPECT_EQ(said.failure.code, errc::none) << message(said.failure.code);
    EXPECT_EQ(where(), place);
    EXPECT_TRUE(live.volume().regions.slide().empty());
    expect_content();
    EXPECT_EQ(findings_of(live), "");
}

TEST_F(SlideTest, WithoutASlotForItsTableNothingBeginsAndNothingStaysReserved) {
    for (const bool full : {true, false}) {  // no slot is left, or the slide's own but none for the table
        make(12);
        std::vector<region_id> others;
        while (const auto one = store_regions{live}.add({.type = maps, .blocks = {1}, .from = place.end()}))
            others.push_back(one.value());
        if (!full) {
            ASHLAR_ASSERT_OK(store_regions{live}.remove(others.back()));
            others.pop_back();
        }
        ASHLAR_ASSERT_OK(live.checkpoint());
        available = live.info().available;
        for (int i = 0; i < 2; ++i) {
            auto       compacting = opened({.threshold_permille = 1, .only = region_id{logs, 0}});
            const auto said       = run(compacting);
            EXPECT_TRUE(said.reasons.has(stop_reason::no_contiguous_space));
            EXPECT_EQ(said.failure.code, errc::too_large);
            EXPECT_EQ(where(), place);
            EXPECT_EQ(live.info().available, available) << "something stays reserved";
            EXPECT_FALSE(live.volume().space.is_waited_for({}));
        }
        EXPECT_EQ(findings_of(live), "");
        for (const auto& one : others) ASHLAR_ASSERT_OK(store_regions{live}.remove(one));
        ASHLAR_ASSERT_OK(store_regions{live}.remove({logs, 0}));
        ASHLAR_ASSERT_OK(live.checkpoint());
    }
}

TEST_F(SlideTest, ACancelledOneGoesOnInAPassOfItsOwn) {
    make(40);
    auto compacting = opened();
    while (live.volume().indirection.count() == 0) static_cast<void>(compacting.step({.blocks_max = 16}));
    compacting.cancel();
    EXPECT_EQ(compacting.step({}).reasons, stop_reason::cancelled);
    const auto first = compacting.last_result();
    EXPECT_FALSE(first.finished);
    EXPECT_GE(first.blocks_moved.value, live.volume().indirection.count());
    const auto left = blocks - live.volume().indirection.count();
    EXPECT_NE(compacting.step({.blocks_max = 1}).phase, static_cast<std::uint32_t>(compaction_phase::idle));
    EXPECT_TRUE(run(compacting).reasons.has(stop_reason::finished));
    EXPECT_TRUE(compacting.last_result().finished);
    EXPECT_EQ(compacting.last_result().blocks_moved, block_count{left}) << "what was cancelled counts for itself";
    EXPECT_EQ(compacting.last_result().regions_slid, 1U);
    EXPECT_EQ(where().first + block_count{40}, place.first);
    expect_content();
    EXPECT_EQ(findings_of(live), "");
}

}  // namespace slide_test
}  // namespace ashlar::test
