// The schedule itself: one order for one seed, every order for many, and what it says where nobody can go on.

#include <ashlar/device/memory_device.hpp>
#include <ashlar/testing/scheduled.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <set>

namespace ashlar::test {
namespace scheduled_test {

/// What three threads write when each puts its name down three times.
std::string written_by_three(std::uint64_t seed, schedule_report* report = nullptr, schedule_options options = {}) {
    std::string text;
    schedule    run{seed, options};
    for (const char name : {'a', 'b', 'c'}) {
        run.spawn(std::string{name}, [&text, name] {
            for (int i = 0; i < 3; ++i) {
                schedule::point();
                text += name;
            }
        });
    }
    const auto said = run.run();
    EXPECT_EQ(said.stuck, "");
    if (report != nullptr) *report = said;
    return text;
}

TEST(Schedule, TheSameSeedGivesTheSameRun) {
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        schedule_report first, second;
        EXPECT_EQ(written_by_three(seed, &first), written_by_three(seed, &second));
        EXPECT_EQ(first.trace, second.trace);
        EXPECT_EQ(first.points, second.points);
        EXPECT_EQ(first.switches, second.switches);
    }
}

TEST(Schedule, ManySeedsGiveEveryOrder) {
    std::set<std::string> seen;
    for (std::uint64_t seed = 0; seed < 600; ++seed) {
        std::string text;
        schedule    run{seed, {.switch_permille = 1000}};
        for (const char name : {'a', 'b'}) {
            run.spawn(std::string{name}, [&text, name] {
                for (int i = 0; i < 3; ++i) {
                    schedule::point();
                    text += name;
                }
            });
        }
        ASSERT_EQ(run.run().stuck, "");
        seen.insert(text);
    }
    EXPECT_EQ(seen.size(), 20U) << "three and three can be mixed in 20 ways";
}

TEST(Schedule, WithoutSwitchesEachThreadRunsToItsEnd) {
    const auto text = written_by_three(3, nullptr, {.switch_permille = 0});
    for (const char* const one : {"aaa", "bbb", "ccc"}) EXPECT_NE(text.find(one), std::string::npos) << text;
}

/// Two threads add one to a number ten times, by reading and writing it apart. Of `leaky` locks each fifth is given up
/// too early.
int counted_by_two(std::uint64_t seed, bool leaky) {
    int              number = 0, locks = 0;
    scheduled::mutex mutex;
    schedule         run{seed};
    for (int thread = 0; thread < 2; ++thread) {
        run.spawn("adder", [&] {
            for (int i = 0; i < 10; ++i) {
                mutex.lock();
                const bool early = leaky && ++locks % 5 == 0;
                if (early) mutex.unlock();
                const int seen = number;
                schedule::point();
                number = seen + 1;
                if (!early) mutex.unlock();
            }
        });
    }
    EXPECT_EQ(run.run().stuck, "");
    return number;
}

TEST(Scheduled, AMutexExcludesAndOneThatIsGivenUpTooEarlyIsNoticed) {
    int lost = 0;
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        EXPECT_EQ(counted_by_two(seed, false), 20);
        lost += counted_by_two(seed, true) != 20 ? 1 : 0;
    }
    EXPECT_GT(lost, 10);
}

TEST(Scheduled, AConditionWakesAllWhoWait) {
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        scheduled::mutex     mutex;
        scheduled::condition ready;
        bool                 open   = false;
        int                  passed = 0;
        schedule             run{seed};
        for (int i = 0; i < 3; ++i) {
            run.spawn("waiter", [&] {
                const locked<scheduled> guard{mutex};
                while (!open) ready.wait(mutex);
                ++passed;
            });
        }
        run.spawn("opener", [&] {
            const locked<scheduled> guard{mutex};
            open = true;
            ready.wake();
        });
        ASSERT_EQ(run.run().stuck, "") << "seed " << seed;
        EXPECT_EQ(passed, 3);
    }
}

/// What threads that are stuck stand in lives as long as they.
struct two_locks {
    scheduled::mutex     first, second;
    scheduled::condition never;
};

TEST(Schedule, ADeadlockIsReportedWithWhatEveryThreadWaitsFor) {
    auto* const locks = new two_locks;  // NOLINT: stuck threads stand in it for ever
    std::string stuck;
    for (std::uint64_t seed = 0; seed < 100 && stuck.empty(); ++seed) {
        schedule run{seed};
        run.spawn("one", [locks] {
            const locked<scheduled> a{locks->first};
            const locked<scheduled> b{locks->second};
        });
        run.spawn("other", [locks] {
            const locked<scheduled> b{locks->second};
            const locked<scheduled> a{locks->first};
        });
        stuck = run.run().stuck;
    }
    EXPECT_EQ(stuck,
              "nobody can go on: one waits for a mutex that other holds; other waits for a mutex that one holds");
}

TEST(Schedule, AWakeThatNobodyGivesIsReported) {
    auto* const locks = new two_locks;  // NOLINT: as above
    schedule    run{1};
    run.spawn("sleeper", [locks] {
        const locked<scheduled> guard{locks->first};
        locks->never.wait(locks->first);
    });
    run.spawn("other", [] {});
    EXPECT_EQ(run.run().stuck, "nobody can go on: sleeper waits for a wake; other has ended");
}

TEST(Schedule, ARunThatDoesNotEndIsReported) {
    schedule run{1, {.points_max = 1000}};
    run.spawn("restless", [] {
        for (;;) schedule::point();
    });
    EXPECT_EQ(run.run().stuck, "the run does not end: restless could go on");
}

TEST(YieldingDevice, TransfersOfOneBlockThatMeetAreNoticedAndOthersAreNot) {
    std::size_t met = 0;
    for (std::uint64_t seed = 0; seed < 40; ++seed) {
        for (const bool apart : {true, false}) {
            auto memory = memory_device::create({512}, block_count{16});
            ASSERT_TRUE(memory);
            yielding_device        device{memory.value()};
            std::vector<std::byte> bytes(4 * 512, std::byte{7}), seen(4 * 512);
            schedule               run{seed};
            run.spawn("writer", [&] { EXPECT_TRUE(device.write({block_index{0}, block_count{4}}, bytes)); });
            run.spawn("reader", [&] {
                EXPECT_TRUE(device.read({block_index{apart ? 4U : 3U}, block_count{4}}, seen));
            });
            ASSERT_EQ(run.run().stuck, "");
            if (apart) { EXPECT_TRUE(device.meetings().empty()); }
            met += device.meetings().size();
        }
    }
    EXPECT_GT(met, 5U);
    EXPECT_LT(met, 40U) << "in some order they do not meet";
}

}  // namespace scheduled_test
}  // namespace ashlar::test
