#pragma once
/// How data blocks prove their bytes.

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

namespace ashlar::inline v0 {

/// A 64-bit checksum of one block. Semantics: equal bytes give equal sums, on every platform and in every version;
/// `format_id` names the algorithm on disk; with `enabled` false no sum is kept and `of` is never called.
template <class C>
concept Checksum = requires(std::span<const std::byte> bytes) {
    { C::format_id } -> std::convertible_to<std::uint32_t>;
    { C::enabled } -> std::convertible_to<bool>;
    { C::of(bytes) }
    noexcept->std::same_as<std::uint64_t>;
};

}  // namespace ashlar::inline v0
