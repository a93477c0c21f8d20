// A region that is moved in parts into free blocks below it that do not hold it whole.

#include "region_fixture.hpp"

#include <ashlar/compaction.hpp>
#include <ashlar/testing/faulty_device.hpp>

namespace ashlar::test {
namespace {

using task = compaction<test_blueprint<>>;

/// A gap, and a region behind it that is longer.
struct SlideTest : testing::Test {
    static constexpr std::uint64_t blocks = 200;

    SlideTest() : device{memory} {
        format_on(device, shape);
        live = opened_on(device);
    }

    void make(std::uint64_t gap) {
        ASHLAR_ASSERT_OK(store_regions{live}.add({.type = maps, .blocks = block_count{gap}}));
        ASHLAR_ASSERT_OK(store_regions{live}.add({.type = logs, .blocks = block_count{blocks}}));
        ASHLAR_ASSERT_OK(store_regions{live}.remove({maps, 0}));
        ASHLAR_ASSERT_OK(live.checkpoint());
        place     = where();
        available = live.info().available;
        content   = pattern(blocks, 512, 5);
        auto one  = region();
        ASHLAR_ASSERT_OK(one.write({block_index{0}, block_count{blocks}}, content));
    }
    [[nodiscard]] extent                          where() { return store_regions{live}.find({logs, 0}).value().place; }
    [[nodiscard]] region_device<test_blueprint<>> region() { return store_regions{live}.open({logs, 0}).value(); }

    [[nodiscard]] task opened(region_compaction_options options = {}) {
        options.threshold_permille = 1;
        return task::open(live, {.regions = options}).value();
    }
    progress run(task& compacting, std::uint64_t budget = 16) {
        for (;;) {
            const auto said = compacting.step({.blocks_max = budget});
            if (said.reasons != stop_reason::budget_spent) return said;
        }
    }
    void write(std::uint64_t block, std::uint64_t count, std::uint32_t seed) {
        const auto bytes = pattern(count, 512, seed);
        auto       one   = region();
        ASHLAR_ASSERT_OK(one.write({block_index{block}, block_count{count}}, bytes));
        std::memcpy(content.data() + block * 512, bytes.data(), bytes.size());
    }
    void expect_content() {
        auto one = region();
        EXPECT_EQ(read_all(one), content);
        for (const std::uint64_t i : {0U, 7U, 99U, 199U}) {
            byte_vector block(512);
            ASHLAR_EXPECT_OK(one.read({block_index{i}, block_count{1}}, block));
            EXPECT_EQ(std::memcmp(block.data(), content.data() + i * 512, 512), 0) << i;
        }
    }
    void open_again() {
        static_cast<void>(live.abandon());
        live = opened_on(device);
    }

    static constexpr volume_shape shape{.block_bytes = 512, .blocks = 1500, .journal_blocks = 96};

    memory_device                memory = make_memory(shape);
    faulty_device<memory_device> device;
    test_store                   live;
    extent                       place{};
    block_count                  available{};
    byte_vector                  content;
};

TEST_F(SlideTest, ARegionGoesIntoAGapThatIsSmallerThanItself) {
    for (const std::uint64_t gap : {1U, 2U, 3U, 7U, 30U, 150U}) {
        make(gap);
        auto       compacting = opened();
        const auto said       = run(compacting);
        EXPECT_TRUE(said.reasons.has(stop_reason::finished)) << gap;
        EXPECT_EQ(said.failure.code, errc::none) << said.failure.where.value;
        EXPECT_EQ(where(), (extent{{place.first.value - gap}, place.count}));
        EXPECT_EQ(compacting.last_result().regions_slid, 1U);
        EXPECT_EQ(compacting.last_result().blocks_moved, place.count);
        EXPECT_TRUE(live.volume().indirection.empty());
        EXPECT_TRUE(live.volume().regions.slide().empty());
        ASHLAR_ASSERT_OK(live.checkpoint());  // until then a replay could write to the table's blocks
        EXPECT_EQ(live.info().available, available);
        expect_content();
        EXPECT_EQ(findings_of(live), "");
        open_again();
        expect_content();
        EXPECT_EQ(findings_of(live), "");
        ASHLAR_ASSERT_OK(store_regions{live}.remove({logs, 0}));
        ASHLAR_ASSERT_OK(live.checkpoint());
    }
}

TEST_F(SlideTest, TheRegionIsReadAndWrittenMeanwhileAndAfterEachStepAStoreThatIsOpenedAgainGoesOn) {
    make(9);
    random_bits random{7};
    int         steps = 0;
    for (bool done = false; !done; ++steps) {
        ASSERT_LT(steps, 300);
        auto compacting = opened();
        for (int i = 0; i < 3 && !done; ++i) {
            const auto said = compacting.step({.blocks_max = 5});
            done            = said.reasons.has(stop_reason::finished);
            ASSERT_TRUE(done || said.reasons == stop_reason::budget_spent) << said.failure.where.value;
            write(random.below(190), 1 + random.below(10), static_cast<std::uint32_t>(steps));
            expect_content();
            if (i == 1) ASHLAR_ASSERT_OK(live.append(live.root(), pattern(1, 512, 1)));
        }
        if (steps % 4 == 3) {
            compacting.cancel();
            EXPECT_TRUE(compacting.step({}).reasons.has(stop_reason::cancelled));
            EXPECT_EQ(findings_of(live), "");
        }
        auto moved = std::move(compacting);  // gives up what is under way
    }
    EXPECT_EQ(where().first + block_count{9}, place.first);
    EXPECT_EQ(findings_of(live), "");
    open_again();
    expect_content();
}

}  // namespace
}  // namespace ashlar::test
