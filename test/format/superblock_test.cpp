#include <ashlar/format/superblock.hpp>

#include <gtest/gtest.h>

#include <vector>

namespace ashlar::test {
namespace superblock_test {

/// A superblock of these numbers under a right checksum.
std::vector<std::byte> sealed(std::uint32_t block_bytes, std::uint64_t blocks, char last_of_magic = '\1') {
    superblock content;
    std::memcpy(content.magic, superblock_magic, sizeof superblock_magic);
    content.magic[7]    = static_cast<std::byte>(last_of_magic);
    content.version     = superblock_version;
    content.block_bytes = block_bytes;
    content.blocks      = blocks;
    std::vector<std::byte> bytes(4096, std::byte{0});
    store_struct(bytes, content);
    seal_block(bytes, tag::superblock, {1}, identity_seed({}, superblock_identity));
    return bytes;
}

TEST(Superblock, ItsNumbersAreCheckedEvenUnderARightChecksum) {
    constexpr auto most = ~std::uint64_t{0} >> 17U;
    EXPECT_TRUE(is_superblock(sealed(512, 100)));
    EXPECT_TRUE(is_superblock(sealed(65536, most)));
    EXPECT_FALSE(is_superblock(sealed(65536, most + 1))) << "its bytes could not be counted";
    for (const std::uint32_t bytes : {0U, 1U, 256U, 513U, 4097U, 131072U, 0xFFFF'FFFFU}) {
        EXPECT_FALSE(is_superblock(sealed(bytes, 100))) << bytes;
    }
    EXPECT_FALSE(is_superblock(sealed(512, 100, '\2'))) << "another magic";
}

TEST(Superblock, OneFlippedBitIsEnoughToRefuseIt) {
    auto bytes = sealed(4096, 1000);
    for (std::size_t at = 0; at < bytes.size(); at += 7) {
        bytes[at] ^= std::byte{8};
        EXPECT_FALSE(is_superblock(bytes)) << at;
        bytes[at] ^= std::byte{8};
    }
    EXPECT_TRUE(is_superblock(bytes));
}

}  // namespace superblock_test
}  // namespace ashlar::test
