/// Defragmentation and a foreground in threads of one process, with a log that outlives them.

#include "workload.hpp"

#include "../cli/descriptor.hpp"
#include "../cli/interrupt.hpp"

#include <ashlar/hosted/maintenance_thread.hpp>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fcntl.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <mutex>
#include <optional>
#include <sstream>
#include <thread>

namespace demo {
namespace {

constexpr std::uint64_t step_blocks  = 16;  ///< What one step of the defragmentation moves at most.
constexpr std::size_t   reader_count = 2;
constexpr std::size_t   object_count = 8;
constexpr std::uint64_t slot_count   = 128;
constexpr std::size_t   slot_bytes   = 4096;

/// What is known of one slot of one object: after a crash its bytes are those of a version from `acknowledged` to
/// `issued`, and while the process lives, from `written` on.
struct slot_state {
    std::uint64_t issued       = 0;
    std::uint64_t written      = 0;  ///< The write of this version has returned.
    std::uint64_t acknowledged = 0;
    std::uint64_t used         = 0;  ///< The highest version ever; a version that a crash took is not used again.
};

struct foreground_state {
    std::array<ashlar::object_id, object_count>                  objects{};
    std::array<std::array<slot_state, slot_count>, object_count> slots{};

    [[nodiscard]] bool made() const { return static_cast<bool>(objects.back()); }
};

/// The bytes of a version: each eight of them depend on object, slot, version and place, so nothing can be mistaken.
void fill_slot(std::span<std::byte> bytes, std::size_t object, std::uint64_t slot, std::uint64_t version) {
    random_numbers stream{(object << 48U) ^ (slot << 40U) ^ version};
    for (std::size_t at = 0; at < bytes.size(); at += 8) {
        const auto word = at == 0 ? version : stream.next();
        std::memcpy(bytes.data() + at, &word, sizeof word);
    }
}

/// Lines "object INDEX ID"; "issued OBJECT SLOT VERSION" before a write; "acknowledged" after a sync: everything issued
/// so far is durable; "found OBJECT SLOT VERSION" where a crash took a version that was not acknowledged. The system
/// keeps the lines when the process is killed.
class acknowledged_log {
  public:
    static cli::result<acknowledged_log> open(const std::string& path) {
        acknowledged_log log;
        log.file_ = cli::descriptor{::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)};
        if (!log.file_.open()) return cli::system_failure("cannot open the log", path, errno);
        return log;
    }

    static foreground_state load(const std::string& path) {
        foreground_state state;
        std::ifstream    lines{path};
        for (std::string line; std::getline(lines, line);) {
            std::istringstream words{line};
            std::string        verb;
            std::uint64_t      a = 0, b = 0, c = 0;
            words >> verb >> a >> b >> c;
            if (verb == "object" && a < object_count) state.objects[a] = {b};
            const bool place = a < object_count && b < slot_count;
            if (verb == "issued" && place) state.slots[a][b].issued = state.slots[a][b].used = c;
            if (verb == "found" && place) state.slots[a][b].issued = state.slots[a][b].acknowledged = c;
            if (verb != "acknowledged") continue;
            for (auto& slots : state.slots) {
                for (auto& slot : slots) slot.acknowledged = slot.issued;
            }
        }
        return state;
    }

    cli::result<> write(const std::string& line) {
        if (::write(file_.number(), line.data(), line.size()) == static_cast<ssize_t>(line.size()))
            return cli::success();
        return cli::system_failure("cannot write the log", "", errno);
    }

  private:
    cli::descriptor file_{};
};

/// Objects of its own, read by several threads and overwritten slot by slot by one.
class foreground {
  public:
    foreground(cli::volume& on, acknowledged_log log, foreground_state state, std::uint64_t seed)
        : on_{on}, log_{std::move(log)}, state_{state}, seed_{seed} {}

    /// Every slot of every object, against the log. Errors: lost or mixed bytes, with the place. What is found counts
    /// as acknowledged from here on: recovery has made it durable.
    cli::result<> check_all() {
        for (std::size_t object = 0; object < object_count; ++object) {
            for (std::uint64_t slot = 0; slot < slot_count; ++slot) {
                auto& known = state_.slots[object][slot];
                BOOST_OUTCOME_TRY(const auto version, check(object, slot));
                newer += version > known.acknowledged ? 1U : 0U;
                known.written = version;
                if (version == known.issued && version == known.acknowledged) continue;
                known.issued = known.acknowledged = version;
                BOOST_OUTCOME_TRY(log_.write(fmt::format("found {} {} {}\n", object, slot, version)));
            }
        }
        return cli::success();
    }

    cli::result<> make_objects() {
        for (std::size_t i = 0; i < object_count; ++i) {
            BOOST_OUTCOME_TRY(const auto id, on_.create(cli::object_tag::workload));
            state_.objects[i] = id;
        }
        for (std::uint64_t slot = 0; slot < slot_count; ++slot) {
            for (std::size_t i = 0; i < object_count; ++i) { BOOST_OUTCOME_TRY(overwrite(i, slot)); }
        }
        BOOST_OUTCOME_TRY(acknowledge());
        for (std::size_t i = 0; i < object_count; ++i) {
            BOOST_OUTCOME_TRY(log_.write(fmt::format("object {} {}\n", i, state_.objects[i].value)));
        }
        return cli::success();
    }

    /// The threads begin; they go on until `stop`, or until one of them fails.
    void start() {
        for (std::size_t reader = 0; reader < reader_count; ++reader) {
            threads_.emplace_back(
                [this, reader] { keep(random_numbers{seed_ * 16 + reader + 1}, &foreground::read_one); });
        }
        threads_.emplace_back([this] { keep(random_numbers{seed_ * 16}, &foreground::write_one); });
    }
    /// Waits for them, and makes what they wrote durable. Errors: the first that any of them met.
    cli::result<> stop() {
        join();
        if (failed_) return *failed_;
        return acknowledge();
    }
    [[nodiscard]] bool failed() const { return stopping_; }
    ~foreground() { join(); }
    foreground(const foreground&)            = delete;
    foreground& operator=(const foreground&) = delete;

    /// Of single reads, until now.
    [[nodiscard]] latencies times() const {
        const std::lock_guard held{mutex_};
        return times_;
    }

    std::atomic<std::uint64_t> checked{0}, overwritten{0};
    std::uint64_t              newer = 0;

  private:
    void keep(random_numbers random, cli::result<> (foreground::*one)(random_numbers&)) {
        while (!stopping_) {
            auto done = (this->*one)(random);
            if (done) continue;
            const std::lock_guard held{mutex_};
            if (!failed_) failed_ = done.error();
            stopping_ = true;
        }
    }
    void join() {
        stopping_ = true;
        for (auto& one : threads_) one.join();
        threads_.clear();
    }

    cli::result<> read_one(random_numbers& random) {
        const stopwatch one;
        BOOST_OUTCOME_TRY(check(random.below(object_count), random.below(slot_count)));
        const auto            seconds = one.seconds();
        const std::lock_guard held{mutex_};
        times_.add(seconds);
        return cli::success();
    }

    /// Every sixteenth overwrite is followed by a sync.
    cli::result<> write_one(random_numbers& random) {
        BOOST_OUTCOME_TRY(overwrite(random.below(object_count), random.below(slot_count)));
        return ++unacknowledged_ >= 16 ? acknowledge() : cli::success();
    }

    /// By the only thread that writes: all that it issued has returned.
    cli::result<> acknowledge() {
        BOOST_OUTCOME_TRY(on_.sync());
        unacknowledged_ = 0;
        const std::lock_guard held{mutex_};
        for (auto& slots : state_.slots) {
            for (auto& slot : slots) slot.acknowledged = slot.issued;
        }
        return log_.write("acknowledged\n");
    }

    /// The version that the slot holds: none older than what was written when the read began, and none that was not
    /// issued when it ended.
    cli::result<std::uint64_t> check(std::size_t object, std::uint64_t slot) {
        std::array<std::byte, slot_bytes> found{}, wanted{};
        const auto                        before = look(object, slot);
        BOOST_OUTCOME_TRY(const auto got, on_.read(state_.objects[object], slot * slot_bytes, found));
        const auto    after   = look(object, slot);
        const auto    oldest  = std::max(before.acknowledged, before.written);
        std::uint64_t version = 0;
        std::memcpy(&version, found.data(), sizeof version);
        fill_slot(wanted, object, slot, version);
        if (got != slot_bytes || found != wanted || version < oldest || version > after.issued) {
            return cli::failure{
                cli::exit_code::corrupt,
                fmt::format("object {} slot {} holds version {}, acknowledged {}, written {}, issued {}{}", object,
                            slot, version, before.acknowledged, before.written, after.issued,
                            found != wanted ? ", and mixed bytes" : ""),
                on_.path(), "keep the volume and report this"};
        }
        ++checked;
        return version;
    }
    [[nodiscard]] slot_state look(std::size_t object, std::uint64_t slot) const {
        const std::lock_guard held{mutex_};
        return state_.slots[object][slot];
    }

    cli::result<> overwrite(std::size_t object, std::uint64_t slot) {
        std::array<std::byte, slot_bytes> bytes{};
        std::uint64_t                     version = 0;
        {
            const std::lock_guard held{mutex_};
            auto&                 known = state_.slots[object][slot];
            version = known.issued = ++known.used;
        }
        fill_slot(bytes, object, slot, version);
        BOOST_OUTCOME_TRY(log_.write(fmt::format("issued {} {} {}\n", object, slot, version)));
        BOOST_OUTCOME_TRY(on_.write(state_.objects[object], slot * slot_bytes, bytes));
        {
            const std::lock_guard held{mutex_};
            state_.slots[object][slot].written = version;
        }
        ++overwritten;
        return cli::success();
    }

    cli::volume&                on_;
    acknowledged_log            log_;
    mutable std::mutex          mutex_;  ///< Of what is known of the slots, the times and the failure.
    foreground_state            state_;
    latencies                   times_{};
    std::optional<cli::failure> failed_{};
    std::uint64_t               seed_;
    std::uint64_t               unacknowledged_ = 0;
    std::atomic<bool>           stopping_{false};
    std::vector<std::thread>    threads_{};
};

nlohmann::ordered_json recovery_of(const cli::volume& on, double seconds) {
    const auto& report = on.recovered();
    return {{"event", "opened"},
            {"clean", report.was_clean},
            {"seconds", seconds},
            {"first_batch", report.first.value},
            {"last_batch", report.last.value},
            {"confirmed_batch", report.confirmed.value},
            {"batches_cut", report.batches_cut},
            {"journal_bytes_read", report.bytes_read},
            {"data_blocks_checked", report.data_checked}};
}

bool is_over(ashlar::stop_reasons reasons) {
    return reasons.has(ashlar::stop_reason::finished) || reasons.has(ashlar::stop_reason::nothing_to_gain) ||
           reasons.has(ashlar::stop_reason::cancelled);
}

/// What the maintenance thread drives: the volume's defragmentation, once, with its steps measured.
class defragmentation {
  public:
    defragmentation(cli::volume& on, std::uint32_t block_bytes) : on_{on}, block_bytes_{block_bytes} {}

    ashlar::result<ashlar::progress> maintain(ashlar::step_budget budget) noexcept {
        if (over_) return ashlar::progress{.reasons = ashlar::stop_reason::finished};
        const stopwatch       one;
        auto                  step    = on_.step_defrag(budget.blocks_max * block_bytes_);
        const auto            seconds = one.seconds();
        const std::lock_guard held{mutex_};
        steps_.add(seconds);
        over_ = !step || is_over(step.value().reasons);
        if (!step) {
            failed_ = step.error();
            return ashlar::errc::cancelled;
        }
        facts_ = on_.defragged();
        last_  = step.value();
        return step.value();
    }

    [[nodiscard]] bool over() const { return over_; }

    struct view {
        ashlar::progress            last{};
        cli::defrag_facts           facts{};
        latencies                   steps{};
        std::optional<cli::failure> failed{};
    };
    [[nodiscard]] view look() const {
        const std::lock_guard held{mutex_};
        return {last_, facts_, steps_, failed_};
    }

  private:
    cli::volume&                on_;
    std::uint32_t               block_bytes_;
    mutable std::mutex          mutex_;
    ashlar::progress            last_{};
    cli::defrag_facts           facts_{};
    latencies                   steps_{};
    std::optional<cli::failure> failed_{};
    std::atomic<bool>           over_{false};
};

/// Readers and a writer go on while the maintenance thread defragments, until that is over.
cli::result<> work(cli::volume& on, foreground& front) {
    const auto                                  block_bytes = on.facts().block_bytes;
    defragmentation                             task{on, block_bytes};
    ashlar::maintenance_thread<defragmentation> maintenance{task, {.budget = {.blocks_max = step_blocks}}};
    const stopwatch                             clock;
    if (!maintenance.start()) return cli::failure{cli::exit_code::failed, "the system gives no thread", on.path(), ""};
    front.start();
    for (bool over = false; !over;) {
        std::this_thread::sleep_for(std::chrono::milliseconds{100});
        over = task.over() || front.failed() || cli::interrupted();
        if (over) maintenance.stop();
        auto seen  = task.look();
        auto times = front.times();
        tell({{"event", over ? "finished" : "progress"},
              {"seconds", clock.seconds()},
              {"done", seen.last.done},
              {"total", seen.last.total},
              {"bytes_moved", seen.last.moved.value * block_bytes},
              {"throttled", seen.last.reasons.has(ashlar::stop_reason::throttled)},
              {"races", seen.facts.races},
              {"failures", seen.facts.failures},
              {"slots_checked", front.checked.load()},
              {"slots_overwritten", front.overwritten.load()},
              {"foreground_p50_us", times.microseconds(0.50)},
              {"foreground_p99_us", times.microseconds(0.99)},
              {"step_p99_us", seen.steps.microseconds(0.99)}});
    }
    BOOST_OUTCOME_TRY(front.stop());
    if (const auto failed = task.look().failed) return *failed;
    return cli::success();
}

}  // namespace

cli::result<> churn(const churn_options& options) {
    const stopwatch opening;
    BOOST_OUTCOME_TRY(auto on, cli::volume::open(options.volume, cli::access::read_write, options.settings));
    tell(recovery_of(on, opening.seconds()));
    const auto known = acknowledged_log::load(options.log);
    BOOST_OUTCOME_TRY(auto log, acknowledged_log::open(options.log));
    foreground front{on, std::move(log), known, options.seed};
    if (known.made()) {
        BOOST_OUTCOME_TRY(front.check_all());
        tell({{"event", "checked"}, {"slots", front.checked.load()}, {"newer_than_acknowledged", front.newer}});
    } else {
        BOOST_OUTCOME_TRY(front.make_objects());
    }
    BOOST_OUTCOME_TRY(work(on, front));
    BOOST_OUTCOME_TRY(front.check_all());
    return on.close();
}

cli::result<> finish_churn(const churn_options& options) {
    BOOST_OUTCOME_TRY(auto on, cli::volume::open(options.volume, cli::access::read_write));
    const auto known = acknowledged_log::load(options.log);
    if (!known.made())
        return cli::failure{cli::exit_code::not_found, "the log names no objects", options.log, "run 'churn' first"};
    BOOST_OUTCOME_TRY(auto log, acknowledged_log::open(options.log));
    foreground front{on, std::move(log), known, options.seed};
    BOOST_OUTCOME_TRY(front.check_all());
    tell({{"event", "checked"}, {"slots", front.checked.load()}, {"newer_than_acknowledged", front.newer}});
    for (const auto object : known.objects) { BOOST_OUTCOME_TRY(on.erase(object)); }
    BOOST_OUTCOME_TRY(on.sync());
    return on.close();
}

}  // namespace demo
