#pragma once
/// A run of blocks.

#include <ashlar/vocabulary/address.hpp>

namespace ashlar::inline v0 {

/// Blocks `first` to `first + count - 1`. May be empty.
struct extent {
    block_index           first{};
    block_count           count{};
    friend constexpr auto operator<=>(extent, extent) = default;

    [[nodiscard]] constexpr block_index end() const noexcept { return first + count; }
    [[nodiscard]] constexpr bool        empty() const noexcept { return count.value == 0; }
    [[nodiscard]] constexpr bool contains(block_index i) const noexcept { return i >= first && i - first < count; }
};

[[nodiscard]] constexpr bool overlap(extent a, extent b) noexcept {
    return !a.empty() && !b.empty() && (a.contains(b.first) || b.contains(a.first));
}

/// Whether `inner` lies in `outer`. Safe for any numbers: nothing overflows.
[[nodiscard]] constexpr bool lies_in(extent inner, extent outer) noexcept {
    if (inner.first < outer.first) return false;
    const auto lead = inner.first - outer.first;
    return lead <= outer.count && inner.count <= outer.count - lead;
}

/// The blocks that lie in both; empty where none does. Precondition: neither reaches beyond the last number.
[[nodiscard]] constexpr extent common_part(extent a, extent b) noexcept {
    if (!overlap(a, b)) return {};
    const auto first = a.first < b.first ? b.first : a.first;
    const auto end   = a.end() < b.end() ? a.end() : b.end();
    return {first, end - first};
}

/// The part from block `skip` on, of at most `count` blocks. Precondition: skip <= whole.count.
[[nodiscard]] constexpr extent part_of(extent whole, block_count skip, block_count count) noexcept {
    const auto left = whole.count - skip;
    return {whole.first + skip, count < left ? count : left};
}

}  // namespace ashlar::inline v0
