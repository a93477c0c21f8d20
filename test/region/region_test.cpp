#include "region_fixture.hpp"

namespace ashlar::test {
namespace region_test {

const volume_shape shape{.block_bytes = 512, .blocks = 2600, .journal_blocks = 96};

struct RegionTest : testing::Test {
    RegionTest() : memory{make_memory(shape)}, checked{memory} {
        format_on(checked, shape);
        live = opened_on(checked);
    }
    ~RegionTest() override { expect_order(checked); }

    /// As after a power cut of a device that keeps everything, or closed in order.
    void reopen(bool clean) {
        if (clean) {
            ASHLAR_EXPECT_OK(live.close());
        } else {
            static_cast<void>(live.abandon());
        }
        live = opened_on(checked);
    }

    memory_device  memory;
    checked_memory checked;
    test_store     live;
};

TEST_F(RegionTest, ARegionIsADeviceOfItsOwnThatComesBackAfterARestart) {
    for (const bool clean : {true, false}) {
        const auto name = store_regions{live}.add({.type = logs, .blocks = block_count{40}});
        ASHLAR_ASSERT_OK(name);
        auto opened = store_regions{live}.open(name.value());
        ASHLAR_ASSERT_OK(opened);
        EXPECT_EQ(opened.value().geometry().blocks, block_count{40});
        const auto bytes = pattern(40, 512, 1);
        ASHLAR_ASSERT_OK(opened.value().write({block_index{0}, block_count{40}}, bytes));
        ASHLAR_ASSERT_OK(opened.value().sync());
        reopen(clean);
        auto again = store_regions{live}.open(name.value());
        ASHLAR_ASSERT_OK(again);
        EXPECT_EQ(read_all(again.value()), bytes);
        EXPECT_EQ(findings_of(live), "");
    }
}

TEST_F(RegionTest, NamesCountWithinATypeAndAreUsedAgain) {
    store_regions regions{live};
    const auto add = [&](std::uint32_t type) { return regions.add({.type = type, .blocks = block_count{8}}).value(); };
    EXPECT_EQ(add(logs), (region_id{logs, 0}));
    EXPECT_EQ(add(maps), (region_id{maps, 0}));
    EXPECT_EQ(add(logs), (region_id{logs, 1}));
    ASHLAR_EXPECT_OK(regions.remove({logs, 0}));
    EXPECT_EQ(code_of(regions.find({logs, 0})), errc::not_found);
    EXPECT_EQ(add(logs), (region_id{logs, 0}));
    ASHLAR_ASSERT_OK(live.sync());
    reopen(false);
    for (const region_id name : {region_id{logs, 0}, region_id{logs, 1}, region_id{maps, 0}}) {
        const auto found = store_regions{live}.find(name);
        ASHLAR_ASSERT_OK(found);
        EXPECT_EQ(found.value().place.count, block_count{8});
    }
}

TEST_F(RegionTest, ANumberThatIsTakenIsRefusedBeforeItIsAskedFor) {
    store_regions regions{live};
    ASHLAR_ASSERT_OK(regions.add({.type = logs, .blocks = block_count{8}, .number = 7}));
    for (const std::uint32_t number : {6U, 7U}) {
        const region_request wanted{.type = logs, .blocks = block_count{8}, .number = number};
        const auto           asked = code_of(regions.can_add(wanted));
        EXPECT_EQ(asked, number == 7 ? errc::busy : errc::none);
        EXPECT_EQ(code_of(regions.add(wanted)), asked);
    }
}

TEST_F(RegionTest, WhatIsRemovedIsFreeAgainAndItsHandlesSayThatItIsGone) {
    store_regions regions{live};
    const auto    free  = live.info().free;
    const auto    name  = regions.add({.type = logs, .blocks = block_count{300}}).value();
    auto          stale = regions.open(name).value();
    EXPECT_EQ(live.info().free, free - block_count{300});
    ASHLAR_ASSERT_OK(regions.remove(name));
    byte_vector block(512);
    EXPECT_EQ(code_of(stale.read({block_index{0}, block_count{1}}, block)), errc::not_found);
    EXPECT_EQ(code_of(stale.write({block_index{0}, block_count{1}}, block)), errc::not_found);
    EXPECT_EQ(code_of(regions.remove(name)), errc::not_found);
    ASHLAR_ASSERT_OK(live.checkpoint());
    EXPECT_EQ(live.info().free, free);
    EXPECT_EQ(findings_of(live), "");
}

TEST_F(RegionTest, ARegionMayGoFromBetweenThePartsOfTheObjectTable) {
    const auto between = store_regions{live}.add({.type = logs, .blocks = block_count{8}});
    ASHLAR_ASSERT_OK(between);
    while (live.volume().regions.object_parts().size() < 3) ASHLAR_ASSERT_OK(live.create());
    ASHLAR_ASSERT_OK(store_regions{live}.remove(between.value()));
    reopen(true);
    ASSERT_EQ(live.volume().regions.object_parts().size(), 3U);
    expect_whole(live);
}

TEST_F(RegionTest, APinnedRegionStays) {
    store_regions regions{live};
    const auto    name = regions.add({.type = logs, .blocks = block_count{8}}).value();
    ASHLAR_ASSERT_OK(regions.pin(name));
    EXPECT_EQ(code_of(regions.remove(name)), errc::pinned);
    ASHLAR_ASSERT_OK(live.sync());
    reopen(false);
    EXPECT_TRUE(store_regions{live}.find(name).value().pinned);
    EXPECT_EQ(code_of(store_regions{live}.remove(name)), errc::pinned);
    ASHLAR_ASSERT_OK(store_regions{live}.pin(name, false));
    ASHLAR_EXPECT_OK(store_regions{live}.remove(name));
}

TEST_F(RegionTest, WhatTheStoreOwnsIsListedAndOutOfReach) {
    store_regions regions{live};
    std::uint32_t own = 0;
    for (std::uint32_t i = 0; i < regions.count(); ++i) own += regions.at(i).value().engine ? 1U : 0U;
    EXPECT_EQ(own, regions.count());
    EXPECT_EQ(code_of(regions.at(regions.count())), errc::out_of_range);
    const region_id table{tag::objects, 0};
    ASHLAR_EXPECT_OK(regions.find(table));
    EXPECT_EQ(code_of(regions.open(table)), errc::invalid_argument);
    EXPECT_EQ(code_of(regions.remove(table)), errc::invalid_argument);
    EXPECT_EQ(code_of(regions.pin(table)), errc::invalid_argument);
    for (const std::uint32_t type : {0U, tag_of("A BC"), tag::journal, tag_of("MCHK"), 0x80808080U}) {
        EXPECT_EQ(code_of(regions.add({.type = type, .blocks = block_count{8}})), errc::invalid_argument);
        EXPECT_EQ(code_of(regions.can_add({.type = type, .blocks = block_count{8}})), errc::invalid_argument);
    }
    EXPECT_EQ(code_of(regions.add({.type = logs})), errc::invalid_argument);
    EXPECT_EQ(code_of(regions.can_add({.type = logs})), errc::invalid_argument);
    EXPECT_EQ(code_of(regions.pin({logs, 0})), errc::not_found);
}

TEST_F(RegionTest, ATransferBeyondTheRegionMovesNothing) {
    store_regions regions{live};
    auto          region = regions.open(regions.add({.type = logs, .blocks = block_count{8}}).value()).value();
    byte_vector   bytes(1024);
    EXPECT_EQ(code_of(region.read({block_index{7}, block_count{2}}, bytes)), errc::out_of_range);
    EXPECT_EQ(code_of(region.write({block_index{7}, block_count{2}}, bytes)), errc::out_of_range);
    EXPECT_EQ(code_of(region.write({block_index{~std::uint64_t{0}}, block_count{2}}, bytes)), errc::out_of_range);
    EXPECT_EQ(code_of(region.trim({block_index{8}, block_count{1}})), errc::out_of_range);
    EXPECT_EQ(findings_of(live), "");
}

TEST_F(RegionTest, ADirectoryThatIsFullSaysSo) {
    store_regions regions{live};
    std::uint32_t made = 0;
    for (;; ++made) {
        const auto more = regions.add({.type = logs, .blocks = block_count{1}});
        if (more) continue;
        EXPECT_EQ(more.error().code, errc::too_large);
        EXPECT_EQ(code_of(regions.can_add({.type = logs, .blocks = block_count{1}})), errc::too_large);
        break;
    }
    EXPECT_EQ(regions.count(), region_slots);
    for (std::uint32_t i = 0; i < made; ++i) ASHLAR_ASSERT_OK(regions.remove({logs, i}));
    ASHLAR_ASSERT_OK(live.checkpoint());
    EXPECT_EQ(findings_of(live), "");
}

TEST_F(RegionTest, CanAddSaysWhereAndWhyNot) {
    store_regions regions{live};
    const auto    where = regions.can_add({.type = logs, .blocks = block_count{64}});
    ASHLAR_ASSERT_OK(where);
    const auto name = regions.add({.type = logs, .blocks = block_count{64}}).value();
    EXPECT_EQ(regions.find(name).value().place, where.value());
    EXPECT_EQ(code_of(regions.can_add({.type = logs, .blocks = block_count{shape.blocks}})), errc::no_space);
    EXPECT_EQ(code_of(regions.add({.type = logs, .blocks = block_count{shape.blocks}})), errc::no_space);
    EXPECT_EQ(code_of(regions.can_add({.type = logs, .blocks = live.info().free})), errc::reserve_only);
    EXPECT_EQ(code_of(regions.can_add({.type = maps, .blocks = block_count{4}, .from = block_index{2599}})),
              errc::no_contiguous_space);
}

TEST_F(RegionTest, FreeRunsAreListedAcrossGroups) {
    store_regions       regions{live};
    std::vector<extent> runs;
    block_count         sum{};
    ASHLAR_ASSERT_OK(regions.for_each_free([&](extent run) noexcept {
        if (!runs.empty()) { EXPECT_LT(runs.back().end(), run.first); }
        runs.push_back(run);
        sum += run.count;
        return true;
    }));
    EXPECT_EQ(sum, live.info().free);
    EXPECT_EQ(runs.size(), 1U);  // an empty volume: everything behind the tables
}

TEST(RegionBits, AFreeSpaceScanJoinsRunsAndFindsTheFirstThatFits) {
    bitmap_word     words[4]{};
    const group_run taken[] = {{0, 3}, {10, 2}, {40, 30}};
    for (const auto run : taken) set_bits(words, run);
    bitmap_free_space   space{words, 100};
    std::vector<extent> runs;
    ASHLAR_ASSERT_OK(for_each_free_run(space, {}, [&](extent run) noexcept {
        runs.push_back(run);
        return true;
    }));
    EXPECT_EQ(runs, (std::vector<extent>{{{3}, {7}}, {{12}, {28}}, {{70}, {30}}}));
    EXPECT_EQ(first_fit(space, block_count{8}).value(), (extent{{12}, {8}}));
    EXPECT_EQ(first_fit(space, block_count{30}).value(), (extent{{70}, {30}}));
    EXPECT_EQ(first_fit(space, block_count{31}).value(), std::nullopt);
    EXPECT_EQ(first_fit(space, block_count{8}, {15}, {22}).value(), std::nullopt);
    EXPECT_EQ(first_fit(space, block_count{7}, {15}, {22}).value(), (extent{{15}, {7}}));
    set_bits(words, {98, 2});
    EXPECT_EQ(first_fit(space, block_count{29}, {15}).value(), std::nullopt) << "nothing is free at the end";
}

}  // namespace region_test
}  // namespace ashlar::test
