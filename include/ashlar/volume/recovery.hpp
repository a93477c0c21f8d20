#pragma once
/// Opening: find the superblock, let the journal decide what happened, bring it home, read the tables. Rules R10 to
/// R13.

#include <ashlar/format/object_record.hpp>
#include <ashlar/volume/commit.hpp>
#include <ashlar/volume/directory.hpp>
#include <ashlar/volume/frames.hpp>
#include <ashlar/volume/indirection.hpp>

namespace ashlar::inline v0 {

/// Reads one possible copy of the superblock; `content` (4096 bytes) is whole where the answer is true. A failed read
/// is tried once more. Errors: those of the device.
template <BlockDevice D>
[[nodiscard]] result<bool> read_superblock_at(D& device, std::uint64_t byte, std::span<std::byte> scratch,
                                              std::span<const std::byte>& content) noexcept {
    const auto        geometry = device.geometry();
    const block_index first{byte >> geometry.size.shift()};
    const std::size_t skip  = static_cast<std::size_t>(byte & (geometry.size.bytes - 1U));
    const auto        count = blocks_for(skip + frame_content_bytes, geometry.size);
    const auto        bytes = scratch.first(static_cast<std::size_t>(bytes_of(count, geometry.size)));
    if (!lies_in({first, count}, {block_index{0}, geometry.blocks})) return false;
    if (device.read({first, count}, bytes).has_error()) { BOOST_OUTCOME_TRY(device.read({first, count}, bytes)); }
    content = bytes.subspan(skip, frame_content_bytes);
    return is_superblock(content);
}

/// Finds the superblock: frame 0, else its mirror, whose place depends on the frame size.
/// Errors: not_a_volume; where none was found and a place could not be read, the device's: nobody knows what is there.
/// Cost: one read, or six. `scratch` holds max(block, 4096) bytes; the answer points into it.
template <BlockDevice D>
result<superblock> find_superblock(D& device, std::span<std::byte> scratch) noexcept {
    std::span<const std::byte> content;
    error                      why{errc::not_a_volume};
    const auto                 is_at = [&](std::uint64_t byte) noexcept {
        const auto found = read_superblock_at(device, byte, scratch, content);
        if (found.has_error()) why = found.error();
        return found.has_value() && found.value();
    };
    if (is_at(0)) return load_struct<superblock>(content);
    for (std::uint64_t frame_bytes = frame_bytes_min; frame_bytes <= block_bytes_max; frame_bytes *= 2) {
        if (!is_at(frame::superblock_mirror * frame_bytes)) continue;
        const auto found = load_struct<superblock>(content);
        if (frame_bytes_of({found.block_bytes}) == frame_bytes) return found;
    }
    return why;
}

/// Checks that this build, with these policies, may open the volume. Errors: invalid_argument where the device was
/// opened with another block size than the volume's (`where` says which); unsupported; policy_differs.
template <class Volume>
result<> check_superblock(const Volume& volume, const superblock& found, std::uint32_t object_map_format,
                          bool read_only) noexcept {
    const auto geometry = volume.device.geometry();
    if (found.version != superblock_version) return error{errc::unsupported, block_index{found.version}};
    if ((found.incompatible & ~format_change::known_incompatible) != 0)
        return error{errc::unsupported, block_index{found.incompatible}};
    if (!read_only && (found.read_only & ~format_change::known_read_only) != 0)
        return error{errc::unsupported, block_index{found.read_only}};
    if (found.block_bytes != geometry.size.bytes) return error{errc::invalid_argument, block_index{found.block_bytes}};
    if (found.journal_format != Volume::journal_type::format_id)
        return error{errc::policy_differs, block_index{found.journal_format}};
    if (found.checksum_format != Volume::checksum_type::format_id)
        return error{errc::policy_differs, block_index{found.checksum_format}};
    if (found.object_map_format != object_map_format)
        return error{errc::policy_differs, block_index{found.object_map_format}};
    if (!is_record_width(found.record_bytes, found.inline_extents)) return error{errc::damaged, block_index{0}};
    return success();
}

namespace detail {

/// What the journal asks about listed data.
template <class Volume>
struct recovery_data {
    Volume& volume;

    result<std::span<std::byte>> read(block_index block) noexcept {
        if (block.value >= volume.geometry.blocks.value) return error{errc::damaged, block};
        const auto bytes = volume.staging.first(volume.geometry.block.bytes);
        BOOST_OUTCOME_TRY(volume.device.read({block, block_count{1}}, bytes));
        return bytes;
    }
    result<bool> matches(block_index block, std::uint64_t checksum) noexcept {
        BOOST_OUTCOME_TRY(const auto bytes, read(block));
        return Volume::checksum_type::of(bytes) == checksum;
    }
    result<> repeat(block_index block) noexcept {
        BOOST_OUTCOME_TRY(const auto bytes, read(block));
        return volume.device.write({block, block_count{1}}, bytes);
    }
};

/// The frame that a journal entry changes, if it is one.
[[nodiscard]] inline std::optional<frame_slot> frame_at(block_index home, block_size size) noexcept {
    if (home == frame_home(frame::superblock, size)) return frame_slot::superblock;
    if (home == frame_home(frame::pointers, size)) return frame_slot::pointers;
    if (home == frame_home(frame::directory, size)) return frame_slot::directory;
    return std::nullopt;
}

/// Whether an entry may change that block: nothing that the journal says is believed.
template <class Volume>
[[nodiscard]] bool is_entry_possible(const Volume& volume, block_index target, std::uint32_t offset,
                                     std::size_t length) noexcept {
    const bool        frame = frame_at(target, volume.geometry.block).has_value();
    const std::size_t size  = frame ? frame_content_bytes : volume.geometry.block.bytes;
    const bool        place =
        frame || (target >= frames_end(volume.geometry.block) && target.value < volume.geometry.blocks.value);
    return place && offset <= size && length <= size - offset;
}

/// What a block is that lies in an object table whose place another one took. Such a table is looked at here alone.
template <class Volume>
[[nodiscard]] std::optional<block_identity> identity_in_old_table(Volume& volume, block_index block) noexcept {
    for (std::uint32_t i = 0; i < volume.regions.slots(); ++i) {
        const auto slot = slot_at(volume, i);
        if (slot.type != tag::old_objects || !slot.place().contains(block)) continue;
        const std::uint64_t number = (block - slot.place().first).value;
        return block_identity{number + 1 == slot.blocks ? tag::migration : tag::objects, slot.id, number};
    }
    return std::nullopt;
}

}  // namespace detail

/// Brings every replayed block home. Blocks go out early when the cache is full; frames wait for the end, so that one
/// of their copies is always whole.
template <class Volume>
result<> replay_home(Volume& volume) noexcept {
    bool frames[frame_slots]{};
    auto apply = [&](block_index target, std::uint32_t offset, std::span<const std::byte> bytes) noexcept -> result<> {
        if (!detail::is_entry_possible(volume, target, offset, bytes.size())) return error{errc::damaged, target};
        if (const auto which = detail::frame_at(target, volume.geometry.block)) {
            const auto slot = static_cast<std::uint32_t>(*which);
            std::memcpy(volume.cache.bytes(slot).data() + offset, bytes.data(), bytes.size());
            frames[slot] = true;
            return success();
        }
        auto slot = volume.cache.get_raw(volume, target);
        if (slot.has_error() && slot.error().code == errc::too_large) {
            BOOST_OUTCOME_TRY(write_home(volume));
            slot = volume.cache.get_raw(volume, target);
        }
        if (slot.has_error()) return slot.error();
        std::memcpy(volume.cache.bytes(slot.value()).data() + offset, bytes.data(), bytes.size());
        volume.cache.at(slot.value()).first_change = sequence{1};
        return success();
    };
    BOOST_OUTCOME_TRY(volume.replay(apply));
    for (const auto& pair : frame_pairs) {
        const auto slot = static_cast<std::uint32_t>(pair.slot);
        if (!frames[slot]) continue;
        volume.cache.at(slot).first_change = sequence{1};
        volume.recovered.bad_frames &= ~(1U << pair.number | 1U << pair.mirror);  // both are written now
    }
    BOOST_OUTCOME_TRY(write_home(volume));
    volume.cache.forget_blocks();
    return success();
}

/// Checks every block that replay wrote against the trailer that ended its last change. Error: damaged, with the block.
template <class Volume>
result<> check_replayed(Volume& volume) noexcept {
    auto apply = [&](block_index target, std::uint32_t offset, std::span<const std::byte> bytes) noexcept -> result<> {
        const block_size size = volume.geometry.block;
        if (detail::frame_at(target, size) || bytes.size() != trailer_bytes || offset != size.bytes - trailer_bytes)
            return success();
        BOOST_OUTCOME_TRY(const auto slot, volume.cache.get_raw(volume, target));
        const auto content  = std::span<const std::byte>{volume.cache.bytes(slot)};
        auto       identity = volume.regions.identity_of(target);
        if (!identity) identity = detail::identity_in_old_table(volume, target);
        if (!identity)
            identity = block_identity{tag::node, load_little<std::uint64_t>(content.data()),
                                      load_little<std::uint64_t>(content.data() + 8)};
        if (!is_sealed(content, identity->tag, volume.seed(*identity))) return error{errc::damaged, target};
        return success();
    };
    const auto checked = volume.replay(apply);
    volume.cache.forget_blocks();
    return checked;
}

/// Read-only: remembers which blocks the journal changes, and lays its changes over whatever is read from now on.
template <class Volume>
result<> index_replay(Volume& volume) noexcept {
    auto apply = [&](block_index target, std::uint32_t offset, std::span<const std::byte> bytes) noexcept -> result<> {
        if (!detail::is_entry_possible(volume, target, offset, bytes.size())) return error{errc::damaged, target};
        const auto bit = Volume::filter_bit(target);
        volume.replayed[bit / 64] |= std::uint64_t{1} << (bit % 64);
        if (const auto which = detail::frame_at(target, volume.geometry.block)) {
            std::memcpy(volume.cache.bytes(static_cast<std::uint32_t>(*which)).data() + offset, bytes.data(),
                        bytes.size());
        }
        return success();
    };
    BOOST_OUTCOME_TRY(volume.replay(apply));
    volume.must_replay = true;
    return success();
}

/// Checks what the totals say against the tables. Error: damaged, where more records were in use than the object table
/// has.
template <class Volume>
result<> check_totals(const Volume& volume) noexcept {
    const std::uint64_t per_block =
        (volume.geometry.block.bytes - static_cast<std::uint32_t>(trailer_bytes)) / volume.record_bytes;
    std::uint64_t records = 0;
    for (const auto& part : volume.regions.object_parts())
        records += (part.count.value - 1) * per_block;  // as record_capacity counts
    if (volume.space.totals().records_high_water > records)
        return error{errc::damaged, volume.regions.group_table(block_count{0}).home};
    return success();
}

/// Takes the volume's size from the superblock in memory. The journal may have changed it: asked before what the
/// journal says is brought home, and after. Errors: out_of_range where the device is smaller, with the blocks that it
/// must have; damaged.
template <class Volume>
result<> take_size(Volume& volume) noexcept {
    const auto content = volume.cache.bytes(static_cast<std::uint32_t>(frame_slot::superblock));
    if (!is_superblock(content)) return error{errc::damaged, block_index{0}};
    const block_size    size   = volume.geometry.block;
    const std::uint64_t blocks = load_struct<superblock>(content).blocks;
    if (blocks > volume.device.geometry().blocks.value) return error{errc::out_of_range, block_index{blocks}};
    if (blocks <= frames_end(size).value) return error{errc::damaged, block_index{0}};
    volume.geometry = volume_geometry::of(size, block_count{blocks});
    return success();
}

/// Reads the directory and the totals. Errors: damaged, checksum_differs, with the block; those of take_size.
template <class Volume>
result<> read_tables(Volume& volume) noexcept {
    for (std::uint32_t slot = 0; slot < frame_slots; ++slot) {
        const auto& identity = volume.cache.at(slot).identity;
        if (!is_sealed(volume.cache.bytes(slot), identity.tag, volume.seed(identity))) {
            return error{errc::damaged, volume.cache.at(slot).home};
        }
    }
    BOOST_OUTCOME_TRY(take_size(volume));
    const auto content = volume.cache.bytes(static_cast<std::uint32_t>(frame_slot::directory));
    BOOST_OUTCOME_TRY(volume.regions, region_table::decode(content, volume.geometry));
    if (Volume::checksum_type::enabled && volume.regions.checksums().empty())
        return error{errc::damaged, frame_home(frame::directory, volume.geometry.block)};
    // The journal may hold a change of the superblock that was found at first.
    const auto super = load_struct<superblock>(volume.cache.bytes(static_cast<std::uint32_t>(frame_slot::superblock)));
    if (!is_record_width(super.record_bytes, super.inline_extents)) return error{errc::damaged, block_index{0}};
    volume.record_bytes   = super.record_bytes;
    volume.inline_extents = super.inline_extents;
    return success();
}

/// Says in the superblock whether a volume without journal is in use: a stop before it is closed is then noticed.
/// Cost: two writes, two syncs, so that one copy is whole at any moment.
template <class Volume>
result<> mark_in_use(Volume& volume, bool in_use) noexcept {
    const auto slot    = static_cast<std::uint32_t>(frame_slot::superblock);
    const auto content = volume.cache.bytes(slot);
    store_little<std::uint32_t>(content.data() + offsetof(superblock, in_use), in_use ? 1U : 0U);
    seal_block(content, tag::superblock, {}, volume.seed(superblock_identity));
    for (const bool mirror : {false, true}) {
        BOOST_OUTCOME_TRY(write_frame(volume, slot, mirror));
        BOOST_OUTCOME_TRY(volume.device.sync());
    }
    return success();
}

/// Brings everything home and ends the use of the volume. Errors: read_only where writing has ended; those of the
/// device.
template <class Volume>
result<> close_volume(Volume& volume) noexcept {
    if (volume.read_only) return success();
    BOOST_OUTCOME_TRY(checkpoint(volume, true));
    if constexpr (!Volume::journal_type::durable) { BOOST_OUTCOME_TRY(mark_in_use(volume, false)); }
    return success();
}

/// Opens a volume whose memory is laid out. Steps as in docs/recovery.md.
/// Errors: those of find_superblock, check_superblock and take_size; damaged where acknowledged history is not whole
/// (then a read-only open may still succeed); unclean without a journal; those of the device. Cost: the frames; of a
/// volume that was not closed the ring, its used part three times, what it lists and changes; nothing that grows with
/// the volume.
template <class Volume>
result<> open_volume(Volume& volume, std::uint32_t object_map_format, bool read_only) noexcept {
    BOOST_OUTCOME_TRY(const auto found, find_superblock(volume.device, volume.staging));
    BOOST_OUTCOME_TRY(check_superblock(volume, found, object_map_format, read_only));
    std::memcpy(volume.id.data(), found.volume, sizeof found.volume);
    volume.migration = {};
    volume.read_only = read_only;
    volume.recovered = {};
    volume.cache.clear();
    volume.staged.clear();
    for (auto& tx : volume.transactions) tx.reset();
    for (auto& word : volume.replayed) word = 0;
    BOOST_OUTCOME_TRY(load_frames(volume));
    BOOST_OUTCOME_TRY(take_size(volume));

    if constexpr (Volume::journal_type::durable) {
        const journal_place place{{block_index{found.journal_first}, block_count{found.journal_blocks}},
                                  frame_home(frame::anchor, volume.geometry.block),
                                  frame_home(frame::anchor_mirror, volume.geometry.block),
                                  frame_bytes_of(volume.geometry.block),
                                  volume.id};
        BOOST_OUTCOME_TRY(volume.journal.attach(place, volume.geometry.block, volume.journal_memory));
        detail::recovery_data<Volume> data{volume};
        auto                          recovered = volume.journal.recover(volume.device, data, read_only);
        if (recovered.has_value()) {
            const auto bad_frames       = volume.recovered.bad_frames;
            volume.recovered            = recovered.value();
            volume.recovered.bad_frames = bad_frames;
        } else if (!read_only || recovered.error().code != errc::damaged) {
            return recovered.error();
        } else {
            volume.recovered.damage = recovered.error();  // what was lost is said, and the rest can be read
        }
    } else if (found.in_use != 0) {
        return errc::unclean;
    }
    if constexpr (Volume::journal_type::durable) {
        if (!volume.recovered.was_clean) {
            if (read_only) {
                BOOST_OUTCOME_TRY(index_replay(volume));
            } else {
                BOOST_OUTCOME_TRY(replay_home(volume));
            }
        }
    }
    BOOST_OUTCOME_TRY(read_tables(volume));
    if constexpr (Volume::journal_type::durable) {
        if (!volume.recovered.was_clean && !read_only) { BOOST_OUTCOME_TRY(check_replayed(volume)); }
    }
    BOOST_OUTCOME_TRY(volume.space.open(volume.metadata()));
    BOOST_OUTCOME_TRY(check_totals(volume));
    BOOST_OUTCOME_TRY(load_indirection(volume));
    if constexpr (Volume::journal_type::durable) {
        if (!volume.recovered.was_clean && !read_only) {
            BOOST_OUTCOME_TRY(
                volume.journal.anchor(volume.device, volume.journal.next(), {volume.space.totals().free, volume.now}));
        }
    }
    const auto super  = load_struct<superblock>(volume.cache.bytes(static_cast<std::uint32_t>(frame_slot::superblock)));
    volume.root       = object_id{super.root};
    volume.open_batch = {1};
    if constexpr (Volume::journal_type::durable) volume.open_batch = volume.journal.next();
    volume.durable_batch = {volume.open_batch.value - 1};
    publish_gauges(volume);
    volume.generation = volume.space.totals().generation_counter;
    if (!read_only) { BOOST_OUTCOME_TRY(mend_frames(volume)); }
    if constexpr (!Volume::journal_type::durable) {
        if (!read_only) return mark_in_use(volume, true);
    }
    return success();
}

}  // namespace ashlar::inline v0
