#pragma once
/// Records that come from another volume under the ids that they had there.

#include <ashlar/object/object_operation.hpp>

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
        auto& totals              = volume.transactions[tx].totals;
        totals.records_high_water = record + 1;
        const auto place          = place_of_record(volume, record);
        if (!place) return errc::too_large;
        if (!seen.in_use) return write_free_record(volume, tx, *place, seen.id, place->first);
        object_state object;
        object.id                  = seen.id;
        object.in_use              = true;
        object.map.owner           = seen.id;
        object.map.inline_capacity = volume.inline_extents;
        BOOST_OUTCOME_TRY(lock_object(volume, tx, seen.id));
        BOOST_OUTCOME_TRY(store_object(volume, tx, object, place->first));
        ++totals.objects;
        ++totals.classes[0];
        return success();
    });
}

}  // namespace ashlar::inline v0
