#pragma once
/// Shared by the tests of evacuation: stores with objects, trees and regions wherever a test wants them.

#include "../region/region_fixture.hpp"

#include <ashlar/evacuation.hpp>

namespace ashlar::test {

inline constexpr volume_shape evacuated_shape{.block_bytes = 512, .blocks = 6000, .journal_blocks = 160};

/// Blocks of the range that are not free, once everything is home.
template <class Store>
std::uint64_t blocks_in_use(Store& store, extent range) {
    ASHLAR_EXPECT_OK(store.checkpoint());
    std::uint64_t free = 0;
    for (const auto& run : store.free_runs()) free += common_part(run, range).count.value;
    return range.count.value - free;
}

template <class Store>
std::uint64_t extents_in(Store& store, extent range) {
    std::uint64_t count = 0;
    for (const auto& id : store.objects()) {
        for (const auto& piece : store.extents(id)) count += overlap(piece.physical, range) ? 1U : 0U;
    }
    return count;
}

/// Steps until it ends; answers the last step's progress.
template <class Task>
progress run(Task& task, step_budget budget = {}, int steps_max = 20'000) {
    progress said;
    for (int i = 0; i < steps_max && task.running(); ++i) said = task.step(budget);
    EXPECT_FALSE(task.running()) << "it spins";
    return said;
}

template <class Blueprint>
typename evacuation<Blueprint>::options small_moves() {
    typename evacuation<Blueprint>::options chosen;
    chosen.moves.window         = {24};
    chosen.moves.pieces_max     = 6;
    chosen.moves.moves_per_sync = 4;
    chosen.moves.chunk_bytes    = 4096;
    chosen.moves.window_bits    = 64;
    return chosen;
}

/// Objects in many pieces: they grow by turns, a few blocks at a time, so that their extents lie between each other's.
/// Every other one leaves a hole behind each piece, so that its tree stays as large when the pieces move together.
template <class Store>
void fill_by_turns(Store& store, store_model& model, int objects, int turns, std::size_t block_bytes,
                   std::uint64_t seed = 1) {
    random_bits            random{seed};
    std::vector<object_id> ids{store.root()};
    while (ids.size() < static_cast<std::size_t>(objects)) {
        const auto made = model.create(store);
        ASSERT_TRUE(made.succeeded()) << made.text();
        ids.push_back(made.made);
    }
    for (int turn = 0; turn < turns; ++turn) {
        for (std::size_t i = 0; i < ids.size(); ++i) {
            const auto bytes =
                ashlar::pattern(static_cast<std::size_t>(1 + random.below(3)) * block_bytes, random.next());
            const auto end  = model.state().at(ids[i].value).size();
            const auto done = model.write(store, ids[i], end + (i % 2 == 0 ? 0 : block_bytes), bytes);
            ASSERT_TRUE(done.succeeded()) << done.text();
        }
    }
}

}  // namespace ashlar::test
