#include <ashlar/device/file_device.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace file_device_test {

using namespace ashlar;

static_assert(BlockDevice<file_device>);
static_assert(std::is_nothrow_move_constructible_v<file_device> && !std::is_copy_constructible_v<file_device>);

std::vector<std::byte> pattern(std::size_t bytes, unsigned seed) {
    std::vector<std::byte> made(bytes);
    for (std::size_t i = 0; i < bytes; ++i) made[i] = static_cast<std::byte>((seed + i * 7 + i / 512) & 0xFFU);
    return made;
}

/// A file of its own for each test, in the current folder or in another.
struct test_file {
    explicit test_file(std::string folder = ".") {
        const auto* test = testing::UnitTest::GetInstance()->current_test_info();
        std::string name = test->name();
        std::replace(name.begin(), name.end(), '/', '_');
        path = folder + "/file_device_" + name + "_" + std::to_string(::getpid()) + ".ash";
        ::unlink(path.c_str());
    }
    ~test_file() { ::unlink(path.c_str()); }
    result<file_device> make(file_device_options options = {}) const {
        options.create = true;
        if (options.bytes == 0) options.bytes = 1U << 20U;
        return file_device::open(path.c_str(), options);
    }
    result<file_device> open(file_device_options options = {}) const {
        return file_device::open(path.c_str(), options);
    }
    std::string path;
};

/// Writes and reads at every alignment of memory, in sizes below and above the bounce buffer.
void moves_bytes_of_any_alignment(file_device& device) {
    const auto size = device.geometry().size;
    for (const std::size_t shift : {0U, 1U, 8U, 511U, 512U}) {
        for (const std::uint64_t blocks : {1U, 3U, 40U}) {
            const auto             bytes = static_cast<std::size_t>(bytes_of({blocks}, size));
            std::vector<std::byte> space(bytes + 8192);
            auto* const base   = space.data() + (4096 - reinterpret_cast<std::uintptr_t>(space.data()) % 4096) % 4096;
            const auto  memory = std::span{base + shift, bytes};
            const auto  wanted = pattern(bytes, static_cast<unsigned>(shift + blocks));
            std::copy(wanted.begin(), wanted.end(), memory.begin());
            ASSERT_TRUE(device.write({{2}, {blocks}}, memory));
            std::fill(memory.begin(), memory.end(), std::byte{0});
            ASSERT_TRUE(device.read({{2}, {blocks}}, memory));
            ASSERT_TRUE(std::equal(wanted.begin(), wanted.end(), memory.begin())) << shift << " " << blocks;
        }
    }
}

TEST(FileDevice, MovesBytesOfAnyAlignmentPastThePageCache) {
    const test_file file;
    auto            device = file.make();
    ASSERT_TRUE(device) << message(device.error().code);
    if (device.value().direct() != direct_state::in_use) GTEST_SKIP() << message(device.value().direct());
    moves_bytes_of_any_alignment(device.value());
}

TEST(FileDevice, MovesBytesOfAnyAlignmentThroughThePageCache) {
    const test_file file;
    auto            device = file.make({.direct = direct_io::off}).value();
    EXPECT_EQ(device.direct(), direct_state::not_asked);
    EXPECT_EQ(device.geometry().memory_alignment, 1U);
    moves_bytes_of_any_alignment(device);
}

TEST(FileDevice, WorksOnAMemoryFileSystemWhateverItsDirectTransfersAre) {
    if (::access("/dev/shm", W_OK) != 0) GTEST_SKIP() << "no /dev/shm";
    const test_file file{"/dev/shm"};
    auto            device = file.make({.block_bytes = 512}).value();
    moves_bytes_of_any_alignment(device);
    EXPECT_TRUE(device.sync());
}

TEST(FileDevice, FallsBackWhereTheFileSystemHasNoDirectTransfersAndSaysSo) {
    const char* const path =
        "/sys/kernel/mm/transparent_hugepage/enabled";  // a page long for stat, some bytes for read
    if (::access(path, R_OK) != 0) GTEST_SKIP() << "no " << path;
    auto device = file_device::open(path, {.block_bytes = 512, .read_only = true, .lock = false});
    ASSERT_TRUE(device);
    EXPECT_EQ(device.value().direct(), direct_state::not_supported);
    const auto forced =
        file_device::open(path, {.block_bytes = 512, .read_only = true, .direct = direct_io::on, .lock = false});
    EXPECT_EQ(forced.error().code, errc::invalid_argument);
    std::vector<std::byte> block(512);
    EXPECT_EQ(device.value().read({{0}, {1}}, block).error().code, errc::device_failed)
        << "no part of a block is an answer";
}

TEST(FileDevice, CreateGivesWholeBlocksAndKeepsAFileThatHasBytes) {
    const test_file file;
    EXPECT_EQ(file.open().error().code, errc::not_found);
    EXPECT_EQ(file.open().error().os_code, ENOENT);
    const auto wanted = pattern(4096, 1);
    {
        auto device = file.make({.bytes = 4096 * 5 + 100}).value();
        EXPECT_EQ(device.geometry().blocks.value, 5U);
        ASSERT_TRUE(device.write({{4}, {1}}, wanted));
        ASSERT_TRUE(device.sync());
    }
    auto again = file.make({.bytes = 4096 * 9}).value();
    EXPECT_EQ(again.geometry().blocks.value, 5U);
    std::vector<std::byte> seen(4096);
    ASSERT_TRUE(again.read({{4}, {1}}, seen));
    EXPECT_EQ(seen, wanted);
}

TEST(FileDevice, RefusesWhatCanNotBeADevice) {
    const test_file file;
    EXPECT_EQ(file.open({.block_bytes = 1000}).error().code, errc::invalid_argument);
    EXPECT_EQ(file.open({.read_only = true, .create = true}).error().code, errc::invalid_argument);
    EXPECT_EQ(file_device::open(".", {.read_only = true}).error().code, errc::invalid_argument);
    EXPECT_EQ(file_device::open("/dev/zero").error().code, errc::invalid_argument);
    EXPECT_EQ(file_device::open("no/such/folder/x", {.create = true, .bytes = 4096}).error().code, errc::not_found);
    EXPECT_EQ(file.open({.create = true}).error().code, errc::out_of_range) << "an empty file has no block";
}

TEST(FileDevice, RefusesWhatLiesOutsideAndSaysWhere) {
    const test_file        file;
    auto                   device = file.make({.bytes = 4096 * 4}).value();
    std::vector<std::byte> two(8192);
    EXPECT_EQ(device.read({{3}, {2}}, two).error(), (error{errc::out_of_range, {3}}));
    EXPECT_EQ(device.write({{3}, {2}}, two).error(), (error{errc::out_of_range, {3}}));
    EXPECT_EQ(device.trim({{4}, {1}}).error(), (error{errc::out_of_range, {4}}));
}

TEST(FileDevice, AReadOnlyDeviceReadsAndRefusesTheRest) {
    const test_file file;
    ASSERT_TRUE(file.make());
    auto                   device = file.open({.read_only = true}).value();
    std::vector<std::byte> block(4096);
    EXPECT_TRUE(device.read({{1}, {1}}, block));
    EXPECT_EQ(device.write({{1}, {1}}, block).error(), (error{errc::read_only, {1}}));
    EXPECT_EQ(device.trim({{1}, {1}}).error().code, errc::read_only);
    EXPECT_TRUE(device.sync());
}

TEST(FileDevice, OneWriterOrManyReadersHoldTheFile) {
    const test_file file;
    {
        auto writer = file.make().value();
        EXPECT_EQ(file.open().error().code, errc::busy);
        EXPECT_EQ(file.open({.read_only = true}).error().code, errc::busy);
        EXPECT_TRUE(file.open({.lock = false}));
        auto moved = std::move(writer);
        EXPECT_EQ(file.open().error().code, errc::busy);
    }
    auto reader = file.open({.read_only = true}).value();
    EXPECT_TRUE(file.open({.read_only = true}));
    EXPECT_EQ(file.open().error().code, errc::busy);
}

TEST(FileDevice, ATrimGivesTheSpaceBackAndTheSizeStays) {
    const test_file file;
    auto            device = file.make({.bytes = 1U << 20U}).value();
    const auto      bytes  = pattern(1U << 20U, 2);
    ASSERT_TRUE(device.write({{0}, {256}}, bytes));
    ASSERT_TRUE(device.sync());
    struct stat before {};
    ASSERT_EQ(::fstat(device.native_handle(), &before), 0);
    ASSERT_TRUE(device.trim({{128}, {128}}));
    ASSERT_TRUE(device.sync());
    struct stat after {};
    ASSERT_EQ(::fstat(device.native_handle(), &after), 0);
    EXPECT_EQ(after.st_size, before.st_size);
    EXPECT_LT(after.st_blocks, before.st_blocks);
    std::vector<std::byte> kept(4096);
    ASSERT_TRUE(device.read({{127}, {1}}, kept));
    EXPECT_TRUE(std::equal(kept.begin(), kept.end(), bytes.begin() + 127 * 4096));
    EXPECT_TRUE(device.read({{128}, {1}}, kept));
}

TEST(FileDevice, AFileThatShrankFailsAtTheFirstMissingBlock) {
    for (const auto direct : {direct_io::off, direct_io::automatic}) {
        const test_file file;
        auto            device = file.make({.direct = direct, .bytes = 4096 * 8}).value();
        ASSERT_EQ(::truncate(file.path.c_str(), 4096 * 5 + 1000), 0);
        std::vector<std::byte> all(4096 * 8);
        EXPECT_EQ(device.read({{0}, {8}}, all).error(), (error{errc::out_of_range, {5}}));
        EXPECT_TRUE(device.read({{0}, {5}}, std::span{all}.first(4096 * 5)));
        EXPECT_EQ(device.read({{7}, {1}}, std::span{all}.first(4096)).error(), (error{errc::out_of_range, {7}}));
    }
}

TEST(FileDevice, SeveralThreadsMayUseItWithMemoryThatNeedsTheBuffer) {
    const test_file          file;
    auto                     device = file.make().value();
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 4; ++t) {
        threads.emplace_back([&device, t] {
            std::vector<std::byte> space(4097);
            const auto             block  = std::span{space}.subspan(1);
            const auto             wanted = pattern(4096, t);
            for (unsigned round = 0; round < 50; ++round) {
                const extent e{{t * 50 + round}, {1}};
                std::copy(wanted.begin(), wanted.end(), block.begin());
                ASSERT_TRUE(device.write(e, block));
                std::fill(block.begin(), block.end(), std::byte{0});
                ASSERT_TRUE(device.read(e, block));
                ASSERT_TRUE(std::equal(wanted.begin(), wanted.end(), block.begin()));
            }
        });
    }
    for (auto& thread : threads) thread.join();
}

/// The system's calls, spoiled by plan: each step is a number of bytes to allow, or a negative errno. Then all is well
/// again.
struct spoiled_calls {
    static inline std::vector<long> plan;
    static inline long              repeat = 0;  // an errno for every call behind the plan
    static inline std::size_t       calls  = 0;

    static long step() noexcept {
        const auto at = calls++;
        return at < plan.size() ? plan[at] : (repeat != 0 ? repeat : 1L << 40);
    }
    static std::size_t allowed(long step, std::size_t bytes) noexcept {
        return static_cast<std::size_t>(step) < bytes ? static_cast<std::size_t>(step) : bytes;
    }
    static ssize_t fail(long step) noexcept {
        errno = static_cast<int>(-step);
        return -1;
    }
    static ssize_t read(int file, void* memory, std::size_t bytes, off_t at) noexcept {
        const auto now = step();
        return now < 0 ? fail(now) : posix_calls::read(file, memory, allowed(now, bytes), at);
    }
    static ssize_t write(int file, const void* memory, std::size_t bytes, off_t at) noexcept {
        const auto now = step();
        return now < 0 ? fail(now) : posix_calls::write(file, memory, allowed(now, bytes), at);
    }
    static int sync(int file) noexcept {
        const auto now = step();
        return now < 0 ? static_cast<int>(fail(now)) : posix_calls::sync(file);
    }
    static int discard(int file, bool block_device, std::uint64_t at, std::uint64_t bytes) noexcept {
        const auto now = step();
        return now < 0 ? static_cast<int>(fail(now)) : posix_calls::discard(file, block_device, at, bytes);
    }
    static void set(std::vector<long> steps, long then = 0) {
        plan   = std::move(steps);
        repeat = then;
        calls  = 0;
    }
};
using spoiled_device = basic_file_device<spoiled_calls>;

struct SpoiledFileDevice : testing::TestWithParam<direct_io> {
    test_file              file;
    spoiled_device         device = open();
    std::vector<std::byte> wanted = pattern(4096 * 4, 3);
    std::vector<std::byte> seen   = std::vector<std::byte>(4096 * 4);

    spoiled_device open() {
        spoiled_calls::set({});
        return spoiled_device::open(file.path.c_str(), {.direct = GetParam(), .create = true, .bytes = 4096 * 16})
            .value();
    }
};
INSTANTIATE_TEST_SUITE_P(Direct, SpoiledFileDevice, testing::Values(direct_io::off, direct_io::automatic));

TEST_P(SpoiledFileDevice, GoesOnAfterInterruptionsAndShortTransfers) {
    spoiled_calls::set({-EINTR, 4096, -EAGAIN, 4096 + 512, -EINTR, 2 * 4096});
    ASSERT_TRUE(device.write({{1}, {4}}, wanted));
    EXPECT_GE(spoiled_calls::calls, 6U);
    spoiled_calls::set({-EINTR, 3 * 4096, -EINTR});
    ASSERT_TRUE(device.read({{1}, {4}}, seen));
    EXPECT_EQ(seen, wanted);
    spoiled_calls::set({-EINTR, -EINTR});
    EXPECT_TRUE(device.sync());
    EXPECT_EQ(spoiled_calls::calls, 3U);
    spoiled_calls::set({-EINTR});
    EXPECT_TRUE(device.trim({{1}, {1}}));
}

TEST_P(SpoiledFileDevice, GivesUpWhenInterruptionsNeverEnd) {
    for (const long code : {-EINTR, -EAGAIN}) {
        spoiled_calls::set({}, code);
        EXPECT_EQ(device.read({{1}, {4}}, seen).error(),
                  (error{errc::device_failed, {1}, static_cast<std::int32_t>(-code)}));
    }
    spoiled_calls::set({}, -EINTR);
    EXPECT_EQ(device.sync().error().os_code, EINTR);
}

TEST_P(SpoiledFileDevice, CarriesTheSystemsCodeAndTheBlock) {
    spoiled_calls::set({4096, -EIO});
    EXPECT_EQ(device.read({{2}, {4}}, seen).error(), (error{errc::device_failed, {2}, EIO}));
    spoiled_calls::set({-ENOSPC});
    EXPECT_EQ(device.write({{3}, {4}}, wanted).error(), (error{errc::device_failed, {3}, ENOSPC}));
    spoiled_calls::set({-EIO});
    EXPECT_EQ(device.sync().error(), (error{errc::device_failed, {}, EIO}));
    EXPECT_EQ(spoiled_calls::calls, 1U) << "a failed sync is not repeated";
    spoiled_calls::set({-EIO});
    EXPECT_EQ(device.trim({{5}, {1}}).error(), (error{errc::device_failed, {5}, EIO}));
    spoiled_calls::set({0});
    EXPECT_EQ(device.write({{6}, {4}}, wanted).error(), (error{errc::device_failed, {6}, EIO}))
        << "a write that moves nothing";
}

TEST_P(SpoiledFileDevice, ATrimThatTheSystemLacksDoesNothing) {
    ASSERT_TRUE(device.write({{1}, {4}}, wanted));
    spoiled_calls::set({-EOPNOTSUPP});
    EXPECT_TRUE(device.trim({{1}, {4}}));
    ASSERT_TRUE(device.read({{1}, {4}}, seen));
    EXPECT_EQ(seen, wanted);
}

/// A loop device over a file, where the test may make one.
struct loop_device {
    explicit loop_device(const std::string& backing, const char* sector) {
        const auto command =
            "losetup --sector-size " + std::string{sector} + " --find --show " + backing + " 2>/dev/null";
        FILE* const output = ::popen(command.c_str(), "r");
        char        line[64]{};
        if (output != nullptr && std::fgets(line, sizeof line, output) != nullptr)
            path = std::string{line, std::strcspn(line, "\n")};
        if (output != nullptr) ::pclose(output);
    }
    ~loop_device() {
        if (!path.empty() && std::system(("losetup --detach " + path).c_str()) != 0)
            ADD_FAILURE() << "left behind: " << path;
    }
    std::string path;
};

TEST(FileDevice, ABlockDeviceHasTheSizeOfItsMediumAndTrimsIt) {
    if (::geteuid() != 0) GTEST_SKIP() << "only root makes loop devices";
    const test_file file;
    ASSERT_TRUE(file.make({.bytes = 4U << 20U}));
    const loop_device loop{file.path, "512"};
    if (loop.path.empty()) GTEST_SKIP() << "no loop device";
    auto device = file_device::open(loop.path.c_str());
    ASSERT_TRUE(device) << device.error().os_code;
    EXPECT_EQ(device.value().geometry().blocks.value, 1024U);
    EXPECT_EQ(file_device::open(loop.path.c_str()).error().code, errc::busy);
    moves_bytes_of_any_alignment(device.value());
    const auto bytes = pattern(4U << 20U, 4);
    ASSERT_TRUE(device.value().write({{0}, {1024}}, bytes));
    ASSERT_TRUE(device.value().sync());
    struct stat before {};
    ASSERT_EQ(::stat(file.path.c_str(), &before), 0);
    ASSERT_TRUE(device.value().trim({{0}, {512}}));
    struct stat after {};
    ASSERT_EQ(::stat(file.path.c_str(), &after), 0);
    EXPECT_LT(after.st_blocks, before.st_blocks);
    EXPECT_EQ(device.value().trim({{1024}, {1}}).error().code, errc::out_of_range);
}

TEST(FileDevice, BlocksBelowTheSectorOfTheMediumUseThePageCache) {
    if (::geteuid() != 0) GTEST_SKIP() << "only root makes loop devices";
    const test_file file;
    ASSERT_TRUE(file.make());
    const loop_device loop{file.path, "4096"};
    if (loop.path.empty()) GTEST_SKIP() << "no loop device";
    auto small = file_device::open(loop.path.c_str(), {.block_bytes = 512});
    ASSERT_TRUE(small);
    EXPECT_EQ(small.value().direct(), direct_state::block_too_small);
    moves_bytes_of_any_alignment(small.value());
    EXPECT_TRUE(small.value().trim({{1}, {1}})) << "less than a sector: nothing happens";
}

TEST(FileDevice, SaysInWordsWhatBecameOfDirectTransfers) {
    for (const auto state :
         {direct_state::in_use, direct_state::not_asked, direct_state::not_supported, direct_state::block_too_small}) {
        EXPECT_GT(std::strlen(message(state)), 10U);
    }
}

}  // namespace file_device_test
