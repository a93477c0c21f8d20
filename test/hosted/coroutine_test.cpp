#include <ashlar/hosted/coroutine.hpp>

#include "../channel/channel_fixture.hpp"

#if ASHLAR_HAS_COROUTINES

namespace ashlar::test {
namespace coroutine_test {

using single_bench = bench_store<ordered_single>;
using asking       = requests<ordered_single>;

/// Writes its object again and again, and reads each back.
detached writer(asking& ask, object_id id, std::uint64_t seed, int rounds, int& ended) {
    for (int i = 0; i < rounds; ++i) {
        const auto bytes = pattern(512, seed * 100 + static_cast<std::uint64_t>(i));
        const auto put   = co_await ask.put(id, 0, bytes);
        EXPECT_TRUE(put) << said(put);
        EXPECT_EQ(put.value(), bytes.size());
        byte_vector seen(2000);
        const auto  read = co_await ask.read(id, 0, seen);
        EXPECT_TRUE(read) << said(read);
        seen.resize(read.value());
        EXPECT_EQ(seen, bytes);
    }
    ++ended;
}

TEST(Coroutine, ManyShareTheBatchesOfOneChannel) {
    single_bench           bench;
    std::vector<object_id> ids;
    for (int i = 0; i < 24; ++i) ids.push_back(bench.object());
    ASHLAR_ASSERT_OK(bench.live.checkpoint());
    int ended = 0;
    {
        auto   on = bench.channel_of({.depth = 24});
        asking ask{on};
        for (std::size_t i = 0; i < ids.size(); ++i) writer(ask, ids[i], i, 3, ended);
        EXPECT_EQ(ended, 0);
        bench.record.forget();
        ASHLAR_ASSERT_OK(ask.run());
    }
    EXPECT_EQ(ended, 24);
    EXPECT_EQ(bench.count(transfer_kind::sync), 3U) << "a batch for each round";
    bench.crash();
    for (std::size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(bench.bytes_of_object(ids[i]), pattern(512, i * 100 + 2));
}

TEST(Coroutine, MoreThanTheChannelIsDeepTakeTheirTurns) {
    single_bench           bench;
    std::vector<object_id> ids;
    for (int i = 0; i < 20; ++i) ids.push_back(bench.object());
    for (const std::size_t depth : {1U, 3U}) {
        int    ended = 0;
        auto   on    = bench.channel_of({.depth = depth});
        asking ask{on};
        for (std::size_t i = 0; i < ids.size(); ++i) writer(ask, ids[i], i, 2, ended);
        EXPECT_EQ(on.in_flight(), depth);
        ASHLAR_ASSERT_OK(ask.run());
        EXPECT_EQ(ended, 20);
    }
}

detached failing(asking& ask, object_id good, bool& ended) {
    byte_vector bytes = pattern(100, 1);
    const auto  none  = co_await ask.read(object_id{4711}, 0, bytes);
    EXPECT_EQ(code_of(none), errc::not_found);
    const auto wrote = co_await ask.write(good, 50, bytes);
    EXPECT_TRUE(wrote) << said(wrote);
    const auto synced = co_await ask.sync();
    EXPECT_TRUE(synced) << said(synced);
    ended = true;
}

TEST(Coroutine, AFailureIsAnAnswer) {
    single_bench bench;
    const auto   id    = bench.object();
    bool         ended = false;
    {
        auto   on = bench.channel_of();
        asking ask{on};
        failing(ask, id, ended);
        ASHLAR_ASSERT_OK(ask.run());
        ASHLAR_ASSERT_OK(ask.run());  // nobody awaits anything
    }
    EXPECT_TRUE(ended);
    bench.crash();
    EXPECT_EQ(bench.bytes_of_object(id).size(), 150U);
}

}  // namespace coroutine_test
}  // namespace ashlar::test

#endif
