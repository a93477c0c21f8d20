// The power goes at every write and sector of an evacuation; a new one goes on with what is left.

#include "../counts.hpp"
#include "evacuate_fixture.hpp"

#include <ashlar/testing/crash_proof.hpp>

namespace ashlar::test {
namespace evacuate_crash_test {

using recorder = crash_recorder<test_store>;
using one_task = evacuation<test_blueprint<>>;

constexpr std::uint64_t data_end = 900;

crash_setup<test_store> setup() {
    const volume_shape      shape{.block_bytes = 512, .blocks = 1400, .journal_blocks = 96};
    crash_setup<test_store> made;
    made.blocks = {shape.blocks};
    made.format = shape.format();
    made.store  = with<test_store>();
    return made;
}

extent range_of(test_store& store) {
    std::uint64_t begin = 0;
    store_regions regions{store};
    for (std::uint32_t i = 0; i < regions.count(); ++i) {
        const auto one = regions.at(i).value();
        if (one.engine) begin = std::max(begin, one.place.end().value);
    }
    return {{begin + 7}, {data_end - begin - 7}};
}

/// Objects with trees and a region, most of them in the range.
void fill(recorder& run) {
    fill_by_turns(run.store(), run.model(), 4, 26, 512);
    const auto range = range_of(run.store());
    ASHLAR_ASSERT_OK(store_regions{run.store()}.add({logs, block_count{40}, range.first + block_count{100}}));
    run.checkpoint();
    run.begin();
}

void evacuate(recorder& run, step_budget budget, std::uint64_t seed) {
    {
        const auto range = range_of(run.store());
        auto       task  = one_task::open(run.store(), small_moves<test_blueprint<>>()).value();
        ASHLAR_ASSERT_OK(task.start(range));
        random_operations<test_store> users{seed, {.create = 1, .erase = 1, .size_max = 40'000}};
        while (task.running()) {
            const auto said = task.step(budget);
            run.must(
                run.model().unchanged("a step", said.failure.code == errc::none ? result<>{success()} : said.failure));
            if (seed != 0) run.note(users.step(run.store(), run.model()));
        }
        if (!task.last_result().emptied) run.report("it was not emptied");
        if (task.last_result().nodes == 0 || task.last_result().regions != 1) run.report("not all kinds moved");
    }
    run.sync();
}

void expect_proved(const crash_report& report, std::uint64_t states_min) {
    for (const auto& one : report.findings) ADD_FAILURE() << one;
    EXPECT_GT(report.states, states_min);
    count("crash states of evacuations", report.states + report.states_1);
}

TEST(EvacuateCrash, EverythingIsWholeAtItsOldOrNewPlaceWhereverItIsCut) {
    const auto report = prove_crash_safety(
        setup(),
        [](recorder& run) {
            fill(run);
            evacuate(run, {.blocks_max = 40, .candidates_max = 8}, 0);
        },
        {.effort = {.random_max = 2, .single_max = 8, .tears_max = 8}, .recoveries = {.one_in = 40}});
    expect_proved(report, 500);
}

TEST(EvacuateCrash, AlsoBesideUsers) {
    const auto report = prove_crash_safety(setup(),
                                           [](recorder& run) {
                                               fill(run);
                                               evacuate(run, {.blocks_max = 25, .candidates_max = 6}, 5);
                                           },
                                           {.effort = {.random_max = 2, .single_max = 6, .tears_max = 4}});
    expect_proved(report, 500);
}

TEST(EvacuateCrash, ANewRunGoesOnFromWhereverTheLastWasCut) {
    const auto made = setup();
    recorder   run{made};
    fill(run);
    const auto   state = run.model().state();
    const extent range = range_of(run.store());
    evacuate(run, {.blocks_max = 40, .candidates_max = 8}, 0);
    const auto    recording = run.finish();
    std::uint64_t left_most = 0, left_least = ~std::uint64_t{0};
    const auto    states =
        crash_states(recording.calls, recording.base, {512}, {.random_max = 2, .single_max = 0, .tears_max = 0},
                     [&](const crash_point& at, std::span<std::byte> image) {
                         if (at.calls % 2 != 0) return true;
                         auto       lent = memory_device::lend(image, {512}).value();
                         any_device device{lent};
                         auto       opened = test_store::open(std::move(device), with<test_store>());
                         EXPECT_TRUE(opened) << said(opened);
                         if (!opened) return false;
                         auto& live = opened.value();
                         {
                             auto task = one_task::open(live, small_moves<test_blueprint<>>()).value();
                             ASHLAR_EXPECT_OK(task.start(range));
                             test::run(task);
                             EXPECT_TRUE(task.last_result().emptied) << "cut after " << at.calls;
                             left_most  = std::max(left_most, task.last_result().before.value);
                             left_least = std::min(left_least, task.last_result().before.value);
                         }
                         EXPECT_EQ(blocks_in_use(live, range), 0U);
                         EXPECT_EQ(difference(live, state), "");
                         EXPECT_EQ(findings_of(live), "");
                         static_cast<void>(live.abandon());
                         return !testing::Test::HasFailure();
                     });
    EXPECT_GT(states, 100U);
    EXPECT_EQ(left_least, 0U);
    EXPECT_GT(left_most, 200U);
    count("crash states of evacuations", states);
}

}  // namespace evacuate_crash_test
}  // namespace ashlar::test
