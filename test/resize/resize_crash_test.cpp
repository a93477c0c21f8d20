// Power cuts while a volume grows and is cut: it has the one size or the other, whole, and is used afterwards.

#include "../counts.hpp"
#include "../evacuate/evacuate_fixture.hpp"
#include "resize_fixture.hpp"

#include <ashlar/shrinking.hpp>
#include <ashlar/testing/crash_proof.hpp>

namespace ashlar::test {
namespace resize_crash_test {

struct size_scenario {
    std::uint32_t              block_bytes;
    std::uint64_t              device;
    std::uint64_t              blocks;
    std::vector<std::uint64_t> sizes;  ///< One after the other; larger ones by growing.
};

crash_setup<test_store> setup_of(const size_scenario& wanted) {
    crash_setup<test_store> setup;
    setup.block         = {wanted.block_bytes};
    setup.blocks        = {wanted.device};
    setup.format        = volume_shape{.block_bytes = wanted.block_bytes, .journal_blocks = 96}.format();
    setup.format.blocks = {wanted.blocks};
    setup.store         = with<test_store>();
    return setup;
}

/// Which sizes a volume may have after a cut.
class known_sizes {
  public:
    void begin(std::uint64_t blocks) { sizes_.push_back({blocks, 0, 0}); }
    void changes(std::uint64_t blocks, std::size_t calls) { sizes_.push_back({blocks, calls, ~std::size_t{0}}); }
    void changed(std::size_t calls) { sizes_.back().durable = calls; }
    [[nodiscard]] bool allows(std::uint64_t blocks, std::size_t calls) const {
        bool allowed = false;
        for (const auto& one : sizes_) {
            if (one.durable <= calls) allowed = false;  // nothing before it counts any more
            if (one.begun <= calls && one.blocks == blocks) allowed = true;
        }
        return allowed;
    }

    /// What the device may be cut to as well: a change that returned is home.
    [[nodiscard]] std::uint64_t certain(std::size_t calls) const {
        std::uint64_t blocks = 0;
        for (const auto& one : sizes_) {
            if (one.durable <= calls) blocks = one.blocks;
            if (one.durable > calls && one.begun <= calls) blocks = std::max(blocks, one.blocks);
        }
        return blocks;
    }

  private:
    struct one_size {
        std::uint64_t blocks;
        std::size_t   begun;
        std::size_t   durable;
    };
    std::vector<one_size> sizes_;
};

/// An object that has reserved what is free, so that whatever is written next lies at the end.
object_id fill(crash_recorder<test_store>& recorder, std::uint64_t block_bytes, std::uint64_t leave) {
    const auto    id = recorder.create().made;
    std::uint64_t at = 0;
    for (std::uint64_t blocks = 256; blocks != 0;) {
        const bool fits = recorder.store().info().available.value > blocks + leave;
        if (fits && recorder.reserve(id, at * block_bytes, blocks * block_bytes).succeeded())
            at += blocks;
        else
            blocks /= 2;
    }
    return id;
}

/// A new object with an extent that was listed and one that rode, then a tree of extents in pieces.
object_id write_object(crash_recorder<test_store>& recorder, std::uint32_t block_bytes, std::uint32_t seed) {
    const auto id = recorder.create().made;
    recorder.append(id, pattern(5, block_bytes, seed));
    recorder.sync();
    recorder.append(id, pattern(1, block_bytes - 10, seed + 1));
    recorder.sync();
    for (std::uint64_t i = 0; i < 4; ++i) recorder.write(id, (20 + 3 * i) * block_bytes, pattern(1, 100, seed + 2));
    recorder.sync();
    return id;
}

void change_size(crash_recorder<test_store>& recorder, known_sizes& sizes, std::uint64_t blocks) {
    const bool grows = block_count{blocks} > recorder.store().info().blocks;
    result<>   done  = success();
    sizes.changes(blocks, recorder.calls());
    if (grows) {
        if (const auto grown = store_size{recorder.store()}.grow(block_count{blocks}); !grown) done = grown.error();
    } else {
        done = store_size{recorder.store()}.cut(block_count{blocks});
    }
    recorder.must(recorder.model().promised(grows ? "grow" : "cut", done));
    sizes.changed(recorder.calls());
}

void judge(const crash_recording& recording, const crash_setup<test_store>& setup, const known_sizes& sizes,
           const crash_plan& plan) {
    const auto report = crash_cutter<test_store>{setup, plan}.cut(recording);
    for (const auto& one : report.findings) ADD_FAILURE() << one;
    EXPECT_GT(report.states, 90U);
    count("crash states of volumes that change their size", report.states + report.states_1 + report.states_2);
    std::uint64_t wrong = 0;
    crash_states(recording.calls, recording.base, setup.block, {.random_max = 1, .single_max = 4, .tears_max = 2},
                 [&](const crash_point& at, std::span<std::byte> image) {
                     const auto blocks = sizes.certain(at.calls);
                     const auto left   = image.first(static_cast<std::size_t>(blocks * setup.block.bytes));
                     auto       lent   = memory_device::lend(left, setup.block).value();
                     auto       opened = test_store::open(any_device{lent}, setup.store);
                     if (!opened || !sizes.allows(opened.value().info().blocks.value, at.calls)) {
                         ADD_FAILURE() << "after call " << at.calls << ": "
                                       << (opened ? std::to_string(opened.value().info().blocks.value) : said(opened));
                         ++wrong;
                     }
                     return wrong < 3;
                 });
}

/// The volume is full before each growth, so that what follows lies in the new blocks; and before each cut what lay
/// there is erased, a moment ago.
void prove(const size_scenario& wanted, const crash_plan& plan) {
    const auto     setup = setup_of(wanted);
    crash_recorder recorder{setup};
    known_sizes    sizes;
    ASSERT_TRUE(recorder.is_open());
    std::vector<object_id> late{fill(recorder, wanted.block_bytes, wanted.sizes.front() > wanted.blocks ? 8 : 60)};
    recorder.checkpoint();
    recorder.begin();
    sizes.begin(wanted.blocks);
    std::uint32_t seed = 10;
    for (const auto blocks : wanted.sizes) {
        const bool grows = block_count{blocks} > recorder.store().info().blocks;
        if (!grows) {
            late.push_back(write_object(recorder, wanted.block_bytes, seed++));
            for (const auto id : late) recorder.erase(id);
            late.clear();
            for (int i = 0; i < 20; ++i) recorder.maintain();
            recorder.sync();
        }
        change_size(recorder, sizes, blocks);
        if (grows) late.push_back(write_object(recorder, wanted.block_bytes, seed++));
        recorder.append(recorder.root(), pattern(2, 500, seed++));
        recorder.sync();
    }
    judge(recorder.finish(), setup, sizes, plan);
}

/// The same by moving what is in the way, while it is written.
void prove_shrinking(const size_scenario& wanted, const crash_plan& plan) {
    const auto     setup = setup_of(wanted);
    crash_recorder recorder{setup};
    known_sizes    sizes;
    ASSERT_TRUE(recorder.is_open());
    const auto filler = fill(recorder, wanted.block_bytes, 200);
    for (std::uint32_t i = 0; i < 2; ++i) write_object(recorder, wanted.block_bytes, 30 + i);
    recorder.erase(filler);
    for (int i = 0; i < 20; ++i) recorder.maintain();
    recorder.checkpoint();
    recorder.begin();
    sizes.begin(wanted.blocks);
    auto work = shrinking<test_blueprint<>>::open(recorder.store(), {.evacuation = small_moves<test_blueprint<>>()});
    ASHLAR_ASSERT_OK(work);
    for (const auto blocks : wanted.sizes) {
        sizes.changes(blocks, recorder.calls());
        ASHLAR_ASSERT_OK(work.value().start(block_count{blocks}));
        for (int i = 0; work.value().running() && i < 500; ++i) {
            const auto said = work.value().step({.blocks_max = 12});
            EXPECT_FALSE(said.reasons.has(stop_reason::device_error)) << message(said.failure.code);
            recorder.must(recorder.model().unchanged("step", result<>{success()}));
            if (i % 3 == 0) recorder.write(recorder.root(), 300, pattern(1, 700, static_cast<std::uint32_t>(i)));
        }
        EXPECT_EQ(work.value().last_result().after, block_count{blocks});
        sizes.changed(recorder.calls());
        recorder.append(recorder.root(), pattern(2, 500, 99));
        recorder.sync();
    }
    judge(recorder.finish(), setup, sizes, plan);
}

const crash_plan plan{.effort             = {.random_max = 2, .single_max = 8, .tears_max = 8},
                      .effort_in_recovery = {.random_max = 1, .single_max = 2, .tears_max = 2},
                      .recoveries         = {.one_in = 12}};

TEST(ResizeCrash, AVolumeThatGrowsByGroupsIsWholeWhereverItIsCut) {
    prove({.block_bytes = 512, .device = 18'000, .blocks = 3800, .sizes = {18'000}}, plan);
}

TEST(ResizeCrash, AVolumeThatGrowsInItsLastGroupIsWholeWhereverItIsCut) {
    prove({.block_bytes = 512, .device = 2000, .blocks = 1400, .sizes = {1500, 2000}}, plan);
}

TEST(ResizeCrash, AVolumeThatIsCutByGroupsAndByAPartIsWholeWhereverItIsCut) {
    prove({.block_bytes = 512, .device = 9000, .blocks = 9000, .sizes = {7936, 5000, 2000}}, plan);
}

TEST(ResizeCrash, AVolumeThatGrowsAndIsCutAndGrowsAgainIsWholeWhereverItIsCut) {
    prove({.block_bytes = 512, .device = 18'000, .blocks = 3800, .sizes = {18'000, 3900, 17'000}}, plan);
}

TEST(ResizeCrash, AShrinkThatMovesWhatIsInTheWayIsWholeWhereverItIsCut) {
    prove_shrinking({.block_bytes = 512, .device = 6000, .blocks = 6000, .sizes = {4000, 1500}}, plan);
}

TEST(ResizeCrash, TheSameWithLargeBlocks) {
    prove({.block_bytes = 4096, .device = 1500, .blocks = 500, .sizes = {1500, 600, 1000}}, plan);
}

}  // namespace resize_crash_test
}  // namespace ashlar::test
