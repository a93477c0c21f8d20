/// The program `ashlar`: volumes made, filled, looked at, defragmented, compacted, resized and copied from the shell.

#include "commands/commands.hpp"
#include "interrupt.hpp"
#include "region_names.hpp"
#include "sizes.hpp"

#include <ashlar/config.hpp>
#include <ashlar/format/object_record.hpp>
#include <ashlar/vocabulary/address.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <cstdlib>
#include <functional>
#include <map>
#include <new>

namespace {

constexpr const char* footer =
    "Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 corrupt or no ashlar volume, 5 busy, 6 no space, 130 "
    "interrupted.\n"
    "With --json the answer is one document on stdout; progress, remarks and errors go to stderr. NO_COLOR is "
    "respected.";

using command_function = std::function<cli::result<cli::exit_code>(const cli::context&)>;

/// What the command line says: set while it is parsed, run afterwards.
struct command_line {
    cli::context     with{};
    command_function run{};

    cli::format_options       format{};
    cli::import_options       import{};
    cli::export_options       export_to{};
    cli::list_options         list{};
    cli::verify_options       verify{};
    cli::dump_options         dump{};
    cli::age_options          age{};
    cli::analyze_options      analyze{};
    cli::defrag_start_options defrag{};
    cli::regions_options      regions{};
    cli::region_add_options   region_add{};
    cli::region_options       region_remove{};
    cli::region_pin_options   region_pin{};
    cli::region_bytes_options region_bytes{};
    cli::compact_options      compact{};
    cli::resize_options       resize{};
    cli::evacuate_options     evacuate{};
    cli::copy_options         copy{};
    cli::migrate_options      migrate{};
};

/// A size with a unit; stands where CLI11 would take a plain number.
CLI::Option* add_size(CLI::App* command, const std::string& name, std::uint64_t& into, const std::string& help) {
    return command
        ->add_option_function<std::string>(
            name,
            [&into, name](const std::string& text) {
                const auto size = cli::parse_size(text);
                if (!size || *size == 0)
                    throw CLI::ValidationError(
                        name, fmt::format("'{}' is no size; write a number, such as 512M or 2G", text));
                into = *size;
            },
            help)
        ->type_name("SIZE");
}

void add_rate(CLI::App* command, std::uint64_t& into, const std::string& otherwise = "50M") {
    add_size(command, "--rate", into, "bytes a second at most; the default is " + otherwise);
}

CLI::Option* add_block_size(CLI::App* command, std::uint32_t& into, const std::string& help) {
    return command
        ->add_option_function<std::string>(
            "--block",
            [&into](const std::string& text) {
                const auto size = cli::parse_size(text);
                if (!size || !ashlar::is_block_size(*size)) {
                    throw CLI::ValidationError(
                        "--block", fmt::format("'{}' is no block size; use a power of two from 512 to 64K", text));
                }
                into = static_cast<std::uint32_t>(*size);
            },
            help)
        ->type_name("SIZE");
}

/// An empty word comes from a variable that a script did not set.
const CLI::Validator not_empty{
    [](const std::string& text) { return text.empty() ? std::string{"the path is empty; name one"} : std::string{}; },
    {},
    "path that is not empty"};

CLI::App* add_command(CLI::App& app, command_line& line, const std::string& name, const std::string& help,
                      command_function run) {
    auto* const command = app.add_subcommand(name, help);
    command->add_option("volume", line.with.volume, "the volume: a file or a block device")
        ->required()
        ->check(not_empty)
        ->type_name("VOLUME");
    command->add_flag("--json", line.with.out.json, "answer with one JSON document on stdout");
    command->add_flag("-q,--quiet", line.with.out.quiet, "no progress and no remarks");
    command->callback([&line, name, run = std::move(run)] {
        line.with.command = name;
        line.run          = run;
    });
    return command;
}

void add_extents_min(CLI::App* command, std::uint32_t& into) {
    command->add_option("--extents-min", into, "extents from which an object counts as fragmented")
        ->check(CLI::Range(2U, 1'000'000U))
        ->capture_default_str();
}

void add_tree_commands(CLI::App& app, command_line& line) {
    auto* command = add_command(app, line, "format", "make a volume",
                                [&](const cli::context& with) { return run_format(with, line.format); });
    add_size(command, "--size", line.format.bytes, "bytes of the volume; the default is all of what exists");
    add_block_size(command, line.format.block_bytes, "bytes of a block: a power of two from 512 to 64K (default 4096)");
    command->add_option("--label", line.format.label, "a name for the volume, 63 bytes at most");
    command->add_flag("--force", line.format.force,
                      "destroy a foreign file system, a volume, or what is mounted; a volume that another process has "
                      "open stays refused");
    command->add_flag("--sparse", line.format.sparse,
                      "do not reserve the space of a new file; its disk may then be full before the volume is");

    command = add_command(app, line, "import", "copy a folder into the volume; files of the same name are replaced",
                          [&](const cli::context& with) { return run_import(with, line.import); });
    command->add_option("folder", line.import.folder, "the folder to copy")
        ->required()
        ->check(not_empty)
        ->type_name("DIR");

    command = add_command(app, line, "export", "write the imported tree into a folder",
                          [&](const cli::context& with) { return run_export(with, line.export_to); });
    command->add_option("folder", line.export_to.folder, "the folder to write to; made where it does not exist")
        ->required()
        ->check(not_empty)
        ->type_name("DIR");
    command->add_flag("--force", line.export_to.force, "replace files that exist");
    command->add_flag("--keep-going", line.export_to.keep_going, "leave damaged files out and go on");

    command = add_command(app, line, "ls", "list the imported tree",
                          [&](const cli::context& with) { return run_list(with, line.list); });
    command->add_option("path", line.list.path, "only this name and what lies below it")->type_name("PATH");
}

void add_volume_commands(CLI::App& app, command_line& line) {
    add_command(app, line, "info", "say what the volume is and how full",
                [](const cli::context& with) { return run_info(with); });
    auto* command =
        add_command(app, line, "verify", "prove the volume: owners, leaks, overlaps, checksums, and the tree",
                    [&](const cli::context& with) { return run_verify(with, line.verify); });
    auto* repair = command->add_flag("--repair", line.verify.repair,
                                     "mend what is certain: bad copies, leaked blocks, wrong counts; data is never "
                                     "touched, and what is left is named with what to do");
    command->add_flag("--dry-run", line.verify.dry_run, "say what a repair would do, and write nothing")->needs(repair);

    command = add_command(app, line, "dump", "show the bytes of one block",
                          [&](const cli::context& with) { return run_dump(with, line.dump); });
    command->add_option("block", line.dump.block, "number of the block")
        ->required()
        ->type_name("BLOCK")
        ->check(CLI::NonNegativeNumber);
    add_block_size(command, line.dump.block_bytes, "bytes of a block, where no superblock is whole");

    command = add_command(app, line, "age", "fragment the volume; what was imported stays what it was",
                          [&](const cli::context& with) { return run_age(with, line.age); });
    command->add_option("--seed", line.age.seed, "the same seed gives the same ageing")
        ->required()
        ->check(CLI::NonNegativeNumber);
    command->add_option("--until", line.age.until, "the part of objects to fragment, 0.01 to 1")
        ->required()
        ->type_name("RATIO")
        ->check([](const std::string& text) {
            const double ratio = std::strtod(text.c_str(), nullptr);  // CLI::Range lets "nan" pass
            return ratio >= 0.01 && ratio <= 1.0 ? std::string{} : fmt::format("'{}' is not from 0.01 to 1", text);
        });
    add_extents_min(command, line.age.extents_min);
}

void add_defrag_commands(CLI::App& app, command_line& line) {
    auto* command =
        add_command(app, line, "defrag-analyze", "say how fragmented the volume is, what to do about it, and draw it",
                    [&](const cli::context& with) { return run_defrag_analyze(with, line.analyze); });
    add_extents_min(command, line.analyze.extents_min);
    command->add_option("--columns", line.analyze.columns, "letters in a line of the map; 0 leaves it out")
        ->check(CLI::Range(0U, 500U))
        ->capture_default_str();

    command = add_command(app, line, "defrag-start", "defragment in the foreground until nothing is left to gain",
                          [&](const cli::context& with) { return run_defrag_start(with, line.defrag); });
    static const std::map<std::string, cli::intensity> names{
        {"low", cli::intensity::low}, {"medium", cli::intensity::medium}, {"high", cli::intensity::high}};
    command
        ->add_option_function<std::string>(
            "--intensity", [&line](const std::string& name) { line.defrag.settings.strength = names.at(name); },
            "low, medium or high (default medium)")
        ->type_name("NAME")
        ->check(CLI::IsMember({"low", "medium", "high"}));
    add_rate(command, line.defrag.settings.bytes_per_second);
    command->add_flag("--dry-run", line.defrag.dry_run, "say what it would cost and gain, and move nothing");
    add_extents_min(command, line.defrag.settings.extents_min);
}

void add_region_type(CLI::App* command, std::uint32_t& into) {
    command
        ->add_option_function<std::string>(
            "type",
            [&into](const std::string& text) {
                const auto type = cli::parse_region_type(text);
                if (text == "COPY")
                    throw CLI::ValidationError(
                        "type", "'COPY' marks a volume as an unfinished copy; use four other letters, such as LOGS");
                if (!type)
                    throw CLI::ValidationError("type", fmt::format("'{}' is no type of regions; use four letters that "
                                                                   "the store does not use itself, such as LOGS",
                                                                   cli::shown(text)));
                into = *type;
            },
            "four letters, such as LOGS")
        ->required()
        ->type_name("TYPE");
}

void add_region_size(CLI::App* command, cli::region_add_options& into) {
    command
        ->add_option_function<std::string>(
            "size",
            [&into](const std::string& text) {
                if (text == "small") into.share = ashlar::region_size::small;
                if (text == "large") into.share = ashlar::region_size::large;
                if (into.share) return;
                const auto size = cli::parse_size(text);
                if (!size || *size == 0)
                    throw CLI::ValidationError(
                        "size", fmt::format("'{}' is no size; write a number, such as 512M or 2G, or small or large",
                                            cli::shown(text)));
                into.bytes = *size;
            },
            "bytes of the region: whole blocks; or small, a 1024th of the volume, or large, a 256th")
        ->required()
        ->type_name("SIZE");
}

void add_region_name(CLI::App* command, ashlar::region_id& into) {
    add_region_type(command, into.type);
    command->add_option("number", into.number, "number of the region within its type")
        ->required()
        ->type_name("NUMBER")
        ->check(CLI::NonNegativeNumber);
}

void add_region_commands(CLI::App& app, command_line& line) {
    auto* command = add_command(app, line, "regions", "list regions, say how they lie, and draw it",
                                [&](const cli::context& with) { return run_regions(with, line.regions); });
    command->add_option("--columns", line.regions.columns, "letters in a line of the map; 0 leaves it out")
        ->check(CLI::Range(0U, 500U))
        ->capture_default_str();

    command = add_command(app, line, "region-add", "add a region of free blocks, in one run",
                          [&](const cli::context& with) { return run_region_add(with, line.region_add); });
    add_region_type(command, line.region_add.type);
    add_region_size(command, line.region_add);
    command->add_flag("--dry-run", line.region_add.dry_run, "say whether it fits and where, and change nothing");

    command = add_command(app, line, "region-remove", "remove a region and what it holds",
                          [&](const cli::context& with) { return run_region_remove(with, line.region_remove); });
    add_region_name(command, line.region_remove.name);

    command = add_command(app, line, "region-pin", "keep a region where it is",
                          [&](const cli::context& with) { return run_region_pin(with, line.region_pin); });
    add_region_name(command, line.region_pin.name);
    command->add_flag("--off", line.region_pin.off, "let it move and go again");

    command = add_command(app, line, "region-read", "write what a region holds to a file or a pipe",
                          [&](const cli::context& with) { return run_region_read(with, line.region_bytes); });
    add_region_name(command, line.region_bytes.name);
    command->add_option("file", line.region_bytes.file, "the file to make; without it, or with -, standard output")
        ->type_name("FILE");
    command->add_flag("--force", line.region_bytes.force, "replace a file that exists");

    command = add_command(app, line, "region-write", "fill a region from a file or a pipe, from its first block on",
                          [&](const cli::context& with) { return run_region_write(with, line.region_bytes); });
    add_region_name(command, line.region_bytes.name);
    command->add_option("file", line.region_bytes.file, "the file to read; without it, or with -, standard input")
        ->type_name("FILE");
}

void add_compact_command(CLI::App& app, command_line& line) {
    auto* const command =
        add_command(app, line, "compact", "move regions together in the foreground, so that free runs join",
                    [&](const cli::context& with) { return run_compact(with, line.compact); });
    command
        ->add_option_function<std::string>(
            "--region",
            [&line](const std::string& text) {
                line.compact.only = cli::parse_region(text);
                if (!line.compact.only)
                    throw CLI::ValidationError(
                        "--region", fmt::format("'{}' names no region; write it as LOGS:0", cli::shown(text)));
            },
            "move this region alone, whatever it gains")
        ->type_name("TYPE:NUMBER");
    add_rate(command, line.compact.bytes_per_second);
    command->add_flag("--dry-run", line.compact.dry_run,
                      "say what would move and what that would gain, and move nothing");
}

std::string is_record_width(const std::string& text) {
    return std::strtoul(text.c_str(), nullptr, 10) % 8 == 0 ? std::string{}
                                                            : fmt::format("'{}' is no multiple of 8", text);
}

void add_migrate_command(CLI::App& app, command_line& line) {
    auto* const command =
        add_command(app, line, "migrate-records",
                    "give the object records another width; what was stopped goes on with the same "
                    "command",
                    [&](const cli::context& with) -> cli::result<cli::exit_code> {
                        if (line.migrate.record_bytes == 0 && !line.migrate.cancel)
                            return cli::failure{cli::exit_code::usage, "nobody said how wide records shall be",
                                                with.volume, "use --width BYTES, or --cancel"};
                        return run_migrate_records(with, line.migrate);
                    });
    auto* const width = command->add_option("--width", line.migrate.record_bytes, "bytes of a record")
                            ->type_name("BYTES")
                            ->check(CLI::Range(112U, ashlar::record_bytes_max))
                            ->check(is_record_width);
    auto* const cancel = command->add_flag("--cancel", line.migrate.cancel, "undo a migration that was stopped");
    cancel->excludes(width);
    add_rate(command, line.migrate.bytes_per_second);
    command->add_flag("--dry-run", line.migrate.dry_run, "say what it takes and whether it can be, and write nothing")
        ->excludes(cancel);
}

void add_resize_commands(CLI::App& app, command_line& line) {
    auto* command = add_command(app, line, "shrink", "make the volume smaller: what lies behind its new end moves",
                                [&](const cli::context& with) { return run_shrink(with, line.resize); });
    add_size(command, "--to", line.resize.bytes, "bytes of the volume afterwards")->required();
    add_rate(command, line.resize.bytes_per_second);
    command->add_flag("--dry-run", line.resize.dry_run,
                      "say what would move and the smallest size, and change nothing");

    command = add_command(app, line, "grow", "make the volume larger",
                          [&](const cli::context& with) { return run_grow(with, line.resize); });
    add_size(
        command, "--to", line.resize.bytes,
        "bytes of the volume afterwards; a file becomes longer for it, with its space reserved unless it is sparse "
        "already. The default is all of what exists");
    command->add_flag("--dry-run", line.resize.dry_run, "say what it would be, and change nothing");
}

void add_evacuate_command(CLI::App& app, command_line& line) {
    auto* const command =
        add_command(app, line, "evacuate", "empty a range of blocks in the foreground: what lies in it moves elsewhere",
                    [&](const cli::context& with) { return run_evacuate(with, line.evacuate); });
    command->add_option("--from", line.evacuate.from, "the first block of the range")->type_name("BLOCK")->required();
    command->add_option("--to", line.evacuate.to, "the first block behind the range; the default is the volume's end")
        ->type_name("BLOCK");
    add_rate(command, line.evacuate.bytes_per_second);
    command->add_flag("--dry-run", line.evacuate.dry_run,
                      "say what would move and what is in the way, and move nothing");
}

void add_copy_command(CLI::App& app, command_line& line) {
    auto* const command =
        add_command(app, line, "copy", "copy the volume to another one; what was stopped goes on with the same command",
                    [&](const cli::context& with) { return run_copy(with, line.copy); });
    command->get_option("volume")->description("the volume to copy")->type_name("SOURCE");
    command
        ->add_option("target", line.copy.target,
                     "a place where nothing stands, an empty volume, or a copy that was stopped")
        ->required()
        ->check(not_empty)
        ->type_name("TARGET");
    add_size(command, "--size", line.copy.bytes,
             "bytes of a new target; the default is all of what exists, or the "
             "size of the source");
    command
        ->add_option("--record-bytes", line.copy.record_bytes,
                     "width of the target's object records; the default is the source's")
        ->type_name("BYTES")
        ->check(CLI::Range(112U, ashlar::record_bytes_max))
        ->check(is_record_width);
    add_rate(command, line.copy.bytes_per_second, "no limit");
    command->add_flag("--dry-run", line.copy.dry_run, "say what would be copied, and write nothing");
}

/// CLI11 tells wrong command lines by codes of its own; here each is 2. Help and version are answers.
int end_of_parse(const CLI::App& app, const CLI::ParseError& error, const command_line& line, int count, char** words) {
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) return app.exit(error);
    const auto command = count > 1 && words[1][0] != '-' ? std::string{words[1]} : std::string{};
    auto       out     = line.with.out;
    for (int i = 1; i < count; ++i) out.json = out.json || std::string_view{words[i]} == "--json";
    std::string what = error.what();
    for (auto& letter : what) letter = letter == '\n' ? ' ' : letter;
    out.fail(command, {cli::exit_code::usage, what, "",
                       fmt::format("see 'ashlar {}--help'", command.empty() ? "" : command + ' ')});
    return static_cast<int>(cli::exit_code::usage);
}

int run(const command_line& line) {
    const auto answer = line.run(line.with);
    if (answer) return static_cast<int>(answer.value());
    line.with.out.fail(line.with.command, answer.error());
    return static_cast<int>(answer.error().code);
}

}  // namespace

int main(int count, char** words) {
    cli::watch_for_interrupt();
    command_line line;
    CLI::App     app{"Crash-safe, self-compacting volumes."};
    app.name("ashlar");
    app.footer(footer);
    app.require_subcommand(1);
    app.set_version_flag("--version", fmt::format("ashlar {}.{}.{}", ASHLAR_VERSION / 10000, ASHLAR_VERSION / 100 % 100,
                                                  ASHLAR_VERSION % 100));
    add_tree_commands(app, line);
    add_volume_commands(app, line);
    add_defrag_commands(app, line);
    add_region_commands(app, line);
    add_compact_command(app, line);
    add_resize_commands(app, line);
    add_evacuate_command(app, line);
    add_copy_command(app, line);
    add_migrate_command(app, line);
    try {
        app.parse(count, words);
        return run(line);
    } catch (const CLI::ParseError& error) {
        return end_of_parse(app, error, line, count, words);
    } catch (const std::bad_alloc&) {
        line.with.out.fail(line.with.command, {cli::exit_code::failed, "the memory of the machine is used up",
                                               line.with.volume, "end other programs and run the command again"});
        return static_cast<int>(cli::exit_code::failed);
    }
}
