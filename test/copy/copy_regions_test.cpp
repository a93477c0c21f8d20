// Regions of a volume that is copied: many transfers at a time, in any order, through queues that fail and break.

#include "../channel/channel_fixture.hpp"
#include "copy_fixture.hpp"

#include <ashlar/compaction.hpp>
#include <ashlar/testing/manual_clock.hpp>
#include <ashlar/throttle/token_bucket.hpp>

namespace ashlar::test {
namespace copy_regions_test {

using queued_store = store<ordered_single>;
using task         = volume_copy<ordered_single, ordered_single>;

constexpr volume_shape  shape{.blocks = 2000};
constexpr std::uint64_t blocks = 400;

volume_copy_options small_steps(bool in_use = false, std::size_t memory = 64 * 1024) {
    return {.chunk = block_count{4}, .memory_bytes = memory, .in_use = in_use};
}

/// A device that may fail, with queues that the test orders about.
struct ordered_side {
    explicit ordered_side(std::uint64_t number) : memory{make_memory(shape)}, device{memory} {
        format_on(memory, shape, number);
        live = queued_store::open(ordered_device{device, orders}, with<queued_store>()).value();
    }
    ~ordered_side() { static_cast<void>(live.abandon()); }

    memory_device                memory;
    faulty_device<memory_device> device;
    queue_orders                 orders;
    queued_store                 live;
};

struct CopyRegionsTest : testing::Test {
    CopyRegionsTest() {
        name = store_regions{source.live}.add({.type = logs, .blocks = block_count{blocks}}).value();
        write(0, blocks, 1);
    }
    void write(std::uint64_t first, std::uint64_t count, std::uint32_t seed) {
        auto region = store_regions{source.live}.open(name).value();
        ASHLAR_ASSERT_OK(region.write({block_index{first}, block_count{count}}, pattern(count, 512, seed)));
    }
    void expect_copied() {
        EXPECT_EQ(content_of(target.live), content_of(source.live));
        EXPECT_EQ(findings_of(target.live), "");
    }
    /// Ends within so many steps, whatever fails.
    void finish(task& copying, int steps_max = 400) {
        for (int i = 0; i < steps_max; ++i) {
            const auto said = copying.step({.blocks_max = 90, .candidates_max = 9});
            if (said.reasons.has(stop_reason::finished)) return expect_copied();
            ASSERT_TRUE(said.reasons == stop_reason::budget_spent || said.failure.code == errc::device_failed);
        }
        ADD_FAILURE() << "it never ends";
    }

    ordered_side source{1}, target{2};
    region_id    name{};
};

TEST_F(CopyRegionsTest, ManyReadsAndWritesAreInFlightAndMayEndInAnyOrder) {
    for (auto* const slow : {&source, &target}) {  // hands back one at a time, so that the other has little to do
        ordered_side to{3};
        slow->orders.reap          = 1;
        to.orders.reap             = target.orders.reap;
        source.orders.newest_first = to.orders.newest_first = true;
        source.orders.deepest = to.orders.deepest = 0;
        auto copying                              = task::open(source.live, to.live, small_steps()).value();
        ASSERT_EQ(copying.step({.blocks_max = 9000, .candidates_max = 9000}).reasons, stop_reason::finished);
        EXPECT_EQ(content_of(to.live), content_of(source.live));
        EXPECT_GE((slow == &source ? source : to).orders.deepest.load(), 4U);
        EXPECT_EQ(copying.last_result().blocks, block_count{blocks}) << "each block once";
        EXPECT_EQ(copying.last_result().regions, 1U);
        slow->orders.reap = 0;
    }
}

TEST_F(CopyRegionsTest, TheBudgetHolds) {
    auto          copying = task::open(source.live, target.live, small_steps()).value();
    std::uint64_t before  = 0;
    for (std::uint64_t steps = 0;; ++steps) {
        const auto said = copying.step({.blocks_max = 37, .candidates_max = 9});
        EXPECT_LE(said.moved.value, before + 37);
        before = said.moved.value;
        if (said.reasons.has(stop_reason::finished)) {
            EXPECT_GE(steps, blocks / 37);
            break;
        }
        ASSERT_EQ(said.reasons, stop_reason::budget_spent);
    }
    expect_copied();
}

TEST_F(CopyRegionsTest, TheThrottleBoundsWhatIsInFlight) {
    source.orders.deepest = 0;
    manual_clock          time;
    token_bucket::options chosen;
    chosen.bytes_per_second    = 100'000;
    chosen.bytes_in_flight_max = 2 * 1024;
    chosen.burst               = 16 * 1024;
    using slow_task            = volume_copy<ordered_single, ordered_single, token_bucket, manual_clock>;
    auto copying = slow_task::open(source.live, target.live, small_steps(), token_bucket{chosen}, time).value();
    int  waits   = 0;
    for (;; ++waits) {
        ASSERT_LT(waits, 1000);
        const auto said = copying.step({.blocks_max = 9000, .candidates_max = 9000});
        if (said.reasons == stop_reason::finished) break;
        ASSERT_EQ(said.reasons, stop_reason::throttled) << message(said.failure.code);
        time.advance(said.not_before - time.now());
    }
    expect_copied();
    EXPECT_GT(waits, 0);
    EXPECT_LE(source.orders.deepest.load(), 4U) << "a block each at the least";
}

TEST_F(CopyRegionsTest, AnyTransferMayFailAndWhatWasCopiedBehindItIsCopiedAgainOrKept) {
    for (const bool in_source : {true, false}) {
        for (const bool newest_first : {false, true}) {
            std::uint64_t nth = 1;
            for (bool met = true; met; ++nth) {
                ordered_side to{3};
                auto         copying       = task::open(source.live, to.live, small_steps(false, 16 * 1024)).value();
                auto&        fails         = in_source ? source.device : to.device;
                const auto   before        = fails.failures();
                source.orders.newest_first = to.orders.newest_first = newest_first;
                fails.fail(in_source ? transfer_kind::read : transfer_kind::write, nth, fault_lasts::once);
                for (int i = 0; i < 50 && !copying.last_result().finished && !to.live.read_only(); ++i) {
                    const auto said = copying.step({.blocks_max = 90, .candidates_max = 9});
                    ASSERT_TRUE(said.failure.code == errc::none || said.failure.code == errc::device_failed);
                }
                met = fails.failures() != before;
                fails.heal();
                if (to.live.read_only()) continue;  // a batch met it
                EXPECT_TRUE(copying.last_result().finished);
                EXPECT_EQ(content_of(to.live), content_of(source.live)) << nth;
            }
            EXPECT_GT(nth, 20U);
        }
    }
}

TEST_F(CopyRegionsTest, AQueueThatBreaksAtAnyCallEndsTheStepAndTheNextOpensAnother) {
    for (auto* const side : {&source, &target}) {
        std::size_t broke = 0;
        side->orders.reap = 1;
        auto copying      = task::open(source.live, target.live, small_steps()).value();
        for (std::size_t call = 1; call < 30; ++call) {
            side->orders.calls     = 0;
            side->orders.breaks_at = call;
            const auto said        = copying.step({.blocks_max = 60, .candidates_max = 9});
            if (said.reasons.has(stop_reason::finished)) break;
            ASSERT_TRUE(said.reasons == stop_reason::budget_spent || said.failure.code == errc::device_failed);
            broke += said.failure.code == errc::device_failed ? 1U : 0U;
        }
        side->orders.breaks_at = 0;
        side->orders.reap      = 0;
        EXPECT_GT(broke, 1U);
        if (!copying.last_result().finished) finish(copying);
        ASHLAR_ASSERT_OK(store_regions{target.live}.remove(name));  // an empty volume again
    }
}

TEST_F(CopyRegionsTest, OnlyWindowsThatWereWrittenAreCopiedAgain) {
    auto copying = task::open(source.live, target.live, small_steps(true)).value();
    while (!copying.step({.blocks_max = 90, .candidates_max = 9}).reasons.has(stop_reason::nothing_to_gain)) {}
    const auto before = copying.last_result().blocks;
    EXPECT_EQ(before, block_count{blocks});
    write(70, 1, 8);
    write(390, 10, 9);
    ASHLAR_ASSERT_OK(copying.finish());
    expect_copied();
    EXPECT_EQ(copying.last_result().blocks - before, block_count{64 + 16}) << "the second window and the last";
}

TEST_F(CopyRegionsTest, TheRegionMayLieInPartsAndMoveWhileItIsCopied) {
    const auto hole = store_regions{source.live}.add({.type = maps, .blocks = block_count{25}}).value();
    const auto last = store_regions{source.live}.add({.type = logs, .blocks = block_count{200}}).value();
    auto       slid = store_regions{source.live}.open(last).value();
    ASHLAR_ASSERT_OK(slid.write({block_index{0}, block_count{200}}, pattern(200, 512, 4)));
    ASHLAR_ASSERT_OK(store_regions{source.live}.remove(hole));
    ASHLAR_ASSERT_OK(source.live.checkpoint());
    auto compacting = compaction<ordered_single>::open(source.live, {.regions = {.threshold_permille = 1}}).value();
    auto copying    = task::open(source.live, target.live, small_steps(true)).value();
    std::uint64_t in_parts = 0;
    bool          slides   = true;
    for (std::uint64_t i = 0; i < 200 && slides; ++i) {
        in_parts += source.live.volume().indirection.empty() ? 0U : 1U;
        static_cast<void>(copying.step({.blocks_max = 45, .candidates_max = 9}));
        if (i % 3 == 0) slides = compacting.step({.blocks_max = 16}).reasons == stop_reason::budget_spent;
        if (i % 5 == 0) { ASHLAR_ASSERT_OK(slid.write({block_index{i % 200}, block_count{1}}, pattern(1, 512, 77))); }
    }
    EXPECT_GT(in_parts, 3U);
    EXPECT_GT(compacting.last_result().regions_slid, 0U);
    ASHLAR_ASSERT_OK(copying.finish());
    expect_copied();
}

TEST_F(CopyRegionsTest, ARegionOfTheTargetMayLieInPartsWhenItGoesOn) {
    ASHLAR_ASSERT_OK(store_regions{source.live}.remove(name));
    const auto low = store_regions{source.live}.add({.type = logs, .blocks = block_count{25}}).value();
    name           = store_regions{source.live}.add({.type = logs, .blocks = block_count{200}}).value();
    write(0, 200, 4);
    auto below = store_regions{source.live}.open(low).value();
    ASHLAR_ASSERT_OK(below.write({block_index{0}, block_count{25}}, pattern(25, 512, 6)));
    {
        auto copying = task::open(source.live, target.live, small_steps(true)).value();
        while (!copying.step({.blocks_max = 90, .candidates_max = 9}).reasons.has(stop_reason::nothing_to_gain)) {}
    }
    // Somebody who does not know of the copy makes room in it, and is stopped.
    ASSERT_GT(store_regions{target.live}.find(name).value().place.first,
              store_regions{target.live}.find(low).value().place.first);
    ASHLAR_ASSERT_OK(store_regions{target.live}.remove(low));
    ASHLAR_ASSERT_OK(target.live.checkpoint());
    {
        auto compacting = compaction<ordered_single>::open(target.live, {.regions = {.threshold_permille = 1}}).value();
        for (int i = 0; i < 60 && target.live.volume().indirection.empty(); ++i)
            static_cast<void>(compacting.step({.blocks_max = 16}));
    }
    ASSERT_FALSE(target.live.volume().indirection.empty());
    write(0, 200, 5);
    auto copying = task::open(source.live, target.live, small_steps(true)).value();
    ASHLAR_ASSERT_OK(copying.finish());
    EXPECT_FALSE(target.live.volume().indirection.empty()) << "it was written where it lies";
    EXPECT_EQ(content_of(target.live), content_of(source.live));
}

TEST_F(CopyRegionsTest, ARegionThatSomebodyTookFromTheTargetIsAnErrorAndNotTakenForCopied) {
    auto copying = task::open(source.live, target.live, small_steps()).value();
    while (store_regions{target.live}.find(name).has_error())
        ASSERT_EQ(copying.step({.blocks_max = 40, .candidates_max = 9}).reasons, stop_reason::budget_spent);
    ASHLAR_ASSERT_OK(store_regions{target.live}.remove(name));
    const auto said = copying.step({.blocks_max = 40, .candidates_max = 9});
    EXPECT_EQ(said.failure.code, errc::not_found);
    EXPECT_FALSE(said.reasons.has(stop_reason::finished));
    auto again = task::open(source.live, target.live, small_steps()).value();
    finish(again);
}

}  // namespace copy_regions_test
}  // namespace ashlar::test
