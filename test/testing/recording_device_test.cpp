#include <ashlar/device/memory_device.hpp>
#include <ashlar/testing/crash_states.hpp>
#include <ashlar/testing/faulty_device.hpp>
#include <ashlar/testing/recording_device.hpp>

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <vector>

namespace recording_device_test {

using namespace ashlar;

static_assert(BlockDevice<recording_device<memory_device>>);

std::vector<std::byte> filled(unsigned value, std::size_t blocks = 1) {
    return std::vector<std::byte>(blocks * 1024, static_cast<std::byte>(value));
}

TEST(RecordingDevice, KeepsEveryWriteSyncAndTrimInOrderWithItsEpoch) {
    auto             memory = memory_device::create({1024}, {8}).value();
    faulty_device    faulty{memory};
    recording_device device{faulty};
    ASSERT_TRUE(device.write({{1}, {2}}, filled(7, 2)));
    ASSERT_TRUE(device.sync());
    ASSERT_TRUE(device.trim({{3}, {1}}));
    faulty.fail(transfer_kind::sync, 1);
    EXPECT_FALSE(device.sync());
    auto block = filled(0);
    ASSERT_TRUE(device.read({{1}, {1}}, block));

    ASSERT_EQ(device.calls().size(), 4U);
    EXPECT_EQ(device.calls()[0].kind, transfer_kind::write);
    EXPECT_EQ(device.calls()[0].blocks, (extent{{1}, {2}}));
    EXPECT_EQ(device.calls()[0].data, filled(7, 2));
    EXPECT_EQ(device.calls()[0].epoch, 0U);
    EXPECT_EQ(device.calls()[1].kind, transfer_kind::sync);
    EXPECT_EQ(device.calls()[2].kind, transfer_kind::trim);
    EXPECT_EQ(device.calls()[2].epoch, 1U);
    EXPECT_EQ(device.calls()[3].failure.code, errc::device_failed);
    EXPECT_EQ(device.epoch(), 1U) << "a failed sync begins no epoch";
    EXPECT_EQ(device.reads(), 1U);
    device.forget();
    EXPECT_TRUE(device.calls().empty());
}

TEST(CrashStates, ShowEveryStateOfASmallRecordingOnceOrMore) {
    auto             memory = memory_device::create({1024}, {2}).value();
    recording_device device{memory};
    ASSERT_TRUE(device.write({{0}, {1}}, filled(1)));
    ASSERT_TRUE(device.sync());
    ASSERT_TRUE(device.write({{0}, {1}}, filled(2)));
    ASSERT_TRUE(device.write({{1}, {1}}, filled(3)));

    const std::vector<std::byte>                      base(2048);
    std::map<std::size_t, std::set<std::vector<int>>> seen;
    const auto shown = crash_states(device.calls(), base, {1024}, {.random_max = 100},
                                    [&](crash_point point, std::span<std::byte> image) {
                                        std::vector<int> sectors;
                                        for (std::size_t at = 0; at < image.size(); at += 512)
                                            sectors.push_back(std::to_integer<int>(image[at]));
                                        seen[point.calls].insert(sectors);
                                        return true;
                                    });
    EXPECT_GT(shown, 300U);
    EXPECT_EQ(seen[1], (std::set<std::vector<int>>{{0, 0, 0, 0}, {1, 0, 0, 0}, {0, 1, 0, 0}, {1, 1, 0, 0}}));
    EXPECT_EQ(seen[3], (std::set<std::vector<int>>{{1, 1, 0, 0}, {2, 1, 0, 0}, {1, 2, 0, 0}, {2, 2, 0, 0}}));
    EXPECT_EQ(seen[4].size(), 16U);
    EXPECT_EQ(seen.size(), 3U);
}

TEST(CrashStates, EndWhenTheVisitorHasSeenEnoughAndAfterASyncThereIsOneState) {
    auto             memory = memory_device::create({1024}, {2}).value();
    recording_device device{memory};
    ASSERT_TRUE(device.write({{0}, {1}}, filled(1)));
    ASSERT_TRUE(device.sync());
    const std::vector<std::byte> base(2048);
    EXPECT_EQ(crash_states(device.calls(), base, {1024}, {}, [](crash_point, std::span<std::byte>) { return false; }),
              1U);
    std::vector<std::byte> last;
    crash_states(device.calls(), base, {1024}, {}, [&](crash_point point, std::span<std::byte> image) {
        if (point.calls == 2) last.assign(image.begin(), image.end());
        return true;
    });
    ASSERT_EQ(last.size(), 2048U);
    EXPECT_EQ(last[0], std::byte{1});
}

TEST(CrashChoices, ListTheOutcomesWithinTheirEffort) {
    EXPECT_EQ(crash_choices(0, 0).size(), 1U);
    const auto one = crash_choices(1, 4, {.random_max = 0});
    EXPECT_EQ(one.size(), 2U + 6U) << "none, all, and torn at 3 places from 2 sides";
    const auto many = crash_choices(1000, 8000, {.random_max = 2, .single_max = 10, .tears_max = 16});
    EXPECT_LE(many.size(), 2U + 2U * 17U + 20U + 4U);
    EXPECT_GE(many.size(), 2U + 2U * 15U + 20U + 4U);
}

}  // namespace recording_device_test
