#pragma once
/// The background work of a store: present only where its blueprint names a defrag policy.

#include <ashlar/maintenance/defragmenter.hpp>
#include <ashlar/object/relocation_source.hpp>
#include <ashlar/store_options.hpp>

namespace ashlar::inline v0 {

/// The defragmenter of a blueprint's store.
template <Blueprint B>
using defragmenter_of =
    defragmenter<relocation_source<volume_of<B>>, typename B::defrag, typename B::throttle, typename B::clock>;

/// The defragmenter and its memory, or nothing at all.
template <Blueprint B, bool Enabled = B::defrag::enabled>
class store_maintenance {
  public:
    [[nodiscard]] static constexpr std::size_t memory_bytes(const defrag_options&, block_size) noexcept { return 0; }
    template <class Options>
    result<> open(const Options&, block_size, std::span<std::byte>) noexcept {
        return success();
    }
    [[nodiscard]] progress step(volume_of<B>&, step_budget) noexcept {
        progress said;
        said.reasons = stop_reason::finished;
        return said;
    }
};

template <Blueprint B>
class store_maintenance<B, true> {
  public:
    [[nodiscard]] static constexpr std::size_t memory_bytes(const defrag_options& chosen, block_size block) noexcept {
        return defragmenter_of<B>::memory_bytes(chosen, block);
    }

    template <class Options>
    result<> open(const Options& chosen, block_size block, std::span<std::byte> memory) noexcept {
        BOOST_OUTCOME_TRY(auto made, defragmenter_of<B>::create(chosen.defrag, block, memory, chosen.policy,
                                                                typename B::throttle{chosen.throttle}, chosen.clock));
        defragmenter_.emplace(std::move(made));
        transfers_    = chosen.defrag.transfers_max;
        queue_failed_ = transfers_ < transfers_min;
        return success();
    }

    [[nodiscard]] progress step(volume_of<B>& volume, step_budget budget) noexcept {
        relocation_source<volume_of<B>> host{volume, queue_for(volume.device)};
        return defragmenter_->step(host, budget);
    }

    [[nodiscard]] defragmenter_of<B>& defragmenter() noexcept { return *defragmenter_; }

    /// Tells the throttle of a transfer of the foreground. As safe from several threads as the throttle says.
    void observe(io_kind kind, std::uint64_t bytes, duration took, time_point now) noexcept {
        defragmenter_->throttle().observe(kind, bytes, took, now);
    }

  private:
    using device_type = typename B::device;
    using queue_type  = queue_of<device_type>;

    /// The device's own queue, opened at the first step; null where it has none, or none to give.
    [[nodiscard]] queue_type* queue_for([[maybe_unused]] device_type& device) noexcept {
        if constexpr (QueuedDevice<device_type>) {
            if (!queue_.has_value() && !queue_failed_) {
                auto opened   = device.open_queue({.depth = transfers_});
                queue_failed_ = opened.has_error();
                if (!queue_failed_) queue_.emplace(std::move(opened).value());
            }
            if (queue_.has_value()) return &*queue_;
        }
        return nullptr;
    }

    struct no_queue {};

    std::optional<defragmenter_of<B>> defragmenter_;
    [[no_unique_address]] std::conditional_t<QueuedDevice<device_type>, std::optional<queue_type>, no_queue> queue_{};
    std::size_t transfers_    = 0;
    bool        queue_failed_ = false;
};

}  // namespace ashlar::inline v0
