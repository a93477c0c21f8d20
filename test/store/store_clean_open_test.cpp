#include "store_fixture.hpp"

#include <ashlar/testing/faulty_device.hpp>

namespace ashlar::test {
namespace store_clean_open_test {

/// Counts the blocks that are read, and the writes and syncs.
struct counting_device {
    memory_device& inner;
    std::uint64_t  blocks_read = 0;
    std::uint64_t  writes      = 0;
    std::uint64_t  syncs       = 0;

    [[nodiscard]] device_geometry geometry() const noexcept { return inner.geometry(); }
    [[nodiscard]] result<>        read(extent e, std::span<std::byte> in) noexcept {
               blocks_read += e.count.value;
               return inner.read(e, in);
    }
    [[nodiscard]] result<> write(extent e, std::span<const std::byte> out) noexcept {
        ++writes;
        return inner.write(e, out);
    }
    [[nodiscard]] result<> sync() noexcept {
        ++syncs;
        return inner.sync();
    }
    [[nodiscard]] result<> trim(extent e) noexcept { return inner.trim(e); }
};

/// Blocks that an open reads of a volume with such a ring, after it was closed, or abandoned with its work synced.
std::uint64_t blocks_read_by_open(std::uint64_t journal_blocks, bool closed, bool read_only) {
    const volume_shape shape{.blocks = 4000, .journal_blocks = journal_blocks};
    auto               memory = make_memory(shape);
    format_on(memory, shape);
    {
        auto live = opened_on(memory);
        EXPECT_TRUE(live.put(live.root(), 0, pattern(3000, 4)));
        if (closed) {
            ASHLAR_EXPECT_OK(live.close());
        } else {
            static_cast<void>(live.abandon());
        }
    }
    counting_device counted{memory};
    auto            opened = read_only ? test_store::open_read_only(any_device{counted}, with())
                                       : test_store::open(any_device{counted}, with());
    ASHLAR_EXPECT_OK(opened);
    const auto blocks = counted.blocks_read;
    if (opened) {
        byte_vector found(3000);
        EXPECT_TRUE(opened.value().read(opened.value().root(), 0, found));
        EXPECT_EQ(found, pattern(3000, 4));
    }
    return blocks;
}

TEST(StoreCleanOpen, WhatItReadsDoesNotDependOnTheRing) {
    for (const bool read_only : {false, true}) {
        const auto small = blocks_read_by_open(96, true, read_only);
        EXPECT_EQ(blocks_read_by_open(2000, true, read_only), small);
        EXPECT_LT(small, 96U) << "and it is less than the smaller ring";
        EXPECT_GE(blocks_read_by_open(2000, false, read_only), 2000U) << "what was not closed is searched";
    }
}

TEST(StoreCleanOpen, AFormattedVolumeAndASessionThatWroteNothingAreClean) {
    const volume_shape shape{.journal_blocks = 400};
    auto               memory = make_memory(shape);
    format_on(memory, shape);
    for (int session = 0; session < 3; ++session) {
        counting_device counted{memory};
        auto            opened = test_store::open(any_device{counted}, with());
        ASHLAR_ASSERT_OK(opened);
        EXPECT_EQ(opened.value().recovered().bytes_read, 512U) << "session " << session;
        EXPECT_TRUE(opened.value().recovered().was_clean);
        counted.writes = counted.syncs = 0;
        ASHLAR_ASSERT_OK(opened.value().close());
        EXPECT_EQ(counted.writes, 2U);
        EXPECT_EQ(counted.syncs, 2U);
    }
    static_cast<void>(opened_on(memory).abandon());
    EXPECT_GE(opened_on(memory).recovered().bytes_read, 400 * 512U) << "nobody closed it";
    EXPECT_EQ(opened_on(memory).recovered().bytes_read, 512U) << "the destructor did";
}

TEST(StoreCleanOpen, ACloseBehindACheckpointAddsAnAnchorAndOneBehindAChangeAddsNothing) {
    const auto syncs_of_end = [](bool checkpoints, bool closes) {
        const volume_shape shape;
        auto               memory = make_memory(shape);
        format_on(memory, shape);
        counting_device counted{memory};
        auto            opened = test_store::open(any_device{counted}, with());
        EXPECT_TRUE(opened);
        auto& live = opened.value();
        EXPECT_TRUE(live.put(live.root(), 0, pattern(3000, 4)));
        counted.syncs = 0;
        if (checkpoints) { ASHLAR_EXPECT_OK(live.checkpoint()); }
        if (closes) {
            ASHLAR_EXPECT_OK(live.close());
        } else {
            static_cast<void>(live.abandon());
        }
        return counted.syncs;
    };
    const auto checkpoint = syncs_of_end(true, false);
    EXPECT_EQ(syncs_of_end(false, true), checkpoint);
    EXPECT_EQ(syncs_of_end(true, true), checkpoint + 2);
}

/// Each write and each sync of a close fails, once: what was acknowledged is there, and so it is when the close of the
/// next session worked.
TEST(StoreCleanOpen, ACloseThatFailsLosesNothing) {
    const volume_shape shape;
    std::uint64_t      failures = 0;
    for (const auto kind : {transfer_kind::write, transfer_kind::sync}) {
        for (const auto leave : {failed_write::left_nothing, failed_write::wrote_all}) {
            for (const bool changes : {true, false}) {
                for (std::uint64_t nth = 1;; ++nth) {
                    auto memory = make_memory(shape);
                    format_on(memory, shape);
                    faulty_device device{memory};
                    auto          live = opened_on(device);
                    if (changes) { ASHLAR_ASSERT_OK(live.put(live.root(), 0, pattern(3000, nth))); }
                    device.fail(kind, nth);
                    device.failing_writes(leave);
                    const auto closed = live.close();
                    if (device.failures() == 0) break;
                    ++failures;
                    EXPECT_FALSE(closed);
                    device.heal();
                    for (int again = 0; again < 2; ++again) {
                        auto next = opened_on(memory);
                        ASSERT_EQ(next.size(next.root()).value(), changes ? 3000U : 0U);
                        byte_vector found(changes ? 3000 : 0);
                        EXPECT_TRUE(next.read(next.root(), 0, found));
                        EXPECT_EQ(found, changes ? pattern(3000, nth) : byte_vector{});
                        expect_whole(next);
                        ASHLAR_ASSERT_OK(next.close());
                    }
                }
            }
        }
    }
    EXPECT_GE(failures, 20U);
}

}  // namespace store_clean_open_test
}  // namespace ashlar::test
