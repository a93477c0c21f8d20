#pragma once
/// Nothing is defragmented.

#include <ashlar/concepts/defrag_policy.hpp>

namespace ashlar::inline v0 {

/// For volumes whose objects are written once. The defragmenter leaves no code behind.
struct no_defrag {
    static constexpr bool enabled = false;

    using options = no_defrag;

    [[nodiscard]] constexpr bool          worth_moving(const defrag_candidate&) const noexcept { return false; }
    [[nodiscard]] constexpr std::uint64_t rank(const defrag_candidate&) const noexcept { return 0; }
};
static_assert(DefragPolicy<no_defrag>);
static_assert(!no_defrag{}.worth_moving({.extents = 1000}));

}  // namespace ashlar::inline v0
