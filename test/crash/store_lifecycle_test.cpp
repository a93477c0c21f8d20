#include "crash_fixture.hpp"

#include <ashlar/defrag_policy/best_gain.hpp>

namespace ashlar::test {
namespace {

constexpr crash_effort thorough{.random_max = 2, .single_max = 8, .tears_max = 16, .seed = 9};

void print(const char* what, std::uint64_t states) {
    std::printf("%s: %llu states\n", what, static_cast<unsigned long long>(states));
}

// C1: format.
// -----------------------------------------------------------------------------------------------------------

/// Cuts a format of `memory` everywhere. `old` is what the volume held before, if it was one.
void cut_format(memory_device& memory, const volume_shape& shape, const std::optional<model_state>& old) {
    const byte_vector base(memory.bytes().begin(), memory.bytes().end());
    recording_device  device{memory};
    any_device        ref{device};
    auto              options = shape.format(2);
    options.overwrite         = true;
    ASHLAR_ASSERT_OK(test_store::format(ref, options));
    int           failures   = 0;
    std::uint64_t opened_old = 0, opened_new = 0, refused = 0;
    const auto    states = crash_states(device.calls(), base, {shape.block_bytes}, thorough,
                                        [&](const crash_point& at, std::span<std::byte> image) {
                                         auto        lent = memory_device::lend(image, {shape.block_bytes});
                                         any_device  half{lent.value()};
                                         std::string problem;
                                         auto        opened = test_store::open(half, with());
                                         if (opened) {
                                             auto&      live   = opened.value();
                                             const bool is_new = live.info().volume == options.volume;
                                             if (is_new)
                                                 problem = difference(live, {{live.root().value, {}}});
                                             else if (!old)
                                                 problem = "a volume from nowhere";
                                             else
                                                 problem = difference(live, *old);
                                             if (problem.empty()) problem = findings_of(live);
                                             (is_new ? opened_new : opened_old) += 1;
                                             static_cast<void>(live.abandon());
                                         } else {
                                             ++refused;
                                             if (at.calls == device.calls().size() && at.choice.keep == unsynced::all)
                                                 problem = "a finished format does not open: " + said(opened);
                                         }
                                         if (problem.empty()) {
                                             if (const auto again = test_store::format(half, options); !again)
                                                 problem = "format again: " + said(again);
                                             auto fresh = test_store::open(half, with());
                                             if (!fresh) problem = "open after formatting again: " + said(fresh);
                                         }
                                         if (problem.empty()) return true;
                                         ADD_FAILURE() << problem << "; cut after call " << at.calls << " of "
                                                       << device.calls().size() << " keeping " << name_of(at.choice);
                                         return ++failures < 3;
                                     });
    EXPECT_GT(refused, 0U);
    EXPECT_GT(opened_new, 0U);
    EXPECT_EQ(opened_old > 0, old.has_value());
    print("format", states);
}

TEST(StoreLifecycle, C1FormatLeavesAVolumeOrNone) {
    for (const std::uint32_t block : {512U, 4096U}) {
        const volume_shape shape{.block_bytes = block, .blocks = 700, .journal_blocks = 64};
        auto               memory = make_memory(shape);
        cut_format(memory, shape, std::nullopt);
        random_bits{4}.fill(memory.bytes());
        cut_format(memory, shape, std::nullopt);
    }
}

TEST(StoreLifecycle, C1FormatOverAVolumeLeavesTheOldOneANewOneOrNone) {
    const volume_shape shape{.blocks = 1200, .journal_blocks = 64};
    auto               memory = make_memory(shape);
    format_on(memory, shape);
    auto                 live = opened_on(memory);
    scenario<test_store> runs{3, live.root()};
    for (int i = 0; i < 60; ++i) ASSERT_EQ(runs.step(live).why.code, errc::none);
    ASHLAR_ASSERT_OK(live.sync());
    static_cast<void>(live.abandon());
    cut_format(memory, shape, runs.state());
}

// C6: erase and truncate in steps.
// --------------------------------------------------------------------------------------

/// An object whose extents need many steps to free.
void scatter(test_store& live, object_id id, model_state& state, std::uint64_t extents, std::uint64_t seed) {
    for (std::uint64_t i = 0; i < extents; ++i) {
        const auto data = pattern(300, seed + i);
        ASHLAR_ASSERT_OK(live.write(id, i * 1024, data));
        model_write(state[id.value], i * 1024, data);
    }
}

TEST(StoreLifecycle, C6EraseAndTruncateInStepsResumeAfterACut) {
    recorded_volume volume{{.blocks = 2400, .journal_blocks = 128}};
    auto            live = volume.open();
    model_state     state{{live.root().value, {}}};
    const auto      first = live.create().value(), second = live.create().value();
    scatter(live, first, state, 260, 1000);
    scatter(live, second, state, 260, 2000);
    scatter(live, live.root(), state, 200, 3000);
    ASHLAR_ASSERT_OK(live.checkpoint());
    volume.begin(digest_of(state));
    const auto note = [&](bool durable, const char* name) { volume.note(digest_of(state), durable, name); };

    ASHLAR_ASSERT_OK(live.truncate(live.root(), 5000));
    state[live.root().value].resize(5000);
    note(false, "truncate");
    ASHLAR_ASSERT_OK(live.sync());
    note(true, "sync");
    auto tx = live.begin().value();
    ASHLAR_ASSERT_OK(tx.erase(first));
    ASHLAR_ASSERT_OK(tx.commit());
    state.erase(first.value);
    note(true, "erase in a transaction");
    for (int i = 0; i < 3; ++i) {
        ASHLAR_ASSERT_OK(ashlar::reap(live.volume()));
        ASHLAR_ASSERT_OK(live.sync());
        note(true, "step");
    }
    ASHLAR_ASSERT_OK(live.erase(second));
    state.erase(second.value);
    note(false, "erase");
    ASHLAR_ASSERT_OK(live.sync());
    note(true, "sync");
    ASHLAR_ASSERT_OK(live.truncate(live.root(), 90'000));
    state[live.root().value].resize(90'000);
    note(false, "grow");
    ASHLAR_ASSERT_OK(live.checkpoint());
    note(true, "checkpoint");
    while (live.volume().space.totals().dying_head != 0) ASHLAR_ASSERT_OK(live.maintain());
    ASHLAR_ASSERT_OK(live.sync());
    note(true, "all freed");
    EXPECT_EQ(findings_of(live), "");
    static_cast<void>(live.abandon());
    const auto log = volume.finish();
    print("erase", cut_everywhere(log, thorough));
    print("erase, recovery cut",
          cut_recovery_everywhere(log, {.random_max = 1, .single_max = 2, .tears_max = 2, .seed = 5}, 37));
}

TEST(StoreLifecycle, C2TheObjectTableGrowsWholeOrNotAtAll) {
    recorded_volume volume{{.blocks = 2000, .journal_blocks = 96}};
    auto            live = volume.open();
    model_state     state{{live.root().value, {}}};
    volume.begin(digest_of(state));
    const auto parts = live.volume().regions.object_parts().size();
    for (std::uint64_t i = 0; i < 120; ++i) {
        const auto made = live.create();
        ASHLAR_ASSERT_OK(made);
        state[made.value().value] = {};
        volume.note(digest_of(state), false, "create");
        if (i % 4 != 0) continue;
        ASHLAR_ASSERT_OK(live.put(made.value(), 0, pattern(30, i)));
        state[made.value().value] = pattern(30, i);
        volume.note(digest_of(state), true, "put");
    }
    EXPECT_GT(live.volume().regions.object_parts().size(), parts + 2);
    static_cast<void>(live.abandon());
    print("growing table", cut_everywhere(volume.finish(), thorough));
}

// C8: move.
// -------------------------------------------------------------------------------------------------------------

struct compacting : test_blueprint<> {
    using defrag = best_gain;
};
using compacting_store = store<compacting>;

TEST(StoreLifecycle, C8EachExtentOfAMoveIsReadableAtItsOldOrItsNewPlace) {
    recorded_volume volume{{.blocks = 2400, .journal_blocks = 96}};
    auto            chosen = with<compacting_store>();
    chosen.defrag          = eager_defragmenter();
    auto opened            = compacting_store::open(any_device{volume.device()}, chosen);
    ASHLAR_ASSERT_OK(opened);
    auto&                  live = opened.value();
    model_state            state{{live.root().value, {}}};
    std::vector<object_id> ids;
    for (int k = 0; k < 6; ++k) ids.push_back(live.create().value());
    for (std::uint64_t i = 0; i < 60; ++i) {  // interleaved, so that each object lies in many pieces
        for (const auto id : ids) {
            const auto data = pattern(512, i * 10 + id.value);
            ASHLAR_ASSERT_OK(live.append(id, data));
            auto& object = state[id.value];
            model_write(object, object.size(), data);
        }
    }
    ASHLAR_ASSERT_OK(live.erase(ids[2]));
    state.erase(ids[2].value);
    ASHLAR_ASSERT_OK(live.checkpoint());
    const auto before = live.info().extents;
    volume.begin(digest_of(state));
    for (int i = 0; i < 60; ++i) {
        const auto step = live.maintain({.blocks_max = 48});
        ASHLAR_ASSERT_OK(step);
        EXPECT_EQ(step.value().failure.code, errc::none) << message(step.value().failure.code);
        volume.note(digest_of(state), false, "step of defragmentation");
        if (i % 4 != 3) continue;
        const auto data = pattern(100, static_cast<std::uint64_t>(i));
        ASHLAR_ASSERT_OK(live.put(ids[0], 64 * static_cast<std::uint64_t>(i), data));
        model_write(state[ids[0].value], 64 * static_cast<std::uint64_t>(i), data);
        volume.note(digest_of(state), true, "overwrite of what may be moving");
    }
    ASHLAR_ASSERT_OK(live.sync());
    volume.note(digest_of(state), true, "sync");
    EXPECT_LT(live.info().extents, before) << "something moved";
    EXPECT_EQ(findings_of(live), "");
    static_cast<void>(live.abandon());
    const auto log = volume.finish();
    print("move", cut_everywhere(log, thorough));
    print("move, recovery cut",
          cut_recovery_everywhere(log, {.random_max = 1, .single_max = 2, .tears_max = 2, .seed = 6}, 41));
}

}  // namespace
}  // namespace ashlar::test
