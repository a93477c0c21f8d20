/// The catalogue of an imported tree, and the record that names it: what is taken leads nowhere else, and encodes to
/// the bytes that it was.

#include "input.hpp"

#include "../../examples/cli/catalogue.hpp"

namespace ashlar::fuzz {
namespace {

void seal_catalogue(std::span<std::byte> bytes) {
    if (bytes.size() < sizeof(cli::catalogue_header)) return;
    auto header    = load_struct<cli::catalogue_header>(bytes);
    header.magic   = cli::catalogue_magic;
    header.version = cli::catalogue_version;
    header.bytes   = bytes.size();
    store_struct(bytes, header);
    header.checksum = cli::detail::catalogue_checksum(bytes);
    store_struct(bytes, header);
}

void check_record(bytes_in bytes) {
    if (bytes.size() < sizeof(cli::tree_record)) return;
    auto record     = load_struct<cli::tree_record>(bytes);
    record.magic    = cli::tree_magic;
    record.version  = 1;
    record.checksum = cli::checksum_of(record);
    if (!cli::is_sound(record)) return;
    expect(record.bytes <= cli::catalogue_bytes_max, "a catalogue has a bound");
}

/// A path that a catalogue may hold never leaves the folder that it is exported to.
void check_path(std::string_view path) {
    expect(path.size() <= cli::path_bytes_max && path.find('\0') == std::string_view::npos, "a path is a C string");
    expect(path.empty() || (path.front() != '/' && path.back() != '/'), "a path is relative");
    const auto framed = "/" + std::string{path} + "/";
    expect(framed.find("/../") == std::string::npos && framed.find("/./") == std::string::npos, "a path goes down");
}

void run(bytes_in input) {
    check_record(input);
    const auto decoded = cli::decode_catalogue(input);
    if (!decoded) return;
    for (const auto& entry : *decoded) {
        check_path(entry.path);
        expect(cli::is_utf8(cli::shown(entry.path)) && cli::is_utf8(cli::shown(entry.target)), "a name can be shown");
    }
    const auto again = cli::encode_catalogue(*decoded);
    expect(again.size() == input.size() && std::equal(again.begin(), again.end(), input.begin()),
           "a catalogue has one form");
}

std::vector<seed_input> seeds() {
    using cli::entry_kind;
    std::vector<seed_input> made;
    const auto              add = [&](const char* name, const cli::catalogue& entries) {
        made.push_back({name, cli::encode_catalogue(entries)});
    };
    const cli::catalogue_entry top{.path = "", .kind = entry_kind::folder, .mode = 0755};
    add("empty", {});
    add("top", {top});
    add("every_kind", {top,
                       {.path = "bad\xFFname", .kind = entry_kind::file, .mode = 0600, .object = {7}, .size = 12},
                       {.path = "empty", .kind = entry_kind::file, .mode = 0644},
                       {.path = "folder", .kind = entry_kind::folder, .mode = 01777, .modified_s = 1'700'000'000},
                       {.path = "folder/linked", .kind = entry_kind::file, .mode = 0644, .object = {7}, .size = 12},
                       {.path = "link", .target = "../anywhere", .kind = entry_kind::symbolic_link, .mode = 0777}});
    add("out_of_the_folder", {top, {.path = "z/../../etc/passwd", .kind = entry_kind::file, .mode = 0644}});
    add("behind_a_link", {top,
                          {.path = "link", .target = "/", .kind = entry_kind::symbolic_link, .mode = 0777},
                          {.path = "link/etc", .kind = entry_kind::file, .mode = 0644}});
    add("without_its_folder", {top, {.path = "nowhere/file", .kind = entry_kind::file, .mode = 0644}});
    add("two_sizes", {top,
                      {.path = "a", .kind = entry_kind::file, .mode = 0644, .object = {7}, .size = 12},
                      {.path = "b", .kind = entry_kind::file, .mode = 0644, .object = {7}, .size = 13}});
    add("two_ends", {top, {.path = std::string{"a\0b", 3}, .kind = entry_kind::file, .mode = 0644}});
    add("same_name_twice", {top,
                            {.path = "a", .kind = entry_kind::file, .mode = 0644},
                            {.path = "a", .kind = entry_kind::folder, .mode = 0755}});
    auto many      = cli::encode_catalogue({top});
    auto header    = load_struct<cli::catalogue_header>(many);
    header.entries = ~std::uint64_t{0} / 2;
    store_struct(std::span{many}, header);
    seal_catalogue(many);
    made.push_back({"entries_without_end", many});
    cli::tree_record record;
    record.magic     = cli::tree_magic;
    record.version   = 1;
    record.object    = 99;
    record.bytes     = 4096;
    record.checksum  = cli::checksum_of(record);
    const auto bytes = std::as_bytes(std::span{&record, 1});
    made.push_back({"tree_record", {bytes.begin(), bytes.end()}});
    return made;
}

}  // namespace

const target catalogue_target{"catalogue", run, seal_catalogue, seeds};

}  // namespace ashlar::fuzz
