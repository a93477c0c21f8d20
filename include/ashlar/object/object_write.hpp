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

/// One write on its way: the bytes, and the first and last block where they fill only a part.
template <class Volume>
class block_source {
  public:
    block_source(Volume& volume, std::uint64_t offset, std::span<const std::byte> bytes) noexcept
        : size_{volume.geometry.block},
          offset_{offset},
          bytes_{bytes},
          first_{offset >> size_.shift()},
          last_{(offset + bytes.size() - 1) >> size_.shift()},
          head_{volume.staging.first(size_.bytes)},
          tail_{volume.staging.subspan(size_.bytes, size_.bytes)} {}

    [[nodiscard]] logical_block first() const noexcept { return first_; }
    [[nodiscard]] logical_block end() const noexcept { return last_ + block_count{1}; }

    /// Completes the edges with what the object holds there. Errors: those of reading two blocks.
    result<> load_edges(Volume& volume, std::uint32_t tx, object_state& object) noexcept {
        const std::size_t mask  = size_.bytes - 1U;
        const std::size_t begin = static_cast<std::size_t>(offset_ & mask);
        const std::size_t stop  = static_cast<std::size_t>((offset_ + bytes_.size() - 1) & mask) + 1;
        head_partial_           = begin != 0 || (first_ == last_ && stop != size_.bytes);
        tail_partial_           = first_ != last_ && stop != size_.bytes;
        if (head_partial_) {
            BOOST_OUTCOME_TRY(read_block(volume, tx, object, first_, head_));
            const std::size_t length = size_.bytes - begin < bytes_.size() ? size_.bytes - begin : bytes_.size();
            std::memcpy(head_.data() + begin, bytes_.data(), length);
        }
        if (tail_partial_) {
            BOOST_OUTCOME_TRY(read_block(volume, tx, object, last_, tail_));
            std::memcpy(tail_.data(), bytes_.data() + (bytes_.size() - stop), stop);
        }
        return success();
    }

    /// The longest contiguous memory that holds at most `count` blocks from `at` on.
    [[nodiscard]] std::span<const std::byte> blocks(logical_block at, block_count count) const noexcept {
        if (head_partial_ && at == first_) return head_;
        if (tail_partial_ && at == last_) return tail_;
        const auto        stop  = tail_partial_ ? last_ : end();
        const auto        most  = stop - at;
        const std::size_t start = static_cast<std::size_t>(byte_offset(at, size_) - offset_);
        return bytes_.subspan(start, static_cast<std::size_t>(bytes_of(count < most ? count : most, size_)));
    }

    /// Copies as many of the blocks as `memory` holds into it.
    [[nodiscard]] std::span<const std::byte> gather(logical_block at, block_count count,
                                                    std::span<std::byte> memory) const noexcept {
        std::size_t gathered = 0;
        while (count.value != 0) {
            const auto piece = blocks(at, count);
            if (piece.size() > memory.size() - gathered) break;
            std::memcpy(memory.data() + gathered, piece.data(), piece.size());
            gathered += piece.size();
            at    = at + whole_blocks(piece.size(), size_);
            count = count - whole_blocks(piece.size(), size_);
        }
        return memory.first(gathered);
    }

  private:
    block_size                 size_;
    std::uint64_t              offset_;
    std::span<const std::byte> bytes_;
    logical_block              first_;
    logical_block              last_;
    std::span<std::byte>       head_;
    std::span<std::byte>       tail_;
    bool                       head_partial_ = false;
    bool                       tail_partial_ = false;
};

/// Writes the source's blocks from `at` on to `run`, which the transaction takes from here on, and notes their
/// checksums. `fresh`: the run was reserved for this; else it is reserved space of the object, written in place.
/// Errors: too_large; those of the device. Small pieces are gathered, so that a small write is one transfer.
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
    if (state.sums.room() < run.count.value) return error{errc::too_large, run.first};
    const auto staging = volume.staging.subspan(2 * std::size_t{size.bytes});
    while (!run.empty()) {
        auto piece = source.blocks(at, run.count);
        if (piece.size() < bytes_of(run.count, size) && piece.size() <= staging.size())
            piece = source.gather(at, run.count, staging);
        const auto count = whole_blocks(piece.size(), size);
        for (std::uint64_t i = 0; i < count.value; ++i) {
            state.sums.push(
                Volume::checksum_type::of(piece.subspan(static_cast<std::size_t>(i << size.shift()), size.bytes)));
        }
        BOOST_OUTCOME_TRY(volume.device.write({run.first, count}, piece));
        at  = at + count;
        run = part_of(run, count, run.count);
    }
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

/// Writes bytes to fresh blocks, or in place to reserved ones that hold nothing yet, and flips the map in the
/// transaction. Errors: pinned; too_large beyond what one transaction holds; out_of_range; those of space, map and
/// device. Cost: the blocks of the range, written once; up to two read, where the range does not begin or end with a
/// block.
template <class Volume>
result<> write_object(Volume& volume, std::uint32_t tx, object_state& object, std::uint64_t offset,
                      std::span<const std::byte> bytes, space_use use) noexcept {
    if (bytes.empty()) return success();
    if (offset > object_bytes_max || bytes.size() > object_bytes_max - offset) return errc::out_of_range;
    block_source<Volume> source{volume, offset, bytes};
    if ((source.end() - source.first()).value > volume.transactions[tx].sums.room()) return error{errc::too_large};
    BOOST_OUTCOME_TRY(source.load_edges(volume, tx, object));
    auto  map    = map_of(volume, tx, object, use);
    auto& pieces = volume.pieces;
    pieces.clear();
    for (logical_block at = source.first(); at < source.end();) {
        if (pieces.full()) return error{errc::too_large};
        BOOST_OUTCOME_TRY(const auto stop, detail::fresh_end(map, at, source.end()));
        if (stop > at) {
            block_index goal{};
            if (pieces.empty()) {
                BOOST_OUTCOME_TRY(goal, detail::goal_for(volume, map, at));
            } else {
                goal = pieces[pieces.size() - 1].physical.end();
            }
            BOOST_OUTCOME_TRY(const auto run, volume.space.reserve(volume.metadata(), volume.allocator,
                                                                   {.blocks = stop - at, .goal = goal, .use = use}));
            BOOST_OUTCOME_TRY(write_run(volume, tx, source, at, run, true));
            pieces.push({.logical = at, .physical = run});
            at = at + run.count;
            continue;
        }
        BOOST_OUTCOME_TRY(const auto reserved, map.find(at));
        const auto left = source.end() - at;
        const auto run  = part_of(reserved->physical, at - reserved->logical, left);
        BOOST_OUTCOME_TRY(write_run(volume, tx, source, at, run, false));
        pieces.push({.logical = at, .physical = run, .pinned = reserved->pinned});
        at = at + run.count;
    }
    const auto                extents = object.map.extents;
    const retire_sink<Volume> sink{volume, tx, true};
    BOOST_OUTCOME_TRY(map.replace(source.first(), source.end() - source.first(), pieces.all(), sink));
    note_mapping(volume, tx, object, extents);
    if (object.size < offset + bytes.size()) object.size = offset + bytes.size();
    return success();
}

}  // namespace ashlar::inline v0
