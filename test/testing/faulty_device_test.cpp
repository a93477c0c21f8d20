#include <ashlar/device/memory_device.hpp>
#include <ashlar/testing/faulty_device.hpp>

#include <gtest/gtest.h>

#include <vector>

namespace faulty_device_test {

using namespace ashlar;

static_assert(BlockDevice<faulty_device<memory_device>>);

struct FaultyDevice : testing::Test {
    memory_device                memory = memory_device::create({512}, {8}).value();
    faulty_device<memory_device> device{memory};
    std::vector<std::byte>       ones = std::vector<std::byte>(512, std::byte{1});
    std::vector<std::byte>       seen = std::vector<std::byte>(512);
};

TEST_F(FaultyDevice, TheNthWriteFailsOnceAndNothingIsWritten) {
    device.fail(transfer_kind::write, 2);
    EXPECT_TRUE(device.write({{0}, {1}}, ones));
    const auto failed = device.write({{1}, {1}}, ones);
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error(), (error{errc::device_failed, {1}, EIO}));
    EXPECT_EQ(memory.bytes()[512], std::byte{0});
    EXPECT_TRUE(device.write({{1}, {1}}, ones));
    EXPECT_EQ(device.failures(), 1U);
    EXPECT_EQ(device.calls(transfer_kind::write), 3U);
}

TEST_F(FaultyDevice, EachKindFailsOnItsOwnAndForGoodMeansUntilHealed) {
    device.fail(transfer_kind::sync, 1, fault_lasts::for_good);
    device.fail(transfer_kind::trim, 1);
    device.fail(transfer_kind::read, 1, fault_lasts::for_good);
    EXPECT_TRUE(device.write({{0}, {1}}, ones));
    EXPECT_FALSE(device.sync());
    EXPECT_FALSE(device.sync());
    EXPECT_FALSE(device.trim({{0}, {1}}));
    EXPECT_TRUE(device.trim({{0}, {1}}));
    EXPECT_FALSE(device.read({{0}, {1}}, seen));
    EXPECT_FALSE(device.read({{0}, {1}}, seen));
    device.heal();
    EXPECT_TRUE(device.sync());
    EXPECT_TRUE(device.read({{0}, {1}}, seen));
}

TEST_F(FaultyDevice, AFailingWriteMayHaveWrittenAll) {
    device.fail(transfer_kind::write, 1);
    device.failing_writes(failed_write::wrote_all);
    EXPECT_FALSE(device.write({{1}, {1}}, ones));
    EXPECT_EQ(memory.bytes()[512], std::byte{1});
}

TEST_F(FaultyDevice, AFlippedBitShowsInReadsUntilTheBlockIsWritten) {
    device.flip_bit({2}, 9);
    std::vector<std::byte> wide(512 * 3);
    ASSERT_TRUE(device.read({{1}, {3}}, wide));
    EXPECT_EQ(wide[512 + 1], std::byte{2});
    EXPECT_EQ(memory.bytes()[1024 + 1], std::byte{0});
    ASSERT_TRUE(device.read({{3}, {1}}, seen));
    EXPECT_EQ(seen[1], std::byte{0});
    ASSERT_TRUE(device.write({{2}, {1}}, ones));
    ASSERT_TRUE(device.read({{2}, {1}}, seen));
    EXPECT_EQ(seen, ones);
}

TEST_F(FaultyDevice, LostAndMisdirectedWritesReportSuccess) {
    device.lose_write(1);
    EXPECT_TRUE(device.write({{0}, {1}}, ones));
    EXPECT_EQ(memory.bytes()[0], std::byte{0});
    device.misdirect_write(2, {5});
    EXPECT_TRUE(device.write({{0}, {1}}, ones));
    EXPECT_TRUE(device.write({{1}, {1}}, ones));
    EXPECT_EQ(memory.bytes()[0], std::byte{1});
    EXPECT_EQ(memory.bytes()[512], std::byte{0});
    EXPECT_EQ(memory.bytes()[5 * 512], std::byte{1});
}

TEST_F(FaultyDevice, RefusesWhatLiesOutside) {
    EXPECT_EQ(device.write({{8}, {1}}, ones).error(), (error{errc::out_of_range, {8}}));
    EXPECT_EQ(device.read({{8}, {1}}, seen).error(), (error{errc::out_of_range, {8}}));
}

}  // namespace faulty_device_test
