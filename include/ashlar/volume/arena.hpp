#pragma once
/// Hands out the workspace, piece by piece, once.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>

namespace ashlar::inline v0 {

/// A bump allocator over lent bytes. Without bytes it only counts: the same code that lays a store out says how large
/// its workspace must be. Nothing is ever given back; types placed in it need no destructor.
class arena {
  public:
    constexpr arena() noexcept = default;  ///< Counts.
    explicit arena(std::span<std::byte> memory) noexcept : memory_{memory} {}

    /// Room for `count` values, default constructed; an empty span while counting or when the memory is spent.
    template <class T>
    constexpr std::span<T> take(std::size_t count) noexcept {
        std::byte* const at = advance(count * sizeof(T), alignof(T));
        if (at == nullptr) return {};
        T* const first = reinterpret_cast<T*>(at);
        for (std::size_t i = 0; i < count; ++i) ::new (static_cast<void*>(first + i)) T{};
        return {first, count};
    }

    constexpr std::span<std::byte> take_bytes(std::size_t count, std::size_t alignment) noexcept {
        std::byte* const at = advance(count, alignment);
        if (at == nullptr) return {};
        return {at, count};
    }

    [[nodiscard]] constexpr std::size_t used() const noexcept { return used_; }
    [[nodiscard]] constexpr bool        spent() const noexcept { return !memory_.empty() && used_ > memory_.size(); }

  private:
    constexpr std::byte* advance(std::size_t bytes, std::size_t alignment) noexcept {
        // Counting assumes the worst address, so that a counted size fits wherever the memory lies.
        if (memory_.empty()) {
            used_ += bytes + alignment - 1;
            return nullptr;
        }
        const auto address = reinterpret_cast<std::uintptr_t>(memory_.data()) + used_;
        const auto padding = (alignment - (address & (alignment - 1))) & (alignment - 1);
        used_ += padding + bytes;
        return used_ <= memory_.size() ? memory_.data() + (used_ - bytes) : nullptr;
    }

    std::span<std::byte> memory_{};
    std::size_t          used_ = 0;
};

}  // namespace ashlar::inline v0
