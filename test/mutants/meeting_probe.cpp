// Threads that meet where the engine's lock is given up, and transfers that a queue makes in the worst order. One
// thread plays them all: in the middle of a transfer the scenario says who comes next, so that the same words give the
// same run.
//
// usage: meeting_probe SCENARIO [SEED]   or without arguments: every scenario

#include "probe.hpp"

#include <ashlar/channel.hpp>
#include <ashlar/testing/power_cut_device.hpp>

#include <functional>

namespace probe {
namespace {

/// Threads of which one runs at a time. A wait ends at once, as a spurious wake; too many say that nobody would come.
struct played_threads {
    static constexpr bool concurrent = true;
    class mutex {
      public:
        void lock() {
            check(!held_, "two threads hold one lock");
            held_ = true;
        }
        void unlock() {
            check(held_, "a lock is given up that nobody holds");
            held_ = false;
        }

      private:
        bool held_ = false;
    };
    struct condition {
        int  waits = 0;
        void wait(mutex&) { check(++waits < 1000, "waits for what never comes"); }
        void wake() {}
    };
    using counter = single_threaded::counter;
};

/// A disk that can lose power, and lets a scenario in before each transfer.
class disk {
  public:
    explicit disk(const shape& s)
        : memory{std::move(memory_device::create({s.block_bytes}, block_count{s.blocks})).value()}, cut{memory} {}

    memory_device                        memory;
    power_cut_device<memory_device>      cut;
    std::function<void(const transfer&)> before;      ///< Not called while it runs.
    std::uint64_t                        writes = 0;  ///< That are left in this life; 0: as many as it likes.
    bool                                 dead   = false;

    result<> perform(const transfer& asked) {
        if (before && !visited_) {
            visited_ = true;
            before(asked);
            visited_ = false;
        }
        if (dead) return error{errc::device_failed, asked.blocks.first};
        const auto bytes = static_cast<std::size_t>(bytes_of(asked.blocks.count, cut.geometry().size));
        switch (asked.kind) {
            case transfer_kind::read: return cut.read(asked.blocks, {asked.memory, bytes});
            case transfer_kind::sync: return cut.sync();
            case transfer_kind::trim: return cut.trim(asked.blocks);
            case transfer_kind::write: break;
        }
        if (writes != 0 && --writes == 0) dead = true;
        return cut.write(asked.blocks, std::span<const std::byte>{asked.memory, bytes});
    }

  private:
    bool visited_ = false;
};

/// Makes the newest transfer first, and none before somebody waits for it.
class newest_first {
  public:
    explicit newest_first(disk& made, std::size_t depth) : disk_{&made}, depth_{depth} {}

    [[nodiscard]] std::size_t         depth() const noexcept { return depth_; }
    [[nodiscard]] std::size_t         in_flight() const noexcept { return waiting_.size(); }
    void                              submit(transfer& one) noexcept { waiting_.push_back(&one); }
    [[nodiscard]] result<std::size_t> complete(std::span<transfer*> finished, std::size_t at_least) noexcept {
        for (std::size_t i = 0; i < at_least; ++i) {
            transfer& one = *waiting_.back();
            waiting_.pop_back();
            const auto done = disk_->perform(one);
            one.failure     = done.has_error() ? done.error() : error{};
            finished[i]     = &one;
        }
        return at_least;
    }

  private:
    disk*                  disk_;
    std::size_t            depth_;
    std::vector<transfer*> waiting_{};
};

/// What the store holds of a disk.
struct queued {
    using queue = newest_first;

    disk*                         at = nullptr;
    [[nodiscard]] device_geometry geometry() const noexcept { return at->cut.geometry(); }
    [[nodiscard]] result<>        read(extent e, std::span<std::byte> in) noexcept {
               return at->perform({.blocks = e, .memory = in.data(), .kind = transfer_kind::read});
    }
    [[nodiscard]] result<> write(extent e, std::span<const std::byte> out) noexcept {
        return at->perform({.blocks = e, .memory = const_cast<std::byte*>(out.data()), .kind = transfer_kind::write});
    }
    [[nodiscard]] result<> sync() noexcept { return at->perform({.kind = transfer_kind::sync}); }
    [[nodiscard]] result<> trim(extent e) noexcept { return at->perform({.blocks = e, .kind = transfer_kind::trim}); }
    [[nodiscard]] result<queue> open_queue(queue_options o) noexcept { return queue{*at, o.depth}; }
};

struct meeting_blueprint : blueprint {
    using device    = queued;
    using journal   = ring_journal;
    using threading = played_threads;
};

using meeting_store   = store<meeting_blueprint>;
using meeting_channel = channel<meeting_blueprint>;

/// A formatted volume on such a disk, and a store on it.
class stage {
  public:
    explicit stage(const shape& s = {}) : shape_{s}, under{s} {
        queued device{&under};
        check(meeting_store::format(device, format_of(s)), "format");
        open();
    }

    [[nodiscard]] result<meeting_store> try_open() {
        meeting_store::options chosen;
        chosen.limits = limits_of(shape_);
        return meeting_store::open(queued{&under}, chosen);
    }
    void open() {
        auto made = try_open();
        check(made, "open");
        opened = std::move(made).value();
    }
    /// The process is gone, and so is what the choice does not keep.
    void lose_power(crash_choice choice) {
        static_cast<void>(opened.abandon());
        under.cut.restart(choice);
        under.dead   = false;
        under.writes = 0;
    }
    object_id create() {
        const auto made = opened.create();
        check(made, "create");
        return made.value();
    }
    void write(object_id id, std::span<const std::byte> bytes) { check(opened.write(id, 0, bytes), "write"); }

    /// Overwrites an object as long as there is room: each place of the volume that may be used again is.
    void overwrite(object_id id, std::size_t bytes, std::uint64_t seed) {
        for (std::uint64_t i = 0; i < 400; ++i) {
            if (!opened.write(id, 0, pattern(bytes, seed + i)) || !opened.sync()) break;
        }
        check(!opened.read_only(), "writing ended");
    }

  private:
    shape shape_;

  public:
    disk          under;
    meeting_store opened;
};

constexpr std::size_t overwritten = 9000;  // bytes: some dozens of such writes fill the volume

/// What was read is what the object held at a moment; afterwards the space of all that was overwritten is free again.
void check_read(stage& scene, object_id id, const byte_vector& found, const byte_vector& before) {
    check(found == before, "a reader saw what came after it");
    check(scene.opened.checkpoint(), "checkpoint");
    for (std::uint64_t i = 0; i < 20; ++i) {
        scene.write(id, pattern(overwritten, i));
        check(scene.opened.sync(), "sync");
    }
    check_whole(scene.opened, "after the reader left");
}

/// A reader gave the lock up for its transfer; before it is made others overwrite the object again and again.
void reader(std::uint64_t seed) {
    stage      scene;
    const auto id     = scene.create();
    const auto before = pattern(overwritten, seed);
    scene.write(id, before);
    check(scene.opened.checkpoint(), "checkpoint");
    bool met           = false;
    scene.under.before = [&](const transfer& asked) {
        if (met || asked.kind != transfer_kind::read) return;
        met = true;
        scene.overwrite(id, overwritten, seed + 1);
    };
    byte_vector found(overwritten);
    check(scene.opened.read(id, 0, std::span<std::byte>{found}), "read");
    check(met, "nobody met the reader");
    check_read(scene, id, found, before);
}

/// The same with a read that waits in a queue.
void channel_reader(std::uint64_t seed) {
    stage      scene;
    const auto id     = scene.create();
    const auto before = pattern(overwritten, seed);
    scene.write(id, before);
    check(scene.opened.checkpoint(), "checkpoint");
    auto made = meeting_channel::open(scene.opened, {.depth = 4});
    check(made, "open a channel");
    byte_vector found(overwritten);
    request     asked{.verb = request_verb::read, .object = id, .memory = found};
    request*    finished[1]{};
    made.value().submit(asked);
    check(made.value().complete(finished, 0), "begin");
    check(made.value().in_flight() == 1, "the read did not wait");
    scene.overwrite(id, overwritten, seed + 1);
    check(made.value().complete(finished, 1), "complete");
    check(asked.failure.code == errc::none, std::string{"read: "} + std::string{message(asked.failure.code)});
    check_read(scene, id, found, before);
}

/// A block of the object table with one bit changed is refused, whoever loads it.
void loading(std::uint64_t seed) {
    stage scene;
    for (std::uint64_t i = 0; i < 6; ++i) scene.write(scene.create(), pattern(900, seed + i));
    const auto parts = scene.opened.volume().regions.object_parts();
    const auto table = parts.front();
    check(scene.opened.close(), "close");
    random_bits random{seed};
    std::size_t blocks = 0;
    for (block_index at = table.first; at < table.end(); at = at + block_count{1}) {
        byte_vector whole(512);
        check(scene.under.cut.read({at, block_count{1}}, whole), "read");
        if (load_little<std::uint32_t>(std::span{whole}.last(trailer_bytes).data()) != tag::objects) continue;
        ++blocks;
        for (int i = 0; i < 40; ++i) {
            auto       bytes = whole;
            const auto bit   = random.below(480 * 8);
            bytes[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8U));
            check(scene.under.cut.write({at, block_count{1}}, bytes), "write");
            auto opened = scene.try_open();
            if (opened) {
                check(!read_all(opened.value()),
                      "bit " + std::to_string(bit) + " of block " + std::to_string(at.value) + " changed unnoticed");
                static_cast<void>(opened.value().abandon());
            }
            check(scene.under.cut.write({at, block_count{1}}, whole), "write");
        }
    }
    check(blocks != 0, "no table");
    scene.open();
    check_whole(scene.opened, "afterwards");
}

/// A block that was freed while somebody loaded it is nobody's afterwards.
void freed(std::uint64_t seed) {
    const block_size     size{512};
    const block_identity identity{tag::node, seed, 1};
    metadata_cache       cache;
    arena                counted;
    cache.take(counted, size, 16, 8);
    auto memory = aligned_buffer::allocate(counted.used());
    check(memory, "memory");
    arena from{memory.value().bytes()};
    cache.take(from, size, 16, 8);
    cache.clear();
    const auto kept = cache.begin_loading({70}, identity), gone = cache.begin_loading({71}, identity);
    check(kept && gone, "begin_loading");
    cache.forget({71});
    check(cache.find({71}) != no_slot, "a block is forgotten that is just being loaded");
    cache.loaded(kept.value(), true);
    cache.loaded(gone.value(), true);
    check(cache.find({70}) != no_slot, "a block that was loaded is not there");
    check(cache.find({71}) == no_slot, "a block that was freed while it was loaded is there");
}

/// Batches through a queue, with the power cut after each of their writes: what was put is there, and the rest not by
/// half.
void flight(std::uint64_t seed) {
    const shape shapes[] = {{}, {.listed_blocks = 3}};  // listed, and too much for the list
    for (std::uint64_t run = 0; run < 2 * 8 * 4; ++run) {
        place() = "run " + std::to_string(run);
        stage       scene{shapes[run % 2]};
        const auto  one = scene.create(), other = scene.create();
        const auto  bytes = pattern(2000, seed + run), more = pattern(2100, seed + run + 1000);
        byte_vector written[2] = {bytes, more};
        scene.write(one, pattern(700, seed));
        check(scene.opened.checkpoint(), "checkpoint");
        bool put = false;
        {
            auto made = meeting_channel::open(scene.opened, {.depth = 4});
            check(made, "open a channel");
            request  asked[2] = {{.verb = request_verb::put, .object = one, .memory = written[0]},
                                 {.verb = request_verb::put, .object = other, .memory = written[1]}};
            request* finished[2]{};
            for (auto& each : asked) made.value().submit(each);
            scene.under.writes = run / 8;
            check(made.value().complete(finished, 2), "complete");
            put = asked[0].failure.code == errc::none && asked[1].failure.code == errc::none;
            check(put || scene.under.dead, "a put failed");
        }
        const crash_choice choices[] = {
            {unsynced::none, 0, 0}, {unsynced::all, 0, 0}, {unsynced::keep_one, 0, 0}, {unsynced::keep_one, 1, 0}};
        scene.lose_power(choices[run / 2 % 4]);
        scene.open();
        check_whole(scene.opened, "after the cut");
        const auto found = read_or_fail(scene.opened, "after the cut");
        const bool there = found.at(one.value) == bytes && found.at(other.value) == more;
        check(there || !put, "what was put is lost");
        check(there || found.at(other.value) != more || found.at(one.value) == bytes, "the later put alone");
    }
}

struct scenario {
    std::string_view name;
    void (*run)(std::uint64_t seed);
};

const scenario scenarios[] = {
    {"reader", reader}, {"channel_reader", channel_reader}, {"loading", loading}, {"freed", freed}, {"flight", flight}};

}  // namespace
}  // namespace probe

int main(int count, char** words) { return probe::run_chosen(count, words, probe::scenarios); }
