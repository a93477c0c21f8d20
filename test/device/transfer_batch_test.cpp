#include <ashlar/device/blocking_queue.hpp>
#include <ashlar/device/memory_device.hpp>
#include <ashlar/device/transfer_batch.hpp>
#include <ashlar/testing/faulty_device.hpp>

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace transfer_batch_test {

using namespace ashlar;

struct TransferBatch : testing::Test {
    memory_device                memory = memory_device::create({512}, {64}).value();
    faulty_device<memory_device> device{memory};
    queue_of<decltype(device)>   queue = open_queue_of(device, {.depth = 4}).value();
    std::array<transfer, 6>      slots{};
    std::vector<std::byte>       bytes = std::vector<std::byte>(64 * 512);

    TransferBatch() {
        for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i / 512 + 1);
    }
    std::span<std::byte> block(std::size_t i) { return std::span{bytes}.subspan(i * 512, 512); }
};

TEST_F(TransferBatch, MovesManyMoreTransfersThanItHasSlots) {
    transfer_batch batch{queue, slots};
    for (std::uint64_t i = 0; i < 64; ++i) batch.write({{i}, {1}}, block(i));
    ASSERT_TRUE(batch.finish());
    EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), memory.bytes().begin()));

    std::fill(bytes.begin(), bytes.end(), std::byte{0});
    for (std::uint64_t i = 0; i < 64; ++i) batch.read({{i}, {1}}, block(i));
    ASSERT_TRUE(batch.finish());
    EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), memory.bytes().begin()));
}

TEST_F(TransferBatch, FinishTellsTheFirstFailureAndLaterTransfersAreNotIssued) {
    device.fail(transfer_kind::write, 2);
    transfer_batch batch{queue, std::span{slots}.first(1)};
    for (std::uint64_t i = 0; i < 8; ++i) batch.write({{i}, {1}}, block(i));
    const auto done = batch.finish();
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error(), (error{errc::device_failed, {1}, EIO}));
    EXPECT_EQ(device.calls(transfer_kind::write), 2U);
    batch.write({{3}, {1}}, block(3));
    EXPECT_TRUE(batch.finish()) << "usable again";
}

TEST_F(TransferBatch, SyncComesAfterEveryTransferAndNotAfterAFailure) {
    transfer_batch batch{queue, slots};
    batch.write({{0}, {1}}, block(0));
    ASSERT_TRUE(batch.sync());
    EXPECT_EQ(device.calls(transfer_kind::sync), 1U);
    device.fail(transfer_kind::write, 1);
    batch.write({{0}, {1}}, block(0));
    EXPECT_FALSE(batch.sync());
    EXPECT_EQ(device.calls(transfer_kind::sync), 1U);
    device.fail(transfer_kind::sync, 1);
    EXPECT_EQ(batch.sync().error().code, errc::device_failed);
}

TEST_F(TransferBatch, TheDestructorWaitsForWhatIsInFlight) {
    {
        transfer_batch batch{queue, slots};
        batch.write({{5}, {1}}, block(5));
        batch.trim({{6}, {1}});
    }
    EXPECT_EQ(queue.in_flight(), 0U);
    EXPECT_EQ(memory.bytes()[5 * 512], std::byte{6});
    EXPECT_EQ(device.calls(transfer_kind::trim), 1U);
}

/// A queue that breaks: its `complete` fails and what is in flight never comes back.
struct broken_queue {
    std::size_t         waiting = 0;
    std::size_t         depth() const noexcept { return 2; }
    std::size_t         in_flight() const noexcept { return waiting; }
    void                submit(transfer&) noexcept { ++waiting; }
    result<std::size_t> complete(std::span<transfer*>, std::size_t) noexcept {
        return error{errc::device_failed, {}, EBADF};
    }
};
static_assert(TransferQueue<broken_queue>);

TEST_F(TransferBatch, ABrokenQueueEndsTheBatchWithItsError) {
    broken_queue   broken;
    transfer_batch batch{broken, slots};
    for (std::uint64_t i = 0; i < 8; ++i) batch.read({{i}, {1}}, block(i));
    EXPECT_EQ(batch.finish().error().os_code, EBADF);
    EXPECT_EQ(broken.waiting, 2U);
    EXPECT_EQ(batch.finish().error().os_code, EBADF) << "it stays broken";
}

}  // namespace transfer_batch_test
