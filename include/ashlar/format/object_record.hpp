#pragma once
/// Object records: what the object table knows of one object.

#include <ashlar/format/tree_node.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace ashlar::inline v0 {

inline constexpr std::uint32_t object_record_bytes  = 136;  ///< Width of a record unless a feature made it wider.
inline constexpr std::uint32_t object_header_bytes  = 88;   ///< Before the extents.
inline constexpr std::uint32_t attribute_bytes      = 32;   ///< The caller's own.
inline constexpr std::uint32_t inline_extents_limit = 7;    ///< Extents that a record of any width holds at most.

/// Extents that fit a record of so many bytes without a tree: two in the usual 136.
[[nodiscard]] constexpr std::uint32_t inline_extents_for(std::uint32_t record_bytes) noexcept {
    const std::uint32_t fit =
        record_bytes < object_header_bytes ? 0U : (record_bytes - object_header_bytes) / entry_bytes;
    return fit < inline_extents_limit ? fit : inline_extents_limit;
}
static_assert(inline_extents_for(object_record_bytes) == 2);

inline constexpr std::uint32_t record_bytes_max = 256;

/// Whether a volume may have records of that width, with so many extents in each.
[[nodiscard]] constexpr bool is_record_width(std::uint32_t record_bytes, std::uint32_t inline_extents) noexcept {
    return record_bytes <= record_bytes_max && record_bytes % 8U == 0 && inline_extents >= 1 &&
           inline_extents <= inline_extents_for(record_bytes);
}

/// Where an object's extents are. A copy of it belongs to a transaction, as its pages do: drop both or keep both.
/// Invariant: with height 0 the first `extents` entries stand in `entries`, encoded as on disk; else in the tree at
/// `root`.
struct extent_map_state {
    object_id     owner{};
    std::uint32_t height    = 0;  ///< Levels of the tree; 0: no tree.
    std::uint32_t next_node = 1;  ///< Id of the next node; ids begin again at 1 after 2^32.
    block_index   root{};
    std::uint64_t root_node       = 0;
    std::uint64_t extents         = 0;
    std::uint64_t blocks          = 0;  ///< Blocks of all extents.
    std::uint32_t inline_capacity = inline_extents_for(object_record_bytes);
    std::array<std::byte, std::size_t{inline_extents_limit} * entry_bytes> entries{};
};

/// One object in memory.
struct object_state {
    object_id                              id{};
    std::uint64_t                          size       = 0;  ///< Bytes.
    bool                                   in_use     = false;
    bool                                   dying      = false;  ///< Erased; its blocks are freed in steps.
    bool                                   shrinking  = false;  ///< Truncated; blocks past the end are freed in steps.
    std::uint64_t                          generation = 0;      ///< Of the mapping.
    object_id                              next_dying{};        ///< The next on the list of the dying.
    std::array<std::byte, attribute_bytes> attributes{};
    extent_map_state                       map{};
};

namespace object_flag {
inline constexpr std::uint16_t in_use    = 1;
inline constexpr std::uint16_t dying     = 2;
inline constexpr std::uint16_t shrinking = 4;
inline constexpr std::uint16_t known     = in_use | dying | shrinking;
}  // namespace object_flag

/// One object on disk, the first 88 bytes. docs/format.md, "Object records".
///
///   offset  size  field
///        0     8  id          0 in a record that was never used
///        8     8  size        bytes
///       16     2  flags       1 in use, 2 dying, 4 shrinking
///       18     2  height      levels of the extent tree; 0: the extents stand in the record
///       20     4  next_node   id of the next tree node
///       24     8  extents     extents of the object
///       32     8  blocks      blocks of all extents
///       40     8  generation  of the mapping
///       48     8  next_dying  next object on the list of the dying
///       56    32  attributes  the caller's own
///       88   24n  entries     with height 0: the extents, unused ones zero
///       88     8  root        with a tree: block of the root
///       96     8  root_node   with a tree: id of the root
/// Bytes behind the entries belong to features.
struct object_record {
    le_u64    id;
    le_u64    size;
    le_u16    flags;
    le_u16    height;
    le_u32    next_node;
    le_u64    extents;
    le_u64    blocks;
    le_u64    generation;
    le_u64    next_dying;
    std::byte attributes[attribute_bytes]{};
};
static_assert(sizeof(object_record) == object_header_bytes && alignof(object_record) == 1);
static_assert(offsetof(object_record, flags) == 16 && offsetof(object_record, height) == 18);
static_assert(offsetof(object_record, next_node) == 20 && offsetof(object_record, extents) == 24);
static_assert(offsetof(object_record, generation) == 40 && offsetof(object_record, next_dying) == 48);
static_assert(offsetof(object_record, attributes) == 56);

/// Bytes that encode_object writes.
[[nodiscard]] constexpr std::uint32_t object_encoded_bytes(std::uint32_t inline_capacity) noexcept {
    return object_header_bytes + inline_capacity * entry_bytes;
}

/// Writes an object. Precondition: `record` has object_encoded_bytes or more, and the capacity is at least 1.
inline void encode_object(std::span<std::byte> record, const object_state& object) noexcept {
    const auto& map = object.map;
    ASHLAR_ASSERT(map.inline_capacity >= 1 && map.inline_capacity <= inline_extents_limit);
    ASHLAR_ASSERT(record.size() >= object_encoded_bytes(map.inline_capacity));
    object_record header;
    header.id   = object.id.value;
    header.size = object.size;
    header.flags =
        static_cast<std::uint16_t>((object.in_use ? object_flag::in_use : 0) | (object.dying ? object_flag::dying : 0) |
                                   (object.shrinking ? object_flag::shrinking : 0));
    header.height     = static_cast<std::uint16_t>(map.height);
    header.next_node  = map.next_node;
    header.extents    = map.extents;
    header.blocks     = map.blocks;
    header.generation = object.generation;
    header.next_dying = object.next_dying.value;
    std::memcpy(header.attributes, object.attributes.data(), attribute_bytes);
    store_struct(record, header);

    const auto area = record.subspan(object_header_bytes, std::size_t{map.inline_capacity} * entry_bytes);
    std::memset(area.data(), 0, area.size());
    if (map.height == 0) {
        std::memcpy(area.data(), map.entries.data(), static_cast<std::size_t>(map.extents) * entry_bytes);
    } else {
        store_little<std::uint64_t>(area.data(), map.root.value);
        store_little<std::uint64_t>(area.data() + 8, map.root_node);
    }
}

/// Checks extents that stand in a record: order, bounds, sums. Errors: damaged, unsupported.
[[nodiscard]] inline result<> check_inline(const extent_map_state& map) noexcept {
    std::uint64_t lower  = 0;
    std::uint64_t blocks = 0;
    for (std::uint32_t i = 0; i < map.extents; ++i) {
        const auto entry = entry_at(map.entries.data(), i);
        BOOST_OUTCOME_TRY(check_entry(entry, lower, no_bound));
        lower = entry.end();
        blocks += entry.count;
    }
    if (blocks != map.blocks) return errc::damaged;
    return success();
}

/// Reads an object. A record that is not in use gives an empty object. `inline_capacity` is the volume's.
/// Errors: damaged, where it contradicts itself; unsupported, with the unknown flags in `where`.
[[nodiscard]] inline result<object_state> decode_object(std::span<const std::byte> record,
                                                        std::uint32_t              inline_capacity) noexcept {
    ASHLAR_ASSERT(inline_capacity >= 1 && inline_capacity <= inline_extents_limit);
    ASHLAR_ASSERT(record.size() >= object_encoded_bytes(inline_capacity));
    const auto          header = load_struct<object_record>(record);
    const std::uint16_t flags  = header.flags;
    object_state        object;
    auto&               map = object.map;
    map.inline_capacity     = inline_capacity;
    if ((flags & object_flag::in_use) == 0) return object;
    if ((flags & ~object_flag::known) != 0) return error{errc::unsupported, block_index{flags}};

    object.id         = {header.id};
    object.size       = header.size;
    object.in_use     = true;
    object.dying      = (flags & object_flag::dying) != 0;
    object.shrinking  = (flags & object_flag::shrinking) != 0;
    object.generation = header.generation;
    object.next_dying = {header.next_dying};
    std::memcpy(object.attributes.data(), header.attributes, attribute_bytes);
    map.owner       = object.id;
    map.height      = header.height;
    map.next_node   = header.next_node;
    map.extents     = header.extents;
    map.blocks      = header.blocks;
    const auto area = record.subspan(object_header_bytes, std::size_t{inline_capacity} * entry_bytes);
    const bool sane = object.id.value != 0 && map.height <= tree_height_max && map.next_node != 0 &&
                      map.blocks >= map.extents && (object.dying || object.shrinking || object.next_dying.value == 0);
    if (!sane) return errc::damaged;
    if (map.height == 0) {
        if (map.extents > inline_capacity) return errc::damaged;
        std::memcpy(map.entries.data(), area.data(), area.size());
        BOOST_OUTCOME_TRY(check_inline(map));
        return object;
    }
    map.root      = {load_little<std::uint64_t>(area.data())};
    map.root_node = load_little<std::uint64_t>(area.data() + 8);
    if (map.extents == 0 || map.root_node == 0) return errc::damaged;
    return object;
}

}  // namespace ashlar::inline v0
