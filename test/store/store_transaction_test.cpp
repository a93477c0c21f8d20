#include "store_fixture.hpp"

#include <ashlar/testing/faulty_device.hpp>

namespace ashlar::test {
namespace store_transaction_test {

TEST(StoreTransaction, SeesWhatAnotherOneDidToTheNextRecord) {
    auto memory = make_memory({});
    format_on(memory, {});
    auto       opened = opened_on(memory);
    const auto first = opened.create(), second = opened.create();  // their records lie in one block
    ASHLAR_ASSERT_OK(first);
    ASHLAR_ASSERT_OK(second);

    auto one = opened.begin();
    ASHLAR_ASSERT_OK(one);
    ASHLAR_EXPECT_OK(one.value().write(first.value(), 0, pattern(100, 1)));
    ASHLAR_EXPECT_OK(opened.write(second.value(), 0, pattern(3000, 2)));
    ASHLAR_EXPECT_OK(one.value().write(second.value(), 3000, pattern(50, 3)));
    ASHLAR_EXPECT_OK(one.value().commit());

    model_state expected{
        {opened.root().value, {}}, {first.value().value, pattern(100, 1)}, {second.value().value, pattern(3000, 2)}};
    model_write(expected[second.value().value], 3000, pattern(50, 3));
    EXPECT_EQ(difference(opened, expected), "");
    EXPECT_EQ(findings_of(opened), "");
}

/// A transaction that changes the records of many objects, on a journal of some size.
class StoreLargeTransaction : public testing::Test {
  protected:
    static constexpr std::uint64_t objects = 48;

    void make(std::uint64_t journal_blocks) {
        shape_  = {.blocks = 1200, .journal_blocks = journal_blocks};
        memory_ = make_memory(shape_);
        format_on(memory_, shape_);
        auto live = opened();
        ids_.clear();
        for (std::uint64_t i = 0; i < objects; ++i) ids_.push_back(live.create().value());
        ASHLAR_EXPECT_OK(live.close());
        base_.assign(memory_.bytes().begin(), memory_.bytes().end());
    }
    [[nodiscard]] test_store           opened() { return opened_on(device_, limits()); }
    [[nodiscard]] static volume_limits limits() {
        auto limits                = small_limits();
        limits.transaction.objects = objects;
        return limits;
    }
    /// Every object's attributes become `what`; another caller puts something between change and commit.
    [[nodiscard]] result<> change_all(test_store& live, std::byte what, std::uint64_t puts) {
        BOOST_OUTCOME_TRY(auto changes, live.begin());
        std::array<std::byte, attribute_bytes> attributes{};
        attributes[0] = what;
        for (const auto id : ids_) { BOOST_OUTCOME_TRY(changes.set_attributes(id, attributes)); }
        for (std::uint64_t i = 0; i < puts; ++i) { BOOST_OUTCOME_TRY(live.put(live.root(), i * 512, pattern(512, i))); }
        return changes.commit();
    }
    /// How many objects have it.
    [[nodiscard]] std::uint64_t changed(test_store& live, std::byte what) {
        std::uint64_t count = 0;
        for (const auto id : ids_) count += live.info(id).value().attributes[0] == what ? 1U : 0U;
        return count;
    }

    volume_shape                 shape_{};
    memory_device                memory_ = make_memory(shape_);
    faulty_device<memory_device> device_{memory_};
    std::vector<object_id>       ids_;
    byte_vector                  base_;
};

TEST_F(StoreLargeTransaction, IsTooLargeForASmallJournalAndFindsRoomInALargerOneHoweverFullItIs) {
    std::uint64_t too_large = 0, done = 0;
    for (std::uint64_t journal = 24; journal <= 96; journal += 8) {
        {
            const volume_shape small{.blocks = 1200, .journal_blocks = journal};
            auto               probe = make_memory(small);
            any_device         any{probe};
            if (!test_store::format(any, small.format())) continue;
        }
        make(journal);
        for (std::uint64_t puts = 0; puts < 24; puts += 3) {
            std::memcpy(memory_.bytes().data(), base_.data(), base_.size());
            auto       live   = opened();
            const auto answer = change_all(live, std::byte{7}, puts);
            EXPECT_TRUE(answer || answer.error().code == errc::too_large) << said(answer);
            EXPECT_TRUE(answer || done == 0) << "a larger journal holds less";
            EXPECT_EQ(changed(live, std::byte{7}), answer ? objects : 0U);
            (answer ? done : too_large) += 1;
            ASHLAR_EXPECT_OK(live.put(live.root(), 0, pattern(600, 1)));
            static_cast<void>(live.abandon());
            live = opened();
            EXPECT_EQ(changed(live, std::byte{7}), answer ? objects : 0U);
            EXPECT_EQ(findings_of(live), "");
        }
    }
    EXPECT_GT(too_large, 0U);
    EXPECT_GT(done, 20U);
}

TEST_F(StoreLargeTransaction, EachWriteAndSyncOfItsCommitMayFailAndOpeningDecides) {
    make(64);
    std::uint64_t runs = 0;
    for (const auto kind : {transfer_kind::write, transfer_kind::sync}) {
        for (std::uint64_t nth = 1;; ++nth) {
            std::memcpy(memory_.bytes().data(), base_.data(), base_.size());
            auto live = opened();
            ASHLAR_ASSERT_OK(change_all(live, std::byte{3}, 0));
            device_.fail(kind, nth, fault_lasts::for_good);
            const auto before = device_.failures();
            const auto answer = change_all(live, std::byte{7}, 12);
            const bool met    = device_.failures() != before;
            EXPECT_EQ(answer.has_value(), !met) << said(answer);
            device_.heal();
            static_cast<void>(live.abandon());
            live              = opened();
            const auto after  = changed(live, std::byte{7});
            const auto beside = changed(live, std::byte{3});
            EXPECT_TRUE(after == objects || (!answer && after == 0)) << after << " of them, " << nth;
            EXPECT_EQ(after + beside, objects);
            EXPECT_EQ(findings_of(live), "");
            static_cast<void>(live.abandon());
            if (!met) break;
            ++runs;
        }
    }
    EXPECT_GT(runs, 20U);
}

TEST(StoreTransaction, IsOfNoUseBehindItsEndOrWhatItGaveAway) {
    auto memory = make_memory({});
    format_on(memory, {});
    auto opened = opened_on(memory);
    auto first = opened.begin(), second = opened.begin();
    ASHLAR_ASSERT_OK(first);
    ASHLAR_ASSERT_OK(second);
    ASHLAR_ASSERT_OK(first.value().create());
    auto other = std::move(first).value();
    EXPECT_EQ(code_of(first.value().create()), errc::invalid_argument) << "it was moved from";
    EXPECT_EQ(code_of(second.value().create()), errc::busy) << "the other one makes objects";
    EXPECT_EQ(code_of(second.value().create()), errc::invalid_argument) << "only dropping it is left";
    second.value().abort();
    EXPECT_EQ(code_of(other.erase(opened.root())), errc::invalid_argument);
    ASHLAR_EXPECT_OK(other.commit());
    EXPECT_EQ(code_of(other.write(opened.root(), 0, pattern(3, 3))), errc::invalid_argument);
    EXPECT_EQ(code_of(other.append(opened.root(), pattern(3, 3))), errc::invalid_argument);
    EXPECT_EQ(code_of(other.commit()), errc::invalid_argument);
    other.abort();
    EXPECT_EQ(opened.info().objects, 2U);

    auto third = opened.begin();
    ASHLAR_ASSERT_OK(third);
    ASHLAR_ASSERT_OK(third.value().create());
    auto fourth = opened.begin();
    ASHLAR_ASSERT_OK(fourth);
    fourth.value() = std::move(third).value();  // what it held is dropped
    auto& one      = fourth.value();
    auto& same     = fourth.value();
    one            = std::move(same);  // to itself
    ASHLAR_EXPECT_OK(same.commit());
    EXPECT_EQ(opened.info().objects, 3U);
    EXPECT_EQ(findings_of(opened), "");
}

TEST(StoreTransaction, FindsNoRoomForRecordsOnAFullVolume) {
    const volume_shape shape{.blocks = 700, .journal_blocks = 64};
    auto               memory = make_memory(shape);
    format_on(memory, shape);
    auto opened = opened_on(memory);
    for (std::uint64_t bytes = 20'000; bytes >= 512; bytes /= 2) {
        while (opened.append(opened.root(), pattern(static_cast<std::size_t>(bytes), 1))) {}
    }
    while (opened.create()) {}  // records take blocks too
    const auto objects = opened.info().objects;
    const auto why     = code_of(opened.create());
    auto       changes = opened.begin();
    ASHLAR_ASSERT_OK(changes);
    EXPECT_EQ(code_of(changes.value().create()), why) << message(why);
    EXPECT_EQ(code_of(changes.value().commit()), errc::invalid_argument);
    EXPECT_EQ(opened.info().objects, objects);
    EXPECT_EQ(findings_of(opened), "");
}

}  // namespace store_transaction_test
}  // namespace ashlar::test
