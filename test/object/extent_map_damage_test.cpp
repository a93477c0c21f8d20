#include "memory_pages.hpp"

#include <ashlar/object/extent_map.hpp>

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace extent_map_damage_test {

using namespace ashlar;
using ashlar_test::memory_pages;

result<> ignore(const mapped_extent&) noexcept { return success(); }

/// A tree of three levels.
void fill(memory_pages& pages, extent_map_state& map, std::mt19937_64& random) {
    map.owner = {77};
    for (std::uint64_t i = 0; i < 500; ++i) {
        const mapped_extent piece{{(i * 263 % 500) * 4}, {{random() % 100'000}, {1 + random() % 3}}};
        ASSERT_TRUE(
            extent_tree::replace(pages, map, piece.logical, piece.physical.count, {&piece, 1}, ignore).has_value());
    }
    ASSERT_GE(map.height, 3U);
}

/// Changes some bytes of a node behind the tree's back, where it hurts: inner nodes, headers and keys more than the
/// rest.
void damage(memory_pages& pages, std::mt19937_64& random) {
    std::vector<std::vector<std::byte>*> inner;
    std::vector<std::vector<std::byte>*> leaves;
    for (auto& [block, node] : pages.nodes) {
        const bool is_leaf = load_struct<node_header>(node.bytes).level == 0;
        (is_leaf ? leaves : inner).push_back(&node.bytes);
    }
    const auto& victims = random() % 2 == 0 ? inner : leaves;
    auto&       bytes   = *victims[random() % victims.size()];
    for (auto flips = 1 + random() % 3; flips > 0; --flips) {
        const std::size_t at = random() % 2 == 0 ? random() % 80 : random() % (bytes.size() - trailer_bytes);
        switch (random() % 3) {
            case 0: bytes[at] ^= static_cast<std::byte>(1U << (random() % 8)); break;
            case 1: bytes[at] = static_cast<std::byte>(random()); break;
            default: {  // a number of the node in the wrong place
                const std::size_t to = node_header_bytes + random() % 8 * entry_bytes + random() % 3 * 8;
                std::memmove(bytes.data() + to,
                             bytes.data() + node_header_bytes + random() % 8 * entry_bytes + random() % 3 * 8, 8);
            }
        }
    }
}

/// One random call; answers the code of its error.
errc call_something(memory_pages& pages, extent_map_state& map, std::mt19937_64& random) {
    const logical_block first{random() % 2100};
    const block_count   count{1 + random() % (random() % 4 == 0 ? 2100 : 20)};
    const mapped_extent piece{first, {{random() % 100'000}, {1 + random() % count.value}}};
    const auto          code = [](const auto& done) { return done.has_value() ? errc::none : done.error().code; };
    switch (random() % 7) {
        case 0: return code(extent_tree::find(pages, map, first));
        case 1: return code(extent_tree::set_flags(pages, map, first, count, extent_flag::pinned, extent_flag::pinned));
        case 2: return code(extent_tree::remove_last(pages, map, 1 + random() % 100, first, ignore));
        case 3:
            return code(
                extent_tree::walk_nodes(pages, map, [](const node_place&) noexcept -> result<bool> { return true; }));
        case 4:
            return code(extent_tree::walk(pages, map, {0}, {no_bound},
                                          [](const mapped_extent&) noexcept -> result<bool> { return true; }));
        case 5: return code(extent_tree::replace(pages, map, first, count, {}, ignore));
        default: return code(extent_tree::replace(pages, map, first, count, {&piece, 1}, ignore));
    }
}

TEST(ExtentTree, DamagedNodesGiveErrorsAndNeverACrash) {
    std::mt19937_64 random{31};
    int             seen = 0;
    for (int round = 0; round < 1500; ++round) {
        memory_pages     pages{512};
        extent_map_state map;
        pages.guards_edits = false;
        fill(pages, map, random);
        damage(pages, random);
        for (int i = 0; i < 60; ++i) {
            const errc code = call_something(pages, map, random);
            if (code == errc::none) continue;
            ++seen;
            ASSERT_TRUE(code == errc::damaged || code == errc::unsupported || code == errc::out_of_range ||
                        code == errc::checksum_differs)
                << message(code);
            // A caller would drop its transaction; to go on regardless is harsher.
        }
        ASSERT_EQ(pages.pins, 0);
        ASSERT_LE(pages.pins_most, 3);
    }
    EXPECT_GT(seen, 5000);
}

TEST(ExtentTree, ARecordThatLiesAboutItsTreeGivesAnError) {
    std::mt19937_64 random{32};
    for (int round = 0; round < 200; ++round) {
        memory_pages     pages{512};
        extent_map_state map;
        pages.guards_edits = false;
        fill(pages, map, random);
        extent_map_state lie = map;
        switch (random() % 4) {
            case 0: lie.height = static_cast<std::uint32_t>(1 + random() % 40); break;
            case 1: lie.extents = random() % 8; break;
            case 2: lie.root = {lie.root.value - 1}; break;
            default: lie.blocks = random() % 8; break;
        }
        bool refused =
            lie.height == map.height && lie.root == map.root && lie.extents == map.extents && lie.blocks == map.blocks;
        for (int i = 0; i < 400 && !refused; ++i) refused = call_something(pages, lie, random) != errc::none;
        EXPECT_TRUE(refused) << "round " << round;
    }
}

TEST(ExtentTree, ARootThatIsItsOwnChildIsDamage) {
    std::mt19937_64  random{34};
    memory_pages     pages{512};
    extent_map_state map;
    fill(pages, map, random);
    auto&              root = pages.nodes.at(map.root.value).bytes;
    inner_entry_record self;
    self.block = map.root.value;
    self.node  = map.root_node;
    store_struct(std::span{root}.subspan(node_header_bytes), self);
    store_little<std::uint16_t>(root.data() + offsetof(node_header, count), 1);
    node_tree<memory_pages> tree{pages, map};
    EXPECT_EQ(tree.rebalance(0).error().code, errc::damaged);
    EXPECT_EQ(tree.make_room(0, 4).error().code, errc::damaged);
    EXPECT_EQ(tree.locate(0, 0).error().code, errc::damaged);
}

TEST(ExtentTree, ABorderNeverPassesItsNeighbours) {
    std::mt19937_64  random{35};
    memory_pages     pages{512};
    extent_map_state map;
    fill(pages, map, random);
    node_tree<memory_pages> tree{pages, map};
    const auto              first  = tree.locate(0, 0).value();
    const auto              second = tree.locate(first.upper, 0).value();
    EXPECT_EQ(tree.move_bound(second.key, second.upper).error().code, errc::damaged);
    EXPECT_EQ(tree.move_bound(second.key, first.key).error().code, errc::damaged);
    EXPECT_EQ(tree.move_bound(second.key + 1, second.key + 2).error().code, errc::damaged) << "no border is there";
}

TEST(ExtentTree, AnUnknownFlagIsUnsupported) {
    std::mt19937_64  random{33};
    memory_pages     pages{512};
    extent_map_state map;
    fill(pages, map, random);
    const auto leaf  = locate_node(pages, map, 0, 0).value();
    auto&      bytes = pages.nodes.at(leaf.block.value).bytes;
    bytes[node_header_bytes + offsetof(leaf_entry_record, flags)] |= std::byte{extent_flag::shared};
    const auto found = extent_tree::find(pages, map, {0});
    ASSERT_FALSE(found.has_value());
    EXPECT_EQ(found.error().code, errc::unsupported);
    EXPECT_EQ(found.error().where.value & extent_flag::shared, extent_flag::shared);
}

}  // namespace extent_map_damage_test
