#pragma once
/// What an imported tree is besides its bytes: names, kinds, modes, times, links, and which object holds which file.

#include "names.hpp"

#include <ashlar/checksum/xxhash.hpp>
#include <ashlar/vocabulary/address.hpp>
#include <ashlar/vocabulary/little_endian.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace cli {

enum class entry_kind : std::uint8_t { file = 1, folder = 2, symbolic_link = 3 };

/// One name of the tree. The bytes of names and link targets are kept as the file system gave them.
struct catalogue_entry {
    std::string       path{};    ///< Relative to the top; the top itself is the empty path.
    std::string       target{};  ///< Of a symbolic link.
    entry_kind        kind        = entry_kind::file;
    std::uint16_t     mode        = 0;  ///< The twelve permission bits.
    std::int64_t      modified_s  = 0;  ///< Modification time, seconds of the epoch,
    std::uint32_t     modified_ns = 0;  ///< and nanoseconds.
    ashlar::object_id object{};         ///< Of a file with bytes; none for an empty one. Hard links share it.
    std::uint64_t     size = 0;         ///< Of a file.

    friend bool operator==(const catalogue_entry&, const catalogue_entry&) = default;
};

/// Sorted by path, byte by byte; each path once; each parent is a folder of the same catalogue.
using catalogue = std::vector<catalogue_entry>;

/// The first 40 bytes of the catalogue.
///
///   offset  size  field
///        0     8  magic      "ashlrcat"
///        8     4  version    1
///       12     4  zero
///       16     8  entries
///       24     8  bytes      of the whole catalogue, this header included
///       32     8  checksum   XXH64 of everything behind this header, seeded with the 32 bytes before
struct catalogue_header {
    ashlar::le_u64 magic;
    ashlar::le_u32 version;
    ashlar::le_u32 zero;
    ashlar::le_u64 entries;
    ashlar::le_u64 bytes;
    ashlar::le_u64 checksum;
};
static_assert(sizeof(catalogue_header) == 40 && alignof(catalogue_header) == 1);

/// Before the bytes of path and target of each entry.
///
///   offset  size  field
///        0     1  kind           1 file, 2 folder, 3 symbolic link
///        1     1  zero
///        2     2  mode
///        4     4  modified_ns
///        8     8  modified_s     two's complement
///       16     8  object
///       24     8  size
///       32     4  path_bytes
///       36     4  target_bytes
struct catalogue_record {
    ashlar::little_endian<std::uint8_t> kind;
    ashlar::little_endian<std::uint8_t> zero;
    ashlar::le_u16                      mode;
    ashlar::le_u32                      modified_ns;
    ashlar::le_u64                      modified_s;
    ashlar::le_u64                      object;
    ashlar::le_u64                      size;
    ashlar::le_u32                      path_bytes;
    ashlar::le_u32                      target_bytes;
};
static_assert(sizeof(catalogue_record) == 40 && alignof(catalogue_record) == 1);

inline constexpr std::uint64_t catalogue_magic   = 0x7461'6372'6c68'7361;  // "ashlrcat"
inline constexpr std::uint32_t catalogue_version = 1;

namespace detail {

[[nodiscard]] inline std::uint64_t catalogue_checksum(std::span<const std::byte> whole) {
    constexpr std::size_t seeded = offsetof(catalogue_header, checksum);
    return ashlar::xxh64(whole.subspan(sizeof(catalogue_header)), ashlar::xxh64(whole.first(seeded), 0));
}

inline void append_bytes(std::vector<std::byte>& to, const void* from, std::size_t size) {
    const auto* const first = static_cast<const std::byte*>(from);
    to.insert(to.end(), first, first + size);
}

/// Whether one entry makes sense alone.
[[nodiscard]] inline bool is_sound(const catalogue_entry& entry) {
    if (!is_safe_path(entry.path) || entry.modified_ns >= 1'000'000'000 || entry.mode > 07777) return false;
    switch (entry.kind) {
        case entry_kind::file:
            return entry.target.empty() && !entry.path.empty() &&
                   (static_cast<bool>(entry.object) == (entry.size != 0));
        case entry_kind::folder: return entry.target.empty() && !entry.object && entry.size == 0;
        case entry_kind::symbolic_link:
            return !entry.path.empty() && !entry.target.empty() && entry.target.size() <= path_bytes_max &&
                   entry.target.find('\0') == std::string::npos && !entry.object && entry.size == 0;
    }
    return false;
}

/// Reads one entry at the front of `bytes` and takes it away; empty where it is cut or makes no sense.
[[nodiscard]] inline std::optional<catalogue_entry> take_entry(std::span<const std::byte>& bytes) {
    if (bytes.size() < sizeof(catalogue_record)) return std::nullopt;
    const auto record              = ashlar::load_struct<catalogue_record>(bytes);
    bytes                          = bytes.subspan(sizeof record);
    const std::uint32_t path_bytes = record.path_bytes, target_bytes = record.target_bytes;
    if (path_bytes > path_bytes_max || target_bytes > path_bytes_max || record.zero != 0) return std::nullopt;
    if (bytes.size() < std::size_t{path_bytes} + target_bytes) return std::nullopt;

    const auto* const text = reinterpret_cast<const char*>(bytes.data());
    catalogue_entry   entry{.path        = {text, path_bytes},
                            .target      = {text + path_bytes, target_bytes},
                            .kind        = static_cast<entry_kind>(static_cast<std::uint8_t>(record.kind)),
                            .mode        = record.mode,
                            .modified_s  = static_cast<std::int64_t>(static_cast<std::uint64_t>(record.modified_s)),
                            .modified_ns = record.modified_ns,
                            .object      = {record.object},
                            .size        = record.size};
    bytes = bytes.subspan(std::size_t{path_bytes} + target_bytes);
    if (!is_sound(entry)) return std::nullopt;
    return entry;
}

}  // namespace detail

/// Brings entries into the order of a catalogue.
inline void sort_catalogue(catalogue& entries) {
    std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
}

/// Whether the entries together are a tree: sorted, no path twice, every parent a folder, hard links of one size.
[[nodiscard]] inline bool is_tree(const catalogue& entries) {
    std::unordered_set<std::string_view>             folders;
    std::unordered_map<std::uint64_t, std::uint64_t> sizes;
    const std::string*                               before = nullptr;
    for (const auto& entry : entries) {
        if (!detail::is_sound(entry) || (before != nullptr && !(*before < entry.path))) return false;
        before = &entry.path;
        if (!entry.path.empty() && !folders.contains(parent_of(entry.path))) return false;
        if (entry.kind == entry_kind::folder) folders.insert(entry.path);
        if (entry.object && sizes.try_emplace(entry.object.value, entry.size).first->second != entry.size) return false;
    }
    return true;
}

/// The catalogue as bytes. Precondition: `is_tree(entries)`.
[[nodiscard]] inline std::vector<std::byte> encode_catalogue(const catalogue& entries) {
    std::vector<std::byte> bytes(sizeof(catalogue_header));
    for (const auto& entry : entries) {
        catalogue_record record;
        record.kind         = static_cast<std::uint8_t>(entry.kind);
        record.mode         = entry.mode;
        record.modified_ns  = entry.modified_ns;
        record.modified_s   = static_cast<std::uint64_t>(entry.modified_s);
        record.object       = entry.object.value;
        record.size         = entry.size;
        record.path_bytes   = static_cast<std::uint32_t>(entry.path.size());
        record.target_bytes = static_cast<std::uint32_t>(entry.target.size());
        detail::append_bytes(bytes, &record, sizeof record);
        detail::append_bytes(bytes, entry.path.data(), entry.path.size());
        detail::append_bytes(bytes, entry.target.data(), entry.target.size());
    }
    catalogue_header header;
    header.magic   = catalogue_magic;
    header.version = catalogue_version;
    header.entries = entries.size();
    header.bytes   = bytes.size();
    ashlar::store_struct(bytes, header);
    header.checksum = detail::catalogue_checksum(bytes);
    ashlar::store_struct(bytes, header);
    return bytes;
}

/// Reads a catalogue. Nothing in `bytes` is trusted: what is cut, does not match its checksum, names a path that could
/// lead out of a folder, or is no tree gives none.
[[nodiscard]] inline std::optional<catalogue> decode_catalogue(std::span<const std::byte> bytes) {
    if (bytes.size() < sizeof(catalogue_header)) return std::nullopt;
    const auto header = ashlar::load_struct<catalogue_header>(bytes);
    if (header.magic != catalogue_magic || header.version != catalogue_version || header.zero != 0) return std::nullopt;
    if (header.bytes != bytes.size() || header.checksum != detail::catalogue_checksum(bytes)) return std::nullopt;
    auto rest = bytes.subspan(sizeof(catalogue_header));
    if (header.entries > rest.size() / sizeof(catalogue_record)) return std::nullopt;

    catalogue entries;
    entries.reserve(header.entries);
    for (std::uint64_t i = 0; i < header.entries; ++i) {
        auto entry = detail::take_entry(rest);
        if (!entry) return std::nullopt;
        entries.push_back(std::move(*entry));
    }
    if (!rest.empty() || !is_tree(entries)) return std::nullopt;
    return entries;
}

/// The first bytes of the root object: where the catalogue is. Replaced by one write, so that a reader sees the old
/// catalogue or the new one and never half of one.
///
///   offset  size  field
///        0     8  magic       "ashlrtre"
///        8     4  version     1
///       12     4  imports     how many imports made this catalogue
///       16     8  object      that holds the catalogue
///       24     8  bytes       of the catalogue
///       32     8  checksum    XXH64 of the bytes before
struct tree_record {
    ashlar::le_u64 magic;
    ashlar::le_u32 version;
    ashlar::le_u32 imports;
    ashlar::le_u64 object;
    ashlar::le_u64 bytes;
    ashlar::le_u64 checksum;
};
static_assert(sizeof(tree_record) == 40 && alignof(tree_record) == 1);

inline constexpr std::uint64_t tree_magic          = 0x6572'7472'6c68'7361;  // "ashlrtre"
inline constexpr std::uint64_t catalogue_bytes_max = 4ULL << 30U;

/// Whether an object of so many blocks can hold a catalogue of so many bytes. A catalogue has no holes: an object of a
/// hostile volume may claim any size, and memory is taken for what can stand on the volume only.
[[nodiscard]] constexpr bool can_hold_catalogue(std::uint64_t blocks, std::uint64_t volume_blocks,
                                                std::uint32_t block_bytes, std::uint64_t bytes) {
    return blocks <= volume_blocks && bytes <= catalogue_bytes_max && (bytes + block_bytes - 1) / block_bytes <= blocks;
}

[[nodiscard]] inline std::uint64_t checksum_of(const tree_record& record) {
    return ashlar::xxh64(std::as_bytes(std::span{&record, 1}).first(offsetof(tree_record, checksum)), 0);
}

[[nodiscard]] inline bool is_sound(const tree_record& record) {
    return record.magic == tree_magic && record.version == 1 && record.checksum == checksum_of(record) &&
           record.object != 0 && record.bytes >= sizeof(catalogue_header) && record.bytes <= catalogue_bytes_max;
}

}  // namespace cli
