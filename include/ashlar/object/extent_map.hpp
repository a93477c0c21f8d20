#pragma once
/// Where the bytes of an object lie: extents in the record while they fit, then in a tree.

#include <ashlar/object/extent_change.hpp>

#include <optional>
#include <span>

namespace ashlar::inline v0 {

/// The default map. Every function takes the pages of one transaction (a reader needs only `view_node`) and the state
/// out of the object record; after a change the record is written again. Extents that are neighbours in the object and
/// on the volume, with equal flags, are one. Errors of all: those of the pages and the sink; damaged and unsupported,
/// for what the nodes say. After an error of a change the transaction must be dropped, and the state with it. Cost: one
/// node a level for a lookup; nodes_changed_max for a change; at most three pins; no allocation.
struct extent_tree {
    static constexpr std::uint32_t format_id = 1;
    static constexpr bool          has_tree  = true;

    /// The extent that covers a logical block, or else the first after it; empty at the end.
    template <NodePages P>
    [[nodiscard]] static result<std::optional<mapped_extent>> find(P& pages, const extent_map_state& map,
                                                                   logical_block logical) noexcept {
        if (map.height == 0) return detail::find_in(detail::inline_run(map), logical.value);
        std::uint64_t from = logical.value;
        for (;;) {
            BOOST_OUTCOME_TRY(const auto leaf, locate_node(pages, map, from, 0));
            BOOST_OUTCOME_TRY(const auto view, pages.view_node(leaf.block, map.owner.value, leaf.node));
            BOOST_OUTCOME_TRY(const auto count, check_node(view.bytes(), map.owner.value, leaf));
            if (count == 0) return error{errc::damaged, leaf.block};
            BOOST_OUTCOME_TRY(const auto found, detail::find_in(detail::run_of(view.bytes(), count, leaf), from));
            if (found || leaf.upper == no_bound) return found;
            from = leaf.upper;
        }
    }

    /// Calls `visit(mapped_extent) -> result<bool>` for the extents that touch [first, end), whole and in order, while
    /// it answers true. The visitor runs under one pin and must not change the map.
    template <NodePages P, class Visit>
    [[nodiscard]] static result<> walk(P& pages, const extent_map_state& map, logical_block first, logical_block end,
                                       Visit&& visit) noexcept {
        if (map.height == 0) return inline_map::walk(pages, map, first, end, visit);
        std::uint64_t from = first.value;
        while (from < end.value) {
            BOOST_OUTCOME_TRY(const auto leaf, locate_node(pages, map, from, 0));
            BOOST_OUTCOME_TRY(const auto view, pages.view_node(leaf.block, map.owner.value, leaf.node));
            BOOST_OUTCOME_TRY(const auto count, check_node(view.bytes(), map.owner.value, leaf));
            const entry_run     run   = detail::run_of(view.bytes(), count, leaf);
            const std::uint32_t n     = entries_up_to(run.entries, count, from);
            std::uint64_t       lower = leaf.key;
            for (std::uint32_t i = n == 0 ? 0 : n - 1U; i < count; ++i) {
                const auto entry = entry_at(run.entries, i);
                BOOST_OUTCOME_TRY(check_entry(entry, lower, leaf.upper));
                lower = entry.end();
                if (entry.end() <= from) continue;
                if (entry.logical >= end.value) return success();
                BOOST_OUTCOME_TRY(const bool more, visit(to_mapped(entry)));
                if (!more) return success();
            }
            from = leaf.upper;
        }
        return success();
    }

    /// Maps [first, first + count) anew: what it maps is removed, extents at the edges are split, and the pieces, in
    /// order and inside the range, take the place; what they leave out becomes a hole. `removed(mapped_extent) ->
    /// result<>` hears each removed part in order, under one pin. Errors too: out_of_range, invalid_argument (nothing
    /// changed).
    template <NodePages P, class Sink>
    [[nodiscard]] static result<> replace(P& pages, extent_map_state& map, logical_block first, block_count count,
                                          std::span<const mapped_extent> pieces, Sink&& removed) noexcept {
        if (count.value == 0 || count.value > no_bound - first.value) return errc::out_of_range;
        const std::uint64_t end = first.value + count.value;
        if (!detail::pieces_fit(first.value, end, pieces)) return errc::invalid_argument;

        const detail::few_pieces few{pieces};
        detail::extent_change<P> work{pages, map};
        BOOST_OUTCOME_TRY(auto done, work.splice(first.value, end, few.span(), false, removed));
        const bool placed = done.placed || pieces.empty();
        while (done.stop < end) { BOOST_OUTCOME_TRY(done, work.splice(done.stop, end, {}, false, removed)); }
        if (!placed) {
            for (const auto& piece : pieces) { BOOST_OUTCOME_TRY(work.insert_long(piece)); }
        }
        return work.settle();
    }

    /// Gives the flags in `mask` (of extent_flag) their bits in `value`, in all that [first, first + count) maps.
    template <NodePages P>
    [[nodiscard]] static result<> set_flags(P& pages, extent_map_state& map, logical_block first, block_count count,
                                            std::uint32_t mask, std::uint32_t value) noexcept {
        if (count.value > no_bound - first.value) return errc::out_of_range;
        const std::uint64_t      end = first.value + count.value;
        std::uint64_t            at  = first.value;
        detail::extent_change<P> work{pages, map};
        ignore_removed           nothing;
        while (at < end) {
            BOOST_OUTCOME_TRY(const auto found, find(pages, map, {at}));
            if (!found || found->logical.value >= end) break;
            auto                part = part_between(to_entry(*found), at, end);
            const std::uint32_t want = (part.flags & ~mask) | (value & mask);
            at                       = part.end();
            if (want == part.flags) continue;
            part.flags = want;
            BOOST_OUTCOME_TRY(const auto done, work.splice(part.logical, part.end(), {&part, 1}, false, nothing));
            if (!done.placed) { BOOST_OUTCOME_TRY(work.insert(part)); }
        }
        return work.settle();
    }

    /// Removes at most `extents_max` extents from the end, and none of the blocks below `keep_below`; the extent that
    /// crosses it loses its end. `removed` hears them, last first. For erase and truncate, step by step.
    template <NodePages P, class Sink>
    [[nodiscard]] static result<removal> remove_last(P& pages, extent_map_state& map, std::uint64_t extents_max,
                                                     logical_block keep_below, Sink&& removed) noexcept {
        detail::extent_change<P> work{pages, map};
        removal                  sum;
        while (!sum.done && sum.extents < extents_max) {
            BOOST_OUTCOME_TRY(const auto step, work.remove_tail(extents_max - sum.extents, keep_below.value, removed));
            sum.extents += step.extents;
            sum.done = step.done;
        }
        BOOST_OUTCOME_TRY(work.settle());
        return sum;
    }

    /// Moves one node to a block that the pages choose. Answers the new block; nothing when the node is not there any
    /// more.
    template <NodePages P>
    [[nodiscard]] static result<std::optional<block_index>> relocate_node(P& pages, extent_map_state& map,
                                                                          std::uint64_t key, std::uint32_t level,
                                                                          std::uint64_t node,
                                                                          block_index   from) noexcept {
        return node_tree<P>{pages, map}.relocate(key, level, node, from);
    }

    /// Calls `visit(const node_place&) -> result<bool>` for every node, the root first, level by level, while it
    /// answers true. No pin is held meanwhile. Cost: one way down for each node.
    template <NodePages P, class Visit>
    [[nodiscard]] static result<> walk_nodes(P& pages, const extent_map_state& map, Visit&& visit) noexcept {
        for (std::uint32_t level = map.height; level-- > 0;) {
            std::uint64_t key = 0;
            while (key != no_bound) {
                BOOST_OUTCOME_TRY(const auto place, locate_node(pages, map, key, level));
                BOOST_OUTCOME_TRY(const bool more, visit(place));
                if (!more) return success();
                key = place.upper;
            }
        }
        return success();
    }

    /// Nodes that a change of one range may edit, create or discard, when it removes and inserts `extents` extents in
    /// all. `height` is the tree's before the change.
    [[nodiscard]] static constexpr std::uint32_t nodes_changed_max(std::uint32_t height, std::uint64_t extents,
                                                                   block_size size) noexcept {
        constexpr std::uint32_t entries_max = 1U << 28U;  // more than any cache has nodes for
        const std::uint32_t     third       = node_capacity(size) / 3U;
        const std::uint32_t     half        = node_capacity(size) / 2U;
        std::uint32_t           changed     = extents < entries_max ? static_cast<std::uint32_t>(extents) : entries_max;
        std::uint32_t           sum         = 3;  // the root, and the two nodes that its entries may become
        for (std::uint32_t level = 1; level < height; ++level) {
            // So many nodes hold a range of entries; besides these a neighbour at each side, and one for each split.
            changed = 2U * (changed / third) + 5U;
            sum += changed;
        }
        while (changed > half) {  // nodes on levels that the tree does not have yet
            changed = changed / half + 1U;
            sum += changed;
        }
        return sum;
    }
};

}  // namespace ashlar::inline v0
