// All sequences of three operations, each cut everywhere; and the recoveries of every scenario of the list, cut in
// every state, and the recoveries from those cut again. A step is one slice of either, in turns.

#include "../crash/crash_scenarios.hpp"
#include "long_run.hpp"

namespace {

using namespace ashlar;
using namespace ashlar::test;

constexpr std::uint64_t sequences_at_once = 40;
constexpr std::uint64_t recovery_slices   = 64;  // of a scenario's states, each in one step

long_step told(const std::string& what, const crash_report& report) {
    for (const auto& one : report.findings) std::printf("%s: %s\n", what.c_str(), one.c_str());
    count("crash states", report.states);
    count("recovery crash states, depth 1", report.states_1);
    count("recovery crash states, depth 2", report.states_2);
    return {report.findings.empty(), report.states + report.states_1 + report.states_2};
}

/// Once through all of them the next round makes each verb durable alone, the one after it does not, and so on.
long_step cut_sequences(std::uint64_t turn) {
    static const operation_sequences all{3};
    const std::uint64_t              slices = (all.size() + sequences_at_once - 1) / sequences_at_once;
    const std::uint64_t              round  = turn / slices;
    const auto                       setup  = sequence_setup();
    const crash_plan plan{.effort = {.random_max = 1 + round, .single_max = 6, .tears_max = 6, .seed = 1 + round * 64},
                          .recoveries               = {.one_in = 100, .seed = turn},
                          .recoveries_of_recoveries = {.one_in = 20, .seed = turn}};
    crash_cutter<crash_store> cutter{setup, plan};
    long_step                 sum;
    std::uint64_t             done = 0;
    for (auto i = turn % slices * sequences_at_once; i < all.size() && done < sequences_at_once; ++i, ++done) {
        const auto sequence = all[i];
        const auto one      = told(text_of(sequence), cut_sequence(setup, cutter, sequence, round % 2 == 1));
        sum.count += one.count;
        sum.passed = sum.passed && one.passed;
    }
    count("operation sequences", done);
    return sum;
}

/// Each step takes another part of the scenario's states; together they are all of them.
long_step cut_recoveries(std::uint64_t turn) {
    const auto&         list  = crash_scenarios();
    const auto&         one   = list[static_cast<std::size_t>(turn % list.size())];
    const std::uint64_t slice = turn / list.size();
    const std::uint64_t seed  = 1 + slice / recovery_slices;
    const crash_sample  part{.one_in = recovery_slices, .seed = seed, .which = slice % recovery_slices};
    return told(one.name, cut_scenario(one, seed, {.states = part, .recoveries = {}, .recoveries_of_recoveries = {}}));
}

long_step step(std::uint64_t cursor) {
    return cursor % 2 == 0 ? cut_sequences(cursor / 2) : cut_recoveries(cursor / 2);
}

}  // namespace

int main(int argc, char** argv) { return run_long(argc, argv, step); }
