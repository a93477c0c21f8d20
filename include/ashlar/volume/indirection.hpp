#pragma once
/// The indirection table of a volume: what a slide makes of it, how it is read, checked, and changed in transactions.

#include <ashlar/vocabulary/ratio.hpp>
#include <ashlar/volume/block_edit.hpp>
#include <ashlar/volume/directory.hpp>

namespace ashlar::inline v0 {

/// Blocks of the table that so many entries need.
[[nodiscard]] constexpr block_count table_blocks_for(block_count entries, block_size size) noexcept {
    const std::uint64_t each = indirection_entries_in(size);
    return {quotient_of(entries.value + each - 1, each)};
}

/// Blocks of the table that a slide of so many blocks gets: for no more entries than memory holds at once.
template <class Volume>
[[nodiscard]] block_count table_blocks_of_slide(const Volume& volume, block_count blocks) noexcept {
    return table_blocks_for(std::min(blocks, block_count{volume.indirection.capacity()}), volume.geometry.block);
}

/// A region that slides: it is moved in parts into free blocks directly below it. The directory says its old place
/// until all parts are moved; the blocks below are a region of their own meanwhile, so that nobody else takes them.
/// The first `moved` blocks of the region lie there; the others lie where the directory says. Of those that moved the
/// last ones have entries: a table without room for another part is begun anew with that part (it is *folded*), and
/// what lies before the first entry has moved.
struct region_slide {
    region_slot region{};  ///< Type 0: there is no region behind the blocks any more.
    extent      below{};
    block_count moved{};
    block_count folded{};  ///< Of them, without entries: the table begins behind them.

    [[nodiscard]] block_count       left() const noexcept { return region.place().count - moved; }
    [[nodiscard]] block_index       from(block_count i) const noexcept { return region.place().first + i; }
    [[nodiscard]] block_index       to(block_count i) const noexcept { return below.first + i; }
    [[nodiscard]] indirection_entry entry(block_count i) const noexcept { return {from(i), to(i)}; }
    /// Its first so many blocks, where the directory says.
    [[nodiscard]] extent front(block_count blocks) const noexcept { return {from({}), blocks}; }
};

/// The slide that is under way, or was cut by a crash; empty where none is. Cost: a comparison a slot, in memory.
template <class Volume>
[[nodiscard]] std::optional<region_slide> find_slide(Volume& volume) noexcept {
    const auto below = volume.regions.slide();
    if (below.empty()) return std::nullopt;
    const auto   folded = volume.indirection.folded().count;
    region_slide found{.below = below, .moved = folded + block_count{volume.indirection.count()}, .folded = folded};
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

/// Entries that a table of so many blocks has room for while a region of `whole` blocks slides. It is not full before
/// the region's end: so one that lost blocks of its own in the directory is known.
template <class Volume>
[[nodiscard]] std::uint64_t table_room(const Volume& volume, std::uint64_t whole) noexcept {
    const std::uint64_t full = volume.regions.indirection().count.value * indirection_entries_in(volume.geometry.block);
    return full < whole ? full - (full != 0 ? 1 : 0) : whole;
}

/// Reads the table into memory. Nothing in it is believed that a slide would not have written. The first entry may be
/// of any block of the region: those before it have moved.
/// Errors: those of for_each_table_block; too_large with the number of entries that there may be, where memory has room
/// for fewer.
template <class Volume>
result<> read_indirection(Volume& volume) noexcept {
    const auto found = find_slide(volume);
    const auto table = volume.regions.indirection();
    if (!found || table.empty()) return error{errc::damaged, table.first};
    auto&               map   = volume.indirection;
    const auto          slide = *found;
    const std::uint64_t whole = slide.region.place().count.value;
    const std::uint64_t room  = table_room(volume, whole);
    return for_each_table_block(
        volume, [&](block_index home, std::span<const std::byte> block, std::uint32_t count) noexcept -> result<> {
            const bool fits = count <= room - map.count();  // of a short table with its last block full more is lost
            if (!fits) return error{errc::damaged, home};
            if (count > map.capacity() - map.count()) return error{errc::too_large, block_index{room}};
            for (std::uint32_t i = 0; i < count; ++i) {
                const auto entry = decode_indirection_entry(block, i, volume.geometry.blocks);
                if (!entry || !lies_in({entry->logical, block_count{1}}, slide.region.place()))
                    return error{errc::damaged, home};
                const auto at = entry->logical - slide.from({});
                if (map.empty() && at.value != 0) map.fold(slide.front(at), slide.to({}));
                const auto next = map.folded().count + block_count{map.count()};
                if (at != next || *entry != slide.entry(at)) return error{errc::damaged, home};
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

/// Entries that a slide may have at once: what memory and the table hold.
template <class Volume>
[[nodiscard]] block_count entries_at_once(const Volume& volume, const region_slide& slide) noexcept {
    const std::uint64_t room = detail::table_room(volume, slide.region.place().count.value);
    return {std::min<std::uint64_t>(room, volume.indirection.capacity())};
}

/// Whether so many more blocks of the slide have no room behind the entries that there are, so that the table is begun
/// anew with them.
template <class Volume>
[[nodiscard]] bool folds(const Volume& volume, const region_slide& slide, block_count blocks) noexcept {
    return slide.moved - slide.folded + blocks > entries_at_once(volume, slide);
}

namespace detail {
/// A block of the table behind the first, to be filled from its front. It may have been one before the table was begun
/// anew; where nobody knows of it any more all of it is home, and it is made again.
/// Errors: those of edit_block and create_block.
template <class Volume>
result<block_edit> open_table_block(Volume& volume, std::uint32_t tx, const region_block& place) noexcept {
    const auto slot = volume.cache.find(place.home);
    if (slot != no_slot && volume.cache.at(slot).identity == place.identity)
        return edit_block(volume, tx, place.home, place.identity);
    return create_block(volume, tx, place.home, place.identity);
}
}  // namespace detail

/// Enters the next `blocks` of the slide in the table, in a transaction: behind the last entry, or alone where it is
/// begun anew. Memory follows when that joined (enter_entries). A block that becomes full makes the next one empty, so
/// that reading finds an end. Errors: those of edit_block and create_block.
/// Precondition: blocks <= entries_at_once.
template <class Volume>
result<> append_entries(Volume& volume, std::uint32_t tx, const region_slide& slide, block_count blocks) noexcept {
    const auto    table = volume.regions.indirection();
    const auto    each  = indirection_entries_in(volume.geometry.block);
    const auto    first = folds(volume, slide, blocks) ? slide.moved : slide.folded;
    auto          next  = slide.moved;
    const auto    end   = slide.moved + blocks;
    std::uint32_t part  = static_cast<std::uint32_t>(quotient_of((next - first).value, each));
    auto          place = volume.regions.indirection_block(part);
    BOOST_OUTCOME_TRY(auto edit, edit_block(volume, tx, place.home, place.identity));
    for (;;) {
        auto in = static_cast<std::uint32_t>((next - first).value - std::uint64_t{part} * each);
        for (; in < each && next < end; ++in, next += block_count{1}) {
            const auto bytes = edit.modify(indirection_entry_offset(in), sizeof(indirection_record));
            encode_indirection_entry(bytes, slide.entry(next));
        }
        encode_indirection_head(edit.modify(0, sizeof(indirection_head)), part, in);
        if (in < each || ++part == table.count.value) return success();
        place = volume.regions.indirection_block(part);
        BOOST_OUTCOME_TRY(edit, detail::open_table_block(volume, tx, place));
        encode_indirection_head(edit.modify(0, sizeof(indirection_head)), part, 0);
    }
}

/// Memory follows what append_entries did. Its room was asked for before.
template <class Volume>
void enter_entries(Volume& volume, const region_slide& slide, block_count blocks) noexcept {
    if (folds(volume, slide, blocks)) volume.indirection.fold(slide.front(slide.moved), slide.to({}));
    for (block_count i{}; i < blocks; i += block_count{1}) {
        const auto                  entry = slide.entry(slide.moved + i);
        [[maybe_unused]] const auto put   = volume.indirection.remap(entry.logical, entry.physical);
        ASHLAR_ASSERT(put.has_value());
    }
}

}  // namespace ashlar::inline v0
