#pragma once
/// System calls that the kernel refuses to one thread, as a full disk, a broken one or a container would.

#include <gtest/gtest.h>

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <thread>
#include <vector>

namespace ashlar::test {

/// A call by its number, and what it answers; only where an argument is as said, if one is named.
struct refused_call {
    enum class match : std::uint8_t { any, equals, has_bit };

    long          number   = 0;
    int           os_code  = 0;
    match         where    = match::any;
    unsigned      argument = 0;
    std::uint32_t value    = 0;
};

/// `fstat` of a descriptor, by either of the calls that it may be.
inline std::vector<refused_call> refused_fstat(int os_code) {
    std::vector<refused_call> made{{__NR_fstat, os_code}};
#if defined(__NR_newfstatat)
    made.push_back({__NR_newfstatat, os_code, refused_call::match::has_bit, 3, AT_EMPTY_PATH});
#endif
    return made;
}

/// Runs `body` in a thread that is refused these calls.
template <class Body>
void with_refused_calls(const std::vector<refused_call>& calls, Body body) {
    std::thread{[&] {
        constexpr auto           number = static_cast<unsigned>(offsetof(seccomp_data, nr));
        std::vector<sock_filter> program;
        for (const auto& one : calls) {
            const bool looks = one.where != refused_call::match::any;
            program.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, number));
            program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(one.number), 0,
                                       static_cast<std::uint8_t>(looks ? 3 : 1)));
            if (looks) {
                const auto low = std::endian::native == std::endian::little ? 0U : 4U;
                const auto at  = static_cast<unsigned>(offsetof(seccomp_data, args)) + 8 * one.argument + low;
                const auto how = one.where == refused_call::match::equals ? BPF_JEQ : BPF_JSET;
                program.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at));
                program.push_back(BPF_JUMP(static_cast<std::uint16_t>(BPF_JMP | how | BPF_K), one.value, 0, 1));
            }
            program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(one.os_code)));
        }
        program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
        const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
        ASSERT_EQ(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) GTEST_SKIP() << "no seccomp filters";
        body();
    }}.join();
}

}  // namespace ashlar::test
