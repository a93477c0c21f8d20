#pragma once
/// Several transfers at once, through slots that the caller lends.

#include <ashlar/concepts/transfer_queue.hpp>

#include <array>

namespace ashlar::inline v0 {

/// Issues reads, writes and trims and waits for them together. The transfers of a batch have no order among themselves.
/// After the first failure nothing more is issued, and `finish` says what failed. Memory handed in stays the batch's
/// until `finish`, `sync` or the destructor, which wait. Nobody else uses the queue meanwhile. Cost: 3 to 19 ns a
/// transfer beside the device's own; no memory of its own.
template <TransferQueue Q>
class transfer_batch {
  public:
    /// Precondition: at least one slot; the queue is empty.
    transfer_batch(Q& queue, std::span<transfer> slots) noexcept : queue_{queue} {
        ASHLAR_ASSERT(!slots.empty() && queue.in_flight() == 0);
        const auto usable = slots.size() < queue.depth() ? slots.size() : queue.depth();
        for (auto& slot : slots.first(usable)) give_back(slot);
    }
    transfer_batch(const transfer_batch&)            = delete;
    transfer_batch& operator=(const transfer_batch&) = delete;
    ~transfer_batch() { static_cast<void>(finish()); }

    void read(extent e, std::span<std::byte> in) noexcept { issue(transfer_kind::read, e, in.data()); }

    void write(extent e, std::span<const std::byte> out) noexcept {
        issue(transfer_kind::write, e, const_cast<std::byte*>(out.data()));  // a write only reads the memory
    }

    void trim(extent e) noexcept { issue(transfer_kind::trim, e, nullptr); }

    /// Waits for all that was issued. Errors: the first failure since the last `finish`; the batch can be used again
    /// then.
    [[nodiscard]] result<> finish() noexcept {
        while (!broken_ && queue_.in_flight() > 0) reap();
        const auto failure = failure_;
        if (!broken_) failure_ = {};
        if (failure.code != errc::none) return failure;
        return success();
    }

    /// Waits for all, then makes it durable. Nothing is synced after a failure.
    [[nodiscard]] result<> sync() noexcept {
        BOOST_OUTCOME_TRY(finish());
        issue(transfer_kind::sync, {}, nullptr);
        return finish();
    }

  private:
    void issue(transfer_kind kind, extent e, std::byte* memory) noexcept {
        while (free_ == nullptr && !broken_) reap();
        if (failure_.code != errc::none) return;
        transfer& slot = *free_;
        free_          = slot.next;
        slot           = {};
        slot.kind      = kind;
        slot.blocks    = e;
        slot.memory    = memory;
        queue_.submit(slot);
    }

    void reap() noexcept {
        std::array<transfer*, 16> finished{};
        const auto                count = queue_.complete(finished, 1);
        if (!count) {
            broken_  = true;
            failure_ = count.error();
            return;
        }
        for (std::size_t i = 0; i < count.value(); ++i) {
            if (failure_.code == errc::none) failure_ = finished[i]->failure;
            give_back(*finished[i]);
        }
    }

    void give_back(transfer& slot) noexcept {
        slot.next = free_;
        free_     = &slot;
    }

    Q&        queue_;
    transfer* free_ = nullptr;
    error     failure_{};
    bool      broken_ = false;  // the queue itself failed: what is in flight can not be waited for
};

}  // namespace ashlar::inline v0
