/// ashlar migrate-records: gives the object records another width, in bounded steps.

#include "commands.hpp"

#include "../interrupt.hpp"
#include "../progress_bar.hpp"
#include "../steps.hpp"
#include "../volume_records.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace cli {
namespace {

using ashlar::errc;
using ashlar::stop_reason;

constexpr std::uint64_t step_bytes = 128 * 1024;  ///< So that Ctrl-C is heard soon.

failure cannot(const context& with, errc why) {
    const auto what = std::string{"the records cannot get that width: "} + ashlar::message(why);
    switch (why) {
        case errc::invalid_argument:
            return {exit_code::failed, "the records cannot get that width: they would lose what stands in them",
                    with.volume, "use a larger width"};
        case errc::no_contiguous_space:
            return {exit_code::no_space, "the free space lies in too many pieces for another table", with.volume,
                    "'ashlar defrag-start' and 'ashlar compact' join free runs"};
        case errc::no_space:
        case errc::reserve_only:
        case errc::too_large: return {exit_code::no_space, what, with.volume, "free space, and run the command again"};
        case errc::busy:
            return {exit_code::busy, "a migration is under way", with.volume,
                    "run it with its own width to go on, or with --cancel to undo it"};
        default: return {exit_code::failed, what, with.volume, "run 'ashlar verify'"};
    }
}

nlohmann::ordered_json document_of(const context& with, const migrate_options& options,
                                   const migration_plan_facts& plan, std::uint32_t before) {
    return {{"volume", with.volume},           {"dry_run", options.dry_run},
            {"width_before", before},          {"width", options.record_bytes},
            {"planned_records", plan.records}, {"planned_blocks", plan.blocks},
            {"planned_parts", plan.parts},     {"freed_blocks", plan.freed},
            {"bytes_read", plan.bytes_read},   {"bytes_written", plan.bytes_written}};
}

std::string plan_text(const migration_plan_facts& plan, const migrate_options& options, const volume_facts& facts) {
    return fmt::format(
        "{} of {} bytes become {} bytes wide: {} read, {} written; a table of {} in {}, then {} are freed",
        counted(plan.records, "record"), facts.record_bytes, options.record_bytes, human_bytes(plan.bytes_read),
        human_bytes(plan.bytes_written), human_bytes(plan.blocks * facts.block_bytes), counted(plan.parts, "part"),
        human_bytes(plan.freed * facts.block_bytes));
}

result<exit_code> dry_run(const context& with, const migrate_options& options, volume& on) {
    volume_records records{on, {.record_bytes = options.record_bytes}};
    BOOST_OUTCOME_TRY(const auto plan, records.plan());
    if (plan.obstacle != errc::none && plan.obstacle != errc::read_only) return cannot(with, plan.obstacle);
    with.out.answer(plan_text(plan, options, on.facts()) + "\nnothing was written");
    with.out.document(with.command, document_of(with, options, plan, on.facts().record_bytes));
    return exit_code::ok;
}

/// Steps until it is over, or Ctrl-C. The answer is what the last step said.
ashlar::progress migrate(volume& on, volume_records& records, const output& out) {
    progress_bar bar{"migrate-records", out.quiet};
    for (;;) {
        const auto now       = records.step(step_bytes);
        const bool throttled = now.reasons.has(stop_reason::throttled);
        if (now.reasons != ashlar::stop_reasons{stop_reason::budget_spent} && !throttled) return now;
        if (interrupted()) return now;
        bar.show(now.done, now.total, throttled ? "throttled to keep the rate" : "");
        if (throttled) wait_for_grant(on, now.not_before);
    }
}

result<exit_code> told(const context& with, const ashlar::progress& last, const migration_facts& done) {
    if (last.reasons.has(stop_reason::device_error)) {
        return failure{exit_code::failed,
                       fmt::format("block {}: {}", last.failure.where.value, ashlar::message(last.failure.code)),
                       with.volume, "run the same command to go on, or with --cancel to undo it"};
    }
    if (last.reasons.has(stop_reason::budget_spent) || last.reasons.has(stop_reason::throttled)) {
        return failure{exit_code::interrupted,
                       fmt::format("interrupted after {} of {}; the volume is as usable as before", last.done,
                                   counted(last.total, "record")),
                       with.volume, "run the same command to go on, or with --cancel to undo it"};
    }
    if (done.failure.code != errc::none) return cannot(with, done.failure.code);
    const bool nothing_to_do =
        last.reasons.has(stop_reason::cancelled) || last.reasons.has(stop_reason::nothing_to_gain);
    if (done.finished || nothing_to_do) return exit_code::ok;
    return failure{exit_code::failed, fmt::format("the migration stopped: {}", reasons_text(last.reasons)), with.volume,
                   "run the same command to go on, or with --cancel to undo it"};
}

/// The old table was given up before this command came.
failure too_late(const context& with, std::uint32_t width) {
    return {
        exit_code::failed,
        fmt::format("too late to undo the migration: the records have {} bytes already, and now it is finished", width),
        with.volume, "run it with --width and the width of before"};
}

}  // namespace

result<exit_code> run_migrate_records(const context& with, const migrate_options& options) {
    BOOST_OUTCOME_TRY(auto on,
                      volume::open_finished(with.volume, options.dry_run ? access::read_only : access::read_write));
    if (options.dry_run) return dry_run(with, options, on);
    const auto                    before = on.facts().record_bytes;
    std::optional<volume_records> records{std::in_place, on,
                                          migration_settings{options.record_bytes, options.bytes_per_second}};
    const bool                    under_way = records->phase() != ashlar::migration_phase::none;
    const auto                    width     = records->width_under_way();
    BOOST_OUTCOME_TRY(const auto plan, records->plan());
    if (options.cancel) {
        if (!under_way) with.out.say(fmt::format("no migration is under way in {}", with.volume));
        records->cancel();
    } else if (!under_way) {
        if (before == options.record_bytes) {
            with.out.say(fmt::format("the records of {} have {} bytes already", with.volume, before));
        } else {
            if (plan.obstacle != errc::none) return cannot(with, plan.obstacle);
            records->start();
        }
    } else if (width != 0 && width != options.record_bytes) {
        return cannot(with, errc::busy);
    }
    const progress_bar clock{"", true};
    const auto         last    = migrate(on, *records, with.out);
    const auto         done    = records->migrated();
    const double       seconds = clock.seconds();
    const auto         after   = on.facts().record_bytes;
    records.reset();  // it works on an open volume
    BOOST_OUTCOME_TRY(on.close());
    BOOST_OUTCOME_TRY(const auto code, told(with, last, done));
    if (options.cancel && done.finished) return too_late(with, after);
    with.out.say(fmt::format("{} in {}: {} copied; records have {} bytes{}; {}", with.volume, human_seconds(seconds),
                             counted(done.records, "record"), after,
                             done.resumed ? "; it went on where it was stopped" : "", reasons_text(last.reasons)));
    auto fields       = document_of(with, options, plan, before);
    fields["width"]   = after;
    fields["records"] = done.records;
    fields["blocks"]  = done.blocks;
    fields["resumed"] = done.resumed;
    fields["stopped"] = reasons_text(last.reasons);
    fields["seconds"] = seconds;
    with.out.document(with.command, fields);
    return code;
}

}  // namespace cli
