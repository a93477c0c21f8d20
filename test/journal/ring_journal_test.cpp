#include "journal_fixture.hpp"

#include <ashlar/journal/no_journal.hpp>
#include <ashlar/testing/faulty_device.hpp>

#include <algorithm>

namespace ashlar::test {
namespace ring_journal_test {

static_assert(Journal<ring_journal>);
static_assert(Journal<no_journal>);
static_assert(!Journal<int>);
static_assert(JournalOn<ring_journal, memory_device>);
static_assert(JournalOn<no_journal, memory_device>);
static_assert(!JournalOn<ring_journal, int>);
static_assert(!JournalOn<int, memory_device>);

class RingJournal : public ::testing::TestWithParam<std::uint32_t> {
  protected:
    journal_shape shape{.block_bytes = GetParam()};
    memory_device device = make_device(shape);
};
INSTANTIATE_TEST_SUITE_P(BlockSizes, RingJournal, ::testing::Values(512U, 4096U, 65536U));

TEST_P(RingJournal, AFormattedJournalIsEmptyAndRecoversClean) {
    attached_journal first{shape};
    ASSERT_TRUE(first->format(device, {.free_blocks = 5, .modified = 9}));
    EXPECT_EQ(first->next(), sequence{1});
    EXPECT_EQ(first->room(), block_count{shape.ring_blocks});
    EXPECT_EQ(first->epoch(), 1U);

    attached_journal       second{shape};
    data_on<memory_device> data{device};
    const auto             report = second->recover(device, data, false);
    ASSERT_TRUE(report);
    EXPECT_TRUE(report.value().was_clean);
    EXPECT_EQ(report.value().first, sequence{1});
    EXPECT_EQ(report.value().last, sequence{0});
    EXPECT_EQ(report.value().totals.free_blocks, 5U);
    EXPECT_EQ(report.value().totals.modified, 9U);
    EXPECT_EQ(second->epoch(), 2U);
    EXPECT_TRUE(replayed(device, second.journal).empty());
}

TEST_P(RingJournal, ReplayShowsEveryEntryOfAcknowledgedBatchesInOrder) {
    attached_journal first{shape};
    ASSERT_TRUE(first->format(device, {}));
    std::vector<logged_entry> expected;
    for (std::uint64_t i = 1; i <= 5; ++i) {
        auto batch = small_batch(i);
        batch.entries.push_back({0, 77, 0, pattern(GetParam() < 4096 ? 4096 : GetParam(), i)});
        if (GetParam() == 512 && i > 2) batch.entries.pop_back();
        batch.data.emplace_back(shape.data_first().value + i, pattern(GetParam(), 100 + i));
        const auto number = commit(device, first.journal, batch);
        ASSERT_TRUE(number);
        ASSERT_EQ(number.value(), sequence{i});
        append_expected(expected, batch, i);
    }
    EXPECT_EQ(first->acknowledged(), sequence{5});
    EXPECT_EQ(first->confirmed(), sequence{4});

    attached_journal       second{shape};
    data_on<memory_device> data{device};
    const auto             report = second->recover(device, data, false);
    ASSERT_TRUE(report);
    EXPECT_FALSE(report.value().was_clean);
    EXPECT_EQ(report.value().last, sequence{5});
    EXPECT_EQ(report.value().confirmed, sequence{4});
    EXPECT_EQ(report.value().data_checked, 1U) << "only the batch that nothing confirms needs its data read";
    EXPECT_EQ(data.repeated, 1U);
    EXPECT_EQ(replayed(device, second.journal), expected);
    EXPECT_EQ(second->next(), sequence{6});
    EXPECT_EQ(second->confirmed(), sequence{5});
}

TEST(RingJournalRing, AnEntryOf100BytesWithItsTrailerEntryTakesUnder200Bytes) {
    const journal_shape shape;
    attached_journal    journal{shape};
    const std::uint32_t pairs = 10'000;
    const auto          bytes = bytes_of(journal->blocks_needed({pairs * 116ULL, pairs * 2, 0}), shape.size());
    EXPECT_LT(bytes / pairs, 200U);
    EXPECT_GE(bytes / pairs, 116U);
}

TEST(RingJournalRing, MissingAcknowledgedBatchIsDamageAndSaysWhere) {
    const journal_shape shape;
    auto                device = make_device(shape);
    attached_journal    journal{shape};
    ASSERT_TRUE(journal->format(device, {}));
    std::vector<logged_entry> expected;
    for (std::uint64_t i = 1; i <= 3; ++i) {
        ASSERT_TRUE(commit(device, journal.journal, small_batch(i)));
        if (i == 1) append_expected(expected, small_batch(i), i);
    }
    const auto where = shape.place().ring.first + block_count{1};
    device.bytes()[byte_offset(where, shape.size()) + 100] ^= std::byte{1};

    const auto             before = block_bytes(device.bytes().begin(), device.bytes().end());
    attached_journal       opened{shape};
    data_on<memory_device> data{device};
    const auto             refused = opened->recover(device, data, false);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error(), (error{errc::damaged, where}));
    EXPECT_FALSE(opened->begin(device, small_batch(9).shape()));
    EXPECT_TRUE(std::equal(before.begin(), before.end(), device.bytes().begin()))
        << "nothing is written to a damaged volume";

    attached_journal reader{shape};
    const auto       seen = reader->recover(device, data, true);
    ASSERT_FALSE(seen);
    EXPECT_EQ(seen.error().code, errc::damaged);
    EXPECT_EQ(replayed(device, reader.journal), expected) << "what stands before the damage can be read";
}

TEST(RingJournalRing, ABatchThatFitsTheMemoryIsOneWriteAndOneThatWrapsIsTwo) {
    const journal_shape shape{.block_bytes = 512, .ring_blocks = 24, .data_blocks = 16, .memory = 64 * 1024};
    auto                inner = make_device(shape);
    faulty_device       device{inner};
    attached_journal    journal{shape};
    ASSERT_TRUE(journal->format(device, {}));
    planned_batch batch;
    batch.entries.push_back({0, 1, 0, pattern(4096, 1)});  // 9 blocks
    for (const std::uint64_t writes : {1U, 1U, 2U}) {
        ASSERT_TRUE(journal->anchor(device, journal->next(), {}));
        const auto before = device.calls(transfer_kind::write);
        ASSERT_TRUE(commit(device, journal.journal, batch));
        EXPECT_EQ(device.calls(transfer_kind::write) - before, writes);
    }
}

TEST(RingJournalRing, TheSameOperationsGiveTheSameBytesWhateverMemoryIsLent) {
    std::vector<block_bytes> images;
    for (const std::size_t memory : {0U, 8192U, 100'000U}) {
        const journal_shape shape{.block_bytes = 512, .ring_blocks = 24, .data_blocks = 16, .memory = memory};
        auto                device = make_device(shape);
        attached_journal    journal{shape};
        for (auto& one : journal.memory)
            one = static_cast<std::byte>(memory + 3);  // What was in the memory must not matter.
        ASSERT_TRUE(journal->format(device, {}));
        for (std::uint64_t i = 1; i <= 12; ++i) {
            if (journal->room().value < 12) { ASSERT_TRUE(journal->anchor(device, journal->next(), {i, i})); }
            ASSERT_TRUE(commit(device, journal.journal, small_batch(i, i % 2 == 0 ? 100 : i * 340)));
        }
        images.emplace_back(device.bytes().begin(), device.bytes().end());
    }
    EXPECT_EQ(images[0], images[1]);
    EXPECT_EQ(images[0], images[2]);
}

TEST(RingJournalRing, TheRestOfABatchsLastBlockIsZero) {
    const journal_shape shape;
    auto                device = make_device(shape);
    attached_journal    journal{shape};
    ASSERT_TRUE(journal->format(device, {}));
    ASSERT_TRUE(commit(device, journal.journal, small_batch(1, 4000)));
    const auto at = bytes_of(journal->capacity() - journal->room(), shape.size());
    ASSERT_TRUE(commit(device, journal.journal, small_batch(2)));
    const auto used = batch_bytes(0, 2, 116, false);
    const auto rest =
        std::span{device.bytes()}.subspan(byte_offset(shape.place().ring.first, shape.size()) + at + used, 512 - used);
    EXPECT_TRUE(std::all_of(rest.begin(), rest.end(), [](std::byte one) { return one == std::byte{0}; }));
}

TEST(RingJournalRing, AFullRingRefusesABatchAndStaysUsable) {
    const journal_shape shape;
    auto                device = make_device(shape);
    attached_journal    journal{shape};
    ASSERT_TRUE(journal->format(device, {}));
    std::uint64_t batches = 0;
    while (journal->room().value > 0) { ASSERT_TRUE(commit(device, journal.journal, small_batch(++batches))); }
    EXPECT_EQ(batches, shape.ring_blocks) << "every block of the ring can be used";
    const auto refused = journal->begin(device, small_batch(1).shape());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, errc::journal_full);
    {
        attached_journal       opened{shape};
        data_on<memory_device> data{device};
        const auto             report = opened->recover(device, data, true);
        ASSERT_TRUE(report);
        EXPECT_EQ(report.value().last.value, batches) << "a ring without a free block is read once around";
    }
    ASSERT_TRUE(journal->anchor(device, {3}, {}));
    EXPECT_EQ(journal->room(), block_count{2});
    ASSERT_TRUE(commit(device, journal.journal, small_batch(1)));
}

TEST(RingJournalRing, AnOldTailStaysReachableAcrossMoreBatchesThanAreRemembered) {
    const journal_shape shape{.block_bytes = 512, .ring_blocks = 400, .data_blocks = 16, .memory = 0};
    auto                device = make_device(shape);
    attached_journal    journal{shape};
    ASSERT_TRUE(journal->format(device, {}));
    for (std::uint64_t i = 1; i <= 300; ++i) { ASSERT_TRUE(commit(device, journal.journal, small_batch(i))); }
    ASSERT_TRUE(journal->anchor(device, {200}, {}));
    EXPECT_LE(journal->tail(), sequence{200});
    EXPECT_GE(journal->tail(), sequence{150}) << "what is remembered is not far from what was asked";
    EXPECT_EQ(journal->checkpoint(), sequence{199});
    ASSERT_TRUE(journal->anchor(device, {290}, {}));
    EXPECT_LE(journal->tail(), sequence{290});
    EXPECT_GE(journal->tail(), sequence{280});
    const auto tail = journal->tail();
    ASSERT_TRUE(journal->anchor(device, {1}, {}));
    EXPECT_EQ(journal->tail(), tail) << "a tail never goes back";

    std::vector<logged_entry> expected;
    for (auto i = tail.value; i <= 300; ++i) append_expected(expected, small_batch(i), i);
    attached_journal       opened{shape};
    data_on<memory_device> data{device};
    ASSERT_TRUE(opened->recover(device, data, false));
    EXPECT_EQ(replayed(device, opened.journal), expected);
    ASSERT_TRUE(opened->anchor(device, {295}, {}));
    EXPECT_LE(opened->tail(), sequence{295});
    EXPECT_GT(opened->tail(), tail) << "recovery remembers the boundaries that it passed";
}

TEST(RingJournalRing, WhereTheAnchorSaysTheRingIsCountsMoreThanWhereTheCallerThinksItIs) {
    const journal_shape shape;
    auto                device = make_device(shape);
    attached_journal    journal{shape};
    ASSERT_TRUE(journal->format(device, {}));
    ASSERT_TRUE(commit(device, journal.journal, small_batch(1)));

    std::vector<std::byte> memory(shape.staging());
    ring_journal           moved;
    auto                   place = shape.place();
    place.ring                   = {{3}, {5}};
    ASSERT_TRUE(moved.attach(place, shape.size(), memory));
    data_on<memory_device> data{device};
    ASSERT_TRUE(moved.recover(device, data, false));
    EXPECT_EQ(moved.ring(), shape.place().ring);
    EXPECT_EQ(moved.last(), sequence{1});
}

TEST(RingJournalRing, BadPlacesAndTooLittleMemoryAreRefused) {
    const journal_shape    shape;
    auto                   device = make_device(shape);
    std::vector<std::byte> memory(shape.staging());
    ring_journal           journal;
    EXPECT_FALSE(journal.format(device, {})) << "before attach";
    EXPECT_EQ(journal.attach(shape.place(), {1000}, memory).error().code, errc::invalid_argument);
    EXPECT_EQ(journal.attach(shape.place(), {8192}, memory).error().code, errc::invalid_argument)
        << "a frame of another size";
    EXPECT_EQ(journal.attach(shape.place(), shape.size(), std::span{memory}.first(100)).error().code,
              errc::workspace_too_small);

    auto place       = shape.place();
    place.ring.count = {5};
    ASSERT_TRUE(journal.attach(place, shape.size(), memory));
    EXPECT_EQ(journal.format(device, {}).error().code, errc::invalid_argument) << "the largest entry has no room";
    place.ring = {{~std::uint64_t{0} - 3}, {24}};
    ASSERT_TRUE(journal.attach(place, shape.size(), memory));
    EXPECT_EQ(journal.format(device, {}).error().code, errc::out_of_range);
    place.ring = {place.anchor_first, {24}};
    ASSERT_TRUE(journal.attach(place, shape.size(), memory));
    EXPECT_EQ(journal.format(device, {}).error().code, errc::out_of_range) << "a ring over an anchor";
    EXPECT_FALSE(journal.begin(device, {}));
}

TEST(RingJournalRing, AFailureOfAnyWriteOrSyncEndsWritingUntilRecovery) {
    for (const auto kind : {transfer_kind::write, transfer_kind::sync}) {
        for (const auto leave : {failed_write::left_nothing, failed_write::wrote_all}) {
            for (std::uint64_t nth = 1; nth <= 12; ++nth) {
                const journal_shape shape;
                auto                inner = make_device(shape);
                faulty_device       device{inner};
                attached_journal    journal{shape};
                ASSERT_TRUE(journal->format(device, {}));
                device.fail(kind, nth);
                device.failing_writes(leave);
                std::uint64_t acknowledged = 0, issued = 0;
                const auto    ran = [&]() -> result<> {
                    for (std::uint64_t i = 1; i <= 4; ++i) {
                        issued = i;
                        BOOST_OUTCOME_TRY(commit(device, journal.journal, small_batch(i, 4000)));
                        acknowledged = i;
                        BOOST_OUTCOME_TRY(journal->anchor(device, {i}, {}));
                    }
                    return success();
                }();
                ASSERT_FALSE(ran) << "the fault was met";
                const auto writes = device.calls(transfer_kind::write);
                const auto syncs  = device.calls(transfer_kind::sync);
                EXPECT_EQ(journal->begin(device, small_batch(1).shape()).error().code, errc::read_only);
                EXPECT_EQ(journal->anchor(device, {1}, {}).error().code, errc::read_only);
                EXPECT_EQ(device.calls(transfer_kind::write), writes);
                EXPECT_EQ(device.calls(transfer_kind::sync), syncs);

                attached_journal                      opened{shape};
                data_on<faulty_device<memory_device>> data{device};
                const auto                            report = opened->recover(device, data, false);
                ASSERT_TRUE(report);
                EXPECT_GE(report.value().last.value, acknowledged);
                EXPECT_LE(report.value().last.value, issued);
                ASSERT_TRUE(commit(device, opened.journal, small_batch(9)));
            }
        }
    }
}

TEST(RingJournalRing, AFailureOfAnyWriteOrSyncInsideRecoveryIsAnErrorAndTheNextRecoverySucceeds) {
    const journal_shape shape;
    auto                formatted = make_device(shape);
    attached_journal    journal{shape};
    ASSERT_TRUE(journal->format(formatted, {}));
    auto batch = small_batch(1, 4000);
    batch.data.emplace_back(shape.data_first().value, pattern(512, 8));
    ASSERT_TRUE(commit(formatted, journal.journal, batch));
    std::vector<logged_entry> expected;
    append_expected(expected, batch, 1);
    int failures = 0;
    for (const auto kind : {transfer_kind::write, transfer_kind::sync, transfer_kind::read}) {
        const auto lasts = kind == transfer_kind::read ? fault_lasts::for_good : fault_lasts::once;
        for (std::uint64_t nth = 1;; ++nth) {
            auto image = make_device(shape);
            std::copy(formatted.bytes().begin(), formatted.bytes().end(), image.bytes().begin());
            faulty_device device{image};
            device.fail(kind, nth, lasts);
            attached_journal                      first{shape};
            data_on<faulty_device<memory_device>> data{device};
            const auto                            broken = first->recover(device, data, false);
            if (device.failures() == 0) break;
            ASSERT_FALSE(broken);
            EXPECT_EQ(broken.error().code, errc::device_failed);
            EXPECT_FALSE(first->begin(device, {}));
            device.heal();
            attached_journal second{shape};
            ASSERT_TRUE(second->recover(device, data, false));
            EXPECT_EQ(replayed(device, second.journal), expected);
            ++failures;
        }
    }
    EXPECT_GE(failures, 15);
}

TEST(RingJournalRing, AReadFaultThatPassesChangesNothing) {
    const journal_shape shape;
    auto                inner = make_device(shape);
    attached_journal    journal{shape};
    ASSERT_TRUE(journal->format(inner, {}));
    for (std::uint64_t i = 1; i <= 3; ++i) { ASSERT_TRUE(commit(inner, journal.journal, small_batch(i, 2000))); }
    std::uint64_t faults = 0;
    for (std::uint64_t nth = 1;; ++nth) {
        faulty_device device{inner};
        device.fail(transfer_kind::read, nth);
        attached_journal                      opened{shape};
        data_on<faulty_device<memory_device>> data{device};
        const auto                            report = opened->recover(device, data, true);
        ASSERT_TRUE(report);
        EXPECT_EQ(report.value().last, sequence{3});
        if (device.failures() == 0) break;
        ++faults;
    }
    EXPECT_GE(faults, 4U);
}

TEST(RingJournalRing, ABatchSaysWhatIsHomeAfterAnAnchorMovedTheTail) {
    const journal_shape shape;
    auto                device = make_device(shape);
    attached_journal    journal{shape};
    ASSERT_TRUE(journal->format(device, {}));
    const auto has_completion = [&](std::uint64_t block) {
        return load_struct<batch_header>(
                   std::span{device.bytes()}.subspan(byte_offset(shape.place().ring.first, shape.size()) + block * 512))
                   .flags == batch_has_completion;
    };
    ASSERT_TRUE(commit(device, journal.journal, small_batch(1)));
    ASSERT_TRUE(journal->anchor(device, {2}, {}));
    ASSERT_TRUE(commit(device, journal.journal, small_batch(2)));
    ASSERT_TRUE(journal->anchor(device, {2}, {}));
    ASSERT_TRUE(commit(device, journal.journal, small_batch(3)));
    EXPECT_FALSE(has_completion(0));
    EXPECT_TRUE(has_completion(1));
    EXPECT_FALSE(has_completion(2)) << "the second anchor moved nothing";
    const auto marker = load_struct<journal_marker>(std::span{device.bytes()}.subspan(
        byte_offset(shape.place().ring.first, shape.size()) + 512 + batch_header_bytes));
    EXPECT_EQ(marker.target, completion_marker_target);
    EXPECT_EQ(marker.sequence, 1U);
}

}  // namespace ring_journal_test
}  // namespace ashlar::test
