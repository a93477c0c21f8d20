// The proof itself: a sound store passes it, and each planted defect is found, at the depth where it shows.

#include "../crash/crash_fixture.hpp"

#include <ashlar/testing/operation_sequences.hpp>

namespace ashlar::test {
namespace crash_proof_test {

/// A few operations of each kind.
template <class Store>
void work(crash_recorder<Store>& run) {
    const auto id = run.create().made;
    run.sync();
    run.begin();
    for (std::uint64_t i = 0; i < 12; ++i) {
        run.write(id, i * 400, pattern(900, i));
        run.append(run.root(), pattern(60, i));
        if (i % 4 == 1) run.transaction([&](auto& changes) { changes.write(changes.create(), 0, pattern(200, i)); });
        if (i % 3 == 2) run.sync();
    }
    run.checkpoint();
}

template <class Store = crash_store>
crash_setup<Store> small_setup() {
    const auto         usual = setup_of({.blocks = 480, .journal_blocks = 64});
    crash_setup<Store> setup;
    setup.block        = usual.block;
    setup.blocks       = usual.blocks;
    setup.format       = usual.format;
    setup.store.limits = usual.store.limits;
    setup.store.defrag = usual.store.defrag;
    setup.watch_order  = false;  // what is planted is to be found by its effect
    return setup;
}

constexpr crash_plan depth_0{.effort = {.random_max = 2}};
constexpr crash_plan depth_1{.states = {.one_in = 5}, .recoveries = {}};
constexpr crash_plan depth_2{.states = {.one_in = 40}, .recoveries = {}, .recoveries_of_recoveries = {.one_in = 10}};

template <class Store = crash_store>
crash_report prove(const crash_plan& plan, const crash_setup<Store>& setup = small_setup<Store>()) {
    return prove_crash_safety<Store>(
        setup, [](auto& run) { work(run); }, plan);
}

void expect_found(const crash_report& report, std::string_view words) {
    ASSERT_FALSE(report.findings.empty()) << "nothing is found in " << report.states << " states";
    EXPECT_NE(report.findings.front().find(words), std::string::npos) << report.findings.front();
}

TEST(CrashProof, ASoundStorePassesAtEveryDepth) {
    auto setup        = small_setup();
    setup.watch_order = true;
    auto report       = prove(depth_0, setup);
    EXPECT_TRUE(report.findings.empty()) << report.findings.front();
    EXPECT_GT(report.states, report.writes);
    EXPECT_GT(report.repeats, 0U);
    EXPECT_EQ(report.states_1, 0U);
    for (const auto& plan : {depth_1, depth_2}) {
        report = prove(plan, setup);
        EXPECT_TRUE(report.findings.empty()) << report.findings.front();
        EXPECT_GT(report.states_1, report.states);
        EXPECT_EQ(report.states_2 != 0, plan.recoveries_of_recoveries.one_in != 0);
    }
}

TEST(CrashProof, TheSameProofLooksAtTheSameStates) {
    const auto first = prove(depth_2), second = prove(depth_2);
    EXPECT_EQ(first.states, second.states);
    EXPECT_EQ(first.states_1, second.states_1);
    EXPECT_EQ(first.states_2, second.states_2);
    EXPECT_EQ(first.repeats, second.repeats);
}

TEST(CrashProof, SamplesOfOneSeedShareNoStateAndAreAllStatesTogether) {
    const auto whole = prove({.effort = {.random_max = 2}});
    auto       sum   = crash_report{};
    for (std::uint64_t which = 0; which < 7; ++which)
        sum.add(prove({.effort = {.random_max = 2}, .states = {.one_in = 7, .seed = 3, .which = which}}));
    EXPECT_GE(sum.states, whole.states);
    EXPECT_EQ(sum.states + sum.repeats, whole.states + whole.repeats);
}

// Devices that break their promises.
// ------------------------------------------------------------------------------------------------------------

/// Says that it synced, every other time.
struct sync_dropper {
    any_device*   below = nullptr;
    std::uint64_t syncs = 0;

    [[nodiscard]] device_geometry geometry() const noexcept { return below->geometry(); }
    [[nodiscard]] result<>        read(extent e, std::span<std::byte> in) noexcept { return below->read(e, in); }
    [[nodiscard]] result<> write(extent e, std::span<const std::byte> out) noexcept { return below->write(e, out); }
    [[nodiscard]] result<> sync() noexcept { return ++syncs % 2 == 0 ? success() : below->sync(); }
    [[nodiscard]] result<> trim(extent e) noexcept { return below->trim(e); }
};

/// Lets the newest write wait until the sync behind it has returned.
struct write_swapper {
    any_device* below = nullptr;
    extent      waits{};
    byte_vector bytes{};

    result<> release() {
        if (waits.empty()) return success();
        return below->write(std::exchange(waits, extent{}), bytes);
    }
    [[nodiscard]] device_geometry geometry() const noexcept { return below->geometry(); }
    [[nodiscard]] result<>        read(extent e, std::span<std::byte> in) noexcept {
               BOOST_OUTCOME_TRY(release());
               return below->read(e, in);
    }
    [[nodiscard]] result<> write(extent e, std::span<const std::byte> out) noexcept {
        BOOST_OUTCOME_TRY(release());
        waits = e;
        bytes.assign(out.begin(), out.end());
        return success();
    }
    [[nodiscard]] result<> sync() noexcept {
        BOOST_OUTCOME_TRY(below->sync());
        return release();
    }
    [[nodiscard]] result<> trim(extent e) noexcept { return below->trim(e); }
};

/// The planted device stands between the store and what is recorded.
template <class Device>
crash_report prove_on(Device& planted) {
    auto setup  = small_setup();
    setup.stack = [&](any_device& below) {
        planted.below = &below;
        return any_device{planted};
    };
    return prove(depth_0, setup);
}

TEST(CrashProofPlanted, ADeviceThatDropsSyncsIsFound) {
    sync_dropper planted;
    expect_found(prove_on(planted), "allowed are");
}

TEST(CrashProofPlanted, AWriteThatComesAfterItsSyncIsFound) {
    write_swapper planted;
    expect_found(prove_on(planted), "allowed are");
}

// Stores that break theirs.
// ------------------------------------------------------------------------------------------------------------

/// A sound store below a defect.
template <class Planted>
struct planted_store : crash_store {
    explicit planted_store(crash_store&& sound) noexcept : crash_store{std::move(sound)} {}

    static result<Planted> open(any_device device, options chosen) noexcept {
        BOOST_OUTCOME_TRY(auto opened, crash_store::open(device, std::move(chosen)));
        return Planted{std::move(opened)};
    }
};

struct sync_that_waits : planted_store<sync_that_waits> {
    using planted_store::planted_store;
    result<> sync() noexcept { return success(); }
};

struct write_in_halves : planted_store<write_in_halves> {
    using planted_store::planted_store;
    result<> write(object_id id, std::uint64_t offset, std::span<const std::byte> bytes) noexcept {
        const auto half = bytes.size() / 2;
        BOOST_OUTCOME_TRY(crash_store::write(id, offset, bytes.first(half)));
        BOOST_OUTCOME_TRY(crash_store::sync());
        return crash_store::write(id, offset + half, bytes.subspan(half));
    }
};

struct append_elsewhere : planted_store<append_elsewhere> {
    using planted_store::planted_store;
    result<std::uint64_t> append(object_id id, std::span<const std::byte> bytes) noexcept {
        BOOST_OUTCOME_TRY(const auto at, size(id));
        BOOST_OUTCOME_TRY(write(id, at + 1, bytes));
        return at + 1;
    }
};

struct commit_that_may_be_lost : planted_store<commit_that_may_be_lost> {
    using planted_store::planted_store;

    struct transaction : crash_store::transaction {
        explicit transaction(crash_store::transaction&& sound, crash_store& on) noexcept
            : crash_store::transaction{std::move(sound)}, store{&on} {}
        crash_store* store;
        result<>     commit() noexcept {  // the changes are made, but by nobody who syncs
            abort();
            return store->write(store->root(), 5000, pattern(10, 1));
        }
    };
    result<transaction> begin() noexcept {
        BOOST_OUTCOME_TRY(auto begun, crash_store::begin());
        return transaction{std::move(begun), *this};
    }
};

/// What it holds changes each time that it recovers: done again, its recovery comes to another end.
struct recovery_that_adds : planted_store<recovery_that_adds> {
    using planted_store::planted_store;
    static result<recovery_that_adds> open(any_device device, options chosen) noexcept {
        BOOST_OUTCOME_TRY(auto opened, planted_store::open(device, std::move(chosen)));
        if (opened.info().last.value > 4) { BOOST_OUTCOME_TRY(opened.put(opened.root(), 3000, pattern(1, 1))); }
        return opened;
    }
};

/// Takes both copies of the superblock away for a moment, from the recovery number `from` on that follows one another.
struct recovery_that_risks : planted_store<recovery_that_risks> {
    using planted_store::planted_store;
    static inline std::uint64_t from = 0;

    static result<recovery_that_risks> open(any_device device, options chosen) noexcept {
        BOOST_OUTCOME_TRY(auto opened, planted_store::open(device, std::move(chosen)));
        if (opened.info().epoch < from) return opened;
        const auto  size  = device.geometry().size;
        const auto  count = frame_blocks_of(size);
        byte_vector kept(static_cast<std::size_t>(bytes_of(count, size)));
        for (const bool restores : {false, true}) {
            for (const std::uint64_t copy : {0U, 4U}) {
                const extent home{frame_home(copy, size), count};
                if (!restores) { BOOST_OUTCOME_TRY(device.read(home, kept)); }
                BOOST_OUTCOME_TRY(device.write(home, restores ? kept : byte_vector(kept.size())));
            }
            BOOST_OUTCOME_TRY(device.sync());
        }
        return opened;
    }
};

TEST(CrashProofPlanted, ASyncThatOnlySaysSoIsFound) { expect_found(prove<sync_that_waits>(depth_0), "allowed are"); }
TEST(CrashProofPlanted, AWriteThatCanBeSeenHalfIsFound) {
    expect_found(prove<write_in_halves>(depth_0), "it holds what it never held");
}
TEST(CrashProofPlanted, AnAppendElsewhereIsFoundWithoutACut) {
    expect_found(prove<append_elsewhere>(depth_0), "it appended elsewhere");
}
TEST(CrashProofPlanted, ACommitThatDropsItsChangesIsFound) {
    EXPECT_FALSE(prove<commit_that_may_be_lost>(depth_0).findings.empty());
}
TEST(CrashProofPlanted, ARecoveryThatChangesWhatItFindsIsFound) {
    expect_found(prove<recovery_that_adds>(depth_0), "opened again it shows something else");
}

TEST(CrashProofPlanted, ARecoveryThatACutSpoilsIsFoundAtDepth1Alone) {
    recovery_that_risks::from = 0;
    const auto none           = prove<recovery_that_risks>(depth_0);
    EXPECT_TRUE(none.findings.empty()) << none.findings.front();
    expect_found(prove<recovery_that_risks>(depth_1), "it does not open");
}

TEST(CrashProofPlanted, ASecondRecoveryThatACutSpoilsIsFoundAtDepth2Alone) {
    crash_recorder<crash_store> fresh{small_setup()};
    recovery_that_risks::from = fresh.store().info().epoch + 2;
    const auto none           = prove<recovery_that_risks>(depth_1);
    EXPECT_TRUE(none.findings.empty()) << none.findings.front();
    const auto found = prove<recovery_that_risks>(depth_2);
    expect_found(found, "it does not open");
    EXPECT_GT(found.states_2, 0U);
}

// Sequences.
// ------------------------------------------------------------------------------------------------------------

TEST(OperationSequences, AreAllOfTheirLengthAndEachOnce) {
    const operation_sequences             pairs{2};
    std::set<std::vector<operation_verb>> seen;
    for (std::uint64_t i = 0; i < pairs.size(); ++i) seen.insert(pairs[i]);
    EXPECT_EQ(seen.size(), all_operation_verbs.size() * all_operation_verbs.size());
    EXPECT_EQ(operation_sequences{3}.size(), seen.size() * all_operation_verbs.size());
    EXPECT_EQ(text_of(pairs[1]), "write, overwrite");
    const std::array<operation_verb, 2> few{operation_verb::sync, operation_verb::trim};
    EXPECT_EQ((operation_sequences{3, few}.size()), 8U);
    EXPECT_EQ(text_of(operation_sequences{3, few}[6]), "trim, trim, sync");
}

/// Calls of each kind that one verb and a sync make of the device, after the preparation.
std::map<transfer_kind, int> calls_of(operation_verb one, std::uint64_t* extents = nullptr) {
    crash_record                 run{small_setup()};
    sequence_runner<crash_store> runner{run};
    runner.prepare();
    const auto before = run.store().info().extents;
    runner.run(std::array{one}, false);
    if (extents != nullptr) *extents = before - run.store().info().extents;
    const auto recording = run.finish();
    for (const auto& finding : recording.findings) ADD_FAILURE() << name_of(one) << ": " << finding;
    std::map<transfer_kind, int> calls;
    for (const auto& call : recording.calls) ++calls[call.kind];
    return calls;
}

TEST(OperationSequences, EachVerbDoesItsWork) {
    const std::set<operation_verb> quiet{operation_verb::sync, operation_verb::verify, operation_verb::maintain};
    for (const auto one : all_operation_verbs) {
        const auto calls = calls_of(one);
        EXPECT_TRUE(quiet.count(one) != 0 || calls.count(transfer_kind::write) != 0) << name_of(one);
        const bool trims = one == operation_verb::trim || one == operation_verb::trim_step;
        EXPECT_EQ(calls.count(transfer_kind::trim) != 0, trims) << name_of(one);
    }
    std::uint64_t merged = 0;
    calls_of(operation_verb::defragment, &merged);
    EXPECT_GT(merged, 0U) << "a step moves something";
}

}  // namespace crash_proof_test
}  // namespace ashlar::test
