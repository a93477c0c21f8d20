#pragma once
/// Runs of bits in an array of words. Bit i is bit i % word_bits of word i / word_bits.

#include <ashlar/concepts/allocator.hpp>
#include <ashlar/config.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

namespace ashlar::inline v0 {

inline constexpr std::uint32_t word_bits = std::numeric_limits<bitmap_word>::digits;

/// Words that hold `bits` bits.
[[nodiscard]] constexpr std::size_t words_for(std::uint32_t bits) noexcept {
    return (bits + word_bits - 1U) / word_bits;
}

/// Calls `each(word index, mask)` for every word that the run touches.
template <class Each>
constexpr void for_each_word(group_run run, Each each) noexcept {
    std::uint32_t       at  = run.first;
    const std::uint32_t end = run.first + run.count;
    while (at < end) {
        const std::uint32_t low  = at % word_bits;
        const std::uint32_t here = end - at < word_bits - low ? end - at : word_bits - low;
        const bitmap_word   ones = ~bitmap_word{0} >> (word_bits - here);
        each(std::size_t{at / word_bits}, static_cast<bitmap_word>(ones << low));
        at += here;
    }
}

constexpr void set_bits(std::span<bitmap_word> words, group_run run) noexcept {
    for_each_word(run, [&](std::size_t w, bitmap_word mask) noexcept { words[w] |= mask; });
}

constexpr void clear_bits(std::span<bitmap_word> words, group_run run) noexcept {
    for_each_word(run, [&](std::size_t w, bitmap_word mask) noexcept { words[w] &= ~mask; });
}

/// How many bits of the run are set.
[[nodiscard]] constexpr std::uint32_t count_set(std::span<const bitmap_word> words, group_run run) noexcept {
    std::uint32_t set = 0;
    for_each_word(run, [&](std::size_t w, bitmap_word mask) noexcept {
        set += static_cast<std::uint32_t>(std::popcount(static_cast<bitmap_word>(words[w] & mask)));
    });
    return set;
}

[[nodiscard]] constexpr bool is_set(std::span<const bitmap_word> words, std::uint32_t bit) noexcept {
    return (words[bit / word_bits] >> (bit % word_bits) & 1U) != 0;
}

/// The first bit from `from` on whose word, xored with `flip`, has it set; `end` when there is none before.
[[nodiscard]] constexpr std::uint32_t next_bit(std::span<const bitmap_word> words, std::uint32_t from,
                                               std::uint32_t end, bitmap_word flip) noexcept {
    if (from >= end) return end;
    std::size_t       w    = from / word_bits;
    const std::size_t last = (end - 1U) / word_bits;
    bitmap_word       word = static_cast<bitmap_word>((words[w] ^ flip) >> (from % word_bits) << (from % word_bits));
    while (word == 0) {
        if (w == last) return end;
        word = words[++w] ^ flip;
    }
    const auto found = static_cast<std::uint32_t>(w * word_bits) + static_cast<std::uint32_t>(std::countr_zero(word));
    return found < end ? found : end;
}

[[nodiscard]] constexpr std::uint32_t next_set(std::span<const bitmap_word> words, std::uint32_t from,
                                               std::uint32_t end) noexcept {
    return next_bit(words, from, end, 0);
}

[[nodiscard]] constexpr std::uint32_t next_clear(std::span<const bitmap_word> words, std::uint32_t from,
                                                 std::uint32_t end) noexcept {
    return next_bit(words, from, end, ~bitmap_word{0});
}

[[nodiscard]] constexpr bool all_clear(std::span<const bitmap_word> words, group_run run) noexcept {
    return next_set(words, run.first, run.first + run.count) == run.first + run.count;
}

[[nodiscard]] constexpr bool all_set(std::span<const bitmap_word> words, group_run run) noexcept {
    return next_clear(words, run.first, run.first + run.count) == run.first + run.count;
}

/// Where the clear bits that end just before `end` begin; `end` itself when the bit before it is set.
[[nodiscard]] constexpr std::uint32_t clear_before(std::span<const bitmap_word> words, std::uint32_t end) noexcept {
    std::uint32_t at = end;
    while (at > 0) {
        const std::uint32_t here = (at - 1U) % word_bits + 1U;  // bits of the word below `at`, 1 to word_bits
        const auto          word = static_cast<bitmap_word>(words[(at - 1U) / word_bits] << (word_bits - here));
        if (word != 0) return at - static_cast<std::uint32_t>(std::countl_zero(word));
        at -= here;
    }
    return 0;
}

/// The whole clear run around `inside`, which itself must be clear; an empty `inside` joins what lies at both its
/// sides.
[[nodiscard]] constexpr group_run clear_run_around(group_view group, group_run inside) noexcept {
    const std::uint32_t first = clear_before(group.busy, inside.first);
    return {first, next_set(group.busy, inside.first + inside.count, group.blocks) - first};
}

/// Calls `each(run)` for the clear runs that begin in [from, end), in order, while it answers true. Runs are cut at
/// `from` and `end`. Runs shorter than `at_least` may be left out: long ones hold a clear word, which is found much
/// faster.
template <class Each>
constexpr void for_each_clear_run(std::span<const bitmap_word> words, std::uint32_t from, std::uint32_t end,
                                  std::uint32_t at_least, Each each) noexcept {
    const bool    skip_words = at_least >= 2U * word_bits - 1U;
    std::uint32_t at         = from;
    while (at < end) {
        std::uint32_t first = at;
        if (skip_words) {
            std::size_t w = words_for(at);
            while (w * word_bits < end && words[w] != 0) ++w;
            if (w * word_bits >= end) return;
            first = clear_before(words, static_cast<std::uint32_t>(w * word_bits));
            first = first < from ? from : first;
        } else {
            first = next_clear(words, at, end);
            if (first == end) return;
        }
        const std::uint32_t stop = next_set(words, first, end);
        if (!each(group_run{first, stop - first})) return;
        at = stop;
    }
}

/// The first of the longest clear runs of [from, end); empty when all bits are set.
[[nodiscard]] constexpr group_run longest_clear_run(std::span<const bitmap_word> words, std::uint32_t from,
                                                    std::uint32_t end) noexcept {
    group_run longest{};
    for_each_clear_run(words, from, end, 1, [&](group_run run) noexcept {
        if (run.count > longest.count) longest = run;
        return true;
    });
    return longest;
}

}  // namespace ashlar::inline v0
