#include "../region/region_fixture.hpp"

#include <ashlar/maintenance/region_report.hpp>

#include <map>

namespace ashlar::test {
namespace region_report_test {

const volume_shape shape{.block_bytes = 512, .blocks = 9000, .journal_blocks = 96};

struct RegionReportTest : testing::Test {
    RegionReportTest() : memory{make_memory(shape)}, checked{memory} {
        format_on(checked, shape);
        live = opened_on(checked);
    }
    ~RegionReportTest() override { expect_order(checked); }

    region_id add(std::uint32_t type, std::uint64_t blocks) {
        const auto name = store_regions{live}.add({.type = type, .blocks = block_count{blocks}});
        ASHLAR_EXPECT_OK(name);
        return name.value();
    }
    void remove(region_id name) {
        ASHLAR_EXPECT_OK(store_regions{live}.remove(name));
        ASHLAR_EXPECT_OK(live.checkpoint());
    }
    region_report report() {
        const auto seen = store_regions{live}.report(rows);
        ASHLAR_EXPECT_OK(seen);
        return seen.value();
    }
    const region_row& row(region_id name) {
        for (const auto& one : rows) {
            if (one.name == name) return one;
        }
        ADD_FAILURE() << "no row of that name";
        return rows[0];
    }

    memory_device                        memory;
    checked_memory                       checked;
    test_store                           live;
    std::array<region_row, region_slots> rows{};
};

TEST_F(RegionReportTest, EachRegionHasARowInTheOrderOfPlaces) {
    const auto first = add(logs, 40), second = add(maps, 30), third = add(logs, 20);
    ASHLAR_ASSERT_OK(store_regions{live}.pin(third));
    const auto said = report();
    EXPECT_EQ(said.regions, store_regions{live}.count());
    EXPECT_EQ(said.own, said.regions - 3);
    block_count sum{};
    for (std::size_t i = 0; i < said.regions; ++i) {
        const auto known = store_regions{live}.find(rows[i].name);
        ASHLAR_ASSERT_OK(known);
        EXPECT_EQ(rows[i].place, known.value().place);
        EXPECT_EQ(rows[i].engine, known.value().engine);
        EXPECT_EQ(rows[i].pinned, rows[i].name == third);
        sum += rows[i].place.count;
        if (i > 0) { EXPECT_GE(rows[i].place.first, rows[i - 1].place.end()); }
    }
    EXPECT_EQ(said.in_regions, sum);
    EXPECT_FALSE(row(first).engine || row(second).engine || row(third).engine);
}

TEST_F(RegionReportTest, TheGapBehindARegionIsTheFreeRunThere) {
    const auto first = add(logs, 40), second = add(logs, 30), third = add(logs, 20);
    report();
    EXPECT_EQ(row(first).gap_after, block_count{});
    remove(second);
    report();
    EXPECT_EQ(row(first).gap_after, block_count{30});
    const auto  behind = row(third);
    block_count found{};
    ASHLAR_ASSERT_OK(store_regions{live}.for_each_free([&](extent run) noexcept {
        if (run.first == behind.place.end()) found = run.count;
        return true;
    }));
    EXPECT_GT(found, block_count{});
    EXPECT_EQ(behind.gap_after, found);
}

TEST_F(RegionReportTest, TotalsAreThoseOfTheFreeRuns) {
    std::vector<region_id> made;
    random_bits            random{11};
    for (int i = 0; i < 24; ++i) made.push_back(add(logs, 1 + random.below(60)));
    for (std::size_t i = 0; i < made.size(); i += 2) remove(made[i]);

    std::vector<extent> listed, told;
    ASHLAR_ASSERT_OK(store_regions{live}.for_each_free([&](extent run) noexcept {
        listed.push_back(run);
        return true;
    }));
    const auto seen = store_regions{live}.report(rows, [&](extent run) noexcept { told.push_back(run); });
    ASHLAR_ASSERT_OK(seen);
    EXPECT_EQ(told, listed);
    EXPECT_EQ(seen.value(), report());

    block_count free{}, largest{}, smallest = listed.front().count, wasted{};
    for (const auto& run : listed) {
        free += run.count;
        largest  = std::max(largest, run.count);
        smallest = std::min(smallest, run.count);
        if (run.count < block_count{16}) wasted += run.count;
    }
    const auto& said = seen.value();
    EXPECT_EQ(said.free, (free_space_shape{free, largest, listed.size()}));
    EXPECT_EQ(said.free.free, live.info().free);
    EXPECT_EQ(said.smallest, smallest);
    EXPECT_EQ(said.wasted, wasted);
    EXPECT_GT(wasted, block_count{});
    EXPECT_EQ(said.average(), block_count{free.value / listed.size()});
    EXPECT_EQ(said.perfect_gain(), free - largest);
    EXPECT_EQ(said.free.permille(), 1000 - largest.value * 1000 / free.value);
}

TEST_F(RegionReportTest, ARunOfFifteenBlocksIsWastedAndOneOfSixteenIsNot) {
    const auto before = report().wasted;
    const auto small = add(logs, 15), kept = add(logs, 4), large = add(logs, 16);
    static_cast<void>(add(logs, 4));
    remove(large);
    EXPECT_EQ(report().wasted, before);
    remove(small);
    EXPECT_EQ(report().wasted, before + block_count{15});
    EXPECT_EQ(row(kept).gap_after, block_count{16});
}

TEST_F(RegionReportTest, WithoutRoomForARowItSaysSo) {
    const auto count = store_regions{live}.count();
    EXPECT_EQ(code_of(store_regions{live}.report(std::span{rows}.first(count - 1))), errc::too_many_extents);
    ASHLAR_EXPECT_OK(store_regions{live}.report(std::span{rows}.first(count)));
}

}  // namespace region_report_test
}  // namespace ashlar::test
