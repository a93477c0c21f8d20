#pragma once
/// Random numbers that are the same everywhere: a failing run is repeated from its seed.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace ashlar::inline v0 {

/// SplitMix64. Source: G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators", 2014.
class random_bits {
  public:
    constexpr explicit random_bits(std::uint64_t seed) noexcept : state_{seed} {}

    constexpr std::uint64_t next() noexcept {
        std::uint64_t mixed = state_ += 0x9E37'79B9'7F4A'7C15U;
        mixed               = (mixed ^ (mixed >> 30U)) * 0xBF58'476D'1CE4'E5B9U;
        mixed               = (mixed ^ (mixed >> 27U)) * 0x94D0'49BB'1331'11EBU;
        return mixed ^ (mixed >> 31U);
    }

    /// A number from 0 to `bound` - 1; the bias is below bound / 2^64. Precondition: bound > 0.
    constexpr std::uint64_t below(std::uint64_t bound) noexcept { return next() % bound; }

    void fill(std::span<std::byte> bytes) noexcept {
        while (!bytes.empty()) {
            const auto word = next();
            const auto part = bytes.size() < sizeof word ? bytes.size() : sizeof word;
            std::memcpy(bytes.data(), &word, part);
            bytes = bytes.subspan(part);
        }
    }

  private:
    std::uint64_t state_;
};

}  // namespace ashlar::inline v0
