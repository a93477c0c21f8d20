#include "picture.hpp"

#include "output.hpp"

#include <fmt/format.h>

#include <unistd.h>

namespace cli {
namespace {

const char* colour_of(char letter) {
    switch (letter) {
        case 'x':
        case 'X': return "\033[31m";
        case 'P': return "\033[33m";
        case 's': return "\033[36m";
        case '.': return "\033[2m";
        default: return "\033[32m";
    }
}

}  // namespace

std::string framed(std::string_view letters, std::size_t columns, std::string_view legend) {
    const bool        colours = colour_on(STDOUT_FILENO);
    const std::string edge    = fmt::format("  +{}+\n", std::string(columns, '-'));
    std::string       text    = edge;
    for (std::size_t at = 0; at < letters.size(); at += columns) {
        const auto row = letters.substr(at, columns);
        text += "  |";
        char before = '\0';
        for (const char letter : row) {
            if (colours && letter != before) text += fmt::format("\033[0m{}", colour_of(letter));
            text += before = letter;
        }
        if (colours) text += "\033[0m";
        text += std::string(columns - row.size(), ' ') + "|\n";
    }
    return fmt::format("{}{}  {}\n", text, edge, legend);
}

}  // namespace cli
