#pragma once
/// Who is at work, counted so that another one can tell when all of a moment are done.

#include <ashlar/config.hpp>

#include <cstdint>

namespace ashlar::inline v0 {

/// Counts in two phases. Who enters counts in the phase of now; the phase changes, so what began before it is counted
/// apart from what begins after it.
class phase_count {
  public:
    /// Answers the ticket with which to leave. Cost: one count.
    [[nodiscard]] std::uint32_t enter() noexcept {
        const std::uint32_t ticket = phase_ & 1U;
        ++count_[ticket];
        return ticket;
    }
    void leave(std::uint32_t ticket) noexcept {
        ASHLAR_ASSERT(count_[ticket] > 0);
        --count_[ticket];
    }
    [[nodiscard]] std::uint32_t all() const noexcept { return count_[0] + count_[1]; }

    [[nodiscard]] std::uint32_t phase() const noexcept { return phase_; }
    /// Precondition: nobody of the phase before is left.
    void change() noexcept {
        ASHLAR_ASSERT(!older());
        ++phase_;
    }
    /// Whether somebody of the phase before is left.
    [[nodiscard]] bool older() const noexcept { return count_[(phase_ + 1U) & 1U] != 0; }
    /// Whether all that began in a phase are gone. The phase changes only when nobody of the one before is left, so two
    /// changes outlast everybody.
    [[nodiscard]] bool left(std::uint32_t phase) const noexcept { return all() == 0 || phase_ - phase > 1; }

  private:
    std::uint32_t count_[2]{};
    std::uint32_t phase_ = 0;
};

}  // namespace ashlar::inline v0
