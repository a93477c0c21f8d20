#pragma once
/// How far a migration of the object records is: the block MCHK.

#include <ashlar/format/object_record.hpp>
#include <ashlar/format/region_directory.hpp>

#include <optional>

namespace ashlar::inline v0 {

/// What a migration of records does next. Its numbers stand on disk.
enum class migration_phase : std::uint8_t {
    none         = 0,
    allocating   = 1,  ///< The next table gets its parts.
    copying      = 2,
    swapping     = 3,  ///< Every record is in both tables; the next one takes the place of the old one.
    complete     = 4,  ///< It did; the old one is freed.
    rolling_back = 5,  ///< Given up; the next one is freed.
};

/// The state of a migration. It stands in the last block of the object table's last part, which holds no records.
///
///   offset  size  field
///        0     4  version       1
///        4     2  phase
///        6     2  zero
///        8     8  migration     its id: the sequence of the batch that it began in
///       16     4  old_bytes     width of the records
///       20     4  old_inline    extents that each holds
///       24     4  new_bytes
///       28     4  new_inline
///       32     4  old_manifest
///       36     4  new_manifest
///       40     8  total         records that were ever in use, when it was saved
///       48     8  migrated      records below are in both tables
///       56     8  started       nanoseconds; 0 without a clock
///       64     8  saved
///       72     2  old_parts     of the table in use
///       74     2  new_parts
///       76     4  zero
///       80   16n  parts         first block (8) and blocks (8) of the old parts, then of the new ones, as many as fit
struct migration_checkpoint {
    le_u32 version{};
    le_u16 phase{};
    le_u16 zero{};
    le_u64 migration{};
    le_u32 old_bytes{};
    le_u32 old_inline{};
    le_u32 new_bytes{};
    le_u32 new_inline{};
    le_u32 old_manifest{};
    le_u32 new_manifest{};
    le_u64 total{};
    le_u64 migrated{};
    le_u64 started{};
    le_u64 saved{};
    le_u16 old_parts{};
    le_u16 new_parts{};
    le_u32 more_zero{};
};
static_assert(sizeof(migration_checkpoint) == 80 && alignof(migration_checkpoint) == 1);
static_assert(offsetof(migration_checkpoint, total) == 40 && offsetof(migration_checkpoint, old_parts) == 72);

inline constexpr std::uint32_t migration_version = 1;

/// Whether records may go from one width to the other: extents that stand in them must go on to.
[[nodiscard]] constexpr bool is_migration(std::uint32_t old_inline, std::uint32_t new_bytes,
                                          std::uint32_t new_inline) noexcept {
    return is_record_width(new_bytes, new_inline) && new_inline >= old_inline;
}

/// Reads the state out of a whole block. Empty where it says what no migration can be.
[[nodiscard]] inline std::optional<migration_checkpoint> decode_migration(std::span<const std::byte> block) noexcept {
    const auto seen  = load_struct<migration_checkpoint>(block);
    const auto phase = static_cast<std::uint16_t>(seen.phase);
    if (seen.version != migration_version || seen.zero != 0 || seen.more_zero != 0) return std::nullopt;
    if (phase == 0 || phase > static_cast<std::uint16_t>(migration_phase::rolling_back)) return std::nullopt;
    if (!is_record_width(seen.old_bytes, seen.old_inline)) return std::nullopt;
    if (!is_migration(seen.old_inline, seen.new_bytes, seen.new_inline)) return std::nullopt;
    if (seen.migrated > seen.total || seen.old_parts == 0) return std::nullopt;
    return seen;
}

/// Writes the state, the first 80 bytes of its block.
inline void encode_migration(std::span<std::byte> block, const migration_checkpoint& state) noexcept {
    store_struct(block, state);
}

/// Lists the parts of both tables behind the state, as many as fit.
inline void encode_migration_parts(std::span<std::byte> content, std::span<const extent> old_parts,
                                   std::span<const extent> new_parts) noexcept {
    std::size_t at   = sizeof(migration_checkpoint);
    const auto  list = [&](std::span<const extent> parts) noexcept {
        for (const auto& part : parts) {
            if (content.size() - at < 16) return;
            store_little<std::uint64_t>(content.data() + at, part.first.value);
            store_little<std::uint64_t>(content.data() + at + 8, part.count.value);
            at += 16;
        }
    };
    list(old_parts);
    list(new_parts);
    std::memset(content.data() + at, 0, content.size() - at);
}

/// The same record in another width. What a feature keeps behind the extents stays behind them; new bytes are zero.
/// Precondition: is_migration; both spans are as wide as their records; what is lost behind the extents is unused.
inline void convert_record(std::span<const std::byte> from, std::uint32_t from_inline, std::span<std::byte> into,
                           std::uint32_t into_inline) noexcept {
    const std::size_t from_end  = object_encoded_bytes(from_inline);
    const std::size_t into_end  = object_encoded_bytes(into_inline);
    const std::size_t from_rest = from.size() - from_end;
    const std::size_t into_rest = into.size() - into_end;
    std::memset(into.data(), 0, into.size());
    std::memcpy(into.data(), from.data(), from_end);
    std::memcpy(into.data() + into_end, from.data() + from_end, from_rest < into_rest ? from_rest : into_rest);
}

}  // namespace ashlar::inline v0
