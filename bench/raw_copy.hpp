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

/// Bytes of a file that follow each other.
struct byte_run {
    std::uint64_t at    = 0;
    std::uint64_t bytes = 0;
};

/// From where to where. Both are gone through round and round.
struct copy_plan {
    std::vector<byte_run> sources{};  ///< One after the other: a chunk may be gathered from several.
    byte_run              target{};
    std::uint64_t         passed = 0;  ///< Bytes to begin behind: what was read last lies in some cache of the disk.
};

/// Copies chunk after chunk from construction until `stop`. `depth` threads take chunks in turns, so that as many reads
/// or writes are outstanding.
class raw_copier {
  public:
    raw_copier(const std::string& source, const std::string& target, copy_plan plan, std::size_t chunk, unsigned depth)
        : source_{source, false},
          target_{target},
          plan_{std::move(plan)},
          chunk_{chunk},
          begun_{nanoseconds_now()},
          next_{plan_.passed / chunk} {
        for (const auto& run : plan_.sources) {
            starts_.push_back(bytes_);
            bytes_ += run.bytes;
        }
        for (unsigned i = 0; i < depth; ++i) threads_.emplace_back([this] { copy(); });
    }
    ~raw_copier() { static_cast<void>(stop()); }

    [[nodiscard]] std::uint64_t copied() const noexcept { return copied_; }

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
        while (!stopping_) {
            const auto next = next_++;
            gather(memory.data(), next % (bytes_ / chunk_) * chunk_);
            target_.write(memory.data(), chunk_, plan_.target.at + next % (plan_.target.bytes / chunk_) * chunk_);
            copied_ += chunk_;
        }
    }

    void gather(std::byte* memory, std::uint64_t from) const {
        auto run =
            static_cast<std::size_t>(std::upper_bound(starts_.begin(), starts_.end(), from) - starts_.begin()) - 1;
        for (std::size_t done = 0; done < chunk_; ++run) {
            const auto skip = from + done - starts_[run];
            const auto part = std::min<std::uint64_t>(plan_.sources[run].bytes - skip, chunk_ - done);
            source_.read(memory + done, part, plan_.sources[run].at + skip);
            done += part;
        }
    }

    direct_file                source_;
    direct_file                target_;
    copy_plan                  plan_;
    std::vector<std::uint64_t> starts_{};  // of each run, among all bytes
    std::uint64_t              bytes_ = 0;
    std::size_t                chunk_;
    std::uint64_t              begun_;
    std::atomic<std::uint64_t> next_;
    std::atomic<std::uint64_t> copied_{0};
    std::atomic<bool>          stopping_{false};
    std::vector<std::thread>   threads_{};
    double                     rate_ = 0;
};

inline constexpr std::size_t raw_chunk = 1024 * 1024;  ///< What "raw copy" means here: so much,
inline constexpr unsigned    raw_depth = 8;            ///< so often at the same time.

}  // namespace bench
