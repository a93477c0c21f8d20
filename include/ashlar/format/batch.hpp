#pragma once
/// The header of a batch, the list of its data blocks, and how its hashes are seeded. docs/format.md, "Journal".

#include <ashlar/format/block_trailer.hpp>
#include <ashlar/format/journal_entry.hpp>

#include <cstddef>
#include <optional>
#include <span>

namespace ashlar::inline v0 {

/// Seed of every hash in the batch that begins `position` blocks into the ring: XXH64 over volume id, epoch and
/// position, 32 bytes in that order. A batch of another volume, of history that was cut, or at the wrong place never
/// passes.
[[nodiscard]] inline std::uint64_t batch_seed(const volume_id& volume, std::uint64_t epoch,
                                              std::uint64_t position) noexcept {
    std::byte text[32];
    std::memcpy(text, volume.data(), volume.size());
    store_little<std::uint64_t>(text + 16, epoch);
    store_little<std::uint64_t>(text + 24, position);
    return xxh64(text, 0);
}

/// The first bytes of a batch. They lie in one sector, so a header is either whole or absent.
///
///   offset  size  field
///        0     4  tag           JRNL
///        4     2  version       1
///        6     2  flags         bit 0: a completion marker stands before the entries; the others are zero
///        8    16  volume        volume id
///       24     8  epoch         counts the recoveries of the volume
///       32     8  sequence      counts the batches of the volume
///       40     8  acknowledged  every batch up to this one was durable when the header was made
///       48     8  previous      hash in the commit marker of the batch before: the chain
///       56     8  length        bytes of the batch, from its header to its commit marker
///       64     4  entries       how many follow the list
///       68     4  data          items of the list that follows the header
///       72     8  hash          XXH64 of the 72 bytes before, seeded with the batch
struct batch_header {
    le_u32    tag;
    le_u16    version;
    le_u16    flags;
    volume_id volume{};
    le_u64    epoch;
    le_u64    sequence;
    le_u64    acknowledged;
    le_u64    previous;
    le_u64    length;
    le_u32    entries;
    le_u32    data;
    le_u64    hash;
};
inline constexpr std::size_t   batch_header_bytes   = 80;
inline constexpr std::uint16_t batch_version        = 1;
inline constexpr std::uint16_t batch_has_completion = 1;  ///< Bit of `flags`.
static_assert(sizeof(batch_header) == batch_header_bytes);
static_assert(alignof(batch_header) == 1, "no padding is possible");
static_assert(offsetof(batch_header, volume) == 8);
static_assert(offsetof(batch_header, epoch) == 24);
static_assert(offsetof(batch_header, acknowledged) == 40);
static_assert(offsetof(batch_header, length) == 56);
static_assert(offsetof(batch_header, data) == 68);
static_assert(offsetof(batch_header, hash) == 72);

/// One data block that only this batch's sync makes durable.
///
///   offset  size  field
///        0     8  block     where it is
///        8     8  checksum  of its bytes, by the volume's checksum policy
struct batch_data_item {
    le_u64 block;
    le_u64 checksum;
};
inline constexpr std::size_t batch_data_item_bytes = 16;
static_assert(sizeof(batch_data_item) == batch_data_item_bytes);
static_assert(alignof(batch_data_item) == 1, "no padding is possible");
static_assert(offsetof(batch_data_item, checksum) == 8);

/// Bytes of a batch from header to commit marker. No operand is large enough to overflow: see `batch_header`.
[[nodiscard]] constexpr std::uint64_t batch_bytes(std::uint32_t data, std::uint32_t entries, std::uint64_t payload,
                                                  bool completion) noexcept {
    return batch_header_bytes + std::uint64_t{data} * batch_data_item_bytes + (completion ? marker_bytes : 0U) +
           std::uint64_t{entries} * entry_overhead_bytes + payload + marker_bytes;
}

/// Writes the header's constant fields and its hash.
inline void seal_header(batch_header& header, std::uint64_t seed) noexcept {
    header.tag     = tag::journal;
    header.version = batch_version;
    std::byte bytes[batch_header_bytes];
    store_struct(bytes, header);
    header.hash = xxh64(std::span{bytes}.first(offsetof(batch_header, hash)), seed);
}

/// Reads the header of the batch that begins `position` blocks into the ring. Empty when there is none, which is no
/// error. What it answers was written by this volume at this place; its numbers still have to be checked against the
/// ring.
[[nodiscard]] inline std::optional<batch_header> decode_header(std::span<const std::byte> bytes,
                                                               const volume_id&           volume,
                                                               std::uint64_t              position) noexcept {
    const auto header = load_struct<batch_header>(bytes);
    if (header.tag != tag::journal || header.version != batch_version || header.volume != volume) return std::nullopt;
    const auto covered = bytes.first(offsetof(batch_header, hash));
    if (header.hash != xxh64(covered, batch_seed(volume, header.epoch, position))) return std::nullopt;
    if ((header.flags & ~batch_has_completion) != 0 || header.sequence == 0 || header.acknowledged >= header.sequence)
        return std::nullopt;
    const bool completion = (header.flags & batch_has_completion) != 0;
    if (header.length < batch_bytes(header.data, header.entries, 0, completion)) return std::nullopt;
    return header;
}

}  // namespace ashlar::inline v0
