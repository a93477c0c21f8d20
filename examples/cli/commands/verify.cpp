/// ashlar verify: proves the volume: owners, leaks, overlaps, checksums, and the imported tree over it; with --repair
/// it mends what is certain.

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

void tell(const context& with, const std::vector<std::string>& findings, std::uint64_t problems) {
    for (const auto& finding : findings) with.out.answer(finding);
    if (problems > findings.size()) with.out.answer(fmt::format("and {} more", problems - findings.size()));
}

/// Opens the volume for a repair. One that can only be read is beyond it.
result<volume> open_to_repair(const context& with, bool dry_run) {
    auto of = volume::open(with.volume, dry_run ? access::read_only : access::read_write);
    if (of || dry_run || of.error().code != exit_code::corrupt) return of;
    if (!volume::open(with.volume, access::read_only)) return of;
    return failure{exit_code::corrupt, fmt::format("the volume opens for reading only: {}", of.error().what),
                   with.volume,
                   "save what is there with 'ashlar export --keep-going', format the volume again and import it"};
}

result<exit_code> repair(const context& with, bool dry_run) {
    BOOST_OUTCOME_TRY(auto of, open_to_repair(with, dry_run));
    const auto         clean = of.recovered().was_clean;
    const progress_bar clock{"", true};
    BOOST_OUTCOME_TRY(auto done, of.repair(dry_run));
    std::vector<std::string> tree_findings;
    const bool               unfinished = of.is_unfinished_copy();
    BOOST_OUTCOME_TRY(const auto files, check_tree(of, tree_findings));
    BOOST_OUTCOME_TRY(of.close());
    const double      seconds = clock.seconds();
    const char* const advice  = unfinished
                                    ? ": left; run the 'ashlar copy' that makes it once more to finish it, or delete it"
                                    : ": left; import the file again";

    done.left += tree_findings.size();
    for (const auto& finding : tree_findings) done.findings.push_back(finding + advice);
    const auto problems = done.mended + done.left;
    const bool whole    = dry_run ? problems == 0 : done.left == 0;
    tell(with, done.findings, problems);
    if (problems == 0)
        with.out.say(fmt::format("{} is whole: nothing to mend", with.volume));
    else
        with.out.answer(fmt::format("{}: {} found; {} {}, {} left{}", with.volume, counted(problems, "problem"),
                                    done.mended, dry_run ? "would be mended" : "mended", done.left,
                                    dry_run ? "; nothing was written" : ""));
    with.out.document(with.command, {{"volume", with.volume},
                                     {"whole", whole},
                                     {"clean", clean},
                                     {"problems", problems},
                                     {"findings", done.findings},
                                     {"files", files},
                                     {"objects", done.objects},
                                     {"blocks_checked", done.blocks_checked},
                                     {"seconds", seconds},
                                     {"dry_run", dry_run},
                                     {"mended", done.mended},
                                     {"left", done.left},
                                     {"blocks_given_back", done.given_back},
                                     {"blocks_marked", done.marked}});
    return whole ? exit_code::ok : exit_code::corrupt;
}

}  // namespace

result<exit_code> run_verify(const context& with, const verify_options& options) {
    if (options.repair) return repair(with, options.dry_run);
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
    tell(with, seen.findings, problems);
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
