/// A journal that comes from the input, with every hash right: recovery takes it or refuses it, within its bounds; a
/// power cut in its middle changes nothing of what it finds out.

#include "image_input.hpp"

#include <ashlar/format/anchor.hpp>
#include <ashlar/format/batch.hpp>

#include <algorithm>

namespace ashlar::fuzz {
namespace {

constexpr unsigned batches_max = 12;
constexpr unsigned entries_max = 24;

/// Blocks that a journal is likely to name, and any other.
std::uint64_t target_of(const base_image& base, unsigned kind, std::uint64_t number) {
    const auto& regions = base.where.regions;
    const auto  size    = base.where.geometry.block;
    switch (kind % 8) {
        case 0: return frame_home(number % frame::count, size).value;
        case 1: return regions.group_table({number % regions.groups().front().count.value}).home.value;
        case 2: return regions.bitmap(number % base.where.geometry.groups).home.value;
        case 3: return regions.object_block(0, number % regions.object_parts().front().count.value).home.value;
        case 4: return regions.checksum_block(number % regions.checksums().front().count.value).home.value;
        case 5: return base.where.ring.first.value + number % base.where.ring.count.value;
        case 6: return number % base.where.geometry.blocks.value;
        default: return ~(number % 4);
    }
}

/// Makes batches of the input and lays them into the ring. The form of a batch: flags (1), entries (1), list items
/// (1); for an item its block (2); for an entry kind of target (1), number (2), offset (2), length (1), and as many
/// bytes at most. Flags: 2 an older epoch; 4 a sequence is left out; 8 the batch before was acknowledged; 128 the list
/// names wrong checksums. A kind of 128 or more leaves the trailer out that makes the block whole again.
class ring_maker {
  public:
    ring_maker(const base_image& base, std::span<std::byte> image)
        : base_{base}, image_{image}, size_{base.where.geometry.block} {
        const auto home = static_cast<std::size_t>(byte_offset(frame_home(frame::anchor, size_), size_));
        anchor_         = load_struct<anchor_content>(image_.subspan(home));
        position_       = anchor_.tail_position;
        sequence_       = anchor_.tail;
    }

    /// Whether a journal of ours could name what this one names: then recovery must come to the same end however often
    /// it begins. A frame, the ring itself and what lies outside of the volume are an attacker's.
    [[nodiscard]] bool honest() const noexcept { return honest_; }

    void take(input_reader& from) {
        const auto count = from.u8() % batches_max;
        for (unsigned i = 0; i < count && !from.ended(); ++i) {
            const auto batch = make_batch(from);
            const auto taken = blocks_for(batch.size(), size_).value;
            if (used_ + taken > base_.where.ring.count.value) return;
            lay(batch);
            used_ += taken;
            position_ = (position_ + taken) % base_.where.ring.count.value;
            ++sequence_;
        }
    }

  private:
    byte_vector make_batch(input_reader& from) {
        const auto   flags   = from.u8();
        const auto   entries = from.u8() % (entries_max + 1U);
        const auto   items   = from.u8() % 8U;
        input_writer body;
        for (unsigned i = 0; i < items; ++i) {
            const auto block = from.u16() % base_.where.geometry.blocks.value;
            const auto bytes = image_.subspan(static_cast<std::size_t>(block << size_.shift()), size_.bytes);
            body.number(std::uint64_t{block}).number(xxh3_64(bytes) + (flags >> 7U));
        }
        unsigned written = 0;
        for (unsigned i = 0; i < entries; ++i) {
            const auto kind   = from.u8();
            const auto target = target_of(base_, kind, from.u16());
            honest_           = honest_ && target >= frame_home(frame::count, size_).value &&
                      target < base_.where.geometry.blocks.value && !base_.where.ring.contains(block_index{target});
            const auto limit  = target < frame_home(frame::count, size_).value ? 4096U : size_.bytes;
            const auto offset = from.u16() % limit;
            const auto bytes  = from.bytes(from.u8());
            const auto fits   = bytes.first(std::min<std::size_t>(bytes.size(), limit - offset));
            written += add_entry(body, target, offset, fits);
            if ((kind & 0x80U) != 0) continue;
            const byte_vector trailer = trailer_for(target, limit);
            written += add_entry(body, target, limit - static_cast<std::uint32_t>(trailer_bytes), trailer);
        }
        return finish(flags, written, items, body.made());
    }

    static unsigned add_entry(input_writer& body, std::uint64_t target, std::uint32_t offset, bytes_in bytes) {
        body.number(target).number(static_cast<std::uint32_t>(bytes.size())).number(offset).bytes(bytes);
        body.number(std::uint64_t{0});  // the hash, once all is known
        return 1;
    }

    /// The tag that stands there now; `seal_ring` puts the checksum in.
    [[nodiscard]] byte_vector trailer_for(std::uint64_t target, std::uint32_t limit) const {
        if (target >= base_.where.geometry.blocks.value) return byte_vector(trailer_bytes);
        const auto end = image_.subspan(static_cast<std::size_t>(target << size_.shift()) + limit - trailer_bytes);
        return {end.begin(), end.begin() + trailer_bytes};
    }

    [[nodiscard]] byte_vector finish(unsigned flags, unsigned entries, unsigned items, bytes_in body) const {
        batch_header header;
        header.tag          = tag::journal;
        header.version      = batch_version;
        header.volume       = base_.where.volume;
        header.epoch        = anchor_.epoch - ((flags & 2U) != 0 ? 1U : 0U);
        header.sequence     = sequence_ + ((flags & 4U) != 0 ? 1U : 0U);
        header.acknowledged = (flags & 8U) != 0 ? sequence_ - 1 : 0;
        header.length       = batch_header_bytes + body.size() + marker_bytes;
        header.entries      = entries;
        header.data         = items;
        journal_marker end;
        end.target   = commit_marker_target;
        end.sequence = header.sequence;
        end.entries  = entries;
        byte_vector batch(batch_header_bytes);
        store_struct(std::span{batch}, header);
        batch.insert(batch.end(), body.begin(), body.end());
        batch.resize(batch.size() + marker_bytes);
        store_struct(std::span{batch}.last(marker_bytes), end);
        return batch;
    }

    void lay(bytes_in batch) {
        const auto ring  = image_.subspan(static_cast<std::size_t>(byte_offset(base_.where.ring.first, size_)),
                                          static_cast<std::size_t>(bytes_of(base_.where.ring.count, size_)));
        const auto begin = static_cast<std::size_t>(position_ << size_.shift());
        for (std::size_t i = 0; i < batch.size(); ++i) ring[(begin + i) % ring.size()] = batch[i];
    }

    const base_image&    base_;
    std::span<std::byte> image_;
    block_size           size_;
    anchor_content       anchor_{};
    std::uint64_t        position_ = 0;
    std::uint64_t        sequence_ = 0;
    std::uint64_t        used_     = 0;
    bool                 honest_   = true;
};

struct outcome {
    bool opened = false;
    seen what{};
};

outcome recover(image& on) {
    auto live = live_store::open(on, live_store::access::read_write);
    if (!live) return {};
    return {true, look_at_everything(live.value())};
}

struct prepared_image {
    std::uint64_t cut    = 0;
    bool          honest = false;
};

/// Makes the image of the input; the same one each time.
prepared_image prepare(image_input& prepared) {
    prepared_image answer;
    auto&          on = prepared.on();
    answer.cut        = prepared.rest().u8() % 64;
    if (prepared.base() == nullptr) return answer;
    const auto& where = prepared.base()->where;
    on.touch(where.ring.first.value, where.ring.count.value);
    ring_maker maker{*prepared.base(), on.bytes()};
    maker.take(prepared.rest());
    seal_ring(on.bytes(), where);
    answer.honest = maker.honest() && !prepared.changed();
    return answer;
}

void run(bytes_in input) {
    image_input first{input, 0}, second{input, 1};
    const auto  made = prepare(first);
    static_cast<void>(prepare(second));
    auto& straight = first.on();
    auto& cut_down = second.on();
    expect(straight.content() == cut_down.content(), "the same input makes the same image");

    const auto once  = recover(straight);
    const auto again = once.opened ? recover(straight) : outcome{};
    cut_down.power   = made.cut;
    static_cast<void>(recover(cut_down));
    cut_down.power   = ~std::uint64_t{0};
    const auto after = recover(cut_down);
    if (!made.honest || !once.opened || !once.what.whole) return;
    expect(again.opened && again.what.whole, "a volume that was recovered whole opens again");
    expect(again.what.digest == once.what.digest, "a second recovery finds what the first one found");
    expect(after.opened && after.what.whole, "a recovery that was cut is done again");
    expect(after.what.digest == once.what.digest, "a recovery that was cut loses nothing");
}

std::vector<seed_input> seeds() {
    auto made = image_seeds(input_writer{}.u8(9).u8(0).made());
    // One batch that changes the record of the root object, and one that lists a block.
    input_writer root;
    root.u8(1).u8(0).u8(5).u8(2);
    root.u8s({0, 1, 0, 3, 0, 0, 8, 0, 2}).u8s({0x44, 1});
    root.u8s({0, 0, 1, 200, 1});
    made.push_back({"two_batches", root.made()});
    input_writer frames;
    frames.u8(4).u8(0).u8(3).u8(1);
    frames.u8s({0, 3, 0, 0, 8, 0, 40, 0, 1, 7, 0, 0, 0, 16, 0, 1, 8, 5, 0, 0, 0, 0, 4, 1, 2, 3, 4});
    made.push_back({"frames_and_ring", frames.made()});
    return made;
}

}  // namespace

const target recover_target{"recover", run, repair_whole_image, seeds};

}  // namespace ashlar::fuzz
