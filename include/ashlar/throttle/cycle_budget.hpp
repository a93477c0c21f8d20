#pragma once
/// Maintenance of at most so many bytes in each interval.

#include <ashlar/config.hpp>
#include <ashlar/throttle/pacer.hpp>
#include <ashlar/vocabulary/address.hpp>

#include <algorithm>

namespace ashlar::inline v0 {

/// A fixed amount per cycle, for devices whose wear or energy is rationed. What a cycle leaves over is lost, so that a
/// long rest is never followed by a long burst. A cycle begins with its first request.
/// Safe from: one thread at a time.
class cycle_budget {
  public:
    static constexpr bool needs_clock = true;

    struct options {
        std::uint64_t bytes_per_cycle = 256 * 4096;
        duration      interval        = milliseconds(30'000);
    };

    /// The same, counted in blocks.
    [[nodiscard]] static constexpr options of_blocks(block_count blocks, block_size size, duration interval) noexcept {
        return {bytes_of(blocks, size), interval};
    }

    constexpr cycle_budget() noexcept = default;
    constexpr explicit cycle_budget(options chosen) noexcept : options_{chosen} {}

    /// Precondition: least <= want. A `least` above the whole budget is granted at the beginning of a cycle, of which
    /// it then takes all.
    [[nodiscard]] constexpr io_grant acquire(io_request request, time_point now) noexcept {
        ASHLAR_ASSERT(request.least <= request.want);
        if (request.want == 0) return {};
        if (!begun_ || now >= ends_) {
            begun_ = true;
            ends_  = later(now, options_.interval);
            spent_ = 0;
        }
        const auto limit = spent_ == 0 ? std::max(options_.bytes_per_cycle, request.least) : options_.bytes_per_cycle;
        const auto left  = limit > spent_ ? limit - spent_ : 0;
        const auto bytes = std::min(request.want, left);
        if (bytes == 0 || bytes < request.least) return {0, ends_};
        spent_ += bytes;
        return {bytes, {}};
    }

    /// Nothing comes back within a cycle: the device may have carried the bytes.
    constexpr void release(std::uint64_t, time_point) noexcept {}
    constexpr void observe(io_kind, std::uint64_t, duration, time_point) noexcept {}

  private:
    options       options_{};
    std::uint64_t spent_ = 0;
    time_point    ends_{};
    bool          begun_ = false;
};
static_assert(IoThrottle<cycle_budget>);

}  // namespace ashlar::inline v0
