#pragma once
/// Reads what stands at fixed places of a volume: superblock, anchors, directory. With the decoders of the format
/// alone.

#include <ashlar/format/group_record.hpp>
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

    /// A block of one of the tables whose length follows from the volume's.
    struct table_block {
        block_index    home{};
        block_identity identity{};
        std::uint64_t  number = 0;      ///< In the table, through all its parts.
        bool           used   = false;  ///< The volume is large enough to need it.
    };
    [[nodiscard]] std::optional<table_block> find_in(std::uint32_t type, std::uint64_t number) const {
        std::uint64_t before = 0;
        for (std::uint32_t part = 0;; ++part) {
            const auto* const place = find_part(type, part);
            if (place == nullptr) return std::nullopt;
            if (number - before < place->count.value)
                return table_block{place->first + block_count{number - before},
                                   {type, part, number - before},
                                   number,
                                   number < needed(type)};
            before += place->count.value;
        }
    }
    [[nodiscard]] std::optional<table_block> find_at(std::uint32_t type, block_index home) const {
        std::uint64_t before = 0;
        for (std::uint32_t part = 0;; ++part) {
            const auto* const place = find_part(type, part);
            if (place == nullptr) return std::nullopt;
            if (place->contains(home)) return find_in(type, before + (home - place->first).value);
            before += place->count.value;
        }
    }
    /// Whether a block lies in a table, behind all that the volume needs of it.
    [[nodiscard]] bool is_spare(block_index block) const {
        for (const auto type : {tag::groups, tag::bitmap, tag::trimmed, tag::checksums}) {
            if (const auto found = find_at(type, block)) return !found->used;
        }
        return false;
    }

    /// Takes in a superblock, which may say another size than before. False where it is none.
    bool learn_size(std::span<const std::byte> content) {
        if (content.empty() || !is_superblock(content)) return false;
        blocks_ = {load_struct<superblock>(content).blocks};
        return true;
    }

    /// Finds the superblock or its mirror. False where neither is whole and fits the device.
    template <BlockDevice D>
    bool read_superblock(D& device) {
        size_ = device.geometry().size;
        if (device.geometry().blocks < block_count{frames_end(size_).value}) return false;
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
            for (const auto type : {tag::groups, tag::bitmap, tag::trimmed, tag::checksums, tag::objects,
                                    tag::next_objects, tag::old_objects}) {
                if (slot.type == type) regions_.push_back({name_of(slot), slot.place()});
            }
        }
        return true;
    }

    /// Whether a block lies in a region of the engine other than the journal.
    [[nodiscard]] bool in_engine_region(block_index block) const noexcept {
        return std::any_of(regions_.begin(), regions_.end(),
                           [&](const auto& one) { return one.place.contains(block); }) &&
               !is_spare(block);
    }

  private:
    struct region {
        region_id name{};
        extent    place{};
    };

    [[nodiscard]] const extent* find_part(std::uint32_t type, std::uint32_t part) const {
        const auto found = std::find_if(regions_.begin(), regions_.end(), [&](const auto& one) {
            return one.name == region_id{type, part};
        });
        return found == regions_.end() ? nullptr : &found->place;
    }
    [[nodiscard]] std::uint64_t needed(std::uint32_t type) const {
        const auto groups = groups_for(blocks_, size_);
        if (type == tag::groups) return group_table_blocks(groups, size_).value;
        return type == tag::checksums ? groups * checksum_blocks_per_group(size_) : groups;
    }

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
    std::vector<region> regions_;
};

}  // namespace ashlar::inline v0
