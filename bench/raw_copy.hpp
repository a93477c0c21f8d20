#pragma once
/// What the disk could do at best: one part of a file copied to another by several threads, past the page cache.

#include "closed_loop.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

namespace bench {

/// Ends the program: a benchmark that cannot do its work measures nothing.
[[noreturn]] inline void give_up(const std::string& what) {
    std::fprintf(stderr, "%s\n", what.c_str());
    std::exit(1);
}

/// A file opened for direct transfers. Its bytes are read and written at once, or the program ends.
class direct_file {
  public:
    explicit direct_file(const std::string& path, bool writable = true)
        : file_{::open(path.c_str(), (writable ? O_RDWR : O_RDONLY) | O_DIRECT | O_CLOEXEC)}, path_{path} {
        if (file_ < 0) give_up("cannot open " + path + " for direct transfers");
    }
    ~direct_file() { ::close(file_); }
    direct_file(const direct_file&)            = delete;
    direct_file& operator=(const direct_file&) = delete;

    void read(void* memory, std::size_t bytes, std::uint64_t at) const {
        if (::pread(file_, memory, bytes, static_cast<off_t>(at)) != static_cast<ssize_t>(bytes))
            give_up("cannot read " + path_);
    }
    void write(const void* memory, std::size_t bytes, std::uint64_t at) const {
        if (::pwrite(file_, memory, bytes, static_cast<off_t>(at)) != static_cast<ssize_t>(bytes))
            give_up("cannot write " + path_);
    }

  private:
    int         file_;
    std::string path_;
};

/// Memory for direct transfers.
class page_memory {
  public:
    explicit page_memory(std::size_t bytes) : bytes_{std::aligned_alloc(4096, bytes)} {
        if (bytes_ == nullptr) give_up("no memory");
    }
    ~page_memory() { std::free(bytes_); }
    page_memory(const page_memory&)            = delete;
    page_memory& operator=(const page_memory&) = delete;

    [[nodiscard]] std::byte* data() const noexcept { return static_cast<std::byte*>(bytes_); }

  private:
    void* bytes_;
};

/// From where to where, in bytes.
struct copy_range {
    std::uint64_t source = 0;
    std::uint64_t target = 0;
    std::uint64_t bytes  = 0;
};

/// Copies chunk after chunk, round and round, from construction until `stop`. `depth` threads take chunks in turns, so
/// that as many reads or writes are outstanding.
class raw_copier {
  public:
    raw_copier(const std::string& path, copy_range range, std::size_t chunk, unsigned depth)
        : raw_copier(path, path, range, chunk, depth) {}

    raw_copier(const std::string& source, const std::string& target, copy_range range, std::size_t chunk,
               unsigned depth)
        : source_{source, false}, target_{target}, range_{range}, chunk_{chunk}, begun_{nanoseconds_now()} {
        for (unsigned i = 0; i < depth; ++i) threads_.emplace_back([this] { copy(); });
    }
    ~raw_copier() { static_cast<void>(stop()); }

    /// Megabytes (10^6) copied a second.
    double stop() {
        if (threads_.empty()) return rate_;
        stopping_ = true;
        for (auto& thread : threads_) thread.join();
        threads_.clear();
        return rate_ = static_cast<double>(copied_.load()) * 1e3 / static_cast<double>(nanoseconds_now() - begun_);
    }

  private:
    void copy() {
        const page_memory memory{chunk_};
        const auto        chunks = range_.bytes / chunk_;
        while (!stopping_) {
            const auto at = (next_++ % chunks) * chunk_;
            source_.read(memory.data(), chunk_, range_.source + at);
            target_.write(memory.data(), chunk_, range_.target + at);
            copied_ += chunk_;
        }
    }

    direct_file                source_;
    direct_file                target_;
    copy_range                 range_;
    std::size_t                chunk_;
    std::uint64_t              begun_;
    std::atomic<std::uint64_t> next_{0};
    std::atomic<std::uint64_t> copied_{0};
    std::atomic<bool>          stopping_{false};
    std::vector<std::thread>   threads_{};
    double                     rate_ = 0;
};

inline constexpr std::size_t raw_chunk = 1024 * 1024;  ///< What "raw copy" means here: so much,
inline constexpr unsigned    raw_depth = 8;            ///< so often at the same time.

/// Megabytes a second of an undisturbed raw copy.
[[nodiscard]] inline double raw_copy_rate(const std::string& path, copy_range range, double seconds) {
    raw_copier copier{path, range, raw_chunk, raw_depth};
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
    return copier.stop();
}

}  // namespace bench
