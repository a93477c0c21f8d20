// Stores of other kinds, and random work on them, checked against a model, while their records migrate.

#include "records_fixture.hpp"

#include <ashlar/checksum/no_checksum.hpp>
#include <ashlar/journal/no_journal.hpp>
#include <ashlar/object/inline_map.hpp>

namespace ashlar::test {
namespace migration_variants_test {

template <class Blueprint, std::uint32_t BlockBytes, std::size_t CacheBlocks = 96>
struct variant {
    using blueprint                      = Blueprint;
    static constexpr std::uint32_t block = BlockBytes;
    static constexpr std::size_t   cache = CacheBlocks;
};

template <class Variant>
struct MigrationVariants : testing::Test {};

using variants =
    testing::Types<variant<test_blueprint<>, 512, 20>, variant<test_blueprint<>, 4096>,
                   variant<test_blueprint<>, 65536>, variant<test_blueprint<xxh3, extent_tree, no_journal>, 512>,
                   variant<test_blueprint<no_checksum>, 4096>, variant<test_blueprint<xxh3, inline_map>, 1024>>;
TYPED_TEST_SUITE(MigrationVariants, variants);

/// Widths that records go through, one after the other: wider, wider, narrower.
constexpr record_target targets[] = {{.record_bytes = 168}, {.record_bytes = 256}, {.record_bytes = 144}};

TYPED_TEST(MigrationVariants, RandomWorkGoesOnWhileRecordsMigrate) {
    using store_type         = store<typename TypeParam::blueprint>;
    constexpr auto     block = TypeParam::block;
    const volume_shape shape{.block_bytes = block, .blocks = 2600, .journal_blocks = block == 65536 ? 64U : 128U};
    auto               limits = small_limits();
    limits.cache_blocks       = TypeParam::cache;
    if (TypeParam::cache < 40) limits.transaction.shadows = 12;
    limits.staging_bytes = limits.journal_bytes = 16 * block;
    auto memory                                 = make_memory(shape);
    format_on<store_type>(memory, shape);
    auto                 live = opened_on<store_type>(memory, limits);
    mixture              mix{.create = 20, .erase = 6, .checkpoint = 2, .objects_max = 90, .size_max = 6000};
    scenario<store_type> play{5, live.root(), mix};
    for (std::uint64_t i = 0; i < 250; ++i) play.step(live);
    for (const auto& target : targets) {
        record_migration task{live};
        task.start(target);
        progress      said;
        std::uint64_t steps = 0;
        do {
            said = task.step({.blocks_max = 1, .candidates_max = 2});
            ASSERT_EQ(said.failure.code, errc::none);
            ASSERT_EQ(difference_of_tables(live), "");
            for (std::uint64_t i = 0; i < 4; ++i) play.step(live);
        } while (++steps < 2000 && said.reasons == stop_reason::budget_spent);
        EXPECT_TRUE(said.reasons.has(stop_reason::finished));
        EXPECT_EQ(live.volume().record_bytes, target.record_bytes);
        expect_no_traces(live);
        EXPECT_EQ(findings_of(live), "");
        ASSERT_EQ(difference(live, play.state()), "");
        ASHLAR_ASSERT_OK(live.close());
        live = opened_on<store_type>(memory, limits);
        ASSERT_EQ(difference(live, play.state()), "");
    }
}

}  // namespace migration_variants_test
}  // namespace ashlar::test
