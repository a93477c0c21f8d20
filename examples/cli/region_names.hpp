#pragma once
/// How regions are called on a command line and in tables: "LOGS:0".

#include "names.hpp"

#include <ashlar/format/region_directory.hpp>

#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace cli {

/// The type of the region that marks an unfinished copy: with one of them a volume would count as such a copy.
inline constexpr std::uint32_t copy_type = ashlar::tag_of("COPY");

/// Four letters as a type that users may have; empty for anything else.
[[nodiscard]] constexpr std::optional<std::uint32_t> parse_region_type(std::string_view text) {
    if (text.size() != 4) return std::nullopt;
    const auto type = ashlar::tag_of({text[0], text[1], text[2], text[3], '\0'});
    return ashlar::is_user_region(type) && type != copy_type ? std::optional{type} : std::nullopt;
}

/// "LOGS:12"; empty for anything else. A type may hold a colon of its own.
[[nodiscard]] constexpr std::optional<ashlar::region_id> parse_region(std::string_view text) {
    if (text.size() < 6 || text[4] != ':') return std::nullopt;
    const auto type = parse_region_type(text.substr(0, 4));
    if (!type) return std::nullopt;
    std::uint64_t number = 0;
    for (const char digit : text.substr(5)) {
        if (digit < '0' || digit > '9') return std::nullopt;
        number = number * 10 + static_cast<std::uint64_t>(digit - '0');
        if (number > std::numeric_limits<std::uint32_t>::max()) return std::nullopt;
    }
    return ashlar::region_id{*type, static_cast<std::uint32_t>(number)};
}
static_assert(parse_region("LOGS:12") == ashlar::region_id{ashlar::tag_of("LOGS"), 12});
static_assert(!parse_region_type("COPY"));
static_assert(!parse_region("LOGS") && !parse_region("LOGS:") && !parse_region("LOGS:-1") && !parse_region("JRNL:0"));

/// The letters of a type. What a damaged volume could hold there moves no cursor.
[[nodiscard]] inline std::string type_text(std::uint32_t type) {
    std::string letters;
    for (unsigned shift = 0; shift < 32; shift += 8) letters += static_cast<char>(type >> shift & 0xFFU);
    return shown(letters);
}

[[nodiscard]] inline std::string text_of(ashlar::region_id name) {
    return type_text(name.type) + ':' + std::to_string(name.number);
}

}  // namespace cli
