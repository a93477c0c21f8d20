// Tasks beside a store hear of its foreground, so that throttles which listen pace them too.

#include "evacuate_fixture.hpp"

#include <ashlar/compaction.hpp>
#include <ashlar/record_migration.hpp>
#include <ashlar/shrinking.hpp>
#include <ashlar/testing/manual_clock.hpp>
#include <ashlar/throttle/combined_throttle.hpp>
#include <ashlar/throttle/latency_target.hpp>

namespace ashlar::test {
namespace foreground_test {

struct listening_parts : test_blueprint<> {
    using clock    = manual_clock;
    using throttle = latency_target;
};
struct defragmented_parts : listening_parts {
    using defrag = best_gain;
};
struct combined_parts : listening_parts {
    using throttle = combined_throttle<no_throttle, latency_target>;
};

enum class reads : std::uint8_t { none, of_objects, of_a_region };

template <class B>
class ForegroundHeard : public testing::Test {
  protected:
    ForegroundHeard() {
        format_on<store<B>>(memory, evacuated_shape);
        auto options  = with<store<B>>();
        options.clock = clock;
        live          = store<B>::open(any_device{memory}, options).value();
        store_regions regions{live};
        const auto    hole = regions.add({.type = logs, .blocks = {400}}).value();
        kept               = regions.add({.type = logs, .blocks = {400}}).value();
        ASHLAR_EXPECT_OK(live.write(live.root(), 0, ashlar::pattern(512, 1)));
        for (std::uint64_t i = 0; i < 20; ++i) {
            const auto id = live.create().value();
            ASHLAR_EXPECT_OK(live.write(id, 0, ashlar::pattern(16 * 512, i)));
        }
        for (int i = 0; i < 200; ++i) ASHLAR_EXPECT_OK(live.create());
        ASHLAR_EXPECT_OK(regions.remove(hole));
        ASHLAR_EXPECT_OK(live.checkpoint());
    }

    /// Whether the throttle of a task ever let it wait, while it stepped beside such reads.
    template <class Step>
    bool waits(reads beside, Step&& step) {
        auto        region = store_regions{live}.open(kept).value();
        byte_vector into(512);
        bool        waited = false;
        for (int i = 0; i < 2000; ++i) {
            const progress said = step();
            waited              = waited || said.reasons.has(stop_reason::throttled);
            if (said.reasons.has(stop_reason::finished)) return waited;
            if (beside == reads::of_objects) ASHLAR_EXPECT_OK(live.read(live.root(), 0, into));
            if (beside == reads::of_a_region) ASHLAR_EXPECT_OK(region.read({{0}, {1}}, into));
            clock.advance(milliseconds(1));
        }
        ADD_FAILURE() << "it spins";
        return waited;
    }

    memory_device memory = make_memory(evacuated_shape);
    manual_clock  clock{};
    store<B>      live{};
    region_id     kept{};
};

using Blueprints = testing::Types<listening_parts, defragmented_parts, combined_parts>;
TYPED_TEST_SUITE(ForegroundHeard, Blueprints);

TYPED_TEST(ForegroundHeard, AnEvacuationWaitsForReadsAndOnlyForThem) {
    for (const auto beside : {reads::none, reads::of_objects, reads::of_a_region}) {
        auto options    = small_moves<TypeParam>();
        options.clock   = this->clock;
        auto       task = evacuation<TypeParam>::open(this->live, options).value();
        const auto id   = this->live.next_object(this->live.root()).value();
        const auto at   = this->live.next_extent(*id, {0}).value();
        ASHLAR_ASSERT_OK(task.start({at->physical.first, {200}}));
        EXPECT_EQ(this->waits(beside, [&] { return task.step({.blocks_max = 16}); }), beside != reads::none);
        EXPECT_TRUE(task.last_result().emptied);
    }
}

TYPED_TEST(ForegroundHeard, AShrinkWaitsForReads) {
    ASHLAR_ASSERT_OK(store_regions{this->live}.add({.type = logs, .blocks = {60}, .from = block_index{5600}}));
    typename shrinking<TypeParam>::options options;
    options.evacuation       = small_moves<TypeParam>();
    options.evacuation.clock = this->clock;
    options.gives_back       = false;
    auto task                = shrinking<TypeParam>::open(this->live, options).value();
    ASHLAR_ASSERT_OK(task.start(block_count{5300}));
    EXPECT_TRUE(this->waits(reads::of_objects, [&] { return task.step({.blocks_max = 16}); }));
    EXPECT_EQ(this->live.info().blocks, block_count{5300});
}

TYPED_TEST(ForegroundHeard, ACompactionWaitsForReads) {
    typename compaction<TypeParam>::options options;
    options.regions.threshold_permille = 0;
    options.regions.chunk_bytes        = 4096;
    options.clock                      = this->clock;
    auto task                          = compaction<TypeParam>::open(this->live, options).value();
    EXPECT_TRUE(this->waits(reads::of_a_region, [&] { return task.step({.blocks_max = 16}); }));
    EXPECT_EQ(task.last_result().regions_moved, 1U);
}

TYPED_TEST(ForegroundHeard, AMigrationOfRecordsWaitsForReads) {
    typename record_migration<TypeParam>::options options;
    options.clock = this->clock;
    record_migration<TypeParam> task{this->live, options};
    task.start({.record_bytes = 200});
    EXPECT_TRUE(this->waits(reads::of_objects, [&] { return task.step({.blocks_max = 1}); }));
}

}  // namespace foreground_test
}  // namespace ashlar::test
