/// ashlar compact: moves regions together in the foreground, in bounded steps.

#include "commands.hpp"

#include "../progress_bar.hpp"
#include "../region_names.hpp"
#include "../steps.hpp"
#include "../volume_regions.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace cli {
namespace {

using ashlar::stop_reason;

const char* fate_of(const move_facts& line, const compact_options& options) {
    if (line.clears) return line.slides ? "slides, and moves after objects" : "moves, after objects";
    if (line.needed) return line.slides ? "slides, in parts" : "moves";
    if (options.only && line.region != *options.only) return "stays: not asked for";
    if (line.pinned) return "stays: pinned";
    return "stays";
}

std::string table(const compaction_plan_facts& plan, const compact_options& options, std::uint32_t block_bytes) {
    auto text = fmt::format("{:<10} {:>10} {:>12} {:>12}\n", "region", "size", "from block", "to block");
    for (const auto& line : plan.lines)
        text += fmt::format("{:<10} {:>10} {:>12} {:>12}  {}\n", text_of(line.region),
                            human_bytes(line.from.count.value * block_bytes), line.from.first.value,
                            line.needed ? std::to_string(line.to.value) : "-", fate_of(line, options));
    return text;
}

nlohmann::ordered_json lines_of(const compaction_plan_facts& plan) {
    auto lines = nlohmann::ordered_json::array();
    for (const auto& line : plan.lines) {
        lines.push_back({{"type", type_text(line.region.type)},
                         {"number", line.region.number},
                         {"blocks", line.from.count.value},
                         {"from", line.from.first.value},
                         {"to", line.needed ? line.to.value : line.from.first.value},
                         {"needed", line.needed},
                         {"slides", line.slides},
                         {"clears_way", line.clears},
                         {"blocks_in_the_way", line.cleared},
                         {"pinned", line.pinned}});
    }
    return lines;
}

nlohmann::ordered_json document_of(const context& with, const compact_options& options,
                                   const compaction_plan_facts& plan, const shape_facts& before,
                                   const shape_facts& after) {
    return {{"volume", with.volume},
            {"dry_run", options.dry_run},
            {"region", options.only ? nlohmann::ordered_json(text_of(*options.only)) : nlohmann::ordered_json()},
            {"plan", lines_of(plan)},
            {"planned_moves", plan.moves},
            {"planned_blocks", plan.blocks},
            {"planned_slides", plan.slides},
            {"planned_ways", plan.ways},
            {"planned_blocks_in_the_way", plan.cleared},
            {"indirection_entries", plan.entries},
            {"indirection_entries_max", plan.entries_max},
            {"memory", plan.memory},
            {"free_runs_before", before.runs},
            {"free_runs_after", after.runs},
            {"largest_free_run_before", before.largest_run},
            {"largest_free_run_after", after.largest_run},
            {"free_fragmentation_before", before.free_fragmentation},
            {"free_fragmentation_after", after.free_fragmentation}};
}

std::string change_text(const shape_facts& before, const shape_facts& after, std::uint32_t block_bytes) {
    return fmt::format("largest free run {} -> {}, free fragmentation {} -> {}",
                       human_bytes(before.largest_run * block_bytes), human_bytes(after.largest_run * block_bytes),
                       percent(before.free_fragmentation), percent(after.free_fragmentation));
}

result<exit_code> dry_run(const context& with, const compact_options& options, const compaction_plan_facts& plan,
                          std::uint32_t block_bytes) {
    std::string bound;
    if (plan.entries != 0 && plan.entries_max == 0)
        bound =
            fmt::format("a region of {} fits nowhere whole, and nothing may slide\n", counted(plan.entries, "block"));
    if (plan.ways != 0)
        bound += fmt::format("objects would leave the way of {} first: about {} of them\n",
                             counted(plan.ways, "region"), human_bytes(plan.cleared * block_bytes));
    with.out.answer(fmt::format("{}\nwould move {}: {} read and written once, {} of memory\n{}{}\nnothing was moved",
                                table(plan, options, block_bytes), counted(plan.moves, "region"),
                                human_bytes(plan.blocks * block_bytes), human_bytes(plan.memory), bound,
                                change_text(plan.before, plan.after, block_bytes)));
    with.out.document(with.command, document_of(with, options, plan, plan.before, plan.after));
    return exit_code::ok;
}

/// Whether a pass is over. A region that cannot be read or written does not end it.
bool is_over(const ashlar::progress& now, progress_bar& bar, const output& out) {
    if (now.reasons.has(stop_reason::device_error)) {
        bar.clear();
        out.warn(fmt::format("block {}: {}; its region stays where it is", now.failure.where.value,
                             ashlar::message(now.failure.code)));
    }
    return now.reasons != ashlar::stop_reasons{stop_reason::budget_spent} && !now.reasons.has(stop_reason::throttled);
}

}  // namespace

result<exit_code> run_compact(const context& with, const compact_options& options) {
    BOOST_OUTCOME_TRY(auto on,
                      volume::open_finished(with.volume, options.dry_run ? access::read_only : access::read_write));
    std::optional<volume_regions> regions{std::in_place, on};
    if (options.only) { BOOST_OUTCOME_TRY(regions->find(*options.only)); }
    BOOST_OUTCOME_TRY(regions->prepare({.only = options.only, .bytes_per_second = options.bytes_per_second}));
    BOOST_OUTCOME_TRY(const auto plan, regions->plan());
    const auto block_bytes = on.facts().block_bytes;
    if (options.dry_run) return dry_run(with, options, plan, block_bytes);
    if (!plan.lines.empty()) with.out.say(table(plan, options, block_bytes));

    const progress_bar clock{"", true};
    const auto         last =
        run_steps(on, *regions, "compact", with.out, plan.blocks + plan.cleared,
                  [&](const ashlar::progress& now, progress_bar& bar) { return is_over(now, bar, with.out); });
    const auto   done    = regions->compacted();
    const double seconds = clock.seconds();
    regions.reset();  // it works on an open volume
    BOOST_OUTCOME_TRY(on.close());
    if (last.reasons.has(stop_reason::cancelled)) {
        return failure{exit_code::interrupted,
                       fmt::format("interrupted after {}; each region is whole, where it was or where it was to go",
                                   counted(done.regions, "move")),
                       with.volume, "run the same command to go on"};
    }
    const auto cleared =
        done.ways == 0 ? std::string{} : fmt::format("{} out of the way, ", human_bytes(done.cleared * block_bytes));
    with.out.say(fmt::format("compacted {}: {} of regions, {}{} in {}; {}; {}", with.volume,
                             counted(done.regions, "move"), cleared, human_bytes(done.blocks * block_bytes),
                             human_seconds(seconds), change_text(done.before, done.after, block_bytes),
                             reasons_text(last.reasons)));
    auto fields              = document_of(with, options, plan, done.before, done.after);
    fields["regions_moved"]  = done.regions;
    fields["regions_slid"]   = done.slid;
    fields["blocks_moved"]   = done.blocks;
    fields["ways_cleared"]   = done.ways;
    fields["blocks_cleared"] = done.cleared;
    fields["bytes_moved"]    = done.blocks * block_bytes;
    fields["gained_blocks"]  = done.gained;
    fields["stopped"]        = reasons_text(last.reasons);
    fields["seconds"]        = seconds;
    with.out.document(with.command, fields);
    return done.finished ? exit_code::ok : exit_code::failed;
}

}  // namespace cli
