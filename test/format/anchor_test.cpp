#include <ashlar/format/anchor.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace ashlar::test {
namespace anchor_test {

anchor_content sample() {
    anchor_content content;
    content.generation    = 7;
    content.epoch         = 3;
    content.first         = 20;
    content.confirmed     = 25;
    content.tail          = 22;
    content.tail_position = 9;
    content.tail_chain    = 0x1122'3344'5566'7788;
    content.ring_first    = 100;
    content.ring_blocks   = 10;
    content.free_blocks   = 1234;
    content.modified      = 5678;
    content.checkpoint    = 21;
    content.clean         = 0;
    return content;
}

volume_id volume() {
    volume_id id{};
    id[3] = std::byte{9};
    return id;
}

TEST(Anchor, ItsBytesStandWhereTheFormatSays) {
    std::vector<std::byte> frame(8192, std::byte{0xFF});
    encode_anchor(frame, sample(), volume());
    const auto u32 = [&](std::size_t at) { return load_little<std::uint32_t>(frame.data() + at); };
    const auto u64 = [&](std::size_t at) { return load_little<std::uint64_t>(frame.data() + at); };
    EXPECT_EQ(u32(0), 1U);
    EXPECT_EQ(u32(4), 0U);
    const std::uint64_t fields[] = {7, 3, 20, 25, 22, 9, 0x1122'3344'5566'7788, 100, 10, 1234, 5678, 21};
    for (std::size_t i = 0; i < std::size(fields); ++i) EXPECT_EQ(u64(8 + 8 * i), fields[i]) << i;
    EXPECT_EQ(u32(104), 0U);
    auto empty  = sample();
    empty.tail  = 26;
    empty.clean = 1;
    std::vector<std::byte> closed(4096);
    encode_anchor(closed, empty, volume());
    EXPECT_EQ(load_little<std::uint32_t>(closed.data() + 104), 1U);
    EXPECT_TRUE(
        std::all_of(frame.begin() + 108, frame.begin() + 4080, [](std::byte one) { return one == std::byte{0}; }));
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(frame.data()) + 4080, 4), "ANCH");
    EXPECT_EQ(u32(4084), 7U);
    EXPECT_EQ(u64(4088), xxh64(std::span{frame}.first(4088), identity_seed(volume(), {tag::anchor, 0, 2})));
    EXPECT_TRUE(std::all_of(frame.begin() + 4096, frame.end(), [](std::byte one) { return one == std::byte{0}; }));
}

bool decodes(const anchor_content& content) {
    std::vector<std::byte> frame(4096);
    encode_anchor(frame, content, volume());
    return decode_anchor(frame, volume()).has_value();
}

TEST(Anchor, ItIsReadBackAsItWas) {
    std::vector<std::byte> frame(4096);
    encode_anchor(frame, sample(), volume());
    const auto back = decode_anchor(frame, volume());
    ASSERT_TRUE(back);
    EXPECT_EQ(back->tail_chain, 0x1122'3344'5566'7788U);
    EXPECT_EQ(back->checkpoint, 21U);
    EXPECT_FALSE(decode_anchor(frame, {})) << "another volume";
    EXPECT_FALSE(decode_anchor(std::vector<std::byte>(4096), volume())) << "never written";
}

TEST(Anchor, NumbersThatContradictEachOtherMakeItInvalid) {
    const auto broken = [](auto change) {
        auto content = sample();
        change(content);
        return !decodes(content);
    };
    constexpr std::uint64_t half = std::uint64_t{1} << 63U;
    EXPECT_FALSE(broken([](anchor_content&) {}));
    EXPECT_FALSE(broken([](anchor_content& c) { c.first = c.tail = 26; })) << "an empty journal";
    EXPECT_TRUE(broken([](anchor_content& c) { c.flags = 1; }));
    EXPECT_TRUE(broken([](anchor_content& c) { c.generation = half; }));
    EXPECT_TRUE(broken([](anchor_content& c) { c.epoch = half; }));
    EXPECT_TRUE(broken([](anchor_content& c) { c.confirmed = half; }));
    EXPECT_TRUE(broken([](anchor_content& c) { c.epoch = 0; }));
    EXPECT_TRUE(broken([](anchor_content& c) { c.first = 0; }));
    EXPECT_TRUE(broken([](anchor_content& c) { c.tail = 0; }));
    EXPECT_TRUE(broken([](anchor_content& c) { c.first = 27; }));
    EXPECT_TRUE(broken([](anchor_content& c) { c.tail = 27; }));
    EXPECT_TRUE(broken([](anchor_content& c) { c.tail_position = 10; }));
    EXPECT_TRUE(broken([](anchor_content& c) { c.ring_blocks = 0; }));
    EXPECT_TRUE(broken([](anchor_content& c) { c.checkpoint = 26; }));
    EXPECT_FALSE(broken([](anchor_content& c) { c.confirmed = half - 1; }));
    EXPECT_TRUE(broken([](anchor_content& c) { c.clean = 1; })) << "clean, but the tail is behind";
    EXPECT_FALSE(broken([](anchor_content& c) { c.tail = 26, c.clean = 1; }));
    EXPECT_TRUE(broken([](anchor_content& c) { c.tail = 26, c.clean = 2; })) << "a word that nobody knows";
}

TEST(Anchor, AnotherVersionIsInvalidEvenUnderARightChecksum) {
    std::vector<std::byte> frame(4096);
    encode_anchor(frame, sample(), volume());
    frame[0] = std::byte{2};
    seal_block(frame, tag::anchor, {7}, identity_seed(volume(), anchor_identity));
    EXPECT_FALSE(decode_anchor(frame, volume()));
}

}  // namespace anchor_test
}  // namespace ashlar::test
