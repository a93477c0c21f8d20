#include "resize_fixture.hpp"

namespace ashlar::test {
namespace growth_test {

struct GrowthTest : testing::Test {
    void begin(const volume_shape& chosen, std::uint64_t device_blocks) {
        shape = chosen;
        memory.emplace(make_spare(chosen, device_blocks));
        checked.emplace(*memory);
        live = opened_on(*checked);
    }
    ~GrowthTest() override {
        live = {};
        if (checked) expect_order(*checked);
    }
    void reopen(bool clean) {
        if (clean) {
            ASHLAR_EXPECT_OK(live.close());
        } else {
            static_cast<void>(live.abandon());
        }
        live = opened_on(*checked);
    }

    volume_shape                  shape;
    std::optional<memory_device>  memory;
    std::optional<checked_memory> checked;
    test_store                    live;
};

TEST_F(GrowthTest, AFullVolumeGrowsByManyGroupsAndIsFilledAgain) {
    begin({.block_bytes = 512, .blocks = 1500, .journal_blocks = 96}, 13'000);
    std::uint64_t first_bytes = 0, second_bytes = 0;
    const auto    first = fill(live, 1, first_bytes);
    const auto    size  = store_size{live};
    const auto    plan  = store_size{live}.plan_growth();
    ASSERT_TRUE(plan.possible()) << message(plan.why.code);
    EXPECT_EQ(plan.before, block_count{1500});
    EXPECT_EQ(plan.after, block_count{13'000});
    const auto grown = store_size{live}.grow();
    ASHLAR_ASSERT_OK(grown);
    EXPECT_EQ(grown.value().gained(), plan.gained());
    EXPECT_EQ(live.info().blocks, block_count{13'000});
    EXPECT_EQ(live.info().groups, 4U);
    expect_whole(live);
    const auto second = fill(live, 2, second_bytes);
    EXPECT_GT(second_bytes, 10'000U * 450U);
    ASHLAR_ASSERT_OK(live.sync());
    expect_whole(live);
    reopen(false);
    expect_filled(live, first, 1, first_bytes);
    expect_filled(live, second, 2, second_bytes);
    expect_whole(live);
    ASHLAR_ASSERT_OK(live.erase(second));
    while (!live.maintain().value().reasons.has(stop_reason::finished)) {}
    reopen(true);
    expect_whole(live);
    static_cast<void>(size);
}

TEST_F(GrowthTest, APlanForADeviceThatIsLongerThenSaysWhatTheGrowthDoes) {
    begin({.block_bytes = 512, .blocks = 3968, .journal_blocks = 96}, 3968);
    auto size = store_size{live};
    EXPECT_EQ(size.plan_growth(block_count{9000}).why, (error{errc::out_of_range, block_index{3968}}));
    EXPECT_EQ(size.plan_growth(block_count{9000}, block_count{8000}).why,
              (error{errc::out_of_range, block_index{8000}}));
    EXPECT_EQ(size.plan_growth(block_count{3969}, block_count{3969}).why.code, errc::no_space);
    const auto plan = size.plan_growth({}, block_count{9000});
    ASSERT_TRUE(plan.possible()) << message(plan.why.code);
    EXPECT_EQ(plan.after, block_count{9000});
    EXPECT_EQ(live.info().blocks, block_count{3968});
}

TEST_F(GrowthTest, ItGrowsInsideOfItsLastGroupAndOverItsEnd) {
    begin({.block_bytes = 512, .blocks = 1500, .journal_blocks = 96}, 4500);
    for (const std::uint64_t blocks : {1501U, 3967U, 3968U, 4050U, 4500U}) {
        const auto grown = store_size{live}.grow(block_count{blocks});
        ASHLAR_ASSERT_OK(grown);
        expect_whole(live);
        reopen(blocks % 2 == 0);
        EXPECT_EQ(live.info().blocks, block_count{blocks});
        expect_whole(live);
    }
}

TEST_F(GrowthTest, WhatGrewIsCutAgain) {
    begin({.block_bytes = 512, .blocks = 1500, .journal_blocks = 96}, 13'000);
    for (int round = 0; round < 3; ++round) {
        ASHLAR_ASSERT_OK(store_size{live}.grow());
        expect_whole(live);
        ASHLAR_ASSERT_OK(live.append(live.root(), pattern(4, 512, 7)));
        ASHLAR_ASSERT_OK(store_size{live}.cut(block_count{9000}));
        expect_whole(live);
        ASHLAR_ASSERT_OK(store_size{live}.cut(block_count{1500}));
        expect_whole(live);
        EXPECT_EQ(live.volume().regions.bitmaps().size(), 1U);
        reopen(round == 1);
        EXPECT_EQ(live.info().blocks, block_count{1500});
        expect_whole(live);
    }
}

}  // namespace growth_test
}  // namespace ashlar::test
