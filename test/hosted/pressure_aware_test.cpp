#include <ashlar/hosted/pressure_aware.hpp>
#include <ashlar/testing/throttle_conformance.hpp>
#include <ashlar/throttle/latency_target.hpp>
#include <ashlar/throttle/no_throttle.hpp>
#include <ashlar/throttle/token_bucket.hpp>

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

using namespace ashlar;

namespace pressure_aware_test {

constexpr std::uint64_t kib = 1024;

/// What a test says that others waited.
struct told_pressure {
    duration* total = nullptr;  ///< None: the system does not say.

    [[nodiscard]] std::optional<duration> stalled() const noexcept {
        if (total == nullptr) return std::nullopt;
        return *total;
    }
};
static_assert(PressureSource<told_pressure>);
static_assert(!PressureSource<int>);

using watched = pressure_aware<no_throttle, told_pressure>;
static_assert(IoThrottle<watched> && IoThrottle<pressure_aware<latency_target>>);
static_assert(observes_alone<pressure_aware<latency_target>> && !observes_alone<watched>);

/// Runs one mover whose chunks take a millisecond each, while others wait for a share of the time.
class system_model {
  public:
    explicit system_model(bool own_transfers_count = true)
        : throttle{{.source = {&stalled_}, .own_transfers_count = own_transfers_count}} {}

    /// Answers the bytes moved in a second.
    std::uint64_t run(std::uint64_t seconds, std::uint64_t others_permille, bool counts_own = true) {
        const auto    end   = now_ + milliseconds(1000 * seconds);
        std::uint64_t moved = 0;
        while (now_ < end) {
            const auto grant = throttle.acquire({256 * kib, 4 * kib}, now_);
            const auto until = grant.bytes > 0 ? now_ + milliseconds(1) : grant.not_before;
            const auto share =
                grant.bytes > 0 && counts_own ? std::max<std::uint64_t>(others_permille, 450) : others_permille;
            stalled_.nanoseconds += (until - now_).nanoseconds / 1000 * share;
            now_ = until;
            if (grant.bytes > 0) throttle.release(grant.bytes, now_);
            moved += grant.bytes;
            longest_ = std::max(longest_, grant.bytes);
        }
        return moved / seconds;
    }

  private:
    duration      stalled_{};
    time_point    now_{5};
    std::uint64_t longest_ = 0;

  public:
    watched throttle;
};

constexpr std::uint64_t full_rate = 1000 * 256 * kib;

TEST(PressureFile, ReadsTheTotalOfTheLineSome) {
    constexpr std::string_view text =
        "some avg10=12.34 avg60=0.00 avg300=0.00 total=247818235\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n";
    EXPECT_EQ(parse_pressure(text), duration{247'818'235'000});
    EXPECT_EQ(parse_pressure("full avg10=0.00 total=7\nsome avg10=0.00 total=9"), duration{9'000});
}

TEST(PressureFile, TakesNoOtherTextForAReading) {
    for (const std::string_view text :
         {"", "\n", "some", "some ", "some avg10=1.00", "full avg10=0.00 total=7\n", "some total=", "some x total=\n",
          "some a total=-5", "some a total=12x\n", "some a total=99999999999999999999\n", "awesome total=5",
          "some a total=18446744073709551615", "some avg10=1.00\nfull total=7\n"}) {
        EXPECT_EQ(parse_pressure(text), std::nullopt) << text;
    }
}

TEST(PressureFile, SaysWhereTheSystemHasNone) {
    EXPECT_EQ(pressure_file{"/nowhere/io"}.stalled(), std::nullopt);
    EXPECT_EQ(pressure_file{"/"}.stalled(), std::nullopt);
}

TEST(PressureFile, ReadsTheKernelsFileWhereThereIsOne) {
    if (!std::ifstream{"/proc/pressure/io"}.good()) GTEST_SKIP() << "this kernel counts no pressure";
    const auto first = pressure_file{}.stalled();
    ASSERT_TRUE(first.has_value());
    EXPECT_GE(pressure_file{}.stalled(), first);
}

TEST(PressureAware, KeepsTheContractOfThrottles) {
    for (std::uint64_t seed = 1; seed <= 4; ++seed) {
        duration stalled{};
        watched  throttle{{.source = {&stalled}}};
        EXPECT_EQ(check_throttle(throttle, seed), "");
        pressure_aware<token_bucket> other{{.inner = {.bytes_per_second = 1 << 26}, .source = {"/nowhere"}}};
        EXPECT_EQ(check_throttle(other, seed), "");
        EXPECT_FALSE(other.available());
        pressure_aware<latency_target> third;
        EXPECT_EQ(check_throttle(third, seed), "");
    }
}

TEST(PressureAware, IsAsTheInnerThrottleWhereTheSystemHasNoReading) {
    watched throttle{{.source = {nullptr}}};
    for (time_point now{1}; now < time_point{} + milliseconds(10'000); now = now + milliseconds(1)) {
        EXPECT_EQ(throttle.acquire({256 * kib, 4 * kib}, now).bytes, 256 * kib);
        throttle.release(256 * kib, now);
    }
    EXPECT_FALSE(throttle.available());
    EXPECT_EQ(throttle.halvings(), 0U);
}

TEST(PressureAware, DoesNotTakeItsOwnTransfersForThoseOfOthers) {
    system_model model;
    const auto   rate = model.run(20, 0);
    EXPECT_EQ(model.throttle.pressure_permille(), 0U);
    EXPECT_GE(rate, full_rate * 94 / 100) << "a pause of 100 ms in 2.1 seconds";
    EXPECT_TRUE(model.throttle.available());
}

TEST(PressureAware, HalvesTheRateInEachWindowWhileOthersWait) {
    system_model model;
    auto         before = model.run(2, 300);
    for (int i = 0; i < 3; ++i) {
        const auto after = model.run(2, 300);
        EXPECT_LT(after, before * 2 / 3);
        before = after;
    }
    model.run(20, 300);
    EXPECT_EQ(model.throttle.halvings(), 7U);
    model.run(20, 150);
    EXPECT_EQ(model.throttle.halvings(), 7U) << "between half and whole of the limit nothing changes";
    model.run(20, 50);
    EXPECT_EQ(model.throttle.halvings(), 0U);
    EXPECT_GE(model.run(10, 50), full_rate * 93 / 100);
}

TEST(PressureAware, LetsSeveralInFlightRestTogether) {
    duration   stalled{};
    watched    throttle{{.source = {&stalled}, .own_transfers_count = false}};
    time_point now{1};
    const auto ask = [&] { return throttle.acquire({64 * kib, 4 * kib}, now); };
    EXPECT_EQ(ask().bytes, 64 * kib);
    throttle.release(64 * kib, now);
    stalled = milliseconds(600);
    now     = now + milliseconds(2000);
    EXPECT_EQ(ask().bytes, 64 * kib);
    ASSERT_EQ(throttle.halvings(), 1U) << "others waited for 30 %";
    EXPECT_EQ(ask().bytes, 64 * kib) << "a second may be in flight";
    now = now + milliseconds(5);
    EXPECT_EQ(ask(), (io_grant{0, after_release})) << "but not for ever";
    throttle.release(64 * kib, now);
    throttle.release(64 * kib, now);
    EXPECT_EQ(ask(), (io_grant{0, now + milliseconds(5)})) << "a rest as long as the turn";
}

TEST(PressureAware, LeavesOnlyTheLeastRateAtAStop) {
    system_model model;
    model.run(1, 900);
    const auto rate = model.run(10, 900);
    EXPECT_LE(rate, 1024 * kib);
    EXPECT_GE(rate, 800 * kib) << "which is never denied";
}

TEST(PressureAware, NeedsNoPauseWhereItsOwnTransfersAreNotCounted) {
    system_model model{false};
    EXPECT_GE(model.run(10, 0, false), full_rate * 999 / 1000);
    model.run(10, 300, false);
    EXPECT_GE(model.throttle.halvings(), 4U);
    EXPECT_NEAR(model.throttle.pressure_permille(), 300U, 2);
}

TEST(PressureAware, AReadingThatGoesBackIsNotBelieved) {
    duration stalled{1'000'000'000};
    watched  throttle{{.source = {&stalled}, .own_transfers_count = false}};
    EXPECT_EQ(throttle.acquire({4 * kib, 4 * kib}, {1}).bytes, 4 * kib);
    throttle.release(4 * kib, {2});
    stalled = {};
    EXPECT_EQ(throttle.acquire({4 * kib, 4 * kib}, {3'000'000'000}).bytes, 4 * kib);
    EXPECT_EQ(throttle.halvings(), 0U);
}

}  // namespace pressure_aware_test
