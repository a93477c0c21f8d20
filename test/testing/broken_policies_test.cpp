// Allocators, throttles and policies that break a promise: the kit names it.

#include <ashlar/allocator/bitmap_allocator.hpp>
#include <ashlar/testing/allocator_conformance.hpp>
#include <ashlar/testing/crash_states.hpp>
#include <ashlar/testing/defrag_policy_conformance.hpp>
#include <ashlar/testing/linearizability.hpp>
#include <ashlar/testing/throttle_conformance.hpp>

#include <gtest/gtest.h>

#include <string>

namespace ashlar::test {
namespace broken_policies_test {

/// A sound allocator whose answers are spoiled.
struct spoilt_allocator {
    enum class fault : std::uint8_t {
        none,
        finds_nothing,
        too_short,
        too_long,
        overlaps,
        not_at_goal,
        changes_its_mind
    };
    static constexpr std::uint32_t format_id = 1;
    fault                          kind      = fault::none;
    mutable std::uint32_t          asked     = 0;

    [[nodiscard]] group_run find(const group_view& group, group_request request) const noexcept {
        auto run = bitmap_allocator{}.find(group, request);
        ++asked;
        if (run.count == 0) return run;
        switch (kind) {
            case fault::none: return run;
            case fault::finds_nothing: return {};
            case fault::too_short: return {run.first, request.count_min > 1 ? request.count_min - 1 : run.count};
            case fault::too_long: return {run.first, request.count + 1};
            case fault::overlaps: return {run.first > 0 ? run.first - 1 : run.first, run.count};
            case fault::not_at_goal:
                return run.count > request.count_min ? group_run{run.first + 1, run.count - 1} : run;
            case fault::changes_its_mind:
                return asked % 2 == 0 && run.count > request.count_min ? group_run{run.first, run.count - 1} : run;
        }
        return run;
    }
};
static_assert(Allocator<spoilt_allocator>);

TEST(AllocatorConformance, NamesThePromiseThatAnAllocatorBreaks) {
    using fault = spoilt_allocator::fault;
    const struct {
        fault       kind;
        const char* said;
    } cases[] = {{fault::finds_nothing, "a run that is long enough was not found"},
                 {fault::too_short, "the run is shorter than count_min"},
                 {fault::too_long, "the run is longer than count"},
                 {fault::overlaps, "the run is not clear"},
                 {fault::not_at_goal, "the run does not begin at the goal"},
                 {fault::changes_its_mind, "the same question has two answers"}};
    EXPECT_EQ(allocator_conformance(spoilt_allocator{}, 1, 200), "");
    for (const auto& one : cases) {
        const auto broken = allocator_conformance(spoilt_allocator{one.kind}, 1, 400);
        EXPECT_EQ(broken.rfind(one.said, 0), 0U) << one.said << ", not: " << broken;
        EXPECT_NE(broken.find("seed 1"), std::string::npos) << "it says how to see it again";
    }
}

/// Grants all, or what it should not.
struct spoilt_throttle {
    enum class fault : std::uint8_t {
        none,
        more_than_wanted,
        less_than_least,
        refuses_for_the_past,
        refuses_for_ever,
        grants_nothing_wanted,
        waits_for_releases,
    };
    static constexpr bool needs_clock = false;
    fault                 kind        = fault::none;
    std::uint64_t         in_flight   = 0;

    [[nodiscard]] io_grant acquire(io_request asked, time_point now) noexcept {
        switch (kind) {
            case fault::none: break;
            case fault::more_than_wanted: return {asked.want + 512, {}};
            case fault::less_than_least: return {asked.least - 1, {}};
            case fault::refuses_for_the_past: return {0, now};
            case fault::refuses_for_ever: return {0, now + duration{1}};
            case fault::grants_nothing_wanted: return {asked.want == 0 ? 512 : asked.want, {}};
            case fault::waits_for_releases:
                if (in_flight > 100'000) return {0, {~std::uint64_t{0}}};
                break;
        }
        in_flight += asked.want;
        return {asked.want, {}};
    }
    void release(std::uint64_t bytes, time_point) noexcept { in_flight -= bytes; }
    void observe(io_kind, std::uint64_t, duration, time_point) noexcept {}
};
static_assert(IoThrottle<spoilt_throttle>);

TEST(ThrottleConformance, NamesThePromiseThatAThrottleBreaks) {
    using fault = spoilt_throttle::fault;
    const struct {
        fault       kind;
        const char* said;
    } cases[] = {{fault::none, ""},
                 {fault::waits_for_releases, ""},
                 {fault::more_than_wanted, "a grant is never more than what was wanted"},
                 {fault::less_than_least, "a grant is never less than the least that is of use"},
                 {fault::refuses_for_the_past, "a refusal names a time that is still to come"},
                 {fault::refuses_for_ever, "a request is granted when its time has come and nothing is in flight"},
                 {fault::grants_nothing_wanted, "nothing wanted is nothing granted"}};
    for (const auto& one : cases) {
        spoilt_throttle throttle{one.kind};
        EXPECT_EQ(check_throttle(throttle, 3), one.said);
    }
    spoilt_throttle starving{fault::refuses_for_ever};
    EXPECT_EQ(check_throttle(starving, 3, 500, true), "") << "a throttle that waits for a grant from outside may";
}

template <bool Enabled>
struct spoilt_policy {
    bool                  moves_all = false, wavers = false;
    mutable std::uint64_t asked   = 0;
    static constexpr bool enabled = Enabled;

    [[nodiscard]] bool worth_moving(const defrag_candidate& c) const noexcept {
        return moves_all || c.extents > c.extents_ideal;
    }
    [[nodiscard]] std::uint64_t rank(const defrag_candidate& c) const noexcept {
        return c.extents + (wavers ? ++asked : 0);
    }
};
/// Answers a question otherwise when it is asked again.
struct wavering_policy {
    static constexpr bool enabled = true;
    mutable bool          next    = false;

    [[nodiscard]] bool worth_moving(const defrag_candidate& c) const noexcept {
        next = !next;
        return next && c.extents > c.extents_ideal;
    }
    [[nodiscard]] std::uint64_t rank(const defrag_candidate&) const noexcept { return 1; }
};
static_assert(DefragPolicy<spoilt_policy<true>> && DefragPolicy<wavering_policy>);

TEST(DefragPolicyConformance, NamesThePromiseThatAPolicyBreaks) {
    constexpr auto two_answers = "the same candidate gets the same answer";
    EXPECT_EQ(check_defrag_policy(spoilt_policy<true>{}, 2), "");
    EXPECT_EQ(check_defrag_policy(spoilt_policy<false>{}, 2), "a policy that is not enabled moves nothing");
    EXPECT_EQ(check_defrag_policy(spoilt_policy<true>{.moves_all = true}, 2),
              "a move that gains nothing is not worth making");
    EXPECT_EQ(check_defrag_policy(spoilt_policy<true>{.wavers = true}, 2), two_answers);
    EXPECT_EQ(check_defrag_policy(wavering_policy{}, 2), two_answers);
}

TEST(CrashStates, EveryChoiceHasItsWords) {
    std::vector<std::string> texts;
    for (const auto keep : {unsynced::none, unsynced::all, unsynced::drop_one, unsynced::keep_one, unsynced::tear_last,
                            unsynced::tear_last_tail, unsynced::some_writes, unsynced::some_sectors}) {
        const auto text = text_of(crash_choice{keep, 17, 23});
        for (const auto& other : texts) EXPECT_NE(text, other);
        const bool random = keep == unsynced::some_writes || keep == unsynced::some_sectors;
        const bool plain  = keep == unsynced::none || keep == unsynced::all;
        EXPECT_EQ(text.find("17") != std::string::npos, !random && !plain) << text;
        EXPECT_EQ(text.find("23") != std::string::npos, random) << text;
        texts.push_back(text);
    }
    EXPECT_EQ(text_of(crash_choice{static_cast<unsynced>(99), 0, 0}), "");
}

TEST(ScratchImage, IsADeviceThatRefusesWhatLiesOutside) {
    scratch_image          image{{512}, {4}};
    std::vector<std::byte> block(512, std::byte{3});
    EXPECT_EQ(image.read({{4}, {1}}, block).error(), (error{errc::out_of_range, {4}}));
    EXPECT_EQ(image.write({{4}, {1}}, block).error(), (error{errc::out_of_range, {4}}));
    EXPECT_EQ(image.trim({{3}, {2}}).error(), (error{errc::out_of_range, {3}}));
    EXPECT_TRUE(image.trim({{3}, {1}}));
    EXPECT_TRUE(image.read({{4}, {0}}, {}));
    EXPECT_TRUE(image.write({{4}, {0}}, {}));
    EXPECT_TRUE(image.write({{3}, {1}}, block));
    EXPECT_TRUE(image.sync());
    EXPECT_EQ(image.bytes()[3 * 512], std::byte{3});
}

/// A read that failed among recorded calls is no part of what a cut may leave.
TEST(CrashStates, CallsThatFailedChangeNothing) {
    std::vector<recorded_call> calls(2);
    calls[0].kind    = transfer_kind::write;
    calls[0].blocks  = {{1}, {1}};
    calls[0].data    = std::vector<std::byte>(512, std::byte{9});
    calls[0].failure = errc::device_failed;
    calls[1]         = calls[0];
    calls[1].failure = {};
    calls[1].blocks  = {{2}, {1}};
    const std::vector<std::byte> base(4 * 512);
    std::uint64_t                written = 0;
    const auto                   shown   = crash_states(calls, base, {512}, {}, [&](const crash_point&, auto image) {
        EXPECT_EQ(image[512], std::byte{0});
        written += image[1024] == std::byte{9} ? 1 : 0;
        return true;
    });
    EXPECT_GE(shown, 2U);
    EXPECT_GE(written, 1U);
}

TEST(Linearizability, AFindingSaysWhichRegisterAndWhichValues) {
    using fault = linearizability_fault;
    EXPECT_EQ((linearizability_finding{fault::written_twice, 3, 7, 0}.text()), "register 3: value 7 was written twice");
    EXPECT_EQ((linearizability_finding{fault::no_order, 3, 7, 9}.text()),
              "register 3: value 7 and another value have no order: 9");
}

}  // namespace broken_policies_test
}  // namespace ashlar::test
