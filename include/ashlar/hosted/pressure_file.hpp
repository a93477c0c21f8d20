#pragma once
/// How long tasks had to wait for a disk, as the kernel counts it.

#include <ashlar/vocabulary/time_point.hpp>

#include <charconv>
#include <concepts>
#include <optional>
#include <string_view>

#if defined(__linux__)
#include <fcntl.h>
#include <unistd.h>
#endif

namespace ashlar::inline v0 {

/// Semantics: `stalled` answers for how long, since some fixed time, one task or more waited for a transfer; it never
/// goes back. Empty: this system does not say.
template <class S>
concept PressureSource = requires(S& source) {
    { source.stalled() }
    noexcept->std::same_as<std::optional<duration>>;
};

/// Finds the `total` of the line `some` in the kernel's text, which is in microseconds.
[[nodiscard]] inline std::optional<duration> parse_pressure(std::string_view text) noexcept {
    constexpr std::string_view line  = "some ";
    constexpr std::string_view field = " total=";
    while (!text.starts_with(line)) {
        const auto end = text.find('\n');
        if (end == text.npos) return std::nullopt;
        text.remove_prefix(end + 1);
    }
    text             = text.substr(0, text.find('\n'));
    const auto place = text.find(field);
    if (place == text.npos) return std::nullopt;
    text.remove_prefix(place + field.size());
    std::uint64_t microseconds      = 0;
    const auto [end, code]          = std::from_chars(text.data(), text.data() + text.size(), microseconds);
    constexpr std::uint64_t longest = ~std::uint64_t{0} / 1000U;
    if (code != std::errc{} || end != text.data() + text.size() || microseconds > longest) return std::nullopt;
    return duration{microseconds * 1000U};
}

/// Linux's pressure stall information: of the whole system, or of a control group where the path names its
/// `io.pressure`. Each reading opens the file, so that a value of this type owns nothing.
/// Source: Linux, Documentation/accounting/psi.rst; kernel/sched/psi.c brings `total` up to date at each reading, while
/// the averages beside it move every two seconds.
struct pressure_file {
    const char* path = "/proc/pressure/io";

    [[nodiscard]] std::optional<duration> stalled() const noexcept {
#if defined(__linux__)
        const int file = ::open(path, O_RDONLY | O_CLOEXEC);
        if (file < 0) return std::nullopt;
        char       text[256];
        const auto length = ::read(file, text, sizeof text);
        ::close(file);
        if (length <= 0) return std::nullopt;
        return parse_pressure({text, static_cast<std::size_t>(length)});
#else
        return std::nullopt;
#endif
    }
};
static_assert(PressureSource<pressure_file>);

}  // namespace ashlar::inline v0
