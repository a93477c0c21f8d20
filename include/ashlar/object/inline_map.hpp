#pragma once
/// Extents that stand in the object record, and the map policy that knows no others.

#include <ashlar/format/object_record.hpp>
#include <ashlar/object/leaf_splice.hpp>

#include <optional>
#include <span>

namespace ashlar::inline v0 {

/// A sink for parts that nobody wants to hear of.
struct ignore_removed {
    result<> operator()(const mapped_extent&) const noexcept { return success(); }
};

/// How far a removal at the end came.
struct removal {
    std::uint64_t extents = 0;      ///< Extents, or parts of one, that were removed.
    bool          done    = false;  ///< Nothing is left that may be removed.
};

namespace detail {

[[nodiscard]] inline entry_run inline_run(const extent_map_state& map) noexcept {
    return {map.entries.data(), static_cast<std::uint32_t>(map.extents), 0, no_bound};
}

/// Finds in one run: the extent that covers the block, else the first after it; empty when the run has none.
[[nodiscard]] inline result<std::optional<mapped_extent>> find_in(const entry_run& run,
                                                                  std::uint64_t    logical) noexcept {
    const std::uint32_t n = entries_up_to(run.entries, run.count, logical);
    if (n > 0) {
        const auto entry = entry_at(run.entries, n - 1U);
        BOOST_OUTCOME_TRY(check_entry(entry, run.key, run.upper));
        if (entry.end() > logical) return std::optional{to_mapped(entry)};
    }
    if (n == run.count) return std::optional<mapped_extent>{};
    const auto entry = entry_at(run.entries, n);
    BOOST_OUTCOME_TRY(check_entry(entry, logical, run.upper));
    return std::optional{to_mapped(entry)};
}

/// Carries a plan out on the entries of the record. Precondition: what it leaves fits.
template <class Sink>
[[nodiscard]] result<> splice_inline(extent_map_state& map, const leaf_splice& plan, Sink& removed) noexcept {
    const entry_run run = inline_run(map);
    BOOST_OUTCOME_TRY(report_removed(plan, run, removed));
    apply_splice(plan, run, [&](std::size_t offset, std::size_t) noexcept { return map.entries.data() + offset; });
    return count_splice(map.extents, map.blocks, plan);
}

/// Removes from the end of a run: plans it. At most `extents_max` extents, nothing below `keep_below`.
struct tail_cut {
    std::uint32_t whole   = 0;  ///< Entries that go.
    std::uint32_t partial = 0;  ///< 1: the entry before them loses its end.
    std::uint64_t blocks  = 0;
    bool          done    = false;  ///< What is left lies below `keep_below`.
};

[[nodiscard]] inline result<tail_cut> plan_tail_cut(const entry_run& run, std::uint64_t extents_max,
                                                    std::uint64_t keep_below) noexcept {
    tail_cut      cut;
    std::uint64_t upper = run.upper;
    while (cut.whole < run.count && cut.whole < extents_max) {
        const auto entry = entry_at(run.entries, run.count - cut.whole - 1U);
        BOOST_OUTCOME_TRY(check_entry(entry, run.key, upper));
        upper = entry.logical;
        if (entry.logical < keep_below) {
            if (entry.end() > keep_below) {
                cut.partial = 1;
                cut.blocks += entry.end() - keep_below;
            }
            cut.done = true;
            return cut;
        }
        ++cut.whole;
        cut.blocks += entry.count;
    }
    return cut;
}

/// Tells the sink what a tail cut removes, last first.
template <class Sink>
[[nodiscard]] result<> report_tail(const tail_cut& cut, const entry_run& run, std::uint64_t keep_below,
                                   Sink& removed) noexcept {
    for (std::uint32_t i = 0; i < cut.whole + cut.partial; ++i) {
        const auto entry = entry_at(run.entries, run.count - i - 1U);
        BOOST_OUTCOME_TRY(removed(to_mapped(part_between(entry, keep_below, no_bound))));
    }
    return success();
}

[[nodiscard]] inline result<> count_tail(extent_map_state& map, const tail_cut& cut) noexcept {
    if (map.extents < cut.whole || map.blocks < cut.blocks) return errc::damaged;
    map.extents -= cut.whole;
    map.blocks -= cut.blocks;
    return success();
}

template <class Sink>
[[nodiscard]] result<removal> remove_last_inline(extent_map_state& map, std::uint64_t extents_max,
                                                 std::uint64_t keep_below, Sink& removed) noexcept {
    const entry_run run = inline_run(map);
    BOOST_OUTCOME_TRY(const auto cut, plan_tail_cut(run, extents_max, keep_below));
    BOOST_OUTCOME_TRY(report_tail(cut, run, keep_below, removed));
    if (cut.partial != 0) {
        const std::uint32_t i = run.count - cut.whole - 1U;
        store_entry(map.entries.data() + std::size_t{i} * entry_bytes,
                    part_between(entry_at(run.entries, i), 0, keep_below));
    }
    BOOST_OUTCOME_TRY(count_tail(map, cut));
    return removal{cut.whole + cut.partial, cut.done || map.extents == 0};
}

/// The pieces of a replacement as entries, where they are few and short enough for one splice.
struct few_pieces {
    std::array<extent_entry, splice_pieces_max> entries{};
    std::uint32_t                               count = 0;

    explicit few_pieces(std::span<const mapped_extent> pieces) noexcept {
        if (pieces.size() > splice_pieces_max) return;
        for (const auto& piece : pieces) {
            if (piece.physical.count.value > extent_count_max) return;
        }
        for (const auto& piece : pieces) entries[count++] = to_entry(piece);
    }
    [[nodiscard]] std::span<const extent_entry> span() const noexcept { return {entries.data(), count}; }
};

/// Whether a replacement keeps its contract: pieces in order, not empty, inside the range.
[[nodiscard]] inline bool pieces_fit(std::uint64_t first, std::uint64_t end,
                                     std::span<const mapped_extent> pieces) noexcept {
    for (const auto& piece : pieces) {
        const std::uint64_t at    = piece.logical.value;
        const std::uint64_t count = piece.physical.count.value;
        if (at < first || at >= end || count == 0 || count > end - at || count > no_bound - piece.physical.first.value)
            return false;
        first = at + count;
    }
    return true;
}

}  // namespace detail

/// The map of small stores: as many extents as the record holds. One more is too_many_extents. No tree code is linked.
/// The functions are those of extent_tree; `pages` is never used.
struct inline_map {
    static constexpr std::uint32_t format_id = 1;
    static constexpr bool          has_tree  = false;

    template <class P>
    [[nodiscard]] static result<std::optional<mapped_extent>> find(P&, const extent_map_state& map,
                                                                   logical_block logical) noexcept {
        if (map.height != 0) return errc::policy_differs;
        return detail::find_in(detail::inline_run(map), logical.value);
    }

    template <class P, class Visit>
    [[nodiscard]] static result<> walk(P&, const extent_map_state& map, logical_block first, logical_block end,
                                       Visit&& visit) noexcept {
        if (map.height != 0) return errc::policy_differs;
        for (std::uint32_t i = 0; i < map.extents; ++i) {
            const auto entry = entry_at(map.entries.data(), i);
            if (entry.end() <= first.value) continue;
            if (entry.logical >= end.value) break;
            BOOST_OUTCOME_TRY(const bool more, visit(to_mapped(entry)));
            if (!more) break;
        }
        return success();
    }

    template <class P, class Sink>
    [[nodiscard]] static result<> replace(P&, extent_map_state& map, logical_block first, block_count count,
                                          std::span<const mapped_extent> pieces, Sink&& removed) noexcept {
        if (map.height != 0) return errc::policy_differs;
        if (count.value == 0 || count.value > no_bound - first.value) return errc::out_of_range;
        const std::uint64_t end = first.value + count.value;
        if (!detail::pieces_fit(first.value, end, pieces)) return errc::invalid_argument;
        const detail::few_pieces few{pieces};
        BOOST_OUTCOME_TRY(splice(map, first.value, end, few.span(), removed));
        if (few.count == pieces.size()) return success();
        ignore_removed nothing;
        for (const auto& piece : pieces) {
            if (piece.physical.count.value > extent_count_max) return errc::too_many_extents;
            const auto entry = to_entry(piece);
            BOOST_OUTCOME_TRY(splice(map, entry.logical, entry.end(), {&entry, 1}, nothing));
        }
        return success();
    }

    template <class P>
    [[nodiscard]] static result<> set_flags(P& pages, extent_map_state& map, logical_block first, block_count count,
                                            std::uint32_t mask, std::uint32_t value) noexcept {
        if (count.value > no_bound - first.value) return errc::out_of_range;
        const std::uint64_t end = first.value + count.value;
        std::uint64_t       at  = first.value;
        ignore_removed      nothing;
        while (at < end) {
            BOOST_OUTCOME_TRY(const auto found, find(pages, map, {at}));
            if (!found || found->logical.value >= end) break;
            auto part  = part_between(to_entry(*found), at, end);
            part.flags = (part.flags & ~mask) | (value & mask);
            BOOST_OUTCOME_TRY(splice(map, part.logical, part.end(), {&part, 1}, nothing));
            at = part.end();
        }
        return success();
    }

    template <class P, class Sink>
    [[nodiscard]] static result<removal> remove_last(P&, extent_map_state& map, std::uint64_t extents_max,
                                                     logical_block keep_below, Sink&& removed) noexcept {
        if (map.height != 0) return errc::policy_differs;
        return detail::remove_last_inline(map, extents_max, keep_below.value, removed);
    }

    [[nodiscard]] static constexpr std::uint32_t nodes_changed_max(std::uint32_t, std::uint64_t, block_size) noexcept {
        return 0;
    }

  private:
    template <class Sink>
    [[nodiscard]] static result<> splice(extent_map_state& map, std::uint64_t at, std::uint64_t end,
                                         std::span<const extent_entry> pieces, Sink& removed) noexcept {
        BOOST_OUTCOME_TRY(const auto plan, plan_splice(detail::inline_run(map), at, end, pieces, true));
        if (plan.count_after(static_cast<std::uint32_t>(map.extents)) > map.inline_capacity)
            return errc::too_many_extents;
        return detail::splice_inline(map, plan, removed);
    }
};

}  // namespace ashlar::inline v0
