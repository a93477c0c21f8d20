#pragma once
/// Data without checksums.

#include <ashlar/concepts/checksum.hpp>

namespace ashlar::inline v0 {

/// Keeps no sums: wrong bytes of a failing disk are returned as they are, and every batch syncs its data first.
struct no_checksum {
    static constexpr std::uint32_t     format_id = 0;
    static constexpr bool              enabled   = false;
    [[nodiscard]] static std::uint64_t of(std::span<const std::byte>) noexcept { return 0; }
};
static_assert(Checksum<no_checksum>);

}  // namespace ashlar::inline v0
