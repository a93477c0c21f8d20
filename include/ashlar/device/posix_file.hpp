#pragma once
/// Opening a file or block device of a POSIX system: its size, its lock, and whether transfers pass the page cache by.

#include <ashlar/device/file_view.hpp>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/sysmacros.h>
#endif

#include <atomic>
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

struct file_device_options {
    std::uint32_t block_bytes = 4096;
    bool          read_only   = false;
    direct_io     direct      = direct_io::automatic;
    bool          create      = false;  ///< A missing file is made, and an empty one gets its size.
    std::uint64_t bytes       = 0;      ///< With `create`: the size to give; a part of a block is dropped.
    bool          lock        = true;   ///< Hold the file alone, or among readers with `read_only`, while it is open.
    /// How long to wait for a lock that another has. The kernel takes the rings of a killed process apart a moment
    /// after it, and so long its lock stays.
    std::uint32_t lock_wait_ms = 1000;
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
        file.view_.geometry.size = {options.block_bytes};
        file.view_.read_only     = options.read_only;
        file.opened_by_          = ::getpid();
        BOOST_OUTCOME_TRY(file.open_descriptor(path, options));
        if (options.lock) { BOOST_OUTCOME_TRY(file.take_lock(options.lock_wait_ms)); }
        if (options.create) { BOOST_OUTCOME_TRY(file.give_size(path, options.bytes)); }
        BOOST_OUTCOME_TRY(auto bytes, file.view_.bytes_now());
        file.view_.geometry.blocks = whole_blocks(bytes, file.view_.geometry.size);
        if (file.view_.geometry.blocks.value == 0) return errc::out_of_range;
        file.blocks_.store(file.view_.geometry.blocks.value, std::memory_order_relaxed);
        BOOST_OUTCOME_TRY(file.choose_direct(options.direct));
        file.view_.geometry.trim_granularity = file.find_trim_granularity();
        return file;
    }

    /// As it was opened: the number of blocks may have changed since.
    [[nodiscard]] const file_view& view() const noexcept { return view_; }
    [[nodiscard]] block_count      blocks() const noexcept { return {blocks_.load(std::memory_order_relaxed)}; }

    /// Asks the system how large the file is now. Errors: out_of_range for less than one block; device_failed.
    [[nodiscard]] result<> refresh() noexcept {
        BOOST_OUTCOME_TRY(auto bytes, view_.bytes_now());
        const auto now = whole_blocks(bytes, view_.geometry.size);
        if (now.value == 0) return errc::out_of_range;
        blocks_.store(now.value, std::memory_order_relaxed);
        return success();
    }
    /// Makes the file so long. Errors: unsupported for what is no file; read_only; invalid_argument for no block, or
    /// more than a file may have; device_failed, after which `refresh` says what became of it.
    [[nodiscard]] result<> resize(block_count now) noexcept {
        if (view_.block_device) return errc::unsupported;
        if (view_.read_only) return errc::read_only;
        constexpr auto most = static_cast<std::uint64_t>(LLONG_MAX);
        if (now.value == 0 || now.value > most >> view_.geometry.size.shift()) return errc::invalid_argument;
        const auto bytes = static_cast<off_t>(bytes_of(now, view_.geometry.size));
        if (::ftruncate(view_.descriptor, bytes) != 0 || ::fsync(view_.descriptor) != 0) return system_error();
        return refresh();
    }

  private:
    static error system_error() noexcept { return error{errc::device_failed, {}, errno}; }

    result<> open_descriptor(const char* path, const file_device_options& options) noexcept {
        struct stat seen {};
        int         flags = O_CLOEXEC | (options.read_only ? O_RDONLY : O_RDWR);
        if (options.create) flags |= O_CREAT;
        if (::stat(path, &seen) == 0) {
            view_.block_device = S_ISBLK(seen.st_mode);
            if (!view_.block_device && !S_ISREG(seen.st_mode)) return errc::invalid_argument;
            if (view_.block_device) flags &= ~O_CREAT;
            if (view_.block_device && options.lock && !options.read_only) flags |= O_EXCL;  // refused while mounted
        }
        do { view_.descriptor = ::open(path, flags, 0644); } while (view_.descriptor < 0 && errno == EINTR);
        if (view_.descriptor >= 0) return success();
        if (errno == ENOENT) return error{errc::not_found, {}, ENOENT};
        if (errno == EBUSY) return error{errc::busy, {}, EBUSY};
        return system_error();
    }

    result<> take_lock(std::uint32_t wait_ms) const noexcept {
        constexpr std::uint32_t step_ms = 5;
        for (std::uint32_t waited = 0;; waited += step_ms) {
            if (::flock(view_.descriptor, (view_.read_only ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0) return success();
            if (errno == EINTR) continue;
            if (errno != EWOULDBLOCK) return system_error();
            if (waited >= wait_ms) return error{errc::busy, {}, EWOULDBLOCK};
            const timespec step{0, long{step_ms} * 1'000'000};
            static_cast<void>(::nanosleep(&step, nullptr));
        }
    }

    /// A size and a name that a power cut may not take back: the file and its folder are synced.
    result<> give_size(const char* path, std::uint64_t bytes) const noexcept {
        BOOST_OUTCOME_TRY(auto present, view_.bytes_now());
        if (view_.block_device || present != 0 || bytes == 0) return success();
        const auto whole = bytes_of(whole_blocks(bytes, view_.geometry.size), view_.geometry.size);
        if (whole > static_cast<std::uint64_t>(LLONG_MAX)) return errc::invalid_argument;
        if (::ftruncate(view_.descriptor, static_cast<off_t>(whole)) != 0 || ::fsync(view_.descriptor) != 0)
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
        view_.direct = wanted == direct_io::off ? direct_state::not_asked : try_direct();
        if (wanted == direct_io::on && view_.direct != direct_state::in_use)
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
        if (::statx(view_.descriptor, "", AT_EMPTY_PATH, STATX_DIOALIGN, &seen) == 0 &&
            (seen.stx_mask & STATX_DIOALIGN) != 0) {
            if (seen.stx_dio_mem_align == 0) return direct_state::not_supported;
            memory_alignment = seen.stx_dio_mem_align;
            offset_alignment = seen.stx_dio_offset_align;
        }
#endif
        if (offset_alignment > view_.geometry.size.bytes) return direct_state::block_too_small;
        const int flags = ::fcntl(view_.descriptor, F_GETFL);
        if (flags < 0 || ::fcntl(view_.descriptor, F_SETFL, flags | O_DIRECT) != 0) return direct_state::not_supported;
        void* const memory = std::aligned_alloc(65536, 65536);
        const bool  works  = memory != nullptr && ::pread(view_.descriptor, memory, view_.geometry.size.bytes, 0) >= 0;
        std::free(memory);
        if (!works) {
            static_cast<void>(::fcntl(view_.descriptor, F_SETFL, flags & ~O_DIRECT));
            return view_.geometry.size.bytes < 4096 ? direct_state::block_too_small : direct_state::not_supported;
        }
        view_.geometry.memory_alignment = memory_alignment;
        return direct_state::in_use;
#else
        return direct_state::not_supported;
#endif
    }

    block_count find_trim_granularity() const noexcept {
        std::uint64_t bytes = 0;
        struct stat   seen {};
        if (::fstat(view_.descriptor, &seen) != 0) return {1};
        if (!view_.block_device) bytes = static_cast<std::uint64_t>(seen.st_blksize);
#if defined(__linux__)
        for (const char* const form :
             {"/sys/dev/block/%u:%u/queue/discard_granularity", "/sys/dev/block/%u:%u/../queue/discard_granularity"}) {
            char path[96];
            if (!view_.block_device || bytes != 0) break;
            std::snprintf(path, sizeof path, form, major(seen.st_rdev), minor(seen.st_rdev));
            const int descriptor = ::open(path, O_RDONLY | O_CLOEXEC);
            if (descriptor < 0) continue;  // a partition has its queue in the folder above
            char digits[24]{};
            if (::read(descriptor, digits, sizeof digits - 1) > 0) bytes = std::strtoull(digits, nullptr, 10);
            ::close(descriptor);
        }
#endif
        const auto blocks = blocks_for(bytes, view_.geometry.size);
        return blocks.value == 0 ? block_count{1} : blocks;
    }

    /// Closing gives up the lock too, but late where the kernel still holds on to the file. A child process that
    /// inherited the file leaves the lock alone.
    void release() noexcept {
        if (view_.descriptor < 0) return;
        if (opened_by_ == ::getpid()) static_cast<void>(::flock(view_.descriptor, LOCK_UN));
        ::close(view_.descriptor);
        view_.descriptor = -1;
    }

    void take(posix_file& other) noexcept {
        view_                  = other.view_;
        other.view_.descriptor = -1;
        opened_by_             = other.opened_by_;
        blocks_.store(other.blocks().value, std::memory_order_relaxed);
    }

    file_view                  view_{};
    std::atomic<std::uint64_t> blocks_{0};
    pid_t                      opened_by_ = -1;
};

}  // namespace ashlar::inline v0
