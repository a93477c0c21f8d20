#include "journal_fixture.hpp"

#include <ashlar/journal/no_journal.hpp>

namespace ashlar::test {
namespace {

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

}  // namespace
}  // namespace ashlar::test
