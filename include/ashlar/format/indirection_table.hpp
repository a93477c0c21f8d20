#pragma once
/// The indirection table: where blocks of a region lie that is moved in parts.

#include <ashlar/format/block_trailer.hpp>

#include <optional>

namespace ashlar::inline v0 {

/// One block that does not lie where the directory says. A block that does has no entry.
struct indirection_entry {
    block_index           logical{};   ///< Where it would lie by the directory's place of its region.
    block_index           physical{};  ///< Where it lies.
    friend constexpr bool operator==(const indirection_entry&, const indirection_entry&) = default;
};

/// The beginning of each block of the table.
///
///   offset  size  field
///        0     4  tag      "INDR"
///        4     2  version  1
///        6     4  entries  of this block, from the front; a block is filled before the next one is begun
///       10     4  part     the block's place in the table, from 0
///       14     2           zero
struct indirection_head {
    le_u32 tag{};
    le_u16 version{};
    le_u32 entries{};
    le_u32 part{};
    le_u16 zero{};
};
static_assert(sizeof(indirection_head) == 16 && alignof(indirection_head) == 1);
static_assert(offsetof(indirection_head, entries) == 6 && offsetof(indirection_head, part) == 10);

/// An entry, behind the head.
///
///   offset  size  field
///        0     8  logical
///        8     8  physical
struct indirection_record {
    le_u64 logical{};
    le_u64 physical{};
};
static_assert(sizeof(indirection_record) == 16 && alignof(indirection_record) == 1);

inline constexpr std::uint16_t indirection_version = 1;

/// Entries that a block of the table holds: 254 in 4096 bytes.
[[nodiscard]] constexpr std::uint32_t indirection_entries_in(block_size block) noexcept {
    constexpr std::uint32_t overhead = sizeof(indirection_head) + trailer_bytes;
    return (block.bytes - overhead) / static_cast<std::uint32_t>(sizeof(indirection_record));
}
static_assert(indirection_entries_in({4096}) == 254);

/// Where entry `i` of a block begins.
[[nodiscard]] constexpr std::size_t indirection_entry_offset(std::uint32_t i) noexcept {
    return sizeof(indirection_head) + i * sizeof(indirection_record);
}

inline void encode_indirection_head(std::span<std::byte> block, std::uint32_t part, std::uint32_t entries) noexcept {
    indirection_head head;
    head.tag     = tag::indirection;
    head.version = indirection_version;
    head.entries = entries;
    head.part    = part;
    store_struct(block, head);
}

/// How many entries a block holds. Empty where it is not block `part` of a table: that is damage, never "none".
[[nodiscard]] inline std::optional<std::uint32_t> decode_indirection_head(std::span<const std::byte> block,
                                                                          std::uint32_t              part) noexcept {
    const auto head  = load_struct<indirection_head>(block);
    const auto most  = indirection_entries_in({static_cast<std::uint32_t>(block.size())});
    const bool whole = head.tag == tag::indirection && head.version == indirection_version && head.part == part &&
                       head.zero == 0 && head.entries <= most;
    if (!whole) return std::nullopt;
    return static_cast<std::uint32_t>(head.entries);
}

inline void encode_indirection_entry(std::span<std::byte> bytes, const indirection_entry& entry) noexcept {
    indirection_record record;
    record.logical  = entry.logical.value;
    record.physical = entry.physical.value;
    store_struct(bytes, record);
}

/// Entry `i` of a block. Empty where it is none: it names no block of the volume, or says what needs no entry.
[[nodiscard]] inline std::optional<indirection_entry> decode_indirection_entry(std::span<const std::byte> block,
                                                                               std::uint32_t              i,
                                                                               block_count blocks) noexcept {
    const auto              record = load_struct<indirection_record>(block.subspan(indirection_entry_offset(i)));
    const indirection_entry entry{block_index{record.logical}, block_index{record.physical}};
    if (entry.logical == entry.physical || entry.logical.value >= blocks.value || entry.physical.value >= blocks.value)
        return std::nullopt;
    return entry;
}

}  // namespace ashlar::inline v0
