#pragma once
/// The image of a device that is used and put back many times.

#include <ashlar/checksum/xxh3.hpp>
#include <ashlar/concepts/block_device.hpp>
#include <ashlar/testing/random_bits.hpp>

#include <vector>

namespace ashlar::inline v0 {

/// A copy of an original that knows which of its blocks were written since they were last equal, so that putting it
/// back and telling the difference cost as much as was written. Syncs and trims do nothing. Safe from: one thread.
class scratch_image {
  public:
    scratch_image(block_size size, block_count blocks)
        : size_{size},
          bytes_(static_cast<std::size_t>(bytes_of(blocks, size))),
          touched_(static_cast<std::size_t>(blocks.value)) {}

    [[nodiscard]] device_geometry geometry() const noexcept {
        return {.size = size_, .blocks = whole_blocks(bytes_.size(), size_)};
    }
    [[nodiscard]] result<> read(extent e, std::span<std::byte> in) noexcept {
        if (!transfer_fits(geometry(), e, in.size())) return error{errc::out_of_range, e.first};
        if (!in.empty()) std::memcpy(in.data(), bytes_.data() + byte_offset(e.first, size_), in.size());
        return success();
    }
    [[nodiscard]] result<> write(extent e, std::span<const std::byte> out) noexcept {
        if (!transfer_fits(geometry(), e, out.size())) return error{errc::out_of_range, e.first};
        put(static_cast<std::size_t>(byte_offset(e.first, size_)), out);
        return success();
    }
    [[nodiscard]] result<> sync() noexcept { return success(); }
    [[nodiscard]] result<> trim(extent e) noexcept {
        if (!lies_in(e, {block_index{0}, geometry().blocks})) return error{errc::out_of_range, e.first};
        return success();
    }

    [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }
    /// For those who write past it: the whole image counts as written.
    [[nodiscard]] std::span<std::byte> all_bytes() noexcept {
        all_touched_ = true;
        return bytes_;
    }

    /// Writes some bytes of any length.
    void put(std::size_t at, std::span<const std::byte> bytes) {
        if (bytes.empty()) return;
        std::memcpy(bytes_.data() + at, bytes.data(), bytes.size());
        for (auto block = at / size_.bytes; block * size_.bytes < at + bytes.size(); ++block) {
            if (touched_[block]) continue;
            touched_[block] = true;
            list_.push_back(block);
        }
    }

    /// Becomes equal to `original`, which differs only in blocks that were written.
    void put_back(std::span<const std::byte> original) noexcept {
        if (all_touched_) std::memcpy(bytes_.data(), original.data(), bytes_.size());
        for (const auto block : list_) {
            const auto at = block * size_.bytes;
            if (!all_touched_) std::memcpy(bytes_.data() + at, original.data() + at, size_.bytes);
            touched_[block] = false;
        }
        list_.clear();
        all_touched_ = false;
    }

    /// One number for how it differs from `original`: the sum of that of each block, so that numbers of steps add up.
    [[nodiscard]] std::uint64_t difference(std::span<const std::byte> original) const noexcept {
        std::uint64_t sum = 0;
        for (const auto block : list_) sum += digest(block, bytes_) - digest(block, original);
        return sum;
    }

  private:
    [[nodiscard]] std::uint64_t digest(std::size_t block, std::span<const std::byte> image) const noexcept {
        return random_bits{xxh3_64(image.subspan(block * size_.bytes, size_.bytes)) + block}.next();
    }

    block_size               size_;
    std::vector<std::byte>   bytes_;
    std::vector<bool>        touched_;  // since it was equal to its original
    std::vector<std::size_t> list_;
    bool                     all_touched_ = false;
};
static_assert(BlockDevice<scratch_image>);

}  // namespace ashlar::inline v0
