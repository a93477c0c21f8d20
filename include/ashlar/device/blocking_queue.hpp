#pragma once
/// A transfer queue for devices that have none, so that the engine is written once.

#include <ashlar/device/transfer_list.hpp>

#include <type_traits>
#include <utility>

namespace ashlar::inline v0 {

/// Does each transfer when `complete` asks for it, one after the other, in the order of their submission. It is safe
/// as a model of the concept: no order is promised, and a sync covers what was complete before it.
/// A transfer still waiting when the queue is destroyed was never begun. The device must outlive the queue.
/// Cost: no memory; a queue is a few words.
template <BlockDevice D>
class blocking_queue {
  public:
    explicit blocking_queue(D& device, std::size_t depth = queue_options{}.depth) noexcept
        : device_{&device}, depth_{depth} {
        ASHLAR_ASSERT(depth > 0);
    }
    blocking_queue(const blocking_queue&)            = delete;
    blocking_queue& operator=(const blocking_queue&) = delete;
    blocking_queue(blocking_queue&& other) noexcept { take(other); }
    blocking_queue& operator=(blocking_queue&& other) noexcept {
        if (this != &other) take(other);
        return *this;
    }
    ~blocking_queue() = default;

    [[nodiscard]] std::size_t depth() const noexcept { return depth_; }
    [[nodiscard]] std::size_t in_flight() const noexcept { return in_flight_; }

    /// Precondition: in_flight() < depth().
    void submit(transfer& t) noexcept {
        ASHLAR_ASSERT(in_flight_ < depth_);
        waiting_.push(t);
        ++in_flight_;
    }

    /// Does as many transfers as `finished` has places. Precondition: at_least <= in_flight() and <= finished.size().
    [[nodiscard]] result<std::size_t> complete(std::span<transfer*> finished, std::size_t at_least) noexcept {
        ASHLAR_ASSERT(at_least <= in_flight_ && at_least <= finished.size());
        std::size_t count = 0;
        while (!waiting_.empty() && count < finished.size()) {
            transfer& t = waiting_.pop();
            --in_flight_;
            perform(t);
            finished[count++] = &t;
        }
        return count;
    }

  private:
    void perform(transfer& t) noexcept {
        const auto bytes = static_cast<std::size_t>(bytes_of(t.blocks.count, device_->geometry().size));
        t.failure        = {};
        const auto done  = [&]() noexcept -> result<> {
            switch (t.kind) {
                case transfer_kind::read: return device_->read(t.blocks, {t.memory, bytes});
                case transfer_kind::write: return device_->write(t.blocks, std::span<const std::byte>{t.memory, bytes});
                case transfer_kind::sync: return device_->sync();
                case transfer_kind::trim: return device_->trim(t.blocks);
            }
            return errc::invalid_argument;
        }();
        if (!done) t.failure = done.error();
    }

    void take(blocking_queue& other) noexcept {
        device_    = other.device_;
        depth_     = other.depth_;
        waiting_   = std::move(other.waiting_);
        in_flight_ = std::exchange(other.in_flight_, 0);
    }

    D*            device_ = nullptr;
    transfer_list waiting_;
    std::size_t   in_flight_ = 0;
    std::size_t   depth_     = 0;
};

namespace detail {
template <class D>
struct queue_choice {
    using type = blocking_queue<D>;
};
template <QueuedDevice D>
struct queue_choice<D> {
    using type = typename D::queue;
};
}  // namespace detail

/// The queue that engine code uses for a device: its own, or a blocking one.
template <BlockDevice D>
using queue_of = typename detail::queue_choice<D>::type;

/// Opens it. Errors: those of the device's own queue; invalid_argument for a depth of 0.
template <BlockDevice D>
[[nodiscard]] result<queue_of<D>> open_queue_of(D& device, queue_options options = {}) noexcept {
    if (options.depth == 0) return errc::invalid_argument;
    if constexpr (QueuedDevice<D>) {
        return device.open_queue(options);
    } else {
        return blocking_queue<D>{device, options.depth};
    }
}

}  // namespace ashlar::inline v0
