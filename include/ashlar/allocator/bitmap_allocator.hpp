#pragma once
/// The smallest allocator: for small volumes and firmware.

#include <ashlar/allocator/bitmap_words.hpp>
#include <ashlar/concepts/allocator.hpp>

namespace ashlar::inline v0 {

/// At the goal, else the first fit behind it, else the first fit of the group; where no run holds all blocks, the
/// longest. Only the bitmap is looked at, so it needs neither memory nor much code, but it does not spare long runs
/// as grouped_allocator does. Cost: one pass over the words until a run fits. No state, so safe from any thread.
struct bitmap_allocator {
    static constexpr std::uint32_t format_id = 2;

    /// Precondition: 1 <= count_min <= count.
    [[nodiscard]] constexpr group_run find(const group_view& group, group_request request) const noexcept {
        ASHLAR_ASSERT(request.count_min >= 1 && request.count_min <= request.count);
        ASHLAR_ASSERT(group.busy.size() >= words_for(group.blocks));
        const bool    begins_at_goal = request.near_goal && request.goal < group.blocks;
        std::uint32_t at             = begins_at_goal ? request.goal : 0;
        std::uint32_t enough         = begins_at_goal ? request.count_min : request.count;  // of the run at the goal
        group_run     longest{};
        for (bool wrapped = !begins_at_goal;;) {
            const std::uint32_t first = next_clear(group.busy, at, group.blocks);
            const std::uint32_t end   = next_set(group.busy, first, group.blocks);
            if (first != at) enough = request.count;
            if (end - first > longest.count) longest = {first, end - first};
            if (longest.count >= enough || (end == group.blocks && wrapped)) break;
            wrapped = wrapped || end == group.blocks;
            at      = end == group.blocks ? 0 : end;
            enough  = request.count;
        }
        if (longest.count > request.count) longest.count = request.count;
        return longest.count < request.count_min ? group_run{} : longest;
    }
};
static_assert(Allocator<bitmap_allocator> && !IndexedAllocator<bitmap_allocator>);

}  // namespace ashlar::inline v0
