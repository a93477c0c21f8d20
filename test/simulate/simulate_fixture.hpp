#pragma once
/// The blueprint that is simulated.

#include <ashlar/defrag_policy/best_gain.hpp>
#include <ashlar/hosted/multi_threaded.hpp>
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

}  // namespace ashlar::test
