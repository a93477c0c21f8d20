#include <ashlar/ashlar.hpp>
#include <ashlar/defrag_policy/best_gain.hpp>
#include <ashlar/device/memory_device.hpp>
#include <ashlar/hosted/maintenance_thread.hpp>
#include <ashlar/hosted/multi_threaded.hpp>
#include <ashlar/journal/ring_journal.hpp>
#include <ashlar/testing/random_bits.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <vector>

namespace maintenance_thread_test {

using namespace ashlar;
using clock_type = std::chrono::steady_clock;

/// Waits until something holds; false when it does not come within ten seconds.
template <class Holds>
bool comes(Holds holds) {
    const auto until = clock_type::now() + std::chrono::seconds{10};
    while (!holds()) {
        if (clock_type::now() > until) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds{1});
    }
    return true;
}

/// Answers what it was told to, in order; afterwards that there is nothing to do.
class scripted {
  public:
    result<progress> maintain(step_budget budget) noexcept {
        const std::lock_guard held{mutex_};
        times_.push_back(clock_type::now());
        last_budget_ = budget.blocks_max;
        if (answers_.empty()) return reasons(stop_reason::nothing_to_gain);
        auto answer = answers_.front();
        answers_.pop_front();
        return answer;
    }

    static progress reasons(stop_reasons why, time_point not_before = {}) {
        progress said;
        said.reasons    = why;
        said.not_before = not_before;
        return said;
    }
    void tell(result<progress> answer) {
        const std::lock_guard held{mutex_};
        answers_.push_back(answer);
    }
    std::size_t steps() {
        const std::lock_guard held{mutex_};
        return times_.size();
    }
    std::uint64_t last_budget() {
        const std::lock_guard held{mutex_};
        return last_budget_;
    }
    /// Milliseconds between two of its steps.
    double between(std::size_t first, std::size_t second) {
        const std::lock_guard held{mutex_};
        return std::chrono::duration<double, std::milli>(times_.at(second) - times_.at(first)).count();
    }

  private:
    std::mutex                          mutex_;
    std::deque<result<progress>>        answers_;
    std::vector<clock_type::time_point> times_;
    std::uint64_t                       last_budget_ = 0;
};
static_assert(Maintainable<scripted> && !Maintainable<int>);

constexpr maintenance_options an_hour{.idle_interval = milliseconds(3'600'000), .rest_max = milliseconds(3'600'000)};

TEST(MaintenanceThread, ASpentBudgetIsFollowedByAStepAtOnce) {
    scripted worked;
    for (int i = 0; i < 50; ++i) worked.tell(scripted::reasons(stop_reason::budget_spent));
    auto options              = an_hour;
    options.budget.blocks_max = 77;
    maintenance_thread runs{worked, options};
    ASSERT_TRUE(runs.start());
    ASSERT_TRUE(comes([&] { return worked.steps() == 51; }));
    EXPECT_EQ(worked.last_budget(), 77U);
    EXPECT_TRUE(comes([&] { return runs.status().steps == 51; }));
    EXPECT_TRUE(runs.status().last.reasons.has(stop_reason::nothing_to_gain));
    runs.stop();
    EXPECT_EQ(worked.steps(), 51U) << "it goes on although there is nothing to do";
}

TEST(MaintenanceThread, ItRestsWhileThereIsNothingToDoAndAPokeWakesIt) {
    scripted           worked;
    maintenance_thread runs{worked, an_hour};
    ASSERT_TRUE(runs.start());
    for (std::size_t pokes = 1; pokes <= 5; ++pokes) {
        ASSERT_TRUE(comes([&] { return runs.status().steps == pokes && !runs.status().working; }));
        runs.poke();
    }
    ASSERT_TRUE(comes([&] { return worked.steps() == 6; }));
    std::this_thread::sleep_for(std::chrono::milliseconds{20});
    EXPECT_EQ(worked.steps(), 6U);
}

TEST(MaintenanceThread, ItRestsNoLongerThanTheIdleInterval) {
    scripted           worked;
    maintenance_thread runs{worked, {.idle_interval = milliseconds(10)}};
    ASSERT_TRUE(runs.start());
    ASSERT_TRUE(comes([&] { return worked.steps() >= 4; }));
    for (std::size_t i = 0; i < 3; ++i) EXPECT_GE(worked.between(i, i + 1), 9.5);
}

TEST(MaintenanceThread, AThrottleIsWaitedForAndNotLonger) {
    scripted worked;
    worked.tell(scripted::reasons(stop_reason::throttled, steady_clock{}.now() + milliseconds(60)));
    maintenance_thread runs{worked, an_hour};
    const auto         begun = clock_type::now();
    ASSERT_TRUE(runs.start());
    ASSERT_TRUE(comes([&] { return worked.steps() == 2; }));
    EXPECT_GE(clock_type::now() - begun, std::chrono::milliseconds{55});
}

TEST(MaintenanceThread, ARestHasALimitWhateverTheClockOfTheThrottleSays) {
    scripted worked;
    worked.tell(scripted::reasons(stop_reason::throttled, {~std::uint64_t{0}}));
    maintenance_thread runs{worked, {.rest_max = milliseconds(20)}};
    ASSERT_TRUE(runs.start());
    EXPECT_TRUE(comes([&] { return worked.steps() >= 2; }));
}

TEST(MaintenanceThread, ErrorsAreToldAndTriedAgainMoreAndMoreSeldom) {
    scripted worked;
    for (int i = 0; i < 3; ++i) worked.tell(error{errc::device_failed, block_index{7}, 5});
    maintenance_thread runs{worked, {.idle_interval = milliseconds(10)}};
    ASSERT_TRUE(runs.start());
    ASSERT_TRUE(comes([&] { return runs.status().steps >= 1; }));
    const auto seen = runs.status();
    EXPECT_EQ(seen.failures, 3U);
    EXPECT_EQ(seen.last_error, (error{errc::device_failed, block_index{7}, 5}));
    EXPECT_GE(worked.between(0, 1), 9.5);
    EXPECT_GE(worked.between(1, 2), 19.5);
    EXPECT_GE(worked.between(2, 3), 39.5);
}

TEST(MaintenanceThread, WhilePausedNoStepBegins) {
    scripted           worked;
    maintenance_thread runs{worked, {.idle_interval = milliseconds(1), .starts_paused = true}};
    ASSERT_TRUE(runs.start());
    EXPECT_TRUE(runs.status().running && runs.status().paused);
    runs.poke();
    std::this_thread::sleep_for(std::chrono::milliseconds{15});
    EXPECT_EQ(worked.steps(), 0U);
    runs.resume();
    ASSERT_TRUE(comes([&] { return worked.steps() > 3; }));
    runs.pause();
    ASSERT_TRUE(comes([&] { return !runs.status().working; }));
    const auto then = worked.steps();
    std::this_thread::sleep_for(std::chrono::milliseconds{15});
    EXPECT_EQ(worked.steps(), then);
}

TEST(MaintenanceThread, ItStopsOutOfALongRestAndStartsAgain) {
    scripted           worked;
    maintenance_thread runs{worked, an_hour};
    EXPECT_FALSE(runs.status().running);
    for (std::size_t round = 1; round <= 3; ++round) {
        ASSERT_TRUE(runs.start());
        ASSERT_TRUE(runs.start()) << "a second start does nothing";
        ASSERT_TRUE(comes([&] { return worked.steps() == round; }));
        EXPECT_TRUE(runs.status().running);
        runs.stop();
        runs.stop();
        EXPECT_FALSE(runs.status().running);
    }
}

struct background_volume : blueprint {
    using device    = memory_device;
    using journal   = ring_journal;
    using threading = multi_threaded;
    using defrag    = best_gain;
};

TEST(MaintenanceThread, AStoreIsDefragmentedAndFreedWhileItIsUsed) {
    using store_type = store<background_volume>;
    auto memory      = memory_device::create({512}, {4000});
    ASSERT_TRUE(memory);
    ASSERT_TRUE(store_type::format(memory.value(), {.journal_blocks = {256}}));
    store_type::options options;
    options.defrag.threshold_permille = 0;
    options.defrag.cycle_blocks_max   = {};
    options.defrag.extents_min        = 2;
    auto opened                       = store_type::open(std::move(memory.value()), options);
    ASSERT_TRUE(opened);
    auto& live = opened.value();

    // Two objects that grow by turns lie in as many pieces as there were turns.
    const auto                   one = live.create(), two = live.create();
    const std::vector<std::byte> piece(512, std::byte{0x5A});
    ASSERT_TRUE(one && two);
    for (int i = 0; i < 60; ++i) {
        ASSERT_TRUE(live.append(one.value(), piece));
        ASSERT_TRUE(live.append(two.value(), piece));
    }
    ASSERT_TRUE(live.sync());
    ASSERT_GT(live.info(one.value()).value().extents, 20U);

    maintenance_thread runs{live, {.budget = {.blocks_max = 8}, .idle_interval = milliseconds(1)}};
    ASSERT_TRUE(runs.start());
    std::vector<std::byte> found(512);
    random_bits            random{1};
    ASSERT_TRUE(comes([&] {
        const auto got = live.read(two.value(), random.below(60) * 512, std::span<std::byte>{found});
        return !got || found != piece ||
               (live.info(one.value()).value().extents == 1 && live.info(two.value()).value().extents == 1);
    }));
    EXPECT_EQ(found, piece);
    EXPECT_EQ(live.info(two.value()).value().extents, 1U);
    ASSERT_TRUE(live.erase(one.value()));
    EXPECT_TRUE(comes([&] { return runs.status().last.reasons.has(stop_reason::nothing_to_gain); }));
    EXPECT_EQ(runs.status().failures, 0U);
    runs.stop();
    const auto proven = live.verify([](const verify_finding&) {});
    ASSERT_TRUE(proven);
    EXPECT_EQ(proven.value().findings, 0U);
    EXPECT_TRUE(live.close());
}

}  // namespace maintenance_thread_test
