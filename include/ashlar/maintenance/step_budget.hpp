#pragma once
/// How much one call of a maintenance task may do.

#include <cstdint>

namespace ashlar::inline v0 {

/// A step returns when either is spent. So its time is bounded by the device, not by the volume.
struct step_budget {
    std::uint64_t blocks_max     = 128;  ///< Blocks copied; each is read once and written once.
    std::uint64_t candidates_max = 256;  ///< Looks at metadata: candidates, objects, groups.
};

}  // namespace ashlar::inline v0
