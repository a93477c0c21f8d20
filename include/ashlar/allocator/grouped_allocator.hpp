#pragma once
/// The default allocator.

#include <ashlar/allocator/bitmap_words.hpp>
#include <ashlar/concepts/allocator.hpp>

namespace ashlar::inline v0 {

/// Near a goal: at the goal, else the first fit behind it, else the first fit of the group. Anywhere: the smallest run
/// that holds all blocks, so that long runs stay long. Where no run holds all: the longest. A store that is made with
/// it keeps a `run_index` of the groups in memory and chooses among all of them at once. Cost of `find`: one pass over
/// the words of the group; a run that fits exactly ends it. No state, so safe from any thread.
struct grouped_allocator {
    static constexpr std::uint32_t format_id = 1;
    static constexpr bool          indexed   = true;

    /// Precondition: 1 <= count_min <= count.
    [[nodiscard]] constexpr group_run find(const group_view& group, group_request request) const noexcept {
        ASHLAR_ASSERT(request.count_min >= 1 && request.count_min <= request.count);
        ASHLAR_ASSERT(group.busy.size() >= words_for(group.blocks));
        if (request.count_min > group.blocks) return {};

        group_run found{};
        if (request.near_goal && request.goal < group.blocks) {
            const std::uint32_t end = next_set(group.busy, request.goal, group.blocks);
            if (end - request.goal >= request.count_min) return cut({request.goal, end - request.goal}, request.count);
            found = first_fit(group, end, request.count);
        }
        if (found.count == 0)
            found = request.near_goal ? first_fit(group, 0, request.count) : good_fit(group, request.count);
        if (found.count == 0 && request.count_min < request.count) {
            found = longest_clear_run(group.busy, 0, group.blocks);
            if (found.count < request.count_min) return {};
        }
        return cut(found, request.count);
    }

  private:
    [[nodiscard]] static constexpr group_run cut(group_run run, std::uint32_t count) noexcept {
        return {run.first, run.count < count ? run.count : count};
    }

    [[nodiscard]] static constexpr group_run first_fit(const group_view& group, std::uint32_t from,
                                                       std::uint32_t count) noexcept {
        group_run fit{};
        for_each_clear_run(group.busy, from, group.blocks, count, [&](group_run run) noexcept {
            if (run.count < count) return true;
            fit = run;
            return false;
        });
        return fit;
    }

    [[nodiscard]] static constexpr group_run good_fit(const group_view& group, std::uint32_t count) noexcept {
        group_run fit{};
        for_each_clear_run(group.busy, 0, group.blocks, count, [&](group_run run) noexcept {
            if (run.count >= count && (fit.count == 0 || run.count < fit.count)) fit = run;
            return fit.count != count;
        });
        return fit;
    }
};
static_assert(IndexedAllocator<grouped_allocator>);

}  // namespace ashlar::inline v0
