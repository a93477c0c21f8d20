#pragma once
/// Everything that one open volume is made of.

#include <ashlar/concepts/allocator.hpp>
#include <ashlar/concepts/checksum.hpp>
#include <ashlar/concepts/journal.hpp>
#include <ashlar/device/blocking_queue.hpp>
#include <ashlar/format/migration_checkpoint.hpp>
#include <ashlar/volume/buffer_pool.hpp>
#include <ashlar/volume/engine_lock.hpp>
#include <ashlar/volume/indirection_map.hpp>
#include <ashlar/volume/region_motion.hpp>
#include <ashlar/volume/space_of.hpp>
#include <ashlar/volume/staged_writes.hpp>
#include <ashlar/volume/volume_metrics.hpp>

namespace ashlar::inline v0 {

/// Sizes that are chosen at open; with the geometry they decide the workspace.
struct volume_limits {
    std::size_t        cache_blocks = 1024;  ///< Metadata blocks in memory; at least 16.
    transaction_limits transaction{};
    std::size_t        transactions = 4;  ///< Open at once, the library's own included.
    space_limits       space{};
    std::size_t        unsynced_runs   = 256;   ///< Runs of data that one batch may list.
    std::size_t        unsynced_blocks = 1024;  ///< Data blocks that one batch may list; beyond, data is synced first.
    std::size_t staging_bytes = 256 * 1024;     ///< For transfers that need a copy; at least a frame and two blocks.
    std::size_t journal_bytes = 256 * 1024;     ///< For the journal's writes; at least what the journal needs.
    std::size_t staged_bytes  = 256 * 1024;     ///< Small writes wait here for the next batch; 0: none do.
    std::size_t edge_buffers  = 8;              ///< Blocks for reads and writes of parts of blocks; at least 4.
    std::size_t verify_groups = 4;              ///< Groups whose owners are checked in one pass.
    bool        verify_home   = true;           ///< A checkpoint reads back what it wrote.
    /// Entries that a region that slides has at once, 24 bytes or more each: a part takes no more blocks. A volume with
    /// more in its table is not opened for writing. 0: regions move whole or not at all.
    std::size_t indirection_entries_max = 4096;
};

inline constexpr std::size_t cache_blocks_min = 16;
inline constexpr std::size_t home_transfers   = 16;  ///< Runs of blocks that go home at once.

/// Copies that transactions may hold: each pins its block, and eight blocks are left for lookups.
[[nodiscard]] constexpr transaction_limits granted(const volume_limits& limits) noexcept {
    transaction_limits answer = limits.transaction;
    if (answer.shadows > limits.cache_blocks - 8) answer.shadows = limits.cache_blocks - 8;
    return answer;
}

/// Whether a store can work within these limits.
[[nodiscard]] constexpr bool are_possible(const volume_limits& limits) noexcept {
    return limits.cache_blocks >= cache_blocks_min && limits.cache_blocks < (1U << 30U) && limits.transactions >= 2 &&
           limits.transaction.shadows >= 8 && limits.transaction.extents >= 4 && limits.transaction.data_blocks >= 2 &&
           limits.transaction.objects >= 1 && limits.space.groups_loaded >= 1 && limits.space.groups_loaded <= 0xFFFF &&
           limits.space.hint_cells >= 1 && limits.verify_groups >= 1 &&
           limits.space.retired >= 2 * limits.transaction.extents && limits.space.holds >= 1 &&
           limits.indirection_entries_max < (1U << 30U) && limits.edge_buffers >= 4 &&
           limits.unsynced_runs >= limits.transaction.extents;
}

/// What a volume hands its journal to replay into: one type for every use, so that the reader of batches is compiled
/// once.
class replay_sink {
  public:
    template <class Apply>
    explicit replay_sink(Apply& apply) noexcept
        : context_{&apply},
          call_{[](void* context, block_index target, std::uint32_t offset, std::span<const std::byte> bytes) noexcept {
              return (*static_cast<Apply*>(context))(target, offset, bytes);
          }} {}

    result<> operator()(sequence, block_index target, std::uint32_t offset,
                        std::span<const std::byte> bytes) const noexcept {
        return call_(context_, target, offset, bytes);
    }

  private:
    void* context_;
    result<> (*call_)(void*, block_index, std::uint32_t, std::span<const std::byte>) noexcept;
};

/// State and parts of an open volume. The functions that work on it stand in commit.hpp, recovery.hpp and object/.
template <BlockDevice Device, Journal JournalPolicy, Allocator AllocatorPolicy, Checksum ChecksumPolicy,
          Threading ThreadingPolicy, class MapPolicy>
struct volume_state {
    using device_type    = Device;
    using journal_type   = JournalPolicy;
    using checksum_type  = ChecksumPolicy;
    using threading_type = ThreadingPolicy;
    using map_type       = MapPolicy;

    explicit volume_state(Device&& moved) noexcept : device{std::move(moved)} {}

    // Parts.
    Device                                             device;
    JournalPolicy                                      journal{};
    [[no_unique_address]] AllocatorPolicy              allocator{};
    [[no_unique_address]] engine_lock<ThreadingPolicy> lock{};
    volume_geometry                                    geometry{};
    volume_limits                                      limits{};
    volume_id                                          id{};
    region_table                                       regions{};
    metadata_cache                                     cache{};
    space_of<AllocatorPolicy>                          space{};

    // Memory.
    std::span<transaction_state> transactions{};
    std::span<std::byte>         staging{};
    std::span<std::byte>         journal_memory{};
    std::span<std::uint32_t>     order{};     ///< Slots in the order of their homes, during a checkpoint.
    std::span<bitmap_word>       claims{};    ///< Bitmaps of owners, while the volume is verified.
    std::span<std::uint64_t>     replayed{};  ///< Read-only: a filter of the blocks that the journal changes.
    bounded_list<extent>         unsynced{};  ///< Data written since the last sync, to be listed by the open batch.
    staged_writes                staged{};
    buffer_pool                  edges{};
    region_writes                region_traffic{};
    indirection_map              indirection{};

    volume_metrics<ThreadingPolicy> metrics{};

    // What the superblock says.
    std::uint32_t record_bytes   = 0;
    std::uint32_t inline_extents = 0;
    object_id     root{};

    /// Records on their way to a table of another width.
    struct record_migration {
        migration_phase phase          = migration_phase::none;
        std::uint32_t   record_bytes   = 0;
        std::uint32_t   inline_extents = 0;
        std::uint64_t   migrated       = 0;  ///< Records below are in both tables, and are changed in both.
    };
    record_migration migration{};
    std::uint32_t    migrations = 0;  ///< Begun since it was opened: tells one from the next.

    /// Records that were read lately, decoded: as true as they were while nothing has joined.
    struct recent_object {
        std::uint64_t changes = 0;
        object_state  object{};
    };
    static constexpr std::size_t recent_objects = ThreadingPolicy::concurrent ? 8 : 1;
    recent_object                recent[recent_objects]{};
    std::uint64_t                changes = 1;  ///< Joins, ever.

    struct no_queue {};
    /// The device's own queue for home writes, once it was needed.
    [[no_unique_address]] std::conditional_t<QueuedDevice<Device>, std::optional<queue_of<Device>>, no_queue>
        home_queue{};

    // State.
    recovery_report recovered{};
    error           failure{};          ///< Why writing ended (R15); code none while it goes on.
    sequence        open_batch{};       ///< The one that transactions join now.
    sequence        durable_batch{};    ///< The newest that was acknowledged.
    std::uint32_t   joined        = 0;  ///< Transactions in the open batch.
    std::uint32_t   joined_before = 0;  ///< In the batch before it.
    std::uint32_t   channel_reads = 0;  ///< Readers that end when a channel is looked after: none waits for them.
    block_index     wanted{};           ///< The block that an operation gave up for.
    block_identity  wanted_identity{};
    bool            is_wanted   = false;
    bool            gave_staged = false;  ///< The open batch gives back data that waits in memory: none of it may ride.
    bool            committing  = false;  ///< Somebody writes a batch or an anchor: only one may.
    bool            exclusive   = false;  ///< Blocks go home: nothing may change meanwhile.
    std::uint64_t   generation  = 0;      ///< The last that a mapping was given.
    std::uint64_t   last_record = 0;      ///< Where the last free record was found.
    std::uint64_t   trim_group  = 0;      ///< Where trimming goes on.
    std::uint64_t   now         = 0;      ///< The engine's time at its last call, for the anchor; 0 without a clock.
    bool            read_only   = false;
    bool            must_replay = false;     ///< Read-only: homes are older than the journal.
    bool            home_is_behind = false;  ///< Something was journaled since the last checkpoint.

    [[nodiscard]] metadata_access<volume_state> metadata() noexcept { return {cache, *this, regions, geometry}; }

    // As a source of metadata.
    [[nodiscard]] std::uint64_t seed(const block_identity& identity) const noexcept {
        return identity_seed(id, identity);
    }

    /// Whether an operation must be undone and repeated, because the block is not in memory.
    [[nodiscard]] bool defers(block_index home, const block_identity& identity) noexcept {
        if constexpr (!threading_type::concurrent) {
            return false;
        } else {
            if (lock.mode() != load_mode::again_on_miss || must_replay) return false;
            want(home, identity);
            return true;
        }
    }
    /// The same where another thread is just loading it; else waits for that.
    [[nodiscard]] bool must_give_up(block_index home, const block_identity& identity) noexcept {
        if (lock.mode() != load_mode::in_place) {
            want(home, identity);
            return true;
        }
        lock.wait();
        return false;
    }
    void want(block_index home, const block_identity& identity) noexcept {
        wanted          = home;
        wanted_identity = identity;
        is_wanted       = true;
    }

    /// Reads one metadata block; a failed read is tried once more. Read-only, the journal's changes are laid over it.
    result<> load(block_index home, std::span<std::byte> bytes) noexcept {
        const extent blocks{home, whole_blocks(bytes.size(), geometry.block)};
        auto         read = device.read(blocks, bytes);
        if (read.has_error()) read = device.read(blocks, bytes);
        if (read.has_error() || !must_replay) return read;
        return lay_over(home, bytes);
    }

    /// Hands every entry of the accepted batches to `apply(block, offset, bytes)`, oldest first.
    template <class Apply>
    result<> replay(Apply& apply) noexcept {
        const replay_sink sink{apply};
        return journal.replay(device, sink);
    }

    /// Whether changes are possible. Errors: read_only, with the place of the failure that ended writing.
    [[nodiscard]] result<> writable() const noexcept {
        if (failure.code != errc::none) return error{errc::read_only, failure.where, failure.os_code};
        if (read_only) return error{errc::read_only};
        return success();
    }

    /// Ends writing for good: nothing after it is acknowledged (R15).
    error end_writing(error why) noexcept {
        if (failure.code == errc::none) failure = why;
        return why;
    }

    /// Lays the memory out; without a volume the same code only counts it.
    static constexpr void lay_out(arena& from, block_size block, const volume_limits& limits,
                                  volume_state* volume) noexcept {
        const auto                slots = limits.cache_blocks;
        const auto                grant = granted(limits);
        metadata_cache            cache;
        space_of<AllocatorPolicy> space;
        bounded_list<extent>      unsynced;
        staged_writes             staged;
        buffer_pool               edges;
        indirection_map           indirection;
        cache.take(from, block, slots, grant.shadows);
        space.take(from, block, limits.space, limits.transactions * limits.transaction.extents, slots);
        const auto transactions = from.take<transaction_state>(limits.transactions);
        for (std::size_t i = 0; i < limits.transactions; ++i) {
            transaction_state counted;
            (transactions.empty() ? counted : transactions[i]).take(from, grant);
        }
        const auto alignment = metadata_cache::io_alignment(block);
        const auto least     = std::size_t{frame_bytes_of(block)} + 2 * std::size_t{block.bytes};
        const auto staging   = from.take_bytes(limits.staging_bytes < least ? least : limits.staging_bytes, alignment);
        const auto order     = from.take<std::uint32_t>(slots + frame_slots);
        const auto claims    = from.take<bitmap_word>(limits.verify_groups * words_for(blocks_per_group(block)));
        const auto replayed  = from.take<std::uint64_t>(replay_filter_words);
        staged.take(from, block, limits.staged_bytes, alignment);
        edges.take(from, block, limits.edge_buffers, alignment);
        unsynced.lend(from.take<extent>(limits.unsynced_runs));
        indirection.take(from, limits.indirection_entries_max);
        std::span<std::byte> journal_memory;
        if constexpr (JournalPolicy::durable) {
            const auto journal_least = JournalPolicy::staging_bytes(block);
            journal_memory =
                from.take_bytes(limits.journal_bytes < journal_least ? journal_least : limits.journal_bytes, alignment);
        }
        if (volume == nullptr) return;
        volume->limits         = limits;
        volume->geometry.block = block;
        volume->cache          = cache;
        volume->space          = space;
        volume->transactions   = transactions;
        volume->staging        = staging;
        volume->order          = order;
        volume->claims         = claims;
        volume->replayed       = replayed;
        volume->staged         = staged;
        volume->edges          = edges;
        volume->unsynced       = unsynced;
        volume->indirection    = indirection;
        volume->journal_memory = journal_memory;
    }

    /// Blocks that the journal changes, as bits of a hash of their number.
    static constexpr std::size_t               replay_filter_words = 64;
    [[nodiscard]] static constexpr std::size_t filter_bit(block_index block) noexcept {
        return static_cast<std::size_t>(block.value * 0x9E3779B97F4A7C15U >> 52U);
    }
    [[nodiscard]] bool may_be_replayed(block_index block) const noexcept {
        return (replayed[filter_bit(block) / 64] >> (filter_bit(block) % 64) & 1U) != 0;
    }

    /// Lays the changes of a journal that was not brought home over a block.
    result<> lay_over(block_index home, std::span<std::byte> bytes) noexcept {
        if constexpr (JournalPolicy::durable) {
            if (!may_be_replayed(home)) return success();
            auto apply = [&](block_index target, std::uint32_t offset,
                             std::span<const std::byte> change) noexcept -> result<> {
                if (target != home) return success();
                if (offset > bytes.size() || change.size() > bytes.size() - offset) return error{errc::damaged, target};
                std::memcpy(bytes.data() + offset, change.data(), change.size());
                return success();
            };
            return replay(apply);
        } else {
            return success();
        }
    }
};

}  // namespace ashlar::inline v0
