#pragma once
/// Frame 0: what the volume is and where its journal stands.

#include <ashlar/format/block_trailer.hpp>
#include <ashlar/vocabulary/extent.hpp>

namespace ashlar::inline v0 {

/// Fixed frames, counted in frames of max(block, 4096) bytes from the beginning of the volume.
namespace frame {
inline constexpr std::uint64_t superblock        = 0;
inline constexpr std::uint64_t pointers          = 1;
inline constexpr std::uint64_t anchor            = 2;
inline constexpr std::uint64_t reserved          = 3;  ///< Kept for a label of each member device; zero.
inline constexpr std::uint64_t superblock_mirror = 4;  ///< Frames 4 to 7 mirror 0 to 3.
inline constexpr std::uint64_t pointers_mirror   = 5;
inline constexpr std::uint64_t anchor_mirror     = 6;
inline constexpr std::uint64_t directory         = 8;
inline constexpr std::uint64_t directory_mirror  = 9;
inline constexpr std::uint64_t count             = 10;
}  // namespace frame

inline constexpr std::uint32_t frame_bytes_min = 4096;

[[nodiscard]] constexpr std::uint32_t frame_bytes_of(block_size block) noexcept {
    return block.bytes < frame_bytes_min ? frame_bytes_min : block.bytes;
}
[[nodiscard]] constexpr block_count frame_blocks_of(block_size block) noexcept {
    return {frame_bytes_of(block) >> block.shift()};
}
[[nodiscard]] constexpr block_index frame_home(std::uint64_t number, block_size block) noexcept {
    return {number * frame_blocks_of(block).value};
}

/// Where the frames end: all else lies there or behind.
[[nodiscard]] constexpr block_index frames_end(block_size block) noexcept { return frame_home(frame::count, block); }

/// Changes of the format. A build refuses a volume that sets a bit which it does not know: to write (compatible: never;
/// read_only: yes; incompatible: even to read).
namespace format_change {
inline constexpr std::uint64_t migrating          = 1;  ///< Records are on their way to another table.
inline constexpr std::uint64_t known_read_only    = migrating;
inline constexpr std::uint64_t known_incompatible = 0;
}  // namespace format_change

/// One device of the volume; unused rows are zero.
///
///   offset  size  field
///        0    16  device
///       16     8  first        first block of the volume that lies on it
///       24     8  blocks
///       32     2  role         1: data and metadata
///       34     2  state        1: in service
///       36     4  tier         0: the only one
///       40     8  generation
struct member_row {
    std::byte device[16]{};
    le_u64    first{};
    le_u64    blocks{};
    le_u16    role{};
    le_u16    state{};
    le_u32    tier{};
    le_u64    generation{};
};
static_assert(sizeof(member_row) == 48 && alignof(member_row) == 1);

/// The beginning of frame 0: everything but the members. The rest of the frame's 4096 bytes, without the trailer, is
/// zero for the volumes of one device that this build makes, but for member row 0. docs/format.md, "Superblock".
///
///   offset  size  field
///        0     8  magic               "ASHLAR" 0 1
///        8     4  version             1
///       12     4  block_bytes
///       16     8  blocks              of the volume
///       24    16  volume              its id
///       40    64  label               bytes up to the first zero
///      104     8  compatible          masks of format changes
///      112     8  read_only
///      120     8  incompatible
///      128     4  manifest            a bit per feature
///      132     4  record_bytes        width of an object record
///      136     4  inline_extents      of a record, behind its 88 fixed bytes
///      140     4  in_use              1 while a volume without journal is open
///      144     4  journal_format      format_id of each policy that leaves bytes on disk
///      148     4  allocator_format
///      152     4  checksum_format
///      156     4  object_map_format
///      160     8  journal_first       the ring; the anchor's copy wins
///      168     8  journal_blocks
///      176     8  root                id of the root object
///      184     8  created             nanoseconds since 1970; 0 without a clock
///      192    64  reserved            zero
///      256  1536  members             32 rows
///     1792   512  features            32 rows, see feature_row
///     2304  1776  reserved            zero
struct superblock {
    std::byte magic[8]{};
    le_u32    version{};
    le_u32    block_bytes{};
    le_u64    blocks{};
    std::byte volume[16]{};
    char      label[64]{};
    le_u64    compatible{};
    le_u64    read_only{};
    le_u64    incompatible{};
    le_u32    manifest{};
    le_u32    record_bytes{};
    le_u32    inline_extents{};
    le_u32    in_use{};
    le_u32    journal_format{};
    le_u32    allocator_format{};
    le_u32    checksum_format{};
    le_u32    object_map_format{};
    le_u64    journal_first{};
    le_u64    journal_blocks{};
    le_u64    root{};
    le_u64    created{};
};
static_assert(sizeof(superblock) == 192 && alignof(superblock) == 1);
static_assert(offsetof(superblock, label) == 40 && offsetof(superblock, manifest) == 128);
static_assert(offsetof(superblock, journal_first) == 160);

inline constexpr std::size_t member_rows        = 32;
inline constexpr std::size_t member_rows_offset = 256;
static_assert(member_rows_offset + member_rows * sizeof(member_row) <= frame_bytes_min - trailer_bytes);

inline constexpr char           superblock_magic[8] = {'A', 'S', 'H', 'L', 'A', 'R', '\0', '\1'};
inline constexpr std::uint32_t  superblock_version  = 1;
inline constexpr block_identity superblock_identity{tag::superblock, 0, frame::superblock};

/// Whether `content` (4096 bytes) is a whole superblock whose numbers are within their bounds.
[[nodiscard]] inline bool is_superblock(std::span<const std::byte> content) noexcept {
    if (std::memcmp(content.data(), superblock_magic, sizeof superblock_magic) != 0) return false;
    if (!is_sealed(content, tag::superblock, identity_seed({}, superblock_identity))) return false;
    const auto block  = load_little<std::uint32_t>(content.data() + offsetof(superblock, block_bytes));
    const auto blocks = load_little<std::uint64_t>(content.data() + offsetof(superblock, blocks));
    return is_block_size(block) && blocks <= (~std::uint64_t{0} >> 17U);
}

}  // namespace ashlar::inline v0
