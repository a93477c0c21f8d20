// Files that become longer and shorter while they are open as devices.

#include "io_uring_fixture.hpp"

#include <ashlar/device/device_ref.hpp>
#include <ashlar/device/memory_device.hpp>
#include <ashlar/device/native_device.hpp>

namespace ashlar::test {
namespace resizable_device_test {

static_assert(ResizableDevice<native_device> && ResizableDevice<device_ref<native_device>>);
static_assert(ResizableDevice<device_ref<file_device>> && !ResizableDevice<memory_device>);
static_assert(!ResizableDevice<device_ref<memory_device>>);

template <class Device>
struct ResizableDeviceTest : testing::Test {};
using devices = testing::Types<file_device, native_device, io_uring_device>;
TYPED_TEST_SUITE(ResizableDeviceTest, devices, );

constexpr std::uint64_t block_bytes = 4096;

extent one_at(std::uint64_t block) { return {block_index{block}, block_count{1}}; }

TYPED_TEST(ResizableDeviceTest, ItKnowsItsSizeWhenItIsAskedAndEveryTransferFollows) {
    const file_name name;
    auto            opened = name.open<TypeParam>();
    if (!opened && opened.error().code == errc::unsupported) GTEST_SKIP() << "no io_uring here";
    auto&                  device = opened.value();
    std::vector<std::byte> bytes(block_bytes, std::byte{7}), seen(block_bytes);
    ASSERT_EQ(device.geometry().blocks, block_count{256});
    EXPECT_EQ(device.write(one_at(300), bytes).error().code, errc::out_of_range);

    ASSERT_EQ(::truncate(name.path.c_str(), 400 * block_bytes), 0);  // somebody else made it longer
    EXPECT_EQ(device.geometry().blocks, block_count{256});
    ASSERT_TRUE(device.refresh());
    EXPECT_EQ(device.geometry().blocks, block_count{400});
    ASSERT_TRUE(device.write(one_at(399), bytes));
    ASSERT_TRUE(device.read(one_at(399), seen));
    EXPECT_EQ(seen, bytes);
    ASSERT_TRUE(device.trim(one_at(399)));

    ASSERT_TRUE(device.resize(block_count{100}));
    EXPECT_EQ(device.geometry().blocks, block_count{100});
    EXPECT_EQ(device.read(one_at(100), seen).error().code, errc::out_of_range);
    ASSERT_TRUE(device.resize(block_count{500}));
    ASSERT_TRUE(device.read(one_at(499), seen));
    EXPECT_EQ(seen, std::vector<std::byte>(block_bytes)) << "a file grows by zeros";

    auto moved = std::move(device);
    EXPECT_EQ(moved.geometry().blocks, block_count{500});
}

TYPED_TEST(ResizableDeviceTest, WhatIsNoSizeIsRefused) {
    const file_name name;
    auto            opened = name.open<TypeParam>();
    if (!opened && opened.error().code == errc::unsupported) GTEST_SKIP() << "no io_uring here";
    EXPECT_EQ(opened.value().resize(block_count{0}).error().code, errc::invalid_argument);
    EXPECT_EQ(opened.value().resize(block_count{~std::uint64_t{0} >> 8U}).error().code, errc::invalid_argument);
    EXPECT_EQ(opened.value().resize(block_count{std::uint64_t{1} << 50U}).error().code, errc::device_failed);
    EXPECT_EQ(opened.value().geometry().blocks, block_count{256});
    ASSERT_EQ(::truncate(name.path.c_str(), 100), 0);
    EXPECT_EQ(opened.value().refresh().error().code, errc::out_of_range);
    opened = errc::not_found;
    ASSERT_EQ(::truncate(name.path.c_str(), 8 * block_bytes), 0);
    auto reading = name.open<TypeParam>({.read_only = true});
    ASSERT_TRUE(reading);
    EXPECT_EQ(reading.value().resize(block_count{4}).error().code, errc::read_only);
}

TEST(ResizableQueue, AQueueThatWasOpenBeforeReachesTheNewBlocks) {
    const file_name name;
    auto            opened = name.open<native_device>();
    ASSERT_TRUE(opened);
    device_ref             lent{opened.value()};
    auto                   queue = lent.open_queue({.depth = 4});
    std::vector<std::byte> bytes(block_bytes, std::byte{9}), seen(block_bytes);
    const auto             move = [&](transfer_kind kind, std::uint64_t block, std::span<std::byte> memory) {
        transfer  one{.blocks = one_at(block), .memory = memory.data(), .kind = kind};
        transfer* done[1]{};
        queue.value().submit(one);
        EXPECT_TRUE(queue.value().complete(done, 1));
        return one.failure.code;
    };
    ASSERT_TRUE(queue);
    EXPECT_EQ(move(transfer_kind::write, 256, bytes), errc::out_of_range);
    ASSERT_TRUE(lent.resize(block_count{512}));
    ASSERT_TRUE(lent.refresh());
    EXPECT_EQ(move(transfer_kind::write, 511, bytes), errc::none);
    EXPECT_EQ(move(transfer_kind::read, 511, seen), errc::none);
    EXPECT_EQ(seen, bytes);
    EXPECT_EQ(move(transfer_kind::write, 512, bytes), errc::out_of_range);
}

}  // namespace resizable_device_test
}  // namespace ashlar::test
