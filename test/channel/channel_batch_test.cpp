#include "channel_fixture.hpp"

#include <new>

namespace {
std::uint64_t allocations = 0;
}

[[gnu::noinline]] void* operator new(std::size_t bytes) {
    ++allocations;
    if (void* const made = std::malloc(bytes != 0 ? bytes : 1)) return made;
    std::abort();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace ashlar::test {
namespace {

using single_bench = bench_store<ordered_single>;

TEST(ChannelBatch, AllPutsUnderWayShareOneDataWriteOneJournalWriteAndOneSync) {
    single_bench             bench;
    std::vector<object_id>   ids;
    std::vector<byte_vector> memory;
    std::vector<request>     asked;
    for (std::uint64_t i = 0; i < 32; ++i) {
        ids.push_back(bench.object());
        memory.push_back(pattern(512, i));
    }
    ASHLAR_ASSERT_OK(bench.live.checkpoint());
    auto on = bench.channel_of({.depth = 32});
    for (std::size_t i = 0; i < 32; ++i) asked.push_back(put_of(ids[i], 0, memory[i]));
    for (std::uint64_t round = 0; round < 3; ++round) {
        bench.record.forget();
        for (auto& one : asked) on.submit(one);
        EXPECT_EQ(bench.record.calls().size(), 0U) << "nothing begins before complete";
        ASSERT_EQ(finish_all(on), 32U);
        EXPECT_EQ(bench.count(transfer_kind::write), 2U);
        EXPECT_EQ(bench.count(transfer_kind::sync), 1U);
        EXPECT_EQ(bench.record.calls().back().kind, transfer_kind::sync);
        for (const auto& one : asked) EXPECT_EQ(one.failure.code, errc::none) << said(one);
    }
}

TEST(ChannelBatch, TheDataOfASinglePutRidesInItsBatch) {
    single_bench bench;
    const auto   id    = bench.object();
    auto         bytes = pattern(700, 3);
    ASHLAR_ASSERT_OK(bench.live.sync());
    {
        auto on = bench.channel_of();
        bench.record.forget();
        auto put = put_of(id, 0, bytes);
        run_one(on, put);
        EXPECT_EQ(put.failure.code, errc::none) << said(put);
        EXPECT_EQ(bench.count(transfer_kind::write), 1U);
        EXPECT_EQ(bench.count(transfer_kind::sync), 1U);
    }
    bench.crash();
    EXPECT_EQ(bench.bytes_of_object(id), bytes);
    EXPECT_EQ(findings_of(bench.live), "");
}

TEST(ChannelBatch, ASyncWithNothingToDoCostsNothing) {
    single_bench bench;
    ASHLAR_ASSERT_OK(bench.live.sync());
    auto on = bench.channel_of();
    bench.record.forget();
    request sync{.verb = request_verb::sync};
    run_one(on, sync);
    EXPECT_EQ(sync.failure.code, errc::none);
    EXPECT_EQ(bench.record.calls().size(), 0U);
}

TEST(ChannelBatch, DataThatABatchCannotListIsSyncedBeforeTheJournal) {
    volume_limits limits;
    limits.unsynced_blocks = 4;
    single_bench bench{{.block_bytes = 512, .blocks = 3000, .journal_blocks = 128}, limits};
    const auto   id    = bench.object();
    auto         bytes = pattern(512 * 40, 3);
    ASHLAR_ASSERT_OK(bench.live.sync());
    auto on = bench.channel_of();
    bench.record.forget();
    auto put = put_of(id, 0, bytes);
    run_one(on, put);
    EXPECT_EQ(put.failure.code, errc::none) << said(put);
    ASSERT_EQ(bench.record.calls().size(), 4U);
    EXPECT_EQ(bench.record.calls()[1].kind, transfer_kind::sync);
    EXPECT_EQ(bench.record.calls()[3].kind, transfer_kind::sync);
    bench.crash();
    EXPECT_EQ(bench.bytes_of_object(id), bytes);
}

TEST(ChannelBatch, WhatIsSubmittedWhileABatchFliesIsTheNextBatch) {
    single_bench bench;
    const auto   first = bench.object(), second = bench.object();
    ASHLAR_ASSERT_OK(bench.live.sync());
    auto                    on = bench.channel_of();
    auto                    a = pattern(3000, 1), b = pattern(3000, 2);
    auto                    put_a = put_of(first, 0, a), put_b = put_of(second, 0, b);
    std::array<request*, 4> finished;
    bench.orders.reap = 1;
    bench.record.forget();
    on.submit(put_a);
    EXPECT_EQ(on.complete(finished, 0).value(), 0U);  // its data is on the way
    on.submit(put_b);
    EXPECT_EQ(on.in_flight(), 2U);
    ASSERT_EQ(on.complete(finished, 1).value(), 1U);
    EXPECT_EQ(finished[0], &put_a);
    EXPECT_EQ(bench.count(transfer_kind::sync), 1U);
    ASSERT_EQ(on.complete(finished, 1).value(), 1U);
    EXPECT_EQ(finished[0], &put_b);
    EXPECT_EQ(bench.count(transfer_kind::sync), 2U);
    bench.crash();
    EXPECT_EQ(bench.bytes_of_object(first), a);
    EXPECT_EQ(bench.bytes_of_object(second), b);
}

TEST(ChannelBatch, CompleteOfNothingBeginsAndDoesNotWait) {
    single_bench bench;
    const auto   id    = bench.object();
    auto         bytes = pattern(3000, 1);
    ASHLAR_ASSERT_OK(bench.live.sync());
    auto on            = bench.channel_of();
    auto put           = put_of(id, 0, bytes);
    bench.orders.reap  = 1;
    std::size_t rounds = 0;
    bench.record.forget();
    on.submit(put);
    for (std::array<request*, 4> finished; on.in_flight() != 0 && rounds < 100; ++rounds) {
        const auto before = bench.record.calls().size();
        ASHLAR_ASSERT_OK(on.complete(finished, 0));
        EXPECT_LE(bench.record.calls().size(), before + 1) << "one transfer was all that the queue gave";
    }
    EXPECT_EQ(put.failure.code, errc::none);
    EXPECT_EQ(rounds, bench.record.calls().size());
    EXPECT_EQ(on.complete({}, 0).value(), 0U);
}

TEST(ChannelBatch, AReadThatBeginsAndEndsInsideOfBlocksKeepsItsEdgesApart) {
    single_bench bench;
    const auto   bytes = pattern(20'000, 9);
    const auto   id    = bench.object(bytes);
    ASHLAR_ASSERT_OK(bench.live.checkpoint());
    auto on = bench.channel_of();
    for (const bool newest_first : {false, true}) {
        bench.orders.newest_first = newest_first;
        byte_vector seen(9000);
        auto        read = read_of(id, 100, seen);
        run_one(on, read);
        EXPECT_EQ(read.failure.code, errc::none) << said(read);
        EXPECT_EQ(std::memcmp(seen.data(), bytes.data() + 100, seen.size()), 0);
    }
}

/// Writes blocks of two objects in turn, so that each block is an extent of its own.
std::pair<object_id, byte_vector> scattered(single_bench& bench, std::size_t blocks) {
    const auto  id = bench.object(), other = bench.object();
    byte_vector bytes = pattern(blocks * 512, 77);
    for (std::size_t i = 0; i < blocks; ++i) {
        ASHLAR_EXPECT_OK(bench.live.write(id, i * 512, std::span{bytes}.subspan(i * 512, 512)));
        ASHLAR_EXPECT_OK(bench.live.write(other, i * 512, std::span{bytes}.subspan(i * 512, 512)));
    }
    ASHLAR_EXPECT_OK(bench.live.checkpoint());
    EXPECT_GT(bench.live.info(id).value().extents, blocks / 2);
    return {id, bytes};
}

TEST(ChannelBatch, ABatchGetsThroughHoweverManyExtentsAreRead) {
    single_bench bench;
    const auto [id, bytes]          = scattered(bench, 64);
    const auto               target = bench.object();
    auto                     on     = bench.channel_of({.depth = 16});
    std::vector<byte_vector> memory(15, byte_vector(bytes.size()));
    std::vector<request>     asked(15);
    auto                     data = pattern(3000, 4);
    auto                     put  = put_of(target, 0, data);
    ASHLAR_ASSERT_OK(bench.live.sync());
    bench.orders.reap = 1;
    for (std::size_t i = 0; i < 15; ++i) on.submit(asked[i] = read_of(id, 0, memory[i]));
    on.submit(put);
    bool                    came = false;
    std::array<request*, 1> finished;
    // Each read that ends is asked again: there are always more pieces to be read than places.
    for (int i = 0; i < 200 && !came; ++i) {
        ASSERT_EQ(on.complete(finished, 1).value(), 1U);
        came = finished[0] == &put;
        if (!came) {
            ASSERT_EQ(finished[0]->failure.code, errc::none) << said(*finished[0]);
            on.submit(*finished[0]);
        }
    }
    EXPECT_TRUE(came);
    finish_all(on);
    for (const auto& one : memory) EXPECT_EQ(one, bytes);
}

TEST(ChannelBatch, NoMoreTransfersAreInFlightThanTheChannelHasPlacesFor) {
    single_bench bench;
    const auto [id, bytes] = scattered(bench, 64);
    for (const std::size_t depth : {1U, 3U, 8U}) {
        bench.orders.deepest        = 0;
        auto                     on = bench.channel_of({.depth = depth});
        std::vector<byte_vector> memory(depth, byte_vector(bytes.size()));
        std::vector<request>     asked(depth);
        EXPECT_EQ(on.depth(), depth);
        for (std::size_t i = 0; i < depth; ++i) on.submit(asked[i] = read_of(id, 0, memory[i]));
        EXPECT_EQ(on.in_flight(), depth);
        ASSERT_EQ(finish_all(on), depth);
        for (const auto& one : memory) EXPECT_EQ(one, bytes);
        EXPECT_LE(bench.orders.deepest, depth + 8);
        EXPECT_GE(bench.orders.deepest, depth);
    }
    using channels = single_bench::channels;
    EXPECT_EQ(code_of(channels::open(bench.live, {.depth = 0})), errc::invalid_argument);
    EXPECT_EQ(code_of(channels::open(bench.live, {.depth = channels::depth_max + 1})), errc::invalid_argument);
}

TEST(ChannelBatch, ARequestAllocatesNothing) {
    memory_device plain = make_memory({.block_bytes = 512, .blocks = 3000, .journal_blocks = 128});
    using plain_store   = store<channel_blueprint<memory_device, single_threaded>>;
    ASHLAR_ASSERT_OK(plain_store::format(plain, volume_shape{.journal_blocks = 128}.format()));
    auto                    live = plain_store::open(std::move(plain)).value();
    auto                    on   = channel<channel_blueprint<memory_device, single_threaded>>::open(live).value();
    byte_vector             seen(9000), data = pattern(2500, 2);
    std::array<request*, 4> finished;
    const auto              before = allocations;
    for (std::uint64_t i = 0; i < 200; ++i) {
        auto put  = put_of(live.root(), (i % 7) * 1000, data);
        auto read = read_of(live.root(), 77, seen);
        on.submit(put);
        on.submit(read);
        while (on.in_flight() != 0) ASSERT_TRUE(on.complete(finished, 1).has_value());
        ASSERT_EQ(put.failure.code, errc::none) << said(put);
        ASSERT_EQ(read.failure.code, errc::none) << said(read);
    }
    EXPECT_EQ(allocations, before);
    EXPECT_GT(before, 0U);
}

TEST(ChannelBatch, LentMemoryOfTheSizeThatItAsksForIsEnough) {
    single_bench bench;
    using channels = single_bench::channels;
    const channel_options options{.depth = 5};
    const auto            wanted = channels::memory_bytes(options, {512});
    byte_vector           memory(wanted + 1);
    for (const std::size_t skew : {0U, 1U}) {
        auto opened = channels::open(bench.live, options, std::span{memory}.subspan(skew, wanted));
        ASHLAR_ASSERT_OK(opened);
        auto bytes = pattern(900, skew);
        auto put   = put_of(bench.live.root(), 0, bytes);
        run_one(opened.value(), put);
        EXPECT_EQ(put.failure.code, errc::none);
    }
    EXPECT_EQ(code_of(channels::open(bench.live, options, std::span{memory}.first(wanted - 1))),
              errc::workspace_too_small);
}

TEST(ChannelBatch, ChannelAndStoreMayMoveWhileRequestsAreInFlight) {
    single_bench bench;
    const auto   bytes = pattern(30'000, 1);
    const auto   id    = bench.object(bytes);
    ASHLAR_ASSERT_OK(bench.live.checkpoint());
    const std::size_t       queues = bench.orders.open;  // the store may have its own
    auto                    first  = bench.channel_of();
    byte_vector             seen(bytes.size());
    auto                    data = pattern(2500, 2);
    auto                    read = read_of(id, 0, seen);
    auto                    put  = put_of(bench.live.root(), 0, data);
    std::array<request*, 4> finished;
    bench.orders.reap = 1;
    first.submit(read);
    first.submit(put);
    ASHLAR_ASSERT_OK(first.complete(finished, 0));
    auto second = std::move(first);
    auto moved  = std::move(bench.live);
    EXPECT_EQ(second.in_flight(), 2U);
    finish_all(second);
    EXPECT_EQ(read.failure.code, errc::none) << said(read);
    EXPECT_EQ(put.failure.code, errc::none) << said(put);
    EXPECT_EQ(seen, bytes);
    { const auto ended = std::move(second); }
    EXPECT_EQ(bench.orders.open, queues);
    bench.live = std::move(moved);
}

TEST(ChannelBatch, ABlockingCallThatCommitsBesideABatchInFlightIsBusy) {
    single_bench bench;
    const auto   id    = bench.object();
    auto         bytes = pattern(3000, 1), more = pattern(600, 2);
    ASHLAR_ASSERT_OK(bench.live.sync());
    auto                    on  = bench.channel_of();
    auto                    put = put_of(id, 0, bytes);
    std::array<request*, 4> finished;
    bench.orders.reap = 1;
    on.submit(put);
    ASSERT_EQ(on.complete(finished, 0).value(), 0U);
    EXPECT_EQ(code_of(bench.live.put(bench.live.root(), 0, more)), errc::busy);
    EXPECT_EQ(code_of(bench.live.checkpoint()), errc::busy);
    ASHLAR_EXPECT_OK(bench.live.write(bench.live.root(), 600, more));  // a write only joins the next batch
    EXPECT_EQ(bench.bytes_of_object(id), bytes);
    finish_all(on);
    EXPECT_EQ(put.failure.code, errc::none) << said(put);
    EXPECT_FALSE(bench.live.read_only());
    ASHLAR_EXPECT_OK(bench.live.sync());
    EXPECT_EQ(bench.bytes_of_object(bench.live.root()).size(), 1200U);
}

TEST(ChannelBatch, MaintenanceBesideABatchInFlightLeavesItAlone) {
    single_bench bench;
    const auto   id    = bench.object();
    auto         bytes = pattern(3000, 1);
    const auto   gone  = bench.object(pattern(20'000, 2));
    ASHLAR_ASSERT_OK(bench.live.sync());
    auto                    on  = bench.channel_of();
    auto                    put = put_of(id, 0, bytes);
    std::array<request*, 4> finished;
    bench.orders.reap = 1;
    on.submit(put);
    ASSERT_EQ(on.complete(finished, 0).value(), 0U);
    ASHLAR_EXPECT_OK(bench.live.erase(gone));
    static_cast<void>(bench.live.maintain());
    EXPECT_EQ(findings_of(bench.live), "");
    finish_all(on);
    EXPECT_EQ(put.failure.code, errc::none) << said(put);
    ASHLAR_EXPECT_OK(bench.live.maintain());
    bench.crash();
    EXPECT_EQ(bench.bytes_of_object(id), bytes);
    EXPECT_EQ(findings_of(bench.live), "");
}

TEST(ChannelBatch, ASecondChannelOfTheThreadIsBusyWhileTheFirstCommits) {
    single_bench bench;
    const auto   first = bench.object(), second = bench.object();
    ASHLAR_ASSERT_OK(bench.live.sync());
    auto                    a = pattern(3000, 1), b = pattern(3000, 2);
    auto                    on_a = bench.channel_of(), on_b = bench.channel_of();
    auto                    put_a = put_of(first, 0, a), put_b = put_of(second, 0, b);
    std::array<request*, 4> finished;
    bench.orders.reap = 1;
    on_a.submit(put_a);
    ASSERT_EQ(on_a.complete(finished, 0).value(), 0U);
    on_b.submit(put_b);
    ASSERT_EQ(on_b.complete(finished, 1).value(), 1U);
    EXPECT_EQ(put_b.failure.code, errc::busy);
    finish_all(on_a);
    EXPECT_EQ(put_a.failure.code, errc::none);
    run_one(on_b, put_b);
    EXPECT_EQ(put_b.failure.code, errc::none);
}

TEST(ChannelBatch, WhatAReadInFlightLooksAtIsNotUsedAgain) {
    for (int change = 0; change < 4; ++change) {
        single_bench bench;
        const auto   bytes = pattern(30'000, 1);
        const auto   id    = bench.object(bytes);
        ASHLAR_ASSERT_OK(bench.live.checkpoint());
        auto                    on = bench.channel_of();
        byte_vector             seen(bytes.size());
        auto                    read = read_of(id, 0, seen);
        std::array<request*, 4> finished;
        on.submit(read);
        bench.orders.reap = 1;
        // The read is begun, and the queue does not make it yet.
        const auto guard_reads    = bench.record.reads();
        bench.orders.newest_first = true;
        byte_vector first(512);
        auto        other = read_of(id, 512, first);
        on.submit(other);
        ASHLAR_ASSERT_OK(on.complete(finished, 1));
        EXPECT_EQ(finished[0], &other);
        EXPECT_EQ(bench.record.reads(), guard_reads + 1);
        switch (change) {
            case 0: ASHLAR_ASSERT_OK(bench.live.erase(id)); break;
            case 1: ASHLAR_ASSERT_OK(bench.live.truncate(id, 0)); break;
            case 2: ASHLAR_ASSERT_OK(bench.live.write(id, 0, pattern(20'000, 2))); break;
            default: ASHLAR_ASSERT_OK(bench.live.punch(id, 0, 30'000)); break;
        }
        // Everything that is free is written over. What was given back since the read began is not among it.
        const auto    filler = bench.object();
        std::uint64_t at     = 0;
        for (int i = 0; i < 3; ++i) {
            while (bench.live.write(filler, at, pattern(16'000, at)).has_value()) at += 16'000;
            ASHLAR_ASSERT_OK(bench.live.checkpoint());
            ASHLAR_ASSERT_OK(bench.live.maintain());
        }
        EXPECT_GT(at, 500'000U);
        finish_all(on);
        EXPECT_EQ(read.failure.code, errc::none) << said(read) << " after change " << change;
        EXPECT_EQ(seen, bytes) << "after change " << change;
        ASHLAR_EXPECT_OK(bench.live.write(filler, at, pattern(16'000, at)));  // now it may be used again
    }
}

TEST(ChannelBatch, ALongReadIsOneMomentsAlthoughItsObjectChangesBetweenItsRounds) {
    single_bench bench;
    const auto   old_bytes = pattern(150'000, 1), new_bytes = pattern(150'000, 2);
    const auto   id = bench.object();
    for (std::size_t at = 0; at < old_bytes.size(); at += 15'000)
        ASHLAR_ASSERT_OK(bench.live.write(id, at, std::span{old_bytes}.subspan(at, 15'000)));
    ASHLAR_ASSERT_OK(bench.live.checkpoint());
    auto                    on = bench.channel_of();
    byte_vector             seen(old_bytes.size());
    auto                    read = read_of(id, 0, seen);
    std::array<request*, 4> finished;
    bench.orders.reap = 1;
    on.submit(read);
    const auto before = bench.record.reads();
    while (bench.record.reads() < before + 2) ASSERT_EQ(on.complete(finished, 0).value(), 0U);
    for (std::size_t at = 0; at < new_bytes.size(); at += 15'000)
        ASHLAR_ASSERT_OK(bench.live.write(id, at, std::span{new_bytes}.subspan(at, 15'000)));
    finish_all(on);
    EXPECT_EQ(read.failure.code, errc::none) << said(read);
    EXPECT_EQ(seen, new_bytes);
}

TEST(ChannelBatch, AReadAtTheEndAsksForTheObjectOnce) {
    single_bench bench;
    const auto   bytes = pattern(1000, 1);
    const auto   id    = bench.object(bytes);
    ASHLAR_ASSERT_OK(bench.live.checkpoint());
    auto                    on = bench.channel_of();
    byte_vector             seen(5000);
    auto                    read = read_of(id, 0, seen);
    std::array<request*, 4> finished;
    bench.orders.reap = 1;
    on.submit(read);
    ASSERT_EQ(on.complete(finished, 0).value(), 0U);
    ASHLAR_ASSERT_OK(bench.live.append(id, bytes));  // grows behind the moment of the read
    finish_all(on);
    EXPECT_EQ(read.failure.code, errc::none);
    EXPECT_EQ(read.moved, 1000U);
}

TEST(ChannelBatch, WorksWithACacheOfSixteenBlocks) {
    volume_limits limits = small_limits();
    limits.cache_blocks  = 16;
    limits.transaction   = {.shadows = 8, .extents = 8, .data_blocks = 16, .objects = 2};
    single_bench             bench{{.block_bytes = 512, .blocks = 3000, .journal_blocks = 128}, limits};
    std::vector<object_id>   ids;
    std::vector<byte_vector> bytes;
    auto                     on = bench.channel_of({.depth = 8});
    std::vector<request>     asked(8);
    for (std::uint64_t i = 0; i < 96; ++i) {
        ids.push_back(bench.object());
        bytes.push_back(pattern(400 + i * 20, i));
    }
    for (std::size_t i = 0; i < ids.size(); i += 8) {
        for (std::size_t k = 0; k < 8; ++k) on.submit(asked[k] = put_of(ids[i + k], 0, bytes[i + k]));
        finish_all(on);
        for (const auto& one : asked) ASSERT_EQ(one.failure.code, errc::none) << said(one);
    }
    for (std::size_t i = 0; i < ids.size(); i += 8) {
        std::vector<byte_vector> seen(8, byte_vector(4000));
        for (std::size_t k = 0; k < 8; ++k) on.submit(asked[k] = read_of(ids[i + k], 0, seen[k]));
        finish_all(on);
        for (std::size_t k = 0; k < 8; ++k) {
            ASSERT_EQ(asked[k].failure.code, errc::none) << said(asked[k]);
            seen[k].resize(asked[k].moved);
            EXPECT_EQ(seen[k], bytes[i + k]);
        }
    }
}

TEST(ChannelBatch, AReadOnlyVolumeAnswersWhatItsJournalHolds) {
    single_bench bench;
    const auto   old_bytes = pattern(5000, 1), riding = pattern(600, 2);
    const auto   id = bench.object(old_bytes);
    ASHLAR_ASSERT_OK(bench.live.checkpoint());
    ASHLAR_ASSERT_OK(bench.live.put(id, 1024, riding));
    auto expected = old_bytes;
    model_write(expected, 1024, riding);
    static_cast<void>(bench.live.abandon());
    auto opened = store<ordered_single>::open_read_only(ordered_device{bench.device, bench.orders}, {});
    ASHLAR_ASSERT_OK(opened);
    bench.live     = std::move(opened).value();
    auto        on = bench.channel_of();
    byte_vector seen(5000);
    auto        read  = read_of(id, 0, seen);
    auto        part  = seen;
    auto        inner = read_of(id, 1100, std::span{part}.first(50));
    on.submit(read);
    on.submit(inner);
    auto    put = put_of(id, 0, part);
    request sync{.verb = request_verb::sync};
    on.submit(put);
    on.submit(sync);
    bench.record.forget();
    finish_all(on);
    EXPECT_EQ(read.failure.code, errc::none) << said(read);
    EXPECT_EQ(inner.failure.code, errc::none) << said(inner);
    EXPECT_EQ(seen, expected);
    EXPECT_EQ(std::memcmp(part.data(), expected.data() + 1100, 50), 0);
    EXPECT_EQ(put.failure.code, errc::read_only);
    EXPECT_EQ(sync.failure.code, errc::read_only);
    EXPECT_EQ(bench.record.calls().size(), 0U);
}

TEST(ChannelBatch, ARequestForWhatIsNotThereSaysSo) {
    single_bench bench;
    auto         on    = bench.channel_of();
    auto         bytes = pattern(100, 1);
    auto         read  = read_of(object_id{12'345}, 0, bytes);
    auto         put   = put_of(object_id{12'345}, 0, bytes);
    auto         empty = read_of(bench.live.root(), 0, {});
    on.submit(read);
    on.submit(put);
    on.submit(empty);
    finish_all(on);
    EXPECT_EQ(read.failure.code, errc::not_found);
    EXPECT_EQ(put.failure.code, errc::not_found);
    EXPECT_EQ(empty.failure.code, errc::none);
    EXPECT_EQ(empty.moved, 0U);
}

}  // namespace
}  // namespace ashlar::test
