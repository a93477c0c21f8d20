#pragma once
/// Bytes that say themselves whether they are right: a function of key, version and place.

#include "value_log.hpp"

namespace own_engine {

/// Word 0 is the version; the rest follows from it and the key. A longer value of the same version begins like a
/// shorter one, so that growing and checking need no copy of what was written.
[[nodiscard]] inline std::byte byte_at(std::uint64_t key, std::uint64_t version, std::uint64_t at) noexcept {
    auto word = version;
    if (at >= 8) {
        word = (version * 0x9E3779B97F4A7C15U) ^ (key << 40U) ^ (at / 8);
        word = (word ^ (word >> 31U)) * 0xBF58476D1CE4E5B9U;
        word ^= word >> 29U;
    }
    return static_cast<std::byte>(word >> (8 * (at % 8)));
}

[[nodiscard]] inline bytes content(std::uint64_t key, std::uint64_t version, std::uint64_t from, std::uint64_t count) {
    bytes made(static_cast<std::size_t>(count));
    for (std::uint64_t i = 0; i < count; ++i) made[static_cast<std::size_t>(i)] = byte_at(key, version, from + i);
    return made;
}

/// The version of a value that is right in every byte.
[[nodiscard]] inline std::optional<std::uint64_t> version_of(std::uint64_t key, const bytes& seen) {
    if (seen.size() < 8) return std::nullopt;
    std::uint64_t version = 0;
    for (std::size_t i = 0; i < 8; ++i) version |= std::to_integer<std::uint64_t>(seen[i]) << (8 * i);
    for (std::size_t i = 8; i < seen.size(); ++i) {
        if (seen[i] != byte_at(key, version, i)) return std::nullopt;
    }
    return version;
}

[[nodiscard]] inline std::string name_of(std::uint64_t key) { return "key " + std::to_string(key); }

/// Small, seeded, the same everywhere.
struct dice {
    std::uint64_t seed;

    std::uint64_t roll(std::uint64_t sides) noexcept {
        seed = seed * 6364136223846793005U + 1442695040888963407U;
        return (seed >> 33U) % sides;
    }
};

}  // namespace own_engine
