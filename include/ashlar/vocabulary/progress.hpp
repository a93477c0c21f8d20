#pragma once
/// How far a maintenance task is.

#include <ashlar/vocabulary/address.hpp>
#include <ashlar/vocabulary/error.hpp>
#include <ashlar/vocabulary/stop_reason.hpp>
#include <ashlar/vocabulary/time_point.hpp>

namespace ashlar::inline v0 {

/// What one step says when it returns.
struct progress {
    std::uint32_t phase = 0;             ///< The task's own numbering.
    std::uint64_t done  = 0;             ///< Units of work behind it; objects, or blocks where the task counts blocks.
    std::uint64_t total = 0;             ///< Units of work it expects in all.
    block_count   moved{};               ///< Blocks moved since the pass began.
    std::uint64_t bytes_per_second = 0;  ///< 0 without a clock.
    duration      left{};                ///< Expected time to the end at that rate; 0 when unknown.
    stop_reasons  reasons{};             ///< Why the step returned.
    time_point    not_before{};          ///< With `throttled`: when the next step may get a grant.
    error         failure{};             ///< With `device_error`: what failed, and at which block.
};

}  // namespace ashlar::inline v0
