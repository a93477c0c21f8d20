/// ashlar defrag-start: defragments in the foreground, in bounded steps, and says why it waits.

#include "commands.hpp"

#include "../analysis.hpp"
#include "../interrupt.hpp"
#include "../progress_bar.hpp"
#include "../steps.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace cli {
namespace {

using ashlar::stop_reason;

constexpr std::uint64_t step_bytes = 256 * 1024;  ///< So that Ctrl-C is heard soon.
constexpr unsigned      passes_max = 8;   ///< What one pass frees, the next may use; later passes gain hardly anything.
constexpr unsigned      errors_max = 64;  ///< A device that fails more often than this has other troubles.

/// Whether there is nothing more to do: a pass moved nothing, or enough of them were made.
bool is_over(ashlar::stop_reasons reasons, unsigned passes) {
    return reasons.has(stop_reason::nothing_to_gain) || reasons.has(stop_reason::cancelled) || passes >= passes_max;
}

/// Steps until nothing is left to gain, or Ctrl-C. The answer is what the last step said.
result<ashlar::progress> defragment(volume& on, const output& out, std::uint64_t block_bytes) {
    progress_bar bar{"defragment", out.quiet};
    unsigned     passes = 0, errors = 0;
    for (;;) {
        BOOST_OUTCOME_TRY(const auto now, on.step_defrag(step_bytes));
        if (now.reasons.has(stop_reason::device_error)) {
            bar.clear();
            out.warn(fmt::format("block {}: {}; it stays where it is", now.failure.where.value,
                                 ashlar::message(now.failure.code)));
            if (++errors >= errors_max)
                return failure{exit_code::failed, "too many blocks could not be read or written", on.path(),
                               "run 'ashlar verify'"};
        }
        passes += now.reasons.has(stop_reason::finished) ? 1U : 0U;
        if (is_over(now.reasons, passes) || interrupted()) return now;
        const bool throttled = now.reasons.has(stop_reason::throttled);
        auto       remark =
            fmt::format("{} moved, {}", human_bytes(now.moved.value * block_bytes), human_rate(now.bytes_per_second));
        if (now.left.nanoseconds > 0)
            remark += fmt::format(", {} left", human_seconds(static_cast<double>(now.left.nanoseconds) / 1e9));
        if (throttled) remark += ", throttled to keep the rate";
        bar.show(now.done, now.total, remark);
        if (throttled) wait_for_grant(on, now.not_before);
    }
}

result<exit_code> dry_run(const context& with, volume& on, double before) {
    BOOST_OUTCOME_TRY(const auto plan, on.plan_defrag());
    with.out.answer(
        fmt::format("would make {}: {} read, {} written, {} of memory{}\nobjects fragmented: {} now, about {} "
                    "afterwards\nnothing was moved",
                    counted(plan.moves, "move"), human_bytes(plan.bytes_read), human_bytes(plan.bytes_written),
                    human_bytes(plan.memory),
                    plan.seconds > 0 ? fmt::format(", {} at the given rate", human_seconds(plan.seconds)) : "",
                    percent(before), percent(plan.object_fragmentation_after)));
    with.out.document(with.command, {{"volume", with.volume},
                                     {"dry_run", true},
                                     {"moves", plan.moves},
                                     {"blocks", plan.blocks},
                                     {"bytes_read", plan.bytes_read},
                                     {"bytes_written", plan.bytes_written},
                                     {"memory", plan.memory},
                                     {"seconds", plan.seconds},
                                     {"object_fragmentation_before", before},
                                     {"object_fragmentation_after", plan.object_fragmentation_after},
                                     {"free_runs_before", plan.free_runs_before},
                                     {"free_runs_after", plan.free_runs_after}});
    return exit_code::ok;
}

}  // namespace

result<exit_code> run_defrag_start(const context& with, const defrag_start_options& options) {
    const auto mode = options.dry_run ? access::read_only : access::read_write;
    BOOST_OUTCOME_TRY(auto on, volume::open_finished(with.volume, mode, options.settings));
    const auto quietly = [](std::uint64_t, std::uint64_t) { return !interrupted(); };
    BOOST_OUTCOME_TRY(const auto before, analyze(on, options.settings.extents_min, 0, quietly));
    if (options.dry_run) return dry_run(with, on, before.object_fragmentation());

    const progress_bar clock{"", true};
    BOOST_OUTCOME_TRY(const auto space_before, on.space());
    BOOST_OUTCOME_TRY(const auto last, defragment(on, with.out, on.facts().block_bytes));
    const auto   done    = on.defragged();
    const double seconds = clock.seconds();
    if (interrupted()) {
        BOOST_OUTCOME_TRY(on.close());
        return failure{exit_code::interrupted,
                       fmt::format("interrupted after {} moved; the volume is consistent", human_bytes(done.bytes)),
                       with.volume, "run the same command to go on"};
    }
    BOOST_OUTCOME_TRY(const auto after, analyze(on, options.settings.extents_min, 0, quietly));
    BOOST_OUTCOME_TRY(const auto space, on.space());
    BOOST_OUTCOME_TRY(on.close());

    const auto rate = static_cast<std::uint64_t>(static_cast<double>(done.bytes) / std::max(seconds, 1e-6));
    with.out.say(fmt::format("defragmented {}: {} -> {} of the objects fragmented, {} -> {}, {} moved in {} ({}); {}",
                             with.volume, percent(before.object_fragmentation()), percent(after.object_fragmentation()),
                             before.extents, counted(after.extents, "extent"), human_bytes(done.bytes),
                             human_seconds(seconds), human_rate(rate), reasons_text(last.reasons)));
    with.out.document(with.command, {{"volume", with.volume},
                                     {"dry_run", false},
                                     {"objects_moved", done.objects},
                                     {"blocks_moved", done.blocks},
                                     {"bytes_moved", done.bytes},
                                     {"races", done.races},
                                     {"failures", done.failures},
                                     {"extents_before", before.extents},
                                     {"extents_after", after.extents},
                                     {"object_fragmentation_before", before.object_fragmentation()},
                                     {"object_fragmentation_after", after.object_fragmentation()},
                                     {"free_fragmentation_before", space_before.free_fragmentation},
                                     {"free_fragmentation_after", space.free_fragmentation},
                                     {"stopped", reasons_text(last.reasons)},
                                     {"seconds", seconds}});
    return done.failures == 0 ? exit_code::ok : exit_code::failed;
}

}  // namespace cli
