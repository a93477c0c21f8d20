// Which blocks are free, reserved, in use or retired, seen through an open volume.

#include "../store/store_fixture.hpp"

#include <ashlar/allocator/bitmap_allocator.hpp>
#include <ashlar/volume/space_repair.hpp>

#include <functional>

namespace ashlar::test {
namespace space_test {

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

// Holds, readers and lists.
// ----------------------------------------------------------------------------------------------------------------

TEST_F(Space, HoldsAreBoundedAndEachIsTakenBackByItself) {
    auto&               space = store.volume().space;
    std::vector<extent> held;
    for (std::uint64_t i = 0; i < small_limits().space.holds; ++i) {
        held.push_back({{3000 + 10 * i}, {5}});
        ASHLAR_ASSERT_OK(space.hold(held.back()));
    }
    EXPECT_EQ(space.hold({{100}, {1}}).error(), (error{errc::busy, {100}}));
    for (auto one = held.rbegin(); one != held.rend(); ++one) space.unhold(*one);
    ASHLAR_EXPECT_OK(space.hold({{100}, {1}}));
    space.unhold({{100}, {1}});
}

TEST_F(Space, WhatAReaderMayStillSeeIsNotUsedAgain) {
    ASHLAR_ASSERT_OK(store.write(store.root(), 0, pattern(512, 1)));
    ASHLAR_ASSERT_OK(store.checkpoint());
    const auto old    = store.next_extent(store.root(), {0}).value()->physical.first;
    auto&      space  = store.volume().space;
    auto       reader = space.enter_reader();
    ASHLAR_ASSERT_OK(store.write(store.root(), 0, pattern(512, 2)));
    ASHLAR_ASSERT_OK(store.checkpoint());
    EXPECT_FALSE(is_free(old));
    EXPECT_EQ(space.draining().value, 1U);
    // Readers that follow each other keep nothing for ever: those of the time when it was freed have gone.
    for (std::uint64_t i = 0; i < 6; ++i) {
        const auto next = space.enter_reader();
        space.leave_reader(reader);
        reader = next;
        ASHLAR_ASSERT_OK(store.put(store.root(), 1024, pattern(512, i)));
    }
    EXPECT_EQ(space.readers(), 1U);
    EXPECT_TRUE(is_free(old));
    space.leave_reader(reader);
}

TEST_F(Space, APartOfAReservationMayBeGivenBackFromEitherEnd) {
    const auto run = reserve({.blocks = {10}, .least = {10}});
    ASSERT_TRUE(run);
    const auto first = run.value().first;
    release({first, {3}});
    EXPECT_TRUE(is_free(first + block_count{2}));
    EXPECT_FALSE(is_free(first + block_count{3}));
    release({first + block_count{8}, {2}});
    EXPECT_FALSE(is_free(first + block_count{7}));
    EXPECT_TRUE(is_free(first + block_count{8}));
    release({first + block_count{3}, {5}});
    EXPECT_TRUE(is_free(first + block_count{5}));
    EXPECT_EQ(findings_of(store), "");
}

TEST_F(Space, ARequestGetsWhatThereIsAndAGoalBehindTheEndIsNone) {
    const auto all = store.volume().space.available(space_use::data);
    const auto run = reserve({.blocks = {all.value + 5000}, .goal = {shape.blocks + 5000}});
    ASSERT_TRUE(run);
    EXPECT_LE(run.value().count, all);
    release(run.value());
}

TEST_F(Space, TheListOfReservationsIsBounded) {
    std::vector<extent> taken;
    for (;;) {
        const auto run = reserve({.blocks = {1}});
        if (!run) {
            EXPECT_EQ(run.error().code, errc::too_large);
            break;
        }
        taken.push_back(run.value());
    }
    EXPECT_EQ(taken.size(), small_limits().transactions * small_limits().transaction.extents);
    for (const auto& one : taken) release(one);
    EXPECT_EQ(findings_of(store), "");
}

// Loads that fail, and what others do meanwhile.
// ----------------------------------------------------------------------------------------------------------------

/// The way to a volume's blocks, on which a load fails or something else happens beside it.
template <class Volume>
struct watched_source {
    Volume&               volume;
    std::uint64_t         fails_at = 0;  ///< Counted from 1; 0: none fails.
    std::function<void()> meanwhile{};
    std::uint64_t         loads = 0;

    result<> load(block_index home, std::span<std::byte> bytes) noexcept {
        if (++loads == fails_at) return error{errc::device_failed, home};
        if (meanwhile) meanwhile();
        return volume.load(home, bytes);
    }
    [[nodiscard]] std::uint64_t seed(const block_identity& identity) const noexcept { return volume.seed(identity); }
};

struct mapped : test_blueprint<> {
    using allocator = bitmap_allocator;
};

template <class Store>
class SpaceFaults : public testing::Test {
  protected:
    using volume_type = typename Store::volume_type;
    using access      = metadata_access<watched_source<volume_type>>;

    explicit SpaceFaults(std::uint64_t blocks = 9000)
        : shape{.block_bytes = 512, .blocks = blocks, .journal_blocks = 256}, memory{make_memory(shape)} {
        format_on<Store>(memory, shape);
        store = opened_on<Store>(memory);
        ASHLAR_EXPECT_OK(store.write(store.root(), 0, pattern(3000, 1)));
        const auto filler = store.create();
        ASHLAR_EXPECT_OK(store.reserve(filler.value(), 0, 4500 * 512));  // each group is in use, and has a bitmap
        ASHLAR_EXPECT_OK(store.trim({50}));
        ASHLAR_EXPECT_OK(store.checkpoint());
    }
    ~SpaceFaults() override { static_cast<void>(store.abandon()); }

    volume_type& volume() { return store.volume(); }

    /// Nothing of the volume is in memory but the totals.
    void forget() {
        ASHLAR_EXPECT_OK(store.checkpoint());
        volume().cache.forget_blocks();
        ASHLAR_EXPECT_OK(volume().space.open(volume().metadata()));
        volume().cache.forget_blocks();
    }
    /// Runs `act` with each of its loads failing. Then nothing is pinned, and no block was taken or given.
    template <class Act>
    std::uint64_t fail_each_load(Act act, errc in_the_end = errc::none) {
        for (std::uint64_t nth = 1;; ++nth) {
            forget();
            const auto                  before = volume().space.available(space_use::metadata);
            watched_source<volume_type> source{.volume = volume(), .fails_at = nth, .meanwhile = {}};
            const auto code = code_of(act(access{volume().cache, source, volume().regions, volume().geometry}));
            if (source.loads < nth) {
                EXPECT_EQ(code, in_the_end) << "without a fault";
                return nth - 1;
            }
            EXPECT_EQ(code, errc::device_failed) << "load " << nth;
            EXPECT_EQ(volume().space.available(space_use::metadata), before) << "load " << nth;
            for (std::uint32_t slot = frame_slots; slot < volume().cache.slot_end(); ++slot)
                EXPECT_EQ(volume().cache.at(slot).pins, 0U) << "load " << nth;
            if (this->HasFailure()) return 0;
        }
    }
    result<extent> reserve(space_request wanted) {
        return volume().space.reserve(volume().metadata(), volume().allocator, wanted);
    }

    volume_shape  shape;
    memory_device memory;
    Store         store;
};
using mapped_and_indexed = testing::Types<test_store, store<mapped>>;
TYPED_TEST_SUITE(SpaceFaults, mapped_and_indexed);

TYPED_TEST(SpaceFaults, EachLoadOfASearchMayFail) {
    const auto middle = this->reserve({.blocks = {50}, .goal = {6000}});  // no group is free as a whole
    ASSERT_TRUE(middle);
    const auto search = [&](space_request wanted, errc in_the_end) {
        return this->fail_each_load(
            [&](const auto& at) noexcept -> result<> {
                BOOST_OUTCOME_TRY(const auto run, this->volume().space.reserve(at, this->volume().allocator, wanted));
                EXPECT_GE(run.count, wanted.least);
                this->volume().space.release(run, {512});
                return success();
            },
            in_the_end);
    };
    EXPECT_GE(search({.blocks = {10}}, errc::none), 1U);
    EXPECT_GE(search({.blocks = {10}, .goal = {8000}}, errc::none), 1U);
    EXPECT_GE(search({.blocks = {10}, .use = space_use::relocation}, errc::none), 1U);
    EXPECT_GE(search({.blocks = {3900}, .least = {1}}, errc::none), 2U);
    EXPECT_GE(search({.blocks = {3900}, .least = {3800}}, errc::no_contiguous_space), 1U);
    EXPECT_GE(this->fail_each_load([&](const auto& at) noexcept -> result<> {
        BOOST_OUTCOME_TRY(const auto found, this->volume().space.next_free(at, {5000}));
        EXPECT_TRUE(found);
        return success();
    }),
              1U);
}

TYPED_TEST(SpaceFaults, EachLoadOfATrimsNoteMayFail) {
    const auto run = this->reserve({.blocks = {10}, .goal = {2000}});
    ASSERT_TRUE(run);
    const auto trimmed = this->volume().space.totals().trimmed;
    EXPECT_GE(this->fail_each_load(
                  [&](const auto& at) noexcept { return this->volume().space.note_trimmed(at, run.value()); }),
              2U);
    EXPECT_EQ(this->volume().space.totals().trimmed, trimmed + 10);
    // A group of which nothing was ever trimmed has no bitmap of it yet.
    const auto fresh = this->reserve({.blocks = {10}, .goal = {8200}});
    ASSERT_TRUE(fresh);
    EXPECT_GE(this->fail_each_load(
                  [&](const auto& at) noexcept { return this->volume().space.note_trimmed(at, fresh.value()); }),
              1U);
    this->volume().space.release(run.value(), {512});
    this->volume().space.release(fresh.value(), {512});
    EXPECT_EQ(findings_of(this->store), "");
}

TYPED_TEST(SpaceFaults, EachLoadBeforeAJoinMayFail) {
    auto& volume = this->volume();
    ASHLAR_ASSERT_OK(this->store.checkpoint());
    const auto given = this->store.next_extent(this->store.root(), {0}).value()->physical;
    const auto run   = this->reserve({.blocks = {200}, .goal = first_of_group(2, {512}) + block_count{10}});
    ASSERT_TRUE(run);
    auto& tx = volume.transactions[0];
    tx.reset();
    tx.taken.push({.blocks = run.value(), .data = true});
    tx.given.push({.blocks = given});
    const auto free = volume.space.totals().free;
    EXPECT_GE(this->fail_each_load([&](const auto& at) noexcept -> result<> {
        BOOST_OUTCOME_TRY(volume.space.prepare(at, tx, true));
        volume.space.apply(at, tx, volume.open_batch);
        return success();
    }),
              5U);
    tx.reset();
    EXPECT_EQ(volume.space.totals().free, free - run.value().count.value + given.count.value);
    EXPECT_FALSE(volume.space.contradiction());
}

TYPED_TEST(SpaceFaults, AJoinThatTheCacheOrTheListCannotHoldIsRefusedBeforeItBegins) {
    auto&      volume = this->volume();
    const auto run    = this->reserve({.blocks = {20}, .goal = first_of_group(2, {512}) + block_count{10}});
    ASSERT_TRUE(run);
    auto& tx = volume.transactions[0];
    tx.reset();
    tx.taken.push({.blocks = run.value(), .data = true});
    this->forget();
    std::vector<std::uint32_t> pinned;  // somebody else looks at everything
    for (std::uint64_t i = 0; volume.cache.has_room_for(1); ++i) {
        const auto slot = volume.cache.get_raw(volume, run.value().end() + block_count{i});
        ASHLAR_ASSERT_OK(slot);
        volume.cache.pin(slot.value());
        pinned.push_back(slot.value());
    }
    std::uint64_t refused = 0;
    for (;; ++refused) {  // with each slot that comes free a join gets further
        const auto prepared = volume.space.prepare(volume.metadata(), tx, true);
        if (prepared) break;
        EXPECT_EQ(prepared.error().code, errc::too_large);
        ASSERT_FALSE(pinned.empty());
        volume.cache.unpin(pinned.back());
        pinned.pop_back();
    }
    EXPECT_GT(refused, 2U);
    volume.space.apply(volume.metadata(), tx, volume.open_batch);
    tx.reset();
    for (const auto slot : pinned) volume.cache.unpin(slot);

    // Where less may wait to be freed than is given back.
    std::vector<extent> blocks;
    for (const auto& piece : this->store.extents(this->store.root())) blocks.push_back(piece.physical);
    const auto room = volume.space.retired_room();
    for (std::size_t i = 0; i < small_limits().transaction.extents; ++i) tx.given.push({.blocks = blocks.front()});
    bool full = false;
    for (std::size_t i = 0; i <= room / tx.given.size() && !full; ++i) {
        const auto prepared = volume.space.prepare(volume.metadata(), tx, true);
        if (!prepared) {
            EXPECT_EQ(prepared.error().code, errc::too_large);
            full = true;
            break;
        }
        auto& one = volume.transactions[1];  // what is retired meanwhile takes the room
        one.reset();
        for (std::size_t k = 0; k < small_limits().transaction.extents; ++k) {
            const auto taken = this->reserve({.blocks = {1}});
            ASSERT_TRUE(taken);
            one.taken.push({.blocks = taken.value()});
            one.given.push({.blocks = taken.value(), .metadata = k % 2 == 0});
        }
        ASHLAR_ASSERT_OK(volume.space.prepare(volume.metadata(), one, false));
        volume.space.apply(volume.metadata(), one, volume.open_batch);
    }
    EXPECT_TRUE(full);
    tx.reset();
}

TYPED_TEST(SpaceFaults, EachLoadOfARestatementMayFail) {
    auto&                    volume = this->volume();
    std::vector<bitmap_word> in_use(words_for(blocks_per_group({512})));
    ASHLAR_ASSERT_OK(volume.space.read_busy(volume.metadata(), 0, [&] { return std::span{in_use}; }));
    const auto free = volume.space.totals().free;
    for (std::uint64_t nth = 1; nth <= 4; ++nth) {
        this->forget();
        watched_source<typename TestFixture::volume_type> source{.volume = volume, .fails_at = nth, .meanwhile = {}};
        const typename TestFixture::access                at{volume.cache, source, volume.regions, volume.geometry};
        // Without the record nothing is known; a bitmap that cannot be read is made anew.
        EXPECT_EQ(code_of(volume.space.restate_group(at, 0, in_use)), nth == 1 ? errc::device_failed : errc::none);
        EXPECT_EQ(volume.space.totals().free, free) << "it was true before";
    }
    const auto totals = volume.space.totals();
    EXPECT_EQ(this->fail_each_load([&](const auto& at) noexcept { return volume.space.restate_totals(at, totals); }),
              1U);
    this->forget();
    EXPECT_EQ(findings_of(this->store), "");
}

TYPED_TEST(SpaceFaults, WhatOthersTakeWhileABlockIsLoadedIsNotTakenTwice) {
    auto& volume = this->volume();
    this->forget();
    std::vector<extent>                                       others;
    watched_source<std::remove_reference_t<decltype(volume)>> source{.volume = volume};
    source.meanwhile = [&] {
        if (!others.empty()) return;
        while (volume.space.can_reserve()) {
            const auto run = this->reserve({.blocks = {2}});
            if (!run) break;
            others.push_back(run.value());
        }
    };
    const auto late =
        volume.space.reserve(typename TestFixture::access{volume.cache, source, volume.regions, volume.geometry},
                             volume.allocator, {.blocks = {7}, .goal = {6000}});
    EXPECT_EQ(code_of(late), errc::too_large) << "the list is full by now";
    ASSERT_FALSE(others.empty());
    for (const auto& one : others) volume.space.release(one, {512});
    EXPECT_EQ(findings_of(this->store), "");
}

TYPED_TEST(SpaceFaults, WhatComesFreeWhileGroupsAreLookedAtIsFoundLater) {
    auto&      volume = this->volume();
    const auto all = this->reserve({.blocks = {10}, .least = {10}, .goal = {2300}});  // in the middle of the free run
    ASSERT_TRUE(all);
    this->forget();
    bool                                                      freed = false;
    watched_source<std::remove_reference_t<decltype(volume)>> source{.volume = volume};
    source.meanwhile = [&] {
        if (std::exchange(freed, true)) return;
        volume.space.release(all.value(), {512});
    };
    const typename TestFixture::access at{volume.cache, source, volume.regions, volume.geometry};
    const auto early = volume.space.reserve(at, volume.allocator, {.blocks = {2500}, .least = {2500}});
    EXPECT_TRUE(freed);
    if (early) volume.space.release(early.value(), {512});
    const auto late = volume.space.reserve(at, volume.allocator, {.blocks = {2500}, .least = {2500}});
    ASSERT_TRUE(late) << "nothing that was seen before it came free counts: " << said(late);
    volume.space.release(late.value(), {512});
    // A run of a group that is not in memory may be taken by who knows it to be free.
    this->forget();
    volume.space.reserve_run({first_of_group(1, {512}) + block_count{5}, {3}}, {512});
    const auto next = this->reserve({.blocks = {3}, .goal = first_of_group(1, {512}) + block_count{4}});
    ASSERT_TRUE(next);
    EXPECT_FALSE(overlap(next.value(), {first_of_group(1, {512}) + block_count{5}, {3}}));
    volume.space.release({first_of_group(1, {512}) + block_count{5}, {3}}, {512});
    volume.space.release(next.value(), {512});
    EXPECT_EQ(findings_of(this->store), "");
}

/// So many groups that their records fill several blocks; the totals lie in the first one.
template <class Store>
class SpaceFaultsOfManyGroups : public SpaceFaults<Store> {
  protected:
    SpaceFaultsOfManyGroups() : SpaceFaults<Store>{11 * std::uint64_t{blocks_per_group({512})}} {}
};
TYPED_TEST_SUITE(SpaceFaultsOfManyGroups, mapped_and_indexed);

TYPED_TEST(SpaceFaultsOfManyGroups, EachLoadForTheLastGroupMayFail) {
    auto&      volume = this->volume();
    const auto last   = first_of_group(10, {512});
    const auto run    = this->reserve({.blocks = {100}, .least = {100}, .goal = last + block_count{40}});
    ASSERT_TRUE(run);
    ASSERT_NE(group_record_of(10, {512}).block, block_count{0});
    auto& tx = volume.transactions[0];
    tx.reset();
    tx.taken.push({.blocks = run.value()});
    const auto totals = volume.space.totals();
    EXPECT_GE(this->fail_each_load([&](const auto& at) noexcept { return volume.space.note_trimmed(at, run.value()); }),
              2U);
    EXPECT_EQ(volume.space.totals().trimmed, totals.trimmed + 100);
    EXPECT_GE(this->fail_each_load([&](const auto& at) noexcept -> result<> {
        BOOST_OUTCOME_TRY(volume.space.prepare(at, tx, false));
        volume.space.apply(at, tx, volume.open_batch);
        return success();
    }),
              3U);
    tx.reset();
    EXPECT_EQ(volume.space.totals().free, totals.free - 100);
    EXPECT_EQ(volume.space.totals().trimmed, totals.trimmed) << "what is in use is not known to be trimmed";

    std::vector<bitmap_word> in_use(words_for(blocks_per_group({512})));  // nothing of the group is
    for (std::uint64_t nth = 1; nth <= 4; ++nth) {
        this->forget();
        watched_source<typename TestFixture::volume_type> source{.volume = volume, .fails_at = nth, .meanwhile = {}};
        const typename TestFixture::access                at{volume.cache, source, volume.regions, volume.geometry};
        const auto                                        before = volume.space.totals().free;
        const auto                                        done   = volume.space.restate_group(at, 10, in_use);
        EXPECT_EQ(code_of(done), nth <= 2 ? errc::device_failed : errc::none)
            << "record, totals, then what is made anew";
        EXPECT_EQ(volume.space.totals().free, nth <= 2 ? before : totals.free);
    }
    this->forget();
    EXPECT_EQ(findings_of(this->store), "");
}

}  // namespace space_test
}  // namespace ashlar::test
