// Stores that answer wrongly or fail: what compares them with a model says where.

#include <ashlar/testing/store_model.hpp>

#include <gtest/gtest.h>

#include <optional>
#include <string>

namespace ashlar::test {
namespace lying_store_test {

/// Holds its objects in a map. Of each call the n-th can fail, and some answers can be wrong.
struct lying_store {
    struct call {
        std::uint64_t      fails_at = 0;  ///< 0: never.
        std::uint64_t      calls    = 0;
        [[nodiscard]] bool due() noexcept { return ++calls == fails_at; }
    };
    static constexpr error broken{errc::device_failed, block_index{5}};

    model_state   objects{{1, {}}};
    call          nexts, sizes, reads, verifies, creates, others, begins, commits;
    std::uint64_t next_id = 2, missing_bytes = 0, size_added = 0, appends_behind = 0;
    std::uint64_t findings           = 0;
    bool          findings_are_shown = true;

    result<std::optional<object_id>> next_object(object_id after) noexcept {
        if (nexts.due()) return broken;
        const auto at = objects.upper_bound(after.value);
        if (at == objects.end()) return std::optional<object_id>{};
        return std::optional<object_id>{object_id{at->first}};
    }
    result<std::uint64_t> size(object_id id) noexcept {
        if (sizes.due()) return broken;
        return objects.at(id.value).size() + size_added;
    }
    result<std::uint64_t> read(object_id id, std::uint64_t, std::span<std::byte> in) noexcept {
        if (reads.due()) return broken;
        const auto& bytes = objects.at(id.value);
        std::copy_n(bytes.begin(), std::min(bytes.size(), in.size()), in.begin());
        return in.size() - missing_bytes;
    }
    template <class Sink>
    result<verify_report> verify(Sink sink) noexcept {
        if (verifies.due()) return broken;
        verify_report report;
        report.findings = findings;
        if (findings_are_shown) {
            for (std::uint64_t i = 0; i < findings; ++i)
                sink(verify_finding{verify_problem{}, block_index{100 + i}, object_id{7}, broken});
        }
        return report;
    }
    result<object_id> create() noexcept {
        if (creates.due()) return broken;
        objects[next_id];
        return object_id{next_id};
    }
    result<> write(object_id id, std::uint64_t offset, std::span<const std::byte> bytes) noexcept {
        if (others.due()) return broken;
        model_write(objects[id.value], offset, bytes);
        return success();
    }
    result<std::uint64_t> append(object_id id, std::span<const std::byte> bytes) noexcept {
        if (others.due()) return broken;
        const auto at = objects[id.value].size() + appends_behind;
        model_write(objects[id.value], at, bytes);
        return at;
    }
    result<> truncate(object_id id, std::uint64_t bytes) noexcept {
        if (others.due()) return broken;
        objects[id.value].resize(static_cast<std::size_t>(bytes));
        return success();
    }
    result<> punch(object_id id, std::uint64_t offset, std::uint64_t length) noexcept {
        if (others.due()) return broken;
        model_punch(objects[id.value], offset, length);
        return success();
    }
    result<> erase(object_id id) noexcept {
        if (others.due()) return broken;
        objects.erase(id.value);
        return success();
    }

    struct transaction {
        lying_store* store;
        model_state  before;
        result<>     commit() noexcept {
                if (store->commits.due()) {
                    abort();
                    return broken;
            }
                return success();
        }
        void                  abort() noexcept { store->objects = before; }
        result<object_id>     create() noexcept { return store->create(); }
        result<>              erase(object_id id) noexcept { return store->erase(id); }
        result<std::uint64_t> append(object_id id, std::span<const std::byte> b) noexcept {
            return store->append(id, b);
        }
        result<> write(object_id id, std::uint64_t at, std::span<const std::byte> b) noexcept {
            return store->write(id, at, b);
        }
        result<> truncate(object_id id, std::uint64_t bytes) noexcept { return store->truncate(id, bytes); }
        result<> punch(object_id id, std::uint64_t at, std::uint64_t length) noexcept {
            return store->punch(id, at, length);
        }
    };
    result<transaction> begin() noexcept {
        if (begins.due()) return broken;
        return transaction{this, objects};
    }
};

lying_store some_store() {
    lying_store store;
    store.objects = {{1, pattern(30, 1)}, {4, {}}, {9, pattern(70, 9)}};
    return store;
}

TEST(StoreContents, ADifferenceIsASentence) {
    const auto expected = some_store().objects;
    const auto said_of  = [&](auto spoil) {
        auto store = some_store();
        spoil(store);
        return difference(store, expected);
    };
    EXPECT_EQ(said_of([](auto&) {}), "");
    EXPECT_EQ(said_of([](auto& s) { s.objects.erase(4); }), "the next object is not 4");
    EXPECT_EQ(said_of([](auto& s) { s.objects.erase(9); }), "the next object is not 9") << "it is the last";
    EXPECT_EQ(said_of([](auto& s) { s.objects[11]; }), "object 11 is too many");
    EXPECT_EQ(said_of([](auto& s) { s.objects[9].push_back({}); }), "object 9 has 71 bytes, not 70");
    EXPECT_EQ(said_of([](auto& s) { s.objects[9][33] ^= std::byte{2}; }), "object 9 differs at byte 33 of 70");
    EXPECT_EQ(said_of([](auto& s) { s.missing_bytes = 1; }), "a read of 1 is short");
    const std::string why = said(result<>{lying_store::broken});
    EXPECT_EQ(said_of([](auto& s) { s.nexts.fails_at = 2; }), "next_object: " + why);
    EXPECT_EQ(said_of([](auto& s) { s.nexts.fails_at = 4; }), "next_object: " + why) << "behind the last";
    EXPECT_EQ(said_of([](auto& s) { s.sizes.fails_at = 3; }), "size: " + why);
    EXPECT_EQ(said_of([](auto& s) { s.reads.fails_at = 3; }), "read of 9: " + why);
}

TEST(StoreContents, ADigestIsTheModelsOrAnError) {
    auto store = some_store();
    EXPECT_EQ(digest_on(store).value(), digest_of(store.objects));
    store.objects[9][1] ^= std::byte{1};
    EXPECT_NE(digest_on(store).value(), digest_of(some_store().objects));
    const auto error_of = [&](auto spoil) {
        auto spoilt = some_store();
        spoil(spoilt);
        return digest_on(spoilt).error().code;
    };
    EXPECT_EQ(error_of([](auto& s) { s.nexts.fails_at = 2; }), errc::device_failed);
    EXPECT_EQ(error_of([](auto& s) { s.sizes.fails_at = 2; }), errc::device_failed);
    EXPECT_EQ(error_of([](auto& s) { s.reads.fails_at = 2; }), errc::device_failed);
    EXPECT_EQ(error_of([](auto& s) { s.missing_bytes = 1; }), errc::damaged);
    EXPECT_EQ(error_of([](auto& s) { s.size_added = 1U << 30U; }), errc::damaged) << "no such object fits";
}

TEST(StoreContents, FindingsAreToldUntilTheTextIsLong) {
    auto store = some_store();
    EXPECT_EQ(findings_of(store), "");
    store.findings = 1;
    EXPECT_NE(findings_of(store).find("at block 100 of object 7"), std::string::npos) << findings_of(store);
    store.findings = 1000;
    EXPECT_LT(findings_of(store).size(), 700U);
    store.findings_are_shown = false;
    EXPECT_EQ(findings_of(store), "findings without a word");
    store.verifies.fails_at = store.verifies.calls + 1;
    EXPECT_EQ(findings_of(store), "verify: " + said(result<>{lying_store::broken}));
}

TEST(StoreContents, WritingNothingChangesNothing) {
    std::vector<std::byte> object(3, std::byte{1});
    model_write(object, 100, {});
    EXPECT_EQ(object.size(), 3U);
}

// ---- the model -----------------------------------------------------------------------------------------------------

TEST(StoreModel, WhatFailsLeavesTheModelAndSaysWhy) {
    lying_store store;
    store_model model{object_id{1}};
    const auto  bytes   = pattern(10, 1);
    const auto  refused = [&](auto operation) {
        store.others       = {1, 0};
        const auto before  = model.state();
        const auto outcome = operation();
        EXPECT_FALSE(outcome.succeeded());
        EXPECT_EQ(outcome.why, lying_store::broken);
        EXPECT_EQ(outcome.text(), std::string{outcome.what} + ": " + said(result<>{lying_store::broken}));
        EXPECT_EQ(model.state(), before);
        EXPECT_EQ(store.objects, before);
        store.others = {};
    };
    EXPECT_TRUE(model.write(store, {1}, 5, bytes).succeeded());
    refused([&] { return model.write(store, {1}, 0, bytes); });
    EXPECT_NE(model.attempted(), model.state()) << "a cut may show it";
    refused([&] { return model.append(store, {1}, bytes); });
    refused([&] { return model.truncate(store, {1}, 2); });
    refused([&] { return model.punch(store, {1}, 2, 4); });
    refused([&] { return model.erase(store, {1}); });
    store.creates = {1, 0};
    EXPECT_EQ(model.create(store).why, lying_store::broken);
    EXPECT_EQ(difference(store, model.state()), "");
}

TEST(StoreModel, AnswersThatCannotBeAreNamed) {
    lying_store store;
    store_model model{object_id{1}};
    EXPECT_TRUE(model.create(store).succeeded());
    const auto again = model.create(store);
    EXPECT_FALSE(again.succeeded());
    EXPECT_EQ(again.text(), "create: an id was used before");
    store.appends_behind = 3;
    const auto behind    = model.append(store, {1}, pattern(4, 4));
    EXPECT_EQ(behind.text(), "append: it appended elsewhere than at the end");
}

TEST(StoreModel, OfATransactionAllHappensOrNothing) {
    lying_store store;
    store_model model{object_id{1}};
    const auto  bytes   = pattern(10, 1);
    const auto  changes = [&](auto& tx) {
        store.next_id += 1;
        const auto id = tx.create();
        tx.write(id, 3, bytes);
        tx.append({1}, bytes);
        tx.truncate({1}, 6);
        tx.punch({1}, 1, 2);
        tx.erase(id);
        tx.append({1}, bytes);
    };
    EXPECT_TRUE(model.transaction(store, changes).durable);
    EXPECT_EQ(difference(store, model.state()), "");
    EXPECT_EQ(model.transaction(store, changes, false).what, std::string{"abort"});
    EXPECT_EQ(difference(store, model.state()), "");

    for (std::uint64_t nth = 1; nth <= 6; ++nth) {
        store.others       = {nth, 0};
        const auto before  = store.objects;
        const auto outcome = model.transaction(store, changes);
        EXPECT_EQ(outcome.what, std::string{"transaction"});
        EXPECT_EQ(outcome.why, lying_store::broken);
        EXPECT_EQ(store.others.calls, nth) << "nothing is tried after it";
        store.objects = before;  // the real transaction's end does this
        EXPECT_EQ(difference(store, model.state()), "");
    }
    store.others  = {};
    store.creates = {store.creates.calls + 1, store.creates.calls};
    EXPECT_EQ(model.transaction(store, changes).what, std::string{"transaction"});
    store.begins = {1, 0};
    EXPECT_EQ(model.transaction(store, changes).what, std::string{"begin"});
    store.commits      = {1, 0};
    const auto outcome = model.transaction(store, [&](auto& tx) { tx.write({1}, 90, bytes); });
    EXPECT_EQ(outcome.what, std::string{"commit"});
    EXPECT_NE(model.attempted(), model.state()) << "a cut may show it";
    EXPECT_EQ(difference(store, model.state()), "");
}

}  // namespace lying_store_test
}  // namespace ashlar::test
