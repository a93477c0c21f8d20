#pragma once
/// The way from a block's number and identity to its bytes.

#include <ashlar/concepts/allocator.hpp>
#include <ashlar/volume/metadata_cache.hpp>
#include <ashlar/volume/region_table.hpp>

namespace ashlar::inline v0 {

/// What parts of a volume need to reach metadata; made per call, held by none of them.
template <class Source>
struct metadata_access {
    metadata_cache&        cache;
    Source&                source;  ///< `load(block, bytes)` and `seed(identity)`.
    const region_table&    regions;
    const volume_geometry& geometry;

    result<block_pin> get(const region_block& block) const noexcept {
        return cache.get(source, block.home, block.identity);
    }

    /// A block of a region that was never written: zeroes, in full in the open batch.
    result<block_pin> create(const region_block& block) const noexcept {
        BOOST_OUTCOME_TRY(auto pin, cache.fresh(block.home, block.identity));
        cache.change(pin.slot(), 0, geometry.block.bytes - trailer_bytes);
        return pin;
    }
};

/// The part of an extent that lies in a group; empty when none does.
[[nodiscard]] constexpr group_run part_in_group(extent blocks, std::uint64_t group, block_size size) noexcept {
    const extent whole{first_of_group(group, size), block_count{blocks_per_group(size)}};
    if (!overlap(whole, blocks)) return {};
    const auto first = blocks.first > whole.first ? blocks.first : whole.first;
    const auto end   = blocks.end() < whole.end() ? blocks.end() : whole.end();
    return {static_cast<std::uint32_t>((first - whole.first).value), static_cast<std::uint32_t>((end - first).value)};
}

/// Calls `each(group, run)` for the part of the extent in each group.
template <class Each>
result<> for_each_group_part(extent blocks, block_size size, Each each) noexcept {
    while (!blocks.empty()) {
        const auto          place = place_of(blocks.first, size);
        const std::uint32_t left  = blocks_per_group(size) - place.offset;
        const auto          count = blocks.count.value < left ? static_cast<std::uint32_t>(blocks.count.value) : left;
        BOOST_OUTCOME_TRY(each(place.group, group_run{place.offset, count}));
        blocks = part_of(blocks, block_count{count}, blocks.count);
    }
    return success();
}

}  // namespace ashlar::inline v0
