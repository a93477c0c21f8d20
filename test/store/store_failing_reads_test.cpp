// Each verb of a store that was just opened, with each of the reads that it needs failing.

#include "store_fixture.hpp"

#include <ashlar/checksum/no_checksum.hpp>
#include <ashlar/defrag_policy/best_gain.hpp>
#include <ashlar/testing/faulty_device.hpp>

#include <functional>
#include <iterator>

namespace ashlar::test {
namespace store_failing_reads_test {

struct gaining : test_blueprint<> {
    using defrag = best_gain;
};
using gaining_store = store<gaining>;

/// A closed volume with everything in it that metadata can say.
class StoreFailingReads : public testing::Test {
  protected:
    StoreFailingReads() : shape_{.blocks = 9000}, memory_{make_memory(shape_)} {
        format_on(memory_, shape_);
        auto live = opened_on(memory_);
        for (std::uint64_t i = 0; i < 6; ++i) ids_.push_back(live.create().value());
        for (std::uint64_t i = 0; i < 40; ++i) write(live, large(), i * 2048, pattern(700, i));  // a tree
        for (std::uint64_t i = 0; i < 12; ++i) {                                                 // in pieces
            for (const auto id : {ids_[1], ids_[2]}) write(live, id, i * 512, pattern(512, i));
            ASHLAR_EXPECT_OK(live.sync());
        }
        for (std::uint64_t i = 0; i < 2; ++i) write(live, ids_[3], i * 15'000, pattern(15'000, i));
        ASHLAR_EXPECT_OK(live.pin(ids_[3], 0, 4096));
        ASHLAR_EXPECT_OK(live.reserve(ids_[3], 40'000, 4096));
        ASHLAR_EXPECT_OK(live.reserve(live.root(), 0, 3900 * 512));  // most of a group
        write(live, ids_[5], 0, pattern(3000, 6));
        model_[live.root().value] = {};
        model_[ids_[4].value]     = {};
        for (const auto id : {ids_[5]}) {  // erased, and freed by nobody yet
            auto changes = live.begin().value();
            ASHLAR_EXPECT_OK(changes.erase(id));
            ASHLAR_EXPECT_OK(changes.commit());
            model_.erase(id.value);
        }
        ASHLAR_EXPECT_OK(live.close());
        base_.assign(memory_.bytes().begin(), memory_.bytes().end());
    }

    [[nodiscard]] object_id large() const { return ids_[0]; }
    void                    write(test_store& live, object_id id, std::uint64_t offset, const byte_vector& bytes) {
                           ASHLAR_EXPECT_OK(live.write(id, offset, bytes));
                           model_write(model_[id.value], offset, bytes);
    }

    using verb = std::function<errc(gaining_store&)>;

    /// Fails each read of a verb, once and for good. It says so, what is there is as before, and the next time it
    /// works.
    /// `frees_later`: what it frees may wait for another call.
    void fail_each_read_of(const char* name, const verb& one, bool frees_later = false) {
        for (const auto lasts : {fault_lasts::once, fault_lasts::for_good}) {
            std::uint64_t nth = 1;
            for (;; ++nth) {
                std::memcpy(memory_.bytes().data(), base_.data(), base_.size());
                faulty_device<memory_device> device{memory_};
                auto                         chosen = with<gaining_store>();
                chosen.defrag                       = eager_defragmenter();
                auto opened                         = gaining_store::open(any_device{device}, chosen);
                ASHLAR_ASSERT_OK(opened);
                auto live = std::move(opened).value();
                device.fail(transfer_kind::read, nth, lasts);
                const auto code = one(live);
                const bool met  = device.failures() != 0;
                device.heal();
                if (!met) {
                    EXPECT_EQ(code, errc::none) << name;
                    break;
                }
                if (code != errc::none) {
                    EXPECT_EQ(code, errc::device_failed) << name << ", read " << nth;
                    EXPECT_EQ(difference(live, model_), "") << name << ", read " << nth;
                    EXPECT_EQ(one(live), errc::none) << name << ", after read " << nth << " of it failed";
                } else {
                    EXPECT_TRUE(frees_later || lasts == fault_lasts::once) << name << " did without read " << nth;
                }
                EXPECT_FALSE(live.read_only()) << name << ", read " << nth;
                EXPECT_EQ(findings_of(live), "") << name << ", read " << nth;
                if (testing::Test::HasFailure()) return;
            }
            runs_ += nth - 1;
        }
    }

    volume_shape           shape_;
    memory_device          memory_;
    std::vector<object_id> ids_;
    model_state            model_;
    byte_vector            base_;
    std::uint64_t          runs_ = 0;
};

TEST_F(StoreFailingReads, OfQuestionsAreSaidAndTheNextAnswerIsRight) {
    byte_vector                into(8000);
    const auto                 bytes   = std::span<std::byte>{into};
    const std::span<std::byte> parts[] = {bytes.first(1000), bytes.subspan(1000, 3000), bytes.subspan(4000)};
    fail_each_read_of("read", [&](auto& live) { return code_of(live.read(large(), 30'000, bytes)); });
    fail_each_read_of("read of parts", [&](auto& live) {
        return code_of(live.read(ids_[3], 0, std::span<const std::span<std::byte>>{parts}));
    });
    fail_each_read_of("size", [&](auto& live) { return code_of(live.size(ids_[4])); });
    fail_each_read_of("info", [&](auto& live) { return code_of(live.info(ids_[4])); });
    fail_each_read_of("next_extent", [&](auto& live) { return code_of(live.next_extent(large(), {60})); });
    fail_each_read_of("objects", [&](auto& live) {
        std::uint64_t seen  = 0;
        auto          range = live.objects();
        for (const auto id : range) seen += id ? 1U : 0U;
        const auto code = range.failure().code;
        if (code == errc::none) { EXPECT_EQ(seen, model_.size()); }
        return code;
    });
    fail_each_read_of("extents", [&](auto& live) {
        std::uint64_t seen  = 0;
        auto          range = live.extents(large());
        for (const auto& piece : range) seen += piece.physical.count.value;
        const auto code = range.failure().code;
        if (code == errc::none) { EXPECT_EQ(seen, live.info(large()).value().blocks); }
        return code;
    });
    fail_each_read_of("free_runs", [&](auto& live) {
        std::uint64_t seen  = 0;
        auto          range = live.free_runs();
        for (const auto& run : range) seen += run.count.value;
        const auto code = range.failure().code;
        if (code == errc::none) { EXPECT_EQ(seen, live.info().free.value); }
        return code;
    });
    fail_each_read_of("fragmentation", [](auto& live) { return code_of(live.fragmentation()); });
    fail_each_read_of("plan_defragmentation", [](auto& live) { return code_of(live.plan_defragmentation()); });
    fail_each_read_of("plan of a group", [](auto& live) { return code_of(live.plan_defragmentation(0)); });
    EXPECT_GT(runs_, 60U);
}

TEST_F(StoreFailingReads, OfChangesLeaveNothingHalfDone) {
    const auto small = pattern(900, 1), long_bytes = pattern(70'000, 2);
    fail_each_read_of("create", [](auto& live) { return code_of(live.create()); });
    fail_each_read_of(
        "erase", [&](auto& live) { return code_of(live.erase(ids_[1])); }, true);
    fail_each_read_of("write", [&](auto& live) { return code_of(live.write(large(), 30'100, small)); });
    fail_each_read_of("append", [&](auto& live) { return code_of(live.append(ids_[2], small)); });
    fail_each_read_of("put", [&](auto& live) { return code_of(live.put(ids_[1], 300, small)); });
    fail_each_read_of("truncate", [&](auto& live) { return code_of(live.truncate(large(), 5100)); });
    fail_each_read_of("punch", [&](auto& live) { return code_of(live.punch(large(), 4000, 9000)); });
    fail_each_read_of("reserve", [&](auto& live) { return code_of(live.reserve(large(), 3000, 20'000)); });
    fail_each_read_of("pin", [&](auto& live) { return code_of(live.pin(ids_[1], 0, 2000)); });
    fail_each_read_of("unpin", [&](auto& live) { return code_of(live.unpin(ids_[3], 0, 2000)); });
    fail_each_read_of("set_attributes", [&](auto& live) {
        const std::array<std::byte, attribute_bytes> some{std::byte{7}};
        return code_of(live.set_attributes(ids_[4], some));
    });
    EXPECT_GT(runs_, 60U);
}

TEST_F(StoreFailingReads, OfATransactionDropIt) {
    using transaction = gaining_store::transaction;
    const auto bytes  = pattern(900, 1);
    const auto within = [&](const char* name, auto&& change) {
        fail_each_read_of(name, [&](auto& live) {
            auto begun = live.begin();
            if (!begun) return code_of(begun);
            transaction changes = std::move(begun).value();
            const errc  code    = change(changes);
            if (code == errc::none) return code_of(changes.commit());
            EXPECT_EQ(code_of(changes.write(ids_[3], 0, bytes)), errc::invalid_argument) << "only dropping it is left";
            EXPECT_EQ(code_of(changes.create()), errc::invalid_argument);
            EXPECT_EQ(code_of(changes.erase(ids_[3])), errc::invalid_argument);
            EXPECT_EQ(code_of(changes.commit()), errc::invalid_argument);
            return code;
        });
    };
    within("create", [](auto& changes) { return code_of(changes.create()); });
    within("erase", [&](auto& changes) { return code_of(changes.erase(ids_[1])); });
    within("write", [&](auto& changes) { return code_of(changes.write(large(), 30'100, bytes)); });
    within("append", [&](auto& changes) { return code_of(changes.append(ids_[2], bytes)); });
    within("truncate", [&](auto& changes) { return code_of(changes.truncate(large(), 5100)); });
    within("punch", [&](auto& changes) { return code_of(changes.punch(large(), 4000, 9000)); });
    within("set_attributes", [&](auto& changes) {
        const std::array<std::byte, attribute_bytes> some{std::byte{7}};
        return code_of(changes.set_attributes(ids_[4], some));
    });
    EXPECT_GT(runs_, 40U);
}

TEST_F(StoreFailingReads, OfWhatTheStoreDoesForItselfAreSaid) {
    fail_each_read_of("maintain", [](auto& live) {
        for (int i = 0; i < 40; ++i) {
            const auto done = live.maintain({.blocks_max = 64, .candidates_max = 64});
            if (!done) return code_of(done);
            if (done.value().reasons.has(stop_reason::device_error)) return done.value().failure.code;
            if (done.value().reasons.has(stop_reason::nothing_to_gain)) break;
        }
        return errc::none;
    });
    fail_each_read_of("trim", [](auto& live) {
        for (;;) {
            const auto done = live.trim({3000});
            if (!done) return code_of(done);
            if (done.value().finished) return errc::none;
        }
    });
    EXPECT_GT(runs_, 20U);
}

TEST_F(StoreFailingReads, OfAVerificationAreFindings) {
    fail_each_read_of("verify", [](auto& live) {
        const auto report = live.verify([](const verify_finding& found) {
            if (found.why.code != errc::none) { EXPECT_EQ(found.why.code, errc::device_failed); }
        });
        if (!report) return code_of(report);
        return report.value().findings == 0 ? errc::none : errc::device_failed;
    });
    EXPECT_GT(runs_, 60U);
}

}  // namespace store_failing_reads_test
}  // namespace ashlar::test
