#pragma once
/// Objects in many pieces are worth moving.

#include <ashlar/concepts/defrag_policy.hpp>

namespace ashlar::inline v0 {

/// Moves what has more pieces than its size explains, in objects with `extents_min` pieces or more; and whole extents
/// that keep two free runs apart. The range with the most pieces to lose goes first. It suits disks that seek.
struct threshold_policy {
    static constexpr bool enabled = true;

    using options = threshold_policy;

    std::uint64_t extents_min = 5;

    [[nodiscard]] constexpr bool worth_moving(const defrag_candidate& c) const noexcept {
        if (c.free_runs_merged > 0) return c.extents <= 1;
        return c.owner_extents >= extents_min && c.extents > c.extents_ideal;
    }

    [[nodiscard]] constexpr std::uint64_t rank(const defrag_candidate& c) const noexcept {
        const auto lost = c.extents > c.extents_ideal ? c.extents - c.extents_ideal : 0;
        return lost + c.free_runs_merged;
    }
};
static_assert(DefragPolicy<threshold_policy>);
static_assert(threshold_policy{}.worth_moving({.extents = 5, .owner_extents = 5, .extents_ideal = 1}));
static_assert(!threshold_policy{}.worth_moving({.extents = 4, .owner_extents = 4, .extents_ideal = 1}));
static_assert(!threshold_policy{}.worth_moving({.extents = 5, .owner_extents = 5, .extents_ideal = 5}));
static_assert(threshold_policy{}.worth_moving({.extents = 1, .owner_extents = 1, .free_runs_merged = 1}));

}  // namespace ashlar::inline v0
