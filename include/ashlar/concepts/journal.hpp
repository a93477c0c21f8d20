#pragma once
/// How changes become durable before they go home.

#include <ashlar/concepts/block_device.hpp>
#include <ashlar/vocabulary/extent.hpp>
#include <ashlar/vocabulary/result.hpp>
#include <ashlar/vocabulary/volume_id.hpp>

#include <array>
#include <concepts>
#include <cstddef>
#include <span>

namespace ashlar::inline v0 {

/// Where a journal lives on its device.
struct journal_place {
    extent ring{};  ///< Blocks of the ring. The anchor's copy wins: a ring can move.
    block_index
        anchor_first{};  ///< First block of the frame that holds the anchor, and of the frame of its second copy.
    block_index   anchor_second{};
    std::uint32_t frame_bytes = 4096;  ///< Bytes of a frame: max(block, 4096).
    volume_id     volume{};
};

/// What a batch will hold; told before its first byte is written.
struct batch_shape {
    std::uint64_t entry_bytes = 0;  ///< Sum of the entries' data lengths.
    std::uint32_t entries     = 0;
    std::uint32_t data        = 0;  ///< Data blocks listed with their checksums.
};

/// Numbers that an anchor carries for the engine; the journal does not look at them.
struct anchor_totals {
    std::uint64_t free_blocks = 0;
    std::uint64_t modified    = 0;  ///< Nanoseconds; 0 without a clock.
};

/// What recovery found.
struct recovery_report {
    sequence      first{};               ///< The oldest batch that replay needs.
    sequence      last{};                ///< The newest batch that counts.
    sequence      confirmed{};           ///< Up to here damage would have been an error.
    std::uint64_t batches_cut  = 0;      ///< Whole batches behind `last` that were never acknowledged and lost data.
    std::uint64_t bytes_read   = 0;      ///< Of the ring.
    std::uint64_t data_checked = 0;      ///< Listed data blocks read.
    bool          was_clean    = false;  ///< The journal was empty.
    error         damage{};           ///< Opened for reading only: where acknowledged batches are missing, if they are.
    std::uint32_t bad_frames    = 0;  ///< Bit n: frame n, one of two copies, was not whole or was old.
    std::uint32_t mended_frames = 0;  ///< Bit n: it was written again from the other copy.
    anchor_totals totals{};
};

/// A policy that writes batches of changes to a ring, or none at all (`durable` false).
template <class J>
concept Journal = std::movable<J> && requires {
    { J::format_id } -> std::convertible_to<std::uint32_t>;
    { J::durable } -> std::convertible_to<bool>;
};

/// What recovery asks about the data blocks that a batch lists. Both are told the block and its listed checksum.
struct journal_data_archetype {
    /// Whether the block's bytes have that checksum. An error when it could not be read: that is not a mismatch.
    result<bool> matches(block_index, std::uint64_t checksum) noexcept;
    /// Reads the block and writes the same bytes again in place.
    result<> repeat(block_index) noexcept;
};

/// What replay hands each entry to.
struct journal_sink_archetype {
    result<> operator()(sequence, block_index target, std::uint32_t offset, std::span<const std::byte> bytes) noexcept;
};

/// The calls of a journal that works on a device. The engine introduces the device at each call; the journal holds
/// none.
///
/// Semantics (the rules are in DESIGN.md):
///  - `attach` sets the place and lends memory of at least `staging_bytes(block size)`; nothing is read or written.
///  - `format` writes an empty journal, both anchors, and syncs.
///  - `begin` (shape), `data` and `entry` as often as the shape says, data first, then `seal`: the batch is written,
///  not
///    synced. The caller syncs every device that holds data of the batch, then calls `acknowledge`.
///    Precondition of `begin`: `blocks_needed(shape) <= room()` and every earlier batch is acknowledged.
///  - `anchor` makes "acknowledged up to here" and the tail durable; returns when both copies are; frees the ring
///  before
///    the tail. Precondition: no batch is open, all are acknowledged, tail <= last() + 1 and tail is a remembered batch
///    boundary (`last() + 1` always is; an older one is lowered to the nearest remembered).
///  - `recover` finds the accepted history: it cuts what was never acknowledged, and fails with `damaged` where
///    acknowledged history is not whole. With `read_only` it writes nothing.
///  - `replay` hands every entry of the accepted batches to the sink, oldest first.
///  - After `recover` and after the engine has written home and synced, `anchor(device, next(), totals)` empties the
///  journal.
template <class J, class D>
concept WritesBatchesTo = requires(J& journal, const J& seen, D& device, journal_place place,
                                   std::span<std::byte> memory, batch_shape shape, block_index block,
                                   std::uint64_t checksum, std::uint32_t offset, std::span<const std::byte> bytes,
                                   sequence s, anchor_totals totals, journal_data_archetype& data,
                                   journal_sink_archetype& sink, bool read_only, block_size size) {
    { J::staging_bytes(size) }
    noexcept->std::same_as<std::size_t>;
    { journal.attach(place, size, memory) }
    noexcept->std::same_as<result<>>;
    { journal.format(device, totals) }
    noexcept->std::same_as<result<>>;
    { seen.blocks_needed(shape) }
    noexcept->std::same_as<block_count>;
    { seen.room() }
    noexcept->std::same_as<block_count>;
    { seen.capacity() }
    noexcept->std::same_as<block_count>;
    { journal.begin(device, shape) }
    noexcept->std::same_as<result<>>;
    { journal.data(device, block, checksum) }
    noexcept->std::same_as<result<>>;
    { journal.entry(device, block, offset, bytes) }
    noexcept->std::same_as<result<>>;
    { journal.seal(device) }
    noexcept->std::same_as<result<sequence>>;
    { journal.acknowledge(s) }
    noexcept->std::same_as<void>;
    { journal.anchor(device, s, totals) }
    noexcept->std::same_as<result<>>;
    { journal.recover(device, data, read_only) }
    noexcept->std::same_as<result<recovery_report>>;
    { journal.replay(device, sink) }
    noexcept->std::same_as<result<>>;
    { seen.next() }
    noexcept->std::same_as<sequence>;  // the sequence that the next batch gets
    { seen.acknowledged() }
    noexcept->std::same_as<sequence>;
    { seen.confirmed() }
    noexcept->std::same_as<sequence>;
    { seen.tail() }
    noexcept->std::same_as<sequence>;
    { seen.epoch() }
    noexcept->std::same_as<std::uint64_t>;
};

/// A journal that can say that it ends empty: `close` is an `anchor(device, next(), totals)` behind which no batch
/// stands, so that the next recovery need not look for one. Precondition: every change of every batch is durable at
/// home. A later `begin` takes the word back before it writes anything.
template <class J, class D>
concept ClosesClean = WritesBatchesTo<J, D> && requires(J& journal, D& device, anchor_totals totals) {
    { journal.close(device, totals) }
    noexcept->std::same_as<result<>>;
};

/// Bytes that a journal leaves to its caller to write.
struct block_write {
    extent                     blocks{};
    std::span<const std::byte> bytes{};
};
struct ring_writes {
    std::array<block_write, 2> runs{};
    std::size_t                count = 0;
};

/// A journal that can leave the end of a batch to its caller: `seal_unwritten` is a `seal` after which the runs still
/// have to be written. Their bytes stay the journal's, and as they are, until the next `begin`. So a caller may write a
/// batch beside other transfers, and without the lock that covers the journal.
template <class J, class D>
concept LeavesWrites = WritesBatchesTo<J, D> && requires(J& journal, D& device, ring_writes& left) {
    { journal.seal_unwritten(device, left) }
    noexcept->std::same_as<result<sequence>>;
};

/// A journal that fits a device: it writes batches to it, or it is none and says so.
template <class J, class D>
concept JournalOn = Journal<J> && BlockDevice<D> &&(!J::durable || WritesBatchesTo<J, D>);

}  // namespace ashlar::inline v0
