// Each concept both ways: its archetype models it, and a type that lacks one thing does not.

#include "archetypes.hpp"

namespace concepts_both_ways {

using namespace ashlar;

// ---- BlockDevice
// -----------------------------------------------------------------------------------------------------

struct device_without_sync {
    device_geometry geometry() const noexcept;
    result<>        read(extent, std::span<std::byte>) noexcept;
    result<>        write(extent, std::span<const std::byte>) noexcept;
    result<>        trim(extent) noexcept;
};
struct device_that_throws : archetype::block_device {
    result<> sync();
};
struct device_that_answers_bool : archetype::block_device {
    bool write(extent, std::span<const std::byte>) noexcept;
};
struct device_that_changes_what_it_writes : archetype::block_device {
    result<> write(extent, std::span<std::byte>) noexcept;
};
struct device_of_constant_shape : archetype::block_device {
    static constexpr device_geometry geometry() noexcept { return {block_size{512}, block_count{64}}; }
};

static_assert(BlockDevice<archetype::block_device>);
static_assert(BlockDevice<archetype::queued_device>);
static_assert(BlockDevice<device_of_constant_shape>);
static_assert(!BlockDevice<int>);
static_assert(!BlockDevice<device_without_sync>);
static_assert(!BlockDevice<device_that_throws>, "a device reports failures in its result");
static_assert(!BlockDevice<device_that_answers_bool>);
static_assert(!BlockDevice<device_that_changes_what_it_writes>, "the bytes of a write belong to the caller");

// ---- TransferQueue, QueuedDevice
// -------------------------------------------------------------------------------------

struct queue_that_cannot_move : archetype::transfer_queue {
    queue_that_cannot_move(queue_that_cannot_move&&) = delete;
};
struct queue_without_depth {
    std::size_t         in_flight() const noexcept;
    void                submit(transfer&) noexcept;
    result<std::size_t> complete(std::span<transfer*>, std::size_t) noexcept;
};
struct queue_that_answers_per_submit : archetype::transfer_queue {
    result<> submit(transfer&) noexcept;
};
struct device_with_a_queue_that_cannot_move : archetype::queued_device {
    using queue = queue_that_cannot_move;
};
struct device_that_opens_another_queue : archetype::queued_device {
    result<int> open_queue(queue_options) noexcept;
};

static_assert(TransferQueue<archetype::transfer_queue>);
static_assert(!TransferQueue<int>);
static_assert(!TransferQueue<queue_that_cannot_move>);
static_assert(!TransferQueue<queue_without_depth>);
static_assert(!TransferQueue<queue_that_answers_per_submit>, "a transfer's failure is in the transfer");
static_assert(QueuedDevice<archetype::queued_device>);
static_assert(!QueuedDevice<archetype::block_device>);
static_assert(!QueuedDevice<device_with_a_queue_that_cannot_move>);
static_assert(!QueuedDevice<device_that_opens_another_queue>);
static_assert(sizeof(transfer) <= 64, "a transfer is one cache line");

// ---- Checksum, Threading, Clock
// --------------------------------------------------------------------------------------

struct checksum_without_id {
    static constexpr bool enabled = true;
    static std::uint64_t  of(std::span<const std::byte>) noexcept;
};
struct checksum_of_32_bits : archetype::checksum {
    static std::uint32_t of(std::span<const std::byte>) noexcept;
};
static_assert(Checksum<archetype::checksum>);
static_assert(!Checksum<int>);
static_assert(!Checksum<checksum_without_id>, "what leaves bytes on disk has a format_id");
static_assert(!Checksum<checksum_of_32_bits>);

struct threading_without_condition {
    static constexpr bool concurrent = true;
    using mutex                      = archetype::threading::mutex;
    using counter                    = archetype::threading::counter;
};
struct threading_without_counter {
    static constexpr bool concurrent = true;
    using mutex                      = archetype::threading::mutex;
    using condition                  = archetype::threading::condition;
};
struct threading_that_does_not_say {
    using mutex     = archetype::threading::mutex;
    using condition = archetype::threading::condition;
    using counter   = archetype::threading::counter;
};
static_assert(Threading<archetype::threading>);
static_assert(!Threading<int>);
static_assert(!Threading<threading_without_condition>);
static_assert(!Threading<threading_without_counter>);
static_assert(!Threading<threading_that_does_not_say>);

struct clock_of_seconds : archetype::clock {
    double now() const noexcept;
};
struct clock_that_does_not_say {
    time_point now() const noexcept;
};
static_assert(Clock<archetype::clock>);
static_assert(Clock<no_clock> && !no_clock::ticks);
static_assert(!Clock<int>);
static_assert(!Clock<clock_of_seconds>);
static_assert(!Clock<clock_that_does_not_say>);

// ---- IoThrottle, DefragPolicy, Allocator
// -----------------------------------------------------------------------------

struct throttle_that_never_releases {
    static constexpr bool needs_clock = false;
    io_grant              acquire(io_request, time_point) noexcept;
    void                  observe(io_kind, std::uint64_t, duration, time_point) noexcept;
};
struct throttle_that_answers_bytes : archetype::io_throttle {
    std::uint64_t acquire(io_request, time_point) noexcept;
};
static_assert(IoThrottle<archetype::io_throttle>);
static_assert(!IoThrottle<int>);
static_assert(!IoThrottle<throttle_that_never_releases>);
static_assert(!IoThrottle<throttle_that_answers_bytes>);

struct policy_with_memory : archetype::defrag_policy {
    bool worth_moving(const defrag_candidate&) noexcept;
};
struct policy_without_rank {
    static constexpr bool enabled = true;
    bool                  worth_moving(const defrag_candidate&) const noexcept;
};
static_assert(DefragPolicy<archetype::defrag_policy>);
static_assert(!DefragPolicy<int>);
static_assert(!DefragPolicy<policy_with_memory>, "a policy is a pure rule");
static_assert(!DefragPolicy<policy_without_rank>);

struct allocator_with_memory : archetype::allocator {
    group_run find(const group_view&, group_request) noexcept;
};
struct allocator_without_id {
    group_run find(const group_view&, group_request) const noexcept;
};
static_assert(Allocator<archetype::allocator>);
static_assert(!Allocator<int>);
static_assert(!Allocator<allocator_with_memory>, "an allocator owns no state");
static_assert(!Allocator<allocator_without_id>);

// ---- Journal, JournalOn
// ----------------------------------------------------------------------------------------------

struct journal_without_seal : archetype::journal {
    result<sequence> seal(archetype::block_device&) = delete;
};
struct journal_that_cannot_move : archetype::journal {
    journal_that_cannot_move(journal_that_cannot_move&&) = delete;
};
struct journal_of_other_device : archetype::journal {
    result<> begin(int&, batch_shape) noexcept;
};
struct journal_that_is_none {
    static constexpr std::uint32_t format_id = 1001;
    static constexpr bool          durable   = false;
};
struct journal_that_only_claims {
    static constexpr std::uint32_t format_id = 1001;
    static constexpr bool          durable   = true;
};
static_assert(Journal<archetype::journal>);
static_assert(!Journal<int>);
static_assert(!Journal<journal_that_cannot_move>);
static_assert(JournalOn<archetype::journal, archetype::block_device>);
static_assert(!JournalOn<archetype::journal, int>);
static_assert(JournalOn<journal_that_is_none, archetype::block_device>, "a store without journal says so");
static_assert(!JournalOn<journal_that_only_claims, archetype::block_device>);
static_assert(!JournalOn<archetype::journal, archetype::queued_device>, "it takes another device by reference");
static_assert(Journal<journal_without_seal> && !JournalOn<journal_without_seal, archetype::block_device>);
static_assert(!JournalOn<journal_of_other_device, archetype::block_device>);

// ---- RelocationHost
// --------------------------------------------------------------------------------------------------

struct host_that_always_flips : archetype::relocation_host {
    result<> flip(object_id, logical_block, block_count, std::uint64_t, extent) noexcept;
};
struct host_without_generation : archetype::relocation_host {
    result<std::size_t> mapping(object_id, logical_block, block_count, std::span<mapped_extent>) noexcept;
};
static_assert(RelocationHost<archetype::relocation_host>);
static_assert(!RelocationHost<int>);
static_assert(!RelocationHost<host_that_always_flips>, "a flip says whether the generation stood");
static_assert(!RelocationHost<host_without_generation>);

}  // namespace concepts_both_ways
