#include "../counts.hpp"
#include "copy_fixture.hpp"

#include <ashlar/testing/manual_clock.hpp>
#include <ashlar/throttle/token_bucket.hpp>

namespace ashlar::test {
namespace volume_copy_test {

using parts = test_blueprint<>;
using task  = volume_copy<parts, parts>;

struct VolumeCopyTest : testing::Test {
    VolumeCopyTest() : memory{make_memory({.blocks = 2600})} {
        format_on(memory, {});
        source = opened_on(memory);
        fill(source);
        before = content_of(source);
    }
    static progress run(task& copying, std::uint64_t blocks_at_once = 16) {
        for (;;) {
            const auto said = copying.step({.blocks_max = blocks_at_once, .candidates_max = 8});
            if (said.reasons != stop_reason::budget_spent) return said;
        }
    }

    memory_device memory;
    test_store    source;
    std::string   before;
};

TEST_F(VolumeCopyTest, EverythingComesOutInAVolumeOfAnotherShape) {
    for (const volume_shape& shape : {volume_shape{.blocks = 1400}, volume_shape{.blocks = 9000, .journal_blocks = 200},
                                      volume_shape{.blocks = 2600, .record_bytes = 200}}) {
        auto other = make_memory(shape);
        format_on(other, shape, 2);
        auto target  = opened_on(other);
        auto copying = task::open(source, target);
        ASHLAR_ASSERT_OK(copying);
        const auto estimate = copying.value().estimate();
        ASHLAR_ASSERT_OK(estimate);
        const auto said = run(copying.value());
        ASSERT_EQ(said.reasons, stop_reason::finished) << message(said.failure.code);
        EXPECT_EQ(said.done, said.total);
        const auto& did = copying.value().last_result();
        EXPECT_TRUE(did.finished && !did.resumed);
        EXPECT_EQ(did.blocks, estimate.value().blocks);
        EXPECT_EQ(did.blocks, task::estimate(source).value().blocks) << "the same without a target";
        EXPECT_EQ(did.objects, estimate.value().objects);
        EXPECT_EQ(did.regions, 2U);
        EXPECT_EQ(content_of(target), before);
        EXPECT_EQ(findings_of(target), "");
        EXPECT_EQ(content_of(source), before);
        static_cast<void>(target.abandon());
        target = opened_on(other);
        EXPECT_EQ(content_of(target), before);
        // Ids go on as they would have in the source.
        EXPECT_EQ(target.create().value(), source.create().value());
        before = content_of(source);
    }
}

TEST_F(VolumeCopyTest, StoppedOrCutAtAnyStepItGoesOnLater) {
    const volume_shape shape{.blocks = 2600};
    for (std::uint64_t steps = 1; steps < 60; steps += 3) {
        auto other = make_memory(shape);
        format_on(other, shape, 2);
        auto        target = opened_on(other);
        std::size_t rounds = 0;
        for (bool finished = false; !finished; ++rounds) {
            ASSERT_LT(rounds, 200U);
            auto copying = task::open(source, target);
            ASHLAR_ASSERT_OK(copying);
            EXPECT_TRUE(rounds != 0 || !copying.value().last_result().resumed);
            for (std::uint64_t i = 0; i < steps + rounds && !finished; ++i) {
                const auto said = copying.value().step({.blocks_max = 24, .candidates_max = 4});
                finished        = said.reasons.has(stop_reason::finished);
                ASSERT_FALSE(said.reasons.has(stop_reason::device_error)) << message(said.failure.code);
            }
            if (!finished && rounds % 2 == 1) { ASHLAR_ASSERT_OK(target.sync()); }
            static_cast<void>(target.abandon());  // what no batch holds yet is lost
            target = opened_on(other);
        }
        ASSERT_EQ(content_of(target), before) << steps;
        EXPECT_EQ(findings_of(target), "");
    }
}

TEST_F(VolumeCopyTest, PowerMayFailAtAnyWriteToTheTarget) {
    const volume_shape shape{.blocks = 1400};
    auto               other = make_memory(shape);
    format_on(other, shape, 2);
    const byte_vector               base(other.bytes().begin(), other.bytes().end());
    recording_device<memory_device> recorded{other};
    {
        auto target  = opened_on(recorded);
        auto copying = task::open(source, target).value();
        EXPECT_EQ(run(copying).reasons, stop_reason::finished);
        static_cast<void>(target.abandon());
    }
    std::uint64_t number = 0, judged = 0;
    const auto    one_in = std::uint64_t{20} / scaled(20);
    crash_states(
        recorded.calls(), base, {512}, {.random_max = 1, .single_max = 3, .tears_max = 2},
        [&](const crash_point& at, std::span<std::byte> image) {
            if (++number % one_in != 0) return true;
            auto lent   = memory_device::lend(image, {512}).value();
            auto target = opened_on(lent);
            if (content_of(target) != before) {  // else it was finished
                auto copying = task::open(source, target);
                if (!copying || run(copying.value()).reasons != stop_reason::finished || content_of(target) != before) {
                    ADD_FAILURE() << "cut after call " << at.calls << ", " << text_of(at.choice) << ": "
                                  << said(copying);
                    return false;
                }
            }
            EXPECT_EQ(findings_of(target), "");
            ++judged;
            return true;
        });
    EXPECT_GT(judged, 20U);
    count("crash states of copies", judged);
}

TEST_F(VolumeCopyTest, ATargetThatHoldsSomethingElseIsLeftAlone) {
    const volume_shape shape{};
    auto               other = make_memory(shape);
    format_on(other, shape, 2);
    auto target = opened_on(other);
    EXPECT_EQ(code_of(task::open(source, target, {.chunk = block_count{0}})), errc::invalid_argument);
    ASHLAR_ASSERT_OK(target.append(target.root(), pattern(1, 512, 1)));
    EXPECT_EQ(code_of(task::open(source, target)), errc::busy);
    ASHLAR_ASSERT_OK(target.truncate(target.root(), 0));
    const auto name = store_regions{target}.add({.type = maps, .blocks = block_count{1}}).value();
    EXPECT_EQ(code_of(task::open(source, target)), errc::busy);
    ASHLAR_ASSERT_OK(store_regions{target}.remove(name));
    ASHLAR_EXPECT_OK(task::open(source, target));
    EXPECT_EQ(code_of(task::open(target, source)), errc::busy) << "no complete copy itself";
    // Another source's copy is not gone on with.
    EXPECT_EQ(task::open(source, target).value().step({.blocks_max = 24}).reasons, stop_reason::budget_spent);
    auto third = make_memory(shape);
    format_on(third, shape, 3);
    auto stranger = opened_on(third);
    EXPECT_EQ(code_of(task::open(stranger, target)), errc::busy);
    ASHLAR_EXPECT_OK(task::open(source, target));
}

TEST_F(VolumeCopyTest, ATargetThatIsTooSmallSaysSoAndTheSourceIsUntouched) {
    const volume_shape shape{.blocks = 520, .journal_blocks = 96};
    auto               other = make_memory(shape);
    format_on(other, shape, 2);
    auto       target  = opened_on(other);
    auto       copying = task::open(source, target).value();
    const auto said    = run(copying);
    EXPECT_TRUE(said.reasons.has(stop_reason::device_error));
    EXPECT_TRUE(said.failure.code == errc::reserve_only || said.failure.code == errc::no_space)
        << message(said.failure.code);
    EXPECT_FALSE(copying.last_result().finished);
    EXPECT_EQ(content_of(source), before);
    EXPECT_EQ(findings_of(target), "");
}

TEST_F(VolumeCopyTest, AThrottleBoundsWhatIsInFlightAndSaysWhenToComeAgain) {
    const volume_shape shape{.blocks = 2600};
    auto               other = make_memory(shape);
    format_on(other, shape, 2);
    auto                  target = opened_on(other);
    manual_clock          time;
    token_bucket::options chosen;
    chosen.bytes_per_second    = 100'000;
    chosen.bytes_in_flight_max = 16 * 1024;
    using slow_task            = volume_copy<parts, parts, token_bucket, manual_clock>;
    auto copying               = slow_task::open(source, target, {}, token_bucket{chosen}, time).value();
    for (int waits = 0;; ++waits) {
        ASSERT_LT(waits, 1000);
        const auto said = copying.step({.blocks_max = 9000, .candidates_max = 9000});
        if (said.reasons == stop_reason::finished) break;
        ASSERT_EQ(said.reasons, stop_reason::throttled) << message(said.failure.code);
        ASSERT_GT(said.not_before, time.now());
        time.advance(said.not_before - time.now());
    }
    EXPECT_EQ(content_of(target), before);
    const auto& did = copying.last_result();
    EXPECT_GT(did.took.nanoseconds, (did.bytes - chosen.burst - 16 * 1024) * 10'000) << "100 KB take a second";
    EXPECT_EQ(did.speed_up_percent(), 2600 * 100 / did.blocks.value);
}

TEST_F(VolumeCopyTest, RottenDataIsAnErrorAndNotCopied) {
    const auto piece = source.next_extent(source.root(), {}).value();
    ASHLAR_ASSERT_OK(source.checkpoint());
    byte_vector block(512);
    ASHLAR_ASSERT_OK(memory.read({piece->physical.first, block_count{1}}, block));
    block[17] ^= std::byte{4};
    ASHLAR_ASSERT_OK(memory.write({piece->physical.first, block_count{1}}, block));
    const volume_shape shape{.blocks = 2600};
    auto               other = make_memory(shape);
    format_on(other, shape, 2);
    auto       target  = opened_on(other);
    auto       copying = task::open(source, target).value();
    const auto said    = run(copying);
    EXPECT_TRUE(said.reasons.has(stop_reason::device_error));
    EXPECT_EQ(said.failure.code, errc::checksum_differs);
    EXPECT_EQ(said.failure.where, piece->physical.first);
}

/// Became shorter while it is open, as a file does that somebody cuts: what lies behind `end` is out of range.
class shortened_device {
  public:
    explicit shortened_device(memory_device& inner) : inner_{inner} {}

    [[nodiscard]] device_geometry geometry() const noexcept { return inner_.geometry(); }
    [[nodiscard]] result<>        read(extent e, std::span<std::byte> in) noexcept {
               if (end.value != 0 && e.end() > end) return error{errc::out_of_range, e.first};
        return inner_.read(e, in);
    }
    [[nodiscard]] result<> write(extent e, std::span<const std::byte> out) noexcept { return inner_.write(e, out); }
    [[nodiscard]] result<> sync() noexcept { return inner_.sync(); }
    [[nodiscard]] result<> trim(extent e) noexcept { return inner_.trim(e); }

    block_index end{};

  private:
    memory_device& inner_;
};

TEST_F(VolumeCopyTest, ARegionWhoseBlocksAreOutOfRangeIsAnErrorAndNoneThatWent) {
    const auto name  = store_regions{source}.add({.type = logs, .blocks = block_count{60}, .from = {2000}}).value();
    const auto place = store_regions{source}.find(name).value().place;
    ASHLAR_ASSERT_OK(source.close());
    shortened_device device{memory};
    source     = opened_on(device);
    device.end = place.first + block_count{30};
    auto other = make_memory({.blocks = 2600});
    format_on(other, {}, 2);
    auto       target  = opened_on(other);
    auto       copying = task::open(source, target).value();
    const auto said    = run(copying);
    EXPECT_EQ(said.failure.code, errc::out_of_range);
    EXPECT_FALSE(copying.last_result().finished);
    EXPECT_TRUE(store_regions{target}.find({task::marker_type, 0})) << "the target is no complete copy";
    device.end = {};
    ASSERT_EQ(run(copying).reasons, stop_reason::finished);
    EXPECT_EQ(content_of(target), content_of(source));
    static_cast<void>(source.abandon());
}

TEST_F(VolumeCopyTest, WhatACopyKnowsOfALaterSourceCountsForNothingInAnOlderImageOfIt) {
    const auto id = source.create().value(), last = source.create().value();
    ASHLAR_ASSERT_OK(source.sync());
    const std::vector<std::byte> image(memory.bytes().begin(), memory.bytes().end());
    auto                         other = make_memory({.blocks = 2600});
    format_on(other, {}, 2);
    auto       target  = opened_on(other);
    const auto rewrite = [&](object_id of, std::uint32_t seed) {
        for (std::uint32_t i = 0; i < 5; ++i) ASHLAR_ASSERT_OK(source.write(of, 0, pattern(8, 512, seed + i)));
        ASHLAR_ASSERT_OK(source.sync());
    };
    rewrite(id, 0);
    rewrite(last, 50);
    {
        auto copying = task::open(source, target).value();
        while (!target.info(last)) {
            ASSERT_EQ(copying.step({.blocks_max = 4, .candidates_max = 1}).reasons, stop_reason::budget_spent);
        }
    }
    ASSERT_EQ(target.info(id).value().size, 8U * 512) << "it was copied";
    static_cast<void>(source.abandon());
    std::copy(image.begin(), image.end(), memory.bytes().begin());
    source = opened_on(memory);
    rewrite(id, 100);  // the same numbers for other bytes
    auto copying = task::open(source, target).value();
    ASSERT_EQ(run(copying).reasons, stop_reason::finished);
    EXPECT_EQ(content_of(target), content_of(source));
}

}  // namespace volume_copy_test
}  // namespace ashlar::test
