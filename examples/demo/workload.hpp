#pragma once
/// What the demonstration does to a volume besides the program's own commands.

#include "../cli/volume.hpp"

#include <nlohmann/json_fwd.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace demo {

/// Small, seeded, and the same everywhere (splitmix64).
class random_numbers {
  public:
    explicit random_numbers(std::uint64_t seed) noexcept : state_{seed} {}
    std::uint64_t next() noexcept {
        std::uint64_t z = (state_ += 0x9E3779B97F4A7C15);
        z               = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9;
        z               = (z ^ (z >> 27U)) * 0x94D049BB133111EB;
        return z ^ (z >> 31U);
    }
    std::uint64_t below(std::uint64_t bound) noexcept { return next() % bound; }

  private:
    std::uint64_t state_;
};

class stopwatch {
  public:
    [[nodiscard]] double seconds() const {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun_).count();
    }

  private:
    std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
};

/// Times of single operations; tells quantiles.
class latencies {
  public:
    void                      add(double seconds) { seconds_.push_back(seconds); }
    [[nodiscard]] std::size_t count() const { return seconds_.size(); }
    /// Microseconds that a part `rank` (0 to 1) of the operations did not exceed; 0 without any.
    [[nodiscard]] double microseconds(double rank) {
        if (seconds_.empty()) return 0;
        const auto at = static_cast<std::size_t>(rank * static_cast<double>(seconds_.size() - 1));
        std::nth_element(seconds_.begin(), seconds_.begin() + static_cast<std::ptrdiff_t>(at), seconds_.end());
        return seconds_[at] * 1e6;
    }

  private:
    std::vector<double> seconds_{};
};

struct churn_options {
    std::string          volume{};
    std::string          log{};  ///< Of acknowledged writes; outside of the volume.
    cli::defrag_settings settings{};
    std::uint64_t        seed = 1;
};

struct region_move_options {
    std::string   volume{};
    std::string   region{};  ///< "LOGS:0"; of 64 KiB or more.
    std::uint64_t bytes_per_second = 0;
};

/// Prints a line of JSON on stdout, at once.
void tell(const nlohmann::ordered_json& event);

/// Reads files of the imported tree whole, in the order of their names, then random pieces of 32 KiB; each for
/// `seconds` at most. Every byte is checked by the volume's own checksums.
[[nodiscard]] cli::result<> measure_reads(const std::string& volume, double seconds);

/// Opens the volume, checks what the log says, then defragments to the end in a thread of its own, while other threads
/// read and overwrite objects of theirs and check every byte. Made to be killed.
[[nodiscard]] cli::result<> churn(const churn_options& options);

/// Checks the foreground's objects against the log, tells what it found, and erases them.
[[nodiscard]] cli::result<> finish_churn(const churn_options& options);

/// Fills a region, then moves it as far down as it fits, while threads read and overwrite it and check every byte.
[[nodiscard]] cli::result<> move_region(const region_move_options& options);

}  // namespace demo
