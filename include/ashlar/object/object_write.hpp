#pragma once
/// Bytes of an object, from the caller to fresh blocks: rule R1.

#include <ashlar/object/object_read.hpp>

namespace ashlar::inline v0 {

/// Objects end here: byte offsets stay clear of what 64 bits and 2^63 can hold.
inline constexpr std::uint64_t object_bytes_max = std::uint64_t{1} << 62U;

/// Keeps what a changed map no longer needs: the transaction retires it.
template <class Volume>
struct retire_sink {
    Volume&       volume;
    std::uint32_t tx;
    bool          keeps_unwritten = false;  ///< Reserved blocks of the range were written in place and stay.

    result<> operator()(const mapped_extent& removed) const noexcept {
        if (removed.unwritten && keeps_unwritten) return success();
        auto& given = volume.transactions[tx].given;
        if (given.full()) return error{errc::too_large, removed.physical.first};
        given.push({.blocks = removed.physical});
        return success();
    }
};

/// Notes a changed mapping: its generation, and the totals.
template <class Volume>
void note_mapping(Volume& volume, std::uint32_t tx, object_state& object, std::uint64_t extents_before) noexcept {
    auto& state       = volume.transactions[tx];
    object.generation = ++volume.generation;
    state.generation  = object.generation;
    if (!object.dying) count_extents(state.totals, extents_before, object.map.extents);
}

/// One write on its way: the bytes, and the first and last block where they fill only a part. Bytes without memory are
/// zeros for a part of one block.
template <class Volume>
class block_source {
  public:
    block_source(const Volume& volume, std::uint64_t offset, std::span<const std::byte> bytes) noexcept
        : size_{volume.geometry.block},
          offset_{offset},
          bytes_{bytes},
          first_{offset >> size_.shift()},
          last_{(offset + bytes.size() - 1) >> size_.shift()} {
        const std::size_t mask = size_.bytes - 1U;
        const auto        stop = ((offset + bytes.size() - 1) & mask) + 1;
        head_partial_          = (offset & mask) != 0 || (first_ == last_ && stop != size_.bytes);
        tail_partial_          = first_ != last_ && stop != size_.bytes;
        ASHLAR_ASSERT(!is_zeros() || (head_partial_ && first_ == last_));
    }

    [[nodiscard]] logical_block first() const noexcept { return first_; }
    [[nodiscard]] logical_block end() const noexcept { return last_ + block_count{1}; }

    /// Completes the edges with what the object holds there, in buffers of their own. The lock is given up meanwhile.
    /// Errors: those of reading two blocks; busy when no buffer is left and there is only one thread.
    result<> load_edges(Volume& volume, std::uint32_t tx, object_state& object) noexcept {
        const std::size_t wanted = (head_partial_ ? 1U : 0U) + (tail_partial_ ? 1U : 0U);
        if (wanted == 0) return success();
        while (volume.edges.available() < wanted) {  // both at once, so that no two wait for each other
            if constexpr (!Volume::threading_type::concurrent) return errc::busy;
            volume.lock.wait();
        }
        if (head_partial_) head_ = {volume.edges, volume.edges.borrow()};
        if (tail_partial_) tail_ = {volume.edges, volume.edges.borrow()};
        if (head_partial_) {
            const std::size_t begin = static_cast<std::size_t>(offset_ & (size_.bytes - 1U));
            BOOST_OUTCOME_TRY(read_block(volume, tx, object, first_, head_.bytes()));
            const std::size_t length = size_.bytes - begin < bytes_.size() ? size_.bytes - begin : bytes_.size();
            if (is_zeros()) {
                std::memset(head_.bytes().data() + begin, 0, length);
            } else {
                std::memcpy(head_.bytes().data() + begin, bytes_.data(), length);
            }
        }
        if (tail_partial_) {
            const std::size_t stop = static_cast<std::size_t>((offset_ + bytes_.size() - 1) & (size_.bytes - 1U)) + 1;
            BOOST_OUTCOME_TRY(read_block(volume, tx, object, last_, tail_.bytes()));
            std::memcpy(tail_.bytes().data(), bytes_.data() + (bytes_.size() - stop), stop);
        }
        return success();
    }

    /// The longest contiguous memory that holds at most `count` blocks from `at` on.
    [[nodiscard]] std::span<const std::byte> blocks(logical_block at, block_count count) const noexcept {
        if (head_partial_ && at == first_) return head_.bytes();
        if (tail_partial_ && at == last_) return tail_.bytes();
        const auto        stop  = tail_partial_ ? last_ : end();
        const auto        most  = stop - at;
        const std::size_t start = static_cast<std::size_t>(byte_offset(at, size_) - offset_);
        return bytes_.subspan(start, static_cast<std::size_t>(bytes_of(count < most ? count : most, size_)));
    }

    /// Copies all blocks of the range into `memory`.
    void gather(logical_block at, block_count count, std::span<std::byte> memory) const noexcept {
        while (count.value != 0) {
            const auto piece = blocks(at, count);
            std::memcpy(memory.data(), piece.data(), piece.size());
            memory = memory.subspan(piece.size());
            at     = at + whole_blocks(piece.size(), size_);
            count  = count - whole_blocks(piece.size(), size_);
        }
    }

  private:
    [[nodiscard]] bool is_zeros() const noexcept { return bytes_.data() == nullptr; }

    block_size                 size_;
    std::uint64_t              offset_;
    std::span<const std::byte> bytes_;
    logical_block              first_;
    logical_block              last_;
    borrowed_buffer            head_;
    borrowed_buffer            tail_;
    bool                       head_partial_ = false;
    bool                       tail_partial_ = false;
};

/// Checksums of whole blocks, into the transaction.
template <class Volume>
void note_checksums(Volume& volume, transaction_state& state, std::span<const std::byte> blocks) noexcept {
    const block_size size = volume.geometry.block;
    for (; !blocks.empty(); blocks = blocks.subspan(size.bytes))
        state.sums.push(Volume::checksum_type::of(blocks.first(size.bytes)));
}

/// Brings the source's blocks from `at` on to `run`, which the transaction takes from here on, and notes their
/// checksums. `fresh`: the run was reserved for this; else it is reserved space of the object, written in place.
/// A staged write only fills memory that waits for the next batch; another one gives the lock up for its transfers.
/// Errors: too_large; those of the device.
template <class Volume>
result<> write_run(Volume& volume, std::uint32_t tx, const block_source<Volume>& source, logical_block at, extent run,
                   bool fresh) noexcept {
    const block_size size  = volume.geometry.block;
    auto&            state = volume.transactions[tx];
    if (state.taken.full()) {
        if (fresh) volume.space.release(run, size);
        return error{errc::too_large, run.first};
    }
    state.taken.push(
        {.blocks = run, .sums = static_cast<std::uint32_t>(state.sums.size()), .data = true, .fresh = fresh});
    ASHLAR_ASSERT(state.sums.room() >= run.count.value);  // write_object refused more
    if (state.staged) {
        const auto memory = volume.staged.add(run);
        source.gather(at, run.count, memory);
        note_checksums(volume, state, memory);
        return success();
    }
    return volume.lock.outside([&]() noexcept -> result<> {
        while (!run.empty()) {
            const auto piece = source.blocks(at, run.count);
            const auto count = whole_blocks(piece.size(), size);
            note_checksums(volume, state, piece);
            BOOST_OUTCOME_TRY(volume.device.write({run.first, count}, piece));
            at  = at + count;
            run = part_of(run, count, run.count);
        }
        return success();
    });
}

/// Whether the write is small enough to wait in memory, and makes room for it there: from here to its join the lock is
/// not given up, so that no batch takes what has not joined.
template <class Volume>
result<> choose_staging(Volume& volume, std::uint32_t tx, block_count blocks) noexcept {
    auto& state  = volume.transactions[tx];
    state.staged = false;
    if (!state.may_stage || blocks > volume.staged.capacity() || blocks.value > volume.limits.unsynced_runs)
        return success();
    await_quiet(volume);
    if (volume.committing && !Volume::threading_type::concurrent) {  // a channel of this thread has a batch in flight
        state.staged = volume.staged.has_room(blocks) && volume.unsynced.room() >= blocks.value;
        return success();
    }
    if (volume.unsynced.room() < blocks.value) {
        BOOST_OUTCOME_TRY(flush(volume));
        await_quiet(volume);
    }
    if (!volume.staged.has_room(blocks)) {
        BOOST_OUTCOME_TRY(write_waiting(volume));
        await_quiet(volume);
    }
    // While this thread waited others may have filled it again; then the write goes to the device at once.
    state.staged = volume.staged.has_room(blocks) && volume.unsynced.room() >= blocks.value;
    return success();
}

namespace detail {

/// The end of the blocks from `at` on that need fresh ones: up to reserved space or the end. Error: pinned.
template <class Map>
result<logical_block> fresh_end(Map& map, logical_block at, logical_block end) noexcept {
    while (at < end) {
        BOOST_OUTCOME_TRY(const auto found, map.find(at));
        if (!found || found->logical >= end || (found->unwritten && found->logical > at)) {
            return found && found->logical < end ? found->logical : end;
        }
        if (found->unwritten) return at;
        if (found->pinned) return error{errc::pinned, found->physical.first};
        at = found->logical + found->physical.count;
    }
    return end;
}

/// Where the object would best go on at `at`: behind what it has before, else behind what was allocated last.
template <class Volume, class Map>
result<block_index> goal_for(Volume& volume, Map& map, logical_block at) noexcept {
    if (at.value != 0) {
        BOOST_OUTCOME_TRY(const auto before, map.find({at.value - 1}));
        if (before && before->logical < at) return before->physical.first + (at - before->logical);
    }
    return volume.space.last_end();
}

}  // namespace detail

/// Where the next blocks of a write would best lie: behind its last ones; else where the object goes on. A small write
/// into the middle goes behind what was written last, so that a batch has few transfers.
template <class Volume, class Map>
result<block_index> place_for(Volume& volume, std::uint32_t tx, Map& map, logical_block at,
                              const object_state& object) noexcept {
    auto& state = volume.transactions[tx];
    if (!state.pieces.empty()) return state.pieces[state.pieces.size() - 1].physical.end();
    if (state.staged && byte_offset(at, volume.geometry.block) < object.size) return volume.space.last_end();
    return detail::goal_for(volume, map, at);
}

/// Writes bytes to fresh blocks, or in place to reserved ones that hold nothing yet, and flips the map in the
/// transaction. Errors: pinned; too_large beyond what one transaction holds; out_of_range; those of space, map and
/// device. Cost: the blocks of the range, written once; up to two read, where the range does not begin or end with a
/// block.
template <class Volume>
result<> write_object(Volume& volume, std::uint32_t tx, object_state& object, std::uint64_t offset,
                      std::span<const std::byte> bytes, space_use use) noexcept {
    if (bytes.empty()) return success();
    if (offset > object_bytes_max || bytes.size() > object_bytes_max - offset) return errc::out_of_range;
    auto&                state = volume.transactions[tx];
    block_source<Volume> source{volume, offset, bytes};
    const block_count    blocks = source.end() - source.first();
    if (blocks.value > state.sums.room()) return error{errc::too_large};
    BOOST_OUTCOME_TRY(source.load_edges(volume, tx, object));
    BOOST_OUTCOME_TRY(choose_staging(volume, tx, blocks));
    auto  map    = map_of(volume, tx, object, use);
    auto& pieces = state.pieces;
    pieces.clear();
    for (logical_block at = source.first(); at < source.end();) {
        if (pieces.full()) return error{errc::too_large};
        BOOST_OUTCOME_TRY(const auto stop, detail::fresh_end(map, at, source.end()));
        extent run;
        bool   pinned = false;
        if (stop > at) {
            BOOST_OUTCOME_TRY(const auto goal, place_for(volume, tx, map, at, object));
            BOOST_OUTCOME_TRY(run,
                              volume.space.reserve(volume.metadata(), volume.allocator,
                                                   {.blocks = stop - at, .goal = goal, .use = use, .is_data = true}));
        } else {
            BOOST_OUTCOME_TRY(const auto reserved, map.find(at));
            run    = part_of(reserved->physical, at - reserved->logical, source.end() - at);
            pinned = reserved->pinned;
        }
        BOOST_OUTCOME_TRY(write_run(volume, tx, source, at, run, stop > at));
        pieces.push({.logical = at, .physical = run, .pinned = pinned});
        at = at + run.count;
    }
    const auto                extents = object.map.extents;
    const retire_sink<Volume> sink{volume, tx, true};
    BOOST_OUTCOME_TRY(map.replace(source.first(), blocks, pieces.all(), sink));
    note_mapping(volume, tx, object, extents);
    if (object.size < offset + bytes.size()) object.size = offset + bytes.size();
    return success();
}

}  // namespace ashlar::inline v0
