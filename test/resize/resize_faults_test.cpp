// The n-th read, write and sync fails, once and for good, while a volume grows and is cut.

#include "../counts.hpp"
#include "resize_fixture.hpp"

#include <ashlar/testing/faulty_device.hpp>

namespace ashlar::test {
namespace resize_faults_test {

const volume_shape      shape{.block_bytes = 512, .blocks = 3900, .journal_blocks = 96};
constexpr std::uint64_t large = 18'000;

/// A volume that grows and is cut again, with an object that stays.
class resize_faults {
  public:
    resize_faults() : memory_{make_spare(shape, large)} {
        auto live = opened_on(memory_);
        ASHLAR_EXPECT_OK(live.append(live.root(), object_));
        ASHLAR_EXPECT_OK(live.trim(block_count{100}));  // bits of trimmed blocks are cut too
        ASHLAR_EXPECT_OK(live.close());
        base_.assign(memory_.bytes().begin(), memory_.bytes().end());
    }

    /// Answers whether the fault was met.
    bool run(transfer_kind kind, std::uint64_t nth, fault_lasts lasts, failed_write leaves) {
        std::copy(base_.begin(), base_.end(), memory_.bytes().begin());
        faulty_device<memory_device> device{memory_};
        auto                         live = opened_on(device);
        device.failing_writes(leaves);
        device.fail(kind, nth, lasts);
        std::set<std::uint64_t> allowed{shape.blocks};
        errors_ = 0;
        for (const std::uint64_t blocks : {large, std::uint64_t{3000}, std::uint64_t{4000}}) {
            const bool grows = block_count{blocks} > live.info().blocks;
            auto       done  = grows ? grow(live, blocks) : store_size{live}.cut(block_count{blocks});
            if (done) allowed.clear();
            allowed.insert(blocks);
            if (done) continue;
            ++errors_;
            if (lasts == fault_lasts::for_good) device.heal();
            if (!live.read_only()) {
                EXPECT_NE(live.info().blocks, block_count{blocks}) << "it failed, and yet it is done";
                expect_whole(live);
                allowed.erase(blocks);
            } else {
                expect_object(live);
                break;
            }
        }
        const bool met = device.failures() != 0;
        if (!met) { EXPECT_EQ(errors_, 0U) << "an error without a fault"; }
        if (met && lasts == fault_lasts::for_good) { EXPECT_GT(errors_, 0U) << "a fault without an error"; }
        device.heal();
        static_cast<void>(live.abandon());
        auto again = opened_on(memory_);
        EXPECT_EQ(allowed.count(again.info().blocks.value), 1U) << again.info().blocks.value;
        expect_object(again);
        expect_whole(again);
        ASHLAR_EXPECT_OK(again.append(again.create().value(), object_));
        expect_whole(again);
        return met;
    }

  private:
    static result<> grow(test_store& live, std::uint64_t blocks) {
        BOOST_OUTCOME_TRY(store_size{live}.grow(block_count{blocks}));
        return success();
    }
    void expect_object(test_store& live) {
        byte_vector seen(object_.size());
        ASHLAR_EXPECT_OK(live.read(live.root(), 0, seen));
        EXPECT_EQ(seen, object_);
    }

    memory_device memory_;
    byte_vector   object_ = pattern(6, 512, 9);
    byte_vector   base_;
    unsigned      errors_ = 0;
};

void fail_each(transfer_kind kind) {
    resize_faults world;
    std::uint64_t runs = 0;
    for (const auto lasts : {fault_lasts::once, fault_lasts::for_good}) {
        for (const auto leaves : {failed_write::left_nothing, failed_write::wrote_all}) {
            if (kind != transfer_kind::write && leaves == failed_write::wrote_all) continue;
            for (std::uint64_t nth = 1; world.run(kind, nth, lasts, leaves); ++nth) {
                ++runs;
                ASSERT_FALSE(testing::Test::HasFailure())
                    << "call " << nth << (lasts == fault_lasts::once ? " once" : " and all later ones")
                    << (leaves == failed_write::wrote_all ? ", although it wrote" : "");
            }
        }
    }
    EXPECT_GT(runs, 10U);
    count("fault runs", runs);
}

TEST(ResizeFaults, AReadThatFails) { fail_each(transfer_kind::read); }
TEST(ResizeFaults, AWriteThatFails) { fail_each(transfer_kind::write); }
TEST(ResizeFaults, ASyncThatFails) { fail_each(transfer_kind::sync); }

}  // namespace resize_faults_test
}  // namespace ashlar::test
