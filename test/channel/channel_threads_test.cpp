#include "channel_fixture.hpp"

#include <atomic>
#include <thread>

namespace ashlar::test {
namespace channel_threads_test {

using multi_bench = bench_store<ordered_multi>;

TEST(ChannelThreads, TwoChannelsInTwoThreadsAndBlockingCallsShareTheStore) {
    multi_bench            bench{{.block_bytes = 512, .blocks = 6000, .journal_blocks = 256}};
    std::vector<object_id> ids;
    for (int i = 0; i < 24; ++i) ids.push_back(bench.object());
    ASHLAR_ASSERT_OK(bench.live.sync());
    const std::uint64_t      rounds = scaled(30);
    std::vector<byte_vector> last(ids.size());
    const auto               through_channel = [&](std::size_t first) {
        auto                     on = bench.channel_of({.depth = 16});
        std::vector<byte_vector> memory(8), seen(8, byte_vector(3000));
        std::vector<request>     puts(8), reads(8);
        for (std::uint64_t round = 0; round < rounds; ++round) {
            for (std::size_t i = 0; i < 8; ++i) {
                memory[i] = pattern(200 + 300 * i, round * 100 + first + i);
                on.submit(puts[i] = put_of(ids[first + i], 0, memory[i]));
                on.submit(reads[i] = read_of(ids[(first + 8 + i) % 16], 0, seen[i]));
            }
            finish_all(on);
            for (std::size_t i = 0; i < 8; ++i) {
                ASSERT_EQ(puts[i].failure.code, errc::none) << said(puts[i]);
                ASSERT_EQ(reads[i].failure.code, errc::none) << said(reads[i]);
                last[first + i] = memory[i];
            }
        }
    };
    std::thread one{through_channel, 0}, two{through_channel, 8};
    std::thread three{[&] {
        for (std::uint64_t round = 0; round < rounds; ++round) {
            for (std::size_t i = 16; i < 24; ++i) {
                last[i] = pattern(900, round * 100 + i);
                ASHLAR_EXPECT_OK(bench.live.put(ids[i], 0, last[i]));
            }
        }
    }};
    one.join();
    two.join();
    three.join();
    EXPECT_EQ(findings_of(bench.live), "");
    bench.crash();
    for (std::size_t i = 0; i < ids.size(); ++i) {
        auto found = bench.bytes_of_object(ids[i]);
        found.resize(last[i].size());  // an earlier round may have made it longer
        EXPECT_EQ(found, last[i]);
    }
    EXPECT_EQ(findings_of(bench.live), "");
}

/// A reader through a channel whose object is overwritten all the time, by a writer that waits for the channel's own
/// batches: neither may wait for the other for good.
TEST(ChannelThreads, ALongReadOfAnObjectThatAlwaysChangesEndsAndShowsOneMoment) {
    volume_limits limits;
    limits.staged_bytes = 8192;  // the writer often waits for the batch in flight
    multi_bench       bench{{.block_bytes = 512, .blocks = 6000, .journal_blocks = 256}, limits};
    const byte_vector ones(120'000, std::byte{1});
    const auto        id = bench.object(ones), other = bench.object();
    std::atomic<bool> stop{false};
    std::thread       writer{[&] {
        for (std::uint64_t i = 0; !stop.load(); ++i) {
            const byte_vector bytes(600, static_cast<std::byte>(2 + i / 200));
            ASHLAR_EXPECT_OK(bench.live.write(id, (i % 200) * 600, bytes));
        }
    }};
    {
        auto        on = bench.channel_of();
        byte_vector seen(120'000);
        auto        data = pattern(2000, 3);
        for (std::uint64_t i = 0; i < scaled(40); ++i) {
            auto read = read_of(id, 0, seen);
            auto put  = put_of(other, 0, data);
            on.submit(read);
            on.submit(put);
            finish_all(on);
            ASSERT_EQ(put.failure.code, errc::none) << said(put);
            ASSERT_EQ(read.failure.code, errc::none) << said(read);
            ASSERT_EQ(read.moved, seen.size());
            // Up to some piece the writer's round, behind it the round before.
            const auto now = std::to_integer<std::uint8_t>(seen[0]);
            const auto end = std::find_if(seen.begin(), seen.end(), [&](std::byte b) { return b != std::byte{now}; });
            ASSERT_EQ((end - seen.begin()) % 600, 0);
            ASSERT_TRUE(std::all_of(end, seen.end(),
                                    [&](std::byte b) { return b == std::byte{static_cast<std::uint8_t>(now - 1U)}; }));
        }
    }
    stop = true;
    writer.join();
    EXPECT_EQ(findings_of(bench.live), "");
}

TEST(ChannelThreads, ABlockingCallOfAnotherThreadWaitsForTheBatchInFlight) {
    multi_bench bench;
    const auto  id = bench.object(), other = bench.object();
    ASHLAR_ASSERT_OK(bench.live.sync());
    auto                    on    = bench.channel_of();
    auto                    bytes = pattern(3000, 1), more = pattern(600, 2);
    auto                    put = put_of(id, 0, bytes);
    std::array<request*, 4> finished;
    bench.orders.reap = 1;
    on.submit(put);
    ASSERT_EQ(on.complete(finished, 0).value(), 0U);
    std::atomic<bool> came{false};
    std::thread       blocking{[&] {
        ASHLAR_EXPECT_OK(bench.live.put(other, 0, more));
        came = true;
    }};
    std::this_thread::sleep_for(std::chrono::milliseconds{20});
    EXPECT_FALSE(came.load());
    finish_all(on);
    blocking.join();
    EXPECT_EQ(put.failure.code, errc::none);
    bench.crash();
    EXPECT_EQ(bench.bytes_of_object(id), bytes);
    EXPECT_EQ(bench.bytes_of_object(other), more);
}

TEST(ChannelThreads, AFullVolumeIsNotWaitedForByTheReaderThatKeepsItsSpace) {
    multi_bench bench{{.block_bytes = 512, .blocks = 1200, .journal_blocks = 96}};
    const auto  bytes = pattern(60'000, 1);
    const auto  id = bench.object(bytes), filler = bench.object();
    ASHLAR_ASSERT_OK(bench.live.checkpoint());
    auto                    on = bench.channel_of();
    byte_vector             seen(bytes.size()), small(512);
    auto                    read = read_of(id, 0, seen), other = read_of(id, 0, small);
    std::array<request*, 4> finished;
    bench.orders.reap         = 1;
    bench.orders.newest_first = true;
    on.submit(read);
    on.submit(other);
    ASSERT_EQ(on.complete(finished, 1).value(), 1U);
    ASSERT_EQ(finished[0], &other);
    ASHLAR_ASSERT_OK(bench.live.erase(id));
    // Its blocks wait for the read, which waits for this thread: the write must come back, without them.
    std::uint64_t at    = 0;
    result<>      wrote = success();
    for (; wrote.has_value(); at += 5000) wrote = bench.live.write(filler, at, pattern(5000, at));
    EXPECT_TRUE(wrote.error().code == errc::no_space || wrote.error().code == errc::reserve_only) << test::said(wrote);
    finish_all(on);
    EXPECT_EQ(read.failure.code, errc::none) << said(read);
    EXPECT_EQ(seen, bytes);
    ASHLAR_EXPECT_OK(bench.live.write(filler, at, pattern(5000, at)));
}

}  // namespace channel_threads_test
}  // namespace ashlar::test
