#pragma once
/// The object table as something that moves: a migration of its records to the width that they have.

#include <ashlar/maintenance/evacuation_report.hpp>
#include <ashlar/maintenance/record_tables.hpp>
#include <ashlar/maintenance/space_outside.hpp>

#include <algorithm>

namespace ashlar::inline v0 {

/// Records as they are: a migration to it makes the same table elsewhere.
template <class Volume>
[[nodiscard]] record_target same_records(const Volume& volume) noexcept {
    return {volume.record_bytes, volume.inline_extents};
}

/// Whether a migration to another width copies records: it is somebody's, who steps it.
template <class Volume>
[[nodiscard]] bool is_widening(const Volume& volume) noexcept {
    const auto& seen = volume.migration;
    const bool  ends = seen.phase == migration_phase::complete || seen.phase == migration_phase::rolling_back;
    return seen.phase != migration_phase::none && !ends &&
           (seen.record_bytes != volume.record_bytes || seen.inline_extents != volume.inline_extents);
}

/// Why a table stays that a migration cannot move.
[[nodiscard]] inline stop_reasons why_table_stays(errc code) noexcept {
    switch (code) {
        case errc::busy: return stop_reason::raced;
        case errc::no_space:
        case errc::reserve_only:
        case errc::no_contiguous_space:
        case errc::too_large: return stop_reason::no_contiguous_space;
        default: return stop_reason::device_error;
    }
}

/// Names the parts of tables of object records in the range; answers how many blocks of it they are.
/// Precondition: the volume is entered.
template <class Volume>
block_count list_object_tables(Volume& volume, extent range, stop_reasons why, error failure,
                               obstacle_list& into) noexcept {
    block_count blocks{};
    for (std::uint32_t i = 0; i < volume.regions.slots(); ++i) {
        const auto slot = slot_at(volume, i);
        const auto part = common_part(slot.place(), range);
        if (!is_object_table(slot.type) || part.empty()) continue;
        blocks += part.count;
        into.add(
            {.kind = obstacle_kind::table, .why = why, .region = name_of(slot), .blocks = part, .failure = failure});
    }
    return blocks;
}

/// Blocks of the range that tables of object records lie in. Precondition: the volume is entered.
template <class Volume>
[[nodiscard]] block_count object_table_blocks(Volume& volume, extent range) noexcept {
    obstacle_list none;
    return list_object_tables(volume, range, {}, {}, none);
}

/// What a copy of the object table takes that touches neither the range nor the targets; `room` is what moves may take
/// outside of the range. A volume that is only read plans as others do. Errors and cost: plan_record_migration.
/// Precondition: the volume is entered.
template <class Volume>
result<record_migration_plan> plan_table_move(Volume& volume, extent range, std::span<const extent> targets,
                                              block_count room) noexcept {
    drained_free_space<Volume>                     all{volume};
    free_space_outside<drained_free_space<Volume>> outside{all, range, targets};
    // A table is taken like data, which leave a reserve to moves.
    const auto left = volume.geometry.blocks - range.count;
    const auto kept = space::reserve_of(left) - space::metadata_reserve(left);
    BOOST_OUTCOME_TRY(auto made,
                      plan_record_migration(volume, same_records(volume), outside, room - std::min(room, kept)));
    if (made.obstacle == errc::read_only) made.obstacle = errc::none;  // all else speaks for it
    return made;
}

}  // namespace ashlar::inline v0
