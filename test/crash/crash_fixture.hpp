#pragma once
/// The store that is cut, its volumes, and how what is found is told.

#include "../counts.hpp"
#include "../store/store_fixture.hpp"

#include <ashlar/defrag_policy/best_gain.hpp>
#include <ashlar/testing/crash_proof.hpp>

#include <cstdio>
#include <ctime>

namespace ashlar::test {

/// With everything that a store does beside its users' work.
struct crash_blueprint : test_blueprint<> {
    using defrag = best_gain;
};
using crash_store  = store<crash_blueprint>;
using crash_record = crash_recorder<crash_store>;

inline crash_setup<crash_store> setup_of(const volume_shape& shape = {}, const volume_limits& limits = small_limits()) {
    crash_setup<crash_store> setup;
    setup.block        = {shape.block_bytes};
    setup.blocks       = {shape.blocks};
    setup.format       = shape.format();
    setup.store.limits = limits;
    setup.store.defrag = eager_defragmenter();
    return setup;
}

/// The part of the states that this run looks at: all of them; under sanitizers, which are slow, another twentieth each
/// time. ASHLAR_TEST_SEED repeats it.
inline crash_sample part_of_states() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    static const std::uint64_t seed = [] {
        const char* const text = std::getenv("ASHLAR_TEST_SEED");
        const auto        chosen =
            text != nullptr ? std::strtoull(text, nullptr, 10) : static_cast<std::uint64_t>(std::time(nullptr));
        std::printf("a twentieth of the states, seed %llu (ASHLAR_TEST_SEED repeats it)\n",
                    static_cast<unsigned long long>(chosen));
        return chosen;
    }();
    return {.one_in = 20, .seed = seed};
#else
    return {};
#endif
}

/// Tells the report's findings to the test, and its counts to whoever asks.
inline void expect_whole(const char* what, const crash_report& report) {
    for (const auto& one : report.findings) ADD_FAILURE() << what << ": " << one;
    count("crash states", report.states);
    count("recovery crash states, depth 1", report.states_1);
    count("recovery crash states, depth 2", report.states_2);
    std::printf("%s: %llu writes, %llu states, %llu in recovery, %llu in the recovery from that\n", what,
                static_cast<unsigned long long>(report.writes), static_cast<unsigned long long>(report.states),
                static_cast<unsigned long long>(report.states_1), static_cast<unsigned long long>(report.states_2));
}

}  // namespace ashlar::test
