#pragma once
/// What the tasks that move regions have in common: the memory of a move, what it owes a throttle, and its end.

#include <ashlar/region/region_source.hpp>
#include <ashlar/relocation/relocation.hpp>
#include <ashlar/vocabulary/progress.hpp>
#include <ashlar/volume/arena.hpp>

#include <algorithm>

namespace ashlar::inline v0 {

/// The memory of a task that has one move under way at a time, of a region or of whatever else.
struct mover_memory {
    relocation_memory  copy{};
    region_move_memory move{};
};

/// Takes it, for mappings of so many pieces. `Options` say chunk_bytes, transfers_max, window_bits and verify_target.
template <class Options>
[[nodiscard]] constexpr mover_memory carve_moves(arena& from, const Options& options, block_size block,
                                                 std::size_t pieces) noexcept {
    const std::size_t least = 2 * std::size_t{block.bytes};
    mover_memory      parts;
    parts.copy.chunk = from.take_bytes(options.chunk_bytes > least ? options.chunk_bytes : least,
                                       block.bytes < 4096 ? block.bytes : 4096);
    parts.copy.pieces = from.take<mapped_extent>(pieces);
    if (options.transfers_max >= transfers_min) parts.copy.transfers = from.take<transfer>(options.transfers_max);
    parts.move.window = parts.copy.chunk;  // no chunk is under way while windows are copied again
    parts.move.written =
        from.take<bitmap_word>(options.window_bits == 0 ? 1 : (options.window_bits + word_bits - 1) / word_bits);
    parts.move.verify = options.verify_target;
    parts.move.motion = from.take<region_motion>(1).data();
    return parts;
}

/// Asks a throttle for what flips of regions copied while writers waited, before anything else is copied. What is left
/// of it is owed on.
template <IoThrottle Throttle, Clock C>
void pay_owed(block_count& owed, block_size size, Throttle& throttle, C& clock, progress& said) noexcept {
    const auto grant = throttle.acquire({bytes_of(owed, size), size.bytes}, clock.now());
    throttle.release(grant.bytes, clock.now());
    if (grant.bytes == 0) {
        said.reasons |= stop_reason::throttled;
        said.not_before = grant.not_before;
    }
    owed -= std::min(whole_blocks(grant.bytes, size), owed);
}

/// A move whose queue was lost keeps its target reserved; its region is free to move or go all the same.
template <class Volume>
void forget_motion(Volume& volume, const region_motion* motion) noexcept {
    const entered guard{volume};
    if (volume.region_traffic.motion == motion) motion_scope<Volume>::end(volume);
}

/// A part of a slide has no target that could stay reserved: the end of the slide, or a part that is tried again, would
/// give to others what a lost queue may still write to. So nothing more is written to the volume (R15).
template <class Volume>
void lose_part(Volume& volume, error why) noexcept {
    const entered guard{volume};
    static_cast<void>(volume.end_writing(why));
}

}  // namespace ashlar::inline v0
