#pragma once
/// One change of an extent map under way: splices in leaves, and the borders between these.

#include <ashlar/object/inline_map.hpp>
#include <ashlar/object/tree.hpp>

#include <optional>
#include <span>

namespace ashlar::inline v0::detail {

[[nodiscard]] inline entry_run run_of(std::span<const std::byte> block, std::uint32_t count,
                                      const node_place& leaf) noexcept {
    return {block.data() + node_header_bytes, count, leaf.key, leaf.upper};
}

/// How far a splice came.
struct splice_done {
    std::uint64_t stop   = 0;
    bool          placed = false;
};

/// What lies around a place, in the leaf that it belongs to.
struct neighbours {
    node_place                  home{};
    std::uint32_t               count = 0;  ///< Entries of that leaf.
    std::optional<extent_entry> before{};   ///< The last entry of that leaf that begins at or before the place.
    bool                        has_after = false;
};

/// Works on pages and state for the time of one call of extent_tree, which documents errors and cost.
template <NodePages P>
class extent_change {
  public:
    extent_change(P& pages, extent_map_state& map) noexcept : pages_{pages}, map_{map}, tree_{pages, map} {}

    /// Carries out one splice, in the record or in the one leaf that holds `at`. See plan_splice.
    template <class Sink>
    [[nodiscard]] result<splice_done> splice(std::uint64_t at, std::uint64_t end, std::span<const extent_entry> pieces,
                                             bool alone, Sink& removed, bool balance = true) noexcept {
        if (map_.height == 0) {
            BOOST_OUTCOME_TRY(const auto plan, plan_splice(inline_run(map_), at, end, pieces, true));
            if (plan.count_after(static_cast<std::uint32_t>(map_.extents)) <= map_.inline_capacity) {
                BOOST_OUTCOME_TRY(splice_inline(map_, plan, removed));
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
            if (!near.has_after && near.home.upper == piece.end()) {
                BOOST_OUTCOME_TRY(poor, push_to_leaf_after(piece, near));
            }
        }
        ignore_removed nothing;
        BOOST_OUTCOME_TRY(const auto done, splice(piece.logical, piece.end(), {&piece, 1}, true, nothing));
        if (!done.placed) return error{errc::damaged, map_.root};
        if (poor) { BOOST_OUTCOME_TRY(tree_.rebalance(*poor)); }
        return success();
    }

    /// Takes entries from the last leaf, or from the record.
    template <class Sink>
    [[nodiscard]] result<removal> remove_tail(std::uint64_t extents_max, std::uint64_t keep_below,
                                              Sink& removed) noexcept {
        if (map_.height == 0) return remove_last_inline(map_, extents_max, keep_below, removed);
        BOOST_OUTCOME_TRY(const auto leaf, tree_.locate(no_bound - 1U, 0));
        std::uint32_t left = 0;
        removal       sum;
        {
            BOOST_OUTCOME_TRY(auto page, tree_.edit_of(leaf));
            BOOST_OUTCOME_TRY(const auto count, check_node(page.bytes(), map_.owner.value, leaf));
            if (count == 0) return error{errc::damaged, leaf.block};
            const entry_run run = run_of(page.bytes(), count, leaf);
            BOOST_OUTCOME_TRY(const auto cut, plan_tail_cut(run, extents_max, keep_below));
            BOOST_OUTCOME_TRY(report_tail(cut, run, keep_below, removed));
            BOOST_OUTCOME_TRY(count_tail(map_, cut));
            left = count - cut.whole;
            sum  = {cut.whole + cut.partial, cut.done || map_.extents == 0};
            if (cut.partial != 0) {
                const auto        kept = part_between(entry_at(run.entries, left - 1U), 0, keep_below);
                const std::size_t offset =
                    node_header_bytes + std::size_t{left - 1U} * entry_bytes + offsetof(leaf_entry_record, count);
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
            if (count > 0)
                std::memcpy(map_.entries.data(), view.bytes().data() + node_header_bytes,
                            std::size_t{count} * entry_bytes);
        }
        return tree_.uproot();
    }

  private:
    [[nodiscard]] result<leaf_splice> plan_in(const node_place& leaf, std::uint64_t at, std::uint64_t end,
                                              std::span<const extent_entry> pieces, bool alone,
                                              std::uint32_t& count) noexcept {
        BOOST_OUTCOME_TRY(const auto view, tree_.view_of(leaf));
        BOOST_OUTCOME_TRY(count, check_node(view.bytes(), map_.owner.value, leaf));
        return plan_splice(run_of(view.bytes(), count, leaf), at, end, pieces, alone);
    }

    template <class Sink>
    [[nodiscard]] result<> carry_out(const node_place& leaf, const leaf_splice& plan, std::uint32_t count,
                                     Sink& removed) noexcept {
        if (plan.first == plan.last && plan.size == 0) return success();
        BOOST_OUTCOME_TRY(auto page, tree_.edit_of(leaf));
        const entry_run run = run_of(page.bytes(), count, leaf);
        BOOST_OUTCOME_TRY(report_removed(plan, run, removed));
        apply_splice(plan, run, [&](std::size_t offset, std::size_t length) noexcept {
            return page.modify(node_header_bytes + offset, length).data();
        });
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

    /// When the last entry of the leaf before goes on in the piece, the border between the leaves moves behind the
    /// piece.
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

    /// When the piece goes on in the first entry of the leaf after, the border moves before the piece; an entry of the
    /// home leaf that the piece continues joins it first. Answers a key of the home leaf where that lost an entry.
    [[nodiscard]] result<std::optional<std::uint64_t>> push_to_leaf_after(extent_entry&     piece,
                                                                          const neighbours& near) noexcept {
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
        ASHLAR_ASSERT(near.before);  // the leaf has entries, and none begins behind the piece
        if (joinable(*near.before, piece)) {
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

}  // namespace ashlar::inline v0::detail
