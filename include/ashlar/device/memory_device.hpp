#pragma once
/// Blocks in memory: for tests, for volumes that need not survive the process, and for memory-mapped parts of a
/// firmware.

#include <ashlar/concepts/block_device.hpp>
#include <ashlar/vocabulary/aligned_buffer.hpp>

#include <cstring>
#include <utility>

namespace ashlar::inline v0 {

/// Owned or lent bytes as a block device.
/// `sync` has nothing to do. `trim` keeps the bytes, so that an image depends on its writes alone.
/// Safe from: several threads, as long as no two of them touch the same block and one of them writes it; where regions
/// move or volumes are copied while threads write, it wants a device in front that takes turns.
class memory_device {
  public:
    /// Takes zeroed blocks from the heap.
    /// Errors: invalid_argument for a bad block size, no block at all or more bytes than an address can count;
    /// workspace_too_small when the heap has not enough.
    [[nodiscard]] static result<memory_device> create(block_size size, block_count blocks) noexcept {
        if (!is_block_size(size.bytes) || blocks.value == 0) return errc::invalid_argument;
        if (blocks > whole_blocks(static_cast<std::size_t>(-1), size)) return errc::invalid_argument;
        BOOST_OUTCOME_TRY(auto memory, aligned_buffer::allocate(static_cast<std::size_t>(bytes_of(blocks, size))));
        return memory_device{std::move(memory), size};
    }

    /// Uses the whole blocks in bytes that the caller keeps alive; what they hold stays.
    /// Errors: invalid_argument for a bad block size or less than one block.
    [[nodiscard]] static result<memory_device> lend(std::span<std::byte> bytes, block_size size) noexcept {
        if (!is_block_size(size.bytes) || bytes.size() < size.bytes) return errc::invalid_argument;
        return memory_device{aligned_buffer::lend(bytes), size};
    }

    [[nodiscard]] device_geometry geometry() const noexcept {
        return {.size = size_, .blocks = whole_blocks(memory_.bytes().size(), size_)};
    }

    [[nodiscard]] result<> read(extent e, std::span<std::byte> in) noexcept {
        if (!transfer_fits(geometry(), e, in.size())) return error{errc::out_of_range, e.first};
        if (!in.empty()) std::memcpy(in.data(), place(e.first), in.size());
        return success();
    }

    [[nodiscard]] result<> write(extent e, std::span<const std::byte> out) noexcept {
        if (!transfer_fits(geometry(), e, out.size())) return error{errc::out_of_range, e.first};
        if (!out.empty()) std::memcpy(place(e.first), out.data(), out.size());
        return success();
    }

    [[nodiscard]] result<> sync() noexcept { return success(); }

    [[nodiscard]] result<> trim(extent e) noexcept {
        if (!lies_in(e, {block_index{0}, geometry().blocks})) return error{errc::out_of_range, e.first};
        return success();
    }

    /// The image itself.
    [[nodiscard]] std::span<std::byte>       bytes() noexcept { return memory_.bytes(); }
    [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return memory_.bytes(); }

  private:
    memory_device(aligned_buffer memory, block_size size) noexcept : memory_{std::move(memory)}, size_{size} {}

    std::byte* place(block_index i) noexcept {
        return memory_.bytes().data() + static_cast<std::size_t>(byte_offset(i, size_));
    }

    aligned_buffer memory_;
    block_size     size_;
};
static_assert(BlockDevice<memory_device>);

}  // namespace ashlar::inline v0
