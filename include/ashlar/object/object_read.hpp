#pragma once
/// Bytes of an object, from its blocks to the caller.

#include <ashlar/object/object_map.hpp>
#include <ashlar/volume/block_loader.hpp>

#include <array>

namespace ashlar::inline v0 {

/// The bytes of data blocks that are in memory because they are not on the device yet; empty when the device has the
/// block. They are believed: nothing has read them back.
template <class Volume>
[[nodiscard]] std::span<const std::byte> bytes_in_memory(Volume& volume, block_index block) noexcept {
    if (!volume.staged.empty()) {
        block_count left{};
        if (const auto* const bytes = volume.staged.find(block, left))
            return {bytes, static_cast<std::size_t>(bytes_of(left, volume.geometry.block))};
    }
    return volume.cache.riding_bytes(block);
}

/// Blocks from `block` on, at most `most`, that the device has.
template <class Volume>
[[nodiscard]] block_count blocks_on_device(Volume& volume, block_index block, block_count most) noexcept {
    if (!volume.staged.empty()) most = volume.staged.absent(block, most);
    if (volume.cache.riding() == 0) return most;
    for (block_count count{}; count < most; count += block_count{1}) {
        if (!volume.cache.riding_bytes(block + count).empty()) return count;
    }
    return most;
}

/// Lays what the journal of a read-only volume still holds over data blocks. The lock is held.
template <class Volume>
result<> lay_over_blocks(Volume& volume, extent blocks, std::span<std::byte> bytes) noexcept {
    const block_size size = volume.geometry.block;
    for (; !blocks.empty(); blocks = part_of(blocks, block_count{1}, blocks.count)) {
        BOOST_OUTCOME_TRY(volume.lay_over(blocks.first, bytes.first(size.bytes)));
        bytes = bytes.subspan(size.bytes);
    }
    return success();
}

/// Reads data blocks from the device; what the journal of a read-only volume still holds is laid over them.
template <class Volume>
result<> transfer_in(Volume& volume, extent blocks, std::span<std::byte> bytes) noexcept {
    BOOST_OUTCOME_TRY(volume.device.read(blocks, bytes));
    if (!volume.must_replay) return success();
    return lay_over_blocks(volume, blocks, bytes);
}

/// Checksums that the table holds for blocks from `first` on, as many as `sums` has places. Errors: those of
/// checksum_of.
template <class Volume>
result<> copy_checksums(Volume& volume, block_index first, std::span<std::uint64_t> sums) noexcept {
    if constexpr (Volume::checksum_type::enabled) {
        const block_size size = volume.geometry.block;
        while (!sums.empty()) {
            const auto place = checksum_place_of(volume.regions, first, size);
            BOOST_OUTCOME_TRY(const auto pin, checksum_block_at(volume, place, first));
            const auto  table = volume.cache.bytes(pin.slot());
            std::size_t count = sums_from(place, first, size);
            if (count > sums.size()) count = sums.size();
            for (std::size_t i = 0; i < count; ++i)
                sums[i] = load_little<std::uint64_t>(table.data() + place.byte + 8 * i);
            sums  = sums.subspan(count);
            first = first + block_count{count};
        }
    }
    return success();
}

/// Compares whole blocks with their checksums. Error: checksum_differs with the first wrong block.
template <class Volume>
result<> compare_blocks(const Volume& volume, extent blocks, std::span<const std::byte> bytes,
                        std::span<const std::uint64_t> sums) noexcept {
    if constexpr (Volume::checksum_type::enabled) {
        const block_size size = volume.geometry.block;
        for (std::size_t i = 0; i < sums.size(); ++i) {
            const auto block = bytes.subspan(i << size.shift(), size.bytes);
            if (Volume::checksum_type::of(block) != sums[i])
                return error{errc::checksum_differs, blocks.first + block_count{i}};
        }
    }
    return success();
}

/// Reads data blocks and proves them, the lock held. Errors: those of the device; checksum_differs with the block.
template <class Volume>
result<> read_blocks(Volume& volume, extent blocks, std::span<std::byte> bytes) noexcept {
    const block_size size = volume.geometry.block;
    while (!blocks.empty()) {
        const auto  here  = bytes_in_memory(volume, blocks.first);
        block_count count = whole_blocks(here.size(), size);
        if (count > blocks.count) count = blocks.count;
        if (!here.empty()) {
            std::memcpy(bytes.data(), here.data(), static_cast<std::size_t>(bytes_of(count, size)));
        } else {
            count           = blocks_on_device(volume, blocks.first, blocks.count);
            const auto part = part_of(blocks, block_count{0}, count);
            const auto into = bytes.first(static_cast<std::size_t>(bytes_of(count, size)));
            BOOST_OUTCOME_TRY(transfer_in(volume, part, into));
            BOOST_OUTCOME_TRY(verify_data(volume, part, std::span<const std::byte>{into}));
        }
        bytes  = bytes.subspan(static_cast<std::size_t>(bytes_of(count, size)));
        blocks = part_of(blocks, count, blocks.count);
    }
    return success();
}

/// The checksum that the transaction itself gave a block, if it wrote it: the table learns of it only when it joins.
template <class Volume>
[[nodiscard]] std::optional<std::uint64_t> own_checksum(Volume& volume, std::uint32_t tx, block_index block) noexcept {
    auto&                        state = volume.transactions[tx];
    std::optional<std::uint64_t> newest;
    for (const auto& run : state.taken.all()) {
        if (run.data && run.blocks.contains(block))
            newest = state.sums[run.sums + static_cast<std::size_t>((block - run.blocks.first).value)];
    }
    return newest;
}

/// Reads one logical block of an object that the transaction holds; zeros where nothing is mapped or written. The lock
/// is given up for the transfer: the mapping stays, since the object is locked.
template <class Volume>
result<> read_block(Volume& volume, std::uint32_t tx, object_state& object, logical_block at,
                    std::span<std::byte> block) noexcept {
    auto map = map_of(volume, tx, object, space_use::data);
    BOOST_OUTCOME_TRY(const auto found, map.find(at));
    if (!found || found->logical > at || found->unwritten) {
        std::memset(block.data(), 0, block.size());
        return success();
    }
    const block_index physical = found->physical.first + (at - found->logical);
    if (const auto here = bytes_in_memory(volume, physical); !here.empty()) {
        std::memcpy(block.data(), here.data(), block.size());
        return success();
    }
    std::uint64_t sum = 0;
    if (const auto own = own_checksum(volume, tx, physical)) {
        sum = *own;
    } else {
        BOOST_OUTCOME_TRY(copy_checksums(volume, physical, {&sum, 1}));
    }
    const extent one{physical, block_count{1}};
    return volume.lock.outside([&]() noexcept -> result<> {
        BOOST_OUTCOME_TRY(volume.device.read(one, block));
        return compare_blocks(volume, one, block, {&sum, 1});
    });
}

/// What one round of a read takes from the device.
///
/// A plan is made with the lock held: what is a hole or in memory is copied at once, the rest is listed with its
/// checksums. The transfers need no lock: the reader was announced to space, so that no block is used again meanwhile.
class read_plan {
  public:
    static constexpr std::size_t pieces_max = 8;
    static constexpr std::size_t blocks_max = 128;  // whose checksums a plan holds

    struct piece {
        extent      blocks;
        std::size_t into;  ///< Offset in the caller's memory.
        std::size_t bytes;
        std::size_t skip;  ///< Of the block's bytes, where only a part of one is wanted.
        std::size_t sums;  ///< Where its checksums begin.
        bool        part;  ///< Goes through a buffer.
    };

    /// Plans the bytes from `offset` on, as many as fit. Answers how many. Errors: those of map and checksum table.
    template <class Volume>
    result<std::size_t> make(Volume& volume, object_state& object, std::uint64_t offset,
                             std::span<std::byte> into) noexcept {
        count_ = sums_count_ = 0;
        generation_          = object.generation;
        auto        map      = map_of(volume, no_transaction, object, space_use::data);
        std::size_t done     = 0;
        while (done < into.size() && count_ < pieces_max && sums_count_ < blocks_max) {
            BOOST_OUTCOME_TRY(const auto found, map.find({(offset + done) >> volume.geometry.block.shift()}));
            BOOST_OUTCOME_TRY(const auto bytes, add(volume, found, offset + done, into, done));
            done += bytes;
        }
        return done;
    }

    [[nodiscard]] std::span<const piece> pieces() const noexcept { return std::span{pieces_}.first(count_); }
    [[nodiscard]] bool                   needs_buffer() const noexcept {
                          for (const auto& one : pieces()) {
                              if (one.part) return true;
        }
                          return false;
    }
    [[nodiscard]] std::uint64_t                  generation() const noexcept { return generation_; }
    [[nodiscard]] std::span<const std::uint64_t> sums(const piece& one) const noexcept {
        return std::span{sums_}.subspan(one.sums, static_cast<std::size_t>(one.blocks.count.value));
    }

    /// Reads what was planned. Needs no lock. `buffer` has one block where `needs_buffer`.
    template <class Volume>
    result<> transfer(Volume& volume, std::span<std::byte> into, std::span<std::byte> buffer) const noexcept {
        for (const auto& one : pieces()) {
            const auto bytes = one.part ? buffer : into.subspan(one.into, one.bytes);
            BOOST_OUTCOME_TRY(transfer_in(volume, one.blocks, bytes));
            BOOST_OUTCOME_TRY(finish(volume, one, into, bytes));
        }
        return success();
    }

    /// Proves what was read for a piece, and copies the part that is wanted.
    template <class Volume>
    result<> finish(Volume& volume, const piece& one, std::span<std::byte> into,
                    std::span<std::byte> bytes) const noexcept {
        BOOST_OUTCOME_TRY(compare_blocks(volume, one.blocks, bytes, sums(one)));
        if (one.part) std::memcpy(into.data() + one.into, bytes.data() + one.skip, one.bytes);
        return success();
    }

  private:
    template <class Volume>
    result<std::size_t> add(Volume& volume, const std::optional<mapped_extent>& found, std::uint64_t offset,
                            std::span<std::byte> into, std::size_t done) noexcept {
        const block_size    size = volume.geometry.block;
        const logical_block at{offset >> size.shift()};
        const std::size_t   skip = static_cast<std::size_t>(offset & (size.bytes - 1U));
        const std::size_t   left = into.size() - done;
        if (!found || found->logical > at || found->unwritten) {
            std::size_t bytes = left;
            if (found) {
                const std::uint64_t end =
                    found->logical > at ? found->logical.value : found->logical.value + found->physical.count.value;
                const std::uint64_t blocks = end - at.value;
                if (blocks <= (left >> size.shift()) + 1 && (blocks << size.shift()) - skip < left)
                    bytes = static_cast<std::size_t>((blocks << size.shift()) - skip);
            }
            std::memset(into.data() + done, 0, bytes);
            return bytes;
        }
        extent run = part_of(found->physical, at - found->logical, found->physical.count);
        if (const auto here = bytes_in_memory(volume, run.first); !here.empty()) {
            const auto        whole = static_cast<std::size_t>(bytes_of(run.count, size));
            const std::size_t most  = (here.size() < whole ? here.size() : whole) - skip;
            const std::size_t bytes = most < left ? most : left;
            std::memcpy(into.data() + done, here.data() + skip, bytes);
            return bytes;
        }
        piece& one = pieces_[count_];
        one        = {.blocks = {}, .into = done, .bytes = 0, .skip = skip, .sums = sums_count_, .part = false};
        if (skip != 0 || left < size.bytes) {
            one.blocks = {run.first, block_count{1}};
            one.bytes  = size.bytes - skip < left ? size.bytes - skip : left;
            one.part   = true;
        } else {
            block_count count = whole_blocks(left, size);
            if (count > run.count) count = run.count;
            if (count.value > blocks_max - sums_count_) count = block_count{blocks_max - sums_count_};
            one.blocks = {run.first, blocks_on_device(volume, run.first, count)};
            one.bytes  = static_cast<std::size_t>(bytes_of(one.blocks.count, size));
        }
        BOOST_OUTCOME_TRY(
            copy_checksums(volume, one.blocks.first,
                           std::span{sums_}.subspan(sums_count_, static_cast<std::size_t>(one.blocks.count.value))));
        sums_count_ += static_cast<std::size_t>(one.blocks.count.value);
        ++count_;
        return one.bytes;
    }

    // Filled as far as the counts say; a plan of one block should not pay for the others.
    std::array<piece, pieces_max>         pieces_;
    std::array<std::uint64_t, blocks_max> sums_;
    std::size_t                           count_      = 0;
    std::size_t                           sums_count_ = 0;
    std::uint64_t                         generation_ = 0;
};

/// A buffer of one block, waited for. Error: busy where nobody could give one back, because there is only one thread.
template <class Volume>
result<borrowed_buffer> borrow_edge(Volume& volume) noexcept {
    while (volume.edges.available() == 0) {
        if constexpr (!Volume::threading_type::concurrent) return errc::busy;
        volume.lock.wait();
    }
    return borrowed_buffer{volume.edges, volume.edges.borrow()};
}

/// Reads what a plan lists, without the lock. The reader is announced to space by the caller.
template <class Volume>
result<> run_plan(Volume& volume, const read_plan& plan, std::span<std::byte> into) noexcept {
    if (plan.pieces().empty()) return success();
    borrowed_buffer buffer;
    if (plan.needs_buffer()) { BOOST_OUTCOME_TRY(buffer, borrow_edge(volume)); }
    if (volume.must_replay) return plan.transfer(volume, into, buffer.bytes());  // asks the journal
    return volume.lock.outside([&]() noexcept { return plan.transfer(volume, into, buffer.bytes()); });
}

/// Counts a read of the foreground. The lock is held.
template <class Volume>
void note_read(Volume& volume, std::size_t bytes) noexcept {
    volume.metrics.reads.add(1);
    volume.metrics.bytes_read.add(bytes);
}

/// Reads from `offset` on, fewer bytes at the end of the object. What several rounds read is one moment's: where the
/// object changed between two, it begins again. Answers the bytes; `raced` after too many changes.
template <class Volume>
result<std::size_t> read_once(Volume& volume, object_id id, std::uint64_t offset, std::span<std::byte> into) noexcept {
    std::size_t   done       = 0;
    std::size_t   bytes      = into.size();
    std::uint64_t generation = 0;
    do {
        read_plan  plan;
        const auto planned = with_loads(volume, [&]() noexcept -> result<std::size_t> {
            BOOST_OUTCOME_TRY(object_state* const object, view_object(volume, id));
            if (done != 0 && object->generation != generation) return errc::raced;
            const std::uint64_t left = offset < object->size ? object->size - offset : 0;
            if (left < bytes) bytes = static_cast<std::size_t>(left);
            return plan.make(volume, *object, offset + done, into.subspan(done, bytes - done));
        });
        BOOST_OUTCOME_TRY(planned);
        const auto ticket = volume.space.enter_reader();
        const auto read   = run_plan(volume, plan, into.subspan(done));
        volume.space.leave_reader(ticket);
        BOOST_OUTCOME_TRY(read);
        generation = plan.generation();
        done += planned.value();
    } while (done < bytes);
    note_read(volume, bytes);
    return bytes;
}

/// Compares blocks with the table, hashing without the lock.
template <class Volume>
result<> prove_held_blocks(Volume& volume, extent blocks, std::span<const std::byte> bytes) noexcept {
    std::array<std::uint64_t, read_plan::blocks_max> sums;
    while (!blocks.empty()) {
        const auto part  = part_of(blocks, block_count{0}, block_count{sums.size()});
        const auto proof = std::span{sums}.first(static_cast<std::size_t>(part.count.value));
        const auto here  = bytes.first(static_cast<std::size_t>(bytes_of(part.count, volume.geometry.block)));
        BOOST_OUTCOME_TRY(with_loads(volume, [&]() noexcept { return copy_checksums(volume, part.first, proof); }));
        BOOST_OUTCOME_TRY(volume.lock.outside([&]() noexcept { return compare_blocks(volume, part, here, proof); }));
        bytes  = bytes.subspan(here.size());
        blocks = part_of(blocks, part.count, blocks.count);
    }
    return success();
}

/// Reads data blocks that space holds for the caller, and proves them; the lock is given up for the transfer.
/// Errors: those of the device; checksum_differs with the block.
template <class Volume>
result<> read_held_blocks(Volume& volume, extent blocks, std::span<std::byte> bytes) noexcept {
    const block_size size = volume.geometry.block;
    while (!blocks.empty()) {
        const auto  here  = bytes_in_memory(volume, blocks.first);
        block_count count = whole_blocks(here.size(), size);
        if (count > blocks.count) count = blocks.count;
        if (here.empty()) count = blocks_on_device(volume, blocks.first, blocks.count);
        const auto part = part_of(blocks, block_count{0}, count);
        const auto into = bytes.first(static_cast<std::size_t>(bytes_of(count, size)));
        if (!here.empty()) {
            std::memcpy(into.data(), here.data(), into.size());
        } else if constexpr (!Volume::threading_type::concurrent) {
            BOOST_OUTCOME_TRY(transfer_in(volume, part, into));
            BOOST_OUTCOME_TRY(verify_data(volume, part, std::span<const std::byte>{into}));
        } else {
            BOOST_OUTCOME_TRY(volume.lock.outside([&]() noexcept { return volume.device.read(part, into); }));
            BOOST_OUTCOME_TRY(prove_held_blocks(volume, part, into));
        }
        bytes  = bytes.subspan(into.size());
        blocks = part_of(blocks, count, blocks.count);
    }
    return success();
}

}  // namespace ashlar::inline v0
