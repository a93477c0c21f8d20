#pragma once
/// Shared by the tests of regions: a small volume with objects and regions in it.

#include "../store/store_fixture.hpp"

#include <ashlar/regions.hpp>

namespace ashlar::test {

inline constexpr std::uint32_t logs = tag_of("LOGS");
inline constexpr std::uint32_t maps = tag_of("MAPS");

/// So many blocks of bytes that differ by block and by seed; beside the library's own.
using ashlar::pattern;
inline byte_vector pattern(std::size_t blocks, std::uint32_t block_bytes, std::uint32_t seed) {
    byte_vector bytes(blocks * block_bytes);
    for (std::size_t i = 0; i < bytes.size(); ++i)
        bytes[i] = static_cast<std::byte>((i / block_bytes * 7 + i + seed * 131) & 0xFFU);
    return bytes;
}

template <class Region>
byte_vector read_all(Region& region) {
    const auto  geometry = region.geometry();
    byte_vector bytes(static_cast<std::size_t>(geometry.blocks.value) * geometry.size.bytes);
    ASHLAR_EXPECT_OK(region.read({block_index{0}, geometry.blocks}, bytes));
    return bytes;
}

}  // namespace ashlar::test
