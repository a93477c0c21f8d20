#include <ashlar/device/device_ref.hpp>
#include <ashlar/device/memory_device.hpp>

#include <gtest/gtest.h>

#include <array>
#include <type_traits>
#include <vector>

namespace memory_device_test {

using namespace ashlar;

static_assert(BlockDevice<memory_device>);
static_assert(BlockDevice<device_ref<memory_device>>);
static_assert(!QueuedDevice<device_ref<memory_device>>);
static_assert(std::is_nothrow_move_constructible_v<memory_device> && !std::is_copy_constructible_v<memory_device>);

std::vector<std::byte> pattern(std::size_t bytes, unsigned first) {
    std::vector<std::byte> made(bytes);
    for (std::size_t i = 0; i < bytes; ++i) made[i] = static_cast<std::byte>((first + i) & 0xFFU);
    return made;
}

TEST(MemoryDevice, ReadsBackWhatWasWrittenAndZeroesElsewhere) {
    auto device = memory_device::create({512}, {8}).value();
    EXPECT_EQ(device.geometry().blocks.value, 8U);
    const auto bytes = pattern(1024, 3);
    ASSERT_TRUE(device.write({{2}, {2}}, bytes));
    std::vector<std::byte> seen(8 * 512);
    ASSERT_TRUE(device.read({{0}, {8}}, seen));
    EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), seen.begin() + 1024));
    EXPECT_EQ(seen[1023], std::byte{0});
    EXPECT_EQ(seen[2048], std::byte{0});
}

TEST(MemoryDevice, RefusesWhatLiesOutsideAndSaysWhere) {
    auto device = memory_device::create({512}, {4}).value();
    auto bytes  = pattern(1024, 0);
    EXPECT_EQ(device.write({{3}, {2}}, bytes).error(), (error{errc::out_of_range, {3}}));
    EXPECT_EQ(device.read({{4}, {2}}, bytes).error(), (error{errc::out_of_range, {4}}));
    EXPECT_EQ(device.trim({{~0ULL}, {2}}).error().code, errc::out_of_range);
    EXPECT_EQ(device.read({{0}, {1}}, bytes).error().code, errc::out_of_range) << "the span is not one block";
    for (const auto byte : device.bytes()) EXPECT_EQ(byte, std::byte{0});
}

TEST(MemoryDevice, TrimKeepsTheBytes) {
    auto device = memory_device::create({512}, {4}).value();
    ASSERT_TRUE(device.write({{1}, {1}}, pattern(512, 9)));
    ASSERT_TRUE(device.trim({{1}, {1}}));
    EXPECT_EQ(device.bytes()[512], std::byte{9});
}

TEST(MemoryDevice, LentBytesAreUsedInPlaceAndAPartOfABlockIsLeftOut) {
    alignas(8) std::array<std::byte, 512 * 3 + 100> bytes{};
    auto                                            device = memory_device::lend(bytes, {512}).value();
    EXPECT_EQ(device.geometry().blocks.value, 3U);
    ASSERT_TRUE(device.write({{2}, {1}}, pattern(512, 7)));
    EXPECT_EQ(bytes[1024], std::byte{7});
    EXPECT_EQ(bytes[512 * 3], std::byte{0});
}

TEST(MemoryDevice, RefusesImpossibleShapes) {
    std::array<std::byte, 600> bytes{};
    EXPECT_EQ(memory_device::create({500}, {4}).error().code, errc::invalid_argument);
    EXPECT_EQ(memory_device::create({512}, {0}).error().code, errc::invalid_argument);
    EXPECT_EQ(memory_device::create({4096}, {~0ULL >> 3}).error().code, errc::invalid_argument);
    EXPECT_EQ(memory_device::lend(bytes, {1024}).error().code, errc::invalid_argument);
    EXPECT_EQ(memory_device::lend(bytes, {300}).error().code, errc::invalid_argument);
}

TEST(MemoryDevice, NoBlockAtAllIsATransferThatMovesNothing) {
    auto device = memory_device::create({512}, {2}).value();
    EXPECT_TRUE(device.write({{2}, {0}}, {}));
    EXPECT_TRUE(device.read({{2}, {0}}, {}));
    EXPECT_EQ(device.write({{3}, {0}}, {}).error().code, errc::out_of_range);
}

TEST(MemoryDevice, AMoveCarriesTheBytes) {
    auto first = memory_device::create({512}, {2}).value();
    ASSERT_TRUE(first.write({{0}, {1}}, pattern(512, 5)));
    auto second = std::move(first);
    EXPECT_EQ(second.bytes()[0], std::byte{5});
    EXPECT_EQ(second.geometry().blocks.value, 2U);
    auto& same = second;
    second     = std::move(same);
    EXPECT_EQ(second.bytes()[0], std::byte{5}) << "itself";
}

TEST(DeviceRef, ForwardsToTheDeviceThatStaysWhereItIs) {
    auto       device = memory_device::create({512}, {2}).value();
    device_ref lent{device};
    auto       copy = lent;
    ASSERT_TRUE(copy.write({{1}, {1}}, pattern(512, 1)));
    ASSERT_TRUE(lent.sync());
    EXPECT_EQ(device.bytes()[512], std::byte{1});
    EXPECT_EQ(&lent.device(), &device);
}

}  // namespace memory_device_test
