/// G1 and G2 for what moves besides fragmented objects: an evacuation of a range, and a compaction of a region, beside
/// a foreground that hardly feels them.

#include "beside_reads.hpp"

#include <ashlar/compaction.hpp>
#include <ashlar/evacuation.hpp>

namespace {

using namespace bench;

using parts      = subject_blueprint<paced>;
using store_type = ashlar::store<parts>;

constexpr std::uint32_t type = ashlar::tag_of("BNCH");

/// Formats the volume and writes the foreground object in one go.
store_type begin_volume(subject_file& on, double p99_goal, ashlar::object_id& foreground) {
    auto device = on.device();
    must(store_type::format(device, {.volume = {std::byte{7}}, .overwrite = true}), "format");
    auto store = must(store_type::open(std::move(device), subject_options<paced>(pace_for(p99_goal))), "open");
    const page_memory memory{raw_chunk};
    std::memset(memory.data(), 0x5A, raw_chunk);
    foreground = must(store.create(), "create");
    for (std::uint64_t at = 0; at < on.sizes().foreground; at += raw_chunk)
        must(store.write(foreground, at, std::span<const std::byte>{memory.data(), raw_chunk}), "write");
    return store;
}

/// Steps a task beside the foreground: what it moved in a second, and what reads felt with it and without.
template <class Task>
seen step_beside(const char* what, store_type& store, ashlar::object_id foreground, const subject_file& on, Task& task,
                 const question& asked, double scale, seen& idle) {
    foreground_reader read{store, foreground, on.sizes().foreground};
    read.warm();
    auto          quiet = closed_loop_for(1.0 * scale, read);
    std::uint64_t moved = 0;
    const auto    end   = nanoseconds_now() + static_cast<std::uint64_t>(asked.seconds * scale * 1e9);
    background    mover{[&] {
                         const auto said = task.step({.blocks_max = 256});
                         moved           = said.moved.value * block_bytes;
                         return said;
                     },
                     [&] { return moved; }};
    const auto    busy = closed_loop(read, [&](std::uint64_t now) noexcept { return now >= end || mover.finished(); });
    mover.stop();
    std::printf("%s, %s: moved %.0f MB in %.2f s%s\n", asked.id, what, mover.bytes() * 1e-6, mover.seconds(),
                task.running() ? "" : ", all there was");
    task.cancel();
    while (task.running()) static_cast<void>(task.step({}));
    quiet.append(closed_loop_for(1.0 * scale, read));
    idle = look_at(quiet);
    return look_at(busy, mover.megabytes_per_second());
}

/// Objects of 4 MiB leave the range that they fill.
seen evacuate_beside(subject_file& on, const question& asked, double scale, seen& idle) {
    ashlar::object_id   foreground;
    auto                store = begin_volume(on, asked.p99_goal, foreground);
    const page_memory   memory{raw_chunk};
    ashlar::block_index first{~std::uint64_t{0}}, end{};
    std::memset(memory.data(), 0xA5, raw_chunk);
    for (std::uint64_t written = 0; written < on.sizes().fragmented; written += 4 * raw_chunk) {
        const auto id = must(store.create(), "create");
        for (std::uint64_t at = 0; at < 4 * raw_chunk; at += raw_chunk)
            must(store.write(id, at, std::span<const std::byte>{memory.data(), raw_chunk}), "write");
        for (const auto& piece : store.extents(id)) {
            first = std::min(first, piece.physical.first);
            end   = std::max(end, piece.physical.end());
        }
    }
    must(store.checkpoint(), "checkpoint");
    auto task = must(ashlar::evacuation<parts>::open(
                         store, {.moves    = {.window = {256}, .moves_per_sync = 64, .chunk_bytes = 512 * 1024},
                                 .throttle = pace_for(asked.p99_goal)}),
                     "evacuation");
    must(task.start({first, end - first}), "start");
    return step_beside("evacuation", store, foreground, on, task, asked, scale, idle);
}

/// A region moves into the hole below it.
seen compact_beside(subject_file& on, const question& asked, double scale, seen& idle) {
    ashlar::object_id         foreground;
    auto                      store = begin_volume(on, asked.p99_goal, foreground);
    ashlar::store_regions     regions{store};
    const ashlar::block_count blocks{on.sizes().fragmented / block_bytes};
    const auto                hole = must(regions.add({.type = type, .blocks = blocks}), "add");
    must(regions.add({.type = type, .blocks = blocks}), "add");
    must(regions.remove(hole), "remove");
    must(store.checkpoint(), "checkpoint");
    auto task = must(ashlar::compaction<parts>::open(
                         store, {.regions  = {.threshold_permille = 1, .chunk_bytes = 512 * 1024, .window_bits = 65536},
                                 .throttle = pace_for(asked.p99_goal)}),
                     "compaction");
    task.start();
    return step_beside("compaction", store, foreground, on, task, asked, scale, idle);
}

}  // namespace

int main(int count, char** words) {
    const auto    chosen = settings_of(count, words);
    const double  scale  = chosen.quick ? 0.1 : 1;
    subject_sizes sizes{gibi / 2, gibi * 3 / 2, gibi};
    if (chosen.quick) sizes = {gibi / 8, gibi / 4, gibi / 4};
    subject_file on{chosen.directory, sizes};
    tally        evacuated[2], compacted[2];
    for (int round = 0; round < (chosen.quick ? 1 : 3); ++round) {
        for (std::size_t i = 0; i < 2; ++i) {
            const auto raw = on.raw_rate(1.5 * scale);
            seen       idle;
            auto       busy = evacuate_beside(on, questions[i], scale, idle);
            evacuated[i].add(busy, idle, (raw + on.raw_rate(1.5 * scale)) / 2);
            busy = compact_beside(on, questions[i], scale, idle);
            compacted[i].add(busy, idle, (raw + on.raw_rate(1.5 * scale)) / 2);
        }
    }
    for (std::size_t i = 0; i < 2; ++i) {
        report_beside(questions[i].id, "an evacuation beside 4 KiB reads", evacuated[i], questions[i]);
        report_beside(questions[i].id, "a region moved beside 4 KiB reads", compacted[i], questions[i]);
    }
    return 0;
}
