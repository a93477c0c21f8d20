// A defragmenter whose engine fails at any call, and its parts at their limits.

#include "../relocation/fake_host.hpp"

#include <ashlar/maintenance/defragmenter.hpp>

#include <gtest/gtest.h>

using namespace ashlar_test;

namespace defragmenter_failures_test {

enum class verb : std::uint8_t { scope, candidate, mapping, reserve, hold, read, write, flip, sync };
constexpr verb every_verb[] = {verb::scope, verb::candidate, verb::mapping, verb::reserve, verb::hold,
                               verb::read,  verb::write,     verb::flip,    verb::sync};

/// An engine of which one call fails, or all of a kind from one on.
struct failing_host : fake_host {
    using fake_host::fake_host;

    void fail(verb which, std::uint64_t nth, error why, bool for_good) {
        which_    = which;
        left_     = nth;
        why_      = why;
        for_good_ = for_good;
        failures  = 0;
    }
    void heal() { left_ = 0; }

    [[nodiscard]] result<relocation_scope> scope(std::uint64_t n) noexcept {
        if (due(verb::scope)) return why_;
        return fake_host::scope(n);
    }
    [[nodiscard]] result<std::optional<defrag_candidate>> next_candidate(relocation_cursor& cursor,
                                                                         candidate_request  wanted) noexcept {
        if (due(verb::candidate)) return why_;
        return fake_host::next_candidate(cursor, wanted);
    }
    [[nodiscard]] result<mapping_view> mapping(object_id id, logical_block first, block_count count,
                                               std::span<mapped_extent> out) noexcept {
        if (due(verb::mapping)) return why_;
        return fake_host::mapping(id, first, count, out);
    }
    [[nodiscard]] result<extent> reserve_target(target_request wanted) noexcept {
        if (due(verb::reserve)) return why_;
        return fake_host::reserve_target(wanted);
    }
    [[nodiscard]] result<> hold(extent e) noexcept {
        if (due(verb::hold)) return why_;
        return fake_host::hold(e);
    }
    [[nodiscard]] result<> read_blocks(extent e, std::span<std::byte> in) noexcept {
        if (due(verb::read)) return why_;
        return fake_host::read_blocks(e, in);
    }
    [[nodiscard]] result<> write_blocks(extent e, std::span<const std::byte> out) noexcept {
        if (due(verb::write)) return why_;
        return fake_host::write_blocks(e, out);
    }
    [[nodiscard]] result<bool> flip(object_id id, logical_block first, block_count count, std::uint64_t expected,
                                    extent target) noexcept {
        if (due(verb::flip)) return why_;
        return fake_host::flip(id, first, count, expected, target);
    }
    [[nodiscard]] result<> sync() noexcept {
        if (due(verb::sync)) return why_;
        return fake_host::sync();
    }

    std::uint64_t failures = 0;

  private:
    bool due(verb what) noexcept {
        if (what != which_ || left_ == 0) return false;
        if (left_ > 1) return --left_, false;
        if (!for_good_) left_ = 0;
        ++failures;
        return true;
    }

    verb          which_ = verb::scope;
    std::uint64_t left_  = 0;
    error         why_{};
    bool          for_good_ = false;
};

using untimed = defragmenter<failing_host, threshold_policy, no_throttle, no_clock>;
using timed   = defragmenter<failing_host, threshold_policy, no_throttle, hand_clock>;

defrag_options plain() {
    defrag_options options;
    options.threshold_permille = 1;
    options.cycle_blocks_max   = {0};
    options.window             = {16};
    options.extents_min        = 2;
    options.priority           = defrag_intensity::unpaced;
    options.chunk_bytes        = 4 * fake_host::block_bytes;
    options.pieces_max         = 20;
    options.candidates_max     = 8;
    options.set_aside_max      = 64;
    options.groups_max         = 2;
    return options;
}

template <class Defragmenter>
struct rig {
    explicit rig(const defrag_options& options)
        : memory(Defragmenter::memory_bytes(options, {fake_host::block_bytes})),
          worker{Defragmenter::create(options, {fake_host::block_bytes}, memory,
                                      threshold_policy{.extents_min = options.extents_min})
                     .value()} {}

    /// Steps until the pass is over or is given up; answers the first failure that a step said.
    error finish(failing_host& host, step_budget budget = {}) {
        error first;
        for (int steps = 0; steps < 10'000; ++steps) {
            const auto said = worker.step(host, budget);
            if (said.reasons.has(stop_reason::device_error) && first.code == errc::none) first = said.failure;
            if (said.reasons.has(stop_reason::finished)) return first;
            if (said.reasons.has(stop_reason::device_error) && !worker.status().running) return first;
            if constexpr (requires { worker.clock().time; }) {
                if (said.reasons.has(stop_reason::throttled)) worker.clock().time = said.not_before;
            }
        }
        ADD_FAILURE() << "the pass never ends";
        return first;
    }

    std::vector<std::byte> memory;
    Defragmenter           worker;
};

/// Three scattered objects and, at the end, whole extents between free runs; in groups of 64 blocks.
failing_host scattered() {
    failing_host host{256, 64};
    for (std::uint64_t o = 0; o < 3; ++o) {
        for (std::uint64_t i = 0; i < 5; ++i) host.add(o + 1, i * 2, 1 + (i * 3 + o) * 5, 2);
    }
    for (std::uint64_t i = 0; i < 4; ++i) host.add(10 + i, 0, 100 + i * 12, 3);
    return host;
}

/// Objects that grew in turns; no free run holds a range.
failing_host crowded() {
    failing_host  host{160, 80};
    std::uint64_t at = 0;
    for (std::uint64_t i = 0; i < 20; ++i) {
        for (std::uint64_t o = 1; o <= 2; ++o) {
            host.add(o, i * 2, at, 2);
            at += 3 + (i % 4 == 0 ? 2U : 0U);
        }
    }
    return host;
}

struct way {
    const char* name = "";
    failing_host (*build)();
    defrag_options options;
    void (*start)(untimed&);
};

std::vector<way> ways() {
    const auto pass   = [](untimed& worker) { worker.start_pass(); };
    auto       cycled = plain(), slow = plain(), proved = plain();
    cycled.cycle_blocks_max = {20};
    slow.priority           = defrag_intensity::low;
    proved.verify_target    = true;
    const auto groups       = [](untimed& worker) { worker.start_groups(); };
    return {{"a pass", scattered, plain(), pass},
            {"cycles", scattered, cycled, pass},
            {"one move a batch", scattered, slow, pass},
            {"proved", scattered, proved, pass},
            {"groups", scattered, plain(), groups},
            {"cycles of groups", scattered, cycled, groups},
            {"a group", scattered, plain(), [](untimed& worker) { worker.start_cycle(0); }},
            {"merging", scattered, plain(), [](untimed& worker) { worker.start_merging(); }},
            {"a crowded volume", crowded, plain(), pass},
            {"a crowded volume, one by one", crowded, slow, pass}};
}

TEST(DefragmenterFailures, AnyCallOfTheEngineMayFailAndTheNextPassDoesTheRest) {
    std::uint64_t runs = 0;
    for (const auto& one : ways()) {
        for (const auto which : every_verb) {
            for (const auto code : {errc::device_failed, errc::read_only, errc::busy, errc::not_found, errc::no_space,
                                    errc::journal_full}) {
                const bool fatal = code == errc::device_failed || code == errc::read_only;
                for (const bool for_good : {false, true}) {
                    for (std::uint64_t nth = 1; !testing::Test::HasFailure(); nth += nth < 6 ? 1 : nth / 3) {
                        auto         host   = one.build();
                        const auto   before = host.energy();
                        rig<untimed> r{one.options};
                        one.start(r.worker);
                        host.fail(which, nth, {code, block_index{7}}, for_good);
                        const auto failure = r.finish(host, {.blocks_max = 9, .candidates_max = 7});
                        const auto met     = host.failures;
                        host.heal();
                        ASSERT_TRUE(r.worker.recover(host).has_value());
                        EXPECT_TRUE(host.sync().has_value());
                        EXPECT_EQ(host.broken(), "") << one.name << ", call " << nth;
                        const bool copies =
                            which == verb::read || which == verb::write;  // they say which block of theirs
                        if (failure.code != errc::none && !copies) { EXPECT_EQ(failure.where, block_index{7}); }
                        if (fatal && for_good && met != 0 && which != verb::reserve && which != verb::mapping) {
                            EXPECT_EQ(failure.code, code) << one.name << ", call " << nth;
                        }
                        r.worker.forget_set_aside();
                        r.worker.start_pass();
                        EXPECT_EQ(r.finish(host).code, errc::none)
                            << one.name << ", call " << nth << " of " << static_cast<int>(which) << " with "
                            << message(code);
                        EXPECT_LT(host.energy(), before) << one.name;
                        for (std::uint64_t o = 1; o <= 3 && one.build == scattered; ++o)
                            EXPECT_EQ(host.pieces(o), 1U) << one.name << nth;
                        EXPECT_EQ(host.broken(), "");
                        if (met == 0) break;
                        ++runs;
                    }
                }
            }
        }
    }
    EXPECT_GT(runs, 500U);
}

TEST(DefragmenterFailures, ASyncThatFailsInAPauseOrACancelOrBeforeAnotherTaskIsSaid) {
    const error why{errc::read_only, block_index{9}};
    for (int how = 0; how < 3; ++how) {
        auto         host = scattered();
        rig<untimed> r{plain()};
        while (host.flips == 0) (void)r.worker.step(host, {.blocks_max = 3});
        host.fail(verb::sync, 1, why, false);
        if (how == 0) r.worker.pause();
        if (how == 1) r.worker.cancel();
        if (how == 2) r.worker.start_merging();
        const auto said = r.worker.step(host, {});
        EXPECT_EQ(said.reasons, stop_reasons{stop_reason::device_error}) << "neither paused nor cancelled";
        EXPECT_EQ(said.failure, why);
        EXPECT_EQ(r.worker.status().errors, 1U);
        EXPECT_FALSE(r.worker.status().running);
        r.worker.resume();
        EXPECT_EQ(r.finish(host).code, errc::none);
        EXPECT_EQ(host.broken(), "");
    }
}

TEST(DefragmenterFailures, RecoverSaysThatTheFlipsAreNotDurable) {
    auto         host = scattered();
    rig<untimed> r{plain()};
    while (host.flips == 0) (void)r.worker.step(host, {.blocks_max = 3});
    host.fail(verb::sync, 1, errc::device_failed, false);
    EXPECT_EQ(r.worker.recover(host).error().code, errc::device_failed);
    EXPECT_FALSE(r.worker.active());
}

TEST(DefragmenterFailures, AfterAFailureOfTheEngineThePassRestsForACycle) {
    auto       host = scattered();
    rig<timed> r{plain()};
    host.fail(verb::scope, 2, errc::device_failed, false);
    EXPECT_EQ(r.finish(host).code, errc::device_failed);
    const auto said = r.worker.step(host, {});
    EXPECT_EQ(said.reasons, stop_reason::throttled | stop_reason::nothing_to_gain);
    EXPECT_EQ(said.not_before.nanoseconds, plain().cycle_interval.nanoseconds);
    r.worker.clock().time = said.not_before;
    EXPECT_EQ(r.finish(host).code, errc::none);
    EXPECT_EQ(host.pieces(1), 1U);
}

TEST(DefragmenterRests, AfterAPassThatMovedSomethingItSaysOnlyThatItIsTooEarly) {
    auto       host = scattered();
    rig<timed> r{plain()};
    EXPECT_EQ(r.finish(host).code, errc::none);
    EXPECT_EQ(r.worker.step(host, {}).reasons, stop_reasons{stop_reason::throttled});
}

TEST(DefragmenterGroups, ACycleOfOneGroupThatIsSpentEndsThePass) {
    auto options                 = plain();
    options.cycle_blocks_max     = {12};
    options.compact_free_extents = false;
    for (const bool all : {false, true}) {
        auto         host = scattered();
        rig<untimed> r{options};
        all ? r.worker.start_groups() : r.worker.start_cycle(0);
        const auto races = [&, left = 1]() mutable {
            if (left-- > 0) host.overwrite(1, 3);  // the second copy is dearer than the cycle
        };
        host.on_flip = races;
        EXPECT_EQ(r.finish(host).code, errc::none);
        EXPECT_EQ(r.worker.lifetime().undone, 1U);
        EXPECT_GT(r.worker.lifetime().cycles_exhausted, 0U);
        if (!all) { EXPECT_EQ(r.worker.lifetime().cycles, 1U); }
        EXPECT_EQ(host.broken(), "");
    }
}

TEST(DefragmenterParts, APartThatThePolicyDoesNotWantIsNotMoved) {
    using choosy = defragmenter<fake_host, best_gain>;
    fake_host host{90};
    host.add(1, 0, 0, 18);
    for (std::uint64_t i = 0; i < 9; ++i) host.add(1, 18 + i * 2, 20 + 3 * i, 2);
    host.add(1, 36, 48, 18);
    host.add(2, 0, 66, 16);  // behind it the 8 blocks of the longest run: four pieces
    auto options                 = plain();
    options.window               = {64};
    options.compact_free_extents = false;
    for (const std::uint64_t least : {5U, 3U}) {
        std::vector<std::byte> memory(choosy::memory_bytes(options, {512}));
        auto                   worker = choosy::create(options, {512}, memory, {.reads_saved_min = least}).value();
        progress               said;
        do said = worker.step(host, {});
        while (!said.reasons.has(stop_reason::finished));
        EXPECT_EQ(host.flips != 0, least == 3) << least;
        EXPECT_EQ(said.reasons.has(stop_reason::nothing_to_gain), least == 5);
        EXPECT_EQ(host.broken(), "");
    }
}

// ---- plans
// -----------------------------------------------------------------------------------------------------------

TEST(DefragPlanFailures, AnyCallOfTheEngineMayFailAndNothingStaysReserved) {
    for (const auto group : {std::optional<std::uint64_t>{}, std::optional<std::uint64_t>{1}}) {
        auto         clean = scattered();
        rig<untimed> r{plain()};
        const auto   planned = r.worker.plan(clean, group).value();
        EXPECT_GT(planned.moves, 0U);
        for (const auto which : {verb::scope, verb::candidate, verb::mapping}) {
            std::uint64_t nth = 1;
            for (;; ++nth) {
                auto host = scattered();
                host.fail(which, nth, {errc::device_failed, block_index{3}}, false);
                const auto plan = r.worker.plan(host, group);
                EXPECT_EQ(host.broken(), "") << "call " << nth;
                if (host.failures == 0) {
                    ASSERT_TRUE(plan.has_value());
                    EXPECT_EQ(plan.value().moves, planned.moves);
                    break;
                }
                ASSERT_TRUE(plan.has_error());
                EXPECT_EQ(plan.error().where, block_index{3});
            }
            EXPECT_GT(nth, 2U);
        }
    }
}

TEST(DefragPlanFailures, OnACrowdedVolumeToo) {
    for (std::uint64_t nth = 1;; ++nth) {
        auto         host = crowded();
        rig<untimed> r{plain()};
        host.fail(verb::mapping, nth, {errc::device_failed, block_index{3}}, false);
        const auto plan = r.worker.plan(host);
        EXPECT_EQ(plan.has_error(), host.failures != 0);
        EXPECT_EQ(host.broken(), "");
        if (host.failures == 0) break;
    }
}

TEST(DefragPlanOfAGroup, CountsOnlyWhatHasAPieceInIt) {
    failing_host host{400, 100};
    for (std::uint64_t o = 0; o < 4; ++o) {
        for (std::uint64_t i = 0; i < 5; ++i) host.add(o + 1, i, o * 100 + 3 + i * 4, 1);
    }
    auto options                 = plain();
    options.compact_free_extents = false;
    rig<untimed> r{options};
    const auto   plan = r.worker.plan(host, 2).value();
    EXPECT_EQ(plan.moves, 1U);
    EXPECT_EQ(plan.blocks.value, 5U);
    EXPECT_EQ(plan.free_runs_before, 6U) << "of the group";
    EXPECT_EQ(r.worker.plan(host).value().moves, 4U);
    EXPECT_EQ(r.worker.plan(host, 9).error().code, errc::out_of_range);
}

TEST(DefragPlanOptions, WhatIsSwitchedOffIsNotPlanned) {
    auto host                   = scattered();
    auto options                = plain();
    options.relocate_fragmented = false;
    options.bytes_per_second    = 0;
    const auto merges           = rig<untimed>{options}.worker.plan(host).value();
    EXPECT_EQ(merges.extents_saved, 0U);
    EXPECT_GT(merges.merges, 0U);
    EXPECT_EQ(merges.time, duration{}) << "nothing says how fast";
    options.compact_free_extents = false;
    EXPECT_EQ(rig<untimed>{options}.worker.plan(host).value().moves, 0U);
    options.relocate_fragmented = true;
    EXPECT_EQ(rig<untimed>{options}.worker.plan(host).value().merges, 0U);
}

TEST(DefragPlanOptions, APassDoesOnlyWhatIsSwitchedOnOrAskedFor) {
    for (const bool compacts : {false, true}) {
        for (const bool relocates : {false, true}) {
            for (const bool only_merge : {false, true}) {
                auto host                    = scattered();
                auto options                 = plain();
                options.compact_free_extents = compacts;
                options.relocate_fragmented  = relocates;
                rig<untimed> r{options};
                if (only_merge) r.worker.start_merging();
                (void)r.finish(host);
                EXPECT_EQ(r.worker.lifetime().extents_merged != 0, compacts || only_merge);
                EXPECT_EQ(r.worker.lifetime().extents_saved != 0, relocates && !only_merge);
                EXPECT_EQ(host.broken(), "");
            }
        }
    }
}

TEST(DefragPlanOptions, ThePartThatFitsTheLongestRunIsPlanned) {
    failing_host host{90};
    host.add(1, 0, 0, 18);
    for (std::uint64_t i = 0; i < 9; ++i) host.add(1, 18 + i * 2, 20 + 3 * i, 2);
    host.add(1, 36, 48, 18);
    host.add(2, 0, 66, 16);  // behind it the 8 blocks of the longest run
    auto options                 = plain();
    options.window               = {64};
    options.compact_free_extents = false;
    const auto plan              = rig<untimed>{options}.worker.plan(host).value();
    EXPECT_EQ(plan.moves, 1U);
    EXPECT_EQ(plan.blocks.value, 8U);
    EXPECT_EQ(plan.extents_saved, 3U);
}

TEST(DefragPlanOptions, PiecesWithHolesBetweenThemGainNothing) {
    failing_host host{90};
    for (std::uint64_t i = 0; i < 4; ++i) host.add(1, i * 10, 5 + i * 10, 1);
    auto options                 = plain();
    options.compact_free_extents = false;
    const auto plan              = rig<untimed>{options}.worker.plan(host).value();
    EXPECT_EQ(plan.moves, 0U);
    EXPECT_EQ(plan.pinned, 0U);
    EXPECT_EQ(plan.without_room, 0U);
}

TEST(DefragPlanOptions, AWholeExtentThatFindsNoRoomIsCounted) {
    failing_host host{40};
    host.add(1, 0, 3, 30);  // longer than the runs beside it
    auto options    = plain();
    options.window  = {64};
    const auto plan = rig<untimed>{options}.worker.plan(host).value();
    EXPECT_EQ(plan.moves, 0U);
    EXPECT_EQ(plan.without_room, 1U);
}

/// A volume whose objects come and go while it is looked at: the first walk finds none.
struct busy_host : fake_host {
    using fake_host::fake_host;
    [[nodiscard]] result<std::optional<defrag_candidate>> next_candidate(relocation_cursor& cursor,
                                                                         candidate_request  wanted) noexcept {
        if (!shown) {
            shown = true;
            return std::optional<defrag_candidate>{};
        }
        return fake_host::next_candidate(cursor, wanted);
    }
    bool shown = false;
};

TEST(DefragmenterBesideOthers, ObjectsThatCameAfterTheMeasuringAreMovedAndNotCountedBelowNone) {
    using beside               = defragmenter<busy_host, threshold_policy>;
    auto options               = plain();
    options.threshold_permille = 0;
    std::vector<std::byte> memory(beside::memory_bytes(options, {512}));
    auto                   worker = beside::create(options, {512}, memory, {.extents_min = 2}).value();
    busy_host              host{128};
    for (std::uint64_t i = 0; i < 4; ++i) host.add(1, i, 3 + i * 4, 1);
    EXPECT_EQ(worker.plan(host).value().after.objects_permille, 0U);
    host.shown = false;
    for (int i = 0; i < 1000 && !worker.step(host, {}).reasons.has(stop_reason::finished); ++i) {}
    EXPECT_EQ(host.pieces(1), 1U);
    EXPECT_EQ(worker.last_cycle().objects_defragmented, 1U);
    EXPECT_EQ(worker.last_cycle().after.objects_permille, 0U);
    EXPECT_EQ(host.broken(), "");
}

// ---- parts
// -----------------------------------------------------------------------------------------------------------

TEST(CandidateSelection, LeavesWhatIsEmptyTooLongOrSetAside) {
    const auto             options = plain();
    const threshold_policy policy{.extents_min = 2};
    set_aside_range        memory[1];
    set_aside_list         aside{memory};
    const defrag_candidate good{.owner = {1}, .blocks = {8}, .extents = 4, .owner_extents = 4, .extents_ideal = 1};
    EXPECT_TRUE(selects(policy, options, aside, good));
    auto other   = good;
    other.blocks = {};
    EXPECT_FALSE(selects(policy, options, aside, other));
    other.blocks = {17};
    EXPECT_FALSE(selects(policy, options, aside, other)) << "longer than the window";
    other               = good;
    other.owner_extents = 1;
    EXPECT_FALSE(selects(policy, options, aside, other));
    aside.add({{1}, {2}, {1}, {}});
    EXPECT_FALSE(selects(policy, options, aside, good));
}

TEST(CandidateSelection, APieceOfAnObjectThatWillBePutTogetherStaysUnlessItIsCrowded) {
    auto                   options = plain();
    const threshold_policy policy{.extents_min = 2};
    const set_aside_list   aside;
    const defrag_candidate gap{.owner = {1}, .blocks = {2}, .extents = 1, .owner_extents = 4, .free_runs_merged = 1};
    EXPECT_FALSE(selects(policy, options, aside, gap)) << "it leaves its place anyway";
    EXPECT_TRUE(selects(policy, options, aside, gap, true));
    options.relocate_fragmented = false;
    EXPECT_TRUE(selects(policy, options, aside, gap));
    options.relocate_fragmented = true;
    auto whole                  = gap;
    whole.owner_extents         = 1;
    EXPECT_TRUE(selects(policy, options, aside, whole));
    options.extents_min = 1;
    EXPECT_TRUE(selects(policy, options, aside, whole)) << "not worth it to the policy as an object";
    whole.extents = 2;
    EXPECT_FALSE(selects(policy, options, aside, whole)) << "no whole extent";
}

/// A host that answers "nothing yet" for ever.
struct silent_host : fake_host {
    using fake_host::fake_host;
    [[nodiscard]] result<std::optional<defrag_candidate>> next_candidate(relocation_cursor&,
                                                                         candidate_request) noexcept {
        ++calls;
        if (fails) return errc::device_failed;
        if (ends) return std::optional<defrag_candidate>{};
        return std::optional{answer};
    }
    defrag_candidate answer{};
    bool             fails = false;
    bool             ends  = false;
};

TEST(CandidateWindow, AsksABoundedNumberOfTimesWhetherAGapStillStands) {
    silent_host                   host{64};
    std::vector<ranked_candidate> memory(4);
    candidate_window              window{memory};
    window.begin({candidate_kind::free_space_gap}, false);
    const defrag_candidate gap{.owner = {1}, .first = {3}, .blocks = {2}, .free_runs_merged = 1};
    EXPECT_FALSE(window.still_stands(host, gap).value());
    EXPECT_EQ(host.calls, 16U);
    host.answer = gap;
    EXPECT_TRUE(window.still_stands(host, gap).value());
    for (const auto& other : {defrag_candidate{.owner = {2}, .first = {3}, .blocks = {2}},
                              defrag_candidate{.owner = {1}, .first = {4}, .blocks = {2}},
                              defrag_candidate{.owner = {1}, .first = {3}, .blocks = {1}}}) {
        host.answer = other;
        EXPECT_FALSE(window.still_stands(host, gap).value());
    }
    host.ends = true;
    EXPECT_FALSE(window.still_stands(host, gap).value());
    host.fails = true;
    EXPECT_EQ(window.still_stands(host, gap).error().code, errc::device_failed);
    EXPECT_TRUE(window.still_stands(host, {.owner = {1}, .blocks = {1}}).value()) << "a range is not asked for";
}

TEST(CandidateWindow, WhatIsPutBackIsHandedOutBeforeTheWalkGoesOn) {
    silent_host                   host{64};
    std::vector<ranked_candidate> memory(1);
    candidate_window              window{memory};
    const threshold_policy        policy{.extents_min = 2};
    const set_aside_list          aside;
    std::uint64_t                 looks = 5;
    host.answer = {.owner = {1}, .blocks = {8}, .extents = 4, .owner_extents = 4, .extents_ideal = 1};
    window.begin({}, false);
    ASSERT_TRUE(window.collect(host, policy, plain(), aside, looks).value());
    EXPECT_EQ(looks, 4U);
    const auto best = window.best();
    window.put_back(best, 9);  // it is full: nothing is lost
    window.pop();
    EXPECT_TRUE(window.empty());
    window.put_back(best, 9);
    ASSERT_TRUE(window.collect(host, policy, plain(), aside, looks).value());
    EXPECT_EQ(looks, 4U) << "the host was not asked";
    window.owner_improved({1}, 9);
    EXPECT_EQ(window.best().owner_extents, 0U);
    window.pop();
    candidate_window without;
    without.put_back(best, 9);
    EXPECT_TRUE(without.empty()) << "there is no memory to keep it";
    looks = 0;
    EXPECT_FALSE(window.collect(host, policy, plain(), aside, looks).value());
}

TEST(RestOfACandidate, IsNeverLessThanNothing) {
    const auto rest = rest_of({.extents = 2, .owner_extents = 1, .reads_before = 3},
                              {.extents = 9, .extents_ideal = 1, .reads_before = 8, .reads_after = 1});
    EXPECT_EQ(rest.extents, 0U);
    EXPECT_EQ(rest.owner_extents, 0U);
    EXPECT_EQ(rest.reads_before, 0U);
}

TEST(TargetRehearsal, GivesAllBackWhenItsMemoryOrItsBlocksAreSpent) {
    fake_host           host{100};
    std::vector<extent> memory(2);
    target_rehearsal    rehearsal{memory};
    rehearsal.begin({20});
    const auto reserved = [&] { return std::count(host.uses.begin(), host.uses.end(), fake_host::use::reserved); };
    const target_request wanted{{0}, {8}, placement::near_goal};
    EXPECT_TRUE(rehearsal.place(host, wanted));
    EXPECT_TRUE(rehearsal.place(host, wanted));
    EXPECT_EQ(reserved(), 16);
    EXPECT_TRUE(rehearsal.place(host, {{0}, {1}, placement::near_goal}));
    EXPECT_EQ(reserved(), 1) << "there is no room for a third target";
    EXPECT_TRUE(rehearsal.place(host, {{0}, {20}, placement::near_goal}));
    EXPECT_EQ(reserved(), 20) << "21 would be too many";
    EXPECT_TRUE(rehearsal.place(host, {{0}, {30}, placement::near_goal}));
    EXPECT_EQ(reserved(), 0) << "more than may be kept at all: only whether there is room";
    EXPECT_FALSE(rehearsal.place(host, {{0}, {101}, placement::near_goal}));
    target_rehearsal without{{}};
    without.begin({20});
    EXPECT_TRUE(without.place(host, wanted));
    rehearsal.release(host);
    EXPECT_EQ(host.broken(), "");
}

TEST(SetAsideList, WithoutMemoryHoldsNothing) {
    set_aside_list none;
    none.add({{1}, {0}, {5}, {}});
    EXPECT_FALSE(none.holds({.owner = {1}, .blocks = {5}}));
    EXPECT_TRUE(none.ranges().empty());
}

TEST(DefragOptions, SmallMemoryIsRaisedToTheLeastThatWorks) {
    auto options           = plain();
    options.chunk_bytes    = 1;
    options.pieces_max     = 0;
    options.candidates_max = 0;
    options.set_aside_max  = 0;
    options.groups_max     = 0;
    options.transfers_max  = 0;
    auto larger            = options;
    larger.verify_target   = true;
    EXPECT_LT(untimed::memory_bytes(options, {512}), untimed::memory_bytes(larger, {512})) << "two blocks at least";
    EXPECT_LT(untimed::memory_bytes(options, {512}), untimed::memory_bytes(options, {65536}));
    for (const auto& one : {options, larger}) {
        auto         host = scattered();
        rig<untimed> r{one};
        EXPECT_EQ(r.finish(host).code, errc::none);
        for (std::uint64_t o = 1; o <= 3; ++o) EXPECT_LE(host.pieces(o), 2U);
        EXPECT_EQ(host.broken(), "");
    }
}

TEST(DefragOptions, ACycleShortensTheLongestRange) {
    auto options   = plain();
    options.window = {64};
    EXPECT_EQ(range_limit(options).value, 64U);
    options.cycle_blocks_max = {20};
    EXPECT_EQ(range_limit(options).value, 20U);
    options.cycle_blocks_max = {200};
    EXPECT_EQ(range_limit(options).value, 64U);
}

TEST(DefragOptions, AnIntensityThatIsNoneOfThemMovesOneExtentWithoutRests) {
    EXPECT_EQ(pace_of(static_cast<defrag_intensity>(99)), (defrag_pace{1, {}}));
}

TEST(SpaceMeter, OfAGroupIsDoneAfterItAlone) {
    auto        host = scattered();
    space_meter meter;
    meter.begin(1);
    std::uint64_t looks = 0;
    EXPECT_FALSE(meter.advance(host, looks).value());
    looks = 9;
    EXPECT_TRUE(meter.advance(host, looks).value());
    EXPECT_TRUE(meter.advance(host, looks).value());
    EXPECT_EQ(looks, 8U);
    EXPECT_EQ(meter.sums().free, host.scope(1).value().free.value);
}

}  // namespace defragmenter_failures_test
