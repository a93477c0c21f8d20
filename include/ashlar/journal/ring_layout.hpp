#pragma once
/// Where the blocks of a ring lie, and where its batches begin.

#include <ashlar/concepts/journal.hpp>

#include <array>
#include <cstddef>

namespace ashlar::inline v0 {

/// A ring as its reader and its writer see it. Positions count from its first block, so that the ring can move.
struct ring_layout {
    extent     blocks{};
    block_size size{};
    volume_id  volume{};

    /// The position `count` blocks on. Precondition: position < ring, count <= ring.
    [[nodiscard]] constexpr std::uint64_t advance(std::uint64_t position, std::uint64_t count) const noexcept {
        const auto left = blocks.count.value - position;
        return count < left ? position + count : count - left;
    }
    /// Blocks from one position to another. Zero when they are equal: the caller knows whether that is none or all.
    [[nodiscard]] constexpr std::uint64_t distance(std::uint64_t from, std::uint64_t to) const noexcept {
        return to >= from ? to - from : blocks.count.value - from + to;
    }
    [[nodiscard]] constexpr block_index at(std::uint64_t position) const noexcept {
        return blocks.first + block_count{position};
    }
};

/// The longest ring: its bytes and its blocks then fit every sum that is made of them.
inline constexpr std::uint64_t ring_blocks_max = 0xFFFF'FFFF;

/// The most bytes that one entry carries: the largest metadata block, which is a frame.
[[nodiscard]] constexpr std::uint32_t entry_bytes_max(block_size size) noexcept {
    return size.bytes < 4096 ? 4096 : size.bytes;
}

/// A batch's beginning, seen before the batch is read or written.
struct batch_boundary {
    sequence              number{1};
    std::uint64_t         position = 0;  ///< Of its first block in the ring.
    std::uint64_t         chain    = 0;  ///< Hash of the batch before.
    friend constexpr bool operator==(const batch_boundary&, const batch_boundary&) = default;
};

/// A bounded number of beginnings between the tail and the next batch; both are always among them. When memory is full
/// every second one is dropped, so that old ones get sparse and the newest stay dense.
class batch_boundaries {
  public:
    static constexpr std::size_t count_max = 64;

    void restart(batch_boundary tail) noexcept {
        known_[0] = tail;
        count_    = 1;
    }
    /// Precondition: `next` is newer than all.
    void remember(batch_boundary next) noexcept {
        if (count_ == count_max) {
            for (std::size_t i = 1; i < count_max / 2; ++i) known_[i] = known_[2 * i];
            count_ = count_max / 2;
        }
        known_[count_++] = next;
    }
    /// The newest one that is not behind `wanted`; the oldest when all are.
    [[nodiscard]] batch_boundary at_or_before(sequence wanted) const noexcept {
        std::size_t i = count_ - 1;
        while (i > 0 && known_[i].number > wanted) --i;
        return known_[i];
    }
    /// `tail` becomes the oldest. Precondition: it is one of them.
    void forget_before(batch_boundary tail) noexcept {
        std::size_t kept = 0;
        for (std::size_t i = 0; i < count_; ++i) {
            if (known_[i].number >= tail.number) known_[kept++] = known_[i];
        }
        count_ = kept;
    }
    /// `next` becomes the newest, whether or not it was one of them.
    void cut_at(batch_boundary next) noexcept {
        while (count_ > 0 && known_[count_ - 1].number >= next.number) --count_;
        remember(next);
    }
    [[nodiscard]] const batch_boundary& tail() const noexcept { return known_[0]; }
    [[nodiscard]] const batch_boundary& next() const noexcept { return known_[count_ - 1]; }

  private:
    std::array<batch_boundary, count_max> known_{};
    std::size_t                           count_ = 1;
};

/// Blocks between the tail and the next batch.
[[nodiscard]] constexpr std::uint64_t blocks_between(const ring_layout& ring, const batch_boundary& from,
                                                     const batch_boundary& to) noexcept {
    if (from.number == to.number) return 0;
    const auto distance = ring.distance(from.position, to.position);
    return distance == 0 ? ring.blocks.count.value : distance;  // Batches take blocks, so the same place is one lap on.
}

}  // namespace ashlar::inline v0
