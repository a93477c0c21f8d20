// What is left of a list when everything that a failure does not need is gone.

#include <ashlar/testing/random_bits.hpp>
#include <ashlar/testing/shrink.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace ashlar::test {
namespace shrink_test {

std::vector<int> counted(int to) {
    std::vector<int> list(static_cast<std::size_t>(to));
    std::iota(list.begin(), list.end(), 0);
    return list;
}

TEST(Shrink, ExactlyWhatIsNeededStaysInItsOrder) {
    random_bits random{7};
    for (int round = 0; round < 50; ++round) {
        std::vector<int> needed;
        for (int i = 0; i < 4; ++i) needed.push_back(static_cast<int>(random.below(100)));
        std::sort(needed.begin(), needed.end());
        needed.erase(std::unique(needed.begin(), needed.end()), needed.end());
        const auto fails = [&](const std::vector<int>& list) {
            return std::includes(list.begin(), list.end(), needed.begin(), needed.end());
        };
        EXPECT_EQ(shrunk(counted(100), fails, 10'000), needed);
    }
}

TEST(Shrink, WhatIsOnlyNeededBesideSomethingElseGoesWithIt) {
    // Fails while 30 is there, and while 10 stands without 20 it does not: 20 may go only after 10.
    const auto fails = [](const std::vector<int>& list) {
        const auto has = [&](int one) { return std::find(list.begin(), list.end(), one) != list.end(); };
        return has(30) && (!has(10) || has(20));
    };
    EXPECT_EQ(shrunk(counted(40), fails, 10'000), std::vector<int>{30});
}

TEST(Shrink, AListThatFailsWithoutAnyElementBecomesEmptyAndAnEmptyOneStays) {
    const auto always = [](const std::vector<int>&) { return true; };
    EXPECT_TRUE(shrunk(counted(9), always, 100).empty());
    EXPECT_TRUE(shrunk(std::vector<int>{}, always, 100).empty());
}

TEST(Shrink, ItStopsWhenItsRunsAreSpentAndWhatIsLeftStillFails) {
    int        runs  = 0;
    const auto fails = [&](const std::vector<int>& list) {
        ++runs;
        return std::find(list.begin(), list.end(), 63) != list.end();
    };
    const auto left = shrunk(counted(64), fails, 3);
    EXPECT_EQ(runs, 3);
    EXPECT_TRUE(fails(left));
}

}  // namespace shrink_test
}  // namespace ashlar::test
