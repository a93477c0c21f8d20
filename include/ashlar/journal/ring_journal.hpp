#pragma once
/// The journal of a durable volume: batches on a ring, and two anchors that say where it begins.

#include <ashlar/journal/batch_writer.hpp>
#include <ashlar/journal/ring_anchor.hpp>
#include <ashlar/journal/ring_recovery.hpp>

#include <utility>

namespace ashlar::inline v0 {

/// Models `JournalOn` for every block device; concepts/journal.hpp says what each call promises.
///
/// Invariants: the blocks from the tail to the next batch are `used_`, and no write touches them; `confirmed_` never
/// exceeds what a header or an anchor that is durable says; once a write or sync failed nothing is written again.
///
/// Cost: a batch that fits the lent memory is one write (two where the ring ends), an anchor two writes and two syncs.
/// Allocates nothing. Not safe from several threads: the caller's lock covers a batch from `begin` to `seal`.
class ring_journal {
  public:
    static constexpr std::uint32_t format_id = 1;
    static constexpr bool          durable   = true;

    /// Room for the largest entry wherever it begins, or for a frame. More memory makes larger transfers.
    [[nodiscard]] static constexpr std::size_t staging_bytes(block_size size) noexcept {
        return std::size_t{entry_bytes_max(size)} + 2 * std::size_t{size.bytes};
    }

    /// Errors: `invalid_argument` where size and frame are none, `workspace_too_small`.
    result<> attach(journal_place place, block_size size, std::span<std::byte> memory) noexcept {
        if (!is_block_size(size.bytes) || place.frame_bytes != entry_bytes_max(size)) return errc::invalid_argument;
        if (memory.size() < staging_bytes(size)) return errc::workspace_too_small;
        restart(place, size, memory);
        return success();
    }

    /// Clears the ring and writes both anchors: even a volume that is formatted again under its old id has no history.
    /// The anchors say so, as those of `close` do.
    /// Errors: `invalid_argument` where the ring cannot hold the largest entry, `out_of_range`, the device's.
    template <BlockDevice D>
    result<> format(D& device, anchor_totals totals) noexcept {
        const auto least = batch_blocks({entry_bytes_max(ring_.size), 1, 0}, true, ring_.size);
        if (memory_.empty() || device.geometry().size != ring_.size || place_.ring.count < least)
            return errc::invalid_argument;
        if (!ring_fits(place_.ring, place_, device.geometry())) return error{errc::out_of_range, place_.ring.first};
        restart(place_, ring_.size, memory_);
        BOOST_OUTCOME_TRY(clear_ring(device, ring_, memory_));
        totals_      = totals;
        epoch_       = 1;
        epoch_first_ = {1};
        BOOST_OUTCOME_TRY(write_anchor(device, boundaries_.next(), 0, true));
        state_ = state::writing;
        return success();
    }

    /// Blocks that a batch takes at most: a completion marker that may ride in it is counted.
    [[nodiscard]] block_count blocks_needed(batch_shape shape) const noexcept {
        return batch_blocks(shape, true, ring_.size);
    }
    [[nodiscard]] block_count room() const noexcept { return ring_.blocks.count - block_count{used_}; }
    [[nodiscard]] block_count capacity() const noexcept { return ring_.blocks.count; }

    /// Errors: `journal_full`; `read_only` once a write or sync failed, which a batch that is not acknowledged counts
    /// as; the device's. Cost: nothing, but for the first batch behind `format` or `close`: it takes back what they
    /// said with an anchor, two writes and two syncs.
    template <BlockDevice D>
    result<> begin(D& device, batch_shape shape) noexcept {
        if (!may_write()) return errc::read_only;
        const auto blocks = batch_blocks(shape, completion_.value != 0, ring_.size);
        if (blocks > room()) return error{errc::journal_full, ring_.blocks.first};
        if (clean_) { BOOST_OUTCOME_TRY(must(write_anchor(device, boundaries_.tail(), 0, false))); }
        open_   = true;
        blocks_ = blocks.value;
        used_ += blocks_;
        return must(
            writer_.begin(device, ring_, {boundaries_.next(), epoch_, acknowledged_, completion_}, shape, memory_));
    }

    /// Lists a data block that no sync has covered.
    template <BlockDevice D>
    result<> data(D& device, block_index block, std::uint64_t checksum) noexcept {
        if (state_ != state::writing) return errc::read_only;
        ASHLAR_ASSERT(open_);
        return must(writer_.data(device, ring_, block, checksum));
    }

    /// Logs that `bytes` stand at `offset` of `target`: at most a frame's bytes, all inside the frame's length.
    template <BlockDevice D>
    result<> entry(D& device, block_index target, std::uint32_t offset, std::span<const std::byte> bytes) noexcept {
        if (state_ != state::writing) return errc::read_only;
        ASHLAR_ASSERT(open_);
        return must(writer_.entry(device, ring_, target, offset, bytes));
    }

    /// Ends the batch and writes what is left of it. It is not synced yet. Precondition: the shape is filled exactly.
    template <BlockDevice D>
    result<sequence> seal(D& device) noexcept {
        ring_writes left;
        BOOST_OUTCOME_TRY(const auto sealed, seal_unwritten(device, left));
        for (std::size_t i = 0; i < left.count; ++i) {
            BOOST_OUTCOME_TRY(must(device.write(left.runs[i].blocks, left.runs[i].bytes)));
        }
        return sealed;
    }

    /// The same, but the caller writes what is left; where that fails it acknowledges nothing, which ends the writing.
    template <BlockDevice D>
    result<sequence> seal_unwritten(D& device, ring_writes& left) noexcept {
        if (state_ != state::writing) return errc::read_only;
        ASHLAR_ASSERT(open_);
        const auto hash = writer_.seal(device, ring_, left);
        if (!hash) return must(hash.error()).error();
        const auto at = boundaries_.next();
        boundaries_.remember({{at.number.value + 1}, ring_.advance(at.position, blocks_), hash.value()});
        open_       = false;
        claim_      = acknowledged_;
        completion_ = {};
        return at.number;
    }

    /// The batch and its data are durable; so is what its header says, which is thereby confirmed.
    void acknowledge(sequence batch) noexcept {
        ASHLAR_ASSERT(!open_ && batch <= last());
        if (batch > acknowledged_) acknowledged_ = batch;
        if (acknowledged_ == last() && claim_ > confirmed_) confirmed_ = claim_;
    }

    /// Errors: the device's, after which nothing is written again; `read_only` then, or where a batch is not
    /// acknowledged.
    template <BlockDevice D>
    result<> anchor(D& device, sequence tail, anchor_totals totals) noexcept {
        return anchor_all(device, tail, totals, false);
    }

    /// `anchor(device, next(), totals)` that also says that no batch follows: a recovery then looks at one block of the
    /// ring, not at all of it. Precondition: every change of every batch is durable at home. Errors: as `anchor`.
    template <BlockDevice D>
    result<> close(D& device, anchor_totals totals) noexcept {
        return anchor_all(device, next(), totals, true);
    }

    /// Also for a ring that moved: the anchor's place counts. With `read_only` a `damaged` history can still be
    /// replayed up to the damage; otherwise an error leaves the journal closed, to be recovered again.
    template <BlockDevice D, class Data>
    result<recovery_report> recover(D& device, Data& data, bool read_only) noexcept {
        if (memory_.empty() || device.geometry().size != ring_.size) return errc::invalid_argument;
        state_ = state::closed;
        BOOST_OUTCOME_TRY(const auto found, read_anchors(device, place_, memory_));
        const auto& anchor = found.content;
        adopt(anchor);

        recovery_report report;
        report.first  = tail();
        report.totals = totals_;
        ring_recovery<D, Data> steps{device, data, ring_, anchor, memory_, boundaries_, report};
        const auto             decided = steps.decide();
        if (read_only && (decided || decided.error().code == errc::damaged)) state_ = state::reading;
        report.was_clean = next() == tail() && report.batches_cut == 0;
        acknowledged_ = confirmed_ = last();
        used_                      = blocks_between(ring_, boundaries_.tail(), boundaries_.next());
        BOOST_OUTCOME_TRY(decided);
        if (read_only) return report;

        // The other copy is written over next, and this one may stand in a cache only: a sync of it may have failed.
        BOOST_OUTCOME_TRY(write_anchor_copy(device, place_, memory_, anchor, 1 - found.write_first));
        BOOST_OUTCOME_TRY(steps.repeat());
        epoch_       = anchor.epoch + 1;
        epoch_first_ = next();
        BOOST_OUTCOME_TRY(write_anchor(device, boundaries_.tail(), found.write_first, false));
        state_ = state::writing;
        return report;
    }

    /// Reads the accepted batches again. Errors: the sink's, the device's, `checksum_differs` where a batch is no
    /// longer what recovery found.
    template <BlockDevice D, class Sink>
    result<> replay(D& device, Sink& sink) noexcept {
        if (state_ == state::closed) return errc::read_only;
        ASHLAR_ASSERT(!open_);
        struct forward {
            Sink&    sink;
            result<> data(block_index, std::uint64_t) noexcept { return success(); }
            result<> entry(sequence s, block_index target, std::uint32_t offset,
                           std::span<const std::byte> bytes) noexcept {
                return sink(s, target, offset, bytes);
            }
        } visitor{sink};
        ring_reader<D> reader{device, ring_, boundaries_.tail().position, used_, memory_};
        batch_reader   batches{reader, visitor};
        std::uint64_t  block = 0;
        for (auto at = boundaries_.tail(); at.number < next();) {
            BOOST_OUTCOME_TRY(const auto found, batches.read(block, {at.number, at.chain, epoch_first_, epoch_}));
            if (!found) return error{errc::checksum_differs, reader.where(block)};
            block += found->blocks;
            at = {{at.number.value + 1}, ring_.advance(at.position, found->blocks), found->hash};
        }
        return success();
    }

    [[nodiscard]] sequence next() const noexcept { return boundaries_.next().number; }
    [[nodiscard]] sequence last() const noexcept { return {next().value - 1}; }
    [[nodiscard]] sequence acknowledged() const noexcept { return acknowledged_; }
    [[nodiscard]] sequence confirmed() const noexcept { return confirmed_; }
    [[nodiscard]] sequence tail() const noexcept { return boundaries_.tail().number; }
    [[nodiscard]] sequence checkpoint() const noexcept { return checkpoint_; }  ///< Home writes up to here are synced.
    [[nodiscard]] std::uint64_t epoch() const noexcept { return epoch_; }
    [[nodiscard]] extent        ring() const noexcept { return ring_.blocks; }
    [[nodiscard]] anchor_totals totals() const noexcept { return totals_; }

  private:
    enum class state : std::uint8_t { closed, reading, writing };

    [[nodiscard]] bool may_write() const noexcept {
        ASHLAR_ASSERT(!open_ || state_ != state::writing);
        return state_ == state::writing && acknowledged_ == last();
    }
    /// After a failed write or sync nobody knows what is on the device; only recovery may find out.
    result<> must(result<> done) noexcept {
        if (!done) state_ = state::reading;
        return done;
    }

    void restart(journal_place place, block_size size, std::span<std::byte> memory) noexcept {
        *this   = ring_journal{};
        place_  = place;
        ring_   = {place.ring, size, place.volume};
        memory_ = memory;
    }

    void adopt(const anchor_content& anchor) noexcept {
        ring_.blocks = {{anchor.ring_first}, {anchor.ring_blocks}};
        generation_  = anchor.generation;
        epoch_       = anchor.epoch;
        epoch_first_ = {anchor.first};
        checkpoint_  = {anchor.checkpoint};
        totals_      = {anchor.free_blocks, anchor.modified};
        boundaries_.restart({{anchor.tail}, anchor.tail_position, anchor.tail_chain});
        open_ = clean_ = false;
        completion_ = claim_ = {};
        used_                = 0;
    }

    template <BlockDevice D>
    result<> anchor_all(D& device, sequence tail, anchor_totals totals, bool clean) noexcept {
        if (!may_write()) return errc::read_only;
        ASHLAR_ASSERT(tail <= next());
        const auto home   = tail.value > checkpoint_.value + 1 ? sequence{tail.value - 1} : checkpoint_;
        const auto kept   = boundaries_.at_or_before(tail);
        const auto before = std::exchange(checkpoint_, home);
        totals_           = totals;
        BOOST_OUTCOME_TRY(must(write_anchor(device, kept, 0, clean)));
        confirmed_ = acknowledged_;
        boundaries_.forget_before(kept);
        used_ = blocks_between(ring_, boundaries_.tail(), boundaries_.next());
        if (home > before) completion_ = home;
        return success();
    }

    /// An anchor of all that is acknowledged, with `tail`.
    template <BlockDevice D>
    result<> write_anchor(D& device, const batch_boundary& tail, unsigned write_first, bool clean) noexcept {
        anchor_content content;
        content.generation    = ++generation_;
        content.epoch         = epoch_;
        content.first         = epoch_first_.value;
        content.confirmed     = acknowledged_.value;
        content.tail          = tail.number.value;
        content.tail_position = tail.position;
        content.tail_chain    = tail.chain;
        content.ring_first    = ring_.blocks.first.value;
        content.ring_blocks   = ring_.blocks.count.value;
        content.free_blocks   = totals_.free_blocks;
        content.modified      = totals_.modified;
        content.checkpoint    = checkpoint_.value;
        content.clean         = clean ? 1U : 0U;
        clean_                = clean;
        return write_anchors(device, place_, memory_, content, write_first);
    }

    journal_place        place_{};
    ring_layout          ring_{};
    std::span<std::byte> memory_{};
    batch_boundaries     boundaries_{};
    batch_writer         writer_{};
    anchor_totals        totals_{};
    std::uint64_t        generation_ = 0;  // Of the newest anchor.
    std::uint64_t        epoch_      = 0;
    sequence             epoch_first_{};
    sequence             acknowledged_{};
    sequence             confirmed_{};
    sequence             claim_{};  // What the newest batch's header says is acknowledged.
    sequence             checkpoint_{};
    sequence             completion_{};  // What the next batch's completion marker says; zero: none rides in it.
    std::uint64_t        used_   = 0;    // Blocks from the tail on, those of an open batch included.
    std::uint64_t        blocks_ = 0;    // Of the newest batch.
    bool                 open_   = false;
    bool                 clean_  = false;  // The newest anchor says that no batch follows.
    state                state_  = state::closed;
};
static_assert(Journal<ring_journal>);

}  // namespace ashlar::inline v0
