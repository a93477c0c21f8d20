// Features of a volume that is copied: their bits, their bytes in each record, their regions.

#include "../counts.hpp"
#include "copy_fixture.hpp"

#include <ashlar/feature_addition.hpp>

namespace ashlar::test {
namespace copy_features_test {

using parts = test_blueprint<>;
using task  = volume_copy<parts, parts>;

constexpr volume_shape source_shape{.blocks = 3000, .record_bytes = roomy_record_bytes, .inline_extents = 2};
constexpr volume_shape narrow_shape{.blocks = 3000};
constexpr volume_shape target_shapes[] = {
    source_shape,
    {.blocks = 2200, .record_bytes = 168, .inline_extents = 2},
    {.blocks = 9000, .journal_blocks = 200, .record_bytes = 256, .inline_extents = 5}};

volume_copy_options small_steps(bool in_use) {
    return {.chunk           = block_count{4},
            .chunks_together = 2,
            .memory_bytes    = 16 * 1024,
            .in_use          = in_use,
            .passes_max      = 6,
            .rest_max        = block_count{24}};
}

progress run(task& copying) {
    for (;;) {
        const auto said = copying.step({.blocks_max = 64, .candidates_max = 32});
        if (said.reasons != stop_reason::budget_spent) return said;
    }
}

void expect_copied(test_store& source, test_store& target, std::uint64_t seed = 0) {
    ASSERT_EQ(content_of(target), content_of(source)) << "seed " << seed;
    EXPECT_EQ(findings_of(target), "") << "seed " << seed;
    EXPECT_EQ(superblock_as_is(target.volume()).manifest, superblock_as_is(source.volume()).manifest);
    EXPECT_FALSE(store_regions{target}.find(copy_mark::name).has_value());
}

struct CopyFeaturesTest : testing::Test {
    CopyFeaturesTest() : source{source_shape} {
        fill(source.live);
        add_features(source.live);
    }
    static std::uint32_t offset_of(test_store& live, std::uint32_t bit) {
        return features::row_of(live.volume(), bit).offset;
    }

    cut_volume source;
};

TEST_F(CopyFeaturesTest, FeaturesGoAlongWithTheirBytesAndRegions) {
    const auto estimate = task::estimate(source.live).value();
    EXPECT_EQ(estimate.features, 3U);
    EXPECT_EQ(estimate.feature_bytes, 24U);
    for (const auto& shape : target_shapes) {
        cut_volume target{shape, 2};
        const auto plan = task::plan_features(source.live, target.live).value();
        EXPECT_EQ(plan.obstacle, errc::none);
        EXPECT_EQ(plan.width, object_encoded_bytes(target.live.volume().inline_extents) + 24);
        EXPECT_EQ(plan.has, shape.record_bytes);
        auto copying = task::open(source.live, target.live).value();
        ASSERT_EQ(run(copying).reasons, stop_reason::finished);
        expect_copied(source.live, target.live);
        EXPECT_EQ(offset_of(source.live, 3), 8U) << "bytes of one that went are free before it";
        EXPECT_EQ(offset_of(target.live, 3), 0U);
        random_bits random{1};
        target.cut(random);  // it is durable
        expect_copied(source.live, target.live);
        store_features features{target.live};
        ASHLAR_EXPECT_OK(features.remove(3));
        ASHLAR_EXPECT_OK(features.remove(31));
        EXPECT_EQ(code_of(store_regions{target.live}.find({maps, 0})), errc::not_found);
        EXPECT_EQ(findings_of(target.live), "");
    }
}

TEST_F(CopyFeaturesTest, ATargetWithoutRoomIsRefusedAndSaysTheWidthThatItMustHave) {
    cut_volume target{narrow_shape, 2};
    const auto plan = task::plan_features(source.live, target.live).value();
    EXPECT_EQ(plan.obstacle, errc::too_large);
    EXPECT_EQ(plan.width, 160U);
    EXPECT_EQ(plan.has, 136U);
    const auto refused = task::open(source.live, target.live);
    ASSERT_EQ(code_of(refused), errc::too_large);
    EXPECT_EQ(refused.error().where.value, 160U);
    EXPECT_FALSE(store_regions{target.live}.find(copy_mark::name).has_value()) << "nothing was begun";
    EXPECT_EQ(superblock_as_is(target.live.volume()).manifest, 0U);
    // An empty volume gets wider records at once; then it is a target.
    record_migration wider{target.live};
    wider.start({.record_bytes = plan.width});
    while (!wider.step().reasons.has(stop_reason::finished)) {}
    auto copying = task::open(source.live, target.live);
    ASHLAR_ASSERT_OK(copying);
    ASSERT_EQ(run(copying.value()).reasons, stop_reason::finished);
    expect_copied(source.live, target.live);
}

TEST(CopyToAddAFeature, WhereNoWiderTableHasRoomACopyToANewVolumeIsTheWay) {
    cut_volume old{narrow_shape};
    fill(old.live);
    for (std::uint32_t i = 0; old.live.append(old.live.root(), pattern(8, 512, i)); ++i) {}
    const feature_request wanted{.bit = 9, .record_bytes = 32};
    const auto            plan = store_features{old.live}.can_add(wanted).value();
    ASSERT_EQ(plan.way, feature_way::volume_copy);
    ASSERT_EQ(plan.obstacle, errc::none);
    ASSERT_EQ(feature_addition(old.live, wanted).step().failure.code, errc::no_contiguous_space);
    const volume_shape shape{
        .blocks = 4000, .record_bytes = plan.width, .inline_extents = old.live.volume().inline_extents};
    cut_volume target{shape, 2};
    auto       copying = task::open(old.live, target.live).value();
    ASSERT_EQ(run(copying).reasons, stop_reason::finished);
    expect_copied(old.live, target.live);
    store_features features{target.live};
    EXPECT_EQ(features.add(wanted).value().way, feature_way::spare_bytes);
    for (const auto id : target.live.objects()) ASHLAR_ASSERT_OK(features.write(id, 9, ashlar::pattern(32, id.value)));
    EXPECT_EQ(findings_of(target.live), "");
    // And from there on with its bytes.
    cut_volume next{shape, 3};
    auto       again = task::open(target.live, next.live).value();
    ASSERT_EQ(run(again).reasons, stop_reason::finished);
    expect_copied(target.live, next.live);
}

TEST_F(CopyFeaturesTest, AFeatureThatTheSourceHasNotIsSomethingElseInTheTarget) {
    cut_volume     target{source_shape, 2};
    store_features features{target.live};
    ASHLAR_ASSERT_OK(features.add({.bit = 8, .record_bytes = 8}));
    EXPECT_EQ(task::plan_features(source.live, target.live).value().obstacle, errc::busy);
    EXPECT_EQ(code_of(task::open(source.live, target.live)), errc::busy);
    ASHLAR_ASSERT_OK(features.remove(8));
    ASHLAR_ASSERT_OK(features.add({.bit = 3, .record_bytes = 8}));
    EXPECT_EQ(code_of(task::open(source.live, target.live)), errc::busy) << "another width";
    ASHLAR_ASSERT_OK(features.remove(3));
    ASHLAR_ASSERT_OK(features.add({.bit = 3, .record_bytes = 16}));
    ASHLAR_ASSERT_OK(features.write(target.live.root(), 3, ashlar::pattern(16, 99)));
    auto copying = task::open(source.live, target.live);
    ASHLAR_ASSERT_OK(copying);
    ASSERT_EQ(run(copying.value()).reasons, stop_reason::finished);
    expect_copied(source.live, target.live);
}

TEST(CopyOfAnEmptyVolume, GoesOnWhereTheSourceHasOtherFeaturesNow) {
    for (const bool another_width : {false, true}) {
        cut_volume     source{source_shape}, target{source_shape, 2};
        store_features features{source.live};
        ASHLAR_ASSERT_OK(features.add({.bit = 3, .record_bytes = 16}));
        {
            auto copying = task::open(source.live, target.live, {.in_use = true}).value();
            EXPECT_FALSE(copying.last_result().resumed);
            static_cast<void>(copying.step({.blocks_max = 1, .candidates_max = 1}));
            ASSERT_TRUE(store_features{target.live}.has(3));
            ASSERT_TRUE(is_empty_volume(target.live).value()) << "nothing but the feature was copied yet";
        }
        ASHLAR_ASSERT_OK(features.remove(3));
        if (another_width) { ASHLAR_ASSERT_OK(features.add({.bit = 3, .record_bytes = 8})); }
        auto copying = task::open(source.live, target.live);
        ASHLAR_ASSERT_OK(copying);
        EXPECT_TRUE(copying.value().last_result().resumed);
        ASSERT_EQ(run(copying.value()).reasons, stop_reason::finished);
        expect_copied(source.live, target.live);
    }
}

TEST_F(CopyFeaturesTest, WhatWasBeingRemovedIsBeingRemovedInTheTarget) {
    auto& from = source.live.volume();
    {
        const entered guard{from};
        const auto    row = features::row_of(from, 31);
        ASHLAR_ASSERT_OK(features::change_row(from, 31, row, row));
    }
    cut_volume target{target_shapes[1], 2};
    auto       copying = task::open(source.live, target.live).value();
    ASSERT_EQ(run(copying).reasons, stop_reason::finished);
    expect_copied(source.live, target.live);
    EXPECT_FALSE(store_features{target.live}.has(31));
    ASHLAR_ASSERT_OK(store_features{target.live}.remove(31));
    EXPECT_EQ(code_of(store_regions{target.live}.find({maps, 0})), errc::not_found)
        << "its region does not stay behind";
    ASHLAR_ASSERT_OK(store_features{target.live}.add({.bit = 4, .record_bytes = 8}));
    byte_vector bytes(8);
    for (const auto id : target.live.objects()) {
        EXPECT_EQ(store_features{target.live}.read(id, 4, bytes).value(), 8U);
        EXPECT_EQ(bytes, byte_vector(8)) << "nobody's bytes are zero";
    }
}

TEST_F(CopyFeaturesTest, RecordsOfTheSourceMayBeOnTheirWayToAnotherWidth) {
    record_migration wider{source.live};
    wider.start({.record_bytes = 232, .inline_extents = 4});
    cut_volume              target{target_shapes[1], 2};
    auto                    copying = task::open(source.live, target.live, small_steps(true)).value();
    std::set<std::uint32_t> seen;
    for (int i = 0; i < 400; ++i) {
        static_cast<void>(copying.step({.blocks_max = 9, .candidates_max = 3}));
        const auto said = wider.step({.blocks_max = 1, .candidates_max = 1});
        ASHLAR_ASSERT_OK(store_features{source.live}.write(source.live.root(), 3, ashlar::pattern(16, seen.size())));
        seen.insert(source.live.volume().record_bytes);
        if (said.reasons.has(stop_reason::finished)) break;
        if (i % 7 == 0) {  // a whole copy of half a migration
            cut_volume other{target_shapes[2], 3};
            auto       whole = task::open(source.live, other.live);
            if (code_of(whole) == errc::busy) continue;
            ASHLAR_ASSERT_OK(whole);
            ASSERT_EQ(run(whole.value()).reasons, stop_reason::finished);
            expect_copied(source.live, other.live);
        }
    }
    EXPECT_EQ(seen, (std::set<std::uint32_t>{roomy_record_bytes, 232}));
    ASHLAR_ASSERT_OK(copying.finish());
    expect_copied(source.live, target.live);
}

TEST_F(CopyFeaturesTest, OnlyBytesOfFeaturesThatChangedAreCaughtUp) {
    cut_volume target{source_shape, 2};
    auto       copying = task::open(source.live, target.live, small_steps(true)).value();
    while (!copying.step().reasons.has(stop_reason::nothing_to_gain)) {}
    const auto blocks = copying.last_result().blocks;
    ASHLAR_ASSERT_OK(store_features{source.live}.write(source.live.root(), 3, ashlar::pattern(16, 77)));
    EXPECT_NE(features_of(target.live), features_of(source.live));
    while (!copying.step().reasons.has(stop_reason::nothing_to_gain)) {}
    EXPECT_EQ(features_of(target.live), features_of(source.live)) << "noticed though no generation changed";
    EXPECT_EQ(copying.last_result().blocks, blocks) << "no data was copied for it";
    ASHLAR_ASSERT_OK(store_features{source.live}.write(source.live.root(), 31, ashlar::pattern(8, 78)));
    ASHLAR_ASSERT_OK(copying.finish());
    expect_copied(source.live, target.live);
}

TEST_F(CopyFeaturesTest, OneThatCameMeanwhileAndHasNoRoomIsAnErrorAndNotLost) {
    cut_volume target{target_shapes[1], 2};
    auto       copying = task::open(source.live, target.live, small_steps(true)).value();
    while (!copying.step().reasons.has(stop_reason::nothing_to_gain)) {}
    for (const std::uint32_t bit : {1U, 2U})  // in bytes that are free before and behind the others
        ASSERT_EQ(store_features{source.live}.add({.bit = bit, .record_bytes = 8}).value().way,
                  feature_way::spare_bytes);
    const auto said = copying.step();
    EXPECT_EQ(said.failure.code, errc::too_large);
    EXPECT_EQ(said.failure.where.value, 176U);
    EXPECT_EQ(code_of(copying.finish()), errc::too_large);
    EXPECT_EQ(code_of(copying.finish()), errc::too_large);
    EXPECT_EQ(code_of(task::open(source.live, target.live)), errc::too_large);
    EXPECT_TRUE(store_regions{target.live}.find(copy_mark::name).has_value()) << "it is no complete copy";
    ASHLAR_ASSERT_OK(store_features{source.live}.remove(1));
    ASHLAR_ASSERT_OK(copying.finish());
    expect_copied(source.live, target.live);
}

TEST(CopyWithBytesBetween, FeaturesMoveTogetherInTheTargetWhereElseTheyWouldHaveNoRoom) {
    for (const std::uint64_t steps : {0U, 1U, 3U, 1000U}) {  // of the copy that goes on, until power is lost
        cut_volume     source{source_shape};
        cut_volume     target{{.blocks = 3000, .record_bytes = 160, .inline_extents = 2}, 2};
        store_features features{source.live};
        fill(source.live);
        for (const std::uint32_t bit : {1U, 2U, 3U}) {
            ASHLAR_ASSERT_OK(features.add({.bit = bit, .record_bytes = 8}));
            for (const auto id : source.live.objects())
                ASHLAR_ASSERT_OK(features.write(id, bit, ashlar::pattern(8, id.value * 5 + bit)));
        }
        {
            auto copying = task::open(source.live, target.live, small_steps(true)).value();
            while (!copying.step().reasons.has(stop_reason::nothing_to_gain)) {}
        }
        // The one in the middle stays: beside it there is no room for another of 16, only on both of its sides.
        for (const std::uint32_t bit : {1U, 3U}) ASHLAR_ASSERT_OK(features.remove(bit));
        ASHLAR_ASSERT_OK(features.add({.bit = 9, .record_bytes = 16}));
        for (const auto id : source.live.objects())
            ASHLAR_ASSERT_OK(features.write(id, 9, ashlar::pattern(16, id.value * 7)));
        EXPECT_EQ(task::plan_features(source.live, target.live).value().width, 160U);
        {
            auto copying = task::open(source.live, target.live, small_steps(true));
            ASHLAR_ASSERT_OK(copying);
            for (std::uint64_t i = 0; i < steps; ++i) {
                const auto said = copying.value().step({.blocks_max = 9, .candidates_max = 5});
                ASSERT_EQ(said.failure.code, errc::none);
            }
        }
        random_bits random{steps};
        target.cut(random);
        EXPECT_EQ(findings_of(target.live), "");
        auto copying = task::open(source.live, target.live);
        ASHLAR_ASSERT_OK(copying);
        ASSERT_EQ(run(copying.value()).reasons, stop_reason::finished);
        expect_copied(source.live, target.live, steps);
        EXPECT_EQ(features::row_of(target.live.volume(), 2).offset, 0U);
        EXPECT_EQ(features::row_of(target.live.volume(), 9).offset, 8U);
    }
}

TEST_F(CopyFeaturesTest, WhatComesOrGoesInTheMiddleOfAPassIsTheNextOnes) {
    auto options       = small_steps(true);
    options.passes_max = 1;
    cut_volume target{source_shape, 2};
    auto       copying = task::open(source.live, target.live, options).value();
    for (int i = 0; i < 6; ++i)
        ASSERT_EQ(copying.step({.blocks_max = 100, .candidates_max = 6}).reasons, stop_reason::budget_spent);
    store_features features{source.live};
    ASHLAR_ASSERT_OK(features.remove(3));
    ASHLAR_ASSERT_OK(features.remove(31));
    record_migration narrower{source.live};  // where they were there is no byte any more
    narrower.start({.record_bytes = 144});
    while (!narrower.step().reasons.has(stop_reason::finished)) {}
    ASHLAR_ASSERT_OK(features.add({.bit = 5, .record_bytes = 8}));
    for (const auto id : source.live.objects()) ASHLAR_ASSERT_OK(features.write(id, 5, ashlar::pattern(8, id.value)));
    progress last;
    for (int i = 0; i < 200 && !last.reasons.has(stop_reason::nothing_to_gain); ++i) {
        last = copying.step({.blocks_max = 64, .candidates_max = 32});
        ASSERT_EQ(last.failure.code, errc::none) << message(last.failure.code);
    }
    EXPECT_TRUE(last.reasons.has(stop_reason::raced)) << "and says so";
    EXPECT_TRUE(store_features{target.live}.has(3));
    ASHLAR_ASSERT_OK(copying.finish());
    expect_copied(source.live, target.live);
    EXPECT_FALSE(store_features{target.live}.has(3));
    // What they left is zero, whoever gets it.
    ASHLAR_ASSERT_OK(store_features{target.live}.add({.bit = 6, .record_bytes = 32}));
    for (const auto id : target.live.objects()) {
        byte_vector bytes(32, std::byte{1});
        EXPECT_EQ(store_features{target.live}.read(id, 6, bytes).value(), 32U);
        EXPECT_EQ(bytes, byte_vector(32));
    }
}

TEST_F(CopyFeaturesTest, FeaturesMayComeAndGoWhileEitherSideLosesItsPower) {
    ASHLAR_ASSERT_OK(source.live.close());
    std::uint64_t cuts = 0;
    for (std::uint64_t seed = 1; seed <= scaled(40); ++seed) {
        random_bits  random{seed * 11};
        random_user  user{seed * 5};
        feature_user more{seed * 3};
        cut_volume   from{source_shape}, target{target_shapes[seed % 2 * 2], 2};
        fill(from.live);
        add_features(from.live);
        for (int round = 0;; ++round) {
            const bool last    = round == 4;
            auto       copying = std::make_unique<result<task>>(task::open(from.live, target.live, small_steps(true)));
            ASHLAR_ASSERT_OK(*copying);
            bool caught_up = false;
            for (auto steps = last ? 1000 : random.below(40); steps > 0 && !caught_up; --steps) {
                const auto said =
                    copying->value().step({.blocks_max = 1 + random.below(60), .candidates_max = 1 + random.below(20)});
                ASSERT_FALSE(said.reasons.has(stop_reason::device_error)) << message(said.failure.code) << seed;
                caught_up = said.reasons.has(stop_reason::nothing_to_gain);
                for (auto changes = random.below(3); changes > 0; --changes) user.change(from.live);
                for (auto changes = random.below(4); changes > 0; --changes) more.change(from.live);
            }
            if (last || random.below(8) == 0) {
                ASHLAR_ASSERT_OK(copying->value().finish());
                expect_copied(from.live, target.live, seed);
                break;
            }
            copying.reset();
            const auto which = random.below(4);
            if (which == 0 || which == 3) from.cut(random);
            if (which == 1 || which == 3) target.cut(random);
            ASSERT_EQ(findings_of(target.live), "") << seed;
            ++cuts;
        }
        if (HasFailure()) return;
    }
    source.live = opened_on(source.device);
    count("cuts of copies with features", cuts);
}

TEST_F(CopyFeaturesTest, PowerMayFailAtAnyWriteToTheTarget) {
    const auto         before = content_of(source.live);
    const volume_shape shape{.blocks = 1500, .record_bytes = roomy_record_bytes, .inline_extents = 2};
    auto               other = make_memory(shape);
    format_on(other, shape, 2);
    const byte_vector               base(other.bytes().begin(), other.bytes().end());
    recording_device<memory_device> recorded{other};
    {
        auto target  = opened_on(recorded);
        auto copying = task::open(source.live, target, {.in_use = true}).value();
        // What is undone again is half done wherever it is cut.
        store_features features{source.live};
        ASHLAR_ASSERT_OK(features.add({.bit = 12, .record_bytes = 8}));
        for (const auto id : source.live.objects())
            ASHLAR_ASSERT_OK(features.write(id, 12, ashlar::pattern(8, id.value)));
        while (!copying.step({.blocks_max = 64, .candidates_max = 32}).reasons.has(stop_reason::nothing_to_gain)) {}
        ASHLAR_ASSERT_OK(features.remove(12));
        ASHLAR_ASSERT_OK(copying.finish());
        EXPECT_EQ(content_of(target), before);
        static_cast<void>(target.abandon());
    }
    std::uint64_t number = 0, judged = 0;
    const auto    one_in = std::uint64_t{16} / scaled(16);
    crash_states(
        recorded.calls(), base, {512}, {.random_max = 1, .single_max = 3, .tears_max = 2},
        [&](const crash_point& at, std::span<std::byte> image) {
            if (++number % one_in != 0) return true;
            auto lent   = memory_device::lend(image, {512}).value();
            auto target = opened_on(lent);
            if (content_of(target) != before) {  // else it was finished
                auto copying = task::open(source.live, target);
                if (!copying || run(copying.value()).reasons != stop_reason::finished || content_of(target) != before) {
                    ADD_FAILURE() << "cut after call " << at.calls << ", " << text_of(at.choice) << ": "
                                  << said(copying);
                    return false;
                }
            }
            EXPECT_EQ(findings_of(target), "");
            ++judged;
            return true;
        });
    EXPECT_GT(judged, 20U);
    count("crash states of copies with features", judged);
}

}  // namespace copy_features_test
}  // namespace ashlar::test
