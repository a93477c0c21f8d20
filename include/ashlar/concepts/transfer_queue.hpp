#pragma once
/// Many transfers in flight.

#include <ashlar/concepts/block_device.hpp>

namespace ashlar::inline v0 {

enum class transfer_kind : std::uint8_t { read, write, sync, trim };

/// One transfer: its owner's until handed to a queue, and again once handed back.
struct transfer {
    extent     blocks{};
    std::byte* memory   = nullptr;  ///< `blocks.count` blocks of bytes; unused by sync and trim. A write only reads it.
    std::uint64_t token = 0;        ///< The owner's word; no queue looks at it.
    error         failure{};        ///< Code `none` when the transfer succeeded.
    transfer*     next  = nullptr;  ///< The queue's, while in flight.
    std::uint32_t moved = 0;        ///< The queue's, while in flight.
    transfer_kind kind  = transfer_kind::read;
};

/// Semantics: transfers of a queue have no order. A `sync` covers those completed before it was submitted, on any
/// queue. `complete` fails only when the queue itself is broken; a transfer's own failure is in it. Short transfers and
/// interruptions are the queue's business. Destroying a queue waits for what is in flight.
template <class Q>
concept TransferQueue = std::movable<Q> &&
    requires(Q& queue, const Q& seen, transfer& t, std::span<transfer*> finished, std::size_t at_least) {
    { seen.depth() }
    noexcept->std::same_as<std::size_t>;
    { seen.in_flight() }
    noexcept->std::same_as<std::size_t>;
    { queue.submit(t) }
    noexcept->std::same_as<void>;
    { queue.complete(finished, at_least) }
    noexcept->std::same_as<result<std::size_t>>;
};

struct queue_options {
    std::size_t          depth = 32;
    std::span<std::byte> memory{};            ///< For the queue's own bookkeeping where it needs any.
    std::size_t          reap_max   = 0;      ///< Completions handed back by one call at most; 0: the device's choice.
    bool                 one_thread = false;  ///< Promise: only the opening thread uses the queue.
};

/// A device that opens queues of its own.
template <class D>
concept QueuedDevice = BlockDevice<D> && TransferQueue<typename D::queue> && requires(D& device, queue_options o) {
    { device.open_queue(o) }
    noexcept->std::same_as<result<typename D::queue>>;
};

}  // namespace ashlar::inline v0
