#pragma once
/// The indirection table of a volume that is opened: read into memory, or said to be damaged.

#include <ashlar/volume/directory.hpp>

namespace ashlar::inline v0 {

namespace detail {

/// Whether an entry says what a slide may have done: a block of a user's region lies in that region's place, or in what
/// the slide has beside it.
template <class Volume>
[[nodiscard]] bool is_entry_of_slide(Volume& volume, const indirection_entry& entry) noexcept {
    for (std::uint32_t i = 0; i < volume.regions.slots(); ++i) {
        const auto slot = slot_at(volume, i);
        if (!is_user_region(slot.type) || !slot.place().contains(entry.logical)) continue;
        return slot.place().contains(entry.physical) || volume.regions.slide().contains(entry.physical);
    }
    return false;
}

/// Reads the table up to the first block that is not full.
/// Errors: damaged and checksum_differs with the block; too_large with the number of entries that the table has room
/// for, where memory has less than there are; those of the device.
template <class Volume>
result<> read_indirection(Volume& volume, const region_table::indirection_place& table) noexcept {
    const auto per_block = indirection_entries_in(volume.geometry.block);
    for (std::uint64_t part = 0; part < table.blocks.count.value; ++part) {
        const auto place = volume.regions.indirection_block(table, static_cast<std::uint32_t>(part));
        BOOST_OUTCOME_TRY(const auto pin, volume.metadata().get(place));
        const std::span<const std::byte> block = volume.cache.bytes(pin.slot());
        const auto                       count = decode_indirection_head(block, static_cast<std::uint32_t>(part));
        if (!count) return error{errc::damaged, place.home};
        if (volume.indirection.capacity() - volume.indirection.count() < *count)
            return error{errc::too_large, block_index{table.blocks.count.value * per_block}};
        for (std::uint32_t i = 0; i < *count; ++i) {
            const auto entry = decode_indirection_entry(block, i, volume.geometry.blocks);
            if (!entry || !is_entry_of_slide(volume, *entry) || volume.indirection.has(entry->logical))
                return error{errc::damaged, place.home};
            BOOST_OUTCOME_TRY(volume.indirection.remap(entry->logical, entry->physical));
        }
        if (*count < per_block) break;
    }
    return success();
}

}  // namespace detail

/// Reads the entries of a volume that is opened. Where that fails a store that only reads opens all the same: its
/// objects are read as ever, and regions say the error.
/// Errors: those of read_indirection. Cost: nothing where no region is being moved in parts; else the table.
template <class Volume>
result<> load_indirection(Volume& volume) noexcept {
    volume.indirection.clear();
    const auto table = volume.regions.indirection();
    if (table.blocks.empty()) return success();
    auto read = detail::read_indirection(volume, table);
    if (read.has_value() || !volume.read_only) return read;
    volume.indirection.lose(read.error());
    return success();
}

}  // namespace ashlar::inline v0
