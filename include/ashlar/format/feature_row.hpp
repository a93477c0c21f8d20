#pragma once
/// What features own: a row in the superblock for each bit of its manifest.

#include <ashlar/format/object_record.hpp>
#include <ashlar/format/superblock.hpp>

#include <optional>

namespace ashlar::inline v0 {

/// What one feature owns. A row that is not empty while its bit of the manifest is clear belongs to a feature that is
/// being removed: its bytes are not all zero yet. Whoever does not know a feature keeps its regions and its bytes.
///
///   offset  size  field
///        0     2  offset  of its bytes, counted from the end of the extents of a record; a multiple of 8
///        2     2  bytes   in each record; a multiple of 8
///        4     4  region  type of its regions; 0: it has none
///        8     8  zero
struct feature_row {
    le_u16 offset{};
    le_u16 bytes{};
    le_u32 region{};
    le_u64 zero{};

    [[nodiscard]] bool          empty() const noexcept { return bytes == 0 && region == 0; }
    [[nodiscard]] std::uint32_t end() const noexcept { return std::uint32_t{offset} + bytes; }

    friend bool operator==(const feature_row& a, const feature_row& b) noexcept {
        return a.offset == b.offset && a.bytes == b.bytes && a.region == b.region;
    }
};
static_assert(sizeof(feature_row) == 16 && alignof(feature_row) == 1);

inline constexpr std::uint32_t feature_rows        = 32;
inline constexpr std::size_t   feature_rows_offset = member_rows_offset + member_rows * sizeof(member_row);
static_assert(feature_rows_offset == 1792);

/// Bytes as features own them: a multiple of 8.
[[nodiscard]] constexpr std::uint32_t whole_feature_bytes(std::uint32_t bytes) noexcept { return (bytes + 7U) & ~7U; }

[[nodiscard]] constexpr std::size_t feature_row_offset(std::uint32_t bit) noexcept {
    return feature_rows_offset + bit * sizeof(feature_row);
}

/// Bytes that features use behind the extents of each record: the largest end of a row. More than a record can have
/// where a row is damaged. `superblock` is the frame's content.
[[nodiscard]] inline std::uint32_t feature_bytes_used(std::span<const std::byte> superblock) noexcept {
    std::uint32_t used = 0;
    for (std::uint32_t bit = 0; bit < feature_rows; ++bit) {
        const auto row = load_struct<feature_row>(superblock.subspan(feature_row_offset(bit)));
        if (row.bytes != 0 && row.end() > used) used = row.end();
    }
    return used;
}

/// Where so many bytes are free behind the extents, or would be in a wider record; a multiple of 8, whatever the rows
/// say. Cost: rows squared.
[[nodiscard]] inline std::uint32_t free_feature_offset(std::span<const std::byte> superblock,
                                                       std::uint32_t              bytes) noexcept {
    std::uint32_t at = 0;
    for (bool moved = true; moved;) {
        moved = false;
        for (std::uint32_t bit = 0; bit < feature_rows; ++bit) {
            const auto row = load_struct<feature_row>(superblock.subspan(feature_row_offset(bit)));
            if (row.bytes == 0 || row.offset >= at + bytes || row.end() <= at) continue;
            at    = whole_feature_bytes(row.end());
            moved = true;
        }
    }
    return at;
}

}  // namespace ashlar::inline v0
