#pragma once
/// The disk's own rate of durable writes: 4 KiB pwrite + fdatasync, one after the other, on a preallocated file.

#include "measure.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

namespace bench {

/// Fills a file with zeros, so that no later write allocates anything. False where the disk refuses.
inline bool preallocate(const std::string& path, std::uint64_t bytes) {
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0644);
    if (file < 0) return false;
    const std::vector<char> zeros(std::size_t{4} << 20U);
    bool                    whole = true;
    for (std::uint64_t at = 0; whole && at < bytes; at += zeros.size()) {
        const auto length = std::min<std::uint64_t>(zeros.size(), bytes - at);
        whole = ::pwrite(file, zeros.data(), length, static_cast<off_t>(at)) == static_cast<ssize_t>(length);
    }
    whole = ::fsync(file) == 0 && whole;
    ::close(file);
    return whole;
}

/// The file of the raw rate. It is removed with the object.
class raw_sync {
  public:
    static constexpr std::uint64_t file_bytes = std::uint64_t{256} << 20U;

    explicit raw_sync(std::string path) : path_{std::move(path)} {
        if (preallocate(path_, file_bytes)) file_ = ::open(path_.c_str(), O_RDWR);
    }
    raw_sync(const raw_sync&)            = delete;
    raw_sync& operator=(const raw_sync&) = delete;
    ~raw_sync() {
        if (file_ >= 0) ::close(file_);
        ::unlink(path_.c_str());
    }

    [[nodiscard]] bool ready() const noexcept { return file_ >= 0; }

    /// Durable writes per second, over about so many seconds; 0 where one failed.
    [[nodiscard]] double rate(double seconds) {
        const stopwatch clock;
        std::uint64_t   done = 0;
        double          took = 0;
        do {
            block_[0]     = static_cast<char>(done);
            const auto at = static_cast<off_t>(next_++ * sizeof block_ % file_bytes);
            if (::pwrite(file_, block_, sizeof block_, at) != static_cast<ssize_t>(sizeof block_)) return 0;
            if (::fdatasync(file_) != 0) return 0;
            ++done;
            took = clock.seconds();
        } while (took < seconds);
        return static_cast<double>(done) / took;
    }

  private:
    std::string   path_;
    int           file_ = -1;
    std::uint64_t next_ = 0;
    alignas(4096) char block_[4096]{};
};

}  // namespace bench
