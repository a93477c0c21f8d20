#pragma once
/// Shared by the tests of record migration: a small volume with objects, and looks at both of its tables.

#include "../store/store_fixture.hpp"

#include <ashlar/record_migration.hpp>

namespace ashlar::test {

inline byte_vector bytes_of(std::size_t count, std::uint64_t seed) { return pattern(count, seed); }

/// Creates so many objects, each with some bytes and attributes of its own.
template <class Store>
std::vector<object_id> fill(Store& store, std::size_t count, std::size_t bytes = 100) {
    std::vector<object_id> made;
    for (std::size_t i = 0; i < count; ++i) {
        const auto id = store.create();
        EXPECT_TRUE(id) << said(id);
        if (!id) break;
        if (bytes != 0) ASHLAR_EXPECT_OK(store.append(id.value(), bytes_of(bytes + i % 7, i)));
        made.push_back(id.value());
        if (i % 64 == 63) ASHLAR_EXPECT_OK(store.sync());
    }
    return made;
}

/// Steps until it says why it stopped for good.
template <class Task>
progress run_to_end(Task& task, step_budget budget = {}) {
    progress said;
    for (int i = 0; i < 100'000; ++i) {
        said = task.step(budget);
        if (said.reasons != stop_reason::budget_spent) break;
    }
    return said;
}

/// What the store holds, in one number; 0 where it cannot be read.
template <class Store>
std::uint64_t digest_or_none(Store& store) {
    const auto digest = digest_on(store);
    EXPECT_TRUE(digest) << said(digest);
    return digest ? digest.value() : 0;
}

/// Whether every record that was copied says the same in both tables.
template <class Store>
std::string difference_of_tables(Store& store) {
    auto&         volume = store.volume();
    const entered guard{volume};
    const auto&   next = volume.migration;
    for (std::uint64_t record = 0; record < next.migrated; ++record) {
        const auto from = place_of_record(volume, record);
        const auto into = next_place_of_record(volume, record);
        if (!from || !into) return "record " + std::to_string(record) + " has no place";
        auto old_block = view_block(volume, no_transaction, from->block.home, from->block.identity);
        if (!old_block) return "old table: " + said(old_block);
        const auto  old_bytes = old_block.value().bytes().subspan(from->byte, volume.record_bytes);
        byte_vector expected(next.record_bytes);
        convert_record(old_bytes, volume.inline_extents, expected, next.inline_extents);
        auto new_block = view_block(volume, no_transaction, into->block.home, into->block.identity);
        if (!new_block) return "next table: " + said(new_block);
        const auto seen = new_block.value().bytes().subspan(into->byte, next.record_bytes);
        if (std::memcmp(seen.data(), expected.data(), expected.size()) != 0)
            return "record " + std::to_string(record) + " differs";
    }
    return {};
}

inline const volume_shape records_shape{.block_bytes = 512, .blocks = 1600, .journal_blocks = 96};

/// A small store in memory, opened anew where a test wants that.
class records_fixture : public testing::Test {
  protected:
    void SetUp() override {
        format_on(memory_, records_shape);
        live_ = opened_on(memory_);
    }
    void reopen() {
        ASHLAR_ASSERT_OK(live_.close());
        live_ = opened_on(memory_);
    }
    /// What is not durable is gone.
    void kill() {
        static_cast<void>(live_.abandon());
        live_ = opened_on(memory_);
    }

    memory_device memory_ = make_memory(records_shape);
    test_store    live_;
};

/// Regions of the engine's tables of records.
template <class Store>
std::size_t count_regions(Store& store, std::uint32_t type) {
    std::size_t count = 0;
    for (std::uint32_t i = 0; i < store.volume().regions.slots(); ++i)
        count += slot_at(store.volume(), i).type == type ? 1 : 0;
    return count;
}

/// Nothing is left of a migration, whatever came of it.
template <class Store>
void expect_no_traces(Store& store) {
    EXPECT_EQ(count_regions(store, tag::next_objects), 0U);
    EXPECT_EQ(count_regions(store, tag::old_objects), 0U);
    EXPECT_EQ(store.volume().migration.phase, migration_phase::none);
    EXPECT_FALSE(superblock_as_is(store.volume()).migrating);
    for (const auto& one : store.volume().transactions) EXPECT_FALSE(one.open);
}

}  // namespace ashlar::test
