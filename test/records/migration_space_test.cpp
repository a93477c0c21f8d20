// Volumes that are full, or whose free space is in pieces.

#include "records_fixture.hpp"

#include <ashlar/regions.hpp>

namespace ashlar::test {
namespace migration_space_test {

class migration_space_test : public records_fixture {
  protected:
    /// Leaves free runs of so many blocks, one block of a region between each two; nothing else is free.
    void scatter(std::uint64_t run) {
        auto& volume = live_.volume();
        ASHLAR_ASSERT_OK(live_.checkpoint());
        store_regions                              regions{live_};
        volume_free_space<test_store::volume_type> free{volume};
        const auto                                 found = first_fit(free, block_count{400}).value();
        ASSERT_TRUE(found);
        block_index at = found->first;
        for (int i = 0; i < 60; ++i) {
            ASHLAR_ASSERT_OK(
                regions.add({.type = tag_of("WALL"), .blocks = block_count{1}, .from = at + block_count{run}}));
            at = at + block_count{run + 1};
        }
        fill_rest(at);
    }
    /// Takes all from a block on but for what is kept in reserve.
    void fill_rest(block_index from) {
        store_regions regions{live_};
        for (std::uint64_t blocks = 1024; blocks != 0; blocks /= 2) {
            while (regions.add({.type = tag_of("REST"), .blocks = block_count{blocks}, .from = from})) {}
        }
    }
    record_migration_plan plan(record_target target) {
        record_migration task{live_};
        return task.plan(target).value();
    }
    byte_vector bytes() { return {memory_.bytes().begin(), memory_.bytes().end()}; }
    void        expect_refused(record_target target, errc why) {
               ASHLAR_ASSERT_OK(live_.checkpoint());
               const auto before = bytes();
               EXPECT_EQ(plan(target).obstacle, why);
               record_migration task{live_};
               task.start(target);
               const auto said = run_to_end(task);
               EXPECT_EQ(said.failure.code, why);
               EXPECT_TRUE(said.reasons.has(stop_reason::finished));
               EXPECT_EQ(said.reasons.has(stop_reason::no_contiguous_space), why == errc::no_contiguous_space);
               EXPECT_EQ(bytes(), before) << "refused before the first write";
               expect_no_traces(live_);
    }
};

TEST_F(migration_space_test, AFullVolumeIsRefusedBeforeTheFirstWrite) {
    fill(live_, 40, 0);
    for (std::uint64_t i = 0;; ++i) {
        if (!live_.append(live_.root(), bytes_of(4000, i))) break;
    }
    record_migration task{live_};
    const auto       why = task.plan({.record_bytes = 256}).value().obstacle;
    EXPECT_TRUE(why == errc::reserve_only || why == errc::no_space);
    expect_refused({.record_bytes = 256}, why);
    expect_whole(live_);
}

TEST_F(migration_space_test, FreeSpaceInPiecesMakesATableOfParts) {
    const auto ids = fill(live_, 60, 0);
    scatter(6);
    const auto made = plan({.record_bytes = 256});
    EXPECT_EQ(made.obstacle, errc::none);
    EXPECT_GT(made.parts, 4U);
    record_migration task{live_};
    task.start({.record_bytes = 256});
    while (task.phase() != migration_phase::copying) {
        ASSERT_EQ(task.step({.blocks_max = 1, .candidates_max = 1}).reasons, stop_reason::budget_spent);
    }
    EXPECT_EQ(live_.volume().regions.next_object_parts().size(), made.parts);
    EXPECT_TRUE(run_to_end(task).reasons.has(stop_reason::finished));
    EXPECT_EQ(live_.volume().regions.object_parts().size(), made.parts);
    EXPECT_EQ(task.last_result().blocks, made.blocks);
    for (const auto id : ids) ASHLAR_EXPECT_OK(live_.append(id, bytes_of(10, id.value)));
    expect_whole(live_);
    expect_no_traces(live_);
}

TEST_F(migration_space_test, WhoCancelledOneThatOthersUndidLeavesTheNextOneAlone) {
    const auto ids = fill(live_, 60, 0);
    scatter(6);
    constexpr step_budget one_thing{.blocks_max = 1, .candidates_max = 1};
    record_migration      cancelled{live_};
    cancelled.start({.record_bytes = 256});
    while (cancelled.phase() != migration_phase::copying) static_cast<void>(cancelled.step(one_thing));
    const auto parts = count_regions(live_, tag::next_objects);
    cancelled.cancel();
    while (count_regions(live_, tag::next_objects) == parts) static_cast<void>(cancelled.step(one_thing));
    ASSERT_GT(count_regions(live_, tag::next_objects), 0U) << "it is freeing";

    record_migration other{live_};
    EXPECT_TRUE(run_to_end(other).reasons.has(stop_reason::cancelled)) << "others end the rollback";
    other.start({.record_bytes = 144});
    while (other.phase() != migration_phase::copying) static_cast<void>(other.step(one_thing));
    static_cast<void>(other.step({.blocks_max = 1, .candidates_max = 2}));
    const auto said = cancelled.step({.blocks_max = 1, .candidates_max = 8});
    EXPECT_TRUE(said.reasons.has(stop_reason::cancelled));
    EXPECT_EQ(other.phase(), migration_phase::copying);
    EXPECT_TRUE(run_to_end(other).reasons.has(stop_reason::finished));
    EXPECT_EQ(live_.volume().record_bytes, 144U);
    expect_no_traces(live_);
    expect_whole(live_);
}

TEST_F(migration_space_test, FreeSpaceInTooManyPiecesIsRefused) {
    fill(live_, 70, 0);
    scatter(2);
    expect_refused({.record_bytes = 256}, errc::no_contiguous_space);
}

TEST_F(migration_space_test, ADirectoryWithoutAFreeSlotIsRefused) {
    store_regions regions{live_};
    while (live_.volume().regions.slots() < region_slots) {
        ASHLAR_ASSERT_OK(regions.add({.type = tag_of("SLOT"), .blocks = block_count{1}}));
    }
    expect_refused({.record_bytes = 256}, errc::too_large);
}

TEST_F(migration_space_test, SpaceThatOthersTookMeanwhileIsMissedAndTheMigrationUndone) {
    fill(live_, 60, 0);
    scatter(6);
    record_migration task{live_};
    task.start({.record_bytes = 256});
    ASSERT_EQ(task.step({.blocks_max = 1, .candidates_max = 1}).reasons, stop_reason::budget_spent);
    ASSERT_EQ(task.phase(), migration_phase::allocating);
    fill_rest({});
    const auto said = run_to_end(task);
    EXPECT_TRUE(said.reasons.has(stop_reason::cancelled));
    EXPECT_NE(task.last_result().failure.code, errc::none);
    EXPECT_FALSE(task.last_result().finished);
    EXPECT_EQ(live_.volume().record_bytes, 136U);
    expect_no_traces(live_);
    expect_whole(live_);
}

TEST_F(migration_space_test, UsersCannotHaveRegionsOfTheTablesTypes) {
    store_regions regions{live_};
    for (const auto type : {tag::next_objects, tag::old_objects, tag::migration}) {
        EXPECT_EQ(code_of(regions.add({.type = type, .blocks = block_count{4}})), errc::invalid_argument);
    }
}

}  // namespace migration_space_test
}  // namespace ashlar::test
