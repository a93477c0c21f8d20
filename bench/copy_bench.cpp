/// What copying a volume costs: one of 20 GiB with 1 % in use beside tools that copy its image, and a full one beside
/// copying as many bytes.

#include "measure.hpp"
#include "raw_copy.hpp"
#include "report.hpp"

#include <ashlar/ashlar.hpp>
#include <ashlar/device/native_device.hpp>
#include <ashlar/hosted/steady_clock.hpp>
#include <ashlar/volume_copy.hpp>

#include <filesystem>
#include <fstream>
#include <optional>

namespace {

using namespace ashlar;

constexpr block_size size{4096};

struct parts : blueprint {
    using device    = native_device;
    using journal   = ring_journal;
    using threading = single_threaded;
};
using live_store = store<parts>;
using task       = volume_copy<parts, parts, no_throttle, steady_clock>;

void make_file(const std::string& path, std::uint64_t bytes) {
    { const std::ofstream made{path, std::ios::binary | std::ios::trunc}; }
    std::filesystem::resize_file(path, bytes);
}

/// A file whose blocks the disk has already, as a device has.
void fill_file(const std::string& path, std::uint64_t bytes) {
    make_file(path, bytes);
    const bench::direct_file file{path};
    const bench::page_memory memory{bench::raw_chunk};
    std::memset(memory.data(), 0x11, bench::raw_chunk);
    for (std::uint64_t at = 0; at < bytes; at += bench::raw_chunk) file.write(memory.data(), bench::raw_chunk, at);
}

/// The pages of a file are read from the disk again.
void forget_pages(const std::string& path) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return;
    ::fsync(file);
    ::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    ::close(file);
}

result<live_store> format_and_open(const std::string& path, std::uint8_t number) {
    BOOST_OUTCOME_TRY(auto device, native_device::open(path.c_str()));
    BOOST_OUTCOME_TRY(live_store::format(device, {.volume = volume_id{std::byte{number}}}));
    return live_store::open(std::move(device));
}

/// Objects until so many bytes are in use, `least` to `most` each; of twice as many every second is erased again, so
/// that they do not lie in one run.
result<> fill_volume(const std::string& path, std::uint64_t bytes, std::uint64_t least, std::uint64_t most,
                     bool scattered) {
    BOOST_OUTCOME_TRY(auto live, format_and_open(path, 1));
    bench::random_numbers  random{7};
    std::vector<std::byte> part(std::size_t{1} << 20U);
    for (auto& one : part) one = static_cast<std::byte>(random.next());
    std::vector<object_id> gone;
    for (std::uint64_t used = 0; used < bytes;) {
        for (int i = 0; i < (scattered ? 2 : 1); ++i) {
            BOOST_OUTCOME_TRY(const auto id, live.create());
            const auto length = least + random.below(most - least + 1) / size.bytes * size.bytes;
            for (std::uint64_t at = 0; at < length; at += part.size()) {
                const auto count = std::min<std::uint64_t>(part.size(), length - at);
                BOOST_OUTCOME_TRY(live.write(id, at, std::span{part}.first(static_cast<std::size_t>(count))));
            }
            if (i == 0) used += length;
            if (i != 0) gone.push_back(id);
        }
    }
    for (const auto id : gone) { BOOST_OUTCOME_TRY(live.erase(id)); }
    return live.close();
}

/// Seconds from the source's open to the target's close, and what was copied.
struct copied {
    double             seconds = 0;
    volume_copy_result done{};
};
result<copied> copy_volume(const std::string& from, const std::string& to, bool makes_file) {
    copied                 answer;
    const bench::stopwatch watch;
    if (makes_file) make_file(to, std::filesystem::file_size(from));
    BOOST_OUTCOME_TRY(auto device, native_device::open(from.c_str(), {.read_only = true}));
    BOOST_OUTCOME_TRY(auto source, live_store::open_read_only(std::move(device)));
    BOOST_OUTCOME_TRY(auto target, format_and_open(to, 2));
    BOOST_OUTCOME_TRY(auto copying, task::open(source, target));
    for (;;) {
        const auto said = copying.step({.blocks_max = 1U << 20U, .candidates_max = 1U << 20U});
        if (said.failure.code != errc::none) return said.failure;
        if (said.reasons.has(stop_reason::finished)) break;
    }
    answer.done = copying.last_result();
    BOOST_OUTCOME_TRY(target.close());
    answer.seconds = watch.seconds();
    return answer;
}

struct peer {
    const char*         name;
    const char*         tool;
    std::string         words;
    std::vector<double> seconds{}, ratios{};
};

/// Seconds that a command takes, with what it wrote synced; nothing where it fails.
std::optional<double> time_of(const std::string& words, const std::string& from, const std::string& to) {
    std::filesystem::remove(to);
    forget_pages(from);
    const bench::stopwatch watch;
    if (std::system((words + " '" + from + "' '" + to + "' && sync '" + to + "'").c_str()) != 0) return std::nullopt;
    return watch.seconds();
}

/// G6: the same image by everybody, round by round.
result<> copy_sparse(const bench::settings& chosen) {
    const std::uint64_t bytes = (chosen.quick ? 2ULL : 20ULL) << 30U;
    const auto          from = chosen.directory + "/copy_bench.ash", to = chosen.directory + "/copy_bench.copy";
    const char* const   id      = "G6";
    const std::string   measure = std::to_string(bytes >> 30U) + " GiB with 1 % in use, until it is durable";
    make_file(from, bytes);
    BOOST_OUTCOME_TRY(fill_volume(from, bytes / 100, 16 * 1024, 1 << 20, true));
    std::vector<peer> peers{
        {"qemu-img convert", "qemu-img", "qemu-img convert -f raw -O raw"},
        {"qemu-img convert -m 16 -W, no cache", "qemu-img", "qemu-img convert -f raw -O raw -m 16 -W -t none -T none"},
        {"cp --sparse=always", "cp", "cp --sparse=always"}};
    std::vector<double> ours;
    for (int round = 0; round < (chosen.quick ? 1 : 5); ++round) {
        std::filesystem::remove(to);
        forget_pages(from);
        BOOST_OUTCOME_TRY(const auto mine, copy_volume(from, to, true));
        ours.push_back(mine.seconds);
        for (auto& one : peers) {
            const auto took = time_of(one.words, from, to);
            if (!took) continue;
            one.seconds.push_back(*took);
            one.ratios.push_back(mine.seconds / *took);
        }
    }
    for (const auto& one : peers) {
        if (one.seconds.empty()) {
            bench::skip(id, measure, std::string{one.tool} + " is not installed, or failed");
            continue;
        }
        bench::report({.id        = id,
                       .measure   = measure,
                       .ours      = bench::median(ours),
                       .peer      = bench::median(one.seconds),
                       .peer_name = one.name,
                       .unit      = "s",
                       .direction = bench::better::lower,
                       .goal      = one.tool == std::string{"cp"} ? 0.7 : 1.0,
                       .ratio     = bench::median(one.ratios)});
    }
    std::filesystem::remove(from);
    std::filesystem::remove(to);
    return success();
}

/// A volume that is nearly full, to another one whose file has its blocks, beside the raw copy of one file to the
/// other.
result<> copy_full(const bench::settings& chosen) {
    const std::uint64_t bytes = (chosen.quick ? 1ULL : 4ULL) << 30U;
    const auto          from = chosen.directory + "/copy_bench.ash", to = chosen.directory + "/copy_bench.copy";
    fill_file(from, bytes + bytes / 8);
    fill_file(to, bytes + bytes / 8);
    BOOST_OUTCOME_TRY(fill_volume(from, bytes, 1 << 20, 64 << 20, false));
    std::vector<double> ours, raw, ratios;
    for (int round = 0; round < (chosen.quick ? 1 : 5); ++round) {
        {
            const bench::direct_file file{to};  // what stands there would not be formatted over
            const bench::page_memory zeros{bench::raw_chunk};
            std::memset(zeros.data(), 0, bench::raw_chunk);
            file.write(zeros.data(), bench::raw_chunk, 0);
        }
        BOOST_OUTCOME_TRY(const auto mine, copy_volume(from, to, false));
        ours.push_back(static_cast<double>(mine.done.bytes) / mine.seconds / 1e6);
        bench::raw_copier copier{from, to, {{{0, bytes}}, {0, bytes}}, bench::raw_chunk, bench::raw_depth};
        while (copier.copied() < bytes) std::this_thread::yield();
        raw.push_back(copier.stop());
        ratios.push_back(ours.back() / raw.back());
    }
    std::filesystem::remove(from);
    std::filesystem::remove(to);
    bench::report({.id        = "copy",
                   .measure   = "a volume with " + std::to_string(bytes >> 30U) + " GiB in use",
                   .ours      = bench::median(ours),
                   .peer      = bench::median(raw),
                   .peer_name = "raw copy",
                   .unit      = "MB/s",
                   .goal      = 0.9,
                   .ratio     = bench::median(ratios)});
    return success();
}

/// A volume with a user's region and nothing else, beside the raw copy of one file to the other.
result<> copy_region(const bench::settings& chosen) {
    const std::uint64_t bytes = (chosen.quick ? 256ULL : 1024ULL) << 20U;
    const auto          from = chosen.directory + "/copy_bench.ash", to = chosen.directory + "/copy_bench.copy";
    fill_file(from, bytes + bytes / 4);
    fill_file(to, bytes + bytes / 4);
    {
        BOOST_OUTCOME_TRY(auto live, format_and_open(from, 1));
        store_regions     regions{live};
        const block_count blocks = whole_blocks(bytes, size), part{256};
        BOOST_OUTCOME_TRY(const auto name, regions.add({.type = tag_of("LOGS"), .blocks = blocks}));
        BOOST_OUTCOME_TRY(auto region, regions.open(name));
        std::vector<std::byte> some(static_cast<std::size_t>(bytes_of(part, size)));
        for (std::size_t i = 0; i < some.size(); ++i) some[i] = static_cast<std::byte>(i * 7 + i / 4096);
        for (block_count at{}; at < blocks; at += part) { BOOST_OUTCOME_TRY(region.write({{at.value}, part}, some)); }
        BOOST_OUTCOME_TRY(live.close());
    }
    std::vector<double> ours, raw, ratios;
    for (int round = 0; round < (chosen.quick ? 1 : 5); ++round) {
        {
            const bench::direct_file file{to};  // what stands there would not be formatted over
            const bench::page_memory zeros{bench::raw_chunk};
            std::memset(zeros.data(), 0, bench::raw_chunk);
            file.write(zeros.data(), bench::raw_chunk, 0);
        }
        BOOST_OUTCOME_TRY(const auto mine, copy_volume(from, to, false));
        ours.push_back(static_cast<double>(mine.done.bytes) / mine.seconds / 1e6);
        bench::raw_copier copier{from, to, {{{0, bytes}}, {0, bytes}}, bench::raw_chunk, bench::raw_depth};
        while (copier.copied() < bytes) std::this_thread::yield();
        raw.push_back(copier.stop());
        ratios.push_back(ours.back() / raw.back());
    }
    std::filesystem::remove(from);
    std::filesystem::remove(to);
    bench::report({.id        = "copy",
                   .measure   = "a volume with a region of " + std::to_string(bytes >> 20U) + " MiB",
                   .ours      = bench::median(ours),
                   .peer      = bench::median(raw),
                   .peer_name = "raw copy",
                   .unit      = "MB/s",
                   .goal      = 0.85,
                   .ratio     = bench::median(ratios)});
    return success();
}

}  // namespace

int main(int count, char** words) {
    const auto chosen = bench::settings_of(count, words);
    auto       done   = copy_sparse(chosen);
    if (done) done = copy_full(chosen);
    if (done) done = copy_region(chosen);
    if (!done) std::fprintf(stderr, "copy_bench: %s\n", message(done.error().code));
    return done ? 0 : 1;
}
