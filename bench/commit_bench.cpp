/// G4: durable commits of 4 KiB per second, beside what the disk itself does.
///
/// Random blocks of a 64 MiB object are overwritten, each overwrite a durable commit; the volume is a file of 1 GiB,
/// preallocated, on the file system on which the raw rate is measured. That rate stands before and after each
/// measurement; where the two differ by more than a fifth the measurement is thrown away and repeated. Figures are
/// medians of the rounds; in a round everybody has a turn.

#include "commit_peers.hpp"
#include "measure.hpp"
#include "raw_sync.hpp"
#include "report.hpp"

#include <ashlar/ashlar.hpp>
#include <ashlar/channel.hpp>
#include <ashlar/device/io_uring_device.hpp>
#include <ashlar/hosted/multi_threaded.hpp>

#include <functional>

namespace {

using namespace ashlar;

constexpr std::uint64_t volume_bytes = std::uint64_t{1} << 30U;
constexpr std::uint64_t object_bytes = bench::values * bench::value_bytes;

template <class Threads, class Device = file_device>
struct file_parts : blueprint {
    using device    = Device;
    using journal   = ring_journal;
    using threading = Threads;
};

/// Makes a volume of the whole file, with an object of 64 MiB as its root.
template <class Store>
result<Store> fresh_store(const std::string& path) {
    if (!bench::preallocate(path, volume_bytes)) return errc::device_failed;
    BOOST_OUTCOME_TRY(auto device, Store::device_type::open(path.c_str()));
    if (device.direct() != direct_state::in_use) std::printf("%s: %s\n", path.c_str(), message(device.direct()));
    BOOST_OUTCOME_TRY(Store::format(device, {.volume = volume_id{std::byte{4}}, .overwrite = true}));
    BOOST_OUTCOME_TRY(auto store, Store::open(std::move(device)));
    const std::vector<std::byte> bytes(std::size_t{1} << 20U, std::byte{0x5A});
    for (std::uint64_t at = 0; at < object_bytes; at += bytes.size()) {
        BOOST_OUTCOME_TRY(store.append(store.root(), bytes));
    }
    BOOST_OUTCOME_TRY(store.checkpoint());
    return store;
}

/// Threads that each wait for their own commit, through the plain call: one with single_threaded, or many.
template <class Threads>
class blocked_commits {
  public:
    explicit blocked_commits(const std::string& path) : path_{path}, store_{fresh_store<store_type>(path)} {
        if (!store_) std::fprintf(stderr, "%s: %s\n", path.c_str(), message(store_.error().code));
    }
    blocked_commits(const blocked_commits&)            = delete;
    blocked_commits& operator=(const blocked_commits&) = delete;
    ~blocked_commits() { ::unlink(path_.c_str()); }

    double rate(unsigned threads, double seconds) {
        if (!store_) return 0;
        auto& store = store_.value();
        return bench::rate_of_threads(
            threads, seconds, [&](unsigned, bench::random_numbers& random, bench::changing_value& value) {
                const auto offset = random.below(bench::values) * bench::value_bytes;
                const auto bytes  = std::span{static_cast<const std::byte*>(value.data()), bench::value_bytes};
                const auto done   = store.put(store.root(), offset, bytes);
                if (!done) std::fprintf(stderr, "put: %s\n", message(done.error().code));
                return done.has_value();
            });
    }

  private:
    using store_type = store<file_parts<Threads>>;

    std::string        path_;
    result<store_type> store_;
};

/// One thread that keeps several commits under way through a channel, over io_uring.
class channel_commits {
  public:
    static constexpr std::size_t outstanding_max = 32;

    explicit channel_commits(const std::string& path) : path_{path}, store_{fresh_store<store_type>(path)} {
        if (!store_) std::fprintf(stderr, "%s: %s\n", path.c_str(), message(store_.error().code));
    }
    channel_commits(const channel_commits&)            = delete;
    channel_commits& operator=(const channel_commits&) = delete;
    ~channel_commits() { ::unlink(path_.c_str()); }

    double rate(unsigned outstanding, double seconds) {
        if (!store_) return 0;
        const auto done = run_channel(outstanding, seconds);
        if (!done) std::fprintf(stderr, "channel: %s\n", message(done.error().code));
        return done ? done.value() : 0;
    }

  private:
    using parts      = file_parts<single_threaded, io_uring_device>;
    using store_type = store<parts>;

    /// Each commit that is durable is followed by the next, elsewhere.
    result<double> run_channel(unsigned outstanding, double seconds) {
        bench::random_numbers              random{runs_++};
        std::vector<request>               requests(outstanding);  // outlive the channel, which waits for them
        std::vector<bench::changing_value> values(outstanding, bench::changing_value{random});
        BOOST_OUTCOME_TRY(auto commits,
                          channel<parts>::open(store_.value(), {.depth = outstanding, .one_thread = true}));

        const auto submit = [&](request& one) {
            auto& value = values[one.token];
            value.change();
            one.verb   = request_verb::put;
            one.object = store_.value().root();
            one.offset = random.below(bench::values) * bench::value_bytes;
            one.memory = {static_cast<std::byte*>(value.data()), bench::value_bytes};
            commits.submit(one);
        };
        std::uint64_t          count = 0;
        request*               finished[outstanding_max];
        const bench::stopwatch clock;
        for (std::size_t i = 0; i < outstanding; ++i) {
            requests[i].token = i;
            submit(requests[i]);
        }
        while (clock.seconds() < seconds) {
            BOOST_OUTCOME_TRY(const auto ended, commits.complete(finished, 1));
            for (std::size_t i = 0; i < ended; ++i) {
                if (finished[i]->failure.code != errc::none) return finished[i]->failure;
                submit(*finished[i]);
            }
            count += ended;
        }
        const double took = clock.seconds();
        while (commits.in_flight() > 0) { BOOST_OUTCOME_TRY(commits.complete(finished, 1)); }
        return static_cast<double>(count) / took;
    }

    std::string        path_;
    result<store_type> store_;
    std::uint64_t      runs_ = 1;
};

// ---- rounds
// ----------------------------------------------------------------------------------------------------------

/// Somebody who commits, and what was seen of it.
struct contender {
    std::string                   measure;
    std::function<double(double)> rate;  ///< Commits per second over about so many seconds; 0 where it failed.
    double                        floor = 0;
    double                        goal  = 0;
    bool                          peer  = false;
    std::vector<double>           rates{}, raws{}, ratios{};
};

struct times {
    double one_raw;
    double one_rate;
    int    rounds;
    int    attempts;
};

/// One measurement between two raw ones. The raw rate after it may be the one before the next.
bool measure(contender& one, bench::raw_sync& raw, const times& chosen) {
    for (int attempt = 0; attempt < chosen.attempts; ++attempt) {
        const double before = raw.rate(chosen.one_raw);
        const double rate   = one.rate(chosen.one_rate);
        const double after  = raw.rate(chosen.one_raw);
        if (rate == 0 || before == 0 || after == 0) return false;
        std::printf("%s: %.0f/s, raw %.0f and %.0f\n", one.measure.c_str(), rate, before, after);
        if (std::max(before, after) > 1.2 * std::min(before, after)) continue;
        one.rates.push_back(rate);
        one.raws.push_back((before + after) / 2);
        one.ratios.push_back(rate / one.raws.back());
        return true;
    }
    return true;
}

/// The peer with so many threads stands beside the channel with so many outstanding, and beside as many threads.
bool beside(const contender& peer, const contender& ours) {
    const auto many = [](const contender& one) {
        return std::strtol(one.measure.c_str() + one.measure.find(", ") + 2, nullptr, 10);
    };
    return !ours.peer && many(peer) == many(ours);
}

/// The ratio to the raw rate, by how many commits are under way.
void plot(const std::vector<contender>& all) {
    for (const auto& one : all) {
        const auto comma = one.measure.find(", ");
        const auto many  = std::strtod(one.measure.c_str() + comma + 2, nullptr);
        if (!one.ratios.empty())
            bench::point("durable commits / raw fdatasync, by commits under way", one.measure.substr(0, comma), many,
                         bench::median(one.ratios));
    }
}

void tell(const std::vector<contender>& all) {
    for (const auto& one : all) {
        if (one.ratios.empty()) {
            bench::skip("G4", one.measure, "the raw rate never stood still beside it");
            continue;
        }
        bench::report({.id        = "G4",
                       .measure   = one.measure,
                       .ours      = bench::median(one.rates),
                       .peer      = bench::median(one.raws),
                       .peer_name = "raw fdatasync",
                       .unit      = "commits/s",
                       .floor     = one.floor,
                       .goal      = one.goal,
                       .ratio     = bench::median(one.ratios)});
    }
    for (const auto& peer : all) {
        for (const auto& ours : all) {
            if (!peer.peer || !beside(peer, ours) || peer.ratios.empty() || ours.ratios.empty()) continue;
            bench::report({.id        = "G4",
                           .measure   = ours.measure,
                           .ours      = bench::median(ours.rates),
                           .peer      = bench::median(peer.rates),
                           .peer_name = peer.measure,
                           .unit      = "commits/s",
                           .ratio     = bench::median(ours.ratios) / bench::median(peer.ratios)});
        }
    }
}

int run(const bench::settings& chosen) {
    const auto folder = chosen.directory + "/commit_bench";
    const auto remove = [&] { std::filesystem::remove_all(folder); };
    remove();
    std::filesystem::create_directories(folder);
    const times much = chosen.quick ? times{0.1, 0.2, 1, 3} : times{0.3, 1.0, 5, 4};

    bool whole = true;
    {
        bench::raw_sync                  raw{folder + "/raw"};
        channel_commits                  channels{folder + "/channel.ash"};
        blocked_commits<single_threaded> alone{folder + "/alone.ash"};
        blocked_commits<multi_threaded>  threads{folder + "/threads.ash"};
        bench::sqlite_peer               sqlite{folder + "/sqlite"};
        bench::lmdb_peer                 lmdb{folder + "/lmdb"};
        bench::rocksdb_peer              rocks{folder + "/rocksdb"};
        if (!raw.ready()) return 1;

        std::vector<contender> all;
        const double           floors[] = {0.85, 3.5, 9}, goals[] = {0.95, 4.5, 12};
        for (std::size_t i = 0; i < 3; ++i) {
            const unsigned count = i == 0 ? 1 : (i == 1 ? 8 : 32);
            all.push_back({"ashlar channel, " + std::to_string(count) + " outstanding",
                           [&, count](double s) { return channels.rate(count, s); }, floors[i], goals[i]});
        }
        all.push_back({"ashlar put, 1 thread", [&](double s) { return alone.rate(1, s); }, 0.85, 0.95});
        all.push_back({"ashlar put, 32 threads", [&](double s) { return threads.rate(32, s); }, 4.5, 6.5});
        for (const unsigned count : {1U, 8U, 32U}) {
            const auto name = ", " + std::to_string(count) + (count == 1 ? " thread" : " threads");
            all.push_back(
                {"SQLite WAL FULL" + name, [&, count](double s) { return sqlite.rate(count, s); }, 0, 0, true});
            if (count == 1) all.push_back({"LMDB" + name, [&](double s) { return lmdb.rate(1, s); }, 0, 0, true});
            all.push_back({"RocksDB sync" + name,
                           [&, count](double s) {
                               const double rate = rocks.rate(count, s);
                               rocks.rest();
                               return rate;
                           },
                           0, 0, true});
        }
        for (int round = 0; round < much.rounds; ++round) {
            for (auto& one : all) whole = measure(one, raw, much) && whole;
        }
        tell(all);
        plot(all);
        bench::version("sqlite", sqlite3_libversion());
        bench::version("lmdb", mdb_version(nullptr, nullptr, nullptr));
        bench::version("rocksdb", rocksdb::GetRocksVersionAsString());
    }
    remove();
    return whole ? 0 : 1;
}

}  // namespace

int main(int count, char** words) { return run(bench::settings_of(count, words)); }
