#pragma once
/// Small writes on their way to the device.

#include <ashlar/volume/transaction.hpp>

#include <cstring>

namespace ashlar::inline v0 {

/// Blocks that wait in memory for the next batch, which writes neighbours with one transfer. One half of the memory is
/// filled while the other is being written; readers find the bytes here until they are on the device.
///
/// Invariants: a block is in at most one half; what lies in the half that is being written does not change.
class staged_writes {
  public:
    struct run {
        extent      blocks{};
        std::size_t byte = 0;  ///< Of its first block, in its half.
    };

    constexpr void take(arena& from, block_size block, std::size_t bytes, std::size_t alignment) noexcept {
        block_                   = block;
        const std::size_t blocks = (bytes / 2) >> block.shift();
        for (auto& half : halves_) {
            half.bytes = from.take_bytes(blocks << block.shift(), alignment);
            half.runs.lend(from.take<run>(blocks));
        }
    }

    void clear() noexcept {
        for (auto& half : halves_) half.runs.clear();
        filling_ = 0;
        flying_  = false;
    }

    /// Blocks that one half holds: what is longer is never staged.
    [[nodiscard]] block_count capacity() const noexcept { return whole_blocks(halves_[0].bytes.size(), block_); }

    [[nodiscard]] bool empty() const noexcept { return halves_[0].runs.empty() && halves_[1].runs.empty(); }

    /// Whether so many blocks can be added now, in however many runs.
    [[nodiscard]] bool has_room(block_count blocks) const noexcept {
        const auto& half = halves_[filling_];
        return half.bytes.size() - filled(half) >= bytes_of(blocks, block_);
    }

    /// Memory for a run, to be filled before the lock is given up. Precondition: has_room.
    [[nodiscard]] std::span<std::byte> add(extent blocks) noexcept {
        auto&             half  = halves_[filling_];
        const std::size_t at    = filled(half);
        const auto        bytes = static_cast<std::size_t>(bytes_of(blocks.count, block_));
        auto* const       last  = half.runs.empty() ? nullptr : &half.runs[half.runs.size() - 1];
        if (last != nullptr && last->blocks.end() == blocks.first) {
            last->blocks.count += blocks.count;
        } else {
            half.runs.push({blocks, at});
        }
        return half.bytes.subspan(at, bytes);
    }

    /// Takes the newest blocks out again: their write did not happen. Precondition: they were added last.
    void take_back(extent blocks) noexcept {
        auto& half = halves_[filling_];
        if (half.runs.empty()) return;
        auto& last = half.runs[half.runs.size() - 1];
        if (!lies_in(blocks, last.blocks)) return;
        ASHLAR_ASSERT(last.blocks.end() == blocks.end());
        last.blocks.count = last.blocks.count - blocks.count;
        if (last.blocks.empty()) half.runs.resize(half.runs.size() - 1);
    }

    /// The bytes of a block that is not on the device yet; null when it is. `left` says how many blocks follow in
    /// memory, itself included.
    [[nodiscard]] const std::byte* find(block_index block, block_count& left) const noexcept {
        for (const auto& half : halves_) {
            for (const auto& one : half.runs.all()) {
                if (!one.blocks.contains(block)) continue;
                left = one.blocks.end() - block;
                return half.bytes.data() + one.byte +
                       static_cast<std::size_t>(bytes_of(block - one.blocks.first, block_));
            }
        }
        return nullptr;
    }

    [[nodiscard]] bool overlaps(extent blocks) const noexcept {
        for (const auto& half : halves_) {
            for (const auto& one : half.runs.all()) {
                if (overlap(one.blocks, blocks)) return true;
            }
        }
        return false;
    }

    /// Blocks from `block` on, at most `most`, that are not here. Precondition: the first is not.
    [[nodiscard]] block_count absent(block_index block, block_count most) const noexcept {
        for (const auto& half : halves_) {
            for (const auto& one : half.runs.all()) {
                if (one.blocks.first >= block && one.blocks.first < block + most) most = one.blocks.first - block;
            }
        }
        return most;
    }

    // Writing it. ---------------------------------------------------------------------------------------------------

    /// Whether the other half is being written.
    [[nodiscard]] bool flying() const noexcept { return flying_; }

    /// Begins to write what was gathered. Precondition: not flying.
    void take_off() noexcept {
        ASHLAR_ASSERT(!flying_);
        flying_  = true;
        filling_ = 1U - filling_;
    }

    [[nodiscard]] std::span<const run>       in_flight() const noexcept { return halves_[1U - filling_].runs.all(); }
    [[nodiscard]] std::span<const std::byte> bytes(const run& one) const noexcept {
        return halves_[1U - filling_].bytes.subspan(one.byte,
                                                    static_cast<std::size_t>(bytes_of(one.blocks.count, block_)));
    }

    /// What was in flight is on the device.
    void land() noexcept {
        flying_ = false;
        halves_[1U - filling_].runs.clear();
    }

    /// What waits is written by somebody else.
    void forget_waiting() noexcept { halves_[filling_].runs.clear(); }

    /// The runs that wait, none of them in flight.
    [[nodiscard]] std::span<const run> waiting() const noexcept { return halves_[filling_].runs.all(); }

  private:
    struct half_memory {
        std::span<std::byte> bytes{};
        bounded_list<run>    runs{};
    };

    [[nodiscard]] std::size_t filled(const half_memory& one) const noexcept {
        if (one.runs.empty()) return 0;
        const auto& last = one.runs.all().back();
        return last.byte + static_cast<std::size_t>(bytes_of(last.blocks.count, block_));
    }

    block_size  block_{};
    half_memory halves_[2]{};
    std::size_t filling_ = 0;
    bool        flying_  = false;
};

}  // namespace ashlar::inline v0
