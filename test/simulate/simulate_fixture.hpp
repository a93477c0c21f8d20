#pragma once
/// The blueprint that is simulated most, and a run of many seeds.

#include "../counts.hpp"
#include "../store/store_fixture.hpp"

#include <ashlar/defrag_policy/best_gain.hpp>
#include <ashlar/hosted/multi_threaded.hpp>
#include <ashlar/testing/seed_on_crash.hpp>
#include <ashlar/testing/simulate.hpp>
#include <ashlar/throttle/token_bucket.hpp>

namespace ashlar::test {

/// As a user would write it for a server; the simulator replaces what it must.
struct server_blueprint : blueprint {
    using device    = memory_device;
    using journal   = ring_journal;
    using threading = multi_threaded;
    using defrag    = best_gain;
    using throttle  = token_bucket;
    using clock     = manual_clock;
};

/// Simulates seeds from `first` on, until one fails. Answers what they did in all.
template <class B>
simulation_counts expect_all_hold(std::uint64_t first, std::uint64_t seeds, const simulation_options<B>& options) {
    simulation_counts counts;
    seed_on_crash     tell;
    for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
        tell.is(seed);
        const auto outcome = simulate<B>(seed, options);
        counts += outcome.counts;
        if (!outcome.failure.empty()) {
            ADD_FAILURE() << outcome.text();
            return counts;
        }
    }
    count("simulated seeds", seeds);
    count("power cuts of simulated stores", counts.cuts);
    return counts;
}

}  // namespace ashlar::test
