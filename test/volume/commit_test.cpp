// How transactions find room, join a batch and become durable, where something is short or contradicts itself.

#include "../store/store_fixture.hpp"

#include <ashlar/hosted/multi_threaded.hpp>
#include <ashlar/testing/faulty_device.hpp>

#include <chrono>
#include <thread>

namespace ashlar::test {
namespace {

struct threaded : test_blueprint<> {
    using threading = multi_threaded;
};
using threaded_store = store<threaded>;

template <class Store>
class CommitOn : public testing::Test {
  protected:
    explicit CommitOn(volume_shape shape = {}) : shape_{shape}, memory_{make_memory(shape)}, device_{memory_} {
        format_on<Store>(memory_, shape_);
    }
    ~CommitOn() override { static_cast<void>(live_.abandon()); }

    void  open(const volume_limits& limits) { live_ = opened_on<Store>(device_, limits); }
    auto& volume() { return live_.volume(); }

    void expect_whole(const byte_vector& root) {
        device_.heal();
        static_cast<void>(live_.abandon());
        live_ = opened_on<Store>(memory_);
        byte_vector bytes(root.size());
        ASHLAR_ASSERT_OK(live_.read(live_.root(), 0, std::span<std::byte>{bytes}));
        EXPECT_TRUE(bytes == root);
        EXPECT_EQ(findings_of(live_), "");
    }

    volume_shape                 shape_;
    memory_device                memory_;
    faulty_device<memory_device> device_;
    Store                        live_{};
};

class Commit : public CommitOn<test_store> {};

class CommitToALongRing : public CommitOn<test_store> {
  protected:
    CommitToALongRing() : CommitOn{{.blocks = 3000, .journal_blocks = 900}} {}

    /// Writes one block after the other, so many all in all; each rides in its own batch. Answers how many before a
    /// checkpoint.
    std::uint64_t puts_until_checkpoint(std::uint64_t blocks) {
        const auto before = live_.metrics().checkpoints;
        for (std::uint64_t i = 0; i < 300; ++i) {
            if (live_.metrics().checkpoints != before) return i;
            ASHLAR_EXPECT_OK(live_.put(live_.root(), (i % blocks) * 1024, pattern(512, i)));
        }
        return 0;
    }
};

// Room.
// ----------------------------------------------------------------------------------------------------------------

TEST_F(CommitToALongRing, ACheckpointComesBeforeDataThatRidesFillsTheCache) {
    auto limits         = small_limits();
    limits.cache_blocks = 160;
    open(limits);
    const auto puts = puts_until_checkpoint(200);
    EXPECT_GT(puts, 60U);
    EXPECT_LE(puts, 121U) << "a quarter of the cache is left for metadata";
    EXPECT_EQ(findings_of(live_), "");
}

TEST_F(CommitToALongRing, ACheckpointComesBeforeTheListOfWhatWaitsToBeFreeIsFull) {
    auto limits          = small_limits();
    limits.cache_blocks  = 600;
    limits.space.retired = 2 * limits.transaction.extents;
    open(limits);
    const auto puts = puts_until_checkpoint(1);  // what it frees has ridden, so only a checkpoint ends its waiting
    EXPECT_GT(puts, 20U);
    EXPECT_LT(puts, 2 * limits.transaction.extents + 10);
    EXPECT_EQ(findings_of(live_), "");
}

TEST_F(Commit, WhatAnOpenTransactionHoldsIsNotThereForOthers) {
    auto limits                = small_limits();
    limits.cache_blocks        = 32;
    limits.transaction.shadows = 24;
    limits.transaction.objects = 100;
    limits.transaction.extents = 120;
    limits.space.retired       = 240;
    limits.unsynced_runs       = 120;
    open(limits);
    std::vector<object_id> ids;
    for (int i = 0; i < 100; ++i) {
        const auto made = live_.create();
        ASHLAR_ASSERT_OK(made);
        ids.push_back(made.value());
    }
    auto held = live_.begin();
    ASHLAR_ASSERT_OK(held);
    std::uint64_t refused = 0;
    for (std::size_t i = 0; i < ids.size(); i += 4) {  // four records lie in a block
        if (!held.value().write(ids[i], 0, pattern(100, i))) break;
        const auto other = live_.write(ids.back(), 0, pattern(100, i));
        if (!other) {
            EXPECT_EQ(other.error().code, errc::too_large) << said(other);
            ++refused;
        }
    }
    EXPECT_GT(refused, 0U) << "nobody waits for what only the caller can end";
    static_cast<void>(held.value().abort());
    ASHLAR_EXPECT_OK(live_.write(ids.back(), 0, pattern(100, 1)));
    EXPECT_EQ(findings_of(live_), "");
}

class CommitOfThreads : public CommitOn<threaded_store> {};

TEST_F(CommitOfThreads, AWriterWaitsForReadersThatKeepItsRoom) {
    auto limits          = small_limits();
    limits.space.retired = 2 * limits.transaction.extents;
    open(limits);
    for (std::uint64_t i = 0; i < 100; ++i) ASHLAR_ASSERT_OK(live_.write(live_.root(), i * 1024, pattern(512, i)));
    ASHLAR_ASSERT_OK(live_.checkpoint());
    std::uint32_t ticket = 0;
    {
        const entered guard{volume()};
        ticket = volume().space.enter_reader();  // as a read does while it transfers
    }
    std::atomic<std::uint64_t> written{0};
    std::thread                writer{[&] {
        for (std::uint64_t i = 0; i < 100; ++i) {
            // In an order in which no two neighbours are freed together: each takes a place in the list.
            ASHLAR_EXPECT_OK(live_.write(live_.root(), i * 37 % 100 * 1024, pattern(512, i + 7)));
            written = i + 1;
        }
    }};
    // Nothing that was freed may be used again while the reader is there, so the writer stops on its way.
    for (std::uint64_t seen = 0, still = 0; still < 20;) {
        std::this_thread::sleep_for(std::chrono::milliseconds{2});
        still = written == seen && seen != 0 ? still + 1 : 0;
        seen  = written;
    }
    EXPECT_LT(written, 100U);
    {
        const entered guard{volume()};
        volume().space.leave_reader(ticket);
        volume().lock.wake();
    }
    writer.join();
    EXPECT_EQ(written, 100U);
    EXPECT_EQ(findings_of(live_), "");
}

// Joining.
// ----------------------------------------------------------------------------------------------------------------

TEST_F(Commit, ATransactionThatIsOpenWhenWritingEndsIsNotCommitted) {
    open(small_limits());
    ASHLAR_ASSERT_OK(live_.put(live_.root(), 0, pattern(600, 1)));
    const auto other = live_.create();
    ASHLAR_ASSERT_OK(other);
    auto held = live_.begin();
    ASHLAR_ASSERT_OK(held);
    ASHLAR_ASSERT_OK(held.value().write(live_.root(), 0, pattern(600, 2)));
    device_.fail(transfer_kind::sync, 1);
    EXPECT_EQ(code_of(live_.sync()), errc::device_failed);
    EXPECT_EQ(code_of(held.value().commit()), errc::read_only);
    expect_whole(pattern(600, 1));
}

TEST_F(Commit, AFullListOfDataIsWrittenBeforeMoreJoins) {
    auto limits          = small_limits();
    limits.unsynced_runs = limits.transaction.extents;
    limits.staged_bytes  = 0;
    open(limits);
    // Blocks of which every second is in use, so that no two that are taken are neighbours.
    const auto comb = live_.create();
    ASHLAR_ASSERT_OK(comb);
    byte_vector expected;
    for (std::uint64_t i = 0; i < 60; ++i) {
        ASHLAR_ASSERT_OK(live_.write(live_.root(), i * 512, pattern(512, i)));
        ASHLAR_ASSERT_OK(live_.reserve(comb.value(), i * 512, 512));
    }
    ASHLAR_ASSERT_OK(live_.checkpoint());
    const auto  batches = live_.info().last;
    std::size_t most    = 0;
    for (std::uint64_t i = 0; i < 60; ++i) {
        ASHLAR_ASSERT_OK(live_.write(comb.value(), i * 512, pattern(512, i + 90)));
        most = std::max(most, volume().unsynced.size());
    }
    EXPECT_EQ(most, limits.unsynced_runs) << "the list was full";
    EXPECT_GT(live_.info().last, batches) << "a batch was written to make room";
    for (std::uint64_t i = 0; i < 60; ++i) {
        const auto one = pattern(512, i);
        expected.insert(expected.end(), one.begin(), one.end());
    }
    expect_whole(expected);
}

// Small writes that wait.
// ----------------------------------------------------------------------------------------------------------------

TEST_F(Commit, EachWriteOfWhatWaitedMayFailWhereNoMoreMayWait) {
    auto limits         = small_limits();
    limits.staged_bytes = 4096;
    std::uint64_t runs  = 0;
    open(limits);
    ASHLAR_ASSERT_OK(live_.put(live_.root(), 0, pattern(10, 1)));
    ASHLAR_ASSERT_OK(live_.close());
    const byte_vector before(memory_.bytes().begin(), memory_.bytes().end());
    for (std::uint64_t nth = 1;; ++nth) {
        std::memcpy(memory_.bytes().data(), before.data(), before.size());
        device_.heal();
        open(limits);
        device_.fail(transfer_kind::write, nth);
        const auto  met   = device_.failures();
        byte_vector meant = pattern(10, 1);
        meant.resize(30 * 900);
        std::uint64_t failed = 0;
        for (std::uint64_t i = 0; i < 30; ++i) {
            const auto bytes = pattern(700, nth + i);
            const auto done  = live_.write(live_.root(), i * 900, bytes);
            if (done) {
                EXPECT_FALSE(live_.read_only());
                std::copy(bytes.begin(), bytes.end(), meant.begin() + static_cast<std::ptrdiff_t>(i * 900));
            } else {
                EXPECT_EQ(done.error().code, failed++ == 0 ? errc::device_failed : errc::read_only);
            }
        }
        if (device_.failures() == met) break;
        ++runs;
        EXPECT_TRUE(failed == 0 || live_.read_only());
        byte_vector seen(static_cast<std::size_t>(live_.size(live_.root()).value()));
        ASHLAR_ASSERT_OK(live_.read(live_.root(), 0, std::span<std::byte>{seen}));
        EXPECT_TRUE(std::equal(seen.begin(), seen.end(), meant.begin())) << "what waits is read from memory";
        expect_whole(pattern(10, 1));
    }
    EXPECT_GT(runs, 3U);
}

// Contradictions.
// ----------------------------------------------------------------------------------------------------------------

TEST_F(Commit, ATransactionThatGivesBackWhatIsFreeEndsWriting) {
    open(small_limits());
    ASHLAR_ASSERT_OK(live_.put(live_.root(), 0, pattern(600, 1)));
    extent run{};
    for (const auto& free : live_.free_runs()) run = {free.first, block_count{3}};
    const auto free = volume().space.totals().free;
    ASHLAR_ASSERT_OK(run_transaction(volume(), [&](std::uint32_t tx) noexcept -> result<> {
        volume().transactions[tx].given.push({.blocks = run});
        volume().transactions[tx].given.push({.blocks = run});
        return success();
    }));
    EXPECT_EQ(volume().space.totals().free, free) << "nothing came free that is free already";
    EXPECT_EQ(live_.sync().error(), (error{errc::damaged, run.first}));
    EXPECT_TRUE(live_.read_only());
    EXPECT_EQ(live_.info().failure, (error{errc::damaged, run.first}));
    expect_whole(pattern(600, 1));
}

TEST_F(Commit, ABitmapThatContradictsItsRecordIsNotChanged) {
    open(small_limits());
    ASHLAR_ASSERT_OK(live_.put(live_.root(), 0, pattern(3000, 1)));
    const auto  bitmap = volume().regions.bitmap(0);
    const auto  blocks = volume().geometry.group_blocks(0);
    block_index tail{};
    for (const auto& free : live_.free_runs()) tail = free.first;  // free up to the group's end
    ASHLAR_ASSERT_OK(live_.close());
    const byte_vector before(memory_.bytes().begin(), memory_.bytes().end());
    const auto        first = static_cast<std::uint32_t>(tail.value);
    struct lie {
        const char*   what;
        std::uint32_t taken, given;  // bits that change
    };
    const lie lies[] = {{"one block fewer is free", first + 100, 0},
                        {"a block at the front is free instead", first, 1},
                        {"the same number in another place", first + 200, first - 2},
                        {"its tail", blocks - 1, first - 1}};
    for (const auto& one : lies) {
        std::memcpy(memory_.bytes().data(), before.data(), before.size());
        const auto block = memory_.bytes().subspan(static_cast<std::size_t>(byte_offset(bitmap.home, {512})), 512);
        const auto set   = [&](std::uint32_t bit, bool taken) {
            const auto touched = bytes_of_run({bit, 1});
            write_run(block.subspan(touched.offset, touched.length), {bit, 1}, taken);
        };
        set(one.taken, true);
        if (one.given != 0) set(one.given, false);
        seal_block(block, bitmap.identity.tag, {}, identity_seed(shape_.format().volume, bitmap.identity));
        open(small_limits());
        const auto done = live_.write(live_.root(), 5000, pattern(5000, 2));
        ASSERT_TRUE(done.has_error()) << one.what;
        EXPECT_EQ(done.error(), (error{errc::damaged, bitmap.home})) << one.what << ": " << said(done);
        EXPECT_EQ(live_.size(live_.root()).value(), 3000U) << "nothing happened";
        static_cast<void>(live_.abandon());
    }
    std::memcpy(memory_.bytes().data(), before.data(), before.size());
    open(small_limits());
    ASHLAR_EXPECT_OK(live_.write(live_.root(), 5000, pattern(5000, 2)));
    EXPECT_EQ(findings_of(live_), "");
}

}  // namespace
}  // namespace ashlar::test
