#pragma once
/// Sizes as people write them.

#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

namespace cli {

/// Reads "65536", "64K", "512MiB", "2G": a number and a power of 1024. Empty where it is anything else, or too large.
[[nodiscard]] constexpr std::optional<std::uint64_t> parse_size(std::string_view text) {
    std::uint64_t number = 0;
    std::size_t   used   = 0;
    for (; used < text.size() && text[used] >= '0' && text[used] <= '9'; ++used) {
        const auto digit = static_cast<std::uint64_t>(text[used] - '0');
        if (number > (std::numeric_limits<std::uint64_t>::max() - digit) / 10) return std::nullopt;
        number = number * 10 + digit;
    }
    if (used == 0) return std::nullopt;
    text.remove_prefix(used);
    if (text.empty() || text == "B") return number;

    unsigned shift = 0;
    switch (text.front()) {
        case 'K':
        case 'k': shift = 10; break;
        case 'M':
        case 'm': shift = 20; break;
        case 'G':
        case 'g': shift = 30; break;
        case 'T':
        case 't': shift = 40; break;
        default: return std::nullopt;
    }
    text.remove_prefix(1);
    if (!text.empty() && text != "iB" && text != "B") return std::nullopt;
    if (number > std::numeric_limits<std::uint64_t>::max() >> shift) return std::nullopt;
    return number << shift;
}
static_assert(parse_size("64M") == 64ULL << 20U);
static_assert(!parse_size("64X") && !parse_size("") && !parse_size("-1") && !parse_size("99999999999999999999"));

}  // namespace cli
