#pragma once
/// What of a volume's objects lies in a range of blocks, found without anything that says it.

#include <ashlar/object/object_operation.hpp>

#include <optional>

namespace ashlar::inline v0 {

/// Something of an object that lies in the range.
struct evacuee {
    object_id     owner{};
    logical_block first{};
    block_count   blocks{};  ///< Of `first` on, all in the range, without a hole; 0: nothing yet, call again.
    extent        place{};   ///< Of the first piece, as far as it lies in the range.
    bool          pinned  = false;
    bool          is_node = false;  ///< Then it is `node`, of one block.
    node_place    node{};
};

/// Where a walk stands. A fresh one begins at the beginning; it stays valid while objects come, change and go.
struct evacuee_cursor {
    object_id     owner{};         ///< The object it is in, or the last one that it passed.
    bool          inside = false;  ///< It is in it.
    bool          nodes  = false;  ///< Its extents are passed.
    logical_block logical{};       ///< Where in its extents.
    std::uint32_t level = 0;       ///< Levels of its nodes that are not passed.
    std::uint64_t key   = 0;
    std::uint64_t seen  = 0;  ///< Objects passed.
};

/// Moves a node to a free block and points its parent at it, in one transaction. False: it is not there any more, or a
/// transaction has its object. Errors: those of space, tree and journal. Cost: the node and what points at it,
/// journaled.
template <class Volume>
    requires Volume::map_type::has_tree result<bool> move_node(Volume& volume, object_id owner, const node_place& node)
noexcept {
    bool moved = false;
    BOOST_OUTCOME_TRY(run_transaction(volume, [&](std::uint32_t tx) noexcept -> result<> {
        moved             = false;
        const auto locked = lock_object(volume, tx, owner);
        if (locked.has_error() && locked.error().code == errc::busy) return success();
        BOOST_OUTCOME_TRY(locked);
        auto object = load_object(volume, tx, owner);
        if (object.has_error() && object.error().code == errc::not_found) return success();
        BOOST_OUTCOME_TRY(object);
        transaction_pages<Volume> pages{volume, tx, space_use::relocation};
        BOOST_OUTCOME_TRY(const auto target, Volume::map_type::relocate_node(pages, object.value().map, node.key,
                                                                             node.level, node.node, node.block));
        moved = target.has_value();
        return moved ? store_object(volume, tx, object.value()) : success();
    }));
    return moved;
}

/// Walks every object: first the extents, then the nodes of each. Objects on the list of the dying are the reaper's:
/// those that shrink are looked at up to their end, the others not.
/// Made per call; every call takes the engine's lock, and gives it up while the device works.
template <class Volume>
class evacuee_walk {
  public:
    evacuee_walk(Volume& volume, extent range, block_count blocks_max, std::size_t pieces_max) noexcept
        : volume_{volume}, range_{range}, blocks_max_{blocks_max}, pieces_max_{pieces_max} {}

    /// The next one, of `blocks_max` blocks and `pieces_max` pieces at most; empty at the end. The cursor stands behind
    /// it then. Errors: those of reading metadata; the cursor stays. Cost: a bounded number of records, entries and
    /// nodes.
    result<std::optional<evacuee>> next(evacuee_cursor& cursor) noexcept {
        const entered guard{volume_};
        auto          at   = cursor;
        auto          done = with_loads(volume_, [&]() noexcept {
            at = cursor;
            return look(at);
        });
        if (done.has_value()) cursor = at;
        return done;
    }

  private:
    static constexpr int owners_per_call  = 64;
    static constexpr int entries_per_call = 1024;
    static constexpr int nodes_per_call   = 64;

    result<std::optional<evacuee>> look(evacuee_cursor& at) noexcept {
        int entries = entries_per_call;
        int nodes   = nodes_per_call;
        for (int owners = 0; owners < owners_per_call && entries > 0 && nodes > 0; ++owners) {
            BOOST_OUTCOME_TRY(auto object, object_at(at));
            if (!object) return std::optional<evacuee>{};
            if (!at.nodes) {
                BOOST_OUTCOME_TRY(const auto found, next_extents(*object, at, entries));
                if (found.blocks.value != 0 || entries == 0) return std::optional{found};
            }
            if constexpr (Volume::map_type::has_tree) {
                BOOST_OUTCOME_TRY(const auto found, next_node(*object, at, nodes));
                if (found.blocks.value != 0 || nodes == 0) return std::optional{found};
            }
            at = {.owner = at.owner, .seen = at.seen + 1};
        }
        return std::optional{evacuee{}};
    }

    /// The object that the cursor is in, or the next one.
    result<std::optional<object_state>> object_at(evacuee_cursor& at) noexcept {
        if (at.inside) {
            auto here = load_object(volume_, no_transaction, at.owner);
            if (here.has_value()) return std::optional{here.value()};
            if (here.error().code != errc::not_found) return here.error();
        }
        BOOST_OUTCOME_TRY(const auto id, next_object(volume_, at.owner));
        if (!id) return std::optional<object_state>{};
        at = {.owner = *id, .inside = true, .seen = at.seen};
        BOOST_OUTCOME_TRY(auto object, load_object(volume_, no_transaction, *id));
        return std::optional{object};
    }

    /// Pieces of the range that follow each other in the object; none: its extents are passed, or `entries` is 0.
    result<evacuee> next_extents(object_state& object, evacuee_cursor& at, int& entries) noexcept {
        const logical_block end = object.shrinking
                                      ? logical_block{blocks_for(object.size, volume_.geometry.block).value}
                                      : logical_block{no_bound};
        evacuee             found{.owner = object.id};
        std::size_t         pieces = 0;
        bool                passed = true;
        auto                map    = map_of(volume_, no_transaction, object, space_use::relocation);
        BOOST_OUTCOME_TRY(map.walk(at.logical, end, [&](const mapped_extent& whole) noexcept -> result<bool> {
            if (entries == 0) {
                passed = false;
                return false;
            }
            --entries;
            const bool more = add(found, pieces, whole, at, end);
            passed          = passed && more;
            return more;
        }));
        if (found.blocks.value != 0)
            at.logical = found.first + found.blocks;
        else if (passed)
            at.nodes = true, at.level = object.map.height;
        return found;
    }

    /// Answers whether what follows could be added too.
    bool add(evacuee& found, std::size_t& pieces, const mapped_extent& whole, evacuee_cursor& at,
             logical_block end) const noexcept {
        const auto skip  = whole.logical < at.logical ? at.logical - whole.logical : block_count{0};
        const auto left  = part_of(whole.physical, skip, end - (whole.logical + skip));
        const auto part  = common_part(left, range_);
        const auto first = whole.logical + (part.first - whole.physical.first);
        const bool any   = found.blocks.value != 0;
        if (part.empty()) {
            if (!any) at.logical = whole.logical + whole.physical.count;
            return !any;
        }
        if (any && (first != found.first + found.blocks || whole.pinned || found.pinned || pieces == pieces_max_))
            return false;
        const auto room = blocks_max_ - found.blocks;
        if (!any) {
            found.first  = first;
            found.place  = part;
            found.pinned = whole.pinned;
        }
        const auto count = whole.pinned || part.count < room ? part.count : room;
        found.blocks += count;
        ++pieces;
        return count == part.count && part.end() == whole.physical.end() && found.blocks < blocks_max_;
    }

    /// The next node in the range, the upper levels first; none: all are passed, or `nodes` is 0.
    result<evacuee> next_node(object_state& object, evacuee_cursor& at, int& nodes) noexcept {
        transaction_pages<Volume> pages{volume_, no_transaction, space_use::relocation};
        if (at.level > object.map.height) at.level = object.map.height, at.key = 0;
        for (; at.level > 0 && nodes > 0; --nodes) {
            BOOST_OUTCOME_TRY(const auto place, locate_node(pages, object.map, at.key, at.level - 1));
            at.key = place.upper;
            if (at.key == no_bound) --at.level, at.key = 0;
            if (!range_.contains(place.block)) continue;
            return evacuee{.owner   = object.id,
                           .blocks  = block_count{1},
                           .place   = {place.block, block_count{1}},
                           .is_node = true,
                           .node    = place};
        }
        return evacuee{};
    }

    Volume&     volume_;
    extent      range_;
    block_count blocks_max_;
    std::size_t pieces_max_;
};

}  // namespace ashlar::inline v0
