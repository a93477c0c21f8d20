#pragma once
/// Which extents are worth moving.

#include <ashlar/vocabulary/address.hpp>

#include <concepts>
#include <cstdint>

namespace ashlar::inline v0 {

/// What a policy sees of one object, or of one range of it.
struct defrag_candidate {
    object_id     owner{};
    logical_block first{};                   ///< The range begins here.
    block_count   blocks{};                  ///< Blocks with data in the range.
    std::uint64_t extents          = 0;      ///< Pieces that hold them.
    std::uint64_t owner_extents    = 0;      ///< Pieces of the whole object.
    std::uint64_t free_runs_merged = 0;      ///< Free runs that become one when the range leaves: 0 or 1.
    std::uint64_t extents_ideal    = 1;      ///< Pieces that would hold them after a move.
    std::uint64_t reads_before     = 0;      ///< Transfers of at most 256 KiB that a sequential read needs today.
    std::uint64_t reads_after      = 0;      ///< The same after the move.
    std::uint64_t bytes            = 0;      ///< Bytes that a move reads and writes.
    bool          has_pinned       = false;  ///< A part of it may not move.
};

/// Semantics: pure rules. `worth_moving` is false for whatever gains nothing: extents must fall with every move that it
/// allows, which is what proves progress. `rank` orders candidates; the highest is moved first.
template <class P>
concept DefragPolicy = requires(const P& policy, const defrag_candidate& candidate) {
    { P::enabled } -> std::convertible_to<bool>;
    { policy.worth_moving(candidate) }
    noexcept->std::same_as<bool>;
    { policy.rank(candidate) }
    noexcept->std::same_as<std::uint64_t>;
};

}  // namespace ashlar::inline v0
