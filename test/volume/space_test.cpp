// Which blocks are free, reserved, in use or retired, seen through an open volume.

#include "../store/store_fixture.hpp"

namespace ashlar::test {
namespace {

class Space : public testing::Test {
  protected:
    static constexpr volume_shape shape{.block_bytes = 512, .blocks = 9000, .journal_blocks = 256};

    Space() : memory{make_memory(shape)} {
        format_on(memory, shape);
        store = opened_on(memory);
    }
    ~Space() override { static_cast<void>(store.abandon()); }

    result<extent> reserve(space_request wanted) {
        return store.volume().space.reserve(store.volume().metadata(), store.volume().allocator, wanted);
    }
    void release(extent run) { store.volume().space.release(run, {shape.block_bytes}); }

    /// Whether a block can be allocated now.
    bool is_free(block_index block) {
        for (const auto& run : store.free_runs()) {
            if (run.contains(block)) return true;
        }
        return false;
    }

    memory_device memory;
    test_store    store;
};

TEST_F(Space, AGoalThatIsFreeIsWhereTheRunBegins) {
    const auto first = reserve({.blocks = {10}});
    ASSERT_TRUE(first);
    const auto next = reserve({.blocks = {10}, .goal = first.value().end()});
    ASSERT_TRUE(next);
    EXPECT_EQ(next.value().first, first.value().end());
    EXPECT_FALSE(overlap(first.value(), next.value()));
    release(first.value());
    release(next.value());
}

TEST_F(Space, AReservedRunIsNobodyElsesUntilItIsReleased) {
    const auto free  = store.volume().space.available(space_use::data);
    const auto taken = reserve({.blocks = {100}});
    ASSERT_TRUE(taken);
    EXPECT_EQ(store.volume().space.available(space_use::data).value, free.value - 100);
    EXPECT_FALSE(is_free(taken.value().first));
    release(taken.value());
    EXPECT_EQ(store.volume().space.available(space_use::data), free);
    EXPECT_TRUE(is_free(taken.value().first));
}

TEST_F(Space, OneRunOrNothingWhereTheCallerAsksForIt) {
    // Every second block of the free space is taken, so that no two free blocks are neighbours.
    std::vector<extent> kept;
    for (;;) {
        const auto pair = reserve({.blocks = {2}, .least = {2}, .use = space_use::metadata});
        if (!pair) break;
        kept.push_back({pair.value().first, block_count{1}});
        if (kept.size() == 100) break;
    }
    // Reservations are bounded; the rest of the free space goes in long runs.
    std::vector<extent> rest;
    for (;;) {
        const auto run = reserve({.blocks = {4000}, .use = space_use::metadata});
        if (!run) break;
        rest.push_back(run.value());
    }
    ASSERT_EQ(kept.size(), 100U);
    for (const auto& one : kept) release(one);

    const auto together = reserve({.blocks = {2}, .least = {2}, .use = space_use::metadata});
    ASSERT_TRUE(together.has_error());
    EXPECT_EQ(together.error().code, errc::no_contiguous_space);
    const auto apart = reserve({.blocks = {2}, .least = {1}, .use = space_use::metadata});
    ASSERT_TRUE(apart);
    EXPECT_EQ(apart.value().count.value, 1U);
}

TEST_F(Space, ErrorsTellAReserveFromNothingAtAll) {
    const auto& space = store.volume().space;
    while (space.available(space_use::data).value != 0) ASSERT_TRUE(reserve({.blocks = {4000}}));
    EXPECT_EQ(reserve({.blocks = {1}}).error().code, errc::reserve_only);
    while (space.available(space_use::relocation).value != 0)
        ASSERT_TRUE(reserve({.blocks = {64}, .use = space_use::relocation}));
    EXPECT_EQ(reserve({.blocks = {1}, .use = space_use::relocation}).error().code, errc::reserve_only);
    while (space.available(space_use::metadata).value != 0)
        ASSERT_TRUE(reserve({.blocks = {64}, .use = space_use::metadata}));
    EXPECT_EQ(reserve({.blocks = {1}, .use = space_use::metadata}).error().code, errc::no_space);
}

TEST_F(Space, ABlockThatWasFreedIsFreeOnlyWhenItsBatchIsConfirmed) {
    ASHLAR_ASSERT_OK(store.write(store.root(), 0, pattern(512, 1)));
    ASHLAR_ASSERT_OK(store.checkpoint());
    const auto old = store.next_extent(store.root(), {0}).value()->physical.first;
    ASHLAR_ASSERT_OK(store.write(store.root(), 0, pattern(512, 2)));
    EXPECT_FALSE(is_free(old)) << "the batch that frees it is not written";
    ASHLAR_ASSERT_OK(store.sync());
    EXPECT_FALSE(is_free(old)) << "acknowledged is not confirmed";
    ASHLAR_ASSERT_OK(store.write(store.root(), 600, pattern(10, 3)));
    ASHLAR_ASSERT_OK(store.sync());
    EXPECT_TRUE(is_free(old)) << "the next batch confirmed it";
}

TEST_F(Space, ABlockWhoseDataRodeInABatchIsFreeOnlyBehindTheTail) {
    ASHLAR_ASSERT_OK(store.put(store.root(), 0, pattern(512, 1)));
    const auto old = store.next_extent(store.root(), {0}).value()->physical.first;
    EXPECT_EQ(store.volume().cache.riding(), 1U);
    ASHLAR_ASSERT_OK(store.put(store.root(), 0, pattern(512, 2)));
    ASHLAR_ASSERT_OK(store.put(store.root(), 600, pattern(10, 3)));
    EXPECT_FALSE(is_free(old)) << "confirmed, but a replay would write it";
    ASHLAR_ASSERT_OK(store.checkpoint());
    EXPECT_TRUE(is_free(old));
    EXPECT_EQ(store.volume().cache.riding(), 0U);
}

TEST_F(Space, AHeldRunDrainsOnlyAfterItsReaderLeft) {
    ASHLAR_ASSERT_OK(store.write(store.root(), 0, pattern(512, 1)));
    ASHLAR_ASSERT_OK(store.checkpoint());
    const auto old = store.next_extent(store.root(), {0}).value()->physical;
    ASHLAR_ASSERT_OK(store.volume().space.hold(old));
    ASHLAR_ASSERT_OK(store.write(store.root(), 0, pattern(512, 2)));
    ASHLAR_ASSERT_OK(store.checkpoint());
    EXPECT_FALSE(is_free(old.first));
    store.volume().space.unhold(old);
    ASHLAR_ASSERT_OK(store.write(store.root(), 0, pattern(512, 3)));
    ASHLAR_ASSERT_OK(store.checkpoint());
    EXPECT_TRUE(is_free(old.first));
}

TEST_F(Space, RunsEndWhereGroupsEnd) {
    const auto border = first_of_group(1, {512});
    const auto run    = reserve({.blocks = {200}, .least = {1}, .goal = border - block_count{100}});
    ASSERT_TRUE(run);
    EXPECT_LE(run.value().end(), border);
    EXPECT_EQ(reserve({.blocks = {3969}, .least = {3969}}).error().code, errc::no_contiguous_space);
}

/// The way to a volume's blocks, beside which something else happens once a block is found that another thread loads.
template <class Volume, class Meanwhile>
struct interrupted_source {
    Volume&   volume;
    Meanwhile meanwhile;

    result<> load(block_index home, std::span<std::byte> bytes) noexcept { return volume.load(home, bytes); }
    [[nodiscard]] std::uint64_t seed(const block_identity& identity) const noexcept { return volume.seed(identity); }
    bool                        must_give_up(block_index, const block_identity&) noexcept {
                               meanwhile();
                               return false;
    }
};

TEST_F(Space, ATrimIsNotedInWhatTheGroupsRecordSaysWhenEveryBlockIsThere) {
    ASHLAR_ASSERT_OK(store.trim(block_count{50}));
    ASHLAR_ASSERT_OK(store.checkpoint());
    auto&      volume = store.volume();
    const auto run    = reserve({.blocks = {10}, .goal = block_index{2000}});
    ASSERT_TRUE(run);
    const auto trimmed = volume.regions.trimmed(place_of(run.value().first, {shape.block_bytes}).group);
    volume.cache.forget(trimmed.home);
    const auto slot = volume.cache.begin_loading(trimmed.home, trimmed.identity);
    ASSERT_TRUE(slot);

    int        met    = 0;
    const auto others = [&]() noexcept {  // what the other threads do while this one waits for the load
        ++met;
        ASHLAR_EXPECT_OK(volume.load(trimmed.home, volume.cache.bytes(slot.value())));
        volume.cache.loaded(slot.value(), true);
        ASHLAR_EXPECT_OK(store.write(store.root(), 0, pattern(3000, 1)));
    };
    interrupted_source<std::remove_reference_t<decltype(volume)>, decltype(others)> source{volume, others};
    const metadata_access<decltype(source)> at{volume.cache, source, volume.regions, volume.geometry};
    ASHLAR_ASSERT_OK(volume.space.note_trimmed(at, run.value()));
    release(run.value());
    EXPECT_EQ(met, 1);
    ASHLAR_EXPECT_OK(store.sync());
    EXPECT_EQ(findings_of(store), "");
}

}  // namespace
}  // namespace ashlar::test
