// Trims that fail in their middle.

#include "../store/store_fixture.hpp"

#include <ashlar/testing/faulty_device.hpp>

namespace ashlar::test {
namespace trimmer_test {

/// A store whose free space is in several runs that the device was not told of. Its root fills the front.
test_store scattered(any_device device) {
    auto store = test_store::open(device, with());
    EXPECT_TRUE(store) << said(store);
    auto                   live = std::move(store).value();
    std::vector<object_id> made;
    for (std::uint64_t i = 0; i < 24; ++i) {
        const auto id = live.create();
        EXPECT_TRUE(id) << said(id);
        ASHLAR_EXPECT_OK(live.write(id.value(), 0, pattern(2048, i)));
        made.push_back(id.value());
    }
    ASHLAR_EXPECT_OK(live.checkpoint());
    for (std::size_t i = 0; i < made.size(); i += 2) ASHLAR_EXPECT_OK(live.erase(made[i]));
    for (int i = 0; i < 8; ++i) ASHLAR_EXPECT_OK(live.maintain());
    ASHLAR_EXPECT_OK(live.checkpoint());
    return live;
}

TEST(Trimmer, BlocksOfATrimThatFailedInItsMiddleAreWrittenAgainOnlyBehindASync) {
    for (const std::uint64_t nth : {1U, 2U, 5U}) {
        auto memory = make_memory({});
        format_on(memory, {});
        order_checker checked{memory};
        any_device    below{checked};
        faulty_device faulty{below};
        auto          live = scattered(any_device{faulty});
        faulty.fail(transfer_kind::trim, nth);
        EXPECT_EQ(code_of(live.trim({1000})), errc::device_failed);
        EXPECT_FALSE(live.read_only()) << "nothing was lost";
        const auto id = live.create();
        ASHLAR_ASSERT_OK(id);
        for (std::uint64_t i = 0; live.write(id.value(), i * 6000, pattern(6000, i)); ++i) {}  // into every free block
        expect_order(checked);
        ASHLAR_EXPECT_OK(live.trim({1000}));
        EXPECT_EQ(findings_of(live), "");
    }
}

TEST(Trimmer, ASyncThatFailsBehindATrimThatFailedEndsWriting) {
    auto memory = make_memory({});
    format_on(memory, {});
    faulty_device faulty{memory};
    auto          live = scattered(any_device{faulty});
    faulty.fail(transfer_kind::trim, 3);
    faulty.fail(transfer_kind::sync, 1);
    EXPECT_FALSE(live.trim({1000}));
    EXPECT_TRUE(live.read_only());
}

/// Memory that trims only whole runs of eight blocks.
struct coarse_memory {
    memory_device& inner;
    std::uint64_t  trims = 0, shortest = ~std::uint64_t{0};

    [[nodiscard]] device_geometry geometry() const noexcept {
        auto answer             = inner.geometry();
        answer.trim_granularity = {8};
        return answer;
    }
    [[nodiscard]] result<> read(extent e, std::span<std::byte> in) noexcept { return inner.read(e, in); }
    [[nodiscard]] result<> write(extent e, std::span<const std::byte> out) noexcept { return inner.write(e, out); }
    [[nodiscard]] result<> sync() noexcept { return inner.sync(); }
    [[nodiscard]] result<> trim(extent e) noexcept {
        ++trims;
        shortest = std::min(shortest, e.count.value);
        return inner.trim(e);
    }
};

TEST(Trimmer, RunsThatTheDeviceWouldNotTrimAreLeftOut) {
    auto memory = make_memory({});
    format_on(memory, {});
    coarse_memory coarse{memory};
    auto          live = test_store::open(any_device{coarse}, with()).value();
    // Every second block of an object becomes a hole, and the rest of the volume one long run.
    ASHLAR_ASSERT_OK(live.write(live.root(), 0, pattern(40 * 512, 1)));
    ASHLAR_ASSERT_OK(live.checkpoint());
    for (std::uint64_t i = 0; i < 40; i += 2) ASHLAR_ASSERT_OK(live.punch(live.root(), i * 512, 512));
    for (int i = 0; i < 4; ++i) ASHLAR_ASSERT_OK(live.maintain());
    ASHLAR_ASSERT_OK(live.checkpoint());
    ASHLAR_ASSERT_OK(live.sync());
    std::uint64_t blocks = 0;
    for (;;) {
        const auto done = live.trim({5000});
        ASHLAR_ASSERT_OK(done);
        blocks += done.value().blocks.value;
        if (done.value().finished) break;
    }
    EXPECT_GE(coarse.shortest, 8U);
    EXPECT_GT(blocks, 1000U);
    EXPECT_LE(blocks + 15, live.info().free.value) << "the holes stay untrimmed";
    EXPECT_TRUE(live.trim({5000}).value().finished);
    EXPECT_EQ(findings_of(live), "");
}

/// Many groups, so that their records do not all stay in a small cache.
class OverManyGroups : public testing::Test {
  protected:
    OverManyGroups() : memory_{make_memory(shape_)} {
        format_on(memory_, shape_);
        limits_.cache_blocks        = 16;
        limits_.transaction.shadows = 8;
        limits_.verify_groups       = 1;
        limits_.space.groups_loaded = 1;
        auto live                   = opened_on(memory_, limits_);
        for (std::uint64_t i = 0; i < 4; ++i) {  // in different groups
            ids_.push_back(live.create().value());
            ASHLAR_EXPECT_OK(live.reserve(ids_.back(), 0, 3900 * 512));
            ASHLAR_EXPECT_OK(live.write(ids_.back(), 3900 * 512, pattern(9000, i)));
        }
        ASHLAR_EXPECT_OK(live.close());
    }

    volume_shape           shape_{.blocks = 30'000};
    memory_device          memory_;
    volume_limits          limits_ = small_limits();
    std::vector<object_id> ids_;
};

TEST_F(OverManyGroups, EachReadOfATrimMayFailAndTheNextOneGoesOn) {
    {
        auto live = opened_on(memory_, limits_);
        while (!live.trim({3000}).value().finished) {}
        for (const auto id : ids_) ASHLAR_ASSERT_OK(live.punch(id, 3900 * 512, 4096));  // free, and not trimmed
        ASHLAR_ASSERT_OK(live.close());
    }
    const byte_vector base(memory_.bytes().begin(), memory_.bytes().end());
    std::uint64_t     runs = 0;
    for (std::uint64_t nth = 1;; ++nth) {
        std::memcpy(memory_.bytes().data(), base.data(), base.size());
        faulty_device device{memory_};
        auto          live = opened_on(device, limits_);
        device.fail(transfer_kind::read, nth);
        errc code = errc::none;
        for (int steps = 0; steps < 100; ++steps) {
            const auto done = live.trim({3000});
            if (!done) code = done.error().code;
            if (done && done.value().finished) break;
        }
        const bool met = device.failures() != 0;
        EXPECT_TRUE(code == errc::none || (met && code == errc::device_failed)) << message(code);
        EXPECT_FALSE(live.read_only());
        EXPECT_TRUE(live.trim({3000}).value().finished);
        EXPECT_EQ(findings_of(live), "");
        static_cast<void>(live.abandon());  // what was trimmed is not known after that
        if (!met) break;
        ++runs;
    }
    EXPECT_GT(runs, 5U);
}

TEST_F(OverManyGroups, EachWindowOfAVerificationProvesItsOwnData) {
    block_index last{};
    {
        auto live = opened_on(memory_, limits_);
        EXPECT_EQ(findings_of(live), "");
        for (const auto id : ids_) last = std::max(last, live.next_extent(id, {3900}).value()->physical.first);
        EXPECT_GT(last.value, 3968U * 2) << "behind the first windows";
        EXPECT_EQ(live.verify([](const verify_finding&) {}).value().data_blocks, 4U * 18U) << "each once";
        static_cast<void>(live.abandon());
    }
    memory_.bytes()[static_cast<std::size_t>(last.value * 512 + 9)] ^= std::byte{1};
    auto        live  = opened_on(memory_, limits_);
    std::size_t found = 0;
    ASHLAR_EXPECT_OK(live.verify([&](const verify_finding& one) {
        EXPECT_EQ(one.problem, verify_problem::bad_data);
        EXPECT_EQ(one.block, last);
        ++found;
    }));
    EXPECT_EQ(found, 1U);
    static_cast<void>(live.abandon());
}

}  // namespace trimmer_test
}  // namespace ashlar::test
