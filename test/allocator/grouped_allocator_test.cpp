#include <ashlar/allocator/grouped_allocator.hpp>
#include <ashlar/testing/allocator_conformance.hpp>

#include <gtest/gtest.h>

#include <vector>

namespace grouped_allocator_test {

using namespace ashlar;

/// A group of 400 blocks with clear runs of 40, 10, 20 and 100 blocks at 20, 100, 200 and 250.
std::vector<bitmap_word> four_runs() {
    std::vector<bitmap_word> words(words_for(400), ~bitmap_word{0});
    for (const auto run : {group_run{20, 40}, group_run{100, 10}, group_run{200, 20}, group_run{250, 100}})
        clear_bits(words, run);
    return words;
}

group_run ask(group_request request) {
    const auto words = four_runs();
    return grouped_allocator{}.find({words, 400}, request);
}

TEST(GroupedAllocator, KeepsThePromisesOfTheConcept) {
    for (std::uint64_t seed = 1; seed <= 4; ++seed)
        EXPECT_EQ(allocator_conformance(grouped_allocator{}, seed, 400), "");
}

TEST(GroupedAllocator, TakesTheSmallestRunThatHoldsTheRequest) {
    EXPECT_EQ(ask({.count = 5, .count_min = 5}), (group_run{100, 5}));
    EXPECT_EQ(ask({.count = 11, .count_min = 11}), (group_run{200, 11}));
    EXPECT_EQ(ask({.count = 41, .count_min = 41}), (group_run{250, 41}));
}

TEST(GroupedAllocator, BeginsAtTheGoalWhereThatIsClear) {
    EXPECT_EQ(ask({.count = 5, .count_min = 5, .goal = 270, .near_goal = true}), (group_run{270, 5}));
    EXPECT_EQ(ask({.count = 50, .count_min = 10, .goal = 205, .near_goal = true}), (group_run{205, 15}));
}

TEST(GroupedAllocator, GoesToTheFirstFitBehindTheGoalAndThenWraps) {
    EXPECT_EQ(ask({.count = 15, .count_min = 15, .goal = 90, .near_goal = true}), (group_run{200, 15}));
    EXPECT_EQ(ask({.count = 15, .count_min = 15, .goal = 340, .near_goal = true}), (group_run{20, 15}));
    EXPECT_EQ(ask({.count = 100, .count_min = 100, .goal = 251, .near_goal = true}), (group_run{250, 100}));
    EXPECT_EQ(ask({.count = 5, .count_min = 5, .goal = 4000, .near_goal = true}), (group_run{20, 5}));
}

TEST(GroupedAllocator, IsShortOnlyWhereNoRunHoldsAll) {
    std::mt19937_64 random{11};
    for (int round = 0; round < 500; ++round) {
        const auto blocks  = static_cast<std::uint32_t>(1 + random() % 3000);
        const auto words   = allocator_check::random_bitmap(random, blocks);
        const auto wanted  = static_cast<std::uint32_t>(1 + random() % 600);
        const auto longest = allocator_check::longest_free({words, blocks});
        const auto run     = grouped_allocator{}.find({words, blocks}, {.count = wanted, .count_min = 1});
        ASSERT_EQ(run.count, std::min(wanted, longest));
        if (run.count == wanted) {
            const auto whole = clear_run_around({words, blocks}, run).count;
            for_each_clear_run(words, 0, blocks, 1, [&](group_run other) {
                EXPECT_FALSE(other.count >= wanted && other.count < whole) << "a smaller run would have held it";
                return true;
            });
        }
    }
}

TEST(GroupedAllocator, AnswersTheLongestRunWhenNoneHoldsAll) {
    EXPECT_EQ(ask({.count = 300, .count_min = 60}), (group_run{250, 100}));
    EXPECT_EQ(ask({.count = 300, .count_min = 101}), group_run{});
    EXPECT_EQ(ask({.count = 300, .count_min = 300}), group_run{});
}

/// Answers a run that is one block too long: the conformance kit must see it.
struct greedy_allocator {
    static constexpr std::uint32_t format_id = 99;
    group_run                      find(const group_view& group, group_request request) const noexcept {
                             auto run = grouped_allocator{}.find(group, request);
                             if (run.count != 0) ++run.count;
        return run;
    }
};

/// Never goes to the goal.
struct aimless_allocator {
    static constexpr std::uint32_t format_id = 98;
    group_run                      find(const group_view& group, group_request request) const noexcept {
                             request.near_goal = false;
                             return grouped_allocator{}.find(group, request);
    }
};

TEST(AllocatorConformance, SeesAllocatorsThatBreakThePromises) {
    EXPECT_NE(allocator_conformance(greedy_allocator{}, 1, 50), "");
    EXPECT_NE(allocator_conformance(aimless_allocator{}, 1, 50), "");
}

static_assert(Allocator<greedy_allocator>);
static_assert(!Allocator<int>);

}  // namespace grouped_allocator_test
