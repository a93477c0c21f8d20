/// ashlar info: what the volume is, and how full.

#include "commands.hpp"

#include "../tree.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace cli {
namespace {

std::string id_text(const ashlar::volume_id& id) {
    std::string text;
    for (std::size_t i = 0; i < id.size(); ++i)
        text += fmt::format("{}{:02x}", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", static_cast<unsigned>(id[i]));
    return text;
}

std::string sized(std::uint64_t blocks, std::uint32_t block_bytes) {
    return fmt::format("{} ({} blocks)", human_bytes(blocks * block_bytes), blocks);
}

}  // namespace

result<exit_code> run_info(const context& with) {
    BOOST_OUTCOME_TRY(auto of, volume::open(with.volume, access::read_only));
    const auto facts    = of.facts();
    const auto recovery = of.recovered();
    BOOST_OUTCOME_TRY(const auto space, of.space());
    const auto tree = load_tree(of);
    if (!tree && tree.error().code == exit_code::corrupt) return tree.error();

    std::uint64_t files = 0, bytes = 0;
    if (tree) {
        for (const auto& entry : tree.value().entries) {
            files += entry.kind == entry_kind::file ? 1U : 0U;
            bytes += entry.size;
        }
    }
    const auto  used  = facts.blocks - space.free_blocks;
    const auto  state = recovery.was_clean ? "closed" : "not closed; the next command that writes recovers it";
    std::string text;
    const auto  line = [&](const char* name, const std::string& value) {
        text += fmt::format("{:<20} {}\n", name, value);
    };
    line("volume", with.volume);
    if (!facts.label.empty()) line("label", shown(facts.label));
    line("id", id_text(facts.id));
    line("state", state);
    line("size", fmt::format("{} in blocks of {} bytes", sized(facts.blocks, facts.block_bytes), facts.block_bytes));
    line("used", fmt::format("{}, {}", sized(used, facts.block_bytes),
                             percent(static_cast<double>(used) / static_cast<double>(facts.blocks))));
    line("free", sized(space.free_blocks, facts.block_bytes));
    line("largest free run",
         fmt::format("{} of {}", sized(space.largest_run, facts.block_bytes), counted(space.free_runs, "run")));
    line("free fragmentation", percent(space.free_fragmentation));
    line("objects", fmt::format("{} in {}", facts.objects, counted(facts.groups, "group")));
    line("imported", tree ? fmt::format("{}, {}", counted(files, "file"), human_bytes(bytes))
                          : std::string{"the root object belongs to another program"});
    line("journal", fmt::format("{}, epoch {}, sequence {}", sized(facts.journal_blocks, facts.block_bytes),
                                facts.epoch, facts.sequence));
    with.out.answer(text);
    with.out.document(with.command, {{"volume", with.volume},
                                     {"label", shown(facts.label)},
                                     {"id", id_text(facts.id)},
                                     {"clean", recovery.was_clean},
                                     {"block_bytes", facts.block_bytes},
                                     {"blocks", facts.blocks},
                                     {"free_blocks", space.free_blocks},
                                     {"free_runs", space.free_runs},
                                     {"largest_free_run", space.largest_run},
                                     {"free_fragmentation", space.free_fragmentation},
                                     {"objects", facts.objects},
                                     {"groups", facts.groups},
                                     {"files", files},
                                     {"file_bytes", bytes},
                                     {"journal_blocks", facts.journal_blocks},
                                     {"epoch", facts.epoch},
                                     {"sequence", facts.sequence}});
    return exit_code::ok;
}

}  // namespace cli
