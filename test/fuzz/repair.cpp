#include "repair.hpp"

#include <ashlar/format/anchor.hpp>
#include <ashlar/format/batch.hpp>

#include <map>

namespace ashlar::fuzz {
namespace {

constexpr std::size_t frame_content = 4096;

/// What a frame proves to be; tag 0 for those that hold nothing.
block_identity identity_of_frame(std::uint64_t number) {
    switch (number) {
        case frame::superblock:
        case frame::superblock_mirror: return superblock_identity;
        case frame::pointers:
        case frame::pointers_mirror: return pointers_identity;
        case frame::anchor:
        case frame::anchor_mirror: return anchor_identity;
        case frame::directory:
        case frame::directory_mirror: return directory_identity;
        default: return {};
    }
}

std::span<std::byte> block_of(std::span<std::byte> image, const places& where, block_index block, std::size_t bytes) {
    return image.subspan(static_cast<std::size_t>(byte_offset(block, where.geometry.block)), bytes);
}

std::uint32_t generation_of(std::span<const std::byte> sealed) {
    return load_struct<block_trailer>(sealed.last(trailer_bytes)).generation;
}

/// A batch's bytes in a row, although the ring may end in its middle.
class ring_view {
  public:
    ring_view(std::span<std::byte> image, const places& where)
        : bytes_{block_of(image, where, where.ring.first, whole(where))}, size_{where.geometry.block} {}

    [[nodiscard]] std::uint64_t blocks() const { return bytes_.size() >> size_.shift(); }
    [[nodiscard]] byte_vector   read(std::uint64_t position, std::size_t bytes) const {
          byte_vector made(bytes);
          for_each_part(position, bytes, [&](std::size_t at, std::size_t from, std::size_t count) {
            std::memcpy(made.data() + from, bytes_.data() + at, count);
        });
          return made;
    }
    void write(std::uint64_t position, bytes_in batch) {
        for_each_part(position, batch.size(), [&](std::size_t at, std::size_t from, std::size_t count) {
            std::memcpy(bytes_.data() + at, batch.data() + from, count);
        });
    }

  private:
    static std::size_t whole(const places& where) {
        return static_cast<std::size_t>(bytes_of(where.ring.count, where.geometry.block));
    }
    template <class Each>
    void for_each_part(std::uint64_t position, std::size_t bytes, Each each) const {
        const auto begin = static_cast<std::size_t>(position << size_.shift());
        const auto front = std::min(bytes, bytes_.size() - begin);
        if (front > 0) each(begin, 0, front);
        if (front < bytes) each(0, front, bytes - front);
    }

    std::span<std::byte> bytes_;
    block_size           size_;
};

/// Blocks as replay will leave them.
class replayed_blocks {
  public:
    replayed_blocks(bytes_in image, const places& where) : image_{image}, where_{where} {}

    /// Applies an entry; the bytes of a trailer become those that its block needs.
    void apply(std::uint64_t target, std::uint32_t offset, std::span<std::byte> bytes) {
        const auto& geometry = where_.geometry;
        const auto  number   = target / frame_blocks_of(geometry.block).value;
        const bool  framed   = target < frame_home(frame::count, geometry.block).value;
        const auto  size     = framed ? frame_content : geometry.block.bytes;
        if (target >= geometry.blocks.value || offset > size || bytes.size() > size - offset) return;
        auto& block = blocks_[target];
        if (block.empty()) {
            const auto from =
                image_.subspan(static_cast<std::size_t>(byte_offset(block_index{target}, geometry.block)), size);
            block.assign(from.begin(), from.end());
        }
        std::memcpy(block.data() + offset, bytes.data(), bytes.size());
        if (bytes.size() != trailer_bytes || offset != size - trailer_bytes) return;
        const auto identity = framed ? identity_of_frame(number) : identity_of(target, block);
        if (identity.tag == 0) return;
        seal_block(block, identity.tag, {generation_of(block)}, identity_seed(where_.volume, identity));
        std::memcpy(bytes.data(), block.data() + offset, trailer_bytes);
    }

  private:
    [[nodiscard]] block_identity identity_of(std::uint64_t target, bytes_in block) const {
        return where_.regions.identity_of({target}).value_or(block_identity{
            tag::node, load_little<std::uint64_t>(block.data()), load_little<std::uint64_t>(block.data() + 8)});
    }

    bytes_in                             image_;
    const places&                        where_;
    std::map<std::uint64_t, byte_vector> blocks_{};
};

/// Walks the entries of a batch as far as they fit.
template <class Each>
void for_each_entry(std::span<std::byte> batch, Each each) {
    const auto    header = load_struct<batch_header>(batch);
    const auto    end    = batch.size() - marker_bytes;
    std::uint64_t place  = batch_header_bytes + std::uint64_t{header.data} * batch_data_item_bytes;
    if ((header.flags & batch_has_completion) != 0) place += marker_bytes;
    for (std::uint32_t left = header.entries; left > 0; --left) {
        if (place > end || end - place < entry_overhead_bytes) return;
        const auto head = load_struct<journal_entry_head>(batch.subspan(static_cast<std::size_t>(place)));
        if (head.length > end - place - entry_overhead_bytes) return;
        const std::size_t bytes = entry_overhead_bytes + head.length;
        each(place, head, batch.subspan(static_cast<std::size_t>(place), bytes));
        place += bytes;
    }
}

}  // namespace

std::optional<places> find_places(bytes_in image) {
    if (image.size() < frame_content) return std::nullopt;
    const auto found = load_struct<superblock>(image);
    if (!is_block_size(found.block_bytes)) return std::nullopt;
    const block_size size{found.block_bytes};
    const auto       blocks = whole_blocks(image.size(), size);
    if (found.blocks > blocks.value || found.blocks <= frame_home(frame::count, size).value) return std::nullopt;
    places where;
    where.geometry = volume_geometry::of(size, {found.blocks});
    std::memcpy(where.volume.data(), found.volume, sizeof found.volume);
    const auto home    = frame_home(frame::directory, size);
    const auto content = image.subspan(static_cast<std::size_t>(byte_offset(home, size)), frame_content);
    auto       decoded = region_table::decode(content, where.geometry);
    if (decoded) where.regions = decoded.value();
    where.ring = where.regions.journal();
    return where;
}

void seal_frame(std::span<std::byte> image, const places& where, std::uint64_t number) {
    const auto identity = identity_of_frame(number);
    if (identity.tag == 0) return;
    const auto content = block_of(image, where, frame_home(number, where.geometry.block), frame_content);
    seal_block(content, identity.tag, {generation_of(content)}, identity_seed(where.volume, identity));
}

void seal_metadata(std::span<std::byte> image, const places& where, block_index block) {
    const auto bytes    = block_of(image, where, block, where.geometry.block.bytes);
    auto       identity = where.regions.identity_of(block);
    if (!identity && load_struct<block_trailer>(bytes.last(trailer_bytes)).tag == tag::node) {
        identity = block_identity{tag::node, load_little<std::uint64_t>(bytes.data()),
                                  load_little<std::uint64_t>(bytes.data() + 8)};
    }
    if (!identity) return;
    seal_block(bytes, identity->tag, {generation_of(bytes)}, identity_seed(where.volume, *identity));
}

std::uint64_t seal_batch(std::span<std::byte> batch, const volume_id& volume, std::uint64_t position) {
    auto header = load_struct<batch_header>(batch);
    seal_header(header, batch_seed(volume, header.epoch, position));
    store_struct(batch, header);
    const auto seed = batch_seed(volume, header.epoch, position);
    if ((header.flags & batch_has_completion) != 0) {
        const std::uint64_t place = batch_header_bytes + std::uint64_t{header.data} * batch_data_item_bytes;
        if (place + 2 * marker_bytes <= batch.size()) {
            const auto bytes  = batch.subspan(static_cast<std::size_t>(place), marker_bytes);
            auto       marker = load_struct<journal_marker>(bytes);
            marker.hash       = item_hash(bytes.first(marker_bytes - 8), seed, place);
            store_struct(bytes, marker);
        }
    }
    for_each_entry(batch, [&](std::uint64_t place, const journal_entry_head&, std::span<std::byte> whole) {
        store_little<std::uint64_t>(whole.last(8).data(), item_hash(whole.first(whole.size() - 8), seed, place));
    });
    const auto    marker = batch.last(marker_bytes);
    xxh64_stream  hash{seed};
    std::uint64_t digest = 0;
    hash.update(batch.first(batch.size() - 8));
    digest = hash.digest();
    store_little<std::uint64_t>(marker.last(8).data(), digest);
    return digest;
}

void seal_ring(std::span<std::byte> image, const places& where) {
    if (where.ring.empty()) return;
    const auto      size    = where.geometry.block;
    const auto      content = block_of(image, where, frame_home(frame::anchor, size), frame_content);
    const auto      anchor  = load_struct<anchor_content>(content);
    ring_view       ring{image, where};
    replayed_blocks blocks{image, where};
    std::uint64_t   chain = anchor.tail_chain;
    for (std::uint64_t walked = 0; walked < ring.blocks();) {
        const auto position = (anchor.tail_position % ring.blocks() + walked) % ring.blocks();
        const auto left     = (ring.blocks() - walked) << size.shift();
        auto       header   = load_struct<batch_header>(ring.read(position, batch_header_bytes));
        const auto length   = static_cast<std::size_t>(header.length);
        if (header.tag != tag::journal || length < batch_header_bytes + marker_bytes || length > left) return;
        auto batch      = ring.read(position, length);
        header.previous = chain;
        store_struct(std::span{batch}, header);
        for_each_entry(batch, [&](std::uint64_t, const journal_entry_head& head, std::span<std::byte> whole) {
            blocks.apply(head.target, head.offset, whole.subspan(sizeof head, head.length));
        });
        chain = seal_batch(batch, where.volume, position);
        ring.write(position, batch);
        walked += blocks_for(length, size).value;
    }
}

void seal_image(std::span<std::byte> image) {
    const auto where = find_places(image);
    if (!where) return;
    for (std::uint64_t number = 0; number < frame::count; ++number) seal_frame(image, *where, number);
    const auto first = frame_home(frame::count, where->geometry.block);
    for (std::uint64_t block = first.value; block < where->geometry.blocks.value; ++block) {
        const auto bytes = block_of(image, *where, {block}, where->geometry.block.bytes);
        if (load_struct<block_trailer>(bytes.last(trailer_bytes)).tag != 0) seal_metadata(image, *where, {block});
    }
    seal_ring(image, *where);
}

}  // namespace ashlar::fuzz
