// The n-th read, write and sync fails, once and for good, while records migrate and objects change.

#include "../counts.hpp"
#include "records_fixture.hpp"

#include <ashlar/testing/faulty_device.hpp>

namespace ashlar::test {
namespace migration_faults_test {

const volume_shape shape{.block_bytes = 512, .blocks = 1100, .journal_blocks = 96};

struct fault {
    transfer_kind kind   = transfer_kind::read;
    std::uint64_t nth    = 0;  ///< 0: none.
    fault_lasts   lasts  = fault_lasts::once;
    failed_write  leaves = failed_write::left_nothing;
};

/// A cache that holds a part of both tables: so records are read while they are copied.
volume_limits tight_limits() {
    auto limits                = small_limits();
    limits.cache_blocks        = 24;
    limits.transaction.shadows = 12;
    return limits;
}

class migration_faults {
  public:
    migration_faults() : memory_{make_memory(shape)} {
        format_on(memory_, shape);
        auto live = opened_on(memory_, tight_limits());
        ids_      = fill(live, 60);
        ASHLAR_EXPECT_OK(live.close());
        base_.assign(memory_.bytes().begin(), memory_.bytes().end());
    }

    /// Answers whether the fault was met.
    bool run(const fault& planned) {
        std::memcpy(memory_.bytes().data(), base_.data(), base_.size());
        faulty_device<memory_device> device{memory_};
        auto                         live = opened_on(device, tight_limits());
        device.failing_writes(planned.leaves);
        if (planned.nth != 0) device.fail(planned.kind, planned.nth, planned.lasts);
        std::map<std::uint64_t, std::size_t> grown;
        play(live, grown);
        const bool met = device.failures() != 0;
        device.heal();
        EXPECT_EQ(difference_of_tables(live), "");
        static_cast<void>(live.abandon());
        live = opened_on(memory_, tight_limits());
        EXPECT_EQ(difference_of_tables(live), "");
        EXPECT_EQ(findings_of(live), "");
        record_migration task{live};
        const auto       said = run_to_end(task);
        EXPECT_EQ(said.failure.code, errc::none);
        expect_no_traces(live);
        EXPECT_EQ(findings_of(live), "");
        for (std::size_t i = 0; i < ids_.size(); ++i) {
            byte_vector seen(100 + i % 7);
            ASHLAR_EXPECT_OK(live.read(ids_[i], 0, seen));
            EXPECT_EQ(seen, bytes_of(100 + i % 7, i));
            EXPECT_GE(live.size(ids_[i]).value(), seen.size() + grown[ids_[i].value]) << "what was synced is lost";
        }
        static_cast<void>(live.abandon());
        return met;
    }
    bool ended_ = false;  ///< Without a fault it comes to its end.

  private:
    /// Grown: what each object surely has more after a sync that succeeded.
    void play(test_store& live, std::map<std::uint64_t, std::size_t>& grown) {
        record_migration                     task{live};
        std::map<std::uint64_t, std::size_t> joined;
        task.start({.record_bytes = 200});
        for (std::uint64_t i = 0; i < 80; ++i) {
            const auto said = task.step({.blocks_max = 2, .candidates_max = 1});
            ended_          = said.reasons.has(stop_reason::finished) && said.failure.code == errc::none;
            if (said.reasons != stop_reason::budget_spent && !said.reasons.has(stop_reason::device_error)) break;
            const auto id = ids_[i * 7 % ids_.size()];
            if (live.append(id, bytes_of(10, i))) joined[id.value] += 10;
            if (i % 5 == 4 && live.sync()) grown = joined;
        }
    }

    memory_device          memory_;
    byte_vector            base_;
    std::vector<object_id> ids_;
};

void fail_each(transfer_kind kind) {
    migration_faults world;
    EXPECT_FALSE(world.run({kind, 0}));
    EXPECT_TRUE(world.ended_);
    std::uint64_t runs = 0;
    for (const auto lasts : {fault_lasts::once, fault_lasts::for_good}) {
        for (const auto leaves : {failed_write::left_nothing, failed_write::wrote_all}) {
            if (kind != transfer_kind::write && leaves == failed_write::wrote_all) continue;
            for (std::uint64_t nth = 1; world.run({kind, nth, lasts, leaves}); ++nth) {
                ++runs;
                ASSERT_FALSE(testing::Test::HasFailure())
                    << "call " << nth << (lasts == fault_lasts::once ? " once" : " and all later ones");
            }
        }
    }
    EXPECT_GT(runs, 20U);
    count("fault runs", runs);
}

TEST(MigrationFaults, AReadThatFails) { fail_each(transfer_kind::read); }
TEST(MigrationFaults, AWriteThatFails) { fail_each(transfer_kind::write); }
TEST(MigrationFaults, ASyncThatFails) { fail_each(transfer_kind::sync); }

}  // namespace migration_faults_test
}  // namespace ashlar::test
