#pragma once
/// Shared by the tests of regions whose way is cleared.

#include "../evacuate/evacuate_fixture.hpp"

#include <ashlar/compaction.hpp>

namespace ashlar::test {

using way_task = compaction<test_blueprint<>>;

inline constexpr auto phase_clearing = static_cast<std::uint32_t>(compaction_phase::clearing);

inline way_task::options clearing(std::uint32_t threshold_permille = 0) {
    way_task::options chosen;
    chosen.regions.clears_way         = true;
    chosen.regions.threshold_permille = threshold_permille;
    chosen.regions.chunk_bytes        = 4096;
    return chosen;
}

/// What the store's own regions leave: the lowest places of regions of so many blocks, one after the other.
inline std::vector<block_index> lowest_places(test_store& live, std::vector<std::uint64_t> blocks,
                                              std::vector<extent> taken = {}) {
    store_regions regions{live};
    for (std::uint32_t i = 0; i < regions.count(); ++i) {
        const auto one = regions.at(i).value();
        if (one.engine) taken.push_back(one.place);
    }
    std::vector<block_index> places;
    for (const auto count : blocks) {
        extent place{{frame_home(frame::count, {512}).value}, {count}};
        for (bool again = true; again;) {
            again = false;
            for (const auto& one : taken) {
                if (!overlap(one, place)) continue;
                place.first = one.end();
                again       = true;
            }
        }
        taken.push_back(place);
        places.push_back(place.first);
    }
    return places;
}

/// Where the last free run begins.
inline std::uint64_t behind_objects(test_store& live) {
    std::uint64_t first = 0;
    for (const auto& run : live.free_runs()) first = run.first.value;
    return first;
}

/// Objects in many pieces, and regions above them.
struct way_world {
    static constexpr volume_shape shape{.block_bytes = 512, .blocks = 2600, .journal_blocks = 96};

    way_world() : memory{make_memory(shape)}, checked{memory} {
        format_on(checked, shape);
        live  = opened_on(checked);
        model = store_model{live.root()};
    }
    ~way_world() { expect_order(checked); }
    way_world(const way_world&)            = delete;
    way_world& operator=(const way_world&) = delete;

    void fill(int objects = 6, int turns = 30) {
        fill_by_turns(live, model, objects, turns, 512);
        ASHLAR_ASSERT_OK(live.sync());
    }
    void add(std::uint64_t blocks, std::uint64_t from = 0) {
        const auto name = store_regions{live}.add({.type = logs, .blocks = {blocks}, .from = block_index{from}});
        ASHLAR_ASSERT_OK(name);
        auto       region = store_regions{live}.open(name.value()).value();
        const auto bytes  = pattern(blocks, 512, name.value().number);
        ASHLAR_ASSERT_OK(region.write({block_index{0}, block_count{blocks}}, bytes));
        ASHLAR_ASSERT_OK(region.sync());
        content.push_back(bytes);
    }
    block_index place_of_region(std::uint32_t number) {
        return store_regions{live}.find({logs, number}).value().place.first;
    }
    void expect_same() {
        EXPECT_EQ(difference(live, model.state()), "");
        EXPECT_EQ(findings_of(live), "");
        for (std::uint32_t i = 0; i < content.size(); ++i) {
            auto region = store_regions{live}.open({logs, i});
            ASHLAR_ASSERT_OK(region);
            EXPECT_EQ(read_all(region.value()), content[i]) << i;
        }
    }
    /// Steps until the run is over; `each` is called behind each step.
    template <class Each>
    progress run(way_task& compacting, step_budget budget, Each&& each) {
        for (int i = 0; i < 20'000; ++i) {
            const auto said = compacting.step(budget);
            each(said);
            if (said.reasons != stop_reason::budget_spent) return said;
        }
        ADD_FAILURE() << "it spins";
        return {};
    }
    progress run(way_task& compacting, step_budget budget = {.blocks_max = 64}) {
        return run(compacting, budget, [](const progress&) {});
    }

    memory_device            memory;
    checked_memory           checked;
    test_store               live;
    store_model              model{object_id{}};
    std::vector<byte_vector> content;
};

}  // namespace ashlar::test
