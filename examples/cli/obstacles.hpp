#pragma once
/// What keeps blocks from being emptied, by name.

#include <ashlar/maintenance/evacuation_report.hpp>

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace cli {

struct obstacle_facts {
    std::string    what{};  ///< "region LOGS:0", "object 16777216 at its block 12".
    std::string    why{};   ///< "pinned"; of an error also which, and where.
    ashlar::extent blocks{};
};

[[nodiscard]] std::vector<obstacle_facts> facts_of(std::span<const ashlar::evacuation_obstacle> obstacles);

/// A line for each; `count` are those that there are, of which not all need a name.
[[nodiscard]] std::string            list_of(const std::vector<obstacle_facts>& obstacles, std::uint64_t count);
[[nodiscard]] nlohmann::ordered_json document_of(const std::vector<obstacle_facts>& obstacles);

}  // namespace cli
