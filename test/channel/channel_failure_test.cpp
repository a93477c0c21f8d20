#include "channel_fixture.hpp"

namespace ashlar::test {
namespace {

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

}  // namespace
}  // namespace ashlar::test
