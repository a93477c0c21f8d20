/// A region moves while threads of the same process read and overwrite it, and check every byte.

#include "workload.hpp"

#include "../cli/interrupt.hpp"
#include "../cli/region_names.hpp"
#include "../cli/steps.hpp"
#include "../cli/volume_regions.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <array>
#include <atomic>
#include <cstring>
#include <mutex>
#include <optional>
#include <thread>

namespace demo {
namespace {

constexpr std::size_t   reader_count = 2;
constexpr std::size_t   slot_bytes   = 64 * 1024;  ///< A multiple of every block size.
constexpr std::uint64_t step_bytes   = 256 * 1024;

/// The region in slots. A write to a region is in place and not atomic, as on any device, so one thread at a time has a
/// slot; but nobody keeps others from a slot while the region moves.
class region_users {
  public:
    region_users(cli::volume_regions& regions, ashlar::region_id name, std::uint64_t slots)
        : regions_{regions}, name_{name}, slots_(slots) {}
    ~region_users() { join(); }
    region_users(const region_users&)            = delete;
    region_users& operator=(const region_users&) = delete;

    cli::result<> fill_all() {
        BOOST_OUTCOME_TRY(auto region, regions_.open(name_));
        for (std::size_t slot = 0; slot < slots_.size(); ++slot) { BOOST_OUTCOME_TRY(write(region, slot)); }
        return region.sync();
    }
    cli::result<> check_all() {
        BOOST_OUTCOME_TRY(auto region, regions_.open(name_));
        for (std::size_t slot = 0; slot < slots_.size(); ++slot) { BOOST_OUTCOME_TRY(check(region, slot)); }
        return cli::success();
    }

    /// The threads begin; they go on until `stop`, or until one of them fails.
    void start() {
        for (std::size_t i = 0; i <= reader_count; ++i) threads_.emplace_back([this, i] { keep(i); });
    }
    cli::result<> stop() {
        join();
        if (failed_) return *failed_;
        return cli::success();
    }
    [[nodiscard]] bool failed() const { return stopping_; }

    [[nodiscard]] latencies times() const {
        const std::lock_guard held{mutex_};
        return times_;
    }

    std::atomic<std::uint64_t> checked{0}, overwritten{0};

  private:
    struct slot_state {
        std::mutex    one{};
        std::uint64_t version = 0;
    };

    /// Thread 0 overwrites, and syncs now and then; the others read.
    void keep(std::size_t thread) {
        random_numbers random{thread + 1};
        auto           region = regions_.open(name_);
        auto           done   = region ? cli::result<>{cli::success()} : cli::result<>{region.error()};
        for (std::uint64_t i = 1; done && !stopping_; ++i) {
            const auto      slot = static_cast<std::size_t>(random.below(slots_.size()));
            const stopwatch one;
            done = thread == 0 ? write(region.value(), slot) : check(region.value(), slot);
            if (thread == 0 && done && i % 64 == 0) done = region.value().sync();
            const auto            seconds = one.seconds();
            const std::lock_guard held{mutex_};
            if (thread != 0) times_.add(seconds);
        }
        if (done) return;
        const std::lock_guard held{mutex_};
        if (!failed_) failed_ = done.error();
        stopping_ = true;
    }
    void join() {
        stopping_ = true;
        for (auto& one : threads_) one.join();
        threads_.clear();
    }

    static void fill(std::span<std::byte> bytes, std::size_t slot, std::uint64_t version) {
        random_numbers stream{(std::uint64_t{slot} << 32U) ^ version};
        for (std::size_t at = 0; at < bytes.size(); at += 8) {
            const auto word = stream.next();
            std::memcpy(bytes.data() + at, &word, sizeof word);
        }
    }
    [[nodiscard]] static std::uint64_t first_block(const cli::open_region& region, std::size_t slot) {
        return slot * (slot_bytes / region.block_bytes());
    }

    cli::result<> write(cli::open_region& region, std::size_t slot) {
        std::vector<std::byte> bytes(slot_bytes);
        const std::lock_guard  held{slots_[slot].one};
        fill(bytes, slot, ++slots_[slot].version);
        BOOST_OUTCOME_TRY(region.write(first_block(region, slot), bytes));
        ++overwritten;
        return cli::success();
    }
    cli::result<> check(cli::open_region& region, std::size_t slot) {
        std::vector<std::byte> found(slot_bytes), wanted(slot_bytes);
        const std::lock_guard  held{slots_[slot].one};
        fill(wanted, slot, slots_[slot].version);
        BOOST_OUTCOME_TRY(region.read(first_block(region, slot), found));
        if (found != wanted)
            return cli::failure{cli::exit_code::corrupt,
                                fmt::format("slot {} does not hold what was written last", slot), cli::text_of(name_),
                                "keep the volume and report this"};
        ++checked;
        return cli::success();
    }

    cli::volume_regions&        regions_;
    ashlar::region_id           name_;
    std::vector<slot_state>     slots_;
    mutable std::mutex          mutex_;  ///< Of times and failure.
    latencies                   times_{};
    std::optional<cli::failure> failed_{};
    std::atomic<bool>           stopping_{false};
    std::vector<std::thread>    threads_{};
};

/// Steps until the region has moved; users go on meanwhile.
cli::result<> move(cli::volume& on, cli::volume_regions& regions, region_users& users, ashlar::region_id name) {
    using ashlar::stop_reason;
    const std::uint64_t block_bytes = on.facts().block_bytes;
    BOOST_OUTCOME_TRY(const auto from, regions.find(name));
    const stopwatch  clock;
    double           told = 0;
    ashlar::progress now;
    do {
        now = regions.step(step_bytes);
        if (now.reasons.has(stop_reason::throttled)) cli::wait_for_grant(on, now.not_before);
        if (clock.seconds() - told < 0.1) continue;
        told = clock.seconds();
        tell({{"event", "progress"},
              {"seconds", told},
              {"bytes_moved", now.moved.value * block_bytes},
              {"slots_checked", users.checked.load()},
              {"slots_overwritten", users.overwritten.load()}});
    } while (
        (now.reasons == ashlar::stop_reasons{stop_reason::budget_spent} || now.reasons.has(stop_reason::throttled)) &&
        !users.failed() && !cli::interrupted());
    const double seconds = clock.seconds();
    BOOST_OUTCOME_TRY(users.stop());
    BOOST_OUTCOME_TRY(const auto to, regions.find(name));
    auto times = users.times();
    tell({{"event", "finished"},
          {"seconds", seconds},
          {"from", from.place.first.value},
          {"to", to.place.first.value},
          {"bytes_moved", regions.compacted().blocks * block_bytes},
          {"regions_moved", regions.compacted().regions},
          {"slots_checked", users.checked.load()},
          {"slots_overwritten", users.overwritten.load()},
          {"foreground_p50_us", times.microseconds(0.50)},
          {"foreground_p99_us", times.microseconds(0.99)}});
    return cli::success();
}

}  // namespace

cli::result<> move_region(const region_move_options& options) {
    const auto name = cli::parse_region(options.region);
    if (!name)
        return cli::failure{cli::exit_code::usage, "no region is called so", options.region, "write it as LOGS:0"};
    BOOST_OUTCOME_TRY(auto on, cli::volume::open(options.volume, cli::access::read_write));
    {
        cli::volume_regions regions{on};
        BOOST_OUTCOME_TRY(const auto place, regions.find(*name));
        BOOST_OUTCOME_TRY(regions.prepare({.only = *name, .bytes_per_second = options.bytes_per_second}));
        region_users users{regions, *name, place.place.count.value * on.facts().block_bytes / slot_bytes};
        BOOST_OUTCOME_TRY(users.fill_all());
        users.overwritten = 0;
        users.start();
        BOOST_OUTCOME_TRY(move(on, regions, users, *name));
        BOOST_OUTCOME_TRY(users.check_all());
    }
    return on.close();
}

}  // namespace demo
