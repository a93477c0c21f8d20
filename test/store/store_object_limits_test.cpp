// What a store answers where an operation meets a limit, a lock or a lie: the code, and that nothing happened.

#include "store_fixture.hpp"

#include <ashlar/hosted/multi_threaded.hpp>

#include <functional>
#include <thread>

namespace ashlar::test {
namespace store_object_limits_test {

volume_limits limits_of(std::size_t extents) {
    auto limits                = small_limits();
    limits.transaction.extents = extents;
    limits.staged_bytes        = 0;
    return limits;
}

/// An object whose blocks are all apart, in `count` extents.
object_id scattered(test_store& live, std::uint64_t count) {
    const auto id = live.create();
    EXPECT_TRUE(id);
    for (std::uint64_t i = 0; i < count; ++i) ASHLAR_EXPECT_OK(live.write(id.value(), i * 1024, pattern(512, i)));
    return id.value();
}

void expect_unchanged(test_store& live, std::uint64_t before) {
    const auto seen = digest_on(live);
    ASHLAR_EXPECT_OK(seen);
    EXPECT_EQ(seen.value(), before);
    EXPECT_EQ(findings_of(live), "");
}

class ObjectLimits : public testing::Test {
  protected:
    ObjectLimits() : memory_{make_memory(shape_)} { format_on(memory_, shape_); }
    volume_shape  shape_{.block_bytes = 512, .blocks = 3000, .journal_blocks = 200};
    memory_device memory_;
};

TEST_F(ObjectLimits, ARangePastTheLargestObjectIsRefused) {
    auto       live   = opened_on(memory_);
    const auto id     = scattered(live, 3);
    const auto before = digest_on(live).value();
    const auto bytes  = pattern(600, 1);
    EXPECT_EQ(code_of(live.reserve(id, object_bytes_max + 1, 1)), errc::out_of_range);
    EXPECT_EQ(code_of(live.reserve(id, 512, object_bytes_max)), errc::out_of_range);
    EXPECT_EQ(code_of(live.pin(id, object_bytes_max + 1, 1)), errc::out_of_range);
    EXPECT_EQ(code_of(live.pin(id, 512, object_bytes_max)), errc::out_of_range);
    EXPECT_EQ(code_of(live.write(id, object_bytes_max + 1, bytes)), errc::out_of_range);
    EXPECT_EQ(code_of(live.write(id, object_bytes_max - 100, bytes)), errc::out_of_range);
    EXPECT_EQ(code_of(live.truncate(id, object_bytes_max + 1)), errc::out_of_range);
    ASHLAR_EXPECT_OK(live.pin(id, 512, 0));
    ASHLAR_EXPECT_OK(live.punch(id, 512, 0));
    ASHLAR_EXPECT_OK(live.punch(id, 1 << 20, 5));
    ASHLAR_EXPECT_OK(live.write(id, 512, {}));
    expect_unchanged(live, before);
}

TEST_F(ObjectLimits, MoreRunsThanATransactionListsAreTooLarge) {
    auto       live   = opened_on(memory_, limits_of(8));
    const auto id     = scattered(live, 20);
    const auto holes  = scattered(live, 20);
    const auto before = digest_on(live).value();
    EXPECT_EQ(code_of(live.write(id, 0, pattern(14 * 1024, 1))), errc::too_large) << "it gives twenty runs back";
    EXPECT_EQ(code_of(live.reserve(holes, 0, 20 * 1024)), errc::too_large) << "it takes twenty";
    EXPECT_EQ(code_of(live.punch(id, 0, 20 * 1024)), errc::too_large);
    expect_unchanged(live, before);
    for (std::uint64_t i = 0; i < 20; ++i) ASHLAR_EXPECT_OK(live.reserve(holes, i * 1024, 1024));
    EXPECT_EQ(code_of(live.write(holes, 512, pattern(14 * 1024, 1))), errc::too_large) << "holes are filled in place";
    expect_unchanged(live, before);

    auto changes = live.begin();
    ASHLAR_ASSERT_OK(changes);
    errc why = errc::none;
    for (std::uint64_t i = 0; i < 20 && why == errc::none; ++i)
        why = code_of(changes.value().write(holes, i * 1024 + 512, pattern(512, i)));
    EXPECT_EQ(why, errc::too_large);
    EXPECT_EQ(code_of(changes.value().commit()), errc::invalid_argument) << "only dropping it is left";
    changes.value().abort();
    expect_unchanged(live, before);
}

TEST_F(ObjectLimits, ANodeThatIsOneRunOrOneCopyTooManyIsGivenBack) {
    for (std::size_t extents = 4; extents < 12; ++extents) {
        auto       live  = opened_on(memory_, limits_of(extents));
        const auto other = live.create().value();
        const auto id    = scattered(live, live.volume().inline_extents);
        ASSERT_EQ(live.info(id).value().tree_height, 0U);
        const auto before  = digest_on(live).value();
        auto       changes = live.begin();
        ASHLAR_ASSERT_OK(changes);
        for (std::uint64_t i = 0; i + 1 < extents; ++i)
            ASHLAR_EXPECT_OK(changes.value().write(other, i * 512, pattern(512, i)));
        EXPECT_EQ(code_of(changes.value().write(id, 100 * 1024, pattern(512, 3))), errc::too_large)
            << "its extents no longer fit the record, and no run is left for a node";
        changes.value().abort();
        expect_unchanged(live, before);
        ASHLAR_EXPECT_OK(live.close());
    }
    auto limits                 = small_limits();
    limits.transaction.shadows  = 8;
    limits.transaction.objects  = 40;
    limits.staged_bytes         = 0;
    auto                   live = opened_on(memory_, limits);
    std::vector<object_id> ids;
    for (int i = 0; i < 40; ++i) ids.push_back(live.create().value());
    const auto id = ids[0];
    for (std::uint64_t i = 0; i < live.volume().inline_extents; ++i)
        ASHLAR_EXPECT_OK(live.write(id, i * 1024, pattern(512, i)));
    const auto before = digest_on(live).value();
    const auto free   = live.info().free;
    for (std::size_t first = 1; first < 4; ++first) {
        auto changes = live.begin();
        ASHLAR_ASSERT_OK(changes);
        errc why = errc::none;
        for (std::size_t i = first; i < ids.size() && changes.value().write(ids[i], 0, pattern(9, i)); i += 3) {
            if (live.volume().transactions[0].shadows.size() == 8) {
                why = code_of(changes.value().write(id, 100 * 1024, pattern(512, 3)));
                break;
            }
        }
        EXPECT_EQ(why, errc::too_large);
        changes.value().abort();
        EXPECT_EQ(live.info().free, free) << "the node's block is free again";
    }
    expect_unchanged(live, before);
}

TEST_F(ObjectLimits, ATreeThatCannotListItsOwnNodeAsFreeStays) {
    auto       live  = opened_on(memory_, limits_of(5));
    const auto id    = live.create().value();
    const auto count = std::uint64_t{5};
    ASSERT_LT(live.volume().inline_extents, count);
    for (std::uint64_t i = 0; i < count; ++i) ASHLAR_EXPECT_OK(live.write(id, i * 1024, pattern(512, i)));
    ASSERT_EQ(live.info(id).value().tree_height, 1U);
    const auto before = digest_on(live).value();
    EXPECT_EQ(code_of(live.punch(id, 0, count * 1024)), errc::too_large);
    expect_unchanged(live, before);
    ASHLAR_EXPECT_OK(live.punch(id, 0, 2048));
    ASHLAR_EXPECT_OK(live.punch(id, 2048, count * 1024));
    EXPECT_EQ(live.info(id).value().blocks, 0U);
    EXPECT_EQ(findings_of(live), "");
}

TEST_F(ObjectLimits, WhatAnOpenTransactionHoldsIsBusy) {
    auto       live  = opened_on(memory_, limits_of(8));
    const auto id    = scattered(live, 60);
    const auto cut   = scattered(live, 60);
    const auto other = scattered(live, 2);
    ASHLAR_EXPECT_OK(live.truncate(cut, 30 * 1024));
    ASSERT_NE(live.volume().space.totals().dying_head, 0U);
    {
        auto changes = live.begin();
        ASHLAR_ASSERT_OK(changes);
        ASHLAR_EXPECT_OK(changes.value().create());
        EXPECT_EQ(code_of(live.create()), errc::busy);
        EXPECT_EQ(code_of(live.erase(other)), errc::busy);
        EXPECT_EQ(code_of(live.truncate(id, 1024)), errc::busy) << "the list of what is freed later is held";
        EXPECT_EQ(code_of(live.reserve(cut, 20 * 1024, 9 * 1024)), errc::busy);
        ASHLAR_EXPECT_OK(live.write(other, 0, pattern(9, 9)));
    }
    {
        auto changes = live.begin();
        ASHLAR_ASSERT_OK(changes);
        const std::array<std::byte, attribute_bytes> attributes{};
        ASHLAR_EXPECT_OK(changes.value().set_attributes(cut, attributes));
        ASHLAR_EXPECT_OK(live.erase(other));  // what it would free later waits
        EXPECT_EQ(code_of(live.size(other)), errc::not_found);
        EXPECT_EQ(code_of(live.write(cut, 0, pattern(9, 9))), errc::busy);
    }
    {
        auto one = live.begin(), two = live.begin(), three = live.begin();
        ASHLAR_ASSERT_OK(three);
        EXPECT_EQ(code_of(live.begin()), errc::busy);
        EXPECT_EQ(code_of(live.write(id, 0, pattern(9, 9))), errc::busy);
        EXPECT_EQ(code_of(live.create()), errc::busy);
    }
    ASHLAR_EXPECT_OK(live.truncate(id, 1024));
    ASHLAR_EXPECT_OK(live.reserve(cut, 20 * 1024, 4 * 1024));
    EXPECT_EQ(findings_of(live), "");
}

TEST_F(ObjectLimits, ErasingAnObjectThatShrinksKeepsItOnTheListOnce) {
    auto       live = opened_on(memory_, limits_of(8));
    const auto id   = scattered(live, 60);
    ASHLAR_EXPECT_OK(live.truncate(id, 30 * 1024));
    ASSERT_NE(live.volume().space.totals().dying_head, 0U);
    ASHLAR_EXPECT_OK(live.erase(id));
    EXPECT_EQ(live.volume().space.totals().dying_head, 0U);
    EXPECT_EQ(findings_of(live), "");
}

TEST_F(ObjectLimits, WithoutABufferForAnEdgeTheOnlyThreadIsBusy) {
    auto       live = opened_on(memory_, limits_of(48));
    const auto id   = scattered(live, 4);
    auto&      pool = live.volume().edges;
    {
        std::vector<borrowed_buffer> taken;
        while (pool.available() != 0) taken.emplace_back(pool, pool.borrow());
        byte_vector found(100);
        EXPECT_EQ(code_of(live.read(id, 5, std::span<std::byte>{found})), errc::busy);
        EXPECT_EQ(code_of(live.write(id, 5, pattern(50, 1))), errc::busy);
        ASHLAR_EXPECT_OK(live.write(id, 0, pattern(512, 0)));
    }
    ASHLAR_EXPECT_OK(live.write(id, 5, pattern(50, 1)));
    EXPECT_EQ(findings_of(live), "");
}

TEST_F(ObjectLimits, AChangeThatAnEmptyJournalDoesNotHoldIsTooLarge) {
    const volume_shape shape{.block_bytes = 512, .blocks = 6000, .journal_blocks = 64};
    auto               memory = make_memory(shape);
    format_on(memory, shape);
    auto limits            = small_limits();
    limits.cache_blocks    = 1200;
    limits.transaction     = {.shadows = 600, .extents = 1500, .data_blocks = 48, .objects = 6};
    limits.space.retired   = 4000;
    limits.unsynced_runs   = 1500;
    limits.unsynced_blocks = 1500;
    auto       live        = opened_on(memory, limits);
    const auto id          = scattered(live, 900);
    const auto before      = digest_on(live).value();
    EXPECT_EQ(code_of(live.punch(id, 100, 900 * 1024 - 200)), errc::too_large);
    expect_unchanged(live, before);
    ASHLAR_EXPECT_OK(live.punch(id, 100, 1024));
    EXPECT_EQ(findings_of(live), "");
}

TEST_F(ObjectLimits, AFullTableGivesRecordsAgainAndSaysWhenItHasNone) {
    const volume_shape shape{.block_bytes = 512, .blocks = 700, .journal_blocks = 64};
    auto               memory = make_memory(shape);
    format_on(memory, shape);
    auto                   live = opened_on(memory, limits_of(8));
    const auto             big  = scattered(live, 200);
    std::vector<object_id> ids;
    errc                   why = errc::none;
    while (why == errc::none && ids.size() < 3000) {
        const auto made = live.create();
        why             = code_of(made);
        if (made) ids.push_back(made.value());
    }
    EXPECT_EQ(why, errc::too_large) << ids.size();
    ASHLAR_ASSERT_OK(live.erase(ids[7]));
    const auto again = live.create();
    ASHLAR_ASSERT_OK(again);
    EXPECT_EQ(record_of(again.value()), record_of(ids[7]));
    EXPECT_NE(again.value(), ids[7]);
    EXPECT_EQ(code_of(live.size(ids[7])), errc::not_found);

    // An object that is still freed in steps holds its record; whoever needs one ends that.
    auto changes = live.begin();
    ASHLAR_ASSERT_OK(changes);
    ASHLAR_EXPECT_OK(changes.value().erase(big));
    ASHLAR_EXPECT_OK(changes.value().commit());
    ASSERT_NE(live.volume().space.totals().dying_head, 0U);
    ASHLAR_ASSERT_OK(live.create());

    relocation_source host{live.volume()};
    ASHLAR_EXPECT_OK(live.write(again.value(), 0, pattern(1024, 1)));
    relocation_cursor cursor{.owner = ids[7]};
    const auto        found = host.next_candidate(cursor, {.window = {16}});
    ASHLAR_ASSERT_OK(found);
    EXPECT_EQ(found.value()->owner, again.value()) << "the record's later object follows the earlier one";
    EXPECT_EQ(findings_of(live), "");
}

// Moves. --------------------------------------------------------------------------------------------------------------

TEST_F(ObjectLimits, AMoveOfWhatIsNoLongerThereChangesNothing) {
    auto limits                    = limits_of(8);
    limits.transaction.data_blocks = 6;
    auto       live                = opened_on(memory_, limits);
    const auto id                  = scattered(live, 20);
    ASHLAR_EXPECT_OK(live.write(id, 30 * 1024, pattern(2048, 1)));
    ASHLAR_EXPECT_OK(live.write(id, 32 * 1024, pattern(2048, 1)));
    ASHLAR_EXPECT_OK(live.pin(id, 9 * 1024, 512));
    ASHLAR_EXPECT_OK(live.checkpoint());
    const auto        before = digest_on(live).value();
    relocation_source host{live.volume()};

    EXPECT_EQ(code_of(host.scope(host.scope_count())), errc::out_of_range);
    std::array<mapped_extent, 2> pieces{};
    const auto                   seen = host.mapping(id, {0}, {9}, pieces);
    ASHLAR_ASSERT_OK(seen);
    EXPECT_FALSE(seen.value().complete);
    EXPECT_EQ(code_of(host.mapping({12345}, {0}, {9}, pieces)), errc::not_found);
    const auto generation = seen.value().generation;

    for (const auto goal : {block_index{0}, block_index{1'000'000}, block_index{2999}}) {
        const auto run = host.reserve_target({.goal = goal, .blocks = {8}});
        ASHLAR_ASSERT_OK(run);
        EXPECT_EQ(run.value().count, block_count{8});
        const auto flip = [&](std::uint64_t first, std::uint64_t count, std::uint64_t blocks) {
            return host.flip(id, {first}, {count}, generation, {run.value().first, {blocks}});
        };
        EXPECT_EQ(code_of(flip(0, 1, 2)), errc::raced) << "the range holds less than the target";
        EXPECT_EQ(code_of(flip(1, 1, 1)), errc::raced) << "the range is a hole";
        EXPECT_EQ(code_of(flip(0, 3, 1)), errc::too_large) << "the range holds more than the target";
        EXPECT_EQ(code_of(flip(60, 8, 8)), errc::too_large) << "more blocks than a transaction has checksums for";
        EXPECT_EQ(code_of(flip(18, 1, 1)), errc::pinned);
        const auto stale = host.flip(id, {0}, {1}, generation - 1, {run.value().first, {1}});
        EXPECT_TRUE(stale && !stale.value());
        const auto gone = host.flip(object_id_of(5000, 0), {0}, {1}, generation, {run.value().first, {1}});
        EXPECT_TRUE(gone && !gone.value());
        host.release_target(run.value());
    }
    relocation_cursor cursor;
    for (int i = 0; i < 200; ++i) {
        const auto found = host.next_candidate(
            cursor, {.kind = candidate_kind::free_space_gap, .window = {16}, .scope = {{2990}, {5}}});
        ASHLAR_ASSERT_OK(found);
        if (!found.value()) break;
        EXPECT_EQ(found.value()->extents, 0U) << "nothing lies in that scope";
    }
    expect_unchanged(live, before);
}

// A list of the dying that lies.
// -----------------------------------------------------------------------------------------------------------------

TEST_F(ObjectLimits, AListOfTheDyingThatNamesTheLivingIsDamaged) {
    object_id      id{}, other{};
    block_index    home{};
    block_identity identity{};
    {
        auto live = opened_on(memory_);
        id        = scattered(live, 4);
        other     = scattered(live, 4);
        home      = live.volume().regions.group_table({0}).home;
        identity  = live.volume().regions.group_table({0}).identity;
        ASHLAR_EXPECT_OK(live.close());
    }
    const byte_vector base{memory_.bytes().begin(), memory_.bytes().end()};
    for (const std::uint64_t head : {id.value, id.value + 1, std::uint64_t{1}, object_id_of(900, 0).value}) {
        std::memcpy(memory_.bytes().data(), base.data(), base.size());
        const auto block = memory_.bytes().subspan(static_cast<std::size_t>(byte_offset(home, {512})), 512);
        store_little<std::uint64_t>(block.data() + offsetof(volume_totals_record, dying_head), head);
        seal_block(block, identity.tag, {}, identity_seed(shape_.format().volume, identity));
        auto opened = test_store::open(any_device{memory_}, with());
        ASHLAR_ASSERT_OK(opened);
        auto&       live = opened.value();
        byte_vector found(4096);
        ASHLAR_EXPECT_OK(live.read(id, 0, std::span<std::byte>{found}));
        const auto freed = reap(live.volume());
        EXPECT_TRUE(freed.has_error()) << head;
        EXPECT_TRUE(code_of(freed) == errc::damaged || code_of(freed) == errc::not_found) << message(code_of(freed));
        EXPECT_NE(findings_of(live), "") << head;
        ASHLAR_EXPECT_OK(live.read(id, 0, std::span<std::byte>{found}));
        static_cast<void>(live.abandon());
    }
}

// Threads. ------------------------------------------------------------------------------------------------------------

struct threaded : test_blueprint<> {
    using threading = multi_threaded;
};
using threaded_store = store<threaded>;

/// Memory that does something else before each read, as another thread might meanwhile.
struct interrupted_memory {
    memory_device&        inner;
    std::function<void()> before_read = [] {};

    [[nodiscard]] device_geometry geometry() const noexcept { return inner.geometry(); }
    result<>                      read(extent e, std::span<std::byte> in) noexcept {
                             before_read();
                             return inner.read(e, in);
    }
    result<> write(extent e, std::span<const std::byte> out) noexcept {
        std::this_thread::yield();
        return inner.write(e, out);
    }
    result<> sync() noexcept { return inner.sync(); }
    result<> trim(extent e) noexcept { return inner.trim(e); }
};

TEST_F(ObjectLimits, AReadThatWritersOvertakeLocksTheObjectAndShowsOneMoment) {
    interrupted_memory device{memory_};
    auto               live = opened_on<threaded_store>(device, limits_of(48));
    const auto         id   = live.create().value();
    for (std::uint64_t i = 0; i < 30; ++i) ASHLAR_EXPECT_OK(live.write(id, i * 1024, pattern(512, i)));
    ASHLAR_EXPECT_OK(live.checkpoint());
    byte_vector   found(30 * 1024 - 512);
    std::uint64_t reads = 0, writes = 0;
    bool          inside = false;
    const auto    locked = [&] {
        for (const auto& tx : live.volume().transactions) {
            if (tx.open && !tx.locked.empty()) return true;
        }
        return false;
    };
    device.before_read = [&] {
        if (inside) return;
        ++reads;
        if (locked()) return;  // the writer would wait for the reader, which is the same thread here
        inside = true;
        ASHLAR_EXPECT_OK(live.write(id, 29 * 1024, pattern(512, ++writes)));
        inside = false;
    };
    const auto read    = live.read(id, 0, std::span<std::byte>{found});
    device.before_read = [] {};
    ASHLAR_ASSERT_OK(read);
    EXPECT_EQ(read.value(), found.size());
    EXPECT_GE(writes, 4U);
    EXPECT_GT(reads, writes) << "in the end the writer was kept away";
    const auto last = pattern(512, writes);
    EXPECT_TRUE(std::equal(last.begin(), last.end(), found.end() - 512)) << "not what the object held then";
    EXPECT_EQ(findings_of(live), "");
}

TEST_F(ObjectLimits, ThreadsWaitForATransactionOfAnotherToEnd) {
    interrupted_memory device{memory_};
    auto               limits   = limits_of(48);
    limits.transactions         = 2;
    limits.edge_buffers         = 4;
    auto                   live = opened_on<threaded_store>(device, limits);
    std::vector<object_id> ids;
    for (int i = 0; i < 5; ++i) ids.push_back(live.create().value());
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < ids.size(); ++t) {
        threads.emplace_back([&, t] {
            for (std::uint64_t i = 0; i < 60; ++i)
                ASHLAR_EXPECT_OK(live.write(ids[t], i * 700, pattern(700, i * 9 + t)));
        });
    }
    for (auto& one : threads) one.join();
    for (std::size_t t = 0; t < ids.size(); ++t) {
        byte_vector found(60 * 700), expected;
        for (std::uint64_t i = 0; i < 60; ++i) {
            const auto part = pattern(700, i * 9 + t);
            expected.insert(expected.end(), part.begin(), part.end());
        }
        ASHLAR_EXPECT_OK(live.read(ids[t], 0, std::span<std::byte>{found}));
        EXPECT_TRUE(found == expected) << "thread " << t;
    }
    EXPECT_EQ(findings_of(live), "");
}

}  // namespace store_object_limits_test
}  // namespace ashlar::test
