// A migration with changes in between, cut at every write and sector; then it goes on, or back, and nothing is lost.

#include "../counts.hpp"
#include "records_fixture.hpp"

#include <ashlar/testing/crash_recorder.hpp>
#include <ashlar/testing/crash_states.hpp>

namespace ashlar::test {
namespace migration_crash_test {

crash_setup<test_store> setup_of(std::uint32_t record_bytes) {
    crash_setup<test_store> setup;
    setup.blocks                = {1100};
    setup.format.volume         = {std::byte{7}};
    setup.format.journal_blocks = {96};
    setup.format.record_bytes   = record_bytes;
    setup.store                 = with<test_store>();
    return setup;
}

/// Opens a state, compares it with the history and both tables with each other; then ends or undoes what is under way.
class migration_judge {
  public:
    explicit migration_judge(const crash_recording& recording, record_target target)
        : recording_{recording}, target_{target} {}

    std::string examine(std::span<std::byte> image, std::size_t calls, std::uint64_t number) {
        auto lent   = memory_device::lend(image, {512}).value();
        auto opened = test_store::open(any_device{lent}, with<test_store>());
        if (!opened) return "it does not open: " + said(opened);
        auto&      live  = opened.value();
        const auto found = digest_on(live);
        if (!found) return "it cannot be read: " + said(found);
        if (auto wrong = recording_.history.objection(calls, found.value()); !wrong.empty()) return wrong;
        if (auto wrong = difference_of_tables(live); !wrong.empty()) return wrong;
        if (auto wrong = findings_of(live); !wrong.empty()) return wrong;
        ++seen_[static_cast<std::size_t>(live.volume().migration.phase)];
        if (auto wrong = end(live, number); !wrong.empty()) return wrong;
        static_cast<void>(live.abandon());
        return {};
    }

    std::uint64_t seen_[6]{};  ///< States by the phase in which they were found.

  private:
    std::string end(test_store& live, std::uint64_t number) {
        const bool       had = live.volume().migration.phase != migration_phase::none;
        record_migration task{live};
        if (number % 3 == 0) {
            task.cancel();
        } else if (!had) {
            task.start(target_);
        }
        if (number % 3 == 1) {  // changes of the foreground before it goes on
            static_cast<void>(task.step({.blocks_max = 1, .candidates_max = 2}));
            const auto made = live.create();
            if (!made) return "create: " + said(made);
            const auto done = live.append(live.root(), pattern(90, number));
            if (!done) return "append: " + said(done);
            if (auto wrong = difference_of_tables(live); !wrong.empty()) return "afterwards, " + wrong;
        }
        const auto before = digest_on(live);
        const auto said   = run_to_end(task);
        if (said.failure.code != errc::none) return std::string{"it does not end: "} + message(said.failure.code);
        if (!said.reasons.has(stop_reason::finished) && !said.reasons.has(stop_reason::cancelled)) return "it hangs";
        const auto after = digest_on(live);
        if (!before || !after || before.value() != after.value()) return "the end of it changed an object";
        if (had && task.last_result().finished && !task.last_result().resumed) return "it does not say resumed";
        if (live.volume().migration.phase != migration_phase::none || superblock_as_is(live.volume()).migrating ||
            count_regions(live, tag::next_objects) + count_regions(live, tag::old_objects) != 0)
            return "something is left of it";
        return findings_of(live);
    }

    const crash_recording& recording_;
    record_target          target_;
};

/// Steps, with changes of records on both sides of the cursor in between.
void migrate_in_use(crash_recorder<test_store>& recorder, record_target target, bool cancels) {
    auto&            live = recorder.store();
    record_migration task{live};
    task.start(target);
    std::vector<object_id> ids;
    for (const auto& [id, bytes] : recorder.model().state()) ids.push_back({id});
    for (std::uint64_t i = 0; i < 400; ++i) {
        const auto said = task.step({.blocks_max = 1, .candidates_max = 1});
        if (said.reasons != stop_reason::budget_spent) {
            EXPECT_TRUE(said.reasons.has(cancels ? stop_reason::cancelled : stop_reason::finished));
            EXPECT_EQ(said.failure.code, errc::none);
            break;
        }
        if (cancels && said.done > 36) task.cancel();
        EXPECT_EQ(difference_of_tables(live), "");
        if (i % 2 == 0) recorder.append(ids[i * 5 % ids.size()], pattern(40, i));
        if (i % 5 == 1) recorder.create();
        if (i % 7 == 3) {
            const auto gone = ids[1 + i % (ids.size() - 1)];
            recorder.erase(gone);
            ids.erase(std::find(ids.begin(), ids.end(), gone));
        }
        if (i % 4 == 2) {
            recorder.transaction([&](auto& changes) {
                changes.append(ids[i * 3 % ids.size()], pattern(25, i));
                changes.append(ids[(i * 3 + 1) % ids.size()], pattern(25, i + 1));
                if (i % 8 == 2) changes.create();
            });
        }
        if (i % 6 == 4) recorder.sync();
        if (i % 11 == 10) recorder.checkpoint();
    }
    recorder.append(recorder.root(), pattern(30, 1));
    recorder.sync();
    expect_no_traces(live);
}

void prove(std::uint32_t from, record_target target, bool cancels) {
    const auto                 setup = setup_of(from);
    crash_recorder<test_store> recorder{setup};
    ASSERT_TRUE(recorder.is_open());
    for (std::uint64_t i = 0; i < 40; ++i) {
        const auto made = recorder.create();
        if (i % 2 == 0) recorder.append(made.made, pattern(50, i));
    }
    recorder.sync();
    recorder.checkpoint();
    recorder.begin();
    migrate_in_use(recorder, target, cancels);
    const auto recording = recorder.finish();
    for (const auto& one : recording.findings) ADD_FAILURE() << one;
    migration_judge judge{recording, target};
    std::uint64_t   findings = 0;
    std::uint64_t   number   = 0;
    const auto      states =
        crash_states(recording.calls, recording.base, {512}, {.random_max = 1, .single_max = 4, .tears_max = 4},
                     [&](const crash_point& at, std::span<std::byte> image) {
                         const auto wrong = judge.examine(image, at.calls, ++number);
                         if (wrong.empty()) return true;
                         ADD_FAILURE() << wrong << "\n  cut after call " << at.calls << " of " << recording.calls.size()
                                       << ", " << text_of(at.choice);
                         return ++findings < 3;
                     });
    EXPECT_GT(states, 500U);
    EXPECT_GT(judge.seen_[static_cast<std::size_t>(migration_phase::copying)], 20U);
    EXPECT_GT(
        judge.seen_[static_cast<std::size_t>(cancels ? migration_phase::rolling_back : migration_phase::complete)], 1U);
    count("crash states of record migrations", states);
}

TEST(MigrationCrash, WiderRecordsLoseNothingWhereverTheyAreCut) { prove(136, {.record_bytes = 200}, false); }
TEST(MigrationCrash, NarrowerRecordsLoseNothingWhereverTheyAreCut) { prove(216, {.record_bytes = 208}, false); }
TEST(MigrationCrash, ACancelledMigrationLosesNothingWhereverItIsCut) {
    prove(136, {.record_bytes = 160, .inline_extents = 3}, true);
}

}  // namespace migration_crash_test
}  // namespace ashlar::test
