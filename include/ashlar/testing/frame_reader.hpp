#pragma once
/// Reads what stands at fixed places of a volume: superblock, anchors, directory. With the decoders of the format
/// alone.

#include <ashlar/format/region_directory.hpp>
#include <ashlar/journal/ring_anchor.hpp>

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

namespace ashlar::inline v0 {

/// The frames of a volume, for tests that look at a device from outside of any store.
class frame_reader {
  public:
    using anchor_copies = std::array<std::optional<anchor_content>, 2>;

    [[nodiscard]] const volume_id& volume() const noexcept { return volume_; }
    [[nodiscard]] block_size       size() const noexcept { return size_; }
    [[nodiscard]] block_count      blocks() const noexcept { return blocks_; }
    [[nodiscard]] extent           bitmaps() const noexcept { return bitmaps_; }

    /// Finds the superblock or its mirror. False where neither is whole and fits the device.
    template <BlockDevice D>
    bool read_superblock(D& device) {
        size_ = device.geometry().size;
        if (device.geometry().blocks < block_count{frame_home(frame::count, size_).value}) return false;
        auto bytes = read_frame(device, frame::superblock);
        if (bytes.empty() || !is_superblock(bytes)) bytes = read_frame(device, frame::superblock_mirror);
        if (bytes.empty() || !is_superblock(bytes)) return false;
        const auto content = load_struct<superblock>(bytes);
        std::memcpy(volume_.data(), content.volume, sizeof content.volume);
        blocks_ = {content.blocks};
        return content.block_bytes == size_.bytes && blocks_ <= device.geometry().blocks;
    }

    /// Nothing where a read failed: the copy that cannot be seen may be the one that counts.
    template <BlockDevice D>
    [[nodiscard]] std::optional<anchor_copies> read_anchor_copies(D& device) const {
        const auto first = read_frame(device, frame::anchor), second = read_frame(device, frame::anchor_mirror);
        if (first.empty() || second.empty()) return std::nullopt;
        return anchor_copies{decode_anchor(first, volume_), decode_anchor(second, volume_)};
    }

    template <BlockDevice D>
    void read_directory(D& device) {
        if (!learn_regions(read_frame(device, frame::directory)))
            learn_regions(read_frame(device, frame::directory_mirror));
    }

    /// Takes in a directory. False where it is not whole.
    bool learn_regions(std::span<const std::byte> content) {
        if (content.empty() || !is_sealed(content, tag::directory, identity_seed(volume_, directory_identity)))
            return false;
        regions_.clear();
        const auto head = load_struct<directory_head>(content);
        for (std::uint32_t i = 0; i < head.slots && i < region_slots; ++i) {
            const auto slot = load_struct<region_slot>(content.subspan(region_slot_offset(i)));
            if (slot.type == tag::bitmap) bitmaps_ = slot.place();
            for (const auto type : {tag::groups, tag::bitmap, tag::trimmed, tag::checksums, tag::objects}) {
                if (slot.type == type) regions_.push_back(slot.place());
            }
        }
        return true;
    }

    /// Whether a block lies in a region of the engine other than the journal.
    [[nodiscard]] bool in_engine_region(block_index block) const noexcept {
        return std::any_of(regions_.begin(), regions_.end(), [&](extent region) { return region.contains(block); });
    }

  private:
    /// Empty where it cannot be read.
    template <BlockDevice D>
    [[nodiscard]] std::vector<std::byte> read_frame(D& device, std::uint64_t number) const {
        std::vector<std::byte> bytes(frame_bytes_of(size_));
        const bool             read{device.read({frame_home(number, size_), frame_blocks_of(size_)}, bytes)};
        bytes.resize(read ? frame_bytes_min : 0);
        return bytes;
    }

    block_size          size_{};
    block_count         blocks_{};
    volume_id           volume_{};
    extent              bitmaps_{};
    std::vector<extent> regions_;
};

}  // namespace ashlar::inline v0
