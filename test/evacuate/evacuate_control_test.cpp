// Who drives an evacuation: start, pause, cancel, throttle; and what stands in its way for a while.

#include "../channel/channel_fixture.hpp"
#include "evacuate_fixture.hpp"

#include <ashlar/compaction.hpp>
#include <ashlar/object/inline_map.hpp>
#include <ashlar/testing/manual_clock.hpp>
#include <ashlar/throttle/token_bucket.hpp>

namespace ashlar::test {
namespace evacuate_control_test {

using one_task = evacuation<test_blueprint<>>;

struct EvacuationControl : testing::Test {
    EvacuationControl() : memory{make_memory(evacuated_shape)} {
        format_on(memory, evacuated_shape);
        live  = opened_on(memory);
        model = store_model{live.root()};
        fill_by_turns(live, model, 6, 50, 512);
        ASHLAR_EXPECT_OK(live.checkpoint());
        range = {{600}, {500}};
    }
    one_task open_task(evacuation_options moves = small_moves<test_blueprint<>>().moves) {
        return std::move(one_task::open(live, {.moves = moves})).value();
    }
    void expect_same() {
        EXPECT_EQ(difference(live, model.state()), "");
        EXPECT_EQ(findings_of(live), "");
    }

    memory_device memory;
    test_store    live;
    store_model   model{object_id{}};
    extent        range{};
};

TEST_F(EvacuationControl, PauseUndoesAMoveAndCancelGivesTheRangeBack) {
    auto task = open_task();
    EXPECT_EQ(task.step().reasons, stop_reasons{stop_reason::finished}) << "nothing was started";
    ASHLAR_ASSERT_OK(task.start(range));
    while (!task.active()) { ASSERT_EQ(task.step({.blocks_max = 3}).reasons, stop_reason::budget_spent); }
    task.pause();
    const auto paused = task.step();
    EXPECT_TRUE(paused.reasons.has(stop_reason::paused));
    EXPECT_FALSE(task.active());
    EXPECT_TRUE(task.running());
    EXPECT_EQ(live.volume().space.withheld(), range);
    task.resume();
    const auto going = task.step({.blocks_max = 40});
    EXPECT_EQ(going.phase, static_cast<std::uint32_t>(evacuation_phase::objects));
    EXPECT_GT(going.moved, paused.moved);
    EXPECT_GT(going.done, 0U);
    EXPECT_LT(going.done, going.total);
    while (!task.active()) { ASSERT_EQ(task.step({.blocks_max = 3}).reasons, stop_reason::budget_spent); }
    task.cancel();
    EXPECT_EQ(task.step().reasons, stop_reasons{stop_reason::cancelled});
    EXPECT_FALSE(task.running());
    EXPECT_FALSE(task.last_result().emptied);
    EXPECT_GT(task.last_result().moved.value, 0U);
    EXPECT_TRUE(live.volume().space.withheld().empty());
    expect_same();
    // What was moved stays moved; the next run moves the rest.
    ASHLAR_ASSERT_OK(task.start(range));
    run(task);
    EXPECT_TRUE(task.last_result().emptied);
    expect_same();
}

TEST_F(EvacuationControl, ATaskThatIsDroppedLeavesNothingBehind) {
    {
        auto first = open_task();
        ASHLAR_ASSERT_OK(first.start(range));
        while (!first.active()) first.step({.blocks_max = 3});
        auto second{std::move(first)};
        EXPECT_TRUE(second.active());
    }
    EXPECT_TRUE(live.volume().space.withheld().empty());
    ASHLAR_ASSERT_OK(live.checkpoint());
    EXPECT_EQ(live.volume().space.available(space_use::metadata).value, live.info().free.value);
    expect_same();
}

TEST_F(EvacuationControl, StartAndPlanRefuseWhatIsNoRange) {
    auto task = open_task();
    EXPECT_EQ(code_of(task.start({})), errc::invalid_argument);
    EXPECT_EQ(code_of(task.start({{evacuated_shape.blocks - 1}, {2}})), errc::out_of_range);
    EXPECT_EQ(code_of(task.plan({})), errc::invalid_argument);
    EXPECT_EQ(code_of(task.plan({{evacuated_shape.blocks}, {1}})), errc::out_of_range);
    ASHLAR_ASSERT_OK(task.start(range));
    EXPECT_EQ(code_of(task.start(range)), errc::busy);
    EXPECT_EQ(code_of(task.plan(range)), errc::busy);
    task.step({.blocks_max = 5});
    // One task withholds at a time.
    auto other = open_task();
    ASHLAR_ASSERT_OK(other.start({{100}, {10}}));
    const auto said = other.step();
    EXPECT_TRUE(said.reasons.has(stop_reason::raced));
    EXPECT_EQ(said.failure.code, errc::busy);
    EXPECT_FALSE(other.running());
    EXPECT_EQ(live.volume().space.withheld(), range);
    run(task);
    EXPECT_TRUE(task.last_result().emptied);
    using bare = evacuator<test_store::volume_type>;
    byte_vector little(bare::memory_bytes({}, {512}) / 2);
    EXPECT_EQ(code_of(bare::create({}, {512}, little)), errc::workspace_too_small);
    EXPECT_EQ(code_of(bare::create({}, {512}, {})), errc::workspace_too_small);
}

TEST_F(EvacuationControl, WhoWithheldTheRangeBeforeKeepsIt) {
    ASHLAR_ASSERT_OK(withhold(live.volume(), range));
    auto task = open_task();
    EXPECT_TRUE(task.plan(range).value().succeeds());
    ASHLAR_ASSERT_OK(task.start(range));
    run(task);
    EXPECT_TRUE(task.last_result().emptied);
    EXPECT_EQ(live.volume().space.withheld(), range);
    EXPECT_TRUE(live.volume().space.withheld_now().none());
    task.release();
    EXPECT_EQ(live.volume().space.withheld(), range) << "it is not the task's";
    stop_withholding(live.volume());

    auto moves           = small_moves<test_blueprint<>>().moves;
    moves.keeps_withheld = true;
    auto keeper          = open_task(moves);
    ASHLAR_ASSERT_OK(keeper.start({{1500}, {200}}));
    run(keeper);
    EXPECT_TRUE(keeper.last_result().emptied);
    EXPECT_EQ(live.volume().space.withheld(), (extent{{1500}, {200}}));
    keeper.release();
    EXPECT_TRUE(live.volume().space.withheld().empty());
}

TEST_F(EvacuationControl, AnotherRangeBeginsWhenTheOneThatIsKeptWasReleased) {
    auto moves           = small_moves<test_blueprint<>>().moves;
    moves.keeps_withheld = true;
    auto         task    = open_task(moves);
    const extent kept{{1500}, {200}};
    ASHLAR_ASSERT_OK(task.start(kept));
    run(task);
    ASSERT_TRUE(task.last_result().emptied);
    const auto first = task.last_result();
    EXPECT_EQ(code_of(task.start(range)), errc::busy);
    EXPECT_FALSE(task.running());
    EXPECT_EQ(live.volume().space.withheld(), kept);
    ASHLAR_ASSERT_OK(task.start(kept));  // and again the same one
    run(task);
    EXPECT_TRUE(task.last_result().emptied);
    EXPECT_EQ(live.volume().space.withheld(), kept);
    task.release();
    ASHLAR_ASSERT_OK(task.start(range));
    task.cancel();  // before its first step
    EXPECT_EQ(task.step().reasons, stop_reasons{stop_reason::cancelled});
    EXPECT_NE(first.range, range);
    EXPECT_EQ(task.last_result().range, range) << "what the run before did is its own";
    EXPECT_EQ(task.last_result().moved, block_count{});
    EXPECT_EQ(task.last_result().before, block_count{});
    EXPECT_FALSE(task.last_result().emptied);
    EXPECT_TRUE(live.volume().space.withheld().empty());
    expect_same();
}

TEST_F(EvacuationControl, WhatIsDyingIsFreedAPartOfItInEachStep) {
    ASHLAR_ASSERT_OK(live.close());
    auto chosen                       = with<test_store>();
    chosen.limits.transaction.extents = 8;  // four extents a part
    live                              = test_store::open(any_device{memory}, chosen).value();
    ASHLAR_ASSERT_OK(live.truncate(live.root(), 512));
    model     = store_model{live.root()};
    auto task = open_task();
    ASHLAR_ASSERT_OK(task.start(range));
    int steps = 0;
    for (; live.volume().space.totals().dying_head != 0; ++steps) {
        ASSERT_LT(steps, 100);
        EXPECT_EQ(task.step({.blocks_max = 0, .candidates_max = 1}).reasons, stop_reason::budget_spent);
        EXPECT_TRUE(live.volume().space.withheld().empty()) << "nothing is counted before";
    }
    EXPECT_GT(steps, 3);
    run(task);
    EXPECT_TRUE(task.last_result().emptied);
    EXPECT_EQ(findings_of(live), "");
}

TEST_F(EvacuationControl, WhatAnOpenTransactionHoldsStaysAndIsNamed) {
    // Its object is locked, and what it wrote is reserved inside of the range before that is withheld.
    auto before = live.volume().space.last_end();
    auto open   = live.begin().value();
    ASHLAR_ASSERT_OK(open.write(live.root(), 0, pattern(3, 512, 1)));
    const extent all{{600}, {before.value + 200 - 600}};
    auto         task = open_task();
    ASHLAR_ASSERT_OK(task.start(all));
    const auto said = run(task);
    EXPECT_TRUE(said.reasons.has(stop_reason::raced));
    EXPECT_FALSE(task.last_result().emptied);
    bool locked = false, reserved = false;
    for (const auto& one : task.obstacles()) {
        locked   = locked || (one.kind == obstacle_kind::extents && one.object == live.root());
        reserved = reserved || one.kind == obstacle_kind::reserved;
        EXPECT_TRUE(one.why.has(stop_reason::raced));
    }
    EXPECT_TRUE(locked);
    EXPECT_TRUE(reserved);
    ASHLAR_ASSERT_OK(open.commit());
    ASHLAR_ASSERT_OK(task.start(all));
    run(task);
    EXPECT_TRUE(task.last_result().emptied);
    EXPECT_EQ(findings_of(live), "");
}

TEST_F(EvacuationControl, ARegionWithoutAPlaceStaysAndIsNamed) {
    store_regions regions{live};
    const auto    longest = [&]() {
        extent best{};
        ASHLAR_EXPECT_OK(regions.for_each_free([&](extent one) noexcept {
            if (one.count > best.count) best = one;
            return true;
        }));
        return best;
    }();
    const auto name     = regions.add({logs, block_count{longest.count.value * 3 / 5}}).value();
    const auto place    = regions.find(name).value().place;
    auto       moves    = small_moves<test_blueprint<>>().moves;
    moves.obstacles_max = 0;
    auto       task     = open_task(moves);
    const auto plan     = task.plan({place.first, {10}}).value();
    EXPECT_FALSE(plan.succeeds());
    EXPECT_EQ(plan.obstacles, 1U);
    EXPECT_TRUE(task.obstacles().empty()) << "none finds a place in a list of none";
    ASHLAR_ASSERT_OK(task.start({place.first, {10}}));
    const auto said = run(task);
    EXPECT_TRUE(said.reasons.has(stop_reason::no_contiguous_space));
    EXPECT_EQ(task.last_result().obstacles, 1U);
    EXPECT_EQ(regions.find(name).value().place, place);
    expect_same();
}

TEST_F(EvacuationControl, ARegionThatSlidesStaysUntilItIsWhole) {
    store_regions regions{live};
    const auto    hole = regions.add({logs, block_count{60}}).value();
    const auto    name = regions.add({logs, block_count{300}}).value();
    ASHLAR_ASSERT_OK(regions.remove(hole));
    ASHLAR_ASSERT_OK(live.checkpoint());
    const auto place = regions.find(name).value().place;
    const auto all   = extent{place.first, block_count{100}};
    auto       slide = compaction<test_blueprint<>>::open(live, {.regions = {.threshold_permille = 0}}).value();
    for (int i = 0; i < 1000 && !is_sliding(live.volume(), name); ++i)
        static_cast<void>(slide.step({.blocks_max = 16}));
    ASSERT_TRUE(is_sliding(live.volume(), name));
    slide.pause();
    static_cast<void>(slide.step());
    auto task = open_task();
    EXPECT_FALSE(task.plan(all).value().succeeds());
    ASHLAR_ASSERT_OK(task.start(all));
    const auto said = run(task);
    EXPECT_TRUE(said.reasons.has(stop_reason::raced));
    EXPECT_FALSE(said.reasons.has(stop_reason::device_error));
    bool named = false;
    for (const auto& one : task.obstacles()) named = named || (one.kind == obstacle_kind::region && one.region == name);
    EXPECT_TRUE(named);
    expect_same();
    slide.resume();
    for (int i = 0; i < 1000 && is_sliding(live.volume(), name); ++i) static_cast<void>(slide.step({.blocks_max = 64}));
    EXPECT_FALSE(is_sliding(live.volume(), name));
    ASHLAR_ASSERT_OK(task.start({regions.find(name).value().place.first, block_count{100}}));
    run(task);
    EXPECT_TRUE(task.last_result().emptied);
    expect_same();
}

TEST_F(EvacuationControl, AVolumeThatIsOnlyReadIsNotTouched) {
    ASHLAR_ASSERT_OK(live.close());
    live      = test_store::open_read_only(any_device{memory}, with<test_store>()).value();
    auto task = open_task();
    EXPECT_TRUE(task.plan(range).value().succeeds());
    ASHLAR_ASSERT_OK(task.start(range));
    const auto said = task.step();
    EXPECT_EQ(said.failure.code, errc::read_only);
    EXPECT_TRUE(said.reasons.has(stop_reason::device_error));
    EXPECT_FALSE(task.running());
}

struct clocked : test_blueprint<> {
    using clock    = manual_clock;
    using throttle = token_bucket;
};

TEST(EvacuationThrottle, MovesNoFasterThanItIsTold) {
    auto         memory = make_memory(evacuated_shape);
    manual_clock clock;
    format_on<store<clocked>>(memory, evacuated_shape);
    auto chosen      = with<store<clocked>>();
    chosen.clock     = clock;
    auto        live = store<clocked>::open(any_device{memory}, chosen).value();
    store_model model{live.root()};
    fill_by_turns(live, model, 6, 50, 512);
    store_regions regions{live};
    const auto    name   = regions.add({logs, block_count{100}}).value();
    auto          region = regions.open(name).value();
    const auto    place  = regions.find(name).value().place;
    const extent  range{{500}, {place.end().value - 500}};
    auto          options = small_moves<clocked>();
    options.throttle      = {.bytes_per_second = 64 * 1024, .bytes_in_flight_max = 16 * 1024, .burst = 16 * 1024};
    options.clock         = clock;
    auto task             = evacuation<clocked>::open(live, options).value();
    ASHLAR_ASSERT_OK(task.start(range));
    std::uint64_t waits = 0, waits_for_nodes = 0;
    for (int i = 0; task.running(); ++i) {
        ASSERT_LT(i, 100'000);
        const auto said = task.step({.blocks_max = 8});
        if (!said.reasons.has(stop_reason::throttled)) {
            ASHLAR_ASSERT_OK(region.write({{static_cast<std::uint64_t>(i) % 90}, {8}}, pattern(8, 512, 3)));
            continue;
        }
        ++waits;
        waits_for_nodes += task.active() ? 0U : 1U;
        ASSERT_GT(said.not_before, clock.now());
        clock.set(said.not_before);
    }
    const auto& done = task.last_result();
    EXPECT_TRUE(done.emptied);
    EXPECT_GT(done.nodes, 0U);
    EXPECT_GT(waits, 10U);
    EXPECT_GT(waits_for_nodes, 0U);
    const auto seconds = static_cast<double>(done.took.nanoseconds) / 1e9;
    EXPECT_GT(seconds, static_cast<double>(done.moved.value * 512 - 32 * 1024) / (64 * 1024));
    EXPECT_EQ(difference(live, model.state()), "");
    EXPECT_EQ(findings_of(live), "");
}

TEST(EvacuationOfRecords, NeedsNoTree) {
    using blueprint_type = test_blueprint<xxh3, inline_map>;
    using store_type     = store<blueprint_type>;
    auto memory          = make_memory(evacuated_shape);
    format_on<store_type>(memory, evacuated_shape);
    auto        live = opened_on<store_type>(memory);
    store_model model{live.root()};
    for (int i = 0; i < 12; ++i) {
        const auto id = model.create(live).made;
        ASSERT_TRUE(model.write(live, id, 0, ashlar::pattern(20'000, static_cast<std::uint64_t>(i))).succeeded());
    }
    auto         task = evacuation<blueprint_type>::open(live, small_moves<blueprint_type>()).value();
    const extent range{{450}, {300}};
    EXPECT_GT(task.plan(range).value().object_blocks.value, 100U);
    ASHLAR_ASSERT_OK(task.start(range));
    run(task);
    EXPECT_TRUE(task.last_result().emptied);
    EXPECT_EQ(difference(live, model.state()), "");
    EXPECT_EQ(findings_of(live), "");
}

/// A large object and a region on a device whose queues obey.
struct EvacuationQueue : testing::Test {
    EvacuationQueue() {
        content = ashlar::pattern(200 * 512, 7);
        id      = bench.object(content);
        store_regions regions{bench.live};
        name        = regions.add({.type = logs, .blocks = block_count{200}}).value();
        place       = regions.find(name).value().place;
        auto region = regions.open(name).value();
        ASHLAR_EXPECT_OK(region.write({{0}, {200}}, pattern(200, 512, 5)));
        ASHLAR_EXPECT_OK(bench.live.checkpoint());
        for (const auto& piece : bench.live.extents(id)) first = piece.physical.first;
    }
    void expect_same() {
        EXPECT_EQ(bench.bytes_of_object(id), content);
        auto region = store_regions{bench.live}.open(name).value();
        EXPECT_EQ(read_all(region), pattern(200, 512, 5));
        EXPECT_EQ(findings_of(bench.live), "");
    }
    [[nodiscard]] extent range() const { return {first, place.end() - first}; }

    bench_store<ordered_single> bench;
    byte_vector                 content;
    object_id                   id{};
    region_id                   name{};
    extent                      place{};
    block_index                 first{};
};

TEST_F(EvacuationQueue, ChunksOverlapWhereTheDeviceHasQueues) {
    auto task = evacuation<ordered_single>::open(bench.live, {.moves = {.chunk_bytes = 32768}}).value();
    ASHLAR_ASSERT_OK(task.start(range()));
    run(task, {.blocks_max = 4096, .candidates_max = 1000});
    EXPECT_TRUE(task.last_result().emptied);
    EXPECT_GT(bench.orders.deepest.load(), 1U);
    expect_same();
}

TEST_F(EvacuationQueue, AQueueThatIsLostWithTransfersInFlightEndsTheMovesAndNothingElse) {
    {
        auto task = evacuation<ordered_single>::open(bench.live, {.moves = {.chunk_bytes = 32768}}).value();
        ASHLAR_ASSERT_OK(task.start(range()));
        bench.orders.breaks_at = bench.orders.calls + 2;
        const auto said        = run(task, {.blocks_max = 64});
        EXPECT_TRUE(said.reasons.has(stop_reason::device_error));
        EXPECT_FALSE(task.last_result().emptied);
        expect_same();
    }
    ASHLAR_EXPECT_OK(bench.live.erase(id));
    ASHLAR_EXPECT_OK(store_regions{bench.live}.remove(name));
    ASHLAR_EXPECT_OK(bench.live.sync());
    EXPECT_EQ(findings_of(bench.live), "");
}

}  // namespace evacuate_control_test
}  // namespace ashlar::test
