#include "image_input.hpp"

#include <ashlar/format/anchor.hpp>
#include <ashlar/format/object_record.hpp>

#include <array>

namespace ashlar::fuzz {
namespace {

constexpr std::size_t  whole_max   = std::size_t{8} << 20U;
constexpr unsigned     changes_max = 64;
constexpr std::uint8_t whole_mark  = 0xFF;

bool begins_as_superblock(bytes_in input) {
    return input.size() >= sizeof superblock_magic &&
           std::memcmp(input.data(), superblock_magic, sizeof superblock_magic) == 0;
}

/// The images that inputs change and get back as they were.
image& borrowed(unsigned number, unsigned slot) {
    static std::array<std::array<std::unique_ptr<image>, base_images>, 2> all;
    const auto&                                                           base = base_of(number);
    auto&                                                                 one  = all[slot][number];
    if (!one) one = std::make_unique<image>(base.bytes, base.where.geometry.block);
    one->reset(base.bytes);
    return *one;
}

/// The block size that a whole image asks for.
unsigned shift_of(bytes_in image) {
    const auto bytes = load_little<std::uint32_t>(image.data() + offsetof(superblock, block_bytes));
    return is_block_size(bytes) ? block_size{bytes}.shift() : 9U;
}

}  // namespace

image_input::image_input(bytes_in input, unsigned slot) : reader_{input} {
    if (input.size() >= sizeof(superblock) && begins_as_superblock(input)) {
        take_whole(input, shift_of(input));
        return;
    }
    const auto first = reader_.u8();
    if (first == whole_mark) {
        const unsigned shift = 9U + reader_.u8() % 8U;
        take_whole(reader_.rest(), shift);
        return;
    }
    const unsigned number = first % base_images;
    base_                 = &base_of(number);
    image_                = &borrowed(number, slot);
    apply_changes();
}

void image_input::take_whole(bytes_in bytes, unsigned shift) {
    const auto  part  = bytes.first(bytes.size() < whole_max ? bytes.size() : whole_max);
    const auto  count = (part.size() + (std::size_t{1} << shift) - 1) >> shift;
    byte_vector copy(std::max<std::size_t>(count, 1) << shift);
    if (!part.empty()) std::memcpy(copy.data(), part.data(), part.size());
    own_     = image{std::move(copy), {1U << shift}};
    image_   = &own_;
    changed_ = true;
    reader_  = input_reader{{}};
}

void image_input::apply_changes() {
    const unsigned count = reader_.u8() % (changes_max + 1);
    for (unsigned i = 0; i < count && !reader_.ended(); ++i) {
        const auto kind   = static_cast<place_kind>(reader_.u8() % static_cast<unsigned>(place_kind::raw_count));
        const auto flags  = reader_.u8();
        const auto index  = reader_.u16();
        const auto offset = reader_.u16();
        apply(kind, flags, index, offset, reader_.bytes((flags & 15U) + 1U));
        changed_ = true;
    }
    if (ring_) {
        auto where = base_->where;
        std::memcpy(where.volume.data(), image_->bytes().data() + offsetof(superblock, volume), where.volume.size());
        image_->touch(where.ring.first.value, where.ring.count.value);
        seal_ring(image_->bytes(), where);
    }
}

void image_input::apply(place_kind kind, unsigned flags, std::uint16_t index, std::uint16_t offset, bytes_in bytes) {
    const auto size = base_->where.geometry.block;
    switch (kind) {
        case place_kind::superblock: return change_frame(frame::superblock, flags, offset, bytes);
        case place_kind::pointers: return change_frame(frame::pointers, flags, offset, bytes);
        case place_kind::anchor: return change_frame(frame::anchor, flags, offset, bytes);
        case place_kind::directory: return change_frame(frame::directory, flags, offset, bytes);
        case place_kind::swapped: {
            const auto first  = index % image_->blocks();
            const auto second = offset % image_->blocks();
            image_->touch(first, 1);
            image_->touch(second, 1);
            if (first == second) return;
            std::swap_ranges(image_->bytes().begin() + static_cast<std::ptrdiff_t>(first << size.shift()),
                             image_->bytes().begin() + static_cast<std::ptrdiff_t>((first + 1) << size.shift()),
                             image_->bytes().begin() + static_cast<std::ptrdiff_t>(second << size.shift()));
            return;
        }
        case place_kind::zeroed: {
            const auto block = index % image_->blocks();
            image_->touch(block, 1);
            std::memset(image_->bytes().data() + (block << size.shift()), 0, size.bytes);
            return;
        }
        default: return change_block(block_for(kind, index), flags, offset, bytes);
    }
}

void image_input::change_frame(std::uint64_t number, unsigned flags, std::uint16_t offset, bytes_in bytes) {
    const auto size   = base_->where.geometry.block;
    const auto copies = {number, number == frame::directory ? frame::directory_mirror : number + 4};
    auto       where  = base_->where;
    for (const auto copy : copies) {
        const bool first = copy == number;
        if ((flags & (first ? change_flag::second_only : change_flag::first_only)) != 0) continue;
        const auto home = frame_home(copy, size);
        image_->touch(home.value, frame_blocks_of(size).value);
        const std::size_t at = offset % (anchor_bytes - trailer_bytes);
        const auto content   = image_->bytes().subspan(static_cast<std::size_t>(byte_offset(home, size)), anchor_bytes);
        const auto room      = content.size() - at;
        if (!bytes.empty()) std::memcpy(content.data() + at, bytes.data(), std::min(bytes.size(), room));
        std::memcpy(where.volume.data(), image_->bytes().data() + offsetof(superblock, volume), where.volume.size());
        if ((flags & change_flag::unsealed) == 0) seal_frame(image_->bytes(), where, copy);
    }
}

block_index image_input::block_for(place_kind kind, std::uint16_t index) {
    const auto& regions = base_->where.regions;
    const auto  groups  = base_->where.geometry.groups;
    switch (kind) {
        case place_kind::group_table: return regions.group_table({index % regions.groups().front().count.value}).home;
        case place_kind::bitmap: return regions.bitmap(index % groups).home;
        case place_kind::trimmed: return regions.trimmed(index % groups).home;
        case place_kind::checksums: return regions.checksum_block(index % regions.checksums().front().count.value).home;
        case place_kind::objects:
            return regions.object_block(0, index % regions.object_parts().front().count.value).home;
        case place_kind::ring: return base_->where.ring.first + block_count{index % base_->where.ring.count.value};
        case place_kind::node: {
            // Nodes that the base has at home; those in the journal are reached through it.
            const auto shift = base_->where.geometry.block.shift();
            const auto least = frame_home(frame::count, base_->where.geometry.block).value;
            for (std::uint64_t looked = 0, left = index % 64U; looked < 2 * image_->blocks(); ++looked) {
                const auto block = looked % image_->blocks();
                const auto end   = image_->bytes().data() + ((block + 1) << shift);
                if (block < least || load_little<std::uint32_t>(end - trailer_bytes) != tag::node) continue;
                if (left == 0) return {block};
                --left;
            }
            return {least};
        }
        default: return {index % image_->blocks()};
    }
}

void image_input::change_block(block_index block, unsigned flags, std::uint16_t offset, bytes_in bytes) {
    const auto size = base_->where.geometry.block;
    image_->touch(block.value, 1);
    const auto        content = image_->bytes().subspan(static_cast<std::size_t>(byte_offset(block, size)), size.bytes);
    const std::size_t at      = offset % size.bytes;
    if (!bytes.empty()) std::memcpy(content.data() + at, bytes.data(), std::min(bytes.size(), content.size() - at));
    if ((flags & change_flag::unsealed) != 0) return;
    auto where = base_->where;
    std::memcpy(where.volume.data(), image_->bytes().data() + offsetof(superblock, volume), where.volume.size());
    if (where.ring.contains(block)) {
        ring_ = true;
    } else {
        seal_metadata(image_->bytes(), where, block);
    }
}

input_writer& add_change(input_writer& to, place_kind kind, unsigned flags, unsigned index, unsigned offset,
                         bytes_in bytes) {
    to.u8(static_cast<unsigned>(kind)).u8(flags | static_cast<unsigned>(bytes.size() - 1));
    return to.u16(index).u16(offset).bytes(bytes);
}

std::vector<seed_input> image_seeds(bytes_in rest) {
    std::vector<seed_input> made;
    const auto              add = [&](std::string name, const input_writer& front) {
        auto bytes = front.made();
        bytes.insert(bytes.end(), rest.begin(), rest.end());
        made.push_back({std::move(name), std::move(bytes)});
    };
    for (unsigned i = 0; i < base_images; ++i) add("base_" + std::to_string(i), input_writer{}.u8(i).u8(0));
    struct lie {
        const char* name;
        unsigned    base;
        place_kind  kind;
        std::size_t offset;
        byte_vector bytes;
    };
    const auto        word   = [](std::uint64_t value) { return input_writer{}.number(value).made(); };
    const std::size_t record = object_record_bytes;
    const lie         lies[] = {
                {"huge_object", 1, place_kind::objects, record + offsetof(object_record, size), word(~0ULL >> 1U)},
                {"dying_circle", 1, place_kind::group_table, 24, word(1ULL << 24U)},
                {"free_everything", 2, place_kind::bitmap, 40, word(0)},
                {"tall_tree", 1, place_kind::objects, record + offsetof(object_record, height), word(24)},
                {"node_key", 1, place_kind::node, 16, word(77)},
                {"node_entry", 4, place_kind::node, 32 + 8, word(~0ULL - 5)},
                {"anchor_tail", 2, place_kind::anchor, offsetof(anchor_content, tail_position), word(3)},
                {"anchor_clean", 2, place_kind::anchor, offsetof(anchor_content, clean), word(1)},
                {"batch_length", 2, place_kind::ring, 56, word(0xFFFF'FFFF)},
                {"entry_target", 2, place_kind::ring, 80, word(80)},
                {"entry_length", 5, place_kind::ring, 88, word(0xFFFF'FFFF)},
                {"region_place", 1, place_kind::directory, 16 + 32 + 16, word(0xFFFF'FFFF'FFFF)},
                {"few_blocks", 1, place_kind::superblock, 16, word(200)},
                {"records", 3, place_kind::group_table, 16, word(2000)},
    };
    for (const auto& one : lies) {
        input_writer front;
        front.u8(one.base).u8(1);
        add_change(front, one.kind, 0, 0, static_cast<unsigned>(one.offset), one.bytes);
        add(one.name, front);
    }
    input_writer stale;
    stale.u8(2).u8(2);
    add_change(stale, place_kind::swapped, 0, 300, 500, word(0));
    add_change(stale, place_kind::zeroed, 0, 16, 0, word(0));
    add("swapped_and_zeroed", stale);
    return made;
}

void repair_whole_image(std::span<std::byte> input) {
    if (input.size() >= sizeof(superblock) && begins_as_superblock(input)) seal_image(input);
}

}  // namespace ashlar::fuzz
