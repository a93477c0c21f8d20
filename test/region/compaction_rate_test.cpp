// A compaction that clears the way of regions has one rate for all that it moves.

#include "way_fixture.hpp"

#include <ashlar/testing/manual_clock.hpp>
#include <ashlar/throttle/token_bucket.hpp>

namespace ashlar::test {
namespace compaction_rate_test {

struct clocked : test_blueprint<> {
    using clock    = manual_clock;
    using throttle = token_bucket;
};
using clocked_task = compaction<clocked>;

TEST(CompactionRate, WhatRegionsSpentIsNotThereForWhatLeavesTheirWay) {
    constexpr std::uint64_t burst = 96 * 512;
    const volume_shape      shape{.block_bytes = 512, .blocks = 2600, .journal_blocks = 96};
    auto                    memory = make_memory(shape);
    manual_clock            clock;
    format_on<store<clocked>>(memory, shape);
    auto of          = with<store<clocked>>();
    of.clock         = clock;
    auto        live = store<clocked>::open(any_device{memory}, of).value();
    store_model model{live.root()};
    fill_by_turns(live, model, 6, 30, 512);
    ASHLAR_ASSERT_OK(live.sync());
    store_regions regions{live};
    const auto    name = regions.add({.type = logs, .blocks = {80}, .from = block_index{2200}}).value();
    ASHLAR_ASSERT_OK(regions.open(name).value().write({block_index{0}, {80}}, pattern(80, 512, 4)));
    clocked_task::options chosen;
    chosen.regions  = clearing().regions;
    chosen.throttle = {.bytes_per_second = 64 * 1024, .bytes_in_flight_max = burst, .burst = burst};
    chosen.clock    = clock;
    auto made       = clocked_task::open(live, chosen).value();
    auto compacting = std::move(made);  // and the throttle with it
    compacting.start();
    EXPECT_TRUE(compacting.running());
    progress said;
    for (int i = 0; i < 1000 && !said.reasons.has(stop_reason::throttled); ++i) {
        said = compacting.step({.blocks_max = 16});
        ASSERT_TRUE(compacting.running()) << i;
    }
    EXPECT_EQ(said.phase, phase_clearing) << "the region moved into a lower run first";
    EXPECT_GE(said.moved, block_count{80});
    EXPECT_LE(said.moved, block_count{burst / 512});
    for (int i = 0; i < 10'000 && compacting.running(); ++i) {
        said = compacting.step({.blocks_max = 16});
        if (said.reasons.has(stop_reason::throttled)) clock.set(said.not_before);
    }
    EXPECT_TRUE(said.reasons.has(stop_reason::finished));
    const auto& did = compacting.last_result();
    EXPECT_EQ(did.ways_cleared, 1U);
    const auto bytes = (did.blocks_moved + did.blocks_cleared).value * 512;
    EXPECT_GE(clock.now().nanoseconds, (bytes - burst) * (1'000'000'000 / (64 * 1024)));
    EXPECT_EQ(difference(live, model.state()), "");
    EXPECT_EQ(findings_of(live), "");
}

}  // namespace compaction_rate_test
}  // namespace ashlar::test
