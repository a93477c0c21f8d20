#include <ashlar/checksum/no_checksum.hpp>
#include <ashlar/checksum/xxh3.hpp>
#include <ashlar/checksum/xxh64_checksum.hpp>

#include <gtest/gtest.h>

#include <string_view>
#include <vector>

namespace xxhash_test {

using namespace ashlar;

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span{text}); }

TEST(Xxhash, GivesTheSumsOfItsSpecification) {
    EXPECT_EQ(xxh64({}, 0), 0xEF46DB3751D8E999U);
    EXPECT_EQ(xxh64(bytes_of("a"), 0), 0xD24EC4F1A98C6E5BU);
    EXPECT_EQ(xxh64(bytes_of("abc"), 0), 0x44BC2CF5AD770999U);
    EXPECT_EQ(xxh3_64({}), 0x2D06800538D394C2U);
}

TEST(Xxhash, PiecesGiveTheSumOfTheWhole) {
    std::vector<std::byte> whole(1000);
    for (std::size_t i = 0; i < whole.size(); ++i) whole[i] = static_cast<std::byte>(i * 31);
    for (const std::size_t piece : {1U, 7U, 31U, 32U, 33U, 999U, 1000U}) {
        xxh64_stream stream{42};
        for (std::size_t at = 0; at < whole.size(); at += piece) {
            stream.update(std::span{whole}.subspan(at, std::min(piece, whole.size() - at)));
        }
        stream.update({});
        EXPECT_EQ(stream.digest(), xxh64(whole, 42)) << piece;
    }
    xxh64_stream again{1};
    again.update(whole);
    again.restart(42);
    again.update(whole);
    EXPECT_EQ(again.digest(), xxh64(whole, 42));
}

TEST(Checksums, HaveIdsOfTheirOwn) {
    static_assert(no_checksum::format_id != xxh3::format_id && xxh3::format_id != xxh64_checksum::format_id);
    static_assert(!no_checksum::enabled && xxh3::enabled && xxh64_checksum::enabled);
    EXPECT_EQ(xxh3::of(bytes_of("abc")), xxh3_64(bytes_of("abc")));
    EXPECT_EQ(xxh64_checksum::of(bytes_of("abc")), xxh64(bytes_of("abc"), 0));
}

}  // namespace xxhash_test
