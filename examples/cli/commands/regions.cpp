/// ashlar regions: what regions there are, where they lie, and what is free between them.

#include "commands.hpp"

#include "../picture.hpp"
#include "../region_map.hpp"
#include "../region_names.hpp"
#include "../volume_regions.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace cli {
namespace {

constexpr std::size_t map_rows = 8;

std::string kind_of(const region_facts& region) {
    if (region.slides) return region.pinned ? "pinned, in parts" : "in parts: 'ashlar compact' goes on";
    return region.own ? "the store's own" : region.pinned ? "pinned" : "";
}

std::string table(const layout_facts& seen, std::uint32_t block_bytes) {
    auto text =
        fmt::format("{:<10} {:>12} {:>12} {:>10} {:>12}\n", "region", "first block", "blocks", "size", "gap after");
    for (const auto& region : seen.regions) {
        auto line = fmt::format("{:<10} {:>12} {:>12} {:>10} {:>12}  {}", text_of(region.name),
                                region.place.first.value, region.place.count.value,
                                human_bytes(region.place.count.value * block_bytes), region.gap_after, kind_of(region));
        line.resize(line.find_last_not_of(' ') + 1);
        text += line + '\n';
    }
    return text;
}

std::string totals(const layout_facts& seen, std::uint32_t block_bytes) {
    const auto sized = [&](std::uint64_t blocks) { return human_bytes(blocks * block_bytes); };
    auto text = fmt::format("\nregions               {}, {} of them the store's own\n", seen.regions.size(), seen.own);
    text += fmt::format("free space            {} in {}: largest {}, smallest {}, average {}\n",
                        sized(seen.free_blocks), counted(seen.free_runs.size(), "run"), sized(seen.largest_run),
                        sized(seen.smallest_run), sized(seen.average_run));
    text += fmt::format("wasted                {} in runs under 16 blocks\n", sized(seen.wasted_blocks));
    if (seen.slid > 0)
        text += fmt::format("indirection           {} of a region that slides at their new place\n",
                            counted(seen.slid, "block"));
    text += fmt::format("free fragmentation    {}\n", percent(seen.free_fragmentation));
    text += fmt::format("a perfect compaction  would make the largest run longer by {}\n", sized(seen.perfect_gain));
    return text;
}

region_map mapped(const layout_facts& seen, std::uint64_t blocks, std::size_t cells) {
    region_map map{blocks, cells};
    for (const auto run : seen.free_runs) map.add(run, block_use::free);
    for (const auto& region : seen.regions)
        map.add(region.place, region.own ? block_use::store : region.pinned ? block_use::pinned : block_use::region);
    return map;
}

}  // namespace

result<exit_code> run_regions(const context& with, const regions_options& options) {
    BOOST_OUTCOME_TRY(auto on, volume::open(with.volume, access::read_only));
    BOOST_OUTCOME_TRY(const auto seen, volume_regions{on}.layout());
    const auto facts = on.facts();
    const auto map   = mapped(seen, facts.blocks, map_rows * std::max<std::size_t>(options.columns, 1));

    auto text = table(seen, facts.block_bytes) + totals(seen, facts.block_bytes);
    if (options.columns > 0)
        text += '\n' + framed(map.letters(), options.columns,
                              fmt::format("one letter is {}: . all free; else what there is most of: - objects  s the "
                                          "store's own  # regions  P pinned regions",
                                          human_bytes(map.blocks_per_cell() * facts.block_bytes)));
    with.out.answer(text);

    auto lines = nlohmann::ordered_json::array();
    for (const auto& region : seen.regions) {
        lines.push_back({{"type", type_text(region.name.type)},
                         {"number", region.name.number},
                         {"first", region.place.first.value},
                         {"blocks", region.place.count.value},
                         {"gap_after", region.gap_after},
                         {"pinned", region.pinned},
                         {"own", region.own},
                         {"slides", region.slides}});
    }
    with.out.document(with.command,
                      {{"volume", with.volume},
                       {"block_bytes", facts.block_bytes},
                       {"blocks", facts.blocks},
                       {"regions", lines},
                       {"own_regions", seen.own},
                       {"indirection_entries", seen.entries},
                       {"slid_blocks", seen.slid},
                       {"free_blocks", seen.free_blocks},
                       {"free_runs", seen.free_runs.size()},
                       {"largest_free_run", seen.largest_run},
                       {"smallest_free_run", seen.smallest_run},
                       {"average_free_run", seen.average_run},
                       {"wasted_blocks", seen.wasted_blocks},
                       {"free_fragmentation", seen.free_fragmentation},
                       {"perfect_compaction_gain", seen.perfect_gain},
                       {"map", {{"blocks_per_letter", map.blocks_per_cell()}, {"letters", map.letters()}}}});
    return exit_code::ok;
}

}  // namespace cli
