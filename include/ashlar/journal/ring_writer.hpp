#pragma once
/// Puts one batch on the ring, through lent memory.

#include <ashlar/format/batch.hpp>
#include <ashlar/journal/ring_layout.hpp>

#include <cstring>

namespace ashlar::inline v0 {

/// Writes `bytes`, whole blocks, from `position` on; around the end of the ring with a second write.
template <BlockDevice D>
result<> write_ring(D& device, const ring_layout& ring, std::uint64_t position,
                    std::span<const std::byte> bytes) noexcept {
    const auto count = whole_blocks(bytes.size(), ring.size).value;
    const auto ahead = ring.blocks.count.value - position;
    const auto lead  = count < ahead ? count : ahead;
    const auto cut   = static_cast<std::size_t>(bytes_of({lead}, ring.size));
    BOOST_OUTCOME_TRY(device.write({ring.at(position), {lead}}, bytes.first(cut)));
    if (lead == count) return success();
    return device.write({ring.at(0), {count - lead}}, bytes.subspan(cut));
}

/// Writes zeros over all of the ring, in runs as long as the memory, and syncs. A ring that the file system has not
/// allocated is written too: blocks of a hole, or of an extent that was only reserved, would make each first batch on
/// them a change of the file system's own metadata, for which the batch's sync would wait.
template <BlockDevice D>
result<> clear_ring(D& device, const ring_layout& ring, std::span<std::byte> memory) noexcept {
    std::memset(memory.data(), 0, memory.size());
    const auto run_max = whole_blocks(memory.size(), ring.size);
    for (block_count done{}; done < ring.blocks.count;) {
        const auto run = part_of(ring.blocks, done, run_max);
        BOOST_OUTCOME_TRY(device.write(run, memory.first(static_cast<std::size_t>(bytes_of(run.count, ring.size)))));
        done += run.count;
    }
    return device.sync();
}

/// Gathers the bytes of a batch and hashes them on the way. Memory that holds the whole batch makes one write of it;
/// less memory makes one write each time it is full.
class ring_writer {
  public:
    /// Precondition: `memory` has a block at least.
    void start(const ring_layout& ring, std::uint64_t position, std::span<std::byte> memory,
               std::uint64_t seed) noexcept {
        memory_   = memory.first(static_cast<std::size_t>(bytes_of(whole_blocks(memory.size(), ring.size), ring.size)));
        position_ = position;
        seed_     = seed;
        filled_ = hashed_ = 0;
        written_          = 0;
        hash_.restart(seed);
    }
    /// Bytes of the batch so far: the place of what is put next.
    [[nodiscard]] std::uint64_t place() const noexcept { return written_ + filled_; }
    [[nodiscard]] std::uint64_t seed() const noexcept { return seed_; }

    /// The hash of all bytes so far.
    [[nodiscard]] std::uint64_t digest() noexcept {
        hash_.update(memory_.subspan(hashed_, filled_ - hashed_));
        hashed_ = filled_;
        return hash_.digest();
    }

    template <BlockDevice D>
    result<> put(D& device, const ring_layout& ring, std::span<const std::byte> bytes) noexcept {
        while (!bytes.empty()) {
            if (filled_ == memory_.size()) { BOOST_OUTCOME_TRY(write_out(device, ring)); }
            const auto room  = memory_.size() - filled_;
            const auto count = bytes.size() < room ? bytes.size() : room;
            std::memcpy(memory_.data() + filled_, bytes.data(), count);
            filled_ += count;
            bytes = bytes.subspan(count);
        }
        return success();
    }

    /// Ends the batch; the rest of its last block is zero. What is left in memory is the caller's to write.
    /// Precondition: something is in it, as it is after any `put`.
    [[nodiscard]] ring_writes finish(const ring_layout& ring) noexcept {
        const auto whole = static_cast<std::size_t>(bytes_of(blocks_for(filled_, ring.size), ring.size));
        std::memset(memory_.data() + filled_, 0, whole - filled_);
        const auto  bytes = std::span<const std::byte>{memory_.first(whole)};
        const auto  count = whole_blocks(whole, ring.size).value;
        const auto  ahead = ring.blocks.count.value - position_;
        const auto  lead  = count < ahead ? count : ahead;
        const auto  cut   = static_cast<std::size_t>(bytes_of({lead}, ring.size));
        ring_writes left;
        ASHLAR_ASSERT(lead != 0);
        left.runs[left.count++] = {{ring.at(position_), {lead}}, bytes.first(cut)};
        if (lead != count) left.runs[left.count++] = {{ring.at(0), {count - lead}}, bytes.subspan(cut)};
        filled_ = hashed_ = 0;
        return left;
    }

  private:
    template <BlockDevice D>
    result<> write_out(D& device, const ring_layout& ring) noexcept {
        hash_.update(memory_.subspan(hashed_, filled_ - hashed_));
        BOOST_OUTCOME_TRY(write_ring(device, ring, position_, memory_.first(filled_)));
        position_ = ring.advance(position_, whole_blocks(filled_, ring.size).value);
        written_ += filled_;
        filled_ = hashed_ = 0;
        return success();
    }

    std::span<std::byte> memory_{};
    std::uint64_t        position_ = 0;  // Of the memory's first block.
    std::uint64_t        seed_     = 0;
    std::uint64_t        written_  = 0;  // Bytes that left the memory.
    std::size_t          filled_   = 0;
    std::size_t          hashed_   = 0;  // Of `filled_`.
    xxh64_stream         hash_;
};

}  // namespace ashlar::inline v0
