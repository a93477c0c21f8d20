#pragma once
/// The numbers of the defragmenter.

#include <ashlar/vocabulary/address.hpp>
#include <ashlar/vocabulary/time_point.hpp>

#include <cstddef>
#include <cstdint>

namespace ashlar::inline v0 {

/// How much rest is left to others between moves. The second names say what each is for.
enum class defrag_intensity : std::uint8_t {
    low,      ///< One extent at a time with long rests.
    medium,   ///< Five extents, shorter rests.
    high,     ///< Ten extents, hardly a rest.
    unpaced,  ///< No rests: the throttle and the budgets alone decide.
    background = low,
    normal     = medium,
    aggressive = high,
};

/// What an intensity means. Rests are kept by refusing to go on before a time, never by sleeping.
struct defrag_pace {
    std::uint32_t         extents_per_batch = 1;  ///< Moves that share a sync.
    duration              between_batches{};
    duration              low_budget_wait{};  ///< Rest longer when less than `low_budget` is left of the cycle.
    block_count           low_budget{4};
    friend constexpr bool operator==(const defrag_pace&, const defrag_pace&) = default;
};

[[nodiscard]] constexpr defrag_pace pace_of(defrag_intensity intensity) noexcept {
    switch (intensity) {
        case defrag_intensity::low: return {1, milliseconds(100), milliseconds(10)};
        case defrag_intensity::medium: return {5, milliseconds(50)};
        case defrag_intensity::high: return {10, milliseconds(10)};
        case defrag_intensity::unpaced: return {64};
    }
    return {};
}
static_assert(pace_of(defrag_intensity::background).between_batches == milliseconds(100));

/// Options of a defragmenter. Which ranges are worth moving is the policy's to say, how fast bytes may flow the
/// throttle's, how much one call does the step's budget.
struct defrag_options {
    std::uint64_t threshold_permille = 300;  ///< A pass works only when objects or free space are that fragmented.
    std::uint64_t bytes_per_second =
        50 * 1024 * 1024;                    ///< `plan` reckons with it; give the throttle the same. 0: unknown.
    block_count      cycle_blocks_max{256};  ///< Blocks copied in one cycle; 0: no limit.
    duration         cycle_interval = milliseconds(30'000);  ///< From the beginning of a cycle to that of the next.
    bool             compact_free_extents = true;
    bool             relocate_fragmented  = true;
    std::uint64_t    extents_min          = 5;  ///< Objects in fewer pieces count as whole and stay.
    defrag_intensity priority             = defrag_intensity::background;

    bool          verify_target = false;  ///< Read back and compare before the old copy goes.
    std::uint32_t races_max     = 3;      ///< Retries of a move whose object changed meanwhile.
    std::uint32_t failures_max  = 2;      ///< Retries of a failed transfer.

    // Memory: together they are what `memory_bytes` says.
    block_count window{1024};  ///< Longest range moved at once; a cycle's limit shortens it.
    std::size_t chunk_bytes =
        256 * 1024;  ///< What is copied at once; two halves take turns where the host has a queue.
    std::size_t read_bytes     = 64 * 1024;  ///< Of one read there: more is faster, and felt more.
    std::size_t pieces_max     = 1027;       ///< Pieces of a range; one in more is moved in several moves.
    std::size_t candidates_max = 256;        ///< Candidates that are ranked against each other.
    std::size_t set_aside_max  = 16;         ///< Ranges remembered because their blocks failed.
    std::size_t groups_max     = 64;         ///< Groups that are ordered worst first at a time.
    std::size_t transfers_max  = 16;         ///< Transfers in flight where the host has a queue; below 3 one by one.
};

/// The longest range that fits a cycle.
[[nodiscard]] constexpr block_count range_limit(const defrag_options& options) noexcept {
    const auto cycle = options.cycle_blocks_max;
    return cycle.value == 0 || options.window < cycle ? options.window : cycle;
}

}  // namespace ashlar::inline v0
