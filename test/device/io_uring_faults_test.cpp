// Rings that break, and shapes of transfers that are rare.

#include "io_uring_fixture.hpp"
#include "refused_calls.hpp"

#include <ashlar/device/native_device.hpp>

#include <sys/mman.h>

#include <array>
#include <optional>

namespace ashlar::test {
namespace io_uring_faults_test {

constexpr std::size_t block = 4096;

class IoUringFaults : public testing::Test {
  protected:
    void SetUp() override {
        spoiled_calls::reset();
        if (!try_io_uring()) GTEST_SKIP() << "no io_uring here";
        auto opened = file_.open<file_device>({.direct = direct_io::off});
        ASSERT_TRUE(opened);
        device_.emplace(std::move(opened).value());
    }
    void TearDown() override { spoiled_calls::reset(); }

    [[nodiscard]] spoiled_queue open(const file_view& view, queue_options options = {}) {
        return spoiled_queue::open(view, options).value();
    }
    [[nodiscard]] transfer made(transfer_kind kind, std::uint64_t first) {
        return {.blocks = {{first}, {1}}, .memory = memory_.data() + first * block, .kind = kind};
    }

    file_name                  file_;
    std::optional<file_device> device_;
    std::vector<std::byte>     memory_ = std::vector<std::byte>(16 * block, std::byte{7});
    std::array<transfer*, 8>   finished_{};
};

TEST_F(IoUringFaults, ARingThatIsNoneOrTooOldIsSaidToBe) {
    constexpr auto refusal       = [] { return basic_uring_ring<spoiled_calls>::open(4, false).error(); };
    spoiled_calls::setup_refuses = -EINVAL;
    EXPECT_EQ(refusal(), (error{errc::device_failed, {}, EINVAL})) << "there are no flags to do without";
    spoiled_calls::reset();
    for (const unsigned feature : {IORING_FEAT_SINGLE_MMAP, IORING_FEAT_NODROP}) {
        spoiled_calls::features_hidden = feature;
        EXPECT_EQ(refusal(), (error{errc::unsupported, {}, EOPNOTSUPP}));
        EXPECT_EQ(io_uring_state_of(refusal()), io_uring_state::too_old);
    }
    spoiled_calls::reset();
    constexpr auto refused = refused_call::match::has_bit;
    for (const auto& no_memory : {refused_call{__NR_mmap, ENOMEM, refused, 3, MAP_POPULATE},
                                  refused_call{__NR_mmap, ENOMEM, refused, 5, IORING_OFF_SQES}}) {
        with_refused_calls({no_memory}, [&] { EXPECT_EQ(refusal(), (error{errc::device_failed, {}, ENOMEM})); });
    }
    spoiled_calls::reset();
    EXPECT_TRUE(basic_uring_ring<spoiled_calls>::open(4, false));
}

TEST_F(IoUringFaults, ADeviceWhoseFileDoesNotOpenSaysWhy) {
    EXPECT_EQ(io_uring_device::open("no/such/folder/x").error().code, errc::not_found);
}

TEST_F(IoUringFaults, ANativeDeviceHandsOnThatTheLentMemoryIsTooSmall) {
    device_.reset();
    auto device = file_.open<native_device>().value();
    if (device.direct() != direct_state::in_use) GTEST_SKIP() << message(device.direct());
    EXPECT_EQ(device.open_queue({.memory = std::span{memory_}.first(1)}).error().code, errc::workspace_too_small);
}

TEST_F(IoUringFaults, EveryStateHasItsWords) {
    for (const auto state : {io_uring_state::available, io_uring_state::not_built, io_uring_state::refused,
                             io_uring_state::too_old, io_uring_state::failed}) {
        EXPECT_GT(std::string{message(state)}.size(), 10U);
    }
    EXPECT_STREQ(message(static_cast<io_uring_state>(99)), "unknown state");
    EXPECT_STREQ(message(static_cast<direct_state>(99)), "unknown state");
}

TEST_F(IoUringFaults, TheDestructorWaitsThroughInterruptionsAndGivesUpOnABrokenRing) {
    for (const auto& refusals : {std::vector<int>{-EINTR, -EAGAIN, -EBUSY}, std::vector<int>{-EBADF}}) {
        bool met = false;
        for (int round = 0; round < 1000 && !met; ++round) {  // a disk may be done before anybody waits
            transfer first = made(transfer_kind::write, 1), second = made(transfer_kind::write, 2);
            {
                auto queue = open(device_->view());
                queue.submit(first);
                queue.submit(second);
                ASSERT_TRUE(queue.complete({}, 0)) << "both begin";
                spoiled_calls::enters        = 0;
                spoiled_calls::enter_refuses = refusals;
            }
            met = spoiled_calls::enters >= refusals.size() && spoiled_calls::enter_refuses.empty();
            spoiled_calls::enter_refuses.clear();
        }
        EXPECT_TRUE(met);
    }
}

TEST_F(IoUringFaults, AQueueMayReplaceAnotherAndItself) {
    auto     queue = open(device_->view(), {.depth = 4});
    transfer first = made(transfer_kind::write, 1), second = made(transfer_kind::write, 2);
    queue.submit(first);
    queue.submit(second);
    auto& same = queue;
    queue      = std::move(same);
    EXPECT_EQ(queue.complete(finished_, 2).value(), 2U);
    queue = open(device_->view(), {.depth = 9});
    EXPECT_EQ(queue.depth(), 9U);
    EXPECT_EQ(queue.in_flight(), 0U);
}

TEST_F(IoUringFaults, ATrimOfABlockDeviceStartsWhatIsPreparedAndTellsWhatFailed) {
    file_view view    = device_->view();
    view.block_device = true;  // its trims are blocking calls; this one's system knows none
    const auto all    = [&](spoiled_queue& queue, std::array<transfer, 3>& some) {
        some = {made(transfer_kind::write, 1), made(transfer_kind::write, 2), made(transfer_kind::trim, 3)};
        for (auto& one : some) queue.submit(one);
    };
    std::array<transfer, 3> some;
    {
        auto queue = open(view);
        all(queue, some);
        EXPECT_EQ(queue.complete(finished_, 3).value(), 3U);
        for (const auto& one : some) EXPECT_EQ(one.failure, error{}) << "a system without trims does nothing";

        all(queue, some);
        spoiled_calls::enter_refuses = {-EBADF};
        EXPECT_EQ(queue.complete(finished_, 3).error(), (error{errc::device_failed, {}, EBADF}));
        EXPECT_EQ(queue.complete(finished_, 3).value(), 3U) << "none of them was lost";

        transfer alone = made(transfer_kind::trim, 4);
        queue.submit(alone);
        EXPECT_EQ(queue.complete(finished_, 1).value(), 1U);
        EXPECT_EQ(alone.failure, error{});
    }
    view.descriptor = ::dup(view.descriptor);
    auto     queue  = open(view);
    transfer trim   = made(transfer_kind::trim, 5);
    queue.submit(trim);
    ::close(view.descriptor);
    EXPECT_EQ(queue.complete(finished_, 1).value(), 1U);
    EXPECT_EQ(trim.failure, (error{errc::device_failed, {5}, EBADF}));
}

/// A sparse file of 2 TiB in blocks of 512 bytes: more blocks than a transfer counts.
TEST_F(IoUringFaults, ATransferOfMoreBlocksThanItCountsIsTooLargeAndALargeOneIsCut) {
    device_.reset();
    ::unlink(file_.path.c_str());
    constexpr std::uint64_t too_many = (std::uint64_t{1} << 32U) + 8;
    const auto              opened =
        file_.open<file_device>({.block_bytes = 512, .direct = direct_io::off, .bytes = too_many * 512});
    if (!opened) GTEST_SKIP() << "the file system has no files of 2 TiB";
    auto     queue = open(opened.value().view());
    transfer huge{.blocks = {{0}, {too_many - 1}}, .memory = memory_.data(), .kind = transfer_kind::write};
    transfer trim{.blocks = {{0}, {too_many - 1}}, .kind = transfer_kind::trim};
    queue.submit(huge);
    queue.submit(trim);
    EXPECT_EQ(queue.complete(finished_, 2).value(), 2U);
    EXPECT_EQ(huge.failure, (error{errc::too_large, {0}}));
    EXPECT_EQ(trim.failure, error{}) << "a trim counts nothing";

    // One block above a gibibyte goes in two pieces. Nothing moves: the completions say that it did.
    constexpr std::uint64_t gibibyte = std::uint64_t{1} << 30U;
    void* const place = ::mmap(nullptr, gibibyte + 512, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ASSERT_NE(place, MAP_FAILED);
    for (const bool alone : {true, false}) {
        const std::uint32_t count = gibibyte / 512 + 1;
        transfer            long_one{
                       .blocks = {{1}, {count}}, .memory = static_cast<std::byte*>(place), .kind = transfer_kind::read};
        transfer beside{.kind = transfer_kind::trim};
        spoiled_calls::outcomes = {static_cast<std::int32_t>(gibibyte), 512};
        spoiled_calls::requests = 0;
        queue.submit(long_one);
        if (!alone) queue.submit(beside);
        while (queue.in_flight() > 0) ASSERT_TRUE(queue.complete(finished_, queue.in_flight()));
        EXPECT_EQ(long_one.failure, error{});
        EXPECT_EQ(long_one.moved, count);
        EXPECT_EQ(spoiled_calls::requests, 2U);
    }
    ::munmap(place, gibibyte + 512);
}

}  // namespace io_uring_faults_test
}  // namespace ashlar::test
