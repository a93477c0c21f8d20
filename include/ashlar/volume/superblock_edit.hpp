#pragma once
/// How what a transaction changes in the superblock enters the open batch.

#include <ashlar/volume/directory.hpp>

namespace ashlar::inline v0 {

namespace detail {

/// Stores one field of the superblock, where it differs.
template <class Int, class Volume>
void set_superblock(Volume& volume, std::size_t offset, Int value) noexcept {
    const auto slot    = static_cast<std::uint32_t>(frame_slot::superblock);
    const auto content = volume.cache.bytes(slot);
    if (load_little<Int>(content.data() + offset) == value) return;
    store_little<Int>(content.data() + offset, value);
    volume.cache.change(slot, offset, sizeof value);
}

/// The regions of the next object table become those of the object table, and these the old ones; the pointer table
/// follows.
template <class Volume>
void swap_object_tables(Volume& volume) noexcept {
    const auto directory = static_cast<std::uint32_t>(frame_slot::directory);
    const auto pointers  = static_cast<std::uint32_t>(frame_slot::pointers);
    const auto content   = volume.cache.bytes(directory);
    for (std::uint32_t i = 0; i < volume.regions.slots(); ++i) {
        auto slot = slot_at(volume, i);
        if (slot.type != tag::objects && slot.type != tag::next_objects) continue;
        slot.type = slot.type == tag::objects ? tag::old_objects : tag::objects;
        store_struct(content.subspan(region_slot_offset(i)), slot);
    }
    volume.cache.change(directory, region_slot_offset(0), volume.regions.slots() * sizeof(region_slot));
    volume.regions.swap_objects();
    volume.regions.changed(volume.regions.slots());

    const auto    named = volume.cache.bytes(pointers);
    const auto    head  = load_struct<directory_head>(named);
    const auto    part  = volume.regions.object_parts()[0];
    std::uint32_t i     = 0;
    while (i < head.slots && i < region_slots &&
           load_struct<region_slot>(named.subspan(region_slot_offset(i))).type != tag::objects)
        ++i;
    if (i >= head.slots || i >= region_slots) return;  // where they differ the directory counts
    auto slot   = load_struct<region_slot>(named.subspan(region_slot_offset(i)));
    slot.start  = part.first.value;
    slot.blocks = part.count.value;
    store_struct(named.subspan(region_slot_offset(i)), slot);
    volume.cache.change(pointers, region_slot_offset(i), sizeof slot);
}

}  // namespace detail

/// Enters a change that joins, in the frame and in what the open volume knows of it.
template <class Volume>
void change_superblock(Volume& volume, const superblock_change& change) noexcept {
    const auto content   = volume.cache.bytes(static_cast<std::uint32_t>(frame_slot::superblock));
    const auto read_only = load_little<std::uint64_t>(content.data() + offsetof(superblock, read_only));
    const auto others    = read_only & ~format_change::migrating;
    detail::set_superblock(volume, offsetof(superblock, read_only),
                           others | (change.migrating ? format_change::migrating : std::uint64_t{0}));
    detail::set_superblock(volume, offsetof(superblock, manifest), change.manifest);
    detail::set_superblock(volume, offsetof(superblock, record_bytes), change.record_bytes);
    detail::set_superblock(volume, offsetof(superblock, inline_extents), change.inline_extents);
    if (change.feature < feature_rows) {
        const auto slot = static_cast<std::uint32_t>(frame_slot::superblock);
        store_struct(content.subspan(feature_row_offset(change.feature)), change.row);
        volume.cache.change(slot, feature_row_offset(change.feature), sizeof change.row);
    }
    volume.record_bytes   = change.record_bytes;
    volume.inline_extents = change.inline_extents;
    if (change.swaps_objects) detail::swap_object_tables(volume);
}

/// What the superblock says now, to be changed.
template <class Volume>
[[nodiscard]] superblock_change superblock_as_is(Volume& volume) noexcept {
    const auto seen = load_struct<superblock>(volume.cache.bytes(static_cast<std::uint32_t>(frame_slot::superblock)));
    return {.any            = true,
            .migrating      = (seen.read_only & format_change::migrating) != 0,
            .manifest       = seen.manifest,
            .record_bytes   = volume.record_bytes,
            .inline_extents = volume.inline_extents};
}

}  // namespace ashlar::inline v0
