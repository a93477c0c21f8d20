#pragma once
/// A group's bitmap on disk: bit i is bit i % 8 of byte i / 8; 1 means in use (in the second bitmap: trimmed).

#include <ashlar/concepts/allocator.hpp>
#include <ashlar/vocabulary/little_endian.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

namespace ashlar::inline v0 {

/// Bytes of a bitmap block that a run of bits touches.
struct bitmap_bytes {
    std::uint32_t         offset                                 = 0;
    std::uint32_t         length                                 = 0;
    friend constexpr bool operator==(bitmap_bytes, bitmap_bytes) = default;
};

/// Precondition: run.count > 0.
[[nodiscard]] constexpr bitmap_bytes bytes_of_run(group_run run) noexcept {
    const std::uint32_t first = run.first / 8U;
    return {first, (run.first + run.count - 1U) / 8U - first + 1U};
}

/// Sets or clears the bits of a run in the bytes that `bytes_of_run` names, which `touched` holds.
inline void write_run(std::span<std::byte> touched, group_run run, bool set) noexcept {
    const std::uint32_t shift = run.first % 8U;
    for (std::uint32_t at = shift; at < shift + run.count;) {
        const std::uint32_t low  = at % 8U;
        const std::uint32_t left = shift + run.count - at;
        const std::uint32_t here = left < 8U - low ? left : 8U - low;
        const auto          mask = static_cast<std::byte>((0xFFU >> (8U - here)) << low);
        touched[at / 8U]         = set ? touched[at / 8U] | mask : touched[at / 8U] & ~mask;
        at += here;
    }
}

/// Reads the bitmap of a group of `blocks` blocks into words. Bits of the words past `blocks` become set, whatever the
/// disk says. Precondition: `words` holds at least `blocks` bits, and `bytes` a whole number of words that holds them
/// or more.
inline void load_bitmap(std::span<bitmap_word> words, std::span<const std::byte> bytes, std::uint32_t blocks) noexcept {
    constexpr std::uint32_t bits = sizeof(bitmap_word) * 8U;
    for (std::size_t w = 0; w < words.size(); ++w) {
        const bool inside = w * bits < blocks;
        words[w]          = inside ? load_little<bitmap_word>(bytes.data() + w * sizeof(bitmap_word)) : ~bitmap_word{0};
    }
    if (blocks % bits != 0) words[blocks / bits] |= static_cast<bitmap_word>(~bitmap_word{0} << (blocks % bits));
}

/// Words of a group whose bitmap was never written.
inline void clear_bitmap(std::span<bitmap_word> words, std::uint32_t blocks) noexcept {
    constexpr std::uint32_t bits = sizeof(bitmap_word) * 8U;
    for (std::size_t w = 0; w < words.size(); ++w) words[w] = w * bits < blocks ? bitmap_word{0} : ~bitmap_word{0};
    if (blocks % bits != 0) words[blocks / bits] |= static_cast<bitmap_word>(~bitmap_word{0} << (blocks % bits));
}

/// Writes the words as they stand on disk. Bits past `blocks` are written clear. Precondition: as of load_bitmap.
inline void store_bitmap(std::span<std::byte> bytes, std::span<const bitmap_word> words,
                         std::uint32_t blocks) noexcept {
    constexpr std::uint32_t bits = sizeof(bitmap_word) * 8U;
    for (std::size_t w = 0; w * bits < blocks; ++w) {
        const auto  left = static_cast<std::uint32_t>(blocks - w * bits);
        bitmap_word word = words[w];
        if (left < bits) word &= static_cast<bitmap_word>(~(~bitmap_word{0} << left));
        store_little<bitmap_word>(bytes.data() + w * sizeof(bitmap_word), word);
    }
}

}  // namespace ashlar::inline v0
