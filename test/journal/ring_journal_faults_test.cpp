#include "journal_fixture.hpp"

#include <ashlar/testing/faulty_device.hpp>

namespace ashlar::test {
namespace ring_journal_faults_test {

using failing_memory = faulty_device<memory_device>;

/// What a run came to before a call failed.
struct run_state {
    bool          formatted    = false;
    std::uint64_t acknowledged = 0;
};

/// A batch that takes many transfers of the least memory, to write and to read.
planned_batch large_batch(const journal_shape& shape, std::uint64_t seed) {
    planned_batch batch;
    for (std::uint64_t i = 0; i < 10; ++i) batch.entries.push_back({0, 2000 + i, 0, pattern(500, seed + i)});
    for (std::uint64_t i = 0; i < 60; ++i) batch.entries.push_back({0, 3000 + i, 8, pattern(20, seed + i)});
    for (std::uint64_t i = 0; i < 12; ++i)
        batch.data.emplace_back(shape.data_first().value + i, pattern(shape.block_bytes, seed + 100 + i));
    return batch;
}

/// Every call of a journal once: two lives, with a recovery between them. Ends with the first error.
result<> live(failing_memory& device, const journal_shape& shape, run_state& reached) {
    {
        attached_journal journal{shape};
        BOOST_OUTCOME_TRY(journal->format(device, {}));
        reached.formatted = true;
        for (std::uint64_t seed = 1; seed < 3; ++seed) {
            BOOST_OUTCOME_TRY(const auto done, commit(device, journal.journal, large_batch(shape, seed)));
            reached.acknowledged = done.value;
            BOOST_OUTCOME_TRY(journal->anchor(device, journal->next(), {}));
        }
        BOOST_OUTCOME_TRY(const auto done, commit(device, journal.journal, small_batch(3)));
        reached.acknowledged = done.value;
        BOOST_OUTCOME_TRY(write_batch(device, journal.journal, large_batch(shape, 4)));
    }
    attached_journal again{shape};
    data_on          data{device};
    entry_log        log;
    BOOST_OUTCOME_TRY(again->recover(device, data, false));
    BOOST_OUTCOME_TRY(again->replay(device, log));
    EXPECT_EQ(again->next().value, 5U);
    EXPECT_EQ(log.entries.size(), 2U + 70U);
    BOOST_OUTCOME_TRY(again->anchor(device, again->next(), {}));
    return success();
}

/// How many calls of that kind there are. Each of them fails in turn.
std::uint64_t fail_each(transfer_kind kind, fault_lasts lasts) {
    const journal_shape shape{.ring_blocks = 64};
    for (std::uint64_t nth = 1; nth < 2000; ++nth) {
        auto           memory = make_device(shape);
        failing_memory device{memory};
        device.fail(kind, nth, lasts);
        run_state  reached;
        const auto whole = live(device, shape, reached);
        // A read is tried twice, and one copy of the anchor is enough; nothing else may pass as if it had succeeded.
        if (whole && (kind != transfer_kind::read || lasts == fault_lasts::for_good)) return nth - 1;
        device.heal();
        if (!reached.formatted) continue;
        attached_journal journal{shape};
        data_on          data{device};
        const auto       report = journal->recover(device, data, false);
        EXPECT_TRUE(report) << "call " << nth;
        EXPECT_GT(journal->next().value, reached.acknowledged) << "call " << nth;
        if (whole && nth > 500) return nth;
    }
    return 0;
}

TEST(RingJournal, EachCallOfTheDeviceMayFailOnceOrForGood) {
    EXPECT_GT(fail_each(transfer_kind::read, fault_lasts::for_good), 20U);
    EXPECT_GT(fail_each(transfer_kind::write, fault_lasts::for_good), 20U);
    EXPECT_GT(fail_each(transfer_kind::write, fault_lasts::once), 20U);
    EXPECT_GT(fail_each(transfer_kind::sync, fault_lasts::for_good), 10U);
    EXPECT_GT(fail_each(transfer_kind::sync, fault_lasts::once), 10U);
    EXPECT_GT(fail_each(transfer_kind::read, fault_lasts::once), 20U);
}

TEST(RingJournal, AfterAFailedWriteItSaysReadOnlyToEverything) {
    const journal_shape shape;
    auto                memory = make_device(shape);
    failing_memory      device{memory};
    attached_journal    journal{shape};
    ASSERT_TRUE(journal->format(device, {}));
    const auto batch = large_batch({.ring_blocks = 64}, 1);
    ASSERT_TRUE(journal->begin(device, {.entry_bytes = 20 * 500, .entries = 20, .data = 0}));
    device.fail(transfer_kind::write, 1);
    result<> last = success();
    for (int i = 0; i < 20 && last; ++i) last = journal->entry(device, {1000}, 0, batch.entries[0].bytes);
    ASSERT_FALSE(last);
    EXPECT_EQ(last.error().code, errc::device_failed);

    ring_writes left;
    EXPECT_EQ(journal->entry(device, {1000}, 0, batch.entries[0].bytes).error().code, errc::read_only);
    EXPECT_EQ(journal->data(device, {1000}, 1).error().code, errc::read_only);
    EXPECT_EQ(journal->seal(device).error().code, errc::read_only);
    EXPECT_EQ(journal->seal_unwritten(device, left).error().code, errc::read_only);
    EXPECT_EQ(journal->begin(device, batch.shape()).error().code, errc::read_only);
    EXPECT_EQ(journal->anchor(device, journal->next(), {}).error().code, errc::read_only);
}

/// A batch whose parts stand at places of the caller's choice: `items` in the list, then entries of these lengths.
struct layout {
    std::uint32_t              items = 0;
    std::vector<std::uint32_t> lengths;

    [[nodiscard]] batch_shape shape() const {
        batch_shape made{0, static_cast<std::uint32_t>(lengths.size()), items};
        for (const auto length : lengths) made.entry_bytes += length;
        return made;
    }
};

template <BlockDevice D>
result<sequence> write_layout(D& device, ring_journal& journal, const layout& parts) {
    const auto bytes = pattern(4096, 9);
    BOOST_OUTCOME_TRY(journal.begin(device, parts.shape()));
    for (std::uint32_t i = 0; i < parts.items; ++i) { BOOST_OUTCOME_TRY(journal.data(device, {i}, i)); }
    for (const auto length : parts.lengths) {
        BOOST_OUTCOME_TRY(journal.entry(device, {7}, 0, std::span{bytes}.first(length)));
    }
    return journal.seal(device);
}

/// Says that all data is there.
struct data_is_whole {
    result<bool> matches(block_index, std::uint64_t) noexcept { return true; }
    result<>     repeat(block_index) noexcept { return success(); }
};

/// Batch 1 is home, so that the next carries a completion marker; each write of that one fails in turn.
std::uint64_t fail_each_write(memory_device& memory, const journal_shape& shape, const layout& parts) {
    for (std::uint64_t nth = 1; nth < 100; ++nth) {
        failing_memory   device{memory};
        attached_journal journal{shape};
        EXPECT_TRUE(journal->format(device, {}));
        EXPECT_TRUE(commit(device, journal.journal, small_batch(1)));
        EXPECT_TRUE(journal->anchor(device, {2}, {}));
        device.fail(transfer_kind::write, nth);
        const auto sealed = write_layout(device, journal.journal, parts);
        if (sealed) return nth - 1;
        EXPECT_EQ(sealed.error().code, errc::device_failed);
        EXPECT_EQ(journal->begin(device, parts.shape()).error().code, errc::read_only);
        attached_journal again{shape};
        data_is_whole    data;
        EXPECT_TRUE(again->recover(memory, data, true));
        EXPECT_EQ(again->last().value, 1U) << "write " << nth;
    }
    return 0;
}

/// Each read of a recovery and a replay fails for good in turn; none may look like the end of history.
std::uint64_t fail_each_read(memory_device& memory, const journal_shape& shape, const layout& parts) {
    for (std::uint64_t nth = 1; nth < 100; ++nth) {
        failing_memory   device{memory};
        attached_journal journal{shape};
        data_is_whole    data;
        entry_log        log;
        device.fail(transfer_kind::read, nth, fault_lasts::for_good);
        const auto report = journal->recover(device, data, true);
        const auto shown  = report ? journal->replay(device, log) : result<>{report.error()};
        if (shown) {
            EXPECT_EQ(journal->last().value, 2U);
            EXPECT_EQ(log.entries.size(), parts.lengths.size());
            return nth - 1;
        }
        EXPECT_EQ(shown.error().code, errc::device_failed) << "read " << nth;
    }
    return 0;
}

TEST(RingJournal, NoTransferOfABatchMayFailUnnoticedWhereverTheMemoryEnds) {
    const journal_shape shape{.ring_blocks = 40};
    auto                memory = make_device(shape);
    ASSERT_EQ(ring_journal::staging_bytes(shape.size()), 10U * 512) << "so long is what stands before the memory's end";
    std::vector<layout> layouts{{330, {}}, {314, {5}}, {316, {5}}};
    for (std::uint32_t length = 848; length <= 900; length += 3) layouts.push_back({0, {4096, length, 40}});
    for (std::uint32_t length = 848; length <= 900; length += 3) layouts.push_back({0, {4096, length}});
    for (const auto& parts : layouts) {
        EXPECT_GE(fail_each_write(memory, shape, parts), 1U);
        EXPECT_GE(fail_each_read(memory, shape, parts), 3U);
    }
}

TEST(RingJournal, AnOlderAcknowledgementConfirmsNothingYet) {
    const journal_shape shape;
    auto                device = make_device(shape);
    attached_journal    journal{shape};
    ASSERT_TRUE(journal->format(device, {}));
    ASSERT_TRUE(commit(device, journal.journal, small_batch(1)));
    ASSERT_TRUE(write_batch(device, journal.journal, small_batch(2)));
    journal->acknowledge({1});
    EXPECT_EQ(journal->acknowledged().value, 1U);
    EXPECT_EQ(journal->confirmed().value, 0U) << "the header that says so is not durable";
    EXPECT_EQ(journal->begin(device, small_batch(3).shape()).error().code, errc::read_only);
    journal->acknowledge({2});
    EXPECT_EQ(journal->confirmed().value, 1U);
    journal->acknowledge({1});
    EXPECT_EQ(journal->acknowledged().value, 2U) << "it never goes back";
    EXPECT_TRUE(commit(device, journal.journal, small_batch(3)));
}

TEST(RingJournal, AfterMoreBatchesThanAreRememberedOnlyTheNewestOnesDataIsComparedAndRepeated) {
    const journal_shape shape{.ring_blocks = 200};
    auto                device = make_device(shape);
    {
        attached_journal journal{shape};
        ASSERT_TRUE(journal->format(device, {}));
        for (std::uint64_t i = 0; i < 2 * batch_boundaries::count_max; ++i) {
            auto batch = small_batch(i);
            batch.data.emplace_back(shape.data_first().value + i % shape.data_blocks, pattern(512, i));
            ASSERT_TRUE(commit(device, journal.journal, batch));
        }
    }
    attached_journal again{shape};
    data_on          data{device};
    const auto       report = again->recover(device, data, false);
    ASSERT_TRUE(report);
    EXPECT_EQ(report.value().last.value, 2 * batch_boundaries::count_max);
    EXPECT_EQ(data.asked, 1U);
    EXPECT_EQ(data.repeated, 1U);
}

TEST(RingJournal, ABatchIsCutAtItsFirstBlockThatIsMissingAndNoOtherIsAskedFor) {
    const journal_shape shape{.ring_blocks = 64};
    auto                device = make_device(shape);
    {
        attached_journal journal{shape};
        ASSERT_TRUE(journal->format(device, {}));
        auto batch = small_batch(1);
        for (std::uint64_t i = 0; i < 3; ++i)
            batch.data.emplace_back(shape.data_first().value + i, pattern(512, 40 + i));
        ASSERT_TRUE(write_batch(device, journal.journal, batch));
    }
    ASSERT_TRUE(device.write({shape.data_first(), {1}}, pattern(512, 99)));
    attached_journal again{shape};
    data_on          data{device};
    const auto       report = again->recover(device, data, false);
    ASSERT_TRUE(report);
    EXPECT_EQ(report.value().last.value, 0U);
    EXPECT_EQ(report.value().batches_cut, 1U);
    EXPECT_EQ(data.asked, 1U);
}

TEST(RingJournal, WithoutMemoryOrOnOtherBlocksItIsRefused) {
    const journal_shape shape, other{.block_bytes = 1024};
    auto                memory = make_device(shape), wide = make_device(other);
    ring_journal        none;
    data_on             data{memory};
    EXPECT_EQ(none.recover(memory, data, false).error().code, errc::invalid_argument);
    EXPECT_EQ(none.format(memory, {}).error().code, errc::invalid_argument);
    attached_journal journal{shape};
    EXPECT_EQ(journal->format(wide, {}).error().code, errc::invalid_argument);
    EXPECT_EQ(journal->recover(wide, data, false).error().code, errc::invalid_argument);
}

}  // namespace ring_journal_faults_test
}  // namespace ashlar::test
