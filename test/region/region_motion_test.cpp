// Moves of regions when something gets in their way: writers, removals, broken targets, stores that only read.

#include "region_fixture.hpp"

#include <ashlar/compaction.hpp>
#include <ashlar/testing/faulty_device.hpp>

namespace ashlar::test {
namespace {

const volume_shape shape{.block_bytes = 512, .blocks = 3000, .journal_blocks = 96};

using task   = compaction<test_blueprint<>>;
using source = region_source<test_store::volume_type>;

/// A gap, and a region behind it that would fit there.
struct RegionMotionTest : testing::Test {
    RegionMotionTest() : memory{make_memory(shape)}, device{memory} {
        format_on(device, shape);
        live = opened_on(device);
        ASHLAR_EXPECT_OK(store_regions{live}.add({.type = maps, .blocks = block_count{300}}));
        ASHLAR_EXPECT_OK(store_regions{live}.add({.type = logs, .blocks = block_count{200}}));
        ASHLAR_EXPECT_OK(store_regions{live}.remove({maps, 0}));
        ASHLAR_EXPECT_OK(live.checkpoint());
        place     = where();
        available = live.info().available;
        fill(5);
    }

    [[nodiscard]] extent                          where() { return store_regions{live}.find({logs, 0}).value().place; }
    [[nodiscard]] region_device<test_blueprint<>> region() { return store_regions{live}.open({logs, 0}).value(); }
    void                                          fill(std::uint32_t seed) {
                                                 content  = pattern(200, 512, seed);
                                                 auto one = region();
                                                 ASHLAR_EXPECT_OK(one.write({block_index{0}, block_count{200}}, content));
    }
    void expect_content() {
        auto one = region();
        EXPECT_EQ(read_all(one), content);
    }
    /// Steps until a pass ends or does not go on.
    progress run(task& compacting, std::uint64_t blocks = 16) {
        for (;;) {
            const auto said = compacting.step({.blocks_max = blocks});
            if (said.reasons != stop_reason::budget_spent) return said;
        }
    }
    [[nodiscard]] task opened(region_compaction_options options = {}) {
        options.threshold_permille = 1;
        return task::open(live, {.regions = options}).value();
    }

    memory_device                memory;
    faulty_device<memory_device> device;
    test_store                   live;
    extent                       place{};
    block_count                  available{};
    byte_vector                  content;
};

TEST_F(RegionMotionTest, ATargetIsForTheRegionThatWasSeenAndForNoOtherOfItsName) {
    bitmap_word              words[4]{};
    region_motion            motion;
    byte_vector              window(1024);
    const region_move_memory lent{.window = window, .written = words, .motion = &motion};
    source                   on{live.volume(), lent, {block_index{0}, place.first - block_index{0}}};
    const auto               ask = [&]() { return on.reserve_target({place.first, place.count, placement::tight}); };
    const auto               run = ask();
    ASHLAR_ASSERT_OK(run);
    on.release_target(run.value());
    ASHLAR_ASSERT_OK(store_regions{live}.remove({logs, 0}));
    ASHLAR_ASSERT_OK(live.checkpoint());
    EXPECT_EQ(code_of(ask()), errc::not_found);
    ASHLAR_ASSERT_OK(store_regions{live}.add({.type = logs, .blocks = block_count{400}, .from = place.first}));
    ASSERT_EQ(where().first, place.first);
    EXPECT_EQ(code_of(ask()), errc::not_found) << "a region of another length has the name and the place now";
    EXPECT_EQ(live.info().available + block_count{200}, available);
    ASHLAR_EXPECT_OK(store_regions{live}.remove({logs, 0}));
}

TEST_F(RegionMotionTest, OnlyOneRegionMovesAtATime) {
    auto one = opened(), other = opened();
    EXPECT_EQ(one.step({.blocks_max = 16}).reasons, stop_reason::budget_spent);
    ASSERT_TRUE(one.active());
    const auto said = run(other);
    EXPECT_TRUE(said.reasons.has(stop_reason::raced));
    EXPECT_EQ(said.failure.code, errc::none) << "no device failed";
    EXPECT_TRUE(run(one).reasons.has(stop_reason::finished));
    EXPECT_LT(where().first, place.first);
    expect_content();
    EXPECT_EQ(findings_of(live), "");
}

TEST_F(RegionMotionTest, ARaceInALaterStepStillKnowsWhereTheRegionMayGo) {
    auto compacting = opened({.races_max = 2});
    EXPECT_EQ(compacting.step({.blocks_max = 16}).reasons, stop_reason::budget_spent);
    {
        std::vector<test_store::transaction> held;  // whoever flips finds no transaction
        for (std::size_t i = 0; i < small_limits().transactions; ++i) held.push_back(live.begin().value());
        const auto said = run(compacting);
        EXPECT_TRUE(said.reasons.has(stop_reason::raced));
        EXPECT_FALSE(said.reasons.has(stop_reason::no_contiguous_space));
        EXPECT_EQ(where(), place);
    }
    EXPECT_EQ(live.info().available, available);
    ASHLAR_EXPECT_OK(region().write({block_index{0}, block_count{200}}, content));  // nobody keeps writers away
    EXPECT_TRUE(run(compacting).reasons.has(stop_reason::finished));
    EXPECT_LT(where().first, place.first);
    expect_content();
}

TEST_F(RegionMotionTest, WritesAreNotedHoweverLittleMemoryThereIsForIt) {
    for (const std::size_t bits : {0U, 1U, 2U, 64U, 65U}) {
        auto compacting = opened({.chunk_bytes = 0, .window_bits = bits});
        fill(static_cast<std::uint32_t>(bits));
        EXPECT_EQ(compacting.step({.blocks_max = 180}).reasons, stop_reason::budget_spent);
        EXPECT_TRUE(compacting.active());
        fill(static_cast<std::uint32_t>(bits) + 1);
        EXPECT_TRUE(run(compacting).reasons.has(stop_reason::finished));
        expect_content();
        ASHLAR_ASSERT_OK(store_regions{live}.remove({logs, 0}));
        ASHLAR_ASSERT_OK(live.checkpoint());
        ASHLAR_ASSERT_OK(
            store_regions{live}.add({.type = logs, .blocks = block_count{200}, .from = block_index{1000}}));
    }
}

TEST_F(RegionMotionTest, WhatIsTriedAgainAfterAPauseCountsOnce) {
    auto compacting = opened();
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(compacting.step({.blocks_max = 16}).done, 1U);
        compacting.pause();
        EXPECT_EQ(compacting.step().reasons, stop_reason::paused);
        compacting.resume();
    }
    const auto said = compacting.step({.blocks_max = 16});
    EXPECT_EQ(said.done, 1U);
    EXPECT_EQ(said.total, 1U);
}

TEST_F(RegionMotionTest, CancellingWhatIsNotUnderWayLeavesTheLastResult) {
    auto compacting = opened();
    EXPECT_TRUE(run(compacting).reasons.has(stop_reason::finished));
    compacting.cancel();
    EXPECT_EQ(compacting.step().reasons, stop_reason::cancelled);
    EXPECT_TRUE(compacting.last_result().finished);
    EXPECT_EQ(compacting.last_result().regions_moved, 1U);
}

TEST_F(RegionMotionTest, AVerifiedMoveNeverFlipsToWhatWasLost) {
    ASHLAR_ASSERT_OK(live.checkpoint());
    const byte_vector before{memory.bytes().begin(), memory.bytes().end()};
    std::uint64_t     noticed = 0;
    for (std::uint64_t nth = 1;; ++nth) {
        static_cast<void>(live.abandon());
        std::copy(before.begin(), before.end(), memory.bytes().begin());
        live                  = opened_on(device);
        auto       compacting = opened({.failures_max = 0, .verify_target = true, .chunk_bytes = 20 * 512});
        const auto first      = device.calls(transfer_kind::write);
        EXPECT_EQ(compacting.step({.blocks_max = 195}).reasons, stop_reason::budget_spent);
        EXPECT_TRUE(compacting.active());
        fill(static_cast<std::uint32_t>(nth));
        const auto copied = device.calls(transfer_kind::write) - first;
        device.lose_write(nth);
        const auto said = run(compacting);
        device.heal();
        if (said.failure.code == errc::checksum_differs) {
            ++noticed;
            EXPECT_EQ(where(), place);
        }
        expect_content();
        EXPECT_EQ(live.info().available.value, available.value);
        ASSERT_FALSE(HasFailure()) << nth;
        if (nth > copied + 20) break;
    }
    EXPECT_GT(noticed, 18U) << "the last chunk, and each part of what is copied again";
}

TEST_F(RegionMotionTest, AStoreThatOnlyReadsIsNotWrittenTo) {
    ASHLAR_ASSERT_OK(live.close());
    auto opened_only = test_store::open_read_only(any_device{device}, with<test_store>());
    ASHLAR_ASSERT_OK(opened_only);
    live              = std::move(opened_only).value();
    const auto writes = device.calls(transfer_kind::write);
    auto       moving = opened();
    const auto said   = run(moving);
    EXPECT_EQ(said.failure.code, errc::read_only);
    EXPECT_TRUE(said.reasons.has(stop_reason::device_error));
    EXPECT_FALSE(moving.last_result().finished);
    EXPECT_FALSE(moving.active());
    store_regions regions{live};
    byte_vector   block(512);
    EXPECT_EQ(code_of(regions.add({.type = logs, .blocks = block_count{8}})), errc::read_only);
    EXPECT_EQ(code_of(regions.can_add({.type = logs, .blocks = block_count{8}})), errc::read_only);
    EXPECT_EQ(code_of(regions.remove({logs, 0})), errc::read_only);
    EXPECT_EQ(code_of(regions.pin({logs, 0})), errc::read_only);
    EXPECT_EQ(code_of(region().write({block_index{0}, block_count{1}}, block)), errc::read_only);
    EXPECT_EQ(code_of(region().trim({block_index{0}, block_count{1}})), errc::read_only);
    EXPECT_EQ(code_of(region().sync()), errc::read_only);
    expect_content();
    EXPECT_EQ(device.calls(transfer_kind::write), writes);
}

}  // namespace
}  // namespace ashlar::test
