#include "progress_bar.hpp"

#include "output.hpp"

#include <fmt/format.h>

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace cli {
namespace {

std::size_t terminal_width() {
    winsize size{};
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 20) return 80;
    return size.ws_col;
}

std::string drawn_bar(std::uint64_t done, std::uint64_t total) {
    constexpr std::size_t width = 24;
    const auto            part =
        static_cast<double>(std::min(done, total)) / static_cast<double>(std::max<std::uint64_t>(total, 1));
    const auto full = static_cast<std::size_t>(part * width);
    return fmt::format("[{}{}] {:3.0f} %", std::string(full, '#'), std::string(width - full, '.'), part * 100);
}

}  // namespace

progress_bar::progress_bar(std::string title, bool silent)
    : title_{std::move(title)}, silent_{silent}, terminal_{isatty(STDERR_FILENO) == 1} {}

progress_bar::~progress_bar() { clear(); }

double progress_bar::seconds() const { return std::chrono::duration<double>(clock::now() - begun_).count(); }

bool progress_bar::due() {
    if (silent_) return false;
    const auto now  = clock::now();
    const auto wait = terminal_ ? std::chrono::milliseconds{100} : std::chrono::milliseconds{2000};
    if (now - (last_ == clock::time_point{} ? begun_ : last_) < wait) return false;
    last_ = now;
    return true;
}

void progress_bar::show(std::uint64_t done, std::uint64_t total, std::string_view remark) {
    if (!due()) return;
    std::string line = total == 0 ? fmt::format("{} {}", title_, remark)
                                  : fmt::format("{} {} {}", title_, drawn_bar(done, total), remark);
    if (!terminal_) {
        line += '\n';
    } else {
        if (line.size() >= terminal_width()) line.resize(terminal_width() - 1);
        line   = "\r\033[K" + line;
        drawn_ = true;
    }
    std::fwrite(line.data(), 1, line.size(), stderr);
    std::fflush(stderr);
}

void progress_bar::show_bytes(std::uint64_t done, std::uint64_t total, std::string_view remark) {
    const double past = std::max(seconds(), 0.001);
    const auto   rate = static_cast<double>(done) / past;
    std::string  text = human_rate(static_cast<std::uint64_t>(rate));
    if (total > done && rate > 0)
        text += fmt::format(", {} left", human_seconds(static_cast<double>(total - done) / rate));
    if (!remark.empty()) text += fmt::format(", {}", remark);
    show(done, total, text);
}

void progress_bar::clear() {
    if (!drawn_) return;
    std::fputs("\r\033[K", stderr);
    std::fflush(stderr);
    drawn_ = false;
}

}  // namespace cli
