#pragma once
/// What stands behind `volume`: the policies of this program, and the store that they make. For the files that
/// implement it alone.

#include "volume.hpp"

#include <ashlar/defrag_policy/best_gain.hpp>
#include <ashlar/device/native_device.hpp>
#include <ashlar/hosted/multi_threaded.hpp>
#include <ashlar/hosted/steady_clock.hpp>
#include <ashlar/journal/ring_journal.hpp>
#include <ashlar/store.hpp>
#include <ashlar/throttle/token_bucket.hpp>

#include <fmt/format.h>

namespace cli {

struct program_volume : ashlar::blueprint {
    using device    = ashlar::native_device;
    using journal   = ashlar::ring_journal;
    using threading = ashlar::multi_threaded;
    using defrag    = ashlar::best_gain;
    using throttle  = ashlar::token_bucket;
    using clock     = ashlar::steady_clock;
};

using program_store = ashlar::store<program_volume>;

/// What maintenance may take from its device; 0: 50 MiB a second.
[[nodiscard]] inline ashlar::token_bucket::options throttle_for(std::uint64_t bytes_per_second) {
    ashlar::token_bucket::options options;
    options.bytes_per_second    = bytes_per_second != 0 ? bytes_per_second : 50ULL << 20U;
    options.bytes_in_flight_max = 256 * 1024;
    return options;
}

struct volume::core {
    program_store        store{};
    std::string          path{};
    bool                 direct = false;
    ashlar::steady_clock clock{};

    [[nodiscard]] failure failed(std::string what, ashlar::error error) const {
        return store_failure(std::move(what), path, error);
    }
    [[nodiscard]] failure failed(const char* verb, ashlar::object_id id, ashlar::error error) const {
        return store_failure(fmt::format("cannot {} object {}", verb, id.value), path, error);
    }
};

}  // namespace cli
