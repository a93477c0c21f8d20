// The store as the first host of the defragmenter: plans, moves, throttles, trims, reports and ranges.

#include "store_fixture.hpp"

#include <ashlar/defrag_policy/best_gain.hpp>
#include <ashlar/defrag_policy/threshold_policy.hpp>
#include <ashlar/testing/manual_clock.hpp>
#include <ashlar/throttle/token_bucket.hpp>

#include <range/v3/algorithm/count_if.hpp>
#include <range/v3/range/conversion.hpp>
#include <range/v3/view/transform.hpp>

namespace ashlar::test {
namespace store_defragment_test {

struct gaining : test_blueprint<> {
    using defrag = best_gain;
};
struct thresholded : test_blueprint<> {
    using defrag = threshold_policy;
};
struct throttled : test_blueprint<> {
    using defrag   = best_gain;
    using throttle = token_bucket;
    using clock    = manual_clock;
};

constexpr volume_shape shape{.block_bytes = 4096, .blocks = 24'000, .journal_blocks = 256};

/// Everything at full speed: the tests drive by steps.
template <class Store>
typename Store::options eager() {
    typename Store::options chosen;
    chosen.limits.cache_blocks       = 256;
    chosen.defrag.threshold_permille = 0;
    chosen.defrag.cycle_blocks_max   = {0};
    chosen.defrag.cycle_interval     = {};
    chosen.defrag.priority           = defrag_intensity::unpaced;
    return chosen;
}

/// Objects whose pieces lie between each other's: the appends take turns.
template <class Store>
model_state age(Store& opened, std::uint64_t objects, std::uint64_t rounds, std::uint64_t seed) {
    model_state            model;
    std::vector<object_id> ids;
    random_bits            bits{seed};
    for (std::uint64_t i = 0; i < objects; ++i) {
        const auto id = opened.create();
        EXPECT_TRUE(id) << said(id);
        ids.push_back(id.value());
        model[id.value().value] = {};
    }
    model[opened.root().value] = {};
    for (std::uint64_t round = 0; round < rounds; ++round) {
        for (const auto id : ids) {
            const auto bytes = pattern(shape.block_bytes * (1 + bits.next() % 3), bits.next());
            const auto wrote = opened.append(id, bytes);
            EXPECT_TRUE(wrote) << said(wrote);
            auto& object = model[id.value];
            object.insert(object.end(), bytes.begin(), bytes.end());
        }
        ASHLAR_EXPECT_OK(opened.sync());
    }
    return model;
}

template <class Store>
void expect_whole(Store& opened, const model_state& model) {
    EXPECT_EQ(difference(opened, model), "");
    const auto report = opened.verify([](const verify_finding& found) {
        ADD_FAILURE() << "finding " << static_cast<int>(found.problem) << " at block " << found.block.value;
    });
    ASHLAR_EXPECT_OK(report);
}

/// Drives a pass to its end; answers the reasons of the last step.
template <class Store>
progress drive(Store& opened, step_budget budget = {.blocks_max = 512, .candidates_max = 512}) {
    progress said_last;
    for (int i = 0; i < 100'000; ++i) {
        said_last      = opened.defragment(budget);
        const auto why = said_last.reasons;
        if (why.has(stop_reason::finished) || why.has(stop_reason::nothing_to_gain) ||
            why.has(stop_reason::device_error))
            break;
    }
    return said_last;
}

TEST(StoreDefragment, PutsScatteredObjectsTogetherAndChangesNoByte) {
    auto memory = make_memory(shape);
    format_on<store<gaining>>(memory, shape);
    checked_memory watched{memory};
    auto           opened = store<gaining>::open(any_device{watched}, eager<store<gaining>>());
    ASHLAR_ASSERT_OK(opened);
    auto&      volume = opened.value();
    const auto model  = age(volume, 40, 60, 1);
    const auto before = volume.fragmentation();
    ASHLAR_ASSERT_OK(before);
    EXPECT_GT(before.value().object_permille, 900U);

    volume.defragmenter().start_pass();
    const auto last = drive(volume);
    EXPECT_TRUE(last.reasons.has(stop_reason::finished));
    const auto after = volume.fragmentation();
    ASHLAR_ASSERT_OK(after);
    EXPECT_LT(after.value().object_permille, 50U);
    EXPECT_LT(after.value().extents, before.value().extents / 10);
    EXPECT_GT(volume.defragmenter().lifetime().objects_defragmented, 35U);
    expect_whole(volume, model);
    expect_order(watched);

    // A second pass finds nothing: moving ends.
    volume.defragmenter().start_pass();
    const auto again = drive(volume);
    EXPECT_EQ(again.moved.value, 0U);
    EXPECT_TRUE(again.reasons.has(stop_reason::nothing_to_gain));
    ASHLAR_EXPECT_OK(volume.close());
}

TEST(StoreDefragment, DoesWithinFivePercentWhatItsPlanSays) {
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
        auto memory = make_memory(shape);
        format_on<store<gaining>>(memory, shape);
        auto opened = store<gaining>::open(any_device{memory}, eager<store<gaining>>());
        ASHLAR_ASSERT_OK(opened);
        auto&      volume = opened.value();
        const auto model  = age(volume, 30, 40, seed);
        const auto plan   = volume.plan_defragmentation();
        ASHLAR_ASSERT_OK(plan);
        EXPECT_GT(plan.value().moves, 20U);
        volume.defragmenter().start_pass();
        static_cast<void>(drive(volume));
        const auto& did = volume.defragmenter().lifetime();
        EXPECT_NEAR(static_cast<double>(did.moves), static_cast<double>(plan.value().moves),
                    static_cast<double>(plan.value().moves) * 0.05);
        EXPECT_NEAR(static_cast<double>(did.bytes_moved), static_cast<double>(plan.value().bytes_written),
                    static_cast<double>(plan.value().bytes_written) * 0.05);
        expect_whole(volume, model);
        static_cast<void>(volume.abandon());
    }
}

/// Fills the volume until little is free, in runs shorter than any range that a pass would move: what grew in turns
/// stays, small objects between it are erased.
template <class Store>
model_state crowd(Store& opened, std::uint64_t percent, std::uint64_t seed) {
    model_state            model;
    std::vector<object_id> kept, erased;
    random_bits            bits{seed};
    model[opened.root().value] = {};
    const auto grow            = [&](object_id id, std::uint64_t blocks) {
        const auto bytes = pattern(shape.block_bytes * blocks, bits.next());
        if (!opened.append(id, bytes)) return false;
        model[id.value].insert(model[id.value].end(), bytes.begin(), bytes.end());
        return true;
    };
    const auto make = [&](std::vector<object_id>& among) {
        const auto id = opened.create();
        EXPECT_TRUE(id) << said(id);
        among.push_back(id.value());
        model[id.value().value] = {};
    };
    for (std::uint64_t i = 0; i < 12; ++i) make(kept);
    const auto    all   = opened.fragmentation().value().free.value;
    std::uint64_t holes = 0;
    for (bool room = true; room;) {
        for (std::uint64_t i = 0; i < kept.size() && room; ++i) room = grow(kept[i], 1 + bits.below(3));
        if (room && holes * 100 < (all - opened.fragmentation().value().free.value) * (100 - percent)) {
            make(erased);
            const auto blocks = 10 + bits.below(80);
            room              = grow(erased.back(), blocks);
            holes += blocks;
        }
        EXPECT_TRUE(opened.sync());
    }
    for (const auto id : erased) {
        EXPECT_TRUE(opened.erase(id));
        model.erase(id.value);
    }
    EXPECT_TRUE(opened.sync());
    return model;
}

struct crowded_volume {
    std::uint64_t percent       = 0;
    std::uint64_t left_permille = 0;  ///< Of the pieces, at most.
};

class StoreOnACrowdedVolume : public testing::TestWithParam<crowded_volume> {};

TEST_P(StoreOnACrowdedVolume, EndsInFewerPiecesAndVerifies) {
    auto memory = make_memory(shape);
    using kept  = store<thresholded>;
    format_on<kept>(memory, shape);
    auto opened = kept::open(any_device{memory}, eager<kept>());
    ASHLAR_ASSERT_OK(opened);
    auto&      volume = opened.value();
    const auto model  = crowd(volume, GetParam().percent, 7);
    static_cast<void>(volume.maintain({.blocks_max = 0}));
    const auto before = volume.fragmentation();
    ASHLAR_ASSERT_OK(before);
    ASSERT_LT(before.value().largest_free.value, 512U) << "no run holds a range";

    volume.defragmenter().start_pass();
    const auto last  = drive(volume);
    const auto after = volume.fragmentation();
    ASHLAR_ASSERT_OK(after);
    EXPECT_TRUE(last.reasons.has(stop_reason::finished));
    EXPECT_FALSE(last.reasons.has(stop_reason::nothing_to_gain));
    EXPECT_LT(after.value().extents * 1000, before.value().extents * GetParam().left_permille);
    expect_whole(volume, model);
    volume.defragmenter().start_pass();
    EXPECT_TRUE(drive(volume).reasons.has(stop_reason::nothing_to_gain));
    ASHLAR_EXPECT_OK(volume.close());
}
// Seen: 10484 -> 116, 11094 -> 7513 and 11312 -> 9480 pieces.
INSTANTIATE_TEST_SUITE_P(PercentInUse, StoreOnACrowdedVolume,
                         testing::Values(crowded_volume{90, 30}, crowded_volume{95, 750}, crowded_volume{97, 880}));

TEST(StoreDefragment, AWriteDuringAMoveWinsAndNothingIsLost) {
    auto memory = make_memory(shape);
    format_on<store<gaining>>(memory, shape);
    checked_memory watched{memory};
    auto           chosen     = eager<store<gaining>>();
    chosen.defrag.chunk_bytes = 16 * 1024;
    auto opened               = store<gaining>::open(any_device{watched}, chosen);
    ASHLAR_ASSERT_OK(opened);
    auto&       volume = opened.value();
    auto        model  = age(volume, 12, 60, 4);
    random_bits bits{5};
    volume.defragmenter().start_pass();
    for (int i = 0; i < 20'000; ++i) {
        const auto step = volume.defragment({.blocks_max = 5, .candidates_max = 64});
        if (step.reasons.has(stop_reason::finished) || step.reasons.has(stop_reason::nothing_to_gain)) break;
        auto object = model.begin();
        std::advance(object, static_cast<long>(bits.next() % model.size()));
        const auto bytes  = pattern(700 + bits.next() % 5000, bits.next());
        const auto offset = bits.next() % (object->second.size() + 1);
        ASHLAR_ASSERT_OK(volume.write({object->first}, offset, bytes));
        model_write(object->second, offset, bytes);
    }
    EXPECT_GT(volume.defragmenter().lifetime().races, 0U) << "no move met a write: the test proves nothing";
    EXPECT_GT(volume.defragmenter().lifetime().moves, 0U);
    expect_whole(volume, model);
    expect_order(watched);
    ASHLAR_EXPECT_OK(volume.close());
}

TEST(StoreDefragment, PausedResumedAndCancelledAtEveryStepItStaysWhole) {
    auto memory = make_memory(shape);
    format_on<store<thresholded>>(memory, shape);
    auto opened = store<thresholded>::open(any_device{memory}, eager<store<thresholded>>());
    ASHLAR_ASSERT_OK(opened);
    auto&      volume = opened.value();
    const auto model  = age(volume, 10, 30, 7);
    for (int i = 0; i < 60; ++i) {
        volume.defragmenter().start_pass();
        for (int steps = 0; steps < i; ++steps)
            static_cast<void>(volume.defragment({.blocks_max = 8, .candidates_max = 8}));
        if (i % 2 == 0) {
            volume.defragmenter().pause();
            EXPECT_TRUE(volume.defragment().reasons.has(stop_reason::paused));
            EXPECT_TRUE(volume.defragmenter().status().paused);
            volume.defragmenter().resume();
        } else {
            volume.defragmenter().cancel();
            EXPECT_TRUE(volume.defragment().reasons.has(stop_reason::cancelled));
        }
    }
    expect_whole(volume, model);
    ASHLAR_EXPECT_OK(volume.close());
}

TEST(StoreDefragment, ThrottledItSaysWhenAndKeepsTheRate) {
    auto memory = make_memory(shape);
    format_on<store<throttled>>(memory, shape);
    manual_clock clock;
    auto         chosen = eager<store<throttled>>();
    chosen.clock        = clock;
    chosen.throttle     = {.bytes_per_second      = 1'000'000,
                           .operations_per_second = 0,
                           .bytes_in_flight_max   = 64 * 1024,
                           .burst                 = 64 * 1024};
    auto opened         = store<throttled>::open(any_device{memory}, chosen);
    ASHLAR_ASSERT_OK(opened);
    auto&      volume = opened.value();
    const auto model  = age(volume, 10, 30, 11);
    const auto begin  = clock.now();
    volume.defragmenter().start_pass();
    std::uint64_t waits = 0;
    progress      step;
    for (int i = 0; i < 100'000; ++i) {
        step = volume.defragment({.blocks_max = 4096, .candidates_max = 4096});
        if (step.reasons.has(stop_reason::finished) || step.reasons.has(stop_reason::nothing_to_gain)) break;
        if (step.reasons.has(stop_reason::throttled)) {
            ++waits;
            ASSERT_GT(step.not_before, clock.now());
            clock.advance(step.not_before - clock.now());
        }
    }
    const auto copied  = volume.defragmenter().lifetime().blocks_copied.value * shape.block_bytes;
    const auto seconds = static_cast<double>((clock.now() - begin).nanoseconds) / 1e9;
    EXPECT_GT(waits, 10U);
    EXPECT_GT(copied, 1'000'000U);
    EXPECT_LE(static_cast<double>(copied), 1'000'000.0 * seconds + 2.0 * 64 * 1024);
    expect_whole(volume, model);
    static_cast<void>(volume.abandon());
}

TEST(StoreDefragment, APinnedExtentIsReportedAndStays) {
    auto memory = make_memory(shape);
    format_on<store<gaining>>(memory, shape);
    auto opened = store<gaining>::open(any_device{memory}, eager<store<gaining>>());
    ASHLAR_ASSERT_OK(opened);
    auto&           volume = opened.value();
    const auto      model  = age(volume, 6, 40, 13);
    const object_id pinned{model.rbegin()->first};
    ASHLAR_ASSERT_OK(volume.pin(pinned, 0, 10 * shape.block_bytes));
    const auto place = volume.next_extent(pinned, {0});
    ASHLAR_ASSERT_OK(place);
    volume.defragmenter().start_pass();
    static_cast<void>(drive(volume));
    const auto later = volume.next_extent(pinned, {0});
    ASHLAR_ASSERT_OK(later);
    EXPECT_EQ(later.value()->physical, place.value()->physical);
    EXPECT_EQ(code_of(volume.write(pinned, 0, pattern(10, 1))), errc::pinned);
    ASHLAR_EXPECT_OK(volume.unpin(pinned, 0, 10 * shape.block_bytes));
    expect_whole(volume, model);
    static_cast<void>(volume.abandon());
}

TEST(StoreDefragment, MaintainFreesWhatWasErasedAndConfirmsAnIdleStore) {
    auto memory = make_memory(shape);
    format_on<store<gaining>>(memory, shape);
    auto opened = store<gaining>::open(any_device{memory}, eager<store<gaining>>());
    ASHLAR_ASSERT_OK(opened);
    auto& volume = opened.value();
    auto  model  = age(volume, 8, 30, 17);
    ASHLAR_ASSERT_OK(volume.erase({model.rbegin()->first}));
    model.erase(std::prev(model.end()));
    ASHLAR_ASSERT_OK(volume.sync());
    EXPECT_LT(volume.info().confirmed, volume.info().last);
    for (int i = 0; i < 1000; ++i) {
        const auto step = volume.maintain({.blocks_max = 256, .candidates_max = 256});
        ASHLAR_ASSERT_OK(step);
        if (step.value().reasons.has(stop_reason::nothing_to_gain)) break;
    }
    ASHLAR_ASSERT_OK(volume.sync());
    ASHLAR_ASSERT_OK(volume.maintain());
    EXPECT_EQ(volume.info().confirmed, volume.info().last);
    expect_whole(volume, model);
    ASHLAR_EXPECT_OK(volume.close());
}

TEST(StoreTrim, EveryFreeBlockIsTrimmedOnceAndKnownAfterReopening) {
    auto memory = make_memory(shape);
    format_on<store<gaining>>(memory, shape);
    checked_memory watched{memory};
    auto           opened = store<gaining>::open(any_device{watched}, eager<store<gaining>>());
    ASHLAR_ASSERT_OK(opened);
    auto       volume = std::move(opened).value();
    const auto model  = age(volume, 20, 20, 19);
    ASHLAR_ASSERT_OK(volume.checkpoint());
    std::uint64_t blocks = 0;
    for (int i = 0; i < 10'000; ++i) {
        const auto step = volume.trim({500});
        ASHLAR_ASSERT_OK(step);
        EXPECT_LE(step.value().blocks.value, 500U);
        blocks += step.value().blocks.value;
        if (step.value().finished) break;
    }
    EXPECT_EQ(blocks, volume.info().free.value);
    expect_whole(volume, model);
    ASHLAR_ASSERT_OK(volume.close());

    auto again = store<gaining>::open(any_device{watched}, eager<store<gaining>>());
    ASHLAR_ASSERT_OK(again);
    const auto step = again.value().trim({1000});
    ASHLAR_ASSERT_OK(step);
    EXPECT_EQ(step.value().runs, 0U);
    EXPECT_TRUE(step.value().finished);
    ASHLAR_ASSERT_OK(again.value().write(again.value().root(), 0, pattern(5 * shape.block_bytes, 3)));
    ASHLAR_ASSERT_OK(again.value().truncate(again.value().root(), 0));
    ASHLAR_ASSERT_OK(again.value().checkpoint());
    const auto more = again.value().trim({1000});
    ASHLAR_ASSERT_OK(more);
    EXPECT_EQ(more.value().blocks.value, 5U) << "only what was in use since then";
    expect_order(watched);
    static_cast<void>(again.value().abandon());
}

TEST(StoreTrim, AStepTakesNoMoreRunsThanASmallJournalHolds) {
    const volume_shape small{.blocks = 480, .journal_blocks = 64};
    auto               memory = make_memory(small);
    format_on(memory, small);
    checked_memory watched{memory};
    auto           volume = opened_on(watched);
    const auto     first = volume.create(), second = volume.create();
    ASHLAR_ASSERT_OK(first);
    ASHLAR_ASSERT_OK(second);
    for (std::uint64_t i = 0; i < 30; ++i) {  // alternating, so that the blocks of the erased one are many runs
        ASHLAR_ASSERT_OK(volume.append(first.value(), pattern(small.block_bytes, i)));
        ASHLAR_ASSERT_OK(volume.append(second.value(), pattern(small.block_bytes, i)));
    }
    ASHLAR_ASSERT_OK(volume.erase(first.value()));
    ASHLAR_ASSERT_OK(volume.checkpoint());
    std::uint64_t blocks = 0, steps = 0;
    for (bool finished = false; !finished; ++steps) {
        const auto step = volume.trim({1000});
        ASHLAR_ASSERT_OK(step);
        ASSERT_LT(steps, 100U);
        blocks += step.value().blocks.value;
        finished = step.value().finished;
    }
    EXPECT_GT(steps, 3U) << "so many runs do not fit one step";
    EXPECT_EQ(blocks, volume.info().free.value);
    EXPECT_EQ(findings_of(volume), "");
    expect_order(watched);
    ASHLAR_ASSERT_OK(volume.close());
}

TEST(StoreRanges, ObjectsExtentsAndFreeRunsComposeWithRangeViews) {
    auto memory = make_memory(shape);
    format_on<store<gaining>>(memory, shape);
    auto opened = store<gaining>::open(any_device{memory}, eager<store<gaining>>());
    ASHLAR_ASSERT_OK(opened);
    auto&      volume = opened.value();
    const auto model  = age(volume, 9, 11, 23);

    std::vector<std::uint64_t> ids;
    for (const auto id : volume.objects()) ids.push_back(id.value);
    std::vector<std::uint64_t> expected;
    for (const auto& [id, bytes] : model) expected.push_back(id);
    EXPECT_EQ(ids, expected);

    std::uint64_t blocks = 0;
    auto          pieces = volume.extents({ids.back()});
    for (const auto& count :
         pieces | ranges::views::transform([](const mapped_extent& e) { return e.physical.count.value; }))
        blocks += count;
    EXPECT_EQ(blocks, volume.info(object_id{ids.back()}).value().blocks);
    EXPECT_EQ(pieces.failure().code, errc::none);

    ASHLAR_ASSERT_OK(volume.checkpoint());
    std::uint64_t free = 0;
    for (const auto& run : volume.free_runs()) free += run.count.value;
    EXPECT_EQ(free, volume.info().free.value);
    static_cast<void>(volume.abandon());
}

TEST(StoreReport, AnEmptyVolumeHasNoFragmentation) {
    auto memory = make_memory({.block_bytes = 512, .blocks = 20'000});
    format_on<store<gaining>>(memory, {.block_bytes = 512, .blocks = 20'000});
    auto opened = store<gaining>::open(any_device{memory}, eager<store<gaining>>());
    ASHLAR_ASSERT_OK(opened);
    const auto report = opened.value().fragmentation();
    ASHLAR_ASSERT_OK(report);
    EXPECT_EQ(report.value().free_permille, 0U) << "runs join where groups meet";
    EXPECT_EQ(report.value().object_permille, 0U);
    EXPECT_EQ(report.value().free_runs, 1U);
    EXPECT_EQ(report.value().score_permille, 1000U);
    EXPECT_EQ(report.value().largest_free, opened.value().info().free);
    static_cast<void>(opened.value().abandon());
}

}  // namespace store_defragment_test
}  // namespace ashlar::test
