#pragma once
/// Keeping a run of blocks from being given out, so that what leaves it stays away.

#include <ashlar/volume/block_loader.hpp>

namespace ashlar::inline v0 {

template <class Source>
result<bool> space::count_withheld(const metadata_access<Source>& at) noexcept {
    if (withheld_.uncounted().empty()) return false;
    const auto size  = at.geometry.block;
    const auto group = place_of(withheld_.uncounted().first, size).group;
    const auto part  = part_in_group(withheld(), group, size);
    BOOST_OUTCOME_TRY(const auto known, summary(at, group));
    std::uint64_t free = part.count;
    if (part.count == at.geometry.group_blocks(group)) {
        free = known.free;
    } else if (known.bitmap_written) {
        BOOST_OUTCOME_TRY(const auto pin, at.get(at.regions.bitmap(group)));
        load_bitmap(scratch_, at.cache.bytes(pin.slot()), at.geometry.group_blocks(group));
        free -= count_set(scratch_, part);
    }
    const extent here{first_of_group(group, size) + block_count{part.first}, block_count{part.count}};
    // Reserved and retired blocks are free on the device; they are counted already.
    for (const auto& run : reserved_.all()) free -= common_part(run, here).count.value;
    for (const auto& run : retired_.all()) free -= common_part(run.blocks, here).count.value;
    withheld_.count(here.end(), block_count{free});
    return !withheld_.uncounted().empty();
}

inline withheld_blocks space::withheld_now() const noexcept {
    withheld_blocks now;
    for (const auto& run : reserved_.all()) now.reserved += common_part(run, withheld()).count;
    for (const auto& run : retired_.all()) now.draining += common_part(run.blocks, withheld()).count;
    const auto free = now.reserved + now.draining + withheld_.free();
    now.in_use      = withheld().count > free ? withheld().count - free : block_count{};
    return now;
}

/// Gives nothing out of these blocks any more: neither to data nor to metadata nor to what is moved, until
/// `stop_withholding`, or until the volume is closed. In memory only. What is in use inside stays so.
/// Errors: out_of_range; invalid_argument for no blocks; busy where others are withheld already; no_space where less
/// is free outside than metadata has in reserve, so that an erase always works; those of reading group records
/// and bitmaps. After an error nothing is withheld that was not before.
/// Cost: the group records of the extent, and the bitmaps at its ends. Precondition: the volume is entered.
template <class Volume>
result<> withhold(Volume& volume, extent blocks) noexcept {
    if (blocks.empty()) return errc::invalid_argument;
    if (!lies_in(blocks, {block_index{0}, volume.geometry.blocks})) return error{errc::out_of_range, blocks.first};
    if (!volume.space.withheld().empty()) return error{errc::busy, volume.space.withheld().first};
    volume.space.withhold(blocks, volume.geometry);
    result<> done = success();
    for (bool more = true; more && done.has_value();) {
        const auto next = with_loads(volume, [&]() noexcept { return volume.space.count_withheld(volume.metadata()); });
        if (next.has_error()) done = next.error();
        more = next.has_value() && next.value();
    }
    if (done.has_value() && !volume.space.has_reserve()) done = errc::no_space;
    if (done.has_error()) volume.space.withhold({}, volume.geometry);
    return done;
}

/// All blocks may be given out again. Precondition: the volume is entered.
template <class Volume>
void stop_withholding(Volume& volume) noexcept {
    volume.space.withhold({}, volume.geometry);
}

}  // namespace ashlar::inline v0
