#pragma once
/// The main function of a long target: work that never ends is done for a while, and goes on from there the next time.

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace ashlar::test {

/// What one step of a long target did.
struct long_step {
    bool          passed = true;
    std::uint64_t count  = 0;  ///< Of what the target counts: states, seeds, kills.
};

/// Runs `step(cursor)` for cursor, cursor + 1, ... until the time is over or a step fails, and prints where it came to:
///
///     LONG cursor=18 count=52310 seconds=60.2
///
/// Arguments: --seconds N, --cursor N. A step that fails has said why; its cursor repeats it. Answers 1 then, and 2
/// where the arguments are wrong.
template <class Step>
int run_long(int argc, char** argv, Step step) {
    double        seconds = 60;
    std::uint64_t cursor  = 0;
    for (int i = 1; i < argc; i += 2) {
        const char* const value = i + 1 < argc ? argv[i + 1] : nullptr;
        if (value != nullptr && std::strcmp(argv[i], "--seconds") == 0) {
            seconds = std::atof(value);
        } else if (value != nullptr && std::strcmp(argv[i], "--cursor") == 0) {
            cursor = std::strtoull(value, nullptr, 10);
        } else {
            std::fprintf(stderr, "usage: %s [--seconds N] [--cursor N]\n", argv[0]);
            return 2;
        }
    }
    const auto begin = std::chrono::steady_clock::now();
    const auto spent = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(); };
    std::uint64_t count  = 0;
    bool          passed = true;
    do {
        const long_step done = step(cursor);
        count += done.count;
        passed = done.passed;
        if (passed) ++cursor;
    } while (passed && spent() < seconds);
    if (!passed) std::printf("FAILED at --cursor %llu\n", static_cast<unsigned long long>(cursor));
    std::printf("LONG cursor=%llu count=%llu seconds=%.1f\n", static_cast<unsigned long long>(cursor),
                static_cast<unsigned long long>(count), spent());
    return passed ? 0 : 1;
}

}  // namespace ashlar::test
