#pragma once
/// Asking the kernel to serve a thread's transfers after those of others.

#include <cstddef>
#include <cstdint>
#include <string_view>

#if defined(__linux__)
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#endif

namespace ashlar::inline v0 {

enum class io_class : std::uint8_t {
    best_effort = 2,  ///< The class that threads begin in, with eight levels.
    idle        = 3,  ///< Served when nobody else wants the device, or after some seconds.
};

/// The calling thread's transfers have this priority until the scope ends; then they have what they had before.
///
/// A hint. Schedulers other than those of `honours_io_priority` ignore it, and writes that the system's cache makes
/// later carry the priority of a thread of the kernel. So it adds to a throttle and replaces none.
/// Safe from: the thread that made it, which also ends it.
/// Source: man 2 ioprio_set.
class [[nodiscard]] scoped_io_priority {
  public:
    /// `level`: 0 is served first, 7 last; of no meaning in the idle class.
    explicit scoped_io_priority(io_class to, unsigned level = 7) noexcept {
#if defined(__linux__)
        const auto data = to == io_class::idle ? 0U : level & 7U;
        const auto was  = ::syscall(SYS_ioprio_get, who_thread, 0);
        if (was < 0) return;
        before_ = static_cast<int>(was);
        set_    = ::syscall(SYS_ioprio_set, who_thread, 0,
                            static_cast<int>(unsigned{static_cast<std::uint8_t>(to)} << 13U | data)) == 0;
#else
        static_cast<void>(to);
        static_cast<void>(level);
#endif
    }
    ~scoped_io_priority() {
#if defined(__linux__)
        if (set_) ::syscall(SYS_ioprio_set, who_thread, 0, before_);
#endif
    }
    scoped_io_priority(const scoped_io_priority&)            = delete;
    scoped_io_priority& operator=(const scoped_io_priority&) = delete;

    /// Whether the kernel took it. That says nothing of the scheduler.
    [[nodiscard]] bool set() const noexcept { return set_; }

  private:
    static constexpr int who_thread = 1;  // the thread itself when the id is 0

    int  before_ = 0;
    bool set_    = false;
};

/// The name of a scheduler; empty when it is not known.
struct io_scheduler {
    char                           text[32] = {};
    std::uint8_t                   length   = 0;
    [[nodiscard]] std::string_view name() const noexcept { return {text, length}; }
};

/// Finds the one in use in the kernel's list, `none [mq-deadline] kyber bfq`.
[[nodiscard]] inline io_scheduler parse_scheduler(std::string_view list) noexcept {
    io_scheduler found;
    const auto   open  = list.find('[');
    const auto   close = list.find(']');
    if (open == list.npos || close == list.npos || close < open) return found;
    const auto name = list.substr(open + 1, close - open - 1);
    if (name.size() > sizeof found.text) return found;
    found.length = static_cast<std::uint8_t>(name.copy(found.text, sizeof found.text));
    return found;
}

/// Whether a scheduler of Linux looks at priorities; `none` and `kyber` do not.
/// Source: Linux, include/uapi/linux/ioprio.h; mq-deadline since 5.14.
[[nodiscard]] constexpr bool honours_io_priority(std::string_view scheduler) noexcept {
    return scheduler == "bfq" || scheduler == "mq-deadline";
}
static_assert(!honours_io_priority("none") && !honours_io_priority(""));

/// The scheduler of the device that `path` is, or that holds it. Unknown where the file system hides its device (btrfs,
/// overlays) and outside of Linux. `system` is where the kernel shows its devices.
[[nodiscard]] inline io_scheduler io_scheduler_of(const char* path, const char* system = "/sys") noexcept {
#if defined(__linux__)
    struct ::stat status {};
    if (::stat(path, &status) != 0) return {};
    const std::uint64_t device = S_ISBLK(status.st_mode) ? status.st_rdev : status.st_dev;
    // As makedev of <sys/sysmacros.h> packs them; that header would define macros `major` and `minor` for everybody.
    const auto major = static_cast<unsigned>((device >> 8U & 0xFFFU) | (device >> 32U & 0xFFFF'F000U));
    const auto minor = static_cast<unsigned>((device & 0xFFU) | (device >> 12U & 0xFFFF'FF00U));
    for (const char* whole : {"", "/.."}) {  // a partition has no queue of its own
        char name[256];
        char list[256];
        std::snprintf(name, sizeof name, "%s/dev/block/%u:%u%s/queue/scheduler", system, major, minor, whole);
        const int file = ::open(name, O_RDONLY | O_CLOEXEC);
        if (file < 0) continue;
        const auto length = ::read(file, list, sizeof list);
        ::close(file);
        if (length > 0) return parse_scheduler({list, static_cast<std::size_t>(length)});
    }
#else
    static_cast<void>(path);
    static_cast<void>(system);
#endif
    return {};
}

}  // namespace ashlar::inline v0
