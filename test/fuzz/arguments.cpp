/// Any command line: what reaches a command is what its help allows, and what does not ends with the code for usage.

#include "captured_output.hpp"
#include "input.hpp"

#define main program_main  // The program's own, called with the words of the input.
#include "../../examples/cli/main.cpp"
#undef main

#include <nlohmann/json.hpp>

namespace ashlar::fuzz {
namespace {

unsigned commands_run = 0;

cli::result<cli::exit_code> reached(const cli::context& with) {
    expect(!with.command.empty() && !with.volume.empty(), "a command has its name and a volume");
    ++commands_run;
    return cli::exit_code::ok;
}

void check_extents_min(std::uint32_t extents_min) {
    expect(extents_min >= 2 && extents_min <= 1'000'000, "--extents-min has the range of its help");
}

}  // namespace
}  // namespace ashlar::fuzz

namespace cli {

// The commands themselves would touch files. These take their places, and look at what they are given.

void watch_for_interrupt() {}  // signals stay the fuzzer's

result<exit_code> run_format(const context& with, const format_options& options) {
    ashlar::fuzz::expect(ashlar::is_block_size(options.block_bytes), "--block is a block size");
    return ashlar::fuzz::reached(with);
}
result<exit_code> run_import(const context& with, const import_options& options) {
    ashlar::fuzz::expect(!options.folder.empty(), "import has a folder");
    return ashlar::fuzz::reached(with);
}
result<exit_code> run_export(const context& with, const export_options& options) {
    ashlar::fuzz::expect(!options.folder.empty(), "export has a folder");
    return ashlar::fuzz::reached(with);
}
result<exit_code> run_list(const context& with, const list_options&) { return ashlar::fuzz::reached(with); }
result<exit_code> run_info(const context& with) { return ashlar::fuzz::reached(with); }
result<exit_code> run_verify(const context& with, const verify_options& options) {
    ashlar::fuzz::expect(options.repair || !options.dry_run, "--dry-run needs --repair");
    return ashlar::fuzz::reached(with);
}
result<exit_code> run_dump(const context& with, const dump_options& options) {
    ashlar::fuzz::expect(options.block_bytes == 0 || ashlar::is_block_size(options.block_bytes), "--block of dump");
    return ashlar::fuzz::reached(with);
}
result<exit_code> run_age(const context& with, const age_options& options) {
    ashlar::fuzz::expect(options.until >= 0.01 && options.until <= 1.0, "--until is a ratio");
    ashlar::fuzz::check_extents_min(options.extents_min);
    return ashlar::fuzz::reached(with);
}
result<exit_code> run_defrag_analyze(const context& with, const analyze_options& options) {
    ashlar::fuzz::check_extents_min(options.extents_min);
    ashlar::fuzz::expect(options.columns <= 500, "--columns has the range of its help");
    return ashlar::fuzz::reached(with);
}
result<exit_code> run_defrag_start(const context& with, const defrag_start_options& options) {
    ashlar::fuzz::check_extents_min(options.settings.extents_min);
    return ashlar::fuzz::reached(with);
}
result<exit_code> run_regions(const context& with, const regions_options& options) {
    ashlar::fuzz::expect(options.columns <= 500, "--columns has the range of its help");
    return ashlar::fuzz::reached(with);
}
result<exit_code> run_region_add(const context& with, const region_add_options& options) {
    ashlar::fuzz::expect(ashlar::is_user_region(options.type) && (options.share || options.bytes > 0),
                         "a region has a type and a size");
    return ashlar::fuzz::reached(with);
}
result<exit_code> run_region_remove(const context& with, const region_options& options) {
    ashlar::fuzz::expect(ashlar::is_user_region(options.name.type), "what is removed is a user's");
    return ashlar::fuzz::reached(with);
}
result<exit_code> run_region_pin(const context& with, const region_pin_options& options) {
    ashlar::fuzz::expect(ashlar::is_user_region(options.name.type), "what is pinned is a user's");
    return ashlar::fuzz::reached(with);
}
result<exit_code> run_region_read(const context& with, const region_bytes_options& options) {
    ashlar::fuzz::expect(ashlar::is_user_region(options.name.type), "what is read is a user's");
    return ashlar::fuzz::reached(with);
}
result<exit_code> run_region_write(const context& with, const region_bytes_options& options) {
    ashlar::fuzz::expect(ashlar::is_user_region(options.name.type), "what is written is a user's");
    return ashlar::fuzz::reached(with);
}
result<exit_code> run_compact(const context& with, const compact_options& options) {
    ashlar::fuzz::expect(!options.only || ashlar::is_user_region(options.only->type), "--region names a user's");
    return ashlar::fuzz::reached(with);
}
result<exit_code> run_migrate_records(const context& with, const migrate_options& options) {
    const bool is_width = ashlar::is_record_width(options.record_bytes, 1);
    ashlar::fuzz::expect(options.cancel ? options.record_bytes == 0 && !options.dry_run : is_width,
                         "records get a width that they may have, or a migration is undone");
    return ashlar::fuzz::reached(with);
}
result<exit_code> run_shrink(const context& with, const resize_options& options) {
    ashlar::fuzz::expect(options.bytes > 0, "shrink has a size");
    return ashlar::fuzz::reached(with);
}
result<exit_code> run_grow(const context& with, const resize_options&) { return ashlar::fuzz::reached(with); }
result<exit_code> run_evacuate(const context& with, const evacuate_options&) { return ashlar::fuzz::reached(with); }
result<exit_code> run_copy(const context& with, const copy_options& options) {
    ashlar::fuzz::expect(!options.target.empty(), "copy has a target");
    ashlar::fuzz::expect(options.record_bytes == 0 || ashlar::is_record_width(options.record_bytes, 1),
                         "--record-bytes is a width that records may have");
    return ashlar::fuzz::reached(with);
}

}  // namespace cli

namespace ashlar::fuzz {
namespace {

constexpr std::size_t words_max = 24;
constexpr std::size_t bytes_max = 4096;

/// Words, each ended by a line feed; C strings, as a system gives them.
std::vector<std::string> words_of(bytes_in input) {
    std::vector<std::string> words{"ashlar"};
    std::string              word;
    for (const auto byte : input.first(std::min(input.size(), bytes_max))) {
        const char letter = static_cast<char>(byte);
        if (letter == '\n' && words.size() < words_max) words.push_back(std::exchange(word, {}));
        if (letter != '\n' && letter != '\0') word += letter;
    }
    if (!word.empty()) words.push_back(word);
    return words;
}

void run(bytes_in input) {
    auto               words = words_of(input);
    std::vector<char*> pointers;
    for (auto& word : words) pointers.push_back(word.data());
    pointers.push_back(nullptr);

    commands_run     = 0;
    int         code = 0;
    std::string out, error, help;
    {
        const captured_output kept;
        code  = program_main(static_cast<int>(words.size()), pointers.data());
        out   = kept.out();
        error = kept.error();
        help  = kept.streams();
    }
    expect(code == 0 || code == static_cast<int>(cli::exit_code::usage), "a command line is taken, or its use is said");
    expect(commands_run <= 1 && (code == 0 || commands_run == 0), "one command runs, or none");
    if (code == 0) {
        expect(commands_run == 1 || !help.empty(), "a command line without a command asks for help");
        return;
    }
    expect(!error.empty() && error.find('\n') == error.size() - 1, "an error is one line");
    if (out.empty()) return;
    const auto document = nlohmann::json::parse(out, nullptr, false);
    expect(!document.is_discarded() && document.value("exit_code", 0) == code, "an error is one document");
}

std::vector<seed_input> seeds() {
    std::vector<seed_input> made;
    const auto              add = [&](const char* name, std::string_view text) {
        made.push_back({name, input_writer{}.bytes(std::as_bytes(std::span{text})).made()});
    };
    add("nothing", "\n");
    add("help", "--help\n");
    add("version", "--version\n");
    add("help_of_age", "age\n--help\n");
    add("format", "format\nv.ash\n--size\n64M\n--block\n4K\n--label\nname\n--force\n--sparse\n");
    add("import", "import\nv.ash\n/usr/include\n--json\n");
    add("export", "export\nv.ash\nfolder\n--force\n--keep-going\n-q\n");
    add("ls", "ls\nv.ash\nfolder/x\n");
    add("info", "info\nv.ash\n--json\n");
    add("verify", "verify\nv.ash\n");
    add("rehearsed_repair", "verify\nv.ash\n--repair\n--dry-run\n");
    add("dump", "dump\nv.ash\n12\n--block\n512\n");
    add("age", "age\nv.ash\n--seed\n1\n--until\n0.5\n--extents-min\n3\n");
    add("analyze", "defrag-analyze\nv.ash\n--columns\n0\n");
    add("start", "defrag-start\nv.ash\n--intensity\nhigh\n--rate\n10MiB\n--dry-run\n");
    add("regions", "regions\nv.ash\n--columns\n40\n--json\n");
    add("region_add", "region-add\nv.ash\nLOGS\n16MiB\n--dry-run\n");
    add("region_remove", "region-remove\nv.ash\nLOGS\n3\n");
    add("region_pin", "region-pin\nv.ash\nLOGS\n0\n--off\n");
    add("region_read", "region-read\nv.ash\nLOGS\n0\nfile\n--force\n");
    add("region_write", "region-write\nv.ash\nLOGS\n0\n-\n");
    add("compact", "compact\nv.ash\n--region\nLOGS:1\n--rate\n1M\n--dry-run\n");
    add("copy", "copy\nv.ash\nw.ash\n--size\n1G\n--record-bytes\n160\n--rate\n10M\n--dry-run\n");
    add("size_too_large", "format\nv.ash\n--size\n99999999999999999999T\n--json\n");
    add("not_a_number", "age\nv.ash\n--until\nnan\n--seed\n-1\n");
    add("two_commands", "info\nv.ash\nverify\nv.ash\n");
    add("equals", "format\nv.ash\n--size=1G\n--block=65536\n--\n--x\n");
    add("bytes_that_are_no_text", "ls\nv\xFF\xFE.ash\n\x1B[2J\n--json\n--nothing\n");
    return made;
}

}  // namespace

const target arguments_target{"arguments", run, nullptr, seeds};

}  // namespace ashlar::fuzz
