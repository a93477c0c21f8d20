// A range of blocks is emptied: objects, trees and regions leave it, and keep what they hold.

#include "evacuate_fixture.hpp"

#include <ashlar/allocator/bitmap_allocator.hpp>
#include <ashlar/checksum/no_checksum.hpp>
#include <ashlar/journal/no_journal.hpp>
#include <ashlar/object/inline_map.hpp>

namespace ashlar::test {
namespace evacuate_test {

template <std::uint32_t BlockBytes, class ChecksumPolicy = xxh3, class JournalPolicy = ring_journal,
          class AllocatorPolicy = grouped_allocator>
struct variant : test_blueprint<ChecksumPolicy, extent_tree, JournalPolicy> {
    using allocator                            = AllocatorPolicy;
    static constexpr std::uint32_t block_bytes = BlockBytes;
};
using plain = variant<512>;

template <class Blueprint>
class Evacuation : public testing::Test {
  public:
    using kind      = store<Blueprint>;
    using task_type = evacuation<Blueprint>;

    void SetUp() override {
        format_on<kind>(memory, shape);
        live  = opened_on<kind>(memory);
        model = store_model{live.root()};
    }
    void fill(int objects = 8, int turns = 60) {
        fill_by_turns(live, model, objects, turns, Blueprint::block_bytes);
        ASHLAR_ASSERT_OK(live.sync());
    }
    extent region(std::uint32_t type, std::uint64_t blocks, std::uint64_t from) {
        store_regions regions{live};
        const auto    name = regions.add({type, block_count{blocks}, block_index{from}});
        EXPECT_TRUE(name) << said(name);
        auto opened = regions.open(name.value()).value();
        ASHLAR_EXPECT_OK(opened.write({{0}, {blocks}}, pattern(blocks, Blueprint::block_bytes, type)));
        ASHLAR_EXPECT_OK(opened.sync());
        return regions.find(name.value()).value().place;
    }
    void expect_region(std::uint32_t type, std::uint64_t blocks, std::uint32_t number = 0) {
        auto opened = store_regions{live}.open({type, number}).value();
        EXPECT_EQ(read_all(opened), pattern(blocks, Blueprint::block_bytes, type));
    }
    /// The first block behind all of the store's own.
    std::uint64_t data_begin() {
        store_regions regions{live};
        std::uint64_t end = 0;
        for (std::uint32_t i = 0; i < regions.count(); ++i) {
            const auto one = regions.at(i).value();
            if (one.engine) end = std::max(end, one.place.end().value);
        }
        return end;
    }
    task_type open_task(typename task_type::options chosen = small_moves<Blueprint>()) {
        return std::move(task_type::open(live, chosen)).value();
    }
    void expect_same() {
        EXPECT_EQ(difference(live, model.state()), "");
        EXPECT_EQ(findings_of(live), "");
    }

    volume_shape  shape{Blueprint::block_bytes, 6000, 160};
    memory_device memory = make_memory(shape);
    kind          live{};
    store_model   model{object_id{}};
};
using variants = testing::Types<plain, variant<4096>, variant<512, no_checksum>, variant<512, xxh3, no_journal>,
                                variant<512, xxh3, ring_journal, bitmap_allocator>>;
TYPED_TEST_SUITE(Evacuation, variants);

TYPED_TEST(Evacuation, EmptiesARangeAndDoesWhatItsPlanSaid) {
    this->fill();
    const auto   begin = this->data_begin();
    const auto   logs_ = this->region(logs, 90, begin);
    const extent range{{begin + 20}, {1700}};
    const auto   maps_ = this->region(maps, 70, 0);
    ASSERT_GT(extents_in(this->live, range), 100U);
    auto       task = this->open_task();
    const auto plan = task.plan(range);
    ASHLAR_ASSERT_OK(plan);
    EXPECT_TRUE(plan.value().succeeds());
    EXPECT_GT(plan.value().nodes, 0U);
    EXPECT_EQ(plan.value().regions, (overlap(logs_, range) ? 1U : 0U) + (overlap(maps_, range) ? 1U : 0U));
    ASHLAR_ASSERT_OK(task.start(range));
    const auto said = run(task);
    EXPECT_TRUE(said.reasons.has(stop_reason::finished));
    EXPECT_EQ(said.done, said.total);
    const auto& result = task.last_result();
    EXPECT_TRUE(result.emptied);
    EXPECT_EQ(result.after.value, 0U);
    EXPECT_EQ(result.extents, plan.value().extents);
    EXPECT_GT(result.nodes, 0U);
    EXPECT_LE(result.nodes, plan.value().nodes);  // trees of objects whose pieces come together lose nodes
    EXPECT_EQ(result.regions, plan.value().regions);
    EXPECT_EQ(result.moved, plan.value().object_blocks + plan.value().region_blocks + block_count{result.nodes});
    EXPECT_EQ(extents_in(this->live, range), 0U);
    EXPECT_EQ(blocks_in_use(this->live, range), 0U);
    this->expect_region(logs, 90);
    this->expect_region(maps, 70);
    this->expect_same();
    ASHLAR_ASSERT_OK(this->live.close());
    this->live = opened_on<typename TestFixture::kind>(this->memory);
    this->expect_same();
}

TYPED_TEST(Evacuation, GoesOnBesideUsersOfObjectsAndRegions) {
    using users_store = typename TestFixture::kind;
    for (std::uint64_t seed = 1; seed <= scaled(6); ++seed) {
        static_cast<void>(this->live.abandon());
        this->memory = make_memory(this->shape);
        this->SetUp();
        this->fill(6, 40);
        const auto begin = this->data_begin();
        this->region(logs, 90, begin + 100);
        auto                           region  = store_regions{this->live}.open({logs, 0}).value();
        auto                           content = read_all(region);
        random_operations<users_store> users{seed, {.create = 2, .erase = 1, .trim = 4, .size_max = 90'000}};
        random_bits                    random{seed};
        const extent                   range{{begin + random.below(400)}, {100 + random.below(2000)}};
        auto                           task = this->open_task();
        ASHLAR_ASSERT_OK(task.start(range));
        for (int i = 0; task.running(); ++i) {
            ASSERT_LT(i, 5000);
            task.step({.blocks_max = 1 + random.below(30), .candidates_max = 1 + random.below(20)});
            for (int n = 0; n < 3; ++n) users.step(this->live, this->model);
            const auto at    = random.below(80);
            const auto bytes = pattern(5, TypeParam::block_bytes, static_cast<std::uint32_t>(i));
            ASHLAR_ASSERT_OK(region.write({{at}, {5}}, bytes));
            std::copy(bytes.begin(), bytes.end(),
                      content.begin() + static_cast<std::ptrdiff_t>(at * TypeParam::block_bytes));
        }
        EXPECT_TRUE(task.last_result().emptied) << "seed " << seed << ", left " << task.last_result().after.value;
        EXPECT_EQ(read_all(region), content);
        this->expect_same();
        ASSERT_FALSE(testing::Test::HasFailure()) << "seed " << seed;
    }
}

TYPED_TEST(Evacuation, StopsAtWhatIsPinnedAndNamesIt) {
    this->fill();
    const auto   begin = this->data_begin();
    const auto   place = this->region(logs, 50, begin);
    const extent range{{3}, {place.end().value + 100}};
    ASHLAR_ASSERT_OK(store_regions{this->live}.pin({logs, 0}));
    const auto root = this->live.root();
    ASHLAR_ASSERT_OK(this->live.pin(root, 0, 10 * TypeParam::block_bytes));
    auto       task = this->open_task();
    const auto plan = task.plan(range);
    ASHLAR_ASSERT_OK(plan);
    EXPECT_FALSE(plan.value().succeeds());
    const auto planned = plan.value().obstacles;
    ASHLAR_ASSERT_OK(task.start(range));
    const auto said = run(task);
    EXPECT_TRUE(said.reasons.has(stop_reason::finished) && said.reasons.has(stop_reason::pinned));
    EXPECT_FALSE(said.reasons.has(stop_reason::no_contiguous_space));
    const auto& result = task.last_result();
    EXPECT_FALSE(result.emptied);
    EXPECT_EQ(result.obstacles, planned);
    EXPECT_EQ(result.after, plan.value().fixed);
    EXPECT_EQ(result.after.value, blocks_in_use(this->live, range));
    int         frames = 0, tables = 0, regions = 0, extents = 0;
    block_count named{};
    for (const auto& one : task.obstacles()) {
        EXPECT_EQ(one.why, stop_reasons{stop_reason::pinned});
        frames += one.kind == obstacle_kind::frames ? 1 : 0;
        tables += one.kind == obstacle_kind::table ? 1 : 0;
        if (one.kind == obstacle_kind::region) {
            ++regions;
            EXPECT_EQ(one.region, (region_id{logs, 0}));
            EXPECT_EQ(one.blocks, place);
        }
        if (one.kind == obstacle_kind::extents) {
            ++extents;
            EXPECT_EQ(one.object, root);
        }
        named += one.blocks.count;
    }
    EXPECT_EQ(frames, 1);
    EXPECT_GE(tables, 4);
    EXPECT_EQ(regions, 1);
    EXPECT_GT(extents, 1);
    EXPECT_EQ(named, result.after);
    this->expect_same();
    // Unpinned it leaves; what never moves stays.
    ASHLAR_ASSERT_OK(store_regions{this->live}.pin({logs, 0}, false));
    ASHLAR_ASSERT_OK(this->live.unpin(root, 0, 10 * TypeParam::block_bytes));
    ASHLAR_ASSERT_OK(task.start({{begin}, {place.end().value + 103 - begin}}));
    run(task);
    EXPECT_TRUE(task.last_result().emptied);
}

TYPED_TEST(Evacuation, OfMoreThanFitsMovesWhatFitsAndSaysSo) {
    this->fill(8, 60);
    const auto begin = this->data_begin();
    // All but what holds half of what is in use.
    const extent data{{begin}, {this->shape.blocks - begin}};
    const auto   used = blocks_in_use(this->live, data);
    const extent range{{begin}, {data.count.value - used / 2}};
    auto         task = this->open_task();
    const auto   plan = task.plan(range);
    ASHLAR_ASSERT_OK(plan);
    EXPECT_FALSE(plan.value().succeeds());
    EXPECT_EQ(plan.value().obstacles, 0U);
    ASHLAR_ASSERT_OK(task.start(range));
    const auto said = run(task);
    EXPECT_TRUE(said.reasons.has(stop_reason::no_contiguous_space)) << task.last_result().after.value;
    EXPECT_FALSE(task.last_result().emptied);
    EXPECT_EQ(task.last_result().moved, plan.value().room);
    EXPECT_EQ(task.last_result().failure.code, errc::reserve_only);
    this->expect_same();
    EXPECT_TRUE(this->live.write(this->live.root(), 0, pattern(2, TypeParam::block_bytes, 9)));
}

TYPED_TEST(Evacuation, OfWhatFitsExactlySucceeds) {
    this->fill(8, 60);
    const auto   begin = this->data_begin();
    auto         task  = this->open_task();
    const extent data{{begin}, {this->shape.blocks - begin}};
    // The longest range from the front for which the plan says yes, and the one longer by a block.
    std::uint64_t low = 1, high = data.count.value;
    while (high - low > 1) {
        const auto middle                                                   = low + (high - low) / 2;
        (task.plan({data.first, {middle}}).value().succeeds() ? low : high) = middle;
    }
    ASHLAR_ASSERT_OK(task.start({data.first, {low}}));
    run(task, {.blocks_max = 7, .candidates_max = 5});
    EXPECT_TRUE(task.last_result().emptied) << task.last_result().after.value;
    EXPECT_EQ(blocks_in_use(this->live, {data.first, {low}}), 0U);
    this->expect_same();
    for (object_id at{};;) {  // erasing works though everything else is full
        const auto next = this->live.next_object(at).value();
        if (!next) break;
        at = *next;
        if (at != this->live.root()) ASHLAR_EXPECT_OK(this->live.erase(at));
    }
    EXPECT_EQ(findings_of(this->live), "");
}

TEST(EvacuationTask, ThatHasEndedMayOutliveItsStore) {
    memory_device memory = make_memory(evacuated_shape);
    format_on<store<plain>>(memory, evacuated_shape);
    std::optional<evacuation<plain>> task;
    {
        auto live = opened_on<store<plain>>(memory);
        task.emplace(evacuation<plain>::open(live, small_moves<plain>()).value());
        ASHLAR_ASSERT_OK(task->start({{5000}, {100}}));
        run(*task);
        EXPECT_TRUE(task->last_result().emptied);
        ASHLAR_ASSERT_OK(live.close());
    }
    task.reset();
}

}  // namespace evacuate_test
}  // namespace ashlar::test
