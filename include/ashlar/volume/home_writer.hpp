#pragma once
/// Metadata blocks go home.

#include <ashlar/volume/volume_state.hpp>

#include <algorithm>

namespace ashlar::inline v0 {

/// Writes one frame at its first place or its mirror. Cost: one write.
template <class Volume>
result<> write_frame(Volume& volume, std::uint32_t slot, bool mirror) noexcept {
    const block_size size  = volume.geometry.block;
    const auto       frame = volume.staging.first(frame_bytes_of(size));
    std::memset(frame.data(), 0, frame.size());
    std::memcpy(frame.data(), volume.cache.bytes(slot).data(), frame_content_bytes);
    auto home = volume.cache.at(slot).home;
    if (mirror) {
        const bool directory = slot == static_cast<std::uint32_t>(frame_slot::directory);
        home                 = home + block_count{frame_blocks_of(size).value * (directory ? 1U : 4U)};
    }
    const auto blocks = frame_blocks_of(size);
    return volume.lock.outside([&]() noexcept { return volume.device.write({home, blocks}, frame); });
}

/// Writes runs of neighbouring blocks with as few transfers as the staging memory allows; with `compare` reads back
/// instead.
template <class Volume>
result<> transfer_home(Volume& volume, std::span<const std::uint32_t> slots, bool compare) noexcept {
    const block_size  size  = volume.geometry.block;
    const std::size_t most  = volume.staging.size() >> size.shift();
    std::size_t       begin = 0;
    while (begin < slots.size()) {
        if (compare && volume.cache.at(slots[begin]).riding) {  // data is proved whenever it is read
            ++begin;
            continue;
        }
        const auto  first = volume.cache.at(slots[begin]).home;
        std::size_t count = 0;
        while (begin + count < slots.size() && count < most &&
               volume.cache.at(slots[begin + count]).home == first + block_count{count} &&
               !(compare && volume.cache.at(slots[begin + count]).riding)) {
            if (!compare)
                std::memcpy(volume.staging.data() + (count << size.shift()),
                            volume.cache.bytes(slots[begin + count]).data(), size.bytes);
            ++count;
        }
        const auto   bytes = volume.staging.first(count << size.shift());
        const extent run{first, block_count{count}};
        if (!compare) {
            BOOST_OUTCOME_TRY(volume.lock.outside([&]() noexcept { return volume.device.write(run, bytes); }));
        } else {
            BOOST_OUTCOME_TRY(volume.lock.outside([&]() noexcept { return volume.device.read(run, bytes); }));
            for (std::size_t i = 0; i < count; ++i) {
                if (std::memcmp(bytes.data() + (i << size.shift()), volume.cache.bytes(slots[begin + i]).data(),
                                size.bytes) != 0) {
                    return error{errc::checksum_differs, first + block_count{i}};
                }
            }
        }
        begin += count;
    }
    return success();
}

/// Writes every block home whose changes are confirmed, and syncs. A frame's second copy follows the sync of its first,
/// so that one of them is always whole. Precondition: the caller confirmed every journaled batch (R2), and nothing
/// changes meanwhile, since the lock is given up during each transfer.
/// Errors: those of the device; checksum_differs where reading back shows other bytes.
template <class Volume>
result<> write_home(Volume& volume) noexcept {
    auto&       cache = volume.cache;
    std::size_t count = 0;
    bool        frames[frame_slots]{};
    for (std::uint32_t slot = 0; slot < cache.slot_end(); ++slot) {
        const auto& block = cache.at(slot);
        if (!block.used || block.first_change.value == 0) continue;
        if constexpr (Volume::journal_type::durable) ASHLAR_ASSERT(block.newest_change <= volume.journal.confirmed());
        if (metadata_cache::is_frame(slot)) {
            frames[slot] = true;
            BOOST_OUTCOME_TRY(write_frame(volume, slot, false));
        } else {
            volume.order[count++] = slot;
        }
    }
    const auto slots   = volume.order.first(count);
    const auto by_home = [&](std::uint32_t a, std::uint32_t b) noexcept { return cache.at(a).home < cache.at(b).home; };
    std::make_heap(slots.begin(), slots.end(), by_home);
    std::sort_heap(slots.begin(), slots.end(), by_home);
    BOOST_OUTCOME_TRY(transfer_home(volume, slots, false));
    BOOST_OUTCOME_TRY(volume.lock.outside([&]() noexcept { return volume.device.sync(); }));
    if (volume.limits.verify_home) { BOOST_OUTCOME_TRY(transfer_home(volume, slots, true)); }
    if (frames[0] || frames[1] || frames[2]) {
        for (std::uint32_t slot = 0; slot < frame_slots; ++slot) {
            if (frames[slot]) { BOOST_OUTCOME_TRY(write_frame(volume, slot, true)); }
        }
        BOOST_OUTCOME_TRY(volume.lock.outside([&]() noexcept { return volume.device.sync(); }));
    }
    for (std::uint32_t slot = 0; slot < cache.slot_end(); ++slot) {
        if (!cache.at(slot).used || cache.at(slot).open) continue;
        cache.at(slot).first_change  = {};
        cache.at(slot).newest_change = {};
        if (cache.at(slot).riding) cache.drop(slot);  // the device has the data
    }
    return success();
}

}  // namespace ashlar::inline v0
