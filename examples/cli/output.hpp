#pragma once
/// Where words go: the answer on stdout, everything else on stderr.

#include "failure.hpp"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace cli {

/// What the options say about output. One document on stdout with `json`; with `quiet` neither progress nor remarks.
struct output {
    bool json  = false;
    bool quiet = false;

    /// The answer of a command as a document: `fields` get the schema tag `ashlar.<command>/1`. Only with `json`.
    void document(std::string_view command, nlohmann::ordered_json fields) const;
    /// The answer of a command as text. Not with `json`.
    void answer(std::string_view text) const;
    /// A remark on stdout that a script does not need. Neither with `json` nor with `quiet`.
    void say(std::string_view text) const;
    /// A line on stderr that matters although the command goes on.
    void warn(std::string_view text) const;
    /// The one line of an error on stderr, and with `json` a document `ashlar.error/1` as the one answer.
    void fail(std::string_view command, const failure& problem) const;
};

/// Whether colours belong on stdout or stderr: a terminal, no NO_COLOR, and not TERM=dumb.
[[nodiscard]] bool colour_on(int descriptor);

[[nodiscard]] std::string human_bytes(std::uint64_t bytes);
[[nodiscard]] std::string human_rate(std::uint64_t bytes_per_second);
[[nodiscard]] std::string human_seconds(double seconds);
[[nodiscard]] std::string percent(double ratio);

/// A count with its noun: "1 file", "12 files".
[[nodiscard]] std::string counted(std::uint64_t count, std::string_view noun);

}  // namespace cli
