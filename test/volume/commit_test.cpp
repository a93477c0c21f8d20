// How transactions find room, join a batch and become durable, where something is short or contradicts itself.

#include "../store/store_fixture.hpp"

#include <ashlar/device/blocking_queue.hpp>
#include <ashlar/hosted/multi_threaded.hpp>
#include <ashlar/testing/faulty_device.hpp>
#include <ashlar/volume/batch_flight.hpp>

#include <chrono>
#include <thread>

namespace ashlar::test {
namespace commit_test {

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

// Data that rides, or does not.
// ----------------------------------------------------------------------------------------------------------------

TEST_F(Commit, DataThatFindsNoSlotToRideInIsListedInstead) {
    for (const std::size_t room : {0U, 1U}) {  // for one of two blocks
        open(small_limits());
        ASHLAR_ASSERT_OK(live_.write(live_.root(), 0, pattern(1024, room)));
        std::vector<std::uint32_t> pinned;
        const auto                 data = first_of_group(0, {512}) + block_count{1200};
        for (std::uint64_t i = 0; volume().cache.has_room_for(1); ++i) {
            const auto slot = volume().cache.get_raw(volume(), data + block_count{i});
            ASHLAR_ASSERT_OK(slot);
            volume().cache.pin(slot.value());
            pinned.push_back(slot.value());
        }
        for (std::size_t i = 0; i < room; ++i) {
            volume().cache.unpin(pinned.back());
            pinned.pop_back();
        }
        ASHLAR_EXPECT_OK(live_.sync());
        EXPECT_EQ(volume().cache.riding(), 0U) << "all of it or nothing";
        for (const auto slot : pinned) volume().cache.unpin(slot);
        expect_whole(pattern(1024, room));
        static_cast<void>(live_.close());
        live_ = test_store{};
    }
    live_ = opened_on(memory_);
}

// A batch in the hands of who has a queue.
// ----------------------------------------------------------------------------------------------------------------

/// Makes one transfer; a write may be told to fail.
error carried_out(any_device device, const transfer& t) {
    const auto size = static_cast<std::size_t>(bytes_of(t.blocks.count, {512}));
    const auto done = t.kind == transfer_kind::sync
                          ? device.sync()
                          : device.write(t.blocks, std::span<const std::byte>{t.memory, size});
    return done ? error{} : done.error();
}

TEST_F(Commit, AFlightMakesItsWritesThenItsSyncAndNothingElse) {
    open(small_limits());
    batch_flight<test_store::volume_type> flight;
    transfer                              t;
    EXPECT_FALSE(flight.next(volume(), t)) << "nothing has joined";
    ASHLAR_ASSERT_OK(live_.write(live_.root(), 0, pattern(3000, 1)));
    ASHLAR_ASSERT_OK(flight.take_off(volume()));
    EXPECT_FALSE(flight.idle());
    std::uint64_t writes = 0;
    while (flight.next(volume(), t)) {
        EXPECT_EQ(t.kind, transfer_kind::write);
        EXPECT_FALSE(flight.may_sync()) << "a sync covers what was complete before it";
        flight.ended(carried_out(any_device{memory_}, t));
        ++writes;
    }
    EXPECT_GE(writes, 2U);
    ASSERT_TRUE(flight.may_sync());
    EXPECT_FALSE(flight.landed());
    // What would change the batch, or write another, is refused meanwhile; the idle store has nothing to confirm.
    EXPECT_EQ(code_of(live_.checkpoint()), errc::busy);
    EXPECT_EQ(code_of(live_.sync()), errc::busy);
    ASHLAR_EXPECT_OK(live_.maintain());
    ASSERT_TRUE(flight.sync(t));
    EXPECT_EQ(t.kind, transfer_kind::sync);
    EXPECT_FALSE(flight.next(volume(), t));
    flight.ended(carried_out(any_device{memory_}, t));
    ASSERT_TRUE(flight.landed());
    flight.settle(volume());
    EXPECT_TRUE(flight.idle());
    ASHLAR_EXPECT_OK(live_.sync());
    expect_whole(pattern(3000, 1));
}

TEST_F(Commit, AFlightOfWhichATransferFailedEndsWriting) {
    open(small_limits());
    ASHLAR_ASSERT_OK(live_.put(live_.root(), 0, pattern(600, 1)));
    batch_flight<test_store::volume_type> flight;
    transfer                              first, t;
    ASHLAR_ASSERT_OK(live_.write(live_.root(), 0, pattern(3000, 2)));
    ASHLAR_ASSERT_OK(flight.take_off(volume()));
    ASSERT_TRUE(flight.next(volume(), first));
    ASSERT_TRUE(flight.next(volume(), t));
    flight.ended({errc::device_failed, first.blocks.first});
    EXPECT_FALSE(flight.next(volume(), t)) << "no more is begun";
    EXPECT_FALSE(flight.may_sync());
    EXPECT_FALSE(flight.landed()) << "one is on its way";
    flight.ended({errc::device_failed, block_index{7}});
    EXPECT_TRUE(flight.may_sync());
    EXPECT_FALSE(flight.sync(t)) << "there is nothing to be acknowledged";
    ASSERT_TRUE(flight.landed());
    flight.settle(volume());
    EXPECT_EQ(live_.info().failure, (error{errc::device_failed, first.blocks.first})) << "the first one counts";
    expect_whole(pattern(600, 1));
}

TEST_F(Commit, AFlightThatContradictsTheVolumeDoesNotTakeOff) {
    open(small_limits());
    ASHLAR_ASSERT_OK(live_.put(live_.root(), 0, pattern(600, 1)));
    extent run{};
    for (const auto& free : live_.free_runs()) run = {free.first, block_count{3}};
    ASHLAR_ASSERT_OK(run_transaction(volume(), [&](std::uint32_t tx) noexcept -> result<> {
        volume().transactions[tx].given.push({.blocks = run});
        return success();
    }));
    batch_flight<test_store::volume_type> flight;
    EXPECT_EQ(flight.take_off(volume()).error(), (error{errc::damaged, run.first}));
    EXPECT_TRUE(flight.idle());
    EXPECT_TRUE(live_.read_only());
    expect_whole(pattern(600, 1));
}

// Blocks that a transaction makes.
// ----------------------------------------------------------------------------------------------------------------

TEST_F(Commit, ABlockThatIsNotBornIsKnownToItsTransactionAlone) {
    auto limits                = small_limits();
    limits.transaction.shadows = 8;
    open(limits);
    const block_identity who{tag::node, 1, 2}, other{tag::node, 1, 3};
    const block_index    first{1000};
    ASHLAR_ASSERT_OK(admit(volume(), 8));
    const auto mine = begin_transaction(volume()).value(), theirs = begin_transaction(volume()).value();
    ASHLAR_ASSERT_OK(create_block(volume(), mine, first, who));
    ASHLAR_EXPECT_OK(view_block(volume(), mine, first, who));
    EXPECT_EQ(view_block(volume(), mine, first, other).error(), (error{errc::checksum_differs, first}));
    EXPECT_EQ(edit_block(volume(), mine, first, other).error(), (error{errc::checksum_differs, first}));
    EXPECT_EQ(view_block(volume(), theirs, first, who).error(), (error{errc::checksum_differs, first}));
    EXPECT_EQ(view_block(volume(), no_transaction, first, who).error(), (error{errc::checksum_differs, first}));
    EXPECT_EQ(create_block(volume(), theirs, first, who).error(), (error{errc::damaged, first})) << "it has an owner";
    for (std::uint64_t i = 1; i < 8; ++i)
        ASHLAR_ASSERT_OK(create_block(volume(), mine, first + block_count{i}, {tag::node, 1, 2 + i}));
    EXPECT_EQ(create_block(volume(), mine, first + block_count{8}, who).error().code, errc::too_large);
    const auto record = volume().regions.object_block(0, 0);
    EXPECT_EQ(edit_block(volume(), theirs, record.home, record.identity).error().code, errc::too_large);
    abandon(volume(), volume().transactions[mine]);
    EXPECT_EQ(volume().cache.find(first), no_slot) << "it never was";
    ASHLAR_EXPECT_OK(edit_block(volume(), theirs, record.home, record.identity));
    abandon(volume(), volume().transactions[theirs]);
    EXPECT_EQ(findings_of(live_), "");
}

// Devices with queues, and without the reading back.
// ----------------------------------------------------------------------------------------------------------------

/// Memory that opens queues, unless it is told not to.
class queueing_memory {
  public:
    using queue = blocking_queue<memory_device>;

    queueing_memory(memory_device& inner, bool opens) noexcept : inner_{&inner}, opens_{opens} {}

    [[nodiscard]] device_geometry geometry() const noexcept { return inner_->geometry(); }
    [[nodiscard]] result<>        read(extent e, std::span<std::byte> in) noexcept { return inner_->read(e, in); }
    [[nodiscard]] result<> write(extent e, std::span<const std::byte> out) noexcept { return inner_->write(e, out); }
    [[nodiscard]] result<> sync() noexcept { return inner_->sync(); }
    [[nodiscard]] result<> trim(extent e) noexcept { return inner_->trim(e); }
    [[nodiscard]] result<queue> open_queue(queue_options options) noexcept {
        if (!opens_) return errc::device_failed;
        return queue{*inner_, options.depth};
    }

  private:
    memory_device* inner_;
    bool           opens_;
};
static_assert(QueuedDevice<queueing_memory>);

struct queued : test_blueprint<> {
    using device = queueing_memory;
};

TEST(CommitHome, ADeviceThatHasNoQueueToGiveIsWrittenWithoutOne) {
    for (const bool opens : {false, true}) {
        for (const bool verified : {false, true}) {
            const volume_shape shape{};
            auto               memory = make_memory(shape);
            format_on(memory, shape);
            auto limits        = small_limits();
            limits.verify_home = verified;
            auto opened        = store<queued>::open(queueing_memory{memory, opens}, with<store<queued>>(limits));
            ASHLAR_ASSERT_OK(opened);
            auto& live = opened.value();
            for (std::uint64_t i = 0; i < 30; ++i) ASHLAR_ASSERT_OK(live.put(live.root(), i * 700, pattern(700, i)));
            ASHLAR_ASSERT_OK(live.checkpoint());
            EXPECT_EQ(live.volume().home_queue.has_value(), opens);
            static_cast<void>(live.abandon());
            auto again = opened_on(memory);
            EXPECT_TRUE(again.recovered().was_clean);
            EXPECT_EQ(again.size(again.root()).value(), 30 * 700U);
            EXPECT_EQ(findings_of(again), "");
        }
    }
}

}  // namespace commit_test
}  // namespace ashlar::test
