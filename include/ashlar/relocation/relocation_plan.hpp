#pragma once
/// What a move would do, before it does it.

#include <ashlar/concepts/relocation_host.hpp>

#include <cstdint>
#include <span>

namespace ashlar::inline v0 {

/// A range of an owner that is to lie in one run.
struct move_request {
    object_id     owner{};
    logical_block first{};
    block_count   blocks{};                      ///< At most so many mapped blocks from `first` on,
    block_count   window{};                      ///< that lie within so many logical blocks.
    placement     where = placement::near_goal;  ///< `tight`: a whole extent moves, so that two free runs become one.
    block_count   room{~std::uint64_t{0}};       ///< No free run is longer. Of a longer range a part moves that fits.
};

/// The part of a range that is worth moving: whole pieces between pinned ones.
///
/// `gain` is by how much the owner's pieces fall at least, the cuts at both ends counted: a stretch that was joined to
/// its neighbours loses those joints. A move of scattered blocks is made only for a gain above 0. This is what proves
/// that moving ends: each such move lowers the number of pieces; a merge of free runs lowers the number of free runs
/// and leaves the pieces as they are; so the pair (pieces, free runs) falls with every move, in the order of words in a
/// dictionary. Who asks for `away` has a proof of its own: nothing comes back to where the range was.
struct move_stretch {
    std::uint64_t            generation = 0;
    std::span<mapped_extent> pieces{};  ///< In logical order; in the caller's memory.
    logical_block            first{};
    block_count              logical_blocks{};  ///< From `first` to the end of the last piece, holes included.
    block_count              blocks{};          ///< What the target must hold.
    block_count              unwritten{};       ///< Of these, blocks that need no copy.
    std::uint64_t            extents_before = 0;
    std::uint64_t            extents_after  = 0;
    std::uint64_t            gain           = 0;
    block_index              goal{};
    extent                   pinned{};  ///< A pinned piece of the range; empty: there is none.

    [[nodiscard]] bool empty() const noexcept { return pieces.empty(); }
};

namespace move_detail {

/// Whether `b` goes on where `a` ends, so that both could be one extent.
[[nodiscard]] constexpr bool continues(const mapped_extent& a, const mapped_extent& b) noexcept {
    return a.logical + a.physical.count == b.logical && a.unwritten == b.unwritten;
}

/// Whether both are one extent as they lie.
[[nodiscard]] constexpr bool joined(const mapped_extent& a, const mapped_extent& b) noexcept {
    return continues(a, b) && a.physical.end() == b.physical.first;
}

/// The pieces of a range, with what stands before and behind it.
struct range_pieces {
    std::span<mapped_extent> pieces{};
    mapped_extent            before{};               // count 0: nothing
    bool                     joined_behind = false;  // the last piece is joined to what follows it
};

/// Cuts what lies before `first`, and what exceeds `blocks`.
inline range_pieces clip(std::span<mapped_extent> seen, logical_block first, logical_block end, block_count blocks,
                         bool complete) noexcept {
    range_pieces range;
    if (!seen.empty() && seen.front().logical < first) {
        auto&      head = seen.front();
        const auto n    = first - head.logical;
        if (head.physical.count <= n) {
            range.before = head;
            seen         = seen.subspan(1);
        } else {
            range.before          = head;
            range.before.physical = {head.physical.first, n};
            head.logical          = first;
            head.physical         = {head.physical.first + n, head.physical.count - n};
        }
    }
    block_count taken{};
    std::size_t count = 0;
    while (count < seen.size() && taken < blocks && seen[count].logical < end) {
        auto&      piece = seen[count];
        const auto left  = blocks - taken;
        const auto room  = end - piece.logical;
        const auto most  = left < room ? left : room;
        if (piece.physical.count > most) {
            piece.physical.count = most;
            range.joined_behind  = true;
        }
        taken += piece.physical.count;
        ++count;
    }
    range.pieces = seen.first(count);
    if (count > 0 && !range.joined_behind) {
        range.joined_behind = count < seen.size() ? joined(seen[count - 1], seen[count]) : !complete;
    }
    return range;
}

/// Measures the pieces from `from` to `to`, none of which is pinned.
inline move_stretch measure(const range_pieces& range, std::size_t from, std::size_t to) noexcept {
    move_stretch stretch;
    stretch.pieces = range.pieces.subspan(from, to - from);
    stretch.first  = stretch.pieces.front().logical;
    for (std::size_t i = 0; i < stretch.pieces.size(); ++i) {
        const auto& piece = stretch.pieces[i];
        stretch.blocks += piece.physical.count;
        if (piece.unwritten) stretch.unwritten += piece.physical.count;
        stretch.extents_before += i == 0 || !joined(stretch.pieces[i - 1], piece) ? 1U : 0U;
        stretch.extents_after += i == 0 || !continues(stretch.pieces[i - 1], piece) ? 1U : 0U;
        stretch.logical_blocks = piece.logical + piece.physical.count - stretch.first;
    }
    const auto& before     = from > 0 ? range.pieces[from - 1] : range.before;
    const bool  cut_before = !before.physical.empty() && joined(before, stretch.pieces.front());
    const bool  cut_behind =
        to < range.pieces.size() ? joined(stretch.pieces.back(), range.pieces[to]) : range.joined_behind;
    const auto after = stretch.extents_after + (cut_before ? 1U : 0U) + (cut_behind ? 1U : 0U);
    stretch.gain     = stretch.extents_before > after ? stretch.extents_before - after : 0;
    stretch.goal     = before.physical.empty() ? stretch.pieces.front().physical.first : before.physical.end();
    return stretch;
}

/// Of the pieces from `from` to `to` those that follow each other, fit the room and gain most.
inline move_stretch best_part(const range_pieces& range, std::size_t from, std::size_t to, block_count room) noexcept {
    move_stretch best;
    block_count  held{};
    for (auto last = from; last < to; ++last) {
        held += range.pieces[last].physical.count;
        while (held > room) held -= range.pieces[from++].physical.count;
        const bool longer = last + 1 < to && held + range.pieces[last + 1].physical.count <= room;
        if (from > last || longer) continue;
        const auto part = measure(range, from, last + 1);
        if (part.gain > best.gain) best = part;
    }
    return best;
}

/// Whether the stretch is one whole extent, so that moving it cuts nothing.
inline bool is_whole_extent(const range_pieces& range) noexcept {
    return range.pieces.size() == 1 && !range.joined_behind &&
           (range.before.physical.empty() || !joined(range.before, range.pieces.front()));
}

}  // namespace move_detail

/// Looks at a range and finds the stretch of it with the largest gain; empty when none gains.
/// Needs room for four pieces or more in `memory`; what does not fit is left for another move.
/// Errors: those of the host's mapping. Cost: one look at the mapping; nothing is changed.
template <RelocationHost Host>
[[nodiscard]] result<move_stretch> find_stretch(Host& host, const move_request& request,
                                                std::span<mapped_extent> memory) noexcept {
    ASHLAR_ASSERT(memory.size() >= 4);
    const block_count   lead{request.first.value > 0 ? 1U : 0U};
    const logical_block from{request.first.value - lead.value};
    const auto          around = lead + request.window + block_count{1};
    BOOST_OUTCOME_TRY(const mapping_view view, host.mapping(request.owner, from, around, memory));
    if (view.pieces > memory.size()) return errc::damaged;
    const auto end   = request.first + request.window;
    const auto range = move_detail::clip(memory.first(view.pieces), request.first, end, request.blocks, view.complete);

    const bool   tight = request.where == placement::tight;
    const bool   away  = request.where == placement::away;
    move_stretch best;
    extent       pinned{};
    for (std::size_t at = 0; at < range.pieces.size();) {
        if (range.pieces[at].pinned) {
            pinned = range.pieces[at++].physical;
            continue;
        }
        auto to = at;
        while (to < range.pieces.size() && !range.pieces[to].pinned) ++to;
        const bool whole   = away || (tight && move_detail::is_whole_extent(range));
        const auto stretch = whole   ? move_detail::measure(range, at, to)
                             : tight ? move_stretch{}
                                     : move_detail::best_part(range, at, to, request.room);
        if (whole || stretch.gain > best.gain) best = stretch;
        at = to;
    }
    if (tight && !best.empty()) best.goal = best.pieces.front().physical.first;
    best.generation = view.generation;
    best.pinned     = pinned;
    return best;
}

}  // namespace ashlar::inline v0
