#pragma once
/// Opening a file or block device of a POSIX system: its size, its lock, and whether transfers pass the page cache by.

#include <ashlar/concepts/block_device.hpp>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#if defined(__linux__)
#include <linux/fs.h>
#include <sys/sysmacros.h>
#endif

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace ashlar::inline v0 {

/// Whether transfers go past the page cache (O_DIRECT).
enum class direct_io : std::uint8_t {
    automatic,  ///< Where the file system can.
    on,         ///< Or fail to open.
    off,
};

/// What became of it.
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

struct file_device_options {
    std::uint32_t block_bytes = 4096;
    bool          read_only   = false;
    direct_io     direct      = direct_io::automatic;
    bool          create      = false;  ///< A missing file is made, and an empty one gets its size.
    std::uint64_t bytes       = 0;      ///< With `create`: the size to give; a part of a block is dropped.
    bool          lock        = true;   ///< Hold the file alone, or among readers with `read_only`, while it is open.
};

/// An open file or block device with its geometry. Owns the descriptor.
class posix_file {
  public:
    posix_file() noexcept                    = default;
    posix_file(const posix_file&)            = delete;
    posix_file& operator=(const posix_file&) = delete;
    posix_file(posix_file&& other) noexcept { take(other); }
    posix_file& operator=(posix_file&& other) noexcept {
        if (this != &other) {
            release();
            take(other);
        }
        return *this;
    }
    ~posix_file() { release(); }

    /// Errors: not_found; busy when another process holds the lock, or the system uses the block device;
    /// invalid_argument for a bad block size, an impossible mix of options, or what is neither file nor block device,
    /// or `direct_io::on` where there is none; out_of_range for less than one block; device_failed with the system's
    /// code for all else. A file that `create` made stays when a later step fails.
    [[nodiscard]] static result<posix_file> open(const char* path, const file_device_options& options) noexcept {
        if (!is_block_size(options.block_bytes)) return errc::invalid_argument;
        if (options.create && options.read_only) return errc::invalid_argument;
        posix_file file;
        file.geometry_.size = {options.block_bytes};
        file.read_only_     = options.read_only;
        BOOST_OUTCOME_TRY(file.open_descriptor(path, options));
        if (options.lock) { BOOST_OUTCOME_TRY(file.take_lock()); }
        if (options.create) { BOOST_OUTCOME_TRY(file.give_size(path, options.bytes)); }
        BOOST_OUTCOME_TRY(auto bytes, file.bytes_now());
        file.geometry_.blocks = whole_blocks(bytes, file.geometry_.size);
        if (file.geometry_.blocks.value == 0) return errc::out_of_range;
        BOOST_OUTCOME_TRY(file.choose_direct(options.direct));
        file.geometry_.trim_granularity = file.find_trim_granularity();
        return file;
    }

    [[nodiscard]] int             descriptor() const noexcept { return descriptor_; }
    [[nodiscard]] device_geometry geometry() const noexcept { return geometry_; }
    [[nodiscard]] direct_state    direct() const noexcept { return direct_; }
    [[nodiscard]] bool            read_only() const noexcept { return read_only_; }
    [[nodiscard]] bool            is_block_device() const noexcept { return block_device_; }

    /// The size as the system tells it at this moment.
    [[nodiscard]] result<std::uint64_t> bytes_now() const noexcept {
#if defined(BLKGETSIZE64)
        if (block_device_) {
            std::uint64_t bytes = 0;
            if (::ioctl(descriptor_, BLKGETSIZE64, &bytes) != 0) return system_error();
            return bytes;
        }
#endif
        struct stat seen {};
        if (::fstat(descriptor_, &seen) != 0) return system_error();
        return static_cast<std::uint64_t>(seen.st_size);
    }

  private:
    static error system_error() noexcept { return error{errc::device_failed, {}, errno}; }

    result<> open_descriptor(const char* path, const file_device_options& options) noexcept {
        struct stat seen {};
        int         flags = O_CLOEXEC | (options.read_only ? O_RDONLY : O_RDWR);
        if (options.create) flags |= O_CREAT;
        if (::stat(path, &seen) == 0) {
            block_device_ = S_ISBLK(seen.st_mode);
            if (!block_device_ && !S_ISREG(seen.st_mode)) return errc::invalid_argument;
            if (block_device_) flags &= ~O_CREAT;
            if (block_device_ && options.lock && !options.read_only) flags |= O_EXCL;  // refused while mounted
        }
        do { descriptor_ = ::open(path, flags, 0644); } while (descriptor_ < 0 && errno == EINTR);
        if (descriptor_ >= 0) return success();
        if (errno == ENOENT) return error{errc::not_found, {}, ENOENT};
        if (errno == EBUSY) return error{errc::busy, {}, EBUSY};
        return system_error();
    }

    result<> take_lock() const noexcept {
        if (::flock(descriptor_, (read_only_ ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0) return success();
        if (errno == EWOULDBLOCK) return error{errc::busy, {}, EWOULDBLOCK};
        return system_error();
    }

    /// A size and a name that a power cut may not take back: the file and its folder are synced.
    result<> give_size(const char* path, std::uint64_t bytes) const noexcept {
        BOOST_OUTCOME_TRY(auto present, bytes_now());
        if (block_device_ || present != 0 || bytes == 0) return success();
        const auto whole = bytes_of(whole_blocks(bytes, geometry_.size), geometry_.size);
        if (whole > static_cast<std::uint64_t>(LLONG_MAX)) return errc::invalid_argument;
        if (::ftruncate(descriptor_, static_cast<off_t>(whole)) != 0 || ::fsync(descriptor_) != 0)
            return system_error();
        return sync_folder(path);
    }

    static result<> sync_folder(const char* path) noexcept {
        char        folder[PATH_MAX] = ".";
        const char* slash            = std::strrchr(path, '/');
        const auto  length           = slash == nullptr ? std::size_t{0} : static_cast<std::size_t>(slash - path) + 1;
        if (length >= sizeof folder) return errc::invalid_argument;
        if (length > 0) {
            std::memcpy(folder, path, length);
            folder[length] = '\0';
        }
        const int descriptor = ::open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (descriptor < 0) return system_error();
        const int  done    = ::fsync(descriptor);
        const auto failure = system_error();
        ::close(descriptor);
        if (done != 0 && failure.os_code != EINVAL) return failure;  // EINVAL: the file system cannot sync folders
        return success();
    }

    result<> choose_direct(direct_io wanted) noexcept {
        direct_ = wanted == direct_io::off ? direct_state::not_asked : try_direct();
        if (wanted == direct_io::on && direct_ != direct_state::in_use)
            return error{errc::invalid_argument, {}, EINVAL};
        return success();
    }

    /// Asks the file system, then makes sure by reading a block: some accept the flag and refuse the transfers.
    direct_state try_direct() noexcept {
#if defined(O_DIRECT)
        std::uint32_t memory_alignment = 4096;
        std::uint32_t offset_alignment = 0;
#if defined(STATX_DIOALIGN)
        struct statx seen {};
        if (::statx(descriptor_, "", AT_EMPTY_PATH, STATX_DIOALIGN, &seen) == 0 &&
            (seen.stx_mask & STATX_DIOALIGN) != 0) {
            if (seen.stx_dio_mem_align == 0) return direct_state::not_supported;
            memory_alignment = seen.stx_dio_mem_align;
            offset_alignment = seen.stx_dio_offset_align;
        }
#endif
        if (offset_alignment > geometry_.size.bytes) return direct_state::block_too_small;
        const int flags = ::fcntl(descriptor_, F_GETFL);
        if (flags < 0 || ::fcntl(descriptor_, F_SETFL, flags | O_DIRECT) != 0) return direct_state::not_supported;
        void* const memory = std::aligned_alloc(65536, 65536);
        const bool  works  = memory != nullptr && ::pread(descriptor_, memory, geometry_.size.bytes, 0) >= 0;
        std::free(memory);
        if (!works) {
            static_cast<void>(::fcntl(descriptor_, F_SETFL, flags & ~O_DIRECT));
            return geometry_.size.bytes < 4096 ? direct_state::block_too_small : direct_state::not_supported;
        }
        geometry_.memory_alignment = memory_alignment;
        return direct_state::in_use;
#else
        return direct_state::not_supported;
#endif
    }

    block_count find_trim_granularity() const noexcept {
        std::uint64_t bytes = 0;
        struct stat   seen {};
        if (::fstat(descriptor_, &seen) != 0) return {1};
        if (!block_device_) bytes = static_cast<std::uint64_t>(seen.st_blksize);
#if defined(__linux__)
        for (const char* const form :
             {"/sys/dev/block/%u:%u/queue/discard_granularity", "/sys/dev/block/%u:%u/../queue/discard_granularity"}) {
            char path[96];
            if (!block_device_ || bytes != 0) break;
            std::snprintf(path, sizeof path, form, major(seen.st_rdev), minor(seen.st_rdev));
            const int descriptor = ::open(path, O_RDONLY | O_CLOEXEC);
            if (descriptor < 0) continue;  // a partition has its queue in the folder above
            char digits[24]{};
            if (::read(descriptor, digits, sizeof digits - 1) > 0) bytes = std::strtoull(digits, nullptr, 10);
            ::close(descriptor);
        }
#endif
        const auto blocks = blocks_for(bytes, geometry_.size);
        return blocks.value == 0 ? block_count{1} : blocks;
    }

    void release() noexcept {
        if (descriptor_ >= 0) ::close(descriptor_);  // gives up the lock too
        descriptor_ = -1;
    }

    void take(posix_file& other) noexcept {
        descriptor_   = std::exchange(other.descriptor_, -1);
        geometry_     = other.geometry_;
        direct_       = other.direct_;
        read_only_    = other.read_only_;
        block_device_ = other.block_device_;
    }

    int             descriptor_ = -1;
    device_geometry geometry_{};
    direct_state    direct_       = direct_state::not_asked;
    bool            read_only_    = false;
    bool            block_device_ = false;
};

}  // namespace ashlar::inline v0
