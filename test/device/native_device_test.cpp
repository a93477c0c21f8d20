#include <ashlar/device/native_device.hpp>

#include "io_uring_fixture.hpp"

#include <ashlar/testing/queue_conformance.hpp>

#include <optional>

namespace ashlar::test {
namespace native_device_test {

static_assert(QueuedDevice<native_device>);
static_assert(std::is_same_v<queue_of<native_device>, native_device::queue>);

using spoiled_native = basic_native_device<spoiled_calls>;

struct NativeDevice : testing::Test {
    NativeDevice() { spoiled_calls::reset(); }
    ~NativeDevice() override { spoiled_calls::reset(); }
    file_name file;
};

TEST_F(NativeDevice, UsesIoUringWhereTheSystemHasItAndConforms) {
    auto device = file.open<native_device>().value();
    EXPECT_EQ(device.uses_io_uring(), try_io_uring().has_value()) << message(device.io_uring());
    EXPECT_EQ(device.open_queue({}).value().is_fast(), device.uses_io_uring());
    for (const auto& failure : queue_conformance(device)) ADD_FAILURE() << failure;
}

TEST_F(NativeDevice, WorksWithoutIoUringAndConforms) {
    without_io_uring(EPERM, [&] {
        auto device = file.open<native_device>({.direct = direct_io::off}).value();
        EXPECT_FALSE(device.uses_io_uring());
        EXPECT_EQ(device.io_uring(), io_uring_state::refused);
        EXPECT_FALSE(device.open_queue({}).value().is_fast());
        for (const auto& failure : queue_conformance(device)) ADD_FAILURE() << failure;
    });
}

TEST_F(NativeDevice, AQueueFallsBackWhenThereIsNoRingLeft) {
    auto device = file.open<spoiled_native>().value();
    if (!device.uses_io_uring()) GTEST_SKIP() << message(device.io_uring());
    spoiled_calls::setup_refuses = -ENOMEM;
    auto queue                   = device.open_queue({.depth = 8}).value();
    EXPECT_FALSE(queue.is_fast());
    EXPECT_EQ(queue.depth(), 8U);
    std::vector<std::byte> bytes(4096, std::byte{3});
    transfer               t{.blocks = {{1}, {1}}, .memory = bytes.data(), .kind = transfer_kind::write};
    transfer*              finished[1];
    queue.submit(t);
    EXPECT_EQ(queue.in_flight(), 1U);
    EXPECT_EQ(queue.complete(finished, 1).value(), 1U);
    EXPECT_EQ(t.failure, error{});
}

TEST_F(NativeDevice, RefusesTheSameQueuesWithAndWithoutIoUring) {
    for (const int refused : {0, -ENOSYS}) {
        spoiled_calls::setup_refuses = refused;
        auto device                  = file.open<spoiled_native>().value();
        EXPECT_EQ(device.open_queue({.depth = 0}).error().code, errc::invalid_argument);
        EXPECT_EQ(device.open_queue({.depth = 32769}).error().code, errc::invalid_argument);
    }
}

TEST_F(NativeDevice, FailsToOpenAsAFileDeviceDoes) {
    EXPECT_EQ(native_device::open("no/such/folder/x").error().code, errc::not_found);
    auto writer = file.open<native_device>().value();
    EXPECT_EQ(file_device::open(file.path.c_str()).error().code, errc::busy);
}

TEST_F(NativeDevice, WhatOneDeviceWroteAnotherReads) {
    std::vector<std::byte> wanted(8 * 4096);
    random_bits{3}.fill(wanted);
    {
        auto                     device = file.open<native_device>().value();
        auto                     queue  = device.open_queue({}).value();
        std::array<transfer, 8>  slots{};
        std::array<transfer*, 8> finished{};
        for (std::uint64_t i = 0; i < 8; ++i) {
            slots[i] = {.blocks = {{i}, {1}}, .memory = wanted.data() + i * 4096, .kind = transfer_kind::write};
            queue.submit(slots[i]);
        }
        ASSERT_EQ(queue.complete(finished, 8).value(), 8U);
        slots[0] = {.kind = transfer_kind::sync};
        queue.submit(slots[0]);
        ASSERT_EQ(queue.complete(finished, 1).value(), 1U);
    }
    std::vector<std::byte> seen(wanted.size());
    ASSERT_TRUE(file.open<file_device>({.direct = direct_io::off}).value().read({{0}, {8}}, seen));
    EXPECT_EQ(seen, wanted);
}

}  // namespace native_device_test
}  // namespace ashlar::test
