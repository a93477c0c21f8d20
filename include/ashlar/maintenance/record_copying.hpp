#pragma once
/// How records get into the next table, how it takes the place of the old one, and how the one that is left goes.

#include <ashlar/maintenance/record_steps.hpp>

namespace ashlar::inline v0::record_steps {

inline constexpr std::uint64_t records_per_save = 1000;  ///< At most, in one transaction.

/// Blocks of the next table that one transaction writes at most: others want copies of metadata blocks too.
template <class Volume>
[[nodiscard]] std::uint64_t blocks_per_copy(const Volume& volume, std::uint32_t per_block) noexcept {
    const std::uint64_t shadows = granted(volume.limits).shadows / 4;
    const std::uint64_t grant   = usual_grant(volume);
    const std::uint64_t ring    = grant > 5 ? grant - 4 : 1;  // the state and the totals change too
    const std::uint64_t saved   = divide_by_short(records_per_save, static_cast<std::uint16_t>(per_block)).quotient;
    return std::max(std::uint64_t{1}, std::min({shadows, ring, saved}));
}

/// The records that are copied next, in so many blocks. Empty: all are, or the next table has no room.
template <class Volume>
[[nodiscard]] record_range next_range(const Volume& volume, std::uint64_t blocks) noexcept {
    const auto    first = volume.migration.migrated;
    const auto    place = next_place_of_record(volume, first);
    std::uint64_t used  = records_used(volume, no_transaction);
    if (!place || first >= used) return {};
    const auto          bytes     = volume.migration.record_bytes;
    const std::uint64_t per_block = records_per_block(volume.geometry.block, bytes);
    const std::uint64_t room      = next_capacity(volume);
    const std::uint64_t end       = first - place->byte / bytes + blocks * per_block;
    used                          = used < room ? used : room;
    return {first, end < used ? end : used};
}

/// Reads the blocks that the records stand in, so that the transaction finds them. Errors: those of reading.
template <class Volume>
result<> read_ahead(Volume& volume, const record_range& range) noexcept {
    const std::uint64_t per_block = records_per_block(volume);
    for (std::uint64_t record = range.first; record < range.end; record += per_block) {
        BOOST_OUTCOME_TRY(with_loads(volume, [&]() noexcept -> result<> {
            const auto place = place_of_record(volume, record);
            if (!place) return errc::damaged;
            BOOST_OUTCOME_TRY(view_block(volume, no_transaction, place->block.home, place->block.identity));
            return success();
        }));
    }
    return success();
}

/// Copies each record of a range in a transaction. Errors: those of reading and of the copies.
template <class Volume>
result<> copy_range(Volume& volume, std::uint32_t tx, const record_range& range) noexcept {
    for (std::uint64_t record = range.first; record < range.end; ++record) {
        const auto from = place_of_record(volume, record);
        const auto into = next_place_of_record(volume, record);
        if (!from || !into) return errc::damaged;
        BOOST_OUTCOME_TRY(const auto block, view_block(volume, no_transaction, from->block.home, from->block.identity));
        BOOST_OUTCOME_TRY(detail::write_next_record(
            volume, tx, *into, block.bytes().subspan(from->byte, volume.record_bytes), into->first));
    }
    return success();
}

/// Copies the next records, at most so many blocks of them. From then on they are changed in both tables. Answers how
/// many there were; none where the next table has no room for more, or has them all.
/// Errors: busy where an open transaction holds the next record; those of reading, and of the journal.
template <class Volume>
result<std::uint64_t> copy_some(Volume& volume, block_count blocks_max) noexcept {
    const auto per_block = records_per_block(volume.geometry.block, volume.migration.record_bytes);
    const auto blocks    = std::min(blocks_max.value, blocks_per_copy(volume, per_block));
    BOOST_OUTCOME_TRY(read_ahead(volume, next_range(volume, blocks)));
    record_range range{};
    BOOST_OUTCOME_TRY(run_transaction(volume, [&](std::uint32_t tx) noexcept -> result<> {
        range = next_range(volume, blocks);
        if (range.first >= range.end) return success();
        range = without_locked(volume, tx, range);
        if (range.first == range.end) return errc::busy;
        volume.transactions[tx].copies = range;
        BOOST_OUTCOME_TRY(copy_range(volume, tx, range));
        BOOST_OUTCOME_TRY(auto state, load_migration(volume, tx));
        state.phase    = static_cast<std::uint16_t>(migration_phase::copying);
        state.migrated = range.end;
        state.total    = records_used(volume, no_transaction);
        return save_migration(volume, tx, state);
    }));
    if (range.first >= range.end) return std::uint64_t{0};
    volume.migration.migrated = range.end;
    return range.end - range.first;
}

/// The next table takes the place of the one in use, in one transaction. False where a record was created meanwhile.
/// Errors: busy where another transaction is open that may rest on the old table; those of the journal.
template <class Volume>
result<bool> swap_tables(Volume& volume) noexcept {
    bool all = false;
    BOOST_OUTCOME_TRY(run_transaction(volume, [&](std::uint32_t tx) noexcept -> result<> {
        BOOST_OUTCOME_TRY(lock_table(volume, tx));
        BOOST_OUTCOME_TRY(refuse_others(volume, tx));
        all = volume.migration.migrated == records_used(volume, no_transaction);
        if (!all) return success();
        auto& own  = volume.transactions[tx];
        own.copies = {0, ~std::uint64_t{0}};
        BOOST_OUTCOME_TRY(auto state, load_migration(volume, tx));
        state.phase              = static_cast<std::uint16_t>(migration_phase::complete);
        state.saved              = volume.now;
        const auto parts         = volume.regions.next_object_parts();
        own.super                = superblock_as_is(volume);
        own.super.record_bytes   = state.new_bytes;
        own.super.inline_extents = state.new_inline;
        own.super.swaps_objects  = true;
        return create_migration(volume, tx, region_table::migration_block(parts, parts.size() - 1), state);
    }));
    if (all) volume.migration = {.phase = migration_phase::complete};
    return all;
}

/// The last part of the table that is to be freed: the next one after a rollback, the old one after the swap. Empty
/// where none is left.
template <class Volume>
[[nodiscard]] region_slot last_part_of(Volume& volume, std::uint32_t type) noexcept {
    region_slot last;
    for (std::uint32_t i = 0; i < volume.regions.slots(); ++i) {
        const auto slot = slot_at(volume, i);
        if (slot.type == type && (last.type == 0 || slot.id > last.id)) last = slot;
    }
    return last;
}

/// Whether an open transaction has a copy of a block that lies there: it would still be changed when that joins.
template <class Volume>
[[nodiscard]] bool is_changed_by_others(const Volume& volume, extent blocks) noexcept {
    for (const auto& other : volume.transactions) {
        if (!other.open) continue;
        for (const auto shadow : other.shadows.all()) {
            if (blocks.contains(volume.cache.at(volume.cache.shadow_slot(shadow)).home)) return true;
        }
    }
    return false;
}

/// Frees what is left of a table, its last part first, a part at a time. Answers whether that was the last one; then
/// the mark in the superblock went with it. Precondition: no block of it is on its way home, and none will be changed.
/// Errors: busy where it was freed meanwhile; those of the journal.
template <class Volume>
result<bool> free_part(Volume& volume, std::uint32_t type) noexcept {
    const auto phase = type == tag::old_objects ? migration_phase::complete : migration_phase::rolling_back;
    bool       last  = false;
    BOOST_OUTCOME_TRY(run_transaction(volume, [&](std::uint32_t tx) noexcept -> result<> {
        BOOST_OUTCOME_TRY(lock_table(volume, tx));
        if (volume.migration.phase != phase) return errc::busy;
        const auto part = last_part_of(volume, type);
        auto&      own  = volume.transactions[tx];
        last            = part.type == 0 || part.id == 0;
        if (part.type != 0) {
            BOOST_OUTCOME_TRY(change_region(volume, tx, {.before = part, .after = {}}));
            own.given.push({.blocks = part.place(), .metadata = true});
            volume.cache.forget_run(part.place());
        }
        if (!last) return success();
        own.super           = superblock_as_is(volume);
        own.super.migrating = false;
        return success();
    }));
    if (last) volume.migration = {};
    return last;
}

}  // namespace ashlar::inline v0::record_steps
