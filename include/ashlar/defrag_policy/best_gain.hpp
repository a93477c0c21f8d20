#pragma once
/// The most reads saved for the fewest bytes moved.

#include <ashlar/concepts/defrag_policy.hpp>

#include <bit>

namespace ashlar::inline v0 {

/// Moves only what a reader will feel, dearest first.
///
/// On flash a sequential read of extents that are 256 KiB or longer is as fast as one of a single extent, so a move
/// pays only when it saves transfers of that size; a range of such extents is left alone however many they are. A whole
/// extent that keeps two free runs apart is worth moving too: it saves the next write a piece.
struct best_gain {
    static constexpr bool enabled = true;

    using options = best_gain;

    std::uint64_t reads_saved_min = 1;  ///< A move that saves fewer reads is not made.

    [[nodiscard]] constexpr bool worth_moving(const defrag_candidate& c) const noexcept {
        if (c.free_runs_merged > 0) return c.extents <= 1;
        return c.extents > c.extents_ideal && reads_saved(c) > 0 && reads_saved(c) >= reads_saved_min;
    }

    /// Gain per byte as a fixed-point number: exact to one part in 2^15, and without a 64-bit division.
    [[nodiscard]] constexpr std::uint64_t rank(const defrag_candidate& c) const noexcept {
        constexpr std::uint32_t gain_max = (1U << 20U) - 1U;
        const auto              all      = reads_saved(c) + c.free_runs_merged;
        const auto              gain     = all < gain_max ? static_cast<std::uint32_t>(all) : gain_max;
        const auto              width    = static_cast<unsigned>(std::bit_width(c.bytes));
        const auto              shift    = width > 16U ? width - 16U : 0U;
        const auto              bytes    = static_cast<std::uint32_t>(c.bytes >> shift);
        if (bytes == 0) return 0;
        const std::uint32_t ratio = (gain << 12U) / bytes;
        const std::uint32_t rest  = (gain << 12U) % bytes;
        const std::uint32_t fine  = (rest << 15U) / bytes;
        return ((std::uint64_t{ratio} << 31U) | (std::uint64_t{fine} << 16U)) >> shift;
    }

  private:
    [[nodiscard]] static constexpr std::uint64_t reads_saved(const defrag_candidate& c) noexcept {
        return c.reads_before > c.reads_after ? c.reads_before - c.reads_after : 0;
    }
};
static_assert(DefragPolicy<best_gain>);
static_assert(best_gain{}.worth_moving({.extents = 16, .extents_ideal = 1, .reads_before = 16, .reads_after = 1}));
static_assert(!best_gain{}.worth_moving({.extents = 4, .extents_ideal = 1, .reads_before = 4, .reads_after = 4}),
              "extents of 256 KiB or more gain nothing");
static_assert(best_gain{}.rank({.reads_before = 8, .reads_after = 1, .bytes = 32768}) >
              best_gain{}.rank({.reads_before = 8, .reads_after = 1, .bytes = 65536}));
static_assert(best_gain{}.rank({.reads_before = 9, .reads_after = 1, .bytes = 65536}) >
              best_gain{}.rank({.reads_before = 8, .reads_after = 1, .bytes = 65536}));

}  // namespace ashlar::inline v0
