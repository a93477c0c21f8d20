#pragma once
/// Scenarios for faults that random operations meet too rarely: each builds the one situation in which the fault shows.

#include "probe.hpp"

#include <ashlar/object/relocation_source.hpp>
#include <ashlar/relocation/relocation.hpp>
#include <ashlar/throttle/no_throttle.hpp>

namespace probe {

/// A formatted volume whose power can be cut, and a store on it.
class small_volume {
  public:
    explicit small_volume(const shape& s = {})
        : shape_{s},
          memory{std::move(memory_device::create({s.block_bytes}, block_count{s.blocks})).value()},
          cut{memory},
          below_{cut},
          process{below_} {
        watched device{&process};
        check(crash_store::format(device, format_of(s)), "format");
        open();
        ring = opened.volume().regions.journal();
        process.lies(ring, opened.volume().regions.object_parts().front().end());
    }

    [[nodiscard]] result<crash_store> try_open(bool read_only = false) {
        process.die_after(0);
        crash_store::options chosen;
        chosen.limits = limits_of(shape_);
        if (read_only) return crash_store::open_read_only(watched{&process}, chosen);
        return crash_store::open(watched{&process}, chosen);
    }
    void open() {
        auto made = try_open();
        check(made, "open");
        opened = std::move(made).value();
    }
    void reopen() {
        check(opened.close(), "close");
        open();
    }
    /// The process is gone, and so is what the choice does not keep.
    void lose_power(crash_choice choice) {
        static_cast<void>(opened.abandon());
        cut.restart(choice);
    }
    object_id create() {
        const auto made = opened.create();
        check(made, "create");
        return made.value();
    }
    void write(object_id id, std::uint64_t offset, std::span<const std::byte> bytes) {
        check(opened.write(id, offset, bytes), "write");
    }
    [[nodiscard]] std::span<std::byte> block(block_index at) {
        return memory.bytes().subspan(static_cast<std::size_t>(at.value * shape_.block_bytes), shape_.block_bytes);
    }
    /// Changes bytes on the disk, under the feet of whoever has the volume open.
    void overwrite(block_index at, std::span<const std::byte> bytes) {
        check(cut.write({at, whole_blocks(bytes.size(), {shape_.block_bytes})}, bytes), "write");
        check(cut.sync(), "sync");
    }

  private:
    shape shape_;

  public:
    memory_device                   memory;
    power_cut_device<memory_device> cut;

  private:
    calls_of<power_cut_device<memory_device>> below_;

  public:
    watch       process;
    crash_store opened;
    extent      ring{};
};

/// A batch that recovery cut must not count when its missing data turns up later: the same bytes written again, where
/// they were to go. Only its epoch tells.
inline void old_epoch(std::uint64_t seed) {
    small_volume volume;
    const auto   one = volume.create(), other = volume.create();
    volume.write(one, 0, pattern(512, seed));
    volume.write(other, 0, pattern(512, seed + 1));
    volume.reopen();
    const auto before = read_or_fail(volume.opened, "before");

    volume.process.die_after(2);  // the data, the batch
    const auto again = pattern(512, seed + 2);
    {
        auto begun = volume.opened.begin();
        check(begun, "begin");
        auto tx = std::move(begun).value();
        check(tx.write(one, 0, again), "write");
        check(tx.truncate(other, 0), "truncate");
        check(!tx.commit(), "a commit without its sync succeeded");
    }
    volume.lose_power({unsynced::keep_one, 1, 0});
    volume.open();
    check(read_or_fail(volume.opened, "after the first cut") == before, "half a transaction");

    {
        auto begun = volume.opened.begin();  // as before, and to the same place; then nothing of it
        check(begun, "begin");
        auto tx = std::move(begun).value();
        check(tx.write(one, 0, again), "write");
        tx.abort();
    }
    volume.lose_power({unsynced::all, 0, 0});
    volume.open();
    check(read_or_fail(volume.opened, "after the second cut") == before, "a batch that was cut came back");
    check_whole(volume.opened, "after the second cut");
}

/// Every metadata block and every data block with one bit changed: somebody says so.
inline void damage(std::uint64_t seed) {
    small_volume            volume;
    operations<crash_store> runs{seed, volume.opened.root()};
    for (int i = 0; i < 150; ++i) static_cast<void>(runs.step(volume.opened));
    check(volume.opened.close(), "close");
    volume.open();
    std::vector<block_index> data;
    for (const auto& [id, bytes] : runs.now) {
        for (logical_block at{};;) {
            const auto piece = volume.opened.next_extent(object_id{id}, at);
            check(piece, "next_extent");
            if (!piece.value()) break;
            at = piece.value()->logical + piece.value()->physical.count;
            if (!piece.value()->unwritten) data.push_back(piece.value()->physical.first);
        }
    }
    check(!data.empty(), "no data");
    check(volume.opened.close(), "close");

    random_bits random{seed};
    std::size_t metadata = 0;
    const auto  flipped  = [&](block_index at) {
        const auto bit  = random.below(480 * 8);
        const auto flip = [&] {
            byte_vector bytes(volume.block(at).begin(), volume.block(at).end());
            bytes[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8U));
            volume.overwrite(at, bytes);
        };
        flip();
        auto opened  = volume.try_open();
        bool noticed = opened.has_error(), unread = opened.has_error();
        if (opened) {
            const auto report = opened.value().verify([](const verify_finding&) {});
            noticed           = !report || report.value().findings != 0;
            unread            = !read_all(opened.value());
            static_cast<void>(opened.value().abandon());
        }
        flip();
        check(noticed, "a bit changed in block " + std::to_string(at.value) + " and verify found nothing");
        return unread;
    };
    for (const auto at : data)
        check(flipped(at), "a bit changed in data block " + std::to_string(at.value) + " and it was read");
    for (block_index at{volume.ring.end()}; at.value < 900; at = at + block_count{1}) {
        const auto type = load_little<std::uint32_t>(volume.block(at).last(trailer_bytes).data());
        if (type != tag::groups && type != tag::bitmap && type != tag::objects) continue;
        static_cast<void>(flipped(at));
        ++metadata;
    }
    check(metadata >= 3, "no metadata");
}

/// What a batch header of this volume must say to be the next, or to follow it.
inline batch_header next_header(small_volume& volume, std::uint64_t& position) {
    const auto frame = volume.memory.bytes().subspan(
        static_cast<std::size_t>(frame_home(frame::anchor, {512}).value) * 512, anchor_bytes);
    const auto anchor = decode_anchor(frame, format_of({}).volume);
    check(anchor.has_value(), "no anchor");
    position = anchor->tail_position;
    batch_header header;
    header.volume       = format_of({}).volume;
    header.epoch        = anchor->epoch;
    header.sequence     = anchor->tail;
    header.acknowledged = anchor->confirmed;
    header.previous     = anchor->tail_chain;
    return header;
}

inline void put_header(small_volume& volume, batch_header header, std::uint64_t position, bool whole) {
    seal_header(header, batch_seed(header.volume, header.epoch, position));
    if (!whole) header.hash = header.hash + 1;
    byte_vector bytes(512);
    store_struct(std::span{bytes}, header);
    volume.overwrite(volume.ring.first + block_count{position}, bytes);
}

/// A header whose batch would be longer than the ring ends history, and nothing worse.
inline void long_batch(std::uint64_t seed) {
    small_volume volume;
    volume.write(volume.create(), 0, pattern(900, seed));
    const auto before = read_or_fail(volume.opened, "before");
    check(volume.opened.close(), "close");
    std::uint64_t position = 0;
    auto          header   = next_header(volume, position);
    header.data            = 200'000;
    header.length          = batch_bytes(200'000, 0, 0, false);
    put_header(volume, header, position, true);
    volume.open();
    check(read_or_fail(volume.opened, "afterwards") == before, "the volume changed");
}

/// A header that is not whole says nothing, whatever it seems to say.
inline void torn_header(std::uint64_t seed) {
    small_volume volume;
    volume.write(volume.create(), 0, pattern(900, seed));
    const auto before = read_or_fail(volume.opened, "before");
    check(volume.opened.close(), "close");
    std::uint64_t position = 0;
    auto          header   = next_header(volume, position);
    header.acknowledged    = header.sequence;
    header.sequence        = header.sequence + 1;
    header.length          = batch_bytes(0, 0, 0, false);
    put_header(volume, header, position + 1 < volume.ring.count.value ? position + 1 : 0, false);
    volume.open();
    check(read_or_fail(volume.opened, "afterwards") == before, "the volume changed");
}

/// What a transaction that was dropped had reserved is free again.
inline void dropped(std::uint64_t seed) {
    small_volume volume;
    const auto   id    = volume.create();
    const auto   start = volume.opened.info().available;
    for (std::uint64_t i = 0; i < 20; ++i) {
        auto begun = volume.opened.begin();
        check(begun, "begin");
        auto tx = std::move(begun).value();
        check(tx.write(id, i * 512, pattern(4000, seed + i)), "write");
        tx.abort();
    }
    check(volume.opened.info().available == start, "dropped transactions keep blocks");
    check_whole(volume.opened, "afterwards");
}

/// A sync that failed is not taken for one that succeeded, then or later.
inline void failed_sync(std::uint64_t seed) {
    small_volume volume;
    const auto   id = volume.create();
    check(volume.opened.sync(), "sync");
    volume.write(id, 0, pattern(700, seed));
    volume.process.fail_next_sync();
    check(!volume.opened.sync(), "a failed sync succeeded");
    check(volume.opened.read_only(), "writing goes on after a failed sync");
    check(!volume.opened.write(id, 0, pattern(7, seed)), "a write after a failed sync succeeded");
    check(!volume.opened.sync(), "a sync after a failed one succeeded");
    volume.lose_power({unsynced::none, 0, 0});
    volume.open();
    check_whole(volume.opened, "after a failed sync");
}

/// A write that failed neither counts as done, nor takes from readers what they were shown.
inline void failed_write(std::uint64_t seed) {
    small_volume volume;
    const auto   id = volume.create();
    check(volume.opened.sync(), "sync");
    volume.write(id, 0, pattern(4000, seed));  // too much to ride in the batch
    const auto shown = read_or_fail(volume.opened, "before");
    volume.process.fail_next_write();
    check(!volume.opened.sync(), "a sync without its data succeeded");
    check(volume.opened.read_only(), "writing goes on after a failed write");
    check(read_or_fail(volume.opened, "after a failed write") == shown, "what was shown is gone");
    volume.lose_power({unsynced::none, 0, 0});
    volume.open();
    check_whole(volume.opened, "after a failed write");
}

/// A write that is refused halfway leaves nothing in memory that would be taken for what is written there next.
inline void refused(std::uint64_t seed) {
    small_volume volume;
    const auto   id = volume.create();
    check(volume.opened.reserve(id, 0, 512), "reserve");
    volume.write(id, 512, pattern(512, seed));
    check(volume.opened.pin(id, 512, 512), "pin");
    check(!volume.opened.write(id, 0, pattern(1024, seed + 1)), "a pinned block was written");
    const auto  bytes = pattern(512, seed + 2);
    byte_vector found(512);
    volume.write(id, 0, bytes);
    check(volume.opened.read(id, 0, std::span<std::byte>{found}), "read");
    check(found == bytes, "what was refused is there");
    volume.reopen();
    check(volume.opened.read(id, 0, std::span<std::byte>{found}), "read");
    check(found == bytes, "what was refused came back");
    check_whole(volume.opened, "afterwards");
}

/// What only the journal holds is there for whoever opens the volume to read it.
inline void read_only(std::uint64_t seed) {
    small_volume volume;
    const auto   id = volume.create();
    volume.write(id, 0, pattern(1500, seed));
    check(volume.opened.checkpoint(), "checkpoint");
    volume.write(id, 512, pattern(512, seed + 1));  // rides in its batch
    check(volume.opened.sync(), "sync");
    const auto before = read_or_fail(volume.opened, "before");
    volume.lose_power({unsynced::none, 0, 0});
    auto opened = volume.try_open(true);
    check(opened, "open to read");
    check(read_or_fail(opened.value(), "what the journal holds") == before, "the volume shows something older");
    static_cast<void>(opened.value().abandon());
}

/// A device that loses a write of a checkpoint is found out before the ring is given up.
inline void lost_write(std::uint64_t seed) {
    small_volume volume;
    volume.write(volume.create(), 0, pattern(700, seed));
    check(volume.opened.sync(), "sync");
    volume.process.lose_write_to(volume.opened.volume().regions.bitmap(0).home);
    check(!volume.opened.checkpoint(), "a checkpoint without its bitmap succeeded");
    volume.lose_power({unsynced::all, 0, 0});
    volume.open();
    check_whole(volume.opened, "after a lost write");
}

/// A pinned extent is nobody's to move.
inline void pinned(std::uint64_t seed) {
    small_volume volume;
    const auto   one = volume.create(), other = volume.create();
    for (std::uint64_t i = 0; i < 12; ++i) {  // two objects that lie block by block between each other
        volume.write(one, i * 512, pattern(512, seed + i));
        volume.write(other, i * 512, pattern(512, seed + 100 + i));
    }
    check(volume.opened.pin(one, 5 * 512, 512), "pin");
    const auto place = [&] {
        const auto piece = volume.opened.next_extent(one, {5});
        check(piece, "next_extent");
        check(piece.value().has_value(), "no extent");
        return piece.value()->physical.first + (logical_block{5} - piece.value()->logical);
    };
    const auto                                    before = place();
    byte_vector                                   chunk(4096);
    std::vector<mapped_extent>                    pieces(32);
    relocation                                    move{{}, {chunk, pieces}};
    relocation_source<volume_of<crash_blueprint>> host{volume.opened.volume()};
    no_throttle                                   throttle;
    bool                                          moved = false;
    for (int i = 0; i < 6; ++i) {
        auto answer = move.begin(host, {.owner = one, .first = {0}, .blocks = {12}, .window = {12}});
        while (move.active()) answer = move.advance(host, throttle, no_clock{}, block_count{4});
        moved = moved || answer.verdict == move_verdict::flipped;
    }
    check(moved, "nothing moved");
    check(place() == before, "a pinned block moved");
    check_whole(volume.opened, "after moves");
}

}  // namespace probe
