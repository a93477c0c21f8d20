#pragma once
/// What follows the header of a batch: changes of blocks, and the two markers. docs/format.md, "Journal".

#include <ashlar/checksum/xxhash.hpp>
#include <ashlar/vocabulary/address.hpp>
#include <ashlar/vocabulary/little_endian.hpp>

#include <cstddef>
#include <span>

namespace ashlar::inline v0 {

/// The head of one entry. `length` bytes and their hash follow it; nothing is padded.
///
///   offset  size  field
///        0     8  target  block that the bytes belong to; the two largest numbers are the markers
///        8     4  length  bytes that follow
///       12     4  offset  where in the target they begin
///       16     N  the bytes
///     16+N     8  hash    XXH64 of all before, seeded with the batch and the entry's place in it
struct journal_entry_head {
    le_u64 target;
    le_u32 length;
    le_u32 offset;
};
static_assert(sizeof(journal_entry_head) == 16);
static_assert(alignof(journal_entry_head) == 1, "no padding is possible");
static_assert(offsetof(journal_entry_head, length) == 8);
static_assert(offsetof(journal_entry_head, offset) == 12);

/// Bytes that an entry takes beside those that it carries.
inline constexpr std::size_t entry_overhead_bytes = sizeof(journal_entry_head) + 8;

/// The targets that no entry may have.
inline constexpr std::uint64_t commit_marker_target     = 0xFFFF'FFFF'FFFF'FFFE;
inline constexpr std::uint64_t completion_marker_target = 0xFFFF'FFFF'FFFF'FFFF;

/// The end of a batch, or the word that older batches are home.
///
///   offset  size  field     commit marker                          completion marker
///        0     8  target    FF FF FF FF FF FF FF FE as a number    FF FF FF FF FF FF FF FF
///        8     8  sequence  the batch's own                        home writes up to this batch are synced
///       16     4  entries   entries of the batch                   0
///       20     8  hash      of the whole batch before this field   of the marker before this field
struct journal_marker {
    le_u64 target;
    le_u64 sequence;
    le_u32 entries;
    le_u64 hash;
};
inline constexpr std::size_t marker_bytes = 28;
static_assert(sizeof(journal_marker) == marker_bytes);
static_assert(alignof(journal_marker) == 1, "no padding is possible");
static_assert(offsetof(journal_marker, sequence) == 8);
static_assert(offsetof(journal_marker, entries) == 16);
static_assert(offsetof(journal_marker, hash) == 20);

/// The hash of an entry or a completion marker that begins `place` bytes into its batch. The place is part of the seed,
/// so that bytes of the right batch at the wrong place do not pass.
[[nodiscard]] inline std::uint64_t item_hash(std::span<const std::byte> covered, std::uint64_t batch_seed,
                                             std::uint64_t place) noexcept {
    return xxh64(covered, batch_seed + place);
}

/// A completion marker with its hash.
[[nodiscard]] inline journal_marker make_completion(sequence home, std::uint64_t batch_seed,
                                                    std::uint64_t place) noexcept {
    journal_marker marker;
    marker.target   = completion_marker_target;
    marker.sequence = home.value;
    std::byte bytes[marker_bytes];
    store_struct(bytes, marker);
    marker.hash = item_hash(std::span{bytes}.first(marker_bytes - 8), batch_seed, place);
    return marker;
}

}  // namespace ashlar::inline v0
