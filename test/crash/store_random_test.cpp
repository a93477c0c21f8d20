#include "crash_fixture.hpp"

#include <ashlar/testing/faulty_device.hpp>

namespace ashlar::test {
namespace {

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

// Errors of the device.
// -------------------------------------------------------------------------------------------------

struct fault {
    transfer_kind kind   = transfer_kind::read;
    std::uint64_t nth    = 1;
    fault_lasts   lasts  = fault_lasts::once;
    failed_write  leaves = failed_write::left_nothing;
};

/// Runs the same operations on a copy of `base` with one fault. Answers whether the fault was met.
bool run_with(const fault& planned, const volume_shape& shape, std::span<const std::byte> base,
              const model_state& before, std::uint64_t operations) {
    auto memory = make_memory(shape);
    std::memcpy(memory.bytes().data(), base.data(), base.size());
    faulty_device device{memory};
    device.failing_writes(planned.leaves);
    device.fail(planned.kind, planned.nth, planned.lasts);
    bool       met = false;
    candidates known{before};
    const auto where = [&] {
        return " with call " + std::to_string(planned.nth) + " of kind " +
               std::to_string(static_cast<int>(planned.kind)) + " failing";
    };

    auto opened = test_store::open(any_device{device}, with());
    if (!opened) {
        met = true;
        EXPECT_NE(opened.error().code, errc::none);
    } else {
        auto live = std::move(opened).value();
        if (planned.kind != transfer_kind::read) { EXPECT_EQ(difference(live, before), "") << where(); }
        scenario<test_store> runs{77, live.root()};
        runs.restore(before);
        for (std::uint64_t i = 0; i < operations && !(met && live.read_only()); ++i) {
            const auto done = runs.step(live);
            if (done.why.code == errc::none) {
                EXPECT_FALSE(done.durable && live.read_only()) << "nothing is acknowledged after a failure" << where();
                done.durable ? known.promised(runs.state()) : known.possible(runs.state());
                continue;
            }
            met = true;
            known.possible(runs.attempted());
            if (!live.read_only()) { EXPECT_NE(done.why.code, errc::read_only) << where(); }
        }
        device.fail(planned.kind, 0);  // healed
        if (live.read_only()) {
            EXPECT_EQ(code_of(live.sync()), errc::read_only) << where();
            EXPECT_EQ(code_of(live.write(live.root(), 0, pattern(3, 3))), errc::read_only) << where();
            EXPECT_EQ(code_of(live.begin()), errc::read_only) << where();
            EXPECT_NE(live.info().failure.code, errc::none) << where();
        }
        const auto seen = digest_on(live);
        EXPECT_TRUE(seen) << "reads go on: " << said(seen) << where();
        if (seen) { EXPECT_NE(known.find(seen.value()), nullptr) << where(); }
        const errc ended = live.read_only() ? errc::read_only : errc::none;
        if (planned.nth % 2 == 0) {
            EXPECT_EQ(code_of(live.close()), ended) << where();
        } else {
            static_cast<void>(live.abandon());
        }
    }
    device.fail(planned.kind, 0);
    auto       live  = opened_on(memory);
    const auto found = digest_on(live);
    EXPECT_TRUE(found) << said(found) << where();
    if (found) { EXPECT_NE(known.find(found.value()), nullptr) << "something acknowledged is lost" << where(); }
    EXPECT_EQ(findings_of(live), "") << where();
    static_cast<void>(live.abandon());
    return met;
}

/// A volume that was used and not closed, and what it holds.
struct used_volume {
    volume_shape shape{};
    byte_vector  bytes;
    model_state  state;

    used_volume() {
        auto memory = make_memory(shape);
        format_on(memory, shape);
        auto                 live = opened_on(memory);
        scenario<test_store> runs{5, live.root()};
        for (int i = 0; i < 60; ++i) EXPECT_EQ(runs.step(live).why.code, errc::none);
        ASHLAR_EXPECT_OK(live.sync());
        state = runs.state();
        static_cast<void>(live.abandon());
        bytes.assign(memory.bytes().begin(), memory.bytes().end());
    }
};

void fail_each(transfer_kind kind, std::uint64_t stride) {
    const used_volume base;
    std::uint64_t     runs = 0, missed = 0;
    for (std::uint64_t nth = 1; missed < 8 && !testing::Test::HasFailure(); nth += stride) {
        bool met = false;
        for (const auto lasts : {fault_lasts::once, fault_lasts::for_good}) {
            for (const auto leaves : {failed_write::left_nothing, failed_write::wrote_all}) {
                if (kind != transfer_kind::write && leaves == failed_write::wrote_all) continue;
                met = run_with({kind, nth, lasts, leaves}, base.shape, base.bytes, base.state, 60) || met;
                ++runs;
            }
        }
        if (!met) ++missed;
    }
    std::printf("%llu runs with a fault\n", static_cast<unsigned long long>(runs));
}

TEST(StoreFaults, EachWriteMayFailOnceOrForGood) { fail_each(transfer_kind::write, 1); }
TEST(StoreFaults, EachSyncMayFailOnceOrForGood) { fail_each(transfer_kind::sync, 1); }
TEST(StoreFaults, EachReadMayFailOnceOrForGood) { fail_each(transfer_kind::read, 3); }

}  // namespace
}  // namespace ashlar::test
