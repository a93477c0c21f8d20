// What is remembered of groups that are not in memory.

#include <ashlar/format/group_record.hpp>
#include <ashlar/volume/run_hints.hpp>

#include <gtest/gtest.h>

#include <vector>

namespace run_hints_test {

using namespace ashlar;

struct hints_over {
    hints_over(std::size_t cells, std::uint64_t groups) : memory(cells + 8) {
        arena from{memory};
        hints.take(from, cells);
        hints.open(groups);
    }
    std::vector<std::byte> memory;
    run_hints              hints;
};

TEST(RunHints, AClassIsNeverBelowALengthOrAboveALongerOne) {
    for (std::uint32_t blocks = 1; blocks <= group_blocks_max; ++blocks) {
        ASSERT_GE(run_hints::class_of(blocks), run_hints::class_of(blocks - 1));
        // A quarter of an octave is the most that a class holds.
        const auto far = blocks + blocks / 3 + 1;
        ASSERT_GT(run_hints::class_of(far), run_hints::class_of(blocks));
    }
}

TEST(RunHints, ACellThatWasLoweredStillHoldsItsLongestRun) {
    hints_over one{16, 16};
    for (std::uint32_t blocks = 1; blocks <= group_blocks_max; blocks += 1 + blocks / 7) {
        one.hints.open(16);
        EXPECT_TRUE(one.hints.may_hold(3, group_blocks_max)) << "nothing is known";
        one.hints.lower(3, blocks);
        EXPECT_TRUE(one.hints.may_hold(3, blocks));
        EXPECT_FALSE(one.hints.may_hold(3, blocks + blocks / 3 + 1));
        one.hints.lower(3, group_blocks_max);
        EXPECT_FALSE(one.hints.may_hold(3, blocks + blocks / 3 + 1)) << "what was known still holds";
        one.hints.raise(3, 2 * blocks);
        EXPECT_TRUE(one.hints.may_hold(3, 2 * blocks));
        one.hints.raise(3, 1);
        EXPECT_TRUE(one.hints.may_hold(3, 2 * blocks));
        one.hints.forget(3);
        EXPECT_TRUE(one.hints.may_hold(3, group_blocks_max));
    }
}

TEST(RunHints, CellsCoverAllGroupsOfAnyVolumeInTheSameMemory) {
    for (const std::uint64_t groups : {1ULL, 7ULL, 8ULL, 9ULL, 64ULL, 65ULL, 1000ULL, 1ULL << 40U}) {
        hints_over many{8, groups};
        EXPECT_LE(many.hints.cells(), 8U);
        EXPECT_EQ(many.hints.is_exact(), groups <= 8);
        std::uint64_t next = 0;
        for (std::size_t cell = 0; cell < many.hints.cells(); ++cell) {
            EXPECT_EQ(many.hints.first_group(cell), next);
            next = many.hints.end_group(cell);
            EXPECT_EQ(many.hints.cell_of(many.hints.first_group(cell)), cell);
            EXPECT_EQ(many.hints.cell_of(next - 1), cell);
        }
        EXPECT_EQ(next, groups);
    }
}

TEST(RunHints, TheHighestCellIsTheFirstOfTheLongestThatIsKnown) {
    hints_over some{8, 8};
    EXPECT_EQ(some.hints.highest_above(0), 8U) << "nothing is known";
    some.hints.lower(2, 40);
    some.hints.lower(4, 100);
    some.hints.lower(6, 100);
    some.hints.lower(7, 0);
    EXPECT_EQ(some.hints.highest_above(0), 4U);
    EXPECT_EQ(some.hints.highest_above(100), 8U);
    EXPECT_EQ(some.hints.next(2, 8, 41), 3U) << "of an unknown cell nothing is refuted";
    EXPECT_EQ(some.hints.next(6, 8, 113), 8U);
}

}  // namespace run_hints_test
