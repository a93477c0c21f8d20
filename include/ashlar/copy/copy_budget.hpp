#pragma once
/// What a step of a copy may still do.

#include <ashlar/concepts/clock.hpp>
#include <ashlar/concepts/io_throttle.hpp>
#include <ashlar/maintenance/step_budget.hpp>
#include <ashlar/vocabulary/progress.hpp>

#include <algorithm>

namespace ashlar::inline v0 {

/// The step's budget and the throttle's grants. Each answer that refuses says why in the step's progress, but where the
/// throttle waits for what this copy itself has in flight: then it is asked again once that is done.
template <IoThrottle Throttle, Clock C>
class copy_budget {
  public:
    struct grant {
        block_count   blocks{};
        std::uint64_t bytes = 0;  ///< To be given back.
    };

    copy_budget(Throttle&& throttle, C&& clock) noexcept : throttle_{std::move(throttle)}, clock_{std::move(clock)} {}

    void begin(step_budget budget) noexcept {
        blocks_ = {budget.blocks_max};
        looks_  = budget.candidates_max;
        lifted_ = false;
    }
    /// From here to the next `begin` nothing is refused.
    void lift() noexcept { lifted_ = true; }

    [[nodiscard]] bool look(progress& said) noexcept {
        if (lifted_) return true;
        if (looks_ == 0) {
            said.reasons |= stop_reason::budget_spent;
            return false;
        }
        --looks_;
        return true;
    }

    /// For a transfer of at most so many blocks; none: refused.
    [[nodiscard]] grant take(block_count wanted, block_size size, progress& said) noexcept {
        if (lifted_) return {wanted, 0};
        if (blocks_.value == 0) {
            said.reasons |= stop_reason::budget_spent;
            return {};
        }
        wanted           = std::min(wanted, blocks_);
        const auto given = throttle_.acquire({bytes_of(wanted, size), size.bytes}, clock_.now());
        if (given.bytes == 0) {
            if (out_ != 0) return {};
            said.reasons |= stop_reason::throttled;
            said.not_before = given.not_before;
            return {};
        }
        wanted = std::min(whole_blocks(given.bytes, size), wanted);
        blocks_ -= wanted;
        out_ += given.bytes;
        return {wanted, given.bytes};
    }
    void give_back(std::uint64_t bytes) noexcept {
        if (bytes == 0) return;
        throttle_.release(bytes, clock_.now());
        out_ -= bytes;
    }
    [[nodiscard]] time_point now() const noexcept { return clock_.now(); }

  private:
    [[no_unique_address]] Throttle throttle_;
    [[no_unique_address]] C        clock_;
    block_count                    blocks_{};
    std::uint64_t                  looks_  = 0;
    std::uint64_t                  out_    = 0;  ///< Bytes in flight.
    bool                           lifted_ = false;
};

}  // namespace ashlar::inline v0
