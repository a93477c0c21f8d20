/// G1, G2, G1', G3: how fast the defragmenter moves extents beside a foreground that hardly feels it, and what the
/// crash safety of moves costs.

#include "beside_reads.hpp"

#include <map>

namespace {

using namespace bench;

using unpaced = ashlar::no_throttle;

/// The defragmenter, whenever a thread steps it.
template <class Store>
class defragmenting : public background {
  public:
    explicit defragmenting(Store& store)
        : background{[&store] { return store.defragment({.blocks_max = 256, .candidates_max = 256}); },
                     [&store] { return store.defragmenter().lifetime().blocks_copied.value * block_bytes; }} {}
};

/// Bins of 50 ms: the foreground's p99, and the background's rate.
void plot_timeline(const question& asked, const latencies& times, const std::vector<timed>& progress,
                   std::uint64_t begun) {
    constexpr std::uint64_t            bin   = 50'000'000;
    const std::string                  title = std::string{"Foreground p99 beside the defragmenter, "} + asked.id;
    std::map<std::uint64_t, latencies> bins;
    for (const auto& one : times.all()) bins[(one.at - begun) / bin].add(one);
    for (const auto& [at, inside] : bins)
        point(title, "p99 of 50 ms, us", static_cast<double>(at * bin) * 1e-9, inside.microseconds(0.99));
    std::map<std::uint64_t, std::uint64_t> copied;
    for (const auto& one : progress) copied[(one.at - begun) / bin] = one.took;
    double        before = 0;
    std::uint64_t from   = 0;
    for (const auto& [at, bytes] : copied) {
        const auto span = static_cast<double>((at + 1 - from) * bin) * 1e-9;
        point(title, "moved, MB/s", static_cast<double>(at * bin) * 1e-9,
              (static_cast<double>(bytes) - before) * 1e-6 / span);
        before = static_cast<double>(bytes);
        from   = at + 1;
    }
}

/// A fixed chunk and depth, and what came of it.
struct fixed_copy {
    std::size_t chunk = 0;
    unsigned    depth = 0;
    seen        what{};
};

/// Copiers of every fixed size beside the same foreground, which gather the same pieces as the moves did. What is far
/// above the largest goal is not deepened.
template <class Read>
std::vector<fixed_copy> sweep(subject_file& on, const std::vector<byte_run>& pieces, Read& read, double seconds,
                              double p99_max) {
    std::vector<fixed_copy> all;
    for (std::size_t chunk = 16 * 1024; chunk <= raw_chunk; chunk *= 2) {
        for (unsigned depth = 1; depth <= 4; ++depth) {
            latencies  times;
            const auto rate = on.copy_raw(pieces, chunk, depth, [&] { times = closed_loop_for(seconds, read); });
            fixed_copy one{chunk, depth, look_at(times, rate)};
            std::printf("fixed %zu KiB x %u: %.0f MB/s, p99 %.0f us, p99.9 %.0f us\n", chunk / 1024, depth, rate,
                        one.what.p99, one.what.p999);
            all.push_back(one);
            if (one.what.p99 > 1.5 * p99_max) break;
        }
    }
    return all;
}

[[nodiscard]] fixed_copy best_within(const std::vector<fixed_copy>& all, double p99_max) {
    fixed_copy best;
    for (const auto& one : all) {
        if (one.what.p99 <= p99_max && one.what.rate > best.what.rate) best = one;
    }
    return best;
}

struct foreground_results {
    std::array<tally, 2>               of{};
    std::array<std::vector<double>, 2> prime_ratio{}, prime_rate{};
};

/// One defragmentation beside the foreground.
seen defragment_beside(subject_file& on, const subject_objects& objects, const question& asked, double scale,
                       seen& idle, bool plots) {
    using store_type = subject_store<paced>;
    auto store       = must(store_type::open(on.device(), subject_options<paced>(pace_for(asked.p99_goal))), "open");
    foreground_reader read{store, objects.foreground, on.sizes().foreground};
    read.warm();
    auto       quiet  = closed_loop_for(1.0 * scale, read);
    const auto before = extents_of(store, objects);
    auto&      counts = on.watch().counts;
    counts.reset();
    const auto begun = nanoseconds_now();
    const auto end   = begun + static_cast<std::uint64_t>(asked.seconds * scale * 1e9);
    latencies  busy;
    double     rate = 0;
    {
        defragmenting mover{store};
        busy = closed_loop(read, [&](std::uint64_t now) noexcept { return now >= end || mover.finished(); });
        mover.stop();
        rate = mover.megabytes_per_second();
        std::printf("%s: moved %.0f MB in %.2f s%s\n", asked.id, mover.bytes() * 1e-6, mover.seconds(),
                    busy.all().back().at < end ? ", all there was" : "");
        if (plots) plot_timeline(asked, busy, mover.progress(), begun);
    }
    std::printf("%s: %.1f syncs/s, %.1f KiB a write, extents %llu to %llu\n", asked.id,
                static_cast<double>(counts.syncs.load()) / asked.seconds / scale,
                static_cast<double>(counts.bytes_written.load()) / 1024 /
                    std::max(1.0, static_cast<double>(counts.writes.load())),
                static_cast<unsigned long long>(before), static_cast<unsigned long long>(extents_of(store, objects)));
    quiet.append(closed_loop_for(1.0 * scale, read));
    idle = look_at(quiet);
    must(store.close(), "close");
    return look_at(busy, rate);
}

void foreground_round(subject_file& on, double scale, foreground_results& results, bool plots) {
    const auto          objects = make_subject(on);
    const auto          raw     = on.raw_rate(1.5 * scale);
    std::array<seen, 2> busy{}, idle{};
    for (std::size_t i = 0; i < 2; ++i) busy[i] = defragment_beside(on, objects, questions[i], scale, idle[i], plots);
    auto              store = must(subject_store<unpaced>::open(on.device(), subject_options<unpaced>({})), "open");
    foreground_reader read{store, objects.foreground, on.sizes().foreground};
    read.warm();
    const auto all   = sweep(on, objects.pieces, read, 0.7 * scale, questions[1].p99_goal * idle[1].p99);
    const auto again = on.raw_rate(1.5 * scale);
    for (std::size_t i = 0; i < 2; ++i) {
        results.of[i].add(busy[i], idle[i], (raw + again) / 2);
        const auto best = best_within(all, std::max(questions[i].p99_goal * idle[i].p99, busy[i].p99));
        std::printf(
            "%s: idle p99 %.0f us, p99.9 %.0f us; busy p99 %.0f us, p99.9 %.0f us at %.0f MB/s; raw %.0f and "
            "%.0f MB/s; best fixed %zu KiB x %u: %.0f MB/s\n",
            questions[i].id, idle[i].p99, idle[i].p999, busy[i].p99, busy[i].p999, busy[i].rate, raw, again,
            best.chunk / 1024, best.depth, best.what.rate);
        if (best.what.rate == 0) continue;
        results.prime_rate[i].push_back(best.what.rate);
        results.prime_ratio[i].push_back(busy[i].rate / best.what.rate);
    }
}

void report_foreground(const foreground_results& results) {
    for (std::size_t i = 0; i < 2; ++i) {
        const auto&       asked = questions[i];
        const auto&       of    = results.of[i];
        const std::string id    = asked.id;
        report_beside(id, "extents moved beside 4 KiB reads", of, asked);
        if (results.prime_rate[i].empty()) {
            skip(id + "'", "extents moved against the best fixed chunk and depth", "none met the p99");
            continue;
        }
        report({.id        = id + "'",
                .measure   = "extents moved beside 4 KiB reads",
                .ours      = median(of.rate),
                .peer      = median(results.prime_rate[i]),
                .peer_name = "best fixed chunk x depth of the same p99",
                .unit      = "MB/s",
                .floor     = asked.prime_floor,
                .goal      = asked.prime_goal,
                .ratio     = median(results.prime_ratio[i])});
    }
}

// ---- G3
// --------------------------------------------------------------------------------------------------------------

/// Moves all there is, unpaced, and answers the seconds.
double move_all(subject_file& on, const subject_objects& objects, bool with_journal, double& bytes) {
    auto& watch = on.watch();
    auto  store = must(subject_store<unpaced>::open(on.device(), subject_options<unpaced>({})), "open");
    if (!with_journal) {
        watch.leaves_out = store.info().journal;
        watch.no_syncs   = true;
    }
    watch.counts.reset();
    const auto    before = extents_of(store, objects);
    defragmenting mover{store};
    while (!mover.finished()) std::this_thread::sleep_for(std::chrono::milliseconds{1});
    mover.stop();
    bytes = mover.bytes();
    std::printf("G3: %s: %.0f MB in %.2f s, %.0f MB/s, extents %llu to %llu, %llu reads, %llu writes, %llu syncs\n",
                with_journal ? "journaled" : "without the journal's writes", mover.bytes() * 1e-6, mover.seconds(),
                mover.megabytes_per_second(), static_cast<unsigned long long>(before),
                static_cast<unsigned long long>(extents_of(store, objects)),
                static_cast<unsigned long long>(watch.counts.reads.load()),
                static_cast<unsigned long long>(watch.counts.writes.load()),
                static_cast<unsigned long long>(watch.counts.syncs.load()));
    watch.tracing    = false;
    watch.leaves_out = {};
    watch.no_syncs   = false;
    if (with_journal)
        must(store.close(), "close");
    else
        static_cast<void>(store.abandon());
    return mover.seconds();
}

/// The transfers of the moves alone, in their order and sizes.
double replay(subject_file& on) {
    const auto&       trace = on.watch().trace;
    const direct_file file{on.path()};
    const page_memory memory{4 * mebi};
    const stopwatch   watch;
    for (const auto& one : trace) {
        const auto bytes = one.blocks.count.value * block_bytes;
        const auto at    = one.blocks.first.value * block_bytes;
        if (one.is_write)
            file.write(memory.data(), bytes, at);
        else
            file.read(memory.data(), bytes, at);
    }
    return watch.seconds();
}

struct journal_results {
    std::vector<double> time, time_without, time_raw, added, over_raw, amplification;
};

void journal_round(subject_file& on, journal_results& results, bool journaled_first) {
    double bytes = 0, with = 0, without = 0, written = 0, raw = 0;
    for (int turn = 0; turn < 2; ++turn) {
        const auto objects = make_subject(on);
        if ((turn == 0) == journaled_first) {
            on.watch().trace.clear();
            on.watch().tracing = true;
            with               = move_all(on, objects, true, bytes);
            written            = static_cast<double>(on.watch().counts.bytes_written.load());
            raw                = replay(on);
        } else {
            without = move_all(on, objects, false, bytes);
        }
    }
    results.time.push_back(with);
    results.time_without.push_back(without);
    results.time_raw.push_back(raw);
    results.added.push_back(with / without - 1);
    results.over_raw.push_back(with / raw);
    results.amplification.push_back(written / bytes);
    std::printf("G3: journaled %.3f s, without the journal %.3f s, the same transfers raw %.3f s\n", with, without,
                raw);
}

void report_journal(const journal_results& results) {
    report({.id        = "G3",
            .measure   = "time that journaling adds to unpaced moves of 64 KiB extents",
            .ours      = median(results.added),
            .unit      = "of the time",
            .direction = better::lower,
            .floor     = 0.05,
            .goal      = 0.05});
    report({.id        = "G3",
            .measure   = "bytes written per byte moved",
            .ours      = median(results.amplification),
            .unit      = "",
            .direction = better::lower,
            .floor     = 1.02,
            .goal      = 1.02});
    report({.id        = "G3",
            .measure   = "unpaced moves, everything counted",
            .ours      = median(results.time),
            .peer      = median(results.time_raw),
            .peer_name = "the same transfers alone",
            .unit      = "s",
            .direction = better::lower,
            .ratio     = median(results.over_raw)});
}

}  // namespace

int main(int count, char** words) {
    const auto    chosen = settings_of(count, words);
    const double  scale  = chosen.quick ? 0.1 : 1;
    const int     rounds = chosen.quick ? 1 : 3;
    subject_sizes large;
    if (chosen.quick) large = {gibi / 8, gibi / 2, gibi / 4};
    {
        subject_file       on{chosen.directory, large};
        foreground_results results;
        for (int i = 0; i < rounds; ++i) foreground_round(on, scale, results, i + 1 == rounds);
        report_foreground(results);
    }
    subject_sizes small = large;
    small.fragmented    = large.fragmented / 4;
    small.foreground    = large.foreground / 4;
    subject_file    on{chosen.directory, small};
    journal_results results;
    for (int i = 0; i < (chosen.quick ? 1 : 5); ++i) journal_round(on, results, i % 2 == 0);
    report_journal(results);
    return 0;
}
