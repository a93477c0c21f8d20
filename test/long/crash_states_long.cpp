// Every crash state of every scenario of the list, with new work for each seed: a step is one scenario and one seed.

#include "../crash/crash_scenarios.hpp"
#include "long_run.hpp"

namespace {

using namespace ashlar;
using namespace ashlar::test;

long_step step(std::uint64_t cursor) {
    const auto&         list = crash_scenarios();
    const auto&         one  = list[static_cast<std::size_t>(cursor % list.size())];
    const std::uint64_t seed = 1000 + cursor / list.size();
    const crash_plan    plan{.effort     = {.random_max = 3, .single_max = 16, .tears_max = 24, .seed = seed * 64},
                             .recoveries = {.one_in = 500, .seed = seed}};
    const auto          report = cut_scenario(one, seed, plan);
    for (const auto& finding : report.findings)
        std::printf("%s, seed %llu: %s\n", one.name, static_cast<unsigned long long>(seed), finding.c_str());
    count("crash states", report.states);
    count("recovery crash states, depth 1", report.states_1);
    return {report.findings.empty(), report.states + report.states_1};
}

}  // namespace

int main(int argc, char** argv) { return run_long(argc, argv, step); }
