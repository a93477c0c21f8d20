#pragma once
/// Memory of one block each, for the parts of blocks that callers read and write.

#include <ashlar/vocabulary/extent.hpp>
#include <ashlar/volume/arena.hpp>

#include <bit>

namespace ashlar::inline v0 {

/// At most 32 buffers of one block. Whoever takes one gives it back; the caller's lock covers every call.
class buffer_pool {
  public:
    static constexpr std::size_t buffers_max = 32;

    constexpr void take(arena& from, block_size block, std::size_t buffers, std::size_t alignment) noexcept {
        const std::size_t count = buffers < buffers_max ? buffers : buffers_max;
        block_                  = block;
        bytes_                  = from.take_bytes(count << block.shift(), alignment);
        free_                   = count == 32 ? ~std::uint32_t{0} : (std::uint32_t{1} << count) - 1U;
    }

    [[nodiscard]] std::size_t available() const noexcept { return static_cast<std::size_t>(std::popcount(free_)); }

    /// One buffer; empty when all are taken.
    [[nodiscard]] std::span<std::byte> borrow() noexcept {
        if (free_ == 0) return {};
        const auto which = static_cast<std::size_t>(std::countr_zero(free_));
        free_ &= free_ - 1U;
        return bytes_.subspan(which << block_.shift(), block_.bytes);
    }
    void give_back(std::span<std::byte> buffer) noexcept {
        free_ |= std::uint32_t{1} << (static_cast<std::size_t>(buffer.data() - bytes_.data()) >> block_.shift());
    }

  private:
    block_size           block_{};
    std::span<std::byte> bytes_{};
    std::uint32_t        free_ = 0;
};

/// A buffer for a scope. Taken with the lock held, and given back so.
class [[nodiscard]] borrowed_buffer {
  public:
    borrowed_buffer() noexcept = default;
    borrowed_buffer(buffer_pool& pool, std::span<std::byte> bytes) noexcept : pool_{&pool}, bytes_{bytes} {}
    borrowed_buffer(borrowed_buffer&& other) noexcept : pool_{other.pool_}, bytes_{other.bytes_} {
        other.pool_ = nullptr;
    }
    borrowed_buffer& operator=(borrowed_buffer&& other) noexcept {
        if (this != &other) {
            release();
            pool_       = other.pool_;
            bytes_      = other.bytes_;
            other.pool_ = nullptr;
        }
        return *this;
    }
    borrowed_buffer(const borrowed_buffer&)            = delete;
    borrowed_buffer& operator=(const borrowed_buffer&) = delete;
    ~borrowed_buffer() { release(); }

    [[nodiscard]] std::span<std::byte> bytes() const noexcept { return bytes_; }

    void release() noexcept {
        if (pool_ != nullptr) pool_->give_back(bytes_);
        pool_ = nullptr;
    }

  private:
    buffer_pool*         pool_ = nullptr;
    std::span<std::byte> bytes_{};
};

}  // namespace ashlar::inline v0
