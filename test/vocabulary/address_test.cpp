#include <ashlar/vocabulary/extent.hpp>

#include <gtest/gtest.h>

#include <limits>
#include <type_traits>

namespace address_test {

using namespace ashlar;

constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();

template <class A, class B>
concept CanBeAdded = requires(A a, B b) {
    a + b;
};

TEST(Address, IndexCountAndLogicalNumbersDoNotMix) {
    static_assert(!std::is_convertible_v<block_count, block_index> && !std::is_convertible_v<block_index, block_count>);
    static_assert(!std::is_convertible_v<logical_block, block_index> &&
                  !std::is_convertible_v<block_index, logical_block>);
    static_assert(!CanBeAdded<block_index, block_index>, "two places have no sum");
    static_assert(CanBeAdded<block_index, block_count> && CanBeAdded<logical_block, block_count>);
    EXPECT_EQ((block_index{7} + block_count{3}) - block_index{7}, block_count{3});
}

TEST(Address, OnlyPowersOfTwoBetweenASectorAnd64KibAreBlockSizes) {
    unsigned sizes = 0;
    for (std::uint64_t bytes = 0; bytes <= 256 * 1024; ++bytes) sizes += is_block_size(bytes) ? 1U : 0U;
    EXPECT_EQ(sizes, 8U);
    EXPECT_TRUE(is_block_size(512) && is_block_size(65536));
    EXPECT_FALSE(is_block_size(256) || is_block_size(131072) || is_block_size(std::uint64_t{1} << 32U));
}

TEST(Address, BytesAndBlocksConvertByShiftsAndRoundAsTheySay) {
    for (std::uint32_t bytes = 512; bytes <= 65536; bytes *= 2) {
        const block_size size{bytes};
        EXPECT_EQ(byte_offset(block_index{5}, size), 5ULL * bytes);
        EXPECT_EQ(byte_offset(logical_block{5}, size), 5ULL * bytes);
        EXPECT_EQ(whole_blocks(5ULL * bytes - 1, size), block_count{4});
        EXPECT_EQ(blocks_for(4ULL * bytes + 1, size), block_count{5});
        EXPECT_EQ(blocks_for(5ULL * bytes, size), block_count{5});
        EXPECT_EQ(blocks_for(0, size), block_count{0});
        EXPECT_EQ(blocks_for(most, size).value, (most >> size.shift()) + 1) << "rounding up must not wrap around";
    }
}

TEST(Extent, LiesInAnotherWithoutOverflow) {
    const extent device{{0}, {100}};
    EXPECT_TRUE(lies_in({{0}, {100}}, device));
    EXPECT_TRUE(lies_in({{100}, {0}}, device));
    EXPECT_FALSE(lies_in({{99}, {2}}, device));
    EXPECT_FALSE(lies_in({{101}, {0}}, device));
    EXPECT_FALSE(lies_in({{50}, {most}}, device)) << "first + count wraps around to 49";
    EXPECT_FALSE(lies_in({{most}, {2}}, device)) << "first + count wraps around to 1";
    EXPECT_FALSE(lies_in({{9}, {1}}, {{10}, {5}}));
}

TEST(Extent, OverlapsExactlyWhereABlockIsInBoth) {
    for (std::uint64_t a = 0; a < 6; ++a) {
        for (std::uint64_t b = 0; b < 6; ++b) {
            for (std::uint64_t n = 0; n < 4; ++n) {
                for (std::uint64_t m = 0; m < 4; ++m) {
                    const extent left{{a}, {n}};
                    const extent right{{b}, {m}};
                    bool         shared = false;
                    for (std::uint64_t i = 0; i < 12; ++i)
                        shared = shared || (left.contains({i}) && right.contains({i}));
                    EXPECT_EQ(overlap(left, right), shared) << a << '+' << n << ' ' << b << '+' << m;
                }
            }
        }
    }
}

TEST(Extent, APartEndsWithTheWhole) {
    const extent whole{{10}, {5}};
    EXPECT_EQ(part_of(whole, {1}, {2}), (extent{{11}, {2}}));
    EXPECT_EQ(part_of(whole, {3}, {9}), (extent{{13}, {2}}));
    EXPECT_TRUE(part_of(whole, {5}, {1}).empty());
}

}  // namespace address_test
