#pragma once
/// Records of objects: found by id, created, erased, walked in order.

#include <ashlar/format/object_name.hpp>
#include <ashlar/format/object_record.hpp>
#include <ashlar/object/migration_block.hpp>
#include <ashlar/vocabulary/short_division.hpp>
#include <ashlar/volume/join.hpp>

namespace ashlar::inline v0 {

/// Where a record stands.
struct record_place {
    region_block  block{};
    std::uint32_t byte  = 0;
    bool          first = false;  ///< The first record of its block.
};

[[nodiscard]] constexpr std::uint32_t records_per_block(block_size block, std::uint32_t record_bytes) noexcept {
    return (block.bytes - static_cast<std::uint32_t>(trailer_bytes)) / record_bytes;
}
template <class Volume>
[[nodiscard]] std::uint32_t records_per_block(const Volume& volume) noexcept {
    return records_per_block(volume.geometry.block, volume.record_bytes);
}

/// Records that a table has room for. The last block of each part is kept for the checkpoint of a record migration.
[[nodiscard]] inline std::uint64_t record_capacity(std::span<const extent> parts, std::uint32_t per_block) noexcept {
    std::uint64_t records = 0;
    for (const auto& part : parts) records += (part.count.value - 1) * per_block;
    return records;
}
template <class Volume>
[[nodiscard]] std::uint64_t record_capacity(const Volume& volume) noexcept {
    return record_capacity(volume.regions.object_parts(), records_per_block(volume));
}

/// Where a record stands in a table of such parts. Empty when the table is not that long.
[[nodiscard]] inline std::optional<record_place> place_in_table(std::span<const extent> parts, block_size block,
                                                                std::uint32_t record_bytes,
                                                                std::uint64_t record) noexcept {
    const std::uint32_t per_block = records_per_block(block, record_bytes);
    for (std::size_t i = 0; i < parts.size(); ++i) {
        const std::uint64_t here = (parts[i].count.value - 1) * per_block;
        if (record >= here) {
            record -= here;
            continue;
        }
        const auto place = divide_by_short(record, static_cast<std::uint16_t>(per_block));
        const auto rest  = static_cast<std::uint32_t>(place.rest);
        return record_place{{parts[i].first + block_count{place.quotient}, {tag::objects, i, place.quotient}},
                            rest * record_bytes,
                            rest == 0};
    }
    return std::nullopt;
}
template <class Volume>
[[nodiscard]] std::optional<record_place> place_of_record(const Volume& volume, std::uint64_t record) noexcept {
    return place_in_table(volume.regions.object_parts(), volume.geometry.block, volume.record_bytes, record);
}
/// The same in the table that records are on their way to.
template <class Volume>
[[nodiscard]] std::optional<record_place> next_place_of_record(const Volume& volume, std::uint64_t record) noexcept {
    return place_in_table(volume.regions.next_object_parts(), volume.geometry.block, volume.migration.record_bytes,
                          record);
}

/// Records that were ever in use, as transaction `tx` sees it.
template <class Volume>
[[nodiscard]] std::uint64_t records_used(const Volume& volume, std::uint32_t tx) noexcept {
    const std::uint64_t joined = volume.space.totals().records_high_water;
    if (tx == no_transaction) return joined;
    const std::uint64_t own = volume.transactions[tx].totals.records_high_water;
    return own > joined ? own : joined;
}

/// The object of a record, the dying included. An empty state: the record is free. Errors: those of reading; damaged.
template <class Volume>
result<object_state> load_record(Volume& volume, std::uint32_t tx, std::uint64_t record) noexcept {
    const auto place = place_of_record(volume, record);
    if (!place || record >= records_used(volume, tx)) return errc::not_found;
    BOOST_OUTCOME_TRY(const auto block, view_block(volume, tx, place->block.home, place->block.identity));
    auto object = decode_object(block.bytes().subspan(place->byte, volume.record_bytes), volume.inline_extents);
    if (object.has_error()) return error{object.error().code, place->block.home};
    if (object.value().in_use && (!names_record(object.value().id) || record_of(object.value().id) != record)) {
        return error{errc::damaged, place->block.home};
    }
    return object;
}

/// Errors: not_found; those of load_record.
template <class Volume>
result<object_state> load_object(Volume& volume, std::uint32_t tx, object_id id) noexcept {
    if (!names_record(id)) return errc::not_found;
    BOOST_OUTCOME_TRY(auto object, load_record(volume, tx, record_of(id)));
    if (!object.in_use || object.dying || object.id != id) return errc::not_found;
    return object;
}

/// The object as all joined transactions left it, for readers. Good until the lock is given up.
/// Errors: those of load_object. Cost: a comparison when it was read before and nothing has joined since.
template <class Volume>
result<object_state*> view_object(Volume& volume, object_id id) noexcept {
    auto& recent = volume.recent[record_of(id) % Volume::recent_objects];
    if (recent.object.id != id || recent.changes != volume.changes) {
        BOOST_OUTCOME_TRY(recent.object, load_object(volume, no_transaction, id));
        recent.changes = volume.changes;
    }
    return &recent.object;
}

namespace detail {

/// Writes a record, marking only the granules that differ.
inline void write_record(block_edit& block, std::uint32_t byte, std::span<const std::byte> record) noexcept {
    for (std::size_t at = 0; at < record.size(); at += granule_bytes) {
        const std::byte* const was = block.bytes().data() + byte + at;
        if (std::memcmp(was, record.data() + at, granule_bytes) == 0) continue;
        std::memcpy(block.modify(byte + at, granule_bytes).data(), record.data() + at, granule_bytes);
    }
}

template <class Volume>
result<block_edit> edit_record(Volume& volume, std::uint32_t tx, const record_place& place, bool fresh) noexcept {
    if (fresh) return create_block(volume, tx, place.block.home, place.block.identity);
    return edit_block(volume, tx, place.block.home, place.block.identity);
}

/// Writes a record, as it stands in the table in use, into the next table.
template <class Volume>
result<> write_next_record(Volume& volume, std::uint32_t tx, const record_place& place,
                           std::span<const std::byte> record, bool fresh) noexcept {
    std::byte  memory[record_bytes_max];
    const auto wide = std::span<std::byte>{memory}.first(volume.migration.record_bytes);
    convert_record(record, volume.inline_extents, wide, volume.migration.inline_extents);
    BOOST_OUTCOME_TRY(auto block, edit_record(volume, tx, place, fresh));
    write_record(block, place.byte, wide);
    return success();
}

/// What was changed of a record that is in both tables already is changed in the next one too.
template <class Volume>
result<> follow_record(Volume& volume, std::uint32_t tx, std::uint64_t record, const block_edit& block,
                       std::uint32_t byte) noexcept {
    if (record >= volume.migration.migrated) return success();
    const auto place = next_place_of_record(volume, record);
    if (!place) return errc::damaged;
    return write_next_record(volume, tx, *place, block.bytes().subspan(byte, volume.record_bytes), false);
}

}  // namespace detail

/// Writes the object's record in the transaction. Precondition: the table has it. Errors: those of editing the block.
template <class Volume>
result<> store_object(Volume& volume, std::uint32_t tx, const object_state& object, bool fresh = false) noexcept {
    const auto place = place_of_record(volume, record_of(object.id));
    ASHLAR_ASSERT(place);
    std::byte  memory[record_bytes_max];
    const auto record = std::span<std::byte>{memory}.first(object_encoded_bytes(volume.inline_extents));
    encode_object(record, object);
    BOOST_OUTCOME_TRY(auto block, detail::edit_record(volume, tx, *place, fresh));
    detail::write_record(block, place->byte, record);
    return detail::follow_record(volume, tx, record_of(object.id), block, place->byte);
}

/// Makes a record free, with all that features keep in it. The id stays in it, so that its next user gets another.
template <class Volume>
result<> write_free_record(Volume& volume, std::uint32_t tx, const record_place& place, object_id id,
                           bool fresh = false) noexcept {
    std::byte  memory[record_bytes_max]{};
    const auto record = std::span<std::byte>{memory}.first(volume.record_bytes);
    store_little<std::uint64_t>(record.data(), id.value);
    BOOST_OUTCOME_TRY(auto block, detail::edit_record(volume, tx, place, fresh));
    detail::write_record(block, place.byte, record);
    if (!names_record(id)) return success();
    return detail::follow_record(volume, tx, record_of(id), block, place.byte);
}

/// Precondition: the table has it.
template <class Volume>
result<> free_record(Volume& volume, std::uint32_t tx, object_id id) noexcept {
    const auto place = place_of_record(volume, record_of(id));
    ASHLAR_ASSERT(place);
    return write_free_record(volume, tx, *place, id);
}

/// Only one open transaction creates or erases objects. Error: busy.
template <class Volume>
result<> lock_table(Volume& volume, std::uint32_t tx) noexcept {
    for (std::uint32_t i = 0; i < volume.transactions.size(); ++i) {
        if (i != tx && volume.transactions[i].open && volume.transactions[i].locks_table) return errc::busy;
    }
    volume.transactions[tx].locks_table = true;
    return success();
}

/// Locks an object for a transaction. Errors: busy when another holds it; too_large when it holds too many.
template <class Volume>
result<> lock_object(Volume& volume, std::uint32_t tx, object_id id) noexcept {
    for (std::uint32_t i = 0; i < volume.transactions.size(); ++i) {
        if (!volume.transactions[i].open) continue;
        if (i != tx && volume.transactions[i].copies.contains(record_of(id))) return errc::busy;
        for (const auto locked : volume.transactions[i].locked.all()) {
            if (locked != id) continue;
            if (i == tx) return success();
            return errc::busy;
        }
    }
    if (volume.transactions[tx].locked.full()) return errc::too_large;
    volume.transactions[tx].locked.push(id);
    return success();
}

/// Counts an object whose number of extents changes.
inline void count_extents(totals_change& totals, std::uint64_t before, std::uint64_t after) noexcept {
    totals.extents += static_cast<std::int64_t>(after - before);
    totals.objects_with_data += (after != 0 ? 1 : 0) - (before != 0 ? 1 : 0);
    --totals.classes[extents_class(before)];
    ++totals.classes[extents_class(after)];
}

/// Whether the table should get another part before `wanted` more objects are created: when nearly every record is
/// taken, looking for a free one costs more than another part.
template <class Volume>
[[nodiscard]] bool table_wants_part(const Volume& volume, std::uint64_t wanted) noexcept {
    const std::uint64_t capacity = record_capacity(volume);
    const auto&         totals   = volume.space.totals();
    return totals.records_high_water + wanted > capacity && (totals.objects + wanted) * 4 > capacity * 3;
}

/// Adds a part as large as all before, or the largest that is free. One region, one transaction.
/// Errors: those of reserving space; too_large when the table has all its parts.
template <class Volume>
result<> add_table_part(Volume& volume, std::uint32_t tx) noexcept {
    auto&      state = volume.transactions[tx];
    const auto parts = volume.regions.object_parts();
    if (parts.size() == region_table::object_parts_max) return errc::too_large;
    BOOST_OUTCOME_TRY(lock_table(volume, tx));
    std::uint64_t blocks = 0;
    for (const auto& part : parts) blocks += part.count.value;
    if (blocks > blocks_per_group(volume.geometry.block)) blocks = blocks_per_group(volume.geometry.block);
    for (;; blocks /= 2) {
        auto run = volume.space.reserve(volume.metadata(), volume.allocator,
                                        {.blocks = block_count{blocks},
                                         .least  = block_count{blocks},
                                         .goal   = parts.back().end(),
                                         .use    = space_use::data});
        if (run.has_error() && blocks > 4) continue;
        if (run.has_error()) return run.error();
        state.taken.push({.blocks = run.value()});
        if (volume.migration.phase != migration_phase::none) {
            BOOST_OUTCOME_TRY(move_migration(volume, tx, run.value()));
        }
        region_slot part;
        part.type   = tag::objects;
        part.id     = static_cast<std::uint32_t>(parts.size());
        part.start  = run.value().first.value;
        part.blocks = run.value().count.value;
        return change_region(volume, tx, {.after = part});
    }
}

/// The id that the next free record gives, from the last one found on. Error: too_large when there is none.
template <class Volume>
result<object_id> find_free_record(Volume& volume, std::uint32_t tx) noexcept {
    const std::uint64_t used = records_used(volume, tx);
    for (std::uint64_t looked = 0; looked < used; ++looked) {
        if (++volume.last_record >= used) volume.last_record = 0;
        const auto place = *place_of_record(volume, volume.last_record);
        BOOST_OUTCOME_TRY(const auto block, view_block(volume, tx, place.block.home, place.block.identity));
        const auto          record = load_struct<object_record>(block.bytes().subspan(place.byte, volume.record_bytes));
        const std::uint64_t id     = record.id;
        if ((record.flags & object_flag::in_use) != 0 || (id & object_reuse_max) == object_reuse_max) continue;
        return object_id_of(volume.last_record, id == 0 ? 0 : (id & object_reuse_max) + 1);
    }
    return errc::too_large;
}

/// A new object. Errors: busy; too_large when every record is in use; those of reading records.
/// Cost: the record's block; when records are used again, the blocks up to the next free one.
template <class Volume>
result<object_state> create_object(Volume& volume, std::uint32_t tx) noexcept {
    BOOST_OUTCOME_TRY(lock_table(volume, tx));
    auto&               totals   = volume.transactions[tx].totals;
    const std::uint64_t capacity = record_capacity(volume);
    const std::uint64_t used     = records_used(volume, tx);
    object_state        object;
    object.in_use              = true;
    object.map.inline_capacity = volume.inline_extents;
    bool fresh                 = false;
    if (used < capacity) {
        object.id                 = object_id_of(used, 0);
        totals.records_high_water = used + 1;
        fresh                     = place_of_record(volume, used)->first;
    } else {
        BOOST_OUTCOME_TRY(object.id, find_free_record(volume, tx));
    }
    object.map.owner = object.id;
    BOOST_OUTCOME_TRY(lock_object(volume, tx, object.id));
    BOOST_OUTCOME_TRY(store_object(volume, tx, object, fresh));
    ++totals.objects;
    ++totals.classes[0];
    return object;
}

/// The first object behind `after`, in the order of ids. Cost: the record blocks between.
template <class Volume>
result<std::optional<object_id>> next_object(Volume& volume, object_id after) noexcept {
    std::uint64_t       record = names_record(after) ? record_of(after) + 1 : 0;
    const std::uint64_t used   = records_used(volume, no_transaction);
    while (record < used) {
        const auto place = place_of_record(volume, record);
        ASHLAR_ASSERT(place);  // recovery refused a table shorter than its records
        BOOST_OUTCOME_TRY(const auto block,
                          view_block(volume, no_transaction, place->block.home, place->block.identity));
        std::uint32_t byte = place->byte;
        for (; byte + volume.record_bytes <= volume.geometry.block.bytes - trailer_bytes && record < used; ++record) {
            const auto header = load_struct<object_record>(block.bytes().subspan(byte));
            if ((header.flags & object_flag::in_use) != 0 && (header.flags & object_flag::dying) == 0) {
                const object_id id{header.id};  // another record's id would lead a walk in a circle
                if (!names_record(id) || record_of(id) != record) return error{errc::damaged, place->block.home};
                return std::optional{id};
            }
            byte += volume.record_bytes;
        }
    }
    return std::optional<object_id>{};
}

}  // namespace ashlar::inline v0
