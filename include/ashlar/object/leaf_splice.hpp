#pragma once
/// Arithmetic on a sorted run of extent entries: a leaf of the tree, or the entries inside an object record.

#include <ashlar/format/tree_node.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace ashlar::inline v0 {

/// Entries as they stand on disk, and the logical blocks that belong to them.
struct entry_run {
    const std::byte* entries = nullptr;
    std::uint32_t    count   = 0;
    std::uint64_t    key     = 0;
    std::uint64_t    upper   = no_bound;
};

inline constexpr std::uint32_t splice_pieces_max = 2;  ///< Pieces that one splice puts in.
inline constexpr std::uint32_t splice_list_max   = splice_pieces_max + 2;

/// What a splice will do: entries [first, last) become the list.
struct leaf_splice {
    std::uint32_t first     = 0;
    std::uint32_t last      = 0;
    std::uint32_t cut_first = 0;  ///< Entries [cut_first, cut_last) lose blocks in [at, stop).
    std::uint32_t cut_last  = 0;
    std::uint64_t at        = 0;
    std::uint64_t stop      = 0;      ///< How far this run reaches; the next one goes on from here.
    bool          placed    = false;  ///< The pieces are in the list.
    std::uint32_t size      = 0;
    std::array<extent_entry, splice_list_max> list{};
    std::uint64_t                             removed_blocks = 0;
    std::uint64_t                             placed_blocks  = 0;

    [[nodiscard]] constexpr std::uint32_t count_after(std::uint32_t count) const noexcept {
        return count - (last - first) + size;
    }

    constexpr void push(const extent_entry& entry) noexcept {
        if (size > 0 && joinable(list[size - 1U], entry)) {
            list[size - 1U].count += entry.count;
        } else {
            list[size++] = entry;
        }
    }
};

namespace detail {

/// Finds the entries that [at, stop) cuts and checks them and their neighbours.
[[nodiscard]] inline result<leaf_splice> find_cut(const entry_run& run, std::uint64_t at, std::uint64_t end) noexcept {
    leaf_splice cut;
    cut.at              = at;
    cut.stop            = end < run.upper ? end : run.upper;
    cut.cut_first       = entries_up_to(run.entries, run.count, at);
    std::uint64_t lower = run.key;
    if (cut.cut_first > 0) {
        const auto before = entry_at(run.entries, cut.cut_first - 1U);
        BOOST_OUTCOME_TRY(check_entry(before, run.key, run.upper));
        if (before.end() > at) {
            --cut.cut_first;
        } else {
            lower = before.end();
        }
    }
    cut.cut_last = cut.cut_first;
    for (; cut.cut_last < run.count; ++cut.cut_last) {
        const auto entry = entry_at(run.entries, cut.cut_last);
        BOOST_OUTCOME_TRY(check_entry(entry, lower, run.upper));
        if (entry.logical >= cut.stop) break;
        const auto part = part_between(entry, at, cut.stop);
        cut.removed_blocks += part.count;
        lower = entry.end();
    }
    cut.first = cut.cut_first;
    cut.last  = cut.cut_last;
    return cut;
}

}  // namespace detail

/// Plans to remove what maps in [at, end), as far as the run goes, and to put the pieces there. They are put only when
/// all of [at, end) is the run's and every neighbour that they could join is in it; `alone` says that none is
/// elsewhere. Preconditions: at < end, at in [key, upper), pieces sorted inside [at, end). Errors: damaged,
/// unsupported.
[[nodiscard]] inline result<leaf_splice> plan_splice(const entry_run& run, std::uint64_t at, std::uint64_t end,
                                                     std::span<const extent_entry> pieces, bool alone) noexcept {
    ASHLAR_ASSERT(at < end && at >= run.key && at < run.upper && pieces.size() <= splice_pieces_max);
    BOOST_OUTCOME_TRY(auto plan, detail::find_cut(run, at, end));
    const bool cuts        = plan.cut_first < plan.cut_last;
    const auto front       = cuts ? entry_at(run.entries, plan.cut_first) : extent_entry{};
    const auto back        = cuts ? entry_at(run.entries, plan.cut_last - 1U) : extent_entry{};
    const bool keeps_front = cuts && front.logical < at;
    const bool keeps_back  = cuts && back.end() > plan.stop;

    const bool before_is_here = keeps_front || plan.first > 0 || run.key == 0;
    const bool after_is_here  = keeps_back || plan.last < run.count || run.upper == no_bound;
    plan.placed               = !pieces.empty() && plan.stop == end && (alone || (before_is_here && after_is_here));

    if (keeps_front) plan.push(part_between(front, front.logical, at));
    if (plan.placed) {
        const bool joins =
            !keeps_front && plan.first > 0 && joinable(entry_at(run.entries, plan.first - 1U), pieces.front());
        if (joins) plan.push(entry_at(run.entries, --plan.first));
        for (const auto& piece : pieces) {
            plan.push(piece);
            plan.placed_blocks += piece.count;
        }
    }
    if (keeps_back) plan.push(part_between(back, plan.stop, back.end()));
    if (plan.placed && !keeps_back && plan.last < run.count) {
        const auto after = entry_at(run.entries, plan.last);
        if (joinable(plan.list[plan.size - 1U], after)) {
            plan.push(after);
            ++plan.last;
        }
    }
    return plan;
}

/// Tells the sink, in order, each part that the plan removes. The sink's error ends it.
template <class Sink>
[[nodiscard]] result<> report_removed(const leaf_splice& plan, const entry_run& run, Sink& sink) noexcept {
    for (std::uint32_t i = plan.cut_first; i < plan.cut_last; ++i) {
        BOOST_OUTCOME_TRY(sink(to_mapped(part_between(entry_at(run.entries, i), plan.at, plan.stop))));
    }
    return success();
}

/// Carries the plan out and changes no byte that it need not. `modify(offset, length)` answers writable bytes of the
/// run. Precondition: count_after fits the run.
template <class Modify>
void apply_splice(const leaf_splice& plan, const entry_run& run, Modify modify) noexcept {
    std::array<std::byte, std::size_t{splice_list_max} * entry_bytes> text;
    for (std::uint32_t i = 0; i < plan.size; ++i) store_entry(text.data() + std::size_t{i} * entry_bytes, plan.list[i]);
    const std::size_t begin     = std::size_t{plan.first} * entry_bytes;
    const std::size_t old_bytes = std::size_t{plan.last - plan.first} * entry_bytes;
    std::size_t       new_bytes = std::size_t{plan.size} * entry_bytes;
    const std::size_t shared    = old_bytes < new_bytes ? old_bytes : new_bytes;
    std::size_t       same      = 0;
    while (same < shared && run.entries[begin + same] == text[same]) ++same;

    if (old_bytes == new_bytes) {
        while (new_bytes > same && run.entries[begin + new_bytes - 1U] == text[new_bytes - 1U]) --new_bytes;
        if (new_bytes > same) std::memcpy(modify(begin + same, new_bytes - same), text.data() + same, new_bytes - same);
        return;
    }
    const std::size_t tail = std::size_t{run.count - plan.last} * entry_bytes;
    if (new_bytes - same + tail == 0) return;
    std::byte* const to = modify(begin + same, new_bytes - same + tail);
    std::memmove(to + (new_bytes - same), run.entries + begin + old_bytes, tail);
    std::memcpy(to, text.data() + same, new_bytes - same);
}

/// Keeps the sums of a map. Error: damaged, where the record counted fewer extents or blocks than its map holds.
[[nodiscard]] inline result<> count_splice(std::uint64_t& extents, std::uint64_t& blocks,
                                           const leaf_splice& plan) noexcept {
    if (extents < plan.last - plan.first || blocks < plan.removed_blocks) return errc::damaged;
    extents = extents - (plan.last - plan.first) + plan.size;
    blocks  = blocks - plan.removed_blocks + plan.placed_blocks;
    return success();
}

}  // namespace ashlar::inline v0
