#include <ashlar/testing/linearizability.hpp>
#include <ashlar/testing/random_bits.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <thread>

namespace linearizability_test {

using namespace ashlar;

constexpr auto unanswered = register_operation::unanswered;

register_operation wrote(std::uint64_t value, std::uint64_t began, std::uint64_t ended) {
    return {1, value, began, ended, true};
}
register_operation read(std::uint64_t value, std::uint64_t began, std::uint64_t ended) {
    return {1, value, began, ended, false};
}

std::string findings(std::vector<register_operation> history) {
    std::string text;
    for (const auto& one : check_linearizability(std::move(history))) text += one.text() + "; ";
    return text;
}

TEST(Linearizability, OperationsOneAfterTheOtherAreInOrder) {
    EXPECT_EQ(findings({read(0, 1, 2), wrote(5, 3, 4), read(5, 5, 6), wrote(6, 7, 8), read(6, 9, 10)}), "");
    EXPECT_EQ(findings({}), "");
}

TEST(Linearizability, AnOldValueAfterANewWriteHasEndedIsStale) {
    EXPECT_EQ(findings({wrote(5, 1, 2), wrote(6, 3, 4), read(5, 5, 6)}),
              "register 1: value 5 and another value have no order: 6; ");
    EXPECT_NE(findings({wrote(5, 1, 2), read(0, 3, 4)}), "") << "what stood there first can be stale too";
}

TEST(Linearizability, WhileAWriteIsUnderWayReadsMayAnswerEitherUntilOneHasSeenTheNewValue) {
    const std::vector<register_operation> fine = {wrote(5, 1, 2), wrote(6, 3, 20), read(5, 4, 5), read(6, 6, 7),
                                                  read(6, 8, 9)};
    EXPECT_EQ(findings(fine), "");
    auto back = fine;
    back.push_back(read(5, 10, 11));
    EXPECT_NE(findings(back), "") << "from new back to old";
}

TEST(Linearizability, WritesSideBySideTakeAnOrderThatAllReadersShare) {
    const std::vector<register_operation> writes = {wrote(5, 1, 20), wrote(6, 2, 21)};
    auto                                  agree = writes, differ = writes;
    agree.insert(agree.end(), {read(5, 3, 4), read(6, 5, 6), read(6, 22, 23)});
    EXPECT_EQ(findings(agree), "");
    differ.insert(differ.end(), {read(5, 3, 4), read(6, 5, 6), read(5, 7, 8)});
    EXPECT_NE(findings(differ), "");
}

TEST(Linearizability, AValueThatNobodyWroteYetIsToldByName) {
    EXPECT_EQ(findings({read(9, 1, 2)}), "register 1: value 9 was read and never written; ");
    EXPECT_EQ(findings({read(9, 1, 2), wrote(9, 3, 4)}), "register 1: value 9 was read before its write began; ");
    EXPECT_EQ(findings({wrote(9, 1, 2), wrote(9, 3, 4)}), "register 1: value 9 was written twice; ");
}

TEST(Linearizability, AWriteWithoutAnAnswerMayHaveHappenedOrNot) {
    EXPECT_EQ(findings({wrote(5, 1, 2), wrote(6, 3, unanswered), read(5, 4, 5)}), "");
    EXPECT_EQ(findings({wrote(5, 1, 2), wrote(6, 3, unanswered), read(5, 4, 5), read(6, 6, 7)}), "");
    EXPECT_NE(findings({wrote(5, 1, 2), wrote(6, 3, unanswered), read(6, 4, 5), read(5, 6, 7)}), "");
    EXPECT_EQ(findings({wrote(5, 1, 2), read(0, 3, unanswered)}), "") << "a read without an answer says nothing";
}

TEST(Linearizability, RegistersAreJudgedApart) {
    std::vector<register_operation> history = {wrote(5, 1, 2), wrote(6, 3, 4), read(6, 5, 6)};
    history.push_back({2, 5, 7, 8, true});
    history.push_back({2, 5, 9, 10, false});
    EXPECT_EQ(findings(history), "");
    history.push_back({3, 7, 1, 2, true});
    history.push_back({3, 0, 3, 4, false});
    const auto found = check_linearizability(history);
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].where, 3U);
}

/// Tries every order: what an operation may be next is one that began before all others that are left have ended.
bool has_order(const std::vector<register_operation>& all, unsigned left, std::uint64_t value) {
    if (left == 0) return true;
    std::uint64_t first_end = unanswered;
    bool          answered  = false;
    for (std::size_t i = 0; i < all.size(); ++i) {
        if ((left >> i & 1U) == 0U) continue;
        first_end = std::min(first_end, all[i].ended);
        answered |= all[i].ended != unanswered;
    }
    if (!answered) return true;  // What is left never answered, so none of it need have happened.
    for (std::size_t i = 0; i < all.size(); ++i) {
        const auto& one = all[i];
        if ((left >> i & 1U) == 0U || one.began > first_end) continue;
        if (!one.write && one.value != value) continue;
        if (has_order(all, left & ~(1U << i), one.write ? one.value : value)) return true;
    }
    return false;
}

/// A few operations at random stamps; writes may go without an answer. Near misses are common, as the values are few.
std::vector<register_operation> any_history(random_bits& random) {
    const auto                 count  = static_cast<std::size_t>(2 + random.below(6));
    const auto                 writes = static_cast<std::size_t>(1 + random.below(std::min<std::uint64_t>(count, 3)));
    std::vector<std::uint64_t> stamps(2 * count);
    for (std::size_t i = 0; i < stamps.size(); ++i) stamps[i] = i + 1;
    const auto reach = 1 + random.below(stamps.size());  // Small: operations are short and seldom overlap.
    for (std::size_t i = stamps.size() - 1; i > 0; --i) {
        const auto back = std::min<std::uint64_t>(random.below(reach), i);
        std::swap(stamps[i], stamps[i - static_cast<std::size_t>(back)]);
    }
    std::vector<register_operation> history;
    for (std::size_t i = 0; i < count; ++i) {
        const auto [began, ended] = std::minmax(stamps[2 * i], stamps[2 * i + 1]);
        history.push_back({1, i < writes ? i + 1 : random.below(writes + 1), began, ended, i < writes});
        if (i < writes && random.below(8) == 0) history.back().ended = unanswered;
    }
    return history;
}

TEST(Linearizability, ItAgreesWithASearchThroughAllOrders) {
    random_bits   random{20};
    std::uint64_t fine = 0, broken = 0;
    for (int i = 0; i < 100'000; ++i) {
        const auto history  = any_history(random);
        const bool expected = has_order(history, (1U << history.size()) - 1U, 0);
        (expected ? fine : broken) += 1;
        ASSERT_EQ(check_linearizability(history).empty(), expected) << "history " << i << ": " << findings(history);
    }
    EXPECT_GT(fine, 10'000U);
    EXPECT_GT(broken, 10'000U);
}

/// Runs writers and readers of a few registers against `write(register, value)` and `read(register)`.
template <class Write, class Read>
std::vector<linearizability_finding> run_against(Write write, Read read_one) {
    constexpr std::size_t      threads = 4;
    stamp_counter              stamps;
    std::vector<operation_log> logs(threads, operation_log{stamps});
    std::vector<std::thread>   running;
    for (std::size_t t = 0; t < threads; ++t) {
        running.emplace_back([&, t] {
            random_bits random{t + 1};
            for (std::uint64_t i = 1; i <= 3000; ++i) {
                const auto where = static_cast<std::size_t>(random.below(4));
                if (random.below(2) == 0) {
                    const auto value     = i * threads + t;
                    const auto operation = logs[t].begin_write(where, value);
                    write(where, value);
                    logs[t].end_write(operation);
                } else {
                    const auto operation = logs[t].begin_read(where);
                    logs[t].end_read(operation, read_one(where));
                }
            }
        });
    }
    for (auto& one : running) one.join();
    return check_linearizability(joined(logs));
}

TEST(Linearizability, AtomicNumbersPassAndOnesThatAreSometimesStaleDoNot) {
    std::array<std::atomic<std::uint64_t>, 4> now{}, before{};
    const auto write = [&](std::size_t where, std::uint64_t value) { before[where] = now[where].exchange(value); };
    const auto fresh = [&](std::size_t where) { return now[where].load(); };
    EXPECT_TRUE(run_against(write, fresh).empty());

    for (auto& one : now) one = 0;
    for (auto& one : before) one = 0;
    std::atomic<std::uint64_t> reads{0};
    const auto stale = [&](std::size_t where) { return ++reads % 50 == 0 ? before[where].load() : now[where].load(); };
    EXPECT_FALSE(run_against(write, stale).empty());
}

}  // namespace linearizability_test
