// What may be cut off, what is in the way of it, and how small a volume can become.

#include "resize_fixture.hpp"

#include <ashlar/volume/withheld_space.hpp>

namespace ashlar::test {
namespace cut_test {

struct CutTest : testing::Test {
    static constexpr std::uint64_t whole = 9000;

    CutTest() : memory{make_memory({.block_bytes = 512, .blocks = whole, .journal_blocks = 96})}, checked{memory} {
        format_on(checked, {.block_bytes = 512, .blocks = whole, .journal_blocks = 96});
        live = opened_on(checked);
    }
    ~CutTest() override {
        live = {};
        expect_order(checked);
    }
    errc        cut(std::uint64_t blocks) { return code_of(store_size{live}.cut(block_count{blocks})); }
    shrink_plan plan(std::uint64_t blocks) {
        const auto made = store_size{live}.plan_shrink(block_count{blocks});
        EXPECT_TRUE(made) << said(made);
        return made ? made.value() : shrink_plan{};
    }

    memory_device  memory;
    checked_memory checked;
    test_store     live;
};

TEST_F(CutTest, ASizeThatIsNoneIsRefused) {
    for (const std::uint64_t blocks : {std::uint64_t{0}, std::uint64_t{80}, whole, whole + 1, ~std::uint64_t{0}})
        EXPECT_EQ(cut(blocks), errc::invalid_argument) << blocks;
    EXPECT_EQ(plan(0).why.code, errc::invalid_argument);
    EXPECT_EQ(plan(whole + 1).why.code, errc::invalid_argument);
    EXPECT_TRUE(plan(whole).possible()) << "it has that size";
    EXPECT_EQ(store_size{live}.grow(block_count{whole}).error().code, errc::invalid_argument);
    EXPECT_EQ(store_size{live}.grow(block_count{whole + 1}).error(), (error{errc::out_of_range, {whole}}));
}

TEST_F(CutTest, WhatIsInUseBehindTheEndKeepsIt) {
    const auto id = live.create().value();
    ASHLAR_ASSERT_OK(live.reserve(id, 0, 8000 * 512));
    ASHLAR_ASSERT_OK(live.append(live.root(), pattern(40, 512, 1)));
    EXPECT_EQ(cut(8000), errc::busy);
    EXPECT_GT(plan(8000).in_use, block_count{0});
    EXPECT_EQ(live.info().blocks, block_count{whole});
    ASHLAR_ASSERT_OK(live.erase(id));
    while (!live.maintain().value().reasons.has(stop_reason::finished)) {}
    const auto seen = plan(8700);
    EXPECT_TRUE(seen.possible());
    EXPECT_EQ(seen.gained(), block_count{300});
    EXPECT_EQ(cut(8700), errc::none);
    expect_whole(live);
}

TEST_F(CutTest, ATransactionThatIsOpenKeepsTheSize) {
    auto open = live.begin();
    ASHLAR_ASSERT_OK(open);
    EXPECT_EQ(cut(8000), errc::busy);
    EXPECT_EQ(cut(whole - 1), errc::busy);
    open.value().abort();
    EXPECT_EQ(cut(8000), errc::none);
}

TEST_F(CutTest, WhatOthersWithholdBeforeTheEndKeepsTheSize) {
    constexpr extent held{{5000}, {4000}};
    {
        const entered guard{live.volume()};
        ASHLAR_ASSERT_OK(withhold(live.volume(), held));
    }
    EXPECT_EQ(store_size{live}.cut(block_count{8000}).error(), (error{errc::busy, held.first}));
    EXPECT_EQ(live.volume().space.withheld(), held);
    EXPECT_EQ(cut(5000), errc::none) << "it goes with the end";
    EXPECT_TRUE(live.volume().space.withheld().empty());
    expect_whole(live);
}

TEST_F(CutTest, ARegionBehindTheEndIsNamed) {
    const auto name = store_regions{live}.add({.type = logs, .blocks = block_count{50}, .from = block_index{8000}});
    ASHLAR_ASSERT_OK(name);
    const auto place = store_regions{live}.find(name.value()).value().place;
    EXPECT_EQ(store_size{live}.cut(block_count{8020}).error(), (error{errc::pinned, place.first}));
    EXPECT_EQ(plan(8020).why.code, errc::none) << "it can move";
    EXPECT_EQ(plan(8020).in_use.value, place.end().value - 8020U);
    ASHLAR_ASSERT_OK(store_regions{live}.pin(name.value()));
    EXPECT_EQ(plan(8020).why, (error{errc::pinned, place.first}));
    EXPECT_EQ(plan(8020).region, name.value());
    EXPECT_EQ(plan(8020).smallest, place.end() - block_index{});
    EXPECT_EQ(cut(place.end().value), errc::none);
    expect_whole(live);
    EXPECT_TRUE(store_regions{live}.open(name.value()));
}

TEST_F(CutTest, APinnedExtentBehindTheEndIsNamed) {
    const auto filler = live.create().value();
    ASHLAR_ASSERT_OK(live.reserve(filler, 0, 7000 * 512));
    const auto id = live.create().value();
    ASHLAR_ASSERT_OK(live.write(id, 0, pattern(3, 512, 1)));
    ASHLAR_ASSERT_OK(live.pin(id, 0, 3 * 512));
    ASHLAR_ASSERT_OK(live.erase(filler));
    while (!live.maintain().value().reasons.has(stop_reason::finished)) {}
    ASHLAR_ASSERT_OK(live.checkpoint());
    const auto at = live.next_extent(id, {}).value()->physical;
    ASSERT_GT(at.first.value, 3000U);
    const auto seen = plan(at.first.value);
    EXPECT_EQ(seen.why, (error{errc::pinned, at.end() - block_count{1}}));
    EXPECT_EQ(seen.object, id);
    EXPECT_EQ(seen.smallest, at.end() - block_index{});
    EXPECT_EQ(cut(at.end().value), errc::none);
    expect_whole(live);
}

TEST_F(CutTest, TheStoresOwnTablesStay) {
    const auto groups = live.volume().regions.groups()[0];
    const auto seen   = plan(groups.first.value);
    EXPECT_EQ(seen.why.code, errc::pinned);
    EXPECT_EQ(seen.region.type, tag::objects) << "the last of them";
    EXPECT_EQ(cut(groups.first.value), errc::pinned);
}

TEST_F(CutTest, TheLastPossibleSizeIsReachedAndOneBelowIsNot) {
    ASHLAR_ASSERT_OK(live.append(live.root(), pattern(10, 512, 1)));
    ASHLAR_ASSERT_OK(live.checkpoint());
    const auto smallest = plan(8000).smallest.value;
    EXPECT_LT(smallest, 1500U);
    EXPECT_TRUE(plan(smallest).possible());
    EXPECT_EQ(plan(smallest - 1).why, (error{errc::no_space, {smallest}}));
    ASSERT_EQ(cut(smallest), errc::none);
    expect_whole(live);
    EXPECT_EQ(plan(smallest - 1).why.code, errc::no_space);
    EXPECT_EQ(code_of(live.append(live.root(), pattern(2, 512, 1))), errc::reserve_only);
    ASHLAR_ASSERT_OK(live.truncate(live.root(), 0));
    ASHLAR_ASSERT_OK(live.close());
    live = opened_on(checked);
    expect_whole(live);
    ASHLAR_ASSERT_OK(store_size{live}.grow());
    EXPECT_EQ(live.info().blocks, block_count{whole});
    std::uint64_t bytes = 0;
    const auto    id    = fill(live, 5, bytes);
    expect_filled(live, id, 5, bytes);
    expect_whole(live);
}

TEST_F(CutTest, ACutBelowTheReserveOfMetadataIsRefused) {
    const auto used = block_count{whole} - live.info().free;
    ASHLAR_ASSERT_OK(live.checkpoint());
    EXPECT_EQ(cut(used.value + 3), errc::no_space);
    expect_whole(live);
}

TEST_F(CutTest, TrimmedBlocksBehindTheEndAreForgotten) {
    while (!live.trim(block_count{500}).value().finished) {}
    ASHLAR_ASSERT_OK(live.sync());
    EXPECT_EQ(cut(5000), errc::none);
    expect_whole(live);
    ASHLAR_ASSERT_OK(store_size{live}.grow(block_count{8000}));
    expect_whole(live);
    while (!live.trim(block_count{500}).value().finished) {}
    expect_whole(live);
}

TEST_F(CutTest, AReadOnlyStoreKeepsItsSize) {
    ASHLAR_ASSERT_OK(live.close());
    auto opened = test_store::open_read_only(any_device{checked}, with<test_store>());
    ASHLAR_ASSERT_OK(opened);
    EXPECT_EQ(code_of(store_size{opened.value()}.cut(block_count{8000})), errc::read_only);
    EXPECT_EQ(code_of(store_size{opened.value()}.grow()), errc::read_only);
    EXPECT_TRUE(store_size{opened.value()}.plan_shrink(block_count{8000}).value().possible());
    ASHLAR_ASSERT_OK(opened.value().close());
    live = opened_on(checked);
}

}  // namespace cut_test
}  // namespace ashlar::test
