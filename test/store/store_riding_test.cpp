#include "store_fixture.hpp"

#include <ashlar/testing/recording_device.hpp>

#include <algorithm>

namespace ashlar::test {
namespace store_riding_test {

/// A volume whose writes are recorded, and watched for their order.
struct riding_bench {
    explicit riding_bench(volume_limits chosen = {}) : limits{chosen} {
        format_on(record, shape);
        live = opened_on(record, limits);
        record.forget();
    }
    ~riding_bench() { expect_order(checked); }
    void crash() {
        static_cast<void>(live.abandon());
        live = opened_on(record, limits);
    }
    /// The bytes of the volume's first block of an object, as the device has them.
    [[nodiscard]] byte_vector on_device(object_id id) {
        const auto at = live.next_extent(id, {}).value()->physical.first;
        const auto from =
            memory.bytes().subspan(static_cast<std::size_t>(byte_offset(at, {shape.block_bytes})), shape.block_bytes);
        return {from.begin(), from.end()};
    }
    [[nodiscard]] std::size_t writes() const {
        return static_cast<std::size_t>(
            std::count_if(record.calls().begin(), record.calls().end(),
                          [](const auto& call) { return call.kind == transfer_kind::write; }));
    }
    void expect(object_id id, const byte_vector& wanted) {
        byte_vector seen(wanted.size() + 1);
        const auto  read = live.read(id, 0, std::span<std::byte>{seen});
        ASHLAR_ASSERT_OK(read);
        seen.resize(read.value());
        EXPECT_EQ(seen, wanted);
    }

    volume_shape                     shape{.block_bytes = 512, .blocks = 1600, .journal_blocks = 96};
    volume_limits                    limits;
    memory_device                    memory = make_memory(shape);
    checked_memory                   checked{memory};
    recording_device<checked_memory> record{checked};
    test_store                       live;
};

TEST(StoreRiding, ASmallPutIsOneWriteAndACheckpointBringsItHome) {
    riding_bench bench;
    const auto   bytes = pattern(512, 1);
    ASHLAR_ASSERT_OK(bench.live.put(bench.live.root(), 0, bytes));
    EXPECT_EQ(bench.writes(), 1U);
    EXPECT_NE(bench.on_device(bench.live.root()), bytes) << "its place is not written yet";
    bench.expect(bench.live.root(), bytes);
    EXPECT_EQ(findings_of(bench.live), "") << "verify reads it where it is";
    ASHLAR_ASSERT_OK(bench.live.checkpoint());
    EXPECT_EQ(bench.on_device(bench.live.root()), bytes);
    bench.expect(bench.live.root(), bytes);
    EXPECT_EQ(findings_of(bench.live), "");
    bench.crash();
    bench.expect(bench.live.root(), bytes);
}

TEST(StoreRiding, RecoveryBringsItHome) {
    riding_bench bench;
    const auto   bytes = pattern(1000, 1);
    ASHLAR_ASSERT_OK(bench.live.put(bench.live.root(), 0, bytes));
    const auto first = byte_vector(bytes.begin(), bytes.begin() + 512);
    EXPECT_NE(bench.on_device(bench.live.root()), first);
    bench.crash();
    EXPECT_EQ(bench.on_device(bench.live.root()), first);
    bench.expect(bench.live.root(), bytes);
    EXPECT_EQ(findings_of(bench.live), "");
}

TEST(StoreRiding, OverwrittenTwiceWithinABatchTheLastOneHolds) {
    riding_bench bench;
    const auto   id = bench.live.root();
    for (std::uint64_t i = 0; i < 3; ++i) {  // each batch overwrites what rode in the one before
        const auto first = pattern(512, i * 10), second = pattern(512, i * 10 + 1);
        ASHLAR_ASSERT_OK(bench.live.write(id, 0, first));
        bench.expect(id, first);
        ASHLAR_ASSERT_OK(bench.live.write(id, 0, second));
        bench.expect(id, second);
        ASHLAR_ASSERT_OK(bench.live.sync());
        bench.expect(id, second);
        EXPECT_EQ(findings_of(bench.live), "");
        bench.crash();
        bench.expect(id, second);
        EXPECT_EQ(findings_of(bench.live), "");
    }
}

TEST(StoreRiding, APartOfARidingBlockIsChangedOnTopOfIt) {
    riding_bench bench;
    byte_vector  expected = pattern(700, 1);
    ASHLAR_ASSERT_OK(bench.live.put(bench.live.root(), 0, expected));
    for (std::uint64_t i = 0; i < 20; ++i) {
        const auto part = pattern(9, 100 + i);
        ASHLAR_ASSERT_OK(bench.live.put(bench.live.root(), i * 31, part));
        model_write(expected, i * 31, part);
        bench.expect(bench.live.root(), expected);
    }
    EXPECT_EQ(findings_of(bench.live), "");
    bench.crash();
    bench.expect(bench.live.root(), expected);
}

/// Freed while its data lies in the journal: no replay may write it over the block's next owner.
TEST(StoreRiding, FreedWhileRidingItsBlockIsNotWrittenOverByReplay) {
    for (int how = 0; how < 3; ++how) {
        riding_bench bench;
        const auto   id = bench.live.create().value(), other = bench.live.create().value();
        ASHLAR_ASSERT_OK(bench.live.put(id, 0, pattern(512, 1)));
        switch (how) {
            case 0: ASHLAR_ASSERT_OK(bench.live.erase(id)); break;
            case 1: ASHLAR_ASSERT_OK(bench.live.truncate(id, 0)); break;
            default: ASHLAR_ASSERT_OK(bench.live.put(id, 0, pattern(512, 2))); break;
        }
        ASHLAR_ASSERT_OK(bench.live.sync());
        std::uint64_t size = 0;
        for (; bench.live.write(other, size, pattern(5000, size)).has_value(); size += 5000) {
        }  // everything that is free
        EXPECT_GT(size, 400'000U);
        ASHLAR_ASSERT_OK(bench.live.sync());
        bench.crash();
        EXPECT_EQ(findings_of(bench.live), "") << how;
        for (std::uint64_t at = 0; at < size; at += 5000) {
            byte_vector seen(5000);
            ASHLAR_ASSERT_OK(bench.live.read(other, at, std::span<std::byte>{seen}));
            ASSERT_EQ(seen, pattern(5000, at)) << how;
        }
    }
}

TEST(StoreRiding, AReadOnlyOpenOfAnUncleanVolumeSeesIt) {
    riding_bench bench;
    const auto   old_bytes = pattern(5000, 1), riding = pattern(512, 2);
    auto         expected = old_bytes;
    ASHLAR_ASSERT_OK(bench.live.write(bench.live.root(), 0, old_bytes));
    ASHLAR_ASSERT_OK(bench.live.checkpoint());
    ASHLAR_ASSERT_OK(bench.live.put(bench.live.root(), 1024, riding));
    ASHLAR_ASSERT_OK(bench.live.put(bench.live.root(), 1536, riding));
    model_write(expected, 1024, riding);
    model_write(expected, 1536, riding);
    static_cast<void>(bench.live.abandon());
    const byte_vector image(bench.memory.bytes().begin(), bench.memory.bytes().end());
    auto              opened = test_store::open_read_only(any_device{bench.record}, {});
    ASHLAR_ASSERT_OK(opened);
    bench.live = std::move(opened).value();
    bench.expect(bench.live.root(), expected);
    EXPECT_EQ(findings_of(bench.live), "");
    static_cast<void>(bench.live.abandon());
    EXPECT_TRUE(std::equal(image.begin(), image.end(), bench.memory.bytes().begin())) << "not a byte was written";
    bench.live = opened_on(bench.record);
    bench.expect(bench.live.root(), expected);
}

TEST(StoreRiding, MoreRidersThanTheCacheHoldsGoHomeInBetween) {
    riding_bench           bench{small_limits()};
    std::vector<object_id> ids;
    for (int i = 0; i < 40; ++i) ids.push_back(bench.live.create().value());
    for (std::uint64_t round = 0; round < 4; ++round) {
        for (std::size_t i = 0; i < ids.size(); ++i)
            ASHLAR_ASSERT_OK(bench.live.put(ids[i], 0, pattern(300 + i, round * 100 + i)));
    }
    EXPECT_LE(bench.live.volume().cache.riding(), bench.live.volume().cache.slots() / 2 + 2);
    EXPECT_EQ(findings_of(bench.live), "");
    bench.crash();
    for (std::size_t i = 0; i < ids.size(); ++i) bench.expect(ids[i], pattern(300 + i, 300 + i));
    EXPECT_EQ(findings_of(bench.live), "");
}

/// A torn batch takes its riders along.
TEST(StoreRiding, ABatchThatIsNotWholeShowsNothingOfItsData) {
    riding_bench bench;
    const auto   before = pattern(512, 1);
    ASHLAR_ASSERT_OK(bench.live.put(bench.live.root(), 0, before));
    ASHLAR_ASSERT_OK(bench.live.checkpoint());
    bench.record.forget();
    ASHLAR_ASSERT_OK(bench.live.put(bench.live.root(), 0, pattern(512, 2)));
    ASSERT_EQ(bench.writes(), 1U);
    const auto batch = bench.record.calls().front().blocks;
    static_cast<void>(bench.live.abandon());
    const auto last =
        bench.memory.bytes().subspan(static_cast<std::size_t>(byte_offset(batch.end(), {512})) - 512, 512);
    std::fill(last.begin(), last.end(), std::byte{0});
    auto torn  = opened_on(bench.memory);
    bench.live = std::move(torn);
    bench.expect(bench.live.root(), before);
    EXPECT_EQ(findings_of(bench.live), "");
    static_cast<void>(bench.live.abandon());
    bench.live = {};
}

}  // namespace store_riding_test
}  // namespace ashlar::test
