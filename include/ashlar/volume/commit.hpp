#pragma once
/// How batches become durable and blocks go home: rules R2, R14, R15.

#include <ashlar/volume/home_writer.hpp>
#include <ashlar/volume/sealed_batch.hpp>

namespace ashlar::inline v0 {

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

/// Whether the journal can say that nothing follows.
template <class Volume>
inline constexpr bool closes_clean = ClosesClean<typename Volume::journal_type, typename Volume::device_type>;

/// The anchor of an empty ring, with `clean` the last one. Preconditions: as write_anchor; every change is durable at
/// home.
template <class Volume>
result<> write_empty_anchor(Volume& volume, bool clean) noexcept {
    if constexpr (closes_clean<Volume>) {
        const anchor_totals totals{volume.space.totals().free, volume.now};
        if (clean) return volume.lock.outside([&]() noexcept { return volume.journal.close(volume.device, totals); });
    }
    return write_anchor(volume, volume.journal.next());
}

/// Confirms, writes home, empties the ring; `closes` says that this is the end of the volume's use. Opening it has
/// taken back that it is clean: an anchor says it again even where nothing changed.
template <class Volume>
result<> bring_home(Volume& volume, bool closes) noexcept {
    if constexpr (Volume::journal_type::durable) {
        auto&      journal   = volume.journal;
        const bool confirmed = journal.confirmed() == journal.acknowledged();
        const bool is_home   = !volume.home_is_behind && journal.tail() == journal.next() && confirmed;
        const bool clean     = closes && closes_clean<Volume>;
        if (is_home && !clean) {
            drain_retired(volume);  // readers may have left since the last batch
            return success();
        }
        if (!is_home) {
            // No batch follows that would confirm the last ones, and only what is confirmed may go home.
            if (!confirmed) { BOOST_OUTCOME_TRY(write_anchor(volume, journal.tail())); }
            BOOST_OUTCOME_TRY(write_home(volume));
        }
        BOOST_OUTCOME_TRY(write_empty_anchor(volume, clean));
        drain_retired(volume);
    }
    return success();
}

}  // namespace detail

/// What checkpoint does, for who keeps changes away already.
template <class Volume>
result<> checkpoint_alone(Volume& volume, bool closes = false) noexcept {
    BOOST_OUTCOME_TRY(flush(volume));
    BOOST_OUTCOME_TRY(take_turn(volume));
    const auto done = detail::bring_home(volume, closes);
    if (done.has_value()) volume.home_is_behind = false;
    volume.metrics.checkpoints.add(1);
    end_turn(volume);
    if (done.has_error()) return volume.end_writing(done.error());
    return success();
}

/// Makes the open batch durable, writes every changed block home and empties the ring. Changes wait meanwhile, readers
/// do not. Errors: those of the device; then writing has ended. Busy: see take_turn.
/// Cost: each changed block once, read back by option; up to 7 syncs. With `closes`, which is for the last one, the
/// anchor says that nothing follows; it is then written even where nothing changed: two writes and two syncs.
template <class Volume>
result<> checkpoint(Volume& volume, bool closes = false) noexcept {
    const detail::no_changes alone{volume};
    return checkpoint_alone(volume, closes);
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
        const auto shape =
            full_shape(volume.cache.open_slots().size() + blocks, listed_max(volume), volume.geometry.block);
        return volume.journal.blocks_needed(shape) <= volume.journal.room();
    } else {
        return true;
    }
}

inline constexpr unsigned waits_for_room_max = 256;  ///< Ends of other operations that one waits for.

/// Whether operations of other threads hold room that they give back by themselves. Reads of channels do not count: the
/// thread that waits may be the one that has to look after them.
template <class Volume>
[[nodiscard]] bool others_hold_room(const Volume& volume) noexcept {
    if constexpr (!Volume::threading_type::concurrent) {
        return false;
    } else {
        if (volume.space.readers() > volume.channel_reads || volume.cache.loading() != 0) return true;
        for (const auto& one : volume.transactions) {
            if (one.open && !one.held) return true;
        }
        return false;
    }
}

/// Grants a transaction that changes at most `blocks` metadata blocks what it may need: cache, ring, lists.
/// Errors: read_only; too_large when not even an empty ring and a clean cache hold it; those of the device.
template <class Volume>
result<> admit(Volume& volume, std::size_t blocks) noexcept {
    await_quiet(volume);
    BOOST_OUTCOME_TRY(volume.writable());
    const auto fits = [&]() noexcept {
        return volume.cache.has_room_for(blocks) &&
               volume.cache.riding() <= volume.cache.slots() - volume.cache.slots() / 4 &&
               volume.space.retired_room() >= volume.limits.transaction.extents;
    };
    if (fits() && ring_has_room(volume, blocks)) return success();
    if (fits()) {
        BOOST_OUTCOME_TRY(flush(volume));
        await_quiet(volume);
        if (fits() && ring_has_room(volume, blocks)) return success();
    }
    BOOST_OUTCOME_TRY(checkpoint(volume));
    for (unsigned waits = 0;; ++waits) {
        await_quiet(volume);
        if (fits() && ring_has_room(volume, blocks)) return success();
        // What readers still look at, and what operations of other threads hold, comes back when they end.
        if (waits == waits_for_room_max || !others_hold_room(volume))
            return error{errc::too_large, block_index{blocks}};
        volume.lock.wait();
        drain_if_idle(volume);
    }
}

}  // namespace ashlar::inline v0
