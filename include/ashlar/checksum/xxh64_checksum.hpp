#pragma once
/// The checksum of data for small targets: one algorithm for data and metadata.

#include <ashlar/checksum/xxhash.hpp>
#include <ashlar/concepts/checksum.hpp>

namespace ashlar::inline v0 {

/// XXH64: smaller code than XXH3, and the metadata needs it anyway.
struct xxh64_checksum {
    static constexpr std::uint32_t     format_id = 1;
    static constexpr bool              enabled   = true;
    [[nodiscard]] static std::uint64_t of(std::span<const std::byte> bytes) noexcept { return xxh64(bytes, 0); }
};
static_assert(Checksum<xxh64_checksum>);

}  // namespace ashlar::inline v0
