/// What it costs to give every object record another width: time by the number of records, and what readers feel.

#include "closed_loop.hpp"
#include "measure.hpp"
#include "report.hpp"

#include <ashlar/ashlar.hpp>
#include <ashlar/device/native_device.hpp>
#include <ashlar/hosted/multi_threaded.hpp>
#include <ashlar/hosted/steady_clock.hpp>
#include <ashlar/record_migration.hpp>
#include <ashlar/throttle/token_bucket.hpp>

#include <array>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

namespace {

using namespace ashlar;

constexpr block_size    size{4096};
constexpr std::uint32_t old_bytes = object_record_bytes;
constexpr std::uint32_t new_bytes = 200;
constexpr std::uint64_t read_from = 16384;  ///< Blocks of the object that readers read.

struct parts : blueprint {
    using device    = native_device;
    using journal   = ring_journal;
    using threading = multi_threaded;
};
using live_store = store<parts>;

[[nodiscard]] live_store::options options() {
    live_store::options chosen;
    chosen.limits.cache_blocks = 4096;
    return chosen;
}

/// A fresh volume with so many records, and an object for readers.
result<live_store> make_store(const std::string& path, std::uint64_t records) {
    { const std::ofstream made{path, std::ios::binary | std::ios::trunc}; }
    std::filesystem::resize_file(path, std::uint64_t{3} << 30U);
    BOOST_OUTCOME_TRY(auto device, native_device::open(path.c_str()));
    BOOST_OUTCOME_TRY(live_store::format(device, {.volume = volume_id{std::byte{9}}}));
    BOOST_OUTCOME_TRY(auto live, live_store::open(std::move(device), options()));
    const std::vector<std::byte> bytes(std::size_t{1} << 20U, std::byte{0x5A});
    for (std::uint64_t at = 0; at < read_from * size.bytes; at += bytes.size()) {
        BOOST_OUTCOME_TRY(live.write(live.root(), at, bytes));
    }
    BOOST_OUTCOME_TRY(live.sync());
    for (std::uint64_t i = 1; i < records; ++i) { BOOST_OUTCOME_TRY(live.create()); }
    BOOST_OUTCOME_TRY(live.checkpoint());
    return live;
}

/// Reads random blocks, one after the other, until it is told to end.
class reader {
  public:
    explicit reader(live_store& of) : of_{of} {}

    [[nodiscard]] bench::latencies until(const std::atomic<bool>& ended) {
        return bench::closed_loop([this] { return read(); }, [&](std::uint64_t) noexcept { return ended.load(); });
    }
    [[nodiscard]] bench::latencies for_seconds(double seconds) {
        return bench::closed_loop_for(seconds, [this] { return read(); });
    }

  private:
    bool read() { return of_.read(of_.root(), random_.below(read_from) * size.bytes, bytes_).has_value(); }

    live_store&                 of_;
    bench::random_numbers       random_{3};
    std::array<std::byte, 4096> bytes_{};
};

/// Seconds of a whole migration, with nobody else there or beside a reader. `rate` is bytes of the next table a second;
/// 0: as fast as it can.
result<double> migrate(live_store& live, std::uint32_t record_bytes, std::uint64_t rate = 0) {
    const std::uint64_t                                                  together = rate == 0 ? 256 : 4;  // blocks
    record_migrator<live_store::volume_type, token_bucket, steady_clock> task{
        token_bucket{{.bytes_per_second = rate, .burst = together * size.bytes}}, steady_clock{}};
    const bench::stopwatch watch;
    task.start({.record_bytes = record_bytes});
    for (;;) {
        const auto said = task.step(live.volume(), {.blocks_max = together, .candidates_max = 256});
        if (said.failure.code != errc::none) return said.failure;
        if (said.reasons.has(stop_reason::throttled)) {
            std::this_thread::sleep_for(std::chrono::microseconds{200});
        } else if (said.reasons != stop_reason::budget_spent && !said.reasons.has(stop_reason::raced)) {
            break;
        }
    }
    if (!task.last_result().finished) return errc::cancelled;
    return watch.seconds();
}

constexpr std::uint64_t paced_rate = std::uint64_t{12} << 20U;

/// Microseconds a record of a migration, and what readers feel of one.
struct seen {
    double seconds       = 0;
    double idle          = 0;  ///< p99 at rest, microseconds.
    double busy          = 0;  ///< And meanwhile.
    double paced         = 0;  ///< And beside one at `paced_rate`,
    double paced_seconds = 0;  ///< which takes so long.
};

/// The reader's p99 beside a migration; `seconds` is how long that took.
result<double> beside(live_store& live, reader& foreground, std::uint32_t record_bytes, std::uint64_t rate,
                      double& seconds) {
    std::atomic<bool>             ended{false};
    std::optional<result<double>> done;
    std::thread                   background{[&] {
        done.emplace(migrate(live, record_bytes, rate));
        ended = true;
    }};
    const auto                    times = foreground.until(ended);
    background.join();
    if (done->has_error()) return done->error();
    seconds = done->value();
    return times.microseconds(0.99);
}

result<seen> measure(const std::string& path, std::uint64_t records, bool quick) {
    BOOST_OUTCOME_TRY(auto live, make_store(path, records));
    seen answer;
    BOOST_OUTCOME_TRY(answer.seconds, migrate(live, new_bytes));
    reader foreground{live};
    answer.idle = foreground.for_seconds(quick ? 0.5 : 3).microseconds(0.99);
    double fast = 0;
    BOOST_OUTCOME_TRY(answer.busy, beside(live, foreground, old_bytes, 0, fast));
    BOOST_OUTCOME_TRY(answer.paced, beside(live, foreground, new_bytes, paced_rate, answer.paced_seconds));
    BOOST_OUTCOME_TRY(live.close());
    return answer;
}

result<> run(const bench::settings& chosen) {
    const std::uint64_t many = chosen.quick ? 100'000 : 1'000'000;
    const auto          path = chosen.directory + "/record_migration_bench.ash";
    BOOST_OUTCOME_TRY(const auto few, measure(path, many / 4, chosen.quick));
    BOOST_OUTCOME_TRY(const auto all, measure(path, many, chosen.quick));
    std::filesystem::remove(path);
    const auto bytes = static_cast<double>(many) * (old_bytes + new_bytes);
    const auto text  = std::to_string(many) + " records";
    bench::report({.id      = "records",
                   .measure = text + " from 136 to 200 bytes, read and written",
                   .ours    = bytes / all.seconds / 1e6,
                   .unit    = "MB/s"});
    bench::report({.id        = "records",
                   .measure   = text + ": time a record, beside that of a quarter of them",
                   .ours      = all.seconds / static_cast<double>(many) * 1e9,
                   .peer      = few.seconds / (static_cast<double>(many) / 4) * 1e9,
                   .peer_name = "a quarter",
                   .unit      = "ns",
                   .direction = bench::better::lower,
                   .goal      = 1.25});
    const std::pair<std::string, double> p99s[] = {
        {"p99 of 4 KiB reads while records migrate", all.busy},
        {"the same at 12 MiB of the next table a second, " + std::to_string(static_cast<int>(all.paced_seconds + 0.5)) +
             " s in all",
         all.paced}};
    for (const auto& [measured, busy] : p99s) {
        bench::report({.id        = "records",
                       .measure   = measured,
                       .ours      = busy,
                       .peer      = all.idle,
                       .peer_name = "at rest",
                       .unit      = "us",
                       .direction = bench::better::lower,
                       .goal      = 1.5});
    }
    return success();
}

}  // namespace

int main(int count, char** words) {
    const auto done = run(bench::settings_of(count, words));
    if (!done) std::fprintf(stderr, "record_migration_bench: %s\n", message(done.error().code));
    return done ? 0 : 1;
}
