// The n-th read, write and sync fails, once and for good, while a store shrinks.

#include "../counts.hpp"
#include "../evacuate/evacuate_fixture.hpp"
#include "resize_fixture.hpp"

#include <ashlar/shrinking.hpp>
#include <ashlar/testing/faulty_device.hpp>

namespace ashlar::test {
namespace shrinking_faults_test {

constexpr volume_shape shape{.block_bytes = 512, .blocks = 6000, .journal_blocks = 160};

class shrinking_faults {
  public:
    shrinking_faults() : memory_{make_memory(shape)} {
        format_on(memory_, shape);
        auto live = opened_on(memory_);
        model_.emplace(live.root());
        const auto filler = live.create().value();
        ASHLAR_EXPECT_OK(live.reserve(filler, 0, 3000 * 512));
        fill_by_turns(live, *model_, 3, 6, 512);
        ASHLAR_EXPECT_OK(live.erase(filler));
        while (live.maintain().value().reasons.has(stop_reason::budget_spent)) {}
        ASHLAR_EXPECT_OK(live.close());
        base_.assign(memory_.bytes().begin(), memory_.bytes().end());
    }

    /// Answers whether the fault was met.
    bool run(transfer_kind kind, std::uint64_t nth, fault_lasts lasts) {
        std::copy(base_.begin(), base_.end(), memory_.bytes().begin());
        faulty_device<memory_device> device{memory_};
        auto                         live = opened_on(device);
        device.fail(kind, nth, lasts);
        bool shrank = false;
        {
            auto work =
                shrinking<test_blueprint<>>::open(live, {.evacuation = small_moves<test_blueprint<>>()}).value();
            if (work.start(block_count{2500})) test::run(work, {.blocks_max = 64}, 3000);
            shrank = work.last_result().shrank();
        }
        const bool met = device.failures() != 0;
        if (!met) { EXPECT_TRUE(shrank); }
        EXPECT_TRUE(live.volume().space.withheld().empty());
        device.heal();
        const bool ended = live.read_only();
        if (!ended) { EXPECT_EQ(live.info().blocks.value, shrank ? 2500U : shape.blocks); }
        static_cast<void>(live.abandon());
        auto again = opened_on(memory_);
        if (!ended) { EXPECT_EQ(again.info().blocks.value, shrank ? 2500U : shape.blocks); }
        EXPECT_EQ(difference(again, model_->state()), "");
        expect_whole(again);
        return met;
    }

  private:
    memory_device              memory_;
    byte_vector                base_;
    std::optional<store_model> model_;
};

void fail_each(transfer_kind kind, std::uint64_t step) {
    shrinking_faults world;
    std::uint64_t    runs = 0;
    for (const auto lasts : {fault_lasts::once, fault_lasts::for_good}) {
        for (std::uint64_t nth = 1; world.run(kind, nth, lasts); nth += step) {
            ++runs;
            ASSERT_FALSE(testing::Test::HasFailure())
                << "call " << nth << (lasts == fault_lasts::once ? " once" : " and all later ones");
        }
    }
    EXPECT_GT(runs, 10U);
    count("fault runs", runs);
}

TEST(ShrinkingFaults, AReadThatFails) { fail_each(transfer_kind::read, 2); }
TEST(ShrinkingFaults, AWriteThatFails) { fail_each(transfer_kind::write, 3); }
TEST(ShrinkingFaults, ASyncThatFails) { fail_each(transfer_kind::sync, 1); }

}  // namespace shrinking_faults_test
}  // namespace ashlar::test
