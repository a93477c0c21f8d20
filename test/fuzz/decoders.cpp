/// Every decoder of a table, with its checksum right: what it accepts keeps its bounds, and encodes to what it was.

#include "input.hpp"
#include "repair.hpp"

#include <ashlar/allocator/bitmap_words.hpp>
#include <ashlar/allocator/group_arithmetic.hpp>
#include <ashlar/format/anchor.hpp>
#include <ashlar/format/group_bitmap.hpp>
#include <ashlar/format/indirection_table.hpp>
#include <ashlar/format/migration_checkpoint.hpp>
#include <ashlar/format/object_name.hpp>
#include <ashlar/format/object_record.hpp>
#include <ashlar/format/volume_totals.hpp>
#include <ashlar/journal/batch_reader.hpp>

#include <algorithm>
#include <array>

namespace ashlar::fuzz {
namespace {

constexpr volume_id volume{std::byte{7}};

/// The input, filled up with zeros.
template <std::size_t Bytes>
std::array<std::byte, Bytes> filled(bytes_in input) {
    std::array<std::byte, Bytes> made{};
    if (!input.empty()) std::memcpy(made.data(), input.data(), std::min(input.size(), Bytes));
    return made;
}

template <class Record>
bool same_bytes(const Record& a, const Record& b) {
    return std::memcmp(&a, &b, sizeof a) == 0;
}

void decode_superblock(bytes_in input) {
    auto content = filled<4096>(input);
    std::memcpy(content.data(), superblock_magic, sizeof superblock_magic);
    static_cast<void>(is_superblock(content));
    seal_block(content, tag::superblock, {}, identity_seed({}, superblock_identity));
    if (!is_superblock(content)) return;
    const auto found = load_struct<superblock>(content);
    expect(is_block_size(found.block_bytes) && found.blocks < (std::uint64_t{1} << 47U), "a superblock has bounds");
    const auto geometry = volume_geometry::of({found.block_bytes}, {found.blocks});
    if (geometry.groups > 0) {
        const auto last = geometry.group_blocks(geometry.groups - 1);
        expect(last > 0 && last <= group_blocks_max, "the last group has a block or more");
    }
    if (is_record_width(found.record_bytes, found.inline_extents)) {
        expect(object_encoded_bytes(found.inline_extents) <= found.record_bytes, "extents fit their record");
    }
}

void decode_directory(bytes_in input) {
    const auto     content = filled<4096>(input);
    constexpr auto size    = block_size{512};
    const auto     blocks  = block_count{900};
    const extent   whole{block_index{0}, blocks};
    const auto     decoded = region_table::decode(content, volume_geometry::of(size, blocks));
    if (!decoded) return;
    const auto& table = decoded.value();
    expect(!table.object_parts().empty() && table.slots() <= region_slots, "a directory has an object table");
    for (const auto& part : table.object_parts()) expect(lies_in(part, whole), "a part lies in the volume");
    for (const auto& region : {table.journal(), table.indirection(), table.slide()}) {
        expect(region.empty() || lies_in(region, whole), "a region lies in the volume");
    }
    for (const auto parts :
         {table.groups(), table.bitmaps(), table.trimmed(), table.checksums(), table.next_object_parts()}) {
        for (const auto& part : parts) expect(lies_in(part, whole), "a part of a table lies in the volume");
    }
    for (std::uint64_t block = 0; block < blocks.value; ++block) {
        const auto identity = table.identity_of({block});
        expect(!identity || identity->number < blocks.value, "a block's number is less than its region");
    }
}

void decode_anchor_frame(bytes_in input) {
    auto content = filled<anchor_bytes>(input);
    static_cast<void>(decode_anchor(content, volume));
    const std::uint64_t generation = load_struct<anchor_content>(content).generation;
    seal_block(content, tag::anchor, {generation}, identity_seed(volume, anchor_identity));
    const auto found = decode_anchor(content, volume);
    if (!found) return;
    expect(found->tail_position < found->ring_blocks && found->tail <= found->confirmed + 1, "an anchor has bounds");
    std::array<std::byte, anchor_bytes> again{};
    encode_anchor(again, *found, volume);
    const auto back = decode_anchor(again, volume);
    expect(back && same_bytes(*back, *found), "an anchor comes back as it was written");
}

void decode_group_record(bytes_in input) {
    const auto bytes  = filled<sizeof(group_record) + 4>(input);
    const auto record = load_struct<group_record>(bytes);
    const auto blocks = load_little<std::uint32_t>(bytes.data() + sizeof(group_record)) % (group_blocks_max + 1);
    const auto found  = decode_group(record, blocks);
    if (!found) return;
    expect(found->free <= blocks && found->largest <= found->free && is_possible(*found, blocks), "a group has bounds");
    expect(same_bytes(encode_group(*found), record), "a group record comes back as it was written");
}

void decode_volume_totals(bytes_in input) {
    const auto bytes  = filled<sizeof(volume_totals_record)>(input);
    const auto blocks = block_count{1U << 20U};
    const auto found  = decode_totals(load_struct<volume_totals_record>(bytes), blocks);
    if (!found) return;
    expect(found->free <= blocks.value && found->objects <= found->records_high_water, "totals have bounds");
    const auto back = decode_totals(encode_totals(*found), blocks);
    expect(back && *back == *found, "totals come back as they were written");
}

void decode_bitmap(bytes_in input) {
    const auto bytes  = filled<512>(input);
    const auto blocks = 1U + load_little<std::uint16_t>(bytes.data() + 510) % blocks_per_group({512});
    std::array<bitmap_word, words_for(blocks_per_group({512}))> words{};
    load_bitmap(words, bytes, blocks);
    std::uint32_t set = 0, past = 0;
    for (std::uint32_t i = 0; i < blocks_per_group({512}); ++i) {
        if (!is_set(words, i)) continue;
        ++(i < blocks ? set : past);
    }
    expect(past == blocks_per_group({512}) - blocks, "what lies past a group is in use");
    const auto summary     = summarize({words, blocks});
    auto       counted     = summary;
    counted.bitmap_written = true;
    expect(summary.free == blocks - set && is_possible(counted, blocks), "a bitmap has the summary that it can have");
    std::array<std::byte, 512> again{};
    store_bitmap(again, words, blocks);
    for (std::uint32_t i = 0; i < blocks; ++i) {
        const auto bit = [&](const auto& of) { return of[i / 8U] >> (i % 8U) & std::byte{1}; };
        expect(bit(bytes) == bit(again), "a bitmap comes back as it was written");
    }
}

void decode_object_record(bytes_in input) {
    const auto bytes    = filled<record_bytes_max + 1>(input);
    const auto capacity = 1U + static_cast<unsigned>(bytes[record_bytes_max]) % inline_extents_limit;
    const auto record   = std::span{bytes}.first(object_encoded_bytes(capacity));
    const auto found    = decode_object(record, capacity);
    if (!found || !found.value().in_use) return;
    const auto& map = found.value().map;
    expect(map.height <= tree_height_max && map.blocks >= map.extents, "an object has bounds");
    std::array<std::byte, record_bytes_max> again{};
    encode_object(again, found.value());
    const auto back = decode_object(again, capacity);
    expect(back.has_value(), "an object that was decoded is encoded");
    std::array<std::byte, record_bytes_max> twice{};
    encode_object(twice, back.value());
    expect(again == twice && back.value().size == found.value().size, "an object comes back as it was written");
}

void decode_node(bytes_in input) {
    const auto block  = filled<512>(input);
    const auto header = load_struct<node_header>(block);
    node_place place;
    place.node       = header.node;
    place.key        = header.key;
    place.level      = header.level;
    place.upper      = load_little<std::uint64_t>(block.data() + 488) | 1U;
    const auto count = check_node(block, header.owner, place);
    if (!count) return;
    expect(count.value() <= node_capacity({512}), "a node holds no more than fits");
    const auto whole = check_node_whole(block, header.owner, place);
    for (std::uint32_t i = 0; i < count.value(); ++i) {
        const auto key = key_at(block.data() + node_header_bytes, i);
        expect(entries_up_to(block.data() + node_header_bytes, count.value(), key) <= count.value(),
               "a search ends inside its node");
        if (place.level == 0) continue;
        const auto child = child_for(block, count.value(), key, place);
        if (!child) continue;
        expect(child.value().level < place.level && child.value().key >= place.key &&
                   child.value().key < child.value().upper && child.value().upper <= place.upper,
               "a child lies in the bounds of its parent");
        if (whole) expect(child.value().key == key, "the child of its key is found");
    }
    if (!whole || place.level > 0) return;
    for (std::uint32_t i = 1; i < count.value(); ++i) {
        const auto before = entry_at(block.data() + node_header_bytes, i - 1);
        const auto entry  = entry_at(block.data() + node_header_bytes, i);
        expect(entry.logical >= before.end() && entry.count > 0, "the extents of a whole leaf follow each other");
    }
}

/// A ring of blocks in memory; reads of it are counted.
struct ring_device {
    std::span<std::byte> bytes;
    std::uint64_t        reads = 0;

    [[nodiscard]] device_geometry geometry() const noexcept { return {.size = {512}, .blocks = {bytes.size() / 512}}; }
    [[nodiscard]] result<>        read(extent e, std::span<std::byte> in) noexcept {
               ++reads;
               if (!transfer_fits(geometry(), e, in.size())) return errc::out_of_range;
        std::memcpy(in.data(), bytes.data() + byte_offset(e.first, {512}), in.size());
               return success();
    }
    [[nodiscard]] result<> write(extent, std::span<const std::byte>) noexcept { return errc::read_only; }
    [[nodiscard]] result<> sync() noexcept { return success(); }
    [[nodiscard]] result<> trim(extent) noexcept { return success(); }
};
static_assert(BlockDevice<ring_device>);

/// Counts what a batch shows, and checks that it lies inside of it.
struct batch_content {
    std::uint64_t items   = 0;
    std::uint64_t entries = 0;
    std::uint64_t bytes   = 0;

    result<> data(block_index, std::uint64_t) noexcept {
        ++items;
        return success();
    }
    result<> entry(sequence, block_index target, std::uint32_t offset, std::span<const std::byte> changed) noexcept {
        expect(target.value < commit_marker_target, "no entry has the target of a marker");
        expect(offset <= 4096 && changed.size() <= 4096 - offset, "an entry changes no more than a frame");
        ++entries;
        bytes += changed.size();
        return success();
    }
};

/// A batch at any place of a ring of 16 blocks, its hashes right where its first bytes say so.
void decode_batch(bytes_in input) {
    input_reader reader{input};
    const auto   position = reader.u8() % 16U;
    const bool   sealed   = reader.u8() % 4 != 0;
    auto         bytes    = filled<16 * 512>(reader.rest());
    auto         header   = load_struct<batch_header>(bytes);
    header.tag            = tag::journal;
    header.version        = batch_version;
    header.volume         = volume;
    if (header.length < batch_header_bytes + marker_bytes || header.length > bytes.size()) {
        header.length =
            batch_header_bytes + marker_bytes + header.length % (bytes.size() - batch_header_bytes - marker_bytes);
    }
    store_struct(std::span{bytes}, header);
    if (sealed) {
        const auto     batch = std::span{bytes}.first(static_cast<std::size_t>(header.length));
        journal_marker end;
        end.target   = commit_marker_target;
        end.sequence = header.sequence;
        end.entries  = header.entries;
        store_struct(batch.last(marker_bytes), end);
        static_cast<void>(seal_batch(batch, volume, position));
    }
    std::rotate(bytes.rbegin(), bytes.rbegin() + static_cast<std::ptrdiff_t>(position * 512), bytes.rend());

    ring_device                     device{bytes};
    std::array<std::byte, 6 * 1024> memory{};
    const ring_layout               ring{{block_index{0}, block_count{16}}, {512}, volume};
    ring_reader<ring_device>        from{device, ring, position, 16, memory};
    batch_content                   content;
    const batch_expected            expected{{header.sequence}, header.previous, {0}, header.epoch};
    const auto                      found = batch_reader(from, content).read(0, expected);
    expect(found.has_value() && device.reads <= 64, "a batch is read within bounds");
    if (!found.value()) return;
    expect(content.items == header.data && content.entries == header.entries, "a batch shows all that it counts");
    expect(found.value()->bytes ==
               batch_bytes(header.data, header.entries, content.bytes, (header.flags & batch_has_completion) != 0),
           "the parts of a batch fill it");
}

void decode_trailer(bytes_in input) {
    auto       block = filled<512>(input);
    const auto identity =
        block_identity{load_little<std::uint32_t>(block.data()), load_little<std::uint64_t>(block.data() + 4),
                       load_little<std::uint64_t>(block.data() + 12)};
    const auto seed = identity_seed(volume, identity);
    static_cast<void>(is_sealed(block, identity.tag, seed));
    seal_block(block, identity.tag, {9}, seed);
    expect(is_sealed(block, identity.tag, seed), "a sealed block is sealed");
    block[20 + static_cast<std::size_t>(block[30])] ^= std::byte{1};
    expect(!is_sealed(block, identity.tag, seed), "a changed block is not");
}

void decode_name(bytes_in input) {
    const object_id id{load_little<std::uint64_t>(filled<8>(input).data())};
    if (!names_record(id)) return;
    expect(object_id_of(record_of(id), id.value & object_reuse_max) == id, "an id names its record");
}

void decode_indirection(bytes_in input) {
    const auto        block = filled<512>(input);
    const block_count blocks{900};
    const auto        part  = load_struct<indirection_head>(block).part;
    const auto        count = decode_indirection_head(block, part);
    if (!count) return;
    expect(*count <= indirection_entries_in({512}), "a block holds no more entries than fit");
    auto again = block;
    encode_indirection_head(again, part, *count);
    expect(again == block, "a head that was decoded is encoded");
    for (std::uint32_t i = 0; i < *count; ++i) {
        const auto entry = decode_indirection_entry(block, i, blocks);
        if (!entry) continue;
        expect(entry->logical.value < 900 && entry->physical.value < 900 && entry->logical != entry->physical,
               "an entry names two blocks of the volume");
        encode_indirection_entry(std::span{again}.subspan(indirection_entry_offset(i), sizeof(indirection_record)),
                                 *entry);
        expect(again == block, "an entry that was decoded is encoded");
    }
}

/// The state of a migration, and a record that goes from its one width to the other and back.
void decode_migration_block(bytes_in input) {
    const auto block = filled<512>(input);
    const auto found = decode_migration(block);
    if (!found) return;
    expect(is_record_width(found->old_bytes, found->old_inline) && is_record_width(found->new_bytes, found->new_inline),
           "a migration goes from a width to a width");
    expect(found->old_inline <= found->new_inline && found->migrated <= found->total, "a migration has bounds");
    std::array<std::byte, 512> again{};
    encode_migration(again, *found);
    const auto back = decode_migration(again);
    expect(back && same_bytes(*back, *found), "a migration comes back as it was written");

    std::array<std::byte, record_bytes_max> wide{};
    const auto                              from = std::span{block}.last(record_bytes_max).first(found->old_bytes);
    const auto                              into = std::span{wide}.first(found->new_bytes);
    convert_record(from, found->old_inline, into, found->new_inline);
    const std::size_t old_end = object_encoded_bytes(found->old_inline),
                      new_end = object_encoded_bytes(found->new_inline);
    const std::size_t kept    = std::min(from.size() - old_end, into.size() - new_end);
    expect(std::memcmp(into.data(), from.data(), old_end) == 0, "a record keeps what stands in it");
    expect(kept == 0 || std::memcmp(into.data() + new_end, from.data() + old_end, kept) == 0,
           "a record keeps what features have in it");
}

using decoder                = void (*)(bytes_in);
constexpr decoder decoders[] = {decode_superblock,     decode_directory, decode_anchor_frame,  decode_group_record,
                                decode_volume_totals,  decode_bitmap,    decode_object_record, decode_node,
                                decode_batch,          decode_trailer,   decode_name,          decode_indirection,
                                decode_migration_block};

void run(bytes_in input) {
    if (input.empty()) return;
    decoders[static_cast<unsigned>(input[0]) % std::size(decoders)](input.subspan(1));
}

std::vector<seed_input> seeds() {
    std::vector<seed_input> made;
    const auto              add = [&](const char* name, unsigned which, bytes_in bytes) {
        // The end of a block is zeros or a trailer, which the target makes.
        while (!bytes.empty() && bytes.back() == std::byte{0}) bytes = bytes.first(bytes.size() - 1);
        made.push_back({name, input_writer{}.u8(which).bytes(bytes).made()});
    };
    input_writer super;
    super.bytes(std::as_bytes(std::span{superblock_magic})).number(superblock_version).number(512U);
    super.number(std::uint64_t{900}).bytes(byte_vector(96)).bytes(byte_vector(20)).number(136U).number(2U);
    add("superblock", 0, super.made());
    input_writer directory;
    directory.number(directory_version).number(6U).number(std::uint64_t{0});
    const std::array<std::uint32_t, 6> types{tag::journal, tag::groups,    tag::bitmap,
                                             tag::trimmed, tag::checksums, tag::objects};
    const std::array<std::uint64_t, 6> places{80, 176, 177, 178, 179, 243};
    const std::array<std::uint64_t, 6> blocks{96, 1, 1, 1, 64, 4};
    for (std::size_t i = 0; i < types.size(); ++i)
        directory.number(types[i]).bytes(byte_vector(12)).number(places[i]).number(blocks[i]);
    add("directory", 1, directory.made());
    input_writer anchor;
    anchor.number(anchor_version).number(0U);
    for (const std::uint64_t value : {3U, 2U, 1U, 5U, 4U, 7U, 99U, 80U, 96U, 500U, 0U, 2U}) anchor.number(value);
    add("anchor", 2, anchor.made());
    auto group = empty_group(500);
    group.free = 400, group.head = 0, group.tail = 100, group.largest = 300, group.bitmap_written = true;
    group.runs    = {};
    group.runs[6] = group.runs[8] = 1;
    const auto group_bytes        = encode_group(group);
    add("group_record", 3, input_writer{}.bytes(std::as_bytes(std::span{&group_bytes, 1})).number(500U).made());
    volume_totals totals;
    totals.free = 700, totals.objects = 5, totals.records_high_water = 9, totals.allocated_extents = 12;
    const auto totals_bytes = encode_totals(totals);
    add("totals", 4, std::as_bytes(std::span{&totals_bytes, 1}));
    add("bitmap", 5, input_writer{}.number(0xFFFF'00FF'F00FULL).bytes(byte_vector(502)).u16(900).made());
    object_state object;
    object.id = object_id_of(3, 1), object.size = 4000, object.in_use = true;
    object.map.extents = 2, object.map.blocks = 8;
    store_entry(object.map.entries.data(), {0, 300, 4, 0});
    store_entry(object.map.entries.data() + entry_bytes, {6, 400, 4, extent_flag::pinned});
    std::array<std::byte, record_bytes_max + 1> record{};
    record[record_bytes_max] = std::byte{1};
    encode_object(record, object);
    add("object_record", 6, record);
    object.map.height = 2, object.map.root = {500}, object.map.root_node = 4, object.map.extents = 40,
    object.map.blocks = 80;
    encode_object(record, object);
    add("object_record_with_tree", 6, record);
    for (const std::uint16_t level : {std::uint16_t{0}, std::uint16_t{1}}) {
        input_writer node;
        node.number(std::uint64_t{1} << 24U).number(std::uint64_t{4}).number(std::uint64_t{0});
        node.number(level).number(std::uint16_t{3}).number(0U);
        for (const std::uint64_t key : {0U, 10U, 20U})
            node.number(key).number(300 + key).number(std::uint64_t{level} + 5);
        node.bytes(byte_vector(488 - node.made().size())).number(~std::uint64_t{0});
        add(level == 0 ? "leaf" : "inner_node", 7, node.made());
    }
    for (const unsigned entries : {0U, 2U}) {
        batch_header header;
        header.epoch = 2, header.sequence = 6, header.previous = 11, header.data = 2, header.entries = entries;
        header.acknowledged = 3;
        header.length       = batch_bytes(2, entries, entries * 16, false);
        input_writer batch;
        batch.u8(entries == 0 ? 0 : 15).u8(1).bytes(std::as_bytes(std::span{&header, 1})).bytes(byte_vector(32));
        for (unsigned i = 0; i < entries; ++i)
            batch.number(std::uint64_t{179 + i}).number(16U).number(496U).bytes(byte_vector(24));
        add(entries == 0 ? "batch_of_data" : "batch_at_the_end", 8, batch.made());
    }
    add("trailer", 9, input_writer{}.number(tag::node).number(std::uint64_t{1}).number(std::uint64_t{2}).made());
    input_writer table;
    table.number(tag::indirection).number(indirection_version).number(2U).number(3U).number(std::uint16_t{0});
    for (const std::uint64_t entry : {700U, 650U, 701U, 651U}) table.number(entry);
    add("indirection", 11, table.made());
    add("name", 10, input_writer{}.number(object_id_of(77, 3).value).made());
    migration_checkpoint migration;
    migration.version = migration_version, migration.phase = std::uint16_t{2}, migration.migration = std::uint64_t{9};
    migration.old_bytes = 136U, migration.old_inline = 2U, migration.new_bytes = 200U, migration.new_inline = 3U;
    migration.total = std::uint64_t{70}, migration.migrated = std::uint64_t{30};
    migration.old_parts = std::uint16_t{1}, migration.new_parts = std::uint16_t{1};
    add("migration", 12, std::as_bytes(std::span{&migration, 1}));
    return made;
}

}  // namespace

const target decoders_target{"decoders", run, nullptr, seeds};

}  // namespace ashlar::fuzz
