#pragma once
/// How transactions join a batch.

#include <ashlar/volume/cache_shadows.hpp>
#include <ashlar/volume/commit.hpp>
#include <ashlar/volume/directory.hpp>
#include <ashlar/volume/superblock_edit.hpp>

namespace ashlar::inline v0 {

/// Lists data that no sync has covered. Neighbours make one run. Precondition: has_room_for_data.
template <class Volume>
void list_data(Volume& volume, extent blocks) noexcept {
    auto& list = volume.unsynced;
    if (!list.empty() && list[list.size() - 1].end() == blocks.first) {
        list[list.size() - 1].count += blocks.count;
    } else {
        list.push(blocks);
    }
}

/// Everything that may fail about joining.
template <class Volume>
result<> prepare_join(Volume& volume, transaction_state& tx) noexcept {
    BOOST_OUTCOME_TRY(volume.writable());
    std::size_t listed = 0;  // nodes are taken too, but a batch lists data alone
    for (const auto& run : tx.taken.all()) listed += run.data ? 1U : 0U;
    if (volume.unsynced.room() < listed) {
        ASHLAR_ASSERT(!tx.staged);  // what is staged made room before
        BOOST_OUTCOME_TRY(flush(volume));
        await_quiet(volume);
    }
    return volume.space.prepare(volume.metadata(), tx, Volume::checksum_type::enabled);
}

/// Data that lies in the journal and is given back now: it does not go home any more, and like metadata it stays out of
/// use until no replay can write it.
template <class Volume>
void retire_riders(Volume& volume, transaction_state& tx) noexcept {
    if (volume.cache.riding() == 0 && volume.staged.empty()) return;
    for (auto& run : tx.given.all()) {
        if (run.metadata) continue;
        if (volume.staged.overlaps(run.blocks)) volume.gave_staged = true;
        for (std::uint64_t i = 0; i < run.blocks.count.value && volume.cache.riding() != 0; ++i) {
            const auto slot = volume.cache.find(run.blocks.first + block_count{i});
            if (slot == no_slot || !volume.cache.at(slot).riding) continue;
            volume.cache.drop(slot);
            run.metadata = true;
        }
    }
}

/// Enters a transaction into the open batch: visible from here on, durable with the batch.
/// Errors: those of loading what it changes; then nothing happened and the transaction is still open.
template <class Volume>
result<> join(Volume& volume, transaction_state& tx) noexcept {
    BOOST_OUTCOME_TRY(prepare_join(volume, tx));
    auto&      cache = volume.cache;
    const auto batch = volume.open_batch;
    retire_riders(volume, tx);
    for (const auto shadow : tx.shadows.all()) cache.merge(shadow);
    for (const auto slot : tx.born.all()) {
        cache.at(slot).unborn = false;
        cache.change(slot, 0, volume.geometry.block.bytes - trailer_bytes);  // the first entry of a block is all of it
    }
    if (tx.region.any()) {
        change_directory(volume, tx.region);
        for (const auto& one : tx.beside) {
            if (one.any()) change_directory(volume, one);
        }
    }
    if (tx.super.any) change_superblock(volume, tx.super);
    volume.space.apply(volume.metadata(), tx, batch);
    apply_checksums(volume, tx);
    for (const auto& run : tx.taken.all()) {
        if (!run.data) continue;
        list_data(volume, run.blocks);
        volume.metrics.blocks_written.add(run.blocks.count.value);
    }
    for (const auto shadow : tx.shadows.all()) cache.release_shadow(shadow);
    tx.shadows.clear();
    for (const auto block : tx.discarded.all()) {  // R3 keeps its place until no replay can write it
        cache.forget(block);
    }
    ++volume.joined;
    ++volume.changes;
    volume.metrics.transactions.add(1);
    publish_gauges(volume);
    tx.reset();
    return success();
}

/// Drops a transaction: nothing of it happened.
template <class Volume>
void abandon(Volume& volume, transaction_state& tx) noexcept {
    if (tx.staged) {
        for (std::size_t i = tx.taken.size(); i-- > 0;) {
            if (tx.taken[i].data) volume.staged.take_back(tx.taken[i].blocks);
        }
    }
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
