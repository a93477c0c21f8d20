#include "journal_fixture.hpp"

#include <algorithm>
#include <cstring>

namespace ashlar::test {
namespace ring_journal_lost_test {

/// A disk whose cache forgets: where a sync fails, what was to be written arrives in part, is read as though all of it
/// had, and no later sync writes it. A cut leaves the first sector of the last write, and nothing else unsynced.
struct forgetful_device {
    memory_device& seen;
    block_bytes    kept;
    struct pending {
        std::size_t at;
        block_bytes bytes;
    };
    std::vector<pending> unsynced{};
    bool                 sync_fails = false;
    std::uint64_t        writes_max = ~std::uint64_t{0};
    std::uint64_t        writes     = 0;

    explicit forgetful_device(memory_device& on) : seen{on}, kept(byte_count()) { EXPECT_TRUE(seen.read(all(), kept)); }

    [[nodiscard]] device_geometry geometry() const noexcept { return seen.geometry(); }
    [[nodiscard]] extent          all() const noexcept { return {{0}, geometry().blocks}; }
    [[nodiscard]] std::size_t     byte_count() const noexcept {
            return static_cast<std::size_t>(bytes_of(geometry().blocks, geometry().size));
    }

    [[nodiscard]] result<> read(extent e, std::span<std::byte> in) noexcept { return seen.read(e, in); }
    [[nodiscard]] result<> write(extent e, std::span<const std::byte> out) noexcept {
        if (writes >= writes_max) return errc::device_failed;
        ++writes;
        unsynced.push_back({static_cast<std::size_t>(byte_offset(e.first, geometry().size)), {out.begin(), out.end()}});
        return seen.write(e, out);
    }
    [[nodiscard]] result<> sync() noexcept {
        if (writes >= writes_max) return errc::device_failed;
        for (const auto& one : unsynced) arrive(one, sync_fails ? 512 : one.bytes.size());
        unsynced.clear();
        if (sync_fails) return errc::device_failed;
        return success();
    }
    [[nodiscard]] result<> trim(extent) noexcept { return success(); }

    void arrive(const pending& one, std::size_t bytes) {
        std::memcpy(kept.data() + one.at, one.bytes.data(), std::min(bytes, one.bytes.size()));
    }
    void cut_power() {
        if (!unsynced.empty()) arrive(unsynced.back(), 512);
        unsynced.clear();
        EXPECT_TRUE(seen.write(all(), kept));
        writes_max = ~std::uint64_t{0};
        sync_fails = false;
    }
};

/// Two batches; then the anchor's first sync fails, the journal is opened again on what the cache shows, and power
/// goes after `writes` writes of that recovery. Answers whether the recovery ended before.
bool recovers_after(std::uint64_t writes) {
    const journal_shape shape;
    auto                memory = make_device(shape);
    forgetful_device    device{memory};
    data_on             data{device};
    {
        attached_journal journal{shape};
        EXPECT_TRUE(journal->format(device, {}));
        EXPECT_TRUE(commit(device, journal.journal, small_batch(1)));
        EXPECT_TRUE(commit(device, journal.journal, small_batch(2)));
        device.sync_fails = true;
        EXPECT_FALSE(journal->anchor(device, journal->next(), {}));
        device.sync_fails = false;
    }
    device.writes_max = device.writes + writes;
    attached_journal again{shape};
    const bool       whole = again->recover(device, data, false).has_value();
    device.cut_power();

    attached_journal last{shape};
    const auto       report = last->recover(device, data, false);
    EXPECT_TRUE(report) << "after " << writes << " writes";
    EXPECT_EQ(last->next().value, 3U) << "after " << writes << " writes";
    return whole;
}

TEST(RingJournal, AnAnchorThatAFailedSyncLostIsWrittenAgainBeforeTheOtherCopy) {
    std::uint64_t writes = 1;
    while (!recovers_after(writes) && !::testing::Test::HasFailure()) ASSERT_LT(++writes, 20U);
    EXPECT_GT(writes, 2U);
}

}  // namespace ring_journal_lost_test
}  // namespace ashlar::test
