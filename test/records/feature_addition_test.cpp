// A feature added as one task: whichever way it takes, stopped anywhere, gone on with later.

#include "records_fixture.hpp"

#include <ashlar/feature_addition.hpp>
#include <ashlar/regions.hpp>

namespace ashlar::test {
namespace feature_addition_test {

constexpr std::uint32_t   tags = tag_of("TAGS");
constexpr feature_request narrow{.bit = 4, .region = tags, .blocks = {5}};
constexpr feature_request wide{.bit = 5, .record_bytes = 20, .region = tags, .blocks = {7}};
constexpr step_budget     one_thing{.blocks_max = 1, .candidates_max = 1};

class FeatureAddition : public records_fixture {
  protected:
    void SetUp() override {
        records_fixture::SetUp();
        ids_ = fill(live_, 40);
        ASHLAR_ASSERT_OK(live_.sync());
    }
    void expect_added(const feature_request& wanted) {
        store_features features{live_};
        EXPECT_TRUE(features.has(wanted));
        EXPECT_EQ(store_regions{live_}.find({wanted.region, 0}).value().place.count, wanted.blocks);
        if (wanted.record_bytes != 0) {
            ASHLAR_EXPECT_OK(features.write(ids_[3], wanted.bit, bytes_of(wanted.record_bytes, 1)));
            byte_vector seen(wanted.record_bytes);
            EXPECT_TRUE(features.read(ids_[3], wanted.bit, seen));
            EXPECT_EQ(seen, bytes_of(wanted.record_bytes, 1));
        }
        expect_no_traces(live_);
        expect_whole(live_);
    }

    std::vector<object_id> ids_;
};

TEST_F(FeatureAddition, TakesOneStepWhereRecordsStayAsTheyAre) {
    feature_addition task{live_, narrow};
    EXPECT_EQ(task.plan().value().way, feature_way::regions_only);
    EXPECT_EQ(task.step().reasons, stop_reason::finished);
    EXPECT_EQ(task.way(), feature_way::regions_only);
    kill();
    expect_added(narrow);
    feature_addition again{live_, narrow};
    EXPECT_EQ(again.step().reasons, stop_reason::finished | stop_reason::nothing_to_gain);
    auto other   = narrow;
    other.region = tag_of("ELSE");
    feature_addition taken{live_, other};
    const auto       said = taken.step();
    EXPECT_EQ(said.failure.code, errc::busy) << "the bit is another one's";
    EXPECT_EQ(said.reasons, stop_reason::finished);
}

TEST_F(FeatureAddition, WidensRecordsFirstAndGoesOnWhereItWasKilled) {
    const auto    before = live_.volume().record_bytes;
    std::uint64_t steps  = 0;
    bool          ended  = false;
    for (; !ended && steps < 300; ++steps) {
        feature_addition task{live_, wide};
        const auto       said = task.step(one_thing);
        ended                 = said.reasons.has(stop_reason::finished);
        EXPECT_EQ(said.failure.code, errc::none) << steps;
        ASHLAR_ASSERT_OK(live_.sync());
        if (!ended) { EXPECT_FALSE(store_features{live_}.has(wide)) << steps; }
        kill();
    }
    EXPECT_TRUE(ended);
    EXPECT_GT(steps, 10U);
    EXPECT_GE(live_.volume().record_bytes, before + 24);
    expect_added(wide);
}

TEST_F(FeatureAddition, ItIsPausedAtEveryStepAndUsersGoOn) {
    feature_addition task{live_, wide};
    progress         said;
    for (std::uint64_t i = 0; i < 1000 && !said.reasons.has(stop_reason::finished); ++i) {
        task.pause();
        EXPECT_EQ(task.step(one_thing).reasons, stop_reason::paused);
        task.resume();
        ASHLAR_EXPECT_OK(live_.append(ids_[i % ids_.size()], bytes_of(30, i)));
        said = task.step(one_thing);
    }
    EXPECT_EQ(task.way(), feature_way::record_migration);
    EXPECT_EQ(said.failure.code, errc::none);
    expect_added(wide);
}

TEST_F(FeatureAddition, CancelledAtEveryStepThereIsNoFeature) {
    bool late = false;
    for (int steps = 0; !late && steps < 200; ++steps) {
        feature_addition task{live_, wide};
        for (int i = 0; i < steps; ++i) static_cast<void>(task.step(one_thing));
        if (store_features{live_}.has(wide)) break;
        task.cancel();
        EXPECT_EQ(run_to_end(task).reasons, stop_reason::cancelled) << steps;
        EXPECT_FALSE(store_features{live_}.has(wide)) << steps;
        late = live_.volume().record_bytes != 136;
        expect_no_traces(live_);
        expect_whole(live_);
    }
    EXPECT_TRUE(late) << "after the swap records stay wide";
    feature_addition task{live_, wide};
    EXPECT_EQ(run_to_end(task).reasons, stop_reason::finished);
    EXPECT_EQ(task.way(), feature_way::spare_bytes);
    expect_added(wide);
}

TEST_F(FeatureAddition, ATransactionThatHoldsTheTableIsWaitedFor) {
    for (const auto& wanted : {narrow, feature_request{.bit = 5, .record_bytes = 20}}) {
        feature_addition task{live_, wanted};
        auto             open = live_.begin();
        ASHLAR_ASSERT_OK(open);
        ASHLAR_ASSERT_OK(open.value().create());
        EXPECT_EQ(task.step().reasons, stop_reason::raced);
        EXPECT_EQ(task.step().reasons, stop_reason::raced);
        EXPECT_FALSE(store_features{live_}.has(wanted));
        open.value().abort();
        EXPECT_EQ(run_to_end(task).reasons, stop_reason::finished);
        EXPECT_TRUE(store_features{live_}.has(wanted));
    }
    expect_whole(live_);
}

TEST_F(FeatureAddition, WhereNoTableOfThatWidthFitsNothingIsChanged) {
    for (std::uint64_t i = 0;; ++i) {
        if (!live_.append(live_.root(), bytes_of(4000, i))) break;
    }
    feature_addition task{live_, {.bit = 5, .record_bytes = 20}};
    const auto       said = task.step();
    EXPECT_EQ(task.way(), feature_way::volume_copy);
    EXPECT_EQ(said.failure.code, errc::no_contiguous_space);
    EXPECT_EQ(said.reasons, stop_reason::finished);
    expect_no_traces(live_);
    expect_whole(live_);
}

}  // namespace feature_addition_test
}  // namespace ashlar::test
