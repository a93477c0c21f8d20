#pragma once
/// Aligned places for transfers whose own memory a device refuses.

#include <ashlar/concepts/transfer_queue.hpp>
#include <ashlar/vocabulary/aligned_buffer.hpp>

#include <array>

namespace ashlar::inline v0 {

/// A few places of the same size, each lent to one transfer at a time.
class bounce_slots {
  public:
    static constexpr std::size_t slots_max  = 16;
    static constexpr std::size_t slot_bytes = 16384;  ///< Of one place, where a block is not larger.

    bounce_slots() noexcept = default;

    /// Places in lent memory, or in 256 KiB of the heap where `lent` is empty.
    /// Errors: workspace_too_small when not even one fits.
    [[nodiscard]] static result<bounce_slots> open(std::span<std::byte> lent, block_size block) noexcept {
        bounce_slots slots;
        slots.bytes_ = block.bytes < slot_bytes ? slot_bytes : block.bytes;
        if (lent.empty()) {
            BOOST_OUTCOME_TRY(slots.memory_, aligned_buffer::allocate(slots_max * slot_bytes));
        } else {
            const auto address = reinterpret_cast<std::uintptr_t>(lent.data());
            const auto skipped = (aligned_buffer::alignment - address) & (aligned_buffer::alignment - 1);
            if (skipped < lent.size()) slots.memory_ = aligned_buffer::lend(lent.subspan(skipped));
        }
        for (std::size_t end = slots.bytes_; end <= slots.memory_.bytes().size(); end += slots.bytes_) {
            if (slots.count_ < slots_max) ++slots.count_;
        }
        if (slots.count_ == 0) return errc::workspace_too_small;
        return slots;
    }

    /// Lends a place. False: all are lent.
    [[nodiscard]] bool take(const transfer& t) noexcept { return swap_owner(nullptr, &t); }
    void               give_back(const transfer& t) noexcept { static_cast<void>(swap_owner(&t, nullptr)); }

    /// The place lent to a transfer. Precondition: it has one.
    [[nodiscard]] std::span<std::byte> of(const transfer& t) noexcept {
        std::size_t i = 0;
        while (owners_[i] != &t) ++i;
        return memory_.bytes().subspan(i * bytes_, bytes_);
    }

  private:
    bool swap_owner(const transfer* from, const transfer* to) noexcept {
        for (std::size_t i = 0; i < count_; ++i) {
            if (owners_[i] != from) continue;
            owners_[i] = to;
            return true;
        }
        return false;
    }

    aligned_buffer                         memory_;
    std::size_t                            bytes_ = 0;
    std::size_t                            count_ = 0;
    std::array<const transfer*, slots_max> owners_{};
};

}  // namespace ashlar::inline v0
