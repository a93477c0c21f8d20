/// ashlar evacuate: empties a range of blocks in the foreground, in bounded steps.

#include "commands.hpp"

#include "../progress_bar.hpp"
#include "../steps.hpp"
#include "../volume_evacuator.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace cli {
namespace {

using ashlar::stop_reason;

nlohmann::ordered_json document_of(const context& with, const evacuate_options& options, ashlar::extent range,
                                   const evacuation_plan_facts& plan) {
    return {{"volume", with.volume},
            {"dry_run", options.dry_run},
            {"from", range.first.value},
            {"to", range.end().value},
            {"planned_object_moves", plan.objects},
            {"planned_node_moves", plan.nodes},
            {"planned_region_moves", plan.regions},
            {"planned_table_moves", plan.tables},
            {"planned_blocks", plan.blocks},
            {"fixed_blocks", plan.fixed},
            {"room", plan.room},
            {"memory", plan.memory},
            {"would_be_empty", plan.succeeds}};
}

std::string plan_text(const evacuation_plan_facts& plan, std::uint32_t block_bytes) {
    return fmt::format("{}{}, {} and {} of object trees: {} read and written once, {} free outside, {} of memory",
                       plan.tables != 0 ? "the object table, " : "", counted(plan.regions, "region"),
                       counted(plan.objects, "range") + " of objects", counted(plan.nodes, "node"),
                       human_bytes(plan.blocks * block_bytes), human_bytes(plan.room * block_bytes),
                       human_bytes(plan.memory));
}

result<exit_code> dry_run(const context& with, const evacuate_options& options, ashlar::extent range,
                          const evacuation_plan_facts& plan, std::uint32_t block_bytes) {
    with.out.answer(fmt::format("would move {}\n{}{}\nnothing was moved", plan_text(plan, block_bytes),
                                list_of(plan.obstacles, plan.obstacle_count),
                                plan.succeeds         ? "the range would be empty"
                                : plan.obstacle_count ? "the range would not be empty: that is in the way"
                                                      : "the range would not be empty: too little is free outside"));
    auto fields               = document_of(with, options, range, plan);
    fields["obstacles"]       = document_of(plan.obstacles);
    fields["obstacles_found"] = plan.obstacle_count;
    with.out.document(with.command, fields);
    return exit_code::ok;
}

/// A range that is none is found out before the volume is touched: opening it for writing writes.
result<ashlar::extent> range_of(const context& with, const evacuate_options& options) {
    BOOST_OUTCOME_TRY(const auto seen, volume::open_finished(with.volume, access::read_only));
    const std::uint64_t blocks = seen.facts().blocks;
    const std::uint64_t end    = options.to.value_or(blocks);
    if (options.from >= end || end > blocks) {
        return failure{exit_code::usage, fmt::format("blocks {} to {} are no range of this volume", options.from, end),
                       with.volume, fmt::format("it has {} blocks; --to is the first block behind the range", blocks)};
    }
    return ashlar::extent{ashlar::block_index{options.from}, ashlar::block_count{end - options.from}};
}

}  // namespace

result<exit_code> run_evacuate(const context& with, const evacuate_options& options) {
    BOOST_OUTCOME_TRY(const auto range, range_of(with, options));
    BOOST_OUTCOME_TRY(auto on, volume::open(with.volume, options.dry_run ? access::read_only : access::read_write));
    BOOST_OUTCOME_TRY(auto opened, volume_evacuator::open(on, options.bytes_per_second));
    std::optional<volume_evacuator> task{std::move(opened)};
    BOOST_OUTCOME_TRY(const auto plan, task->plan(range));
    const auto block_bytes = on.facts().block_bytes;
    if (options.dry_run) return dry_run(with, options, range, plan, block_bytes);

    const progress_bar clock{"", true};
    BOOST_OUTCOME_TRY(task->start(range));
    const auto last =
        run_steps(on, *task, "evacuate", with.out, plan.blocks, [&](const auto&, auto&) { return !task->running(); });
    const auto   done    = task->done();
    const double seconds = clock.seconds();
    task.reset();  // it works on an open volume
    BOOST_OUTCOME_TRY(on.close());
    if (last.reasons.has(stop_reason::cancelled)) {
        return failure{exit_code::interrupted,
                       fmt::format("interrupted after {}; everything is whole, where it was or where it was to go",
                                   human_bytes(done.blocks * block_bytes)),
                       with.volume, "run the same command to go on"};
    }
    with.out.say(fmt::format("{} blocks {} to {} of {}: {}{}, {} of objects and {} moved, {} in {}; {}",
                             done.emptied ? "emptied" : "could not empty", range.first.value, range.end().value - 1,
                             with.volume, done.tables != 0 ? "the object table, " : "", counted(done.regions, "region"),
                             counted(done.objects, "range"), counted(done.nodes, "node"),
                             human_bytes(done.blocks * block_bytes), human_seconds(seconds),
                             reasons_text(last.reasons)));
    if (!done.emptied) with.out.answer(list_of(done.obstacles, done.obstacle_count));
    auto fields               = document_of(with, options, range, plan);
    fields["emptied"]         = done.emptied;
    fields["object_moves"]    = done.objects;
    fields["node_moves"]      = done.nodes;
    fields["region_moves"]    = done.regions;
    fields["table_moves"]     = done.tables;
    fields["blocks_moved"]    = done.blocks;
    fields["in_use_before"]   = done.before;
    fields["in_use_after"]    = done.after;
    fields["obstacles"]       = document_of(done.obstacles);
    fields["obstacles_found"] = done.obstacle_count;
    fields["failure"]         = done.why ? nlohmann::ordered_json(done.why->what) : nlohmann::ordered_json();
    fields["stopped"]         = reasons_text(last.reasons);
    fields["seconds"]         = seconds;
    with.out.document(with.command, fields);
    if (done.emptied) return exit_code::ok;
    const auto code = done.why ? done.why->code : exit_code::failed;
    if (with.out.json) return code;  // the document says why
    const auto left = fmt::format("{} of the range are still in use", counted(done.after, "block"));
    if (done.why) return failure{code, fmt::format("{}; {}", left, done.why->what), with.volume, done.why->fix};
    return failure{code, left, with.volume, "what is in the way is named above"};
}

}  // namespace cli
