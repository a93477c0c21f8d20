// The sizes that have names.

#include <ashlar/region/region_size.hpp>

#include <gtest/gtest.h>

namespace region_size_test {

using namespace ashlar;

TEST(RegionSize, IsAShareOfTheVolumeWithinItsBounds) {
    struct expected {
        std::uint64_t volume, small, large;
    };
    for (const auto [volume, small, large] :
         {expected{1U << 20U, 1024U, 4096U}, expected{1U << 16U, 64U, 256U}, expected{20000U, 64U, 256U},
          expected{2048U, 64U, 128U}, expected{512U, 32U, 32U}, expected{15U, 0U, 0U}}) {
        EXPECT_EQ(blocks_of(region_size::small, {volume}).value, small) << volume;
        EXPECT_EQ(blocks_of(region_size::large, {volume}).value, large) << volume;
    }
}

}  // namespace region_size_test
