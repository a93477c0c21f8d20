#pragma once
/// Options under which a test of a few operations meets every bound of a store.

#include <ashlar/maintenance/defrag_options.hpp>
#include <ashlar/volume/volume_state.hpp>

namespace ashlar::inline v0 {

/// Limits of a small machine: caches, lists and buffers are full after some operations.
[[nodiscard]] constexpr volume_limits small_limits() noexcept {
    volume_limits limits;
    limits.cache_blocks    = 96;
    limits.transaction     = {.shadows = 40, .extents = 48, .data_blocks = 48, .objects = 6};
    limits.transactions    = 3;
    limits.space           = {.groups_loaded = 2, .retired = 256, .holds = 4};
    limits.unsynced_runs   = 48;
    limits.unsynced_blocks = 48;
    limits.staging_bytes   = 8192;
    limits.journal_bytes   = 8192;
    return limits;
}

/// A defragmenter that goes on as long as there is something to gain, within small memory.
[[nodiscard]] constexpr defrag_options eager_defragmenter() noexcept {
    defrag_options options;
    options.threshold_permille = 0;
    options.cycle_blocks_max   = {0};
    options.cycle_interval     = {};
    options.priority           = defrag_intensity::unpaced;
    options.window             = {32};
    options.pieces_max         = 40;
    options.chunk_bytes        = 8192;
    return options;
}

}  // namespace ashlar::inline v0
