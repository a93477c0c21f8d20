#pragma once
/// What a migration of object records does, a transaction at a time. The table in use is the truth until the swap.

#include <ashlar/maintenance/record_tables.hpp>

namespace ashlar::inline v0::record_steps {

/// Errors: busy where another transaction has a lock, or a copy of a metadata block: it may rest on the old table.
template <class Volume>
[[nodiscard]] result<> refuse_others(const Volume& volume, std::uint32_t tx) noexcept {
    for (std::uint32_t i = 0; i < volume.transactions.size(); ++i) {
        const auto& other = volume.transactions[i];
        if (i == tx || !other.open) continue;
        const bool idle = other.locked.empty() && other.shadows.empty() && !other.locks_table && !other.region.any();
        if (!idle) return errc::busy;
    }
    return success();
}

/// Records of a range that no other transaction has locked, from its beginning on.
template <class Volume>
[[nodiscard]] record_range without_locked(const Volume& volume, std::uint32_t tx, record_range range) noexcept {
    for (std::uint32_t i = 0; i < volume.transactions.size(); ++i) {
        if (i == tx || !volume.transactions[i].open) continue;
        for (const auto locked : volume.transactions[i].locked.all()) {
            if (range.contains(record_of(locked))) range.end = record_of(locked);
        }
    }
    return range;
}

/// Says in a transaction that a migration is under way.
template <class Volume>
result<> write_first_state(Volume& volume, std::uint32_t tx, const record_target& target) noexcept {
    auto super      = superblock_as_is(volume);
    super.migrating = true;
    migration_checkpoint state;
    state.version                 = migration_version;
    state.phase                   = static_cast<std::uint16_t>(migration_phase::allocating);
    state.migration               = volume.open_batch.value;
    state.old_bytes               = volume.record_bytes;
    state.old_inline              = volume.inline_extents;
    state.new_bytes               = target.record_bytes;
    state.new_inline              = target.inline_extents;
    state.old_manifest            = super.manifest;
    state.new_manifest            = super.manifest;
    state.total                   = records_used(volume, no_transaction);
    state.started                 = volume.now;
    state.saved                   = volume.now;
    state.old_parts               = static_cast<std::uint16_t>(volume.regions.object_parts().size());
    volume.transactions[tx].super = super;
    return create_migration(volume, tx, migration_home(volume), state);
}

/// Takes a run for the next part of the next table. Errors: those of reserving it; too_large where the table or the
/// directory has all its parts.
template <class Volume>
result<> take_part(Volume& volume, std::uint32_t tx, extent run) noexcept {
    const auto parts = volume.regions.next_object_parts();
    if (parts.size() == region_table::object_parts_max) return errc::too_large;
    region_slot slot;
    slot.type = tag::next_objects;
    slot.id   = static_cast<std::uint32_t>(parts.size());
    BOOST_OUTCOME_TRY(change_region(volume, tx, {.before = {}, .after = slot}));
    BOOST_OUTCOME_TRY(const auto taken, reserve_long_run(volume, run.count, space_use::data, run.first, run.end()));
    auto& state = volume.transactions[tx];
    state.taken.push({.blocks = taken});
    state.region.after.start  = taken.first.value;
    state.region.after.blocks = taken.count.value;
    return success();
}

/// Looks for a run for the next part, and does `change(tx, run)` as a transaction. Where others took the run in between
/// another one is looked for, a bounded number of times. Errors: those of find_part and of the change.
template <class Volume, class Change>
result<> change_with_part(Volume& volume, std::uint64_t records, std::uint32_t per_block, Change&& change) noexcept {
    constexpr int tries = 8;
    for (int i = 1;; ++i) {
        BOOST_OUTCOME_TRY(const auto run, find_part(volume, records, per_block));
        const auto done = run_transaction(volume, [&](std::uint32_t tx) noexcept { return change(tx, run); });
        if (done.has_value() || done.error().code != errc::no_contiguous_space || i == tries) return done;
    }
}

/// Begins: the first part, the state, the mark in the superblock. Nothing was written before it succeeds.
/// Errors: those of plan_record_migration, its obstacles, busy where an open transaction is in the way, and those of
/// reserving space. Cost: that of plan_record_migration, and the bitmaps up to the run once more.
template <class Volume>
result<> begin(Volume& volume, record_target target) noexcept {
    BOOST_OUTCOME_TRY(const auto plan, plan_record_migration(volume, target));
    if (plan.obstacle != errc::none) return plan.obstacle;
    if (target.inline_extents == 0) target.inline_extents = volume.inline_extents;
    const auto per_block = records_per_block(volume.geometry.block, target.record_bytes);
    const auto begin_in  = [&](std::uint32_t tx, extent run) noexcept -> result<> {
        BOOST_OUTCOME_TRY(lock_table(volume, tx));
        if (volume.migration.phase != migration_phase::none) return errc::busy;
        BOOST_OUTCOME_TRY(write_first_state(volume, tx, target));
        return take_part(volume, tx, run);
    };
    BOOST_OUTCOME_TRY(change_with_part(volume, records_wanted(volume, per_block), per_block, begin_in));
    volume.migration = {migration_phase::allocating, target.record_bytes, target.inline_extents, 0};
    ++volume.migrations;
    return success();
}

/// Changes the state in a transaction of its own, which locks the table.
template <class Volume>
result<> enter_phase(Volume& volume, migration_phase phase) noexcept {
    BOOST_OUTCOME_TRY(run_transaction(volume, [&](std::uint32_t tx) noexcept -> result<> {
        BOOST_OUTCOME_TRY(lock_table(volume, tx));
        BOOST_OUTCOME_TRY(auto state, load_migration(volume, tx));
        state.phase = static_cast<std::uint16_t>(phase);
        return save_migration(volume, tx, state);
    }));
    volume.migration.phase = phase;
    return success();
}

/// Records that the next table has room for.
template <class Volume>
[[nodiscard]] std::uint64_t next_capacity(const Volume& volume) noexcept {
    return record_capacity(volume.regions.next_object_parts(),
                           records_per_block(volume.geometry.block, volume.migration.record_bytes));
}

/// Gives the next table another part, or goes on to copying where it is large enough.
/// Errors: no_contiguous_space; those of reserving space; too_large where it has all its parts.
template <class Volume>
result<> allocate(Volume& volume) noexcept {
    const auto per_block = records_per_block(volume.geometry.block, volume.migration.record_bytes);
    const auto wanted    = records_wanted(volume, per_block);
    const auto room      = next_capacity(volume);
    if (room >= wanted) return enter_phase(volume, migration_phase::copying);
    return change_with_part(volume, wanted - room, per_block, [&](std::uint32_t tx, extent run) noexcept -> result<> {
        BOOST_OUTCOME_TRY(lock_table(volume, tx));
        BOOST_OUTCOME_TRY(const auto state, load_migration(volume, tx));
        BOOST_OUTCOME_TRY(save_migration(volume, tx, state));
        return take_part(volume, tx, run);
    });
}

}  // namespace ashlar::inline v0::record_steps
