/// What emptying a range of blocks costs, beside copying as many bytes of the same file.

#include "measure.hpp"
#include "raw_copy.hpp"
#include "report.hpp"

#include <ashlar/ashlar.hpp>
#include <ashlar/device/native_device.hpp>
#include <ashlar/evacuation.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace {

using namespace ashlar;

constexpr block_size  size{4096};
constexpr std::size_t object_bytes = std::size_t{4} << 20U;

struct parts : blueprint {
    using device    = native_device;
    using journal   = ring_journal;
    using threading = single_threaded;
};

/// Fills a store with objects of 4 MiB, and answers from where to where they lie.
result<extent> fill(store<parts>& live, std::uint64_t objects) {
    const std::vector<std::byte> content(object_bytes, std::byte{0x5A});
    block_index                  first{~std::uint64_t{0}}, end{};
    for (std::uint64_t i = 0; i < objects; ++i) {
        BOOST_OUTCOME_TRY(const auto id, live.create());
        BOOST_OUTCOME_TRY(live.write(id, 0, content));
        for (const auto& piece : live.extents(id)) {
            first = std::min(first, piece.physical.first);
            end   = std::max(end, piece.physical.end());
        }
    }
    BOOST_OUTCOME_TRY(live.sync());
    BOOST_OUTCOME_TRY(live.checkpoint());
    return extent{first, end - first};
}

/// Objects leave their places, in a volume of three times their size. The file has all of its blocks before.
result<> leave_range(const bench::settings& chosen) {
    const std::uint64_t objects = chosen.quick ? 8 : 64;
    const std::uint64_t bytes   = objects * object_bytes;
    const auto          path    = chosen.directory + "/evacuation_bench.ash";
    std::vector<double> ours, raw, ratios;
    for (int pass = 0; pass < (chosen.quick ? 1 : 5); ++pass) {
        {
            {
                std::ofstream           made{path, std::ios::binary | std::ios::trunc};
                const std::vector<char> part(std::size_t{1} << 20U, 'x');
                for (std::uint64_t at = 0; at < 3 * bytes; at += part.size())
                    made.write(part.data(), static_cast<std::streamsize>(part.size()));
            }
            BOOST_OUTCOME_TRY(auto device, native_device::open(path.c_str()));
            BOOST_OUTCOME_TRY(store<parts>::format(device, {.volume = volume_id{std::byte{8}}}));
            BOOST_OUTCOME_TRY(auto live, store<parts>::open(std::move(device)));
            BOOST_OUTCOME_TRY(const auto range, fill(live, objects));
            BOOST_OUTCOME_TRY(auto task, evacuation<parts>::open(live, {.moves = {.window      = block_count{16384},
                                                                                  .chunk_bytes = 4U << 20U,
                                                                                  .read_bytes  = 1U << 20U}}));
            const bench::stopwatch watch;
            BOOST_OUTCOME_TRY(task.start(range));
            while (task.running()) task.step({.blocks_max = 16384});
            ours.push_back(static_cast<double>(bytes) / watch.seconds() / 1e6);
            if (!task.last_result().emptied) return errc::no_contiguous_space;
            BOOST_OUTCOME_TRY(live.close());
        }
        bench::raw_copier copier{path, path, {{{bytes, bytes}}, {0, bytes}}, bench::raw_chunk, bench::raw_depth};
        while (copier.copied() < bytes) std::this_thread::yield();
        raw.push_back(copier.stop());
        ratios.push_back(ours.back() / raw.back());
    }
    std::filesystem::remove(path);
    bench::report({.id        = "evacuation",
                   .measure   = "objects of 4 MiB leave a range in reads of 1 MiB, nobody else there",
                   .ours      = bench::median(ours),
                   .peer      = bench::median(raw),
                   .peer_name = "raw copy",
                   .unit      = "MB/s",
                   .floor     = 0.85,
                   .ratio     = bench::median(ratios)});
    return success();
}

}  // namespace

int main(int count, char** words) {
    const auto done = leave_range(bench::settings_of(count, words));
    if (!done) std::fprintf(stderr, "evacuation_bench: %s\n", message(done.error().code));
    return done ? 0 : 1;
}
