#include "records_fixture.hpp"

namespace ashlar::test {
namespace record_migration_test {

class record_migration_test : public records_fixture {
  protected:
    void expect_objects(const std::vector<object_id>& ids, std::size_t bytes = 100) {
        for (std::size_t i = 0; i < ids.size(); ++i) {
            byte_vector seen(bytes + i % 7);
            ASHLAR_ASSERT_OK(live_.read(ids[i], 0, seen));
            ASSERT_EQ(seen, bytes_of(bytes + i % 7, i)) << "object " << i;
        }
    }
};

TEST_F(record_migration_test, RecordsBecomeWiderAndEveryObjectIsAsItWas) {
    const auto ids = fill(live_, 60);
    ASHLAR_ASSERT_OK(live_.erase(ids[3]));
    record_migration task{live_};
    task.start({.record_bytes = 200});
    const auto said = run_to_end(task);
    EXPECT_TRUE(said.reasons.has(stop_reason::finished));
    EXPECT_EQ(said.failure.code, errc::none);
    EXPECT_TRUE(task.last_result().finished);
    EXPECT_EQ(task.last_result().records, 61U);
    EXPECT_EQ(live_.volume().record_bytes, 200U);
    EXPECT_EQ(live_.volume().inline_extents, 2U);
    expect_no_traces(live_);
    expect_whole(live_);
    reopen();
    EXPECT_EQ(live_.volume().record_bytes, 200U);
    expect_whole(live_);
    for (std::size_t i = 0; i < ids.size(); ++i) {
        byte_vector seen(100 + i % 7);
        const auto  read = live_.read(ids[i], 0, seen);
        if (i == 3) {
            EXPECT_EQ(code_of(read), errc::not_found);
            continue;
        }
        ASHLAR_ASSERT_OK(read);
        EXPECT_EQ(seen, bytes_of(100 + i % 7, i));
    }
    EXPECT_NE(live_.create().value(), ids[3]) << "the id of an erased object does not come back";
}

TEST_F(record_migration_test, APlanSaysWhatItTakesAndAllOfItComesTrue) {
    fill(live_, 60);
    const auto       free = live_.info().free;
    record_migration task{live_};
    const auto       plan = task.plan({.record_bytes = 256});
    ASHLAR_ASSERT_OK(plan);
    EXPECT_EQ(plan.value().obstacle, errc::none);
    EXPECT_EQ(plan.value().records, 61U);
    EXPECT_EQ(plan.value().parts, 1U);
    EXPECT_EQ(plan.value().bytes_read, 61U * 136U);
    EXPECT_EQ(plan.value().bytes_written, 61U * 256U);
    EXPECT_GT(plan.value().memory_bytes, 0U);
    std::uint64_t table = 0;
    for (const auto& part : live_.volume().regions.object_parts()) table += part.count.value;
    EXPECT_EQ(plan.value().freed.value, table);
    task.start({.record_bytes = 256});
    EXPECT_TRUE(run_to_end(task).reasons.has(stop_reason::finished));
    EXPECT_EQ(task.last_result().blocks, plan.value().blocks);
    EXPECT_EQ(task.last_result().records, plan.value().records);
    EXPECT_EQ(live_.info().free.value, free.value + table - plan.value().blocks.value);
}

TEST_F(record_migration_test, WidthsThatWouldLoseExtentsOrAreNoneAreRefusedBeforeTheFirstWrite) {
    const auto refused = [&](record_target target, errc why) {
        const auto       before = byte_vector(memory_.bytes().begin(), memory_.bytes().end());
        record_migration task{live_};
        task.start(target);
        const auto said = run_to_end(task);
        EXPECT_TRUE(said.reasons.has(stop_reason::finished));
        EXPECT_EQ(said.failure.code, why);
        EXPECT_EQ(task.last_result().failure.code, why);
        EXPECT_FALSE(task.last_result().finished);
        EXPECT_EQ(task.plan(target).value().obstacle, why);
        EXPECT_EQ(before, byte_vector(memory_.bytes().begin(), memory_.bytes().end()));
    };
    ASHLAR_ASSERT_OK(live_.checkpoint());
    refused({.record_bytes = 112}, errc::invalid_argument);
    refused({.record_bytes = 140}, errc::invalid_argument);
    refused({.record_bytes = 264}, errc::invalid_argument);
    refused({.record_bytes = 200, .inline_extents = 1}, errc::invalid_argument);
    refused({.record_bytes = 136, .inline_extents = 3}, errc::invalid_argument);
    refused({}, errc::invalid_argument);
}

TEST_F(record_migration_test, IdsOfErasedObjectsDoNotComeBackAfterwards) {
    const auto ids = fill(live_, 60, 0);
    for (std::size_t i = 2; i < ids.size(); ++i) ASHLAR_ASSERT_OK(live_.erase(ids[i]));
    record_migration task{live_};
    task.start({.record_bytes = 240});
    EXPECT_TRUE(run_to_end(task).reasons.has(stop_reason::finished));
    const std::set<std::uint64_t> gone = [&] {
        std::set<std::uint64_t> all;
        for (const auto id : ids) all.insert(id.value);
        return all;
    }();
    std::size_t again = 0;
    for (int i = 0; i < 70; ++i) {
        const auto made = live_.create();
        ASHLAR_ASSERT_OK(made);
        EXPECT_EQ(gone.count(made.value().value), 0U) << "an id was used twice";
        again += record_of(made.value()) < 60 ? 1U : 0U;
        ASHLAR_ASSERT_OK(live_.erase(made.value()));
    }
    EXPECT_GT(again, 0U) << "records were used again";
}

TEST_F(record_migration_test, AStoreThatIsOpenForReadingIsPlannedAndNotMigrated) {
    fill(live_, 10);
    ASHLAR_ASSERT_OK(live_.close());
    auto opened = test_store::open_read_only(any_device{memory_}, with<test_store>());
    ASHLAR_ASSERT_OK(opened);
    record_migration task{opened.value()};
    const auto       plan = task.plan({.record_bytes = 200});
    EXPECT_EQ(plan.value().obstacle, errc::read_only);
    EXPECT_EQ(plan.value().records, 11U);
    EXPECT_GT(plan.value().blocks.value, 1U);
    task.start({.record_bytes = 200});
    EXPECT_EQ(run_to_end(task).failure.code, errc::read_only);
    live_ = std::move(opened).value();
}

/// Refuses every second request, and counts what it granted and got back.
struct stingy {
    static constexpr bool needs_clock = false;
    std::uint64_t         asked = 0, granted = 0, released = 0;

    io_grant acquire(io_request request, time_point) noexcept {
        if (++asked % 2 == 1) return {0, {77}};
        granted += request.least;
        return {request.least, {}};
    }
    void release(std::uint64_t bytes, time_point) noexcept { released += bytes; }
    void observe(io_kind, std::uint64_t, duration, time_point) noexcept {}
};
static_assert(IoThrottle<stingy>);

TEST_F(record_migration_test, AThrottleIsAskedBeforeEachCopyAndGetsBackWhatItGranted) {
    fill(live_, 60);
    record_migrator<test_store::volume_type, stingy> task;
    task.start({.record_bytes = 200});
    std::uint64_t refused = 0;
    progress      said;
    do {
        said = task.step(live_.volume(), {});
        refused += said.reasons.has(stop_reason::throttled) ? 1 : 0;
        if (said.reasons.has(stop_reason::throttled)) { EXPECT_EQ(said.not_before.nanoseconds, 77U); }
    } while (!said.reasons.has(stop_reason::finished));
    EXPECT_GT(refused, 10U) << "a block at a time";
    EXPECT_EQ(task.throttle().granted, task.throttle().released);
    EXPECT_EQ(live_.volume().record_bytes, 200U);
    expect_whole(live_);
}

TEST_F(record_migration_test, ThePointerTableFollows) {
    fill(live_, 20);
    record_migration task{live_};
    task.start({.record_bytes = 160});
    EXPECT_TRUE(run_to_end(task).reasons.has(stop_reason::finished));
    const auto part = live_.volume().regions.object_parts()[0];
    reopen();
    const auto frame = memory_.bytes().subspan(4096, 4096);
    bool       named = false;
    for (std::uint32_t i = 0; i < load_struct<directory_head>(frame).slots; ++i) {
        const auto slot = load_struct<region_slot>(frame.subspan(region_slot_offset(i)));
        if (slot.type != tag::objects) continue;
        EXPECT_EQ(slot.place(), part);
        named = true;
    }
    EXPECT_TRUE(named);
}

TEST_F(record_migration_test, MoreExtentsInEachRecordAreUsedAfterwards) {
    const auto       ids = fill(live_, 20);
    record_migration task{live_};
    task.start({.record_bytes = 256, .inline_extents = 7});
    EXPECT_TRUE(run_to_end(task).reasons.has(stop_reason::finished));
    EXPECT_EQ(live_.volume().inline_extents, 7U);
    for (std::uint64_t i = 0; i < 5; ++i) ASHLAR_ASSERT_OK(live_.write(ids[0], i * 2048, bytes_of(600, i)));
    EXPECT_EQ(live_.info(ids[0]).value().tree_height, 0U);
    expect_whole(live_);
    reopen();
    expect_whole(live_);
}

TEST_F(record_migration_test, AStoreThatIsKilledAtAnyStepGoesOnAndSaysSo) {
    const auto ids = fill(live_, 60);
    ASHLAR_ASSERT_OK(live_.sync());
    std::uint64_t steps = 0;
    bool          ended = false;
    for (; !ended && steps < 200; ++steps) {
        record_migration task{live_};
        if (steps == 0) task.start({.record_bytes = 184});
        const auto said = task.step({.blocks_max = 1, .candidates_max = 1});
        ASHLAR_ASSERT_OK(live_.sync());
        ended = said.reasons.has(stop_reason::finished) && steps != 0;
        if (ended) { EXPECT_TRUE(task.last_result().resumed || task.last_result().records == 0); }
        kill();
        EXPECT_EQ(difference_of_tables(live_), "");
    }
    EXPECT_TRUE(ended);
    EXPECT_GT(steps, 20U);
    EXPECT_EQ(live_.volume().record_bytes, 184U);
    expect_no_traces(live_);
    expect_whole(live_);
    expect_objects(ids);
}

TEST_F(record_migration_test, CancelledAtAnyStepEverythingIsAsBefore) {
    const auto ids = fill(live_, 40);
    ASHLAR_ASSERT_OK(live_.checkpoint());
    const auto free = live_.info().free;
    bool       late = false;
    for (std::uint64_t steps = 1; !late && steps < 100; ++steps) {
        record_migration task{live_};
        task.start({.record_bytes = 160});
        for (std::uint64_t i = 0; i < steps; ++i) static_cast<void>(task.step({.blocks_max = 1, .candidates_max = 1}));
        late = task.phase() == migration_phase::complete;
        task.cancel();
        const auto said = run_to_end(task);
        EXPECT_TRUE(said.reasons.has(late ? stop_reason::finished : stop_reason::cancelled)) << steps;
        EXPECT_EQ(said.failure.code, errc::none);
        EXPECT_EQ(task.last_result().finished, late);
        EXPECT_EQ(live_.volume().record_bytes, late ? 160U : 136U);
        if (!late) { EXPECT_EQ(live_.info().free, free); }
        expect_no_traces(live_);
        expect_whole(live_);
        expect_objects(ids);
    }
    EXPECT_TRUE(late) << "after the swap it is too late to cancel";
}

TEST_F(record_migration_test, PausedItDoesNothingAndWithoutATargetThereIsNothingToDo) {
    fill(live_, 30);
    record_migration task{live_};
    EXPECT_EQ(task.step().reasons, stop_reason::finished | stop_reason::nothing_to_gain);
    task.start({.record_bytes = 160});
    static_cast<void>(task.step({.blocks_max = 1, .candidates_max = 3}));
    const auto done = task.step({.blocks_max = 1, .candidates_max = 1}).done;
    task.pause();
    EXPECT_EQ(task.step().reasons, stop_reason::paused);
    EXPECT_EQ(task.step().done, done);
    task.resume();
    EXPECT_TRUE(run_to_end(task).reasons.has(stop_reason::finished));
    EXPECT_EQ(live_.volume().record_bytes, 160U);
    record_migration cancelled{live_};
    cancelled.start({.record_bytes = 200});
    cancelled.cancel();
    EXPECT_EQ(cancelled.step().reasons, stop_reason::cancelled);
    EXPECT_EQ(live_.volume().record_bytes, 160U);
}

TEST_F(record_migration_test, AnotherTargetIsRefusedWhileOneIsUnderWay) {
    fill(live_, 30);
    record_migration task{live_};
    task.start({.record_bytes = 160});
    static_cast<void>(task.step({.blocks_max = 1, .candidates_max = 4}));
    EXPECT_EQ(task.plan({.record_bytes = 200}).value().obstacle, errc::busy);
}

TEST_F(record_migration_test, ATransactionThatIsKeptOpenStopsItAtItsObjectsAndBeforeTheSwap) {
    const auto ids  = fill(live_, 50);
    auto       open = live_.begin();
    ASHLAR_ASSERT_OK(open);
    ASHLAR_ASSERT_OK(open.value().append(ids[30], bytes_of(20, 1)));
    record_migration task{live_};
    task.start({.record_bytes = 160});
    auto said = run_to_end(task);
    EXPECT_TRUE(said.reasons.has(stop_reason::raced));
    EXPECT_EQ(said.done, record_of(ids[30]));
    EXPECT_EQ(task.phase(), migration_phase::copying);
    ASHLAR_ASSERT_OK(open.value().commit());
    auto other = live_.begin();
    ASHLAR_ASSERT_OK(other.value().append(ids[5], bytes_of(20, 2)));
    said = run_to_end(task);
    EXPECT_TRUE(said.reasons.has(stop_reason::raced));
    EXPECT_EQ(task.phase(), migration_phase::swapping);
    EXPECT_EQ(difference_of_tables(live_), "");
    ASHLAR_ASSERT_OK(other.value().commit());
    EXPECT_EQ(difference_of_tables(live_), "");
    EXPECT_TRUE(run_to_end(task).reasons.has(stop_reason::finished));
    EXPECT_EQ(live_.size(ids[30]).value(), 100U + 30U % 7U + 20U);
    EXPECT_EQ(live_.size(ids[5]).value(), 125U);
    expect_whole(live_);
}

TEST_F(record_migration_test, ATransactionThatHoldsTheTableKeepsItFromBeginningAndTheNextStepTriesAgain) {
    const auto       ids = fill(live_, 30);
    record_migration task{live_};
    {
        auto open = live_.begin();
        ASHLAR_ASSERT_OK(open);
        ASHLAR_ASSERT_OK(open.value().create());
        task.start({.record_bytes = 160});
        EXPECT_EQ(task.step().reasons, stop_reason::raced);
        EXPECT_EQ(task.step().reasons, stop_reason::raced);
        EXPECT_EQ(task.phase(), migration_phase::none);
    }
    EXPECT_EQ(run_to_end(task).reasons, stop_reason::finished);
    EXPECT_EQ(live_.volume().record_bytes, 160U);
    expect_objects(ids);
    expect_whole(live_);
}

TEST_F(record_migration_test, ARollbackWaitsForATransactionThatChangedBothTables) {
    const auto       ids = fill(live_, 50);
    record_migration task{live_};
    task.start({.record_bytes = 160});
    while (task.phase() != migration_phase::swapping)
        static_cast<void>(task.step({.blocks_max = 1, .candidates_max = 1}));
    auto open = live_.begin();
    ASHLAR_ASSERT_OK(open.value().append(ids[2], bytes_of(20, 1)));
    task.cancel();
    EXPECT_TRUE(run_to_end(task).reasons.has(stop_reason::raced));
    EXPECT_GT(count_regions(live_, tag::next_objects), 0U);
    ASHLAR_ASSERT_OK(open.value().commit());
    EXPECT_TRUE(run_to_end(task).reasons.has(stop_reason::cancelled));
    expect_no_traces(live_);
    expect_whole(live_);
}

TEST_F(record_migration_test, AnObjectMadeByATransactionThatIsDroppedLeavesNothing) {
    fill(live_, 30);
    record_migration task{live_};
    task.start({.record_bytes = 160});
    static_cast<void>(task.step({.blocks_max = 2, .candidates_max = 4}));
    {
        auto open = live_.begin();
        ASHLAR_ASSERT_OK(open.value().create());
        EXPECT_TRUE(run_to_end(task).reasons.has(stop_reason::raced)) << "the table is locked";
    }
    EXPECT_TRUE(run_to_end(task).reasons.has(stop_reason::finished));
    expect_whole(live_);
}

TEST_F(record_migration_test, TheTableGrowsMeanwhileAndSoDoesTheNextOne) {
    fill(live_, 8, 0);
    record_migration task{live_};
    task.start({.record_bytes = 256});
    const auto             before = live_.volume().regions.object_parts().size();
    std::vector<object_id> made;
    for (int i = 0; i < 60; ++i) {
        static_cast<void>(task.step({.blocks_max = 1, .candidates_max = 1}));
        const auto more = fill(live_, i < 20 ? 4 : 0, 0);
        made.insert(made.end(), more.begin(), more.end());
        ASSERT_EQ(difference_of_tables(live_), "");
        ASHLAR_ASSERT_OK(live_.sync());
        if (i % 3 == 1) kill();
        if (i % 3 == 1) task = record_migration{live_};
    }
    EXPECT_TRUE(run_to_end(task).reasons.has(stop_reason::finished));
    EXPECT_GT(live_.volume().regions.object_parts().size(), before);
    EXPECT_EQ(live_.volume().record_bytes, 256U);
    for (const auto id : made) EXPECT_EQ(live_.size(id).value(), 0U);
    expect_no_traces(live_);
    expect_whole(live_);
}

}  // namespace record_migration_test
}  // namespace ashlar::test
