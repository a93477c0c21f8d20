#pragma once
/// The volume on which a store type is proved, and how its stores come to their device.

#include <ashlar/format/superblock.hpp>
#include <ashlar/journal/ring_journal.hpp>
#include <ashlar/testing/any_device.hpp>
#include <ashlar/testing/store_contents.hpp>
#include <ashlar/vocabulary/aligned_buffer.hpp>
#include <ashlar/volume/format_volume.hpp>

#include <functional>
#include <type_traits>

namespace ashlar::inline v0 {

/// Small volumes and rings are the sharpest: everything that is bounded is met, and a state costs little.
template <class Store>
struct crash_setup {
    using device_type = typename Store::device_type;

    block_size              block{512};
    block_count             blocks{1024};
    format_options          format{};
    typename Store::options store{};

    /// Makes the device that a store is given, over the one that is recorded and cut; whatever it refers to outlives
    /// the store. Without it `device_type` is made from the `any_device&` itself.
    std::function<device_type(any_device&)> stack{};

    /// Whether an order_checker watches; it understands the ring journal.
    bool watch_order = std::is_same_v<typename Store::volume_type::journal_type, ring_journal>;

    [[nodiscard]] device_type device_over(any_device& below) const {
        if constexpr (std::is_constructible_v<device_type, any_device&>) {
            if (!stack) return device_type(below);
        }
        ASHLAR_ASSERT(stack != nullptr);
        return stack(below);
    }
    [[nodiscard]] result<> format_on(any_device& below) const {
        auto device = device_over(below);
        return Store::format(device, format);
    }
    [[nodiscard]] result<Store> open_on(any_device& below) const { return Store::open(device_over(below), store); }

    /// The same in memory that is used again and again: `workspace` grows to what is needed and is kept.
    [[nodiscard]] result<Store> open_on(any_device& below, aligned_buffer& workspace) const {
        if constexpr (requires(std::span<std::byte> lent) { Store::open(device_over(below), store, lent); }) {
            const auto bytes = Store::workspace_bytes(block, store);
            if (workspace.bytes().size() < bytes) { BOOST_OUTCOME_TRY(workspace, aligned_buffer::allocate(bytes)); }
            return Store::open(device_over(below), store, workspace.bytes());
        } else {
            return open_on(below);
        }
    }
};

}  // namespace ashlar::inline v0
