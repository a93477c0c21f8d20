// A region that slides with fewer entries than it has blocks: its table is begun anew whenever it has no more room.

#include "slide_fixture.hpp"

namespace ashlar::test {
namespace slide_fold_test {

struct SlideFold : slide_fixture {
    [[nodiscard]] std::uint64_t entries() { return live.volume().indirection.count(); }
    [[nodiscard]] std::uint64_t folded() { return live.volume().indirection.folded().count.value; }
    [[nodiscard]] std::uint64_t moved() { return folded() + entries(); }

    /// Leaves the slide when more than so many blocks are folded.
    void cut_behind(std::uint64_t blocks_folded, std::uint64_t entries_min = 1) {
        auto compacting = opened();
        for (int i = 0; i < 2000 && (folded() <= blocks_folded || entries() < entries_min); ++i)
            ASSERT_EQ(compacting.step({.blocks_max = 1}).reasons, stop_reason::budget_spent);
        ASSERT_GT(folded(), blocks_folded);
    }
    void expect_finished(std::uint64_t gap) {
        auto       compacting = opened();
        const auto said       = run(compacting);
        EXPECT_TRUE(said.reasons.has(stop_reason::finished)) << said.failure.where.value;
        EXPECT_EQ(said.failure.code, errc::none) << message(said.failure.code);
        EXPECT_EQ(where(), (extent{{place.first.value - gap}, place.count}));
        EXPECT_TRUE(live.volume().indirection.empty());
        EXPECT_TRUE(live.volume().regions.slide().empty());
        expect_content();
        ASHLAR_ASSERT_OK(live.checkpoint());
        EXPECT_EQ(live.info().available, available);
        EXPECT_EQ(findings_of(live), "");
    }
};

TEST_F(SlideFold, ARegionSlidesHoweverFewEntriesMemoryHolds) {
    struct scene {
        std::uint64_t entries_max, gap, table;  // blocks of 30 entries
    };
    for (const auto& [entries_max, gap, table] :
         {scene{1, 7, 1}, scene{1, 1, 1}, scene{2, 50, 1}, scene{29, 80, 1}, scene{30, 40, 1}, scene{31, 80, 2},
          scene{60, 190, 2}, scene{100, 150, 4}, scene{150, 120, 5}}) {
        open_with(static_cast<std::size_t>(entries_max));
        make(gap);
        std::uint64_t begun_anew = 0;
        {
            auto          compacting = opened();
            std::uint64_t before     = 0;
            for (bool done = false; !done;) {
                const auto said = compacting.step({.blocks_max = 1});
                done            = said.reasons != stop_reason::budget_spent;
                ASSERT_LE(entries(), entries_max);
                if (live.volume().regions.slide().empty()) continue;
                EXPECT_EQ(live.volume().regions.indirection().count, block_count{table}) << entries_max;
                if (folded() != before) ++begun_anew;
                before = folded();
                std::array<region_row, region_slots> rows;
                const auto                           report = store_regions{live}.report(rows);
                ASHLAR_ASSERT_OK(report);
                EXPECT_EQ(report.value().slid, block_count{moved()});
                EXPECT_EQ(report.value().entries, entries());
            }
            EXPECT_EQ(compacting.last_result().regions_slid, 1U);
            EXPECT_EQ(compacting.last_result().blocks_moved, place.count);
        }
        const auto whole_tables = (blocks - 1) / entries_max;  // the last one may end in the step that begins it
        EXPECT_GE(begun_anew, whole_tables > 1 ? whole_tables - 1 : 1) << entries_max;
        expect_content();
        EXPECT_EQ(where(), (extent{{place.first.value - gap}, place.count}));
        ASHLAR_ASSERT_OK(live.checkpoint());
        EXPECT_EQ(live.info().available, available);
        EXPECT_EQ(findings_of(live), "");
        ASHLAR_ASSERT_OK(store_regions{live}.remove({logs, 0}));
        ASHLAR_ASSERT_OK(live.checkpoint());
    }
}

TEST_F(SlideFold, TheRegionIsReadAndWrittenMeanwhileAndAStoreThatIsOpenedAgainAfterAnyStepGoesOn) {
    for (const std::uint64_t entries_max : {5U, 40U, 70U}) {
        open_with(static_cast<std::size_t>(entries_max));
        make(45);  // in parts of 22 blocks, or of 5
        random_bits   random{static_cast<std::uint32_t>(entries_max)};
        std::uint64_t anew = 0, last = 0;
        for (int steps = 0; where() == place; ++steps) {
            ASSERT_LT(steps, 400);
            {
                auto compacting = opened();
                for (int i = 0; i < 3 && where() == place; ++i) {
                    const auto said = compacting.step({.blocks_max = 9});
                    ASSERT_TRUE(said.reasons == stop_reason::budget_spent || said.reasons.has(stop_reason::finished));
                    write(random.below(190), 1 + random.below(10), static_cast<std::uint32_t>(steps));
                    // And what moves now, of which some was copied already.
                    const auto at = std::min<std::uint64_t>(moved(), blocks - 8);
                    write(at, 1 + random.below(8), static_cast<std::uint32_t>(steps + i));
                    anew += folded() > last ? 1U : 0U;
                    last = folded();
                    expect_content();
                }
            }
            if (steps % 3 == 0) ASHLAR_ASSERT_OK(live.checkpoint());
            const auto before = std::pair{folded(), entries()};
            open_again();
            EXPECT_EQ((std::pair{folded(), entries()}), before);
            expect_content();
            EXPECT_EQ(findings_of(live), "");
        }
        EXPECT_GE(anew, 2U);
        EXPECT_EQ(where().first + block_count{45}, place.first);
        ASHLAR_ASSERT_OK(store_regions{live}.remove({logs, 0}));
        ASHLAR_ASSERT_OK(live.checkpoint());
    }
}

TEST_F(SlideFold, PinnedAfterItsTableWasBegunAnewItStaysInPartsUntilItIsReleased) {
    open_with(16);
    make(12);
    cut_behind(40, 7);
    const auto seen = std::pair{folded(), entries()};
    ASHLAR_ASSERT_OK(store_regions{live}.pin({logs, 0}));
    {
        auto compacting = opened();
        EXPECT_TRUE(run(compacting).reasons.has(stop_reason::pinned));
    }
    EXPECT_EQ(code_of(store_regions{live}.remove({logs, 0})), errc::pinned);
    write(moved() - 3, 6, 9);
    write(folded() - 3, 6, 10);
    open_again();
    EXPECT_EQ((std::pair{folded(), entries()}), seen);
    expect_content();
    EXPECT_EQ(findings_of(live), "");
    ASHLAR_ASSERT_OK(store_regions{live}.pin({logs, 0}, false));
    expect_finished(12);
}

TEST_F(SlideFold, RemovedAfterItsTableWasBegunAnewItGivesBackAllItHas) {
    for (const bool opened_again : {false, true}) {
        open_with(40);
        make(30);
        cut_behind(29, 25);
        if (opened_again) open_again();
        EXPECT_EQ(findings_of(live), "");
        ASHLAR_ASSERT_OK(store_regions{live}.remove({logs, 0}));
        ASHLAR_ASSERT_OK(live.checkpoint());
        EXPECT_TRUE(live.volume().indirection.empty());
        EXPECT_EQ(live.info().available, available + block_count{blocks});
        EXPECT_EQ(findings_of(live), "");
        open_again();
        EXPECT_EQ(findings_of(live), "");
    }
}

TEST_F(SlideFold, OpenedWithRoomForFewerEntriesThanItsTableHoldsItGoesOnAndWithMoreToo) {
    open_with(150);
    make(90);
    {
        auto compacting = opened();
        while (entries() < 40) static_cast<void>(compacting.step({.blocks_max = 8}));
    }
    ASHLAR_ASSERT_OK(live.checkpoint());
    const auto there = entries();
    open_with(there + 3);  // all that there are, and no room for another part
    EXPECT_EQ(entries(), there);
    cut_behind(there - 1);
    expect_content();
    open_with(4096);
    EXPECT_GT(folded(), 0U);
    expect_content();
    expect_finished(90);
}

TEST_F(SlideFold, WithoutRoomForAnEntryASlideThatWasBegunStaysAsItIs) {
    open_with(100);
    make(60);
    {
        auto compacting = opened();
        while (live.volume().regions.slide().empty()) static_cast<void>(compacting.step({.blocks_max = 0}));
    }
    ASSERT_EQ(moved(), 0U);
    ASHLAR_ASSERT_OK(live.sync());
    open_with(0);
    ASSERT_FALSE(live.volume().regions.slide().empty());
    {
        auto       compacting = opened();
        const auto said       = run(compacting);
        EXPECT_TRUE(said.reasons.has(stop_reason::finished));
        EXPECT_TRUE(said.reasons.has(stop_reason::no_contiguous_space));
        EXPECT_EQ(said.failure, (error{errc::too_large, block_index{blocks}}));
    }
    EXPECT_FALSE(live.volume().regions.slide().empty());
    expect_content();
    EXPECT_EQ(findings_of(live), "");
    open_with(30);
    expect_finished(60);
}

}  // namespace slide_fold_test
}  // namespace ashlar::test
