#pragma once
/// The system calls of a POSIX system that move bytes and make them durable.

#include <ashlar/device/file_view.hpp>

#include <fcntl.h>
#include <unistd.h>

namespace ashlar::inline v0 {

/// The system calls of a transfer. A type of its own, so that tests can interrupt, shorten and refuse them.
struct posix_calls {
    static ssize_t read(int file, void* memory, std::size_t bytes, off_t at) noexcept {
        return ::pread(file, memory, bytes, at);
    }
    static ssize_t write(int file, const void* memory, std::size_t bytes, off_t at) noexcept {
        return ::pwrite(file, memory, bytes, at);
    }
    static int sync(int file) noexcept {
#if defined(F_FULLFSYNC)
        return ::fcntl(file, F_FULLFSYNC);
#else
        return ::fdatasync(file);
#endif
    }
    /// 0, or -1 with errno. Where the system has no such call: EOPNOTSUPP.
    static int discard([[maybe_unused]] int file, [[maybe_unused]] bool block_device, [[maybe_unused]] std::uint64_t at,
                       [[maybe_unused]] std::uint64_t bytes) noexcept {
#if defined(__linux__)
        if (block_device) {
            std::uint64_t range[2] = {at, bytes};
            return ::ioctl(file, BLKDISCARD, range);
        }
        return ::fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(at),
                           static_cast<off_t>(bytes));
#else
        errno = EOPNOTSUPP;
        return -1;
#endif
    }
};

/// Interruptions in a row, without any progress, after which a call is given up.
inline constexpr int attempts_max = 1000;

/// Every write that was complete before is durable when this returns. Errors: device_failed.
template <class Calls>
[[nodiscard]] result<> sync_file(const file_view& file) noexcept {
    if (file.read_only) return success();
    for (int attempt = 0; Calls::sync(file.descriptor) != 0; ++attempt) {
        if (errno != EINTR || attempt == attempts_max) return error{errc::device_failed, {}, errno};
    }
    return success();
}

/// Gives the space of some blocks back, where the system can. Errors: read_only, out_of_range, device_failed.
template <class Calls>
[[nodiscard]] result<> trim_file(const file_view& file, extent e) noexcept {
    if (file.read_only) return error{errc::read_only, e.first};
    if (!lies_in(e, {block_index{0}, file.geometry.blocks})) return error{errc::out_of_range, e.first};
    if (e.empty()) return success();
    const auto at    = byte_offset(e.first, file.geometry.size);
    const auto bytes = bytes_of(e.count, file.geometry.size);
    for (int attempt = 0; Calls::discard(file.descriptor, file.block_device, at, bytes) != 0; ++attempt) {
        if (means_no_trim(errno)) return success();
        if (errno != EINTR || attempt == attempts_max) return error{errc::device_failed, e.first, errno};
    }
    return success();
}

}  // namespace ashlar::inline v0
