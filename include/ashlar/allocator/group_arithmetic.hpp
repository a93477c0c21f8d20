#pragma once
/// How a group's summary changes when a run of its blocks changes hands.

#include <ashlar/allocator/bitmap_words.hpp>
#include <ashlar/format/group_record.hpp>

namespace ashlar::inline v0 {

/// Counts what the bitmap says. The flags, trimmed blocks and checksum bits stay empty: they are not in it.
/// Cost: one pass over the words.
[[nodiscard]] constexpr group_summary summarize(const group_view& group) noexcept {
    group_summary summary{};
    for_each_clear_run(group.busy, 0, group.blocks, 1, [&](group_run run) noexcept {
        summary.free += run.count;
        ++summary.runs[run_class(run.count)];
        if (run.count > summary.largest) summary.largest = run.count;
        if (run.first == 0) summary.head = run.count;
        if (run.first + run.count == group.blocks) summary.tail = run.count;
        return true;
    });
    return summary;
}

namespace detail {

constexpr void count_run(group_summary& summary, std::uint32_t blocks, bool add) noexcept {
    if (blocks == 0) return;
    auto& runs = summary.runs[run_class(blocks)];
    runs       = static_cast<std::uint16_t>(add ? runs + 1U : runs - 1U);
}

/// The longest run after `gone` was replaced by pieces of `left` and `right` blocks. The histogram, already new, often
/// tells; only where another run of the same class is left do the words decide.
[[nodiscard]] constexpr std::uint32_t largest_after(const group_summary& summary, const group_view& before,
                                                    group_run gone, std::uint32_t left, std::uint32_t right) noexcept {
    const std::uint32_t piece = left > right ? left : right;
    std::size_t         top   = run_classes;
    while (top > 0 && summary.runs[top - 1U] == 0) --top;
    if (top == 0) return 0;
    const auto in_top = [&](std::uint32_t blocks) noexcept { return blocks > 0 && run_class(blocks) == top - 1U; };
    if (summary.runs[top - 1U] == (in_top(left) ? 1U : 0U) + (in_top(right) ? 1U : 0U)) return piece;

    const std::uint32_t below = longest_clear_run(before.busy, 0, gone.first).count;
    const std::uint32_t above = longest_clear_run(before.busy, gone.first + gone.count, before.blocks).count;
    const std::uint32_t other = below > above ? below : above;
    return piece > other ? piece : other;
}

}  // namespace detail

/// Blocks of `run` come into use. `before` is the bitmap without that change. Precondition: all of `run` is clear.
/// `trimmed` and the flags are the caller's. Cost: O(1), except when a longest run is cut and others rival it.
constexpr void take_run(group_summary& summary, const group_view& before, group_run run) noexcept {
    ASHLAR_ASSERT(run.count > 0 && all_clear(before.busy, run));
    const group_run     whole = clear_run_around(before, run);
    const std::uint32_t left  = run.first - whole.first;
    const std::uint32_t right = whole.count - left - run.count;

    summary.free -= run.count;
    detail::count_run(summary, whole.count, false);
    detail::count_run(summary, left, true);
    detail::count_run(summary, right, true);
    if (whole.first == 0) summary.head = left;
    if (whole.first + whole.count == before.blocks) summary.tail = right;
    if (whole.count == summary.largest) summary.largest = detail::largest_after(summary, before, whole, left, right);
}

/// Blocks of `run` become free. `before` is the bitmap without that change. Precondition: all of `run` is set.
/// `trimmed` and the flags are the caller's. Cost: O(1).
constexpr void give_run(group_summary& summary, const group_view& before, group_run run) noexcept {
    ASHLAR_ASSERT(run.count > 0 && run.first + run.count <= before.blocks && all_set(before.busy, run));
    const std::uint32_t first = clear_before(before.busy, run.first);
    const std::uint32_t end   = next_set(before.busy, run.first + run.count, before.blocks);

    summary.free += run.count;
    detail::count_run(summary, run.first - first, false);
    detail::count_run(summary, end - run.first - run.count, false);
    detail::count_run(summary, end - first, true);
    if (first == 0) summary.head = end;
    if (end == before.blocks) summary.tail = end - first;
    if (end - first > summary.largest) summary.largest = end - first;
}

}  // namespace ashlar::inline v0
