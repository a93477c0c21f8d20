#include "crash_scenarios.hpp"

namespace ashlar::test {
namespace store_cut_test {

// The list of scenarios.
// ------------------------------------------------------------------------------------------------------------

/// Every state of a scenario, and of some of them every state that a cut in their recovery leaves, twice over.
crash_plan ordinary_plan(std::uint64_t seed) {
    return {.effort                   = {.random_max = 2, .single_max = 8, .tears_max = 16, .seed = seed},
            .states                   = part_of_states(),
            .recoveries               = {.one_in = 40, .seed = seed},
            .recoveries_of_recoveries = {.one_in = 20, .seed = seed}};
}

/// Cuts scenarios of the list, each with as many seeds as the run is scaled to.
void cut(std::initializer_list<std::string_view> names) {
    for (const auto name : names) {
        const auto& list = crash_scenarios();
        const auto  one  = std::find_if(list.begin(), list.end(), [&](const auto& each) { return each.name == name; });
        ASSERT_NE(one, list.end()) << name;
        for (std::uint64_t seed = 1; seed <= scaled(3) && !testing::Test::HasFailure(); ++seed) {
            const auto report = cut_scenario(*one, seed, ordinary_plan(seed));
            expect_whole(one->name, report);
            EXPECT_GE(report.writes, 30U) << name << " does too little";
        }
    }
}

TEST(StoreCut, C2CommitKeepsAcknowledgedWorkAtEachWriteAndSector) { cut({"commit", "transactions", "small cache"}); }
TEST(StoreCut, C2CommitKeepsAcknowledgedWorkOnBlocksOf4096) { cut({"commit, blocks of 4096"}); }
TEST(StoreCut, C2CommitKeepsAcknowledgedWorkOnAFullVolume) { cut({"full volume"}); }
TEST(StoreCut, C2CommitKeepsAcknowledgedWorkInSeveralGroups) { cut({"several groups"}); }
TEST(StoreCut, C2LargeWritesAreThereWithTheirData) { cut({"large writes"}); }
TEST(StoreCut, C2ReservedAndPinnedExtentsKeepTheirPromises) { cut({"reserve and pin"}); }
TEST(StoreCut, C3CheckpointIsWholeAtEachWriteAndSector) { cut({"checkpoint"}); }
TEST(StoreCut, C4CloseAndOpenAreWholeAtEachWriteAndSector) { cut({"close and open"}); }
TEST(StoreCut, C5RecoveryMayBeCutAtEachWriteAndRunsAgain) { cut({"kill and recover"}); }
TEST(StoreCut, C9TrimmedBlocksAreFreeAndStayFree) { cut({"trim"}); }
TEST(StoreCut, EverythingAtOnceKeepsItsPromises) { cut({"everything at once"}); }
TEST(StoreLifecycle, C2TheObjectTableGrowsWholeOrNotAtAll) { cut({"growing table"}); }
TEST(StoreLifecycle, C6EraseAndTruncateInStepsResumeAfterACut) { cut({"erase in steps"}); }
TEST(StoreLifecycle, C8EachExtentOfAMoveIsReadableAtItsOldOrItsNewPlace) { cut({"move"}); }
TEST(StoreLifecycle, C8AMoveOfWhatChangesMeanwhileLosesNothing) { cut({"move what changes"}); }

// All sequences.
// ------------------------------------------------------------------------------------------------------------

void cut_pairs(bool syncs) {
    const auto                setup = sequence_setup();
    const crash_plan          plan{.effort                   = {},
                                   .states                   = part_of_states(),
                                   .recoveries               = {.one_in = 400},
                                   .recoveries_of_recoveries = {.one_in = 60}};
    crash_cutter<crash_store> cutter{setup, plan};
    crash_report              sum;
    const operation_sequences all{2};
    for (std::uint64_t i = 0; i < all.size() && !testing::Test::HasFailure(); ++i) {
        const auto report = cut_sequence(setup, cutter, all[i], syncs);
        for (const auto& one : report.findings) ADD_FAILURE() << text_of(all[i]) << ": " << one;
        sum.add(report);
    }
    sum.findings.clear();
    expect_whole(syncs ? "pairs, each made durable" : "pairs", sum);
    count("operation sequences", all.size());
}

TEST(StoreSequences, EveryPairOfOperationsIsWholeAtEachCut) { cut_pairs(false); }
TEST(StoreSequences, EveryPairOfOperationsWithSyncsBetweenIsWholeAtEachCut) { cut_pairs(true); }

// C1: format.
// ------------------------------------------------------------------------------------------------------------

constexpr crash_effort format_effort{.random_max = 2, .single_max = 8, .tears_max = 16, .seed = 9};

/// What stands where a format was cut: the old volume, the new one or none; and formatting again works.
std::string judge_format(any_device device, const format_options& options, const std::optional<model_state>& old,
                         bool finished, std::uint64_t (&seen)[3]) {
    std::string problem;
    auto        opened = crash_store::open(device, with<crash_store>());
    if (opened) {
        auto&      live   = opened.value();
        const bool is_new = live.info().volume == options.volume;
        if (!is_new && !old) return "a volume from nowhere";
        problem = is_new ? difference(live, {{live.root().value, {}}}) : difference(live, *old);
        if (problem.empty()) problem = findings_of(live);
        ++seen[is_new ? 1 : 0];
        static_cast<void>(live.abandon());
    } else {
        ++seen[2];
        if (finished) problem = "a finished format does not open: " + said(opened);
    }
    if (!problem.empty()) return problem;
    if (const auto again = crash_store::format(device, options); !again) return "format again: " + said(again);
    auto fresh = crash_store::open(device, with<crash_store>());
    return fresh ? std::string{} : "open after formatting again: " + said(fresh);
}

/// Cuts a format of `memory` everywhere. `old` is what the volume held before, if it was one.
void cut_format(memory_device& memory, const volume_shape& shape, const std::optional<model_state>& old) {
    const byte_vector base(memory.bytes().begin(), memory.bytes().end());
    recording_device  device{memory};
    any_device        ref{device};
    auto              options = shape.format(2);
    options.overwrite         = true;
    ASHLAR_ASSERT_OK(crash_store::format(ref, options));
    int           failures = 0;
    std::uint64_t seen[3]{}, states = 0, number = 0;
    crash_states(device.calls(), base, {shape.block_bytes}, format_effort,
                 [&](const crash_point& at, std::span<std::byte> image) {
                     if (!part_of_states().takes(++number)) return true;
                     auto       lent     = memory_device::lend(image, {shape.block_bytes});
                     const bool finished = at.calls == device.calls().size() && at.choice.keep == unsynced::all;
                     const auto problem  = judge_format(any_device{lent.value()}, options, old, finished, seen);
                     ++states;
                     if (problem.empty()) return true;
                     ADD_FAILURE() << problem << "; cut after call " << at.calls << " of " << device.calls().size()
                                   << ", left is " << text_of(at.choice);
                     return ++failures < 3;
                 });
    if (states == number) {  // and not a part of them alone
        EXPECT_EQ(seen[0] > 0, old.has_value());
        EXPECT_GT(seen[1], 0U);
        EXPECT_GT(seen[2], 0U);
    }
    count("crash states", states);
}

TEST(StoreLifecycle, C1FormatLeavesAVolumeOrNone) {
    for (const std::uint32_t block : {512U, 4096U}) {
        const volume_shape shape{.block_bytes = block, .blocks = 700, .journal_blocks = 64};
        auto               memory = make_memory(shape);
        cut_format(memory, shape, std::nullopt);
        random_bits{4}.fill(memory.bytes());
        cut_format(memory, shape, std::nullopt);
    }
}

TEST(StoreLifecycle, C1FormatOverAVolumeLeavesTheOldOneANewOneOrNone) {
    const volume_shape shape{.blocks = 1200, .journal_blocks = 64};
    auto               memory = make_memory(shape);
    format_on<crash_store>(memory, shape);
    auto                  live = opened_on<crash_store>(memory);
    scenario<crash_store> runs{3, live.root()};
    for (int i = 0; i < 60; ++i) ASSERT_EQ(runs.step(live).why.code, errc::none);
    ASHLAR_ASSERT_OK(live.sync());
    static_cast<void>(live.abandon());
    cut_format(memory, shape, runs.state());
}

}  // namespace store_cut_test
}  // namespace ashlar::test
