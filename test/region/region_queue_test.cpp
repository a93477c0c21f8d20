// Queues of regions: many transfers in flight while their region moves, goes, or fails.

#include "../channel/channel_fixture.hpp"
#include "region_fixture.hpp"

#include <ashlar/compaction.hpp>
#include <ashlar/device/native_device.hpp>
#include <ashlar/testing/queue_conformance.hpp>

#include <cstdio>

#include <unistd.h>

namespace ashlar::test {
namespace region_queue_test {

static_assert(QueuedDevice<region_device<ordered_single>>);
static_assert(QueuedDevice<region_device<ordered_multi>>);
static_assert(BlockDevice<region_device<test_blueprint<>>>);
static_assert(!QueuedDevice<region_device<test_blueprint<>>>);

template <class Blueprint>
void expect_conformance(store<Blueprint>& live, queue_options options = {}) {
    store_regions all{live};
    const auto    name = all.add({.type = logs, .blocks = block_count{80}});
    ASHLAR_ASSERT_OK(name);
    auto region = all.open(name.value()).value();
    for (const auto& failure : device_conformance(region)) ADD_FAILURE() << failure;
    for (const auto& failure : queue_conformance(region, options)) ADD_FAILURE() << failure;
    EXPECT_EQ(findings_of(live), "");
}

TEST(RegionQueueConformance, WhateverTheDevicesQueueDoes) {
    for (const std::size_t reap : {0U, 1U, 5U}) {
        for (const bool newest_first : {false, true}) {
            bench_store<ordered_single> bench;
            bench.orders.reap         = reap;
            bench.orders.newest_first = newest_first;
            expect_conformance(bench.live);
            EXPECT_EQ(bench.orders.open.load(), 0U) << "queues end with the regions'";
        }
    }
    bench_store<ordered_multi> bench;
    expect_conformance(bench.live);
}

struct native_single : blueprint {
    using device    = native_device;
    using journal   = ring_journal;
    using threading = single_threaded;
};

TEST(RegionQueueConformance, OnTheSystemsOwnQueues) {
    const auto path = "region_queue_" + std::to_string(::getpid()) + ".ash";
    {
        auto device =
            native_device::open(path.c_str(), {.block_bytes = 4096, .create = true, .bytes = 2000 * 4096}).value();
        ASHLAR_ASSERT_OK(store<native_single>::format(device));
        auto opened = store<native_single>::open(std::move(device));
        ASHLAR_ASSERT_OK(opened);
        expect_conformance(opened.value(), {.one_thread = true});
    }
    std::remove(path.c_str());
}

/// A region of 128 blocks behind a hole, and queues of it.
template <class Blueprint>
struct queued_region {
    using regions = store_regions<Blueprint>;
    using task    = compaction<Blueprint>;
    using queue   = typename region_device<Blueprint>::queue;

    static constexpr std::uint64_t blocks = 128;

    explicit queued_region(std::uint64_t room = 200) {
        const auto hole = all().add({.type = maps, .blocks = block_count{room}}).value();
        name            = all().add({.type = logs, .blocks = block_count{blocks}}).value();
        content         = pattern(blocks, 512, 5);
        ASHLAR_EXPECT_OK(region().write({block_index{0}, block_count{blocks}}, content));
        ASHLAR_EXPECT_OK(region().sync());
        ASHLAR_EXPECT_OK(all().remove(hole));
        ASHLAR_EXPECT_OK(bench.live.checkpoint());
        place = where();
    }

    [[nodiscard]] regions                  all() { return regions{bench.live}; }
    [[nodiscard]] region_device<Blueprint> region() { return all().open(name).value(); }
    [[nodiscard]] extent                   where() { return all().find(name).value().place; }
    [[nodiscard]] queue                    open(std::size_t depth = 16) {
                           auto opened = region().open_queue({.depth = depth});
                           EXPECT_TRUE(opened) << said(opened);
                           return std::move(opened).value();
    }
    [[nodiscard]] task compacting(region_compaction_options options = {}) {
        options.threshold_permille = 1;
        return task::open(bench.live, {.regions = options}).value();
    }
    /// Steps until a pass ends or does not go on.
    static progress run(task& moving) {
        for (;;) {
            const auto said = moving.step({.blocks_max = 16});
            if (said.reasons != stop_reason::budget_spent) return said;
        }
    }
    void expect_content() {
        auto one = region();
        EXPECT_TRUE(read_all(one) == content);
    }
    void expect_moved() {
        EXPECT_LT(where().first, place.first);
        expect_content();
        EXPECT_EQ(findings_of(bench.live), "");
    }

    bench_store<Blueprint> bench;
    region_id              name{};
    extent                 place{};
    byte_vector            content;
};

using single_region = queued_region<ordered_single>;

/// Transfers of one test with their memory; no two changes of a block are in flight at once.
struct load {
    explicit load(std::size_t count, std::size_t blocks_each = 1)
        : transfers(count), memory(count * blocks_each * 512), each{blocks_each} {}

    [[nodiscard]] std::span<std::byte> bytes(std::size_t i) {
        return std::span{memory}.subspan(i * each * 512, each * 512);
    }

    transfer& make(std::size_t i, transfer_kind kind, std::uint64_t block, std::uint8_t fill = 0) {
        if (kind == transfer_kind::write) std::fill(bytes(i).begin(), bytes(i).end(), std::byte{fill});
        transfers[i] = {
            .blocks = {block_index{block}, block_count{each}}, .memory = bytes(i).data(), .token = i, .kind = kind};
        return transfers[i];
    }
    template <class Queue>
    void write(Queue& to, byte_vector& content, std::size_t i, std::uint64_t block, std::uint8_t fill) {
        to.submit(make(i, transfer_kind::write, block, fill));
        std::copy(bytes(i).begin(), bytes(i).end(), content.begin() + static_cast<std::ptrdiff_t>(block * 512));
    }
    /// Waits for all; the code of the first that failed.
    template <class Queue>
    errc finish(Queue& of) {
        errc first = errc::none;
        while (of.in_flight() > 0) {
            std::array<transfer*, 8> ended{};
            const auto               count = of.complete(ended, 1);
            if (!count) return count.error().code;
            for (auto* const one : std::span{ended}.first(count.value())) {
                if (first == errc::none) first = one->failure.code;
            }
        }
        return first;
    }

    std::vector<transfer> transfers;
    byte_vector           memory;
    std::size_t           each;
};

TEST(RegionQueue, AMoveWaitsForWhatIsOnItsWayAndItsOwnerHearsOfItLater) {
    single_region here;
    here.bench.orders.reap = 1;  // what is not waited for stays in flight
    auto queue             = here.open();
    auto moving            = here.compacting();
    load work{8, 2};
    EXPECT_EQ(moving.step({.blocks_max = 100}).reasons, stop_reason::budget_spent);
    for (std::size_t i = 0; i < 8; ++i) work.write(queue, here.content, i, i * 16, static_cast<std::uint8_t>(200 + i));
    EXPECT_EQ(queue.complete({}, 0).value(), 0U);
    EXPECT_EQ(queue.in_flight(), 8U);
    EXPECT_TRUE(here.run(moving).reasons.has(stop_reason::finished));
    here.expect_moved();
    EXPECT_EQ(queue.in_flight(), 8U) << "none was handed back yet";
    EXPECT_EQ(work.finish(queue), errc::none);
    work.write(queue, here.content, 0, 5, 77);
    EXPECT_EQ(work.finish(queue), errc::none);
    here.expect_moved();
}

TEST(RegionQueue, ReadsInFlightKeepTheOldPlaceFromReuse) {
    single_region here;
    here.bench.orders.reap = 1;
    auto queue             = here.open();
    load work{16, 8};
    for (std::size_t i = 0; i < 16; ++i) queue.submit(work.make(i, transfer_kind::read, i * 8));
    std::array<transfer*, 1> ended{};
    ASSERT_EQ(queue.complete(ended, 1).value(), 1U);
    auto moving = here.compacting();
    EXPECT_TRUE(here.run(moving).reasons.has(stop_reason::finished));
    here.expect_moved();
    // Whoever takes blocks now does not get those that are still read.
    ASHLAR_ASSERT_OK(here.bench.live.checkpoint());
    const auto other = here.all().add({.type = maps, .blocks = block_count{100}, .from = here.place.first});
    ASHLAR_ASSERT_OK(other);
    EXPECT_FALSE(overlap(here.all().find(other.value()).value().place, here.place));
    ASHLAR_ASSERT_OK(here.all().open(other.value()).value().write({{0}, {100}}, pattern(100, 512, 99)));
    EXPECT_EQ(work.finish(queue), errc::none);
    EXPECT_TRUE(work.memory == here.content);
    ASHLAR_ASSERT_OK(here.bench.live.checkpoint());
    const auto after = here.all().add({.type = maps, .blocks = block_count{100}, .from = here.place.first});
    ASHLAR_ASSERT_OK(after);
    EXPECT_TRUE(overlap(here.all().find(after.value()).value().place, here.place));
}

TEST(RegionQueue, ARegionMovesHoweverMuchIsAlwaysInFlight) {
    for (std::uint64_t seed = 1; seed <= scaled(16); ++seed) {
        const bool    slides = seed % 4 == 0;
        single_region here{slides ? 50U : 200U};
        random_bits   random{seed};
        here.bench.orders.reap         = random.below(4);
        here.bench.orders.newest_first = random.below(2) == 0;
        auto                     queue = here.open(12);
        load                     work{12};
        std::vector<bool>        busy(single_region::blocks);
        std::vector<std::size_t> idle(12);
        for (std::size_t i = 0; i < 12; ++i) idle[i] = i;
        std::vector<byte_vector> expected(12);
        const auto               submit_one = [&]() {
            const auto block = random.below(single_region::blocks);
            if (busy[block]) return;
            const auto i = idle.back();
            idle.pop_back();
            busy[block] = true;
            if (random.below(4) == 0) {
                queue.submit(work.make(i, transfer_kind::read, block));
                const auto at = here.content.begin() + static_cast<std::ptrdiff_t>(block * 512);
                expected[i].assign(at, at + 512);
            } else {
                work.write(queue, here.content, i, block, static_cast<std::uint8_t>(random.next()));
                expected[i].clear();
            }
        };
        const auto reap = [&](std::size_t least) {
            std::array<transfer*, 4> ended{};
            const auto               count = queue.complete(ended, std::min(least, queue.in_flight()));
            ASHLAR_ASSERT_OK(count);
            for (auto* const one : std::span{ended}.first(count.value())) {
                EXPECT_EQ(one->failure.code, errc::none);
                busy[one->blocks.first.value] = false;
                idle.push_back(one->token);
                if (one->kind == transfer_kind::read) {
                    EXPECT_TRUE(std::equal(one->memory, one->memory + 512, expected[one->token].begin()));
                }
            }
        };
        auto moving =
            here.compacting({.verify_target = seed % 2 == 0, .chunk_bytes = 8 * 512, .window_bits = seed % 3});
        for (int steps = 0; steps < 500; ++steps) {
            while (!idle.empty()) submit_one();
            reap(random.below(3));
            const auto said = moving.step({.blocks_max = 8}).reasons;
            if (said.has(stop_reason::finished) && !said.has(stop_reason::raced)) break;
        }
        EXPECT_EQ(moving.last_result().regions_moved, 1U);
        EXPECT_EQ(moving.last_result().regions_slid, slides ? 1U : 0U);
        EXPECT_EQ(work.finish(queue), errc::none);
        here.expect_moved();
        ASSERT_FALSE(testing::Test::HasFailure()) << seed;
    }
}

TEST(RegionQueue, ARegionGoesWithTransfersInFlightAndNoneBeginsBehindThat) {
    single_region here;
    here.bench.orders.reap = 1;
    auto queue             = here.open();
    load work{8};
    for (std::size_t i = 0; i < 4; ++i) work.write(queue, here.content, i, i, 9);
    EXPECT_EQ(queue.complete({}, 0).value(), 0U);
    for (std::size_t i = 4; i < 8; ++i) work.write(queue, here.content, i, i, 9);
    queue.submit(work.make(7, transfer_kind::read, 0));
    const auto writes = here.bench.count(transfer_kind::write);
    ASHLAR_ASSERT_OK(here.all().remove(here.name));
    ASHLAR_ASSERT_OK(here.bench.live.sync());
    const auto after = here.bench.count(transfer_kind::write);
    EXPECT_GE(after, writes + 4) << "writes in flight ended before the region went";
    EXPECT_EQ(work.finish(queue), errc::not_found);
    EXPECT_EQ(here.bench.count(transfer_kind::write), after) << "what had not begun finds no region";
    for (std::size_t i = 0; i < 8; ++i)
        EXPECT_EQ(work.transfers[i].failure.code, i < 4 ? errc::none : errc::not_found) << i;
    EXPECT_EQ(findings_of(here.bench.live), "");
}

TEST(RegionQueue, APinnedRegionStaysWhereItIs) {
    single_region here;
    auto          queue  = here.open();
    auto          moving = here.compacting();
    load          work{4};
    EXPECT_EQ(moving.step({.blocks_max = 100}).reasons, stop_reason::budget_spent);
    for (std::size_t i = 0; i < 4; ++i) work.write(queue, here.content, i, i, 9);
    EXPECT_EQ(queue.complete({}, 0).value(), 0U);
    ASHLAR_ASSERT_OK(here.all().pin(here.name));
    EXPECT_TRUE(here.run(moving).reasons.has(stop_reason::pinned));
    EXPECT_EQ(work.finish(queue), errc::none);
    EXPECT_EQ(here.where(), here.place);
    here.expect_content();
}

TEST(RegionQueue, AQueueThatBrokeHoldsItsRegionUntilItIsDestroyed) {
    single_region here;
    {
        load work{5};  // lives as long as the queue
        auto queue = here.open();
        for (std::size_t i = 0; i < 4; ++i) work.write(queue, here.content, i, i, 9);
        work.make(4, transfer_kind::read, 0).blocks.count = {0};  // needs no transfer, and is done at once
        queue.submit(work.transfers[4]);
        here.bench.orders.breaks_at = here.bench.orders.calls + 1;
        transfer* ended[5];
        EXPECT_EQ(code_of(queue.complete(ended, 2)), errc::device_failed);
        EXPECT_EQ(code_of(queue.complete(ended, 0)), errc::device_failed);
        EXPECT_EQ(queue.in_flight(), 5U) << "nothing is handed back with an error";
        EXPECT_EQ(code_of(here.all().remove(here.name)), errc::busy);
        here.bench.orders.breaks_at = 0;
        auto moving                 = here.compacting();
        EXPECT_TRUE(here.run(moving).reasons.has(stop_reason::raced));
        EXPECT_EQ(here.where(), here.place);
    }
    // Blocking writes are not kept away, whatever did not work.
    here.content = pattern(128, 512, 8);
    ASHLAR_ASSERT_OK(here.region().write({{0}, {128}}, here.content));
    auto moving = here.compacting();
    EXPECT_TRUE(here.run(moving).reasons.has(stop_reason::finished));
    here.expect_moved();
    ASHLAR_EXPECT_OK(here.all().remove(here.name));
}

TEST(RegionQueue, AQueueThatBreaksWhileAMoveWaitsForItEndsTheMoveOnly) {
    single_region here;
    here.bench.orders.reap = 1;
    {
        load work{4};  // lives as long as the queue
        auto queue  = here.open();
        auto moving = here.compacting({.transfers_max = 0});  // the move asks nothing of queues itself
        for (std::size_t i = 0; i < 4; ++i) work.write(queue, here.content, i, i, 9);
        EXPECT_EQ(queue.complete({}, 0).value(), 0U);
        here.bench.orders.breaks_at = here.bench.orders.calls + 1;
        EXPECT_TRUE(here.run(moving).reasons.has(stop_reason::raced));
        EXPECT_EQ(here.where(), here.place);
        EXPECT_EQ(work.finish(queue), errc::device_failed);
    }
    here.bench.orders.breaks_at = 0;
    here.content                = pattern(128, 512, 8);
    ASHLAR_ASSERT_OK(here.region().write({{0}, {128}}, here.content));
    auto moving = here.compacting();
    EXPECT_TRUE(here.run(moving).reasons.has(stop_reason::finished));
    here.expect_moved();
}

TEST(RegionQueue, WhatFailsOnTheDeviceFailsOneTransferAndChangesNothingElse) {
    for (const auto kind : {transfer_kind::read, transfer_kind::write, transfer_kind::trim}) {
        single_region here;
        auto          queue = here.open();
        load          work{4};
        for (std::size_t i = 0; i < 4; ++i) queue.submit(work.make(i, kind, i, 9));
        if (kind == transfer_kind::write)
            std::fill(here.content.begin() + 512, here.content.begin() + 4 * 512, std::byte{9});
        here.bench.device.fail(kind, 1);
        EXPECT_EQ(work.finish(queue), errc::device_failed);
        for (std::size_t i = 1; i < 4; ++i) EXPECT_EQ(work.transfers[i].failure.code, errc::none);
        auto moving = here.compacting();
        EXPECT_TRUE(here.run(moving).reasons.has(stop_reason::finished)) << "no ticket was lost";
        if (kind != transfer_kind::trim) here.expect_moved();
    }
}

TEST(RegionQueue, ASyncMakesTheRegionAndWhatWasWrittenDurableOrEndsWriting) {
    single_region here;
    const auto    name = here.all().add({.type = maps, .blocks = block_count{8}});
    ASHLAR_ASSERT_OK(name);
    {
        auto queue = here.all().open(name.value()).value().open_queue({.depth = 4}).value();
        load work{2};
        queue.submit(work.make(0, transfer_kind::write, 3, 42));
        EXPECT_EQ(work.finish(queue), errc::none);
        const auto syncs = here.bench.count(transfer_kind::sync);
        queue.submit(work.make(1, transfer_kind::sync, 0));
        EXPECT_EQ(work.finish(queue), errc::none);
        EXPECT_GE(here.bench.count(transfer_kind::sync), syncs + 2) << "of the batch, and of the blocks";
    }
    here.bench.crash();
    byte_vector block(512);
    ASHLAR_ASSERT_OK(here.all().open(name.value()).value().read({{3}, {1}}, block));
    EXPECT_TRUE(block == byte_vector(512, std::byte{42}));
    {
        auto queue = here.open();
        load work{2};
        queue.submit(work.make(0, transfer_kind::sync, 0));
        here.bench.device.fail(transfer_kind::sync, 1);
        EXPECT_EQ(work.finish(queue), errc::device_failed);
        EXPECT_TRUE(here.bench.live.read_only());
        queue.submit(work.make(0, transfer_kind::sync, 0));
        EXPECT_EQ(work.finish(queue), errc::read_only);
        queue.submit(work.make(0, transfer_kind::write, 0, 1));
        EXPECT_EQ(work.finish(queue), errc::read_only);
        queue.submit(work.make(0, transfer_kind::read, 0));
        EXPECT_EQ(work.finish(queue), errc::none);
    }
    here.bench.crash();
    here.expect_content();
}

TEST(RegionQueue, ARegionInPartsIsReadAndWrittenInParts) {
    single_region here;
    // As while it is moved in parts: two blocks lie elsewhere, and what lies in the directory's place is foreign.
    const auto elsewhere = here.place.end() + block_count{200};
    for (const std::uint64_t i : {5U, 6U}) {
        const auto block = std::span{here.content}.subspan(i * 512, 512);
        ASHLAR_ASSERT_OK(here.bench.memory.write({elsewhere + block_count{i}, {1}}, block));
        ASHLAR_ASSERT_OK(
            here.bench.memory.write({here.place.first + block_count{i}, {1}}, byte_vector(512, std::byte{1})));
        ASHLAR_ASSERT_OK(
            here.bench.live.volume().indirection.remap(here.place.first + block_count{i}, elsewhere + block_count{i}));
    }
    here.expect_content();
    auto queue = here.open();
    load work{4, 12};
    queue.submit(work.make(0, transfer_kind::read, 0));
    EXPECT_EQ(work.finish(queue), errc::none);
    EXPECT_TRUE(std::equal(work.bytes(0).begin(), work.bytes(0).end(), here.content.begin()));
    work.write(queue, here.content, 1, 2, 77);
    EXPECT_EQ(work.finish(queue), errc::none);
    here.expect_content();
    const auto bytes = pattern(20, 512, 9);
    std::copy(bytes.begin(), bytes.end(), here.content.begin());
    ASHLAR_ASSERT_OK(here.region().write({{0}, {20}}, bytes));
    here.expect_content();
    for (std::uint64_t part = 1; part <= 4; ++part) {  // each part fails once; the fourth is none
        here.bench.device.fail(transfer_kind::read, part);
        queue.submit(work.make(2, transfer_kind::read, 0));
        EXPECT_EQ(work.finish(queue), part == 4 ? errc::none : errc::device_failed);
        here.bench.device.heal();
    }
    ASHLAR_EXPECT_OK(here.region().trim({{4}, {3}}));

    byte_vector space(21 * 512);
    const auto  writes = here.bench.count(transfer_kind::write);
    for (const std::size_t length : {std::size_t{0}, std::size_t{512}, std::size_t{19 * 512}, std::size_t{21 * 512}}) {
        const auto some = std::span{space}.first(length);
        EXPECT_EQ(code_of(here.region().read({{0}, {20}}, some)), errc::out_of_range);
        EXPECT_EQ(code_of(here.region().write({{0}, {20}}, some)), errc::out_of_range);
    }
    EXPECT_EQ(here.bench.count(transfer_kind::write), writes);
    here.bench.live.volume().indirection.clear();
}

TEST(RegionQueue, MemoryIsLentOrTakenFromTheHeap) {
    single_region here;
    using queue       = single_region::queue;
    const auto wanted = queue::memory_bytes(16);
    EXPECT_EQ(code_of(here.region().open_queue({.depth = 0})), errc::invalid_argument);
    EXPECT_EQ(code_of(here.region().open_queue({.depth = queue::depth_max + 1})), errc::invalid_argument);
    for (const std::size_t shift : {0U, 1U, 7U}) {
        byte_vector lent(wanted + shift);
        EXPECT_EQ(
            code_of(here.region().open_queue({.depth = 16, .memory = std::span{lent}.subspan(shift, wanted - 1)})),
            errc::workspace_too_small);
        auto opened = here.region().open_queue({.depth = 16, .memory = std::span{lent}.subspan(shift)});
        ASHLAR_ASSERT_OK(opened);
        load work{16};
        for (std::size_t i = 0; i < 16; ++i) work.write(opened.value(), here.content, i, i, 3);
        EXPECT_EQ(work.finish(opened.value()), errc::none);
        here.expect_content();
        EXPECT_TRUE(opened.value().complete({}, 0).has_value());
    }
    const auto before = here.bench.orders.open.load();
    auto       first = here.open(), second = here.open(), third = here.open();
    first = std::move(third);  // from the middle of those that are known, and out of it
    EXPECT_EQ(here.bench.orders.open.load(), before + 2);
    second = here.open();
    EXPECT_EQ(here.bench.orders.open.load(), before + 2);
}

}  // namespace region_queue_test
}  // namespace ashlar::test
