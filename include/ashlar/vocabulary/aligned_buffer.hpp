#pragma once
/// Memory taken once: lent by the caller or owned, always aligned.

#include <ashlar/vocabulary/result.hpp>

#include <cstddef>
#include <cstring>
#include <new>
#include <span>
#include <utility>

namespace ashlar::inline v0 {

/// Owned bytes are zeroed and freed with the buffer; lent bytes stay the caller's.
class aligned_buffer {
  public:
    aligned_buffer() noexcept                        = default;
    aligned_buffer(const aligned_buffer&)            = delete;
    aligned_buffer& operator=(const aligned_buffer&) = delete;
    aligned_buffer(aligned_buffer&& other) noexcept
        : bytes_{std::exchange(other.bytes_, {})}, free_{std::exchange(other.free_, nullptr)} {}
    aligned_buffer& operator=(aligned_buffer&& other) noexcept {
        if (this != &other) {
            release();
            bytes_ = std::exchange(other.bytes_, {});
            free_  = std::exchange(other.free_, nullptr);
        }
        return *this;
    }
    ~aligned_buffer() { release(); }

    /// Takes `size` bytes from the heap. Error: workspace_too_small when the heap has none.
    [[nodiscard]] static result<aligned_buffer> allocate(std::size_t size) noexcept;

    static constexpr std::size_t alignment = 4096;  ///< Of owned bytes: enough for every direct transfer.

    /// Uses bytes that the caller keeps alive.
    [[nodiscard]] static aligned_buffer lend(std::span<std::byte> bytes) noexcept {
        aligned_buffer buffer;
        buffer.bytes_ = bytes;
        return buffer;
    }

    [[nodiscard]] std::span<std::byte>       bytes() noexcept { return bytes_; }
    [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }

  private:
    void release() noexcept {
        if (free_ != nullptr) free_(bytes_.data());
        free_  = nullptr;
        bytes_ = {};
    }

    std::span<std::byte> bytes_{};
    void (*free_)(void*) noexcept = nullptr;  // null: lent. A pointer, so that a build that only lends links no heap
};

inline result<aligned_buffer> aligned_buffer::allocate(std::size_t size) noexcept {
    void* const memory = ::operator new (size, std::align_val_t{alignment}, std::nothrow);
    if (memory == nullptr) return errc::workspace_too_small;
    aligned_buffer buffer;
    buffer.bytes_ = {static_cast<std::byte*>(memory), size};
    buffer.free_  = [](void* bytes) noexcept { ::operator delete (bytes, std::align_val_t{alignment}); };
    std::memset(memory, 0, size);
    return buffer;
}

}  // namespace ashlar::inline v0
