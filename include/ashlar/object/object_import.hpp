#pragma once
/// Records that come from another volume under the ids that they had there.

#include <ashlar/object/object_operation.hpp>
#include <ashlar/object/object_write.hpp>

namespace ashlar::inline v0 {

/// One record of a source: an object's, or a free one whose id must not be used again.
struct record_seen {
    object_id id{};
    bool      in_use = false;
};

/// The record of that number, the dying as free. Errors: not_found behind the last; those of reading.
template <class Volume>
result<record_seen> see_record(Volume& volume, std::uint64_t record) noexcept {
    BOOST_OUTCOME_TRY(const auto object, load_record(volume, no_transaction, record));
    if (object.in_use) return record_seen{object.id, !object.dying};
    const auto place = *place_of_record(volume, record);
    BOOST_OUTCOME_TRY(const auto block, view_block(volume, no_transaction, place.block.home, place.block.identity));
    const object_id id{load_struct<object_record>(block.bytes().subspan(place.byte)).id};
    if (id.value != 0 && (!names_record(id) || record_of(id) != record)) return error{errc::damaged, place.block.home};
    return record_seen{id, false};
}

namespace detail {

/// An empty object under a given id, in a record that is free. The table is locked.
template <class Volume>
result<> store_imported(Volume& volume, std::uint32_t tx, const record_place& place, const record_seen& seen,
                        bool fresh) noexcept {
    if (!seen.in_use) return write_free_record(volume, tx, place, seen.id, fresh);
    auto&        totals = volume.transactions[tx].totals;
    object_state object;
    object.id                  = seen.id;
    object.in_use              = true;
    object.map.owner           = seen.id;
    object.map.inline_capacity = volume.inline_extents;
    BOOST_OUTCOME_TRY(lock_object(volume, tx, seen.id));
    BOOST_OUTCOME_TRY(store_object(volume, tx, object, fresh));
    ++totals.objects;
    ++totals.classes[0];
    return success();
}

}  // namespace detail

/// Adds the next record of the table, under a given id: an empty object, or a free record. In order, from the first
/// record that was never used on. Errors: invalid_argument for another record; too_large where the table has all its
/// parts; those of space and of reading.
template <class Volume>
result<> import_record(Volume& volume, std::uint64_t record, const record_seen& seen) noexcept {
    if (record != records_used(volume, no_transaction)) return errc::invalid_argument;
    if (record >= record_capacity(volume)) {
        BOOST_OUTCOME_TRY(
            run_transaction(volume, [&](std::uint32_t tx) noexcept { return add_table_part(volume, tx); }));
    }
    return run_transaction(volume, [&](std::uint32_t tx) noexcept -> result<> {
        BOOST_OUTCOME_TRY(lock_table(volume, tx));
        volume.transactions[tx].totals.records_high_water = record + 1;
        const auto place                                  = place_of_record(volume, record);
        if (!place) return errc::too_large;
        return detail::store_imported(volume, tx, *place, seen, place->first);
    });
}

/// Gives a record that was used before what another volume has there: what it held is erased and freed first.
/// Errors: not_found behind the last record; busy where what was erased cannot be freed now; those of both.
template <class Volume>
result<> import_record_again(Volume& volume, std::uint64_t record, const record_seen& seen) noexcept {
    const auto load = [&]() noexcept {
        return with_loads(volume, [&]() noexcept { return load_record(volume, no_transaction, record); });
    };
    BOOST_OUTCOME_TRY(auto held, load());
    if (held.in_use && !held.dying) { BOOST_OUTCOME_TRY(erase_one(volume, held.id)); }
    for (bool more = held.in_use; more; more = held.in_use) {
        BOOST_OUTCOME_TRY(held, load());
        if (!held.in_use) break;
        BOOST_OUTCOME_TRY(const bool freed, reap(volume));
        if (!freed) return errc::busy;
    }
    return run_transaction(volume, [&](std::uint32_t tx) noexcept -> result<> {
        BOOST_OUTCOME_TRY(lock_table(volume, tx));
        return detail::store_imported(volume, tx, *place_of_record(volume, record), seen, false);
    });
}

// An object that is being imported has generation 0 until it is whole, and then the one that it had in its first
// volume: so each record says, whatever was cut, whether it holds what that one held. Generation 0 is also that of an
// object without blocks; to tell them apart compare the number of blocks too.

/// Changes an object that is being imported by `change(tx, object)`, in one transaction.
template <class Volume, class Change>
result<> change_imported(Volume& volume, object_id id, Change&& change) noexcept {
    return run_transaction(volume, [&](std::uint32_t tx) noexcept {
        return change_in(volume, tx, id, [&](std::uint32_t inside, object_state& object) noexcept -> result<> {
            BOOST_OUTCOME_TRY(change(inside, object));
            object.generation = 0;
            return success();
        });
    });
}

/// Reserves one run of so many blocks for data that is written before `place_imported`; else it is the caller's to
/// release. Errors: those of space.
template <class Volume>
result<extent> reserve_imported(Volume& volume, block_count blocks) noexcept {
    BOOST_OUTCOME_TRY(volume.writable());
    return with_loads(volume, [&]() noexcept {
        return volume.space.reserve(volume.metadata(), volume.allocator,
                                    {.blocks  = blocks,
                                     .least   = blocks,
                                     .goal    = volume.space.last_end(),
                                     .use     = space_use::data,
                                     .is_data = true});
    });
}

/// Maps a run that was reserved and has the bytes by now, in place of what the object had there. After an error the run
/// is the caller's still. Errors: those of map and space; too_large beyond what one transaction holds.
template <class Volume>
result<> place_imported(Volume& volume, object_id id, logical_block first, extent run,
                        std::span<const std::byte> bytes) noexcept {
    return change_imported(volume, id, [&](std::uint32_t tx, object_state& object) noexcept -> result<> {
        auto& state = volume.transactions[tx];
        if (state.taken.full() || run.count.value > state.sums.room()) return error{errc::too_large, run.first};
        state.taken.push(
            {.blocks = run, .sums = static_cast<std::uint32_t>(state.sums.size()), .data = true, .borrowed = true});
        note_checksums(volume, state, bytes);
        const mapped_extent       piece{.logical = first, .physical = run};
        const auto                extents = object.map.extents;
        const retire_sink<Volume> sink{volume, tx};
        auto                      map = map_of(volume, tx, object, space_use::data);
        BOOST_OUTCOME_TRY(map.replace(first, run.count, std::span{&piece, 1}, sink));
        note_mapping(volume, tx, object, extents);
        const auto end = byte_offset(first, volume.geometry.block) + bytes.size();
        if (object.size < end) object.size = end;
        return success();
    });
}

/// Makes a hole of whole blocks, wherever the object ends. Errors: those of map and space.
template <class Volume>
result<> clear_imported(Volume& volume, object_id id, logical_block first, block_count count) noexcept {
    return change_imported(volume, id, [&](std::uint32_t tx, object_state& object) noexcept -> result<> {
        const auto                extents = object.map.extents;
        const retire_sink<Volume> sink{volume, tx};
        auto                      map = map_of(volume, tx, object, space_use::metadata);
        BOOST_OUTCOME_TRY(map.replace(first, count, {}, sink));
        note_mapping(volume, tx, object, extents);
        return success();
    });
}

/// Size, attributes and generation of a whole object, and what `also(tx)` writes to its record behind the extents. What
/// lies behind its end must be reserved, and hold nothing.
template <class Volume, class Also>
result<> complete_imported(Volume& volume, const object_state& as, Also&& also) noexcept {
    return run_transaction(volume, [&](std::uint32_t tx) noexcept {
        return change_in(volume, tx, as.id, [&](std::uint32_t inside, object_state& object) noexcept -> result<> {
            BOOST_OUTCOME_TRY(also(inside));
            object.size       = as.size;
            object.attributes = as.attributes;
            object.generation = as.generation;
            if (volume.generation < as.generation) volume.generation = as.generation;  // no mapping gets it again
            volume.transactions[inside].generation = as.generation;
            return success();
        });
    });
}

}  // namespace ashlar::inline v0
