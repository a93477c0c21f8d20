#pragma once
/// One line on stderr that says how far a command is.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace cli {

/// On a terminal the line is redrawn up to ten times a second; elsewhere a plain line appears every two seconds, so
/// that a log stays readable. Silent when told so.
class progress_bar {
  public:
    progress_bar(std::string title, bool silent);
    ~progress_bar();
    progress_bar(const progress_bar&)            = delete;
    progress_bar& operator=(const progress_bar&) = delete;

    /// `done` of `total` (0: unknown), and words for the end of the line: rate, time left, a reason to wait.
    void show(std::uint64_t done, std::uint64_t total, std::string_view remark);
    /// As `show`, with the rate in bytes and the time left worked out from the beginning of the bar.
    void show_bytes(std::uint64_t done, std::uint64_t total, std::string_view remark = {});
    /// Takes the line away; later calls draw again.
    void clear();

    [[nodiscard]] double seconds() const;

  private:
    using clock = std::chrono::steady_clock;

    [[nodiscard]] bool due();

    std::string       title_;
    bool              silent_;
    bool              terminal_;
    bool              drawn_ = false;
    clock::time_point begun_ = clock::now();
    clock::time_point last_{};
};

}  // namespace cli
