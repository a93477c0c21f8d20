#pragma once
/// The ground of the engine: a file of equal blocks, and the few words that all of its parts share.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>

namespace own_engine {

inline constexpr std::size_t block_bytes = 4096;

/// Blocks `first` to `first + count - 1`.
struct run {
    std::uint64_t first = 0;
    std::uint64_t count = 0;

    [[nodiscard]] constexpr std::uint64_t end() const noexcept { return first + count; }
    friend constexpr bool                 operator==(const run&, const run&) = default;
};

enum class [[nodiscard]] status : std::uint8_t{
    ok,        device_failed,
    damaged,    ///< What was read contradicts itself.
    full,       ///< No block, or no room in the index. Erase something and sync.
    not_found,  ///< No such key, or no such engine in the file.
    read_only,  ///< A sync failed; opening again decides what it did.
};

/// The engine works on anything with these four calls. This one is a file, used by offsets, so that threads may share
/// it.
class block_file {
  public:
    /// Opens a file, or makes one of so many blocks. `is_open` tells whether that worked.
    block_file(const char* path, std::uint64_t blocks_if_new) noexcept : file_{::open(path, O_RDWR | O_CREAT, 0644)} {
        struct stat seen {};
        if (file_ < 0 || ::fstat(file_, &seen) != 0) return;
        if (seen.st_size == 0 && ::ftruncate(file_, static_cast<off_t>(blocks_if_new * block_bytes)) != 0) return;
        blocks_ = seen.st_size == 0 ? blocks_if_new : static_cast<std::uint64_t>(seen.st_size) / block_bytes;
    }
    block_file(const block_file&)            = delete;
    block_file& operator=(const block_file&) = delete;
    ~block_file() {
        if (file_ >= 0) ::close(file_);
    }

    [[nodiscard]] bool          is_open() const noexcept { return blocks_ > 0; }
    [[nodiscard]] std::uint64_t blocks() const noexcept { return blocks_; }

    /// Whole blocks from `first` on, or false.
    [[nodiscard]] bool read(std::uint64_t first, std::span<std::byte> into) noexcept {
        ++reads;
        for (auto at = static_cast<off_t>(first * block_bytes); !into.empty();) {
            const auto n = ::pread(file_, into.data(), into.size(), at);
            if (n < 0 && errno == EINTR) continue;
            if (n <= 0) return false;
            into = into.subspan(static_cast<std::size_t>(n));
            at += n;
        }
        return true;
    }
    [[nodiscard]] bool write(std::uint64_t first, std::span<const std::byte> from) noexcept {
        for (auto at = static_cast<off_t>(first * block_bytes); !from.empty();) {
            const auto n = ::pwrite(file_, from.data(), from.size(), at);
            if (n < 0 && errno == EINTR) continue;
            if (n <= 0) return false;
            from = from.subspan(static_cast<std::size_t>(n));
            at += n;
        }
        return true;
    }
    /// Everything written before is durable.
    [[nodiscard]] bool sync() noexcept { return ::fsync(file_) == 0; }

    /// Asks the system to drop its copies, so that the next reads come from the disk.
    void forget_cached() noexcept {
#if defined(POSIX_FADV_DONTNEED)
        static_cast<void>(::posix_fadvise(file_, 0, 0, POSIX_FADV_DONTNEED));
#endif
    }

    std::atomic<std::uint64_t> reads = 0;  ///< Transfers, not blocks: each is a seek on a disk that has to.

  private:
    int           file_   = -1;
    std::uint64_t blocks_ = 0;
};

}  // namespace own_engine
