#include "../counts.hpp"
#include "region_history.hpp"

#include <ashlar/compaction.hpp>
#include <ashlar/testing/crash_states.hpp>

namespace ashlar::test {
namespace region_crash_test {

const volume_shape shape{.block_bytes = 512, .blocks = 1500, .journal_blocks = 96};

/// A store on a recorded device, and its regions with their history.
class recorded_regions {
  public:
    /// Memory has room for so many entries of a region that slides.
    explicit recorded_regions(std::size_t entries_max = small_limits().indirection_entries_max)
        : memory_{make_memory(shape)}, recorded_{memory_} {
        limits_.indirection_entries_max = entries_max;
        format_on(recorded_, shape);
        live_ = opened_on(recorded_, limits_);
    }

    /// From here on the device is recorded.
    void begin() {
        base_.assign(memory_.bytes().begin(), memory_.bytes().end());
        recorded_.forget();
        history_.begin();
        for (auto& one : known_) {
            one.there = 0;
            if (one.gone != never) one.gone = 0;
        }
    }
    [[nodiscard]] std::size_t calls() const { return recorded_.calls().size(); }

    region_id add(std::uint32_t type, std::uint64_t blocks) {
        const auto name = store_regions{live_}.add({.type = type, .blocks = block_count{blocks}});
        EXPECT_TRUE(name) << said(name);
        ASHLAR_EXPECT_OK(live_.sync());
        known_.push_back({name.value(), blocks, calls()});
        for (std::uint64_t i = 0; i < blocks; ++i) write(name.value(), i, 1);
        sync(name.value());
        return name.value();
    }
    void remove(region_id name) {
        known_[index_of(name)].gone = calls();
        ASHLAR_EXPECT_OK(store_regions{live_}.remove(name));
    }
    void write(region_id name, std::uint64_t block, std::uint64_t count) {
        auto        region = store_regions{live_}.open(name).value();
        byte_vector bytes;
        for (std::uint64_t i = 0; i < count; ++i) {
            const auto one = region_history::bytes_of_version(history_.begin_write(index_of(name), block + i, calls()));
            bytes.insert(bytes.end(), one.begin(), one.end());
        }
        ASHLAR_EXPECT_OK(region.write({block_index{block}, block_count{count}}, bytes));
    }
    void sync(region_id name) {
        ASHLAR_EXPECT_OK(store_regions{live_}.open(name).value().sync());
        history_.synced(calls());
    }
    [[nodiscard]] test_store& live() { return live_; }
    /// Every state is not only looked at, but compacted to the end.
    void finish_all() { finishes_ = true; }

    /// Opens every state that a cut may leave, and looks at all regions. Answers how many there were.
    std::uint64_t look(crash_effort effort) {
        std::uint64_t findings = 0;
        return crash_states(recorded_.calls(), base_, {512}, effort,
                            [&](const crash_point& at, std::span<std::byte> image) {
                                const auto wrong = judge(at.calls, image);
                                if (wrong.empty()) return true;
                                ADD_FAILURE() << wrong << "\n  cut after call " << at.calls << " of "
                                              << recorded_.calls().size() << ", " << text_of(at.choice);
                                return ++findings < 3;
                            });
    }

  private:
    static constexpr std::size_t never = ~std::size_t{0};

    /// The region that has the name now; another one may have had it before.
    [[nodiscard]] std::size_t index_of(region_id name) const {
        auto i = known_.size() - 1;
        while (known_[i].name != name) --i;
        return i;
    }

    struct known_region {
        region_id     name;
        std::uint64_t blocks;
        std::size_t   there;         ///< Calls after which it must be there,
        std::size_t   gone = never;  ///< and after which it need not.
    };

    std::string judge(std::size_t calls, std::span<std::byte> image) {
        auto lent   = memory_device::lend(image, {512}).value();
        auto opened = test_store::open(any_device{lent}, with<test_store>(limits_));
        if (!opened) return "does not open: " + said(opened);
        for (std::size_t k = 0; k < known_.size(); ++k) {
            const auto& known = known_[k];
            if (calls < known.there || calls >= known.gone) continue;
            auto region = store_regions{opened.value()}.open(known.name);
            if (!region) return "a region is gone: " + said(region);
            const auto bytes = read_all(region.value());
            for (std::uint64_t i = 0; i < known.blocks; ++i) {
                const auto wrong = history_.check(k, i, std::span{bytes}.subspan(i * 512, 512), calls);
                if (!wrong.empty())
                    return "region " + std::to_string(known.name.number) + ", block " + std::to_string(i) + ": " +
                           wrong;
            }
        }
        const auto wrong = findings_of(opened.value());
        if (!wrong.empty() || !finishes_) return wrong;
        return finish(opened.value(), calls);
    }

    /// The next pass goes on where the cut one stood, and changes no byte.
    std::string finish(test_store& store, std::size_t calls) {
        std::vector<byte_vector> before;
        const auto               read = [&](std::size_t k) {
            auto region = store_regions{store}.open(known_[k].name).value();
            return read_all(region);
        };
        const auto is_there = [&](std::size_t k) { return calls >= known_[k].there && calls < known_[k].gone; };
        for (std::size_t k = 0; k < known_.size(); ++k) before.push_back(is_there(k) ? read(k) : byte_vector{});
        {
            auto task = compaction<test_blueprint<>>::open(store, {.regions = {.threshold_permille = 1}}).value();
            auto said = task.step({});
            while (said.reasons == stop_reason::budget_spent) said = task.step({});
            if (!said.reasons.has(stop_reason::finished) || said.failure.code != errc::none)
                return "the next pass does not finish: " + std::to_string(static_cast<int>(said.failure.code));
        }
        for (std::size_t k = 0; k < known_.size(); ++k) {
            if (is_there(k) && read(k) != before[k]) return "the next pass changed a region";
        }
        if (!store.volume().indirection.empty() || !store.volume().regions.slide().empty()) return "a slide is left";
        return findings_of(store);
    }

    bool                            finishes_ = false;
    volume_limits                   limits_   = small_limits();
    memory_device                   memory_;
    recording_device<memory_device> recorded_;
    test_store                      live_;
    byte_vector                     base_;
    region_history                  history_;
    std::vector<known_region>       known_;
};

TEST(RegionCrash, EveryRegionIsWholeAtItsOldOrNewPlaceWhereverTheMoveIsCut) {
    recorded_regions world;
    const auto       gap    = world.add(maps, 230);
    const auto       first  = world.add(logs, 200);
    const auto       second = world.add(logs, 30);
    world.remove(gap);
    ASHLAR_ASSERT_OK(world.live().checkpoint());
    world.begin();
    auto compacting = compaction<test_blueprint<>>::open(world.live(), {.regions = {.threshold_permille = 1}}).value();
    random_bits random{3};
    for (int steps = 0; steps < 200; ++steps) {
        const auto said = compacting.step({.blocks_max = 24});
        if (said.reasons.has(stop_reason::finished)) break;
        ASSERT_EQ(said.reasons, stop_reason::budget_spent);
        world.write(first, random.below(190), 1 + random.below(6));
        if (steps % 3 == 0) world.write(second, random.below(30), 1);
        if (steps % 4 == 1) world.sync(first);
        if (steps % 5 == 2) ASHLAR_ASSERT_OK(world.live().append(world.live().root(), pattern(1, 512, 1)));
    }
    EXPECT_EQ(compacting.last_result().regions_moved, 2U);
    world.write(first, 0, 2);
    world.sync(first);
    const auto states = world.look({.random_max = 2, .single_max = 8, .tears_max = 8});
    EXPECT_GT(states, 400U);
    count("crash states of moving regions", states);
}

/// A region slides while it is written to; every state that a cut leaves has each block at its old place or its new
/// one.
void slide_and_look(std::uint64_t gap, std::uint64_t blocks, crash_effort effort,
                    std::size_t entries_max = small_limits().indirection_entries_max) {
    recorded_regions world{entries_max};
    const auto       front  = world.add(maps, gap);
    const auto       region = world.add(logs, blocks);
    world.remove(front);
    ASHLAR_ASSERT_OK(world.live().checkpoint());
    world.begin();
    auto compacting = compaction<test_blueprint<>>::open(world.live(), {.regions = {.threshold_permille = 1}}).value();
    random_bits random{static_cast<std::uint32_t>(gap)};
    for (int steps = 0; steps < 600; ++steps) {
        const auto said = compacting.step({.blocks_max = 7});
        if (said.reasons.has(stop_reason::finished)) break;
        ASSERT_EQ(said.reasons, stop_reason::budget_spent);
        world.write(region, random.below(blocks - 6), 1 + random.below(6));
        if (steps % 4 == 1) world.sync(region);
        if (steps % 5 == 2) ASHLAR_ASSERT_OK(world.live().append(world.live().root(), pattern(1, 512, 1)));
    }
    EXPECT_EQ(compacting.last_result().regions_slid, 1U);
    world.finish_all();
    world.write(region, 0, 2);
    world.sync(region);
    const auto states = world.look(effort);
    EXPECT_GT(states, 400U);
    count("crash states of sliding regions", states);
}

TEST(RegionCrash, EveryBlockIsAtItsOldOrNewPlaceWhereverASlideIsCut) {
    slide_and_look(10, 45, {.random_max = 2, .single_max = 8, .tears_max = 8});
}

TEST(RegionCrash, EveryBlockIsAtItsOldOrNewPlaceWhereTheGapIsOneBlock) {
    slide_and_look(1, 12, {.random_max = 2, .single_max = 8, .tears_max = 8});
}

TEST(RegionCrash, EveryBlockIsAtItsOldOrNewPlaceWhereverASlideIsCutWhoseTableIsBegunAnew) {
    slide_and_look(10, 60, {.random_max = 2, .single_max = 8, .tears_max = 8}, 12);  // with every third part
}

TEST(RegionCrash, EveryBlockIsAtItsOldOrNewPlaceWhereATableOfManyBlocksIsBegunAnew) {
    slide_and_look(70, 130, {.random_max = 1, .single_max = 4, .tears_max = 8}, 70);  // in parts of 35, 30 in a block
}

void remove_and_look(std::size_t entries_max) {
    recorded_regions world{entries_max};
    const auto       front  = world.add(maps, 6);
    const auto       region = world.add(logs, 40);
    const auto       other  = world.add(logs, 5);
    world.remove(front);
    ASHLAR_ASSERT_OK(world.live().checkpoint());
    world.begin();
    {
        auto compacting =
            compaction<test_blueprint<>>::open(world.live(), {.regions = {.threshold_permille = 1}}).value();
        for (int i = 0; i < 4; ++i) EXPECT_EQ(compacting.step({.blocks_max = 6}).reasons, stop_reason::budget_spent);
    }
    EXPECT_FALSE(world.live().volume().indirection.empty());
    EXPECT_EQ(world.live().volume().indirection.folded().empty(), entries_max > 40);
    world.write(region, 2, 4);
    world.sync(region);
    world.remove(region);
    ASHLAR_ASSERT_OK(world.live().sync());
    EXPECT_TRUE(world.live().volume().indirection.empty());
    const auto again = world.add(maps, 42);
    world.write(again, 1, 3);
    world.write(other, 1, 3);
    world.sync(other);
    const auto states = world.look({.random_max = 2, .single_max = 8, .tears_max = 8});
    EXPECT_GT(states, 400U);
    count("crash states of sliding regions", states);
}

TEST(RegionCrash, ARemovedRegionThatLayInPartsIsWhollyThereOrGone) {
    remove_and_look(small_limits().indirection_entries_max);
}

TEST(RegionCrash, ARemovedRegionThatLayInPartsIsWhollyThereOrGoneAfterItsTableWasBegunAnew) { remove_and_look(7); }

TEST(RegionCrash, AddingAndRemovingIsAllOrNothing) {
    recorded_regions world;
    world.begin();
    const auto first = world.add(logs, 20);
    const auto other = world.add(maps, 10);
    world.remove(first);
    ASHLAR_ASSERT_OK(world.live().sync());
    const auto again = world.add(logs, 40);
    EXPECT_EQ(again, first);
    world.write(other, 3, 4);
    world.sync(other);
    ASHLAR_ASSERT_OK(world.live().checkpoint());
    const auto states = world.look({.random_max = 2, .single_max = 8, .tears_max = 8});
    EXPECT_GT(states, 400U);
    count("crash states of moving regions", states);
}

}  // namespace region_crash_test
}  // namespace ashlar::test
