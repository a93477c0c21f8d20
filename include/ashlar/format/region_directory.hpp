#pragma once
/// Frame 8: which regions exist; and frame 1: where the engine's own begin.

#include <ashlar/format/superblock.hpp>

namespace ashlar::inline v0 {

/// One region.
///
///   offset  size  field
///        0     4  type        four ASCII letters; zero: the slot is unused
///        4     4  flags       none defined: an unknown flag refuses by the incompatible mask
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
