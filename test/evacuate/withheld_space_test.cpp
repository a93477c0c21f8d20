// Blocks that are withheld are given to nobody, and all others are, as before.

#include "../region/region_fixture.hpp"

#include <ashlar/allocator/bitmap_allocator.hpp>
#include <ashlar/testing/faulty_device.hpp>
#include <ashlar/volume/withheld_space.hpp>

namespace ashlar::test {
namespace withheld_space_test {

/// Some three groups, of which two are in memory at a time.
inline constexpr volume_shape shape{.block_bytes = 512, .blocks = 3 * 3968 + 700, .journal_blocks = 256};

template <class Store>
std::set<std::uint64_t> free_blocks(Store& store, extent inside = {{0}, {shape.blocks}}) {
    std::set<std::uint64_t> blocks;
    for (const auto& run : store.free_runs()) {
        const auto part = common_part(run, inside);
        for (auto at = part.first; at < part.end(); ++at.value) blocks.insert(at.value);
    }
    return blocks;
}

/// What may be given out is what is counted as such.
template <class Store>
void expect_counted(Store& store) {
    EXPECT_EQ(store.volume().space.available(space_use::metadata).value, free_blocks(store).size());
}

template <class Allocator>
struct WithheldSpace : testing::Test {
    struct named : test_blueprint<> {
        using allocator = Allocator;
    };
    using kind = store<named>;
};
using allocators = testing::Types<grouped_allocator, bitmap_allocator>;
TYPED_TEST_SUITE(WithheldSpace, allocators);

TYPED_TEST(WithheldSpace, NoBlockOfItIsGivenOutByAnyOperation) {
    using store_type = typename TestFixture::kind;
    for (std::uint64_t seed = 1; seed <= scaled(8); ++seed) {
        auto memory = make_memory(shape);
        format_on<store_type>(memory, shape, seed);
        auto limits                = small_limits();
        limits.space.hint_cells    = seed % 2 == 0 ? 3 : 64;
        auto                 store = opened_on<store_type>(memory, limits);
        scenario<store_type> users{seed, store.root(), {.size_max = 60'000}};
        for (int i = 0; i < 60; ++i) users.step(store);
        random_bits random{seed};
        const auto  first = random.below(shape.blocks - 100);
        extent      range{{first}, {1 + random.below(shape.blocks - first)}};
        if (range.count.value > 9000) range.count = {9000};
        auto free = free_blocks(store, range);
        for (int round = 0; round < 10; ++round) {
            ASHLAR_ASSERT_OK(withhold(store.volume(), range));
            EXPECT_EQ(store.volume().space.withheld(), range);
            for (int i = 0; i < 12; ++i) {
                expect_counted(store);
                users.step(store);
                EXPECT_TRUE(free_blocks(store, range).empty());
            }
            stop_withholding(store.volume());
            expect_counted(store);
            const auto now = free_blocks(store, range);
            for (const auto block : free) ASSERT_TRUE(now.contains(block)) << seed << ": " << block;
            free = now;
        }
        ASSERT_FALSE(testing::Test::HasFailure()) << "seed " << seed;
        ASHLAR_ASSERT_OK(store.checkpoint());
        EXPECT_EQ(free_blocks(store).size(), store.info().free.value);
        expect_whole(store);
    }
}

TYPED_TEST(WithheldSpace, WhatIsLeftIsFilledToItsLastBlockAndErasedAgain) {
    using store_type = typename TestFixture::kind;
    auto memory      = make_memory(shape);
    format_on<store_type>(memory, shape);
    auto store = opened_on<store_type>(memory);
    ASHLAR_ASSERT_OK(withhold(store.volume(), {{2000}, {shape.blocks - 2000}}));
    std::vector<object_id> made;
    errc                   why = errc::none;
    while (why == errc::none) {
        const auto id = store.create();
        why           = code_of(id);
        if (!id) break;
        made.push_back(id.value());
        why = code_of(store.write(id.value(), 0, pattern(7, 512, 1)));
    }
    EXPECT_EQ(why, errc::reserve_only);
    EXPECT_EQ(store.volume().space.available(space_use::data).value / 7, 0U);
    EXPECT_GE(made.size(), 120U);
    expect_counted(store);
    for (const auto id : made) ASHLAR_EXPECT_OK(store.erase(id));
    stop_withholding(store.volume());
    expect_whole(store);
    EXPECT_TRUE(store.write(store.root(), 0, pattern(40, 512, 1)));
}

TYPED_TEST(WithheldSpace, IsRefusedWithoutAReserveOutsideAndLeavesEverythingAsItWas) {
    using store_type = typename TestFixture::kind;
    auto memory      = make_memory(shape);
    format_on<store_type>(memory, shape);
    auto  store  = opened_on<store_type>(memory);
    auto& volume = store.volume();
    EXPECT_EQ(code_of(withhold(volume, {})), errc::invalid_argument);
    EXPECT_EQ(code_of(withhold(volume, {{shape.blocks - 1}, {2}})), errc::out_of_range);
    EXPECT_EQ(code_of(withhold(volume, {{0}, {shape.blocks}})), errc::no_space);
    EXPECT_TRUE(volume.space.withheld().empty());
    const auto free = free_blocks(store);
    // All that is free but as many blocks as are kept for metadata of so small a rest.
    std::uint64_t kept = 0;
    auto          at   = free.begin();
    while (kept < 8) ++kept, ++at;
    EXPECT_EQ(code_of(withhold(volume, {{*std::prev(at)}, {shape.blocks - *std::prev(at)}})), errc::no_space);
    EXPECT_EQ(free_blocks(store), free);
    ASHLAR_ASSERT_OK(withhold(volume, {{*at}, {shape.blocks - *at}}));
    EXPECT_EQ(free_blocks(store).size(), kept);
    EXPECT_EQ(code_of(withhold(volume, {{100}, {1}})), errc::busy);
    EXPECT_EQ(volume.space.withheld().first, block_index{*at});
    EXPECT_EQ(store.volume().space.available(space_use::relocation).value, 0U);
    stop_withholding(volume);
    EXPECT_EQ(free_blocks(store), free);
}

TYPED_TEST(WithheldSpace, ARegionIsPutElsewhere) {
    using store_type = typename TestFixture::kind;
    auto memory      = make_memory(shape);
    format_on<store_type>(memory, shape);
    auto          store = opened_on<store_type>(memory);
    store_regions regions{store};
    const auto    first = regions.can_add({logs, block_count{300}}).value();
    ASHLAR_ASSERT_OK(withhold(store.volume(), {first.first + block_count{100}, block_count{4000}}));
    const auto name = regions.add({logs, block_count{300}});
    ASHLAR_ASSERT_OK(name);
    EXPECT_EQ(regions.find(name.value()).value().place.first, first.first + block_count{4100});
    stop_withholding(store.volume());
    ASHLAR_ASSERT_OK(regions.remove(name.value()));
    ASHLAR_ASSERT_OK(store.checkpoint());
    EXPECT_EQ(regions.can_add({logs, block_count{300}}).value(), first);
}

TYPED_TEST(WithheldSpace, ABlockThatCannotBeReadLeavesNothingWithheld) {
    using store_type = typename TestFixture::kind;
    auto memory      = make_memory(shape);
    format_on<store_type>(memory, shape);
    faulty_device faulty{memory};
    auto          limits = small_limits();
    limits.cache_blocks  = 40;
    auto store           = opened_on<store_type>(faulty, limits);
    for (int i = 0; i < 40; ++i) ASHLAR_ASSERT_OK(store.write(store.create().value(), 0, pattern(40, 512, 1)));
    ASHLAR_ASSERT_OK(store.close());
    store = opened_on<store_type>(faulty, limits);
    std::set<errc> seen;
    for (std::uint64_t from = 2900; from < 12'600; from += 130) {
        faulty.fail(transfer_kind::read, 1, fault_lasts::for_good);
        const auto done = withhold(store.volume(), {{from}, {27}});
        faulty.heal();
        seen.insert(code_of(done));
        EXPECT_EQ(store.volume().space.withheld().empty(), !done.has_value());
        if (done) stop_withholding(store.volume());
        expect_counted(store);
    }
    EXPECT_TRUE(seen.contains(errc::device_failed));
}

TEST(WithheldSpaceEnds, WithTheVolume) {
    auto memory = make_memory(shape);
    format_on(memory, shape);
    auto store = opened_on(memory);
    ASHLAR_ASSERT_OK(withhold(store.volume(), {{3000}, {3000}}));
    ASHLAR_ASSERT_OK(store.write(store.root(), 0, pattern(30, 512, 1)));
    ASHLAR_ASSERT_OK(store.close());
    store = opened_on(memory);
    EXPECT_TRUE(store.volume().space.withheld().empty());
    EXPECT_EQ(free_blocks(store).size(), store.info().free.value);
}

}  // namespace withheld_space_test
}  // namespace ashlar::test
