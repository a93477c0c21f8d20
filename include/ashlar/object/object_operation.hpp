#pragma once
/// Operations as transactions of their own: begun, granted, joined; tried again once room was made.

#include <ashlar/object/object_change.hpp>

#include <utility>

namespace ashlar::inline v0 {

/// Whether an operation of another thread is under way, which ends by itself: then it is worth to wait for it. A
/// transaction that a caller holds open is not.
template <class Volume>
[[nodiscard]] bool others_will_end(const Volume& volume, std::uint32_t own = no_transaction) noexcept {
    if constexpr (Volume::threading_type::concurrent) {
        for (std::uint32_t i = 0; i < volume.transactions.size(); ++i) {
            if (i != own && volume.transactions[i].open && !volume.transactions[i].held) return true;
        }
    }
    return false;
}

/// Opens a transaction. `held`: for a caller who keeps it open. Error: busy when all are open.
template <class Volume>
result<std::uint32_t> begin_transaction(Volume& volume, bool held = false) noexcept {
    for (;;) {
        for (std::uint32_t i = 0; i < volume.transactions.size(); ++i) {
            if (volume.transactions[i].open) continue;
            volume.transactions[i].reset();
            volume.transactions[i].open = true;
            volume.transactions[i].held = held;
            return i;
        }
        if (!others_will_end(volume)) return errc::busy;
        volume.lock.wait();
    }
}

/// Metadata blocks that an ordinary operation may change; what needs more finds out, makes room and tries again.
template <class Volume>
[[nodiscard]] std::size_t usual_grant(const Volume& volume) noexcept {
    const std::size_t half = volume.cache.slots() / 2;
    std::uint64_t     most = grant_of_ring(block_count{~std::uint64_t{0}});
    if constexpr (Volume::journal_type::durable) most = grant_of_ring(volume.journal.capacity());
    return half < most ? half : static_cast<std::size_t>(most);
}

/// Metadata blocks that a transaction changes at most, those of space and checksums included. Runs that follow each
/// other share their blocks, as the parts of a moved range do.
template <class Volume>
[[nodiscard]] std::size_t blocks_changed(const Volume& volume, const transaction_state& state) noexcept {
    const block_size    size    = volume.geometry.block;
    const std::uint64_t groups  = volume.geometry.groups;
    const std::uint64_t each    = checksum_blocks_per_group(size);
    std::uint64_t       parts   = 0;  // of runs, each in one group
    std::uint64_t       sums    = 0;
    std::uint64_t       last    = ~std::uint64_t{0};  // checksum block that the run before ended in
    const auto          sums_of = [&](block_index block) noexcept {
        const auto place = place_of(block, size);
        return place.group * each + place.offset / sums_per_block(size);
    };
    const auto count = [&](extent run) noexcept {
        return place_of(run.end() - block_count{1}, size).group - place_of(run.first, size).group + 1;
    };
    for (const auto& run : state.taken.all()) {
        parts += count(run.blocks);
        if (!run.data || !Volume::checksum_type::enabled) continue;
        const auto first = sums_of(run.blocks.first);
        const bool again = first == last;
        last             = sums_of(run.blocks.end() - block_count{1});
        sums += last - first + (again ? 0U : 1U);
    }
    for (const auto& run : state.given.all()) parts += count(run.blocks);
    const auto bounded = [](std::uint64_t n, std::uint64_t most) noexcept {
        return static_cast<std::size_t>(n < most ? n : most);
    };
    return state.shadows.size() + 1 + bounded(parts, group_table_blocks(groups, size).value) +
           2 * bounded(parts, groups) + bounded(sums, groups * each);
}

/// Joins the open batch, when it fits the ring together with what is there. Errors: journal_full; those of join; again,
/// where data waits in memory for the join: then the whole operation is repeated.
template <class Volume>
result<> join_if_it_fits(Volume& volume, std::uint32_t tx) noexcept {
    auto&      state = volume.transactions[tx];
    const auto once  = [&]() noexcept -> result<> {
        await_quiet(volume);
        if (!ring_has_room(volume, blocks_changed(volume, state))) return errc::journal_full;
        return join(volume, state);
    };
    if (state.staged) return once();
    return with_loads(volume, once);
}

/// Whether a transaction that failed so may succeed after a checkpoint.
template <class Volume>
[[nodiscard]] bool may_be_relieved(const Volume& volume, errc code) noexcept {
    switch (code) {
        case errc::journal_full:
        case errc::too_large: return volume.home_is_behind || !volume.cache.open_slots().empty();
        case errc::no_space:
        case errc::reserve_only:
        case errc::no_contiguous_space:
            return volume.space.draining().value != 0 || volume.space.totals().dying_head != 0;
        default: return false;
    }
}

template <class Volume>
result<> relieve(Volume& volume, errc code) noexcept;

/// Runs `operation(tx)` as one transaction. Where it fails for want of room, room is made and it runs once more; where
/// it meets a block that is not in memory, or an operation of another thread that will end, it is undone and repeated.
/// Errors: the operation's; those of making room; busy when all transactions are held open, or what it needs is.
template <class Volume, class Operation>
result<> run_transaction(Volume& volume, Operation&& operation, bool makes_space = true) noexcept {
    unsigned   loads    = 0;
    bool       relieved = false;
    const auto before   = volume.lock.mode();
    for (;;) {
        BOOST_OUTCOME_TRY(admit(volume, usual_grant(volume)));
        BOOST_OUTCOME_TRY(const auto tx, begin_transaction(volume));
        volume.lock.set_mode(loads < loads_outside_max ? load_mode::again_on_miss : load_mode::again_on_loading);
        result<> done = operation(tx);
        if (done.has_value()) done = join_if_it_fits(volume, tx);
        volume.lock.set_mode(before);
        if (done.has_error()) abandon(volume, volume.transactions[tx]);
        volume.lock.wake();  // what this transaction held is free
        if (done.has_value()) return success();
        const auto code = done.error().code;
        if (code == errc::again) {
            ++loads;
            load_wanted(volume);
        } else if (code == errc::busy && others_will_end(volume)) {
            volume.lock.wait();
        } else {
            if (code == errc::journal_full && relieved) return errc::too_large;
            if (relieved || !may_be_relieved(volume, code)) return done;
            relieved = true;
            if (makes_space) {
                BOOST_OUTCOME_TRY(relieve(volume, code));
            } else {
                BOOST_OUTCOME_TRY(checkpoint(volume));
            }
        }
    }
}

/// One step at the list of the dying. Answers whether it did anything; a list that an open transaction holds is left
/// alone.
template <class Volume>
result<bool> reap(Volume& volume) noexcept {
    if (volume.space.totals().dying_head == 0) return false;
    bool       freed = false;
    const auto done  = run_transaction(
         volume,
         [&](std::uint32_t tx) noexcept -> result<> {
            freed = false;
            if (volume.space.totals().dying_head == 0) return success();  // another thread was faster
            BOOST_OUTCOME_TRY(reap_object(volume, tx));
            freed = true;
            return success();
        },
         false);
    if (done.has_error() && done.error().code == errc::busy) return false;
    BOOST_OUTCOME_TRY(done);
    return freed;
}

/// Makes room: frees what is dying, confirms, brings everything home, so that nothing that could be free waits (R7).
template <class Volume>
result<> relieve(Volume& volume, errc code) noexcept {
    const bool space = code == errc::no_space || code == errc::reserve_only || code == errc::no_contiguous_space;
    for (bool more = space; more;) { BOOST_OUTCOME_TRY(more, reap(volume)); }
    BOOST_OUTCOME_TRY(checkpoint(volume));
    if constexpr (Volume::threading_type::concurrent) {
        // What readers still look at becomes free when they have gone; they do not take long.
        const auto others = [&]() noexcept { return volume.space.readers() > volume.channel_reads; };
        for (int i = 0; space && i < 8 && others() && volume.space.draining().value != 0; ++i) {
            volume.lock.wait();
            drain_if_idle(volume);
        }
    }
    return success();
}

/// Ends what a truncate left to do, before the object is changed again.
template <class Volume>
result<> finish_shrinking(Volume& volume, object_id id) noexcept {
    BOOST_OUTCOME_TRY(const auto seen,
                      with_loads(volume, [&]() noexcept { return load_object(volume, no_transaction, id); }));
    for (bool more = seen.shrinking; more;) {
        BOOST_OUTCOME_TRY(run_transaction(volume, [&](std::uint32_t tx) noexcept -> result<> {
            BOOST_OUTCOME_TRY(lock_object(volume, tx, id));
            BOOST_OUTCOME_TRY(auto object, load_object(volume, tx, id));
            BOOST_OUTCOME_TRY(more, shrink_object(volume, tx, object));
            return success();
        }));
    }
    return success();
}

/// Whether blocks behind the object's end still wait to be freed. Only a transaction that truncated it itself meets
/// them.
template <class Volume>
result<bool> has_leftovers(Volume& volume, std::uint32_t tx, object_state& object) noexcept {
    if (!object.shrinking) return false;
    auto map = map_of(volume, tx, object, space_use::metadata);
    BOOST_OUTCOME_TRY(const auto found, map.find(logical_block{blocks_for(object.size, volume.geometry.block).value}));
    return found.has_value();
}

/// Runs `change(tx, object)` on an object that the transaction locks, and writes its record.
/// Errors too: too_large where a larger size would bring back to light what a truncate of the transaction left behind.
template <class Volume, class Change>
result<> change_in(Volume& volume, std::uint32_t tx, object_id id, Change&& change) noexcept {
    BOOST_OUTCOME_TRY(lock_object(volume, tx, id));
    BOOST_OUTCOME_TRY(auto object, load_object(volume, tx, id));
    const auto size = object.size;
    BOOST_OUTCOME_TRY(const bool leftovers, has_leftovers(volume, tx, object));
    BOOST_OUTCOME_TRY(change(tx, object));
    if (leftovers && object.size > size) return errc::too_large;
    return store_object(volume, tx, object);
}

/// The same as a transaction of its own.
template <class Volume, class Change>
result<> change_object(Volume& volume, object_id id, Change&& change) noexcept {
    BOOST_OUTCOME_TRY(finish_shrinking(volume, id));
    return run_transaction(volume, [&](std::uint32_t tx) noexcept { return change_in(volume, tx, id, change); });
}

/// One write as a transaction of its own; a small one waits in memory for the next batch.
template <class Volume>
result<> write_one(Volume& volume, object_id id, std::uint64_t offset, std::span<const std::byte> bytes) noexcept {
    return change_object(volume, id, [&](std::uint32_t tx, object_state& object) noexcept {
        volume.transactions[tx].may_stage = true;
        return write_object(volume, tx, object, offset, bytes, space_use::data);
    });
}

/// A write behind the end, wherever that is when the object is locked. Answers where it went.
template <class Volume>
result<std::uint64_t> append_one(Volume& volume, object_id id, std::span<const std::byte> bytes) noexcept {
    std::uint64_t at = 0;
    BOOST_OUTCOME_TRY(change_object(volume, id, [&](std::uint32_t tx, object_state& object) noexcept {
        volume.transactions[tx].may_stage = true;
        at                                = object.size;
        return write_object(volume, tx, object, at, bytes, space_use::data);
    }));
    return at;
}

/// Takes an object that shrank off the list of the dying: while it is there, blocks behind its end are freed, and so
/// would be those that are about to be reserved there. Errors: busy while an open transaction holds the list.
template <class Volume>
result<> leave_list(Volume& volume, object_id id) noexcept {
    for (;;) {
        BOOST_OUTCOME_TRY(const auto seen,
                          with_loads(volume, [&]() noexcept { return load_object(volume, no_transaction, id); }));
        if (!seen.shrinking) return success();
        BOOST_OUTCOME_TRY(const bool more, reap(volume));
        if (!more) return errc::busy;
    }
}

/// Grows the table where it is too full for `wanted` more objects. That it cannot grow is no error: a record may be
/// free.
template <class Volume>
result<> make_records(Volume& volume, std::uint64_t wanted) noexcept {
    if (!table_wants_part(volume, wanted)) return success();
    const auto grown = run_transaction(volume, [&](std::uint32_t tx) noexcept { return add_table_part(volume, tx); });
    if (grown.has_error()) { BOOST_OUTCOME_TRY(volume.writable()); }
    return success();
}

/// Creates an object. Where no record is free, what is dying may hold some: that is freed first. Records that were free
/// a moment ago may be others' by now, or gone with the table that a migration replaced: so while the table still grows
/// it is tried again.
template <class Volume>
result<object_id> create_one(Volume& volume) noexcept {
    std::uint64_t room = 0;  // of the table that had no record
    for (bool freed = false;;) {
        BOOST_OUTCOME_TRY(make_records(volume, 1));
        const auto capacity = record_capacity(volume);
        object_id  id{};
        const auto made = run_transaction(volume, [&](std::uint32_t tx) noexcept -> result<> {
            BOOST_OUTCOME_TRY(const auto object, create_object(volume, tx));
            id = object.id;
            return success();
        });
        if (made.has_value()) return id;
        if (made.error().code != errc::too_large || (freed && room == capacity)) return made.error();
        if (freed) room = capacity;
        for (bool more = !std::exchange(freed, true); more;) { BOOST_OUTCOME_TRY(more, reap(volume)); }
    }
}

inline constexpr std::uint32_t reap_steps_at_once = 64;  ///< An erase frees so many steps' extents itself.

/// Erases an object and frees what a few steps can. Once it is gone, a step that fails is not the caller's error: the
/// object stays on the list of the dying, and the next step meets the failure again.
template <class Volume>
result<> erase_one(Volume& volume, object_id id) noexcept {
    BOOST_OUTCOME_TRY(run_transaction(volume, [&](std::uint32_t tx) noexcept {
        return change_in(volume, tx, id, [&](std::uint32_t inside, object_state& object) noexcept {
            return erase_object(volume, inside, object);
        });
    }));
    for (std::uint32_t i = 0; i < reap_steps_at_once; ++i) {
        const auto more = reap(volume);
        if (more.has_error() || !more.value()) break;
    }
    return success();
}

inline constexpr int read_races_max = 4;  ///< Changes of an object between two rounds of a read, before it is locked.

/// Reads from `offset` on; fewer bytes at the end of the object. Errors: not_found; checksum_differs with the block;
/// those of the device.
template <class Volume>
result<std::size_t> read_bytes(Volume& volume, object_id id, std::uint64_t offset, std::span<std::byte> into) noexcept {
    for (int races = 0; races < read_races_max; ++races) {
        auto read = read_once(volume, id, offset, into);
        if (!read.has_error() || read.error().code != errc::raced) return read;
    }
    // Writers are faster than this reader: it keeps them away for once.
    BOOST_OUTCOME_TRY(const auto tx, begin_transaction(volume));
    for (;;) {
        const auto held = lock_object(volume, tx, id);
        if (held.has_value() || !others_will_end(volume, tx)) break;
        volume.lock.wait();
    }
    auto read = read_once(volume, id, offset, into);
    abandon(volume, volume.transactions[tx]);
    volume.lock.wake();
    return read;
}

}  // namespace ashlar::inline v0
