#pragma once
/// A device whose calls are counted: time is bounded on any image, and a call too many is a crash.

#include "target.hpp"

#include <ashlar/concepts/block_device.hpp>

#include <cstring>

namespace ashlar::fuzz {

/// An image in memory that remembers which blocks were written, so that the next input gets it back as it was, and
/// that cuts the power when it is told to.
class image {
  public:
    image() = default;
    image(byte_vector bytes, block_size block) : bytes_{std::move(bytes)}, block_{block} {
        touched_.resize(static_cast<std::size_t>(blocks()));
    }

    [[nodiscard]] block_size           block() const noexcept { return block_; }
    [[nodiscard]] std::uint64_t        blocks() const noexcept { return bytes_.size() >> block_.shift(); }
    [[nodiscard]] std::span<std::byte> bytes() noexcept { return bytes_; }
    [[nodiscard]] const byte_vector&   content() const noexcept { return bytes_; }

    /// Call it before bytes change. Precondition: the range lies in the image.
    void touch(std::uint64_t first, std::uint64_t count) {
        for (std::uint64_t i = first; i < first + count; ++i) {
            if (touched_[static_cast<std::size_t>(i)]) continue;
            touched_[static_cast<std::size_t>(i)] = true;
            list_.push_back(i);
        }
    }

    /// Takes back whatever differs from `pristine`, which this was a copy of.
    void reset(const byte_vector& pristine) {
        for (const auto i : list_) {
            const auto at = static_cast<std::size_t>(i << block_.shift());
            std::memcpy(bytes_.data() + at, pristine.data() + at, block_.bytes);
            touched_[static_cast<std::size_t>(i)] = false;
        }
        list_.clear();
        written = 0;
        power   = ~std::uint64_t{0};
    }

    std::uint64_t written = 0;                  ///< Blocks that were written through a device.
    std::uint64_t power   = ~std::uint64_t{0};  ///< Blocks that may still be written before the power goes.

  private:
    byte_vector                bytes_{};
    block_size                 block_{512};
    std::vector<bool>          touched_{};
    std::vector<std::uint64_t> list_{};
};

/// What may be spent until it is granted again.
struct budget {
    std::uint64_t calls  = 0;
    std::uint64_t blocks = 0;
};

/// The image as a device. Copies refer to the same image and the same budget.
class bounded_device {
  public:
    bounded_device(image& on, budget& left) noexcept : image_{&on}, left_{&left} {}

    [[nodiscard]] device_geometry geometry() const noexcept {
        return {.size = image_->block(), .blocks = {image_->blocks()}};
    }
    [[nodiscard]] result<> read(extent e, std::span<std::byte> in) noexcept {
        spend(e.count.value);
        if (!transfer_fits(geometry(), e, in.size())) return error{errc::out_of_range, e.first};
        if (!in.empty()) std::memcpy(in.data(), at(e).data(), in.size());
        return success();
    }
    [[nodiscard]] result<> write(extent e, std::span<const std::byte> out) noexcept {
        spend(e.count.value);
        if (!transfer_fits(geometry(), e, out.size())) return error{errc::out_of_range, e.first};
        image_->written += e.count.value;
        const auto kept = e.count.value < image_->power ? e.count.value : image_->power;
        image_->power -= kept;
        const auto bytes = static_cast<std::size_t>(kept << image_->block().shift());
        image_->touch(e.first.value, kept);
        if (bytes > 0) std::memcpy(at(e).data(), out.data(), bytes);
        if (kept < e.count.value) return error{errc::device_failed, e.first};
        return success();
    }
    [[nodiscard]] result<> sync() noexcept {
        spend(0);
        if (image_->power == 0) return errc::device_failed;
        return success();
    }
    [[nodiscard]] result<> trim(extent e) noexcept {
        spend(0);
        if (!lies_in(e, {block_index{0}, geometry().blocks})) return error{errc::out_of_range, e.first};
        return success();
    }

  private:
    [[nodiscard]] std::span<std::byte> at(extent e) noexcept {
        return image_->bytes().subspan(static_cast<std::size_t>(byte_offset(e.first, image_->block())),
                                       static_cast<std::size_t>(bytes_of(e.count, image_->block())));
    }
    void spend(std::uint64_t blocks) noexcept {
        expect(left_->calls > 0, "an image may not cost more calls of its device");
        expect(left_->blocks >= blocks, "an image may not cost more transferred blocks");
        --left_->calls;
        left_->blocks -= blocks;
    }

    image*  image_;
    budget* left_;
};
static_assert(BlockDevice<bounded_device>);

}  // namespace ashlar::fuzz
