// A device loses its end only where the volume at home is as short, whatever became of the cut and whoever grows.

#include "../evacuate/evacuate_fixture.hpp"
#include "resize_fixture.hpp"

#include <ashlar/shrinking.hpp>
#include <ashlar/testing/faulty_device.hpp>

namespace ashlar::test {
namespace giving_back_test {

constexpr volume_shape shape{.block_bytes = 512, .blocks = 6000, .journal_blocks = 160};

/// Memory whose end can go, or cannot, and which fails when it is told to.
struct ending_device {
    faulty_device<memory_device>* memory = nullptr;
    block_count*                  blocks = nullptr;
    errc*                         answer = nullptr;

    [[nodiscard]] device_geometry geometry() const noexcept {
        auto now   = memory->geometry();
        now.blocks = *blocks;
        return now;
    }
    result<> read(extent e, std::span<std::byte> in) noexcept { return memory->read(e, in); }
    result<> write(extent e, std::span<const std::byte> out) noexcept { return memory->write(e, out); }
    result<> sync() noexcept { return memory->sync(); }
    result<> trim(extent e) noexcept { return memory->trim(e); }
    result<> refresh() noexcept { return success(); }
    result<> resize(block_count now) noexcept {
        if (*answer != errc::none) return *answer;
        *blocks = now;
        return success();
    }
};
struct ending_blueprint : test_blueprint<> {
    using device = ending_device;
};
using ending_store = store<ending_blueprint>;
using ending_task  = shrinking<ending_blueprint>;

struct GivingBack : testing::Test {
    GivingBack() {
        format_on(memory, shape);
        live = open();
    }
    ending_store        open() { return opened(ending_store::open(device, with<ending_store>())); }
    ending_store        open_read_only() { return opened(ending_store::open_read_only(device, with<ending_store>())); }
    static ending_store opened(result<ending_store> made) {
        EXPECT_TRUE(made) << said(made);
        return made ? std::move(made).value() : ending_store{};
    }

    memory_device                memory = make_memory(shape);
    faulty_device<memory_device> faulty{memory};
    block_count                  blocks{shape.blocks};
    errc                         answer = errc::none;
    ending_device                device{&faulty, &blocks, &answer};
    ending_store                 live;
};

TEST_F(GivingBack, ADeviceThatKeepsItsEndDoesNotKeepTheVolumeFromShrinking) {
    answer    = errc::unsupported;
    auto work = ending_task::open(live).value();
    ASHLAR_ASSERT_OK(work.start(block_count{5000}));
    EXPECT_TRUE(test::run(work).reasons.has(stop_reason::finished));
    EXPECT_TRUE(work.last_result().shrank());
    EXPECT_EQ(work.last_result().given_back, block_count{0});

    answer = errc::device_failed;
    ASHLAR_ASSERT_OK(work.start(block_count{4000}));
    const auto said = test::run(work);
    EXPECT_EQ(said.failure.code, errc::device_failed);
    EXPECT_TRUE(said.reasons.has(stop_reason::device_error));
    EXPECT_TRUE(work.last_result().shrank()) << "the volume is smaller, its device is not";
    EXPECT_EQ(blocks, block_count{shape.blocks});

    answer = errc::none;
    ASHLAR_ASSERT_OK(work.start(block_count{4000}));
    work.pause();
    EXPECT_TRUE(work.step().reasons.has(stop_reason::paused));
    work.resume();
    test::run(work);
    EXPECT_EQ(work.last_result().given_back, block_count{2000}) << "the same size again gives the rest back";
    EXPECT_EQ(blocks, block_count{4000});
    ASHLAR_ASSERT_OK(store_size{live}.refresh());
    expect_whole(live);
}

TEST_F(GivingBack, ACutThatFailedLeavesTheDeviceItsEndAlsoWhenItIsAskedForAgain) {
    ASHLAR_ASSERT_OK(live.append(live.root(), pattern(40, 512, 1)));
    ASHLAR_ASSERT_OK(live.close());
    const byte_vector base{memory.bytes().begin(), memory.bytes().end()};
    unsigned          ended = 0, behind = 0;
    for (std::uint64_t nth = 1;; ++nth) {
        std::copy(base.begin(), base.end(), memory.bytes().begin());
        faulty.heal();
        blocks    = {shape.blocks};
        live      = open();
        auto work = ending_task::open(live).value();
        faulty.fail(transfer_kind::write, nth, fault_lasts::once);
        const auto failed = faulty.failures();
        ASHLAR_ASSERT_OK(work.start(block_count{2500}));
        test::run(work);
        if (faulty.failures() == failed) break;
        ended += live.read_only() ? 1 : 0;
        if (work.start(block_count{2500})) test::run(work);
        if (live.read_only()) { EXPECT_EQ(blocks.value, shape.blocks) << "write " << nth; }
        static_cast<void>(live.abandon());
        auto       reading = open_read_only();
        const auto seen    = reading.info().blocks;
        const bool shorter = seen < blocks;
        behind += shorter ? 1 : 0;
        {
            auto again = ending_task::open(reading).value();
            EXPECT_EQ(code_of(again.start(seen)), errc::read_only);
        }
        EXPECT_FALSE(shorter && blocks == seen) << "one that reads gives nothing back";
        static_cast<void>(reading.abandon());
        live = open();
        ASSERT_FALSE(HasFailure()) << "write " << nth;
        expect_whole(live);
        static_cast<void>(live.abandon());
    }
    EXPECT_GT(ended, 3U);
    EXPECT_GT(behind, 0U) << "the journal alone said the cut";
    static_cast<void>(live.abandon());
}

TEST_F(GivingBack, WhoGrowsMeanwhileKeepsHisBlocks) {
    ASHLAR_ASSERT_OK(store_size{live}.cut(block_count{4000}));
    auto work = ending_task::open(live).value();
    ASHLAR_ASSERT_OK(work.start(block_count{4000}));
    ASHLAR_ASSERT_OK(store_size{live}.grow(block_count{5000}));
    std::uint64_t bytes = 0;
    const auto    id    = test::fill(live, 3, bytes);
    const auto    said  = work.step();
    EXPECT_EQ(said.failure.code, errc::busy);
    EXPECT_TRUE(said.reasons.has(stop_reason::raced));
    EXPECT_FALSE(work.running());
    EXPECT_EQ(blocks.value, shape.blocks);
    ASHLAR_ASSERT_OK(live.close());
    live = open();
    expect_filled(live, id, 3, bytes);
    expect_whole(live);
}

}  // namespace giving_back_test
}  // namespace ashlar::test
