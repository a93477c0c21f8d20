#pragma once
/// How a benchmark says what it measured: lines that run.py collects from between whatever else is printed.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace bench {

enum class better : std::uint8_t { higher, lower };

/// One comparison. `ratio` is what is judged by `floor` and `goal`: ours by the peer's, or ours where there is no peer.
/// A floor or goal of 0 is none.
struct row {
    std::string id;           ///< Of the question: "G4".
    std::string measure;      ///< What was measured, for people: "durable 4 KiB commits, 8 outstanding".
    double      ours = 0;     ///< Median.
    double      peer = 0;     ///< Median of the same run; 0 without a peer.
    std::string peer_name{};  ///< "raw fdatasync".
    std::string unit{};       ///< Of ours and peer: "1/s".
    better      direction = better::higher;
    double      floor     = 0;
    double      goal      = 0;
    double      ratio     = 0;  ///< 0: computed from ours and peer. Set it where it is a median of ratios.
};

namespace detail {

inline std::string quoted(const std::string& text) {
    std::string answer = "\"";
    for (const char letter : text) answer += letter == '"' ? std::string{"\"\""} : std::string{letter};
    return answer + '"';
}

inline std::string number(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.6g", value);
    return value == 0 ? std::string{} : std::string{text};
}

}  // namespace detail

/// Prints `ROW,id,measure,ours,peer,peer_name,unit,ratio,better,floor,goal`.
inline void report(const row& said) {
    using detail::number;
    using detail::quoted;
    const double ratio = said.ratio != 0 ? said.ratio : (said.peer != 0 ? said.ours / said.peer : said.ours);
    std::printf("ROW,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s\n", quoted(said.id).c_str(), quoted(said.measure).c_str(),
                number(said.ours).c_str(), number(said.peer).c_str(), quoted(said.peer_name).c_str(),
                quoted(said.unit).c_str(), number(ratio).c_str(), said.direction == better::higher ? "higher" : "lower",
                number(said.floor).c_str(), number(said.goal).c_str());
    std::fflush(stdout);
}

/// A measurement that could not be made here, and why. It stays in the table as such.
inline void skip(const std::string& id, const std::string& measure, const std::string& reason) {
    std::printf("SKIP,%s,%s,%s\n", detail::quoted(id).c_str(), detail::quoted(measure).c_str(),
                detail::quoted(reason).c_str());
    std::fflush(stdout);
}

/// A point of a plot. Points of one plot and series are joined in the order in which they come.
inline void point(const std::string& plot, const std::string& series, double x, double y) {
    std::printf("POINT,%s,%s,%.6g,%.6g\n", detail::quoted(plot).c_str(), detail::quoted(series).c_str(), x, y);
}

/// A version that the figures depend on.
inline void version(const std::string& name, const std::string& text) {
    std::printf("VERSION,%s,%s\n", detail::quoted(name).c_str(), detail::quoted(text).c_str());
}

/// The command that the rows after it come from, where it is not the program itself: a peer's.
inline void command(const std::string& text) { std::printf("COMMAND,%s\n", detail::quoted(text).c_str()); }

/// What every benchmark is told.
struct settings {
    bool        quick     = false;  ///< A tenth of the time: shows that it works, not how fast.
    std::string directory = ".";    ///< For files, on the disk that is measured. The benchmark removes its own.
};

/// Reads `--quick` and `--directory DIR`; ends the program where the line says anything else.
inline settings settings_of(int count, char** words) {
    std::setvbuf(stdout, nullptr, _IOLBF, 0);  // so that the log shows how far it is
    settings chosen;
    for (int i = 1; i < count; ++i) {
        if (std::strcmp(words[i], "--quick") == 0) {
            chosen.quick = true;
        } else if (std::strcmp(words[i], "--directory") == 0 && i + 1 < count) {
            chosen.directory = words[++i];
        } else {
            std::fprintf(stderr, "usage: %s [--quick] [--directory DIR]\n", words[0]);
            std::exit(2);
        }
    }
    return chosen;
}

}  // namespace bench
