#pragma once
/// What the cache knows of each block that it holds.

#include <ashlar/format/block_trailer.hpp>

namespace ashlar::inline v0 {

inline constexpr std::size_t   frame_content_bytes = 4096;  ///< A frame's content; the rest of a larger frame is zero.
inline constexpr std::uint32_t no_slot             = ~std::uint32_t{0};

/// The frames that are ordinary metadata; they stay in memory, in the first slots.
enum class frame_slot : std::uint32_t { superblock = 0, pointers = 1, directory = 2 };
inline constexpr std::uint32_t frame_slots = 3;

/// One metadata block in memory.
///
/// Invariants: a slot is evicted only when nobody pins it and all its changes are home. `newest_change` is the batch
/// that must be confirmed before the block goes home (R2); `first_change` is the batch that the journal's tail may not
/// pass until then. `open` means that the batch being gathered changes it; those bytes are in no batch yet.
struct cache_slot {
    block_index    home{};
    block_identity identity{};
    sequence       first_change{};
    sequence       newest_change{};
    std::uint32_t  pins         = 0;
    std::uint32_t  next         = no_slot;  // in the chain of its hash
    std::uint32_t  first_shadow = no_slot;
    bool           used         = false;
    bool           referenced   = false;
    bool           open         = false;
    bool           unborn       = false;  // belongs to a transaction that has not joined a batch
    bool           prepared     = false;  // pinned for the transaction that joins now
    bool           checked      = false;  // a bitmap that was compared with its group's record
    bool           loading      = false;  // pinned by the thread that reads it; nobody else looks at its bytes
    bool           riding       = false;  // data that lies in the journal only, and has no trailer
    bool           doomed       = false;  // was freed while it was loading: forgotten as soon as it is loaded

    [[nodiscard]] bool dirty() const noexcept { return open || first_change.value != 0; }
    [[nodiscard]] bool evictable() const noexcept { return pins == 0 && !dirty() && !unborn; }
};

/// A transaction's own copy of a block: what it changes waits here until it joins a batch.
struct cache_shadow {
    std::uint32_t slot        = no_slot;
    std::uint32_t transaction = 0;
    std::uint32_t next        = no_slot;  // other shadows of the slot, or the free list
};

}  // namespace ashlar::inline v0
