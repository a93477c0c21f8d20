#pragma once
/// Where the bytes of an object lie: extents in the record while they fit, then in a tree.

#include <ashlar/object/inline_map.hpp>
#include <ashlar/object/tree.hpp>

#include <optional>
#include <span>

namespace ashlar::inline v0 {

/// The default map. Every function takes the pages of one transaction (a reader needs only `view_node`) and the state out
/// of the object record; after a change the record is written again. Extents that are neighbours in the object and on
/// the volume, with equal flags, are one.
/// Errors of all: those of the pages and the sink; damaged and unsupported, for what the nodes say. After an error of a
/// change the transaction must be dropped, and the state with it.
/// Cost: one node a level for a lookup; nodes_changed_max for a change; at most three pins; no allocation.
struct extent_tree {
    static constexpr std::uint32_t format_id = 1;
    static constexpr bool          has_tree  = true;

    /// The extent that covers a logical block, or else the first after it; empty at the end.
    template <NodePages P>
    [[nodiscard]] static result<std::optional<mapped_extent>> find(P& pages, const extent_map_state& map, logical_block logical) noexcept {
        if (map.height == 0) return detail::find_in(detail::inline_run(map), logical.value);
        std::uint64_t from = logical.value;
        for (;;) {
            BOOST_OUTCOME_TRY(const auto leaf, locate_node(pages, map, from, 0));
            BOOST_OUTCOME_TRY(const auto view, pages.view_node(leaf.block, map.owner.value, leaf.node));
            BOOST_OUTCOME_TRY(const auto count, check_node(view.bytes(), map.owner.value, leaf));
            if (count == 0) return error{errc::damaged, leaf.block};
            BOOST_OUTCOME_TRY(const auto found, detail::find_in(run_of(view.bytes(), count, leaf), from));
            if (found || leaf.upper == no_bound) return found;
            from = leaf.upper;
        }
    }

    /// Calls `visit(mapped_extent) -> result<bool>` for the extents that touch [first, end), whole and in order, while it
    /// answers true. The visitor runs under one pin and must not change the map.
    template <NodePages P, class Visit>
    [[nodiscard]] static result<> walk(P& pages, const extent_map_state& map, logical_block first, logical_block end, Visit&& visit) noexcept {
        if (map.height == 0) return inline_map::walk(pages, map, first, end, visit);
        std::uint64_t from = first.value;
        while (from < end.value) {
            BOOST_OUTCOME_TRY(const auto leaf, locate_node(pages, map, from, 0));
            BOOST_OUTCOME_TRY(const auto view, pages.view_node(leaf.block, map.owner.value, leaf.node));
            BOOST_OUTCOME_TRY(const auto count, check_node(view.bytes(), map.owner.value, leaf));
            const entry_run     run   = run_of(view.bytes(), count, leaf);
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

    /// Maps [first, first + count) anew: what it maps is removed, extents at the edges are split, and the pieces, in order
    /// and inside the range, take the place; what they leave out becomes a hole. `removed(mapped_extent) -> result<>`
    /// hears each removed part in order, under one pin. Errors too: out_of_range, invalid_argument (nothing changed).
    template <NodePages P, class Sink>
    [[nodiscard]] static result<> replace(P& pages, extent_map_state& map, logical_block first, block_count count,
                                          std::span<const mapped_extent> pieces, Sink&& removed) noexcept {
        if (count.value == 0 || count.value > no_bound - first.value) return errc::out_of_range;
        const std::uint64_t end = first.value + count.value;
        if (!detail::pieces_fit(first.value, end, pieces)) return errc::invalid_argument;

        const detail::few_pieces few{pieces};
        change<P>                work{pages, map};
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
    [[nodiscard]] static result<> set_flags(P& pages, extent_map_state& map, logical_block first, block_count count, std::uint32_t mask,
                                            std::uint32_t value) noexcept {
        if (count.value > no_bound - first.value) return errc::out_of_range;
        const std::uint64_t end = first.value + count.value;
        std::uint64_t       at  = first.value;
        change<P>           work{pages, map};
        ignore_removed      nothing;
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
    [[nodiscard]] static result<removal> remove_last(P& pages, extent_map_state& map, std::uint64_t extents_max, logical_block keep_below,
                                                     Sink&& removed) noexcept {
        change<P> work{pages, map};
        removal   sum;
        while (!sum.done && sum.extents < extents_max) {
            BOOST_OUTCOME_TRY(const auto step, work.remove_tail(extents_max - sum.extents, keep_below.value, removed));
            sum.extents += step.extents;
            sum.done = step.done;
        }
        BOOST_OUTCOME_TRY(work.settle());
        return sum;
    }

    /// Moves one node to a block that the pages choose. Answers the new block; nothing when the node is not there any more.
    template <NodePages P>
    [[nodiscard]] static result<std::optional<block_index>> relocate_node(P& pages, extent_map_state& map, std::uint64_t key, std::uint32_t level,
                                                                          std::uint64_t node, block_index from) noexcept {
        return node_tree<P>{pages, map}.relocate(key, level, node, from);
    }

    /// Calls `visit(const node_place&) -> result<bool>` for every node, the root first, level by level, while it answers
    /// true. No pin is held meanwhile. Cost: one way down for each node.
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

    /// Nodes that a change of one range may edit, create or discard, when it removes and inserts `extents` extents in all.
    /// `height` is the tree's before the change.
    [[nodiscard]] static constexpr std::uint32_t nodes_changed_max(std::uint32_t height, std::uint64_t extents, block_size size) noexcept {
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

  private:
    [[nodiscard]] static entry_run run_of(std::span<const std::byte> block, std::uint32_t count, const node_place& leaf) noexcept {
        return {block.data() + node_header_bytes, count, leaf.key, leaf.upper};
    }

    struct splice_done {
        std::uint64_t stop   = 0;
        bool          placed = false;
    };

    /// A neighbour of a place, and the leaf that holds it.
    struct neighbours {
        node_place                  home{};
        std::uint32_t               count = 0;  ///< Entries of that leaf.
        std::optional<extent_entry> before{};  ///< The last entry of the home leaf that ends at or before the place.
        bool                        has_after = false;
    };

    template <NodePages P>
    class change;
};

/// One change under way.
template <NodePages P>
class extent_tree::change {
  public:
    change(P& pages, extent_map_state& map) noexcept : pages_{pages}, map_{map}, tree_{pages, map} {}

    /// Carries out one splice, in the record or in the one leaf that holds `at`. See plan_splice.
    template <class Sink>
    [[nodiscard]] result<splice_done> splice(std::uint64_t at, std::uint64_t end, std::span<const extent_entry> pieces, bool alone, Sink& removed,
                                             bool balance = true) noexcept {
        if (map_.height == 0) {
            BOOST_OUTCOME_TRY(const auto plan, plan_splice(detail::inline_run(map_), at, end, pieces, true));
            if (plan.count_after(static_cast<std::uint32_t>(map_.extents)) <= map_.inline_capacity) {
                BOOST_OUTCOME_TRY(detail::splice_inline(map_, plan, removed));
                return splice_done{plan.stop, plan.placed};
            }
            BOOST_OUTCOME_TRY(tree_.plant({map_.entries.data(), static_cast<std::size_t>(map_.extents) * entry_bytes}));
        }
        for (int attempt = 0; attempt < 2; ++attempt) {
            BOOST_OUTCOME_TRY(const auto leaf, tree_.locate(at, 0));
            std::uint32_t count = 0;
            BOOST_OUTCOME_TRY(const auto plan, plan_in(leaf, at, end, pieces, alone, count));
            if (plan.count_after(count) <= tree_.capacity()) {
                BOOST_OUTCOME_TRY(carry_out(leaf, plan, count, removed));
                const bool poor = plan.count_after(count) < count && plan.count_after(count) < tree_.third();
                if (balance && poor) { BOOST_OUTCOME_TRY(tree_.rebalance(leaf.key)); }
                return splice_done{plan.stop, plan.placed};
            }
            BOOST_OUTCOME_TRY(tree_.make_room(at, splice_list_max));
        }
        return error{errc::damaged, map_.root};
    }

    /// Puts a piece where nothing maps, in chunks that fit an entry.
    [[nodiscard]] result<> insert_long(const mapped_extent& piece) noexcept {
        for (std::uint64_t skip = 0; skip < piece.physical.count.value;) {
            mapped_extent chunk = piece;
            chunk.logical       = piece.logical + block_count{skip};
            chunk.physical      = part_of(piece.physical, {skip}, {extent_count_max});
            BOOST_OUTCOME_TRY(insert(to_entry(chunk)));
            skip += chunk.physical.count.value;
        }
        return success();
    }

    /// Puts an entry where nothing maps, joined with its neighbours, whichever leaves these are in.
    [[nodiscard]] result<> insert(extent_entry piece) noexcept {
        std::optional<std::uint64_t> poor{};
        if (map_.height > 0) {
            BOOST_OUTCOME_TRY(auto near, around(piece));
            if (!near.before && near.home.key > 0) { BOOST_OUTCOME_TRY(near, pull_to_leaf_before(piece, near)); }
            if (piece.end() > near.home.upper) {
                BOOST_OUTCOME_TRY(tree_.move_bound(near.home.upper, piece.end()));
                BOOST_OUTCOME_TRY(near, around(piece));
            }
            if (!near.has_after && near.home.upper == piece.end()) { BOOST_OUTCOME_TRY(poor, push_to_leaf_after(piece, near)); }
        }
        ignore_removed nothing;
        BOOST_OUTCOME_TRY(const auto done, splice(piece.logical, piece.end(), {&piece, 1}, true, nothing));
        if (!done.placed) return error{errc::damaged, map_.root};
        if (poor) { BOOST_OUTCOME_TRY(tree_.rebalance(*poor)); }
        return success();
    }

    /// Takes entries from the last leaf, or from the record.
    template <class Sink>
    [[nodiscard]] result<removal> remove_tail(std::uint64_t extents_max, std::uint64_t keep_below, Sink& removed) noexcept {
        if (map_.height == 0) return detail::remove_last_inline(map_, extents_max, keep_below, removed);
        BOOST_OUTCOME_TRY(const auto leaf, tree_.locate(no_bound - 1U, 0));
        std::uint32_t left = 0;
        removal       sum;
        {
            BOOST_OUTCOME_TRY(auto page, tree_.edit_of(leaf));
            BOOST_OUTCOME_TRY(const auto count, check_node(page.bytes(), map_.owner.value, leaf));
            if (count == 0) return error{errc::damaged, leaf.block};
            const entry_run run = run_of(page.bytes(), count, leaf);
            BOOST_OUTCOME_TRY(const auto cut, detail::plan_tail_cut(run, extents_max, keep_below));
            BOOST_OUTCOME_TRY(detail::report_tail(cut, run, keep_below, removed));
            BOOST_OUTCOME_TRY(detail::count_tail(map_, cut));
            left = count - cut.whole;
            sum  = {cut.whole + cut.partial, cut.done || map_.extents == 0};
            if (cut.partial != 0) {
                const auto        kept   = part_between(entry_at(run.entries, left - 1U), 0, keep_below);
                const std::size_t offset = node_header_bytes + std::size_t{left - 1U} * entry_bytes + offsetof(leaf_entry_record, count);
                store_little<std::uint32_t>(page.modify(offset, 4).data(), kept.count);
            }
            if (cut.whole != 0) node_tree<P>::set_count(page, left);
        }
        if (left == 0 && map_.height > 1) { BOOST_OUTCOME_TRY(tree_.rebalance(leaf.key)); }
        return sum;
    }

    /// Brings the extents back into the record when they are few, with room for more, so that no tree comes and goes
    /// with each change.
    [[nodiscard]] result<> settle() noexcept {
        if (map_.height > 1 && map_.extents == 0) return error{errc::damaged, map_.root};
        if (map_.height != 1 || map_.extents > map_.inline_capacity / 2U) return success();
        {
            BOOST_OUTCOME_TRY(const auto view, tree_.view_of(tree_.root()));
            BOOST_OUTCOME_TRY(const auto count, check_node(view.bytes(), map_.owner.value, tree_.root()));
            if (count != map_.extents) return error{errc::damaged, map_.root};
            if (count > 0) std::memcpy(map_.entries.data(), view.bytes().data() + node_header_bytes, std::size_t{count} * entry_bytes);
        }
        return tree_.uproot();
    }

  private:
    [[nodiscard]] result<leaf_splice> plan_in(const node_place& leaf, std::uint64_t at, std::uint64_t end, std::span<const extent_entry> pieces,
                                              bool alone, std::uint32_t& count) noexcept {
        BOOST_OUTCOME_TRY(const auto view, tree_.view_of(leaf));
        BOOST_OUTCOME_TRY(count, check_node(view.bytes(), map_.owner.value, leaf));
        return plan_splice(run_of(view.bytes(), count, leaf), at, end, pieces, alone);
    }

    template <class Sink>
    [[nodiscard]] result<> carry_out(const node_place& leaf, const leaf_splice& plan, std::uint32_t count, Sink& removed) noexcept {
        if (plan.first == plan.last && plan.size == 0) return success();
        BOOST_OUTCOME_TRY(auto page, tree_.edit_of(leaf));
        const entry_run run = run_of(page.bytes(), count, leaf);
        BOOST_OUTCOME_TRY(report_removed(plan, run, removed));
        apply_splice(plan, run, [&](std::size_t offset, std::size_t length) noexcept { return page.modify(node_header_bytes + offset, length).data(); });
        if (plan.count_after(count) != count) node_tree<P>::set_count(page, plan.count_after(count));
        return count_splice(map_.extents, map_.blocks, plan);
    }

    [[nodiscard]] result<neighbours> around(const extent_entry& piece) noexcept {
        neighbours near;
        BOOST_OUTCOME_TRY(near.home, tree_.locate(piece.logical, 0));
        BOOST_OUTCOME_TRY(const auto view, tree_.view_of(near.home));
        BOOST_OUTCOME_TRY(near.count, check_node(view.bytes(), map_.owner.value, near.home));
        const entry_run     run = run_of(view.bytes(), near.count, near.home);
        const std::uint32_t n   = entries_up_to(run.entries, run.count, piece.logical);
        if (n > 0) {
            near.before = entry_at(run.entries, n - 1U);
            BOOST_OUTCOME_TRY(check_entry(*near.before, run.key, run.upper));
        }
        near.has_after = n < near.count;
        return near;
    }

    /// When the last entry of the leaf before goes on in the piece, the border between the leaves moves behind the piece.
    [[nodiscard]] result<neighbours> pull_to_leaf_before(const extent_entry& piece, const neighbours& near) noexcept {
        {
            BOOST_OUTCOME_TRY(const auto leaf, tree_.locate(near.home.key - 1U, 0));
            BOOST_OUTCOME_TRY(const auto view, tree_.view_of(leaf));
            BOOST_OUTCOME_TRY(const auto count, check_node(view.bytes(), map_.owner.value, leaf));
            if (count == 0 || near.count == 0) return error{errc::damaged, leaf.block};
            const auto last = entry_at(view.bytes().data() + node_header_bytes, count - 1U);
            BOOST_OUTCOME_TRY(check_entry(last, leaf.key, leaf.upper));
            if (!joinable(last, piece)) return near;
        }
        BOOST_OUTCOME_TRY(tree_.move_bound(near.home.key, piece.end()));
        return around(piece);
    }

    /// When the piece goes on in the first entry of the leaf after, the border moves before the piece; an entry of the home
    /// leaf that the piece continues joins it first. Answers a key of the home leaf where that lost an entry.
    [[nodiscard]] result<std::optional<std::uint64_t>> push_to_leaf_after(extent_entry& piece, const neighbours& near) noexcept {
        extent_entry after{};
        {
            BOOST_OUTCOME_TRY(const auto leaf, tree_.locate(near.home.upper, 0));
            BOOST_OUTCOME_TRY(const auto view, tree_.view_of(leaf));
            BOOST_OUTCOME_TRY(const auto count, check_node(view.bytes(), map_.owner.value, leaf));
            if (count == 0 || near.count == 0) return error{errc::damaged, leaf.block};
            after = entry_at(view.bytes().data() + node_header_bytes, 0);
            BOOST_OUTCOME_TRY(check_entry(after, leaf.key, leaf.upper));
        }
        std::optional<std::uint64_t> poor{};
        if (!joinable(piece, after)) return poor;
        if (near.before && joinable(*near.before, piece)) {
            auto joined = *near.before;
            joined.count += piece.count;
            if (near.count < 2 || !joinable(joined, after)) return poor;
            ignore_removed nothing;
            BOOST_OUTCOME_TRY(splice(near.before->logical, near.before->end(), {}, true, nothing, false));
            piece = joined;
            poor  = near.home.key;
        }
        BOOST_OUTCOME_TRY(tree_.move_bound(near.home.upper, piece.logical));
        return poor;
    }

    P&                pages_;
    extent_map_state& map_;
    node_tree<P>      tree_;
};

}  // namespace ashlar::inline v0
