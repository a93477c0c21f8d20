#pragma once
/// What compacting users' regions is told, and what it says.

#include <ashlar/region/region_source.hpp>
#include <ashlar/vocabulary/ratio.hpp>
#include <ashlar/vocabulary/time_point.hpp>

#include <optional>

namespace ashlar::inline v0 {

/// How free space lies: what a region could still be added into.
struct free_space_shape {
    block_count   free{};
    block_count   largest{};  ///< Groups joined.
    std::uint64_t runs = 0;

    /// 1 - largest / free, in thousandths; 0 where nothing is free.
    [[nodiscard]] std::uint32_t permille() const noexcept {
        return free.value == 0 ? 0 : 1000U - permille_of(largest.value, free.value);
    }
    friend bool operator==(const free_space_shape&, const free_space_shape&) = default;
};

/// How a compaction of regions works; the memory it needs follows from it.
struct region_compaction_options {
    std::uint32_t            threshold_permille = 50;  ///< Below it there is nothing to gain.
    std::optional<region_id> only{};                   ///< One region alone.
    std::uint32_t            races_max     = 3;
    std::uint32_t            failures_max  = 2;
    bool                     verify_target = false;       ///< Read back what was copied and compare.
    std::size_t              chunk_bytes   = 256 * 1024;  ///< Of a copy; two blocks or more.
    std::size_t              read_bytes    = 64 * 1024;   ///< As of evacuation_options.
    std::size_t              window_bits   = 4096;        ///< Windows of a region whose writes are told apart.
    std::size_t              transfers_max = 16;          ///< In flight, on devices with queues.
    bool                     clears_way = false;  ///< Of a `compaction`: empties runs of objects that are in the way,
                                                  ///< and what lies below gaps that are shorter than `gap_bytes`.
    std::uint32_t ways_max  = 3;                  ///< Attempts to clear the way of one region, in one run.
    std::size_t   gap_bytes = 4U << 20U;  ///< With `clears_way`: objects leave the blocks below a smaller gap first,
                                          ///< before a region slides into it. 0: none do.
};

/// Relocating: whole regions, or parts of one that slides; updating: the directory, when all of its parts have moved,
/// and the table is cleared with it; clearing: objects leave the way of a region. What a pass did is said by its
/// result.
enum class compaction_phase : std::uint8_t { idle, analyzing, relocating, updating, clearing };

/// One move of a plan.
struct region_move {
    region_id   region{};
    extent      from{};
    block_index to{};
    bool        needed = false;  ///< False: nothing is free below it, it is pinned, or nothing may slide.
    bool        pinned = false;
    bool        slides = false;  ///< No free run below it holds it: it is moved in parts, into the one that ends at it.
    bool        clears = false;  ///< Then objects leave a run of its length, which begins at `to`, and it moves there.
    block_count cleared{};       ///< Blocks of that run that would be in use then, by the bitmaps: whose they are, and
                                 ///< whether they can move, the run itself finds out.
};

/// What a compaction of regions would do now.
struct region_compaction_plan {
    std::size_t      regions = 0;  ///< Lines of the plan.
    std::size_t      moves   = 0;  ///< Lines that say needed.
    block_count      blocks{};     ///< Read once and written once; twice those of a region that slides twice.
    free_space_shape before{};
    free_space_shape after{};
    std::size_t      memory_bytes = 0;
    std::size_t      slides       = 0;  ///< Moves that are made in parts.
    std::size_t      ways         = 0;  ///< Lines that say clears. `after` does not foresee what that gains.
    block_count      cleared{};         ///< Of all lines.
    std::uint64_t    entries     = 0;   ///< Blocks of the largest region that could slide: so many entries it makes.
    std::uint64_t    entries_max = 0;   ///< What memory holds at once. Where that is nothing no slide is made.
};

/// Of the last pass.
struct region_compaction_result {
    bool             finished      = false;  ///< Not cancelled, and no device failed.
    std::uint64_t    regions_moved = 0;  ///< Moves: a region may go into a free run, and lower once its way is clear.
    std::uint64_t    regions_slid  = 0;  ///< Of them, in parts.
    block_count      blocks_moved{};     ///< Of regions.
    std::uint64_t    ways_cleared = 0;   ///< Runs that objects left so that a region could move there,
    block_count      blocks_cleared{};   ///< and blocks that were moved for that, also where it was not enough.
    free_space_shape before{};
    free_space_shape after{};
    duration         took{};  ///< 0 without a clock.

    [[nodiscard]] block_count gained() const noexcept {
        return after.largest > before.largest ? after.largest - before.largest : block_count{};
    }
};

/// The free space of a volume as it would be after some moves: their targets are taken, their sources free.
template <FreeSpace S>
class planned_free_space {
  public:
    planned_free_space(S& now, std::span<const region_move> moves) noexcept : now_{now}, moves_{moves} {}

    /// Errors: those of the space as it is.
    [[nodiscard]] result<std::optional<extent>> next_free(block_index from) noexcept {
        for (;;) {
            BOOST_OUTCOME_TRY(auto next, now_.next_free(from));
            for (const auto& move : moves_) {  // a source that begins, or goes on, before it
                if (!move.needed || move.from.end() <= from) continue;
                const auto first = move.from.first > from ? move.from.first : from;
                if (!next || first < next->first) next = extent{first, move.from.end() - first};
            }
            if (!next) return next;
            block_index taken_end = next->first;
            for (const auto& move : moves_) {
                const extent target{move.to, move.from.count};
                if (!move.needed || !overlap(target, *next)) continue;
                if (target.contains(next->first))
                    taken_end = target.end();
                else
                    next->count = target.first - next->first;
            }
            if (taken_end == next->first) return next;
            from = taken_end;
        }
    }

  private:
    S&                           now_;
    std::span<const region_move> moves_;
};

/// Measures free space. Errors: the source's. Cost: every run of it.
template <FreeSpace S>
[[nodiscard]] result<free_space_shape> measure_free_space(S& source) noexcept {
    free_space_shape shape;
    BOOST_OUTCOME_TRY(for_each_free_run(source, {}, [&](extent run) noexcept {
        shape.free += run.count;
        if (run.count > shape.largest) shape.largest = run.count;
        ++shape.runs;
        return true;
    }));
    return shape;
}

}  // namespace ashlar::inline v0
