#pragma once
/// Time that stands still until a test moves it.

#include <ashlar/concepts/clock.hpp>
#include <ashlar/config.hpp>

#include <atomic>
#include <memory>

namespace ashlar::inline v0 {

/// Copies share one time: keep a copy, hand another to the store, and move both. A new clock begins at `start`.
/// Safe from: several threads.
class manual_clock {
  public:
    static constexpr bool ticks = true;

    explicit manual_clock(time_point start = {})
        : now_{std::make_shared<std::atomic<std::uint64_t>>(start.nanoseconds)} {}

    [[nodiscard]] time_point now() const noexcept { return {now_->load()}; }

    void advance(duration by) noexcept { now_->fetch_add(by.nanoseconds); }

    /// Precondition: `to` is not in the past.
    void set(time_point to) noexcept {
        ASHLAR_ASSERT(to >= now());
        now_->store(to.nanoseconds);
    }

  private:
    std::shared_ptr<std::atomic<std::uint64_t>> now_;
};
static_assert(Clock<manual_clock>);

}  // namespace ashlar::inline v0
