#include "region_fixture.hpp"

#include <ashlar/compaction.hpp>

namespace ashlar::test {
namespace compaction_test {

const volume_shape shape{.block_bytes = 512, .blocks = 9000, .journal_blocks = 96};

using task = compaction<test_blueprint<>>;

/// Three groups. Regions with holes between them; behind them free space.
struct CompactionTest : testing::Test {
    CompactionTest() : memory{make_memory(shape)}, checked{memory} {
        format_on(checked, shape);
        live = opened_on(checked);
    }
    ~CompactionTest() override { expect_order(checked); }

    /// Adds a region of so many blocks and fills it.
    void add(std::uint64_t blocks) {
        const auto name = store_regions{live}.add({.type = logs, .blocks = block_count{blocks}});
        ASHLAR_ASSERT_OK(name);
        auto       region = store_regions{live}.open(name.value()).value();
        const auto bytes  = pattern(blocks, 512, name.value().number);
        ASHLAR_ASSERT_OK(region.write({block_index{0}, block_count{blocks}}, bytes));
        ASHLAR_ASSERT_OK(region.sync());
        content[name.value().number] = bytes;
    }
    void remove(std::uint32_t number) {
        ASHLAR_ASSERT_OK(store_regions{live}.remove({logs, number}));
        ASHLAR_ASSERT_OK(live.checkpoint());
        content.erase(number);
    }
    void expect_content() {
        for (const auto& [number, bytes] : content) {
            auto region = store_regions{live}.open({logs, number});
            ASHLAR_ASSERT_OK(region);
            EXPECT_EQ(read_all(region.value()), bytes) << number;
        }
    }
    progress run(task& compacting, std::uint64_t blocks_at_once = 64) {
        for (;;) {
            const auto said = compacting.step({.blocks_max = blocks_at_once});
            if (said.reasons != stop_reason::budget_spent) return said;
        }
    }

    memory_device                        memory;
    checked_memory                       checked;
    test_store                           live;
    std::map<std::uint32_t, byte_vector> content;
};

TEST_F(CompactionTest, RegionsMoveTogetherAndKeepWhatTheyHold) {
    for (const std::uint64_t blocks : {100U, 300U, 50U, 400U, 100U, 2500U}) add(blocks);
    for (const std::uint32_t gone : {1U, 3U}) remove(gone);
    auto compacting = task::open(live);
    ASHLAR_ASSERT_OK(compacting);
    region_move lines[8];
    const auto  plan = compacting.value().plan(lines);
    ASHLAR_ASSERT_OK(plan);
    EXPECT_EQ(plan.value().regions, 4U);
    EXPECT_EQ(plan.value().moves, 3U);
    EXPECT_EQ(plan.value().slides, 1U) << "of the last one, which is longer than all that the others leave";
    EXPECT_EQ(plan.value().entries, 2500U);
    EXPECT_EQ(plan.value().blocks, block_count{2650});
    const auto said = run(compacting.value());
    EXPECT_EQ(said.reasons, stop_reason::finished);
    EXPECT_EQ(said.failure.code, errc::none);
    const auto& did = compacting.value().last_result();
    EXPECT_TRUE(did.finished);
    EXPECT_EQ(did.regions_moved, plan.value().moves);
    EXPECT_EQ(did.regions_slid, plan.value().slides);
    EXPECT_EQ(did.blocks_moved, plan.value().blocks);
    EXPECT_EQ(did.before, plan.value().before);
    EXPECT_EQ(did.after, plan.value().after);
    expect_content();
    EXPECT_EQ(findings_of(live), "");
    static_cast<void>(live.abandon());
    live = opened_on(checked);
    expect_content();
    for (std::size_t i = 0; i < plan.value().regions; ++i) {
        const auto place = store_regions{live}.find(lines[i].region).value().place;
        EXPECT_EQ(place.first, lines[i].needed ? lines[i].to : lines[i].from.first);
    }
}

TEST_F(CompactionTest, WhatIsWrittenMeanwhileIsInTheCopy) {
    add(1000);
    add(800);
    remove(0);
    auto        compacting = task::open(live).value();
    auto        region     = store_regions{live}.open({logs, 1}).value();
    random_bits random{7};
    std::size_t during = 0;
    for (;;) {
        const auto said = compacting.step({.blocks_max = 40});
        if (said.reasons.has(stop_reason::finished)) break;
        ASSERT_EQ(said.reasons, stop_reason::budget_spent);
        during += compacting.active() ? 1U : 0U;
        for (int i = 0; i < 4; ++i) {
            const auto at    = random.below(790);
            const auto count = 1 + random.below(10);
            const auto bytes = pattern(count, 512, static_cast<std::uint32_t>(random.next()));
            ASHLAR_ASSERT_OK(region.write({block_index{at}, block_count{count}}, bytes));
            std::copy(bytes.begin(), bytes.end(), content[1].begin() + static_cast<std::ptrdiff_t>(at * 512));
            EXPECT_EQ(read_all(region), content[1]);
        }
    }
    EXPECT_GT(during, 10U);
    EXPECT_EQ(compacting.last_result().regions_moved, 1U);
    EXPECT_EQ(read_all(region), content[1]);
    ASHLAR_ASSERT_OK(region.sync());
    static_cast<void>(live.abandon());
    live = opened_on(checked);
    expect_content();
    EXPECT_EQ(findings_of(live), "");
}

TEST_F(CompactionTest, PausedAndCancelledItHoldsNothingAndGoesOnLater) {
    add(1000);
    add(800);
    remove(0);
    const auto place      = store_regions{live}.find({logs, 1}).value().place;
    const auto available  = live.info().available;
    auto       compacting = task::open(live).value();
    EXPECT_EQ(compacting.step({.blocks_max = 100}).reasons, stop_reason::budget_spent);
    EXPECT_TRUE(compacting.active());
    EXPECT_LT(live.info().available, available);
    EXPECT_EQ(code_of(store_regions{live}.remove({logs, 1})), errc::busy);
    compacting.pause();
    EXPECT_EQ(compacting.step().reasons, stop_reason::paused);
    EXPECT_FALSE(compacting.active());
    EXPECT_EQ(live.info().available, available);
    compacting.resume();
    EXPECT_EQ(compacting.step({.blocks_max = 100}).reasons, stop_reason::budget_spent);
    compacting.cancel();
    EXPECT_EQ(compacting.step().reasons, stop_reason::cancelled);
    EXPECT_EQ(live.info().available, available);
    EXPECT_FALSE(compacting.last_result().finished);
    EXPECT_EQ(store_regions{live}.find({logs, 1}).value().place, place);
    {
        auto other = task::open(live).value();
        EXPECT_EQ(other.step({.blocks_max = 100}).reasons, stop_reason::budget_spent);
    }
    EXPECT_EQ(live.info().available, available) << "one that is destroyed gives back what it reserved";
    EXPECT_EQ(run(compacting).reasons, stop_reasons{stop_reason::finished});  // nothing is free below it any more
    EXPECT_LT(store_regions{live}.find({logs, 1}).value().place.first, place.first);
    expect_content();
}

TEST_F(CompactionTest, APinnedRegionIsNamedAsTheReason) {
    add(1000);
    add(800);
    remove(0);
    ASHLAR_ASSERT_OK(store_regions{live}.pin({logs, 1}));
    auto        compacting = task::open(live).value();
    region_move lines[1];
    EXPECT_EQ(compacting.plan(lines).value().moves, 0U);
    EXPECT_TRUE(lines[0].pinned);
    const auto said = run(compacting);
    EXPECT_TRUE(said.reasons.has(stop_reason::pinned));
    EXPECT_TRUE(said.reasons.has(stop_reason::nothing_to_gain));
    EXPECT_EQ(code_of(compacting.plan({})), errc::too_many_extents);
}

TEST_F(CompactionTest, PinnedMeanwhileARegionStays) {
    add(1000);
    add(800);
    remove(0);
    const auto place      = store_regions{live}.find({logs, 1}).value().place;
    auto       compacting = task::open(live).value();
    EXPECT_EQ(compacting.step({.blocks_max = 100}).reasons, stop_reason::budget_spent);
    EXPECT_TRUE(compacting.active());
    ASHLAR_ASSERT_OK(store_regions{live}.pin({logs, 1}));
    EXPECT_TRUE(run(compacting).reasons.has(stop_reason::pinned));
    EXPECT_EQ(store_regions{live}.find({logs, 1}).value().place, place);
    EXPECT_EQ(findings_of(live), "");
}

TEST_F(CompactionTest, WhereNoRunHoldsARegionItStopsWithTheReason) {
    add(100);
    add(800);
    remove(0);
    ASHLAR_ASSERT_OK(live.close());
    auto limits                    = small_limits();
    limits.indirection_entries_max = 0;
    live                           = opened_on(checked, limits);
    auto        compacting         = task::open(live, {.regions = {.threshold_permille = 1}}).value();
    region_move lines[2];
    const auto  plan = compacting.plan(lines);
    ASHLAR_ASSERT_OK(plan);
    EXPECT_EQ(plan.value().moves, 0U);
    EXPECT_EQ(plan.value().entries, 800U);
    EXPECT_EQ(plan.value().entries_max, 0U) << "nothing slides";
    const auto said = run(compacting);
    EXPECT_TRUE(said.reasons.has(stop_reason::no_contiguous_space));
    EXPECT_EQ(said.failure, (error{errc::too_large, block_index{800}}));
    EXPECT_EQ(compacting.last_result().regions_moved, 0U);
    expect_content();
}

TEST_F(CompactionTest, WhatIsDyingIsFreedAPartOfItInEachStep) {
    for (const std::uint64_t blocks : {100U, 300U}) add(blocks);
    for (std::uint64_t i = 0; i < 90; ++i) ASHLAR_ASSERT_OK(live.write(live.root(), i * 1024, pattern(1, 512, 3)));
    remove(0);
    ASHLAR_ASSERT_OK(live.close());
    auto chosen                       = with<test_store>();
    chosen.limits.transaction.extents = 8;  // four extents a part
    live                              = test_store::open(any_device{checked}, chosen).value();
    ASHLAR_ASSERT_OK(live.truncate(live.root(), 512));
    auto compacting = task::open(live, {.regions = {.threshold_permille = 0}}).value();
    int  steps      = 0;
    for (; live.volume().space.totals().dying_head != 0; ++steps) {
        ASSERT_LT(steps, 100);
        EXPECT_EQ(compacting.step({.blocks_max = 0, .candidates_max = 1}).reasons, stop_reason::budget_spent);
    }
    EXPECT_GT(steps, 5);
    EXPECT_TRUE(run(compacting).reasons.has(stop_reason::finished));
    EXPECT_EQ(compacting.last_result().regions_moved, 1U);
    expect_content();
    EXPECT_EQ(findings_of(live), "");
}

TEST_F(CompactionTest, ATidyVolumeCostsNothing) {
    add(100);
    auto compacting = task::open(live).value();
    EXPECT_EQ(run(compacting).reasons, stop_reason::finished | stop_reason::nothing_to_gain);
}

TEST_F(CompactionTest, OneRegionAlone) {
    for (const std::uint64_t blocks : {500U, 100U, 100U}) add(blocks);
    remove(0);
    auto compacting = task::open(live, {.regions = {.threshold_permille = 1, .only = region_id{logs, 2}}}).value();
    EXPECT_TRUE(run(compacting).reasons.has(stop_reason::finished));
    const auto moved = store_regions{live}.find({logs, 2}).value().place;
    const auto left  = store_regions{live}.find({logs, 1}).value().place;
    EXPECT_LT(moved.first, left.first);
    EXPECT_EQ(compacting.last_result().regions_moved, 1U);
    expect_content();
}

}  // namespace compaction_test
}  // namespace ashlar::test
