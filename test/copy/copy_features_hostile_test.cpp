// Rows of features that no build of the library wrote: neither side believes them.

#include "copy_fixture.hpp"

namespace ashlar::test {
namespace copy_features_hostile_test {

using parts = test_blueprint<>;
using task  = volume_copy<parts, parts>;

constexpr volume_shape shape{.blocks = 3000, .record_bytes = roomy_record_bytes, .inline_extents = 2};

struct hostile_row {
    std::uint32_t bit;
    std::uint16_t offset, bytes;
    std::uint32_t region = 0;
    bool          named  = true;
};

/// A volume in memory that a test can write into.
struct plain_volume {
    explicit plain_volume(std::uint64_t number = 1) : memory{make_memory(shape)} {
        format_on(memory, shape, number);
        live = opened_on(memory);
    }
    ~plain_volume() { static_cast<void>(live.abandon()); }

    void anew(std::uint64_t number) {
        static_cast<void>(live.abandon());
        memory = make_memory(shape);
        format_on(memory, shape, number);
        live = opened_on(memory);
    }

    memory_device memory;
    test_store    live;
};

struct CopyFeaturesHostile : testing::Test {
    CopyFeaturesHostile() {
        fill(source.live);
        add_features(source.live);
        ASHLAR_EXPECT_OK(source.live.checkpoint());
    }

    /// Under a right checksum, in both frames.
    static void put(plain_volume& volume, const hostile_row& hostile) {
        ASHLAR_ASSERT_OK(volume.live.checkpoint());
        static_cast<void>(volume.live.abandon());
        for (const std::size_t at : {std::size_t{0}, std::size_t{4} * 4096}) {
            const auto content = volume.memory.bytes().subspan(at, 4096);
            auto       named   = load_little<std::uint32_t>(content.data() + offsetof(superblock, manifest));
            named              = (named & ~(1U << hostile.bit)) | (hostile.named ? 1U << hostile.bit : 0U);
            store_little<std::uint32_t>(content.data() + offsetof(superblock, manifest), named);
            feature_row row;
            row.offset = hostile.offset;
            row.bytes  = hostile.bytes;
            row.region = hostile.region;
            store_struct(content.subspan(feature_row_offset(hostile.bit)), row);
            seal_block(content, tag::superblock, {}, identity_seed({}, superblock_identity));
        }
        volume.live = opened_on(volume.memory);
    }
    void finish() {
        auto copying = task::open(source.live, target.live);
        ASHLAR_ASSERT_OK(copying);
        while (!copying.value().last_result().finished)
            ASSERT_FALSE(
                copying.value().step({.blocks_max = 64, .candidates_max = 32}).reasons.has(stop_reason::device_error));
        ASSERT_EQ(content_of(target.live), content_of(source.live));
        EXPECT_EQ(findings_of(target.live), "");
    }

    plain_volume source, target{2};
};

TEST_F(CopyFeaturesHostile, ARowOfTheSourceThatIsNamedAndDamagedIsAnErrorAndNothingBegins) {
    for (const auto& row : {hostile_row{9, 0xFFF8, 0xFFF8}, hostile_row{9, 3, 8}, hostile_row{9, 0, 4},
                            hostile_row{9, 16, 8}, hostile_row{9, 0, 0, tag::objects}}) {
        put(source, row);
        EXPECT_EQ(code_of(task::open(source.live, target.live)), errc::damaged) << row.offset << " " << row.bytes;
        EXPECT_EQ(code_of(task::plan_features(source.live, target.live)), errc::damaged);
        EXPECT_EQ(code_of(task::estimate(source.live)), errc::damaged);
        EXPECT_FALSE(store_regions{target.live}.find(copy_mark::name).has_value());
    }
    ASHLAR_ASSERT_OK(store_features{source.live}.remove(9));
    finish();
}

TEST_F(CopyFeaturesHostile, ADamagedRowThatNobodyNamesIsLeftBehind) {
    for (const auto& row : {hostile_row{9, 0xFFF8, 0xFFF8, 0, false}, hostile_row{9, 3, 8, 0, false},
                            hostile_row{9, 16, 8, 0, false}, hostile_row{9, 0, 0, tag::objects, false}}) {
        put(source, row);
        auto copying = task::open(source.live, target.live);
        ASHLAR_ASSERT_OK(copying);
        while (!copying.value().last_result().finished)
            ASSERT_FALSE(copying.value().step().reasons.has(stop_reason::device_error));
        EXPECT_TRUE(features::row_of(target.live.volume(), 9).empty());
        put(source, {9, 0, 0, 0, false});
        EXPECT_EQ(content_of(target.live), content_of(source.live));
        target.anew(2);
    }
}

TEST_F(CopyFeaturesHostile, RowsOfATargetThatGoesOnAreMadeGood) {
    // Outside of the record; not aligned; over another one, which both stand in the source; a stranger's.
    for (const auto& row :
         {hostile_row{3, 0xFFF8, 16}, hostile_row{3, 3, 16}, hostile_row{31, 8, 8, maps}, hostile_row{12, 32, 8},
          hostile_row{31, 24, 8, tag::groups}, hostile_row{0, 24, 0, tag_of("TAGS"), false}}) {
        {
            auto copying = task::open(source.live, target.live).value();
            for (int i = 0; i < 12; ++i) static_cast<void>(copying.step({.blocks_max = 20, .candidates_max = 9}));
        }
        put(target, row);
        finish();
        target.anew(2);
    }
}

}  // namespace copy_features_hostile_test
}  // namespace ashlar::test
