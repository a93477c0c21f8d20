// Threads that work side by side on one store, and what is left when they stop.

#include "threads_fixture.hpp"

namespace ashlar::test {
namespace store_threads_test {

class StoreThreads : public testing::TestWithParam<medium> {
  protected:
    /// Files sync for milliseconds; memory does not.
    [[nodiscard]] static std::uint64_t calls(std::uint64_t on_memory, std::uint64_t on_file) {
        return scaled(GetParam() == medium::memory ? on_memory : on_file);
    }
};

/// What all threads' scenarios together say a store holds.
model_state whole_model(const std::vector<scenario<threaded_store>>& scenarios, object_id root) {
    model_state all;
    all[root.value] = {};
    for (const auto& one : scenarios) {
        for (const auto& [id, bytes] : one.state()) all[id] = bytes;
    }
    return all;
}

/// Each thread works on objects of its own, until it is told to stop.
void work_until(threaded_store& store, std::vector<scenario<threaded_store>>& scenarios,
                const std::atomic<bool>& stopping, std::atomic<std::uint64_t>& steps) {
    in_threads(scenarios.size(), [&](std::size_t thread) {
        while (!stopping && !testing::Test::HasFailure()) {
            const auto done = scenarios[thread].step(store);
            ++steps;
            // Creating locks the table of objects until an open transaction that creates is over.
            EXPECT_TRUE(done.why.code == errc::none || done.why.code == errc::busy)
                << done.what << ": " << message(done.why.code);
        }
    });
}

TEST_P(StoreThreads, AStoreThatIsClosedInTheMiddleHoldsWhatEachThreadWasTold) {
    constexpr std::size_t threads = 4;
    const volume_shape    shape{.blocks = 6000, .journal_blocks = 128};
    threaded_device       device{GetParam(), shape};
    auto                  store = device.open();
    const auto            root  = store.root();

    std::vector<scenario<threaded_store>> scenarios;
    for (std::size_t t = 0; t < threads; ++t) {
        const auto first = store.create();
        ASHLAR_ASSERT_OK(first);
        mixture mix;
        mix.sync = GetParam() == medium::memory ? 14 : 2;
        scenarios.emplace_back(t + 1, first.value(), mix);
    }
    std::atomic<std::uint64_t> steps{0};
    const std::uint64_t        rounds = calls(8, 3);
    for (std::uint64_t round = 0; round < rounds && !HasFailure(); ++round) {
        std::optional<restless_maintenance> maintenance{std::in_place, store};
        std::atomic<bool>                   stopping{false};
        std::thread                         stopper{[&] {
            std::this_thread::sleep_for(std::chrono::milliseconds{20 + 7 * round});
            stopping = true;
        }};
        work_until(store, scenarios, stopping, steps);
        stopper.join();
        EXPECT_EQ(maintenance->status().failures, 0U);
        maintenance.reset();  // In the middle of a pass, and often of a move.
        if (round % 2 == 0) {
            ASHLAR_ASSERT_OK(store.close());
        } else {
            store = threaded_store{};  // The destructor closes too.
        }
        store = device.open();
        ASSERT_TRUE(store.recovered().was_clean);
        ASSERT_EQ(difference(store, whole_model(scenarios, root)), "");
        ASSERT_EQ(findings_of(store), "");
    }
    EXPECT_GT(steps.load(), rounds * threads);
    ASHLAR_EXPECT_OK(store.close());
}

TEST_P(StoreThreads, OperationsOnOneObjectWaitForEachOther) {
    constexpr std::size_t threads = 4;
    threaded_device       device{GetParam(), {.blocks = 6000}};
    auto                  store = device.open();
    const auto            made  = store.create();
    ASHLAR_ASSERT_OK(made);
    const auto           id    = made.value();
    const auto           count = calls(400, 60);
    restless_maintenance maintenance{store};

    // Records of 24 bytes, so that most appends meet in a block: thread, number, and where the store said it would lie.
    std::vector<std::vector<std::uint64_t>> places(threads);
    in_threads(threads, [&](std::size_t thread) {
        for (std::uint64_t i = 0; i < count; ++i) {
            std::array<std::uint64_t, 3> words{thread + 1, i, ~i};
            const auto                   at = store.append(id, std::as_bytes(std::span{words}));
            ASHLAR_ASSERT_OK(at);  // Never busy: nobody has a transaction open.
            places[thread].push_back(at.value());
        }
    });
    const auto size = store.size(id);
    ASHLAR_ASSERT_OK(size);
    EXPECT_EQ(size.value(), threads * count * 24);
    for (std::size_t thread = 0; thread < threads; ++thread) {
        ASSERT_EQ(places[thread].size(), count);
        for (std::uint64_t i = 0; i < count; ++i) {
            std::array<std::uint64_t, 3> words{};
            ASHLAR_ASSERT_OK(store.read(id, places[thread][i], std::as_writable_bytes(std::span{words})));
            ASSERT_EQ(words, (std::array<std::uint64_t, 3>{thread + 1, i, ~i}));
            if (i > 0) { ASSERT_GT(places[thread][i], places[thread][i - 1]); }
        }
    }
}

TEST_P(StoreThreads, OnlyAnOpenTransactionRefusesOthersAndOnlyForItsTime) {
    threaded_device device{GetParam(), {}};
    auto            store = device.open();
    const auto      mine = store.create(), other = store.create();
    ASHLAR_ASSERT_OK(mine);
    ASHLAR_ASSERT_OK(other);
    auto begun = store.begin();
    ASHLAR_ASSERT_OK(begun);
    ASHLAR_ASSERT_OK(begun.value().write(mine.value(), 0, pattern(100, 1)));

    std::atomic<bool> refused{false};
    std::thread       writer{[&] {
        ASHLAR_EXPECT_OK(store.write(other.value(), 0, pattern(100, 2)));
        EXPECT_EQ(code_of(store.write(mine.value(), 0, pattern(100, 3))), errc::busy);
        refused = true;
        ASHLAR_EXPECT_OK(insist([&] { return store.write(mine.value(), 50, pattern(100, 4)); }));
    }};
    while (!refused && !HasFailure()) std::this_thread::yield();
    byte_vector seen(100);
    EXPECT_EQ(store.read(mine.value(), 0, std::span<std::byte>{seen}).value(), 0U) << "not committed, so not visible";
    ASHLAR_EXPECT_OK(begun.value().commit());
    writer.join();

    byte_vector expected;
    model_write(expected, 0, pattern(100, 1));
    model_write(expected, 50, pattern(100, 4));
    byte_vector found(expected.size());
    ASHLAR_ASSERT_OK(store.read(mine.value(), 0, std::span<std::byte>{found}));
    EXPECT_TRUE(found == expected);
}

TEST_P(StoreThreads, TransactionsThatMeetLoseNoUpdate) {
    constexpr std::size_t           accounts = 4, threads = 4;
    threaded_device                 device{GetParam(), {}};
    auto                            store = device.open();
    std::array<object_id, accounts> ids{};
    for (auto& id : ids) {
        const auto made = store.create();
        ASHLAR_ASSERT_OK(made);
        id                        = made.value();
        const std::uint64_t start = 1000;
        ASHLAR_ASSERT_OK(store.write(id, 0, std::as_bytes(std::span{&start, 1})));
    }
    const auto balance = [&](object_id id) {
        std::uint64_t now = 0;
        ASHLAR_EXPECT_OK(store.read(id, 0, std::as_writable_bytes(std::span{&now, 1})));
        return now;
    };
    const auto                        count = calls(200, 10);
    std::array<std::int64_t, threads> moved{};
    restless_maintenance              maintenance{store};
    in_threads(threads, [&](std::size_t thread) {
        random_bits random{thread + 1};
        for (std::uint64_t i = 0; i < count; ++i) {
            // From account 0 to another. The lock comes with the first write, so the balance is read after it.
            const auto to   = ids[static_cast<std::size_t>(1 + random.below(accounts - 1))];
            const auto done = insist([&]() -> result<> {
                BOOST_OUTCOME_TRY(auto tx, store.begin());
                BOOST_OUTCOME_TRY(tx.write(ids[0], 8, filled_block(8, i)));
                BOOST_OUTCOME_TRY(tx.write(to, 8, filled_block(8, i)));
                const std::uint64_t less = balance(ids[0]) - 1, more = balance(to) + 1;
                BOOST_OUTCOME_TRY(tx.write(ids[0], 0, std::as_bytes(std::span{&less, 1})));
                BOOST_OUTCOME_TRY(tx.write(to, 0, std::as_bytes(std::span{&more, 1})));
                return tx.commit();
            });
            ASHLAR_ASSERT_OK(done);
            ++moved[thread];
        }
    });
    std::uint64_t sum = 0;
    for (const auto id : ids) sum += balance(id);
    EXPECT_EQ(sum, accounts * 1000U);
    EXPECT_EQ(balance(ids[0]), 1000U - threads * count);
    EXPECT_EQ(moved[0], static_cast<std::int64_t>(count));
}

TEST_P(StoreThreads, ObjectsComeAndGoWhileOthersListThem) {
    constexpr std::size_t                   threads = 4;
    threaded_device                         device{GetParam(), {.blocks = 6000, .journal_blocks = 128}};
    auto                                    store = device.open();
    const auto                              count = calls(300, 40);
    std::atomic<bool>                       stopping{false};
    restless_maintenance                    maintenance{store};
    std::thread                             lister{[&] {
        while (!stopping && !HasFailure()) {
            object_id last{};
            for (;;) {
                const auto next = store.next_object(last);
                ASHLAR_EXPECT_OK(next);
                if (!next || !next.value()) break;
                EXPECT_GT(next.value()->value, last.value);
                last            = *next.value();
                const auto size = store.size(last);
                EXPECT_TRUE(size || size.error().code == errc::not_found) << said(size);
            }
        }
    }};
    std::vector<std::vector<std::uint64_t>> ids(threads);
    model_state                             left;
    left[store.root().value] = {};
    std::mutex guards_left;
    in_threads(threads, [&](std::size_t thread) {
        random_bits                                    random{thread + 1};
        std::vector<std::pair<object_id, byte_vector>> alive;
        for (std::uint64_t i = 0; i < count && !HasFailure(); ++i) {
            if (alive.size() > 12 || (!alive.empty() && random.below(3) == 0)) {
                const auto at = static_cast<std::size_t>(random.below(alive.size()));
                ASHLAR_EXPECT_OK(store.erase(alive[at].first));
                EXPECT_EQ(code_of(store.size(alive[at].first)), errc::not_found);
                alive.erase(alive.begin() + static_cast<std::ptrdiff_t>(at));
                continue;
            }
            const auto made = store.create();
            ASHLAR_ASSERT_OK(made);
            ids[thread].push_back(made.value().value);
            alive.emplace_back(made.value(), pattern(static_cast<std::size_t>(1 + random.below(1500)), random.next()));
            ASHLAR_EXPECT_OK(store.write(made.value(), 0, alive.back().second));
        }
        const std::lock_guard held{guards_left};
        for (auto& [id, bytes] : alive) left[id.value] = bytes;
    });
    stopping = true;
    lister.join();
    std::set<std::uint64_t> all;
    for (const auto& some : ids) {
        for (const auto id : some) EXPECT_TRUE(all.insert(id).second) << "id " << id << " was given twice";
    }
    EXPECT_EQ(difference(store, left), "");
    EXPECT_EQ(store.info().objects, left.size());
}

/// One change of an object, of any kind.
errc change_anything(threaded_store& store, object_id id, random_bits& random) {
    const auto at     = random.below(9000);
    const auto length = 1 + random.below(2500);
    const auto bytes  = pattern(static_cast<std::size_t>(length), random.next());
    switch (random.below(12)) {
        case 0: return code_of(store.append(id, std::span{bytes}.first(bytes.size() / 8)));
        case 1: return code_of(store.truncate(id, at));
        case 2: return code_of(store.punch(id, at, length));
        case 3: return code_of(store.reserve(id, at, length));
        case 4: {
            const auto done = code_of(store.pin(id, at, length));
            return done == errc::none ? code_of(store.unpin(id, 0, 1U << 20U)) : done;
        }
        case 5: return code_of(store.checkpoint());
        case 6: return code_of(store.sync());
        case 7: {
            auto begun = store.begin();
            if (!begun) return code_of(begun);
            const auto done = begun.value().write(id, at, bytes);
            return done ? code_of(begun.value().commit()) : code_of(done);
        }
        default: return code_of(store.write(id, at, bytes));
    }
}

TEST_P(StoreThreads, AnyChangesOfSharedObjectsLeaveAWholeVolumeAndAreCountedMeanwhile) {
    threaded_device device{GetParam(), {.blocks = 6000, .journal_blocks = 128}};
    auto            store = device.open();

    std::array<object_id, 4> ids{};
    for (auto& id : ids) {
        const auto made = store.create();
        ASHLAR_ASSERT_OK(made);
        id = made.value();
    }
    const auto               count = calls(1500, 40);
    std::atomic<std::size_t> changing{4};
    {
        restless_maintenance maintenance{store};
        in_threads(6, [&](std::size_t thread) {
            random_bits random{thread + 1};
            if (thread < 4) {
                for (std::uint64_t i = 0; i < count && !HasFailure(); ++i) {
                    const auto why = change_anything(store, ids[static_cast<std::size_t>(random.below(4))], random);
                    EXPECT_TRUE(why == errc::none || why == errc::busy || why == errc::pinned) << message(why);
                    mix_threads(random);
                }
                --changing;
                return;
            }
            byte_vector found(12'000);
            while (changing > 0 && !HasFailure()) {
                if (thread == 4) {
                    ASHLAR_EXPECT_OK(
                        store.read(ids[static_cast<std::size_t>(random.below(4))], 0, std::span<std::byte>{found}));
                    mix_threads(random);
                    continue;
                }
                EXPECT_EQ(store.info().objects, ids.size() + 1);
                EXPECT_EQ(findings_of(store), "") << "while the others work";
                std::this_thread::sleep_for(std::chrono::milliseconds{3});
            }
        });
        EXPECT_EQ(maintenance.status().failures, 0U);
    }
    EXPECT_EQ(findings_of(store), "");
    const auto before = digest_on(store);
    ASHLAR_ASSERT_OK(before);
    ASHLAR_ASSERT_OK(store.close());
    store            = device.open();
    const auto after = digest_on(store);
    ASHLAR_ASSERT_OK(after);
    EXPECT_EQ(before.value(), after.value());
}

INSTANTIATE_TEST_SUITE_P(On, StoreThreads, testing::Values(medium::memory, medium::file), name_of_medium);

TEST(StoreThreadsOrder, HomeWritesAndReuseWaitForTheirBatchesBesideManyThreads) {
    constexpr std::size_t threads = 4;
    const volume_shape    shape{.blocks = 6000, .journal_blocks = 128};
    auto                  memory = make_memory(shape);
    checked_memory        checked{memory};
    any_device            any{checked};
    ASHLAR_ASSERT_OK(threaded_store::format(any, shape.format()));
    auto                                  store = open_threaded(checked);
    std::vector<scenario<threaded_store>> scenarios;
    for (std::size_t t = 0; t < threads; ++t) {
        const auto first = store.create();
        ASHLAR_ASSERT_OK(first);
        scenarios.emplace_back(t + 50, first.value());
    }
    {
        restless_maintenance maintenance{store};
        in_threads(threads, [&](std::size_t thread) {
            for (std::uint64_t i = 0; i < scaled(300) && !testing::Test::HasFailure(); ++i) {
                const auto done = scenarios[thread].step(store);
                EXPECT_TRUE(done.why.code == errc::none || done.why.code == errc::busy) << message(done.why.code);
            }
        });
    }
    EXPECT_EQ(difference(store, whole_model(scenarios, store.root())), "");
    ASHLAR_EXPECT_OK(store.close());
    expect_order(checked);
    EXPECT_GT(checked.checks().batches, 0U);
}

}  // namespace store_threads_test
}  // namespace ashlar::test
