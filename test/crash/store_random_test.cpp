#include "crash_fixture.hpp"

namespace ashlar::test {
namespace store_random_test {

/// The states that a device may show after a failure: from the last promise on.
class candidates {
  public:
    explicit candidates(const model_state& base) { promised(base); }
    void promised(const model_state& state) {
        states_.clear();
        possible(state);
    }
    void possible(const model_state& state) { states_.emplace_back(digest_of(state), state); }
    [[nodiscard]] const model_state* find(std::uint64_t digest) const {
        for (const auto& [known, state] : states_) {
            if (known == digest) return &state;
        }
        return nullptr;
    }

  private:
    std::vector<std::pair<std::uint64_t, model_state>> states_;
};

/// Runs random operations on one volume while its power fails again and again, recovery included.
/// Counts the cuts.
void survive(std::uint64_t seed, std::uint64_t operations, const volume_shape& shape, trim_leaves trimmed,
             std::uint64_t& cuts, mixture mix = {}) {
    random_bits random{seed * 977};
    auto        memory = make_memory(shape);
    format_on(memory, shape);
    power_cut_device     cut{memory, trimmed};
    order_checker        checked{cut};
    auto                 live = opened_on(checked);
    scenario<test_store> runs{seed, live.root(), mix};
    candidates           known{runs.state()};

    for (std::uint64_t i = 0; i < operations; ++i) {
        if (random.below(12) == 0) cut.cut_after(1 + random.below(14));
        const auto done = runs.step(live);
        ASSERT_TRUE(checked.violations().empty())
            << checked.violations().front() << ", in operation " << i << " (" << done.what << ") of seed " << seed;
        if (done.why.code == errc::none) {
            done.durable ? known.promised(runs.state()) : known.possible(runs.state());
            if (cut.powered()) continue;
        } else if (cut.powered()) {
            ASSERT_TRUE(done.why.code == errc::too_large || done.why.code == errc::no_space ||
                        done.why.code == errc::reserve_only)
                << done.what << ": " << message(done.why.code) << " in operation " << i << " of seed " << seed;
            continue;
        }
        // The power is off. What the failed operation wanted may be there or not; recovery is cut too, now and then.
        known.possible(runs.attempted());
        static_cast<void>(live.abandon());
        ++cuts;
        for (;;) {
            const auto choices =
                crash_choices(cut, {.random_max = 4, .single_max = 4, .tears_max = 4, .seed = random.next()});
            cut.restart(choices[random.below(choices.size())]);
            checked.restarted();
            if (random.below(3) == 0) cut.cut_after(1 + random.below(12));
            auto opened = test_store::open(any_device{checked}, with());
            if (opened && cut.powered()) {
                cut.cut_after(1U << 30U);
                live = std::move(opened).value();
                break;
            }
            ASSERT_FALSE(cut.powered()) << "open: " << said(opened) << " in operation " << i << " of seed " << seed;
            if (opened) static_cast<void>(opened.value().abandon());
        }
        const auto found = digest_on(live);
        ASHLAR_ASSERT_OK(found);
        const auto* const state = known.find(found.value());
        ASSERT_NE(state, nullptr) << "a hole: operation " << i << " of seed " << seed << " (" << done.what << ")";
        ASSERT_EQ(findings_of(live), "") << "operation " << i << " of seed " << seed;
        const auto kept = *state;
        runs.restore(kept);
        known.promised(kept);
    }
    cut.cut_after(~std::uint64_t{0});
    EXPECT_EQ(difference(live, runs.state()), "");
    EXPECT_EQ(findings_of(live), "");
    ASHLAR_EXPECT_OK(live.close());
    expect_order(checked);
}

TEST(StoreRandom, C7PowerFailsAgainAndAgain) {
    std::uint64_t cuts = 0;
    for (std::uint64_t seed = 1; seed <= scaled(300) && !testing::Test::HasFailure(); ++seed) {
        survive(seed, 300, {}, seed % 3 == 0 ? trim_leaves::zeros : trim_leaves::garbage, cuts);
    }
    EXPECT_GT(cuts, 4 * scaled(300));
    std::printf("%llu cuts\n", static_cast<unsigned long long>(cuts));
}

TEST(StoreRandom, C7PowerFailsAgainAndAgainOnBlocksOf4096) {
    std::uint64_t cuts = 0;
    for (std::uint64_t seed = 1; seed <= scaled(100) && !testing::Test::HasFailure(); ++seed) {
        survive(seed, 200, {.block_bytes = 4096, .blocks = 500, .journal_blocks = 64}, trim_leaves::garbage, cuts);
    }
    EXPECT_GT(cuts, 4 * scaled(100));
    std::printf("%llu cuts\n", static_cast<unsigned long long>(cuts));
}

TEST(StoreRandom, C7PowerFailsAgainAndAgainOnAFullVolume) {
    std::uint64_t cuts = 0;
    for (std::uint64_t seed = 1; seed <= scaled(100) && !testing::Test::HasFailure(); ++seed) {
        survive(seed, 300, {.block_bytes = 512, .blocks = 460, .journal_blocks = 96}, trim_leaves::garbage, cuts,
                {.append = 40, .size_max = 60'000});
    }
    EXPECT_GT(cuts, 4 * scaled(100));
    std::printf("%llu cuts\n", static_cast<unsigned long long>(cuts));
}

}  // namespace store_random_test
}  // namespace ashlar::test
