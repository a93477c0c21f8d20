#pragma once
/// Whose turn it is: batches, anchors and checkpoints exclude each other, and some exclude changes.

#include <ashlar/volume/volume_state.hpp>

namespace ashlar::inline v0 {

/// What the volume has now, for who asks without the lock.
template <class Volume>
void publish_gauges(Volume& volume) noexcept {
    volume.metrics.free_blocks.set(volume.space.totals().free);
    volume.metrics.objects.set(volume.space.totals().objects);
    volume.metrics.waiting_to_be_free.set(volume.space.draining().value);
}

/// Frees what waited long enough.
template <class Volume>
void drain_retired(Volume& volume) noexcept {
    if constexpr (Volume::journal_type::durable) {
        volume.space.drain(volume.journal.confirmed(), volume.journal.tail(), volume.geometry.block);
    } else {
        volume.space.drain(volume.durable_batch, volume.open_batch, volume.geometry.block);
    }
    publish_gauges(volume);
}

/// The same for who does not have the turn: whoever has it may be writing what the journal knows of itself.
template <class Volume>
void drain_if_idle(Volume& volume) noexcept {
    if (!volume.committing) drain_retired(volume);
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

}  // namespace ashlar::inline v0
