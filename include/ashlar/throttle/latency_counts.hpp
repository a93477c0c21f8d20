#pragma once
/// How long transfers took, counted so that a percentile can be read off.

#include <ashlar/vocabulary/ratio.hpp>
#include <ashlar/vocabulary/time_point.hpp>

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

namespace ashlar::inline v0 {

/// Eight buckets for each doubling, so that a bucket is at most an eighth wide of what it counts. The first eight are
/// 16 ns wide each; the last takes all from 17 seconds on.
inline constexpr std::size_t latency_buckets = 8 + 27 * 8;

using latency_totals = std::array<std::uint32_t, latency_buckets>;

[[nodiscard]] constexpr std::size_t latency_bucket(duration took) noexcept {
    const auto units = took.nanoseconds >> 4U;
    if (units < 8) return static_cast<std::size_t>(units);
    const auto shift  = static_cast<unsigned>(std::bit_width(units)) - 4U;
    const auto bucket = (std::size_t{shift} + 1U) * 8U + static_cast<std::size_t>((units >> shift) & 7U);
    return bucket < latency_buckets ? bucket : latency_buckets - 1;
}

/// The least time that the bucket counts. Of one bucket past the last: where the last would end.
[[nodiscard]] constexpr duration latency_floor(std::size_t bucket) noexcept {
    if (bucket < 16) return {std::uint64_t{bucket} << 4U};
    return {(8U + (std::uint64_t{bucket} & 7U)) << (bucket / 8U - 1U + 4U)};
}
static_assert(latency_bucket({0}) == 0 && latency_bucket({127}) == 7 && latency_bucket({128}) == 8);
static_assert(latency_bucket(latency_floor(100)) == 100 &&
              latency_floor(latency_bucket({1'000'000})) <= duration{1'000'000});
static_assert(latency_bucket({~std::uint64_t{0}}) == latency_buckets - 1);

[[nodiscard]] constexpr std::uint64_t samples_in(const latency_totals& totals) noexcept {
    std::uint64_t sum = 0;
    for (const auto count : totals) sum += count;
    return sum;
}

/// The time that 99 of 100 samples do not exceed, as if those of a bucket lay evenly in it; zero without samples. Of
/// fewer than a hundred samples it is about the slowest.
[[nodiscard]] constexpr duration percentile_99(const latency_totals& totals) noexcept {
    const auto    slower_max = quotient_of(samples_in(totals), 100);
    std::uint64_t slower     = 0;
    for (std::size_t bucket = latency_buckets; bucket-- > 0;) {
        const std::uint64_t here = totals[bucket];
        if (slower + here <= slower_max) {
            slower += here;
            continue;
        }
        const auto top   = latency_floor(bucket + 1).nanoseconds;
        const auto width = top - latency_floor(bucket).nanoseconds;
        return {top - quotient_of(width * (2 * (slower_max - slower) + 1), 2 * here)};
    }
    return {};
}

/// Semantics: `count` adds one to a bucket; `totals` answers how often each was counted, modulo 2^32. With
/// `concurrent`, several threads may count while one asks for totals, and no count is lost.
template <class T>
concept LatencyCounts = requires(T& counts, const T& seen, std::size_t bucket) {
    { T::concurrent } -> std::convertible_to<bool>;
    { counts.count(bucket) }
    noexcept->std::same_as<void>;
    { seen.totals() }
    noexcept->std::same_as<latency_totals>;
};

/// Counts of one thread.
class latency_counts {
  public:
    static constexpr bool concurrent = false;

    constexpr void                         count(std::size_t bucket) noexcept { ++totals_[bucket]; }
    [[nodiscard]] constexpr latency_totals totals() const noexcept { return totals_; }

  private:
    latency_totals totals_{};
};
static_assert(LatencyCounts<latency_counts>);

}  // namespace ashlar::inline v0
