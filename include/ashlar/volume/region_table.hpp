#pragma once
/// Where the engine's own regions are.

#include <ashlar/format/group_record.hpp>
#include <ashlar/format/region_directory.hpp>
#include <ashlar/vocabulary/result.hpp>

#include <array>
#include <optional>

namespace ashlar::inline v0 {

/// Numbers of a volume that never change while it is open.
struct volume_geometry {
    block_size    block{};
    block_count   blocks{};
    std::uint64_t groups = 0;

    [[nodiscard]] static constexpr volume_geometry of(block_size block, block_count blocks) noexcept {
        return {block, blocks, groups_for(blocks, block)};
    }
    [[nodiscard]] constexpr block_count   frame_blocks() const noexcept { return frame_blocks_of(block); }
    [[nodiscard]] constexpr std::uint32_t group_blocks(std::uint64_t group) const noexcept {
        return blocks_of_group(group, blocks, block);
    }
};

/// A block of a region and the identity that its checksum is seeded with.
struct region_block {
    block_index    home{};
    block_identity identity{};
};

/// The directory, decoded. It says what exists; frame 8 in the cache is its durable form.
class region_table {
  public:
    static constexpr std::size_t object_parts_max = 32;

    /// Reads the directory's content (4096 bytes, already verified).
    /// Errors: damaged where a slot contradicts the volume; unsupported for a flag or version that this build lacks.
    [[nodiscard]] static result<region_table> decode(std::span<const std::byte> content,
                                                     const volume_geometry&     geometry) noexcept {
        const auto where = frame_home(frame::directory, geometry.block);
        const auto head  = load_struct<directory_head>(content);
        if (head.version != directory_version || head.next != 0) return error{errc::unsupported, where};
        if (head.slots > region_slots) return error{errc::damaged, where};
        region_table table;
        for (std::uint32_t i = 0; i < head.slots; ++i) {
            const auto slot = load_struct<region_slot>(content.subspan(region_slot_offset(i)));
            if ((slot.flags & ~region_flag::known) != 0) return error{errc::unsupported, where};
            const extent place = slot.place();
            const extent inside{frame_home(frame::count, geometry.block),
                                geometry.blocks - block_count{frame_home(frame::count, geometry.block).value}};
            if (slot.type == 0 || place.empty() || !lies_in(place, inside)) return error{errc::damaged, where};
            for (std::uint32_t j = 0; j < i; ++j) {
                const auto other = load_struct<region_slot>(content.subspan(region_slot_offset(j)));
                if (overlap(place, other.place()) || name_of(other) == name_of(slot))
                    return error{errc::damaged, where};
            }
            BOOST_OUTCOME_TRY(table.add(slot, where));
        }
        table.slots_ = head.slots;
        if (!table.fits(geometry)) return error{errc::damaged, where};
        return table;
    }

    /// Notes one more region.
    result<> add(const region_slot& slot, block_index where) noexcept {
        if (slot.type == tag::objects) {
            if (slot.id != parts_ || parts_ == object_parts_max) return error{errc::damaged, where};
            objects_[parts_++] = slot.place();
            return success();
        }
        extent* const place = engine(slot.type);
        if (place == nullptr) return success();  // a user's region: the engine only keeps its blocks
        if (slot.id != 0 || !place->empty()) return error{errc::damaged, where};
        *place = slot.place();
        return success();
    }

    [[nodiscard]] std::uint32_t slots() const noexcept { return slots_; }
    /// Changes with the directory: what was looked up before may be elsewhere.
    [[nodiscard]] std::uint32_t version() const noexcept { return version_; }
    /// The directory was changed, and has so many slots in use now.
    void changed(std::uint32_t slots) noexcept {
        slots_ = slots;
        ++version_;
    }

    [[nodiscard]] extent                  journal() const noexcept { return journal_; }
    [[nodiscard]] extent                  groups() const noexcept { return groups_; }
    [[nodiscard]] extent                  checksums() const noexcept { return checksums_; }
    [[nodiscard]] std::span<const extent> object_parts() const noexcept { return {objects_.data(), parts_}; }

    [[nodiscard]] region_block group_table(block_count number) const noexcept {
        return block_of(groups_, tag::groups, number.value);
    }
    [[nodiscard]] region_block bitmap(std::uint64_t group) const noexcept {
        return block_of(bitmaps_, tag::bitmap, group);
    }
    [[nodiscard]] region_block trimmed(std::uint64_t group) const noexcept {
        return block_of(trimmed_, tag::trimmed, group);
    }
    [[nodiscard]] region_block checksum_block(std::uint64_t number) const noexcept {
        return block_of(checksums_, tag::checksums, number);
    }
    [[nodiscard]] region_block object_block(std::size_t part, std::uint64_t number) const noexcept {
        return {objects_[part].first + block_count{number}, {tag::objects, part, number}};
    }

    /// Which region a metadata block belongs to; empty when none. For recovery, which knows blocks by number only.
    [[nodiscard]] std::optional<block_identity> identity_of(block_index block) const noexcept {
        const std::pair<extent, std::uint32_t> all[] = {
            {groups_, tag::groups}, {bitmaps_, tag::bitmap}, {trimmed_, tag::trimmed}, {checksums_, tag::checksums}};
        for (const auto& [place, type] : all) {
            if (place.contains(block)) return block_identity{type, 0, (block - place.first).value};
        }
        for (std::size_t i = 0; i < parts_; ++i) {
            if (objects_[i].contains(block)) return block_identity{tag::objects, i, (block - objects_[i].first).value};
        }
        return std::nullopt;
    }

  private:
    [[nodiscard]] static region_block block_of(extent region, std::uint32_t type, std::uint64_t number) noexcept {
        return {region.first + block_count{number}, {type, 0, number}};
    }

    [[nodiscard]] extent* engine(std::uint32_t type) noexcept {
        switch (type) {
            case tag::journal: return &journal_;
            case tag::groups: return &groups_;
            case tag::bitmap: return &bitmaps_;
            case tag::trimmed: return &trimmed_;
            case tag::checksums: return &checksums_;
            default: return nullptr;
        }
    }

    /// Whether each region that the engine indexes by number is long enough for this volume.
    [[nodiscard]] bool fits(const volume_geometry& geometry) const noexcept {
        const std::uint64_t sums = geometry.groups * checksum_blocks_per_group(geometry.block);
        return groups_.count >= group_table_blocks(geometry.groups, geometry.block) &&
               bitmaps_.count.value >= geometry.groups && trimmed_.count.value >= geometry.groups &&
               (checksums_.empty() || checksums_.count.value >= sums) && parts_ > 0;
    }

    extent                               journal_{};
    extent                               groups_{};
    extent                               bitmaps_{};
    extent                               trimmed_{};
    extent                               checksums_{};
    std::array<extent, object_parts_max> objects_{};
    std::size_t                          parts_   = 0;
    std::uint32_t                        slots_   = 0;
    std::uint32_t                        version_ = 0;
};

}  // namespace ashlar::inline v0
