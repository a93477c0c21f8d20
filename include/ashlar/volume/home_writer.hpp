#pragma once
/// Metadata blocks go home.

#include <ashlar/device/transfer_batch.hpp>
#include <ashlar/volume/volume_state.hpp>

#include <algorithm>
#include <array>

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

namespace detail {

/// Calls `use(queue)` with a queue for home writes: the device's own, opened once, or a blocking one.
template <class Volume, class Use>
result<> with_home_queue(Volume& volume, Use&& use) noexcept {
    using device_type = typename Volume::device_type;
    if constexpr (QueuedDevice<device_type>) {
        if (!volume.home_queue.has_value()) {
            auto opened = volume.device.open_queue({.depth = home_transfers});
            if (opened.has_value()) volume.home_queue.emplace(std::move(opened).value());
        }
        if (volume.home_queue.has_value()) return use(*volume.home_queue);
    }
    blocking_queue<device_type> queue{volume.device, home_transfers};
    return use(queue);
}

/// Blocks on their way home, or back: runs of neighbours, side by side in the staging memory.
struct home_load {
    struct run {
        std::size_t begin = 0;  ///< In the list of slots.
        std::size_t count = 0;
        std::size_t block = 0;  ///< In the staging memory.
    };
    std::array<run, home_transfers> runs{};
    std::size_t                     count = 0;
};

/// Takes runs of neighbours off the list from `next` on, as many as fit. Data is not read back: it is proved whenever
/// it is read.
template <class Volume>
home_load next_load(Volume& volume, std::span<const std::uint32_t> slots, std::size_t& next, bool compare) noexcept {
    const std::size_t most = volume.staging.size() >> volume.geometry.block.shift();
    const auto        skip = [&](std::size_t i) noexcept { return compare && volume.cache.at(slots[i]).riding; };
    home_load         load;
    std::size_t       used = 0;
    while (next < slots.size() && load.count < load.runs.size() && used < most) {
        if (skip(next)) {
            ++next;
            continue;
        }
        const auto  first = volume.cache.at(slots[next]).home;
        std::size_t count = 1;
        while (next + count < slots.size() && used + count < most && !skip(next + count) &&
               volume.cache.at(slots[next + count]).home == first + block_count{count})
            ++count;
        load.runs[load.count++] = {next, count, used};
        used += count;
        next += count;
    }
    return load;
}

/// Moves one load, all of its runs at once. Runs without the lock.
template <class Volume, TransferQueue Q>
result<> move_load(Volume& volume, Q& queue, std::span<const std::uint32_t> slots, const home_load& load,
                   bool compare) noexcept {
    const block_size                     size = volume.geometry.block;
    std::array<transfer, home_transfers> memory;
    transfer_batch                       batch{queue, memory};
    for (const auto& run : std::span{load.runs}.first(load.count)) {
        const auto   bytes = volume.staging.subspan(run.block << size.shift(), run.count << size.shift());
        const extent home{volume.cache.at(slots[run.begin]).home, block_count{run.count}};
        if (compare) {
            batch.read(home, bytes);
            continue;
        }
        for (std::size_t i = 0; i < run.count; ++i)
            std::memcpy(bytes.data() + (i << size.shift()), volume.cache.bytes(slots[run.begin + i]).data(),
                        size.bytes);
        batch.write(home, bytes);
    }
    return batch.finish();
}

}  // namespace detail

/// Writes runs of neighbouring blocks with as few transfers as the staging memory allows, many at a time; with
/// `compare` reads back instead. Nothing changes the blocks meanwhile.
template <class Volume>
result<> transfer_home(Volume& volume, std::span<const std::uint32_t> slots, bool compare) noexcept {
    const block_size size = volume.geometry.block;
    return detail::with_home_queue(volume, [&](auto& queue) noexcept -> result<> {
        for (std::size_t next = 0; next < slots.size();) {
            const auto load = detail::next_load(volume, slots, next, compare);
            BOOST_OUTCOME_TRY(
                volume.lock.outside([&]() noexcept { return detail::move_load(volume, queue, slots, load, compare); }));
            for (const auto& run : std::span{load.runs}.first(compare ? load.count : 0)) {
                for (std::size_t i = 0; i < run.count; ++i) {
                    const auto slot = slots[run.begin + i];
                    const auto seen = volume.staging.subspan((run.block + i) << size.shift(), size.bytes);
                    if (std::memcmp(seen.data(), volume.cache.bytes(slot).data(), size.bytes) != 0)
                        return error{errc::checksum_differs, volume.cache.at(slot).home};
                }
            }
        }
        return success();
    });
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
