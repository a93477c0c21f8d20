// A store with the smallest cache: nearly every step of an operation reads a metadata block, and each of these reads
// fails once. The operation says so, nothing of it happened, and repeated it succeeds.

#include "store_fixture.hpp"

#include <ashlar/testing/faulty_device.hpp>

#include <functional>

namespace ashlar::test {
namespace store_object_faults_test {

using faulty_memory = faulty_device<memory_device>;
using volume_type   = std::remove_reference_t<decltype(std::declval<test_store&>().volume())>;

volume_limits smallest() {
    auto limits                = small_limits();
    limits.cache_blocks        = cache_blocks_min;
    limits.transaction.shadows = 8;
    limits.transactions        = 4;
    limits.staged_bytes        = 0;
    return limits;
}

/// A closed volume: three objects of a few hundred extents between each other's, one of which lost its end and still
/// gives blocks back, and holes.
class ColdStore : public testing::Test {
  protected:
    ColdStore() : memory_{make_memory(shape_)} {
        format_on(memory_, shape_);
        auto live  = opened_on(memory_, smallest());
        high_      = live.create().value();
        other_     = live.create().value();
        shrinking_ = live.create().value();
        for (std::uint64_t i = 0; i < 240; ++i) {
            for (const auto id : {high_, other_, shrinking_})
                ASHLAR_EXPECT_OK(live.write(id, i * 1024, pattern(512, i)));
        }
        EXPECT_GE(live.info(high_).value().tree_height, 2U);
        ASHLAR_EXPECT_OK(live.truncate(shrinking_, 100 * 1024));
        EXPECT_NE(live.volume().space.totals().dying_head, 0U) << "the rest is freed later";
        ASHLAR_EXPECT_OK(live.sync());
        const auto seen = digest_on(live);
        ASHLAR_EXPECT_OK(seen);
        before_ = seen.value();
        static_cast<void>(live.abandon());
        base_.assign(memory_.bytes().begin(), memory_.bytes().end());
    }

    using operation = std::function<result<>(test_store&)>;

    /// Answers with how many reads failed.
    std::uint64_t fail_each_read(const char* what, bool changes, const operation& run) {
        std::uint64_t nth = 1;
        for (;; ++nth) {
            std::memcpy(memory_.bytes().data(), base_.data(), base_.size());
            faulty_memory device{memory_};
            auto          live = opened_on(device, smallest());
            device.fail(transfer_kind::read, nth);
            auto done = run(live);
            device.fail(transfer_kind::read, 0);
            if (device.failures() == 0) {
                ASHLAR_EXPECT_OK(done);
                break;
            }
            EXPECT_FALSE(live.read_only()) << what << " " << nth;
            if (!done) {
                EXPECT_EQ(code_of(done), errc::device_failed) << what << ", read " << nth;
                if (nth % 4 == 0) {
                    const auto seen = digest_on(live);
                    EXPECT_TRUE(seen && seen.value() == before_)
                        << what << ", read " << nth << ": a part of it happened";
                }
                done = run(live);
                EXPECT_TRUE(done) << what << ", read " << nth << ", again: " << said(done);
            }
            if (changes && nth % 5 == 0) { EXPECT_EQ(findings_of(live), "") << what << ", read " << nth; }
            static_cast<void>(live.abandon());
            if (HasFailure()) break;
        }
        EXPECT_GT(nth, 1U) << what << " reads nothing";
        return nth - 1;
    }

    volume_shape  shape_{.block_bytes = 512, .blocks = 4000, .journal_blocks = 400};
    memory_device memory_;
    byte_vector   base_;
    object_id     high_{}, other_{}, shrinking_{};
    std::uint64_t before_ = 0;
};

template <class T>
result<> plain(const result<T>& answer) {
    if (answer.has_error()) return answer.error();
    return success();
}

TEST_F(ColdStore, EachReadOfAWriteMayFail) {
    fail_each_read("write", true,
                   [&](test_store& live) { return live.write(high_, 120 * 1024 + 100, pattern(700, 1)); });
    fail_each_read("long write", true,
                   [&](test_store& live) { return live.write(high_, 130 * 1024 - 50, pattern(9000, 2)); });
    fail_each_read("append", true, [&](test_store& live) { return plain(live.append(high_, pattern(300, 3))); });
    fail_each_read("write behind an end that moved", true,
                   [&](test_store& live) { return live.write(shrinking_, 103 * 1024, pattern(300, 4)); });
}

TEST_F(ColdStore, EachReadOfAnOperationThatFreesMayFail) {
    fail_each_read("truncate", true, [&](test_store& live) { return live.truncate(high_, 200 * 1024 + 17); });
    fail_each_read("punch", true, [&](test_store& live) { return live.punch(high_, 50 * 1024 + 3, 9000); });
    fail_each_read("erase", true, [&](test_store& live) {
        const auto done = live.erase(shrinking_);
        return code_of(done) == errc::not_found ? result<>{success()} : done;
    });
    fail_each_read("growth of what shrank", true, [&](test_store& live) { return live.truncate(shrinking_, 1 << 20); });
}

TEST_F(ColdStore, EachReadOfAnOperationOnFlagsMayFail) {
    fail_each_read("pin", true, [&](test_store& live) { return live.pin(high_, 60 * 1024, 4000); });
    fail_each_read("reserve", true, [&](test_store& live) { return live.reserve(high_, 70 * 1024, 4000); });
    fail_each_read("reserve behind an end that moved", true,
                   [&](test_store& live) { return live.reserve(shrinking_, 100 * 1024, 2000); });
    fail_each_read("attributes", true, [&](test_store& live) {
        const std::array<std::byte, attribute_bytes> attributes{};
        return live.set_attributes(high_, attributes);
    });
}

TEST_F(ColdStore, EachReadOfALookMayFail) {
    fail_each_read("read", false, [&](test_store& live) {
        byte_vector found(20'000);
        return plain(live.read(high_, 100 * 1024 + 5, std::span<std::byte>{found}));
    });
    fail_each_read("next extent", false,
                   [&](test_store& live) { return plain(live.next_extent(high_, logical_block{301})); });
    fail_each_read("objects", false, [&](test_store& live) -> result<> {
        BOOST_OUTCOME_TRY(live.next_object(high_));
        return plain(live.size(other_));
    });
}

TEST_F(ColdStore, EachReadOfATransactionMayFail) {
    const auto reads = fail_each_read("transaction", true, [&](test_store& live) -> result<> {
        BOOST_OUTCOME_TRY(auto changes, live.begin());
        BOOST_OUTCOME_TRY(changes.truncate(high_, 239 * 1024 + 100));
        BOOST_OUTCOME_TRY(changes.write(high_, 7000, pattern(100, 8)));
        BOOST_OUTCOME_TRY(changes.write(high_, 7050, pattern(100, 9)));
        BOOST_OUTCOME_TRY(changes.create());
        return changes.commit();
    });
    EXPECT_GT(reads, 8U);
}

TEST_F(ColdStore, EachReadOfARelocationMayFail) {
    using source = relocation_source<volume_type>;
    for (const auto kind : {candidate_kind::fragmented_range, candidate_kind::free_space_gap}) {
        fail_each_read("candidates", false, [&](test_store& live) -> result<> {
            source            host{live.volume()};
            relocation_cursor cursor;
            for (int i = 0; i < 300; ++i) {
                BOOST_OUTCOME_TRY(const auto found, host.next_candidate(cursor, {.kind = kind, .window = {16}}));
                if (!found) break;
                EXPECT_NE(found->owner, shrinking_) << "it is left to those who free the rest";
                if (cursor.owner == high_ && cursor.logical.value > 60) cursor = {.owner = other_, .logical = {400}};
                if (cursor.owner == other_ && cursor.logical.value > 440) cursor = {.owner = shrinking_};
            }
            return success();
        });
    }
    fail_each_read("move", true, [&](test_store& live) -> result<> {
        source                       host{live.volume()};
        std::array<mapped_extent, 4> pieces{};
        BOOST_OUTCOME_TRY(const auto seen, host.mapping(high_, {100}, {1}, pieces));
        EXPECT_EQ(seen.pieces, 1U);
        BOOST_OUTCOME_TRY(host.scope(0));
        BOOST_OUTCOME_TRY(const auto target, host.reserve_target({.goal = pieces[0].physical.end(), .blocks = {1}}));
        byte_vector bytes(512);
        const auto  moved = [&]() -> result<bool> {
            BOOST_OUTCOME_TRY(host.hold(pieces[0].physical));
            const auto read = host.read_blocks(pieces[0].physical, bytes);
            host.unhold(pieces[0].physical);
            BOOST_OUTCOME_TRY(read);
            BOOST_OUTCOME_TRY(host.write_blocks(target, bytes));
            BOOST_OUTCOME_TRY(host.read_target(target, bytes));
            return host.flip(high_, {100}, {1}, seen.generation, target);
        }();
        if (!moved) {
            host.release_target(target);
            return moved.error();
        }
        EXPECT_TRUE(moved.value());
        return success();
    });
}

TEST_F(ColdStore, EachReadOfAnUncleanVolumeThatMayOnlyBeReadMayFail) {
    faulty_memory device{memory_};
    std::uint64_t nth = 1;
    for (;; ++nth) {
        auto opened = test_store::open_read_only(any_device{device}, with(smallest()));
        ASHLAR_ASSERT_OK(opened);
        const auto failed = device.failures();
        device.fail(transfer_kind::read, nth);
        byte_vector found(3000);
        const auto  done = opened.value().read(shrinking_, 90 * 1024 + 5, std::span<std::byte>{found});
        device.fail(transfer_kind::read, 0);
        if (device.failures() == failed) {
            ASHLAR_EXPECT_OK(done);
            break;
        }
        if (!done) { EXPECT_EQ(code_of(done), errc::device_failed); }
        ASHLAR_EXPECT_OK(opened.value().read(shrinking_, 90 * 1024 + 5, std::span<std::byte>{found}));
    }
    EXPECT_GT(nth, 3U);
}

}  // namespace store_object_faults_test
}  // namespace ashlar::test
