// Blocks that wait to be free, where a region asks for space; and what copies owe the throttle.

#include "region_fixture.hpp"

#include <ashlar/compaction.hpp>
#include <ashlar/testing/faulty_device.hpp>

namespace ashlar::test {
namespace region_space_test {

const volume_shape shape{.block_bytes = 512, .blocks = 3000, .journal_blocks = 96};

using task = compaction<test_blueprint<>>;

struct RegionSpace : testing::Test {
    RegionSpace() : memory{make_memory(shape)}, device{memory} {
        format_on(device, shape);
        live = opened_on(device);
    }

    [[nodiscard]] store_regions<test_blueprint<>> all() { return store_regions{live}; }
    /// As many blocks as a region may have now.
    [[nodiscard]] block_count most() {
        block_count blocks = live.info().available;
        while (!all().can_add({.type = maps, .blocks = blocks})) --blocks.value;
        return blocks;
    }
    [[nodiscard]] std::uint64_t writes() { return device.calls(transfer_kind::write); }

    memory_device                memory;
    faulty_device<memory_device> device;
    test_store                   live;
};

TEST_F(RegionSpace, WhatWasRemovedIsThereForTheNextRegionBeforeAnybodySyncs) {
    const auto blocks = most();
    for (const bool asks : {false, true}) {
        const auto name = all().add({.type = maps, .blocks = blocks});
        ASHLAR_ASSERT_OK(name);
        const auto place = all().find(name.value()).value().place;
        EXPECT_EQ(code_of(all().can_add({.type = maps, .blocks = blocks})), errc::no_space);
        ASHLAR_ASSERT_OK(all().remove(name.value()));
        EXPECT_GE(live.volume().space.draining(), blocks);
        if (asks) {
            const auto found = all().can_add({.type = maps, .blocks = blocks});
            ASHLAR_ASSERT_OK(found);
            EXPECT_EQ(found.value(), place);
        }
        const auto again = all().add({.type = maps, .blocks = blocks});
        ASHLAR_ASSERT_OK(again);
        EXPECT_EQ(all().find(again.value()).value().place, place);
        ASHLAR_ASSERT_OK(all().remove(again.value()));
    }
    EXPECT_EQ(findings_of(live), "");
}

TEST_F(RegionSpace, WhatWasErasedIsThereToo) {
    const auto id = live.create();
    ASHLAR_ASSERT_OK(id);
    const auto blocks = most();
    ASHLAR_ASSERT_OK(live.append(id.value(), pattern(500, 512, 1)));
    ASHLAR_ASSERT_OK(live.sync());
    EXPECT_FALSE(all().can_add({.type = maps, .blocks = blocks}));
    ASHLAR_ASSERT_OK(live.erase(id.value()));
    ASHLAR_EXPECT_OK(all().can_add({.type = maps, .blocks = blocks}));
}

TEST_F(RegionSpace, WhereNothingWaitsOrMayBeWrittenTheAnswerIsTheFirst) {
    const auto blocks = most();
    ASHLAR_ASSERT_OK(live.checkpoint());
    const auto before = writes();
    EXPECT_EQ(code_of(all().can_add({.type = maps, .blocks = blocks + block_count{1}})), errc::reserve_only);
    EXPECT_EQ(writes(), before);
    const auto name = all().add({.type = maps, .blocks = blocks});
    ASHLAR_ASSERT_OK(name);
    ASHLAR_ASSERT_OK(all().remove(name.value()));
    live.volume().committing = true;  // as a channel of this thread has it
    EXPECT_EQ(code_of(all().can_add({.type = maps, .blocks = blocks})), errc::no_space);
    live.volume().committing = false;
    device.fail(transfer_kind::write, 1);
    EXPECT_EQ(code_of(all().can_add({.type = maps, .blocks = blocks})), errc::device_failed);
    EXPECT_EQ(code_of(all().can_add({.type = maps, .blocks = blocks})), errc::read_only);
}

TEST_F(RegionSpace, APlanAndAPassCountWhatWaitsToBeFree) {
    const auto gap = all().add({.type = maps, .blocks = block_count{300}}).value();
    ASHLAR_ASSERT_OK(all().add({.type = logs, .blocks = block_count{200}}));
    const auto content = pattern(200, 512, 1);
    ASHLAR_ASSERT_OK(all().open({logs, 0}).value().write({{0}, {200}}, content));
    ASHLAR_ASSERT_OK(live.checkpoint());
    const auto place = all().find({logs, 0}).value().place;
    ASHLAR_ASSERT_OK(all().remove(gap));
    auto        compacting = task::open(live, {.regions = {.threshold_permille = 1}}).value();
    region_move lines[2];
    const auto  before = writes();
    const auto  plan   = compacting.plan(lines);
    ASHLAR_ASSERT_OK(plan);
    EXPECT_EQ(writes(), before) << "a plan writes nothing";
    EXPECT_EQ(plan.value().moves, 1U);
    EXPECT_TRUE(lines[0].needed);
    progress said;
    do said = compacting.step();
    while (said.reasons == stop_reason::budget_spent);
    EXPECT_TRUE(said.reasons.has(stop_reason::finished));
    EXPECT_EQ(compacting.last_result().regions_moved, 1U);
    EXPECT_EQ(compacting.last_result().before, plan.value().before);
    EXPECT_EQ(all().find({logs, 0}).value().place.first, lines[0].to);
    EXPECT_LT(lines[0].to, place.first);
    auto region = all().open({logs, 0}).value();
    EXPECT_TRUE(read_all(region) == content);
    EXPECT_EQ(findings_of(live), "");
}

/// Grants a number of bytes, then refuses.
struct purse : no_throttle {
    [[nodiscard]] io_grant acquire(io_request asked, time_point) noexcept {
        const auto bytes = asked.want < left ? asked.want : left;
        if (bytes < asked.least) return {.bytes = 0, .not_before = {99}};
        left -= bytes;
        spent += bytes;
        return {.bytes = bytes};
    }
    std::uint64_t left  = ~std::uint64_t{0};
    std::uint64_t spent = 0;
};

TEST_F(RegionSpace, WhatAFlipCopiesAgainIsOwedToTheThrottle) {
    using throttled = region_compactor<test_store::volume_type, purse>;
    const auto gap  = all().add({.type = maps, .blocks = block_count{300}}).value();
    for (std::uint32_t number = 0; number < 2; ++number)
        ASHLAR_ASSERT_OK(all().add({.type = logs, .blocks = block_count{128}}));
    ASHLAR_ASSERT_OK(all().remove(gap));
    byte_vector lent(throttled::memory_bytes({}, {512}));
    auto        made = throttled::create({.threshold_permille = 1}, {512}, lent);
    ASHLAR_ASSERT_OK(made);
    auto& moving = made.value();
    auto  region = all().open({logs, 0}).value();
    EXPECT_EQ(moving.step(live.volume(), {.blocks_max = 100}).reasons, stop_reason::budget_spent);
    EXPECT_EQ(moving.throttle().spent, 100U * 512);
    ASHLAR_ASSERT_OK(region.write({{3}, {1}}, pattern(1, 512, 7)));  // a window of 64 blocks is copied again
    moving.throttle().left = (28 + 20) * 512;
    const auto said        = moving.step(live.volume(), {});
    EXPECT_EQ(said.reasons, stop_reason::throttled);
    EXPECT_EQ(said.not_before, time_point{99});
    EXPECT_EQ(moving.throttle().spent, (128U + 20) * 512) << "the first region moved, and a part of the debt is paid";
    EXPECT_FALSE(moving.active()) << "the second waits for the rest";
    EXPECT_EQ(moving.step(live.volume(), {}).reasons, stop_reason::throttled);
    moving.throttle().left = ~std::uint64_t{0};
    while (!moving.step(live.volume(), {}).reasons.has(stop_reason::finished)) {}
    EXPECT_EQ(moving.throttle().spent, (128U + 64 + 128) * 512);
    EXPECT_EQ(moving.last_result().regions_moved, 2U);
}

}  // namespace region_space_test
}  // namespace ashlar::test
