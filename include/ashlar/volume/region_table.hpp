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

/// A table of the engine, in parts: part n continues part n - 1.
template <std::size_t Most>
class table_parts {
  public:
    /// Notes a part; parts may come in any order. False where there is no such part, or it is known.
    [[nodiscard]] bool add(std::uint32_t id, extent place) noexcept {
        if (id >= Most || !parts_[id].empty()) return false;
        parts_[id] = place;
        ++count_;
        return true;
    }
    /// Precondition: there is one.
    void drop_last() noexcept { parts_[--count_] = {}; }
    /// Whether no part before the last is missing.
    [[nodiscard]] bool is_whole() const noexcept {
        for (std::size_t i = 0; i < count_; ++i) {
            if (parts_[i].empty()) return false;
        }
        return true;
    }
    [[nodiscard]] std::span<const extent> all() const noexcept { return {parts_.data(), count_}; }
    [[nodiscard]] std::uint64_t           blocks() const noexcept {
                  std::uint64_t sum = 0;
                  for (const auto& part : all()) sum += part.count.value;
        return sum;
    }
    /// The block that has that number in the table. Precondition: number < blocks(). Cost: a comparison a part.
    [[nodiscard]] region_block block(std::uint32_t type, std::uint64_t number) const noexcept {
        std::size_t part = 0;
        while (number >= parts_[part].count.value && part + 1 < Most) number -= parts_[part++].count.value;
        return {parts_[part].first + block_count{number}, {type, part, number}};
    }
    /// What a block is that lies in the table.
    [[nodiscard]] std::optional<block_identity> identity_of(std::uint32_t type, block_index block) const noexcept {
        for (std::size_t i = 0; i < count_; ++i) {
            if (parts_[i].contains(block)) return block_identity{type, i, (block - parts_[i].first).value};
        }
        return std::nullopt;
    }

  private:
    std::array<extent, Most> parts_{};
    std::size_t              count_ = 0;
};

/// The directory, decoded. It says what exists; frame 8 in the cache is its durable form.
class region_table {
  public:
    static constexpr std::size_t object_parts_max = 32;
    static constexpr std::size_t table_parts_max  = 8;  ///< Of the tables that grow with the volume.

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
            const extent inside{frames_end(geometry.block),
                                geometry.blocks - block_count{frames_end(geometry.block).value}};
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
        const auto noted = [&](bool is_new) noexcept -> result<> {
            if (!is_new) return error{errc::damaged, where};
            return success();
        };
        switch (slot.type) {
            case tag::journal: return noted(journal_.add(slot.id, slot.place()));
            case tag::groups: return noted(groups_.add(slot.id, slot.place()));
            case tag::bitmap: return noted(bitmaps_.add(slot.id, slot.place()));
            case tag::trimmed: return noted(trimmed_.add(slot.id, slot.place()));
            case tag::checksums: return noted(checksums_.add(slot.id, slot.place()));
            case tag::objects: return noted(objects_.add(slot.id, slot.place()));
            case tag::slide: return noted(slide_.add(slot.id, slot.place()));
            case tag::indirection: return noted(indirection_.add(slot.id, slot.place()));
            case tag::next_objects: return noted(next_objects_.add(slot.id, slot.place()));
            default: return success();  // a user's region: the engine only keeps its blocks
        }
    }

    /// Notes that a region of the engine's went: those of a slide do, and the table that others replace.
    void drop(const region_slot& gone) noexcept {
        if (gone.type == tag::indirection) indirection_ = {};
        if (gone.type == tag::slide) slide_ = {};
        if (gone.type == tag::next_objects) next_objects_.drop_last();
    }

    /// The entries of a region that is being moved in parts, and the blocks below it that it moves into. Both empty
    /// where no region is.
    [[nodiscard]] extent       indirection() const noexcept { return only_part(indirection_); }
    [[nodiscard]] extent       slide() const noexcept { return only_part(slide_); }
    [[nodiscard]] region_block indirection_block(std::uint64_t part) const noexcept {
        return indirection_.block(tag::indirection, part);
    }

    [[nodiscard]] std::uint32_t slots() const noexcept { return slots_; }
    /// Changes with the directory: what was looked up before may be elsewhere.
    [[nodiscard]] std::uint32_t version() const noexcept { return version_; }
    /// The directory was changed, and has so many slots in use now.
    void changed(std::uint32_t slots) noexcept {
        slots_ = slots;
        ++version_;
    }

    /// Another directory counts from now on.
    void replace_all(const region_table& by) noexcept {
        const auto version = version_;
        *this              = by;
        version_           = version + 1;
    }

    [[nodiscard]] extent                  journal() const noexcept { return only_part(journal_); }
    [[nodiscard]] std::span<const extent> groups() const noexcept { return groups_.all(); }
    [[nodiscard]] std::span<const extent> bitmaps() const noexcept { return bitmaps_.all(); }
    [[nodiscard]] std::span<const extent> trimmed() const noexcept { return trimmed_.all(); }
    [[nodiscard]] std::span<const extent> checksums() const noexcept { return checksums_.all(); }
    [[nodiscard]] std::span<const extent> object_parts() const noexcept { return objects_.all(); }
    /// Of the table that records are on their way to.
    [[nodiscard]] std::span<const extent> next_object_parts() const noexcept { return next_objects_.all(); }
    /// The next object table takes the place of the old one.
    void swap_objects() noexcept {
        objects_      = next_objects_;
        next_objects_ = {};
    }

    [[nodiscard]] region_block group_table(block_count number) const noexcept {
        return groups_.block(tag::groups, number.value);
    }
    [[nodiscard]] region_block bitmap(std::uint64_t group) const noexcept { return bitmaps_.block(tag::bitmap, group); }
    [[nodiscard]] region_block trimmed(std::uint64_t group) const noexcept {
        return trimmed_.block(tag::trimmed, group);
    }
    [[nodiscard]] region_block checksum_block(std::uint64_t number) const noexcept {
        return checksums_.block(tag::checksums, number);
    }
    [[nodiscard]] region_block object_block(std::size_t part, std::uint64_t number) const noexcept {
        return {object_parts()[part].first + block_count{number}, {tag::objects, part, number}};
    }

    /// Which region a metadata block belongs to; empty when none. For recovery, which knows blocks by number only.
    [[nodiscard]] std::optional<block_identity> identity_of(block_index block) const noexcept {
        if (const auto found = groups_.identity_of(tag::groups, block)) return found;
        if (const auto found = bitmaps_.identity_of(tag::bitmap, block)) return found;
        if (const auto found = trimmed_.identity_of(tag::trimmed, block)) return found;
        if (const auto found = checksums_.identity_of(tag::checksums, block)) return found;
        if (const auto found = indirection_.identity_of(tag::indirection, block)) return found;
        if (const auto found = identity_in(objects_, block)) return found;
        return identity_in(next_objects_, block);
    }
    /// The last block of a part of the object table: it holds no records, but how far their migration is.
    [[nodiscard]] static region_block migration_block(std::span<const extent> parts, std::size_t part) noexcept {
        const auto last = parts[part].count - block_count{1};
        return {parts[part].first + last, {tag::migration, part, last.value}};
    }

    /// Whether each table that is indexed by number is whole, and long enough for a volume of that size.
    [[nodiscard]] bool fits(const volume_geometry& geometry) const noexcept {
        const std::uint64_t sums = geometry.groups * checksum_blocks_per_group(geometry.block);
        return groups_.is_whole() && bitmaps_.is_whole() && trimmed_.is_whole() && checksums_.is_whole() &&
               objects_.is_whole() && !objects_.all().empty() && next_objects_.is_whole() &&
               groups_.blocks() >= group_table_blocks(geometry.groups, geometry.block).value &&
               bitmaps_.blocks() >= geometry.groups && trimmed_.blocks() >= geometry.groups &&
               (checksums_.all().empty() || checksums_.blocks() >= sums);
    }

  private:
    [[nodiscard]] static extent only_part(const table_parts<1>& table) noexcept {
        return table.all().empty() ? extent{} : table.all()[0];
    }
    [[nodiscard]] static std::optional<block_identity> identity_in(const table_parts<object_parts_max>& table,
                                                                   block_index block) noexcept {
        auto found = table.identity_of(tag::objects, block);
        if (found) {
            const auto last = migration_block(table.all(), static_cast<std::size_t>(found->owner));
            if (last.home == block) found = last.identity;
        }
        return found;
    }

    table_parts<1>                journal_{};
    table_parts<table_parts_max>  groups_{};
    table_parts<table_parts_max>  bitmaps_{};
    table_parts<table_parts_max>  trimmed_{};
    table_parts<table_parts_max>  checksums_{};
    table_parts<object_parts_max> objects_{};
    table_parts<object_parts_max> next_objects_{};
    table_parts<1>                indirection_{};
    table_parts<1>                slide_{};
    std::uint32_t                 slots_   = 0;
    std::uint32_t                 version_ = 0;
};

}  // namespace ashlar::inline v0
