#pragma once
/// Names of files are bytes; terminals and JSON want UTF-8.

#include <cstddef>
#include <string>
#include <string_view>

namespace cli {

/// Bytes of the whole UTF-8 character at the front of `text`, or 0 where there is none: cut, overlong, or no character.
[[nodiscard]] inline std::size_t utf8_length(std::string_view text) {
    const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    if (text.empty()) return 0;
    const unsigned    lead = at(0);
    const std::size_t size = lead < 0x80                   ? 1
                             : lead >= 0xC2 && lead < 0xE0 ? 2
                             : lead >= 0xE0 && lead < 0xF0 ? 3
                             : lead >= 0xF0 && lead < 0xF5 ? 4
                                                           : 0;
    if (size == 0 || size > text.size()) return 0;
    for (std::size_t i = 1; i < size; ++i) {
        if ((at(i) & 0xC0U) != 0x80U) return 0;
    }
    if (lead == 0xE0 && at(1) < 0xA0) return 0;   // overlong
    if (lead == 0xED && at(1) >= 0xA0) return 0;  // half of a surrogate pair
    if (lead == 0xF0 && at(1) < 0x90) return 0;   // overlong
    if (lead == 0xF4 && at(1) >= 0x90) return 0;  // beyond the last character
    return size;
}

[[nodiscard]] inline bool is_utf8(std::string_view text) {
    while (!text.empty()) {
        const std::size_t size = utf8_length(text);
        if (size == 0) return false;
        text.remove_prefix(size);
    }
    return true;
}

/// The name as it may be shown: control bytes, bytes that are no UTF-8, and the backslash itself become \xNN, so that
/// nothing in a name can move a cursor and every name can be told from every other.
[[nodiscard]] inline std::string shown(std::string_view name) {
    static constexpr char digits[] = "0123456789abcdef";
    std::string           text;
    text.reserve(name.size());
    while (!name.empty()) {
        const std::size_t size = utf8_length(name);
        const auto        lead = static_cast<unsigned char>(name.front());
        const bool        c1   = size == 2 && lead == 0xC2 && static_cast<unsigned char>(name[1]) < 0xA0;
        if (size == 0 || (size == 1 && (lead < 0x20 || lead == 0x7F || lead == '\\')) || c1) {
            for (std::size_t i = 0; i < (c1 ? 2U : 1U); ++i) {
                const auto byte = static_cast<unsigned char>(name[i]);
                text += {'\\', 'x', digits[byte >> 4U], digits[byte & 15U]};
            }
            name.remove_prefix(c1 ? 2 : 1);
            continue;
        }
        text.append(name.substr(0, size));
        name.remove_prefix(size);
    }
    return text;
}

inline constexpr std::size_t name_bytes_max = 255;
inline constexpr std::size_t path_bytes_max = 4095;

/// Whether `path` may stand in a catalogue: relative, no empty part, no "." or "..", no NUL, and not longer than a
/// file system takes. What passes cannot lead out of the folder that it is exported to. The empty path is the top
/// folder.
[[nodiscard]] inline bool is_safe_path(std::string_view path) {
    if (path.size() > path_bytes_max || path.find('\0') != std::string_view::npos) return false;
    if (path.empty()) return true;
    for (std::size_t from = 0;;) {
        const std::size_t end  = path.find('/', from);
        const auto        part = path.substr(from, end == std::string_view::npos ? end : end - from);
        if (part.empty() || part == "." || part == ".." || part.size() > name_bytes_max) return false;
        if (end == std::string_view::npos) return true;
        from = end + 1;
    }
}

/// The folder that holds `path`; the empty path for what lies at the top.
[[nodiscard]] inline std::string_view parent_of(std::string_view path) {
    const std::size_t slash = path.rfind('/');
    return slash == std::string_view::npos ? std::string_view{} : path.substr(0, slash);
}

[[nodiscard]] inline std::string_view last_name_of(std::string_view path) {
    const std::size_t slash = path.rfind('/');
    return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

}  // namespace cli
