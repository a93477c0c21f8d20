#include "obstacles.hpp"

#include "failure.hpp"
#include "region_names.hpp"
#include "steps.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace cli {
namespace {

std::string name_of(const ashlar::evacuation_obstacle& one) {
    switch (one.kind) {
        case ashlar::obstacle_kind::frames: return "the fixed blocks at the beginning";
        case ashlar::obstacle_kind::table: return "the store's own region " + text_of(one.region);
        case ashlar::obstacle_kind::region: return "region " + text_of(one.region);
        case ashlar::obstacle_kind::extents:
            return fmt::format("object {} at its block {}", one.object.value, one.logical.value);
        case ashlar::obstacle_kind::node: return fmt::format("a node of object {}", one.object.value);
        case ashlar::obstacle_kind::reserved: break;
    }
    return "blocks that an operation still holds";
}

std::string reason_of(const ashlar::evacuation_obstacle& one) {
    auto why = reasons_text(one.why);
    return one.failure.code == ashlar::errc::none ? why : store_failure(std::move(why), {}, one.failure).what;
}

}  // namespace

std::vector<obstacle_facts> facts_of(std::span<const ashlar::evacuation_obstacle> obstacles) {
    std::vector<obstacle_facts> facts;
    for (const auto& one : obstacles) facts.push_back({name_of(one), reason_of(one), one.blocks});
    return facts;
}

std::string list_of(const std::vector<obstacle_facts>& obstacles, std::uint64_t count) {
    std::string text;
    for (const auto& one : obstacles)
        text += fmt::format("  {}, blocks {} to {}: {}\n", one.what, one.blocks.first.value, one.blocks.end().value - 1,
                            one.why);
    if (count > obstacles.size()) text += fmt::format("  and {} more\n", count - obstacles.size());
    return text;
}

nlohmann::ordered_json document_of(const std::vector<obstacle_facts>& obstacles) {
    auto lines = nlohmann::ordered_json::array();
    for (const auto& one : obstacles)
        lines.push_back({{"what", one.what},
                         {"why", one.why},
                         {"first", one.blocks.first.value},
                         {"blocks", one.blocks.count.value}});
    return lines;
}

}  // namespace cli
