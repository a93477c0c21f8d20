/// Defragmentation and a foreground in one process, step by step in turns, with a log that outlives both.

#include "workload.hpp"

#include "../cli/descriptor.hpp"
#include "../cli/interrupt.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fcntl.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

namespace demo {
namespace {

constexpr std::uint64_t step_bytes   = 64 * 1024;  ///< What a foreground operation waits for at most.
constexpr std::size_t   object_count = 8;
constexpr std::uint64_t slot_count   = 128;
constexpr std::size_t   slot_bytes   = 4096;

/// What the log says of one slot of one object: its bytes are those of a version from `acknowledged` to `issued`.
struct slot_state {
    std::uint64_t issued       = 0;
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

/// Objects of its own, read and overwritten slot by slot.
class foreground {
  public:
    foreground(cli::volume& on, acknowledged_log log, foreground_state state, std::uint64_t seed)
        : on_{on}, log_{std::move(log)}, state_{state}, random_{seed} {}

    /// Every slot of every object, against the log. Errors: lost or mixed bytes, with the place. What is found counts
    /// as acknowledged from here on: recovery has made it durable.
    cli::result<> check_all() {
        for (std::size_t object = 0; object < object_count; ++object) {
            for (std::uint64_t slot = 0; slot < slot_count; ++slot) {
                auto& known = state_.slots[object][slot];
                BOOST_OUTCOME_TRY(const auto version, check(object, slot));
                newer += version > known.acknowledged ? 1U : 0U;
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

    /// Four reads and an overwrite; every sixteenth overwrite is followed by a sync.
    cli::result<> turn() {
        for (int i = 0; i < 4; ++i) {
            const stopwatch one;
            BOOST_OUTCOME_TRY(check(random_.below(object_count), random_.below(slot_count)));
            times.add(one.seconds());
        }
        BOOST_OUTCOME_TRY(overwrite(random_.below(object_count), random_.below(slot_count)));
        return ++unacknowledged_ >= 16 ? acknowledge() : cli::success();
    }

    cli::result<> acknowledge() {
        BOOST_OUTCOME_TRY(on_.sync());
        unacknowledged_ = 0;
        for (auto& slots : state_.slots) {
            for (auto& slot : slots) slot.acknowledged = slot.issued;
        }
        return log_.write("acknowledged\n");
    }

    std::uint64_t checked = 0, overwritten = 0, newer = 0;
    latencies     times{};

  private:
    /// The version that the slot holds.
    cli::result<std::uint64_t> check(std::size_t object, std::uint64_t slot) {
        std::array<std::byte, slot_bytes> found{}, wanted{};
        BOOST_OUTCOME_TRY(const auto got, on_.read(state_.objects[object], slot * slot_bytes, found));
        std::uint64_t version = 0;
        std::memcpy(&version, found.data(), sizeof version);
        const auto& known = state_.slots[object][slot];
        fill_slot(wanted, object, slot, version);
        if (got != slot_bytes || found != wanted || version < known.acknowledged || version > known.issued) {
            return cli::failure{
                cli::exit_code::corrupt,
                fmt::format("object {} slot {} holds version {}, acknowledged {}, issued {}{}", object, slot, version,
                            known.acknowledged, known.issued, found != wanted ? ", and mixed bytes" : ""),
                on_.path(), "keep the volume and report this"};
        }
        ++checked;
        return version;
    }

    cli::result<> overwrite(std::size_t object, std::uint64_t slot) {
        std::array<std::byte, slot_bytes> bytes{};
        auto&                             known   = state_.slots[object][slot];
        const auto                        version = known.issued = ++known.used;
        fill_slot(bytes, object, slot, version);
        BOOST_OUTCOME_TRY(log_.write(fmt::format("issued {} {} {}\n", object, slot, version)));
        BOOST_OUTCOME_TRY(on_.write(state_.objects[object], slot * slot_bytes, bytes));
        ++overwritten;
        return cli::success();
    }

    cli::volume&     on_;
    acknowledged_log log_;
    foreground_state state_;
    random_numbers   random_;
    std::uint64_t    unacknowledged_ = 0;
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

/// Steps and turns until the defragmentation is over. While the throttle says wait, the foreground goes on.
cli::result<> work(cli::volume& on, foreground& front, std::uint32_t block_bytes) {
    const stopwatch clock;
    double          told = 0;
    latencies       steps;
    for (;;) {
        const stopwatch one;
        BOOST_OUTCOME_TRY(const auto step, on.step_defrag(step_bytes));
        steps.add(one.seconds());
        do {
            BOOST_OUTCOME_TRY(front.turn());
        } while (step.reasons.has(ashlar::stop_reason::throttled) && on.now() < step.not_before &&
                 clock.seconds() < 600);
        const bool over = is_over(step.reasons) || cli::interrupted();
        if (clock.seconds() - told > 0.1 || over) {
            told = clock.seconds();
            tell({{"event", over ? "finished" : "progress"},
                  {"seconds", told},
                  {"done", step.done},
                  {"total", step.total},
                  {"bytes_moved", step.moved.value * block_bytes},
                  {"throttled", step.reasons.has(ashlar::stop_reason::throttled)},
                  {"races", on.defragged().races},
                  {"failures", on.defragged().failures},
                  {"slots_checked", front.checked},
                  {"slots_overwritten", front.overwritten},
                  {"foreground_p50_us", front.times.microseconds(0.50)},
                  {"foreground_p99_us", front.times.microseconds(0.99)},
                  {"step_p99_us", steps.microseconds(0.99)}});
        }
        if (over) return front.acknowledge();
    }
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
        tell({{"event", "checked"}, {"slots", front.checked}, {"newer_than_acknowledged", front.newer}});
    } else {
        BOOST_OUTCOME_TRY(front.make_objects());
    }
    BOOST_OUTCOME_TRY(work(on, front, on.facts().block_bytes));
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
    tell({{"event", "checked"}, {"slots", front.checked}, {"newer_than_acknowledged", front.newer}});
    for (const auto object : known.objects) { BOOST_OUTCOME_TRY(on.erase(object)); }
    BOOST_OUTCOME_TRY(on.sync());
    return on.close();
}

}  // namespace demo
