/// What regions cost: finding a block of one, and moving one beside copying as many bytes.

#include "measure.hpp"
#include "raw_copy.hpp"
#include "report.hpp"

#include <ashlar/ashlar.hpp>
#include <ashlar/compaction.hpp>
#include <ashlar/device/native_device.hpp>

#include <filesystem>
#include <fstream>

namespace {

using namespace ashlar;

constexpr block_size    size{4096};
constexpr std::uint32_t type = tag_of("BNCH");

struct memory_parts : blueprint {
    using device    = memory_device;
    using journal   = ring_journal;
    using threading = single_threaded;
};
struct native_parts : blueprint {
    using device    = native_device;
    using journal   = ring_journal;
    using threading = single_threaded;
};

/// Nanoseconds of finding the place of one logical block, of a region that does not move, or of which the first blocks
/// lie elsewhere.
result<> find_blocks(const bench::settings& chosen, std::uint64_t entries) {
    BOOST_OUTCOME_TRY(auto memory, memory_device::create(size, block_count{32768}));
    BOOST_OUTCOME_TRY(store<memory_parts>::format(memory, {.volume = volume_id{std::byte{8}}}));
    BOOST_OUTCOME_TRY(auto live,
                      store<memory_parts>::open(std::move(memory), {.limits = {.indirection_entries_max = 16384}}));
    BOOST_OUTCOME_TRY(const auto name, store_regions{live}.add({.type = type, .blocks = block_count{16384}}));
    BOOST_OUTCOME_TRY(const auto info, store_regions{live}.find(name));
    for (std::uint64_t i = 0; i < entries; ++i) {  // in memory alone, as nothing is written
        const auto logical = info.place.first + block_count{i};
        BOOST_OUTCOME_TRY(live.volume().indirection.remap(logical, logical + block_count{16384}));
    }
    region_place          place{name};
    bench::random_numbers random{1};
    std::vector<double>   passes;
    constexpr int         lookups = 1 << 20;
    for (int pass = 0; pass < (chosen.quick ? 5 : 31); ++pass) {
        std::uint64_t sum   = 0;
        const double  begun = bench::thread_seconds();
        for (int i = 0; i < lookups; ++i) {
            BOOST_OUTCOME_TRY(const auto blocks,
                              place.resolve(live.volume(), {block_index{random.below(16384)}, block_count{1}}));
            sum += blocks.first.value;
        }
        bench::keep(sum);
        passes.push_back((bench::thread_seconds() - begun) / lookups * 1e9);
    }
    live.volume().indirection.clear();
    if (entries != 0) {
        bench::report({.id        = "regions",
                       .measure   = "finding a block of a region of which half lies elsewhere, random numbers included",
                       .ours      = bench::median(passes),
                       .unit      = "ns",
                       .direction = bench::better::lower});
        return success();
    }
    bench::report({.id        = "regions",
                   .measure   = "finding a block of a region that stays, random numbers included",
                   .ours      = bench::median(passes),
                   .unit      = "ns",
                   .direction = bench::better::lower,
                   .goal      = 5});
    return success();
}

/// Moves a region into the hole before it, and copies as many bytes of the same file as fast as the disk does. A hole
/// of a part of its size makes it slide.
result<> move_region(const bench::settings& chosen, std::uint64_t part_of_it) {
    const std::uint64_t blocks = chosen.quick ? 8192 : 65536;
    const std::uint64_t bytes  = blocks * size.bytes;
    const auto          path   = chosen.directory + "/region_bench.ash";
    std::vector<double> ours, raw, ratios;
    for (int pass = 0; pass < (chosen.quick ? 1 : 5); ++pass) {
        {
            { const std::ofstream made{path, std::ios::binary | std::ios::trunc}; }
            std::filesystem::resize_file(path, 3 * bytes);
            BOOST_OUTCOME_TRY(auto device, native_device::open(path.c_str()));
            BOOST_OUTCOME_TRY(store<native_parts>::format(device, {.volume = volume_id{std::byte{8}}}));
            BOOST_OUTCOME_TRY(auto live, store<native_parts>::open(std::move(device),
                                                                   {.limits = {.indirection_entries_max = blocks}}));
            store_regions regions{live};
            BOOST_OUTCOME_TRY(const auto hole, regions.add({.type = type, .blocks = block_count{blocks / part_of_it}}));
            BOOST_OUTCOME_TRY(const auto name, regions.add({.type = type, .blocks = block_count{blocks}}));
            BOOST_OUTCOME_TRY(auto region, regions.open(name));
            BOOST_OUTCOME_TRY(auto other, regions.open(hole));
            std::vector<std::byte> part(std::size_t{1} << 20U, std::byte{0x5A});
            for (std::uint64_t at = 0; at < blocks; at += 256) {  // both, so that the file has its blocks
                BOOST_OUTCOME_TRY(region.write({block_index{at}, block_count{256}}, part));
                if (at < blocks / part_of_it) {
                    BOOST_OUTCOME_TRY(other.write({block_index{at}, block_count{256}}, part));
                }
            }
            BOOST_OUTCOME_TRY(region.sync());
            BOOST_OUTCOME_TRY(regions.remove(hole));
            BOOST_OUTCOME_TRY(live.checkpoint());
            BOOST_OUTCOME_TRY(auto task, compaction<native_parts>::open(
                                             live, {.regions = {.threshold_permille = 1, .chunk_bytes = 16U << 20U}}));
            const bench::stopwatch watch;
            while (!task.step({.blocks_max = 16384}).reasons.has(stop_reason::finished)) {}
            ours.push_back(static_cast<double>(bytes) / watch.seconds() / 1e6);
            if (task.last_result().regions_moved != 1) return errc::no_contiguous_space;
            BOOST_OUTCOME_TRY(live.close());
        }
        bench::raw_copier copier{path, path, {{{bytes, bytes}}, {0, bytes}}, bench::raw_chunk, bench::raw_depth};
        while (copier.copied() < bytes) std::this_thread::yield();
        raw.push_back(copier.stop());
        ratios.push_back(ours.back() / raw.back());
    }
    std::filesystem::remove(path);
    bench::report({.id        = "regions",
                   .measure   = part_of_it == 1 ? "moving a region, nobody else there"
                                                : "sliding a region into a hole of a sixteenth of its size",
                   .ours      = bench::median(ours),
                   .peer      = bench::median(raw),
                   .peer_name = "raw copy",
                   .unit      = "MB/s",
                   .floor     = part_of_it == 1 ? 0.85 : 0,
                   .ratio     = bench::median(ratios)});
    return success();
}

}  // namespace

int main(int count, char** words) {
    const auto chosen = bench::settings_of(count, words);
    auto       done   = find_blocks(chosen, 0);
    if (done) done = find_blocks(chosen, 8192);
    if (done) done = move_region(chosen, 1);
    if (done) done = move_region(chosen, 16);
    if (!done) std::fprintf(stderr, "region_bench: %s\n", message(done.error().code));
    return done ? 0 : 1;
}
