// The object table lies in the range: it is copied elsewhere, online, and takes its own place.

#include "../counts.hpp"
#include "evacuate_fixture.hpp"

#include <ashlar/record_migration.hpp>
#include <ashlar/shrinking.hpp>
#include <ashlar/testing/crash_proof.hpp>
#include <ashlar/testing/faulty_device.hpp>
#include <ashlar/testing/manual_clock.hpp>
#include <ashlar/throttle/token_bucket.hpp>

namespace ashlar::test {
namespace evacuate_tables_test {

using one_task = evacuation<test_blueprint<>>;
using recorder = crash_recorder<test_store>;

std::vector<extent> table_of(test_store& store) {
    const auto parts = store.volume().regions.object_parts();
    return {parts.begin(), parts.end()};
}
std::size_t count_tables(test_store& store, std::uint32_t type) {
    std::size_t count = 0;
    for (std::uint32_t i = 0; i < store.volume().regions.slots(); ++i)
        count += slot_at(store.volume(), i).type == type ? 1U : 0U;
    return count;
}
/// The last part of the table, and what lies around it but for tables that stay.
extent around_last_part(test_store& store) {
    const auto last  = table_of(store).back();
    auto       first = last.first - block_count{10};
    for (std::uint32_t i = 0; i < store.volume().regions.slots(); ++i) {
        const auto end = slot_at(store.volume(), i).place().end();
        if (end <= last.first && end > first) first = end;
    }
    return {first, last.end() + block_count{10} - first};
}
void expect_no_migration(test_store& store) {
    EXPECT_EQ(count_tables(store, tag::next_objects), 0U);
    EXPECT_EQ(count_tables(store, tag::old_objects), 0U);
    EXPECT_EQ(store.volume().migration.phase, migration_phase::none);
}
void expect_none_in(test_store& store, extent range) {
    for (const auto& part : table_of(store)) EXPECT_FALSE(overlap(part, range)) << part.first.value;
}

struct EvacuationOfTables : testing::Test {
    EvacuationOfTables() : memory{make_memory(evacuated_shape)} {
        format_on(memory, evacuated_shape);
        live  = opened_on(memory);
        model = store_model{live.root()};
        // The table gets its parts behind what goes again.
        const auto filler = live.create().value();
        ASHLAR_EXPECT_OK(live.reserve(filler, 0, 2500 * 512));
        fill_by_turns(live, model, 70, 3, 512);
        ASHLAR_EXPECT_OK(live.erase(filler));
        while (!live.maintain().value().reasons.has(stop_reason::finished)) {}
        ASHLAR_EXPECT_OK(live.checkpoint());
        EXPECT_GT(table_of(live).size(), 3U);
        range = around_last_part(live);
    }
    one_task open_task() { return std::move(one_task::open(live, small_moves<test_blueprint<>>())).value(); }
    void     expect_same() {
            EXPECT_EQ(difference(live, model.state()), "");
            EXPECT_EQ(findings_of(live), "");
    }
    void expect_table_named(const one_task& task, stop_reason why) {
        std::uint64_t named = 0;
        for (const auto& one : task.obstacles()) {
            if (one.kind != obstacle_kind::table || one.region.type != tag::objects) continue;
            EXPECT_EQ(one.why, stop_reasons{why});
            EXPECT_TRUE(lies_in(one.blocks, range));
            ++named;
        }
        EXPECT_GT(named, 0U);
    }

    memory_device memory;
    test_store    live;
    store_model   model{object_id{}};
    extent        range{};
};

TEST_F(EvacuationOfTables, TheTableLeavesARangeThatAPartOfItLiesInAsThePlanSays) {
    auto       task = open_task();
    const auto plan = task.plan(range).value();
    EXPECT_TRUE(plan.succeeds());
    EXPECT_EQ(plan.tables, 1U);
    EXPECT_EQ(plan.fixed.value, 0U);
    ASHLAR_ASSERT_OK(task.start(range));
    bool copied = false;
    while (task.running()) {
        const auto said = task.step({.blocks_max = 4, .candidates_max = 2});
        copied          = copied || said.phase == static_cast<std::uint32_t>(evacuation_phase::tables);
        for (const auto& part : live.volume().regions.next_object_parts()) EXPECT_FALSE(overlap(part, range));
    }
    EXPECT_TRUE(copied);
    EXPECT_TRUE(task.last_result().emptied);
    EXPECT_EQ(task.last_result().tables, 1U);
    EXPECT_EQ(blocks_in_use(live, range), 0U);
    block_count blocks{};
    for (const auto& part : table_of(live)) blocks += part.count;
    EXPECT_EQ(blocks, plan.table_blocks);
    expect_none_in(live, range);
    expect_no_migration(live);
    expect_same();
    EXPECT_EQ(task.plan(range).value().tables, 0U);
    ASHLAR_ASSERT_OK(live.close());
    live = opened_on(memory);
    expect_same();
    for (int i = 0; i < 40; ++i) EXPECT_TRUE(model.create(live).succeeded());
    expect_same();
}

TEST_F(EvacuationOfTables, AlsoThePartThatTheVolumeBeganWith) {
    const auto first = table_of(live).front();
    auto       task  = open_task();
    EXPECT_TRUE(task.plan(first).value().succeeds());
    ASHLAR_ASSERT_OK(task.start(first));
    run(task);
    EXPECT_TRUE(task.last_result().emptied);
    expect_none_in(live, first);
    expect_same();
}

TEST_F(EvacuationOfTables, UsersCreateAndWriteMeanwhile) {
    for (const std::uint64_t seed : {1U, 2U, 3U}) {
        range     = around_last_part(live);
        auto task = open_task();
        ASHLAR_ASSERT_OK(task.start(range));
        random_operations<test_store> users{seed, {.create = 6, .erase = 2, .size_max = 4'000}};
        for (int i = 0; task.running() && i < 20'000; ++i) {
            task.step({.blocks_max = 6, .candidates_max = 2});
            users.step(live, model);
            for (const auto& part : live.volume().regions.next_object_parts()) EXPECT_FALSE(overlap(part, range));
        }
        EXPECT_TRUE(task.last_result().emptied);
        EXPECT_GE(task.last_result().tables, 1U);
        EXPECT_EQ(blocks_in_use(live, range), 0U);
        expect_no_migration(live);
        expect_same();
    }
}

TEST_F(EvacuationOfTables, CancelledOrDroppedAtAnyStepItLeavesOneTable) {
    for (const bool drops : {false, true}) {
        range              = around_last_part(live);
        std::uint64_t back = 0, forth = 0;
        for (int steps = 0;; ++steps) {
            const auto before = table_of(live);
            {
                auto task = open_task();
                ASHLAR_ASSERT_OK(task.start(range));
                for (int i = 0; i < steps && task.running(); ++i) {
                    task.pause();
                    EXPECT_TRUE(task.step().reasons.has(stop_reason::paused));
                    task.resume();
                    task.step({.blocks_max = 3, .candidates_max = 1});
                }
                if (!task.running()) break;
                if (!drops) {
                    task.cancel();
                    EXPECT_EQ(task.step().reasons, stop_reasons{stop_reason::cancelled});
                }
            }
            expect_no_migration(live);
            EXPECT_TRUE(live.volume().space.withheld().empty());
            ++(table_of(live) == before ? back : forth);
            if (steps % 5 == 0) expect_same();
            ASSERT_LT(steps, 500);
        }
        EXPECT_GT(back, 10U);
        EXPECT_EQ(forth, 1U) << "it had its place";
        expect_none_in(live, range);
        EXPECT_EQ(live.volume().space.available(space_use::metadata) + live.volume().space.draining(),
                  live.info().free);
        expect_same();
    }
}

TEST_F(EvacuationOfTables, WithoutRoomForACopyItStaysAndIsNamed) {
    range = table_of(live).back();
    for (const std::uint64_t bytes : {100'000U, 10'000U, 512U}) {
        while (live.append(live.root(), ashlar::pattern(bytes, 1))) {}
    }
    auto       task = open_task();
    const auto plan = task.plan(range).value();
    EXPECT_FALSE(plan.succeeds());
    EXPECT_EQ(plan.tables, 0U);
    EXPECT_EQ(plan.fixed, range.count);
    expect_table_named(task, stop_reason::no_contiguous_space);
    ASHLAR_ASSERT_OK(task.start(range));
    const auto said = run(task);
    EXPECT_TRUE(said.reasons.has(stop_reason::finished) && said.reasons.has(stop_reason::no_contiguous_space));
    EXPECT_FALSE(task.last_result().emptied);
    EXPECT_EQ(task.last_result().after, range.count);
    expect_table_named(task, stop_reason::no_contiguous_space);
    expect_no_migration(live);
    EXPECT_EQ(findings_of(live), "");
}

TEST_F(EvacuationOfTables, AMigrationToAnotherWidthThatIsUnderWayKeepsItAndIsNamed) {
    record_migration other{live};
    other.start({.record_bytes = 256});
    while (other.phase() != migration_phase::copying)
        static_cast<void>(other.step({.blocks_max = 1, .candidates_max = 1}));
    auto task = open_task();
    EXPECT_FALSE(task.plan(range).value().succeeds());
    expect_table_named(task, stop_reason::raced);
    ASHLAR_ASSERT_OK(task.start(range));
    EXPECT_TRUE(run(task).reasons.has(stop_reason::raced));
    EXPECT_FALSE(task.last_result().emptied);
    expect_table_named(task, stop_reason::raced);
    EXPECT_EQ(other.phase(), migration_phase::copying);
    while (other.step().reasons == stop_reason::budget_spent) {}
    EXPECT_TRUE(other.last_result().finished);
    expect_none_in(live, range);
    ASHLAR_ASSERT_OK(task.start(range));
    run(task);
    EXPECT_TRUE(task.last_result().emptied);
    expect_same();
}

TEST_F(EvacuationOfTables, ATransactionThatIsHeldOpenKeepsItAndTheCopyIsUndone) {
    std::optional open{live.begin().value()};
    ASHLAR_ASSERT_OK(open->write(live.root(), 0, ashlar::pattern(600, 1)));
    auto task = open_task();
    ASHLAR_ASSERT_OK(task.start(range));
    EXPECT_TRUE(run(task).reasons.has(stop_reason::raced));
    EXPECT_FALSE(task.last_result().emptied);
    expect_table_named(task, stop_reason::raced);
    open.reset();
    ASHLAR_ASSERT_OK(task.start(range));
    run(task);
    EXPECT_TRUE(task.last_result().emptied);
    expect_no_migration(live);
    expect_same();
}

TEST_F(EvacuationOfTables, AShrinkGoesPastAPartOfTheTable) {
    using shrink           = shrinking<test_blueprint<>>;
    const auto        last = table_of(live).back();
    const block_count size{last.first.value};
    auto              work  = shrink::open(live, {.evacuation = small_moves<test_blueprint<>>()}).value();
    const auto        whole = work.plan(block_count{evacuated_shape.blocks - 1}).value();
    EXPECT_GE(whole.smallest.value, last.end().value) << "where nothing says that the table has a place";
    const auto plan = work.plan(size).value();
    ASSERT_TRUE(plan.possible()) << message(plan.why.code);
    EXPECT_EQ(plan.smallest, size);
    const auto first = table_of(live).front();
    EXPECT_EQ(work.plan(block_count{first.first.value}).value().why.code, errc::pinned);
    EXPECT_EQ(work.plan(block_count{first.first.value}).value().region.type, tag::objects);
    ASHLAR_ASSERT_OK(work.start(size));
    run(work);
    EXPECT_TRUE(work.last_result().shrank()) << message(work.last_result().failure.code);
    EXPECT_EQ(live.info().blocks, size);
    expect_same();
    static_cast<void>(live.abandon());
    live = opened_on(memory);
    EXPECT_EQ(live.info().blocks, size);
    expect_same();
}

struct clocked : test_blueprint<> {
    using throttle = token_bucket;
    using clock    = manual_clock;
};

TEST_F(EvacuationOfTables, NoFasterThanTheThrottleSays) {
    for (int i = 0; i < 300; ++i) EXPECT_TRUE(model.create(live).succeeded());
    ASHLAR_ASSERT_OK(live.close());
    manual_clock clock;
    auto         chosen = with<store<clocked>>();
    chosen.clock        = clock;
    auto slow           = store<clocked>::open(any_device{memory}, chosen).value();
    auto options        = small_moves<clocked>();
    options.throttle    = {.bytes_per_second = 4096, .bytes_in_flight_max = 4096, .burst = 4096};
    options.clock       = clock;
    const auto part     = slow.volume().regions.object_parts().back();
    auto       task     = evacuation<clocked>::open(slow, options).value();
    ASHLAR_ASSERT_OK(task.start(part));
    for (int i = 0; task.running(); ++i) {
        ASSERT_LT(i, 10'000);
        const auto said = task.step({.blocks_max = 8});
        if (!said.reasons.has(stop_reason::throttled)) continue;
        ASSERT_GT(said.not_before, clock.now());
        clock.set(said.not_before);
    }
    const auto& done = task.last_result();
    EXPECT_TRUE(done.emptied);
    EXPECT_EQ(done.tables, 1U);
    EXPECT_GT(done.moved.value, 100U);
    EXPECT_GT(static_cast<double>(done.took.nanoseconds) / 1e9,
              static_cast<double>(done.moved.value * 512 - 24 * 1024) / 4096);
    EXPECT_EQ(difference(slow, model.state()), "");
    EXPECT_EQ(findings_of(slow), "");
}

constexpr volume_shape crash_shape{.block_bytes = 512, .blocks = 1000, .journal_blocks = 96};

crash_setup<test_store> setup() {
    crash_setup<test_store> made;
    made.blocks = {crash_shape.blocks};
    made.format = crash_shape.format();
    made.store  = with<test_store>();
    return made;
}

extent fill(recorder& run) {
    fill_by_turns(run.store(), run.model(), 30, 2, 512);
    run.checkpoint();
    const auto range = around_last_part(run.store());
    run.begin();
    return range;
}

void evacuate(recorder& run, extent range, std::uint64_t seed) {
    {
        auto task = one_task::open(run.store(), small_moves<test_blueprint<>>()).value();
        ASHLAR_ASSERT_OK(task.start(range));
        random_operations<test_store> users{seed, {.create = 2, .erase = 1, .size_max = 4'000}};
        while (task.running()) {
            const auto said = task.step({.blocks_max = 10, .candidates_max = 4});
            run.must(
                run.model().unchanged("a step", said.failure.code == errc::none ? result<>{success()} : said.failure));
            if (seed != 0) run.note(users.step(run.store(), run.model()));
        }
        if (!task.last_result().emptied) run.report("it was not emptied");
        if (task.last_result().tables == 0) run.report("the table did not move");
    }
    run.sync();
}

TEST(EvacuateTablesCrash, OneOfTheTablesIsInUseWhereverItIsCut) {
    for (const std::uint64_t seed : {0U, 7U}) {
        const auto report = prove_crash_safety(
            setup(), [&](recorder& run) { evacuate(run, fill(run), seed); },
            {.effort = {.random_max = 2, .single_max = 6, .tears_max = 6}, .recoveries = {.one_in = 40}});
        for (const auto& one : report.findings) ADD_FAILURE() << one;
        EXPECT_GT(report.states, 100U);
        count("crash states of evacuations", report.states + report.states_1);
    }
}

TEST(EvacuateTablesCrash, ANewRunGoesOnFromWhereverTheLastWasCut) {
    const auto made = setup();
    recorder   run{made};
    const auto range = fill(run);
    const auto state = run.model().state();
    evacuate(run, range, 0);
    const auto                recording = run.finish();
    std::set<migration_phase> met;
    std::uint64_t             moved = 0, stood = 0;
    const auto                states =
        crash_states(recording.calls, recording.base, {512}, {.random_max = 2, .single_max = 0, .tears_max = 0},
                     [&](const crash_point& at, std::span<std::byte> image) {
                         auto       lent = memory_device::lend(image, {512}).value();
                         any_device device{lent};
                         auto       opened = test_store::open(std::move(device), with<test_store>());
                         EXPECT_TRUE(opened) << said(opened);
                         if (!opened) return false;
                         auto& live = opened.value();
                         met.insert(live.volume().migration.phase);
                         {
                             auto task = one_task::open(live, small_moves<test_blueprint<>>()).value();
                             ASHLAR_EXPECT_OK(task.start(range));
                             test::run(task);
                             EXPECT_TRUE(task.last_result().emptied) << "cut after " << at.calls;
                             ++(task.last_result().tables != 0 ? moved : stood);
                         }
                         EXPECT_EQ(blocks_in_use(live, range), 0U);
                         EXPECT_EQ(difference(live, state), "");
                         EXPECT_EQ(findings_of(live), "");
                         static_cast<void>(live.abandon());
                         return !testing::Test::HasFailure();
                     });
    EXPECT_GT(states, 30U);
    EXPECT_GT(moved, 10U);
    EXPECT_GT(stood, 0U);
    EXPECT_TRUE(met.contains(migration_phase::copying));
    EXPECT_TRUE(met.contains(migration_phase::complete));
    count("crash states of evacuations", states);
}

/// The n-th transfer fails while the table moves. Answers whether it was met.
bool run_with_fault(const byte_vector& base, const model_state& state, extent range, transfer_kind kind,
                    std::uint64_t nth, fault_lasts lasts) {
    auto memory = make_memory(crash_shape);
    std::copy(base.begin(), base.end(), memory.bytes().begin());
    faulty_device<memory_device> device{memory};
    auto                         limits = small_limits();
    limits.cache_blocks                 = 32;
    auto live                           = opened_on(device, limits);
    device.fail(kind, nth, lasts);
    {
        auto task = one_task::open(live, small_moves<test_blueprint<>>()).value();
        ASHLAR_EXPECT_OK(task.start(range));
        const auto last = run(task, {.blocks_max = 10, .candidates_max = 4});
        if (!task.last_result().emptied) {
            EXPECT_TRUE(last.reasons.has(stop_reason::device_error)) << "call " << nth;
            EXPECT_NE(task.last_result().failure.code, errc::none);
        }
        if (device.failures() == 0) { EXPECT_TRUE(task.last_result().emptied); }
    }
    const bool met = device.failures() != 0;
    device.heal();
    EXPECT_EQ(difference(live, state), "");
    static_cast<void>(live.abandon());
    auto again = opened_on(memory);
    EXPECT_EQ(difference(again, state), "");
    EXPECT_EQ(findings_of(again), "");
    auto task = one_task::open(again, small_moves<test_blueprint<>>()).value();
    ASHLAR_EXPECT_OK(task.start(range));
    run(task);
    EXPECT_TRUE(task.last_result().emptied);
    return met;
}

TEST(EvacuateTablesFaults, ATransferThatFailsLeavesOneOfTheTables) {
    auto memory = make_memory(crash_shape);
    format_on(memory, crash_shape);
    auto        live = opened_on(memory);
    store_model model{live.root()};
    fill_by_turns(live, model, 30, 2, 512);
    const auto range = around_last_part(live);
    ASHLAR_ASSERT_OK(live.close());
    const byte_vector base{memory.bytes().begin(), memory.bytes().end()};
    std::uint64_t     runs = 0;
    for (const auto kind : {transfer_kind::read, transfer_kind::write, transfer_kind::sync}) {
        for (const auto lasts : {fault_lasts::once, fault_lasts::for_good}) {
            for (std::uint64_t nth = 1; run_with_fault(base, model.state(), range, kind, nth, lasts); ++nth) {
                ++runs;
                ASSERT_FALSE(testing::Test::HasFailure()) << "call " << nth;
            }
        }
    }
    EXPECT_GT(runs, 50U);
    count("fault runs", runs);
}

}  // namespace evacuate_tables_test
}  // namespace ashlar::test
