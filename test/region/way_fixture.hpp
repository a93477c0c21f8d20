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

}  // namespace ashlar::test
