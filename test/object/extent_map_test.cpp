#include "memory_pages.hpp"

#include <ashlar/object/extent_map.hpp>

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

namespace extent_map_test {

using namespace ashlar;
using ashlar_test::memory_pages;

struct where {
    std::uint64_t physical                       = 0;
    std::uint32_t flags                          = 0;
    bool          operator==(const where&) const = default;
};

/// A map with its pages, beside a model that knows every block.
struct subject {
    memory_pages                   pages;
    extent_map_state               map;
    std::map<std::uint64_t, where> model;
    std::uint32_t                  nodes_most = 0;

    explicit subject(std::uint32_t block_bytes, std::uint32_t inline_capacity = 2) : pages{block_bytes} {
        map.owner           = {77};
        map.inline_capacity = inline_capacity;
    }

    void replace(std::uint64_t first, std::uint64_t count, const std::vector<extent_entry>& pieces) {
        std::map<std::uint64_t, where> expected(model.lower_bound(first), model.lower_bound(first + count));
        std::map<std::uint64_t, where> removed;
        std::vector<mapped_extent>     mapped;
        std::uint64_t                  parts = pieces.size();
        for (const auto& piece : pieces) mapped.push_back(to_mapped(piece));
        const auto height = map.height;
        pages.touched.clear();
        const auto done = extent_tree::replace(pages, map, {first}, {count}, mapped,
                                               [&](const mapped_extent& part) noexcept -> result<> {
                                                   const auto entry = to_entry(part);
                                                   for (std::uint64_t i = 0; i < entry.count; ++i)
                                                       removed[entry.logical + i] = {entry.physical + i, entry.flags};
                                                   ++parts;
                                                   return success();
                                               });
        ASSERT_TRUE(done.has_value()) << message(done.error().code);
        ASSERT_EQ(removed, expected);
        model.erase(model.lower_bound(first), model.lower_bound(first + count));
        for (const auto& piece : pieces) {
            for (std::uint64_t i = 0; i < piece.count; ++i)
                model[piece.logical + i] = {piece.physical + i, piece.flags};
        }
        ASSERT_LE(pages.touched.size(), extent_tree::nodes_changed_max(height, parts, pages.block()))
            << "height " << height << " parts " << parts;
        ASSERT_EQ(map.blocks, model.size());
    }

    void set_flags(std::uint64_t first, std::uint64_t count, std::uint32_t mask, std::uint32_t value) {
        ASSERT_TRUE(extent_tree::set_flags(pages, map, {first}, {count}, mask, value).has_value());
        for (auto i = model.lower_bound(first); i != model.lower_bound(first + count); ++i)
            i->second.flags = (i->second.flags & ~mask) | (value & mask);
    }

    void remove_last(std::uint64_t extents_max, std::uint64_t keep_below) {
        std::uint64_t parts = 0;
        const auto    done  = extent_tree::remove_last(
                pages, map, extents_max, {keep_below}, [&](const mapped_extent& part) noexcept -> result<> {
                const auto entry = to_entry(part);
                EXPECT_GE(entry.logical, keep_below);
                for (std::uint64_t i = entry.count; i-- > 0;) {
                    EXPECT_EQ(model.rbegin()->first, entry.logical + i);
                    EXPECT_EQ(model.rbegin()->second, (where{entry.physical + i, entry.flags}));
                    model.erase(std::prev(model.end()));
                }
                ++parts;
                return success();
            });
        ASSERT_TRUE(done.has_value());
        ASSERT_EQ(done.value().extents, parts);
        ASSERT_LE(parts, extents_max);
        if (parts < extents_max) { ASSERT_TRUE(done.value().done); }
        if (done.value().done) { ASSERT_TRUE(model.empty() || model.rbegin()->first < keep_below); }
    }

    /// Everything that must hold between two changes.
    void check() {
        std::map<std::uint64_t, where> seen;
        std::optional<extent_entry>    last;
        std::uint64_t                  extents = 0;
        ASSERT_TRUE(
            extent_tree::walk(pages, map, {0}, {no_bound}, [&](const mapped_extent& part) noexcept -> result<bool> {
                const auto entry = to_entry(part);
                if (last) { EXPECT_FALSE(joinable(*last, entry)) << "neighbours are not joined at " << entry.logical; }
                last = entry;
                ++extents;
                for (std::uint64_t i = 0; i < entry.count; ++i)
                    seen[entry.logical + i] = {entry.physical + i, entry.flags};
                return true;
            }).has_value());
        ASSERT_EQ(seen, model);
        ASSERT_EQ(map.extents, extents);
        ASSERT_EQ(map.blocks, model.size());
        ASSERT_EQ(pages.pins, 0);
        ASSERT_LE(pages.pins_most, 3);
        check_nodes();
    }

    void check_nodes() {
        std::size_t         nodes = 0;
        const std::uint32_t third = node_capacity(pages.block()) / 3;
        ASSERT_TRUE(extent_tree::walk_nodes(pages, map, [&](const node_place& place) noexcept -> result<bool> {
                        const auto view = pages.view_node(place.block, 77, place.node);
                        EXPECT_TRUE(check_node_whole(view.value().bytes(), 77, place).has_value());
                        const std::uint32_t count = load_struct<node_header>(view.value().bytes()).count;
                        if (place.upper != no_bound) { EXPECT_GE(count, third); }
                        if (place.upper != no_bound || place.level > 0 || map.height > 1) { EXPECT_GE(count, 1U); }
                        ++nodes;
                        return true;
                    }).has_value());
        ASSERT_EQ(nodes, pages.nodes.size()) << "a node is lost";
    }

    void check_find(std::uint64_t logical) {
        const auto found = extent_tree::find(pages, map, {logical});
        ASSERT_TRUE(found.has_value());
        const auto next = model.lower_bound(logical);
        ASSERT_EQ(found.value().has_value(), next != model.end());
        if (next == model.end()) return;
        const auto entry = to_entry(*found.value());
        const auto first = std::max(entry.logical, logical);
        ASSERT_EQ(first, next->first);
        ASSERT_EQ((where{entry.physical + (first - entry.logical), entry.flags}), next->second);
    }
};

/// Pieces inside a range, with holes, whose physical places often are neighbours.
std::vector<extent_entry> random_pieces(std::mt19937_64& random, std::uint64_t first, std::uint64_t count) {
    std::vector<extent_entry> pieces;
    const auto                kind = random() % 4;
    for (std::uint64_t at = first; at < first + count && kind != 0;) {
        const auto left   = first + count - at;
        const auto length = std::min<std::uint64_t>(left, kind == 1 ? left : 1 + random() % 4);
        const auto flags  = random() % 8 == 0 ? static_cast<std::uint32_t>(random() % 4) : 0U;
        if (kind == 1 || random() % 4 != 0)
            pieces.push_back({at, 1'000'000'000 * (random() % 3) + at, static_cast<std::uint32_t>(length), flags});
        at += length;
    }
    return pieces;
}

void run_against_the_model(std::uint64_t seed, std::uint32_t block_bytes, std::uint64_t space, int steps,
                           std::uint32_t inline_capacity) {
    std::mt19937_64 random{seed};
    subject         it{block_bytes, inline_capacity};
    for (int step = 0; step < steps; ++step) {
        const auto first = random() % space;
        const auto count = std::min(space - first, 1 + random() % (random() % 16 == 0 ? space / 4 : 24));
        const auto verb  = random() % 32;
        if (verb == 0) {
            it.set_flags(first, count, static_cast<std::uint32_t>(1 + random() % 3),
                         static_cast<std::uint32_t>(random() % 4));
        } else if (verb == 1 && random() % 8 == 0) {
            it.remove_last(1 + random() % 200, random() % space);
        } else {
            it.replace(first, count, random_pieces(random, first, count));
        }
        if (::testing::Test::HasFatalFailure()) FAIL() << "seed " << seed << " step " << step;
        it.check_find(random() % (space + 3));
        if (step % 16 == 0) it.check();
        if (::testing::Test::HasFailure()) FAIL() << "seed " << seed << " step " << step;
    }
    while (it.map.extents > 0) it.remove_last(7, 0);
    it.check();
    EXPECT_EQ(it.map.height, 0U);
    EXPECT_TRUE(it.pages.nodes.empty());
}

TEST(ExtentTree, AgreesWithAModelOfEveryBlock) {
    for (std::uint64_t seed = 1; seed <= 12; ++seed) run_against_the_model(seed, 512, 600, 600, 1 + seed % 4);
}

TEST(ExtentTree, AgreesWithAModelWhenItIsHigh) {
    for (std::uint64_t seed = 100; seed < 104; ++seed) run_against_the_model(seed, 512, 12'000, 2500, 2);
}

TEST(ExtentTree, StaysInTheRecordWhileItFitsAndComesBackToIt) {
    subject it{512, 2};
    it.replace(0, 1, {{0, 50, 1, 0}});
    it.replace(10, 1, {{10, 70, 1, 0}});
    EXPECT_EQ(it.map.height, 0U);
    it.replace(1, 1, {{1, 51, 1, 0}});
    EXPECT_EQ(it.map.extents, 2U) << "the neighbour was joined";
    it.replace(20, 1, {{20, 90, 1, 0}});
    EXPECT_EQ(it.map.height, 1U);
    EXPECT_EQ(it.pages.nodes.size(), 1U);
    it.replace(5, 50, {});
    EXPECT_EQ(it.map.height, 0U);
    EXPECT_TRUE(it.pages.nodes.empty());
    it.check();
}

TEST(ExtentTree, SplitsAnExtentThatIsOverwrittenInItsMiddle) {
    subject it{512};
    it.replace(0, 100, {{0, 1000, 100, 0}});
    it.replace(40, 1, {{40, 5000, 1, 0}});
    EXPECT_EQ(it.map.extents, 3U);
    it.replace(40, 1, {{40, 1040, 1, 0}});
    EXPECT_EQ(it.map.extents, 1U);
    it.check();
}

TEST(ExtentTree, ExtentsLongerThanAnEntryTakeSeveral) {
    memory_pages     pages{512};
    extent_map_state map;
    map.owner = {77};
    const mapped_extent huge{{5}, {{100}, {0x2'8000'0000}}};
    const auto          ignore = [](const mapped_extent&) noexcept -> result<> { return success(); };
    ASSERT_TRUE(extent_tree::replace(pages, map, {0}, {0x3'0000'0000}, {&huge, 1}, ignore).has_value());
    EXPECT_EQ(map.extents, 3U);
    EXPECT_EQ(map.blocks, 0x2'8000'0000U);
    std::uint64_t at = 5;
    while (at < 5 + 0x2'8000'0000) {
        const auto found = extent_tree::find(pages, map, {at}).value();
        ASSERT_TRUE(found.has_value());
        ASSERT_EQ(found->physical.first.value, at + 95);
        at = found->logical.value + found->physical.count.value;
    }
}

TEST(ExtentTree, RefusesPiecesOutsideOfTheRange) {
    memory_pages     pages{512};
    extent_map_state map;
    const auto       ignore = [](const mapped_extent&) noexcept -> result<> { return success(); };
    const auto       code   = [&](std::uint64_t first, std::uint64_t count, mapped_extent piece) {
        return extent_tree::replace(pages, map, {first}, {count}, {&piece, 1}, ignore).error().code;
    };
    EXPECT_EQ(code(5, 5, {{4}, {{100}, {1}}}), errc::invalid_argument);
    EXPECT_EQ(code(5, 5, {{9}, {{100}, {2}}}), errc::invalid_argument);
    EXPECT_EQ(code(5, 5, {{5}, {{100}, {0}}}), errc::invalid_argument);
    EXPECT_EQ(code(5, 0, {{5}, {{100}, {1}}}), errc::out_of_range);
    EXPECT_EQ(code(~0ULL - 1, 5, {{5}, {{100}, {1}}}), errc::out_of_range);
}

TEST(ExtentTree, AppendsFillTheirLeavesAndLogFewBytes) {
    subject it{4096};
    it.pages.guards_edits       = false;
    const auto          ignore  = [](const mapped_extent&) noexcept -> result<> { return success(); };
    const std::uint64_t extents = 20'000;
    for (std::uint64_t i = 0; i < extents; ++i) {
        const mapped_extent piece{{i}, {{i * 2}, {1}}};
        ASSERT_TRUE(extent_tree::replace(it.pages, it.map, {i}, {1}, {&piece, 1}, ignore).has_value());
    }
    EXPECT_EQ(it.map.extents, extents);
    EXPECT_LE(it.pages.nodes.size(), extents / 160 + 4) << "leaves are nearly full";
    EXPECT_LE(it.pages.changed_bytes / extents, 40U) << "an append logs its entry and a count";
}

TEST(ExtentTree, ALeafThatGivesAnEntryToTheNextOneIsRefilled) {
    subject it{512};
    for (std::uint64_t i = 0; i < 300; ++i)
        it.replace(i * 37 % 300 * 10, 1, {{i * 37 % 300 * 10, 5000 + i * 37 % 300 * 10, 1, 0}});
    const auto          leaf  = locate_node(it.pages, it.map, 1500, 0).value();
    const std::uint32_t third = node_capacity(it.pages.block()) / 3;
    const auto    count = [&] { return load_struct<node_header>(it.pages.nodes.at(leaf.block.value).bytes).count; };
    std::uint64_t at    = (leaf.key + 9) / 10 * 10;
    for (; count() > third; at += 10) it.replace(at, 1, {});
    const std::uint64_t last = (leaf.upper - 1) / 10 * 10;
    it.replace(last + 1, 9,
               {{last + 1, 5001 + last, 9, 0}});  // joins the last extent of this leaf and the first of the next
    it.check();
    const auto joined = extent_tree::find(it.pages, it.map, {last}).value();
    EXPECT_EQ(joined->physical.count.value, 11U);
}

TEST(ExtentTree, ANodeCanMoveAndIsFoundAtItsNewPlace) {
    std::mt19937_64 random{9};
    subject         it{512};
    for (std::uint64_t i = 0; i < 2000; ++i) it.replace(i * 3, 1, {{i * 3, i * 7, 1, 0}});
    ASSERT_GE(it.map.height, 3U);
    std::vector<node_place> places;
    ASSERT_TRUE(extent_tree::walk_nodes(it.pages, it.map, [&](const node_place& place) noexcept -> result<bool> {
                    places.push_back(place);
                    return true;
                }).has_value());
    for (const auto& place : places) {
        const auto moved =
            extent_tree::relocate_node(it.pages, it.map, place.key, place.level, place.node, place.block);
        ASSERT_TRUE(moved.has_value() && moved.value().has_value());
        EXPECT_NE(*moved.value(), place.block);
        EXPECT_FALSE(it.pages.nodes.contains(place.block.value));
        const auto again =
            extent_tree::relocate_node(it.pages, it.map, place.key, place.level, place.node, place.block);
        ASSERT_TRUE(again.has_value());
        EXPECT_FALSE(again.value().has_value()) << "it is not there any more";
    }
    it.check();
}

TEST(InlineMap, AgreesWithTheTreeUntilItIsFull) {
    std::mt19937_64  random{21};
    extent_map_state small;
    small.inline_capacity = 6;
    subject    it{512, 6};
    int        refused = 0;
    const auto ignore  = [](const mapped_extent&) noexcept -> result<> { return success(); };
    for (int step = 0; step < 3000; ++step) {
        const auto                 first  = random() % 60;
        const auto                 count  = 1 + random() % 12;
        const auto                 pieces = random_pieces(random, first, count);
        std::vector<mapped_extent> mapped;
        for (const auto& piece : pieces) mapped.push_back(to_mapped(piece));
        extent_map_state trial = small;
        const auto       done  = inline_map::replace(it.pages, trial, {first}, {count}, mapped, ignore);
        if (!done.has_value()) {
            ASSERT_EQ(done.error().code, errc::too_many_extents);
            ++refused;
            ASSERT_TRUE(inline_map::remove_last(it.pages, small, 1, {0}, ignore).has_value());
            it.remove_last(1, 0);
        } else {
            small = trial;
            it.replace(first, count, pieces);
        }
        ASSERT_EQ(small.extents, it.map.extents);
        ASSERT_EQ(small.blocks, it.map.blocks);
        it.check_find(random() % 70);
        const auto at = random() % 70;
        const auto a  = inline_map::find(it.pages, small, {at}).value();
        const auto b  = extent_tree::find(it.pages, it.map, {at}).value();
        ASSERT_EQ(a.has_value(), b.has_value());
        if (a) { ASSERT_EQ(to_entry(*a), to_entry(*b)); }
        if (::testing::Test::HasFailure()) FAIL() << "step " << step;
    }
    EXPECT_GT(refused, 20);
}

}  // namespace extent_map_test
