#pragma once
/// Making a new volume.

#include <ashlar/format/object_name.hpp>
#include <ashlar/format/object_record.hpp>
#include <ashlar/volume/recovery.hpp>

#include <string_view>

namespace ashlar::inline v0 {

struct format_options {
    volume_id        volume{};          ///< Must differ between volumes: it seeds every checksum of the metadata.
    std::string_view label{};           ///< At most 63 bytes.
    block_count      blocks{};          ///< Of the volume, which begins where the device does; 0: all of the device.
    block_count      journal_blocks{};  ///< 0: a 32nd of the volume within bounds.
    std::uint32_t    record_bytes   = object_record_bytes;  ///< Width of an object record: 112 to 256, a multiple of 8.
    std::uint32_t    inline_extents = 0;  ///< That a record holds; 0: as many as fit. Fewer leave bytes to features.
    std::uint64_t    created        = 0;  ///< Nanoseconds since 1970; 0 without a clock.
    bool             overwrite      = false;  ///< False: refuses with `busy` where a superblock of ashlar stands.

    [[nodiscard]] constexpr std::uint32_t extents_in_record() const noexcept {
        return inline_extents != 0 ? inline_extents : inline_extents_for(record_bytes);
    }
};

/// Where everything of a new volume goes.
struct volume_layout {
    extent      journal{};
    extent      groups{};
    extent      bitmaps{};
    extent      trimmed{};
    extent      checksums{};
    extent      objects{};
    block_index data{};  ///< First block behind the tables.

    [[nodiscard]] static volume_layout of(const volume_geometry& geometry, const format_options& options,
                                          bool sums) noexcept {
        const std::uint64_t blocks = geometry.blocks.value;
        const auto          within = [](std::uint64_t n, std::uint64_t least, std::uint64_t most) {
            return n < least ? least : (n > most ? most : n);
        };
        const std::uint64_t journal = options.journal_blocks.value != 0 ? options.journal_blocks.value
                                      : blocks < 8192                   ? within(blocks >> 3U, 64, 256)
                                                                        : within(blocks >> 5U, 256, 16384);
        volume_layout       layout;
        block_index         next = frames_end(geometry.block);
        const auto          take = [&](std::uint64_t count) noexcept {
            const extent place{next, block_count{count}};
            next = place.end();
            return place;
        };
        layout.journal   = take(journal);
        layout.groups    = take(group_table_blocks(geometry.groups, geometry.block).value);
        layout.bitmaps   = take(geometry.groups);
        layout.trimmed   = take(geometry.groups);
        layout.checksums = take(sums ? geometry.groups * checksum_blocks_per_group(geometry.block) : 0);
        layout.objects   = take(within(blocks >> 10U, 4, 4096));
        layout.data      = next;
        return layout;
    }
};

namespace detail {

/// Writes a metadata block in place, outside of any journal: only `format` may.
template <BlockDevice D>
result<> put_block(D& device, std::span<std::byte> bytes, const volume_id& id, const region_block& block) noexcept {
    seal_block(bytes, block.identity.tag, {}, identity_seed(id, block.identity));
    return device.write({block.home, whole_blocks(bytes.size(), device.geometry().size)}, bytes);
}

/// Writes a frame; with the content behind its trailer zero.
template <BlockDevice D>
result<> put_frame(D& device, std::span<std::byte> frame_bytes, const volume_id& id, std::uint64_t number,
                   const block_identity& identity) noexcept {
    const block_size size = device.geometry().size;
    seal_block(frame_bytes.first(frame_content_bytes), identity.tag, {}, identity_seed(id, identity));
    return device.write({frame_home(number, size), frame_blocks_of(size)}, frame_bytes);
}

/// Blocks of a group that lie before `end`.
[[nodiscard]] inline std::uint32_t blocks_before(const volume_geometry& geometry, std::uint64_t group,
                                                 block_index end) noexcept {
    const auto          first  = first_of_group(group, geometry.block);
    const std::uint32_t blocks = geometry.group_blocks(group);
    const std::uint64_t lead   = first < end ? (end - first).value : 0;
    return lead < blocks ? static_cast<std::uint32_t>(lead) : blocks;
}

/// What is said of a group that was never in use, but for its blocks before `end`.
[[nodiscard]] inline group_summary new_group(const volume_geometry& geometry, std::uint64_t group,
                                             block_index end) noexcept {
    const std::uint32_t blocks  = geometry.group_blocks(group);
    const std::uint32_t used    = blocks_before(geometry, group, end);
    group_summary       summary = used < blocks ? empty_group(blocks - used) : group_summary{};
    if (used != 0) summary.head = 0;
    summary.bitmap_written = used != 0;
    return summary;
}

/// The record and, where a table lies in it, the bitmap of each group.
template <BlockDevice D>
result<> format_groups(D& device, const volume_geometry& geometry, const volume_layout& layout, const volume_id& id,
                       std::span<std::byte> block) noexcept {
    volume_totals totals{};
    totals.objects            = 1;
    totals.records_high_water = 1;
    totals.extents[0]         = 1;
    for (std::uint64_t pass = 0; pass < 2; ++pass) {  // first the sums, which stand before the records
        std::memset(block.data(), 0, block.size());
        std::uint64_t number = 0;
        if (pass == 1) store_struct(block, encode_totals(totals));
        for (std::uint64_t group = 0; group < geometry.groups; ++group) {
            const auto summary = new_group(geometry, group, layout.data);
            if (pass == 0) {
                totals.free += summary.free;
                for (std::size_t k = 0; k < run_classes; ++k) totals.runs[k] += summary.runs[k];
                continue;
            }
            const auto place = group_record_of(group, geometry.block);
            if (place.block.value != number) {
                BOOST_OUTCOME_TRY(put_block(device, block, id,
                                            {layout.groups.first + block_count{number}, {tag::groups, 0, number}}));
                std::memset(block.data(), 0, block.size());
                number = place.block.value;
            }
            store_struct(block.subspan(place.byte), encode_group(summary));
        }
        if (pass == 1) {
            BOOST_OUTCOME_TRY(
                put_block(device, block, id, {layout.groups.first + block_count{number}, {tag::groups, 0, number}}));
        }
    }
    for (std::uint64_t group = 0; group < geometry.groups && first_of_group(group, geometry.block) < layout.data;
         ++group) {
        std::memset(block.data(), 0, block.size());
        write_run(block, {0, blocks_before(geometry, group, layout.data)}, true);
        BOOST_OUTCOME_TRY(
            put_block(device, block, id, {layout.bitmaps.first + block_count{group}, {tag::bitmap, 0, group}}));
    }
    return success();
}

/// Directory and pointer table: the same regions, by slot and by type.
template <BlockDevice D>
result<> format_regions(D& device, const volume_layout& layout, const volume_id& id,
                        std::span<std::byte> frame_bytes) noexcept {
    const std::pair<std::uint32_t, extent> regions[] = {
        {tag::journal, layout.journal}, {tag::groups, layout.groups},       {tag::bitmap, layout.bitmaps},
        {tag::trimmed, layout.trimmed}, {tag::checksums, layout.checksums}, {tag::objects, layout.objects}};
    std::memset(frame_bytes.data(), 0, frame_bytes.size());
    std::uint32_t slots = 0;
    for (const auto& [type, place] : regions) {
        if (place.empty()) continue;
        region_slot slot;
        slot.type   = type;
        slot.start  = place.first.value;
        slot.blocks = place.count.value;
        store_struct(frame_bytes.subspan(region_slot_offset(slots++)), slot);
    }
    directory_head head;
    head.version = directory_version;
    head.slots   = slots;
    store_struct(frame_bytes, head);
    BOOST_OUTCOME_TRY(put_frame(device, frame_bytes, id, frame::pointers, pointers_identity));
    BOOST_OUTCOME_TRY(put_frame(device, frame_bytes, id, frame::pointers_mirror, pointers_identity));
    BOOST_OUTCOME_TRY(put_frame(device, frame_bytes, id, frame::directory, directory_identity));
    return put_frame(device, frame_bytes, id, frame::directory_mirror, directory_identity);
}

/// The only device of a new volume.
[[nodiscard]] inline member_row only_member(const volume_geometry& geometry, const volume_id& id) noexcept {
    member_row row;
    std::memcpy(row.device, id.data(), sizeof row.device);
    row.blocks = geometry.blocks.value;
    row.role   = std::uint16_t{1};
    row.state  = std::uint16_t{1};
    return row;
}

template <class Volume>
[[nodiscard]] superblock make_superblock(const volume_geometry& geometry, const volume_layout& layout,
                                         const format_options& options, std::uint32_t object_map_format) noexcept {
    superblock made;
    std::memcpy(made.magic, superblock_magic, sizeof made.magic);
    made.version     = superblock_version;
    made.block_bytes = geometry.block.bytes;
    made.blocks      = geometry.blocks.value;
    std::memcpy(made.volume, options.volume.data(), sizeof made.volume);
    if (!options.label.empty()) std::memcpy(made.label, options.label.data(), options.label.size());
    made.record_bytes      = options.record_bytes;
    made.inline_extents    = options.extents_in_record();
    made.journal_format    = Volume::journal_type::format_id;
    made.checksum_format   = Volume::checksum_type::format_id;
    made.object_map_format = object_map_format;
    made.journal_first     = layout.journal.first.value;
    made.journal_blocks    = layout.journal.count.value;
    made.root              = object_id_of(0, 0).value;
    made.created           = options.created;
    return made;
}

/// Gives the journal its place. Errors: its own; invalid_argument where the ring would not hold one operation.
template <class Journal>
result<> attach_journal(Journal& journal, const volume_layout& layout, const format_options& options, block_size size,
                        std::span<std::byte> memory) noexcept {
    const journal_place place{layout.journal, frame_home(frame::anchor, size), frame_home(frame::anchor_mirror, size),
                              frame_bytes_of(size), options.volume};
    BOOST_OUTCOME_TRY(journal.attach(place, size, memory));
    constexpr std::uint64_t least   = 8;  // what a small write changes: record, leaf, bitmaps, group records, checksums
    const auto              ring    = layout.journal.count;
    const auto              granted = grant_of_ring(ring);
    const auto              shape   = full_shape(granted < least ? least : granted, listed_by_ring(ring, size), size);
    if (journal.blocks_needed(shape) > ring) return errc::invalid_argument;
    return success();
}

}  // namespace detail

/// Bytes of scratch memory that `format_volume` needs.
template <class Volume>
[[nodiscard]] constexpr std::size_t format_scratch_bytes(block_size size) noexcept {
    std::size_t journal = 0;
    if constexpr (Volume::journal_type::durable) journal = Volume::journal_type::staging_bytes(size);
    return journal + frame_bytes_of(size);
}

/// Writes an empty volume over the whole device, or over its beginning. Until the last step the device holds no valid
/// superblock, so a format that was cut is seen as no volume. Errors: invalid_argument for an option; out_of_range when
/// device or volume are too small, `where` says how many blocks it needs; busy where a volume stands and `overwrite` is
/// off; workspace_too_small; those of the device. Cost: the group records, the bitmaps of the tables themselves, the
/// frames, the first object block.
template <class Volume>
result<> format_volume(typename Volume::device_type& device, const format_options& options,
                       std::uint32_t object_map_format, std::span<std::byte> scratch) noexcept {
    const auto seen = device.geometry();
    if (!is_block_size(seen.size.bytes) || options.label.size() > 63 ||
        !is_record_width(options.record_bytes, options.extents_in_record())) {
        return errc::invalid_argument;
    }
    if (scratch.size() < format_scratch_bytes<Volume>(seen.size)) return errc::workspace_too_small;
    if (options.blocks > seen.blocks) return error{errc::out_of_range, block_index{options.blocks.value}};
    const auto geometry = volume_geometry::of(seen.size, options.blocks.value != 0 ? options.blocks : seen.blocks);
    const auto layout   = volume_layout::of(geometry, options, Volume::checksum_type::enabled);
    if (layout.data.value + 64 > geometry.blocks.value) return error{errc::out_of_range, layout.data + block_count{64}};
    const auto                                     frame_bytes = scratch.first(frame_bytes_of(seen.size));
    const auto                                     block       = frame_bytes.first(seen.size.bytes);
    [[maybe_unused]] typename Volume::journal_type journal;
    if constexpr (Volume::journal_type::durable) {
        BOOST_OUTCOME_TRY(
            detail::attach_journal(journal, layout, options, seen.size, scratch.subspan(frame_bytes.size())));
    }
    if (!options.overwrite) {
        const auto found = find_superblock(device, frame_bytes);
        if (found.has_value()) return errc::busy;
        if (found.error().code != errc::not_a_volume) return found.error();  // what cannot be read may be a volume
    }

    std::memset(frame_bytes.data(), 0, frame_bytes.size());
    for (std::uint64_t number = 0; number < frame::count; ++number) {
        BOOST_OUTCOME_TRY(device.write({frame_home(number, seen.size), frame_blocks_of(seen.size)}, frame_bytes));
    }
    BOOST_OUTCOME_TRY(device.sync());
    BOOST_OUTCOME_TRY(detail::format_groups(device, geometry, layout, options.volume, block));
    std::memset(block.data(), 0, block.size());
    object_state root;
    root.id                  = object_id_of(0, 0);
    root.in_use              = true;
    root.map.inline_capacity = options.extents_in_record();
    encode_object(block, root);
    BOOST_OUTCOME_TRY(detail::put_block(device, block, options.volume, {layout.objects.first, {tag::objects, 0, 0}}));
    BOOST_OUTCOME_TRY(detail::format_regions(device, layout, options.volume, frame_bytes));
    if constexpr (Volume::journal_type::durable) { BOOST_OUTCOME_TRY(journal.format(device, {0, options.created})); }
    BOOST_OUTCOME_TRY(device.sync());
    std::memset(frame_bytes.data(), 0, frame_bytes.size());
    store_struct(frame_bytes, detail::make_superblock<Volume>(geometry, layout, options, object_map_format));
    store_struct(frame_bytes.subspan(member_rows_offset), detail::only_member(geometry, options.volume));
    BOOST_OUTCOME_TRY(detail::put_frame(device, frame_bytes, options.volume, frame::superblock, superblock_identity));
    BOOST_OUTCOME_TRY(device.sync());
    BOOST_OUTCOME_TRY(
        detail::put_frame(device, frame_bytes, options.volume, frame::superblock_mirror, superblock_identity));
    return device.sync();
}

}  // namespace ashlar::inline v0
