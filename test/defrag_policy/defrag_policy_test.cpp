#include <ashlar/defrag_policy/best_gain.hpp>
#include <ashlar/defrag_policy/no_defrag.hpp>
#include <ashlar/defrag_policy/threshold_policy.hpp>
#include <ashlar/testing/defrag_policy_conformance.hpp>

#include <gtest/gtest.h>

using namespace ashlar;

namespace defrag_policy_test {

static_assert(!DefragPolicy<int>);

/// Says yes to everything, which would move for ever.
struct restless_policy {
    static constexpr bool enabled = true;
    bool                  worth_moving(const defrag_candidate&) const noexcept { return true; }
    std::uint64_t         rank(const defrag_candidate&) const noexcept { return 0; }
};
static_assert(DefragPolicy<restless_policy>);

TEST(DefragPolicies, KeepTheContract) {
    for (std::uint64_t seed = 1; seed <= 8; ++seed) {
        EXPECT_EQ(check_defrag_policy(no_defrag{}, seed), "");
        EXPECT_EQ(check_defrag_policy(threshold_policy{}, seed), "");
        EXPECT_EQ(check_defrag_policy(best_gain{}, seed), "");
    }
}

TEST(DefragPolicies, TheKitNamesWhatAPolicyBreaks) {
    EXPECT_EQ(check_defrag_policy(restless_policy{}, 1), "a move that gains nothing is not worth making");
}

TEST(ThresholdPolicy, TakesTheRangeWithTheMostPiecesToLoseFirst) {
    const threshold_policy policy{.extents_min = 2};
    EXPECT_GT(policy.rank({.extents = 9, .owner_extents = 9}), policy.rank({.extents = 8, .owner_extents = 20}));
    EXPECT_TRUE(policy.worth_moving({.extents = 2, .owner_extents = 2}));
}

TEST(BestGain, LeavesLongExtentsAloneHoweverManyTheyAre) {
    EXPECT_FALSE(
        best_gain{}.worth_moving({.extents = 1000, .owner_extents = 1000, .reads_before = 1000, .reads_after = 1000}));
    EXPECT_TRUE(
        best_gain{}.worth_moving({.extents = 1000, .owner_extents = 1000, .reads_before = 1000, .reads_after = 999}));
    EXPECT_FALSE(
        best_gain{.reads_saved_min = 2}.worth_moving({.extents = 3, .reads_before = 1000, .reads_after = 999}));
}

TEST(BestGain, OrdersByReadsSavedPerByte) {
    const best_gain policy;
    const auto      rank = [&](std::uint64_t saved, std::uint64_t bytes) {
        return policy.rank({.extents = saved + 1, .reads_before = saved + 1, .reads_after = 1, .bytes = bytes});
    };
    for (std::uint64_t bytes = 512; bytes < (std::uint64_t{1} << 32U); bytes *= 4) {
        EXPECT_GT(rank(20, bytes), rank(19, bytes)) << bytes;
        EXPECT_GT(rank(20, bytes), rank(20, bytes + bytes / 8)) << bytes;
        EXPECT_GT(rank(2, bytes), rank(3, bytes * 2)) << bytes;
    }
    EXPECT_EQ(rank(3, 0), 0U) << "nothing to move";
}

}  // namespace defrag_policy_test
