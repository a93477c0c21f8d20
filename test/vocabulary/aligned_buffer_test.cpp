#include <ashlar/vocabulary/aligned_buffer.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

namespace aligned_buffer_test {

using namespace ashlar;

TEST(AlignedBuffer, OwnedBytesAreAlignedAndZero) {
    auto made = aligned_buffer::allocate(10'000);
    ASSERT_TRUE(made);
    const auto bytes = made.value().bytes();
    EXPECT_EQ(bytes.size(), 10'000U);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(bytes.data()) % aligned_buffer::alignment, 0U);
    EXPECT_TRUE(std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{}; }));
}

TEST(AlignedBuffer, AnswersWhereTheHeapIsTooSmall) {
    const auto made = aligned_buffer::allocate(std::numeric_limits<std::size_t>::max() / 2);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, errc::workspace_too_small);
}

TEST(AlignedBuffer, AMoveLeavesNothingBehind) {
    auto       first = aligned_buffer::allocate(64).value();
    const auto data  = first.bytes().data();
    auto       next  = std::move(first);
    EXPECT_TRUE(first.bytes().empty());
    EXPECT_EQ(next.bytes().data(), data);
    next = aligned_buffer::allocate(128).value();
    EXPECT_EQ(next.bytes().size(), 128U);
}

TEST(AlignedBuffer, LentBytesAreUsedInPlaceAndStayTheCallers) {
    std::array<std::byte, 32> bytes{};
    bytes[3] = std::byte{9};
    {
        auto buffer = aligned_buffer::lend(bytes);
        EXPECT_EQ(buffer.bytes().data(), bytes.data());
    }
    EXPECT_EQ(bytes[3], std::byte{9});
}

}  // namespace aligned_buffer_test
