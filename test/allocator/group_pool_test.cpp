#include <ashlar/allocator/group_pool.hpp>
#include <ashlar/allocator/run_index.hpp>
#include <ashlar/threading/single_threaded.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

namespace group_pool_test {

using namespace ashlar;

struct with_a_mutex {
    static constexpr bool concurrent = true;
    using counter                    = single_threaded::counter;  // nobody counts here
    struct mutex : std::mutex {};
    struct condition {
        void wait(mutex&) noexcept {}
        void wake() noexcept {}
    };
};

struct alignas(run_memory::alignment) line {
    std::byte bytes[run_memory::alignment];
};

TEST(GroupPool, HandsOutTheLowestGroup) {
    std::vector<std::uint64_t>  words(group_set::words_for_groups(10'000));
    group_pool<single_threaded> pool{words, 10'000};
    EXPECT_EQ(pool.take(), group_set::none);
    for (const auto group : {9'999U, 70U, 4'096U}) pool.put(group);
    EXPECT_EQ(pool.take(), 70U);
    EXPECT_EQ(pool.take(), 4'096U);
    EXPECT_EQ(pool.take(), 9'999U);
    EXPECT_EQ(pool.take(), group_set::none);
}

/// One thread's part: an index of its own, which takes from the pool what it lacks and gives back what it spares.
class shard {
  public:
    shard(const run_memory& memory, group_pool<with_a_mutex>& pool, std::uint64_t seed)
        : sets_(run_index::words(memory.groups())), index_{memory, sets_}, pool_{pool}, random_{seed} {}

    void work(int steps) {
        for (int step = 0; step < steps; ++step) {
            // Neither thread may starve the other.
            const bool much = held_blocks_ > 14'000;
            if (!held_.empty() && (much || random_() % 100 < (step / 2000 % 2 == 0 ? 30U : 70U))) {
                give(random_() % held_.size());
            } else if (const auto taken = take(1 + static_cast<std::uint32_t>(random_() % 60)); taken.run.count != 0) {
                held_.push_back(taken);
                held_blocks_ += taken.run.count;
            }
        }
    }
    void give_all() {
        while (!held_.empty()) give(held_.size() - 1);
    }
    const std::vector<placed_run>& held() const { return held_; }

  private:
    placed_run take(std::uint32_t count) {
        const auto taken = index_.allocate(count);
        if (taken.run.count != 0) return taken;
        const auto group = pool_.take();
        if (group == group_set::none) return {};
        index_.adopt(group);
        return index_.allocate(count);
    }
    void give(std::size_t at) {
        index_.free(held_[at].group, held_[at].run);
        held_blocks_ -= held_[at].run.count;
        held_[at] = held_.back();
        held_.pop_back();
        if (const auto spared = index_.release_empty(); spared != group_set::none) pool_.put(spared);
    }

    std::vector<std::uint64_t> sets_;
    run_index                  index_;
    group_pool<with_a_mutex>&  pool_;
    std::mt19937_64            random_;
    std::vector<placed_run>    held_;
    std::uint64_t              held_blocks_ = 0;
};

TEST(GroupPool, TwoThreadsShareTheGroupsAndNoBlockHasTwoOwners) {
    constexpr std::uint32_t    groups = 40, blocks = 1000;
    std::vector<line>          bytes(run_memory::bytes(groups, blocks) / sizeof(line) + 1);
    const run_memory           memory{std::as_writable_bytes(std::span{bytes}), groups, blocks};
    std::vector<std::uint64_t> words(group_set::words_for_groups(groups));
    group_pool<with_a_mutex>   pool{words, groups};
    for (std::uint32_t g = 0; g < groups; ++g) {
        memory[g].load_empty(blocks);
        pool.put(g);
    }
    shard first{memory, pool, 1}, second{memory, pool, 2};
    for (int round = 0; round < 4; ++round) {
        std::thread other{[&] { second.work(6000); }};
        first.work(6000);
        other.join();
        std::vector<bool> owned(groups * blocks, false);
        for (const auto* one : {&first, &second}) {
            ASSERT_FALSE(one->held().empty());
            for (const auto& held : one->held()) {
                for (std::uint32_t i = 0; i < held.run.count; ++i) {
                    const auto block = held.group * blocks + held.run.first + i;
                    ASSERT_FALSE(owned[block]);
                    owned[block] = true;
                }
            }
        }
    }
    std::thread other{[&] { second.give_all(); }};
    first.give_all();
    other.join();
    for (std::uint32_t g = 0; g < groups; ++g) EXPECT_EQ(pool.take(), g) << "a group was lost, or is not whole";
}

}  // namespace group_pool_test
