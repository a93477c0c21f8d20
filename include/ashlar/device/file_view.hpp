#pragma once
/// An open file or block device as those see it that move its bytes.

#include <ashlar/concepts/block_device.hpp>

#include <sys/ioctl.h>
#include <sys/stat.h>
#if defined(__linux__)
#include <linux/fs.h>
#endif

#include <cerrno>

namespace ashlar::inline v0 {

/// What became of the wish to go past the page cache.
enum class direct_state : std::uint8_t {
    in_use,
    not_asked,        ///< Switched off by the options.
    not_supported,    ///< The file system, or the system, has no direct transfers for this file.
    block_too_small,  ///< Direct transfers need larger blocks than the options ask for.
};

/// One sentence for people.
[[nodiscard]] constexpr const char* message(direct_state state) noexcept {
    switch (state) {
        case direct_state::in_use: return "transfers go past the page cache";
        case direct_state::not_asked: return "transfers use the page cache, as asked";
        case direct_state::not_supported: return "transfers use the page cache: the file system has no direct ones";
        case direct_state::block_too_small: return "transfers use the page cache: direct ones need larger blocks";
    }
    return "unknown state";
}

/// A descriptor with what was learnt when it was opened. Copies refer to the same descriptor, which its owner keeps
/// open for them.
struct file_view {
    int             descriptor = -1;
    device_geometry geometry{};
    direct_state    direct       = direct_state::not_asked;
    bool            read_only    = false;
    bool            block_device = false;

    /// Whether memory at this address needs no copy on its way.
    [[nodiscard]] bool is_aligned(const std::byte* memory) const noexcept {
        return (reinterpret_cast<std::uintptr_t>(memory) & (geometry.memory_alignment - 1U)) == 0;
    }

    /// The size as the system tells it at this moment.
    [[nodiscard]] result<std::uint64_t> bytes_now() const noexcept {
#if defined(BLKGETSIZE64)
        if (block_device) {
            std::uint64_t bytes = 0;
            if (::ioctl(descriptor, BLKGETSIZE64, &bytes) != 0) return error{errc::device_failed, {}, errno};
            return bytes;
        }
#endif
        struct stat seen {};
        if (::fstat(descriptor, &seen) != 0) return error{errc::device_failed, {}, errno};
        return static_cast<std::uint64_t>(seen.st_size);
    }

    /// Why a transfer that began at `first` gets no further than byte `at`: the device ends there, or it moves nothing.
    [[nodiscard]] error stopped(block_index first, std::uint64_t at) const noexcept {
        const auto bytes = bytes_now();
        if (bytes && bytes.value() < at + geometry.size.bytes) {
            return error{errc::out_of_range, block_index{at >> geometry.size.shift()}};
        }
        return error{errc::device_failed, first, EIO};
    }
};

/// Whether a failed trim only says that this file can not be trimmed. Then doing nothing is right.
[[nodiscard]] constexpr bool means_no_trim(int os_code) noexcept {
    return os_code == EOPNOTSUPP || os_code == ENOTTY || os_code == ENOSYS || os_code == EINVAL;
}

}  // namespace ashlar::inline v0
