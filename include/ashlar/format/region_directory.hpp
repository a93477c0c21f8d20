#pragma once
/// Frame 8: which regions exist; and frame 1: where the engine's own begin.

#include <ashlar/format/superblock.hpp>

namespace ashlar::inline v0 {

/// One region.
///
///   offset  size  field
///        0     4  type        four ASCII letters; zero: the slot is unused
///        4     4  flags       1: pinned, the region never moves; any other refuses to be opened
///        8     4  id          counts from 0 within a type
///       12     4  generation  of the slot: changes when the region moves
///       16     8  start
///       24     8  blocks
struct region_slot {
    le_u32 type{};
    le_u32 flags{};
    le_u32 id{};
    le_u32 generation{};
    le_u64 start{};
    le_u64 blocks{};

    [[nodiscard]] extent place() const noexcept { return {block_index{start}, block_count{blocks}}; }
};
static_assert(sizeof(region_slot) == 32 && alignof(region_slot) == 1);

namespace region_flag {
inline constexpr std::uint32_t pinned = 1;
inline constexpr std::uint32_t known  = pinned;
}  // namespace region_flag

/// What a region is called; it stays while the region moves.
struct region_id {
    std::uint32_t         type                                           = 0;  ///< Four letters: tag_of("MINE").
    std::uint32_t         number                                         = 0;  ///< Counts from 0 within a type.
    friend constexpr bool operator==(const region_id&, const region_id&) = default;
};

[[nodiscard]] inline region_id name_of(const region_slot& slot) noexcept { return {slot.type, slot.id}; }

/// Whether users may have regions of that type: four printable letters that the format does not use itself.
[[nodiscard]] constexpr bool is_user_region(std::uint32_t type) noexcept {
    for (const std::uint32_t own : tag::all) {
        if (type == own) return false;
    }
    for (unsigned shift = 0; shift < 32; shift += 8) {
        const std::uint32_t letter = type >> shift & 0xFFU;
        if (letter <= 0x20 || letter >= 0x7F) return false;
    }
    return true;
}

inline constexpr std::uint32_t region_slots      = 127;
inline constexpr std::uint32_t directory_version = 1;
inline constexpr std::size_t   directory_header  = 16;

/// Where slot `i` begins in the content of its frame.
[[nodiscard]] constexpr std::size_t region_slot_offset(std::uint32_t i) noexcept {
    return directory_header + i * sizeof(region_slot);
}

/// Head of the directory and of the pointer table.
///
///   offset  size  field
///        0     4  version   1
///        4     4  slots     in use, from the front
///        8     8  next      block of a next directory; 0
struct directory_head {
    le_u32 version{};
    le_u32 slots{};
    le_u64 next{};
};
static_assert(sizeof(directory_head) == directory_header);
static_assert(directory_header + region_slots * sizeof(region_slot) + trailer_bytes == frame_bytes_min);

inline constexpr block_identity directory_identity{tag::directory, 0, frame::directory};
inline constexpr block_identity pointers_identity{tag::pointers, 0, frame::pointers};

}  // namespace ashlar::inline v0
