#include "memory_pages.hpp"

#include <ashlar/object/extent_map.hpp>

#include <gtest/gtest.h>

#include <random>

namespace extent_map_large_test {

using namespace ashlar;
using ashlar_test::memory_pages;

result<> ignore(const mapped_extent&) noexcept { return success(); }

TEST(ExtentTree, AMillionExtentsAreFoundAndErasedInSteps) {
    constexpr std::uint64_t extents = 1'000'000;
    memory_pages            pages{4096};
    extent_map_state        map;
    std::mt19937_64         random{41};
    pages.guards_edits = false;
    map.owner          = {5};
    // Every second block, in an order that jumps: an odd multiplier visits each of 2^20 once.
    for (std::uint64_t i = 0, placed = 0; placed < extents; ++i) {
        const std::uint64_t slot = (i * 668'265'263) % (1U << 20U);
        if (slot >= extents) continue;
        const mapped_extent piece{{slot * 2}, {{slot * 5}, {1}}};
        ASSERT_TRUE(extent_tree::replace(pages, map, piece.logical, {1}, {&piece, 1}, ignore).has_value());
        ++placed;
    }
    ASSERT_EQ(map.extents, extents);
    EXPECT_EQ(map.height, 3U);
    EXPECT_LT(pages.nodes.size(), extents / (168 / 3)) << "nodes hold more than a third";
    for (int i = 0; i < 100'000; ++i) {
        const std::uint64_t logical = random() % (extents * 2 - 1);
        const auto          found   = extent_tree::find(pages, map, {logical}).value();
        ASSERT_TRUE(found.has_value());
        ASSERT_EQ(found->logical.value, (logical + 1) / 2 * 2);
        ASSERT_EQ(found->physical.first.value, (logical + 1) / 2 * 5);
    }
    std::uint64_t steps = 0;
    std::uint64_t gone  = 0;
    for (bool done = false; !done; ++steps) {
        pages.touched.clear();
        const auto step = extent_tree::remove_last(pages, map, 1000, {0}, ignore).value();
        ASSERT_LE(pages.touched.size(), extent_tree::nodes_changed_max(3, 1000, {4096}));
        gone += step.extents;
        done = step.done;
    }
    EXPECT_EQ(gone, extents);
    EXPECT_EQ(steps, 1000U);
    EXPECT_EQ(map.height, 0U);
    EXPECT_EQ(map.blocks, 0U);
    EXPECT_TRUE(pages.nodes.empty()) << "every node was given up";
    EXPECT_LE(pages.pins_most, 3);
}

TEST(ExtentTree, ObjectThatBecomesOneRunGivesItsNodesUp) {
    memory_pages     pages{512};
    extent_map_state map;
    map.owner = {5};
    for (std::uint64_t i = 0; i < 5000; ++i) {
        const mapped_extent piece{{i}, {{i * 3}, {1}}};
        ASSERT_TRUE(extent_tree::replace(pages, map, {i}, {1}, {&piece, 1}, ignore).has_value());
    }
    ASSERT_GT(pages.nodes.size(), 200U);
    // As a defragmenter does: window by window, each to where the last one ended; extents fall with every move.
    for (std::uint64_t at = 0; at < 5000; at += 50) {
        const auto          before = map.extents;
        const mapped_extent run{{at}, {{1'000'000 + at}, {50}}};
        ASSERT_TRUE(extent_tree::replace(pages, map, {at}, {50}, {&run, 1}, ignore).has_value());
        ASSERT_EQ(map.extents, before - (at == 0 ? 49 : 50));
    }
    EXPECT_EQ(map.extents, 1U);
    EXPECT_TRUE(pages.nodes.empty());
}

}  // namespace extent_map_large_test
