#include <ashlar/volume/buffer_pool.hpp>
#include <ashlar/volume/staged_writes.hpp>

#include <gtest/gtest.h>

#include <cstdlib>
#include <vector>

namespace ashlar {
namespace staged_writes_test {

constexpr block_size small{512};

/// Two halves of four blocks.
struct staged_fixture : testing::Test {
    staged_fixture() : memory(64 * 1024) {
        arena from{memory};
        staged.take(from, small, 8 * 512, 64);
    }
    void fill(extent blocks, int value) {
        const auto bytes = staged.add(blocks);
        ASSERT_EQ(bytes.size(), blocks.count.value * 512);
        for (std::size_t i = 0; i < bytes.size(); ++i)
            bytes[i] = static_cast<std::byte>(value + static_cast<int>(i / 512));
    }
    [[nodiscard]] int at(std::uint64_t block) const {
        block_count left{};
        const auto* bytes = staged.find(block_index{block}, left);
        return bytes == nullptr ? -1 : std::to_integer<int>(*bytes);
    }

    std::vector<std::byte> memory;
    staged_writes          staged;
};
using StagedWrites = staged_fixture;

TEST_F(StagedWrites, NeighboursMakeOneRunAndAllAreFound) {
    EXPECT_EQ(staged.capacity(), block_count{4});
    EXPECT_TRUE(staged.empty());
    fill({{10}, {1}}, 1);
    fill({{11}, {2}}, 2);
    fill({{30}, {1}}, 9);
    EXPECT_FALSE(staged.has_room({1}));
    ASSERT_EQ(staged.waiting().size(), 2U);
    EXPECT_EQ(staged.waiting()[0].blocks, (extent{{10}, {3}}));
    EXPECT_EQ(at(9), -1);
    EXPECT_EQ(at(10), 1);
    EXPECT_EQ(at(11), 2);
    EXPECT_EQ(at(12), 3);
    EXPECT_EQ(at(30), 9);
    block_count left{};
    static_cast<void>(staged.find(block_index{11}, left));
    EXPECT_EQ(left, block_count{2});
}

TEST_F(StagedWrites, TheOtherHalfIsFilledWhileOneFlies) {
    fill({{10}, {3}}, 1);
    staged.take_off();
    EXPECT_TRUE(staged.flying());
    EXPECT_TRUE(staged.waiting().empty());
    EXPECT_TRUE(staged.has_room({4}));
    fill({{50}, {4}}, 20);
    EXPECT_FALSE(staged.has_room({1}));
    ASSERT_EQ(staged.in_flight().size(), 1U);
    EXPECT_EQ(staged.bytes(staged.in_flight()[0]).size(), 3U * 512);
    EXPECT_EQ(at(12), 3) << "what flies is still read from memory";
    EXPECT_EQ(at(53), 23);
    staged.land();
    EXPECT_FALSE(staged.flying());
    EXPECT_EQ(at(12), -1) << "the device has it";
    EXPECT_EQ(at(53), 23);
    staged.take_off();
    EXPECT_TRUE(staged.has_room({4})) << "the half that landed is filled again";
    staged.land();
    EXPECT_TRUE(staged.empty());
}

TEST_F(StagedWrites, WhatIsTakenBackLeavesTheRest) {
    fill({{10}, {2}}, 1);
    fill({{12}, {1}}, 3);
    staged.take_back({{12}, {1}});
    EXPECT_EQ(at(12), -1);
    EXPECT_EQ(at(11), 2);
    fill({{40}, {2}}, 7);
    staged.take_back({{40}, {2}});
    ASSERT_EQ(staged.waiting().size(), 1U);
    EXPECT_TRUE(staged.has_room({2}));
    EXPECT_FALSE(staged.has_room({3}));
    staged.take_back({{99}, {1}});  // never came here
    EXPECT_EQ(at(10), 1);
    fill({{13}, {2}}, 5);
    EXPECT_EQ(at(14), 6);
    EXPECT_EQ(at(11), 2);
}

TEST_F(StagedWrites, KnowsWhatOverlapsAndWhatIsAbsent) {
    fill({{10}, {2}}, 1);
    staged.take_off();
    fill({{20}, {2}}, 3);
    EXPECT_TRUE(staged.overlaps({{11}, {5}}));
    EXPECT_TRUE(staged.overlaps({{5}, {16}}));
    EXPECT_FALSE(staged.overlaps({{12}, {8}}));
    EXPECT_EQ(staged.absent({5}, {100}), block_count{5});
    EXPECT_EQ(staged.absent({12}, {100}), block_count{8});
    EXPECT_EQ(staged.absent({12}, {3}), block_count{3});
    EXPECT_EQ(staged.absent({22}, {100}), block_count{100});
    staged.forget_waiting();
    EXPECT_EQ(at(20), -1);
    EXPECT_EQ(at(10), 1);
    staged.clear();
    EXPECT_TRUE(staged.empty());
    EXPECT_FALSE(staged.flying());
}

TEST(StagedWritesWithoutMemory, TakeNothing) {
    std::vector<std::byte> memory(4096);
    arena                  from{memory};
    staged_writes          staged;
    staged.take(from, small, 0, 64);
    EXPECT_EQ(staged.capacity(), block_count{0});
    EXPECT_FALSE(staged.has_room({1}));
}

TEST(BufferPool, LendsEachBufferOnceAndTakesItBack) {
    for (const std::size_t wanted : {1U, 4U, 32U, 40U}) {
        const std::size_t      count = wanted < 32 ? wanted : 32;
        std::vector<std::byte> memory(33 * 512 + 64);
        arena                  from{memory};
        buffer_pool            pool;
        pool.take(from, small, wanted, 64);
        EXPECT_EQ(pool.available(), count);
        std::vector<std::span<std::byte>> lent;
        for (std::size_t i = 0; i < count; ++i) {
            lent.push_back(pool.borrow());
            ASSERT_EQ(lent.back().size(), 512U);
            for (std::size_t k = 0; k < i; ++k) EXPECT_NE(lent[k].data(), lent[i].data());
        }
        EXPECT_TRUE(pool.borrow().empty());
        pool.give_back(lent[count / 2]);
        EXPECT_EQ(pool.available(), 1U);
        EXPECT_EQ(pool.borrow().data(), lent[count / 2].data());
    }
}

TEST(BufferPool, ABorrowedBufferGoesBackOnce) {
    std::vector<std::byte> memory(5 * 512);
    arena                  from{memory};
    buffer_pool            pool;
    pool.take(from, small, 2, 64);
    {
        borrowed_buffer first{pool, pool.borrow()};
        borrowed_buffer second{std::move(first)};
        EXPECT_EQ(pool.available(), 1U);
        borrowed_buffer third{pool, pool.borrow()};
        EXPECT_EQ(pool.available(), 0U);
        third = std::move(second);  // its own goes back
        EXPECT_EQ(pool.available(), 1U);
        third.release();
        third.release();
        EXPECT_EQ(pool.available(), 2U);
    }
    EXPECT_EQ(pool.available(), 2U);
}

}  // namespace staged_writes_test
}  // namespace ashlar
