// Regions of stores that are made otherwise: without a journal, without checksums, with large blocks.

#include "region_fixture.hpp"

#include <ashlar/checksum/no_checksum.hpp>
#include <ashlar/compaction.hpp>
#include <ashlar/journal/no_journal.hpp>

namespace ashlar::test {
namespace region_variants_test {

template <class Blueprint, std::uint32_t BlockBytes>
struct variant {
    using blueprint                      = Blueprint;
    static constexpr std::uint32_t block = BlockBytes;
};

template <class Variant>
struct RegionVariants : testing::Test {};

using variants = testing::Types<variant<test_blueprint<xxh3, extent_tree, no_journal>, 512>,
                                variant<test_blueprint<no_checksum>, 4096>>;
TYPED_TEST_SUITE(RegionVariants, variants);

TYPED_TEST(RegionVariants, ARegionMovesWhileItIsWrittenAndIsThereAfterARestart) {
    using blueprint          = typename TypeParam::blueprint;
    using store_type         = store<blueprint>;
    constexpr auto     block = TypeParam::block;
    const volume_shape shape{.block_bytes = block, .blocks = 3000, .journal_blocks = 96};
    auto               limits = small_limits();
    limits.staging_bytes = limits.journal_bytes = 16 * block;
    auto memory                                 = make_memory(shape);
    format_on<store_type>(memory, shape);
    auto live = opened_on<store_type>(memory, limits);
    {
        store_regions regions{live};
        ASHLAR_ASSERT_OK(regions.add({.type = maps, .blocks = block_count{300}}));
        ASHLAR_ASSERT_OK(regions.add({.type = logs, .blocks = block_count{250}}));
        ASHLAR_ASSERT_OK(regions.remove({maps, 0}));
        ASHLAR_ASSERT_OK(live.checkpoint());
        auto       region  = regions.open({logs, 0}).value();
        const auto place   = regions.find({logs, 0}).value().place;
        auto       content = pattern(250, block, 1);
        ASHLAR_ASSERT_OK(region.write({block_index{0}, block_count{250}}, content));
        auto opened = compaction<blueprint>::open(live, {.regions = {.threshold_permille = 1}});
        ASHLAR_ASSERT_OK(opened);
        std::uint32_t during = 0;
        for (;; ++during) {
            const auto said = opened.value().step({.blocks_max = 20});
            if (said.reasons != stop_reason::budget_spent) break;
            const auto one = pattern(1, block, 100 + during);
            const auto at  = during * 37 % 250;
            ASHLAR_ASSERT_OK(region.write({block_index{at}, block_count{1}}, one));
            std::copy(one.begin(), one.end(), content.begin() + static_cast<std::ptrdiff_t>(std::size_t{at} * block));
        }
        EXPECT_GT(during, 10U);
        EXPECT_EQ(opened.value().last_result().regions_moved, 1U);
        EXPECT_LT(regions.find({logs, 0}).value().place.first, place.first);
        EXPECT_EQ(read_all(region), content);
        ASHLAR_ASSERT_OK(region.sync());
        EXPECT_EQ(findings_of(live), "");
        ASHLAR_ASSERT_OK(live.close());
        live       = opened_on<store_type>(memory, limits);
        auto again = store_regions{live}.open({logs, 0}).value();
        EXPECT_EQ(read_all(again), content);
    }
    const auto free = live.info().free;
    ASHLAR_ASSERT_OK(store_regions{live}.remove({logs, 0}));
    ASHLAR_ASSERT_OK(live.checkpoint());
    EXPECT_EQ(live.info().free, free + block_count{250});
    EXPECT_EQ(findings_of(live), "");
}

}  // namespace region_variants_test
}  // namespace ashlar::test
