#include "output.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace cli {
namespace {

void print_line(std::FILE* stream, std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stream);
    if (text.empty() || text.back() != '\n') std::fputc('\n', stream);
    std::fflush(stream);
}

}  // namespace

void output::document(std::string_view command, nlohmann::ordered_json fields) const {
    if (!json) return;
    nlohmann::ordered_json whole;
    whole["schema"] = fmt::format("ashlar.{}/1", command);
    whole.update(fields);
    // Names are escaped before they come here; should a byte be left that is no UTF-8, it is replaced and nothing
    // throws.
    print_line(stdout, whole.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

void output::answer(std::string_view text) const {
    if (!json && !text.empty()) print_line(stdout, text);
}

void output::say(std::string_view text) const {
    if (!json && !quiet) print_line(stdout, text);
}

void output::warn(std::string_view text) const { print_line(stderr, fmt::format("ashlar: warning: {}", text)); }

void output::fail(std::string_view command, const failure& problem) const {
    const char* const red   = colour_on(STDERR_FILENO) ? "\033[31m" : "";
    const char* const plain = *red != '\0' ? "\033[0m" : "";
    std::string       line  = fmt::format("{}ashlar:{} {}", red, plain, problem.what);
    if (!problem.where.empty()) line += fmt::format(": {}", problem.where);
    if (!problem.fix.empty()) line += fmt::format(": {}", problem.fix);
    print_line(stderr, line);
    if (!json) return;
    nlohmann::ordered_json fields;
    fields["command"]   = command;
    fields["exit_code"] = static_cast<int>(problem.code);
    fields["what"]      = problem.what;
    fields["where"]     = problem.where;
    fields["fix"]       = problem.fix;
    document("error", fields);
}

bool colour_on(int descriptor) {
    const char* const refused  = std::getenv("NO_COLOR");
    const char* const terminal = std::getenv("TERM");
    if (refused != nullptr && *refused != '\0') return false;
    if (terminal == nullptr || std::string_view{terminal} == "dumb") return false;
    return isatty(descriptor) == 1;
}

std::string human_bytes(std::uint64_t bytes) {
    static constexpr const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double                       value   = static_cast<double>(bytes);
    std::size_t                  unit    = 0;
    for (; value >= 1024 && unit + 1 < std::size(units); ++unit) value /= 1024;
    return unit == 0 ? fmt::format("{} B", bytes)
                     : fmt::format("{:.{}f} {}", value,
                                   value < 10    ? 2
                                   : value < 100 ? 1
                                                 : 0,
                                   units[unit]);
}

std::string human_rate(std::uint64_t bytes_per_second) { return human_bytes(bytes_per_second) + "/s"; }

std::string human_seconds(double seconds) {
    if (seconds < 0.001) return fmt::format("{:.0f} us", seconds * 1e6);
    if (seconds < 1) return fmt::format("{:.0f} ms", seconds * 1e3);
    if (seconds < 60) return fmt::format("{:.1f} s", seconds);
    const auto whole = static_cast<std::uint64_t>(seconds);
    if (whole < 3600) return fmt::format("{}:{:02} min", whole / 60, whole % 60);
    return fmt::format("{}:{:02} h", whole / 3600, whole / 60 % 60);
}

std::string percent(double ratio) { return fmt::format("{:.1f} %", ratio * 100); }

std::string counted(std::uint64_t count, std::string_view noun) {
    if (count == 1) return fmt::format("1 {}", noun);
    if (noun.ends_with('y')) return fmt::format("{} {}ies", count, noun.substr(0, noun.size() - 1));
    return fmt::format("{} {}s", count, noun);
}

}  // namespace cli
