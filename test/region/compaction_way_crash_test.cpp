// The power goes, or the device fails, while objects leave the way of a region and it moves there.

#include "../counts.hpp"
#include "way_fixture.hpp"

#include <ashlar/testing/crash_proof.hpp>
#include <ashlar/testing/faulty_device.hpp>

namespace ashlar::test {
namespace compaction_way_crash_test {

const volume_shape shape{.block_bytes = 512, .blocks = 1200, .journal_blocks = 96};

/// A region: above the objects with much between them, or so long that no window below it holds it, a few blocks above
/// them.
struct scene {
    std::uint64_t blocks;
    std::uint64_t gap;
};
constexpr scene far{80, 300};
constexpr scene close{400, 6};

/// Objects with trees, and a region above them.
template <class Store>
void fill(Store& live, store_model& model, const scene& chosen) {
    fill_by_turns(live, model, 4, 20, 512);
    ASHLAR_ASSERT_OK(live.checkpoint());
    const auto from = block_index{behind_objects(live) + chosen.gap};
    const auto name = store_regions{live}.add({logs, {chosen.blocks}, from});
    ASHLAR_ASSERT_OK(name);
    auto region = store_regions{live}.open(name.value()).value();
    ASHLAR_ASSERT_OK(region.write({{0}, {chosen.blocks}}, pattern(chosen.blocks, 512, 9)));
    ASHLAR_ASSERT_OK(region.sync());
    ASHLAR_ASSERT_OK(live.checkpoint());
}

/// Empty where all is as it was, wherever it lies.
std::string wrong_in(test_store& live, const model_state& state) {
    auto region = store_regions{live}.open({logs, 0});
    if (!region) return "the region is gone: " + said(region);
    const auto bytes = read_all(region.value());
    if (bytes != pattern(bytes.size() / 512, 512, 9)) return "the region holds something else";
    if (auto other = difference(live, state); !other.empty()) return other;
    return findings_of(live);
}

progress compact(test_store& live) {
    auto     compacting = way_task::open(live, clearing()).value();
    progress said;
    for (int i = 0; i < 2000; ++i) {
        said = compacting.step({.blocks_max = 40, .candidates_max = 16});
        if (said.reasons != stop_reason::budget_spent) return said;
    }
    ADD_FAILURE() << "it spins";
    return said;
}

block_index place_of_region(test_store& live) { return store_regions{live}.find({logs, 0}).value().place.first; }

void cut_and_look(const scene& chosen, crash_effort effort) {
    crash_setup<test_store> made;
    made.blocks = {shape.blocks};
    made.format = shape.format();
    made.store  = with<test_store>();
    crash_recorder<test_store> run{made};
    fill(run.store(), run.model(), chosen);
    run.checkpoint();
    const auto state  = run.model().state();
    const auto lowest = lowest_places(run.store(), {chosen.blocks})[0];
    const auto before = place_of_region(run.store());
    run.begin();
    EXPECT_TRUE(compact(run.store()).reasons.has(stop_reason::finished));
    EXPECT_EQ(place_of_region(run.store()), lowest);
    run.sync();
    const auto    recording = run.finish();
    std::uint64_t at_old = 0, at_new = 0;
    const auto    states = crash_states(
           recording.calls, recording.base, {512}, effort, [&](const crash_point& at, std::span<std::byte> image) {
            auto lent   = memory_device::lend(image, {512}).value();
            auto opened = test_store::open(any_device{lent}, with<test_store>());
            EXPECT_TRUE(opened) << said(opened);
            if (!opened) return false;
            auto& live = opened.value();
            EXPECT_EQ(wrong_in(live, state), "") << "cut after " << at.calls;
            (place_of_region(live) == before ? at_old : at_new) += 1;
            EXPECT_TRUE(compact(live).reasons.has(stop_reason::finished)) << "cut after " << at.calls;
            EXPECT_EQ(place_of_region(live), lowest) << "cut after " << at.calls;
            EXPECT_EQ(wrong_in(live, state), "") << "cut after " << at.calls << ", and compacted";
            static_cast<void>(live.abandon());
            return !testing::Test::HasFailure();
        });
    EXPECT_GT(states, 200U);
    EXPECT_GT(at_old, 50U);
    EXPECT_GT(at_new, 2U);
    count("crash states of ways that are cleared", states);
}

TEST(CompactionWayCrash, WhereverItIsCutAllIsWholeAndANewRunEndsAtTheLowestPlace) {
    cut_and_look(far, {.random_max = 2, .single_max = 2, .tears_max = 2});
}

TEST(CompactionWayCrash, WhereverTheWideningOfAGapOrTheSlideIntoItIsCutAllIsWhole) {
    cut_and_look(close, {.random_max = 1, .single_max = 1, .tears_max = 2});
}

/// The n-th call of a kind fails, once or from then on; answers whether it came to that.
bool fail_at(transfer_kind kind, std::uint64_t nth, fault_lasts lasts, const scene& chosen) {
    auto          memory = make_memory(shape);
    faulty_device faulty{memory};
    format_on(faulty, shape);
    auto        live = opened_on(faulty);
    store_model model{live.root()};
    fill(live, model, chosen);
    static_cast<void>(live.abandon());
    live = opened_on(faulty);  // and knows nothing of what it would have to read
    faulty.fail(kind, nth, lasts);
    const auto said   = compact(live);
    const bool failed = faulty.failures() != 0;
    if (!failed) { EXPECT_TRUE(said.reasons.has(stop_reason::finished)); }
    static_cast<void>(live.abandon());
    faulty.heal();
    auto again = opened_on(faulty);
    EXPECT_EQ(wrong_in(again, model.state()), "") << "call " << nth;
    EXPECT_TRUE(compact(again).reasons.has(stop_reason::finished)) << "call " << nth;
    EXPECT_EQ(place_of_region(again), lowest_places(again, {chosen.blocks})[0]) << "call " << nth;
    EXPECT_EQ(wrong_in(again, model.state()), "") << "call " << nth;
    return failed;
}

void fail_each(const scene& chosen) {
    std::uint64_t failures = 0;
    for (const auto kind : {transfer_kind::read, transfer_kind::write, transfer_kind::sync}) {
        for (const auto lasts : {fault_lasts::once, fault_lasts::for_good}) {
            const std::uint64_t step = kind == transfer_kind::sync ? 1 : 5;
            for (std::uint64_t nth = 1; fail_at(kind, nth, lasts, chosen); nth += step) {
                ++failures;
                ASSERT_FALSE(testing::Test::HasFailure());
            }
        }
    }
    EXPECT_GT(failures, 40U);
}

TEST(CompactionWayFaults, AnyReadWriteOrSyncMayFail) { fail_each(far); }
TEST(CompactionWayFaults, AnyReadWriteOrSyncMayFailWhileAGapIsWidened) { fail_each(close); }

}  // namespace compaction_way_crash_test
}  // namespace ashlar::test
