#pragma once
/// A device's own queue, opened when it is first needed.

#include <ashlar/device/blocking_queue.hpp>

#include <optional>

namespace ashlar::inline v0 {

/// For tasks in the background, which may never run. Asked once: a device that has no queue to give is not asked again.
template <BlockDevice D>
class lazy_queue {
  public:
    using queue_type = queue_of<D>;

    /// Of depth 0: never opened.
    explicit lazy_queue(std::size_t depth = 0) noexcept : depth_{depth}, refused_{depth == 0} {}

    /// Null where the device has none, or none to give.
    [[nodiscard]] queue_type* get([[maybe_unused]] D& device) noexcept {
        if constexpr (QueuedDevice<D>) {
            if (!queue_.has_value() && !refused_) {
                auto opened = device.open_queue({.depth = depth_});
                refused_    = opened.has_error();
                if (!refused_) queue_.emplace(std::move(opened).value());
            }
            if (queue_.has_value()) return &*queue_;
        }
        return nullptr;
    }

  private:
    struct no_queue {};

    [[no_unique_address]] std::conditional_t<QueuedDevice<D>, std::optional<queue_type>, no_queue> queue_{};
    std::size_t                                                                                    depth_;
    bool                                                                                           refused_;
};

}  // namespace ashlar::inline v0
