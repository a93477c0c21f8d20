#pragma once
/// A throttle that is somebody else's.

#include <ashlar/concepts/io_throttle.hpp>

namespace ashlar::inline v0 {

/// Asks another throttle, so that two tasks share one rate. Precondition: the other one outlives it.
template <IoThrottle T>
class lent_throttle {
  public:
    static constexpr bool needs_clock = T::needs_clock;

    /// Of nobody: one that asks is assigned before.
    constexpr lent_throttle() noexcept = default;
    explicit lent_throttle(T& of) noexcept : of_{&of} {}

    [[nodiscard]] io_grant acquire(io_request request, time_point now) noexcept { return of_->acquire(request, now); }
    void                   release(std::uint64_t bytes, time_point now) noexcept { of_->release(bytes, now); }
    void                   observe(io_kind kind, std::uint64_t bytes, duration took, time_point now) noexcept {
                          of_->observe(kind, bytes, took, now);
    }

  private:
    T* of_ = nullptr;
};

}  // namespace ashlar::inline v0
