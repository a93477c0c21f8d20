// Moves of regions when something gets in their way: writers, removals, broken targets, stores that only read.

#include "region_fixture.hpp"

#include <ashlar/compaction.hpp>
#include <ashlar/testing/faulty_device.hpp>

namespace ashlar::test {
namespace region_motion_test {

const volume_shape shape{.block_bytes = 512, .blocks = 3000, .journal_blocks = 96};

using task   = compaction<test_blueprint<>>;
using source = region_source<test_store::volume_type>;

/// A gap, and a region behind it that would fit there.
struct RegionMotionTest : testing::Test {
    RegionMotionTest() : memory{make_memory(shape)}, device{memory} {
        format_on(device, shape);
        live = opened_on(device);
        ASHLAR_EXPECT_OK(store_regions{live}.add({.type = maps, .blocks = block_count{300}}));
        ASHLAR_EXPECT_OK(store_regions{live}.add({.type = logs, .blocks = block_count{200}}));
        ASHLAR_EXPECT_OK(store_regions{live}.remove({maps, 0}));
        ASHLAR_EXPECT_OK(live.checkpoint());
        place     = where();
        available = live.info().available;
        fill(5);
    }

    [[nodiscard]] extent                          where() { return store_regions{live}.find({logs, 0}).value().place; }
    [[nodiscard]] region_device<test_blueprint<>> region() { return store_regions{live}.open({logs, 0}).value(); }
    void                                          fill(std::uint32_t seed) {
                                                 content  = pattern(200, 512, seed);
                                                 auto one = region();
                                                 ASHLAR_EXPECT_OK(one.write({block_index{0}, block_count{200}}, content));
    }
    void expect_content() {
        auto one = region();
        EXPECT_EQ(read_all(one), content);
    }
    /// Steps until a pass ends or does not go on.
    progress run(task& compacting, std::uint64_t blocks = 16) {
        for (;;) {
            const auto said = compacting.step({.blocks_max = blocks});
            if (said.reasons != stop_reason::budget_spent) return said;
        }
    }
    [[nodiscard]] task opened(region_compaction_options options = {}) {
        options.threshold_permille = 1;
        return task::open(live, {.regions = options}).value();
    }

    memory_device                memory;
    faulty_device<memory_device> device;
    test_store                   live;
    extent                       place{};
    block_count                  available{};
    byte_vector                  content;
};

TEST_F(RegionMotionTest, ATargetIsForTheRegionThatWasSeenAndForNoOtherOfItsName) {
    bitmap_word              words[4]{};
    region_motion            motion;
    byte_vector              window(1024);
    const region_move_memory lent{.window = window, .written = words, .motion = &motion};
    source                   on{live.volume(), lent, {block_index{0}, place.first - block_index{0}}};
    const auto               ask = [&]() { return on.reserve_target({place.first, place.count, placement::tight}); };
    const auto               run = ask();
    ASHLAR_ASSERT_OK(run);
    on.release_target(run.value());
    ASHLAR_ASSERT_OK(store_regions{live}.remove({logs, 0}));
    ASHLAR_ASSERT_OK(live.checkpoint());
    EXPECT_EQ(code_of(ask()), errc::not_found);
    ASHLAR_ASSERT_OK(store_regions{live}.add({.type = logs, .blocks = block_count{400}, .from = place.first}));
    ASSERT_EQ(where().first, place.first);
    EXPECT_EQ(code_of(ask()), errc::not_found) << "a region of another length has the name and the place now";
    EXPECT_EQ(live.info().available + block_count{200}, available);
    ASHLAR_EXPECT_OK(store_regions{live}.remove({logs, 0}));
}

TEST_F(RegionMotionTest, WhatIsAskedOfTheSourceIsAnsweredForTheRegionsThatThereAre) {
    bitmap_word              words[1]{};
    region_motion            motion;
    byte_vector              window(1024);
    const region_move_memory lent{.window = window, .written = words, .motion = &motion};
    source                   on{live.volume(), lent, {block_index{0}, place.first - block_index{0}}};
    const auto               owner = source::owner_of({logs, 0}), nobody = source::owner_of({logs, 9});
    mapped_extent            pieces[4];
    EXPECT_EQ(code_of(on.mapping(nobody, {0}, block_count{1}, pieces)), errc::not_found);
    EXPECT_EQ(on.mapping(owner, {200}, block_count{5}, pieces).value().pieces, 0U) << "behind its end";
    EXPECT_EQ(on.mapping(owner, {190}, block_count{50}, pieces).value().pieces, 1U);
    EXPECT_EQ(pieces[0].physical, (extent{place.first + block_count{190}, block_count{10}}));
    relocation_cursor cursor;
    EXPECT_FALSE(on.next_candidate(cursor, {.scope = {block_index{0}, block_count{10}}}).value().has_value());
    EXPECT_EQ(on.next_candidate(cursor, {.scope = place}).value()->owner, owner);

    const auto target = on.reserve_target({place.first, place.count, placement::tight});
    ASHLAR_ASSERT_OK(target);
    EXPECT_EQ(code_of(on.flip(nobody, {}, place.count, 0, target.value())), errc::not_found);
    EXPECT_EQ(on.flip(owner, {}, place.count, 77, target.value()).value(), false);
    on.release_target(target.value());
    EXPECT_EQ(where(), place);
    EXPECT_EQ(live.info().available, available);
}

TEST_F(RegionMotionTest, WindowsGrowWhereMemoryIsShort) {
    bitmap_word   words[1]{};
    region_motion motion{{logs, 0}, block_count{5000}, words};
    EXPECT_TRUE(motion.take_written({}).empty());
    motion.note({block_index{4999}, block_count{0}});
    EXPECT_TRUE(motion.take_written({}).empty()) << "nothing was written";
    motion.note({block_index{130}, block_count{1}});
    motion.note({block_index{4999}, block_count{1}});
    EXPECT_EQ(motion.take_written({}), (extent{block_index{128}, block_count{128}}));
    EXPECT_EQ(motion.take_written(block_count{256}), (extent{block_index{4992}, block_count{8}}));
    EXPECT_TRUE(motion.take_written({}).empty());
    region_motion going{{logs, 0}};
    going.note({block_index{0}, block_count{1}});
    EXPECT_TRUE(going.goes());
    EXPECT_FALSE(motion.goes());
}

TEST_F(RegionMotionTest, WhereTooMuchIsReservedAndWhereMemoryIsShortItIsSaid) {
    auto&               volume = live.volume();
    std::vector<extent> taken;
    for (;;) {
        const auto one = volume.space.reserve(volume.metadata(), volume.allocator, {});
        if (!one) break;
        taken.push_back(one.value());
    }
    EXPECT_EQ(code_of(store_regions{live}.add({.type = maps, .blocks = block_count{1}})), errc::too_large);
    for (const auto& one : taken) volume.space.release(one, volume.geometry.block);
    ASHLAR_EXPECT_OK(store_regions{live}.add({.type = maps, .blocks = block_count{1}}));

    using bare         = region_compactor<test_store::volume_type>;
    const auto  wanted = bare::memory_bytes({}, {512});
    byte_vector memory_lent(wanted);
    EXPECT_EQ(code_of(bare::create({}, {512}, {})), errc::workspace_too_small);
    EXPECT_EQ(code_of(bare::create({}, {512}, std::span{memory_lent}.first(wanted / 2))), errc::workspace_too_small);
    EXPECT_EQ(code_of(task::open(live, {.regions = {.chunk_bytes = std::size_t{1} << 46U}})),
              errc::workspace_too_small);
    auto without = opened({.transfers_max = 0});
    EXPECT_TRUE(run(without).reasons.has(stop_reason::finished));
}

TEST_F(RegionMotionTest, AMoveBesideABatchThatIsOnItsWayIsDurableWithALaterOne) {
    auto compacting = opened();
    ASHLAR_ASSERT_OK(live.append(live.root(), pattern(1, 512, 1)));
    live.volume().committing = true;  // as a channel of this thread has it
    const auto said          = run(compacting);
    live.volume().committing = false;
    EXPECT_TRUE(said.reasons.has(stop_reason::finished));
    EXPECT_EQ(said.failure.code, errc::none);
    EXPECT_EQ(compacting.last_result().regions_moved, 1U);
    EXPECT_LT(where().first, place.first);
    ASHLAR_ASSERT_OK(region().sync());
    const auto moved = where();
    static_cast<void>(live.abandon());
    live = opened_on(device);
    EXPECT_EQ(where(), moved);
    expect_content();
}

struct refusing_throttle : no_throttle {
    [[nodiscard]] io_grant acquire(io_request asked, time_point) const noexcept {
        if (refuses) return {.bytes = 0, .not_before = {77}};
        return {.bytes = asked.want};
    }
    bool refuses = true;
};

TEST_F(RegionMotionTest, AThrottleThatRefusesIsAskedAgainWhenItSays) {
    using throttled = region_compactor<test_store::volume_type, refusing_throttle>;
    byte_vector lent(throttled::memory_bytes({}, {512}));
    auto        made = throttled::create({.threshold_permille = 1}, {512}, lent);
    ASHLAR_ASSERT_OK(made);
    const auto said = made.value().step(live.volume(), {});
    EXPECT_EQ(said.reasons, stop_reason::throttled);
    EXPECT_EQ(said.not_before, time_point{77});
    EXPECT_TRUE(made.value().active());
    made.value().throttle().refuses = false;
    EXPECT_EQ(made.value().step(live.volume(), {.blocks_max = 16}).reasons, stop_reason::budget_spent);
    while (made.value().step(live.volume(), {}).reasons == stop_reason::budget_spent) {}
    EXPECT_LT(where().first, place.first);
    expect_content();
}

TEST_F(RegionMotionTest, OnlyOneRegionMovesAtATime) {
    auto one = opened(), other = opened();
    EXPECT_EQ(one.step({.blocks_max = 16}).reasons, stop_reason::budget_spent);
    ASSERT_TRUE(one.active());
    const auto said = run(other);
    EXPECT_TRUE(said.reasons.has(stop_reason::raced));
    EXPECT_EQ(said.failure.code, errc::none) << "no device failed";
    EXPECT_TRUE(run(one).reasons.has(stop_reason::finished));
    EXPECT_LT(where().first, place.first);
    expect_content();
    EXPECT_EQ(findings_of(live), "");
}

TEST_F(RegionMotionTest, ARaceInALaterStepStillKnowsWhereTheRegionMayGo) {
    auto compacting = opened({.races_max = 2});
    EXPECT_EQ(compacting.step({.blocks_max = 16}).reasons, stop_reason::budget_spent);
    {
        std::vector<test_store::transaction> held;  // whoever flips finds no transaction
        for (std::size_t i = 0; i < small_limits().transactions; ++i) held.push_back(live.begin().value());
        const auto said = run(compacting);
        EXPECT_TRUE(said.reasons.has(stop_reason::raced));
        EXPECT_FALSE(said.reasons.has(stop_reason::no_contiguous_space));
        EXPECT_EQ(where(), place);
    }
    EXPECT_EQ(live.info().available, available);
    ASHLAR_EXPECT_OK(region().write({block_index{0}, block_count{200}}, content));  // nobody keeps writers away
    EXPECT_TRUE(run(compacting).reasons.has(stop_reason::finished));
    EXPECT_LT(where().first, place.first);
    expect_content();
}

TEST_F(RegionMotionTest, WritesAreNotedHoweverLittleMemoryThereIsForIt) {
    for (const std::size_t bits : {0U, 1U, 2U, 64U, 65U}) {
        auto compacting = opened({.chunk_bytes = 0, .window_bits = bits});
        fill(static_cast<std::uint32_t>(bits));
        EXPECT_EQ(compacting.step({.blocks_max = 180}).reasons, stop_reason::budget_spent);
        EXPECT_TRUE(compacting.active());
        fill(static_cast<std::uint32_t>(bits) + 1);
        EXPECT_TRUE(run(compacting).reasons.has(stop_reason::finished));
        expect_content();
        ASHLAR_ASSERT_OK(store_regions{live}.remove({logs, 0}));
        ASHLAR_ASSERT_OK(live.checkpoint());
        ASHLAR_ASSERT_OK(
            store_regions{live}.add({.type = logs, .blocks = block_count{200}, .from = block_index{1000}}));
    }
}

TEST(RegionMotion, WhatTheJournalCouldNotFlipIsNotCopiedAtAll) {
    const volume_shape           large{.block_bytes = 512, .blocks = 150'000, .journal_blocks = 64};
    auto                         memory = make_memory(large);
    faulty_device<memory_device> device{memory};
    format_on(device, large);
    auto          live = opened_on(device);
    store_regions regions{live};
    std::uint64_t moved = 0, refused = 0;
    for (std::uint64_t blocks = 4000; blocks < 60'000; blocks += 4000) {
        const auto gap  = regions.add({.type = maps, .blocks = block_count{blocks}});
        const auto name = regions.add({.type = logs, .blocks = block_count{blocks}});
        if (!gap || !name) break;
        ASHLAR_ASSERT_OK(regions.remove(gap.value()));
        ASHLAR_ASSERT_OK(live.checkpoint());
        auto       compacting = task::open(live, {.regions = {.threshold_permille = 1}}).value();
        const auto writes     = device.calls(transfer_kind::write);
        const auto said       = compacting.step({.blocks_max = 100'000});
        if (said.failure.code == errc::none) {
            ++moved;
        } else {
            ++refused;
            EXPECT_EQ(said.failure.code, errc::too_large);
            EXPECT_EQ(device.calls(transfer_kind::write), writes) << "nothing was copied";
        }
        ASHLAR_ASSERT_OK(regions.remove(name.value()));
        ASHLAR_ASSERT_OK(live.checkpoint());
    }
    EXPECT_GT(moved, 0U);
    EXPECT_GT(refused, 0U);
    EXPECT_EQ(findings_of(live), "");
}

TEST_F(RegionMotionTest, APlanForOneRegionLeavesTheOthers) {
    ASHLAR_ASSERT_OK(store_regions{live}.add({.type = logs, .blocks = block_count{20}, .from = place.end()}));
    for (std::uint32_t number = 0; number < 3; ++number) {
        auto        compacting = opened({.only = region_id{logs, number}});
        region_move lines[2];
        const auto  plan = compacting.plan(lines);
        ASHLAR_ASSERT_OK(plan);
        EXPECT_EQ(plan.value().regions, 2U);
        EXPECT_EQ(plan.value().moves, number < 2 ? 1U : 0U);
        for (const auto& line : lines) EXPECT_EQ(line.needed, line.region.number == number);
    }
}

TEST_F(RegionMotionTest, WhatIsTriedAgainAfterAPauseCountsOnce) {
    auto compacting = opened();
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(compacting.step({.blocks_max = 16}).done, 1U);
        compacting.pause();
        EXPECT_EQ(compacting.step().reasons, stop_reason::paused);
        compacting.resume();
    }
    const auto said = compacting.step({.blocks_max = 16});
    EXPECT_EQ(said.done, 1U);
    EXPECT_EQ(said.total, 1U);
}

TEST_F(RegionMotionTest, CancellingWhatIsNotUnderWayLeavesTheLastResult) {
    auto compacting = opened();
    EXPECT_TRUE(run(compacting).reasons.has(stop_reason::finished));
    compacting.cancel();
    EXPECT_EQ(compacting.step().reasons, stop_reason::cancelled);
    EXPECT_TRUE(compacting.last_result().finished);
    EXPECT_EQ(compacting.last_result().regions_moved, 1U);
}

TEST_F(RegionMotionTest, AVerifiedMoveNeverFlipsToWhatWasLost) {
    ASHLAR_ASSERT_OK(live.checkpoint());
    const byte_vector before{memory.bytes().begin(), memory.bytes().end()};
    std::uint64_t     noticed = 0;
    for (std::uint64_t nth = 1;; ++nth) {
        static_cast<void>(live.abandon());
        std::copy(before.begin(), before.end(), memory.bytes().begin());
        live                  = opened_on(device);
        auto       compacting = opened({.failures_max = 0, .verify_target = true, .chunk_bytes = 20 * 512});
        const auto first      = device.calls(transfer_kind::write);
        EXPECT_EQ(compacting.step({.blocks_max = 195}).reasons, stop_reason::budget_spent);
        EXPECT_TRUE(compacting.active());
        fill(static_cast<std::uint32_t>(nth));
        const auto copied = device.calls(transfer_kind::write) - first;
        device.lose_write(nth);
        const auto said = run(compacting);
        device.heal();
        if (said.failure.code == errc::checksum_differs) {
            ++noticed;
            EXPECT_EQ(where(), place);
        }
        expect_content();
        EXPECT_EQ(live.info().available.value, available.value);
        ASSERT_FALSE(HasFailure()) << nth;
        if (nth > copied + 20) break;
    }
    EXPECT_GT(noticed, 18U) << "the last chunk, and each part of what is copied again";
}

TEST_F(RegionMotionTest, AStoreThatOnlyReadsIsNotWrittenTo) {
    ASHLAR_ASSERT_OK(live.close());
    auto opened_only = test_store::open_read_only(any_device{device}, with<test_store>());
    ASHLAR_ASSERT_OK(opened_only);
    live              = std::move(opened_only).value();
    const auto writes = device.calls(transfer_kind::write);
    auto       moving = opened();
    const auto said   = run(moving);
    EXPECT_EQ(said.failure.code, errc::read_only);
    EXPECT_TRUE(said.reasons.has(stop_reason::device_error));
    EXPECT_FALSE(moving.last_result().finished);
    EXPECT_FALSE(moving.active());
    region_motion motion;
    source        on{live.volume(), {.motion = &motion}, {block_index{0}, place.first - block_index{0}}};
    EXPECT_EQ(code_of(on.reserve_target({place.first, place.count})), errc::read_only)
        << "not even a queue, which asks nobody, has a target to write to";
    store_regions regions{live};
    byte_vector   block(512);
    EXPECT_EQ(code_of(regions.add({.type = logs, .blocks = block_count{8}})), errc::read_only);
    EXPECT_EQ(code_of(regions.can_add({.type = logs, .blocks = block_count{8}})), errc::read_only);
    EXPECT_EQ(code_of(regions.remove({logs, 0})), errc::read_only);
    EXPECT_EQ(code_of(regions.pin({logs, 0})), errc::read_only);
    EXPECT_EQ(code_of(region().write({block_index{0}, block_count{1}}, block)), errc::read_only);
    EXPECT_EQ(code_of(region().trim({block_index{0}, block_count{1}})), errc::read_only);
    EXPECT_EQ(code_of(region().sync()), errc::read_only);
    expect_content();
    EXPECT_EQ(device.calls(transfer_kind::write), writes);
}

}  // namespace region_motion_test
}  // namespace ashlar::test
