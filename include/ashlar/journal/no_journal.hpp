#pragma once
/// No journal at all.

#include <ashlar/concepts/journal.hpp>

namespace ashlar::inline v0 {

/// Nothing is logged: what was written since the volume was opened may be lost or half there after a power cut. The
/// superblock says that the volume is in use, so a store that was not closed is refused as `unclean` when it is opened
/// again; its owner formats it anew. For caches and scratch space.
struct no_journal {
    static constexpr std::uint32_t format_id = 0;
    static constexpr bool          durable   = false;
};
static_assert(Journal<no_journal>);

}  // namespace ashlar::inline v0
