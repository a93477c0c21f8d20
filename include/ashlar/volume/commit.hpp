#pragma once
/// How transactions join a batch, batches become durable, and blocks go home: rules R1, R2, R14, R15.

#include <ashlar/volume/checksum_table.hpp>
#include <ashlar/volume/home_writer.hpp>

namespace ashlar::inline v0 {

inline constexpr std::size_t entry_gap = 24;  ///< Bytes that an entry costs beside its data: nearer changes become one.

/// Data blocks that one batch lists at most: what the options allow, and no more than an eighth of the ring holds.
template <class Volume>
[[nodiscard]] std::uint64_t listed_max(const Volume& volume) noexcept {
    const std::uint64_t eighth = bytes_of(volume.journal.capacity(), volume.geometry.block) >> 7U;
    return eighth < volume.limits.unsynced_blocks ? eighth : volume.limits.unsynced_blocks;
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
        shape.entry_bytes += trailer_bytes;
        ++shape.entries;
    }
    for (const auto& run : volume.unsynced.all()) shape.data += static_cast<std::uint32_t>(run.count.value);
    return shape;
}

/// Writes the open batch to the ring, data list first.
template <class Volume>
result<> write_batch(Volume& volume, sequence batch) noexcept {
    auto&      cache = volume.cache;
    const auto shape = open_shape(volume);
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
        seal_block(bytes, block.identity.tag, batch, volume.seed(block.identity));
        result<> written = success();
        cache.changes(slot).for_each_run(
            [&](std::size_t offset, std::size_t length) {
                if (written.has_error()) return;
                written = volume.journal.entry(volume.device, block.home, static_cast<std::uint32_t>(offset),
                                               bytes.subspan(offset, length));
            },
            entry_gap);
        BOOST_OUTCOME_TRY(written);
        const std::size_t trailer = bytes.size() - trailer_bytes;
        BOOST_OUTCOME_TRY(volume.journal.entry(volume.device, block.home, static_cast<std::uint32_t>(trailer),
                                               bytes.subspan(trailer)));
    }
    BOOST_OUTCOME_TRY(const auto sealed, volume.journal.seal(volume.device));
    ASHLAR_ASSERT(sealed == batch);
    return success();
}

/// The blocks of the batch are journaled: they may go home once it is confirmed.
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
}

/// Makes the open batch durable: data and journal are written, one sync acknowledges both.
/// Errors: those of the device; then writing has ended. Cost: the batch in the ring and one sync; nothing when it is
/// empty.
template <class Volume>
result<> flush(Volume& volume) noexcept {
    BOOST_OUTCOME_TRY(volume.writable());
    if (volume.cache.open_slots().empty()) return success();
    if (const auto where = volume.space.contradiction()) return volume.end_writing(error{errc::damaged, *where});
    const sequence batch = volume.next_batch();

    if constexpr (Volume::journal_type::durable) {
        std::uint64_t listed = 0;
        for (const auto& run : volume.unsynced.all()) listed += run.count.value;
        if (listed > listed_max(volume) || (listed != 0 && !Volume::checksum_type::enabled)) {
            if (auto synced = volume.device.sync(); synced.has_error()) return volume.end_writing(synced.error());
            volume.unsynced.clear();
        }
        if (auto written = write_batch(volume, batch); written.has_error()) return volume.end_writing(written.error());
        if (auto synced = volume.device.sync(); synced.has_error()) return volume.end_writing(synced.error());
        volume.journal.acknowledge(batch);
        note_journaled(volume, batch);
        volume.space.drain(volume.journal.confirmed(), volume.journal.tail(), volume.geometry.block);
    } else {
        for (const auto slot : volume.cache.open_slots()) {
            const auto& block = volume.cache.at(slot);
            seal_block(volume.cache.bytes(slot), block.identity.tag, batch, volume.seed(block.identity));
        }
        note_journaled(volume, batch);
        if (auto home = write_home(volume); home.has_error()) return volume.end_writing(home.error());
        volume.batches = batch;
        volume.space.drain(batch, {batch.value + 1}, volume.geometry.block);
    }
    return success();
}

/// Makes the open batch durable, writes every changed block home and empties the ring.
/// Errors: those of the device; then writing has ended. Cost: each changed block once, read back by option; up to 7
/// syncs.
template <class Volume>
result<> checkpoint(Volume& volume) noexcept {
    BOOST_OUTCOME_TRY(flush(volume));
    if constexpr (Volume::journal_type::durable) {
        auto&               journal = volume.journal;
        const anchor_totals totals{volume.space.totals().free, volume.now};
        if (!volume.home_is_behind && journal.tail() == journal.next() && journal.confirmed() == journal.acknowledged())
            return success();
        if (journal.confirmed() < journal.acknowledged()) {
            // No batch follows that would confirm the last ones, and only what is confirmed may go home.
            if (auto done = journal.anchor(volume.device, journal.tail(), totals); done.has_error())
                return volume.end_writing(done.error());
        }
        if (auto home = write_home(volume); home.has_error()) return volume.end_writing(home.error());
        if (auto done = journal.anchor(volume.device, journal.next(), totals); done.has_error())
            return volume.end_writing(done.error());
        volume.space.drain(journal.confirmed(), journal.tail(), volume.geometry.block);
    }
    volume.home_is_behind = false;
    return success();
}

/// Where no batch follows that would confirm the last ones, an anchor does (R12, R14). Cost: two writes and two syncs,
/// once after a store fell idle.
template <class Volume>
result<> confirm_when_idle(Volume& volume) noexcept {
    if constexpr (Volume::journal_type::durable) {
        auto& journal = volume.journal;
        if (!volume.cache.open_slots().empty() || journal.confirmed() == journal.acknowledged()) return success();
        auto done = journal.anchor(volume.device, journal.tail(), {volume.space.totals().free, volume.now});
        if (done.has_error()) return volume.end_writing(done.error());
        volume.space.drain(journal.confirmed(), journal.tail(), volume.geometry.block);
    }
    return success();
}

/// Whether the ring has room for the open batch and `blocks` more metadata blocks changed in full.
template <class Volume>
[[nodiscard]] bool ring_has_room(Volume& volume, std::size_t blocks) noexcept {
    if constexpr (Volume::journal_type::durable) {
        const std::uint64_t changed = volume.cache.open_slots().size() + blocks;
        const std::uint64_t each    = volume.geometry.block.bytes + 4 * entry_gap;
        batch_shape         shape;
        shape.entry_bytes = changed * each + 2 * frame_content_bytes;
        shape.entries     = static_cast<std::uint32_t>(2 * changed + 8);
        shape.data        = static_cast<std::uint32_t>(listed_max(volume));
        return volume.journal.blocks_needed(shape) <= volume.journal.room();
    } else {
        return true;
    }
}

/// Grants a transaction that changes at most `blocks` metadata blocks what it may need: cache, ring, lists.
/// Errors: read_only; too_large when not even an empty ring and a clean cache hold it; those of the device.
template <class Volume>
result<> admit(Volume& volume, std::size_t blocks) noexcept {
    BOOST_OUTCOME_TRY(volume.writable());
    const auto fits = [&]() noexcept {
        return volume.cache.has_room_for(blocks) && volume.space.retired_room() >= volume.limits.transaction.extents;
    };
    if (fits() && ring_has_room(volume, blocks)) return success();
    if (fits()) {
        BOOST_OUTCOME_TRY(flush(volume));
        if (ring_has_room(volume, blocks)) return success();
    }
    BOOST_OUTCOME_TRY(checkpoint(volume));
    if (fits() && ring_has_room(volume, blocks)) return success();
    return error{errc::too_large, block_index{blocks}};
}

/// Everything that may fail about joining.
template <class Volume>
result<> prepare_join(Volume& volume, transaction_state& tx) noexcept {
    BOOST_OUTCOME_TRY(volume.writable());
    if (volume.unsynced.room() < tx.taken.size()) {
        if (auto synced = volume.device.sync(); synced.has_error()) return volume.end_writing(synced.error());
        volume.unsynced.clear();
    }
    return volume.space.prepare(volume.metadata(), tx, Volume::checksum_type::enabled);
}

/// Enters one more region into the directory.
template <class Volume>
void join_region(Volume& volume, const region_slot& added) noexcept {
    const auto slot    = static_cast<std::uint32_t>(frame_slot::directory);
    const auto content = volume.cache.bytes(slot);
    const auto offset  = region_slot_offset(volume.regions.slots());
    store_struct(content.subspan(offset), added);
    volume.cache.change(slot, offset, sizeof added);
    directory_head head = load_struct<directory_head>(content);
    head.slots          = volume.regions.slots() + 1;
    store_struct(content, head);
    volume.cache.change(slot, 0, sizeof head);
    volume.regions.count_slot();
    static_cast<void>(volume.regions.add(added, {}));
}

/// Enters a transaction into the open batch: visible from here on, durable with the batch.
/// Errors: those of loading what it changes; then nothing happened and the transaction is still open.
template <class Volume>
result<> join(Volume& volume, transaction_state& tx) noexcept {
    BOOST_OUTCOME_TRY(prepare_join(volume, tx));
    auto&      cache = volume.cache;
    const auto batch = volume.next_batch();
    for (const auto shadow : tx.shadows.all()) cache.merge(shadow);
    for (const auto slot : tx.born.all()) {
        cache.at(slot).unborn = false;
        cache.change(slot, 0, volume.geometry.block.bytes - trailer_bytes);  // the first entry of a block is all of it
    }
    if (tx.new_region.type != 0) join_region(volume, tx.new_region);
    volume.space.apply(volume.metadata(), tx, batch);
    apply_checksums(volume, tx);
    for (const auto& run : tx.taken.all()) {
        if (run.data) volume.unsynced.push(run.blocks);
    }
    for (const auto shadow : tx.shadows.all()) cache.release_shadow(shadow);
    tx.shadows.clear();
    for (const auto block : tx.discarded.all()) {  // R3 keeps its place until no replay can write it
        if (const auto slot = cache.find(block); slot != no_slot) cache.drop(slot);
    }
    tx.reset();
    return success();
}

/// Drops a transaction: nothing of it happened.
template <class Volume>
void abandon(Volume& volume, transaction_state& tx) noexcept {
    for (const auto& run : tx.taken.all()) {
        if (run.fresh && !run.borrowed) volume.space.release(run.blocks, volume.geometry.block);
    }
    for (const auto shadow : tx.shadows.all()) volume.cache.release_shadow(shadow);
    tx.shadows.clear();
    for (const auto slot : tx.born.all()) {
        volume.cache.at(slot).unborn = false;
        volume.cache.drop(slot);
    }
    tx.reset();
}

}  // namespace ashlar::inline v0
