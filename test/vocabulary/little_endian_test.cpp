#include <ashlar/vocabulary/little_endian.hpp>

#include <gtest/gtest.h>

#include <array>

namespace little_endian_test {

using namespace ashlar;

TEST(LittleEndian, TheLowestByteStandsFirst) {
    const le_u32 value = 0x04030201U;
    for (unsigned i = 0; i < 4; ++i) EXPECT_EQ(value.bytes[i], std::byte(i + 1));
    EXPECT_EQ(value, 0x04030201U);
}

TEST(LittleEndian, ReadsAndWritesAtAnyAddress) {
    std::array<std::byte, 16> bytes{};
    for (std::size_t at = 0; at <= 8; ++at) {
        store_little<std::uint64_t>(bytes.data() + at, 0x1122334455667788U + at);
        EXPECT_EQ(load_little<std::uint64_t>(bytes.data() + at), 0x1122334455667788U + at);
    }
}

TEST(LittleEndian, AStructOfThemHasNoPadding) {
    struct record {
        le_u16 first;
        le_u64 second;
        le_u32 third;
    };
    static_assert(sizeof(record) == 14 && alignof(record) == 1);
    std::array<std::byte, 14> bytes{};
    store_struct(std::span<std::byte>{bytes}, record{1, 2, 3});
    EXPECT_EQ(bytes[2], std::byte{2});
    const auto back = load_struct<record>(bytes);
    EXPECT_EQ(back.first + back.second + back.third, 6U);
}

TEST(LittleEndian, TagsReadAsTheirLetters) {
    std::array<std::byte, 4> bytes{};
    store_little<std::uint32_t>(bytes.data(), tag_of("NODE"));
    EXPECT_EQ(static_cast<char>(bytes[0]), 'N');
    EXPECT_EQ(static_cast<char>(bytes[3]), 'E');
}

}  // namespace little_endian_test
