#pragma once
/// Lengths of free runs, in classes that are fine where runs are short.

#include <ashlar/config.hpp>
#include <ashlar/format/group_record.hpp>

#include <bit>
#include <cstdint>

namespace ashlar::inline v0 {

/// A class of run lengths; the longer the runs, the higher its number.
using length_class = std::uint32_t;

/// Lengths to 255 have a class each; an octave of longer ones has 64, so that a run of the best class wastes no more
/// than a sixty-fourth. With 8 an octave the holes that are left grow useless: a volume that stayed 95 % full under a
/// mixed load lost its long free runs and at last refused requests, where an exact best fit kept 40 % of its free
/// space in one run. bench/allocator_bench.cpp is that load.
inline constexpr std::uint32_t exact_lengths     = 255;
inline constexpr std::uint32_t octave_bits       = 6;
inline constexpr std::uint32_t classes_in_octave = 1U << octave_bits;
inline constexpr length_class  length_classes    = exact_lengths + classes_in_octave * 7U;

/// Precondition: 1 <= count <= group_blocks_max.
[[nodiscard]] constexpr length_class length_class_of(std::uint32_t count) noexcept {
    if (count <= exact_lengths) return count - 1U;
    const auto octave = static_cast<std::uint32_t>(std::bit_width(count)) - 9U;
    return exact_lengths + octave * classes_in_octave +
           ((count >> (octave + 8U - octave_bits)) & (classes_in_octave - 1U));
}

/// The shortest length of a class.
[[nodiscard]] constexpr std::uint32_t shortest_in(length_class c) noexcept {
    if (c < exact_lengths) return c + 1U;
    const std::uint32_t step = c - exact_lengths;
    return (classes_in_octave + step % classes_in_octave) << (step / classes_in_octave + 8U - octave_bits);
}

/// The longest length of a class.
[[nodiscard]] constexpr std::uint32_t longest_in(length_class c) noexcept { return shortest_in(c + 1U) - 1U; }

static_assert(length_class_of(1) == 0 && length_class_of(255) == 254 && length_class_of(256) == 255);
static_assert(shortest_in(254) == 255 && longest_in(254) == 255 && shortest_in(255) == 256 && longest_in(255) == 259);
static_assert(length_class_of(group_blocks_max) == length_classes - 1U);

}  // namespace ashlar::inline v0
