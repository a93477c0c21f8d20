// A store in use becomes smaller, step by step.

#include "../evacuate/evacuate_fixture.hpp"
#include "resize_fixture.hpp"

#include <ashlar/shrinking.hpp>

namespace ashlar::test {
namespace shrinking_test {

constexpr volume_shape shape{.block_bytes = 512, .blocks = 9000, .journal_blocks = 160};
using task_type = shrinking<test_blueprint<>>;

struct ShrinkingTest : testing::Test {
    ShrinkingTest() : memory{make_memory(shape)}, checked{memory} {
        format_on(checked, shape);
        live = opened_on(checked);
        model.emplace(live.root());
    }
    ~ShrinkingTest() override {
        live = {};
        expect_order(checked);
    }
    task_type task() { return task_type::open(live, {.evacuation = small_moves<test_blueprint<>>()}).value(); }
    /// Objects in pieces, many of them behind a filler that goes.
    void scatter() {
        const auto filler = live.create().value();
        ASHLAR_ASSERT_OK(live.reserve(filler, 0, 5000 * 512));
        fill_by_turns(live, *model, 8, 20, 512);
        ASHLAR_ASSERT_OK(live.erase(filler));
        while (!live.maintain().value().reasons.has(stop_reason::finished)) {}
        ASHLAR_ASSERT_OK(live.checkpoint());
    }
    void expect_all() {
        EXPECT_EQ(difference(live, model->state()), "");
        expect_whole(live);
    }

    memory_device              memory;
    checked_memory             checked;
    test_store                 live;
    std::optional<store_model> model;
};

TEST_F(ShrinkingTest, WhatLiesBehindTheEndMovesAndTheVolumeIsCut) {
    scatter();
    const auto region = store_regions{live}.add({.type = logs, .blocks = block_count{60}, .from = block_index{8000}});
    ASHLAR_ASSERT_OK(region);
    auto       work    = task();
    const auto planned = work.plan(block_count{2500});
    ASHLAR_ASSERT_OK(planned);
    ASSERT_TRUE(planned.value().possible()) << message(planned.value().why.code);
    EXPECT_GT(planned.value().in_use, block_count{60});
    EXPECT_EQ(code_of(work.plan_moves(live.info().blocks + block_count{1})), errc::invalid_argument);
    const auto moves = work.plan_moves(block_count{2500});
    ASHLAR_ASSERT_OK(moves);
    EXPECT_TRUE(moves.value().succeeds());
    EXPECT_EQ(moves.value().regions, 1U);
    ASHLAR_ASSERT_OK(work.start(block_count{2500}));
    EXPECT_EQ(code_of(work.start(block_count{2500})), errc::busy);
    random_bits random{5};
    for (int i = 0; work.running() && i < 5000; ++i) {
        const auto said = work.step({.blocks_max = 16});
        EXPECT_FALSE(said.reasons.has(stop_reason::device_error)) << message(said.failure.code);
        const auto bytes = ashlar::pattern(600, random.next());
        model->write(live, live.root(), random.below(8000), bytes);
        if (i % 7 == 0) model->promised("sync", live.sync());
    }
    ASSERT_FALSE(work.running());
    EXPECT_TRUE(work.last_result().shrank()) << message(work.last_result().failure.code);
    EXPECT_EQ(work.last_result().given_back, block_count{0}) << "memory stays as long";
    EXPECT_GT(work.last_result().moved, block_count{60});
    EXPECT_EQ(live.info().blocks, block_count{2500});
    EXPECT_LE(store_regions{live}.find(region.value()).value().place.end().value, 2500U);
    expect_all();
    static_cast<void>(live.abandon());
    live = opened_on(checked);
    EXPECT_EQ(live.info().blocks, block_count{2500});
    ASHLAR_ASSERT_OK(store_regions{live}.remove(region.value()));
    expect_whole(live);
}

TEST_F(ShrinkingTest, ItIsPausedAndCancelledAtEveryStepAndGoesOn) {
    scatter();
    for (int steps = 0;; ++steps) {
        auto work = task();
        ASHLAR_ASSERT_OK(work.start(block_count{3000}));
        for (int i = 0; i < steps && work.running(); ++i) {
            work.pause();
            EXPECT_TRUE(work.step({.blocks_max = 8}).reasons.has(stop_reason::paused));
            work.resume();
            work.step({.blocks_max = 8});
        }
        if (!work.running()) break;
        work.cancel();
        EXPECT_TRUE(work.step().reasons.has(stop_reason::cancelled));
        EXPECT_FALSE(work.running());
        EXPECT_TRUE(live.volume().space.withheld().empty());
        EXPECT_EQ(live.info().blocks, block_count{9000});
        if (steps % 3 == 0) expect_all();
        ASSERT_LT(steps, 500);
    }
    EXPECT_EQ(live.info().blocks, block_count{3000});
    EXPECT_TRUE(live.volume().space.withheld().empty());
    expect_all();
}

TEST_F(ShrinkingTest, TheSmallestSizeIsReachedByMovingAndOneBelowIsRefused) {
    scatter();
    auto       work     = task();
    const auto smallest = work.plan(block_count{8000}).value().smallest;
    EXPECT_EQ(work.start(smallest - block_count{1}).error(), (error{errc::no_space, {smallest.value}}));
    EXPECT_FALSE(work.running());
    ASHLAR_ASSERT_OK(work.start(smallest));
    run(work);
    EXPECT_TRUE(work.last_result().shrank()) << message(work.last_result().failure.code);
    EXPECT_EQ(live.info().blocks, smallest);
    expect_all();
    for (const auto& id : live.objects()) {
        if (id != live.root()) { ASHLAR_ASSERT_OK(live.erase(id)); }
    }
    expect_whole(live);
}

TEST_F(ShrinkingTest, TablesThatNobodyNeedsGoWithTheEnd) {
    ASHLAR_ASSERT_OK(store_size{live}.cut(block_count{2500}));
    auto longer = memory_device::create({512}, block_count{30'000});
    ASHLAR_ASSERT_OK(longer);
    static_cast<void>(live.abandon());
    std::memcpy(longer.value().bytes().data(), memory.bytes().data(), memory.bytes().size());
    live = opened_on(longer.value());
    ASHLAR_ASSERT_OK(store_size{live}.grow());
    const auto parts = live.volume().regions.bitmaps().size();
    EXPECT_EQ(parts, 2U);
    scatter();
    auto work = task();
    ASHLAR_ASSERT_OK(work.start(block_count{2500}));
    run(work);
    EXPECT_TRUE(work.last_result().shrank()) << message(work.last_result().failure.code);
    EXPECT_EQ(live.volume().regions.bitmaps().size(), 1U);
    expect_all();
    live = {};
}

TEST_F(ShrinkingTest, APinnedExtentThatComesMeanwhileStopsItWithItsName) {
    scatter();
    auto work = task();
    ASHLAR_ASSERT_OK(work.start(block_count{3000}));
    work.step({.blocks_max = 8});
    object_id late{};
    for (const auto& id : live.objects()) {
        for (const auto& piece : live.extents(id)) {
            if (piece.physical.first.value < 3500) continue;
            late = id;
            ASHLAR_ASSERT_OK(live.pin(id, piece.logical.value * 512, 512));
            break;
        }
        if (late) break;
    }
    ASSERT_TRUE(late);
    run(work);
    EXPECT_FALSE(work.last_result().shrank());
    EXPECT_NE(work.last_result().failure.code, errc::none);
    EXPECT_TRUE(work.last_result().reasons.has(stop_reason::pinned));
    EXPECT_FALSE(work.last_result().reasons.has(stop_reason::device_error)) << "every transfer succeeded";
    ASSERT_FALSE(work.obstacles().empty());
    EXPECT_EQ(work.obstacles()[0].kind, obstacle_kind::extents);
    EXPECT_EQ(work.obstacles()[0].object, late);
    EXPECT_EQ(live.info().blocks, block_count{9000});
    expect_all();
}

TEST_F(ShrinkingTest, WhatCannotBeReadBehindTheEndIsTheReasonWithItsBlock) {
    scatter();
    extent last{};
    for (const auto& id : live.objects()) {
        for (const auto& piece : live.extents(id)) {
            if (!piece.unwritten && piece.physical.first > last.first) last = piece.physical;
        }
    }
    ASSERT_GT(last.first.value, 3000U);
    auto& byte = memory.bytes()[static_cast<std::size_t>(last.first.value * 512)];
    byte ^= std::byte{1};
    auto work = task();
    ASHLAR_ASSERT_OK(work.start(block_count{3000}));
    const auto said = run(work);
    EXPECT_TRUE(said.reasons.has(stop_reason::device_error));
    EXPECT_EQ(said.failure.code, errc::checksum_differs);
    EXPECT_EQ(work.last_result().failure, (error{errc::checksum_differs, last.first}));
    EXPECT_FALSE(work.last_result().shrank());
    ASSERT_FALSE(work.obstacles().empty());
    EXPECT_TRUE(work.obstacles()[0].why.has(stop_reason::device_error));
    byte ^= std::byte{1};
    ASHLAR_ASSERT_OK(work.start(block_count{3000}));
    run(work);
    EXPECT_TRUE(work.last_result().shrank()) << message(work.last_result().failure.code);
    expect_all();
}

TEST_F(ShrinkingTest, WhoWithholdsBlocksKeepsTheSize) {
    {
        const entered guard{live.volume()};
        ASHLAR_ASSERT_OK(withhold(live.volume(), {block_index{7000}, block_count{100}}));
    }
    auto work = task();
    EXPECT_EQ(code_of(work.start(block_count{8000})), errc::busy);
    EXPECT_FALSE(work.running());
    EXPECT_EQ(store_size{live}.plan_growth(block_count{9000}).why.code, errc::invalid_argument);
    const entered guard{live.volume()};
    EXPECT_EQ(live.volume().space.withheld().count, block_count{100});
    stop_withholding(live.volume());
}

}  // namespace shrinking_test
}  // namespace ashlar::test
