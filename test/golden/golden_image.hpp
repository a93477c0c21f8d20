#pragma once
/// Images as text: a line for each piece of 32 bytes that differs from the piece before it, so that zeros and
/// repetition cost nothing and a difference can be read.
///
///     ashlar golden image, 614400 bytes
///     00000 4153484c...
///     00040 00000000...

#include <array>
#include <cstddef>
#include <fstream>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace ashlar::test {

inline constexpr std::size_t golden_piece = 32;

inline std::string golden_text(std::span<const std::byte> image) {
    constexpr char                      digits[] = "0123456789abcdef";
    std::string                         text     = "ashlar golden image, " + std::to_string(image.size()) + " bytes\n";
    std::array<std::byte, golden_piece> before{};
    for (std::size_t at = 0; at < image.size(); at += golden_piece) {
        const auto piece = image.subspan(at, golden_piece);
        if (std::equal(piece.begin(), piece.end(), before.begin())) continue;
        std::copy(piece.begin(), piece.end(), before.begin());
        for (unsigned shift = 24; shift > 0; shift -= 4) text += digits[(at >> (shift - 4)) & 15U];
        text += ' ';
        for (const auto byte : piece) {
            text += digits[std::to_integer<unsigned>(byte) >> 4U];
            text += digits[std::to_integer<unsigned>(byte) & 15U];
        }
        text += '\n';
    }
    return text;
}

/// Nothing where the file is missing or is no such text.
inline std::optional<std::vector<std::byte>> read_golden(const std::string& path) {
    std::ifstream file{path};
    std::string   words[3];
    std::size_t   size = 0;
    if (!(file >> words[0] >> words[1] >> words[2] >> size) || words[2] != "image," || size % golden_piece != 0)
        return std::nullopt;
    std::string rest;
    std::getline(file, rest);
    std::vector<std::byte>              image(size);
    std::array<std::byte, golden_piece> piece{};
    std::size_t                         next = 0;
    for (std::string line; std::getline(file, line);) {
        const auto at = static_cast<std::size_t>(std::stoul(line, nullptr, 16));
        if (at >= size || line.size() != 7 + 2 * golden_piece) return std::nullopt;
        for (; next < at; next += golden_piece)
            std::copy(piece.begin(), piece.end(), image.begin() + static_cast<std::ptrdiff_t>(next));
        for (std::size_t i = 0; i < golden_piece; ++i)
            piece[i] = static_cast<std::byte>(std::stoul(line.substr(7 + 2 * i, 2), nullptr, 16));
    }
    for (; next < size; next += golden_piece)
        std::copy(piece.begin(), piece.end(), image.begin() + static_cast<std::ptrdiff_t>(next));
    return image;
}

}  // namespace ashlar::test
