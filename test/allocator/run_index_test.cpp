#include <ashlar/allocator/run_index.hpp>
#include <ashlar/testing/allocator_conformance.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <set>
#include <vector>

namespace run_index_test {

using namespace ashlar;

/// Memory aligned as the index wants it, and an index over it.
struct indexed_space {
    indexed_space(std::uint32_t groups, std::uint32_t group_blocks_all)
        : group_blocks{group_blocks_all},
          bytes(run_memory::bytes(groups, group_blocks) / sizeof(aligned) + 1),
          sets(run_index::words(groups), 0),
          memory{std::as_writable_bytes(std::span{bytes}), groups, group_blocks},
          index{memory, sets} {}

    struct alignas(run_memory::alignment) aligned {
        std::byte bytes[run_memory::alignment];
    };
    std::uint32_t              group_blocks;
    std::vector<aligned>       bytes;
    std::vector<std::uint64_t> sets;
    run_memory                 memory;
    run_index                  index;
};

/// The same space asked bit by bit.
struct bit_space {
    std::vector<std::vector<bool>> busy;

    static bit_space empty(std::uint32_t groups, std::uint32_t blocks) {
        return {std::vector<std::vector<bool>>(groups, std::vector<bool>(blocks, false))};
    }
    std::vector<group_run> runs(std::uint32_t group) const {
        std::vector<group_run> found;
        const auto&            bits = busy[group];
        for (std::uint32_t at = 0; at < bits.size(); ++at) {
            if (bits[at]) continue;
            std::uint32_t end = at;
            while (end < bits.size() && !bits[end]) ++end;
            found.push_back({at, end - at});
            at = end;
        }
        return found;
    }
    std::multiset<std::uint32_t> lengths() const {
        std::multiset<std::uint32_t> all;
        for (std::uint32_t g = 0; g < busy.size(); ++g) {
            for (const auto run : runs(g)) all.insert(run.count);
        }
        return all;
    }
    void mark(std::uint32_t group, group_run run, bool value) {
        for (std::uint32_t i = run.first; i < run.first + run.count; ++i) {
            ASSERT_NE(busy[group][i], value) << "block " << i << " of group " << group << " has two owners, or none";
            busy[group][i] = value;
        }
    }
    std::uint64_t free_blocks() const {
        std::uint64_t all = 0;
        for (const auto& group : busy) all += static_cast<std::uint64_t>(std::count(group.begin(), group.end(), false));
        return all;
    }
};

void expect_same(indexed_space& space, const bit_space& model) {
    for (std::uint32_t g = 0; g < model.busy.size(); ++g) {
        const auto view = space.index.view(g);
        ASSERT_EQ(view.blocks, model.busy[g].size());
        for (std::uint32_t i = 0; i < view.blocks; ++i) ASSERT_EQ(is_set(view.busy, i), model.busy[g][i]);
        for (std::size_t i = view.blocks; i < view.busy.size() * word_bits; ++i)
            ASSERT_TRUE(is_set(view.busy, static_cast<std::uint32_t>(i)));
    }
    for (std::uint32_t g = 0; g < model.busy.size(); ++g) {
        std::set<std::uint32_t> lengths, expected;
        space.memory[g].for_each_length([&](std::uint32_t length) { lengths.insert(length); });
        for (const auto run : model.runs(g)) expected.insert(run.count);
        ASSERT_EQ(lengths, expected);
    }
    ASSERT_EQ(space.index.free_blocks(), model.free_blocks());
    const auto lengths = model.lengths();
    ASSERT_EQ(space.index.largest(), lengths.empty() ? 0 : *lengths.rbegin());
}

/// The length of the run that a best fit by class may cut for `count` blocks: what the lowest class with a fitting run
/// allows. Wholly free groups come last.
void expect_best_class(const bit_space& before, std::uint32_t group_blocks, placed_run taken, std::uint32_t count) {
    auto lengths = before.lengths();
    lengths.erase(lengths.begin(), lengths.lower_bound(count));
    if (taken.run.count == 0) {
        ASSERT_TRUE(lengths.empty()) << "a run of " << *lengths.begin() << " was free, and " << count << " were asked";
        return;
    }
    ASSERT_EQ(taken.run.count, count);
    ASSERT_FALSE(lengths.empty());
    std::uint32_t cut = 0;
    for (const auto run : before.runs(taken.group)) {
        if (run.first <= taken.run.first && taken.run.first < run.first + run.count) {
            cut = run.count;
            ASSERT_EQ(run.first, taken.run.first) << "runs are cut at the front";
        }
    }
    const std::uint32_t best = *lengths.begin();
    // A wholly free group is the last resort, so a run as long as a group is none of its class.
    ASSERT_EQ(cut == group_blocks, best == group_blocks);
    ASSERT_EQ(length_class_of(cut), length_class_of(best));
}

struct owned {
    std::uint32_t group;
    group_run     run;
};

/// Random calls of every kind beside the model. `dense`: begins with every other block in use or so, which gives far
/// more runs than arrays hold.
void live(std::uint64_t seed, std::uint32_t groups, std::uint32_t group_blocks, std::uint32_t last_blocks, int steps,
          std::uint32_t sizes, bool dense = false) {
    std::mt19937_64 random{seed};
    indexed_space   space{groups, group_blocks};
    auto            model = bit_space::empty(groups, group_blocks);
    model.busy.back().resize(last_blocks);
    std::vector<owned> live;
    const auto         below = [&](std::uint64_t end) { return static_cast<std::uint32_t>(random() % end); };
    for (std::uint32_t g = 0; g < groups; ++g) {
        const auto blocks = static_cast<std::uint32_t>(model.busy[g].size());
        if (!dense) {
            space.index.load_empty(g, blocks);
            continue;
        }
        const auto words = space.index.words_of(g);
        std::ranges::fill(words, ~bitmap_word{0});
        clear_bits(words, {0, blocks});
        for (std::uint32_t i = 0; i < blocks; ++i) {
            if (below(5) < 2) continue;
            set_bits(words, {i, 1});
            model.mark(g, {i, 1}, true);
            live.push_back({g, {i, 1}});
        }
        space.index.load(g, blocks);
    }

    for (int step = 0; step < steps; ++step) {
        const bool shrink = (step / 400) % 2 == 1;
        const auto kind   = below(100);
        if (kind < (shrink ? 70U : 25U) && !live.empty()) {
            // A part of something that is owned goes: the front, the end, or a hole in the middle.
            const auto  at    = below(live.size());
            const owned all   = live[at];
            const auto  first = below(2) ? 0U : below(all.run.count);
            const auto  count = below(2) ? all.run.count - first : 1 + below(all.run.count - first);
            live[at]          = live.back();
            live.pop_back();
            const group_run gone{all.run.first + first, count};
            if (first != 0) live.push_back({all.group, {all.run.first, first}});
            if (first + count != all.run.count)
                live.push_back({all.group, {gone.first + count, all.run.count - first - count}});
            space.index.free(all.group, gone);
            model.mark(all.group, gone, false);
        } else if (kind < 90) {
            const auto count = 1 + below(below(20) == 0 ? sizes * 20U : sizes);
            const auto taken = space.index.allocate(count);
            expect_best_class(model, group_blocks, taken, count);
            if (taken.run.count != 0) {
                model.mark(taken.group, taken.run, true);
                live.push_back({taken.group, taken.run});
            }
        } else if (kind < 93) {
            const auto lengths = model.lengths();
            const auto longest = lengths.empty() ? 0U : *lengths.rbegin();
            const auto taken   = space.index.allocate(longest + 1U, 1U + below(longest + 2U));
            ASSERT_TRUE(taken.run.count == longest || taken.run.count == 0);
            if (taken.run.count != 0) {
                model.mark(taken.group, taken.run, true);
                live.push_back({taken.group, taken.run});
            }
        } else if (kind < 98) {
            const auto    group = below(groups);
            group_request request{.count = 1 + below(sizes), .goal = below(group_blocks), .near_goal = below(2) == 0};
            request.count_min   = 1 + below(request.count);
            const auto&   bits  = model.busy[group];
            const auto    runs  = model.runs(group);
            const auto    fits  = [&](group_run run) { return run.count >= request.count_min; };
            std::uint32_t clear = request.goal;
            while (clear < bits.size() && !bits[clear]) ++clear;
            const auto run = space.index.allocate_in(group, request);
            ASSERT_EQ(run.count == 0, std::none_of(runs.begin(), runs.end(), fits));
            if (request.near_goal && clear > request.goal && clear - request.goal >= request.count_min) {
                ASSERT_EQ(run, (group_run{request.goal, std::min(request.count, clear - request.goal)}));
            }
            if (run.count != 0) {
                model.mark(group, run, true);
                live.push_back({group, run});
            }
        } else if (kind < 99) {
            const auto group = below(groups);
            const auto runs  = model.runs(group);
            if (runs.empty()) continue;
            const auto      whole = runs[below(runs.size())];
            const auto      skip  = below(whole.count);
            const group_run run{whole.first + skip, 1 + below(whole.count - skip)};
            space.index.take(group, run);
            model.mark(group, run, true);
            live.push_back({group, run});
        } else {
            // The group leaves and comes back as its bitmap says.
            const auto                     group = below(groups);
            const auto                     view  = space.index.view(group);
            const std::vector<bitmap_word> kept{view.busy.begin(), view.busy.end()};
            space.index.release(group);
            std::ranges::copy(kept, space.index.words_of(group).begin());
            space.index.load(group, static_cast<std::uint32_t>(model.busy[group].size()));
        }
        if (testing::Test::HasFatalFailure()) FAIL() << "step " << step;
        if (step % 97 == 0) expect_same(space, model);
    }
    expect_same(space, model);
    for (const auto& one : live) {
        space.index.free(one.group, one.run);
        model.mark(one.group, one.run, false);
    }
    expect_same(space, model);
    EXPECT_EQ(space.index.free_blocks(), std::uint64_t{groups - 1} * group_blocks + last_blocks);
}

TEST(RunIndex, AgreesWithAModelThatAsksBitByBit) {
    for (std::uint64_t seed = 1; seed <= 2; ++seed) {
        live(seed, 3, 1024, 1024, 3000, 40);
        live(seed, 5, 700, 33, 2000, 8);
        live(seed, 1, 4000, 4000, 2000, 300);
    }
}

TEST(RunIndex, AgreesWhereArraysOverflowIntoTheBitmap) {
    for (std::uint64_t seed = 1; seed <= 3; ++seed) live(seed, 3, 2000, 1500, 3000, 4, true);
}

TEST(RunIndex, FindsEveryBlockOfAGroupWithMoreRunsThanItsArrayHolds) {
    constexpr std::uint32_t blocks = 8064;
    indexed_space           space{1, blocks};
    auto                    words = space.index.words_of(0);
    for (std::size_t w = 0; w < words.size(); ++w) words[w] = static_cast<bitmap_word>(0x5555'5555'5555'5555U);
    clear_bits(words, {1000, 70});
    space.index.load(0, blocks);
    const auto free = static_cast<std::uint32_t>(space.index.free_blocks());
    EXPECT_EQ(space.index.largest(), 71U);
    std::vector<bool> seen(blocks, false);
    for (std::uint32_t i = 0; i < free; ++i) {
        const auto taken = space.index.allocate(1);
        ASSERT_EQ(taken.run.count, 1U);
        ASSERT_FALSE(seen[taken.run.first]);
        seen[taken.run.first] = true;
    }
    EXPECT_EQ(space.index.allocate(1).run.count, 0U);
    EXPECT_EQ(space.index.free_blocks(), 0U);
    for (std::uint32_t i = 0; i < blocks; ++i) {
        if (seen[i]) space.index.free(0, {i, 1});
    }
    EXPECT_EQ(space.index.free_blocks(), free);
    EXPECT_EQ(space.index.largest(), 71U);
}

TEST(RunIndex, OpensTheLowestWhollyFreeGroupAndOnlyWhenNothingElseFits) {
    indexed_space space{4, 1024};
    for (std::uint32_t g = 0; g < 4; ++g) space.index.load_empty(g, 1024);
    EXPECT_EQ(space.index.allocate(1000), (placed_run{0, {0, 1000}}));
    EXPECT_EQ(space.index.allocate(24), (placed_run{0, {1000, 24}}));
    EXPECT_EQ(space.index.allocate(600), (placed_run{1, {0, 600}}));
    EXPECT_EQ(space.index.allocate(600), (placed_run{2, {0, 600}}));
    EXPECT_EQ(space.index.allocate(424), (placed_run{1, {600, 424}}));
    space.index.free(0, {0, 1000});
    EXPECT_EQ(space.index.allocate(700), (placed_run{0, {0, 700}}));
    EXPECT_EQ(space.index.allocate(1024), (placed_run{3, {0, 1024}}));
    space.index.free(3, {0, 1024});
    EXPECT_EQ(space.index.release_empty(), 3U);
    EXPECT_EQ(space.index.release_empty(), group_set::none);
    EXPECT_EQ(space.index.allocate(1024).run.count, 0U);
    space.index.adopt(3);
    EXPECT_EQ(space.index.allocate(1024), (placed_run{3, {0, 1024}}));
}

TEST(RunIndex, LooksAtEveryRunOfAWideClassBeforeItOpensAWholeGroup) {
    // 256 to 259 blocks are one class. Only the last of many such runs holds what is asked.
    static_assert(length_class_of(256) == length_class_of(259));
    indexed_space space{14, 1024};
    for (std::uint32_t g = 0; g < 13; ++g) {
        std::ranges::fill(space.index.words_of(g), ~bitmap_word{0});
        clear_bits(space.index.words_of(g), {100, g < 12 ? 257U : 259U});
        space.index.load(g, 1024);
    }
    space.index.load_empty(13, 1024);
    EXPECT_EQ(space.index.allocate(258), (placed_run{12, {100, 258}}));
    EXPECT_EQ(space.index.allocate(258), (placed_run{13, {0, 258}}));
}

TEST(RunIndex, TakesTheNextClassWhereTheOwnHasOnlyShorterRuns) {
    indexed_space space{1, 2000};
    std::ranges::fill(space.index.words_of(0), ~bitmap_word{0});
    for (const auto run : {group_run{0, 257}, group_run{300, 300}, group_run{700, 262}, group_run{1000, 270}})
        clear_bits(space.index.words_of(0), run);
    space.index.load(0, 2000);
    EXPECT_EQ(space.index.allocate(258), (placed_run{0, {700, 258}}));
    EXPECT_EQ(space.index.allocate(258), (placed_run{0, {1000, 258}}));
    EXPECT_EQ(space.index.allocate(258), (placed_run{0, {300, 258}}));
    EXPECT_EQ(space.index.allocate(258).run.count, 0U);
    EXPECT_EQ(space.index.allocate(257), (placed_run{0, {0, 257}}));
}

TEST(RunIndex, AShortLastGroupIsNotOpenedForWhatItCannotHold) {
    indexed_space space{2, 1024};
    space.index.load_empty(1, 100);
    EXPECT_EQ(space.index.allocate(101).run.count, 0U);
    EXPECT_EQ(space.index.allocate(100), (placed_run{1, {0, 100}}));
    space.index.load_empty(0, 1024);
    EXPECT_EQ(space.index.allocate(101), (placed_run{0, {0, 101}}));
}

/// Says what the index answered, so that it can be judged as an allocator is.
struct answered {
    static constexpr std::uint32_t format_id = 0;
    group_run                      run{};
    group_run                      find(const group_view&, group_request) const noexcept { return run; }
};

TEST(RunIndex, AnswersTheRulesOfTheAllocatorConceptWithinAGroup) {
    std::mt19937_64 random{5};
    for (int round = 0; round < 400; ++round) {
        const auto    blocks = static_cast<std::uint32_t>(1 + random() % 3000);
        const auto    words  = allocator_check::random_bitmap(random, blocks);
        indexed_space space{1, blocks};
        std::ranges::copy(words, space.index.words_of(0).begin());
        space.index.load(0, blocks);
        group_request request{.count = static_cast<std::uint32_t>(1 + random() % 200)};
        request.count_min = static_cast<std::uint32_t>(1 + random() % request.count);
        request.goal      = static_cast<std::uint32_t>(random() % blocks);
        request.near_goal = random() % 2 == 0;

        const answered answer{space.index.allocate_in(0, request)};
        ASSERT_EQ(broken_promise(answer, {words, blocks}, request), "");
    }
}

TEST(RunIndex, NeedsLessThanAQuarterByteForEachBlock) {
    for (const std::uint32_t blocks : {3968U, 8064U, 16256U, group_blocks_max}) {
        for (const std::uint32_t groups : {64U, 256U, 512U, 8192U}) {
            const auto bytes = run_memory::bytes(groups, blocks) + run_index::words(groups) * sizeof(std::uint64_t);
            EXPECT_LE(bytes * 4U, std::size_t{groups} * blocks) << groups << " groups of " << blocks;
        }
    }
}

}  // namespace run_index_test
