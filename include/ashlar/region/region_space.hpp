#pragma once
/// Runs of free blocks that may be longer than a group, for regions.

#include <ashlar/allocator/free_space_scan.hpp>
#include <ashlar/object/object_operation.hpp>

namespace ashlar::inline v0 {

/// The free space of an open volume, without what is reserved or waits to be free.
template <class Volume>
class volume_free_space {
  public:
    explicit volume_free_space(Volume& volume) noexcept : volume_{volume} {}

    /// What is not in memory is loaded without the engine's lock, so others may take and give blocks between two calls,
    /// and during one. Errors: those of reading group records and bitmaps.
    [[nodiscard]] result<std::optional<extent>> next_free(block_index from) noexcept {
        return with_loads(volume_, [&]() noexcept { return volume_.space.next_free(volume_.metadata(), from); });
    }

  private:
    Volume& volume_;
};

/// And what waits to be free: what the free space becomes once everything is confirmed, and readers are gone.
template <class Volume>
class drained_free_space {
  public:
    explicit drained_free_space(Volume& volume) noexcept : volume_{volume}, now_{volume} {}

    /// Errors: those of volume_free_space. Cost: what waits is looked through.
    [[nodiscard]] result<std::optional<extent>> next_free(block_index from) noexcept {
        BOOST_OUTCOME_TRY(const auto now, now_.next_free(from));
        const auto later = volume_.space.next_retired(from);
        return later && (!now || later->first < now->first) ? later : now;
    }

  private:
    Volume&                   volume_;
    volume_free_space<Volume> now_;
};

/// Whether so many blocks may be taken for that use. Errors: no_space; reserve_only.
template <class Volume>
[[nodiscard]] result<> may_take(const Volume& volume, block_count blocks, space_use use) noexcept {
    if (volume.space.available(use) >= blocks) return success();
    return volume.space.available(space_use::metadata) < blocks ? errc::no_space : errc::reserve_only;
}

/// Runs `ask`, and once more where it found no space while blocks wait to be free: what is dying is freed, everything
/// confirmed and brought home first (R7). Errors: those of `ask`; those of a checkpoint.
template <class Volume, class Ask>
[[nodiscard]] auto ask_for_space(Volume& volume, Ask&& ask) noexcept {
    auto answer = ask();
    if (answer.has_value() || !may_be_relieved(volume, answer.error().code)) return answer;
    // Where the turn to commit is a channel's of this thread, the first answer stands.
    if (const auto room = relieve(volume, answer.error().code); room.has_value())
        answer = ask();
    else if (room.error().code != errc::busy)
        answer = room.error();
    return answer;
}

/// Whether the journal, once it is empty, holds the change that what lies at `from` lies at `to`, in one batch: asked
/// before anything is copied. Both runs are in whole groups but for their ends.
template <class Volume>
[[nodiscard]] bool journal_holds_move([[maybe_unused]] const Volume& volume, [[maybe_unused]] extent from,
                                      [[maybe_unused]] extent to) noexcept {
    if constexpr (!Volume::journal_type::durable) {
        return true;
    } else {
        const auto& geometry  = volume.geometry;
        const auto  groups_of = [&](extent run) noexcept {
            return place_of(run.end() - block_count{1}, geometry.block).group -
                   place_of(run.first, geometry.block).group + 1;
        };
        const std::uint64_t parts   = groups_of(from) + groups_of(to);
        const std::uint64_t tables  = group_table_blocks(geometry.groups, geometry.block).value;
        const std::uint64_t bitmaps = parts < geometry.groups ? parts : geometry.groups;
        const auto          shape =
            full_shape(1 + (parts < tables ? parts : tables) + 2 * bitmaps, listed_max(volume), geometry.block);
        return volume.journal.blocks_needed(shape) <= volume.journal.capacity();
    }
}

/// Reserves the first free run of exactly so many blocks that lies between `from` and `end`.
/// Errors: no_space; reserve_only; no_contiguous_space; too_large where too many runs are reserved; busy where others
/// took what was found, each time; those of reading metadata. Cost: the bitmaps of the groups up to the run.
template <class Volume>
result<extent> reserve_long_run(Volume& volume, block_count blocks, space_use use, block_index from = {},
                                block_index end = {~std::uint64_t{0}}) noexcept {
    constexpr int tries = 4;
    BOOST_OUTCOME_TRY(may_take(volume, blocks, use));
    volume_free_space<Volume> source{volume};
    for (int i = 0; i < tries; ++i) {
        BOOST_OUTCOME_TRY(const auto found, first_fit(source, blocks, from, end));
        if (!found) return errc::no_contiguous_space;
        // The way there may have been long, and others were not kept out: a second look at the run alone is short.
        const auto before = volume.space.reservations();
        BOOST_OUTCOME_TRY(const auto again, first_fit(source, blocks, found->first, found->end()));
        if (again != found || volume.space.reservations() != before) continue;
        if (!volume.space.can_reserve()) return errc::too_large;
        BOOST_OUTCOME_TRY(may_take(volume, blocks, use));
        volume.space.reserve_run(*found, volume.geometry.block);
        return *found;
    }
    return errc::busy;
}

}  // namespace ashlar::inline v0
