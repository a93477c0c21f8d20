#pragma once
/// Checks that an allocator keeps what its concept says, for tests of any framework.

#include <ashlar/allocator/bitmap_words.hpp>
#include <ashlar/concepts/allocator.hpp>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace ashlar::inline v0 {

namespace allocator_check {

/// Whether the bits of the run are inside the group and clear, asked bit by bit.
inline bool is_free(const group_view& group, std::uint64_t first, std::uint64_t count) {
    if (first + count > group.blocks) return false;
    for (std::uint64_t i = first; i < first + count; ++i) {
        if (is_set(group.busy, static_cast<std::uint32_t>(i))) return false;
    }
    return true;
}

inline std::uint32_t longest_free(const group_view& group) {
    std::uint32_t longest = 0;
    std::uint32_t here    = 0;
    for (std::uint32_t i = 0; i < group.blocks; ++i) {
        here    = is_set(group.busy, i) ? 0 : here + 1;
        longest = here > longest ? here : longest;
    }
    return longest;
}

/// A group with runs whose lengths vary from single bits to whole words and more.
inline std::vector<bitmap_word> random_bitmap(std::mt19937_64& random, std::uint32_t blocks) {
    std::vector<bitmap_word> words(words_for(blocks), ~bitmap_word{0});
    const std::uint32_t      longest = 1U << (random() % 10U);
    const bool               dense   = random() % 2U != 0;
    for (std::uint32_t at = 0; at < blocks;) {
        const auto wanted = static_cast<std::uint32_t>(1U + random() % longest);
        const auto count  = wanted < blocks - at ? wanted : blocks - at;
        if (dense ? random() % 8U == 0 : random() % 2U == 0) clear_bits(words, {at, count});
        at += count;
    }
    return words;
}

}  // namespace allocator_check

/// Says which promise of the concept one answer breaks; empty when it keeps them all.
template <Allocator A>
[[nodiscard]] std::string broken_promise(const A& allocator, const group_view& group, group_request request) {
    const group_run     run     = allocator.find(group, request);
    const std::uint32_t longest = allocator_check::longest_free(group);
    if (run.count == 0) return longest >= request.count_min ? "a run that is long enough was not found" : "";
    if (run.count < request.count_min) return "the run is shorter than count_min";
    if (run.count > request.count) return "the run is longer than count";
    if (!allocator_check::is_free(group, run.first, run.count)) return "the run is not clear";
    if (request.near_goal && allocator_check::is_free(group, request.goal, request.count_min)) {
        if (run.first != request.goal) return "the run does not begin at the goal";
    }
    if (!(allocator.find(group, request) == run)) return "the same question has two answers";
    return "";
}

/// Asks `rounds` seeded questions of many groups. Empty when every answer keeps the promises; else what the first
/// broke.
template <Allocator A>
[[nodiscard]] std::string allocator_conformance(const A& allocator, std::uint64_t seed, std::uint32_t rounds) {
    std::mt19937_64 random{seed};
    for (std::uint32_t round = 0; round < rounds; ++round) {
        const auto blocks = static_cast<std::uint32_t>(1U + random() % (round % 4U == 0 ? 4000U : 300U));
        const auto words  = allocator_check::random_bitmap(random, blocks);
        for (int question = 0; question < 16; ++question) {
            group_request request;
            request.count     = static_cast<std::uint32_t>(1U + random() % (1U << (random() % 12U)));
            request.count_min = static_cast<std::uint32_t>(1U + random() % request.count);
            if (random() % 2U == 0) request.count_min = request.count;
            request.goal      = static_cast<std::uint32_t>(random() % (blocks + 8U));
            request.near_goal = random() % 2U == 0;
            const auto broken = broken_promise(allocator, {words, blocks}, request);
            if (!broken.empty())
                return broken + " (round " + std::to_string(round) + ", seed " + std::to_string(seed) + ")";
        }
    }
    return "";
}

}  // namespace ashlar::inline v0
