#pragma once
/// Which bytes of a block have changed, in granules of eight.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

namespace ashlar::inline v0 {

using bits_word                            = std::size_t;
inline constexpr std::size_t granule_bytes = 8;
inline constexpr std::size_t bits_per_word = 8 * sizeof(bits_word);

[[nodiscard]] constexpr std::size_t dirty_words(std::size_t block_bytes) noexcept {
    return (block_bytes / granule_bytes + bits_per_word - 1) / bits_per_word;
}

/// A view of one block's change marks. A granule costs a bit, so that many small changes of a block become few entries,
/// and one change of 100 bytes stays one entry of little more.
class dirty_bits {
  public:
    explicit constexpr dirty_bits(std::span<bits_word> words) noexcept : words_{words} {}

    constexpr void clear() noexcept {
        for (auto& word : words_) word = 0;
    }

    constexpr void mark(std::size_t offset, std::size_t length) noexcept {
        if (length == 0) return;
        const std::size_t last = (offset + length - 1) / granule_bytes;
        for (std::size_t i = offset / granule_bytes; i <= last; ++i) {
            const std::size_t bit = i % bits_per_word;
            if (bit == 0 && last - i >= bits_per_word) {  // a whole word at once
                words_[i / bits_per_word] = ~bits_word{0};
                i += bits_per_word - 1;
            } else {
                words_[i / bits_per_word] |= bits_word{1} << bit;
            }
        }
    }

    /// Calls `visit(offset, length)` for each changed run, in order. Runs nearer than `gap` bytes become one.
    template <class Visit>
    constexpr void for_each_run(Visit&& visit, std::size_t gap = 0) const {
        const std::size_t end = words_.size() * bits_per_word;
        std::size_t       at  = next(0, true);
        while (at < end) {
            std::size_t stop  = next(at, false);
            std::size_t again = next(stop, true);
            while (again < end && (again - stop) * granule_bytes <= gap) {
                stop  = next(again, false);
                again = next(stop, true);
            }
            visit(at * granule_bytes, (stop - at) * granule_bytes);
            at = again;
        }
    }

  private:
    /// The first granule from `from` on that is set (or clear); the end when there is none.
    [[nodiscard]] constexpr std::size_t next(std::size_t from, bool set) const noexcept {
        const std::size_t end = words_.size() * bits_per_word;
        while (from < end) {
            bits_word word = words_[from / bits_per_word];
            if (!set) word = ~word;
            word >>= from % bits_per_word;
            if (word != 0) return from + static_cast<std::size_t>(std::countr_zero(word));
            from = (from / bits_per_word + 1) * bits_per_word;
        }
        return end;
    }

    std::span<bits_word> words_;
};

}  // namespace ashlar::inline v0
