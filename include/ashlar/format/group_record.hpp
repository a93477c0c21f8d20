#pragma once
/// Groups: their numbers, their records on disk, and the totals of the volume that stand before these.

#include <ashlar/config.hpp>
#include <ashlar/format/block_trailer.hpp>
#include <ashlar/vocabulary/address.hpp>
#include <ashlar/vocabulary/little_endian.hpp>
#include <ashlar/vocabulary/short_division.hpp>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace ashlar::inline v0 {

/// A group is what one bitmap block covers, and no more than this: so its places fit 16 bits on every block size.
inline constexpr std::uint32_t group_blocks_max = 32'640;

[[nodiscard]] constexpr std::uint32_t blocks_per_group(block_size size) noexcept {
    const std::uint32_t bits = (size.bytes - static_cast<std::uint32_t>(trailer_bytes)) * 8U;
    return bits < group_blocks_max ? bits : group_blocks_max;
}

/// Checksums of 8 bytes in one block of the checksum table.
[[nodiscard]] constexpr std::uint32_t sums_per_block(block_size size) noexcept {
    return (size.bytes - static_cast<std::uint32_t>(trailer_bytes)) / 8U;
}

/// Blocks of the checksum table that one group owns; at most 64, as the record has a bit for each.
[[nodiscard]] constexpr std::uint32_t checksum_blocks_per_group(block_size size) noexcept {
    return (blocks_per_group(size) + sums_per_block(size) - 1U) / sums_per_block(size);
}
static_assert(blocks_per_group({512}) == 3968 && checksum_blocks_per_group({512}) == 64);
static_assert(blocks_per_group({4096}) == 32'640 && checksum_blocks_per_group({4096}) == 64);
static_assert(blocks_per_group({8192}) == 32'640 && checksum_blocks_per_group({8192}) == 32);
static_assert(checksum_blocks_per_group({65'536}) == 4);

/// A block of the volume, as its group sees it.
struct group_place {
    std::uint64_t         group                                = 0;
    std::uint32_t         offset                               = 0;  ///< Counted in blocks from the group's first.
    friend constexpr bool operator==(group_place, group_place) = default;
};

[[nodiscard]] constexpr group_place place_of(block_index block, block_size size) noexcept {
    // Every group has 128 * (2^k - 1) blocks.
    const unsigned k     = size.shift() < 12 ? size.shift() - 4U : 8U;
    const auto     split = divide_by_ones(block.value >> 7U, k);
    return {split.quotient, static_cast<std::uint32_t>(split.rest << 7U | (block.value & 127U))};
}

[[nodiscard]] constexpr block_index first_of_group(std::uint64_t group, block_size size) noexcept {
    return {group * blocks_per_group(size)};
}

/// Groups of a volume; the last may be short.
[[nodiscard]] constexpr std::uint64_t groups_for(block_count volume, block_size size) noexcept {
    const auto last = place_of({volume.value}, size);
    return last.group + (last.offset != 0 ? 1U : 0U);
}

/// Blocks of one group; fewer in the last. Precondition: the volume has that group.
[[nodiscard]] constexpr std::uint32_t blocks_of_group(std::uint64_t group, block_count volume,
                                                      block_size size) noexcept {
    const std::uint64_t left = volume.value - first_of_group(group, size).value;
    return left < blocks_per_group(size) ? static_cast<std::uint32_t>(left) : blocks_per_group(size);
}

/// Class k holds the free runs of 2^k to 2^(k+1) - 1 blocks; the longest run of a group is in class 14.
inline constexpr std::size_t run_classes = 16;

/// Precondition: count > 0.
[[nodiscard]] constexpr std::size_t run_class(std::uint32_t count) noexcept {
    return static_cast<std::size_t>(std::bit_width(count | 1U)) - 1U;
}
static_assert(run_class(1) == 0 && run_class(3) == 1 && run_class(group_blocks_max) == 14);

/// What is known of a group without its bitmap.
/// Invariant: `free` and `runs` agree, and no run is longer than `largest`.
struct group_summary {
    std::uint32_t free              = 0;
    std::uint32_t largest           = 0;      ///< Blocks of the longest free run.
    std::uint32_t head              = 0;      ///< Blocks of the free run at the group's beginning.
    std::uint32_t tail              = 0;      ///< Blocks of the free run at its end.
    std::uint32_t trimmed           = 0;      ///< Free blocks that are known to be trimmed.
    bool          bitmap_written    = false;  ///< False: the bitmap block was never written, and all blocks are free.
    bool          trimmed_written   = false;  ///< False: the bitmap of trimmed blocks was never written, and none is.
    std::uint64_t checksums_written = 0;      ///< Bit i: block i of the group's checksum blocks was written.
    std::array<std::uint16_t, run_classes> runs{};

    [[nodiscard]] constexpr std::uint32_t free_runs() const noexcept {
        std::uint32_t sum = 0;
        for (const auto count : runs) sum += count;
        return sum;
    }
    friend constexpr bool operator==(const group_summary&, const group_summary&) = default;
};

/// A group as `format` leaves it. Precondition: blocks > 0.
[[nodiscard]] constexpr group_summary empty_group(std::uint32_t blocks) noexcept {
    group_summary summary{};
    summary.free = summary.largest = summary.head = summary.tail = blocks;
    summary.runs[run_class(blocks)]                              = 1;
    return summary;
}

/// One group in the group table. docs/format.md, "Group records".
///
///   offset  size  field
///        0     4  free               free blocks
///        4     4  flags              1: the bitmap was written, 2: the bitmap of trimmed blocks was written
///        8     8  checksums_written  one bit for each checksum block of the group
///       16    32  runs               free runs by the log2 of their length, 16 counts of 2 bytes
///       48     4  trimmed            free blocks known to be trimmed
///       52     4  largest            blocks of the longest free run
///       56     4  head               blocks of the free run at the beginning
///       60     4  tail               blocks of the free run at the end
struct group_record {
    le_u32 free;
    le_u32 flags;
    le_u64 checksums_written;
    le_u16 runs[run_classes];
    le_u32 trimmed;
    le_u32 largest;
    le_u32 head;
    le_u32 tail;
};
inline constexpr std::uint32_t group_record_bytes = 64;
static_assert(sizeof(group_record) == group_record_bytes && alignof(group_record) == 1);
static_assert(offsetof(group_record, flags) == 4 && offsetof(group_record, checksums_written) == 8);
static_assert(offsetof(group_record, runs) == 16 && offsetof(group_record, trimmed) == 48);
static_assert(offsetof(group_record, largest) == 52 && offsetof(group_record, head) == 56);
static_assert(offsetof(group_record, tail) == 60);

namespace group_flag {
inline constexpr std::uint32_t bitmap_written  = 1;
inline constexpr std::uint32_t trimmed_written = 2;
}  // namespace group_flag

/// The first records of the table hold the totals of the volume; group g is record g + 4.
inline constexpr std::uint64_t totals_records = 4;

/// Where a record stands: a block of the table, counted from its first, and a byte in it.
struct group_record_place {
    block_count   block{};
    std::uint32_t byte = 0;
};

[[nodiscard]] constexpr std::uint32_t group_records_per_block(block_size size) noexcept {
    return (size.bytes - static_cast<std::uint32_t>(trailer_bytes)) / group_record_bytes;
}

[[nodiscard]] constexpr group_record_place group_record_of(std::uint64_t group, block_size size) noexcept {
    const auto split =
        divide_by_ones(group + totals_records, size.shift() - 6U);  // a block holds 2^(shift - 6) - 1 records
    return {{split.quotient}, static_cast<std::uint32_t>(split.rest) * group_record_bytes};
}

/// Blocks of the table for so many groups.
[[nodiscard]] constexpr block_count group_table_blocks(std::uint64_t groups, block_size size) noexcept {
    return group_record_of(groups, size).block + block_count{group_record_of(groups, size).byte != 0 ? 1U : 0U};
}

[[nodiscard]] inline group_record encode_group(const group_summary& summary) noexcept {
    group_record record;
    record.free  = summary.free;
    record.flags = (summary.bitmap_written ? group_flag::bitmap_written : 0U) |
                   (summary.trimmed_written ? group_flag::trimmed_written : 0U);
    record.checksums_written = summary.checksums_written;
    for (std::size_t k = 0; k < run_classes; ++k) record.runs[k] = summary.runs[k];
    record.trimmed = summary.trimmed;
    record.largest = summary.largest;
    record.head    = summary.head;
    record.tail    = summary.tail;
    return record;
}

/// Whether the numbers of a summary can belong to a group of so many blocks. Nothing that was read is used before.
[[nodiscard]] constexpr bool is_possible(const group_summary& summary, std::uint32_t blocks) noexcept {
    std::uint64_t least = 0;  // blocks that the runs have at least, and at most
    std::uint64_t most  = 0;
    for (std::size_t k = 0; k < run_classes; ++k) {
        least += std::uint64_t{summary.runs[k]} << k;
        most += std::uint64_t{summary.runs[k]} * ((std::uint64_t{2} << k) - 1U);
    }
    if (blocks > group_blocks_max || summary.free > blocks || summary.largest > summary.free) return false;
    if (summary.free > 0 && summary.largest == 0) return false;
    std::size_t top = run_classes;
    while (top > 0 && summary.runs[top - 1U] == 0) --top;
    const bool largest_agrees = top == (summary.largest == 0 ? 0 : run_class(summary.largest) + 1U);
    return least <= summary.free && summary.free <= most && largest_agrees && summary.head <= summary.largest &&
           summary.tail <= summary.largest && summary.trimmed <= summary.free &&
           (summary.bitmap_written || summary.free == blocks);
}

/// Reads a record of a group of `blocks` blocks. Empty when it contradicts itself: then the table is damaged.
[[nodiscard]] inline std::optional<group_summary> decode_group(const group_record& record,
                                                               std::uint32_t       blocks) noexcept {
    const std::uint32_t flags = record.flags;
    if ((flags & ~(group_flag::bitmap_written | group_flag::trimmed_written)) != 0) return std::nullopt;
    group_summary summary{};
    summary.free              = record.free;
    summary.largest           = record.largest;
    summary.head              = record.head;
    summary.tail              = record.tail;
    summary.trimmed           = record.trimmed;
    summary.bitmap_written    = (flags & group_flag::bitmap_written) != 0;
    summary.trimmed_written   = (flags & group_flag::trimmed_written) != 0;
    summary.checksums_written = record.checksums_written;
    for (std::size_t k = 0; k < run_classes; ++k) summary.runs[k] = record.runs[k];
    if (!is_possible(summary, blocks)) return std::nullopt;
    return summary;
}

}  // namespace ashlar::inline v0
