#pragma once
/// A latency target that many threads tell of their transfers.

#include <ashlar/throttle/latency_target.hpp>

#include <atomic>

namespace ashlar::inline v0 {

/// Counts of several threads. Threads are spread over shards, so that they seldom write to one cache line.
/// Copying is for the time before threads share it.
/// Safe from: any thread, except for copies.
class concurrent_latency_counts {
  public:
    static constexpr bool concurrent = true;

    concurrent_latency_counts() noexcept = default;
    concurrent_latency_counts(const concurrent_latency_counts& other) noexcept { take(other); }
    concurrent_latency_counts& operator=(const concurrent_latency_counts& other) noexcept {
        if (this != &other) take(other);
        return *this;
    }
    ~concurrent_latency_counts() = default;

    void count(std::size_t bucket) noexcept {
        shards_[shard_of_thread()][bucket].fetch_add(1, std::memory_order_relaxed);
    }

    [[nodiscard]] latency_totals totals() const noexcept {
        latency_totals sums{};
        for (const auto& shard : shards_) {
            for (std::size_t i = 0; i < latency_buckets; ++i) sums[i] += shard[i].load(std::memory_order_relaxed);
        }
        return sums;
    }

  private:
    static constexpr std::size_t shards = 4;  // a power of two

    static std::size_t shard_of_thread() noexcept {
        static std::atomic<std::size_t> threads{0};
        thread_local const std::size_t  mine = threads.fetch_add(1, std::memory_order_relaxed) & (shards - 1);
        return mine;
    }

    void take(const concurrent_latency_counts& other) noexcept {
        for (std::size_t s = 0; s < shards; ++s) {
            for (std::size_t i = 0; i < latency_buckets; ++i) {
                shards_[s][i].store(other.shards_[s][i].load(std::memory_order_relaxed), std::memory_order_relaxed);
            }
        }
    }

    std::array<std::array<std::atomic<std::uint32_t>, latency_buckets>, shards> shards_{};
};
static_assert(LatencyCounts<concurrent_latency_counts>);

using concurrent_latency_target = basic_latency_target<concurrent_latency_counts>;
static_assert(IoThrottle<concurrent_latency_target>);
static_assert(!concurrent_latency_target::observes_alone);

}  // namespace ashlar::inline v0
