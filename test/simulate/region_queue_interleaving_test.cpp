// Queues of regions and moves, in orders that a seed decides: nobody waits for ever, no block is lost.

#include "../counts.hpp"
#include "../region/region_queue_load.hpp"

#include <ashlar/testing/scheduled.hpp>

namespace ashlar::test {
namespace {

struct scheduled_pause {
    void operator()() const { schedule::point(); }
};
using interleaved       = channel_blueprint<ordered_device, scheduled>;
using interleaved_store = store<interleaved>;
using interleaved_load  = region_queue_load<interleaved, scheduled_pause>;

struct queued_crossing {
    explicit queued_crossing(std::uint64_t seed)
        : memory{make_memory(shape)}, slow{memory}, order{seed, {.points_max = 3'000'000}} {
        format_on(memory, shape);
        orders.reap         = seed % 4;
        orders.newest_first = seed % 8 > 3;
        auto opened         = interleaved_store::open(ordered_device{slow, orders}, with<interleaved_store>());
        EXPECT_TRUE(opened) << said(opened);
        live = std::move(opened).value();
        load.emplace(live, 150);
        order.spawn("first owner", [this, seed] { load->own(0, 3 * seed); });
        order.spawn("second owner", [this, seed] { load->own(1, 3 * seed + 1); });
        order.spawn("mover", [this, seed] { load->compact(seed); });
        order.spawn("remover", [this, seed] { load->churn(seed); });
    }

    volume_shape                    shape{.block_bytes = 512, .blocks = 2600, .journal_blocks = 128};
    memory_device                   memory;
    yielding_device<memory_device>  slow;
    queue_orders                    orders{};
    interleaved_store               live;
    std::optional<interleaved_load> load;
    schedule                        order;
};

TEST(RegionQueueInterleaving, EveryOwnerFindsWhatItWroteInEveryInterleaving) {
    const auto    seeds = scaled(40);
    std::uint64_t moved = 0, switches = 0;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        auto       world  = std::make_unique<queued_crossing>(seed);
        const auto report = world->order.run();
        switches += report.switches;
        if (!report.stuck.empty()) static_cast<void>(world.release());  // its threads stand in it
        ASSERT_EQ(report.stuck, "") << seed;
        ASSERT_EQ(world->load->wrong(), nullptr) << world->load->wrong() << ", seed " << seed;
        world->load->expect_contents();
        ASSERT_EQ(findings_of(world->live), "") << seed;
        moved += world->load->moved();
    }
    std::printf("  %llu moved, %llu switches\n", static_cast<unsigned long long>(moved), static_cast<unsigned long long>(switches));
    EXPECT_GT(moved, seeds / 2);
    EXPECT_GT(switches, 100 * seeds);
    count("interleavings of threads", seeds);
}

}  // namespace
}  // namespace ashlar::test
