#include "io_uring_fixture.hpp"

#include <ashlar/testing/queue_conformance.hpp>

#include <array>
#include <cstdlib>
#include <optional>

namespace ashlar::test {
namespace io_uring_device_test {

static_assert(QueuedDevice<io_uring_device> && TransferQueue<io_uring_queue>);
static_assert(std::is_nothrow_move_constructible_v<io_uring_queue> && !std::is_copy_constructible_v<io_uring_queue>);

constexpr std::size_t block = 4096;

/// How the device moves its bytes, and whether a transfer that a test looks at is the only one of its queue.
struct uring_case {
    direct_io direct = direct_io::off;
    bool      alone  = false;
};

/// A device with spoiled calls, memory for 32 blocks, and the slots for as many transfers.
class IoUring : public testing::TestWithParam<uring_case> {
  protected:
    void SetUp() override {
        spoiled_calls::reset();
        if (!try_io_uring()) GTEST_SKIP() << "no io_uring here";
        memory_ = aligned_buffer::allocate(64 * block).value();
        random_bits{7}.fill(bytes());
        auto opened = file_.open<spoiled_device>({.direct = GetParam().direct});
        ASSERT_TRUE(opened) << opened.error().os_code;
        device_.emplace(std::move(opened).value());
    }
    void TearDown() override { spoiled_calls::reset(); }

    std::span<std::byte> bytes() { return memory_.bytes().first(32 * block); }  // what is written
    std::span<std::byte> seen() { return memory_.bytes().subspan(32 * block); }

    spoiled_queue open(queue_options options = {}) { return device_->open_queue(options).value(); }
    transfer&     put(spoiled_queue& queue, transfer_kind kind, std::uint64_t first, std::uint64_t count = 1) {
            auto& t = slots_[used_++ % slots_.size()];
            auto  m = kind == transfer_kind::read ? seen() : bytes();
            t       = {.blocks = {{first}, {count}}, .memory = m.data() + first * block, .kind = kind};
            queue.submit(t);
            return t;
    }
    transfer& done(spoiled_queue& queue, transfer_kind kind, std::uint64_t first, std::uint64_t count = 1) {
        auto&    t = put(queue, kind, first, count);
        transfer beside{.kind = transfer_kind::trim};  // of nothing; with it the other goes through the ring
        if (!GetParam().alone) queue.submit(beside);
        while (queue.in_flight() > 0) EXPECT_GE(queue.complete(finished_, queue.in_flight()).value(), 1U);
        return t;
    }
    void expect_read_back(std::uint64_t first, std::uint64_t count) {
        const auto part = seen().subspan(first * block, count * block);
        ASSERT_TRUE(device_->read({{first}, {count}}, part));
        EXPECT_TRUE(std::equal(part.begin(), part.end(), bytes().begin() + static_cast<long>(first * block)));
    }

    file_name                     file_;
    std::optional<spoiled_device> device_;
    aligned_buffer                memory_;
    std::array<transfer, 32>      slots_{};
    std::array<transfer*, 32>     finished_{};
    std::size_t                   used_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Of, IoUring,
                         testing::Values(uring_case{direct_io::off, true}, uring_case{direct_io::off, false},
                                         uring_case{direct_io::automatic, true},
                                         uring_case{direct_io::automatic, false}),
                         [](const auto& chosen) {
                             return std::string{chosen.param.direct == direct_io::off ? "Cached" : "Direct"} +
                                    (chosen.param.alone ? "Alone" : "Among");
                         });

constexpr auto read  = transfer_kind::read;
constexpr auto write = transfer_kind::write;
constexpr auto sync  = transfer_kind::sync;
constexpr auto trim  = transfer_kind::trim;

TEST_P(IoUring, DeviceAndQueuesConform) {
    for (const auto& failure : device_conformance(*device_)) ADD_FAILURE() << failure;
    for (const bool one_thread : {false, true}) {
        const queue_options options{.depth = 40, .reap_max = one_thread ? 1U : 0U, .one_thread = one_thread};
        for (const auto& failure : queue_conformance(*device_, options)) ADD_FAILURE() << failure;
    }
    spoiled_calls::files_are_refused = true;
    for (const auto& failure : queue_conformance(*device_)) ADD_FAILURE() << "without a registered file: " << failure;
}

TEST_P(IoUring, SmallBlocksConformToo) {
    const file_name file;
    auto            device = file.open<io_uring_device>({.block_bytes = 512, .direct = GetParam().direct}).value();
    for (const auto& failure : queue_conformance(device)) ADD_FAILURE() << failure;
}

TEST_P(IoUring, ThirtyTwoTransfersCostOneEntry) {
    for (const bool one_thread : {false, true}) {
        const auto enters = [] { return std::uint64_t{spoiled_calls::enters}; };
        EXPECT_EQ(queue_calls_of_32(*device_, {.one_thread = one_thread}, enters), 1U);
    }
}

TEST_P(IoUring, SubmitEntersNothingAndNeitherDoesTakingWhatIsDone) {
    auto queue = open({.reap_max = 32});
    for (std::uint64_t i = 0; i < 32; ++i) put(queue, write, i);
    EXPECT_EQ(spoiled_calls::enters, 0U);
    EXPECT_EQ(queue.complete(std::span{finished_}.first(0), 0).value(), 0U);
    while (queue.in_flight() > 0) {
        const auto before = spoiled_calls::enters;
        const auto taken  = queue.complete(finished_, queue.in_flight() < 4 ? queue.in_flight() : 4).value();
        EXPECT_LE(spoiled_calls::enters, before + 1);
        EXPECT_GE(taken, 1U);
    }
    EXPECT_EQ(spoiled_calls::requests, 32U);
    expect_read_back(0, 32);
}

TEST_P(IoUring, HandsBackNoMoreThanTheBoundUnlessItIsAskedTo) {
    const bool direct = device_->direct() == direct_state::in_use;
    for (const std::size_t bound : {std::size_t{0}, std::size_t{7}}) {
        auto       queue = open({.reap_max = bound});
        const auto most  = bound != 0 ? bound : direct ? std::size_t{4} : std::size_t{32};
        for (std::uint64_t i = 0; i < 32; ++i) put(queue, write, i);
        EXPECT_LE(queue.complete(finished_, 12).value(), most > 12 ? most : 12);
        while (queue.in_flight() > 0) EXPECT_LE(queue.complete(finished_, 1).value(), most);
        for (std::uint64_t i = 0; i < 32; ++i) put(queue, read, i);
        if (!direct) { EXPECT_EQ(queue.complete(finished_, 1).value(), most) << "the page cache is done at once"; }
        while (queue.in_flight() > 0) EXPECT_LE(queue.complete(finished_, 1).value(), most);
    }
}

TEST_P(IoUring, ShortTransfersGoOnWhereTheyStopped) {
    auto queue             = open();
    spoiled_calls::lengths = {4096, 8192};
    EXPECT_EQ(done(queue, write, 0, 8).failure, error{});
    EXPECT_EQ(spoiled_calls::requests, 3U);
    expect_read_back(0, 8);
    spoiled_calls::lengths = {3 * 4096};
    EXPECT_EQ(done(queue, read, 0, 8).failure, error{});
    EXPECT_TRUE(std::equal(seen().begin(), seen().begin() + 8 * block, bytes().begin()));
    EXPECT_EQ(spoiled_calls::requests, 5U);
}

TEST_P(IoUring, ATransferThatStopsInsideABlockRepeatsTheBlock) {
    auto       queue       = open();
    const auto odd         = GetParam().direct == direct_io::off ? 5000U : 4096U + 512U;
    spoiled_calls::lengths = {odd, odd - 4096};
    EXPECT_EQ(done(queue, write, 1, 4).failure, error{});
    EXPECT_EQ(spoiled_calls::requests, 3U);
    expect_read_back(1, 4);
}

TEST_P(IoUring, MemoryOfAnyAlignmentIsCutIntoAlignedPieces) {
    auto     queue = open({.depth = 32});
    transfer all[20];
    for (std::uint64_t i = 0; i < 20; ++i) {
        all[i] = {.blocks = {{i * 12}, {12}}, .memory = memory_.bytes().data() + 1 + i * block, .kind = write};
        queue.submit(all[i]);
    }
    spoiled_calls::lengths = {4096, 512};
    EXPECT_EQ(queue.complete(finished_, 20).value(), 20U);
    for (const auto& one : all) EXPECT_EQ(one.failure, error{});
    std::vector<std::byte> back(12 * block);
    for (std::uint64_t i = 0; i < 20; ++i) {
        ASSERT_TRUE(device_->read({{i * 12}, {12}}, back));
        ASSERT_TRUE(std::equal(back.begin(), back.end(), all[i].memory)) << i;
    }
}

TEST_P(IoUring, InterruptionsAreRepeatedAndEndOnce) {
    auto queue              = open();
    spoiled_calls::outcomes = {-EINTR, -EAGAIN, -EINTR};
    EXPECT_EQ(done(queue, write, 2, 2).failure, error{});
    EXPECT_EQ(spoiled_calls::requests, 4U);
    expect_read_back(2, 2);
    spoiled_calls::every_outcome = -EAGAIN;
    EXPECT_EQ(done(queue, read, 2, 2).failure, (error{errc::device_failed, {2}, EAGAIN}));
    EXPECT_LT(spoiled_calls::requests, 2000U);

    spoiled_calls::every_outcome = 1;
    spoiled_calls::outcomes.assign(600, -EINTR);
    spoiled_calls::outcomes.push_back(block);
    spoiled_calls::outcomes.insert(spoiled_calls::outcomes.end(), 600, -EINTR);
    EXPECT_EQ(done(queue, read, 2, 2).failure, error{}) << "progress in between counts";
}

TEST_P(IoUring, WhatTheKernelCancelledComesBackAsCancelled) {
    auto queue              = open();
    spoiled_calls::outcomes = {-ECANCELED, 1};
    auto& first             = put(queue, write, 3);
    auto& second            = put(queue, write, 4);
    EXPECT_EQ(queue.complete(finished_, 2).value(), 2U);
    const auto& cancelled = first.failure.code != errc::none ? first : second;
    const auto& other     = &cancelled == &first ? second : first;
    EXPECT_EQ(cancelled.failure, (error{errc::cancelled, cancelled.blocks.first, ECANCELED}));
    EXPECT_EQ(other.failure, error{});
}

TEST_P(IoUring, AFailureCarriesTheSystemsCodeAndTheFirstBlock) {
    auto queue              = open();
    spoiled_calls::outcomes = {-EIO};
    EXPECT_EQ(done(queue, read, 2, 4).failure, (error{errc::device_failed, {2}, EIO}));
    spoiled_calls::lengths  = {4096};
    spoiled_calls::outcomes = {1, -ENOSPC};
    EXPECT_EQ(done(queue, write, 5, 4).failure, (error{errc::device_failed, {5}, ENOSPC}));
    spoiled_calls::outcomes = {0};
    EXPECT_EQ(done(queue, write, 6, 4).failure, (error{errc::device_failed, {6}, EIO})) << "a write that moves nothing";
    EXPECT_EQ(done(queue, write, 6, 4).failure, error{}) << "and the next one";
}

TEST_P(IoUring, AFileThatShrankFailsAtTheFirstMissingBlock) {
    auto queue = open();
    ASSERT_EQ(::truncate(file_.path.c_str(), 5 * block + 1000), 0);
    EXPECT_EQ(done(queue, read, 0, 8).failure, (error{errc::out_of_range, {5}}));
    EXPECT_EQ(done(queue, read, 7).failure, (error{errc::out_of_range, {7}}));
    EXPECT_EQ(done(queue, read, 0, 5).failure, error{});
}

TEST_P(IoUring, WhatIsAloneAndWaitedForNeedsNoRing) {
    auto queue = open();
    for (const auto kind : {write, sync, read}) {
        auto& t = put(queue, kind, 1);
        EXPECT_EQ(queue.complete(finished_, 1).value(), 1U);
        EXPECT_EQ(t.failure, error{});
    }
    EXPECT_EQ(spoiled_calls::enters, 0U);
    EXPECT_EQ(spoiled_calls::syncs, 1U);
    EXPECT_TRUE(std::equal(seen().begin() + block, seen().begin() + 2 * block, bytes().begin() + block));
    spoiled_calls::sync_refuses = {EINTR, EIO};
    auto& failed                = put(queue, sync, 0, 0);
    EXPECT_EQ(queue.complete(finished_, 1).value(), 1U);
    EXPECT_EQ(failed.failure, (error{errc::device_failed, {}, EIO}));
    EXPECT_EQ(spoiled_calls::syncs, 3U) << "interrupted once, and not repeated after it failed";
}

TEST_P(IoUring, ASyncAmongOthersGoesThroughTheRing) {
    auto  queue = open();
    auto& first = put(queue, sync, 0, 0);
    auto& moved = put(queue, write, 1);
    EXPECT_EQ(queue.complete(finished_, 2).value(), 2U);
    EXPECT_EQ(first.failure, error{});
    EXPECT_EQ(moved.failure, error{});
    EXPECT_EQ(spoiled_calls::syncs, 0U);
    EXPECT_EQ(spoiled_calls::enters, 1U);
    put(queue, sync, 0, 0);
    std::size_t taken = 0;
    while (taken == 0) taken = queue.complete(finished_, 0).value();
    EXPECT_EQ(spoiled_calls::syncs, 0U) << "not waited for, so it may not block";
    spoiled_calls::every_outcome = -EIO;
    auto& failed                 = put(queue, sync, 0, 0);
    put(queue, write, 1);
    EXPECT_EQ(queue.complete(finished_, 2).value(), 2U);
    EXPECT_EQ(failed.failure, (error{errc::device_failed, {}, EIO}));
}

TEST_P(IoUring, ATrimGivesTheSpaceBackOrDoesNothing) {
    auto queue = open();
    EXPECT_EQ(done(queue, write, 0, 32).failure, error{});
    ASSERT_TRUE(device_->sync());
    struct stat before {};
    ASSERT_EQ(::fstat(device_->native_handle(), &before), 0);
    EXPECT_EQ(done(queue, trim, 8, 16).failure, error{});
    ASSERT_TRUE(device_->sync());
    struct stat after {};
    ASSERT_EQ(::fstat(device_->native_handle(), &after), 0);
    EXPECT_LT(after.st_blocks, before.st_blocks);
    expect_read_back(0, 8);
    expect_read_back(24, 8);
    spoiled_calls::outcomes = {-EOPNOTSUPP, -EIO};
    EXPECT_EQ(done(queue, trim, 8, 16).failure, error{});
    EXPECT_EQ(done(queue, trim, 8, 16).failure, (error{errc::device_failed, {8}, EIO}));
}

TEST_P(IoUring, AnInterruptedEntryIsRepeatedAndABrokenRingSaysSo) {
    auto queue                   = open();
    spoiled_calls::enter_refuses = {-EINTR, -EAGAIN, -EBUSY};
    put(queue, write, 0);
    put(queue, write, 1);
    EXPECT_EQ(queue.complete(finished_, 2).value(), 2U);
    EXPECT_EQ(spoiled_calls::enters, 4U);

    auto& outside                = put(queue, write, 1U << 30U);  // done at once, but not handed back by a failed call
    auto& inside                 = put(queue, write, 2);
    spoiled_calls::enter_refuses = {-EBADF};
    EXPECT_EQ(queue.complete(finished_, 2).error(), (error{errc::device_failed, {}, EBADF}));
    EXPECT_EQ(queue.in_flight(), 2U);
    EXPECT_EQ(queue.complete(finished_, 2).value(), 2U);
    EXPECT_EQ(outside.failure.code, errc::out_of_range);
    EXPECT_EQ(inside.failure, error{});
    spoiled_calls::enter_refuses.assign(5000, -EBUSY);
    put(queue, write, 3);
    put(queue, write, 4);
    EXPECT_EQ(queue.complete(finished_, 1).error().os_code, EBUSY) << "not for ever";
    spoiled_calls::enter_refuses.clear();
}

TEST_P(IoUring, AQueueOfOneThreadRefusesAnother) {
    if (spoiled_calls::setups == 0) GTEST_SKIP();
    auto queue = open({.one_thread = true});
    put(queue, write, 1);
    put(queue, write, 2);
    errc code = errc::none;
    std::thread{[&] {
        const auto taken = queue.complete(finished_, 2);
        if (!taken) code = taken.error().os_code == EEXIST ? taken.error().code : errc::none;
    }}.join();
    if (code == errc::none) {
        EXPECT_EQ(queue.in_flight(), 0U) << "a kernel that does not know such rings";
    } else {
        EXPECT_EQ(code, errc::device_failed);
        EXPECT_EQ(queue.complete(finished_, 2).value(), 2U);
    }
}

TEST_P(IoUring, AQueueMayMoveToAnotherThreadWithTransfersInFlight) {
    auto queue = open();
    for (std::uint64_t i = 0; i < 16; ++i) put(queue, write, i);
    ASSERT_TRUE(queue.complete({}, 0));
    std::thread{[&, mine = std::move(queue)]() mutable {
        EXPECT_EQ(mine.in_flight(), 16U);
        EXPECT_EQ(mine.complete(finished_, 16).value(), 16U);
    }}.join();
    expect_read_back(0, 16);
}

TEST_P(IoUring, EachThreadHasAQueueOfItsOwn) {
    device_.reset();  // its calls are counted, but not for several threads
    auto                     io = file_.open<io_uring_device>({.direct = GetParam().direct}).value();
    std::vector<std::thread> threads;
    for (std::uint64_t t = 0; t < 4; ++t) {
        threads.emplace_back([&io, t] {
            auto                      queue  = io.open_queue({.one_thread = t % 2 == 0}).value();
            auto                      memory = aligned_buffer::allocate(32 * block).value();
            std::vector<std::byte>    wanted(32 * block);
            std::array<transfer, 32>  slots;
            std::array<transfer*, 32> finished;
            for (std::uint64_t round = 0; round < 20; ++round) {
                random_bits{t * 100 + round}.fill(wanted);
                std::copy(wanted.begin(), wanted.end(), memory.bytes().begin());
                for (const auto kind : {write, sync, read}) {
                    for (std::uint64_t i = 0; i < 32; ++i) {
                        slots[i] = {
                            .blocks = {{t * 32 + i}, {1}}, .memory = memory.bytes().data() + i * block, .kind = kind};
                        if (kind != sync || i == 0) queue.submit(slots[i]);
                    }
                    ASSERT_TRUE(queue.complete(finished, queue.in_flight()));
                    if (kind == sync) std::fill(memory.bytes().begin(), memory.bytes().end(), std::byte{0});
                }
                ASSERT_TRUE(std::equal(wanted.begin(), wanted.end(), memory.bytes().begin()));
            }
        });
    }
    for (auto& thread : threads) thread.join();
}

TEST_P(IoUring, TheDeviceMayMoveWhileAQueueIsOpen) {
    auto queue = open();
    put(queue, write, 1);
    auto moved = std::move(*device_);
    EXPECT_EQ(queue.complete(finished_, 1).value(), 1U);
    device_.emplace(std::move(moved));
    expect_read_back(1, 1);
}

TEST_P(IoUring, TheFileIsFreeAsSoonAsQueueAndDeviceAreGone) {
    for (unsigned round = 0; round < 30; ++round) {
        {
            auto queue = open({.one_thread = round % 2 == 0});
            for (std::uint64_t i = 0; i < 16; ++i) put(queue, write, i);
            put(queue, sync, 0, 0);
            ASSERT_TRUE(queue.complete({}, 0));
        }
        device_.reset();
        auto again = file_.open<spoiled_device>({.direct = GetParam().direct});
        ASSERT_TRUE(again) << message(again.error().code) << " in round " << round;
        device_.emplace(std::move(again).value());
    }
}

TEST_P(IoUring, AQueueThatNeverEnteredIsDroppedWithoutBeginningAnything) {
    {
        auto queue = open();
        put(queue, write, 1);
        put(queue, sync, 0, 0);
    }
    EXPECT_EQ(spoiled_calls::enters, 0U);
    ASSERT_TRUE(device_->read({{1}, {1}}, seen().first(block)));
    EXPECT_EQ(seen()[0], std::byte{0});
}

TEST_P(IoUring, AReadOnlyDeviceReadsAndRefusesTheRest) {
    device_.reset();
    auto device = file_.open<io_uring_device>({.read_only = true, .direct = GetParam().direct}).value();
    auto queue  = device.open_queue({}).value();
    std::array<transfer, 4> all{};
    for (const auto kind : {read, write, sync, trim}) {
        auto& t = all[static_cast<std::size_t>(kind)];
        t       = {.blocks = {{1}, {1}}, .memory = seen().data(), .kind = kind};
        queue.submit(t);
    }
    EXPECT_EQ(queue.complete(finished_, 4).value(), 4U);
    EXPECT_EQ(all[0].failure, error{});
    EXPECT_EQ(all[1].failure, (error{errc::read_only, {1}}));
    EXPECT_EQ(all[2].failure, error{});
    EXPECT_EQ(all[3].failure, (error{errc::read_only, {1}}));
}

TEST_P(IoUring, RefusesImpossibleQueues) {
    EXPECT_EQ(device_->open_queue({.depth = 0}).error().code, errc::invalid_argument);
    EXPECT_EQ(device_->open_queue({.depth = 32769}).error().code, errc::invalid_argument);
    if (device_->direct() != direct_state::in_use) return;
    EXPECT_EQ(device_->open_queue({.memory = bytes().first(8192)}).error().code, errc::workspace_too_small);
    EXPECT_TRUE(device_->open_queue({.memory = bytes().first(16384)}));
    EXPECT_TRUE(device_->open_queue({.memory = bytes().subspan(1, 16384 + 4095)})) << "one aligned place fits";
}

TEST_P(IoUring, LentMemoryHoldsTheAlignedPlaces) {
    auto queue = open({.memory = bytes().first(16384)});
    ASSERT_TRUE(queue.complete({}, 0));
    transfer all[3];
    for (std::uint64_t i = 0; i < 3; ++i) {
        all[i] = {.blocks = {{i}, {1}}, .memory = seen().data() + 1 + i * block, .kind = write};
        queue.submit(all[i]);
    }
    EXPECT_EQ(queue.complete(finished_, 3).value(), 3U);
    std::vector<std::byte> back(3 * block);
    ASSERT_TRUE(device_->read({{0}, {3}}, back));
    EXPECT_TRUE(std::equal(back.begin(), back.end(), all[0].memory));
}

using IoUringDeath = IoUring;
INSTANTIATE_TEST_SUITE_P(Of, IoUringDeath, testing::Values(uring_case{}));

TEST_P(IoUringDeath, SubmittingToAFullQueueIsAMistake) {
#if defined(ASHLAR_NO_ASSERT)
    GTEST_SKIP() << "mistakes of callers are not looked for in this build";
#endif
    testing::FLAGS_gtest_death_test_style = "threadsafe";
    auto queue                            = open({.depth = 2});
    put(queue, read, 0);
    put(queue, read, 1);
    transfer third{.blocks = {{2}, {1}}, .memory = seen().data()};
    EXPECT_DEATH(queue.submit(third), "");
    EXPECT_EQ(queue.complete(finished_, 2).value(), 2U);
}

struct IoUringRefusal : testing::Test {
    IoUringRefusal() { spoiled_calls::reset(); }
    ~IoUringRefusal() override { spoiled_calls::reset(); }
    file_name file;
};

TEST_F(IoUringRefusal, OpenSaysWhyThereIsNoRingAndTouchesNoFile) {
    const struct {
        int            refused, os_code;
        io_uring_state state;
    } cases[] = {{-ENOSYS, ENOSYS, io_uring_state::not_built},
                 {-EPERM, EPERM, io_uring_state::refused},
                 {-EACCES, EACCES, io_uring_state::refused},
                 {-ENOMEM, ENOMEM, io_uring_state::failed},
                 {-EMFILE, EMFILE, io_uring_state::failed}};
    for (const auto& one : cases) {
        spoiled_calls::setup_refuses = one.refused;
        const auto opened            = file.open<spoiled_device>();
        ASSERT_FALSE(opened);
        EXPECT_EQ(opened.error().os_code, one.os_code);
        EXPECT_EQ(opened.error().code, one.state == io_uring_state::failed ? errc::device_failed : errc::unsupported);
        EXPECT_EQ(io_uring_state_of(opened.error()), one.state);
        EXPECT_GT(std::string{message(one.state)}.size(), 10U);
        EXPECT_NE(::access(file.path.c_str(), F_OK), 0);
    }
    EXPECT_EQ(io_uring_state_of({}), io_uring_state::available);
}

TEST_F(IoUringRefusal, AKernelThatLacksAnOperationIsTooOld) {
    if (!try_io_uring()) GTEST_SKIP() << "no io_uring here";
    spoiled_calls::probe_hides = IORING_OP_FALLOCATE;
    EXPECT_EQ(io_uring_state_of(file.open<spoiled_device>().error()), io_uring_state::too_old);
    spoiled_calls::reset();
    spoiled_calls::probe_refuses = -EINVAL;
    EXPECT_EQ(io_uring_state_of(file.open<spoiled_device>().error()), io_uring_state::too_old);
    spoiled_calls::reset();
    EXPECT_TRUE(file.open<spoiled_device>());
}

TEST_F(IoUringRefusal, AKernelThatDoesNotKnowRingsOfOneThreadGivesAPlainOne) {
    if (!try_io_uring()) GTEST_SKIP() << "no io_uring here";
    spoiled_calls::setup_knows = 0;
    auto       device          = file.open<spoiled_device>().value();
    const auto before          = spoiled_calls::setups;
    ASSERT_TRUE(device.open_queue({.one_thread = true}));
    EXPECT_EQ(spoiled_calls::setups, before + 2);
    for (const auto& failure : queue_conformance(device, {.one_thread = true})) ADD_FAILURE() << failure;
}

TEST_F(IoUringRefusal, ASeccompFilterIsARefusal) {
    for (const int os_code : {EPERM, ENOSYS}) {
        without_io_uring(os_code, [&] {
            const auto opened = file.open<io_uring_device>();
            ASSERT_FALSE(opened);
            EXPECT_EQ(opened.error(), (error{errc::unsupported, {}, os_code}));
        });
    }
}

/// A loop device over a file, where the test may make one.
struct loop_device {
    explicit loop_device(const std::string& backing) {
        FILE* const output = ::popen(("losetup --find --show " + backing + " 2>/dev/null").c_str(), "r");
        char        line[64]{};
        if (output != nullptr && std::fgets(line, sizeof line, output) != nullptr)
            path = std::string{line, std::strcspn(line, "\n")};
        if (output != nullptr) ::pclose(output);
    }
    loop_device(const loop_device&)            = delete;
    loop_device& operator=(const loop_device&) = delete;
    ~loop_device() {
        if (!path.empty() && std::system(("losetup --detach " + path).c_str()) != 0)
            ADD_FAILURE() << "left behind: " << path;
    }
    std::string path;
};

TEST_F(IoUringRefusal, ABlockDeviceConformsAndIsTrimmed) {
    if (::geteuid() != 0) GTEST_SKIP() << "only root makes loop devices";
    if (!try_io_uring()) GTEST_SKIP() << "no io_uring here";
    ASSERT_TRUE(file.open<spoiled_device>({.bytes = 4U << 20U}));
    const loop_device loop{file.path};
    if (loop.path.empty()) GTEST_SKIP() << "no loop device";
    for (unsigned round = 0; round < 10; ++round) {
        auto again = io_uring_device::open(loop.path.c_str());
        ASSERT_TRUE(again) << "still claimed in round " << round << ": " << message(again.error().code);
        ASSERT_TRUE(again.value().open_queue({}));
    }
    auto device = io_uring_device::open(loop.path.c_str()).value();
    for (const auto& failure : queue_conformance(device)) ADD_FAILURE() << failure;
    const std::vector<std::byte> bytes(4U << 20U, std::byte{1});
    ASSERT_TRUE(device.write({{0}, {1024}}, bytes));
    ASSERT_TRUE(device.sync());
    struct stat before {};
    ASSERT_EQ(::stat(file.path.c_str(), &before), 0);
    auto      queue = device.open_queue({}).value();
    transfer  gone{.blocks = {{0}, {512}}, .kind = trim};
    transfer  beside{.blocks = {{600}, {1}}, .memory = const_cast<std::byte*>(bytes.data()), .kind = write};
    transfer* finished[2];
    queue.submit(gone);
    queue.submit(beside);
    EXPECT_EQ(queue.complete(finished, 2).value(), 2U);
    EXPECT_EQ(gone.failure, error{});
    EXPECT_EQ(beside.failure, error{});
    struct stat after {};
    ASSERT_EQ(::stat(file.path.c_str(), &after), 0);
    EXPECT_LT(after.st_blocks, before.st_blocks);
}

}  // namespace io_uring_device_test
}  // namespace ashlar::test
