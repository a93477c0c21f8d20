#pragma once
/// What every throttle must keep.

#include <ashlar/concepts/io_throttle.hpp>
#include <ashlar/testing/random_bits.hpp>

#include <cstdint>
#include <string_view>
#include <vector>

namespace ashlar::inline v0 {

/// Drives a fresh throttle with requests of `seed` and an own time for `rounds` rounds, and answers the first sentence
/// that it broke; empty when it kept all. With `starves` it may refuse for ever (a throttle that waits for a grant from
/// outside); else each refusal must end by the time that it named, or when everything in flight is released.
template <IoThrottle Throttle>
[[nodiscard]] std::string_view check_throttle(Throttle& throttle, std::uint64_t seed, unsigned rounds = 2000,
                                              bool starves = false) {
    random_bits                random{seed};
    std::vector<std::uint64_t> in_flight;
    time_point                 now{1'000'000};
    unsigned                   refusals    = 0;
    const auto                 release_all = [&] {
        for (const auto bytes : in_flight) throttle.release(bytes, now);
        in_flight.clear();
    };
    for (unsigned round = 0; round < rounds; ++round) {
        const auto want  = 512 * (1 + random.below(2048));
        const auto least = random.below(4) == 0 ? want : 512 * (1 + random.below(want / 512));
        const auto grant = throttle.acquire({want, least}, now);
        if (grant.bytes > want) return "a grant is never more than what was wanted";
        if (grant.bytes != 0 && grant.bytes < least) return "a grant is never less than the least that is of use";
        if (grant.bytes != 0) {
            in_flight.push_back(grant.bytes);
            refusals = 0;
        } else if (!starves) {
            if (grant.not_before <= now) return "a refusal names a time that is still to come";
            constexpr unsigned refusals_max = 8;
            if (++refusals > refusals_max)
                return "a request is granted when its time has come and nothing is in flight";
            release_all();
            if (grant.not_before.nanoseconds != ~std::uint64_t{0}) now = grant.not_before;
            --round;  // ask again, for another size
        }
        if (random.below(3) == 0) release_all();
        throttle.observe(io_kind::read, 4096, duration{random.below(1'000'000)}, now);
        now = now + duration{random.below(2'000'000)};
    }
    release_all();
    if (throttle.acquire({0, 0}, now).bytes != 0) return "nothing wanted is nothing granted";
    return {};
}

}  // namespace ashlar::inline v0
