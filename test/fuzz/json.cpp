/// The documents that the program prints: whatever a name is made of, the document is one, and says the name.
/// The program reads no JSON.

#include "captured_output.hpp"
#include "input.hpp"

#include "../../examples/cli/names.hpp"
#include "../../examples/cli/output.hpp"

#include <nlohmann/json.hpp>

namespace ashlar::fuzz {
namespace {

std::string text_of(bytes_in bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

/// What `print` prints, as the one document that it has to be.
template <class Print>
nlohmann::json printed(Print print) {
    std::string text;
    {
        const captured_output kept;
        print();
        text = kept.out();
    }
    expect(cli::is_utf8(text), "a document is text");
    auto document = nlohmann::json::parse(text, nullptr, false);
    expect(!document.is_discarded(), "a document can be read");
    return document;
}

void run(bytes_in input) {
    input_reader reader{input};
    const auto   first  = text_of(reader.bytes(reader.u8()));
    const auto   second = text_of(reader.bytes(reader.u8()));
    const auto   number = reader.number<std::uint64_t>();
    cli::output  out;
    out.json = true;

    const auto listed = printed([&] {
        out.document("ls", {{"path", cli::shown(first)},
                            {"raw", second},  // no command does so; should one, it is still a document
                            {"size", number},
                            {"entries", {{{"path", cli::shown(second)}, {"target", cli::shown(first)}}}}});
    });
    expect(listed.value("schema", "") == "ashlar.ls/1", "a document says what it is");
    expect(listed.value("path", "?") == cli::shown(first), "a name comes back as it was shown");
    expect(listed.at("entries").at(0).value("path", "?") == cli::shown(second), "names in lists do too");
    expect(listed.value("size", std::uint64_t{0}) == number, "a number comes back");
    expect(first == second || cli::shown(first) != cli::shown(second), "different names are shown differently");

    const cli::failure problem{cli::exit_code::corrupt, cli::shown(first), second, "check the path"};
    const auto         failed = printed([&] { out.fail("ls", problem); });
    expect(failed.value("exit_code", 0) == 4 && failed.value("what", "?") == cli::shown(first), "an error says what");
}

std::vector<seed_input> seeds() {
    std::vector<seed_input> made;
    const auto              add = [&](const char* name, std::string_view first, std::string_view second) {
        input_writer to;
        to.u8(static_cast<unsigned>(first.size())).bytes(std::as_bytes(std::span{first}));
        to.u8(static_cast<unsigned>(second.size())).bytes(std::as_bytes(std::span{second})).number(std::uint64_t{5});
        made.push_back({name, to.made()});
    };
    add("plain", "folder/file", "other");
    add("quotes", "\"}],\"x\":[{\"", "\\\"\\u0000\\");
    add("controls", "\x1B[2J\n\r\t", std::string_view{"a\0b", 3});
    add("no_utf8", "\xFF\xC0\xAF\xED\xA0\x80", "\xE2\x82");
    add("characters", "gr\xC3\xBC\xC3\x9F\xE2\x82\xAC\xF0\x9F\x98\x80", "\xC2\x9B\xC2\x85");
    add("separators", "\xE2\x80\xA8\xE2\x80\xA9\xEF\xBB\xBF", "\\xff");
    add("empty", "", "");
    add("last_characters", "\xF4\x8F\xBF\xBF\xF4\x90\x80\x80", "\xEF\xBF\xBF");
    return made;
}

}  // namespace

const target json_target{"json", run, nullptr, seeds};

}  // namespace ashlar::fuzz
