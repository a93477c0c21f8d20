#include "journal_fixture.hpp"

#include <string>

namespace ashlar::test {
namespace batch_bytes_test {

/// Reads a batch with nothing but docs/format.md at hand.
TEST(BatchBytes, TheyStandWhereTheFormatSays) {
    const journal_shape shape;
    auto                device = make_device(shape);
    attached_journal    journal{shape};
    ASSERT_TRUE(journal->format(device, {}));
    ASSERT_TRUE(commit(device, journal.journal, small_batch(1)));
    ASSERT_TRUE(journal->anchor(device, {2}, {}));
    planned_batch batch;
    batch.data.emplace_back(shape.data_first().value, pattern(512, 3));
    batch.entries.push_back({0, 0xABCD, 12, pattern(5, 4)});
    ASSERT_TRUE(commit(device, journal.journal, batch));

    const auto bytes = std::span<const std::byte>{device.bytes()}.subspan(
        byte_offset(shape.place().ring.first, shape.size()) + 512, 512);
    const auto             u16 = [&](std::size_t at) { return load_little<std::uint16_t>(bytes.data() + at); };
    const auto             u32 = [&](std::size_t at) { return load_little<std::uint32_t>(bytes.data() + at); };
    const auto             u64 = [&](std::size_t at) { return load_little<std::uint64_t>(bytes.data() + at); };
    std::vector<std::byte> text(32);
    std::copy_n(shape.place().volume.begin(), 16, text.begin());
    text[16]        = std::byte{1};  // epoch
    text[24]        = std::byte{1};  // position
    const auto seed = xxh64(text, 0);

    EXPECT_EQ(std::string(reinterpret_cast<const char*>(bytes.data()), 4), "JRNL");
    EXPECT_EQ(u16(4), 1U);
    EXPECT_EQ(u16(6), 1U);
    EXPECT_TRUE(std::equal(text.begin(), text.begin() + 16, bytes.begin() + 8));
    EXPECT_EQ(u64(24), 1U) << "epoch";
    EXPECT_EQ(u64(32), 2U) << "sequence";
    EXPECT_EQ(u64(40), 1U) << "acknowledged";
    EXPECT_EQ(u64(48), load_little<std::uint64_t>(bytes.data() - 512 + 80 + 124 + 40 + 20)) << "previous";
    EXPECT_EQ(u64(56), 80U + 16 + 28 + 29 + 28) << "length";
    EXPECT_EQ(u32(64), 1U) << "entries";
    EXPECT_EQ(u32(68), 1U) << "data";
    EXPECT_EQ(u64(72), xxh64(bytes.first(72), seed));

    EXPECT_EQ(u64(80), shape.data_first().value);
    EXPECT_EQ(u64(88), xxh64(pattern(512, 3), 0));

    EXPECT_EQ(u64(96), 0xFFFF'FFFF'FFFF'FFFFU);
    EXPECT_EQ(u64(104), 1U);
    EXPECT_EQ(u32(112), 0U);
    EXPECT_EQ(u64(116), xxh64(bytes.subspan(96, 20), seed + 96));

    EXPECT_EQ(u64(124), 0xABCDU);
    EXPECT_EQ(u32(132), 5U);
    EXPECT_EQ(u32(136), 12U);
    const auto carried = pattern(5, 4);
    EXPECT_TRUE(std::equal(carried.begin(), carried.end(), bytes.begin() + 140));
    EXPECT_EQ(u64(145), xxh64(bytes.subspan(124, 21), seed + 124));

    EXPECT_EQ(u64(153), 0xFFFF'FFFF'FFFF'FFFEU);
    EXPECT_EQ(u64(161), 2U);
    EXPECT_EQ(u32(169), 1U);
    EXPECT_EQ(u64(173), xxh64(bytes.first(173), seed));
}

}  // namespace batch_bytes_test
}  // namespace ashlar::test
