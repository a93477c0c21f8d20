// What lies in the state of a migration: every byte flipped or zeroed, with and without a right checksum.

#include "../counts.hpp"
#include "records_fixture.hpp"

#include <ashlar/features.hpp>

namespace ashlar::test {
namespace migration_hostile_test {

const volume_shape shape{.block_bytes = 512, .blocks = 1100, .journal_blocks = 96};

/// A volume whose records are half on their way; it was closed so.
class hostile_migration {
  public:
    explicit hostile_migration(std::uint32_t feature_bytes = 0) : memory_{make_memory(shape)} {
        format_on(memory_, shape);
        auto live = opened_on(memory_);
        fill(live, 40);
        record_migration task{live};
        if (feature_bytes != 0) {
            task.start({.record_bytes = live.volume().record_bytes + feature_bytes});
            EXPECT_TRUE(run_to_end(task).reasons.has(stop_reason::finished));
            ASHLAR_EXPECT_OK(store_features{live}.add({.bit = 1, .record_bytes = feature_bytes}));
        }
        task.start({.record_bytes = 200, .inline_extents = 3});
        for (int i = 0; i < 12; ++i) static_cast<void>(task.step({.blocks_max = 1, .candidates_max = 1}));
        EXPECT_EQ(task.phase(), migration_phase::copying);
        EXPECT_GT(live.volume().migration.migrated, 4U);
        home_   = migration_home(live.volume());
        id_     = live.volume().id;
        digest_ = digest_on(live).value();
        ASHLAR_EXPECT_OK(live.close());
        base_.assign(memory_.bytes().begin(), memory_.bytes().end());
    }

    /// The block as it is; changes last until `restore`.
    std::span<std::byte> block() { return memory_.bytes().subspan(byte_offset(home_.home, {512}), 512); }
    void                 seal() { seal_block(block(), tag::migration, {7}, identity_seed(id_, home_.identity)); }
    void                 restore() { std::copy(base_.begin(), base_.end(), memory_.bytes().begin()); }
    test_store           open() { return opened_on(memory_); }

    /// Opens: everything is there, and what is left of the migration ends, or is undone.
    void expect_harmless(const std::string& where) {
        auto live = open();
        ASSERT_EQ(digest_or_none(live), digest_) << where;
        EXPECT_EQ(difference_of_tables(live), "") << where;
        EXPECT_EQ(findings_of(live), "") << where;
        record_migration task{live};
        const auto       said = run_to_end(task);
        EXPECT_EQ(said.failure.code, errc::none) << where;
        EXPECT_TRUE(said.reasons.has(stop_reason::finished) || said.reasons.has(stop_reason::cancelled)) << where;
        EXPECT_EQ(digest_or_none(live), digest_) << where;
        expect_no_traces(live);
        EXPECT_EQ(findings_of(live), "") << where;
        static_cast<void>(live.abandon());
    }
    /// Opens and works on: whatever comes of it is an answer. For numbers that lie under a right checksum.
    bool ends(const std::string& where) {
        auto opened = test_store::open(any_device{memory_}, with<test_store>());
        if (!opened) return false;
        auto& live = opened.value();
        EXPECT_TRUE(live.append(live.root(), bytes_of(10, 1))) << where << ": the table in use is whole";
        record_migration task{live};
        const auto       said = run_to_end(task, {.blocks_max = 8, .candidates_max = 64});
        EXPECT_NE(said.reasons, stop_reason::budget_spent) << where << ": it hangs";
        const bool ended = said.failure.code == errc::none;
        static_cast<void>(live.verify([](const verify_finding&) {}));
        static_cast<void>(live.abandon());
        return ended;
    }

  private:
    memory_device memory_;
    byte_vector   base_;
    region_block  home_{};
    volume_id     id_{};
    std::uint64_t digest_ = 0;
};

TEST(MigrationHostile, EachByteFlippedOrZeroedCostsTheMigrationAtMost) {
    hostile_migration world;
    world.expect_harmless("as it is");
    std::uint64_t cases = 0;
    for (std::size_t at = 0; at < 512; ++at) {
        for (const bool zeroes : {false, true}) {
            world.restore();
            const auto before = world.block()[at];
            world.block()[at] = zeroes ? std::byte{0} : before ^ std::byte{0x10};
            if (world.block()[at] == before) continue;
            world.expect_harmless((zeroes ? "zeroed byte " : "flipped byte ") + std::to_string(at));
            ++cases;
            ASSERT_FALSE(testing::Test::HasFailure());
        }
    }
    EXPECT_GT(cases, 512U);
    count("hostile states of migrations", cases);
}

TEST(MigrationHostile, NumbersThatLieUnderARightChecksumEndInAnAnswer) {
    hostile_migration world;
    std::uint64_t     refused = 0;
    for (std::size_t at = 0; at < sizeof(migration_checkpoint); ++at) {
        for (const unsigned value : {0U, 1U, 3U, 5U, 0x10U, 0x80U, 0xFFU}) {
            world.restore();
            world.block()[at] = static_cast<std::byte>(value);
            world.seal();
            refused += world.ends("byte " + std::to_string(at) + " is " + std::to_string(value)) ? 0 : 1;
            ASSERT_FALSE(testing::Test::HasFailure());
        }
    }
    EXPECT_LT(refused, 40U) << "most lies cost the migration alone";
}

TEST(MigrationHostile, AManifestOrAWidthThatLiesTakesNoFeatureAway) {
    hostile_migration world{16};
    const auto        put = [&](std::size_t at, std::uint32_t value) {
        world.restore();
        store_little<std::uint32_t>(world.block().data() + at, value);
        world.seal();
    };
    put(offsetof(migration_checkpoint, new_manifest), 0x5CU);
    {
        auto             live = world.open();
        record_migration task{live};
        EXPECT_EQ(run_to_end(task).reasons, stop_reason::finished);
        EXPECT_EQ(live.volume().record_bytes, 200U);
        EXPECT_EQ(superblock_as_is(live.volume()).manifest, 2U);
        static_cast<void>(live.abandon());
    }
    put(offsetof(migration_checkpoint, new_bytes), object_encoded_bytes(3) + 8);
    auto live = world.open();
    EXPECT_EQ(live.volume().migration.phase, migration_phase::rolling_back) << "no room for the feature's bytes";
    record_migration task{live};
    EXPECT_EQ(run_to_end(task).reasons, stop_reason::cancelled);
    byte_vector bytes(16);
    EXPECT_EQ(store_features{live}.read(live.root(), 1, bytes).value(), 16U);
    EXPECT_EQ(findings_of(live), "");
}

TEST(MigrationHostile, AStateThatIsLostIsGivenUpBeforeTheFirstChange) {
    hostile_migration world;
    std::memset(world.block().data(), 0xEE, 512);
    auto live = world.open();
    EXPECT_EQ(live.volume().migration.phase, migration_phase::rolling_back);
    ASHLAR_ASSERT_OK(live.append(live.root(), bytes_of(40, 1)));
    ASHLAR_ASSERT_OK(live.sync());
    static_cast<void>(live.abandon());
    live = world.open();
    EXPECT_EQ(live.volume().migration.phase, migration_phase::rolling_back) << "it was written down";
    EXPECT_TRUE(decode_migration(world.block()));
    record_migration task{live};
    EXPECT_TRUE(run_to_end(task).reasons.has(stop_reason::cancelled));
    expect_no_traces(live);
    EXPECT_EQ(findings_of(live), "");
}

TEST(MigrationHostile, AVolumeOnItsWayIsReadWithoutAWord) {
    hostile_migration world;
    std::memset(world.block().data(), 0xEE, 512);
    auto opened = test_store::open_read_only(world.open().abandon(), with<test_store>());
    ASHLAR_ASSERT_OK(opened);
    record_migration task{opened.value()};
    EXPECT_EQ(task.plan({.record_bytes = 200, .inline_extents = 3}).value().obstacle, errc::busy);
    ASHLAR_EXPECT_OK(digest_on(opened.value()));
}

TEST(MigrationHostile, TheDecoderTakesWhatItWroteAndNothingThatCannotBe) {
    const auto state = [] {
        migration_checkpoint made;
        made.version    = migration_version;
        made.phase      = std::uint16_t{2};
        made.old_bytes  = 136U;
        made.old_inline = 2U;
        made.new_bytes  = 200U;
        made.new_inline = 2U;
        made.total      = std::uint64_t{9};
        made.migrated   = std::uint64_t{9};
        made.old_parts  = std::uint16_t{1};
        return made;
    };
    const auto takes = [&](auto&& change) {
        auto made = state();
        change(made);
        byte_vector block(512);
        encode_migration(block, made);
        return decode_migration(block).has_value();
    };
    EXPECT_TRUE(takes([](auto&) {}));
    EXPECT_FALSE(takes([](auto& one) { one.version = 2U; }));
    EXPECT_FALSE(takes([](auto& one) { one.phase = std::uint16_t{0}; }));
    EXPECT_FALSE(takes([](auto& one) { one.phase = std::uint16_t{6}; }));
    EXPECT_FALSE(takes([](auto& one) { one.zero = std::uint16_t{1}; }));
    EXPECT_FALSE(takes([](auto& one) { one.more_zero = 1U; }));
    EXPECT_FALSE(takes([](auto& one) { one.old_bytes = 137U; }));
    EXPECT_FALSE(takes([](auto& one) { one.new_bytes = 264U; }));
    EXPECT_FALSE(takes([](auto& one) { one.new_inline = 1U; }));
    EXPECT_FALSE(takes([](auto& one) { one.migrated = std::uint64_t{10}; }));
    EXPECT_FALSE(takes([](auto& one) { one.old_parts = std::uint16_t{0}; }));
}

}  // namespace migration_hostile_test
}  // namespace ashlar::test
