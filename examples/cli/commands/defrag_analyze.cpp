/// ashlar defrag-analyze: how fragmented the volume is, what a defragmentation would cost and gain, and a picture.

#include "commands.hpp"

#include "../analysis.hpp"
#include "../interrupt.hpp"
#include "../progress_bar.hpp"
#include "../tree.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <unordered_map>

namespace cli {
namespace {

std::string class_name(std::size_t index) {
    const auto last  = extent_classes[index];
    const auto first = index == 0 ? 1 : extent_classes[index - 1] + 1;
    if (index + 1 == extent_classes.size()) return fmt::format("{}+", first);
    return first == last ? std::to_string(last) : fmt::format("{}-{}", first, last);
}

std::string histogram_text(const analysis& seen) {
    constexpr std::size_t width = 50;
    std::string           text  = "  extents    objects\n";
    for (std::size_t i = 0; i < seen.histogram.size(); ++i) {
        const auto bar = seen.with_data == 0 ? 0 : static_cast<std::size_t>(seen.histogram[i] * width / seen.with_data);
        text += fmt::format("  {:>7} {:>10}  {}\n", class_name(i), seen.histogram[i], std::string(bar, '#'));
    }
    return text;
}

/// Paths of objects, for the list of the worst; empty where the volume has no catalogue of this program.
std::unordered_map<std::uint64_t, std::string> paths_of(volume& on) {
    std::unordered_map<std::uint64_t, std::string> paths;
    const auto                                     tree = load_tree(on);
    if (!tree) return paths;
    for (const auto& entry : tree.value().entries) {
        if (entry.object) paths.emplace(entry.object.value, shown(entry.path));
    }
    paths.emplace(tree.value().object.value, "(catalogue)");
    return paths;
}

nlohmann::ordered_json as_json(const plan_facts& plan) {
    return {{"moves", plan.moves},
            {"blocks", plan.blocks},
            {"bytes_read", plan.bytes_read},
            {"bytes_written", plan.bytes_written},
            {"memory", plan.memory},
            {"seconds", plan.seconds},
            {"object_fragmentation_after", plan.object_fragmentation_after},
            {"free_runs_after", plan.free_runs_after}};
}

}  // namespace

result<exit_code> run_defrag_analyze(const context& with, const analyze_options& options) {
    BOOST_OUTCOME_TRY(auto on, volume::open(with.volume, access::read_only, {.extents_min = options.extents_min}));
    constexpr std::size_t map_rows = 16;
    progress_bar          bar{"analyze", with.out.quiet};
    BOOST_OUTCOME_TRY(const auto seen, analyze(on, options.extents_min, map_rows * options.columns,
                                               [&](std::uint64_t done, std::uint64_t total) {
                                                   bar.show(done, total, counted(done, "object"));
                                                   return !interrupted();
                                               }));
    bar.clear();
    BOOST_OUTCOME_TRY(const auto space, on.space());
    BOOST_OUTCOME_TRY(const auto plan, on.plan_defrag());
    const auto facts  = on.facts();
    const auto ratio  = seen.object_fragmentation();
    const auto advice = name_of(recommend(ratio));
    const auto paths  = paths_of(on);

    std::string text = fmt::format(
        "objects with data     {}\nfragmented            {} with {} extents or more: {}\nextents               {}, "
        "{:.2f} an object\n",
        seen.with_data, seen.fragmented, options.extents_min, percent(ratio), seen.extents,
        seen.with_data == 0 ? 0.0 : static_cast<double>(seen.extents) / static_cast<double>(seen.with_data));
    text += fmt::format("free space            {} in {}, the largest {}, fragmentation {}\n",
                        human_bytes(space.free_blocks * facts.block_bytes), counted(space.free_runs, "run"),
                        human_bytes(space.largest_run * facts.block_bytes), percent(space.free_fragmentation));
    text +=
        fmt::format("a defragmentation     moves {} in {}{}; {} fragmented afterwards\n",
                    human_bytes(plan.bytes_written), counted(plan.moves, "move"),
                    plan.seconds > 0 ? fmt::format(", about {} at the given rate", human_seconds(plan.seconds)) : "",
                    percent(plan.object_fragmentation_after));
    text += fmt::format("recommendation        {}\n\n{}", advice, histogram_text(seen));
    auto worst = nlohmann::ordered_json::array();
    if (!seen.worst.empty()) text += "\n  most extents\n";
    for (const auto& object : seen.worst) {
        const auto known = paths.find(object.id.value);
        const auto path  = known == paths.end() ? fmt::format("(object {})", object.id.value) : known->second;
        text += fmt::format("  {:>7} {:>10}  {}\n", object.extents, human_bytes(object.size), path);
        worst.push_back(
            {{"object", object.id.value}, {"path", path}, {"extents", object.extents}, {"blocks", object.blocks}});
    }
    if (options.columns > 0) text += '\n' + drawn(seen.map, options.columns, facts.block_bytes);
    with.out.answer(text);

    auto histogram = nlohmann::ordered_json::array();
    for (std::size_t i = 0; i < seen.histogram.size(); ++i)
        histogram.push_back({{"extents", class_name(i)}, {"objects", seen.histogram[i]}});
    with.out.document(with.command,
                      {{"volume", with.volume},
                       {"objects", seen.objects},
                       {"objects_with_data", seen.with_data},
                       {"extents_min", options.extents_min},
                       {"fragmented_objects", seen.fragmented},
                       {"object_fragmentation", ratio},
                       {"extents", seen.extents},
                       {"free_fragmentation", space.free_fragmentation},
                       {"free_runs", space.free_runs},
                       {"largest_free_run", space.largest_run},
                       {"recommendation", advice},
                       {"histogram", histogram},
                       {"worst", worst},
                       {"plan", as_json(plan)},
                       {"broken_part", seen.map.broken_part()},
                       {"map", {{"blocks_per_letter", seen.map.blocks_per_cell()}, {"letters", seen.map.letters()}}}});
    return exit_code::ok;
}

}  // namespace cli
