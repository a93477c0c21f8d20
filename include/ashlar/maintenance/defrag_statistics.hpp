#pragma once
/// What the defragmenter has done.

#include <ashlar/maintenance/defrag_options.hpp>
#include <ashlar/vocabulary/ratio.hpp>
#include <ashlar/vocabulary/stop_reason.hpp>

namespace ashlar::inline v0 {

/// How scattered a volume, or a group of it, is. An empty one has 0.
struct fragmentation {
    std::uint32_t objects_permille = 0;  ///< Objects in `extents_min` pieces or more, of all objects.
    std::uint32_t free_permille = 0;  ///< Free blocks outside the longest free run of their group, of all free blocks.
    friend constexpr bool operator==(const fragmentation&, const fragmentation&) = default;
};

/// One cycle: what was done with one budget.
struct defrag_cycle_result {
    std::uint64_t         objects_defragmented = 0;  ///< Objects that fell below `extents_min` pieces.
    std::uint64_t         extents_merged       = 0;  ///< Pairs of free runs that became one.
    block_count           blocks_moved{};
    std::uint64_t         bytes_moved = 0;
    fragmentation         before{};
    fragmentation         after{};
    duration              took{};                    ///< 0 without a clock.
    bool                  budget_exhausted = false;  ///< Work was left when the cycle's blocks were spent.
    friend constexpr bool operator==(const defrag_cycle_result&, const defrag_cycle_result&) = default;
};

/// Everything since the defragmenter was made.
struct defrag_lifetime {
    std::uint64_t         cycles               = 0;
    std::uint64_t         cycles_exhausted     = 0;
    std::uint64_t         passes               = 0;
    std::uint64_t         objects_processed    = 0;  ///< Objects that walks came by.
    std::uint64_t         objects_defragmented = 0;
    std::uint64_t         extents_merged       = 0;
    std::uint64_t         extents_saved        = 0;  ///< Pieces that objects have fewer.
    std::uint64_t         moves                = 0;
    block_count           blocks_moved{};
    std::uint64_t         bytes_moved = 0;
    block_count           blocks_copied{};  ///< Those of moves that did not come to their end included.
    std::uint64_t         races   = 0;      ///< Copies thrown away because the object changed.
    std::uint64_t         skipped = 0;      ///< Moves given up: raced, pinned, no room.
    std::uint64_t         undone  = 0;      ///< Moves cut off by a budget, a pause or a cancel.
    std::uint64_t         errors  = 0;
    duration              busy{};  ///< Sum of the cycles.
    friend constexpr bool operator==(const defrag_lifetime&, const defrag_lifetime&) = default;
};

/// The state of the defragmenter at this moment.
struct defrag_status {
    bool                  running              = false;
    bool                  paused               = false;
    defrag_intensity      intensity            = defrag_intensity::background;
    std::uint64_t         objects_processed    = 0;
    std::uint64_t         objects_defragmented = 0;
    std::uint64_t         bytes_moved          = 0;
    std::uint64_t         errors               = 0;
    stop_reasons          last_stop{};
    friend constexpr bool operator==(const defrag_status&, const defrag_status&) = default;
};

/// What `recover` found. After a restart both are 0: a target that no mapping names is free again by itself.
struct recovered_moves {
    std::uint64_t         targets_released                                           = 0;
    std::uint64_t         flips_synced                                               = 0;
    friend constexpr bool operator==(const recovered_moves&, const recovered_moves&) = default;
};

}  // namespace ashlar::inline v0
