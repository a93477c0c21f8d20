// Simulated worlds without end: each step is 100 seeds that no other run has.

#include "../simulate/simulate_fixture.hpp"
#include "long_run.hpp"

int main(int argc, char** argv) {
    using namespace ashlar;
    constexpr std::uint64_t                    first = 1'000'000'000, seeds = 100;
    simulation_options<test::server_blueprint> options;
    options.base.throttle = {.bytes_per_second = 4'000'000, .burst = 32768};
    seed_on_crash tell;
    return test::run_long(argc, argv, [&](std::uint64_t cursor) {
        test::long_step done;
        for (std::uint64_t seed = first + cursor * seeds; done.passed && done.count < seeds; ++seed) {
            tell.is(seed);
            const auto outcome = simulate<test::server_blueprint>(seed, options);
            done.passed        = outcome.failure.empty();
            if (done.passed) ++done.count;
            std::fputs(outcome.text().c_str(), stdout);
        }
        return done;
    });
}
