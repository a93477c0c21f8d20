#pragma once
/// Nodes of the extent tree, and the entries that they and the object records hold.

#include <ashlar/concepts/relocation_host.hpp>
#include <ashlar/format/block_trailer.hpp>
#include <ashlar/vocabulary/address.hpp>
#include <ashlar/vocabulary/little_endian.hpp>
#include <ashlar/vocabulary/result.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

namespace ashlar::inline v0 {

/// Flags of an extent entry. `shared` is kept for blocks with several owners; a build that does not know it refuses.
namespace extent_flag {
inline constexpr std::uint32_t unwritten = 1;
inline constexpr std::uint32_t pinned    = 2;
inline constexpr std::uint32_t shared    = 4;
inline constexpr std::uint32_t known     = unwritten | pinned;
}  // namespace extent_flag

inline constexpr std::uint32_t extent_count_max = 0xFFFF'FFFF;  ///< Blocks of one entry; longer extents take several.
inline constexpr std::uint64_t no_bound = ~std::uint64_t{0};  ///< Upper bound of the last node: no entry ends past it.
inline constexpr std::uint32_t tree_height_max =
    24;  ///< Higher than any tree of 2^64 blocks; a greater number is damage.

/// One extent in memory.
struct extent_entry {
    std::uint64_t logical  = 0;
    std::uint64_t physical = 0;
    std::uint32_t count    = 0;
    std::uint32_t flags    = 0;

    [[nodiscard]] constexpr std::uint64_t end() const noexcept { return logical + count; }
    friend constexpr bool                 operator==(const extent_entry&, const extent_entry&) = default;
};

/// One extent on disk: in a leaf of the tree or in an object record. docs/format.md, "Tree nodes".
///
///   offset  size  field
///        0     8  logical   first block inside the object
///        8     8  physical  first block on the volume
///       16     4  count     blocks; not 0
///       20     4  flags     1 unwritten, 2 pinned, 4 kept for shared blocks
struct leaf_entry_record {
    le_u64 logical;
    le_u64 physical;
    le_u32 count;
    le_u32 flags;
};

/// One child in an inner node. docs/format.md, "Tree nodes".
///
///   offset  size  field
///        0     8  key    lowest logical block that the child may hold; the first child has its parent's key
///        8     8  block  where the child is
///       16     8  node   the child's id
struct inner_entry_record {
    le_u64 key;
    le_u64 block;
    le_u64 node;
};
inline constexpr std::uint32_t entry_bytes = 24;
static_assert(sizeof(leaf_entry_record) == entry_bytes && alignof(leaf_entry_record) == 1);
static_assert(offsetof(leaf_entry_record, count) == 16 && offsetof(leaf_entry_record, flags) == 20);
static_assert(sizeof(inner_entry_record) == entry_bytes && alignof(inner_entry_record) == 1);
static_assert(offsetof(inner_entry_record, block) == 8 && offsetof(inner_entry_record, node) == 16);

/// The first bytes of a node; its entries follow, the block's last 16 bytes are its trailer. docs/format.md, "Tree
/// nodes".
///
///   offset  size  field
///        0     8  owner     id of the object
///        8     8  node      id of the node inside the object
///       16     8  key       lowest logical block that it may hold; 0 in the root
///       24     2  level     0: a leaf
///       26     2  count     entries in use
///       28     4  reserved  zero
struct node_header {
    le_u64 owner;
    le_u64 node;
    le_u64 key;
    le_u16 level;
    le_u16 count;
    le_u32 reserved;
};
inline constexpr std::uint32_t node_header_bytes = 32;
static_assert(sizeof(node_header) == node_header_bytes && alignof(node_header) == 1);
static_assert(offsetof(node_header, key) == 16 && offsetof(node_header, level) == 24 &&
              offsetof(node_header, count) == 26);

/// Entries that a node can hold. The division is by a constant and 32 bits wide.
[[nodiscard]] constexpr std::uint32_t node_capacity(block_size size) noexcept {
    return (size.bytes - node_header_bytes - static_cast<std::uint32_t>(trailer_bytes)) / entry_bytes;
}
static_assert(node_capacity({512}) == 19 && node_capacity({4096}) == 168 && node_capacity({65'536}) < 0xFFFF);

/// A node as the way to it describes it: what its header must say, and which logical blocks belong below it.
struct node_place {
    block_index   block{};
    std::uint64_t node  = 0;
    std::uint64_t key   = 0;         ///< Lowest logical block.
    std::uint64_t upper = no_bound;  ///< End of its logical blocks.
    std::uint32_t level = 0;
};

[[nodiscard]] inline std::uint64_t key_at(const std::byte* entries, std::uint32_t i) noexcept {
    return load_little<std::uint64_t>(entries + std::size_t{i} * entry_bytes);
}

[[nodiscard]] inline extent_entry entry_at(const std::byte* entries, std::uint32_t i) noexcept {
    const std::byte* from = entries + std::size_t{i} * entry_bytes;
    return {load_little<std::uint64_t>(from), load_little<std::uint64_t>(from + 8),
            load_little<std::uint32_t>(from + 16), load_little<std::uint32_t>(from + 20)};
}

inline void store_entry(std::byte* to, const extent_entry& entry) noexcept {
    store_little<std::uint64_t>(to, entry.logical);
    store_little<std::uint64_t>(to + 8, entry.physical);
    store_little<std::uint32_t>(to + 16, entry.count);
    store_little<std::uint32_t>(to + 20, entry.flags);
}

/// How many of the first `count` entries have a key of at most `logical`. Entries without order give some number, no
/// harm.
[[nodiscard]] inline std::uint32_t entries_up_to(const std::byte* entries, std::uint32_t count,
                                                 std::uint64_t logical) noexcept {
    std::uint32_t low = 0;
    while (count > 0) {
        const std::uint32_t half  = count / 2U;
        const bool          right = key_at(entries, low + half) <= logical;
        low                       = right ? low + half + 1U : low;
        count                     = right ? count - half - 1U : half;
    }
    return low;
}

/// Checks an entry that must lie in [lower, upper). Errors: damaged; unsupported with the unknown flags in `where`.
[[nodiscard]] inline result<> check_entry(const extent_entry& entry, std::uint64_t lower,
                                          std::uint64_t upper) noexcept {
    if ((entry.flags & ~extent_flag::known) != 0) return error{errc::unsupported, block_index{entry.flags}};
    const bool in_bounds = entry.logical >= lower && entry.logical < upper && entry.count > 0 &&
                           entry.count <= upper - entry.logical && entry.count <= no_bound - entry.physical;
    if (!in_bounds) return error{errc::damaged, block_index{entry.physical}};
    return success();
}

/// Checks that a block is the node that the way to it promised, and answers how many entries it has. Error: damaged.
[[nodiscard]] inline result<std::uint32_t> check_node(std::span<const std::byte> block, std::uint64_t owner,
                                                      const node_place& place) noexcept {
    const auto          header = load_struct<node_header>(block);
    const std::uint32_t count  = header.count;
    const bool          matches =
        header.owner == owner && header.node == place.node && header.key == place.key && header.level == place.level;
    if (!matches || count > node_capacity({static_cast<std::uint32_t>(block.size())}))
        return error{errc::damaged, place.block};
    if (place.level == 0) return count;
    if (count == 0 || key_at(block.data() + node_header_bytes, 0) != place.key)
        return error{errc::damaged, place.block};
    return count;
}

/// The child of an inner node at `i`, with the bounds that follow. Error: damaged, where keys are not in order.
/// Precondition: i < count, and check_node accepted the block.
[[nodiscard]] inline result<node_place> child_at(std::span<const std::byte> block, std::uint32_t count, std::uint32_t i,
                                                 const node_place& parent) noexcept {
    const std::byte* entries = block.data() + node_header_bytes;
    const auto child = load_struct<inner_entry_record>(block.subspan(node_header_bytes + std::size_t{i} * entry_bytes));
    node_place place;
    place.block = {child.block};
    place.node  = child.node;
    place.key   = child.key;
    place.upper = i + 1U < count ? key_at(entries, i + 1U) : parent.upper;
    place.level = parent.level - 1U;
    if (place.key < parent.key || place.key >= place.upper || place.upper > parent.upper)
        return error{errc::damaged, parent.block};
    return place;
}

/// Which child `logical` belongs to. Precondition: the node has one or more.
[[nodiscard]] inline std::uint32_t child_index(std::span<const std::byte> block, std::uint32_t count,
                                               std::uint64_t logical) noexcept {
    const std::uint32_t before = entries_up_to(block.data() + node_header_bytes, count, logical);
    return before == 0 ? 0 : before - 1U;
}

/// The child that `logical` belongs to. Error: damaged. The search compared `logical` with both bounds of the child, so
/// that they hold it also in a node whose keys are in no order. Precondition: the parent's bounds hold it.
[[nodiscard]] inline result<node_place> child_for(std::span<const std::byte> block, std::uint32_t count,
                                                  std::uint64_t logical, const node_place& parent) noexcept {
    return child_at(block, count, child_index(block, count, logical), parent);
}

/// Checks every entry of a node, for who verifies a whole volume; lookups check what they use. Errors: damaged,
/// unsupported.
[[nodiscard]] inline result<> check_node_whole(std::span<const std::byte> block, std::uint64_t owner,
                                               const node_place& place) noexcept {
    BOOST_OUTCOME_TRY(const auto count, check_node(block, owner, place));
    std::uint64_t lower = place.key;
    for (std::uint32_t i = 0; i < count; ++i) {
        if (place.level > 0) {
            BOOST_OUTCOME_TRY(child_at(block, count, i, place));
        } else {
            const auto entry = entry_at(block.data() + node_header_bytes, i);
            BOOST_OUTCOME_TRY(check_entry(entry, lower, place.upper));
            lower = entry.end();
        }
    }
    return success();
}

[[nodiscard]] constexpr mapped_extent to_mapped(const extent_entry& entry) noexcept {
    return {{entry.logical},
            {{entry.physical}, {entry.count}},
            (entry.flags & extent_flag::pinned) != 0,
            (entry.flags & extent_flag::unwritten) != 0};
}

/// Precondition: the extent has at most extent_count_max blocks.
[[nodiscard]] constexpr extent_entry to_entry(const mapped_extent& piece) noexcept {
    return {piece.logical.value, piece.physical.first.value, static_cast<std::uint32_t>(piece.physical.count.value),
            (piece.pinned ? extent_flag::pinned : 0U) | (piece.unwritten ? extent_flag::unwritten : 0U)};
}

/// The part of an entry that lies in [from, to). Precondition: there is one.
[[nodiscard]] constexpr extent_entry part_between(const extent_entry& entry, std::uint64_t from,
                                                  std::uint64_t to) noexcept {
    const std::uint64_t first = entry.logical < from ? from : entry.logical;
    const std::uint64_t end   = entry.end() < to ? entry.end() : to;
    return {first, entry.physical + (first - entry.logical), static_cast<std::uint32_t>(end - first), entry.flags};
}

/// Whether `b` goes on where `a` ends, inside the object and on the volume, and both fit one entry.
[[nodiscard]] constexpr bool joinable(const extent_entry& a, const extent_entry& b) noexcept {
    return a.end() == b.logical && a.physical + a.count == b.physical && a.flags == b.flags &&
           b.count <= extent_count_max - a.count;
}

}  // namespace ashlar::inline v0
