// What the maps answer at their edges: stops of a visitor, ranges that are no ranges, records and nodes that lie.

#include "memory_pages.hpp"

#include <ashlar/object/extent_map.hpp>

#include <gtest/gtest.h>

#include <vector>

namespace extent_map_edges_test {

using namespace ashlar;
using ashlar_test::memory_pages;

result<> ignore(const mapped_extent&) noexcept { return success(); }

template <class T>
errc code_of(const result<T>& answer) {
    return answer ? errc::none : answer.error().code;
}

/// `count` extents of one block, every third block, each somewhere else.
struct scattered {
    memory_pages     pages{512};
    extent_map_state map;

    explicit scattered(std::uint64_t count) {
        map.owner           = {77};
        map.inline_capacity = 2;
        pages.guards_edits  = false;
        for (std::uint64_t i = 0; i < count; ++i) put({{i * 3}, {{i * 7 + 100}, {1}}});
    }

    void put(const mapped_extent& piece) {
        ASSERT_TRUE(extent_tree::replace(pages, map, piece.logical, piece.physical.count, {&piece, 1}, ignore));
    }
    [[nodiscard]] std::vector<std::byte>&    bytes_of(block_index block) { return pages.nodes.at(block.value).bytes; }
    [[nodiscard]] std::vector<std::uint64_t> logicals() {
        std::vector<std::uint64_t> found;
        EXPECT_TRUE(extent_tree::walk(pages, map, {0}, {no_bound}, [&](const mapped_extent& piece) noexcept {
            found.push_back(piece.logical.value);
            return result<bool>{true};
        }));
        return found;
    }
};

/// Extents in a record, as a small map has them.
extent_map_state in_record(const std::vector<extent_entry>& entries, std::uint32_t capacity = 4) {
    extent_map_state map;
    map.owner           = {77};
    map.inline_capacity = capacity;
    for (const auto& entry : entries) {
        store_entry(map.entries.data() + std::size_t{map.extents++} * entry_bytes, entry);
        map.blocks += entry.count;
    }
    return map;
}

TEST(ExtentTree, AWalkEndsWhereItsRangeEndsOrItsVisitorIsContent) {
    scattered                  it{200};
    std::vector<std::uint64_t> seen;
    const auto                 note = [&](const mapped_extent& piece) noexcept {
        seen.push_back(piece.logical.value);
        return result<bool>{seen.size() < 3};
    };
    EXPECT_TRUE(extent_tree::walk(it.pages, it.map, {30}, {37}, note));
    EXPECT_EQ(seen, (std::vector<std::uint64_t>{30, 33, 36}));
    seen.clear();
    EXPECT_TRUE(extent_tree::walk(it.pages, it.map, {30}, {34}, note));
    EXPECT_EQ(seen, (std::vector<std::uint64_t>{30, 33}));
    seen.clear();
    EXPECT_TRUE(extent_tree::walk(it.pages, it.map, {30}, {no_bound}, note));
    EXPECT_EQ(seen.size(), 3U);

    int nodes = 0;
    EXPECT_TRUE(extent_tree::walk_nodes(it.pages, it.map,
                                        [&](const node_place&) noexcept -> result<bool> { return ++nodes < 2; }));
    EXPECT_EQ(nodes, 2);
}

TEST(ExtentTree, ARangePastTheLastBlockIsRefusedAndChangesNothing) {
    scattered  it{20};
    const auto before = it.logicals();
    EXPECT_EQ(code_of(extent_tree::set_flags(it.pages, it.map, {5}, {no_bound - 4}, 3, 3)), errc::out_of_range);
    EXPECT_EQ(code_of(extent_tree::replace(it.pages, it.map, {5}, {no_bound - 4}, {}, ignore)), errc::out_of_range);
    const mapped_extent far{{5}, {{no_bound - 1}, {2}}};
    EXPECT_EQ(code_of(extent_tree::replace(it.pages, it.map, {5}, {4}, {&far, 1}, ignore)), errc::invalid_argument);
    EXPECT_EQ(it.logicals(), before);
}

TEST(ExtentTree, TheIdsOfNodesBeginAgainAtOne) {
    scattered it{0};
    it.map.next_node = 0xFFFF'FFFF;
    for (std::uint64_t i = 0; i < 40; ++i) it.put({{i * 3}, {{i * 7}, {1}}});
    EXPECT_EQ(it.map.root_node, 0xFFFF'FFFFU);
    EXPECT_LT(it.map.next_node, 8U);
    EXPECT_GE(it.map.next_node, 2U);
    EXPECT_EQ(it.logicals().size(), 40U);
}

TEST(ExtentTree, TwoPiecesThatDoNotFitTheRecordMakeATreeOfThem) {
    scattered it{0};
    it.map.inline_capacity = 1;
    const mapped_extent pieces[2]{{{0}, {{50}, {2}}}, {{4}, {{70}, {1}}}};
    EXPECT_TRUE(extent_tree::replace(it.pages, it.map, {0}, {8}, pieces, ignore));
    EXPECT_EQ(it.map.height, 1U);
    EXPECT_EQ(it.logicals(), (std::vector<std::uint64_t>{0, 4}));
}

TEST(ExtentTree, ANodeThatIsNotThereIsNotMoved) {
    scattered  it{600};
    const auto leaf = locate_node(it.pages, it.map, 900, 0).value();
    ASSERT_GE(it.map.height, 3U);
    const auto move = [&](std::uint64_t key, std::uint32_t level, std::uint64_t node) {
        const auto moved = extent_tree::relocate_node(it.pages, it.map, key, level, node, leaf.block);
        EXPECT_TRUE(moved.has_value());
        return moved && moved.value().has_value();
    };
    EXPECT_FALSE(move(leaf.key, it.map.height, leaf.node)) << "so high is no tree";
    EXPECT_FALSE(move(leaf.key, 1, leaf.node)) << "a leaf is there";
    EXPECT_FALSE(move(leaf.key, 0, leaf.node + 1)) << "another node is there";
    EXPECT_FALSE(move(leaf.key + 1, 0, leaf.node)) << "the node begins elsewhere";
    for (std::uint64_t nth = 1;; ++nth) {
        auto pages       = it.pages;
        auto map         = it.map;
        pages.calls      = 0;
        pages.fails_at   = nth;
        const auto moved = extent_tree::relocate_node(pages, map, leaf.key, 0, leaf.node, leaf.block);
        if (moved) break;
        EXPECT_EQ(pages.calls, nth) << "nothing goes on behind a failure";
    }
    EXPECT_TRUE(move(leaf.key, 0, leaf.node));
}

/// A tree as high as any may be, whose root and first leaf are full: one path down is all that it has.
TEST(ExtentTree, ATreeOfTheGreatestHeightDoesNotGrow) {
    scattered           it{0};
    const std::uint32_t capacity = node_capacity({512});
    it.map.height                = tree_height_max;
    it.map.root                  = {500};
    it.map.root_node             = 1;
    it.map.extents               = capacity;
    it.map.blocks                = capacity;
    for (std::uint32_t level = tree_height_max; level-- > 0;) {
        const std::uint32_t depth = tree_height_max - 1U - level;
        auto&               node  = it.pages.nodes[500 + depth];
        node.owner = 77, node.id = depth + 1;
        node.bytes.assign(512, std::byte{0});
        node_header header;
        header.owner = 77;
        header.node  = depth + 1;
        header.level = static_cast<std::uint16_t>(level);
        header.count = static_cast<std::uint16_t>(capacity);
        store_struct(std::span{node.bytes}, header);
        for (std::uint32_t i = 0; i < capacity; ++i) {
            const auto to = std::span{node.bytes}.subspan(node_header_bytes + std::size_t{i} * entry_bytes);
            if (level == 0) {
                store_entry(to.data(), {i * 2, i * 5, 1, 0});
                continue;
            }
            inner_entry_record child;
            child.key   = i * 1000;
            child.block = 500 + depth + 1;
            child.node  = depth + 2;
            store_struct(to, child);
        }
    }
    const mapped_extent piece{{1}, {{900}, {1}}};
    const auto          done = extent_tree::replace(it.pages, it.map, {1}, {1}, {&piece, 1}, ignore);
    EXPECT_EQ(code_of(done), errc::damaged);
    EXPECT_EQ(it.pages.nodes.size(), tree_height_max);
    it.map.height = tree_height_max + 1;
    EXPECT_EQ(code_of(extent_tree::find(it.pages, it.map, {1})), errc::damaged);
    EXPECT_EQ(code_of(locate_node(it.pages, in_record({}), 0, 0)), errc::damaged) << "there is no tree";
}

TEST(ExtentTree, AChildThatReachesPastItsParentMovesNoBorder) {
    scattered  it{600};
    const auto inner = locate_node(it.pages, it.map, 900, 1).value();
    ASSERT_NE(inner.block, it.map.root);
    ASSERT_NE(inner.upper, no_bound);
    auto& bytes = it.bytes_of(inner.block);
    store_little<std::uint64_t>(bytes.data() + node_header_bytes + entry_bytes, inner.upper + 1U);
    node_tree<memory_pages> tree{it.pages, it.map};
    EXPECT_EQ(code_of(tree.move_bound(inner.key, inner.key + 1U)), errc::damaged);
}

TEST(ExtentTree, APieceBetweenTwoLeavesJoinsOneOfThemWhereTheSumFitsNoEntry) {
    constexpr std::uint64_t step = 0x8000'0002;
    scattered               it{0};
    for (std::uint64_t i = 0; i < 60; ++i) it.put({{i * step}, {{i * step}, {step - 2}}});
    const auto leaf = locate_node(it.pages, it.map, 25 * step, 0).value();
    ASSERT_NE(leaf.upper, no_bound);
    it.put({{leaf.upper - 2}, {{leaf.upper - 2}, {2}}});
    EXPECT_EQ(it.map.extents, 60U);
    const auto before = extent_tree::find(it.pages, it.map, {leaf.upper - 1}).value();
    EXPECT_EQ(before->physical, (extent{{leaf.upper - step}, {step}}));
    const auto behind = extent_tree::find(it.pages, it.map, {leaf.upper}).value();
    EXPECT_EQ(behind->physical, (extent{{leaf.upper}, {step - 2}}));
}

TEST(ExtentTree, ALeafOfOneExtentKeepsItWhereAPieceWouldJoinItToTheNextLeaf) {
    scattered it{0};
    for (std::uint64_t i = 0; i < 100; ++i) it.put({{i * 3}, {{i * 3}, {1}}});
    const auto leaf  = locate_node(it.pages, it.map, 150, 0).value();
    auto&      bytes = it.bytes_of(leaf.block);
    const auto count = load_struct<node_header>(bytes).count;
    const auto last  = entry_at(bytes.data() + node_header_bytes, count - 1U);
    ASSERT_EQ(last.end() + 2, leaf.upper);
    store_entry(bytes.data() + node_header_bytes, last);
    store_little<std::uint16_t>(bytes.data() + offsetof(node_header, count), 1);
    it.map.extents -= count - 1U;
    it.map.blocks -= count - 1U;
    it.put({{last.end()}, {{last.end()}, {2}}});
    const auto kept = extent_tree::find(it.pages, it.map, {last.logical}).value();
    EXPECT_EQ(kept->physical, (extent{{last.physical}, {3}}));
    EXPECT_EQ(it.logicals().size(), it.map.extents);
}

TEST(ExtentTree, ARecordThatCountsOtherExtentsThanItsRootLeafIsDamaged) {
    scattered it{6};
    ASSERT_EQ(it.map.height, 1U);
    it.map.extents = 2;  // one is left when one goes, and would fit the record
    EXPECT_EQ(code_of(extent_tree::replace(it.pages, it.map, {3}, {1}, {}, ignore)), errc::damaged);
    EXPECT_EQ(it.pages.pins, 0);
}

TEST(ExtentTree, MoreExtentsThanAnyCacheHasNodesForNeedNoMoreNodes) {
    const auto most = extent_tree::nodes_changed_max(3, std::uint64_t{1} << 28U, {512});
    EXPECT_EQ(extent_tree::nodes_changed_max(3, ~std::uint64_t{0}, {512}), most);
    EXPECT_LT(extent_tree::nodes_changed_max(3, 1000, {512}), most);
}

// The map that knows no tree, and records that lie.
// -------------------------------------------------------------------------------------------------------------

TEST(InlineMap, AMapWithATreeIsAnotherPolicys) {
    memory_pages pages{512};
    auto         map = in_record({});
    map.height       = 1;
    const auto stop  = [](const mapped_extent&) noexcept { return result<bool>{false}; };
    EXPECT_EQ(code_of(inline_map::find(pages, map, {0})), errc::policy_differs);
    EXPECT_EQ(code_of(inline_map::walk(pages, map, {0}, {9}, stop)), errc::policy_differs);
    EXPECT_EQ(code_of(inline_map::replace(pages, map, {0}, {1}, {}, ignore)), errc::policy_differs);
    EXPECT_EQ(code_of(inline_map::set_flags(pages, map, {0}, {1}, 3, 3)), errc::policy_differs);
    EXPECT_EQ(code_of(inline_map::remove_last(pages, map, 1, {0}, ignore)), errc::policy_differs);
    EXPECT_EQ(pages.calls, 0U);
}

TEST(InlineMap, RefusesWhatIsNoRangeAndPiecesOutsideOfIt) {
    memory_pages        pages{512};
    auto                map = in_record({{4, 40, 2, 0}});
    const mapped_extent piece{{6}, {{90}, {2}}};
    const mapped_extent huge{{0}, {{90}, {0x1'0000'0000}}};
    const auto          put = [&](std::uint64_t first, std::uint64_t count, const mapped_extent& one) {
        return code_of(inline_map::replace(pages, map, {first}, {count}, {&one, 1}, ignore));
    };
    EXPECT_EQ(put(6, 0, piece), errc::out_of_range);
    EXPECT_EQ(put(6, no_bound - 5, piece), errc::out_of_range);
    EXPECT_EQ(put(7, 4, piece), errc::invalid_argument);
    EXPECT_EQ(put(0, 6, piece), errc::invalid_argument);
    EXPECT_EQ(code_of(inline_map::set_flags(pages, map, {6}, {no_bound - 5}, 3, 3)), errc::out_of_range);
    EXPECT_EQ(map.extents, 1U);
    EXPECT_EQ(map.blocks, 2U);
    EXPECT_EQ(put(0, no_bound, huge), errc::too_many_extents);
}

TEST(InlineMap, AWalkShowsWhatTouchesItsRangeUntilItsVisitorIsContent) {
    memory_pages               pages{512};
    auto                       map = in_record({{0, 10, 2, 0}, {4, 20, 2, 0}, {8, 30, 2, 0}, {12, 40, 2, 0}});
    std::vector<std::uint64_t> seen;
    std::size_t                most = 9;
    const auto                 note = [&](const mapped_extent& piece) noexcept -> result<bool> {
        if (piece.logical.value == 12) return errc::cancelled;
        seen.push_back(piece.logical.value);
        return seen.size() < most;
    };
    EXPECT_TRUE(inline_map::walk(pages, map, {5}, {12}, note));
    EXPECT_EQ(seen, (std::vector<std::uint64_t>{4, 8}));
    seen.clear(), most = 1;
    EXPECT_TRUE(inline_map::walk(pages, map, {0}, {12}, note));
    EXPECT_EQ(seen, (std::vector<std::uint64_t>{0}));
    EXPECT_EQ(code_of(inline_map::walk(pages, map, {9}, {13}, note)), errc::none) << "8 was enough";
    EXPECT_EQ(code_of(inline_map::walk(pages, map, {11}, {13}, note)), errc::cancelled);
}

TEST(InlineMap, RemovesFromItsEndAndCutsTheExtentThatCrossesTheBorder) {
    memory_pages pages{512};
    auto         map  = in_record({{0, 10, 4, 0}, {8, 30, 2, 0}});
    const auto   done = inline_map::remove_last(pages, map, 9, {3}, ignore);
    ASSERT_TRUE(done.has_value());
    EXPECT_EQ(done.value().extents, 2U);
    EXPECT_TRUE(done.value().done);
    EXPECT_EQ(map.blocks, 3U);
    EXPECT_EQ(inline_map::find(pages, map, {0}).value()->physical, (extent{{10}, {3}}));
    EXPECT_FALSE(inline_map::find(pages, map, {3}).value().has_value());
}

TEST(InlineMap, SetsTheFlagsOfWhatItsRangeMapsAndSplitsAtTheEdges) {
    memory_pages pages{512};
    auto         map = in_record({{0, 10, 4, 0}, {8, 30, 2, extent_flag::unwritten}}, 6);
    EXPECT_EQ(code_of(inline_map::set_flags(pages, map, {2}, {7}, extent_flag::pinned, extent_flag::pinned)),
              errc::none);
    EXPECT_EQ(map.extents, 4U);
    EXPECT_FALSE(inline_map::find(pages, map, {1}).value()->pinned);
    EXPECT_TRUE(inline_map::find(pages, map, {2}).value()->pinned);
    EXPECT_TRUE(inline_map::find(pages, map, {8}).value()->pinned);
    EXPECT_TRUE(inline_map::find(pages, map, {8}).value()->unwritten);
    EXPECT_FALSE(inline_map::find(pages, map, {9}).value()->pinned);
    EXPECT_EQ(code_of(inline_map::set_flags(pages, map, {0}, {90}, extent_flag::pinned, 0)), errc::none);
    EXPECT_EQ(map.extents, 2U) << "equal neighbours are one again";
    EXPECT_EQ(map.blocks, 6U);
    EXPECT_EQ(code_of(inline_map::set_flags(pages, map, {2}, {0}, extent_flag::pinned, 2)), errc::none);
    EXPECT_EQ(map.extents, 2U);
}

/// A record whose entries or sums contradict each other, and what each call says about it.
template <class Map>
void expect_lies_found() {
    memory_pages        pages{512};
    const mapped_extent piece{{6}, {{90}, {2}}};
    const auto          refuse  = [](const mapped_extent&) noexcept -> result<> { return errc::cancelled; };
    const auto          replace = [&](extent_map_state map, const auto& sink) {
        return code_of(Map::replace(pages, map, {6}, {2}, {&piece, 1}, sink));
    };
    const auto remove = [&](extent_map_state map, const auto& sink) {
        return code_of(Map::remove_last(pages, map, 9, {0}, sink));
    };
    const auto flags = [&](extent_map_state map) { return code_of(Map::set_flags(pages, map, {0}, {9}, 2, 2)); };

    const auto overlapping = in_record({{6, 10, 2, 0}, {7, 20, 2, 0}});
    EXPECT_EQ(replace(overlapping, ignore), errc::damaged);
    EXPECT_EQ(remove(overlapping, ignore), errc::damaged);
    EXPECT_EQ(flags(in_record({{8, 10, 0, 0}})), errc::damaged);
    EXPECT_EQ(replace(in_record({{6, 10, 2, extent_flag::shared}}), ignore), errc::unsupported);

    const auto whole = in_record({{5, 10, 2, 0}, {7, 20, 2, 0}});
    EXPECT_EQ(replace(whole, refuse), errc::cancelled);
    EXPECT_EQ(remove(whole, refuse), errc::cancelled);
    EXPECT_EQ(replace(whole, ignore), errc::none);
    EXPECT_EQ(remove(whole, ignore), errc::none);
    auto few   = whole;
    few.blocks = 1;
    EXPECT_EQ(replace(few, ignore), errc::damaged);
    EXPECT_EQ(remove(few, ignore), errc::damaged);
    EXPECT_EQ(flags(few), errc::damaged);
}

TEST(InlineMap, ARecordThatLiesIsDamaged) { expect_lies_found<inline_map>(); }
TEST(ExtentTree, ARecordThatLiesIsDamaged) { expect_lies_found<extent_tree>(); }

}  // namespace extent_map_edges_test
