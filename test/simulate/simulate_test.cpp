// Stores in worlds that seeds make up, and worlds that are spoilt on purpose.

#include "simulate_fixture.hpp"

namespace ashlar::test {
namespace simulate_test {

simulation_options<server_blueprint> server_options() {
    simulation_options<server_blueprint> options;
    options.base.throttle = {.bytes_per_second = 4'000'000, .burst = 32768};
    return options;
}

class Simulate : public testing::TestWithParam<std::uint64_t> {};

TEST_P(Simulate, AStoreKeepsItsPromisesInTheWorldsOfTheseSeeds) {
    const auto seeds  = scaled(400);
    const auto counts = expect_all_hold<server_blueprint>(GetParam() * 1'000'000, seeds, server_options());
    if (testing::Test::HasFailure() || seeds < 100) return;  // few seeds need not have everything
    EXPECT_GT(counts.steps, 20 * seeds);
    EXPECT_LT(counts.refused * 20, counts.steps) << "most of what is asked is done";
    EXPECT_GT(counts.cuts * 4, seeds);
    EXPECT_GT(counts.switches, 10 * seeds);
    EXPECT_GT(counts.moved, seeds / 2);
    EXPECT_GT(counts.reads, seeds);
    EXPECT_GT(counts.faults * 8, seeds);
    EXPECT_GT(counts.noticed * 20, seeds) << "rot is met, and told";
}

INSTANTIATE_TEST_SUITE_P(Seeds, Simulate, testing::Values(1, 2, 3, 4));

TEST(SimulateRepeats, TheSameSeedGivesTheSameBytesAndAnswersAndAnotherSeedOthers) {
    std::set<std::uint64_t> hashes;
    const auto              seeds = scaled(60);
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        const auto first  = simulate<server_blueprint>(seed, server_options());
        const auto second = simulate<server_blueprint>(seed, server_options());
        ASSERT_EQ(first.failure, "") << first.text();
        EXPECT_EQ(first.hash, second.hash) << "seed " << seed;
        EXPECT_EQ(first.counts.switches, second.counts.switches);
        EXPECT_EQ(first.counts.calls, second.counts.calls);
        hashes.insert(first.hash);
    }
    EXPECT_EQ(hashes.size(), seeds);
}

// Planted defects. ---------------------------------------------------------------------------------------------------

/// A device that breaks one promise each few calls. No order_checker stands below it: the model alone must notice.
struct lies {
    std::uint64_t lose_write_every  = 0;
    std::uint64_t skip_sync_every   = 0;
    std::uint64_t stale_read_every  = 0;
    std::uint64_t shift_write_every = 0;
};

class liar {
  public:
    liar(any_device below, lies what) : below_{below}, lies_{what} {}

    [[nodiscard]] device_geometry geometry() const noexcept { return below_.geometry(); }
    [[nodiscard]] result<>        read(extent e, std::span<std::byte> in) noexcept {
               BOOST_OUTCOME_TRY(below_.read(e, in));
               const auto old = before_.find(e.first);
               if (old != before_.end() && due(lies_.stale_read_every, reads_))
            std::memcpy(in.data(), old->second.data(), std::min(in.size(), old->second.size()));
        return success();
    }
    [[nodiscard]] result<> write(extent e, std::span<const std::byte> out) noexcept {
        if (due(lies_.lose_write_every, writes_)) return success();
        if (lies_.stale_read_every != 0) {
            std::vector<std::byte> old(out.size());
            BOOST_OUTCOME_TRY(below_.read(e, old));
            before_[e.first] = std::move(old);
        }
        if (due(lies_.shift_write_every, shifted_) && e.end().value < geometry().blocks.value) e.first.value += 1;
        return below_.write(e, out);
    }
    [[nodiscard]] result<> sync() noexcept {
        if (due(lies_.skip_sync_every, syncs_)) return success();
        return below_.sync();
    }
    [[nodiscard]] result<> trim(extent e) noexcept { return below_.trim(e); }

  private:
    static bool due(std::uint64_t every, std::uint64_t& count) noexcept { return every != 0 && ++count % every == 0; }

    any_device                                    below_;
    lies                                          lies_;
    std::map<block_index, std::vector<std::byte>> before_;
    std::uint64_t                                 reads_ = 0, writes_ = 0, shifted_ = 0, syncs_ = 0;
};

/// Options under which every run stands on a device of its own that lies so.
simulation_options<server_blueprint> spoilt(lies what, std::shared_ptr<std::optional<liar>> keep) {
    auto options        = server_options();
    options.watch_order = false;
    options.stack       = [what, keep](any_device& below) { return any_device{keep->emplace(below, what)}; };
    return options;
}

/// The first failure in so many seeds.
simulation_outcome first_failure(const simulation_options<server_blueprint>& options, std::uint64_t seeds) {
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        auto outcome = simulate<server_blueprint>(seed, options);
        if (!outcome.failure.empty()) return outcome;
    }
    return {};
}

void expect_found(lies what) {
    auto options            = spoilt(what, std::make_shared<std::optional<liar>>());
    options.shrink_runs_max = 0;
    EXPECT_NE(first_failure(options, 60).failure, "");
}

TEST(SimulatePlanted, ADeviceThatIsHonestIsNotBlamed) {
    EXPECT_EQ(first_failure(spoilt({}, std::make_shared<std::optional<liar>>()), 20).text(), "");
}
TEST(SimulatePlanted, ADeviceThatLosesAWriteIsFound) { expect_found({.lose_write_every = 40}); }
TEST(SimulatePlanted, ADeviceThatSkipsASyncIsFound) { expect_found({.skip_sync_every = 4}); }
TEST(SimulatePlanted, ADeviceThatReadsOldBytesIsFound) { expect_found({.stale_read_every = 5}); }
TEST(SimulatePlanted, ADeviceThatWritesToAnotherPlaceIsFound) { expect_found({.shift_write_every = 40}); }

TEST(SimulatePlanted, AFailureIsShrunkUntilEveryStepIsNeeded) {
    auto options                  = spoilt({.skip_sync_every = 1}, std::make_shared<std::optional<liar>>());
    options.table.threads         = {1};
    options.table.background      = {false};
    options.table.faults_permille = {120};
    const auto outcome            = first_failure(options, 60);
    ASSERT_NE(outcome.failure, "");
    EXPECT_GE(outcome.steps_before, 40U);
    EXPECT_LE(outcome.steps.size(), 10U) << outcome.text();
    EXPECT_EQ(simulate_steps<server_blueprint>(outcome.setup, outcome.steps, options).failure, outcome.failure);
    for (std::size_t i = 0; i < outcome.steps.size(); ++i) {
        auto fewer = outcome.steps;
        fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
        EXPECT_EQ(simulate_steps<server_blueprint>(outcome.setup, fewer, options).failure, "")
            << "step " << i + 1 << " is not needed:\n"
            << outcome.text();
    }
    EXPECT_NE(outcome.text().find("seed " + std::to_string(outcome.setup.seed)), std::string::npos);
    EXPECT_NE(outcome.text().find("  1. "), std::string::npos);
}

}  // namespace simulate_test
}  // namespace ashlar::test
