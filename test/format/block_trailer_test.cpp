#include <ashlar/format/block_trailer.hpp>

#include <gtest/gtest.h>

#include <vector>

namespace block_trailer_test {

using namespace ashlar;

const volume_id      volume{std::byte{1}, std::byte{2}};
const block_identity identity{tag::node, 7, 3};

std::vector<std::byte> sealed_block(std::size_t size) {
    std::vector<std::byte> block(size, std::byte{0x5A});
    seal_block(block, identity.tag, {0x1'2345'6789}, identity_seed(volume, identity));
    return block;
}

TEST(BlockTrailer, StandsInTheLastSixteenBytes) {
    for (const std::size_t size : {512U, 4096U, 65536U}) {
        const auto block = sealed_block(size);
        EXPECT_EQ(block[size - 17], std::byte{0x5A}) << "nothing before the trailer changes";
        EXPECT_EQ(static_cast<char>(block[size - 16]), 'N');
        EXPECT_EQ(load_little<std::uint32_t>(block.data() + size - 12), 0x23456789U) << "the low half of the sequence";
        EXPECT_TRUE(is_sealed(block, identity.tag, identity_seed(volume, identity)));
    }
}

TEST(BlockTrailer, AnyChangedByteShows) {
    const auto seed  = identity_seed(volume, identity);
    auto       block = sealed_block(512);
    for (std::size_t i = 0; i < block.size(); ++i) {
        block[i] ^= std::byte{1};
        EXPECT_FALSE(is_sealed(block, identity.tag, seed)) << i;
        block[i] ^= std::byte{1};
    }
    EXPECT_TRUE(is_sealed(block, identity.tag, seed));
}

TEST(BlockTrailer, ABlockInTheWrongPlaceShows) {
    const auto block = sealed_block(512);
    EXPECT_FALSE(is_sealed(block, tag::node, identity_seed(volume, {tag::node, 8, 3}))) << "another owner";
    EXPECT_FALSE(is_sealed(block, tag::node, identity_seed(volume, {tag::node, 7, 4}))) << "another number";
    EXPECT_FALSE(is_sealed(block, tag::node, identity_seed({std::byte{2}}, identity))) << "another volume";
    EXPECT_FALSE(is_sealed(block, tag::bitmap, identity_seed(volume, identity))) << "another kind";
}

TEST(BlockTrailer, ABlockThatWasNeverWrittenIsNotWhole) {
    const std::vector<std::byte> block(512);
    EXPECT_FALSE(is_sealed(block, tag::node, identity_seed(volume, identity)));
    EXPECT_FALSE(is_sealed(block, 0, identity_seed(volume, {0, 0, 0})));
}

TEST(BlockTrailer, OnlyTheSuperblockLeavesTheVolumeOut) {
    const volume_id other{std::byte{9}};
    EXPECT_EQ(identity_seed(volume, {tag::superblock, 0, 0}), identity_seed(other, {tag::superblock, 0, 0}));
    EXPECT_NE(identity_seed(volume, {tag::anchor, 0, 2}), identity_seed(other, {tag::anchor, 0, 2}));
}

}  // namespace block_trailer_test
