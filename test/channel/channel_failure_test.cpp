#include "channel_fixture.hpp"

namespace ashlar::test {
namespace channel_failure_test {

using single_bench = bench_store<ordered_single>;

/// One data write, one journal write, one sync: each of them may fail.
struct broken_commit {
    transfer_kind kind;
    std::uint64_t number;
};

class ChannelFailure : public testing::TestWithParam<broken_commit> {};

TEST_P(ChannelFailure, EndsWritingAndEachPutOfTheBatchSaysSo) {
    for (const auto leaves : {failed_write::left_nothing, failed_write::wrote_all}) {
        single_bench             bench;
        std::vector<object_id>   ids;
        std::vector<byte_vector> old_bytes, new_bytes;
        for (std::uint64_t i = 0; i < 6; ++i) {
            old_bytes.push_back(pattern(2000, i));
            new_bytes.push_back(pattern(2000, 100 + i));
            ids.push_back(bench.object(old_bytes.back()));
        }
        ASHLAR_ASSERT_OK(bench.live.checkpoint());
        {
            auto                 on = bench.channel_of();
            std::vector<request> asked(6);
            bench.device.failing_writes(leaves);
            bench.device.fail(GetParam().kind, GetParam().number);
            for (std::size_t i = 0; i < 5; ++i) on.submit(asked[i] = put_of(ids[i], 0, new_bytes[i]));
            on.submit(asked[5] = {.verb = request_verb::sync});
            ASSERT_EQ(finish_all(on), 6U);
            for (const auto& one : asked) EXPECT_EQ(one.failure.code, errc::read_only) << said(one);
            EXPECT_TRUE(bench.live.read_only());
            EXPECT_EQ(bench.live.info().failure.code, errc::device_failed);

            // Nothing is written any more, also behind a device that is well again (R15).
            bench.device.heal();
            bench.record.forget();
            run_one(on, asked[0]);
            EXPECT_EQ(asked[0].failure.code, errc::read_only);
            EXPECT_EQ(code_of(bench.live.sync()), errc::read_only);
            EXPECT_EQ(bench.record.calls().size(), 0U);

            // Reads go on, from memory where the device does not have it.
            for (std::size_t i = 0; i < 6; ++i) {
                byte_vector seen(2000);
                auto        read = read_of(ids[i], 0, seen);
                run_one(on, read);
                EXPECT_EQ(read.failure.code, errc::none) << said(read);
                EXPECT_EQ(seen, i < 5 ? new_bytes[i] : old_bytes[i]);
            }
        }
        // Opening decides: all of the batch or nothing.
        bench.crash();
        const bool took = bench.bytes_of_object(ids[0]) == new_bytes[0];
        for (std::size_t i = 0; i < 6; ++i)
            EXPECT_EQ(bench.bytes_of_object(ids[i]), took && i < 5 ? new_bytes[i] : old_bytes[i]);
        EXPECT_EQ(findings_of(bench.live), "");
    }
}

INSTANTIATE_TEST_SUITE_P(EachTransfer, ChannelFailure,
                         testing::Values(broken_commit{transfer_kind::write, 1}, broken_commit{transfer_kind::write, 2},
                                         broken_commit{transfer_kind::sync, 1}),
                         [](const auto& made) {
                             return std::string{made.param.kind == transfer_kind::sync ? "Sync"
                                                : made.param.number == 1               ? "DataWrite"
                                                                                       : "JournalWrite"};
                         });

TEST(ChannelFailures, AReadThatFailsSaysSoAndLeavesTheOthersAlone) {
    single_bench bench;
    const auto   bytes = pattern(20'000, 1);
    const auto   good = bench.object(bytes), bad = bench.object(bytes);
    ASHLAR_ASSERT_OK(bench.live.checkpoint());
    const auto where = bench.live.next_extent(bad, {}).value()->physical.first + block_count{7};
    bench.device.flip_bit(where, 77);
    auto        on = bench.channel_of();
    byte_vector first(bytes.size()), second(bytes.size()), third(512);
    auto        read_good = read_of(good, 0, first), read_bad = read_of(bad, 0, second);
    auto        read_beside = read_of(bad, 512, third);
    on.submit(read_bad);
    on.submit(read_good);
    on.submit(read_beside);
    finish_all(on);
    EXPECT_EQ(read_bad.failure.code, errc::checksum_differs);
    EXPECT_EQ(read_bad.failure.where, where);
    EXPECT_EQ(read_bad.moved, 0U);
    EXPECT_EQ(read_good.failure.code, errc::none);
    EXPECT_EQ(first, bytes);
    EXPECT_EQ(read_beside.failure.code, errc::none);

    bench.device.heal();
    bench.device.fail(transfer_kind::read, 1);
    on.submit(read_bad);
    finish_all(on);
    EXPECT_EQ(read_bad.failure.code, errc::device_failed);
    run_one(on, read_bad);
    EXPECT_EQ(read_bad.failure.code, errc::none) << "the next time it reads";
    EXPECT_EQ(second, bytes);
    EXPECT_FALSE(bench.live.read_only());
    EXPECT_EQ(bench.live.volume().space.readers(), 0U);
}

TEST(ChannelFailures, ABrokenQueueLosesItsBatchAndTheStoreGoesOnReading) {
    for (const std::size_t breaks_at : {1U, 2U, 3U}) {
        single_bench bench;
        const auto   bytes = pattern(30'000, 1);
        const auto   id = bench.object(bytes), target = bench.object();
        ASHLAR_ASSERT_OK(bench.live.checkpoint());
        byte_vector       seen(bytes.size());
        auto              data   = pattern(3000, 2);
        auto              read   = read_of(id, 100, seen);
        auto              put    = put_of(target, 0, data);
        auto              late   = put_of(target, 0, data);
        const std::size_t queues = bench.orders.open;  // the store may have its own
        {
            auto                    on = bench.channel_of();
            std::array<request*, 4> finished;
            bench.orders.reap      = 1;
            bench.orders.breaks_at = breaks_at;
            on.submit(put);
            on.submit(read);
            auto done = on.complete(finished, 1);
            for (int i = 0; i < 10 && done.has_value(); ++i) done = on.complete(finished, on.in_flight() != 0 ? 1 : 0);
            ASSERT_FALSE(done.has_value());
            EXPECT_EQ(done.error().code, errc::device_failed);
            EXPECT_TRUE(bench.live.read_only());
            EXPECT_EQ(code_of(bench.live.sync()), errc::read_only) << "the turn was given back";
            on.submit(late);
            ASHLAR_EXPECT_OK(on.complete(finished, 1));  // what needs no transfer still comes back
            EXPECT_EQ(late.failure.code, errc::read_only);
        }
        EXPECT_EQ(bench.orders.open, queues);
        EXPECT_EQ(bench.live.volume().space.readers(), 0U);
        EXPECT_NE(put.failure.code, errc::none);
        bench.orders = {};
        EXPECT_EQ(bench.bytes_of_object(id), bytes);
        EXPECT_EQ(code_of(bench.live.close()), errc::read_only);
        bench.open();
        EXPECT_EQ(bench.bytes_of_object(id), bytes);
        EXPECT_EQ(findings_of(bench.live), "");
    }
}

TEST(ChannelFailures, APutThatFindsNoSpaceSaysSoAndTheOthersAreDurable) {
    single_bench  bench{{.block_bytes = 512, .blocks = 1200, .journal_blocks = 96}};
    const auto    id    = bench.object();
    auto          small = pattern(700, 1), large = pattern(60'000, 2);
    std::uint64_t at = 0;
    while (bench.live.write(id, at, large).has_value()) at += large.size();
    ASHLAR_ASSERT_OK(bench.live.sync());
    auto on  = bench.channel_of();
    auto one = put_of(bench.live.root(), 0, small), two = put_of(id, at, large);
    on.submit(two);
    on.submit(one);
    finish_all(on);
    EXPECT_EQ(one.failure.code, errc::none) << said(one);
    EXPECT_TRUE(two.failure.code == errc::no_space || two.failure.code == errc::reserve_only) << said(two);
    EXPECT_EQ(two.moved, 0U);
    ASHLAR_EXPECT_OK(bench.live.truncate(id, 0));
    run_one(on, two);
    EXPECT_EQ(two.failure.code, errc::none) << said(two);
}

TEST(ChannelFailures, AQueueThatBreaksUnderReadsAloneEndsNoWriting) {
    single_bench bench;
    const auto   bytes = pattern(30'000, 1);
    const auto   id    = bench.object(bytes);
    ASHLAR_ASSERT_OK(bench.live.checkpoint());
    byte_vector seen(bytes.size()), later(100);
    auto        data = pattern(700, 2);
    auto        read = read_of(id, 0, seen), another = read_of(id, 0, later);
    auto        put = put_of(id, 0, data);
    {
        auto on                = bench.channel_of();
        bench.orders.breaks_at = 1;
        on.submit(read);
        std::array<request*, 4> finished;
        EXPECT_EQ(code_of(on.complete(finished, 1)), errc::device_failed);
        EXPECT_FALSE(bench.live.read_only()) << "no batch was on its way";
        on.submit(another);
        on.submit(put);
        EXPECT_EQ(on.in_flight(), 3U);
    }
    for (const auto* one : {&read, &another, &put}) EXPECT_EQ(one->failure.code, errc::device_failed) << said(*one);
    EXPECT_EQ(bench.live.volume().space.readers(), 0U);
    bench.orders = {};
    EXPECT_TRUE(bench.bytes_of_object(id) == bytes) << "what was only submitted was not begun";
    ASHLAR_EXPECT_OK(bench.live.put(id, 0, data));
    EXPECT_EQ(findings_of(bench.live), "");
}

TEST(ChannelFailures, AReadOfManyPiecesOfWhichOneFailsSendsNoMoreOfThem) {
    single_bench bench;
    const auto   id = bench.object(), beside = bench.object();
    byte_vector  bytes(20 * 512);
    for (std::size_t i = 0; i < 20; ++i) {  // in turns, so that neither lies in one piece
        const auto part = pattern(512, i);
        std::memcpy(bytes.data() + i * 512, part.data(), part.size());
        for (const auto one : {id, beside}) ASHLAR_ASSERT_OK(bench.live.write(one, i * 512, part));
        ASHLAR_ASSERT_OK(bench.live.sync());
    }
    ASHLAR_ASSERT_OK(bench.live.checkpoint());
    for (const std::size_t depth : {1U, 4U}) {
        auto on             = bench.channel_of({.depth = depth});
        bench.orders.reap   = 1;
        std::uint64_t fails = 0;
        for (std::uint64_t nth = 1;; ++nth) {
            byte_vector seen(bytes.size());
            auto        read   = read_of(id, 0, seen);
            const auto  before = bench.device.failures();
            bench.device.fail(transfer_kind::read, nth);
            run_one(on, read);
            if (bench.device.failures() == before) {
                EXPECT_EQ(read.failure.code, errc::none) << said(read);
                EXPECT_TRUE(seen == bytes);
                break;
            }
            EXPECT_EQ(read.failure.code, errc::device_failed);
            EXPECT_EQ(read.moved, 0U);
            ++fails;
        }
        bench.device.heal();
        EXPECT_GT(fails, 5U);
        EXPECT_EQ(bench.live.volume().space.readers(), 0U);
    }
}

TEST(ChannelFailures, WhatCannotBeOpenedSaysWhy) {
    single_bench bench;
    using channels = single_bench::channels;
    EXPECT_EQ(code_of(channels::open(bench.live, {.depth = 0})), errc::invalid_argument);
    EXPECT_EQ(code_of(channels::open(bench.live, {.depth = channels::depth_max + 1})), errc::invalid_argument);
    byte_vector memory(channels::memory_bytes({.depth = 4}, {512}) / 2);
    EXPECT_EQ(code_of(channels::open(bench.live, {.depth = 4}, memory)), errc::workspace_too_small);
    EXPECT_EQ(code_of(channels::open(bench.live, {.depth = channels::depth_max + 1}, memory)), errc::invalid_argument);
}

TEST(ChannelFailures, ALongReadOfAnObjectThatChangesBetweenAllItsRoundsEndsInOneGo) {
    single_bench          bench;
    const auto            id = bench.object(), beside = bench.object();
    constexpr std::size_t pieces = 200;  // more than one round plans
    byte_vector           bytes(pieces * 512);
    for (std::size_t i = 0; i < pieces; ++i) {
        const auto part = pattern(512, i);
        std::memcpy(bytes.data() + i * 512, part.data(), part.size());
        for (const auto one : {id, beside}) ASHLAR_ASSERT_OK(bench.live.write(one, i * 512, part));
        ASHLAR_ASSERT_OK(bench.live.sync());
    }
    auto        on = bench.channel_of({.depth = 4});
    byte_vector seen(bytes.size());
    auto        read = read_of(id, 0, seen);
    on.submit(read);
    bench.orders.reap = 1;
    std::array<request*, 4> finished;
    std::uint64_t           writes = 0;
    for (; on.in_flight() != 0 && writes < 100'000; ++writes) {
        const auto part = pattern(512, 1000 + writes);
        std::memcpy(bytes.data(), part.data(), part.size());
        ASHLAR_ASSERT_OK(bench.live.write(id, 0, part));
        ASHLAR_ASSERT_OK(on.complete(finished, 0));
    }
    EXPECT_EQ(read.failure.code, errc::none) << said(read);
    EXPECT_EQ(read.moved, bytes.size());
    EXPECT_TRUE(seen == bytes) << "one moment, the last";
    EXPECT_GT(writes, 10U) << "it was begun again";
}

}  // namespace channel_failure_test
}  // namespace ashlar::test
