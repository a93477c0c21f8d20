#pragma once
/// How long the free runs of groups are at most, where their bitmaps are not in memory.

#include <ashlar/volume/arena.hpp>

#include <bit>

namespace ashlar::inline v0 {

/// One byte for each cell of 2^k neighbouring groups; k is chosen when the volume is opened, so that the memory does
/// not grow with it.
///
/// Invariant: no group of a cell has a free run of more blocks than the cell says, so a search that trusts it misses
/// nothing. A run that comes free in a group that cannot be looked at makes its cell unknown.
class run_hints {
  public:
    constexpr void take(arena& from, std::size_t cells) noexcept { memory_ = from.take<std::uint8_t>(cells); }

    /// Begins without knowledge. Precondition: groups > 0, and memory was taken.
    void open(std::uint64_t groups) noexcept {
        groups_ = groups;
        shift_  = 0;
        while (((groups - 1U) >> shift_) >= memory_.size()) ++shift_;
        cells_ = memory_.first(static_cast<std::size_t>((groups - 1U) >> shift_) + 1U);
        for (auto& cell : cells_) cell = unknown;
    }

    [[nodiscard]] std::size_t   cells() const noexcept { return cells_.size(); }
    [[nodiscard]] std::size_t   cell_of(std::uint64_t group) const noexcept { return group >> shift_; }
    [[nodiscard]] std::uint64_t first_group(std::size_t cell) const noexcept { return std::uint64_t{cell} << shift_; }
    [[nodiscard]] std::uint64_t end_group(std::size_t cell) const noexcept {
        const std::uint64_t end = first_group(cell + 1U);
        return end < groups_ ? end : groups_;
    }
    /// Whether a cell is one group, so that what is seen of the group is all there is to know.
    [[nodiscard]] bool is_exact() const noexcept { return shift_ == 0; }

    /// Whether a group of the cell may have a free run of so many blocks.
    [[nodiscard]] bool may_hold(std::size_t cell, std::uint32_t blocks) const noexcept {
        return cells_[cell] >= class_of(blocks);
    }
    /// The first cell of [from, end) that may hold so many blocks; `end` where none may.
    [[nodiscard]] std::size_t next(std::size_t from, std::size_t end, std::uint32_t blocks) const noexcept {
        const std::uint8_t wanted = class_of(blocks);
        while (from < end && cells_[from] < wanted) ++from;
        return from;
    }
    /// The first of the cells with the longest runs, of those about which something is known; `cells()` where that is
    /// not more than `blocks`.
    [[nodiscard]] std::size_t highest_above(std::uint32_t blocks) const noexcept {
        std::size_t  highest = cells_.size();
        std::uint8_t most    = class_of(blocks);
        for (std::size_t cell = 0; cell < cells_.size(); ++cell) {
            if (cells_[cell] == unknown || cells_[cell] <= most) continue;
            most    = cells_[cell];
            highest = cell;
        }
        return highest;
    }

    /// All groups of the cell were looked at. Precondition: none has a longer free run.
    void lower(std::size_t cell, std::uint32_t longest) noexcept {
        const auto now = class_of(longest);
        if (cells_[cell] > now) cells_[cell] = now;
    }
    /// A group has a run of so many blocks now.
    void raise(std::uint64_t group, std::uint32_t blocks) noexcept {
        auto&      cell = cells_[cell_of(group)];
        const auto now  = class_of(blocks);
        if (cell < now) cell = now;
    }
    /// Blocks of the group came free, and what they joined is not known.
    void forget(std::uint64_t group) noexcept { cells_[cell_of(group)] = unknown; }

    /// The class of a length, four to an octave. Longer runs have no lower class, so a cell never says less than it
    /// must: it says the shortest length of the class above.
    [[nodiscard]] static constexpr std::uint8_t class_of(std::uint32_t blocks) noexcept {
        if (blocks < 4U) return static_cast<std::uint8_t>(blocks);
        const auto octave   = static_cast<std::uint32_t>(std::bit_width(blocks)) - 1U;
        const auto quarters = ((blocks - 1U) >> (octave - 2U)) + 1U;  // rounded up: 4 to 8 in an octave
        return static_cast<std::uint8_t>(octave * 4U + quarters - 4U);
    }

  private:
    static constexpr std::uint8_t unknown = 255;  // more than any length

    std::span<std::uint8_t> memory_{};
    std::span<std::uint8_t> cells_{};
    std::uint64_t           groups_ = 0;
    unsigned                shift_  = 0;
};
static_assert(run_hints::class_of(3) < run_hints::class_of(4) && run_hints::class_of(8) == 12);
static_assert(run_hints::class_of(9) == 13 && run_hints::class_of(10) == 13 && run_hints::class_of(11) == 14);
static_assert(run_hints::class_of(1U << 15U) < 255);

}  // namespace ashlar::inline v0
