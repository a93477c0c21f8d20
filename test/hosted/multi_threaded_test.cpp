#include <ashlar/hosted/multi_threaded.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <thread>
#include <vector>

namespace multi_threaded_test {

using threading = ashlar::multi_threaded;
using guard     = ashlar::locked<threading>;

static_assert(ashlar::Threading<threading> && threading::concurrent);
static_assert(
    requires { threading::yield(); }, "the engine gathers commits by it, where there is one");

/// Runs the same work in several threads at once and waits for all.
template <class Work>
void in_threads(int count, Work work) {
    std::vector<std::thread> threads;
    for (int i = 0; i < count; ++i) threads.emplace_back(work, i);
    for (auto& one : threads) one.join();
}

TEST(MultiThreaded, TheMutexExcludes) {
    threading::mutex mutex;
    std::uint64_t    entered = 0, inside = 0, together = 0;
    in_threads(4, [&](int) {
        for (int i = 0; i < 20'000; ++i) {
            const guard held{mutex};
            together += ++inside > 1 ? 1U : 0U;
            ++entered;
            --inside;
        }
    });
    EXPECT_EQ(entered, 80'000U);
    EXPECT_EQ(together, 0U);
}

TEST(MultiThreaded, AHolderThatTakesItsTimeIsWaitedFor) {
    threading::mutex mutex;
    int              order = 0;
    mutex.lock();
    std::thread other{[&] {
        const guard held{mutex};
        EXPECT_EQ(order, 1) << "it came in while the mutex was held";
        order = 2;
    }};
    std::this_thread::sleep_for(std::chrono::milliseconds{20});
    order = 1;
    mutex.unlock();
    other.join();
    EXPECT_EQ(order, 2);
}

TEST(MultiThreaded, AWaiterGivesTheMutexUpAndHoldsItAgainAfterwards) {
    threading::mutex     mutex;
    threading::condition condition;
    bool                 ready = false, seen = false;
    std::thread          waiter{[&] {
        const guard held{mutex};
        while (!ready) condition.wait(mutex);
        std::this_thread::sleep_for(std::chrono::milliseconds{5});
        seen = true;  // With the mutex not held this is a race, which the thread sanitizer tells.
    }};
    {
        const guard held{mutex};  // Never comes where a waiter keeps the mutex.
        ready = true;
        condition.wake();
    }
    for (bool done = false; !done;) {
        const guard held{mutex};
        done = seen;
    }
    waiter.join();
    EXPECT_TRUE(seen);
}

TEST(MultiThreaded, AWakeReachesEveryWaiter) {
    threading::mutex     mutex;
    threading::condition condition;
    int                  turn = 0;
    in_threads(4,
               [&](int mine) {  // Each thread waits for its own number: a wake of one alone would end in a standstill.
                   for (int round = 0; round < 500; ++round) {
                       const guard held{mutex};
                       while (turn % 4 != mine) condition.wait(mutex);
                       ++turn;
                       condition.wake();
                   }
               });
    EXPECT_EQ(turn, 2000);
}

}  // namespace multi_threaded_test
