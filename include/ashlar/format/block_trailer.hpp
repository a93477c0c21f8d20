#pragma once
/// The last 16 bytes of every metadata block, and how a block proves where it belongs.

#include <ashlar/checksum/xxhash.hpp>
#include <ashlar/vocabulary/address.hpp>
#include <ashlar/vocabulary/little_endian.hpp>
#include <ashlar/vocabulary/volume_id.hpp>

#include <cstddef>
#include <span>

namespace ashlar::inline v0 {

/// What a metadata block is: the tags of the trailers and of the region directory.
namespace tag {
inline constexpr std::uint32_t superblock  = tag_of("SUPR");
inline constexpr std::uint32_t pointers    = tag_of("PTRS");
inline constexpr std::uint32_t directory   = tag_of("RDIR");
inline constexpr std::uint32_t anchor      = tag_of("ANCH");
inline constexpr std::uint32_t journal     = tag_of("JRNL");
inline constexpr std::uint32_t groups      = tag_of("GRPS");
inline constexpr std::uint32_t bitmap      = tag_of("BMAP");
inline constexpr std::uint32_t trimmed     = tag_of("TRIM");
inline constexpr std::uint32_t checksums   = tag_of("CSUM");
inline constexpr std::uint32_t objects     = tag_of("OBJT");
inline constexpr std::uint32_t node        = tag_of("NODE");
inline constexpr std::uint32_t migration   = tag_of("MCHK");
inline constexpr std::uint32_t indirection = tag_of("INDR");
inline constexpr std::uint32_t slide       = tag_of("SLID");  ///< A region of blocks that a slide has beside its own.

/// Types of regions: the object table that is being made, and the one whose place it took. Their blocks are OBJT.
inline constexpr std::uint32_t next_objects = tag_of("OBJN");
inline constexpr std::uint32_t old_objects  = tag_of("OBJO");

inline constexpr std::uint32_t all[] = {superblock, pointers,  directory,    anchor,     journal, groups,
                                        bitmap,     trimmed,   checksums,    objects,    node,    indirection,
                                        slide,      migration, next_objects, old_objects};
}  // namespace tag

/// Where a metadata block belongs, so that a misdirected or stale block fails its checksum. It stays while blocks move.
///   frames:        tag, owner 0,                 number = frame
///   region blocks: tag = type of the region, owner = id of the region, number = block's place in the region
///   tree nodes:    tag NODE, owner = object id,  number = node id
struct block_identity {
    std::uint32_t         tag                                                      = 0;
    std::uint64_t         owner                                                    = 0;
    std::uint64_t         number                                                   = 0;
    friend constexpr bool operator==(const block_identity&, const block_identity&) = default;
};

/// The seed of a metadata block's checksum: XXH64 over volume id, tag, owner and number, 36 bytes in that order.
/// The superblock's volume part is zero, since the volume id stands in it.
[[nodiscard]] inline std::uint64_t identity_seed(const volume_id& volume, const block_identity& identity) noexcept {
    std::byte text[36]{};
    if (identity.tag != tag::superblock) std::memcpy(text, volume.data(), volume.size());
    store_little<std::uint32_t>(text + 16, identity.tag);
    store_little<std::uint64_t>(text + 20, identity.owner);
    store_little<std::uint64_t>(text + 28, identity.number);
    return xxh64(text, 0);
}

/// The last 16 bytes of every metadata block. docs/format.md, "Block trailer".
///
///   offset  size  field
///        0     4  tag         what the block is; four ASCII letters in reading order
///        4     4  generation  low half of the sequence of the batch that wrote it
///        8     8  checksum    XXH64 of all bytes before, seeded with where the block belongs
struct block_trailer {
    le_u32 tag;
    le_u32 generation;
    le_u64 checksum;
};
inline constexpr std::size_t trailer_bytes = 16;
static_assert(sizeof(block_trailer) == trailer_bytes);
static_assert(alignof(block_trailer) == 1, "no padding is possible");
static_assert(offsetof(block_trailer, checksum) == 8);

/// Writes the trailer over the last 16 bytes of `block`.
inline void seal_block(std::span<std::byte> block, std::uint32_t tag, sequence generation,
                       std::uint64_t seed) noexcept {
    block_trailer trailer;
    trailer.tag        = tag;
    trailer.generation = static_cast<std::uint32_t>(generation.value);
    store_struct(block.last(trailer_bytes), trailer);
    trailer.checksum = xxh64(block.first(block.size() - 8), seed);
    store_struct(block.last(trailer_bytes), trailer);
}

/// Whether the block is whole and is what it should be. False when it is torn, foreign, misplaced or never written.
[[nodiscard]] inline bool is_sealed(std::span<const std::byte> block, std::uint32_t tag, std::uint64_t seed) noexcept {
    const auto trailer = load_struct<block_trailer>(block.last(trailer_bytes));
    return trailer.tag == tag && trailer.checksum == xxh64(block.first(block.size() - 8), seed);
}

}  // namespace ashlar::inline v0
