// Stores of which one call fails or lies: what records them and what judges a state after a cut says so, whichever it
// is.

#include "../crash/crash_fixture.hpp"

#include <ashlar/testing/crash_judge.hpp>

namespace ashlar::test {
namespace crash_judge_test {

/// A sound store of which the n-th call fails, and as many behind it as are told.
struct failing_store : crash_store {
    explicit failing_store(crash_store&& sound) noexcept : crash_store{std::move(sound)} {}

    static inline std::uint64_t first = 0, count = 1, asked = 0;
    static inline errc          code     = errc::device_failed;
    static inline bool          finds    = false;  ///< The verifier and a repair find something.
    static inline bool          changes  = false;  ///< Each time that it is opened it holds something else.
    static inline std::uint64_t openings = 0;

    static void tell(std::uint64_t nth, errc what = errc::device_failed, std::uint64_t as_many = 1) {
        first = nth, code = what, count = as_many, asked = openings = 0, finds = changes = false;
    }
    static bool due() noexcept { return ++asked >= first && asked < first + count; }
    template <class Call>
    static auto tried(Call call) noexcept -> decltype(call()) {
        if (due()) return code;
        return call();
    }

    static result<failing_store> open(any_device device, options chosen) noexcept {
        if (due()) return code;
        BOOST_OUTCOME_TRY(auto opened, crash_store::open(device, std::move(chosen)));
        if (changes) { BOOST_OUTCOME_TRY(opened.put(opened.root(), 0, pattern(9, 70 + ++openings))); }
        return failing_store{std::move(opened)};
    }
    auto next_object(object_id at) noexcept {
        return tried([&] { return crash_store::next_object(at); });
    }
    auto size(object_id id) noexcept {
        return tried([&] { return crash_store::size(id); });
    }
    auto read(object_id id, std::uint64_t at, std::span<std::byte> in) noexcept {
        return tried([&] { return crash_store::read(id, at, in); });
    }
    template <class Sink>
    result<verify_report> verify(Sink sink) noexcept {
        if (due()) return code;
        if (finds) sink(verify_finding{});
        return crash_store::verify(sink);
    }
    template <class Sink>
    auto repair(Sink sink) noexcept {
        if (finds) sink(repair_finding{});
        return tried([&] { return crash_store::repair(sink); });
    }
    auto create() noexcept {
        return tried([&] { return crash_store::create(); });
    }
    auto write(object_id id, std::uint64_t at, std::span<const std::byte> bytes) noexcept {
        return tried([&] { return crash_store::write(id, at, bytes); });
    }
    auto append(object_id id, std::span<const std::byte> bytes) noexcept {
        return tried([&] { return crash_store::append(id, bytes); });
    }
    auto truncate(object_id id, std::uint64_t bytes) noexcept {
        return tried([&] { return crash_store::truncate(id, bytes); });
    }
    auto punch(object_id id, std::uint64_t at, std::uint64_t length) noexcept {
        return tried([&] { return crash_store::punch(id, at, length); });
    }
    auto erase(object_id id) noexcept {
        return tried([&] { return crash_store::erase(id); });
    }
    auto begin() noexcept {
        return tried([&] { return crash_store::begin(); });
    }
    auto sync() noexcept {
        return tried([&] { return crash_store::sync(); });
    }
    auto checkpoint() noexcept {
        return tried([&] { return crash_store::checkpoint(); });
    }
    auto maintain(step_budget budget) noexcept {
        return tried([&] { return crash_store::maintain(budget); });
    }
    auto trim(block_count most) noexcept {
        return tried([&] { return crash_store::trim(most); });
    }
    auto defragment(step_budget budget) noexcept {
        auto report = crash_store::defragment(budget);
        if (due()) report.failure = code;
        return report;
    }
    result<> close() noexcept {
        const auto done = crash_store::close();
        return due() ? result<>{code} : done;
    }
};

template <class Store>
crash_setup<Store> small_setup() {
    const auto         usual = setup_of({.blocks = 480, .journal_blocks = 64});
    crash_setup<Store> setup;
    setup.block        = usual.block;
    setup.blocks       = usual.blocks;
    setup.format       = usual.format;
    setup.store.limits = usual.store.limits;
    setup.store.defrag = usual.store.defrag;
    setup.watch_order  = false;
    return setup;
}

/// Each verb of a recorder once or twice.
template <class Store>
void work(crash_recorder<Store>& run) {
    const auto root = run.root();
    run.write(root, 0, pattern(900, 1));
    run.append(root, pattern(60, 2));
    run.sync();
    run.transaction([&](auto& changes) { changes.write(root, 3000, pattern(200, 3)); });
    run.punch(root, 100, 600);
    run.truncate(root, 2000);
    run.maintain();
    run.defragment();
    run.trim({64});
    run.checkpoint();
    run.verify();
    run.repair();
    run.kill();
    if (!run.is_open()) return;
    run.write(root, 0, pattern(40, 4));
    run.reopen();
    if (run.is_open()) run.erase(run.create().made);
}

template <class Store = failing_store>
std::vector<std::string> recorded() {
    crash_recorder<Store> run{small_setup<Store>()};
    if (run.is_open()) work(run);
    return run.finish().findings;
}

bool is_said(const std::vector<std::string>& findings, std::string_view words) {
    return std::any_of(findings.begin(), findings.end(),
                       [&](const auto& one) { return one.find(words) != std::string::npos; });
}

TEST(CrashRecorder, EveryCallThatFailsIsAFinding) {
    failing_store::tell(0, errc::none, 0);
    EXPECT_TRUE(recorded().empty());
    std::uint64_t nth = 1;
    for (;; ++nth) {
        failing_store::tell(nth);
        const auto findings = recorded();
        if (failing_store::asked < nth) break;
        EXPECT_FALSE(findings.empty()) << "call " << nth;
    }
    EXPECT_GT(nth, 25U);
}

TEST(CrashRecorder, WantOfRoomIsNoFindingWhereItIsAnExcuse) {
    for (const auto full :
         {errc::no_space, errc::reserve_only, errc::no_contiguous_space, errc::too_large, errc::pinned}) {
        failing_store::tell(0, full, 0);
        crash_recorder<failing_store> run{small_setup<failing_store>()};
        const auto                    next = [&] { failing_store::tell(1, full); };
        next();
        EXPECT_EQ(run.write(run.root(), 0, pattern(10, 1)).why.code, full);
        next();
        EXPECT_EQ(run.append(run.root(), pattern(10, 1)).why.code, full);
        next();
        EXPECT_EQ(run.create().why.code, full);
        failing_store::tell(0, full, 0);
        EXPECT_TRUE(run.finish().findings.empty()) << message(full);

        crash_recorder<failing_store> other{small_setup<failing_store>()};
        next();
        other.sync();
        failing_store::tell(0, full, 0);
        EXPECT_TRUE(is_said(other.finish().findings, "sync: ")) << "a full volume can be synced";
    }
}

TEST(CrashRecorder, WhatAVerifierOrARepairFindsIsAFinding) {
    failing_store::tell(0, errc::none, 0);
    failing_store::finds = true;
    const auto findings  = recorded();
    EXPECT_TRUE(is_said(findings, "verify: "));
    EXPECT_TRUE(is_said(findings, "repair: "));
}

TEST(CrashRecorder, ARecoveryThatComesToSomethingElseIsAFinding) {
    failing_store::tell(0, errc::none, 0);
    failing_store::changes = true;
    EXPECT_TRUE(is_said(recorded(), "after a kill: "));
    failing_store::tell(0, errc::none, 0);
}

TEST(CrashRecorder, AVolumeThatCanNotBeFormattedIsAFinding) {
    auto setup = small_setup<failing_store>();
    setup.format.label =
        std::string_view{"a label that is longer than any label that a superblock has room for, by far"};
    crash_recorder<failing_store> run{setup};
    EXPECT_FALSE(run.is_open());
    const auto findings = run.finish().findings;
    EXPECT_TRUE(is_said(findings, "format: "));
    EXPECT_TRUE(is_said(findings, "open: "));
}

// ---- the judge -----------------------------------------------------------------------------------------------------

class CrashJudge : public testing::Test {
  protected:
    CrashJudge() {
        failing_store::tell(0, errc::none, 0);
        crash_recorder<crash_store> run{small_setup<crash_store>()};
        run.write(run.root(), 0, pattern(900, 1));
        run.sync();
        recording_ = run.finish();
        EXPECT_TRUE(recording_.findings.empty());
        image_   = recording_.base;
        auto all = memory_device::lend(image_, {512}).value();
        for (const auto& call : recording_.calls) {
            if (call.kind == transfer_kind::write) { EXPECT_TRUE(all.write(call.blocks, call.data)); }
        }
    }
    ~CrashJudge() override { failing_store::tell(0, errc::none, 0); }

    std::string examined(std::uint64_t number, const crash_setup<failing_store>& setup = small_setup<failing_store>()) {
        auto                       copy  = image_;
        auto                       image = memory_device::lend(copy, {512}).value();
        crash_judge<failing_store> judge{setup};
        return judge.examine(image, recording_.history, recording_.calls.size(), number);
    }

    crash_recording        recording_;
    std::vector<std::byte> image_;
};

TEST_F(CrashJudge, EveryCallThatFailsIsNamedHoweverTheStateIsLookedAt) {
    for (const std::uint64_t number : {1U, 4U, 8U, 16U}) {
        EXPECT_EQ(examined(number), "");
        std::uint64_t nth = 1;
        for (;; ++nth) {
            failing_store::tell(nth);
            const auto said = examined(number);
            if (failing_store::asked < nth) break;
            EXPECT_NE(said, "") << "call " << nth << " of state " << number;
        }
        EXPECT_GT(nth, number == 1 ? 10U : 15U);
        failing_store::tell(0, errc::none, 0);
    }
}

TEST_F(CrashJudge, AFullVolumeIsWholeAsLongAsItCanBeMadeShorter) {
    for (const auto full : {errc::no_space, errc::reserve_only, errc::no_contiguous_space}) {
        std::uint64_t excused = 0;
        for (std::uint64_t nth = 1; nth < 15; ++nth) {
            failing_store::tell(nth, full);
            const bool is_excused = examined(1).empty();
            if (failing_store::asked < nth) break;
            excused += is_excused ? 1 : 0;
        }
        EXPECT_EQ(excused, 3U) << "create, write and append, and nothing else";
        bool is_named = false;
        for (std::uint64_t nth = 1; nth < 15; ++nth) {
            failing_store::tell(nth, full, 2);
            is_named = is_named || examined(1).find("truncate on a full volume") != std::string::npos;
        }
        EXPECT_TRUE(is_named);
    }
}

TEST_F(CrashJudge, AStateThatChangesWhenItIsOpenedAgainIsNamed) {
    failing_store::changes = true;
    EXPECT_NE(examined(1).find("it holds what it never held"), std::string::npos);
    recording_.history = store_history{digest_of(model_state{{1, pattern(1, 1)}})};
    failing_store::tell(0, errc::none, 0);
    EXPECT_NE(examined(1), "") << "another history";
}

/// Swallows the syncs of a sound store.
struct sync_swallower {
    any_device*                   below = nullptr;
    [[nodiscard]] device_geometry geometry() const noexcept { return below->geometry(); }
    [[nodiscard]] result<>        read(extent e, std::span<std::byte> in) noexcept { return below->read(e, in); }
    [[nodiscard]] result<> write(extent e, std::span<const std::byte> out) noexcept { return below->write(e, out); }
    [[nodiscard]] result<> sync() noexcept { return success(); }
    [[nodiscard]] result<> trim(extent e) noexcept { return below->trim(e); }
};

TEST_F(CrashJudge, InEverySixteenthStateTheOrderIsWatched) {
    sync_swallower swallower;
    auto           setup = small_setup<failing_store>();
    setup.stack          = [&](any_device& below) {
        swallower.below = &below;
        return any_device{swallower};
    };
    setup.watch_order = true;
    EXPECT_EQ(examined(8, setup), "") << "without a cut nothing shows";
    EXPECT_NE(examined(16, setup), "") << "but nothing was made durable";
}

}  // namespace crash_judge_test
}  // namespace ashlar::test
