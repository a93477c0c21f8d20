#pragma once
/// A store in a world that a seed makes up: what it is asked, by how many threads, and what goes wrong meanwhile.

#include <ashlar/testing/shrink.hpp>
#include <ashlar/testing/simulation.hpp>

#include <memory>

namespace ashlar::inline v0 {

/// What became of a run.
struct simulation_outcome {
    simulated_setup             setup{};
    std::vector<simulated_step> steps{};           ///< Of a failure: those that it needs.
    std::size_t                 steps_before = 0;  ///< Before the others were left out.
    std::string                 failure{};         ///< One sentence; empty when all is well.
    std::uint64_t               hash = 0;          ///< Of all that the device was asked and all that was answered.
    simulation_counts           counts{};

    /// A failure as a person reads it: what went wrong, in what world, and each step.
    [[nodiscard]] std::string text() const {
        if (failure.empty()) return {};
        return "seed " + std::to_string(setup.seed) +
               (setup.schedule_seed == setup.seed ? std::string{}
                                                  : ", in order " + std::to_string(setup.schedule_seed)) +
               ": " + failure + "\n  on " + setup.text() + "\n  " + std::to_string(steps.size()) + " of " +
               std::to_string(steps_before) + " steps are enough:\n" + text_of(steps);
    }
};

/// Does these steps in this world, once.
template <class B>
[[nodiscard]] simulation_outcome simulate_steps(const simulated_setup& setup, std::span<const simulated_step> steps,
                                                const simulation_options<B>& options = {}) {
    auto world = std::make_unique<simulation<B>>(setup, options);
    world->run(steps);
    simulation_outcome outcome{
        setup, {steps.begin(), steps.end()}, steps.size(), world->failure(), world->hash(), world->counts()};
    if (world->is_stuck()) static_cast<void>(world.release());  // its threads stand in it for ever
    return outcome;
}

/// Makes up a world, does what the seed says there, and, where that fails, leaves out whatever the failure does not
/// need. The same seed, options and build give the same run, to the last byte. Cost: some ten milliseconds and some
/// MiB; a failure is run again `shrink_runs_max` times at most.
template <class B>
[[nodiscard]] simulation_outcome simulate(std::uint64_t seed, const simulation_options<B>& options = {}) {
    constexpr std::uint64_t stuck_runs_max = 100;  // each leaves its memory and threads behind
    constexpr std::uint64_t orders_tried   = 8;

    const auto setup   = choose_setup(options.table, seed);
    auto       steps   = simulated_workload{setup, B::checksum::enabled}.steps();
    const auto before  = steps.size();
    auto       outcome = simulate_steps<B>(setup, steps, options);
    if (outcome.failure.empty() || options.shrink_runs_max == 0) return outcome;
    const bool stuck = outcome.failure.find("nobody can go on") == 0;
    const auto runs  = stuck ? std::min(stuck_runs_max, options.shrink_runs_max) : options.shrink_runs_max;
    // With fewer steps the threads meet otherwise, so some other orders are tried too.
    const std::uint64_t orders = setup.threads + (setup.background ? 1 : 0) > 1 ? orders_tried : 1;
    const auto          fails  = [&](const std::vector<simulated_step>& some) {
        auto other = outcome.setup;
        for (std::uint64_t i = 0; i < orders; ++i, other.schedule_seed += 1000) {
            auto shorter = simulate_steps<B>(other, some, options);
            if (shorter.failure.empty()) continue;
            outcome = std::move(shorter);
            return true;
        }
        return false;
    };
    static_cast<void>(shrunk(std::move(steps), fails, runs));
    outcome.steps_before = before;
    return outcome;
}

}  // namespace ashlar::inline v0
