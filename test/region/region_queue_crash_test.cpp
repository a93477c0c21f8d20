// Power cuts while a region moves below transfers in flight.

#include "../channel/channel_fixture.hpp"
#include "../counts.hpp"
#include "region_history.hpp"

#include <ashlar/compaction.hpp>
#include <ashlar/testing/crash_states.hpp>

namespace ashlar::test {
namespace region_queue_crash_test {

using queued_store  = store<ordered_single>;
using queued_region = region_device<ordered_single>;

/// A region with as many writes in flight as its queue takes, whose history is known. No two are of one block.
class queued_history {
  public:
    static constexpr std::uint64_t blocks = 140;
    static constexpr std::size_t   depth  = 6;

    queued_history(std::uint64_t seed, std::uint64_t room) : random_{seed}, busy_(blocks) {
        bench_.orders.reap         = 1 + seed % 3;
        bench_.orders.newest_first = seed % 2 == 0;
        store_regions all{bench_.live};
        const auto    hole = all.add({.type = maps, .blocks = block_count{room}}).value();
        name_              = all.add({.type = logs, .blocks = block_count{blocks}}).value();
        auto region        = all.open(name_).value();
        for (std::uint64_t i = 0; i < blocks; ++i)
            ASHLAR_EXPECT_OK(region.write({{i}, {1}}, region_history::bytes_of_version(history_.begin_write(0, i, 0))));
        ASHLAR_EXPECT_OK(all.remove(hole));
        ASHLAR_EXPECT_OK(bench_.live.checkpoint());
        base_.assign(bench_.memory.bytes().begin(), bench_.memory.bytes().end());
        bench_.record.forget();
        history_.begin();
        queue_.emplace(region.open_queue({.depth = depth + 1}).value());
        for (auto& one : slots_) one.memory.resize(512);
    }

    void fill() {
        for (std::size_t i = 0; i < depth; ++i) {
            const auto block = random_.below(blocks);
            if (slots_[i].out || busy_[block]) continue;
            auto& one  = slots_[i];
            one.memory = region_history::bytes_of_version(history_.begin_write(0, block, calls()));
            one.io  = {.blocks = {{block}, {1}}, .memory = one.memory.data(), .token = i, .kind = transfer_kind::write};
            one.out = true;
            busy_[block] = true;
            queue_->submit(one.io);
        }
        ASHLAR_EXPECT_OK(queue_->complete({}, 0));  // begins them
    }
    void reap(std::size_t least) {
        std::array<transfer*, depth + 1> ended{};
        const auto                       count = queue_->complete(ended, std::min(least, queue_->in_flight()));
        ASHLAR_ASSERT_OK(count);
        for (auto* const io : std::span{ended}.first(count.value())) {
            EXPECT_EQ(io->failure.code, errc::none);
            if (io->kind == transfer_kind::sync) {
                history_.synced(calls(), io->token);
            } else {
                slots_[io->token].out         = false;
                busy_[io->blocks.first.value] = false;
            }
        }
    }
    /// Of all that was written so far; new writes are in flight beside it.
    void sync() {
        reap(queue_->in_flight());
        transfer io{.token = history_.newest(), .kind = transfer_kind::sync};
        queue_->submit(io);
        fill();
        reap(queue_->in_flight());
    }
    [[nodiscard]] std::size_t calls() const { return bench_.record.calls().size(); }
    [[nodiscard]] extent      where() { return store_regions{bench_.live}.find(name_).value().place; }
    [[nodiscard]] auto        compacting() {
               return compaction<ordered_single>::open(bench_.live, {.regions = {.threshold_permille = 1}}).value();
    }

    std::uint64_t look(crash_effort effort) {
        std::uint64_t findings = 0;
        return crash_states(bench_.record.calls(), base_, {512}, effort,
                            [&](const crash_point& at, std::span<std::byte> image) {
                                const auto wrong = judge(at.calls, image);
                                if (wrong.empty()) return true;
                                ADD_FAILURE() << wrong << "\n  cut after call " << at.calls << " of "
                                              << bench_.record.calls().size() << ", " << text_of(at.choice);
                                return ++findings < 3;
                            });
    }

  private:
    struct slot {
        transfer    io{};
        byte_vector memory;
        bool        out = false;
    };

    std::string judge(std::size_t calls, std::span<std::byte> image) {
        auto         lent = memory_device::lend(image, {512}).value();
        queue_orders orders;
        auto         opened = queued_store::open(ordered_device{lent, orders}, with<queued_store>());
        if (!opened) return "does not open: " + said(opened);
        auto region = store_regions{opened.value()}.open(name_);
        if (!region) return "the region is gone: " + said(region);
        const auto bytes = read_all(region.value());
        for (std::uint64_t i = 0; i < blocks; ++i) {
            const auto wrong = history_.check(0, i, std::span{bytes}.subspan(i * 512, 512), calls);
            if (!wrong.empty()) return "block " + std::to_string(i) + ": " + wrong;
        }
        return findings_of(opened.value());
    }

    random_bits                 random_;
    bench_store<ordered_single> bench_{{.block_bytes = 512, .blocks = 1200, .journal_blocks = 96}, small_limits()};
    region_id                   name_{};
    byte_vector                 base_;
    region_history              history_;
    std::vector<bool>           busy_;
    std::array<slot, depth>     slots_{};
    std::optional<region_queue<queued_store::volume_type>> queue_;
};

/// Moves the region into so much room below it, and looks at every cut.
void expect_whole(std::uint64_t room, std::uint64_t seeds, bool slides) {
    std::uint64_t states = 0;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        queued_history world{seed, room};
        const auto     place  = world.where();
        auto           moving = world.compacting();
        for (int steps = 0; steps < 200; ++steps) {
            world.fill();
            const auto said = moving.step({.blocks_max = 24});
            if (said.reasons.has(stop_reason::finished) && !said.reasons.has(stop_reason::raced)) break;
            ASSERT_FALSE(said.reasons.has(stop_reason::device_error));
            world.reap(static_cast<std::size_t>(steps) % 3);
            if (steps % 3 == 1) world.sync();
        }
        EXPECT_LT(world.where().first, place.first);
        EXPECT_EQ(moving.last_result().regions_slid, slides ? 1U : 0U);
        world.sync();
        states += world.look({.random_max = 2, .single_max = 6, .tears_max = 4});
    }
    EXPECT_GT(states, 200 * seeds);
    count("crash states of moving regions", states);
}

TEST(RegionQueueCrash, EveryBlockIsWholeAtItsOldOrNewPlaceWhereverTheMoveIsCut) { expect_whole(200, 3, false); }

TEST(RegionQueueCrash, EveryBlockIsWholeWhereverAMoveInPartsIsCut) { expect_whole(60, 2, true); }

}  // namespace region_queue_crash_test
}  // namespace ashlar::test
