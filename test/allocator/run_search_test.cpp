#include <ashlar/allocator/group_set.hpp>
#include <ashlar/allocator/length_classes.hpp>
#include <ashlar/allocator/run_search.hpp>

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <vector>

namespace run_search_test {

using namespace ashlar;

TEST(RunSearch, ManyEntriesAtOnceGiveTheAnswersOfOneAfterAnother) {
    std::mt19937_64 random{3};
    for (int round = 0; round < 4000; ++round) {
        const auto                 count = static_cast<std::uint32_t>(random() % 200);
        std::vector<std::uint16_t> starts(256, spare_start), lengths(256, spare_length);
        const std::uint32_t        blocks = 1U + static_cast<std::uint32_t>(random() % group_blocks_max);
        std::uint32_t              at     = static_cast<std::uint32_t>(random() % 3);
        std::uint32_t              used   = 0;
        for (; used < count && at < blocks; ++used) {
            const auto length = std::min(blocks - at, 1U + static_cast<std::uint32_t>(random() % (random() % 90 + 1)));
            starts[used]      = static_cast<std::uint16_t>(at);
            lengths[used]     = static_cast<std::uint16_t>(length);
            at += length + static_cast<std::uint32_t>(random() % 3);
        }
        const auto low   = static_cast<std::uint16_t>(1U + random() % 100U);
        const auto width = static_cast<std::uint16_t>(random() % 2U == 0 ? 0U : random() % 40U);
        const auto here  = run_search::by_length(lengths.data(), used, low, width);
        const auto there = plain_search::by_length(lengths.data(), used, low, width);
        ASSERT_EQ(here.at, there.at);
        ASSERT_EQ(here.more, there.more);
        const auto block = static_cast<std::uint16_t>(random() % blocks);
        ASSERT_EQ(run_search::around(starts.data(), lengths.data(), used, block),
                  plain_search::around(starts.data(), lengths.data(), used, block));
        const auto end       = static_cast<std::uint16_t>(block + 1U + random() % 4U);
        const auto neighbour = run_search::beside(starts.data(), lengths.data(), used, block, end);
        const auto expected  = plain_search::beside(starts.data(), lengths.data(), used, block, end);
        ASSERT_EQ(neighbour.before, expected.before);
        ASSERT_EQ(neighbour.after, expected.after);
    }
}

TEST(LengthClasses, EveryLengthLiesInItsClassAndClassesFollowEachOther) {
    length_class before = 0;
    for (std::uint32_t length = 1; length <= group_blocks_max; ++length) {
        const auto c = length_class_of(length);
        ASSERT_LE(shortest_in(c), length);
        ASSERT_GE(longest_in(c), length);
        ASSERT_TRUE(c == before || (c == before + 1U && shortest_in(c) == length)) << length;
        before = c;
    }
    EXPECT_EQ(before, length_classes - 1U);
}

TEST(GroupSet, AgreesWithAnOrderedSet) {
    std::mt19937_64 random{4};
    for (const std::uint32_t groups : {1U, 64U, 65U, 256U, 257U, 5000U, 70'000U}) {
        std::vector<std::uint64_t> words(group_set::words_for_groups(groups), 0);
        group_set                  set{words.data(), groups};
        std::set<std::uint32_t>    model;
        for (int step = 0; step < 4000; ++step) {
            const auto group = static_cast<std::uint32_t>(random() % groups);
            if (random() % 5U < (step / 500 % 2 == 0 ? 3U : 1U)) {
                set.insert(group);
                model.insert(group);
            } else {
                const auto gone = random() % 2U == 0 || model.empty() ? group : *model.begin();
                set.erase(gone);
                model.erase(gone);
            }
            const auto next = model.lower_bound(group);
            ASSERT_EQ(set.lowest_from(group), next == model.end() ? group_set::none : *next);
            ASSERT_EQ(set.lowest(), model.empty() ? group_set::none : *model.begin());
            ASSERT_EQ(set.empty(), model.empty());
            ASSERT_EQ(set.contains(group), model.count(group) != 0);
        }
    }
}

}  // namespace run_search_test
