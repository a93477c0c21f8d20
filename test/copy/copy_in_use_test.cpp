// A store that somebody changes between any two steps of its copy, and that a power cut takes, or its target, or both.

#include "copy_fixture.hpp"

#include "../counts.hpp"

#include <memory>

namespace ashlar::test {
namespace copy_in_use_test {

using parts = test_blueprint<>;
using task  = volume_copy<parts, parts>;

constexpr volume_shape source_shape{.blocks = 3000};
constexpr volume_shape target_shapes[] = {
    {.blocks = 2200}, {.blocks = 9000, .journal_blocks = 200}, {.blocks = 3000, .record_bytes = 200}};

volume_copy_options in_use() {
    return {.chunk           = block_count{4},
            .chunks_together = 2,
            .memory_bytes    = 16 * 1024,
            .in_use          = true,
            .passes_max      = 6,
            .rest_max        = block_count{24}};
}

void expect_copied(test_store& source, test_store& target, std::uint64_t seed) {
    ASSERT_EQ(content_of(target), content_of(source)) << "seed " << seed;
    EXPECT_EQ(findings_of(target), "") << "seed " << seed;
    EXPECT_FALSE(store_regions{target}.find({task::marker_type, 0}).has_value());
}

TEST(CopyInUseTest, TheTargetIsTheSourceAtTheMomentOfTheSwitch) {
    std::uint64_t passes = 0, kept = 0;
    for (std::uint64_t seed = 1; seed <= scaled(60); ++seed) {
        random_bits random{seed};
        random_user user{seed * 3};
        cut_volume  source{source_shape}, target{target_shapes[seed % 3], 2};
        fill(source.live);
        auto copying = task::open(source.live, target.live, in_use());
        ASHLAR_ASSERT_OK(copying);
        for (int i = 0; i < 400; ++i) {
            const auto said = copying.value().step({.blocks_max = 1 + random.below(60), .candidates_max = 12});
            ASSERT_FALSE(said.reasons.has(stop_reason::device_error)) << message(said.failure.code) << seed;
            if (said.reasons.has(stop_reason::nothing_to_gain) && random.below(2) == 0) break;
            for (auto changes = random.below(4); changes > 0; --changes) user.change(source.live);
        }
        const auto before = content_of(source.live);
        ASHLAR_ASSERT_OK(copying.value().finish());
        ASHLAR_ASSERT_OK(copying.value().finish());
        ASSERT_EQ(content_of(source.live), before);
        expect_copied(source.live, target.live, seed);
        const auto& did = copying.value().last_result();
        EXPECT_TRUE(did.finished && !did.resumed);
        EXPECT_EQ(did.bytes, did.blocks.value * 512);
        EXPECT_EQ(did.total, block_count{3000});
        EXPECT_EQ(did.skipped().value, did.blocks.value < 3000 ? 3000 - did.blocks.value : 0);
        passes += did.passes;
        kept += did.kept.value;
        random.below(2) == 0 ? target.cut(random) : static_cast<void>(target.live.create());
        if (HasFailure()) return;
    }
    EXPECT_GT(passes, 3 * scaled(60));
    EXPECT_GT(kept, 0U) << "blocks that did not change are not copied again";
}

TEST(CopyInUseTest, EitherSideMayLosePowerBetweenAnyTwoSteps) {
    std::uint64_t cuts = 0;
    for (std::uint64_t seed = 1; seed <= scaled(80); ++seed) {
        random_bits random{seed * 7};
        random_user user{seed * 5};
        cut_volume  source{source_shape}, target{target_shapes[seed % 3], 2};
        fill(source.live);
        for (int round = 0;; ++round) {
            const bool last    = round == 4;
            auto       copying = std::make_unique<result<task>>(task::open(source.live, target.live, in_use()));
            ASHLAR_ASSERT_OK(*copying);
            bool caught_up = false;
            for (auto steps = last ? 1000 : random.below(40); steps > 0 && !caught_up; --steps) {
                const auto said =
                    copying->value().step({.blocks_max = 1 + random.below(60), .candidates_max = 1 + random.below(20)});
                ASSERT_FALSE(said.reasons.has(stop_reason::device_error)) << message(said.failure.code) << seed;
                caught_up = said.reasons.has(stop_reason::nothing_to_gain);
                for (auto changes = random.below(4); changes > 0; --changes) user.change(source.live);
            }
            if (last || random.below(8) == 0) {
                ASHLAR_ASSERT_OK(copying->value().finish());
                expect_copied(source.live, target.live, seed);
                break;
            }
            copying.reset();
            const auto which = random.below(4);
            if (which == 0 || which == 3) source.cut(random);
            if (which == 1 || which == 3) target.cut(random);
            ASSERT_EQ(findings_of(target.live), "") << seed;
            ++cuts;
        }
        if (HasFailure()) return;
    }
    count("cuts of copies in use", cuts);
}

TEST(CopyInUseTest, AnOpenTransactionIsNoPartOfIt) {
    cut_volume source{source_shape}, target{target_shapes[0], 2};
    fill(source.live);
    const auto written = pattern(3, 512, 77);
    auto       early   = source.live.begin();
    ASHLAR_ASSERT_OK(early);
    ASHLAR_ASSERT_OK(early.value().write(source.live.root(), 0, written));
    auto copying = task::open(source.live, target.live, in_use()).value();
    while (!copying.step().reasons.has(stop_reason::nothing_to_gain)) {}
    ASHLAR_ASSERT_OK(early.value().commit());  // a generation from before the pass joins behind it
    while (!copying.step().reasons.has(stop_reason::nothing_to_gain)) {}
    auto late = source.live.begin();
    ASHLAR_ASSERT_OK(late);
    ASHLAR_ASSERT_OK(late.value().write(source.live.root(), 4096, written));
    ASHLAR_ASSERT_OK(copying.finish());
    late.value().abort();
    expect_copied(source.live, target.live, 0);
}

TEST(CopyInUseTest, AnObjectThatIsTakenBackAndWrittenAnewIsCopiedAnew) {
    // The same generation, the same size, other bytes: what was lost with the power was copied before.
    cut_volume source{source_shape}, target{target_shapes[0], 2};
    const auto id = source.live.create().value();
    ASHLAR_ASSERT_OK(source.live.write(id, 0, pattern(4, 512, 1)));
    ASHLAR_ASSERT_OK(source.live.sync());
    std::uint64_t lost = 0;
    {
        auto copying = task::open(source.live, target.live, in_use()).value();
        ASHLAR_ASSERT_OK(source.live.write(id, 0, pattern(4, 512, 2)));
        lost            = source.live.info(id).value().generation;
        const auto said = copying.step({.blocks_max = 4, .candidates_max = 9});
        ASSERT_EQ(said.reasons, stop_reason::nothing_to_gain);
        ASHLAR_ASSERT_OK(target.live.sync());
    }
    EXPECT_EQ(target.live.info(id).value().generation, lost);
    static_cast<void>(source.live.abandon());
    source.device.restart({});
    source.live = opened_on(source.device);
    ASHLAR_ASSERT_OK(source.live.write(id, 0, pattern(4, 512, 3)));
    ASSERT_EQ(source.live.info(id).value().generation, lost);
    auto copying = task::open(source.live, target.live, in_use()).value();
    EXPECT_TRUE(copying.last_result().resumed);
    ASHLAR_ASSERT_OK(copying.finish());
    expect_copied(source.live, target.live, 0);
}

TEST(CopyInUseTest, AnObjectThatIsHalfCopiedIsNeverTakenForAWholeOne) {
    // Both volumes number their mappings: whatever number the target is at, it must not be taken for the source's.
    for (std::uint32_t writes = 1; writes < 12; ++writes) {
        cut_volume source{source_shape}, target{target_shapes[0], 2};
        ASHLAR_ASSERT_OK(source.live.write(source.live.root(), 0, pattern(8, 512, 0)));
        {
            auto copying = task::open(source.live, target.live, in_use()).value();
            ASSERT_EQ(copying.step({.blocks_max = 99, .candidates_max = 99}).reasons, stop_reason::nothing_to_gain);
            for (std::uint32_t i = 1; i <= writes; ++i)
                ASHLAR_ASSERT_OK(source.live.write(source.live.root(), 0, pattern(8, 512, i)));
            ASHLAR_ASSERT_OK(source.live.sync());
            ASSERT_EQ(copying.step({.blocks_max = 4, .candidates_max = 99}).reasons, stop_reason::budget_spent);
        }
        auto copying = task::open(source.live, target.live, in_use()).value();
        ASHLAR_ASSERT_OK(copying.finish());
        expect_copied(source.live, target.live, writes);
    }
}

TEST(CopyInUseTest, ARegionThatWentAndCameAgainIsAnotherOne) {
    cut_volume    source{source_shape}, target{target_shapes[0], 2};
    store_regions regions{source.live};
    const auto    first = regions.add({.type = logs, .blocks = block_count{9}}).value();
    auto          old   = regions.open(first).value();
    ASHLAR_ASSERT_OK(old.write({block_index{0}, block_count{9}}, pattern(9, 512, 1)));
    auto copying = task::open(source.live, target.live, in_use()).value();
    while (!copying.step().reasons.has(stop_reason::nothing_to_gain)) {}
    ASHLAR_ASSERT_OK(regions.add({.type = maps, .blocks = block_count{1}}));
    ASHLAR_ASSERT_OK(regions.remove(first));
    EXPECT_EQ(regions.add({.type = logs, .blocks = block_count{9}}).value(), first);  // nobody writes to it
    ASHLAR_ASSERT_OK(copying.finish());
    expect_copied(source.live, target.live, 0);
}

TEST(CopyInUseTest, OfALongRegionOnlyWhatWasWrittenIsCopiedAgain) {
    cut_volume    source{{.blocks = 9000}}, target{{.blocks = 9000}, 2};
    store_regions regions{source.live};
    const auto    name   = regions.add({.type = logs, .blocks = block_count{4000}}).value();
    auto          region = regions.open(name).value();
    ASHLAR_ASSERT_OK(region.write({block_index{0}, block_count{4000}}, pattern(4000, 512, 1)));
    auto copying = task::open(source.live, target.live, in_use()).value();
    while (!copying.step().reasons.has(stop_reason::nothing_to_gain)) {}
    const auto all = copying.last_result().blocks;
    EXPECT_GE(all, block_count{4000});
    for (const std::uint64_t at : {0U, 63U, 64U, 3999U})
        ASHLAR_ASSERT_OK(region.write({block_index{at}, block_count{1}}, pattern(1, 512, 5)));
    ASHLAR_ASSERT_OK(region.trim({block_index{200}, block_count{1}}));
    ASHLAR_ASSERT_OK(copying.finish());
    EXPECT_EQ(copying.last_result().blocks - all, block_count{3 * 64 + 4000 % 64});
    expect_copied(source.live, target.live, 0);
}

TEST(CopyInUseTest, OnlyOneCopyOfASourceInUseIsMade) {
    cut_volume source{source_shape}, target{target_shapes[0], 2}, other{target_shapes[0], 3};
    {
        auto copying = task::open(source.live, target.live, in_use()).value();
        EXPECT_EQ(code_of(task::open(source.live, other.live, in_use())), errc::busy);
    }
    ASHLAR_EXPECT_OK(task::open(source.live, other.live, in_use()));
}

TEST(CopyInUseTest, ASourceThatOnlyReadsIsCopiedAsItIs) {
    cut_volume source{source_shape}, target{target_shapes[0], 2};
    fill(source.live);
    source.live  = {};
    source.live  = test_store::open_read_only(any_device{source.device}, with()).value();
    auto copying = task::open(source.live, target.live, in_use()).value();
    auto said    = copying.step({.blocks_max = 9000, .candidates_max = 9000});
    EXPECT_EQ(said.reasons, stop_reason::nothing_to_gain);
    EXPECT_EQ(said.phase, static_cast<std::uint32_t>(copy_phase::caught_up));
    ASHLAR_ASSERT_OK(copying.finish());
    expect_copied(source.live, target.live, 0);
    EXPECT_EQ(copying.step().reasons, stop_reason::finished);
}

}  // namespace copy_in_use_test
}  // namespace ashlar::test
