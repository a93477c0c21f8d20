#pragma once
/// Where the journal begins and what is certain about it. docs/format.md, "Anchor".

#include <ashlar/format/block_trailer.hpp>

#include <cstddef>
#include <optional>
#include <span>

namespace ashlar::inline v0 {

/// The content of frames 2 and 6. Both copies carry the number of the first; the trailer ends the first 4096 bytes of
/// the frame, and what lies between or behind is zero.
///
///   offset  size  field
///        0     4  version        1
///        4     4  flags          zero
///        8     8  generation     counts the anchors of the volume: the valid copy with the larger one counts
///       16     8  epoch          that new batches carry
///       24     8  first          first sequence of the epoch: older batches may carry an older one
///       32     8  confirmed      every batch up to this one was acknowledged
///       40     8  tail           sequence of the oldest batch that replay needs, or of the next one
///       48     8  tail_position  where it begins, in blocks from the beginning of the ring
///       56     8  tail_chain     what its header must name as previous
///       64     8  ring_first     first block of the ring
///       72     8  ring_blocks    blocks of the ring
///       80     8  free_blocks    the volume's, when the anchor was written
///       88     8  modified       nanoseconds of the clock; 0 without one
///       96     8  checkpoint     home writes up to this batch are synced
///      104     4  clean          1: the journal is empty, and no batch was begun behind this anchor; else 0
///      108  3972  zero
///     4080    16  trailer        tag ANCH; its generation is the low half of the anchor's
struct anchor_content {
    le_u32 version;
    le_u32 flags;
    le_u64 generation;
    le_u64 epoch;
    le_u64 first;
    le_u64 confirmed;
    le_u64 tail;
    le_u64 tail_position;
    le_u64 tail_chain;
    le_u64 ring_first;
    le_u64 ring_blocks;
    le_u64 free_blocks;
    le_u64 modified;
    le_u64 checkpoint;
    le_u32 clean;
};
inline constexpr std::size_t   anchor_bytes   = 4096;  ///< Of a frame, the trailer included.
inline constexpr std::uint32_t anchor_version = 1;
static_assert(sizeof(anchor_content) == 108);
static_assert(alignof(anchor_content) == 1, "no padding is possible");
static_assert(offsetof(anchor_content, epoch) == 16);
static_assert(offsetof(anchor_content, tail) == 40);
static_assert(offsetof(anchor_content, ring_first) == 64);
static_assert(offsetof(anchor_content, checkpoint) == 96);
static_assert(offsetof(anchor_content, clean) == 104);

/// What both copies prove to be.
inline constexpr block_identity anchor_identity{tag::anchor, 0, 2};

/// Fills a whole frame. Precondition: it has `anchor_bytes` at least.
inline void encode_anchor(std::span<std::byte> frame, anchor_content content, const volume_id& volume) noexcept {
    content.version = anchor_version;
    std::memset(frame.data(), 0, frame.size());
    store_struct(frame, content);
    seal_block(frame.first(anchor_bytes), tag::anchor, {content.generation}, identity_seed(volume, anchor_identity));
}

/// Reads one copy. Empty when it is torn, foreign, of a later version or never written; that is no error.
/// The numbers agree with each other; whether the ring fits the device is for the caller to check.
[[nodiscard]] inline std::optional<anchor_content> decode_anchor(std::span<const std::byte> frame,
                                                                 const volume_id&           volume) noexcept {
    if (!is_sealed(frame.first(anchor_bytes), tag::anchor, identity_seed(volume, anchor_identity))) return std::nullopt;
    const auto content = load_struct<anchor_content>(frame);
    if (content.version != anchor_version || content.flags != 0) return std::nullopt;
    // Half of the range is left, so that no later step of counting can wrap around.
    const std::uint64_t limit = std::uint64_t{1} << 63U;
    if (content.generation >= limit || content.epoch >= limit || content.confirmed >= limit) return std::nullopt;
    if (content.epoch == 0 || content.first == 0 || content.tail == 0) return std::nullopt;
    if (content.first > content.confirmed + 1 || content.tail > content.confirmed + 1) return std::nullopt;
    if (content.tail_position >= content.ring_blocks || content.checkpoint > content.confirmed) return std::nullopt;
    if (content.clean > 1 || (content.clean == 1 && content.tail != content.confirmed + 1)) return std::nullopt;
    return content;
}

}  // namespace ashlar::inline v0
