#pragma once
/// What an open volume did and has, to be asked at any time.

#include <ashlar/concepts/threading.hpp>

namespace ashlar::inline v0 {

/// Counts since the volume was opened, and what it has now.
struct store_metrics {
    std::uint64_t reads              = 0;  ///< Calls and requests of the foreground.
    std::uint64_t bytes_read         = 0;
    std::uint64_t transactions       = 0;  ///< Joined a batch: writes, erases, flips of moves and all others.
    std::uint64_t blocks_written     = 0;  ///< Data, moved blocks included.
    std::uint64_t batches            = 0;  ///< Made durable.
    std::uint64_t batches_with_data  = 0;  ///< Carried their data themselves.
    std::uint64_t checkpoints        = 0;
    std::uint64_t ranges_moved       = 0;
    std::uint64_t blocks_moved       = 0;
    std::uint64_t moves_raced        = 0;  ///< Their mapping changed while it was copied.
    std::uint64_t free_blocks        = 0;
    std::uint64_t objects            = 0;
    std::uint64_t waiting_to_be_free = 0;  ///< Blocks that a batch has to confirm first.
};

/// The counters themselves. They change under the engine's lock; reading them takes none, so a snapshot is as exact as
/// its moment allows: no counter goes back, and two need not be of the same instant.
template <Threading T>
struct volume_metrics {
    using counter = typename T::counter;

    counter reads{}, bytes_read{}, transactions{}, blocks_written{}, batches{}, batches_with_data{}, checkpoints{};
    counter ranges_moved{}, blocks_moved{}, moves_raced{}, free_blocks{}, objects{}, waiting_to_be_free{};

    [[nodiscard]] store_metrics snapshot() const noexcept {
        return {.reads              = reads.value(),
                .bytes_read         = bytes_read.value(),
                .transactions       = transactions.value(),
                .blocks_written     = blocks_written.value(),
                .batches            = batches.value(),
                .batches_with_data  = batches_with_data.value(),
                .checkpoints        = checkpoints.value(),
                .ranges_moved       = ranges_moved.value(),
                .blocks_moved       = blocks_moved.value(),
                .moves_raced        = moves_raced.value(),
                .free_blocks        = free_blocks.value(),
                .objects            = objects.value(),
                .waiting_to_be_free = waiting_to_be_free.value()};
    }
};

}  // namespace ashlar::inline v0
