#pragma once
/// What every defrag policy must keep.

#include <ashlar/concepts/defrag_policy.hpp>
#include <ashlar/testing/random_bits.hpp>

#include <cstdint>
#include <string_view>

namespace ashlar::inline v0 {

/// Shows the policy `rounds` candidates of `seed` and answers the first sentence that it broke; empty when it kept all.
template <DefragPolicy Policy>
[[nodiscard]] std::string_view check_defrag_policy(const Policy& policy, std::uint64_t seed, unsigned rounds = 2000) {
    random_bits random{seed};
    for (unsigned round = 0; round < rounds; ++round) {
        defrag_candidate c;
        c.owner            = {1 + random.below(100)};
        c.first            = {random.below(1U << 20U)};
        c.blocks           = {1 + random.below(1024)};
        c.extents          = 1 + random.below(c.blocks.value);
        c.owner_extents    = c.extents + random.below(64);
        c.free_runs_merged = c.extents == 1 ? random.below(2) : 0;
        c.extents_ideal    = 1 + random.below(4);
        c.reads_after      = 1 + c.blocks.value / 64;
        c.reads_before     = c.reads_after + (c.extents > 1 ? random.below(c.extents) : 0);
        c.bytes            = c.blocks.value * 4096;
        const auto worth   = policy.worth_moving(c);
        const auto rank    = policy.rank(c);
        if (worth && !Policy::enabled) return "a policy that is not enabled moves nothing";
        const bool gains = c.extents > c.extents_ideal || c.free_runs_merged > 0;
        if (worth && !gains) return "a move that gains nothing is not worth making";
        if (worth != policy.worth_moving(c) || rank != policy.rank(c)) return "the same candidate gets the same answer";
    }
    return {};
}

}  // namespace ashlar::inline v0
