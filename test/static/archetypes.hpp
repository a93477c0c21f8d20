#pragma once
/// The least that a type can be and still model each concept. Engine code must compile against these.

#include <ashlar/concepts/allocator.hpp>
#include <ashlar/concepts/block_device.hpp>
#include <ashlar/concepts/checksum.hpp>
#include <ashlar/concepts/clock.hpp>
#include <ashlar/concepts/defrag_policy.hpp>
#include <ashlar/concepts/io_throttle.hpp>
#include <ashlar/concepts/journal.hpp>
#include <ashlar/concepts/relocation_host.hpp>
#include <ashlar/concepts/threading.hpp>
#include <ashlar/concepts/transfer_queue.hpp>

namespace archetype {

using namespace ashlar;

/// Cannot be copied, moved or made: no engine code may rely on more than the calls.
struct block_device {
    block_device(const block_device&) = delete;
    device_geometry geometry() const noexcept;
    result<>        read(extent, std::span<std::byte>) noexcept;
    result<>        write(extent, std::span<const std::byte>) noexcept;
    result<>        sync() noexcept;
    result<>        trim(extent) noexcept;
};

/// Movable only, because a queue is handed over when it is opened.
struct transfer_queue {
    transfer_queue(transfer_queue&&) noexcept;
    transfer_queue&     operator=(transfer_queue&&) noexcept;
    std::size_t         depth() const noexcept;
    std::size_t         in_flight() const noexcept;
    void                submit(transfer&) noexcept;
    result<std::size_t> complete(std::span<transfer*>, std::size_t) noexcept;
};

struct queued_device {
    using queue                         = transfer_queue;
    queued_device(const queued_device&) = delete;
    device_geometry geometry() const noexcept;
    result<>        read(extent, std::span<std::byte>) noexcept;
    result<>        write(extent, std::span<const std::byte>) noexcept;
    result<>        sync() noexcept;
    result<>        trim(extent) noexcept;
    result<queue>   open_queue(queue_options) noexcept;
};

struct checksum {
    static constexpr std::uint32_t format_id = 1000;
    static constexpr bool          enabled   = true;
    static std::uint64_t           of(std::span<const std::byte>) noexcept;
};

/// Its calls may throw, as those of std::mutex.
struct threading {
    static constexpr bool concurrent = true;
    struct mutex {
        mutex()             = default;
        mutex(const mutex&) = delete;
        void lock();
        void unlock();
    };
    struct condition {
        condition()                 = default;
        condition(const condition&) = delete;
        void wait(mutex&);
        void wake();
    };
    struct counter {
        counter()               = default;
        counter(const counter&) = delete;
        void          add(std::uint64_t) noexcept;
        void          set(std::uint64_t) noexcept;
        std::uint64_t value() const noexcept;
    };
};

struct clock {
    static constexpr bool ticks = true;
    time_point            now() const noexcept;
};

struct io_throttle {
    static constexpr bool needs_clock = true;
    io_throttle(const io_throttle&)   = delete;
    io_grant acquire(io_request, time_point) noexcept;
    void     release(std::uint64_t, time_point) noexcept;
    void     observe(io_kind, std::uint64_t, duration, time_point) noexcept;
};

struct defrag_policy {
    static constexpr bool enabled       = true;
    defrag_policy(const defrag_policy&) = delete;
    bool          worth_moving(const defrag_candidate&) const noexcept;
    std::uint64_t rank(const defrag_candidate&) const noexcept;
};

struct allocator {
    static constexpr std::uint32_t format_id = 1000;
    group_run                      find(const group_view&, group_request) const noexcept;
};

struct journal {
    static constexpr std::uint32_t format_id = 1000;
    static constexpr bool          durable   = true;

    journal(journal&&) noexcept;
    journal& operator=(journal&&) noexcept;

    static std::size_t      staging_bytes(block_size) noexcept;
    result<>                attach(journal_place, block_size, std::span<std::byte>) noexcept;
    result<>                format(block_device&, anchor_totals) noexcept;
    block_count             blocks_needed(batch_shape) const noexcept;
    block_count             room() const noexcept;
    block_count             capacity() const noexcept;
    result<>                begin(block_device&, batch_shape) noexcept;
    result<>                data(block_device&, block_index, std::uint64_t) noexcept;
    result<>                entry(block_device&, block_index, std::uint32_t, std::span<const std::byte>) noexcept;
    result<sequence>        seal(block_device&) noexcept;
    void                    acknowledge(sequence) noexcept;
    result<>                anchor(block_device&, sequence, anchor_totals) noexcept;
    result<recovery_report> recover(block_device&, journal_data_archetype&, bool) noexcept;
    result<>                replay(block_device&, journal_sink_archetype&) noexcept;
    sequence                next() const noexcept;
    sequence                acknowledged() const noexcept;
    sequence                confirmed() const noexcept;
    sequence                tail() const noexcept;
    std::uint64_t           epoch() const noexcept;
};

struct relocation_host {
    relocation_host(const relocation_host&) = delete;
    block_size                              block() const noexcept;
    result<std::optional<defrag_candidate>> next_candidate(relocation_cursor&, candidate_request) noexcept;
    std::uint64_t                           owner_count() noexcept;
    result<mapping_view>     mapping(object_id, logical_block, block_count, std::span<mapped_extent>) noexcept;
    result<extent>           reserve_target(target_request) noexcept;
    void                     release_target(extent) noexcept;
    result<>                 hold(extent) noexcept;
    void                     unhold(extent) noexcept;
    result<>                 read_blocks(extent, std::span<std::byte>) noexcept;
    result<>                 write_blocks(extent, std::span<const std::byte>) noexcept;
    result<bool>             flip(object_id, logical_block, block_count, std::uint64_t, extent) noexcept;
    result<>                 sync() noexcept;
    std::uint64_t            scope_count() noexcept;
    result<relocation_scope> scope(std::uint64_t) noexcept;
};

}  // namespace archetype
