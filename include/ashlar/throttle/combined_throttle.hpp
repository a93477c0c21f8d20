#pragma once
/// Two throttles at once.

#include <ashlar/concepts/io_throttle.hpp>
#include <ashlar/config.hpp>

#include <algorithm>

namespace ashlar::inline v0 {

/// Grants what both allow. What the first granted and the second did not is kept for the next request instead of being
/// asked for again, so that neither's budget leaks away in refusals. Combine a combination for three.
/// Safe from: one thread at a time.
template <IoThrottle First, IoThrottle Second>
class combined_throttle {
  public:
    static constexpr bool needs_clock    = First::needs_clock || Second::needs_clock;
    static constexpr bool listens        = v0::listens<First> || v0::listens<Second>;
    static constexpr bool observes_alone = v0::observes_alone<First> || v0::observes_alone<Second>;

    struct options {
        typename First::options  first{};
        typename Second::options second{};
    };

    constexpr combined_throttle() noexcept = default;
    constexpr explicit combined_throttle(const options& chosen) noexcept
        : first_{chosen.first}, second_{chosen.second} {}

    /// Precondition: least <= want.
    [[nodiscard]] constexpr io_grant acquire(io_request request, time_point now) noexcept {
        ASHLAR_ASSERT(request.least <= request.want);
        if (request.want == 0) return {};
        if (kept_ < std::max<std::uint64_t>(request.least, 1)) {
            if (const auto refusal = refill(request, now); refusal.bytes == 0) return refusal;
        }
        const auto grant = second_.acquire({std::min(request.want, kept_), request.least}, now);
        kept_ -= grant.bytes;
        return grant;
    }

    constexpr void release(std::uint64_t bytes, time_point now) noexcept {
        first_.release(bytes, now);
        second_.release(bytes, now);
    }

    constexpr void observe(io_kind kind, std::uint64_t bytes, duration took, time_point now) noexcept {
        first_.observe(kind, bytes, took, now);
        second_.observe(kind, bytes, took, now);
    }

    /// See v0::hear.
    constexpr void hear(const combined_throttle& other) noexcept {
        v0::hear(first_, other.first_);
        v0::hear(second_, other.second_);
    }

    [[nodiscard]] constexpr First&  first() noexcept { return first_; }
    [[nodiscard]] constexpr Second& second() noexcept { return second_; }

  private:
    /// Too little is kept for the request: that goes back, for it could be what the first waits for.
    constexpr io_grant refill(io_request request, time_point now) noexcept {
        if (kept_ > 0) first_.release(kept_, now);
        const auto grant = first_.acquire(request, now);
        kept_            = grant.bytes;
        return grant;
    }

    First         first_{};
    Second        second_{};
    std::uint64_t kept_ = 0;  // granted by the first, in flight there, not yet handed on
};

}  // namespace ashlar::inline v0
