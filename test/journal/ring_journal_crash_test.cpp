#include "journal_fixture.hpp"

#include <ashlar/testing/power_cut_device.hpp>
#include <ashlar/testing/random_bits.hpp>

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace ashlar::test {
namespace ring_journal_crash_test {

using cut_device = power_cut_device<memory_device>;

/// What a run did until the power went: all that recovery may and must find.
struct world {
    std::vector<planned_batch> issued;  // Batch n is number n - 1.
    std::uint64_t              acknowledged = 0;
    std::uint64_t              tail_wanted  = 1;  // Of the last anchor that was tried.
    std::uint64_t              anchors      = 0;
    std::uint64_t              blocks       = 0;  // Taken from the ring in all.
};

planned_batch random_batch(random_bits& random, const journal_shape& shape, std::uint64_t number) {
    planned_batch batch;
    const auto    entries = 1 + random.next() % 4;
    for (std::uint64_t i = 0; i < entries; ++i) {
        const auto bytes = random.next() % 5 == 0 ? 600 : random.next() % 120;
        batch.entries.push_back({0, random.next() % 5000, static_cast<std::uint32_t>(random.next() % 400),
                                 pattern(bytes, number * 100 + i)});
    }
    // A data block comes back only after eight batches: the one that used it before is confirmed by then.
    for (std::uint64_t i = 0; i < random.next() % 3; ++i) {
        const auto block = shape.data_first().value + (number % 8) * 2 + i;
        batch.data.emplace_back(block, pattern(shape.block_bytes, number * 100 + 50 + i));
    }
    return batch;
}

/// Commits random batches and anchors whenever the ring is short, as a store does; ends early when the device fails.
template <BlockDevice D>
result<> run_scenario(D& device, ring_journal& journal, const journal_shape& shape, std::uint64_t batches,
                      world& seen) {
    random_bits random{42};
    for (std::uint64_t i = 0; i < batches; ++i) {
        const auto number = journal.next().value;
        auto       batch  = random_batch(random, shape, number);
        while (journal.blocks_needed(batch.shape()) > journal.room() || random.next() % 16 == 0) {
            const auto keep  = random.next() % 3;  // The newest batches are not home yet.
            seen.tail_wanted = std::max(seen.tail_wanted, number > keep ? number - keep : 1);
            BOOST_OUTCOME_TRY(journal.anchor(device, {seen.tail_wanted}, {.free_blocks = number, .modified = 0}));
            ++seen.anchors;
        }
        if (random.next() % 24 == 0) {  // Everything is home, and it goes on all the same.
            seen.tail_wanted = number;
            BOOST_OUTCOME_TRY(journal.close(device, {.free_blocks = number, .modified = 0}));
        }
        seen.blocks += journal.blocks_needed(batch.shape()).value;
        seen.issued.resize(number - 1);
        seen.issued.push_back(batch);
        BOOST_OUTCOME_TRY(commit(device, journal, batch));
        seen.acknowledged = number;
    }
    return success();
}

struct outcome_seen {
    recovery_report           report;
    std::vector<logged_entry> entries;
};

/// Recovers and checks the outcome against the world.
template <BlockDevice D>
outcome_seen recover_and_check(D& device, attached_journal& journal, const world& seen) {
    data_on<D> data{device};
    const auto report = journal->recover(device, data, false);
    EXPECT_TRUE(report) << "error " << static_cast<int>(report.has_value() ? 0 : static_cast<int>(report.error().code));
    if (!report) return {};
    const auto first = report.value().first.value;
    const auto last  = report.value().last.value;
    EXPECT_GE(last, seen.acknowledged) << "what was acknowledged stays";
    EXPECT_LE(last, seen.issued.size()) << "what was never written does not appear";
    EXPECT_LE(first, seen.tail_wanted) << "what is not home stays";
    EXPECT_LE(report.value().confirmed.value, seen.acknowledged) << "nothing is confirmed before it is acknowledged";
    std::vector<logged_entry> expected;
    for (auto n = first; n <= last; ++n) append_expected(expected, seen.issued[n - 1], n);
    auto entries = replayed(device, journal.journal);
    EXPECT_EQ(entries, expected);
    for (auto n = std::max<std::uint64_t>(report.value().confirmed.value + 1, 1); n <= last; ++n) {
        for (const auto& [block, bytes] : seen.issued[n - 1].data) {
            block_bytes found(bytes.size());
            EXPECT_TRUE(device.read({{block}, {1}}, found));
            EXPECT_EQ(found, bytes) << "an accepted batch has its data";
        }
    }
    return {report.value(), std::move(entries)};
}

std::vector<crash_choice> choices_for(const cut_device& device, bool all) {
    std::vector<crash_choice> choices{{unsynced::none}, {unsynced::all}};
    for (std::uint64_t i = 0; i < device.operations_unsynced() && all; ++i) {
        choices.push_back({unsynced::drop_one, i});
        choices.push_back({unsynced::keep_one, i});
    }
    const auto sectors = device.sectors_of_last();
    for (std::uint64_t s = 1; s < sectors; ++s) {
        if (!all && s != sectors / 2) continue;
        choices.push_back({unsynced::tear_last, s});
        choices.push_back({unsynced::tear_last_tail, s});
    }
    for (std::uint64_t seed = 1; seed <= (all ? 4U : 1U); ++seed) choices.push_back({unsynced::some_sectors, 0, seed});
    return choices;
}

/// Cuts the recovery of `image` at each of its writes; each time the next recovery must come to the same end.
std::uint64_t cut_recovery_everywhere(std::span<const std::byte> image, const journal_shape& shape, const world& seen,
                                      const outcome_seen& wanted, cut_device& device, memory_device& again) {
    std::uint64_t states = 0;
    device.set_base(image);
    for (std::uint64_t write = 1;; ++write) {
        device.reset();
        device.cut_after(write);
        attached_journal    journal{shape};
        data_on<cut_device> data{device};
        if (journal->recover(device, data, false)) return states;
        for (const auto choice : choices_for(device, false)) {
            device.crash_image(choice, again.bytes());
            attached_journal second{shape};
            const auto       found = recover_and_check(again, second, seen);
            EXPECT_EQ(found.report.last, wanted.report.last) << "write " << write << " of recovery";
            EXPECT_EQ(found.entries, wanted.entries);
            ++states;
        }
        if (::testing::Test::HasFailure()) return states;
    }
}

class RingJournalCrash : public ::testing::TestWithParam<std::uint32_t> {};
INSTANTIATE_TEST_SUITE_P(BlockSizes, RingJournalCrash, ::testing::Values(512U, 4096U));

TEST_P(RingJournalCrash, EveryCutAtEveryWriteKeepsAcknowledgedHistoryAlsoWhenRecoveryIsCut) {
    const journal_shape shape{.block_bytes = GetParam(), .ring_blocks = 24, .data_blocks = 16, .memory = 0};
    const std::uint64_t batches = 120;

    memory_device inner = make_device(shape);
    {
        attached_journal formatted{shape};
        ASSERT_TRUE(formatted->format(inner, {}));
    }
    memory_device recovered = make_device(shape);
    memory_device nested    = make_device(shape);
    memory_device third     = make_device(shape);
    cut_device    device{inner};
    cut_device    recovering{nested};
    std::uint64_t states = 0, nested_states = 0;
    block_bytes   image(recovered.bytes().size());
    for (std::uint64_t write = 1;; ++write) {
        device.reset();
        world               seen;
        attached_journal    journal{shape};
        data_on<cut_device> data{device};
        ASSERT_TRUE(journal->recover(device, data, false));
        device.cut_after(write);
        if (run_scenario(device, journal.journal, shape, batches, seen)) {
            ASSERT_GE(write, 200U) << "the scenario is long enough to mean something";
            ASSERT_GE(seen.anchors, 10U);
            ASSERT_GE(seen.blocks, 5 * shape.ring_blocks) << "and goes round the ring several times";
            break;
        }
        const auto choices = choices_for(device, true);
        for (std::size_t i = 0; i < choices.size(); ++i) {
            device.crash_image(choices[i], image);
            std::memcpy(recovered.bytes().data(), image.data(), image.size());
            attached_journal after{shape};
            const auto       found = recover_and_check(recovered, after, seen);
            ++states;

            // What a recovery decided is as good as acknowledged: for a recovery after it, and for the life that goes
            // on.
            world more = seen;
            more.issued.resize(found.report.last.value);
            more.acknowledged = found.report.last.value;
            if (i % 3 == write % 3)
                nested_states += cut_recovery_everywhere(image, shape, more, found, recovering, third);
            ASSERT_TRUE(run_scenario(recovered, after.journal, shape, 3, more));
            attached_journal last{shape};
            recover_and_check(recovered, last, more);
            ASSERT_FALSE(HasFailure()) << "cut after write " << write << ", choice " << i;
        }
    }
    std::printf("crash states: %llu, cut recoveries: %llu\n", static_cast<unsigned long long>(states),
                static_cast<unsigned long long>(nested_states));
}

TEST(RingJournalFormat, FormattingAgainUnderTheSameIdLeavesNoHistory) {
    const journal_shape shape;
    memory_device       inner = make_device(shape);
    {
        attached_journal old{shape};
        ASSERT_TRUE(old->format(inner, {}));
        for (std::uint64_t i = 1; i <= 4; ++i) ASSERT_TRUE(commit(inner, old.journal, small_batch(i)));
    }
    attached_journal again{shape};
    ASSERT_TRUE(again->format(inner, {}));
    attached_journal       opened{shape};
    data_on<memory_device> data{inner};
    const auto             report = opened->recover(inner, data, false);
    ASSERT_TRUE(report);
    EXPECT_TRUE(report.value().was_clean);
    EXPECT_TRUE(replayed(inner, opened.journal).empty()) << "the same id and the same places, but no history";
}

}  // namespace ring_journal_crash_test
}  // namespace ashlar::test
