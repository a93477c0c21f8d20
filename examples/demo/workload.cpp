/// The demonstration's helper program: `ashlar_workload reads VOLUME SECONDS`, `... churn VOLUME LOG EXTENTS_MIN RATE
/// SEED`,
/// `... finish VOLUME LOG`, `... region VOLUME TYPE:NUMBER RATE`. It speaks lines of JSON, for demo.py.

#include "workload.hpp"

#include "../cli/interrupt.hpp"
#include "../cli/output.hpp"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace demo {

void tell(const nlohmann::ordered_json& event) {
    std::puts(event.dump().c_str());
    std::fflush(stdout);
}

}  // namespace demo

namespace {

cli::result<> run(int count, char** words) {
    const std::string_view command = count > 1 ? words[1] : "";
    if (command == "reads" && count == 4) return demo::measure_reads(words[2], std::strtod(words[3], nullptr));
    if (command == "finish" && count == 4) return demo::finish_churn({.volume = words[2], .log = words[3]});
    if (command == "churn" && count == 7) {
        demo::churn_options options{.volume = words[2], .log = words[3]};
        options.settings.strength         = cli::intensity::unpaced;
        options.settings.extents_min      = static_cast<std::uint32_t>(std::strtoul(words[4], nullptr, 10));
        options.settings.bytes_per_second = std::strtoull(words[5], nullptr, 10);
        options.seed                      = std::strtoull(words[6], nullptr, 10);
        return demo::churn(options);
    }
    if (command == "region" && count == 5)
        return demo::move_region(
            {.volume = words[2], .region = words[3], .bytes_per_second = std::strtoull(words[4], nullptr, 10)});
    return cli::failure{cli::exit_code::usage, "the command line is wrong", "",
                        "use: reads VOLUME SECONDS | churn VOLUME LOG EXTENTS_MIN RATE SEED | finish VOLUME LOG | "
                        "region VOLUME TYPE:NUMBER RATE"};
}

}  // namespace

int main(int count, char** words) {
    cli::watch_for_interrupt();
    const auto done = run(count, words);
    if (done) return 0;
    cli::output{}.fail("workload", done.error());
    return static_cast<int>(done.error().code);
}
