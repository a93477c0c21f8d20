// What a device says when the system refuses it a call, or memory.

#include "refused_calls.hpp"

#include <ashlar/device/bounce_slots.hpp>
#include <ashlar/device/file_device.hpp>
#include <ashlar/device/memory_device.hpp>

#include <gtest/gtest.h>

#include <sys/wait.h>

#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <vector>

namespace {
bool heap_refuses = false;  // aligned memory, which is what devices take
}

void* operator new(std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
    if (heap_refuses) return nullptr;
    const auto to = static_cast<std::size_t>(alignment);
    return std::aligned_alloc(to, (size + to - 1) / to * to);
}
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t, const std::nothrow_t&) noexcept { std::free(memory); }

namespace ashlar::test {
namespace {

struct RefusedCalls : testing::Test {
    RefusedCalls() { ::unlink(path.c_str()); }
    ~RefusedCalls() override {
        heap_refuses = false;
        ::unlink(path.c_str());
    }
    [[nodiscard]] result<file_device> make(file_device_options options = {}) const {
        options.create = true;
        options.bytes  = 1U << 20U;
        return file_device::open(path.c_str(), options);
    }
    [[nodiscard]] result<file_device> open(file_device_options options = {}) const {
        return file_device::open(path.c_str(), options);
    }

    std::string path = "refused_" + std::to_string(::getpid()) + ".ash";
};

constexpr error failed(int os_code) { return {errc::device_failed, {}, os_code}; }

TEST_F(RefusedCalls, WhatOpenMeetsIsWhatItSays) {
    ASSERT_TRUE(make());
    with_refused_calls({{__NR_openat, EACCES}}, [&] { EXPECT_EQ(open().error(), failed(EACCES)); });
    with_refused_calls({{__NR_openat, EBUSY}}, [&] {
        EXPECT_EQ(open().error(), (error{errc::busy, {}, EBUSY})) << "the system uses it";
    });
    with_refused_calls({{__NR_flock, ENOLCK}}, [&] {
        EXPECT_EQ(open().error(), failed(ENOLCK));
        EXPECT_TRUE(open({.lock = false}));
    });
    with_refused_calls(refused_fstat(EIO), [&] {
        EXPECT_EQ(open().error(), failed(EIO));
        EXPECT_EQ(make().error(), failed(EIO));
    });
    EXPECT_TRUE(open()) << "none of them kept it locked";
}

TEST_F(RefusedCalls, AFileThatCanNotGetItsSizeOrKeepItIsNotCreated) {
    with_refused_calls({{__NR_ftruncate, ENOSPC}}, [&] { EXPECT_EQ(make().error(), failed(ENOSPC)); });
    ::unlink(path.c_str());
    with_refused_calls({{__NR_fsync, EIO}}, [&] { EXPECT_EQ(make().error(), failed(EIO)); });
    ::unlink(path.c_str());
    EXPECT_EQ(file_device::open(path.c_str(), {.create = true, .bytes = ~std::uint64_t{0}}).error().code,
              errc::invalid_argument)
        << "no offset counts so far";
}

TEST_F(RefusedCalls, ANameThatCanNotBeMadeDurableIsAnErrorUnlessTheFileSystemNeverCan) {
    constexpr auto folder = refused_call::match::has_bit;
    with_refused_calls({{__NR_openat, EMFILE, folder, 2, O_DIRECTORY}},
                       [&] { EXPECT_EQ(make().error(), failed(EMFILE)); });
    for (const int os_code : {EIO, EINVAL}) {
        ::unlink(path.c_str());
        const int next = ::dup(0);  // the file's number is this one, the folder's the next
        ::close(next);
        const auto number = static_cast<std::uint32_t>(next) + 1;
        with_refused_calls({{__NR_fsync, os_code, refused_call::match::equals, 0, number}}, [&] {
            const auto made = make();
            if (os_code == EINVAL) {
                EXPECT_TRUE(made);
            } else {
                EXPECT_EQ(made.error(), failed(EIO));
            }
        });
    }
}

TEST_F(RefusedCalls, WithoutDirectTransfersThePageCacheIsUsedAndItSaysSo) {
    ASSERT_TRUE(make());
    const bool can           = open({.direct = direct_io::on}).has_value();
    const auto expect_cached = [&](direct_state large, direct_state small) {
        EXPECT_EQ(open().value().direct(), large);
        EXPECT_EQ(open({.block_bytes = 512}).value().direct(), small);
        EXPECT_EQ(open({.direct = direct_io::on}).error().code, errc::invalid_argument);
        auto                   device = open().value();
        std::vector<std::byte> block(4096 + 1, std::byte{5});
        EXPECT_TRUE(device.write({{1}, {1}}, std::span{block}.subspan(1))) << "no alignment is asked for";
    };
    const auto no = direct_state::not_supported;
    with_refused_calls({{__NR_fcntl, EINVAL, refused_call::match::equals, 1, F_SETFL}}, [&] { expect_cached(no, no); });
    with_refused_calls({{__NR_pread64, EINVAL}},
                       [&] { expect_cached(no, direct_state::block_too_small); });  // the flag, but no transfers
    with_refused_calls({{__NR_statx, ENOSYS}}, [&] {
        const auto device = open();
        ASSERT_TRUE(device);
        EXPECT_EQ(device.value().direct() == direct_state::in_use, can) << "an older kernel: it is tried";
    });
}

TEST_F(RefusedCalls, ATransferThatStopsWhereTheSizeIsUnknownIsAFailureOfTheDevice) {
    auto device = make({.direct = direct_io::off}).value();
    ASSERT_EQ(::truncate(path.c_str(), 4096), 0);
    std::vector<std::byte> block(4096);
    EXPECT_EQ(device.read({{5}, {1}}, block).error().code, errc::out_of_range);
    with_refused_calls(refused_fstat(EIO), [&] {
        EXPECT_EQ(device.read({{5}, {1}}, block).error(), (error{errc::device_failed, {5}, EIO}));
    });
}

TEST_F(RefusedCalls, TheSizeOfWhatIsNoBlockDeviceOrNoFileIsAnError) {
    auto      device = make().value();
    file_view view   = device.view();
    EXPECT_EQ(view.bytes_now().value(), 1U << 20U);
    view.block_device = true;
    EXPECT_EQ(view.bytes_now().error(), failed(ENOTTY));
    view            = {};
    view.descriptor = -1;
    EXPECT_EQ(view.bytes_now().error(), failed(EBADF));
}

TEST_F(RefusedCalls, OnlyTheCodesThatSayThatNothingCanBeTrimmedAreNoFailures) {
    for (const int os_code : {EOPNOTSUPP, ENOTTY, ENOSYS, EINVAL}) EXPECT_TRUE(means_no_trim(os_code)) << os_code;
    for (const int os_code : {0, EIO, EBADF, ENOSPC, EPERM, EINTR}) EXPECT_FALSE(means_no_trim(os_code)) << os_code;
    auto device = make().value();
    with_refused_calls({{__NR_fallocate, ENOSYS}}, [&] { EXPECT_TRUE(device.trim({{1}, {1}})); });
    with_refused_calls({{__NR_fallocate, EIO}}, [&] {
        EXPECT_EQ(device.trim({{1}, {1}}).error(), (error{errc::device_failed, {1}, EIO}));
    });
    with_refused_calls({{__NR_fallocate, EINTR}}, [&] {
        EXPECT_EQ(device.trim({{1}, {1}}).error().os_code, EINTR) << "not for ever";
    });
}

TEST_F(RefusedCalls, AChildThatInheritedTheFileLeavesTheLockAlone) {
    auto device = make().value();
    std::fflush(nullptr);  // the child would say it again
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        { const auto gone = std::move(device); }
        std::exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(open({.lock_wait_ms = 0}).error().code, errc::busy);
}

TEST_F(RefusedCalls, AFileDeviceMayReplaceAnother) {
    const std::string other = path + ".other";
    {
        auto  first  = make().value();
        auto  second = file_device::open(other.c_str(), {.create = true, .bytes = 8192}).value();
        auto& same   = first;
        first        = std::move(same);
        EXPECT_EQ(first.geometry().blocks.value, 256U) << "itself";
        first = std::move(second);
        EXPECT_EQ(first.geometry().blocks.value, 2U);
        EXPECT_TRUE(open()) << "what it had before is closed and free";
    }
    ::unlink(other.c_str());
}

// ---- no memory -----------------------------------------------------------------------------------------------------

TEST_F(RefusedCalls, WithoutMemoryThereIsNoDeviceAndNoPlace) {
    ASSERT_TRUE(make());
    const bool can = open().value().direct() == direct_state::in_use;
    heap_refuses   = true;
    EXPECT_EQ(memory_device::create({512}, {4}).error().code, errc::workspace_too_small);
    EXPECT_EQ(bounce_slots::open({}, {4096}).error().code, errc::workspace_too_small);
    if (can) { EXPECT_EQ(open().error().code, errc::workspace_too_small); }
    EXPECT_TRUE(open({.direct = direct_io::off})) << "it needs none";
    heap_refuses = false;
    EXPECT_TRUE(open()) << "what failed left no lock";
}

TEST(BounceSlots, LentMemoryMakesAsManyPlacesAsFitUpToSixteen) {
    auto       memory = aligned_buffer::allocate(20 * bounce_slots::slot_bytes).value();
    const auto places = [](std::span<std::byte> lent) {
        auto slots = bounce_slots::open(lent, {4096});
        if (!slots) return std::size_t{0};
        std::vector<transfer> all(bounce_slots::slots_max + 1);
        std::size_t           taken = 0;
        while (taken < all.size() && slots.value().take(all[taken])) ++taken;
        if (taken > 0) {
            slots.value().give_back(all[0]);
            EXPECT_TRUE(slots.value().take(all[0]));
        }
        return taken;
    };
    EXPECT_EQ(places(memory.bytes()), bounce_slots::slots_max);
    EXPECT_EQ(places(memory.bytes().first(3 * bounce_slots::slot_bytes + 100)), 3U);
    EXPECT_EQ(places(memory.bytes().subspan(1, 3 * bounce_slots::slot_bytes)), 2U);
    EXPECT_EQ(places(memory.bytes().subspan(1, 10)), 0U) << "no aligned byte in it";
    EXPECT_EQ(places(memory.bytes().first(100)), 0U);
}

}  // namespace
}  // namespace ashlar::test
