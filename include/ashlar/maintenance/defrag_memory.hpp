#pragma once
/// The memory of a defragmenter, carved from what a caller lends.

#include <ashlar/maintenance/candidate_heap.hpp>
#include <ashlar/maintenance/defrag_options.hpp>
#include <ashlar/maintenance/group_order.hpp>
#include <ashlar/maintenance/set_aside_list.hpp>
#include <ashlar/relocation/relocation.hpp>
#include <ashlar/volume/arena.hpp>

namespace ashlar::inline v0 {

struct defrag_memory {
    relocation_memory           move{};
    std::span<ranked_candidate> candidates{};
    std::span<set_aside_range>  aside{};
    std::span<ranked_group>     groups{};
};

/// Takes what the options say from the arena; with a counting one it tells how much that is.
[[nodiscard]] constexpr defrag_memory carve_defrag_memory(arena& from, const defrag_options& options,
                                                          block_size block) noexcept {
    const std::size_t blocks_min = options.verify_target ? 2 : 1;
    const std::size_t least      = blocks_min * block.bytes;
    const std::size_t chunk      = options.chunk_bytes > least ? options.chunk_bytes : least;
    defrag_memory     memory;
    memory.move.chunk  = from.take_bytes(chunk, block.bytes < 4096 ? block.bytes : 4096);
    memory.move.pieces = from.take<mapped_extent>(options.pieces_max > 4 ? options.pieces_max : 4);
    if (options.transfers_max >= transfers_min) memory.move.transfers = from.take<transfer>(options.transfers_max);
    memory.candidates = from.take<ranked_candidate>(options.candidates_max > 1 ? options.candidates_max : 1);
    memory.aside      = from.take<set_aside_range>(options.set_aside_max);
    memory.groups     = from.take<ranked_group>(options.groups_max > 1 ? options.groups_max : 1);
    return memory;
}

/// Memory of a plan: half of it for pieces, half for targets.
struct plan_memory {
    std::span<mapped_extent> pieces{};
    std::span<extent>        targets{};
};

/// Places it in scratch bytes. The chunk of a move serves, as it is free between two chunks.
/// Precondition: 512 bytes or more.
[[nodiscard]] inline plan_memory carve_plan_memory(std::span<std::byte> scratch, std::size_t pieces_max) noexcept {
    const auto  part   = scratch.size() / 2 - alignof(mapped_extent);
    const auto  pieces = part / sizeof(mapped_extent);
    arena       place{scratch};
    plan_memory memory;
    memory.pieces  = place.take<mapped_extent>(pieces < pieces_max ? pieces : pieces_max);
    memory.targets = place.take<extent>(part / sizeof(extent));
    return memory;
}

}  // namespace ashlar::inline v0
