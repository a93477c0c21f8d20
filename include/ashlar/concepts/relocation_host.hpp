#pragma once
/// What an engine offers so that its extents can be moved.

#include <ashlar/concepts/defrag_policy.hpp>
#include <ashlar/vocabulary/extent.hpp>
#include <ashlar/vocabulary/result.hpp>

#include <concepts>
#include <cstddef>
#include <optional>
#include <span>

namespace ashlar::inline v0 {

/// One piece of an owner's mapping.
struct mapped_extent {
    logical_block logical{};
    extent        physical{};
    bool          pinned    = false;  ///< May not move.
    bool          unwritten = false;  ///< Reserved; holds no data yet.
};

/// A mapping as it stood at one moment.
struct mapping_view {
    std::uint64_t generation = 0;     ///< Changes whenever the owner's mapping changes; never repeats.
    std::size_t   pieces     = 0;     ///< Filled from the front of the caller's span.
    bool          complete   = true;  ///< False: the span was too short for all pieces of the range.
};

/// Where a walk over candidates stands. A fresh one begins at the beginning; it stays valid while owners come and go.
struct relocation_cursor {
    object_id     owner{};    ///< The owner to go on with, or the next one there is; none: the first.
    logical_block logical{};  ///< Where in it.
    std::uint64_t seen = 0;   ///< Owners passed; the host counts.
};

enum class candidate_kind : std::uint8_t {
    fragmented_range,  ///< A range of an owner that lies in several pieces.
    free_space_gap,    ///< A whole extent with free blocks on both sides: without it two free runs are one.
};

struct candidate_request {
    candidate_kind kind = candidate_kind::fragmented_range;
    block_count    window{1024};  ///< A range has at most so many blocks.
    extent         scope{};       ///< Only ranges with a piece in it; empty: all.
};

enum class placement : std::uint8_t {
    near_goal,  ///< As close behind the goal as possible.
    away,       ///< As near_goal, for a range that has to leave its place, whatever its pieces gain by that.
    tight,  ///< In the smallest free run that holds it, at its edge, so that free space does not split. Never in a run
            ///< that touches the blocks from the goal on: they are what leaves.
};

struct target_request {
    block_index goal{};
    block_count blocks{};  ///< One run of exactly so many blocks.
    placement   where = placement::near_goal;
};

/// A stretch of the volume that can be worked on alone, and how its free space lies.
struct relocation_scope {
    extent        blocks{};
    block_count   free{};
    block_count   largest_free{};
    std::uint64_t free_runs = 0;
};

/// An engine whose extents can be moved while it is used.
///
/// Semantics:
///  - `next_candidate` advances the cursor and answers the next range with data of the kind asked for; empty at the
///  end.
///    It does work in bounded pieces: a candidate with `blocks` 0 means "nothing yet, call again". A cursor set to a
///    candidate's owner and first block answers that candidate again while it stands.
///  - `mapping` tells the pieces of a range in logical order, cut to it at both ends, holes left out, and the owner's
///    generation. Generations need not outlive the process.
///  - `reserve_target` takes free blocks that nothing else will use; `no_contiguous_space` when no run is long enough,
///    `busy` or `not_found` when the owner is not what it was: a race. `release_target` gives them back.
///  - `hold` keeps the blocks of an extent from being reused, as a reader does, until `unhold`.
///  - `read_blocks` verifies what it reads; it may be asked for blocks that have changed hands, and whatever it answers
///    then the generation settles. `write_blocks` writes to a reserved target; nothing is durable yet, and what was
///    written can be read back.
///  - `flip` points the range at the target, as one change that becomes durable at `sync`, and retires the old blocks;
///    the target's blocks take the place of the range's mapped blocks in logical order, those of unwritten pieces
///    included, which stay unwritten. It does so only if the owner's generation still is the one given; else it answers
///    false and nothing changed, the target included. After an error nothing changed either.
///    Until the change is confirmed the old blocks stay as they are.
///  - `sync` makes all flips durable.
///  - `scope_count`, `scope`: how the volume is divided; an engine may have a single scope.
template <class H>
concept RelocationHost = requires(H& host, const H& seen, relocation_cursor& cursor, candidate_request wanted,
                                  object_id owner, logical_block first, block_count blocks,
                                  std::span<mapped_extent> pieces, target_request target, extent e,
                                  std::span<std::byte> in, std::span<const std::byte> out, std::uint64_t n) {
    { seen.block() }
    noexcept->std::same_as<block_size>;
    { host.next_candidate(cursor, wanted) }
    noexcept->std::same_as<result<std::optional<defrag_candidate>>>;
    { host.owner_count() }
    noexcept->std::same_as<std::uint64_t>;
    { host.mapping(owner, first, blocks, pieces) }
    noexcept->std::same_as<result<mapping_view>>;
    { host.reserve_target(target) }
    noexcept->std::same_as<result<extent>>;
    { host.release_target(e) }
    noexcept->std::same_as<void>;
    { host.hold(e) }
    noexcept->std::same_as<result<>>;
    { host.unhold(e) }
    noexcept->std::same_as<void>;
    { host.read_blocks(e, in) }
    noexcept->std::same_as<result<>>;
    { host.write_blocks(e, out) }
    noexcept->std::same_as<result<>>;
    { host.flip(owner, first, blocks, n, e) }
    noexcept->std::same_as<result<bool>>;
    { host.sync() }
    noexcept->std::same_as<result<>>;
    { host.scope_count() }
    noexcept->std::same_as<std::uint64_t>;
    { host.scope(n) }
    noexcept->std::same_as<result<relocation_scope>>;
};

}  // namespace ashlar::inline v0
