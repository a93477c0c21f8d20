#include <ashlar/device/device_ref.hpp>
#include <ashlar/device/memory_device.hpp>
#include <ashlar/testing/power_cut_device.hpp>

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace power_cut_device_test {

using namespace ashlar;

using cut_memory = power_cut_device<memory_device>;
static_assert(BlockDevice<cut_memory>);
static_assert(BlockDevice<device_ref<cut_memory>>);

constexpr block_size size{1024};

std::vector<std::byte> filled(unsigned value, std::size_t blocks = 1) {
    return std::vector<std::byte>(blocks * size.bytes, static_cast<std::byte>(value));
}

struct PowerCutDevice : testing::Test {
    memory_device memory = memory_device::create(size, {8}).value();
    cut_memory    device{memory};

    void put(std::uint64_t block, unsigned value, std::size_t blocks = 1) {
        ASSERT_TRUE(device.write({{block}, {blocks}}, filled(value, blocks)));
    }

    /// First byte of each of the 16 sectors after a restart.
    static std::vector<int> sectors(std::span<const std::byte> image) {
        std::vector<int> values;
        for (std::size_t at = 0; at < image.size(); at += 512) values.push_back(std::to_integer<int>(image[at]));
        return values;
    }
    std::vector<int> after(crash_choice choice) {
        std::vector<std::byte> image(memory.bytes().size());
        device.crash_image(choice, image);
        return sectors(image);
    }
};

TEST_F(PowerCutDevice, SyncedWritesSurviveEveryChoiceAndUnsyncedOnesAreChosen) {
    put(0, 1);
    ASSERT_TRUE(device.sync());
    put(0, 2);
    put(1, 3);
    EXPECT_EQ(device.operations_unsynced(), 2U);
    EXPECT_EQ(after({unsynced::none}), (std::vector<int>{1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
    EXPECT_EQ(after({unsynced::all}), (std::vector<int>{2, 2, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
    EXPECT_EQ(after({unsynced::drop_one, 0}), (std::vector<int>{1, 1, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
    EXPECT_EQ(after({unsynced::keep_one, 0}), (std::vector<int>{2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
}

TEST_F(PowerCutDevice, TearsTheLastWriteAtEverySector) {
    put(0, 1);
    put(2, 4, 2);
    ASSERT_EQ(device.sectors_of_last(), 4U);
    EXPECT_EQ(after({unsynced::tear_last, 1}), (std::vector<int>{1, 1, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
    EXPECT_EQ(after({unsynced::tear_last, 3}), (std::vector<int>{1, 1, 0, 0, 4, 4, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
    EXPECT_EQ(after({unsynced::tear_last_tail, 3}), (std::vector<int>{1, 1, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0}));
}

TEST_F(PowerCutDevice, RandomChoicesReachEverySubsetAndRepeatFromTheirSeed) {
    put(0, 1);
    put(1, 2);
    std::set<std::vector<int>> by_write;
    std::set<std::vector<int>> by_sector;
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
        by_write.insert(after({unsynced::some_writes, 0, seed}));
        by_sector.insert(after({unsynced::some_sectors, 0, seed}));
        EXPECT_EQ(after({unsynced::some_sectors, 0, seed}), after({unsynced::some_sectors, 0, seed}));
    }
    EXPECT_EQ(by_write.size(), 4U);
    EXPECT_EQ(by_sector.size(), 16U);
}

TEST_F(PowerCutDevice, EveryCallFailsAfterTheLastWriteUntilARestart) {
    device.cut_after(2);
    put(0, 1);
    EXPECT_TRUE(device.powered());
    put(1, 2);
    EXPECT_FALSE(device.powered());
    auto bytes = filled(0);
    EXPECT_EQ(device.read({{1}, {1}}, bytes).error(), (error{errc::device_failed, {1}}));
    EXPECT_EQ(device.write({{1}, {1}}, bytes).error(), (error{errc::device_failed, {1}}));
    EXPECT_EQ(device.trim({{1}, {1}}).error().code, errc::device_failed);
    EXPECT_EQ(device.sync().error().code, errc::device_failed);
    device.restart({unsynced::keep_one, 1});
    ASSERT_TRUE(device.read({{0}, {1}}, bytes));
    EXPECT_EQ(bytes[0], std::byte{0});
    ASSERT_TRUE(device.read({{1}, {1}}, bytes));
    EXPECT_EQ(bytes[0], std::byte{2});
    EXPECT_EQ(device.operations_unsynced(), 0U);
    EXPECT_EQ(after({unsynced::none})[2], 2) << "what a restart found is durable";
}

TEST_F(PowerCutDevice, ResetReturnsToTheBaseAfterSyncedAndUnsyncedWrites) {
    put(3, 7);
    ASSERT_TRUE(device.sync());
    device.keep_base();
    for (unsigned round = 0; round < 3; ++round) {
        put(3, 8);
        ASSERT_TRUE(device.sync());
        put(4, 9);
        device.cut_after(0);
        device.reset();
        EXPECT_EQ(device.writes(), 0U);
        EXPECT_TRUE(device.powered());
        EXPECT_EQ(sectors(memory.bytes()), sectors(device.durable()));
        EXPECT_EQ(after({unsynced::all}), (std::vector<int>{0, 0, 0, 0, 0, 0, 7, 7, 0, 0, 0, 0, 0, 0, 0, 0}));
    }
}

TEST_F(PowerCutDevice, AForkedImageBecomesANewBase) {
    put(0, 1);
    std::vector<std::byte> fork(memory.bytes().size());
    device.crash_image({unsynced::all}, fork);
    device.reset();
    EXPECT_EQ(after({unsynced::all})[0], 0);
    device.set_base(fork);
    EXPECT_EQ(after({unsynced::none})[0], 1);
    put(0, 2);
    device.reset();
    EXPECT_EQ(after({unsynced::all})[0], 1);
}

TEST_F(PowerCutDevice, ATrimIsUnsyncedWorkThatLeavesGarbageOrNothing) {
    put(2, 5);
    ASSERT_TRUE(device.sync());
    ASSERT_TRUE(device.trim({{2}, {1}}));
    EXPECT_EQ(device.operations_unsynced(), 1U);
    EXPECT_EQ(after({unsynced::none})[4], 5);
    std::vector<std::byte> image(memory.bytes().size());
    device.crash_image({unsynced::all}, image);
    const std::vector<std::byte> block(image.begin() + 2048, image.begin() + 3072);
    EXPECT_NE(block, filled(5));

    auto       other = memory_device::create(size, {8}).value();
    cut_memory keeps{other, trim_leaves::old_bytes};
    ASSERT_TRUE(keeps.trim({{2}, {1}}));
    EXPECT_EQ(keeps.operations_unsynced(), 0U);
}

TEST_F(PowerCutDevice, RefusesWhatLiesOutside) {
    EXPECT_EQ(device.write({{8}, {1}}, filled(1)).error(), (error{errc::out_of_range, {8}}));
    EXPECT_EQ(device.operations_unsynced(), 0U);
}

}  // namespace power_cut_device_test
