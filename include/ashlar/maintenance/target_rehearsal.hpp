#pragma once
/// Reservations that a plan makes to see where moves would go, and gives back.

#include <ashlar/concepts/relocation_host.hpp>

#include <span>

namespace ashlar::inline v0 {

/// Keeps as many targets as its lent memory holds, and at most so many blocks; then it gives all back and begins again.
class target_rehearsal {
  public:
    explicit target_rehearsal(std::span<extent> memory) noexcept : memory_{memory} {}

    void begin(block_count blocks_max) noexcept { blocks_max_ = blocks_max; }

    /// Whether the host finds room now, with the earlier targets taken.
    template <RelocationHost Host>
    [[nodiscard]] bool place(Host& host, target_request wanted) noexcept {
        if (count_ == memory_.size() || blocks_ + wanted.blocks > blocks_max_) release(host);
        const auto target = host.reserve_target(wanted);
        if (target.has_error()) return false;
        if (count_ == memory_.size() || wanted.blocks > blocks_max_) {
            host.release_target(target.value());
            return true;
        }
        memory_[count_++] = target.value();
        blocks_ += target.value().count;
        return true;
    }

    template <RelocationHost Host>
    void release(Host& host) noexcept {
        for (const auto& target : memory_.first(count_)) host.release_target(target);
        count_  = 0;
        blocks_ = {};
    }

  private:
    std::span<extent> memory_;
    std::size_t       count_ = 0;
    block_count       blocks_{};
    block_count       blocks_max_{};
};

}  // namespace ashlar::inline v0
