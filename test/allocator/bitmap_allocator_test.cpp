#include <ashlar/allocator/bitmap_allocator.hpp>
#include <ashlar/testing/allocator_conformance.hpp>

#include <gtest/gtest.h>

#include <vector>

namespace bitmap_allocator_test {

using namespace ashlar;

/// A group of 400 blocks with clear runs of 40, 10, 20 and 100 blocks at 20, 100, 200 and 250.
group_run ask(group_request request) {
    std::vector<bitmap_word> words(words_for(400), ~bitmap_word{0});
    for (const auto run : {group_run{20, 40}, group_run{100, 10}, group_run{200, 20}, group_run{250, 100}})
        clear_bits(words, run);
    return bitmap_allocator{}.find({words, 400}, request);
}

TEST(BitmapAllocator, KeepsThePromisesOfTheConcept) {
    for (std::uint64_t seed = 1; seed <= 4; ++seed) EXPECT_EQ(allocator_conformance(bitmap_allocator{}, seed, 400), "");
}

TEST(BitmapAllocator, TakesTheFirstRunThatHoldsTheRequest) {
    EXPECT_EQ(ask({.count = 5, .count_min = 5}), (group_run{20, 5}));
    EXPECT_EQ(ask({.count = 41, .count_min = 41}), (group_run{250, 41}));
}

TEST(BitmapAllocator, BeginsAtTheGoalElseBehindItElseAtTheBeginning) {
    EXPECT_EQ(ask({.count = 5, .count_min = 5, .goal = 270, .near_goal = true}), (group_run{270, 5}));
    EXPECT_EQ(ask({.count = 50, .count_min = 10, .goal = 205, .near_goal = true}), (group_run{205, 15}));
    EXPECT_EQ(ask({.count = 15, .count_min = 15, .goal = 90, .near_goal = true}), (group_run{200, 15}));
    EXPECT_EQ(ask({.count = 15, .count_min = 15, .goal = 340, .near_goal = true}), (group_run{20, 15}));
    EXPECT_EQ(ask({.count = 100, .count_min = 100, .goal = 251, .near_goal = true}), (group_run{250, 100}));
}

TEST(BitmapAllocator, AnswersTheLongestRunWhenNoneHoldsAll) {
    EXPECT_EQ(ask({.count = 300, .count_min = 60}), (group_run{250, 100}));
    EXPECT_EQ(ask({.count = 300, .count_min = 60, .goal = 300, .near_goal = true}), (group_run{250, 100}));
    EXPECT_EQ(ask({.count = 300, .count_min = 101}), group_run{});
}

TEST(BitmapAllocator, AnswersNothingWhereAllIsInUse) {
    const std::vector<bitmap_word> words(words_for(100), ~bitmap_word{0});
    EXPECT_EQ(bitmap_allocator{}.find({words, 100}, {}), group_run{});
    EXPECT_EQ(bitmap_allocator{}.find({words, 100}, {.goal = 99, .near_goal = true}), group_run{});
}

}  // namespace bitmap_allocator_test
