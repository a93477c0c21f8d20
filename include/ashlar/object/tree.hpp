#pragma once
/// The B+tree of one object's extents: how nodes are found, split, merged and moved. extent_map.hpp puts extents in.

#include <ashlar/format/object_record.hpp>
#include <ashlar/object/node_pages.hpp>

#include <cstring>
#include <optional>
#include <utility>

namespace ashlar::inline v0 {

/// The node of a level to which a logical block belongs. One pin. Precondition: level < height.
/// Errors: those of the pages; damaged.
template <NodePages P>
[[nodiscard]] result<node_place> locate_node(P& pages, const extent_map_state& map, std::uint64_t logical,
                                             std::uint32_t level) noexcept {
    if (map.height == 0 || map.height > tree_height_max) return error{errc::damaged, map.root};
    node_place at{map.root, map.root_node, 0, no_bound, map.height - 1U};
    while (at.level > level) {
        BOOST_OUTCOME_TRY(const auto view, pages.view_node(at.block, map.owner.value, at.node));
        BOOST_OUTCOME_TRY(const auto count, check_node(view.bytes(), map.owner.value, at));
        BOOST_OUTCOME_TRY(at, child_for(view.bytes(), count, logical, at));
    }
    return at;
}

/// The nodes of one tree, for the time of one call.
/// Invariants: a child's key is the key of its entry; nodes other than those on the right edge hold at least a third of
/// what fits; no extent crosses from one leaf's logical blocks into the next one's; the root's block stays.
/// Every function holds at most three pins. Errors of all: those of the pages; damaged; unsupported.
template <NodePages P>
class node_tree {
  public:
    node_tree(P& pages, extent_map_state& map) noexcept
        : pages_{pages}, map_{map}, capacity_{node_capacity(pages.block())} {}

    [[nodiscard]] std::uint32_t capacity() const noexcept { return capacity_; }
    [[nodiscard]] std::uint32_t third() const noexcept { return capacity_ / 3U; }
    [[nodiscard]] node_place    root() const noexcept {
           return {map_.root, map_.root_node, 0, no_bound, map_.height - 1U};
    }

    [[nodiscard]] result<node_place> locate(std::uint64_t logical, std::uint32_t level) noexcept {
        return locate_node(pages_, map_, logical, level);
    }

    [[nodiscard]] auto view_of(const node_place& at) noexcept { return pages_.view_node(at.block, owner(), at.node); }
    [[nodiscard]] auto edit_of(const node_place& at) noexcept { return pages_.edit_node(at.block, owner(), at.node); }

    /// Entries in a node. One pin.
    [[nodiscard]] result<std::uint32_t> count_of(const node_place& at) noexcept {
        BOOST_OUTCOME_TRY(const auto view, view_of(at));
        return check_node(view.bytes(), owner(), at);
    }

    static void set_count(typename P::edit& page, std::uint32_t count) noexcept {
        store_little<std::uint16_t>(page.modify(offsetof(node_header, count), 2).data(),
                                    static_cast<std::uint16_t>(count));
    }

    /// Makes a root leaf of entries that stood in the record. Precondition: there is no tree.
    [[nodiscard]] result<> plant(std::span<const std::byte> entries) noexcept {
        const std::uint32_t node = next_node_id();
        BOOST_OUTCOME_TRY(auto made, pages_.create_node(owner(), node));
        write_node(made.page, node, 0, 0, entries);
        map_.height    = 1;
        map_.root      = made.block;
        map_.root_node = node;
        return success();
    }

    /// Gives up a root that is a leaf. Precondition: height 1, and nothing that it holds is needed.
    [[nodiscard]] result<> uproot() noexcept {
        BOOST_OUTCOME_TRY(pages_.discard_node(map_.root, owner(), map_.root_node));
        map_.height    = 0;
        map_.root      = {};
        map_.root_node = 0;
        return success();
    }

    /// Splits on the way to the leaf of `logical` until that leaf has room for `more` entries, and each node above for
    /// one.
    [[nodiscard]] result<> make_room(std::uint64_t logical, std::uint32_t more) noexcept {
        BOOST_OUTCOME_TRY(const auto root_count, count_of(root()));
        if (is_full(root(), root_count, more)) { BOOST_OUTCOME_TRY(grow()); }
        node_place at = root();
        while (at.level > 0) {
            BOOST_OUTCOME_TRY(auto step, child_of(at, logical));
            BOOST_OUTCOME_TRY(const auto count, count_of(step.child));
            if (is_full(step.child, count, more)) {
                BOOST_OUTCOME_TRY(split(at, step.index, step.child, logical));
                BOOST_OUTCOME_TRY(step, child_of(at, logical));
            }
            at = step.child;
        }
        return success();
    }

    /// Merges or refills the nodes on the way to the leaf of `logical` where they hold too little, and lowers the root.
    [[nodiscard]] result<> rebalance(std::uint64_t logical) noexcept {
        BOOST_OUTCOME_TRY(collapse());
        node_place at = root();
        while (at.level > 0) {
            BOOST_OUTCOME_TRY(auto step, child_of(at, logical));
            BOOST_OUTCOME_TRY(const auto count, count_of(step.child));
            // An inner node may lose one more child when its own children merge.
            const bool poor = step.child.level == 0 ? count < third() : count <= third();
            if (poor && step.siblings > 0) {
                BOOST_OUTCOME_TRY(refill(at, step.index == 0 ? 0 : step.index - 1U));
                BOOST_OUTCOME_TRY(step, child_of(at, logical));
            }
            at = step.child;
        }
        return collapse();
    }

    /// Moves the border between two neighbouring leaves from `from` to `to`. Precondition: no entry begins or goes on
    /// between the two. Changes 8 bytes in each node on the way that names the border.
    [[nodiscard]] result<> move_bound(std::uint64_t from, std::uint64_t to) noexcept {
        node_place at = root();
        for (;;) {
            BOOST_OUTCOME_TRY(auto page, edit_of(at));
            BOOST_OUTCOME_TRY(const auto count, check_node(page.bytes(), owner(), at));
            const node_place here = at;
            if (here.level > 0) {
                const std::uint32_t i = child_index(page.bytes(), count, from);
                BOOST_OUTCOME_TRY(at, child_at(page.bytes(), count, i, here));
                const bool in_order =
                    to < at.upper && (i == 0 || to > key_at(page.bytes().data() + node_header_bytes, i - 1U));
                if (at.key == from && !in_order) return error{errc::damaged, here.block};
                if (at.key == from) store_little<std::uint64_t>(page.modify(entry_offset(i), 8).data(), to);
            } else if (here.key != from) {
                return error{errc::damaged, here.block};
            }
            if (here.key == from) store_little<std::uint64_t>(page.modify(offsetof(node_header, key), 8).data(), to);
            if (here.level == 0) return success();
        }
    }

    /// Moves one node to a fresh block that the pages choose, and points its parent at it. Answers the new block, or
    /// nothing when no such node is at `from` any more. Cost: edits the parent and creates one node.
    [[nodiscard]] result<std::optional<block_index>> relocate(std::uint64_t key, std::uint32_t level,
                                                              std::uint64_t node, block_index from) noexcept {
        if (level >= map_.height) return std::nullopt;
        BOOST_OUTCOME_TRY(const auto at, locate(key, level));
        if (at.block != from || at.node != node || at.key != key) return std::nullopt;
        block_index target{};
        {
            BOOST_OUTCOME_TRY(const auto old, view_of(at));
            BOOST_OUTCOME_TRY(check_node(old.bytes(), owner(), at));
            BOOST_OUTCOME_TRY(auto made, pages_.create_node(owner(), node));
            const std::size_t length = old.bytes().size() - trailer_bytes;
            std::memcpy(made.page.modify(0, length).data(), old.bytes().data(), length);
            target = made.block;
        }
        if (level + 1U == map_.height) {
            map_.root = target;
        } else {
            BOOST_OUTCOME_TRY(const auto parent, locate(key, level + 1U));
            BOOST_OUTCOME_TRY(auto page, edit_of(parent));
            BOOST_OUTCOME_TRY(const auto count, check_node(page.bytes(), owner(), parent));
            const std::size_t entry = entry_offset(child_index(page.bytes(), count, key));
            store_little<std::uint64_t>(page.modify(entry + offsetof(inner_entry_record, block), 8).data(),
                                        target.value);
        }
        BOOST_OUTCOME_TRY(pages_.discard_node(from, owner(), node));
        return std::optional{target};
    }

  private:
    struct step_down {
        std::uint32_t index    = 0;
        std::uint32_t siblings = 0;  ///< Other children of the parent.
        node_place    child{};
    };

    [[nodiscard]] std::uint64_t owner() const noexcept { return map_.owner.value; }

    [[nodiscard]] static constexpr std::size_t entry_offset(std::uint32_t i) noexcept {
        return node_header_bytes + std::size_t{i} * entry_bytes;
    }

    [[nodiscard]] std::uint32_t next_node_id() noexcept {
        const std::uint32_t id = map_.next_node;
        map_.next_node         = id == 0xFFFF'FFFFU ? 1U : id + 1U;
        return id;
    }

    [[nodiscard]] bool is_full(const node_place& at, std::uint32_t count, std::uint32_t more) const noexcept {
        return at.level == 0 ? count + more > capacity_ : count == capacity_;
    }

    [[nodiscard]] result<step_down> child_of(const node_place& at, std::uint64_t logical) noexcept {
        BOOST_OUTCOME_TRY(const auto view, view_of(at));
        BOOST_OUTCOME_TRY(const auto count, check_node(view.bytes(), owner(), at));
        const std::uint32_t i = child_index(view.bytes(), count, logical);
        BOOST_OUTCOME_TRY(const auto child, child_for(view.bytes(), count, logical, at));
        return step_down{i, count - 1U, child};
    }

    void write_node(typename P::edit& page, std::uint64_t node, std::uint64_t key, std::uint32_t level,
                    std::span<const std::byte> entries) noexcept {
        node_header header;
        header.owner  = owner();
        header.node   = node;
        header.key    = key;
        header.level  = static_cast<std::uint16_t>(level);
        header.count  = static_cast<std::uint16_t>(entries.size() / entry_bytes);
        const auto to = page.modify(0, node_header_bytes + entries.size());
        store_struct(to, header);
        if (!entries.empty()) std::memcpy(to.data() + node_header_bytes, entries.data(), entries.size());
    }

    /// The root's entries go one level down into a fresh node, so that the root's block stays.
    [[nodiscard]] result<> grow() noexcept {
        if (map_.height >= tree_height_max) return error{errc::damaged, map_.root};
        const std::uint32_t node = next_node_id();
        BOOST_OUTCOME_TRY(auto page, edit_of(root()));
        BOOST_OUTCOME_TRY(const auto count, check_node(page.bytes(), owner(), root()));
        BOOST_OUTCOME_TRY(auto made, pages_.create_node(owner(), node));
        write_node(made.page, node, 0, root().level,
                   page.bytes().subspan(node_header_bytes, std::size_t{count} * entry_bytes));

        inner_entry_record only;
        only.key   = 0;
        only.block = made.block.value;
        only.node  = node;
        ++map_.height;
        const auto top = page.modify(offsetof(node_header, level), 8U + entry_bytes);
        store_little<std::uint16_t>(top.data(), static_cast<std::uint16_t>(root().level));
        store_little<std::uint16_t>(top.data() + 2, 1);
        store_struct(top.subspan(8), only);
        return success();
    }

    /// While the root has a single child, that child's entries come up.
    [[nodiscard]] result<> collapse() noexcept {
        while (map_.height > 1) {
            BOOST_OUTCOME_TRY(auto page, edit_if_single(root()));
            if (!page) return success();
            BOOST_OUTCOME_TRY(const auto child, child_at(page->bytes(), 1, 0, root()));
            if (child.block == map_.root) return error{errc::damaged, child.block};
            {
                BOOST_OUTCOME_TRY(const auto below, view_of(child));
                BOOST_OUTCOME_TRY(const auto count, check_node(below.bytes(), owner(), child));
                const std::size_t from = offsetof(node_header, level);
                const std::size_t size = node_header_bytes - from + std::size_t{count} * entry_bytes;
                std::memcpy(page->modify(from, size).data(), below.bytes().data() + from, size);
            }
            --map_.height;
            BOOST_OUTCOME_TRY(pages_.discard_node(child.block, owner(), child.node));
        }
        return success();
    }

    [[nodiscard]] result<std::optional<typename P::edit>> edit_if_single(const node_place& at) noexcept {
        BOOST_OUTCOME_TRY(const auto count, count_of(at));
        if (count != 1) return std::optional<typename P::edit>{};
        BOOST_OUTCOME_TRY(auto page, edit_of(at));
        return std::optional<typename P::edit>{std::move(page)};
    }

    /// Splits a child in two. At the right edge the left half stays full, as objects mostly grow at their end.
    [[nodiscard]] result<> split(const node_place& parent, std::uint32_t index, const node_place& child,
                                 std::uint64_t logical) noexcept {
        const std::uint32_t node = next_node_id();
        BOOST_OUTCOME_TRY(auto above, edit_of(parent));
        BOOST_OUTCOME_TRY(const auto above_count, check_node(above.bytes(), owner(), parent));
        BOOST_OUTCOME_TRY(auto left, edit_of(child));
        BOOST_OUTCOME_TRY(const auto count, check_node(left.bytes(), owner(), child));
        if (count < 2 || index >= above_count || above_count >= capacity_) return error{errc::damaged, child.block};
        const auto*         entries = left.bytes().data() + node_header_bytes;
        const bool          appends = child.upper == no_bound && logical >= key_at(entries, count - 1U);
        const std::uint32_t keep    = appends ? count - 1U : count / 2U;
        const std::uint64_t key     = key_at(entries, keep);
        if (key <= child.key || key >= child.upper) return error{errc::damaged, child.block};

        BOOST_OUTCOME_TRY(auto made, pages_.create_node(owner(), node));
        write_node(made.page, node, key, child.level,
                   left.bytes().subspan(entry_offset(keep), std::size_t{count - keep} * entry_bytes));
        set_count(left, keep);

        const std::size_t tail = std::size_t{above_count - index - 1U} * entry_bytes;
        const auto        to   = above.modify(entry_offset(index + 1U), entry_bytes + tail);
        std::memmove(to.data() + entry_bytes, to.data(), tail);
        inner_entry_record entry;
        entry.key   = key;
        entry.block = made.block.value;
        entry.node  = node;
        store_struct(to, entry);
        set_count(above, above_count + 1U);
        return success();
    }

    /// Makes one node of the children at `index` and the next when they fit well, else shares their entries evenly.
    [[nodiscard]] result<> refill(const node_place& parent, std::uint32_t index) noexcept {
        node_place left{};
        node_place right{};
        {
            BOOST_OUTCOME_TRY(const auto above, view_of(parent));
            BOOST_OUTCOME_TRY(const auto count, check_node(above.bytes(), owner(), parent));
            if (index + 1U >= count) return error{errc::damaged, parent.block};
            BOOST_OUTCOME_TRY(left, child_at(above.bytes(), count, index, parent));
            BOOST_OUTCOME_TRY(right, child_at(above.bytes(), count, index + 1U, parent));
        }
        if (left.block == right.block) return error{errc::damaged, parent.block};
        BOOST_OUTCOME_TRY(const auto left_count, count_of(left));
        BOOST_OUTCOME_TRY(const auto right_count, count_of(right));
        const std::uint32_t total  = left_count + right_count;
        const bool          merges = total <= capacity_ - capacity_ / 4U || left_count == 0 || right_count == 0;
        if (merges) return merge(parent, index, left, right, left_count, right_count);
        return share(parent, index, left, right, left_count, right_count);
    }

    [[nodiscard]] result<> merge(const node_place& parent, std::uint32_t index, const node_place& left,
                                 const node_place& right, std::uint32_t left_count,
                                 std::uint32_t right_count) noexcept {
        {
            BOOST_OUTCOME_TRY(auto above, edit_of(parent));
            BOOST_OUTCOME_TRY(const auto count, check_node(above.bytes(), owner(), parent));
            if (index + 1U >= count) return error{errc::damaged, parent.block};
            if (right_count > 0) {
                BOOST_OUTCOME_TRY(auto to, edit_of(left));
                BOOST_OUTCOME_TRY(const auto from, view_of(right));
                const std::size_t size = std::size_t{right_count} * entry_bytes;
                std::memcpy(to.modify(entry_offset(left_count), size).data(), from.bytes().data() + node_header_bytes,
                            size);
                set_count(to, left_count + right_count);
            }
            const std::size_t tail = std::size_t{count - index - 2U} * entry_bytes;
            if (tail > 0) {
                const std::byte* from = above.bytes().data() + entry_offset(index + 2U);
                std::memmove(above.modify(entry_offset(index + 1U), tail).data(), from, tail);
            }
            set_count(above, count - 1U);
        }
        return pages_.discard_node(right.block, owner(), right.node);
    }

    [[nodiscard]] result<> share(const node_place& parent, std::uint32_t index, const node_place& left,
                                 const node_place& right, std::uint32_t left_count,
                                 std::uint32_t right_count) noexcept {
        const std::uint32_t keep = (left_count + right_count) / 2U;
        if (keep == left_count) return success();
        BOOST_OUTCOME_TRY(auto above, edit_of(parent));
        BOOST_OUTCOME_TRY(auto low, edit_of(left));
        BOOST_OUTCOME_TRY(auto high, edit_of(right));
        const std::uint32_t high_count = left_count + right_count - keep;
        const std::size_t   high_old   = std::size_t{right_count} * entry_bytes;
        const std::size_t   high_new   = std::size_t{high_count} * entry_bytes;
        if (left_count > keep) {
            const std::size_t moved = std::size_t{left_count - keep} * entry_bytes;
            const auto        to    = high.modify(node_header_bytes, high_new);
            std::memmove(to.data() + moved, to.data(), high_old);
            std::memcpy(to.data(), low.bytes().data() + entry_offset(keep), moved);
        } else {
            const std::size_t moved = std::size_t{keep - left_count} * entry_bytes;
            const std::byte*  from  = high.bytes().data() + node_header_bytes;
            std::memcpy(low.modify(entry_offset(left_count), moved).data(), from, moved);
            std::memmove(high.modify(node_header_bytes, high_new).data(), from + moved, high_new);
        }
        const std::uint64_t key = key_at(high.bytes().data() + node_header_bytes, 0);
        if (key <= left.key || key >= right.upper) return error{errc::damaged, right.block};
        set_count(low, keep);
        const auto top = high.modify(offsetof(node_header, key), 12);
        store_little<std::uint64_t>(top.data(), key);
        store_little<std::uint16_t>(top.data() + 10, static_cast<std::uint16_t>(high_count));
        store_little<std::uint64_t>(above.modify(entry_offset(index + 1U), 8).data(), key);
        return success();
    }

    P&                pages_;
    extent_map_state& map_;
    std::uint32_t     capacity_;
};

}  // namespace ashlar::inline v0
