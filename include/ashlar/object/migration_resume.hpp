#pragma once
/// What an open volume does about a migration of records that is under way in it.

#include <ashlar/object/object_operation.hpp>

namespace ashlar::inline v0 {

namespace detail {

/// Takes up what the state says, where the volume agrees. Answers whether it does.
template <class Volume>
[[nodiscard]] bool take_up_migration(Volume& volume, const migration_checkpoint& state) noexcept {
    const std::uint64_t used = records_used(volume, no_transaction);
    const std::uint64_t room =
        record_capacity(volume.regions.next_object_parts(), records_per_block(volume.geometry.block, state.new_bytes));
    if (state.old_bytes != volume.record_bytes || state.old_inline != volume.inline_extents) return false;
    if (state.migrated > used || state.migrated > room) return false;
    const auto super = volume.cache.bytes(static_cast<std::uint32_t>(frame_slot::superblock));
    if (object_encoded_bytes(state.new_inline) + feature_bytes_used(super) > state.new_bytes) return false;
    const auto phase = static_cast<migration_phase>(static_cast<std::uint16_t>(state.phase));
    if (phase == migration_phase::complete || phase == migration_phase::rolling_back) return false;
    volume.migration = {phase, state.new_bytes, state.new_inline, state.migrated};
    return true;
}

}  // namespace detail

/// Whether a part of a table whose place another one took is still to be freed.
template <class Volume>
[[nodiscard]] bool has_old_objects(Volume& volume) noexcept {
    for (std::uint32_t i = 0; i < volume.regions.slots(); ++i) {
        if (slot_at(volume, i).type == tag::old_objects) return true;
    }
    return false;
}

/// Gives a migration up: nothing is changed in both tables any more, and the next one is to be freed. Error too: busy
/// where it has ended, or its table is in use, since it was looked at.
template <class Volume>
result<> give_migration_up(Volume& volume) noexcept {
    BOOST_OUTCOME_TRY(run_transaction(volume, [&](std::uint32_t tx) noexcept -> result<> {
        BOOST_OUTCOME_TRY(lock_table(volume, tx));
        const auto phase = volume.migration.phase;
        if (phase == migration_phase::none || phase == migration_phase::complete) return errc::busy;
        auto known = load_migration(volume, tx);
        if (known.has_value()) {
            known.value().phase    = static_cast<std::uint16_t>(migration_phase::rolling_back);
            known.value().migrated = std::uint64_t{0};
            return save_migration(volume, tx, known.value());
        }
        if (known.error().code == errc::again) return known.error();
        migration_checkpoint state;
        state.version    = migration_version;
        state.phase      = static_cast<std::uint16_t>(migration_phase::rolling_back);
        state.old_bytes  = volume.record_bytes;
        state.old_inline = volume.inline_extents;
        state.new_bytes  = volume.record_bytes;
        state.new_inline = volume.inline_extents;
        state.old_parts  = std::uint16_t{1};
        return create_migration(volume, tx, migration_home(volume), state);
    }));
    volume.migration = {.phase = migration_phase::rolling_back};
    return success();
}

/// After `open_volume`, for writing. Changes of records that were copied are made in both tables from here on. Where
/// the state is lost, so is the migration, and nothing else: the table in use is whole; that is written down before the
/// first change that is not made in both. Cost: nothing without a migration, else a block read.
/// Errors: those of giving it up.
template <class Volume>
result<> resume_migration(Volume& volume) noexcept {
    const auto super = superblock_as_is(volume);
    if (!super.migrating || volume.read_only) return success();
    if (has_old_objects(volume)) {
        volume.migration.phase = migration_phase::complete;
        return success();
    }
    volume.migration.phase = migration_phase::rolling_back;
    const auto state       = load_migration(volume, no_transaction);
    if (state.has_value()) {
        if (detail::take_up_migration(volume, state.value())) return success();
        if (state.value().phase == static_cast<std::uint16_t>(migration_phase::rolling_back)) return success();
    }
    return give_migration_up(volume);
}

}  // namespace ashlar::inline v0
