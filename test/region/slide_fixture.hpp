#pragma once
/// Shared by the tests of regions that slide: a gap, and a region behind it that is longer.

#include "region_fixture.hpp"

#include <ashlar/compaction.hpp>
#include <ashlar/testing/faulty_device.hpp>

namespace ashlar::test {

/// A gap, and a region behind it. Memory has room for `limits.indirection_entries_max` entries once it is opened again.
struct slide_fixture : testing::Test {
    using task = compaction<test_blueprint<>>;

    static constexpr std::uint64_t blocks = 200;

    slide_fixture() : device{memory} {
        format_on(device, shape);
        live = opened_on(device);
    }

    void make(std::uint64_t gap) {
        ASHLAR_ASSERT_OK(store_regions{live}.add({.type = maps, .blocks = block_count{gap}}));
        ASHLAR_ASSERT_OK(store_regions{live}.add({.type = logs, .blocks = block_count{blocks}}));
        ASHLAR_ASSERT_OK(store_regions{live}.remove({maps, 0}));
        ASHLAR_ASSERT_OK(live.checkpoint());
        place     = where();
        available = live.info().available;
        content   = pattern(blocks, 512, 5);
        auto one  = region();
        ASHLAR_ASSERT_OK(one.write({block_index{0}, block_count{blocks}}, content));
    }
    [[nodiscard]] extent                          where() { return store_regions{live}.find({logs, 0}).value().place; }
    [[nodiscard]] region_device<test_blueprint<>> region() { return store_regions{live}.open({logs, 0}).value(); }

    [[nodiscard]] task opened(region_compaction_options options = {.threshold_permille = 1}) {
        return task::open(live, {.regions = options}).value();
    }
    progress run(task& compacting, std::uint64_t budget = 16) {
        for (;;) {
            const auto said = compacting.step({.blocks_max = budget});
            if (said.reasons != stop_reason::budget_spent) return said;
        }
    }
    void write(std::uint64_t block, std::uint64_t count, std::uint32_t seed) {
        const auto bytes = pattern(count, 512, seed);
        auto       one   = region();
        ASHLAR_ASSERT_OK(one.write({block_index{block}, block_count{count}}, bytes));
        std::memcpy(content.data() + block * 512, bytes.data(), bytes.size());
    }
    /// Takes everything behind the region, but for what data leaves to moves and metadata.
    void take_all_behind() {
        for (std::uint64_t size = 512; size > 0; size /= 2) {
            while (store_regions{live}.add({.type = maps, .blocks = block_count{size}, .from = place.end()})) {}
        }
    }
    void expect_content() {
        auto one = region();
        EXPECT_EQ(read_all(one), content);
        for (const std::uint64_t i : {0U, 7U, 99U, 199U}) {
            byte_vector block(512);
            ASHLAR_EXPECT_OK(one.read({block_index{i}, block_count{1}}, block));
            EXPECT_EQ(std::memcmp(block.data(), content.data() + i * 512, 512), 0) << i;
        }
    }
    /// From here on memory has room for so many entries.
    void open_with(std::size_t entries_max) {
        limits.indirection_entries_max = entries_max;
        open_again();
    }
    void open_again() {
        static_cast<void>(live.abandon());
        live = opened_on(device, limits);
    }

    static constexpr volume_shape shape{.block_bytes = 512, .blocks = 1500, .journal_blocks = 96};

    memory_device                memory = make_memory(shape);
    faulty_device<memory_device> device;
    volume_limits                limits = small_limits();
    test_store                   live;
    extent                       place{};
    block_count                  available{};
    byte_vector                  content;
};

}  // namespace ashlar::test
