/// ashlar ls: the imported tree, name by name.

#include "commands.hpp"

#include "../tree.hpp"

#include <fmt/chrono.h>
#include <nlohmann/json.hpp>

namespace cli {
namespace {

const char* name_of(entry_kind kind) {
    switch (kind) {
        case entry_kind::file: return "file";
        case entry_kind::folder: return "folder";
        case entry_kind::symbolic_link: return "symbolic_link";
    }
    return "unknown";
}

bool lies_below(std::string_view path, std::string_view top) {
    return top.empty() || path == top || (path.starts_with(top) && path.size() > top.size() && path[top.size()] == '/');
}

/// "drwxr-xr-x", as ls writes it.
std::string permissions(const catalogue_entry& entry) {
    std::string text = entry.kind == entry_kind::folder ? "d" : entry.kind == entry_kind::symbolic_link ? "l" : "-";
    for (unsigned bit = 9; bit-- > 0;) text += ((entry.mode >> bit) & 1U) != 0 ? "xwr"[bit % 3] : '-';
    const auto mark = [&](unsigned flag, std::size_t at, char executable, char plain) {
        if ((entry.mode & flag) != 0) text[at] = text[at] == 'x' ? executable : plain;
    };
    mark(04000, 3, 's', 'S');
    mark(02000, 6, 's', 'S');
    mark(01000, 9, 't', 'T');
    return text;
}

std::string modified(const catalogue_entry& entry) {
    const auto seconds = static_cast<std::time_t>(entry.modified_s);
    std::tm    parts{};
    if (gmtime_r(&seconds, &parts) == nullptr) return fmt::format("@{}", entry.modified_s);
    return fmt::format("{:%Y-%m-%d %H:%M:%S}", parts);
}

std::string hexadecimal(std::string_view bytes) {
    std::string text;
    for (const char byte : bytes) text += fmt::format("{:02x}", static_cast<unsigned char>(byte));
    return text;
}

nlohmann::ordered_json as_json(const catalogue_entry& entry) {
    nlohmann::ordered_json line{{"path", shown(entry.path)},
                                {"kind", name_of(entry.kind)},
                                {"mode", fmt::format("{:04o}", entry.mode)},
                                {"modified_s", entry.modified_s},
                                {"modified_ns", entry.modified_ns}};
    if (!is_utf8(entry.path)) line["path_hex"] = hexadecimal(entry.path);
    if (entry.kind == entry_kind::file) {
        line["size"]   = entry.size;
        line["object"] = entry.object.value;
    }
    if (entry.kind == entry_kind::symbolic_link) {
        line["target"] = shown(entry.target);
        if (!is_utf8(entry.target)) line["target_hex"] = hexadecimal(entry.target);
    }
    return line;
}

std::string as_text(const catalogue_entry& entry) {
    const auto name = entry.path.empty() ? std::string{"."} : shown(entry.path);
    auto       line = fmt::format("{} {:>12} {} {}", permissions(entry),
                            entry.kind == entry_kind::file ? std::to_string(entry.size) : "-", modified(entry), name);
    if (entry.kind == entry_kind::symbolic_link) line += " -> " + shown(entry.target);
    return line + '\n';
}

}  // namespace

result<exit_code> run_list(const context& with, const list_options& options) {
    BOOST_OUTCOME_TRY(auto from, volume::open(with.volume, access::read_only));
    BOOST_OUTCOME_TRY(const auto tree, load_tree(from));

    std::string_view top = options.path;
    while (top.ends_with('/')) top.remove_suffix(1);
    auto          lines = nlohmann::ordered_json::array();
    std::string   text;
    std::uint64_t files = 0, bytes = 0, found = 0;
    for (const auto& entry : tree.entries) {
        if (!lies_below(entry.path, top)) continue;
        ++found;
        files += entry.kind == entry_kind::file ? 1U : 0U;
        bytes += entry.size;
        if (with.out.json)
            lines.push_back(as_json(entry));
        else
            text += as_text(entry);
    }
    if (found == 0 && !top.empty())
        return failure{exit_code::not_found, fmt::format("no '{}' in the imported tree", shown(top)), with.volume,
                       "run 'ashlar ls' without a path"};
    with.out.answer(text);
    if (tree.imports == 0) with.out.say("nothing was imported yet");
    with.out.document(
        with.command,
        {{"volume", with.volume}, {"imports", tree.imports}, {"files", files}, {"bytes", bytes}, {"entries", lines}});
    return exit_code::ok;
}

}  // namespace cli
