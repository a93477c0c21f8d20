#pragma once
/// Which windows of users' regions were written since somebody looked last.

#include <ashlar/allocator/bitmap_words.hpp>
#include <ashlar/config.hpp>
#include <ashlar/format/region_directory.hpp>

#include <bit>
#include <utility>

namespace ashlar::inline v0 {

/// Notes writes to all regions of a volume while a copy of it is made.
///
/// A window is a run of 64 blocks of a region. Each falls on one of the bits of the memory, whatever the number of
/// regions and their sizes: so memory is bounded, and windows that share a bit are copied once too often, never too
/// seldom. There are two sets of bits. Writes are noted in the open one; `turn` closes it, to be asked, and opens the
/// other. A write is noted before and after it reaches the device, so one that spans a turn is in both. Notes and turns
/// are made under the engine's lock; the closed set is the owner's alone.
class region_watch {
  public:
    static constexpr std::uint64_t window_blocks = 64;

    region_watch() noexcept = default;
    /// Precondition: at least two words.
    explicit region_watch(std::span<bitmap_word> memory) noexcept {
        ASHLAR_ASSERT(memory.size() >= 2);
        const auto each = std::bit_floor(memory.size() / 2);
        open_           = memory.first(each);
        closed_         = memory.subspan(each, each);
        clear(open_);
        clear(closed_);
    }

    void note(region_id name, extent written) noexcept {
        if (written.empty()) return;
        const std::uint64_t first = written.first.value / window_blocks;
        const std::uint64_t last  = (written.end().value - 1) / window_blocks;
        const std::uint64_t bits  = std::uint64_t{open_.size()} * word_bits;
        for (std::uint64_t i = 0; i <= last - first && i < bits; ++i)
            set_bits(open_, {bit_of(name, first + i), 1});  // so many windows in a row are all the bits there are
    }

    /// What was noted until now is asked for from here on, and what was asked for before is forgotten.
    void turn() noexcept {
        clear(closed_);
        std::swap(open_, closed_);
    }

    /// Whether that window was written between the last two turns.
    [[nodiscard]] bool wrote(region_id name, std::uint64_t window) const noexcept {
        return is_set(closed_, bit_of(name, window));
    }

    bool held = false;  ///< Writers of every region wait.

  private:
    /// Windows of a region that follow each other fall on bits that follow each other.
    [[nodiscard]] std::uint32_t bit_of(region_id name, std::uint64_t window) const noexcept {
        const std::uint64_t region = (std::uint64_t{name.type} << 32U | name.number) * 0x9E37'79B9'7F4A'7C15U;
        return static_cast<std::uint32_t>(((region >> 32U) + window) & (std::uint64_t{closed_.size()} * word_bits - 1));
    }
    static void clear(std::span<bitmap_word> words) noexcept {
        for (auto& word : words) word = 0;
    }

    std::span<bitmap_word> open_{};
    std::span<bitmap_word> closed_{};
};

}  // namespace ashlar::inline v0
