/// How fast the imported files are read: whole, and at random.

#include "workload.hpp"

#include "../cli/tree.hpp"

#include <nlohmann/json.hpp>

namespace demo {
namespace {

struct whole_reads {
    double        seconds = 0;
    std::uint64_t bytes   = 0;
    std::uint64_t files   = 0;
};

/// As many files as the time allows.
cli::result<whole_reads> read_whole_files(cli::volume& from, const cli::catalogue& entries, double seconds) {
    std::vector<std::byte> buffer(std::size_t{1} << 20U);
    whole_reads            seen;
    const stopwatch        clock;
    for (const auto& entry : entries) {
        if (!entry.object) continue;
        if (clock.seconds() > seconds) break;
        ++seen.files;
        for (std::uint64_t offset = 0; offset < entry.size;) {
            BOOST_OUTCOME_TRY(const auto got, from.read(entry.object, offset, buffer));
            if (got == 0)
                return cli::failure{cli::exit_code::corrupt, "a file is shorter than the catalogue says", entry.path,
                                    "run 'ashlar verify'"};
            offset += got;
        }
        seen.bytes += entry.size;
    }
    seen.seconds = clock.seconds();
    return seen;
}

struct random_reads {
    double        seconds = 0;
    std::uint64_t bytes   = 0;
    latencies     times{};
};

/// Each read takes 32 KiB, or what there is, from a place chosen evenly over all bytes of the tree.
cli::result<random_reads> read_at_random(cli::volume& from, const cli::catalogue& entries, double seconds) {
    constexpr std::uint64_t                  piece = 32 * 1024;
    std::vector<const cli::catalogue_entry*> files;
    std::vector<std::uint64_t>               ends;
    for (const auto& entry : entries) {
        if (!entry.object) continue;
        files.push_back(&entry);
        ends.push_back((ends.empty() ? 0 : ends.back()) + entry.size);
    }
    random_reads seen;
    if (files.empty()) return seen;
    std::vector<std::byte> buffer(piece);
    random_numbers         random{7};
    const stopwatch        clock;
    while (clock.seconds() < seconds) {
        const auto byte  = random.below(ends.back());
        const auto index = static_cast<std::size_t>(std::upper_bound(ends.begin(), ends.end(), byte) - ends.begin());
        const auto begin = index == 0 ? 0 : ends[index - 1];
        const auto start = (byte - begin) / piece * piece;
        const stopwatch one;
        BOOST_OUTCOME_TRY(const auto got, from.read(files[index]->object, start, buffer));
        seen.times.add(one.seconds());
        seen.bytes += got;
    }
    seen.seconds = clock.seconds();
    return seen;
}

}  // namespace

cli::result<> measure_reads(const std::string& path, double seconds) {
    BOOST_OUTCOME_TRY(auto from, cli::volume::open(path, cli::access::read_only));
    BOOST_OUTCOME_TRY(const auto tree, cli::load_tree(from));
    BOOST_OUTCOME_TRY(const auto whole, read_whole_files(from, tree.entries, seconds));
    BOOST_OUTCOME_TRY(auto random, read_at_random(from, tree.entries, seconds));
    tell({{"event", "reads"},
          {"past_the_page_cache", from.direct()},
          {"files", whole.files},
          {"whole_bytes", whole.bytes},
          {"whole_seconds", whole.seconds},
          {"random_reads", random.times.count()},
          {"random_bytes", random.bytes},
          {"random_seconds", random.seconds},
          {"random_p50_us", random.times.microseconds(0.50)},
          {"random_p99_us", random.times.microseconds(0.99)}});
    return cli::success();
}

}  // namespace demo
