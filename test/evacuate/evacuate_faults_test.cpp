// The n-th read, write and sync fails, once and for good, while a range is emptied.

#include "../counts.hpp"
#include "evacuate_fixture.hpp"

#include <ashlar/testing/faulty_device.hpp>

namespace ashlar::test {
namespace evacuate_faults_test {

using one_task = evacuation<test_blueprint<>>;

struct fault {
    transfer_kind kind   = transfer_kind::read;
    std::uint64_t nth    = 0;
    fault_lasts   lasts  = fault_lasts::once;
    failed_write  leaves = failed_write::left_nothing;
};

/// Objects with trees and two regions, and a range with most of them in it.
class evacuation_faults {
  public:
    explicit evacuation_faults(bool verifies) : verifies_{verifies}, memory_{make_memory(shape)} {
        format_on(memory_, shape);
        auto live = opened_on(memory_);
        model_.emplace(live.root());
        fill_by_turns(live, *model_, 4, 26, 512);
        for (const std::uint32_t type : {logs, maps}) {
            const auto name = store_regions{live}.add({type, block_count{40}});
            EXPECT_TRUE(name) << said(name);
            ASHLAR_EXPECT_OK(store_regions{live}.open(name.value()).value().write({{0}, {40}}, pattern(40, 512, type)));
            range_ = store_regions{live}.find(name.value()).value().place;
        }
        range_ = {range_.first - block_count{230}, block_count{300}};
        ASHLAR_EXPECT_OK(live.close());
        base_.assign(memory_.bytes().begin(), memory_.bytes().end());
    }

    /// Empties the range with the fault. Answers whether it was met.
    bool run(const fault& planned) {
        std::copy(base_.begin(), base_.end(), memory_.bytes().begin());
        faulty_device<memory_device> device{memory_};
        auto                         limits = small_limits();
        limits.cache_blocks                 = 32;  // nodes and records are read again and again
        auto live                           = opened_on(device, limits);
        device.failing_writes(planned.leaves);
        device.fail(planned.kind, planned.nth, planned.lasts);
        emptied = false;
        {
            auto chosen                = small_moves<test_blueprint<>>();
            chosen.moves.verify_target = verifies_;
            auto       task            = one_task::open(live, chosen).value();
            const auto plan            = task.plan(range_);
            if (!plan) { EXPECT_NE(device.failures(), 0U); }
            ASHLAR_EXPECT_OK(task.start(range_));
            const auto said = test::run(task, {.blocks_max = 30, .candidates_max = 10});
            emptied         = task.last_result().emptied;
            nodes           = task.last_result().nodes;
            if (!emptied) {
                EXPECT_NE(device.failures(), 0U);
                EXPECT_TRUE(said.reasons.has(stop_reason::device_error)) << "call " << planned.nth;
                EXPECT_NE(task.last_result().failure.code, errc::none);
            }
            if (planned.lasts == fault_lasts::for_good && device.failures() > 3) { EXPECT_FALSE(emptied); }
        }
        const bool met = device.failures() != 0;
        device.heal();
        EXPECT_TRUE(live.volume().space.withheld().empty());
        EXPECT_EQ(live.volume().region_traffic.motion, nullptr);
        expect_content(live);
        if (!live.read_only()) {
            EXPECT_EQ(findings_of(live), "");
            ASHLAR_EXPECT_OK(live.checkpoint());
            EXPECT_EQ(live.volume().space.available(space_use::metadata).value, live.info().free.value)
                << "blocks stay reserved";
        }
        static_cast<void>(live.abandon());
        auto again = opened_on(memory_);
        expect_content(again);
        EXPECT_EQ(findings_of(again), "");
        if (emptied) { EXPECT_EQ(blocks_in_use(again, range_), 0U); }
        static_cast<void>(again.abandon());
        return met;
    }

    bool          emptied = false;
    std::uint64_t nodes   = 0;

  private:
    static constexpr volume_shape shape{.block_bytes = 512, .blocks = 1400, .journal_blocks = 96};

    void expect_content(test_store& live) {
        EXPECT_EQ(difference(live, model_->state()), "");
        for (const std::uint32_t type : {logs, maps}) {
            auto region = store_regions{live}.open({type, 0});
            ASHLAR_ASSERT_OK(region);
            EXPECT_EQ(read_all(region.value()), pattern(40, 512, type));
        }
    }

    bool                       verifies_;
    memory_device              memory_;
    std::optional<store_model> model_;
    extent                     range_{};
    byte_vector                base_;
};

void fail_each(transfer_kind kind, bool verifies = false) {
    evacuation_faults world{verifies};
    EXPECT_FALSE(world.run({kind, 0}));
    EXPECT_TRUE(world.emptied) << "without a fault";
    EXPECT_GT(world.nodes, 0U);
    std::uint64_t runs = 0, emptied_all_the_same = 0;
    for (const auto lasts : {fault_lasts::once, fault_lasts::for_good}) {
        for (const auto leaves : {failed_write::left_nothing, failed_write::wrote_all}) {
            if (kind != transfer_kind::write && leaves == failed_write::wrote_all) continue;
            for (std::uint64_t nth = 1; world.run({kind, nth, lasts, leaves}); ++nth) {
                ++runs;
                emptied_all_the_same += world.emptied ? 1U : 0U;
                ASSERT_FALSE(testing::Test::HasFailure())
                    << "call " << nth << (lasts == fault_lasts::once ? " once" : " and all later ones")
                    << (leaves == failed_write::wrote_all ? ", although it wrote" : "");
            }
        }
    }
    EXPECT_GT(runs, 20U);
    if (kind == transfer_kind::read) { EXPECT_GT(emptied_all_the_same, 10U) << "a read is tried again"; }
    count("fault runs", runs);
}

TEST(EvacuateFaults, AReadThatFails) { fail_each(transfer_kind::read); }
TEST(EvacuateFaults, AReadThatFailsWhereTargetsAreReadBack) { fail_each(transfer_kind::read, true); }
TEST(EvacuateFaults, AWriteThatFails) { fail_each(transfer_kind::write); }
TEST(EvacuateFaults, ASyncThatFails) { fail_each(transfer_kind::sync); }

}  // namespace evacuate_faults_test
}  // namespace ashlar::test
