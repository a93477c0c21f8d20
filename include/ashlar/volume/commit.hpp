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

inline constexpr std::uint64_t riding_blocks_max = 2;  ///< A batch with so little data carries the data itself.

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
        if constexpr (Volume::journal_type::durable) volume.journal.acknowledge(sealed.number);
        drain_retired(volume);
    }
    volume.committing = false;
    volume.lock.wake_for_batch();
    return done;
}

/// Frees what waited long enough.
template <class Volume>
void drain_retired(Volume& volume) noexcept {
    if constexpr (Volume::journal_type::durable) {
        volume.space.drain(volume.journal.confirmed(), volume.journal.tail(), volume.geometry.block);
    } else {
        volume.space.drain(volume.durable_batch, volume.open_batch, volume.geometry.block);
    }
}

/// Waits until nothing goes home: what changes blocks or asks the journal for room begins with this.
template <class Volume>
void await_quiet(Volume& volume) noexcept {
    if constexpr (Volume::threading_type::concurrent) {
        while (volume.exclusive) volume.lock.wait();
    }
}

/// Waits until no batch is on its way and no block is being loaded: for what looks at the whole volume under the lock.
template <class Volume>
void await_stillness(Volume& volume) noexcept {
    if constexpr (Volume::threading_type::concurrent) {
        while (volume.exclusive || volume.committing || volume.cache.loading() != 0) {
            if (volume.committing)
                volume.lock.wait_for_batch();
            else
                volume.lock.wait();
        }
    }
}

/// Takes the turn to write a batch or an anchor. Error: busy where nobody could end the turn that somebody else has,
/// because there is only one thread: its own channel has a batch in flight, which it completes first.
template <class Volume>
result<> take_turn(Volume& volume) noexcept {
    while (volume.committing) {
        if constexpr (!Volume::threading_type::concurrent) return errc::busy;
        volume.lock.wait_for_batch();
    }
    volume.committing = true;
    return success();
}

template <class Volume>
void end_turn(Volume& volume) noexcept {
    volume.committing = false;
    volume.lock.wake_for_batch();
}

inline constexpr unsigned gathering_yields_max = 64;

/// Waits a moment for as many transactions as the batch before had: whoever it acknowledged is about to come again.
/// Ends early when nobody comes. Without other threads it does nothing.
template <class Volume>
void gather_batch(Volume& volume) noexcept {
    if constexpr (Volume::threading_type::concurrent) {
        unsigned      silent = 0;
        std::uint32_t seen   = volume.joined;
        for (unsigned i = 0; i < gathering_yields_max && volume.joined < volume.joined_before && silent < 8; ++i) {
            volume.lock.yield();
            silent = volume.joined == seen ? silent + 1 : 0;
            seen   = volume.joined;
        }
    }
}

/// Makes everything durable that has joined: data and journal are written, one sync acknowledges both. Many threads
/// share a batch: one writes it, the others wait.
/// Errors: those of the device; then writing has ended. Busy: see take_turn.
/// Cost: the batch in the ring and one sync; nothing when nothing changed.
template <class Volume>
result<> flush(Volume& volume) noexcept {
    BOOST_OUTCOME_TRY(volume.writable());
    const bool     open   = !volume.cache.open_slots().empty();
    const sequence wanted = open ? volume.open_batch : sequence{volume.open_batch.value - 1};
    while (volume.committing && volume.durable_batch < wanted) {
        if constexpr (!Volume::threading_type::concurrent) return errc::busy;
        volume.lock.wait_for_batch();
        BOOST_OUTCOME_TRY(volume.writable());
    }
    if (volume.durable_batch >= wanted) return success();
    volume.committing = true;
    gather_batch(volume);
    auto sealed = seal_batch(volume);
    if (sealed.has_error()) {  // writing ends
        end_turn(volume);
        return volume.end_writing(sealed.error());
    }
    if constexpr (Volume::journal_type::durable) {
        auto done = volume.lock.outside([&]() noexcept { return write_sealed(volume, sealed.value()); });
        return settle_batch(volume, sealed.value(), done);
    } else {
        // Without a journal the blocks themselves are the batch: nothing may change them before they are home.
        const bool alone = !volume.exclusive;
        volume.exclusive = true;
        auto done        = volume.lock.outside([&]() noexcept { return write_staged(volume); });
        if (done.has_value()) done = write_home(volume);
        if (alone) volume.exclusive = false;
        return settle_batch(volume, sealed.value(), done);
    }
}

/// Writes small data that waits, without a batch: there is no room for more. Errors: those of the device; then writing
/// has ended. Busy: see take_turn.
template <class Volume>
result<> write_waiting(Volume& volume) noexcept {
    BOOST_OUTCOME_TRY(take_turn(volume));
    auto done = volume.writable();
    if (done.has_value()) {
        volume.staged.take_off();
        done = volume.lock.outside([&]() noexcept { return write_staged(volume); });
        if (done.has_error())
            static_cast<void>(volume.end_writing(done.error()));
        else
            volume.staged.land();
    }
    end_turn(volume);
    return done;
}

namespace detail {

/// Nothing changes the volume while this lives.
template <class Volume>
class [[nodiscard]] no_changes {
  public:
    explicit no_changes(Volume& volume) noexcept : volume_{volume} {
        await_quiet(volume);
        volume.exclusive = true;
    }
    ~no_changes() {
        volume_.exclusive = false;
        volume_.lock.wake();
    }
    no_changes(const no_changes&)            = delete;
    no_changes& operator=(const no_changes&) = delete;

  private:
    Volume& volume_;
};

/// Makes "acknowledged up to here" and the tail durable. Precondition: nothing changes, and it is the caller's turn.
template <class Volume>
result<> write_anchor(Volume& volume, sequence tail) noexcept {
    const anchor_totals totals{volume.space.totals().free, volume.now};
    return volume.lock.outside([&]() noexcept { return volume.journal.anchor(volume.device, tail, totals); });
}

/// Confirms, writes home, empties the ring.
template <class Volume>
result<> bring_home(Volume& volume) noexcept {
    if constexpr (Volume::journal_type::durable) {
        auto&      journal   = volume.journal;
        const bool confirmed = journal.confirmed() == journal.acknowledged();
        if (!volume.home_is_behind && journal.tail() == journal.next() && confirmed) {
            drain_retired(volume);  // readers may have left since the last batch
            return success();
        }
        // No batch follows that would confirm the last ones, and only what is confirmed may go home.
        if (!confirmed) { BOOST_OUTCOME_TRY(write_anchor(volume, journal.tail())); }
        BOOST_OUTCOME_TRY(write_home(volume));
        BOOST_OUTCOME_TRY(write_anchor(volume, journal.next()));
        drain_retired(volume);
    }
    return success();
}

}  // namespace detail

/// Makes the open batch durable, writes every changed block home and empties the ring. Changes wait meanwhile, readers
/// do not. Errors: those of the device; then writing has ended. Busy: see take_turn.
/// Cost: each changed block once, read back by option; up to 7 syncs.
template <class Volume>
result<> checkpoint(Volume& volume) noexcept {
    const detail::no_changes alone{volume};
    BOOST_OUTCOME_TRY(flush(volume));
    BOOST_OUTCOME_TRY(take_turn(volume));
    const auto done = detail::bring_home(volume);
    if (done.has_value()) volume.home_is_behind = false;
    end_turn(volume);
    if (done.has_error()) return volume.end_writing(done.error());
    return success();
}

/// Where no batch follows that would confirm the last ones, an anchor does (R12, R14). Cost: two writes and two syncs,
/// once after a store fell idle.
template <class Volume>
result<> confirm_when_idle(Volume& volume) noexcept {
    if constexpr (Volume::journal_type::durable) {
        auto&      journal = volume.journal;
        const auto busy    = [&]() noexcept {
            return volume.committing || volume.exclusive || !volume.cache.open_slots().empty() ||
                   journal.confirmed() == journal.acknowledged();
        };
        if (busy()) return success();
        const detail::no_changes alone{volume};
        volume.committing = true;
        auto done         = detail::write_anchor(volume, journal.tail());
        if (done.has_value()) drain_retired(volume);
        end_turn(volume);
        if (done.has_error()) return volume.end_writing(done.error());
    }
    return success();
}

/// Whether the ring has room for the open batch and `blocks` more metadata blocks changed in full.
template <class Volume>
[[nodiscard]] bool ring_has_room(Volume& volume, std::size_t blocks) noexcept {
    if constexpr (Volume::journal_type::durable) {
        const std::uint64_t changed = volume.cache.open_slots().size() + blocks + riding_blocks_max;
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
    await_quiet(volume);
    BOOST_OUTCOME_TRY(volume.writable());
    const auto fits = [&]() noexcept {
        return volume.cache.has_room_for(blocks) && volume.cache.riding() <= volume.cache.slots() / 2 &&
               volume.space.retired_room() >= volume.limits.transaction.extents;
    };
    if (fits() && ring_has_room(volume, blocks)) return success();
    if (fits()) {
        BOOST_OUTCOME_TRY(flush(volume));
        await_quiet(volume);
        if (fits() && ring_has_room(volume, blocks)) return success();
    }
    BOOST_OUTCOME_TRY(checkpoint(volume));
    await_quiet(volume);
    if (fits() && ring_has_room(volume, blocks)) return success();
    return error{errc::too_large, block_index{blocks}};
}

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
    if (volume.unsynced.room() < tx.taken.size()) {
        ASHLAR_ASSERT(!tx.staged);  // what is staged made room before
        BOOST_OUTCOME_TRY(flush(volume));
        await_quiet(volume);
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
    if (tx.new_region.type != 0) join_region(volume, tx.new_region);
    volume.space.apply(volume.metadata(), tx, batch);
    apply_checksums(volume, tx);
    for (const auto& run : tx.taken.all()) {
        if (run.data) list_data(volume, run.blocks);
    }
    for (const auto shadow : tx.shadows.all()) cache.release_shadow(shadow);
    tx.shadows.clear();
    for (const auto block : tx.discarded.all()) {  // R3 keeps its place until no replay can write it
        cache.forget(block);
    }
    ++volume.joined;
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
