#pragma once
/// The region directory of an open volume: looked up in its frame in memory, changed when a transaction joins.

#include <ashlar/volume/volume_state.hpp>

namespace ashlar::inline v0 {

template <class Volume>
[[nodiscard]] region_slot slot_at(Volume& volume, std::uint32_t i) noexcept {
    const auto content = volume.cache.bytes(static_cast<std::uint32_t>(frame_slot::directory));
    return load_struct<region_slot>(content.subspan(region_slot_offset(i)));
}

/// Where a region's slot is, or how many slots there are. Cost: a comparison a slot, in memory.
template <class Volume>
[[nodiscard]] std::uint32_t index_of_region(Volume& volume, region_id region) noexcept {
    std::uint32_t i = 0;
    while (i < volume.regions.slots() && name_of(slot_at(volume, i)) != region) ++i;
    return i;
}

/// Errors: not_found.
template <class Volume>
[[nodiscard]] result<region_slot> find_region(Volume& volume, region_id region) noexcept {
    const auto i = index_of_region(volume, region);
    if (i == volume.regions.slots()) return errc::not_found;
    return slot_at(volume, i);
}

/// Only one open transaction changes the directory. Errors: busy; too_large where it shall hold one more region and all
/// slots are in use.
template <class Volume>
result<> change_region(Volume& volume, std::uint32_t tx, const region_change& change) noexcept {
    for (std::uint32_t i = 0; i < volume.transactions.size(); ++i) {
        if (i != tx && volume.transactions[i].open && volume.transactions[i].region.any()) return errc::busy;
    }
    if (change.before.type == 0 && volume.regions.slots() == region_slots) return errc::too_large;
    volume.transactions[tx].region = change;
    return success();
}

/// Notes a further change of a transaction that changes a region: all of them are made, or none. Errors: too_large
/// where no slot is left, or it has too many.
template <class Volume>
result<> change_beside(Volume& volume, std::uint32_t tx, const region_change& change) noexcept {
    auto&         state = volume.transactions[tx];
    std::uint32_t more  = state.region.before.type == 0 ? 2 : 1;
    for (auto& one : state.beside) {
        if (one.any()) {
            more += one.before.type == 0 ? 1U : 0U;
            continue;
        }
        if (change.before.type == 0 && volume.regions.slots() + more > region_slots) return errc::too_large;
        one = change;
        return success();
    }
    return errc::too_large;
}

/// Enters a change that joins. The slots in use stay at the front: the last one takes the place of one that goes.
template <class Volume>
void change_directory(Volume& volume, const region_change& change) noexcept {
    const auto frame   = static_cast<std::uint32_t>(frame_slot::directory);
    const auto content = volume.cache.bytes(frame);
    const auto put     = [&](std::uint32_t i, const region_slot& slot) noexcept {
        store_struct(content.subspan(region_slot_offset(i)), slot);
        volume.cache.change(frame, region_slot_offset(i), sizeof slot);
    };
    std::uint32_t slots = volume.regions.slots();
    if (change.before.type == 0) {
        put(slots++, change.after);
        static_cast<void>(volume.regions.add(change.after, {}));
    } else if (const auto i = index_of_region(volume, name_of(change.before)); change.after.type != 0) {
        put(i, change.after);
    } else {
        volume.regions.drop(change.before);
        put(i, slot_at(volume, --slots));
        put(slots, {});
    }
    auto head = load_struct<directory_head>(content);
    if (head.slots != slots) {
        head.slots = slots;
        store_struct(content, head);
        volume.cache.change(frame, 0, sizeof head);
    }
    volume.regions.changed(slots);
}

}  // namespace ashlar::inline v0
