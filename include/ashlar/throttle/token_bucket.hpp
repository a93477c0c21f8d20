#pragma once
/// Maintenance within bytes in flight, bytes per second and operations per second.

#include <ashlar/config.hpp>
#include <ashlar/throttle/pacer.hpp>

#include <algorithm>

namespace ashlar::inline v0 {

/// Bounds what the foreground feels first, and what the device carries second.
///
/// The wait of a foreground transfer grows with the background bytes that are in flight beside it, hardly with their
/// rate. So `bytes_in_flight_max` sizes the chunks, and the rates only say when the next one may go: a chunk is delayed
/// rather than cut, as one large transfer is cheaper than several small ones. No chunk is cut below 16 KiB.
/// Safe from: one thread at a time.
class token_bucket {
  public:
    static constexpr bool          needs_clock = true;
    static constexpr std::uint64_t chunk_floor = 16 * 1024;  ///< Smaller grants cost more in requests than they spare.

    struct options {
        std::uint64_t bytes_per_second      = 50 * 1024 * 1024;  ///< 0: no limit.
        std::uint64_t operations_per_second = 0;                 ///< Chunks; 0: no limit. They are spaced evenly.
        std::uint64_t bytes_in_flight_max   = 64 * 1024;
        std::uint64_t burst                 = 256 * 1024;  ///< Bytes that may go at once after a rest.
    };

    constexpr token_bucket() noexcept : token_bucket{options{}} {}
    constexpr explicit token_bucket(options chosen) noexcept
        : bytes_{chosen.bytes_per_second, std::max(chosen.burst, chunk_floor)},
          operations_{chosen.operations_per_second, 1},
          in_flight_max_{std::max(chosen.bytes_in_flight_max, chunk_floor)} {}

    /// Precondition: least <= want. A `least` above `bytes_in_flight_max` is granted when nothing is in flight, so that
    /// large blocks are not refused for ever.
    [[nodiscard]] constexpr io_grant acquire(io_request request, time_point now) noexcept {
        ASHLAR_ASSERT(request.least <= request.want);
        if (request.want == 0) return {};
        const auto least = std::max(request.least, std::min(request.want, chunk_floor));
        const auto limit = std::max(in_flight_max_, least);
        const auto room  = limit > in_flight_ ? limit - in_flight_ : 0;
        const auto bytes = std::min(request.want, room);
        if (bytes < least) return {0, after_release};
        const auto due = std::max(bytes_.due(bytes), operations_.due(1));
        if (due > now) return {0, due};
        bytes_.pass(bytes, now);
        operations_.pass(1, now);
        in_flight_ += bytes;
        return {bytes, {}};
    }

    /// The rate is not given back: the device may have carried the bytes.
    constexpr void release(std::uint64_t bytes, time_point) noexcept {
        ASHLAR_ASSERT(bytes <= in_flight_);
        in_flight_ -= bytes;
    }

    constexpr void observe(io_kind, std::uint64_t, duration, time_point) noexcept {}

    [[nodiscard]] constexpr std::uint64_t in_flight() const noexcept { return in_flight_; }

  private:
    pacer         bytes_;
    pacer         operations_;
    std::uint64_t in_flight_max_;
    std::uint64_t in_flight_ = 0;
};
static_assert(IoThrottle<token_bucket>);

}  // namespace ashlar::inline v0
