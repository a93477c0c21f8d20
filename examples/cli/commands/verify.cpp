/// ashlar verify: proves the volume: owners, leaks, overlaps, checksums, and the imported tree over it.

#include "commands.hpp"

#include "../interrupt.hpp"
#include "../progress_bar.hpp"
#include "../tree.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace cli {
namespace {

/// Every file of the catalogue must have its object, and that its size.
result<std::uint64_t> check_tree(volume& on, std::vector<std::string>& findings) {
    const auto tree = load_tree(on);
    if (!tree && tree.error().code == exit_code::failed) return 0;  // the root object belongs to another program
    if (!tree) {
        findings.push_back(tree.error().what);
        return 0;
    }
    std::uint64_t files = 0;
    for (const auto& entry : tree.value().entries) {
        if (entry.kind != entry_kind::file) continue;
        ++files;
        if (!entry.object) continue;
        const auto size = on.size(entry.object);
        if (!size && size.error().code != exit_code::not_found) return size.error();
        if (!size)
            findings.push_back(fmt::format("'{}' has lost its object {}", shown(entry.path), entry.object.value));
        else if (size.value() != entry.size)
            findings.push_back(
                fmt::format("'{}' has {} bytes instead of {}", shown(entry.path), size.value(), entry.size));
    }
    return files;
}

}  // namespace

result<exit_code> run_verify(const context& with) {
    BOOST_OUTCOME_TRY(auto of, volume::open(with.volume, access::read_only));
    const auto         recovery = of.recovered();
    const auto         facts    = of.facts();
    const progress_bar clock{"", true};
    end_at_interrupt();  // nothing is written, so there is nothing to bring to an end
    BOOST_OUTCOME_TRY(auto seen, of.verify());
    std::vector<std::string> tree_findings;
    BOOST_OUTCOME_TRY(const auto files, check_tree(of, tree_findings));
    const double seconds = clock.seconds();

    const auto problems = seen.problems + tree_findings.size();
    seen.findings.insert(seen.findings.end(), tree_findings.begin(), tree_findings.end());
    for (const auto& finding : seen.findings) with.out.answer(finding);
    if (problems > seen.findings.size()) with.out.answer(fmt::format("and {} more", problems - seen.findings.size()));
    const auto what = fmt::format("{}, {}, {} checked in {}", counted(files, "file"), counted(seen.objects, "object"),
                                  human_bytes(seen.blocks_checked * facts.block_bytes), human_seconds(seconds));
    if (problems == 0)
        with.out.say(fmt::format("{} is whole: {}", with.volume, what));
    else
        with.out.answer(fmt::format("{} is damaged: {} found; {}", with.volume, counted(problems, "problem"), what));
    with.out.document(with.command, {{"volume", with.volume},
                                     {"whole", problems == 0},
                                     {"clean", recovery.was_clean},
                                     {"problems", problems},
                                     {"findings", seen.findings},
                                     {"files", files},
                                     {"objects", seen.objects},
                                     {"blocks_checked", seen.blocks_checked},
                                     {"seconds", seconds}});
    return problems == 0 ? exit_code::ok : exit_code::corrupt;
}

}  // namespace cli
