// Allocation in volumes of more groups than memory holds, against a reference that knows every block.

#include "../store/store_fixture.hpp"

#include <ashlar/allocator/bitmap_allocator.hpp>

#include <algorithm>

namespace ashlar::test {
namespace space_of_test {

/// Memory whose reads fail on demand.
class unreadable_memory {
  public:
    explicit unreadable_memory(memory_device& inner) noexcept : inner_{&inner} {}
    bool fails = false;

    [[nodiscard]] device_geometry geometry() const noexcept { return inner_->geometry(); }
    [[nodiscard]] result<>        read(extent e, std::span<std::byte> in) noexcept {
               if (fails) return error{errc::device_failed, e.first};
        return inner_->read(e, in);
    }
    [[nodiscard]] result<> write(extent e, std::span<const std::byte> out) noexcept { return inner_->write(e, out); }
    [[nodiscard]] result<> sync() noexcept { return inner_->sync(); }
    [[nodiscard]] result<> trim(extent e) noexcept { return inner_->trim(e); }

  private:
    memory_device* inner_;
};

struct small_blueprint : test_blueprint<> {
    using allocator = bitmap_allocator;
};

/// A store, and what each of its blocks is.
template <class Store>
class watched_space {
  public:
    static constexpr block_size   size{512};
    static constexpr volume_shape shape{.block_bytes = 512, .blocks = 24 * 3968 + 1000, .journal_blocks = 512};
    enum class block : std::uint8_t { free, reserved, used, retired };

    explicit watched_space(space_limits limits, std::size_t cache_blocks = 256)
        : memory{make_memory(shape)}, device{memory} {
        format_on<Store>(memory, shape);
        auto chosen                = small_limits();
        chosen.cache_blocks        = cache_blocks;
        chosen.transaction.extents = 48;
        chosen.transactions        = 30;
        limits.retired             = 4096;
        chosen.space               = limits;
        store                      = opened_on<Store>(device, chosen);
        blocks.assign(shape.blocks, block::used);
        for (const auto& run : store.free_runs()) mark(run, block::used, block::free);
    }
    ~watched_space() { static_cast<void>(store.abandon()); }

    auto&          volume() { return store.volume(); }
    result<extent> reserve(space_request wanted) {
        const auto run = volume().space.reserve(volume().metadata(), volume().allocator, wanted);
        if (run) mark(run.value(), block::free, block::reserved);
        return run;
    }
    void release(extent run) {
        volume().space.release(run, size);
        mark(run, block::reserved, block::free);
    }
    /// Takes and gives back in one transaction. What is taken is reserved inside.
    result<std::vector<extent>> change(const std::vector<space_request>& wanted, const std::vector<extent>& given) {
        std::vector<extent> taken;
        BOOST_OUTCOME_TRY(run_transaction(volume(), [&](std::uint32_t tx) noexcept -> result<> {
            taken.clear();
            note_drained();
            auto& state = volume().transactions[tx];
            for (const auto& one : wanted) {
                BOOST_OUTCOME_TRY(const auto run, volume().space.reserve(volume().metadata(), volume().allocator, one));
                taken.push_back(run);
                state.taken.push({.blocks = run});
            }
            for (const auto run : given) state.given.push({.blocks = run});
            return success();
        }));
        for (const auto run : taken) mark(run, block::free, block::used);
        for (const auto run : given) mark(run, block::used, block::retired);
        return taken;
    }
    /// Everything that waits comes free.
    void drain() {
        ASHLAR_ASSERT_OK(store.checkpoint());
        ASSERT_EQ(volume().space.draining().value, 0U);
        note_drained();
    }
    /// Making room for a transaction drains all that waits, or nothing.
    void note_drained() {
        if (volume().space.draining().value != 0) return;
        std::replace(blocks.begin(), blocks.end(), block::retired, block::free);
    }

    [[nodiscard]] bool is_free(extent run) const {
        if (run.end().value > blocks.size()) return false;
        if (place_of(run.first, size).group != place_of(run.end() - block_count{1}, size).group) return false;
        for (auto i = run.first.value; i < run.end().value; ++i) {
            if (blocks[i] != block::free) return false;
        }
        return true;
    }
    /// Free runs of one group.
    [[nodiscard]] std::vector<extent> runs_of(std::uint64_t group) const {
        std::vector<extent> runs;
        const auto          first = first_of_group(group, size).value;
        const auto          end   = first + volume_blocks_of(group);
        for (auto i = first; i < end; ++i) {
            if (blocks[i] != block::free) continue;
            auto stop = i;
            while (stop < end && blocks[stop] == block::free) ++stop;
            runs.push_back({block_index{i}, block_count{stop - i}});
            i = stop;
        }
        return runs;
    }
    [[nodiscard]] std::uint64_t longest_of(std::uint64_t group) const {
        std::uint64_t longest = 0;
        for (const auto& run : runs_of(group)) longest = std::max(longest, run.count.value);
        return longest;
    }
    [[nodiscard]] std::uint64_t longest() const {
        std::uint64_t longest = 0;
        for (std::uint64_t group = 0; group < 25; ++group) longest = std::max(longest, longest_of(group));
        return longest;
    }
    [[nodiscard]] std::uint64_t free_blocks() const {
        return static_cast<std::uint64_t>(std::count(blocks.begin(), blocks.end(), block::free));
    }

    /// What the store would allocate is what the reference calls free, block by block.
    void expect_same() {
        EXPECT_EQ(volume().space.available(space_use::metadata).value, free_blocks());
        for (std::uint64_t group = 0; group < volume().geometry.groups; ++group) {
            const auto view = volume().space.window(volume().metadata(), group);
            ASSERT_TRUE(view) << said(view);
            const auto first = first_of_group(group, size).value;
            for (std::uint32_t i = 0; i < view.value().blocks; ++i) {
                ASSERT_EQ(!is_set(view.value().busy, i), blocks[first + i] == block::free)
                    << "block " << i << " of group " << group;
            }
        }
    }

    /// Fills the volume until only a twentieth is free, in runs of chance, and gives some of them back.
    void fill(random_bits& random, std::vector<extent>& used) {
        while (free_blocks() > shape.blocks / 20) {
            std::vector<space_request> wanted(20);
            for (auto& one : wanted) one = {.blocks = block_count{1 + random.below(64)}, .use = space_use::metadata};
            std::vector<extent> given;
            for (int i = 0; i < 3 && !used.empty(); ++i) given.push_back(pick(random, used));
            const auto taken = change(wanted, given);
            ASSERT_TRUE(taken) << said(taken);
            used.insert(used.end(), taken.value().begin(), taken.value().end());
        }
        drain();
    }
    static extent pick(random_bits& random, std::vector<extent>& from) {
        auto&        one  = from[random.below(from.size())];
        const extent gone = one;
        one               = from.back();
        from.pop_back();
        return gone;
    }

    memory_device      memory;
    unreadable_memory  device;
    Store              store;
    std::vector<block> blocks;

  private:
    [[nodiscard]] static std::uint64_t volume_blocks_of(std::uint64_t group) {
        return blocks_of_group(group, block_count{shape.blocks}, size);
    }
    void mark(extent run, block was, block is) {
        for (auto i = run.first.value; i < run.end().value; ++i) {
            ASSERT_EQ(blocks[i], was) << "block " << i;
            blocks[i] = is;
        }
    }
};

/// Random requests on a nearly full volume. Every answer is checked: a run is free, long enough, at its goal where that
/// is possible; and where none is found there is none.
template <class Store>
void serve_random_requests(space_limits limits, std::uint64_t seed) {
    watched_space<Store> space{limits};
    random_bits          random{seed};
    std::vector<extent>  used;
    std::vector<extent>  held;
    space.fill(random, used);
    space.expect_same();
    int refused = 0;
    for (int step = 0; step < 700 && !testing::Test::HasFatalFailure(); ++step) {
        const auto what = random.below(10);
        if (what < 3 && held.size() > 20) {
            space.release(space.pick(random, held));
        } else if (what == 3 && !used.empty()) {
            std::vector<extent> given;
            for (int i = 0; i < 8 && !used.empty(); ++i) given.push_back(space.pick(random, used));
            ASHLAR_ASSERT_OK(space.change({}, given));
            if (random.below(3) == 0) space.drain();
        } else {
            space_request wanted{.blocks = block_count{1 + random.below(1ULL << random.below(10))},
                                 .use    = space_use::metadata};
            const bool    whole = random.below(2) == 0;
            wanted.least        = whole ? wanted.blocks : block_count{1 + random.below(wanted.blocks.value)};
            if (random.below(2) == 0) wanted.goal = block_index{1 + random.below(space.blocks.size() - 1)};
            const bool fits_at_goal = wanted.goal.value != 0 && space.is_free({wanted.goal, wanted.blocks});
            const auto longest      = space.longest();
            const auto found        = space.reserve(wanted);
            if (!found) {
                ++refused;
                EXPECT_LT(longest, wanted.least.value) << said(found) << " in step " << step;
                EXPECT_EQ(found.error().code,
                          space.free_blocks() < wanted.least.value ? errc::no_space : errc::no_contiguous_space);
                continue;
            }
            EXPECT_GE(found.value().count, wanted.least);
            EXPECT_LE(found.value().count, wanted.blocks);
            if (fits_at_goal) { EXPECT_EQ(found.value(), (extent{wanted.goal, wanted.blocks})); }
            held.push_back(found.value());
        }
        if (step % 50 == 0) space.expect_same();
    }
    EXPECT_GT(refused, 0) << "some requests must have been too long";
    for (const auto& run : held) space.release(run);
    space.expect_same();
}

TEST(SpaceOf, FindsEveryRunThatIsThereHoweverFewGroupsAreInMemory) {
    serve_random_requests<test_store>({.groups_loaded = 3}, 1);
    serve_random_requests<test_store>({.groups_loaded = 1}, 2);
    serve_random_requests<test_store>({.groups_loaded = 30}, 3);
}

TEST(SpaceOf, FindsEveryRunWhereOneHintStandsForManyGroups) {
    serve_random_requests<test_store>({.groups_loaded = 3, .hint_cells = 5}, 4);
    serve_random_requests<test_store>({.groups_loaded = 2, .hint_cells = 1}, 5);
    serve_random_requests<test_store>({.groups_loaded = 12, .hint_cells = 9}, 6);
}

TEST(SpaceOf, FindsEveryRunWithoutAnIndex) {
    serve_random_requests<ashlar::store<small_blueprint>>({.groups_loaded = 3}, 7);
}

TEST(SpaceOf, ARunThatIsGivenBackWhereNoBitmapIsInMemoryIsFoundAgain) {
    watched_space<test_store> space{{.groups_loaded = 2}};
    std::vector<extent>       used;
    for (std::uint64_t group = 0; group < 25; ++group) {
        while (space.longest_of(group) != 0) {
            const auto taken = space.change(
                {{.blocks = block_count{4000}, .goal = space.runs_of(group)[0].first, .use = space_use::metadata}}, {});
            ASSERT_TRUE(taken) << said(taken);
            used.push_back(taken.value()[0]);
        }
    }
    EXPECT_EQ(code_of(space.reserve({.use = space_use::metadata})), errc::no_space);
    const auto far = std::find_if(used.begin(), used.end(), [](extent run) {
        return place_of(run.first, {512}).group == 12 && run.count.value > 1000;
    });
    ASSERT_NE(far, used.end());
    // Three neighbours, given back in an order that is not theirs, are one run.
    const extent left   = part_of(*far, {0}, {100});
    const extent middle = part_of(*far, {100}, {200});
    const extent right  = part_of(*far, {300}, {50});
    ASHLAR_ASSERT_OK(space.change({}, {right, left}));
    ASHLAR_ASSERT_OK(space.change({}, {middle}));
    EXPECT_EQ(code_of(space.reserve({.use = space_use::metadata})), errc::no_space) << "it still waits";
    space.drain();
    const auto found = space.reserve({.blocks = {350}, .least = {350}, .use = space_use::metadata});
    ASSERT_TRUE(found) << said(found);
    EXPECT_EQ(found.value(), (extent{left.first, block_count{350}}));
    for (std::uint64_t group = 0; group < 5; ++group)
        ASHLAR_ASSERT_OK(space.volume().space.window(space.volume().metadata(), group));
    space.release(found.value());
    space.expect_same();
    const auto again = space.reserve({.blocks = {350}, .least = {350}, .use = space_use::metadata});
    ASSERT_TRUE(again) << said(again);
    EXPECT_EQ(again.value(), found.value());
}

TEST(SpaceOf, WhatIsMovedWithoutAGoalTakesTheSmallestHoleOfTheFirstGroupThatHasOne) {
    watched_space<test_store> space{{.groups_loaded = 3}};
    random_bits               random{9};
    std::vector<extent>       used;
    space.fill(random, used);
    for (int step = 0; step < 60; ++step) {
        const auto    blocks = 1 + random.below(60);
        std::uint64_t group  = 0;
        while (group < 25 && space.longest_of(group) < blocks) ++group;
        std::uint64_t smallest = ~std::uint64_t{0};
        const auto    runs     = group < 25 ? space.runs_of(group) : std::vector<extent>{};
        for (const auto& run : runs) {
            if (run.count.value >= blocks) smallest = std::min(smallest, run.count.value);
        }
        const auto found = space.reserve({.blocks = {blocks}, .least = {blocks}, .use = space_use::relocation});
        if (group == 25 || !found) {
            EXPECT_EQ(found.has_value(), group < 25) << said(found);
            continue;
        }
        EXPECT_EQ(place_of(found.value().first, {512}).group, group) << "for " << blocks << " blocks";
        const auto whole =
            std::find_if(runs.begin(), runs.end(), [&](extent run) { return run.first == found.value().first; });
        ASSERT_NE(whole, runs.end());
        EXPECT_EQ(whole->count.value, smallest);
    }
}

TEST(SpaceOf, ADeviceThatCannotBeReadChangesNothing) {
    watched_space<test_store> space{{.groups_loaded = 2}, 24};
    random_bits               random{10};
    std::vector<extent>       used;
    space.fill(random, used);
    int failed = 0;
    for (int step = 0; step < 300; ++step) {
        const auto before  = space.volume().space.available(space_use::metadata);
        space.device.fails = true;
        const space_request wanted{.blocks = block_count{1 + random.below(100)},
                                   .least  = block_count{1},
                                   .goal   = block_index{1 + random.below(space.blocks.size() - 1)},
                                   .use    = space_use::metadata};
        const auto          found = space.reserve(wanted);
        space.device.fails        = false;
        if (found) continue;
        ++failed;
        EXPECT_EQ(found.error().code, errc::device_failed);
        EXPECT_EQ(space.volume().space.available(space_use::metadata), before);
        if (failed % 20 == 0) space.expect_same();
        ASHLAR_ASSERT_OK(space.reserve(wanted));
    }
    EXPECT_GT(failed, 20);
    space.expect_same();
}

TEST(SpaceOf, TheSameRequestsGetTheSameRuns) {
    std::vector<extent> runs[2];
    for (auto& seen : runs) {
        watched_space<test_store> space{{.groups_loaded = 3, .hint_cells = 9}};
        random_bits               random{11};
        std::vector<extent>       used;
        space.fill(random, used);
        seen = used;
        for (int step = 0; step < 200; ++step) {
            const auto found = space.reserve({.blocks = {1 + random.below(40)}, .use = space_use::metadata});
            ASSERT_TRUE(found) << said(found);
            seen.push_back(found.value());
            if (step % 3 == 0) space.release(found.value());
        }
    }
    EXPECT_EQ(runs[0], runs[1]);
}

TEST(SpaceOf, MemoryIsAQuarterByteForEachBlockOfTheLoadedGroupsAndAByteForEachHint) {
    const auto bytes = [](std::size_t groups, std::size_t cells, block_size size) {
        auto limits                = small_limits();
        limits.space.groups_loaded = groups;
        limits.space.hint_cells    = cells;
        return test_store::workspace_bytes(size, with(limits));
    };
    for (const std::uint32_t size : {512U, 4096U, 16384U}) {
        const auto each = bytes(64, 4096, {size}) - bytes(48, 4096, {size});
        EXPECT_LE(each / 16, blocks_per_group({size}) / 4 + 64) << size;
        EXPECT_EQ(bytes(16, 5000, {size}) - bytes(16, 1000, {size}), 4000U);
    }
}

}  // namespace space_of_test
}  // namespace ashlar::test
