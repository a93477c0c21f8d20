#include <ashlar/device/blocking_queue.hpp>
#include <ashlar/device/memory_device.hpp>
#include <ashlar/testing/faulty_device.hpp>

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace blocking_queue_test {

using namespace ashlar;

using memory_queue = blocking_queue<memory_device>;
static_assert(TransferQueue<memory_queue>);
static_assert(!std::is_copy_constructible_v<memory_queue>);

/// A device with a queue of its own, to see which one `queue_of` picks.
struct queued_archetype {
    struct queue {
        std::size_t         depth() const noexcept { return 1; }
        std::size_t         in_flight() const noexcept { return 0; }
        void                submit(transfer&) noexcept {}
        result<std::size_t> complete(std::span<transfer*>, std::size_t) noexcept { return std::size_t{0}; }
    };
    device_geometry geometry() const noexcept { return {}; }
    result<>        read(extent, std::span<std::byte>) noexcept { return success(); }
    result<>        write(extent, std::span<const std::byte>) noexcept { return success(); }
    result<>        sync() noexcept { return success(); }
    result<>        trim(extent) noexcept { return success(); }
    result<queue>   open_queue(queue_options) noexcept { return queue{}; }
};
static_assert(std::is_same_v<queue_of<queued_archetype>, queued_archetype::queue>);
static_assert(std::is_same_v<queue_of<memory_device>, memory_queue>);

struct BlockingQueue : testing::Test {
    memory_device          memory = memory_device::create({512}, {8}).value();
    std::vector<std::byte> bytes  = std::vector<std::byte>(1024, std::byte{6});
};

TEST_F(BlockingQueue, NothingHappensBeforeCompleteAndEachTransferComesBackOnce) {
    auto     queue = open_queue_of(memory, {.depth = 4}).value();
    transfer write{.blocks = {{1}, {2}}, .memory = bytes.data(), .token = 7, .kind = transfer_kind::write};
    transfer sync{.token = 8, .kind = transfer_kind::sync};
    queue.submit(write);
    queue.submit(sync);
    EXPECT_EQ(queue.in_flight(), 2U);
    EXPECT_EQ(memory.bytes()[512], std::byte{0});
    std::array<transfer*, 4> finished{};
    ASSERT_EQ(queue.complete(finished, 1).value(), 2U);
    EXPECT_EQ(finished[0], &write);
    EXPECT_EQ(finished[1], &sync);
    EXPECT_EQ(finished[0]->token, 7U);
    EXPECT_EQ(queue.in_flight(), 0U);
    EXPECT_EQ(memory.bytes()[512], std::byte{6});
    EXPECT_EQ(queue.complete(finished, 0).value(), 0U);
}

TEST_F(BlockingQueue, AFailureIsInItsTransferAlone) {
    auto     queue = open_queue_of(memory).value();
    transfer bad{.blocks = {{8}, {1}}, .memory = bytes.data(), .kind = transfer_kind::read};
    transfer good{.blocks = {{0}, {1}}, .memory = bytes.data()};
    good.failure = errc::busy;
    queue.submit(bad);
    queue.submit(good);
    std::array<transfer*, 2> finished{};
    ASSERT_EQ(queue.complete(finished, 2).value(), 2U);
    EXPECT_EQ(bad.failure, (error{errc::out_of_range, {8}}));
    EXPECT_EQ(good.failure.code, errc::none) << "an old failure is gone";
}

TEST_F(BlockingQueue, HandsBackNoMoreThanThereIsRoomFor) {
    auto     queue = open_queue_of(memory).value();
    transfer slots[3];
    for (auto& slot : slots) {
        slot.blocks = {{0}, {1}};
        slot.memory = bytes.data();
        queue.submit(slot);
    }
    std::array<transfer*, 2> finished{};
    EXPECT_EQ(queue.complete(finished, 0).value(), 2U);
    auto moved = std::move(queue);
    EXPECT_EQ(moved.in_flight(), 1U);
    EXPECT_EQ(moved.complete(finished, 1).value(), 1U);
    EXPECT_EQ(finished[0], &slots[2]);
}

TEST_F(BlockingQueue, WhatIsNoKindOfTransferIsRefusedAndAQueueMayReplaceAnother) {
    auto      queue = open_queue_of(memory).value();
    transfer  none{.blocks = {{1}, {1}}, .memory = bytes.data(), .kind = static_cast<transfer_kind>(99)};
    transfer* finished[1];
    queue.submit(none);
    auto& same = queue;
    queue      = std::move(same);
    ASSERT_EQ(queue.in_flight(), 1U) << "itself";
    auto other = open_queue_of(memory).value();
    other      = std::move(queue);
    ASSERT_EQ(other.complete(finished, 1).value(), 1U);
    EXPECT_EQ(none.failure.code, errc::invalid_argument);
}

TEST_F(BlockingQueue, ADepthOfZeroIsRefused) {
    EXPECT_EQ(open_queue_of(memory, {.depth = 0}).error().code, errc::invalid_argument);
}

}  // namespace blocking_queue_test
