#include <ashlar/allocator/bitmap_words.hpp>

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace bitmap_words_test {

using namespace ashlar;

/// The same questions asked bit by bit.
struct bit_model {
    std::vector<bool> bits;

    std::uint32_t next(std::uint32_t from, std::uint32_t end, bool value) const {
        while (from < end && bits[from] != value) ++from;
        return from < end ? from : end;
    }
    std::uint32_t begin_of_clear(std::uint32_t end) const {
        while (end > 0 && !bits[end - 1]) --end;
        return end;
    }
};

std::uint32_t below(std::mt19937_64& random, std::uint32_t end) { return static_cast<std::uint32_t>(random() % end); }

TEST(BitmapWords, AgreeWithAModelThatAsksBitByBit) {
    std::mt19937_64 random{1};
    for (int round = 0; round < 300; ++round) {
        const std::uint32_t      blocks = 1 + below(random, 700);
        bit_model                model{std::vector<bool>(blocks, false)};
        std::vector<bitmap_word> words(words_for(blocks), 0);
        for (int step = 0; step < 12; ++step) {
            const std::uint32_t first = below(random, blocks);
            const std::uint32_t count = below(random, blocks - first + 1);
            const bool          set   = random() % 2 != 0;
            if (set)
                set_bits(words, {first, count});
            else
                clear_bits(words, {first, count});
            for (std::uint32_t i = first; i < first + count; ++i) model.bits[i] = set;

            const std::uint32_t from = below(random, blocks);
            const std::uint32_t end  = from + below(random, blocks - from + 1);
            ASSERT_EQ(next_set(words, from, end), model.next(from, end, true));
            ASSERT_EQ(next_clear(words, from, end), model.next(from, end, false));
            ASSERT_EQ(clear_before(words, end), model.begin_of_clear(end));
            const auto ones =
                static_cast<std::uint32_t>(std::count(model.bits.begin() + from, model.bits.begin() + end, true));
            ASSERT_EQ(count_set(words, {from, end - from}), ones);
            ASSERT_EQ(all_clear(words, {from, end - from}), ones == 0);
            ASSERT_EQ(all_set(words, {from, end - from}), ones == end - from);
            ASSERT_EQ(is_set(words, from), model.bits[from]);
        }
    }
}

TEST(BitmapWords, ClearRunsComeInOrderAndLongOnesAreNeverLeftOut) {
    std::mt19937_64 random{2};
    for (int round = 0; round < 300; ++round) {
        const std::uint32_t      blocks = 1 + below(random, 2000);
        std::vector<bitmap_word> words(words_for(blocks), ~bitmap_word{0});
        for (int i = 0; i < 6; ++i) {
            const std::uint32_t first = below(random, blocks);
            clear_bits(words, {first, below(random, std::min(blocks - first, 400U) + 1)});
        }
        const std::uint32_t    from     = below(random, blocks);
        const std::uint32_t    at_least = 1 + below(random, 300);
        std::vector<group_run> expected;
        std::uint32_t          longest = 0;
        for (std::uint32_t at = from; at < blocks; ++at) {
            if (is_set(words, at)) continue;
            std::uint32_t end = at;
            while (end < blocks && !is_set(words, end)) ++end;
            if (end - at >= at_least) expected.push_back({at, end - at});
            longest = std::max(longest, end - at);
            at      = end;
        }
        std::vector<group_run> seen;
        for_each_clear_run(words, from, blocks, at_least, [&](group_run run) {
            if (run.count >= at_least) seen.push_back(run);
            return true;
        });
        ASSERT_EQ(seen.size(), expected.size());
        for (std::size_t i = 0; i < seen.size(); ++i) ASSERT_EQ(seen[i], expected[i]);
        ASSERT_EQ(longest_clear_run(words, from, blocks).count, longest);
    }
}

TEST(BitmapWords, TheRunAroundAnEmptyPlaceJoinsBothSides) {
    std::vector<bitmap_word> words(words_for(200), ~bitmap_word{0});
    clear_bits(words, {60, 80});
    EXPECT_EQ(clear_run_around({words, 200}, {100, 0}), (group_run{60, 80}));
    EXPECT_EQ(clear_run_around({words, 200}, {60, 5}), (group_run{60, 80}));
    EXPECT_EQ(clear_run_around({words, 200}, {140, 0}), (group_run{60, 80}));
    EXPECT_EQ(clear_run_around({words, 200}, {150, 0}), (group_run{150, 0}));
}

}  // namespace bitmap_words_test
