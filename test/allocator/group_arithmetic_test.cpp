#include <ashlar/allocator/group_arithmetic.hpp>

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace group_arithmetic_test {

using namespace ashlar;

group_summary counted_bit_by_bit(const std::vector<bitmap_word>& words, std::uint32_t blocks) {
    group_summary summary{};
    std::uint32_t here = 0;
    for (std::uint32_t i = 0; i <= blocks; ++i) {
        if (i < blocks && !is_set(words, i)) {
            ++here;
            continue;
        }
        if (here > 0) {
            summary.free += here;
            ++summary.runs[run_class(here)];
            summary.largest = std::max(summary.largest, here);
            if (here == i) summary.head = here;
            if (i == blocks) summary.tail = here;
        }
        here = 0;
    }
    return summary;
}

TEST(GroupArithmetic, TakingAndGivingRunsKeepsTheSummaryExact) {
    std::mt19937_64 random{7};
    for (const std::uint32_t blocks : {1U, 63U, 64U, 65U, 500U, 3968U}) {
        std::vector<bitmap_word> words(words_for(blocks), ~bitmap_word{0});
        clear_bits(words, {0, blocks});
        group_summary summary = empty_group(blocks);
        for (int step = 0; step < 1500; ++step) {
            const auto      at    = static_cast<std::uint32_t>(random() % blocks);
            const bool      taken = is_set(words, at);
            const auto      end   = taken ? next_clear(words, at, blocks) : next_set(words, at, blocks);
            const auto      most  = std::min<std::uint64_t>(end - at, 1U << (random() % 10));
            const group_run run{at, static_cast<std::uint32_t>(1 + random() % most)};
            if (taken) {
                give_run(summary, {words, blocks}, run);
                clear_bits(words, run);
            } else {
                take_run(summary, {words, blocks}, run);
                set_bits(words, run);
            }
            ASSERT_EQ(summary, counted_bit_by_bit(words, blocks)) << "step " << step << " of " << blocks;
            ASSERT_EQ(summary, summarize({words, blocks}));
            summary.bitmap_written = true;
            ASSERT_TRUE(is_possible(summary, blocks));
            summary.bitmap_written = false;
        }
    }
}

}  // namespace group_arithmetic_test
