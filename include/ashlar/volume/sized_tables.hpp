#pragma once
/// The tables whose length follows from the size of the volume.

#include <ashlar/volume/region_table.hpp>

namespace ashlar::inline v0 {

inline constexpr std::size_t                             sized_tables = 4;
inline constexpr std::array<std::uint32_t, sized_tables> sized_table_types{tag::groups, tag::bitmap, tag::trimmed,
                                                                           tag::checksums};

/// Blocks of each such table.
using table_lengths = std::array<std::uint64_t, sized_tables>;

/// What a volume of so many groups needs.
[[nodiscard]] constexpr table_lengths table_lengths_for(std::uint64_t groups, block_size size, bool sums) noexcept {
    return {group_table_blocks(groups, size).value, groups, groups,
            sums ? groups * checksum_blocks_per_group(size) : 0};
}

[[nodiscard]] inline std::span<const extent> parts_of(const region_table& regions, std::size_t table) noexcept {
    switch (table) {
        case 0: return regions.groups();
        case 1: return regions.bitmaps();
        case 2: return regions.trimmed();
        default: return regions.checksums();
    }
}

[[nodiscard]] constexpr std::uint64_t length_of(std::span<const extent> parts) noexcept {
    std::uint64_t sum = 0;
    for (const auto& part : parts) sum += part.count.value;
    return sum;
}

/// Which table of these a region is a part of; `sized_tables` where it is none.
[[nodiscard]] constexpr std::size_t sized_table_of(std::uint32_t type) noexcept {
    std::size_t i = 0;
    while (i < sized_tables && sized_table_types[i] != type) ++i;
    return i;
}

/// Parts of a table, from the first on, that hold so many blocks.
[[nodiscard]] constexpr std::size_t parts_needed(std::span<const extent> parts, std::uint64_t blocks) noexcept {
    std::size_t   count = 0;
    std::uint64_t sum   = 0;
    while (count < parts.size() && sum < blocks) sum += parts[count++].count.value;
    return count;
}

/// Puts a new slot behind those in use. Precondition: there is room.
inline void add_slot(std::span<std::byte> content, const region_slot& slot) noexcept {
    auto                head = load_struct<directory_head>(content);
    const std::uint32_t at   = head.slots;
    store_struct(content.subspan(region_slot_offset(at)), slot);
    head.slots = at + 1;
    store_struct(content, head);
}

/// Takes a slot away; the last one takes its place.
inline void remove_slot(std::span<std::byte> content, std::uint32_t at) noexcept {
    auto                head = load_struct<directory_head>(content);
    const std::uint32_t last = head.slots - 1U;
    store_struct(content.subspan(region_slot_offset(at)),
                 load_struct<region_slot>(content.subspan(region_slot_offset(last))));
    store_struct(content.subspan(region_slot_offset(last)), region_slot{});
    head.slots = last;
    store_struct(content, head);
}

}  // namespace ashlar::inline v0
