#pragma once
/// What growing and cutting a volume have in common: the superblock and the directory change in one batch.

#include <ashlar/maintenance/alone.hpp>
#include <ashlar/volume/sized_tables.hpp>

namespace ashlar::inline v0 {

/// A volume of another size, before it is one: made in memory, so that nothing fails once changes begin.
struct sized_volume {
    volume_geometry geometry{};
    region_table    regions{};
};

namespace detail {

/// The totals once a group is no more what it was before.
inline void count_difference(volume_totals& now, const group_summary& before, const group_summary& after) noexcept {
    now.free += std::uint64_t{after.free} - before.free;
    now.trimmed += std::uint64_t{after.trimmed} - before.trimmed;
    for (std::size_t k = 0; k < run_classes; ++k)
        now.runs[k] += static_cast<std::uint32_t>(after.runs[k]) - static_cast<std::uint32_t>(before.runs[k]);
}

}  // namespace detail

/// What the volume would be of that size, with a directory that `edit(content)` changes. Uses the staging memory.
/// Error: damaged, where that directory could not be opened.
template <class Volume, class Edit>
result<sized_volume> resized(Volume& volume, block_count blocks, Edit&& edit) noexcept {
    const auto now  = volume.cache.bytes(static_cast<std::uint32_t>(frame_slot::directory));
    const auto copy = volume.staging.first(frame_content_bytes);
    std::memcpy(copy.data(), now.data(), copy.size());
    edit(copy);
    sized_volume made{volume_geometry::of(volume.geometry.block, blocks), {}};
    BOOST_OUTCOME_TRY(made.regions, region_table::decode(copy, made.geometry));
    return made;
}

/// Enters size and directory into the open batch, and into memory. Precondition: `to` was made with the same edit.
template <class Volume, class Edit>
void enter_size(Volume& volume, const sized_volume& to, Edit&& edit) noexcept {
    constexpr auto super   = static_cast<std::uint32_t>(frame_slot::superblock);
    constexpr auto listed  = static_cast<std::uint32_t>(frame_slot::directory);
    const auto     content = volume.cache.bytes(super);
    const auto     put     = [&](std::size_t at) noexcept {
        store_little<std::uint64_t>(content.data() + at, to.geometry.blocks.value);
        volume.cache.change(super, at, sizeof(std::uint64_t));
    };
    put(offsetof(superblock, blocks));
    put(member_rows_offset + offsetof(member_row, blocks));
    if (to.regions.slots() != volume.regions.slots()) {
        edit(volume.cache.bytes(listed));
        volume.cache.change(listed, 0, frame_content_bytes - trailer_bytes);
    }
    volume.geometry.blocks = to.geometry.blocks;  // the block's size is read without the engine's lock
    volume.geometry.groups = to.geometry.groups;
    volume.regions.replace_all(to.regions);
    if (volume.trim_group >= volume.geometry.groups) volume.trim_group = 0;
    ++volume.changes;
}

/// Makes what was entered durable and brings it home, so that the journal holds nothing of the old size. What fails
/// ends writing: opening the volume again decides which size it has.
template <class Volume>
result<> finish_size(Volume& volume) noexcept {
    if (auto done = volume.space.open(volume.metadata()); done.has_error()) return volume.end_writing(done.error());
    publish_gauges(volume);
    return checkpoint_alone(volume);
}

/// Forgets blocks in memory that were, or were not yet, part of the volume. Precondition: everything is at home.
template <class Volume, class Which>
void forget_cached(Volume& volume, Which&& which) noexcept {
    for (std::uint32_t slot = frame_slots; slot < volume.cache.slot_end(); ++slot) {
        const auto& block = volume.cache.at(slot);
        if (block.used && block.evictable() && which(block.home)) volume.cache.drop(slot);
    }
}

}  // namespace ashlar::inline v0
