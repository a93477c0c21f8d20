#pragma once
/// A batch, from its gathering to its acknowledgement: rules R1, R2, R15.

#include <ashlar/volume/checksum_table.hpp>
#include <ashlar/volume/engine_turns.hpp>

namespace ashlar::inline v0 {

inline constexpr std::size_t entry_gap = 24;  ///< Bytes that an entry costs beside its data: nearer changes become one.

/// Data blocks whose list takes an eighth of a ring.
[[nodiscard]] constexpr std::uint64_t listed_by_ring(block_count ring, block_size size) noexcept {
    return bytes_of(ring, size) >> 7U;
}

/// Data blocks that one batch lists at most: what the options allow, and no more than an eighth of the ring holds.
template <class Volume>
[[nodiscard]] std::uint64_t listed_max(const Volume& volume) noexcept {
    const std::uint64_t eighth = listed_by_ring(volume.journal.capacity(), volume.geometry.block);
    return eighth < volume.limits.unsynced_blocks ? eighth : volume.limits.unsynced_blocks;
}

inline constexpr std::uint64_t riding_blocks_max = 2;  ///< A batch with so little data carries the data itself.

/// Metadata blocks that an ordinary operation may change on a ring of so many blocks.
[[nodiscard]] constexpr std::uint64_t grant_of_ring(block_count ring) noexcept {
    const std::uint64_t quarter = ring.value >> 2U;
    return quarter < 40 ? quarter : 40;
}

/// What a batch takes at most that changes so many metadata blocks, in full, and lists so much data.
[[nodiscard]] constexpr batch_shape full_shape(std::uint64_t changed, std::uint64_t listed, block_size size) noexcept {
    batch_shape shape;
    shape.entry_bytes = (changed + riding_blocks_max) * (size.bytes + 4 * entry_gap) + 2 * frame_content_bytes;
    shape.entries     = static_cast<std::uint32_t>(2 * (changed + riding_blocks_max) + 8);
    shape.data        = static_cast<std::uint32_t>(listed);
    return shape;
}

/// What the open batch will take in the ring.
template <class Volume>
[[nodiscard]] batch_shape open_shape(Volume& volume) noexcept {
    batch_shape shape;
    for (const auto slot : volume.cache.open_slots()) {
        volume.cache.changes(slot).for_each_run(
            [&](std::size_t, std::size_t length) {
                shape.entry_bytes += length;
                ++shape.entries;
            },
            entry_gap);
        if (volume.cache.at(slot).riding) continue;
        shape.entry_bytes += trailer_bytes;
        ++shape.entries;
    }
    for (const auto& run : volume.unsynced.all()) shape.data += static_cast<std::uint32_t>(run.count.value);
    return shape;
}

/// Puts the open batch in the journal, data list first. What the journal can leave to its caller is left.
template <class Volume>
result<> write_batch(Volume& volume, sequence batch, ring_writes& left) noexcept {
    using journal_type = typename Volume::journal_type;
    auto&      cache   = volume.cache;
    const auto shape   = open_shape(volume);
    BOOST_OUTCOME_TRY(volume.journal.begin(volume.device, shape));
    for (const auto& run : volume.unsynced.all()) {
        for (std::uint64_t i = 0; i < run.count.value; ++i) {
            const auto block = run.first + block_count{i};
            const auto place = checksum_place_of(volume.regions, block, volume.geometry.block);
            const auto slot  = cache.find(place.block.home);
            const auto sum   = load_little<std::uint64_t>(cache.bytes(slot).data() + place.byte);
            BOOST_OUTCOME_TRY(volume.journal.data(volume.device, block, sum));
        }
    }
    for (const auto slot : cache.open_slots()) {
        const auto  bytes = cache.bytes(slot);
        const auto& block = cache.at(slot);
        if (!block.riding) seal_block(bytes, block.identity.tag, batch, volume.seed(block.identity));
        result<> written = success();
        cache.changes(slot).for_each_run(
            [&](std::size_t offset, std::size_t length) {
                if (written.has_error()) return;
                written = volume.journal.entry(volume.device, block.home, static_cast<std::uint32_t>(offset),
                                               bytes.subspan(offset, length));
            },
            entry_gap);
        BOOST_OUTCOME_TRY(written);
        if (block.riding) continue;
        const std::size_t trailer = bytes.size() - trailer_bytes;
        BOOST_OUTCOME_TRY(volume.journal.entry(volume.device, block.home, static_cast<std::uint32_t>(trailer),
                                               bytes.subspan(trailer)));
    }
    if constexpr (LeavesWrites<journal_type, typename Volume::device_type>) {
        BOOST_OUTCOME_TRY(const auto sealed, volume.journal.seal_unwritten(volume.device, left));
        ASHLAR_ASSERT(sealed == batch);
    } else {
        BOOST_OUTCOME_TRY(const auto sealed, volume.journal.seal(volume.device));
        ASHLAR_ASSERT(sealed == batch);
    }
    return success();
}

/// The blocks of the batch are journaled: they may go home once it is confirmed. What joins now joins the next.
template <class Volume>
void note_journaled(Volume& volume, sequence batch) noexcept {
    for (const auto slot : volume.cache.open_slots()) {
        auto& block         = volume.cache.at(slot);
        block.newest_change = batch;
        if (block.first_change.value == 0) block.first_change = batch;
    }
    volume.cache.close_batch();
    volume.unsynced.clear();
    volume.home_is_behind = true;
    volume.open_batch     = {batch.value + 1};
    volume.joined_before  = volume.joined;
    volume.joined         = 0;
    volume.gave_staged    = false;
}

/// A batch on its way to the device.
struct sealed_batch {
    sequence    number{};
    ring_writes ring{};              ///< What the journal left to be written.
    bool        data_first = false;  ///< Its data is synced before it is written, and not listed in it.
};

/// Lets the data of a small batch ride in it: one write less before the sync. The blocks go home at the next
/// checkpoint. Where it cannot, nothing happens.
template <class Volume>
void let_data_ride(Volume& volume) noexcept {
    if constexpr (Volume::journal_type::durable && Volume::checksum_type::enabled) {
        const block_size size   = volume.geometry.block;
        std::uint64_t    listed = 0;
        std::uint64_t    staged = 0;
        for (const auto& run : volume.unsynced.all()) listed += run.count.value;
        for (const auto& run : volume.staged.waiting()) staged += run.blocks.count.value;
        if (listed == 0 || listed > riding_blocks_max || listed != staged || volume.gave_staged) return;
        std::uint32_t slots[riding_blocks_max];
        std::size_t   count = 0;
        for (const auto& run : volume.staged.waiting()) {
            for (std::uint64_t i = 0; i < run.blocks.count.value; ++i) {
                const auto  block = run.blocks.first + block_count{i};
                block_count left{};
                const auto  slot = volume.cache.ride(block, {volume.staged.find(block, left), size.bytes});
                if (slot.has_error()) {
                    while (count != 0) volume.cache.drop(slots[--count]);
                    return;
                }
                slots[count++] = slot.value();
            }
        }
        volume.staged.forget_waiting();
        volume.unsynced.clear();
        volume.metrics.batches_with_data.add(1);
    }
}

/// Ends the gathering of the open batch. Nothing of it is on the device yet, but what the journal wrote itself.
/// Errors: those of the journal; damaged where the volume contradicts itself. Precondition: it is the caller's turn.
template <class Volume>
result<sealed_batch> seal_batch(Volume& volume) noexcept {
    if (const auto where = volume.space.contradiction()) return error{errc::damaged, *where};
    sealed_batch sealed{.number = volume.open_batch};
    let_data_ride(volume);
    volume.staged.take_off();
    if constexpr (Volume::journal_type::durable) {
        std::uint64_t listed = 0;
        for (const auto& run : volume.unsynced.all()) listed += run.count.value;
        sealed.data_first = listed > listed_max(volume) || (listed != 0 && !Volume::checksum_type::enabled);
        if (sealed.data_first) volume.unsynced.clear();
        BOOST_OUTCOME_TRY(write_batch(volume, sealed.number, sealed.ring));
    } else {
        for (const auto slot : volume.cache.open_slots()) {
            const auto& block = volume.cache.at(slot);
            seal_block(volume.cache.bytes(slot), block.identity.tag, sealed.number, volume.seed(block.identity));
        }
    }
    note_journaled(volume, sealed.number);
    return sealed;
}

/// Writes what waited in memory for the batch. Runs without the lock.
template <class Volume>
result<> write_staged(Volume& volume) noexcept {
    for (const auto& run : volume.staged.in_flight()) {
        BOOST_OUTCOME_TRY(volume.device.write(run.blocks, volume.staged.bytes(run)));
    }
    return success();
}

/// Writes a batch and its data, and syncs both. Runs without the lock: it touches nothing but the device.
template <class Volume>
result<> write_sealed(Volume& volume, const sealed_batch& sealed) noexcept {
    BOOST_OUTCOME_TRY(write_staged(volume));
    if (sealed.data_first) { BOOST_OUTCOME_TRY(volume.device.sync()); }
    for (std::size_t i = 0; i < sealed.ring.count; ++i) {
        BOOST_OUTCOME_TRY(volume.device.write(sealed.ring.runs[i].blocks, sealed.ring.runs[i].bytes));
    }
    return volume.device.sync();
}

/// The batch is durable, or it failed and writing has ended (R15). Gives the turn to the next.
template <class Volume>
result<> settle_batch(Volume& volume, const sealed_batch& sealed, result<> done) noexcept {
    if (done.has_error()) {
        static_cast<void>(volume.end_writing(done.error()));  // what waited in memory stays there, for readers
    } else {
        volume.staged.land();
        volume.durable_batch = sealed.number;
        volume.metrics.batches.add(1);
        if constexpr (Volume::journal_type::durable) volume.journal.acknowledge(sealed.number);
        drain_retired(volume);
    }
    volume.committing = false;
    volume.lock.wake_for_batch();
    return done;
}

}  // namespace ashlar::inline v0
