#pragma once
/// How large a region may be chosen by a name.

#include <ashlar/vocabulary/address.hpp>

namespace ashlar::inline v0 {

/// A share of the volume, for who does not want to count blocks.
enum class region_size : std::uint8_t {
    small,  ///< A 1024th, at least 64 blocks.
    large,  ///< A 256th, at least 256 blocks.
};

/// Neither is more than a 16th of the volume.
[[nodiscard]] constexpr block_count blocks_of(region_size size, block_count volume) noexcept {
    const block_count share{volume.value >> (size == region_size::small ? 10U : 8U)};
    const block_count least{size == region_size::small ? 64U : 256U};
    const block_count most{volume.value >> 4U};
    const block_count wanted = share > least ? share : least;
    return wanted < most ? wanted : most;
}

}  // namespace ashlar::inline v0
