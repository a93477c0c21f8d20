#pragma once
/// The background work of a store: present only where its blueprint names a defrag policy.

#include <ashlar/device/lazy_queue.hpp>
#include <ashlar/maintenance/defragmenter.hpp>
#include <ashlar/object/relocation_source.hpp>
#include <ashlar/store_options.hpp>

namespace ashlar::inline v0 {

/// The defragmenter of a blueprint's store.
template <Blueprint B>
using defragmenter_of =
    defragmenter<relocation_source<volume_of<B>>, typename B::defrag, typename B::throttle, typename B::clock>;

/// Whether somebody has a use for how long the transfers of the foreground take.
template <Blueprint B>
inline constexpr bool hears_foreground = B::clock::ticks&& listens<typename B::throttle>;

/// The defragmenter and its memory, or nothing at all; and a throttle that hears of the foreground, where one listens.
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
    /// Precondition: hears_foreground.
    [[nodiscard]] typename B::throttle& throttle() noexcept { return ears_; }

  private:
    struct nobody {};
    [[no_unique_address]] std::conditional_t<hears_foreground<B>, typename B::throttle, nobody> ears_{};
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
        const auto transfers = chosen.defrag.transfers_max;
        queue_               = lazy_queue<typename B::device>{transfers < transfers_min ? 0 : transfers};
        return success();
    }

    [[nodiscard]] progress step(volume_of<B>& volume, step_budget budget) noexcept {
        relocation_source<volume_of<B>> host{volume, queue_.get(volume.device)};
        return defragmenter_->step(host, budget);
    }

    [[nodiscard]] defragmenter_of<B>& defragmenter() noexcept { return *defragmenter_; }

    /// Which hears of the foreground. As safe from several threads as it says.
    [[nodiscard]] typename B::throttle& throttle() noexcept { return defragmenter_->throttle(); }

  private:
    std::optional<defragmenter_of<B>> defragmenter_;
    lazy_queue<typename B::device>    queue_{};
};

}  // namespace ashlar::inline v0
