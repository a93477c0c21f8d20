#include "journal_fixture.hpp"

#include <ashlar/testing/faulty_device.hpp>
#include <ashlar/testing/power_cut_device.hpp>
#include <ashlar/testing/recording_device.hpp>

#include <algorithm>
#include <cstring>
#include <optional>

namespace ashlar::test {
namespace ring_journal_clean_test {

constexpr std::uint64_t half = std::uint64_t{1} << 63U;

/// A ring that was used, with what its batches said.
struct used_ring {
    journal_shape             shape;
    memory_device             device = make_device(shape);
    attached_journal          journal{shape};
    std::vector<logged_entry> entries{};

    explicit used_ring(journal_shape s = {}) : shape{s} {
        EXPECT_TRUE(journal->format(device, {}));
        go_on(5);
    }
    void go_on(std::uint64_t batches) {
        for (std::uint64_t i = 0; i < batches; ++i) {
            const auto number = journal->next().value;
            EXPECT_TRUE(commit(device, journal.journal, small_batch(number)));
            append_expected(entries, small_batch(number), number);
        }
    }
    void close() {
        EXPECT_TRUE(journal->close(device, {}));
        entries.clear();
    }
    [[nodiscard]] block_bytes image() const { return {device.bytes().begin(), device.bytes().end()}; }
};

std::span<std::byte> frame_of(std::span<std::byte> image, const journal_shape& shape, unsigned copy) {
    const auto place = shape.place();
    const auto first = copy == 0 ? place.anchor_first : place.anchor_second;
    return image.subspan(static_cast<std::size_t>(byte_offset(first, shape.size())), place.frame_bytes);
}
std::optional<anchor_content> anchor_of(std::span<std::byte> image, const journal_shape& shape, unsigned copy) {
    return decode_anchor(frame_of(image, shape, copy), test_volume());
}
bool says_clean(memory_device& device, const journal_shape& shape, unsigned copy) {
    const auto found = anchor_of(device.bytes(), shape, copy);
    return found && found->clean == 1;
}
/// Changes what one copy says, under a right checksum.
template <class Change>
void change_anchor(memory_device& device, const journal_shape& shape, unsigned copy, Change change) {
    auto content = load_struct<anchor_content>(frame_of(device.bytes(), shape, copy));
    change(content);
    encode_anchor(frame_of(device.bytes(), shape, copy), content, test_volume());
}

/// What an open found.
struct opened_ring {
    std::optional<errc>       failure{};
    recovery_report           report{};
    std::vector<logged_entry> entries{};
};
template <BlockDevice D>
opened_ring open_ring(D& device, const journal_shape& shape, bool read_only = false) {
    attached_journal journal{shape};
    data_on<D>       data{device};
    const auto       report = journal->recover(device, data, read_only);
    if (!report) return {report.error().code};
    return {std::nullopt, report.value(), replayed(device, journal.journal)};
}

class CleanRing : public ::testing::TestWithParam<std::uint32_t> {
  protected:
    [[nodiscard]] std::uint64_t ring_bytes(const journal_shape& shape) const { return shape.ring_blocks * GetParam(); }
};
INSTANTIATE_TEST_SUITE_P(BlockSizes, CleanRing, ::testing::Values(512U, 4096U));

TEST_P(CleanRing, OpeningItReadsOneBlockHoweverLongItIs) {
    for (const std::uint64_t blocks : {24U, 400U}) {
        used_ring  ring{{.block_bytes = GetParam(), .ring_blocks = blocks}};
        const auto dirty = open_ring(ring.device, ring.shape, true);
        EXPECT_GE(dirty.report.bytes_read, ring_bytes(ring.shape)) << "every block is looked at";
        EXPECT_EQ(dirty.entries, ring.entries);
        ring.close();
        for (const bool read_only : {true, true, false}) {
            const auto clean = open_ring(ring.device, ring.shape, read_only);
            ASSERT_EQ(clean.failure, std::nullopt);
            EXPECT_TRUE(clean.report.was_clean);
            EXPECT_EQ(clean.report.last, sequence{5});
            EXPECT_EQ(clean.report.bytes_read, GetParam());
            EXPECT_TRUE(clean.entries.empty());
        }
        EXPECT_EQ(open_ring(ring.device, ring.shape).report.bytes_read, ring_bytes(ring.shape))
            << "an open for writing took the word back, and nobody closed";
    }
}

TEST_P(CleanRing, AFormattedOneIsClean) {
    const journal_shape shape{.block_bytes = GetParam()};
    auto                device = make_device(shape);
    attached_journal    journal{shape};
    ASSERT_TRUE(journal->format(device, {}));
    EXPECT_EQ(open_ring(device, shape, true).report.bytes_read, GetParam());
}

TEST(CleanRingWords, AnAnchorOfAnEmptyRingIsNotCleanUntilItIsClosed) {
    used_ring ring;
    ASSERT_TRUE(ring.journal->anchor(ring.device, ring.journal->next(), {}));
    for (const unsigned copy : {0U, 1U}) EXPECT_FALSE(says_clean(ring.device, ring.shape, copy));
    ring.close();
    for (const unsigned copy : {0U, 1U}) EXPECT_TRUE(says_clean(ring.device, ring.shape, copy));
    ASSERT_TRUE(ring.journal->anchor(ring.device, ring.journal->next(), {}));
    for (const unsigned copy : {0U, 1U}) EXPECT_FALSE(says_clean(ring.device, ring.shape, copy));
}

TEST(CleanRingWords, ClosingCostsTwoWritesAndTwoSyncs) {
    used_ring        ring;
    recording_device device{ring.device};
    ASSERT_TRUE(ring.journal->close(device, {}));
    ASSERT_EQ(device.calls().size(), 4U);
    EXPECT_EQ(device.epoch(), 2U);
}

TEST(CleanRingWords, AnOpenForWritingTakesTheWordBackFromBothCopiesAndOneForReadingFromNone) {
    used_ring ring;
    ring.close();
    const auto before = ring.image();
    EXPECT_EQ(open_ring(ring.device, ring.shape, true).failure, std::nullopt);
    EXPECT_EQ(ring.image(), before);
    EXPECT_EQ(open_ring(ring.device, ring.shape).failure, std::nullopt);
    for (const unsigned copy : {0U, 1U}) EXPECT_FALSE(says_clean(ring.device, ring.shape, copy));
}

TEST(CleanRingWords, TheFirstBatchBehindACloseTakesTheWordBackBeforeItsFirstByte) {
    for (const bool formatted : {true, false}) {
        used_ring ring;
        if (formatted) {
            ASSERT_TRUE(ring.journal->format(ring.device, {}));
        } else {
            ring.close();
        }
        const auto before = ring.image();
        for (std::uint64_t nth = 1; nth <= 4; ++nth) {  // its two writes and its two syncs fail, one after the other
            auto memory = make_device(ring.shape);
            std::copy(before.begin(), before.end(), memory.bytes().begin());
            attached_journal again{ring.shape};
            faulty_device    device{memory};
            again.journal = ring.journal.journal;
            ASSERT_TRUE(again->attach(ring.shape.place(), ring.shape.size(), again.memory));
            if (formatted) {
                ASSERT_TRUE(again->format(device, {}));
            } else {
                data_on<faulty_device<memory_device>> data{device};
                ASSERT_TRUE(again->recover(device, data, false));
                ASSERT_TRUE(again->close(device, {}));
            }
            device.fail(nth % 2 == 1 ? transfer_kind::write : transfer_kind::sync, nth <= 2 ? 1 : 2);
            EXPECT_FALSE(again->begin(device, small_batch(1).shape()));
            EXPECT_EQ(device.failures(), 1U) << "call " << nth;
            EXPECT_EQ(again->begin(device, small_batch(1).shape()).error().code, errc::read_only);
        }
        ring.go_on(1);
        for (const unsigned copy : {0U, 1U}) EXPECT_FALSE(says_clean(ring.device, ring.shape, copy));
        EXPECT_EQ(open_ring(ring.device, ring.shape).report.last, ring.journal->last());
        recording_device counted{ring.device};
        ASSERT_TRUE(commit(counted, ring.journal.journal, small_batch(9)));
        EXPECT_EQ(counted.calls().size(), 2U) << "later ones are a write and a sync";
    }
}

TEST(CleanRingWords, WhereABatchStandsBehindACleanAnchorAllOfTheRingIsLookedAt) {
    used_ring ring;
    ring.close();
    const auto closed = ring.image();
    ring.go_on(4);
    // Both copies are what they were at the close: the device lost what took their word back.
    for (const unsigned copy : {0U, 1U}) {
        auto old = closed;
        std::memcpy(frame_of(ring.device.bytes(), ring.shape, copy).data(), frame_of(old, ring.shape, copy).data(),
                    ring.shape.frame());
    }
    const auto whole = ring.image();
    const auto found = open_ring(ring.device, ring.shape);
    ASSERT_EQ(found.failure, std::nullopt);
    EXPECT_EQ(found.report.last, sequence{9});
    EXPECT_EQ(found.entries, ring.entries);

    // Its first batch is not whole, but its header is, and later ones know that it was acknowledged.
    std::copy(whole.begin(), whole.end(), ring.device.bytes().begin());
    const auto first = ring.shape.place().ring.first + block_count{5};
    ring.device.bytes()[byte_offset(first, ring.shape.size()) + 200] ^= std::byte{1};
    EXPECT_EQ(open_ring(ring.device, ring.shape).failure, errc::damaged);
}

TEST(CleanRingWords, ABatchOfALaterEpochThanBothAnchorsIsNotLostInSilence) {
    struct variant {
        bool          closed;
        std::uint64_t torn;  // So many of its first batches have no header any more.
    };
    for (const auto& [closed, torn] : {variant{true, 0}, variant{false, 0}, variant{false, 1}, variant{false, 3}}) {
        used_ring ring;
        if (closed) ring.close();
        const auto             before = ring.image();
        data_on<memory_device> data{ring.device};
        ASSERT_TRUE(ring.journal->recover(ring.device, data, false));
        ring.go_on(4);
        ASSERT_EQ(open_ring(ring.device, ring.shape, true).report.last, sequence{9});
        // Both anchors of the open are lost, and its epoch with them; its batches are not.
        for (const unsigned copy : {0U, 1U}) {
            auto old = before;
            std::memcpy(frame_of(ring.device.bytes(), ring.shape, copy).data(), frame_of(old, ring.shape, copy).data(),
                        ring.shape.frame());
        }
        const auto first = ring.shape.place().ring.first + block_count{5};
        for (std::uint64_t i = 0; i < torn; ++i)
            ring.device.bytes()[byte_offset(first + block_count{i}, ring.shape.size()) + 20] ^= std::byte{1};
        const auto image = ring.image();
        EXPECT_EQ(open_ring(ring.device, ring.shape).failure, errc::damaged) << closed << torn;
        EXPECT_EQ(ring.image(), image) << "and nothing is written";
        attached_journal journal{ring.shape};
        const auto       refused = journal->recover(ring.device, data, true);
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, errc::damaged);
        EXPECT_EQ(refused.error().where, first + block_count{torn});
        EXPECT_EQ(journal->last(), sequence{5}) << "for reading there is what stands before it";
    }
}

TEST(CleanRingWords, OneCopyThatIsDamagedOrUnreadableChangesNothing) {
    for (const unsigned copy : {0U, 1U}) {
        used_ring ring;
        ring.close();
        frame_of(ring.device.bytes(), ring.shape, copy)[104] ^= std::byte{1};
        const auto found = open_ring(ring.device, ring.shape);
        ASSERT_EQ(found.failure, std::nullopt);
        EXPECT_EQ(found.report.last, sequence{5});
        EXPECT_TRUE(found.report.was_clean);
        EXPECT_EQ(found.report.bytes_read, 512U);
    }
    used_ring ring;
    ring.close();
    for (const unsigned copy : {0U, 1U}) frame_of(ring.device.bytes(), ring.shape, copy)[104] ^= std::byte{1};
    EXPECT_EQ(open_ring(ring.device, ring.shape).failure, errc::damaged);
}

/// A device loses the write of one copy, in silence: at the close, at the open behind it, or in the life that follows.
TEST(CleanRingWords, ALostWriteOfOneCopyLosesNoAcknowledgedBatch) {
    for (const unsigned copy : {0U, 1U}) {
        used_ring  ring;
        const auto open = ring.image();
        ring.close();
        const auto closed = ring.image();
        const auto lose   = [&](const block_bytes& to) {
            auto old = to;
            std::memcpy(frame_of(ring.device.bytes(), ring.shape, copy).data(), frame_of(old, ring.shape, copy).data(),
                          ring.shape.frame());
        };
        lose(open);
        EXPECT_EQ(open_ring(ring.device, ring.shape, true).report.last, sequence{5}) << "lost at the close";

        std::copy(closed.begin(), closed.end(), ring.device.bytes().begin());
        data_on<memory_device> data{ring.device};
        ASSERT_TRUE(ring.journal->recover(ring.device, data, false));
        lose(closed);
        ring.go_on(3);
        const auto found = open_ring(ring.device, ring.shape, true);
        ASSERT_EQ(found.failure, std::nullopt);
        EXPECT_EQ(found.report.last, sequence{8}) << "lost at the open: copy " << copy;
        EXPECT_EQ(found.entries, ring.entries);
        EXPECT_GE(found.report.bytes_read, ring.shape.ring_blocks * 512);
    }
}

TEST(CleanRingWords, WhatAnOlderBuildWroteIsLookedAtAsAWhole) {
    used_ring ring;
    ring.close();
    for (const unsigned copy : {0U, 1U})
        change_anchor(ring.device, ring.shape, copy, [](anchor_content& one) { one.clean = 0U; });
    const auto found = open_ring(ring.device, ring.shape);
    ASSERT_EQ(found.failure, std::nullopt);
    EXPECT_TRUE(found.report.was_clean);
    EXPECT_EQ(found.report.bytes_read, ring.shape.ring_blocks * 512);
}

TEST(CleanRingWords, AWordThatIsUnknownOrContradictedMakesACopyInvalid) {
    const auto refused = [](auto change) {
        used_ring ring;
        ring.close();
        for (const unsigned copy : {0U, 1U}) change_anchor(ring.device, ring.shape, copy, change);
        return open_ring(ring.device, ring.shape).failure == errc::damaged;
    };
    EXPECT_FALSE(refused([](anchor_content&) {}));
    EXPECT_TRUE(refused([](anchor_content& one) { one.clean = 2U; }));
    EXPECT_TRUE(refused([](anchor_content& one) { one.clean = 0x8000'0001U; }));
    EXPECT_TRUE(refused([](anchor_content& one) { one.tail = one.tail - 1; })) << "it needs a batch, and has none";
    EXPECT_TRUE(refused([](anchor_content& one) { one.confirmed = half - 2; }));
}

TEST(CleanRingWords, ACutWhileItIsClosedFindsTheBatchesOrNothingToDo) {
    const journal_shape shape;
    auto                inner = make_device(shape);
    auto                after = make_device(shape);
    power_cut_device    device{inner};
    std::uint64_t       states = 0, clean = 0;
    for (std::uint64_t write = 1;; ++write) {
        device.reset();
        attached_journal journal{shape};
        ASSERT_TRUE(journal->format(device, {}));
        for (std::uint64_t i = 1; i <= 3; ++i) ASSERT_TRUE(commit(device, journal.journal, small_batch(i)));
        device.cut_after(write);
        const bool                closed = journal->close(device, {}).has_value();
        std::vector<crash_choice> choices{{unsynced::none}, {unsynced::all}};
        for (std::uint64_t s = 1; s < device.sectors_of_last(); ++s) {
            choices.push_back({unsynced::tear_last, s});
            choices.push_back({unsynced::tear_last_tail, s});
        }
        for (const auto choice : choices) {
            device.crash_image(choice, after.bytes());
            const auto found = open_ring(after, shape);
            ASSERT_EQ(found.failure, std::nullopt);
            EXPECT_EQ(found.report.last, sequence{3});
            EXPECT_EQ(found.entries.size(), found.report.was_clean ? 0U : 6U);
            clean += found.report.bytes_read == 512 ? 1 : 0;
            EXPECT_EQ(open_ring(after, shape).report.last, sequence{3}) << "opened twice";
            ++states;
        }
        if (closed) break;
        ASSERT_LT(write, 10U);
    }
    EXPECT_GT(clean, 0U);
    EXPECT_GT(states - clean, 2U);
}

TEST(CleanRingWords, AFailedWriteOrSyncWhileItIsClosedEndsWritingAndLosesNothing) {
    for (const auto kind : {transfer_kind::write, transfer_kind::sync}) {
        for (const std::uint64_t nth : {1U, 2U}) {
            for (const auto leave : {failed_write::left_nothing, failed_write::wrote_all}) {
                used_ring     ring;
                faulty_device device{ring.device};
                device.fail(kind, nth);
                device.failing_writes(leave);
                EXPECT_FALSE(ring.journal->close(device, {}));
                EXPECT_EQ(ring.journal->begin(device, small_batch(1).shape()).error().code, errc::read_only);
                EXPECT_EQ(ring.journal->close(device, {}).error().code, errc::read_only);
                const auto found = open_ring(ring.device, ring.shape);
                ASSERT_EQ(found.failure, std::nullopt);
                EXPECT_EQ(found.report.last, sequence{5});
                if (!found.report.was_clean) { EXPECT_EQ(found.entries, ring.entries); }
            }
        }
    }
}

TEST(CleanRingWords, ABlockThatCannotBeReadWhereTheNextBatchBelongsRefusesToOpen) {
    used_ring ring;
    ring.close();
    faulty_device device{ring.device};
    device.fail(transfer_kind::read, 3, fault_lasts::for_good);  // behind both copies of the anchor
    EXPECT_EQ(open_ring(device, ring.shape).failure, errc::device_failed);
}

}  // namespace ring_journal_clean_test
}  // namespace ashlar::test
