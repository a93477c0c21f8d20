#pragma once
/// The indirection table of a volume: what a slide makes of it, how it is read, checked, and changed in transactions.

#include <ashlar/vocabulary/ratio.hpp>
#include <ashlar/volume/block_edit.hpp>
#include <ashlar/volume/directory.hpp>

namespace ashlar::inline v0 {

/// Blocks of the table that a slide of so many blocks needs.
[[nodiscard]] constexpr block_count table_blocks_for(block_count blocks, block_size size) noexcept {
    const std::uint64_t each = indirection_entries_in(size);
    return {quotient_of(blocks.value + each - 1, each)};
}

/// A region that slides: it is moved in parts into free blocks directly below it. The directory says its old place
/// until all parts are moved; the blocks below are a region of their own meanwhile, so that nobody else takes them.
/// The first `moved` blocks of the region have entries; the others lie where the directory says.
struct region_slide {
    region_slot region{};  ///< Type 0: there is no region behind the blocks any more.
    extent      below{};
    block_count moved{};

    [[nodiscard]] block_count       left() const noexcept { return region.place().count - moved; }
    [[nodiscard]] block_index       from(block_count i) const noexcept { return region.place().first + i; }
    [[nodiscard]] block_index       to(block_count i) const noexcept { return below.first + i; }
    [[nodiscard]] indirection_entry entry(block_count i) const noexcept { return {from(i), to(i)}; }
};

/// The slide that is under way, or was cut by a crash; empty where none is. Cost: a comparison a slot, in memory.
template <class Volume>
[[nodiscard]] std::optional<region_slide> find_slide(Volume& volume) noexcept {
    const auto below = volume.regions.slide();
    if (below.empty()) return std::nullopt;
    region_slide found{.below = below, .moved = block_count{volume.indirection.count()}};
    for (std::uint32_t i = 0; i < volume.regions.slots(); ++i) {
        const auto slot = slot_at(volume, i);
        if (is_user_region(slot.type) && slot.place().first == below.end()) found.region = slot;
    }
    return found;
}

/// Whether that region lies in parts, or is about to.
template <class Volume>
[[nodiscard]] bool is_sliding(Volume& volume, region_id name) noexcept {
    const auto slide = find_slide(volume);
    return slide && name_of(slide->region) == name;
}

namespace detail {

/// Calls `each(home, block, entries)` for every block of the table up to the first that is not full.
/// Errors: damaged and checksum_differs with the block; those of `each` and of the device.
template <class Volume, class Each>
result<> for_each_table_block(Volume& volume, Each&& each) noexcept {
    for (std::uint64_t i = 0; i < volume.regions.indirection().count.value; ++i) {
        const auto part  = static_cast<std::uint32_t>(i);
        const auto place = volume.regions.indirection_block(i);
        BOOST_OUTCOME_TRY(const auto pin, volume.metadata().get(place));
        const std::span<const std::byte> block = volume.cache.bytes(pin.slot());
        const auto                       count = decode_indirection_head(block, part);
        if (!count) return error{errc::damaged, place.home};
        BOOST_OUTCOME_TRY(each(place.home, block, *count));
        if (*count < indirection_entries_in(volume.geometry.block)) break;
    }
    return success();
}

/// Reads the table into memory. Nothing in it is believed that a slide would not have written.
/// Errors: those of for_each_table_block; too_large with the number of entries that there may be, where memory has room
/// for fewer.
template <class Volume>
result<> read_indirection(Volume& volume) noexcept {
    const auto slide = find_slide(volume);
    const auto table = volume.regions.indirection();
    if (!slide || table.empty()) return error{errc::damaged, table.first};
    auto&               map   = volume.indirection;
    const std::uint64_t whole = slide->region.place().count.value;
    if (table.count < table_blocks_for(block_count{whole}, volume.geometry.block))
        return error{errc::damaged, table.first};
    return for_each_table_block(
        volume, [&](block_index home, std::span<const std::byte> block, std::uint32_t count) noexcept -> result<> {
            if (count > whole - map.count()) return error{errc::damaged, home};
            if (count > map.capacity() - map.count()) return error{errc::too_large, block_index{whole}};
            for (std::uint32_t i = 0; i < count; ++i) {
                const auto entry = decode_indirection_entry(block, i, volume.geometry.blocks);
                if (!entry || *entry != slide->entry(block_count{map.count()})) return error{errc::damaged, home};
                BOOST_OUTCOME_TRY(map.remap(entry->logical, entry->physical));
            }
            return success();
        });
}

}  // namespace detail

/// Reads the entries of a volume that is opened. Where that fails a store that only reads opens all the same: its
/// objects are read as ever, and regions say the error.
/// Errors: those of read_indirection. Cost: nothing where no region lies in parts; else the table.
template <class Volume>
result<> load_indirection(Volume& volume) noexcept {
    volume.indirection.clear();
    if (volume.regions.indirection().empty() && volume.regions.slide().empty()) return success();
    auto read = detail::read_indirection(volume);
    if (read.has_value() || !volume.read_only) return read;
    volume.indirection.lose(read.error());
    return success();
}

/// Compares the table with what is in memory. Errors: damaged where they differ; those of reading it.
template <class Volume>
result<> check_indirection(Volume& volume) noexcept {
    const auto& map   = volume.indirection;
    const auto  table = volume.regions.indirection();
    if (map.lost().code != errc::none) return map.lost();
    if (table.empty()) return success();
    std::size_t seen = 0;
    BOOST_OUTCOME_TRY(detail::for_each_table_block(
        volume, [&](block_index home, std::span<const std::byte> block, std::uint32_t count) noexcept -> result<> {
            for (std::uint32_t i = 0; i < count; ++i, ++seen) {
                const auto entry = decode_indirection_entry(block, i, volume.geometry.blocks);
                if (seen >= map.count() || entry != map.list()[seen]) return error{errc::damaged, home};
            }
            return success();
        }));
    return seen == map.count() ? result<>{success()} : error{errc::damaged, table.first};
}

/// Appends the entries of the next `blocks` of the slide to the table, in a transaction; memory follows when it joined.
/// A block that becomes full makes the next one, so that reading finds an end. Errors: those of edit_block and
/// create_block.
template <class Volume>
result<> append_entries(Volume& volume, std::uint32_t tx, const region_slide& slide, block_count blocks) noexcept {
    const auto    table = volume.regions.indirection();
    const auto    each  = indirection_entries_in(volume.geometry.block);
    auto          next  = slide.moved;
    const auto    end   = slide.moved + blocks;
    std::uint32_t part  = static_cast<std::uint32_t>(next.value / each);
    auto          place = volume.regions.indirection_block(part);
    BOOST_OUTCOME_TRY(auto edit, edit_block(volume, tx, place.home, place.identity));
    for (;;) {
        auto in = static_cast<std::uint32_t>(next.value - std::uint64_t{part} * each);
        for (; in < each && next < end; ++in, next += block_count{1}) {
            const auto bytes = edit.modify(indirection_entry_offset(in), sizeof(indirection_record));
            encode_indirection_entry(bytes, slide.entry(next));
        }
        encode_indirection_head(edit.modify(0, sizeof(indirection_head)), part, in);
        if (in < each || ++part == table.count.value) return success();
        place = volume.regions.indirection_block(part);
        BOOST_OUTCOME_TRY(edit, create_block(volume, tx, place.home, place.identity));
        encode_indirection_head(edit.modify(0, sizeof(indirection_head)), part, 0);
    }
}

}  // namespace ashlar::inline v0
