#pragma once
/// The only header that sees xxhash.h. Plain inline functions: importers of a module cannot call it from a template.

#include <cstddef>
#include <cstdint>
#include <span>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace ashlar::inline v0 {

/// XXH64 of `bytes`. Source: the xxHash specification, version 0.1.1.
[[nodiscard]] inline std::uint64_t xxh64(std::span<const std::byte> bytes, std::uint64_t seed) noexcept {
    return XXH64(bytes.data(), bytes.size(), seed);
}

/// XXH3, 64 bits, without seed. Source: the xxHash specification, version 0.2.0.
[[nodiscard]] inline std::uint64_t xxh3_64(std::span<const std::byte> bytes) noexcept {
    return XXH3_64bits(bytes.data(), bytes.size());
}

/// XXH64 of bytes that arrive in pieces.
class xxh64_stream {
  public:
    explicit xxh64_stream(std::uint64_t seed = 0) noexcept { restart(seed); }
    void restart(std::uint64_t seed) noexcept { static_cast<void>(XXH64_reset(&state_, seed)); }
    void update(std::span<const std::byte> bytes) noexcept {
        if (!bytes.empty()) static_cast<void>(XXH64_update(&state_, bytes.data(), bytes.size()));
    }
    [[nodiscard]] std::uint64_t digest() const noexcept { return XXH64_digest(&state_); }

  private:
    XXH64_state_t state_;
};

}  // namespace ashlar::inline v0
