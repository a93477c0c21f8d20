#pragma once
/// How the id of an object says where its record is.

#include <ashlar/vocabulary/address.hpp>

namespace ashlar::inline v0 {

/// An id is the number of its record, counted from 1, in the high 40 bits, and how often the record was used before in
/// the low 24: ids are never used twice, and their order is the order of the table.
inline constexpr unsigned      object_reuse_bits = 24;
inline constexpr std::uint64_t object_reuse_max  = (std::uint64_t{1} << object_reuse_bits) - 1;

[[nodiscard]] constexpr object_id object_id_of(std::uint64_t record, std::uint64_t reuse) noexcept {
    return {((record + 1) << object_reuse_bits) | reuse};
}
/// Precondition: the id names a record, as every id that is not zero and came from a store does.
[[nodiscard]] constexpr std::uint64_t record_of(object_id id) noexcept { return (id.value >> object_reuse_bits) - 1; }
[[nodiscard]] constexpr bool names_record(object_id id) noexcept { return (id.value >> object_reuse_bits) != 0; }

}  // namespace ashlar::inline v0
