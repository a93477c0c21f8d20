#pragma once
/// Looks at a stretch of the ring through a window that only moves on.

#include <ashlar/journal/ring_layout.hpp>

#include <cstring>

namespace ashlar::inline v0 {

/// A read that is tried twice: a passing fault must not look like the end of history.
template <BlockDevice D>
result<> read_twice(D& device, extent e, std::span<std::byte> in) noexcept {
    if (auto first = device.read(e, in)) return first;
    return device.read(e, in);
}

/// Reads ahead in runs as large as the memory, across the boundaries of batches: a walk over many small batches costs
/// what one over a few large ones does. Offsets count bytes from the block at which the reader starts.
template <BlockDevice D>
class ring_reader {
  public:
    /// Precondition: start < ring, blocks <= ring, memory of a few blocks.
    ring_reader(D& device, const ring_layout& ring, std::uint64_t start, std::uint64_t blocks,
                std::span<std::byte> memory) noexcept
        : device_{device}, ring_{ring}, memory_{memory}, start_{start}, blocks_{blocks} {}

    [[nodiscard]] const ring_layout& ring() const noexcept { return ring_; }
    [[nodiscard]] std::uint64_t      blocks() const noexcept { return blocks_; }
    [[nodiscard]] std::uint64_t      bytes_read() const noexcept { return bytes_read_; }

    /// Ring position of the reader's block `block`.
    [[nodiscard]] std::uint64_t position_of(std::uint64_t block) const noexcept { return ring_.advance(start_, block); }
    /// The same as a block of the device.
    [[nodiscard]] block_index where(std::uint64_t block) const noexcept { return ring_.at(position_of(block)); }

    /// The bytes from `offset` on, valid until the next call. Precondition: they lie in the reader's blocks and, with
    /// the parts of blocks around them, in the memory.
    [[nodiscard]] result<std::span<const std::byte>> view(std::uint64_t offset, std::size_t length) noexcept {
        const auto first = offset >> ring_.size.shift();
        const auto last  = (offset + length - 1) >> ring_.size.shift();
        ASHLAR_ASSERT(length > 0 && last < blocks_);
        if (first < window_ || last >= window_ + held_) { BOOST_OUTCOME_TRY(refill(first)); }
        ASHLAR_ASSERT(last < window_ + held_);
        const auto skip = static_cast<std::size_t>(offset - (window_ << ring_.size.shift()));
        return std::span<const std::byte>{memory_.subspan(skip, length)};
    }

  private:
    [[nodiscard]] std::size_t bytes(std::uint64_t blocks) const noexcept {
        return static_cast<std::size_t>(blocks << ring_.size.shift());
    }

    /// Moves the window to block `first`; what it held from there on is kept.
    result<> refill(std::uint64_t first) noexcept {
        std::uint64_t kept = 0;
        if (first >= window_ && first < window_ + held_) {
            kept = window_ + held_ - first;
            std::memmove(memory_.data(), memory_.data() + bytes(first - window_), bytes(kept));
        }
        window_         = first;
        held_           = kept;
        const auto room = whole_blocks(memory_.size(), ring_.size).value - held_;
        const auto left = blocks_ - (window_ + held_);
        auto       want = room < left ? room : left;
        while (want > 0) {
            const auto position = position_of(window_ + held_);
            const auto ahead    = ring_.blocks.count.value - position;
            const auto count    = want < ahead ? want : ahead;
            BOOST_OUTCOME_TRY(
                read_twice(device_, {ring_.at(position), {count}}, memory_.subspan(bytes(held_), bytes(count))));
            bytes_read_ += bytes(count);
            held_ += count;
            want -= count;
        }
        return success();
    }

    D&                   device_;
    ring_layout          ring_;
    std::span<std::byte> memory_;
    std::uint64_t        start_;
    std::uint64_t        blocks_;
    std::uint64_t        window_     = 0;  // First block in memory.
    std::uint64_t        held_       = 0;  // Blocks in memory.
    std::uint64_t        bytes_read_ = 0;
};

}  // namespace ashlar::inline v0
