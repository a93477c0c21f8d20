#pragma once
/// Strong values for places and sizes. Index, count and size are different types, so that they cannot be mixed up.

#include <bit>
#include <compare>
#include <cstdint>

namespace ashlar::inline v0 {

/// How many blocks.
struct block_count {
    std::uint64_t         value                                 = 0;
    friend constexpr auto operator<=>(block_count, block_count) = default;
};

/// Position of a block on its volume, counted in blocks from zero.
struct block_index {
    std::uint64_t         value                                 = 0;
    friend constexpr auto operator<=>(block_index, block_index) = default;
};

/// Position of a block inside an object or region, counted in blocks from its beginning. It stays while data moves.
struct logical_block {
    std::uint64_t         value                                     = 0;
    friend constexpr auto operator<=>(logical_block, logical_block) = default;
};

/// Bytes in a block: a power of two. Arithmetic on it is shifts, never a division.
struct block_size {
    std::uint32_t         bytes                               = 4096;
    friend constexpr auto operator<=>(block_size, block_size) = default;

    [[nodiscard]] constexpr unsigned shift() const noexcept { return static_cast<unsigned>(std::countr_zero(bytes)); }
};

/// Names one object for ever: ids are never used twice. Zero names none.
struct object_id {
    std::uint64_t                    value                             = 0;
    friend constexpr auto            operator<=>(object_id, object_id) = default;
    [[nodiscard]] constexpr explicit operator bool() const noexcept { return value != 0; }
};

/// Position of a batch in the history of a volume. Zero is the formatted state.
struct sequence {
    std::uint64_t         value                           = 0;
    friend constexpr auto operator<=>(sequence, sequence) = default;
};

inline constexpr std::uint32_t block_bytes_min = 512;
inline constexpr std::uint32_t block_bytes_max = 64 * 1024;

[[nodiscard]] constexpr bool is_block_size(std::uint64_t bytes) noexcept {
    return std::has_single_bit(bytes) && bytes >= block_bytes_min && bytes <= block_bytes_max;
}

constexpr block_count  operator+(block_count a, block_count b) noexcept { return {a.value + b.value}; }
constexpr block_count  operator-(block_count a, block_count b) noexcept { return {a.value - b.value}; }
constexpr block_count& operator+=(block_count& a, block_count b) noexcept { return a = a + b; }
constexpr block_count& operator-=(block_count& a, block_count b) noexcept { return a = a - b; }

constexpr block_index   operator+(block_index i, block_count n) noexcept { return {i.value + n.value}; }
constexpr block_index   operator-(block_index i, block_count n) noexcept { return {i.value - n.value}; }
constexpr block_count   operator-(block_index a, block_index b) noexcept { return {a.value - b.value}; }
constexpr logical_block operator+(logical_block i, block_count n) noexcept { return {i.value + n.value}; }
constexpr block_count   operator-(logical_block a, logical_block b) noexcept { return {a.value - b.value}; }

[[nodiscard]] constexpr std::uint64_t byte_offset(block_index i, block_size s) noexcept { return i.value << s.shift(); }
[[nodiscard]] constexpr std::uint64_t byte_offset(logical_block i, block_size s) noexcept {
    return i.value << s.shift();
}
[[nodiscard]] constexpr std::uint64_t bytes_of(block_count n, block_size s) noexcept { return n.value << s.shift(); }

/// Whole blocks in `bytes`; a part is dropped.
[[nodiscard]] constexpr block_count whole_blocks(std::uint64_t bytes, block_size s) noexcept {
    return {bytes >> s.shift()};
}

/// Blocks that hold `bytes`; a part takes a whole block. Does not overflow.
[[nodiscard]] constexpr block_count blocks_for(std::uint64_t bytes, block_size s) noexcept {
    return {(bytes >> s.shift()) + ((bytes & (s.bytes - 1U)) != 0 ? 1U : 0U)};
}

}  // namespace ashlar::inline v0
