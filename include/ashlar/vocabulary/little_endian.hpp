#pragma once
/// Integers as they stand on disk: byte arrays in little-endian order, so without padding, alignment or byte order.

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

namespace ashlar::inline v0 {

template <std::unsigned_integral T>
[[nodiscard]] constexpr T swap_to_little(T value) noexcept {
    if constexpr (std::endian::native == std::endian::little || sizeof(T) == 1) {
        return value;
    } else {
        T swapped = 0;
        for (std::size_t i = 0; i < sizeof(T); ++i) {
            swapped = static_cast<T>((swapped << 8U) | ((value >> (8U * i)) & 0xFFU));
        }
        return swapped;
    }
}

/// Reads a little-endian integer from the first bytes of `from`. Precondition: it has that many.
template <std::unsigned_integral T>
[[nodiscard]] inline T load_little(const std::byte* from) noexcept {
    T value;
    std::memcpy(&value, from, sizeof value);
    return swap_to_little(value);
}

template <std::unsigned_integral T>
inline void store_little(std::byte* to, std::type_identity_t<T> value) noexcept {
    value = swap_to_little(value);
    std::memcpy(to, &value, sizeof value);
}

/// An integer inside an on-disk struct.
template <std::unsigned_integral T>
struct little_endian {
    std::byte bytes[sizeof(T)]{};

    little_endian() noexcept = default;
    little_endian(T value) noexcept { store_little<T>(bytes, value); }
    [[nodiscard]] operator T() const noexcept { return load_little<T>(bytes); }
};

using le_u16 = little_endian<std::uint16_t>;
using le_u32 = little_endian<std::uint32_t>;
using le_u64 = little_endian<std::uint64_t>;

static_assert(sizeof(le_u64) == 8 && alignof(le_u64) == 1);

/// Copies an on-disk struct out of `from`. Precondition: `from` is long enough.
template <class Struct>
    requires(std::is_trivially_copyable_v<Struct> && alignof(Struct) == 1)
[[nodiscard]] inline Struct load_struct(std::span<const std::byte> from) noexcept {
    Struct value;
    std::memcpy(static_cast<void*>(&value), from.data(), sizeof value);
    return value;
}

/// Copies an on-disk struct into `to`. Precondition: `to` is long enough.
template <class Struct>
    requires(std::is_trivially_copyable_v<Struct> && alignof(Struct) == 1)
inline void store_struct(std::span<std::byte> to, const Struct& value) noexcept {
    std::memcpy(to.data(), &value, sizeof value);
}

/// Four letters as they stand in the file, in reading order.
[[nodiscard]] constexpr std::uint32_t tag_of(const char (&letters)[5]) noexcept {
    std::uint32_t tag = 0;
    for (unsigned i = 0; i < 4; ++i)
        tag |= static_cast<std::uint32_t>(static_cast<unsigned char>(letters[i])) << (8U * i);
    return tag;
}

}  // namespace ashlar::inline v0
