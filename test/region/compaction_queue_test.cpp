#include "../channel/channel_fixture.hpp"
#include "region_fixture.hpp"

#include <ashlar/compaction.hpp>

namespace ashlar::test {
namespace compaction_queue_test {

/// A region of 400 blocks behind a hole of 500, on a device whose queues obey.
struct CompactionQueue : testing::Test {
    CompactionQueue() {
        const auto hole = regions().add({.type = maps, .blocks = block_count{500}}).value();
        name            = regions().add({.type = logs, .blocks = block_count{400}}).value();
        content         = pattern(400, 512, 5);
        auto region     = regions().open(name).value();
        ASHLAR_EXPECT_OK(region.write({block_index{0}, block_count{400}}, content));
        ASHLAR_EXPECT_OK(region.sync());
        ASHLAR_EXPECT_OK(regions().remove(hole));
        ASHLAR_EXPECT_OK(bench.live.checkpoint());
        place = regions().find(name).value().place;
    }
    store_regions<ordered_single> regions() { return store_regions{bench.live}; }
    byte_vector                   read() {
                          auto region = regions().open(name).value();
                          return read_all(region);
    }

    bench_store<ordered_single> bench;
    region_id                   name{};
    extent                      place{};
    byte_vector                 content;
};

TEST_F(CompactionQueue, ChunksOverlapWhereTheDeviceHasQueues) {
    auto task =
        compaction<ordered_single>::open(bench.live, {.regions = {.threshold_permille = 1, .chunk_bytes = 32768}})
            .value();
    progress said;
    do said = task.step({.blocks_max = 4096});
    while (said.reasons == stop_reason::budget_spent);
    EXPECT_EQ(said.reasons, stop_reasons{stop_reason::finished});
    EXPECT_GT(bench.orders.deepest.load(), 1U);
    EXPECT_LT(regions().find(name).value().place.first, place.first);
    EXPECT_EQ(read(), content);
    EXPECT_EQ(findings_of(bench.live), "");
}

TEST_F(CompactionQueue, AQueueThatIsLostWithTransfersInFlightEndsTheMoveAndNothingElse) {
    {
        auto task = compaction<ordered_single>::open(bench.live, {.regions = {.threshold_permille = 1}}).value();
        bench.orders.breaks_at = bench.orders.calls + 2;
        progress said;
        do said = task.step({.blocks_max = 64});
        while (said.reasons == stop_reason::budget_spent);
        EXPECT_TRUE(said.reasons.has(stop_reason::device_error));
        EXPECT_EQ(said.failure.code, errc::device_failed);
        EXPECT_EQ(regions().find(name).value().place, place);
        EXPECT_EQ(read(), content);
    }
    // The region is its users' all the same, and may go.
    content = pattern(400, 512, 6);
    ASHLAR_EXPECT_OK(regions().open(name).value().write({block_index{0}, block_count{400}}, content));
    EXPECT_EQ(read(), content);
    ASHLAR_EXPECT_OK(regions().remove(name));
    ASHLAR_EXPECT_OK(bench.live.sync());
    EXPECT_EQ(findings_of(bench.live), "");
}

/// A part's target is nobody's once the slide is over, so nothing may come there that is written late.
TEST_F(CompactionQueue, AQueueThatIsLostWithAPartInFlightEndsWriting) {
    ASHLAR_ASSERT_OK(regions().add({.type = maps, .blocks = block_count{420}}));  // leaves a gap of 80
    ASHLAR_ASSERT_OK(bench.live.checkpoint());
    {
        auto task = compaction<ordered_single>::open(bench.live, {.regions = {.threshold_permille = 1}}).value();
        while (bench.live.volume().indirection.count() == 0)
            ASSERT_EQ(task.step({.blocks_max = 16}).reasons, stop_reason::budget_spent);
        bench.orders.breaks_at = bench.orders.calls + 2;
        progress said;
        do said = task.step({.blocks_max = 64});
        while (said.reasons == stop_reason::budget_spent);
        EXPECT_TRUE(said.reasons.has(stop_reason::device_error));
        EXPECT_EQ(said.failure.code, errc::device_failed);
        EXPECT_FALSE(task.running());
        EXPECT_EQ(read(), content);
    }
    EXPECT_EQ(code_of(regions().remove(name)), errc::read_only);
    EXPECT_EQ(code_of(regions().open(name).value().write({block_index{0}, block_count{1}}, pattern(1, 512, 6))),
              errc::read_only);
    {
        auto other = compaction<ordered_single>::open(bench.live, {.regions = {.threshold_permille = 1}}).value();
        EXPECT_EQ(other.step().failure.code, errc::read_only);
    }
    EXPECT_EQ(read(), content);
    bench.crash();
    auto     task = compaction<ordered_single>::open(bench.live, {.regions = {.threshold_permille = 1}}).value();
    progress said;
    do said = task.step();
    while (said.reasons == stop_reason::budget_spent);
    EXPECT_TRUE(said.reasons.has(stop_reason::finished));
    EXPECT_EQ(regions().find(name).value().place.first.value + 80, place.first.value);
    EXPECT_EQ(read(), content);
    EXPECT_EQ(findings_of(bench.live), "");
}

}  // namespace compaction_queue_test
}  // namespace ashlar::test
