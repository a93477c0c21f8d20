#include <ashlar/vocabulary/result.hpp>
#include <ashlar/vocabulary/stop_reason.hpp>

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <type_traits>

namespace error_test {

using namespace ashlar;

TEST(Error, EveryCodeHasASentenceOfItsOwn) {
    std::set<std::string> sentences;
    for (std::uint16_t code = 0; code <= static_cast<std::uint16_t>(errc::again); ++code) {
        EXPECT_TRUE(sentences.insert(message(static_cast<errc>(code))).second) << "code " << code;
    }
    EXPECT_EQ(sentences.count("unknown error"), 0U);
    EXPECT_STREQ(message(static_cast<errc>(60000)), "unknown error");
}

TEST(Error, SaysWhatAndWhereAndCopiesAsBytes) {
    static_assert(std::is_trivially_copyable_v<error> && sizeof(error) == 16);
    const result<int> failed = error{errc::device_failed, {77}, 5};
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, errc::device_failed);
    EXPECT_EQ(failed.error().where, block_index{77});
    EXPECT_EQ(failed.error().os_code, 5);
}

TEST(Result, TryLeavesWithTheFirstFailure) {
    int        steps = 0;
    const auto step  = [&](errc answer) noexcept -> result<> {
        ++steps;
        if (answer != errc::none) return answer;
        return success();
    };
    const auto all = [&]() noexcept -> result<int> {
        BOOST_OUTCOME_TRY(step(errc::none));
        BOOST_OUTCOME_TRY(step(errc::no_space));
        BOOST_OUTCOME_TRY(step(errc::none));
        return 1;
    };
    const auto answer = all();
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, errc::no_space);
    EXPECT_EQ(steps, 2);
}

TEST(StopReasons, HoldSeveralAtOnce) {
    const stop_reasons both = stop_reason::finished | stop_reason::pinned;
    EXPECT_TRUE(both.has(stop_reason::finished) && both.has(stop_reason::pinned));
    EXPECT_FALSE(both.has(stop_reason::raced) || both.none());
    EXPECT_TRUE(stop_reasons{}.none());
    stop_reasons grows;
    grows |= stop_reason::throttled;
    EXPECT_EQ(grows, stop_reasons{stop_reason::throttled});
}

}  // namespace error_test
