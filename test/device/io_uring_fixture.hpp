#pragma once
/// Shared by the tests of devices with rings: a file of its own for each test, and system calls that are counted and
/// spoiled.

#include <ashlar/device/io_uring_device.hpp>

#include <gtest/gtest.h>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <thread>
#include <vector>

namespace ashlar::test {

/// A name in the current folder that is free, and free again afterwards.
struct file_name {
    file_name() {
        std::string name = testing::UnitTest::GetInstance()->current_test_info()->name();
        std::replace(name.begin(), name.end(), '/', '_');
        path = "uring_" + name + "_" + std::to_string(::getpid()) + ".ash";
        ::unlink(path.c_str());
    }
    file_name(const file_name&)            = delete;
    file_name& operator=(const file_name&) = delete;
    ~file_name() { ::unlink(path.c_str()); }

    template <class Device>
    result<Device> open(file_device_options options = {}) const {
        options.create = !options.read_only;
        if (options.bytes == 0) options.bytes = 1U << 20U;
        return Device::open(path.c_str(), options);
    }

    std::string path;
};

/// The system's calls, counted, and spoiled where a test says so. Each list is a plan: its entries are used up in turn,
/// then all is well again.
struct spoiled_calls : uring_calls {
    static inline unsigned                   enters, setups, requests, syncs;
    static inline int                        setup_refuses;    // a negative errno for every ring
    static inline unsigned                   setup_knows;      // flags; others are refused as an old kernel does
    static inline unsigned                   features_hidden;  // of the kernel's rings
    static inline int                        probe_refuses;
    static inline std::uint8_t               probe_hides;  // an operation that the kernel is said to lack
    static inline bool                       files_are_refused;
    static inline std::vector<int>           enter_refuses;  // negative errnos
    static inline std::vector<std::uint32_t> lengths;        // that requests are cut to
    static inline std::vector<std::int32_t>  outcomes;       // that completions are told as; 1: as they are
    static inline std::int32_t               every_outcome;  // behind the list; 1: as they are
    static inline std::vector<int>           sync_refuses;   // errnos

    static void reset() {
        enters = setups = requests = syncs = 0;
        setup_refuses = probe_refuses = 0;
        setup_knows                   = ~0U;
        features_hidden               = 0;
        probe_hides                   = 0;
        files_are_refused             = false;
        enter_refuses.clear();
        lengths.clear();
        outcomes.clear();
        sync_refuses.clear();
        every_outcome = 1;
    }
    template <class T>
    static T next(std::vector<T>& plan, T otherwise) {
        if (plan.empty()) return otherwise;
        const T first = plan.front();
        plan.erase(plan.begin());
        return first;
    }

    static int setup(unsigned entries, io_uring_params& shape) noexcept {
        ++setups;
        if (setup_refuses != 0) return setup_refuses;
        const int ring = (shape.flags & ~setup_knows) != 0 ? -EINVAL : uring_calls::setup(entries, shape);
        shape.features &= ~features_hidden;
        return ring;
    }
    static int enter(int ring, unsigned begin, unsigned wait, unsigned flags) noexcept {
        ++enters;
        const int refused = next(enter_refuses, 0);
        return refused != 0 ? refused : uring_calls::enter(ring, begin, wait, flags);
    }
    static int configure(int ring, unsigned what, void* argument, unsigned count) noexcept {
        if (what == IORING_REGISTER_FILES && files_are_refused) return -EMFILE;
        if (what == IORING_REGISTER_PROBE && probe_refuses != 0) return probe_refuses;
        const int done = uring_calls::configure(ring, what, argument, count);
        if (what == IORING_REGISTER_PROBE && probe_hides != 0)
            static_cast<io_uring_probe*>(argument)->ops[probe_hides].flags = 0;
        return done;
    }
    static void seen_before(io_uring_sqe& request) noexcept {
        ++requests;
        if (request.opcode == IORING_OP_READ || request.opcode == IORING_OP_WRITE)
            request.len = std::min(request.len, next(lengths, request.len));
    }
    static std::int32_t seen_after(const io_uring_cqe& completion) noexcept {
        const auto told = next(outcomes, every_outcome);
        return told == 1 ? completion.res : told;
    }
    static ssize_t read(int file, void* memory, std::size_t bytes, off_t at) noexcept {
        ++requests;
        return told(uring_calls::read(file, memory, std::min<std::size_t>(bytes, next(lengths, ~0U)), at));
    }
    static ssize_t write(int file, const void* memory, std::size_t bytes, off_t at) noexcept {
        ++requests;
        return told(uring_calls::write(file, memory, std::min<std::size_t>(bytes, next(lengths, ~0U)), at));
    }
    static ssize_t told(ssize_t moved) noexcept {
        const auto instead = next(outcomes, every_outcome);
        if (instead < 0) errno = -instead;
        return instead == 1 ? moved : instead < 0 ? -1 : instead;
    }
    static int sync(int file) noexcept {
        ++syncs;
        errno = next(sync_refuses, 0);
        return errno != 0 ? -1 : uring_calls::sync(file);
    }
};
using spoiled_device = basic_io_uring_device<spoiled_calls>;
using spoiled_queue  = spoiled_device::queue;

/// Calls `body` in a thread that is refused io_uring with this errno, as containers do.
template <class Body>
void without_io_uring(int os_code, Body body) {
    std::thread{[&] {
        const auto       word      = static_cast<unsigned>(offsetof(seccomp_data, nr));
        const auto       deny      = SECCOMP_RET_ERRNO | static_cast<unsigned>(os_code);
        sock_filter      program[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, word),
                                      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
                                      BPF_STMT(BPF_RET | BPF_K, deny), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
        const sock_fprog filter{4, program};
        ASSERT_EQ(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) GTEST_SKIP() << "no seccomp filters";
        body();
    }}.join();
}

}  // namespace ashlar::test
