#pragma once
/// Where the next table of object records goes: looked for among the free runs, a part at a time.

#include <ashlar/object/migration_resume.hpp>
#include <ashlar/region/region_space.hpp>

#include <algorithm>
#include <array>

namespace ashlar::inline v0 {

/// What records shall be.
struct record_target {
    std::uint32_t record_bytes   = 0;  ///< 112 to 256, a multiple of 8.
    std::uint32_t inline_extents = 0;  ///< That each holds; 0: as many as now. Never fewer.
};

namespace record_steps {

/// Blocks of one part that holds so many records; its last block holds none.
[[nodiscard]] inline block_count blocks_for_records(std::uint64_t records, std::uint32_t per_block) noexcept {
    const auto split = divide_by_short(records, static_cast<std::uint16_t>(per_block));
    return block_count{split.quotient + (split.rest != 0 ? 1U : 0U) + 1U};
}

inline constexpr block_count part_blocks_min{2};

/// Records that the next table is made for: those that were ever in use and a quarter more, as far as the table in use
/// has room for them. It grows like any other later.
template <class Volume>
[[nodiscard]] std::uint64_t records_wanted(const Volume& volume, std::uint32_t per_block) noexcept {
    const std::uint64_t used = records_used(volume, no_transaction);
    const std::uint64_t most = record_capacity(volume);
    const std::uint64_t room = used + (used >> 2U) + per_block;
    return room < most || most < used ? room : most;
}

/// The longest run that one transaction can take or give: what it changes must fit the ring.
template <class Volume>
[[nodiscard]] block_count longest_part(const Volume& volume, extent run) noexcept {
    while (run.count > part_blocks_min && !journal_holds_move(volume, run, run))
        run.count = block_count{run.count.value / 2};
    return run.count;
}

/// Free runs as a table could use them: the first that holds all of it, and the longest ones.
struct free_runs {
    std::optional<extent>                              whole{};
    std::array<extent, region_table::object_parts_max> longest{};  ///< Longest first; empty ones at the end.
};

/// Errors: those of reading bitmaps. Cost: every bitmap that was ever written, or those up to a run that holds all.
template <class Volume, FreeSpace S>
result<free_runs> find_runs(Volume& volume, S& free, block_count wanted) noexcept {
    free_runs found;
    BOOST_OUTCOME_TRY(for_each_free_run(free, {}, [&](extent run) noexcept {
        run.count = longest_part(volume, run);
        if (run.count >= wanted) found.whole = extent{run.first, wanted};
        auto& list = found.longest;
        if (run.count > list.back().count) {
            std::size_t at = list.size() - 1;
            for (; at > 0 && list[at - 1].count < run.count; --at) list[at] = list[at - 1];
            list[at] = run;
        }
        return !found.whole;
    }));
    return found;
}

/// The run that the next part gets where a table still needs room for so many records.
/// Errors: no_contiguous_space; those of reading bitmaps.
template <class Volume>
result<extent> find_part(Volume& volume, std::uint64_t records, std::uint32_t per_block) noexcept {
    volume_free_space<Volume> free{volume};
    BOOST_OUTCOME_TRY(const auto runs, find_runs(volume, free, blocks_for_records(records, per_block)));
    if (runs.whole) return *runs.whole;
    if (runs.longest[0].count < part_blocks_min) return errc::no_contiguous_space;
    return runs.longest[0];
}

}  // namespace record_steps

/// What a migration would do, and whether it can.
struct record_migration_plan {
    errc          obstacle = errc::none;  ///< Why it cannot begin.
    std::uint64_t records  = 0;           ///< That are copied, each once.
    block_count   blocks{};               ///< Of the next table.
    std::size_t   parts = 0;
    block_count   freed{};  ///< Of the table in use.
    std::uint64_t bytes_read    = 0;
    std::uint64_t bytes_written = 0;  ///< Of records; the journal holds them once more.
    std::size_t   memory_bytes  = 0;  ///< Besides the store's own.
};

/// Whether records of that width can take the place of those in use; writes nothing. Errors: those of reading bitmaps.
/// Obstacles: invalid_argument for a width that would lose what records hold; busy while a migration is under way;
/// read_only; no_space, reserve_only; no_contiguous_space where the free runs are too many and too short; too_large
/// where the directory is full. The next table takes blocks of `free`, and no more than `room`.
/// Cost: every bitmap that was ever written.
template <class Volume, FreeSpace S>
result<record_migration_plan> plan_record_migration(Volume& volume, const record_target& target, S& free,
                                                    block_count room) noexcept {
    record_migration_plan made;
    const auto            refuse = [&](errc why) noexcept {
        made.obstacle = why;
        return made;
    };
    const auto inline_extents = target.inline_extents != 0 ? target.inline_extents : volume.inline_extents;
    if (!is_migration(volume.inline_extents, target.record_bytes, inline_extents))
        return refuse(errc::invalid_argument);
    const auto super = volume.cache.bytes(static_cast<std::uint32_t>(frame_slot::superblock));
    if (object_encoded_bytes(inline_extents) + feature_bytes_used(super) > target.record_bytes)
        return refuse(errc::invalid_argument);
    const auto enough = [&](block_count blocks) noexcept {
        if (room >= blocks) return errc::none;
        return volume.space.available(space_use::metadata) < blocks ? errc::no_space : errc::reserve_only;
    };
    const auto size      = volume.geometry.block;
    const auto per_block = records_per_block(size, target.record_bytes);
    const auto wanted    = record_steps::records_wanted(volume, per_block);
    made.records         = records_used(volume, no_transaction);
    made.bytes_read      = made.records * volume.record_bytes;
    made.bytes_written   = made.records * target.record_bytes;
    for (const auto& part : volume.regions.object_parts()) made.freed += part.count;
    if (volume.migration.phase != migration_phase::none || superblock_as_is(volume).migrating)
        return refuse(errc::busy);
    if (has_old_objects(volume) || !volume.regions.next_object_parts().empty()) return refuse(errc::damaged);

    made.blocks = record_steps::blocks_for_records(wanted, per_block);
    made.parts  = 1;
    BOOST_OUTCOME_TRY(const auto runs, record_steps::find_runs(volume, free, made.blocks));
    const std::size_t slots = region_slots - volume.regions.slots();
    if (slots == 0) return refuse(errc::too_large);
    if (!runs.whole) {
        std::uint64_t left = wanted;
        made.parts         = 0;
        made.blocks        = {};
        for (const auto& run : runs.longest) {
            if (left == 0 || run.count < record_steps::part_blocks_min) break;
            const auto part = std::min(run.count, record_steps::blocks_for_records(left, per_block));
            const auto held = (part.value - 1) * per_block;
            left -= left < held ? left : held;
            made.blocks += part;
            ++made.parts;
        }
        const auto missing = enough(record_steps::blocks_for_records(wanted, per_block));
        if (left != 0) return refuse(missing != errc::none ? missing : errc::no_contiguous_space);
        if (made.parts > slots) return refuse(errc::too_large);
    }
    if (const auto missing = enough(made.blocks); missing != errc::none) return refuse(missing);
    if (volume.writable().has_error()) return refuse(errc::read_only);
    return made;
}

/// The same, anywhere in the volume.
template <class Volume>
result<record_migration_plan> plan_record_migration(Volume& volume, const record_target& target) noexcept {
    volume_free_space<Volume> free{volume};
    return plan_record_migration(volume, target, free, volume.space.available(space_use::data));
}

}  // namespace ashlar::inline v0
