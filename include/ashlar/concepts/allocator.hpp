#pragma once
/// Where free blocks come from.

#include <ashlar/vocabulary/address.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

namespace ashlar::inline v0 {

/// A machine word of a bitmap; bit set: the block may not be allocated.
using bitmap_word = std::size_t;

/// One run inside a group, counted in blocks from the group's first.
struct group_run {
    std::uint32_t         first                            = 0;
    std::uint32_t         count                            = 0;
    friend constexpr bool operator==(group_run, group_run) = default;
};

/// What is asked of one group.
struct group_request {
    std::uint32_t count     = 1;  ///< Blocks wanted.
    std::uint32_t count_min = 1;  ///< A shorter run is of no use. Equal to `count`: one run or nothing.
    std::uint32_t goal      = 0;  ///< Where the run would best begin; a run that begins there wins.
    bool          near_goal = false;
};

/// One group as an allocator sees it. It owns nothing of it.
struct group_view {
    std::span<const bitmap_word> busy{};  ///< Bits past `blocks` are set.
    std::uint32_t                blocks = 0;
};

/// Semantics: `find` is pure arithmetic. It answers a run of `count_min` to `count` blocks whose bits are all clear, or
/// an empty run exactly when no clear run of `count_min` blocks exists. Where the request is near a goal and the block
/// at the goal is clear and begins enough clear blocks, the run begins at the goal. `format_id` stands in the
/// superblock.
template <class A>
concept Allocator = requires(const A& allocator, const group_view& group, group_request request) {
    { A::format_id } -> std::convertible_to<std::uint32_t>;
    { allocator.find(group, request) }
    noexcept->std::same_as<group_run>;
};

/// An allocator that says `indexed = true`: a store keeps the free runs of the groups in memory in a `run_index` and
/// takes from that, across groups. `find` follows the same rules inside one group, for who has nothing but its bitmap.
/// Without it a store keeps bitmaps alone, and carries no index.
template <class A>
concept IndexedAllocator = Allocator<A> && requires {
    requires A::indexed;
};

}  // namespace ashlar::inline v0
