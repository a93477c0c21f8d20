// Queues of regions and moves, in orders that a seed decides: nobody waits for ever, no block is lost.

#include "../counts.hpp"
#include "../region/region_queue_load.hpp"

#include <ashlar/testing/scheduled.hpp>

namespace ashlar::test {
namespace region_queue_interleaving_test {

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
        load.emplace(live, 300);
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

/// Memory whose syncs fail from some moment on; nothing is written behind that.
class failing_memory {
  public:
    explicit failing_memory(memory_device& inner) : inner_{inner} {}

    [[nodiscard]] device_geometry geometry() const noexcept { return inner_.geometry(); }
    [[nodiscard]] result<>        read(extent e, std::span<std::byte> in) noexcept { return inner_.read(e, in); }
    [[nodiscard]] result<>        write(extent e, std::span<const std::byte> out) noexcept {
               if (failed && overlap(e, watched)) ++late;
        return inner_.write(e, out);
    }
    [[nodiscard]] result<> sync() noexcept {
        failed = failed || fails;
        return failed ? result<>{errc::device_failed} : inner_.sync();
    }
    [[nodiscard]] result<> trim(extent e) noexcept { return inner_.trim(e); }

    bool          fails  = false;
    bool          failed = false;
    extent        watched{};
    std::uint64_t late = 0;

  private:
    memory_device& inner_;
};

TEST(RegionQueueInterleaving, WhoWaitedForAMoveThatEndedWritingDoesNotWrite) {
    std::uint64_t waited = 0;
    for (std::uint64_t seed = 1; seed <= scaled(60); ++seed) {
        const volume_shape shape{.block_bytes = 512, .blocks = 1000, .journal_blocks = 64};
        auto               memory = make_memory(shape);
        format_on(memory, shape);
        failing_memory                  failing{memory};
        yielding_device<failing_memory> slow{failing};
        queue_orders                    orders;
        auto          live = interleaved_store::open(ordered_device{slow, orders}, with<interleaved_store>()).value();
        store_regions all{live};
        const auto    gap = all.add({.type = maps, .blocks = block_count{100}}).value();
        ASHLAR_ASSERT_OK(all.add({.type = logs, .blocks = block_count{80}}));
        const auto hole = all.find(gap).value().place;
        ASHLAR_ASSERT_OK(all.remove(gap));
        ASHLAR_ASSERT_OK(live.checkpoint());
        auto moving = compaction<interleaved>::open(live, {.regions = {.threshold_permille = 1}}).value();
        ASSERT_EQ(moving.step({.blocks_max = 79}).reasons, stop_reason::budget_spent);
        const auto place = all.find({logs, 0}).value().place;
        failing.watched  = {hole.first, place.end() - hole.first};
        failing.fails    = true;
        schedule order{seed};
        bool     ended = false, queued_ended = false;
        order.spawn("mover", [&] { EXPECT_TRUE(moving.step().reasons.has(stop_reason::device_error)); });
        order.spawn("writer", [&] {
            auto region = all.open({logs, 0}).value();
            for (std::uint64_t i = 0; i < 40 && !ended; ++i) {
                const auto done = region.write({{i}, {1}}, byte_vector(512));
                ended           = !done;
                EXPECT_EQ(code_of(done), ended ? errc::read_only : errc::none);
            }
        });
        order.spawn("queue's owner", [&] {
            auto        queue = all.open({logs, 0}).value().open_queue({.depth = 2}).value();
            byte_vector bytes(512);
            for (std::uint64_t i = 40; i < 80 && !queued_ended; ++i) {
                transfer  one{.blocks = {{i}, {1}}, .memory = bytes.data(), .kind = transfer_kind::write};
                transfer* finished[1];
                queue.submit(one);
                EXPECT_EQ(queue.complete(finished, 1).value(), 1U);
                queued_ended = one.failure.code != errc::none;
            }
        });
        const auto report = order.run();
        ASSERT_EQ(report.stuck, "") << seed;
        ASSERT_TRUE(live.read_only());
        ASSERT_EQ(failing.late, 0U) << seed;
        waited += ended && queued_ended ? 1 : 0;
        static_cast<void>(live.abandon());
    }
    EXPECT_GT(waited, 0U) << "writers that had ended before prove nothing";
}

TEST(RegionQueueInterleaving, EveryOwnerFindsWhatItWroteInEveryInterleaving) {
    const auto    seeds = scaled(30);
    std::uint64_t moved = 0, slid = 0, switches = 0;
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
        slid += world->load->slid();
    }
    std::printf("  %llu regions moved, %llu of them in parts\n", static_cast<unsigned long long>(moved),
                static_cast<unsigned long long>(slid));
    EXPECT_GT(moved, seeds / 2);
    EXPECT_GT(switches, 100 * seeds);
    count("interleavings of threads", seeds);
}

}  // namespace region_queue_interleaving_test
}  // namespace ashlar::test
