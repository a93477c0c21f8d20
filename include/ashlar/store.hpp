#pragma once
/// The store: objects on a device, composed from the policies of a blueprint. Longer than most headers, so that every
/// verb of the facade stands in one place with its promise.

#include <ashlar/maintenance/fragmentation_report.hpp>
#include <ashlar/maintenance/repairer.hpp>
#include <ashlar/maintenance/trimmer.hpp>
#include <ashlar/maintenance/verifier.hpp>
#include <ashlar/object/migration_resume.hpp>
#include <ashlar/store_maintenance.hpp>
#include <ashlar/store_options.hpp>
#include <ashlar/store_transaction.hpp>
#include <ashlar/vocabulary/aligned_buffer.hpp>
#include <ashlar/vocabulary/stepping_range.hpp>

namespace ashlar::inline v0 {

/// Objects that grow, on a device that may lose power at any time. A handle of one pointer; moving it is cheap.
///
/// Promises: `write`, `append`, `truncate`, `punch`, `reserve`, `pin`, `unpin` and `erase` are atomic and visible when
/// they return, and durable at the next `sync`. A transaction is visible and durable at `commit`. Reads may see work
/// that is not durable yet. After a failed sync the store only reads, says `read_only`, and opening it again decides.
/// Safe from: one thread at a time, unless the blueprint's threading says more.
template <Blueprint B>
class store {
    struct core;

  public:
    using volume_type = volume_of<B>;
    using device_type = typename B::device;
    using transaction = store_transaction<volume_type>;

    struct options {
        volume_limits                 limits{};
        typename B::throttle::options throttle{};
        typename B::defrag            policy{};  ///< Which extents are worth moving.
        typename B::clock             clock{};
        defrag_options                defrag{};
    };

    store() noexcept = default;
    store(store&& other) noexcept : core_{std::exchange(other.core_, nullptr)} {}
    store& operator=(store&& other) noexcept {
        if (this != &other) {
            leave();
            core_ = std::exchange(other.core_, nullptr);
        }
        return *this;
    }
    store(const store&)            = delete;
    store& operator=(const store&) = delete;
    ~store() { leave(); }

    /// Bytes of workspace that `open` needs. A constant expression where its arguments are.
    [[nodiscard]] static constexpr std::size_t workspace_bytes(block_size block, const options& chosen = {}) noexcept {
        arena counted;
        static_cast<void>(counted.take_bytes(sizeof(core), alignof(core)));
        volume_type::lay_out(counted, block, chosen.limits, nullptr);
        static_cast<void>(counted.take_bytes(store_maintenance<B>::memory_bytes(chosen.defrag, block),
                                             metadata_cache::io_alignment(block)));
        return counted.used();
    }

    /// Makes an empty volume of the whole device. Errors and cost: format_volume.
    [[nodiscard]] static result<> format(device_type& device, const format_options& chosen = {}) noexcept {
        // The journal's zeros: written in small parts they would take a hundred times as long.
        constexpr std::size_t together = 1U << 20U;
        const auto            least    = format_scratch_bytes<volume_type>(device.geometry().size);
        BOOST_OUTCOME_TRY(auto scratch, aligned_buffer::allocate(least + together));
        return format(device, chosen, scratch.bytes());
    }
    [[nodiscard]] static result<> format(device_type& device, const format_options& chosen,
                                         std::span<std::byte> scratch) noexcept {
        return format_volume<volume_type>(device, chosen, B::object_map::format_id, scratch);
    }

    /// Opens a volume, and recovers it where it was not closed. Takes its memory from the heap, once.
    /// Errors: those of open_volume; workspace_too_small.
    [[nodiscard]] static result<store> open(device_type device, options chosen = {}) noexcept {
        return open_on_heap(std::move(device), std::move(chosen), false);
    }
    /// The same in lent memory, which must outlive the store.
    [[nodiscard]] static result<store> open(device_type device, options chosen,
                                            std::span<std::byte> workspace) noexcept {
        return open_in(std::move(device), std::move(chosen), aligned_buffer::lend(workspace), false);
    }
    /// Opens without writing a byte; works on a volume whose journal refuses to be opened for writing.
    [[nodiscard]] static result<store> open_read_only(device_type device, options chosen = {}) noexcept {
        return open_on_heap(std::move(device), std::move(chosen), true);
    }

    /// Makes everything durable, brings it home and empties the journal. The handle is empty afterwards, also on error.
    /// The destructor does the same, but nobody hears what fails. Errors: read_only where writing has ended before:
    /// what was not acknowledged may be lost.
    result<> close() noexcept {
        ASHLAR_ASSERT(core_ != nullptr);
        auto done = close_here();
        release();
        return done;
    }

    /// Gives the device back without writing anything, as a crash would leave it.
    [[nodiscard]] device_type abandon() noexcept {
        ASHLAR_ASSERT(core_ != nullptr);
        device_type device = std::move(volume().device);
        release();
        return device;
    }

    // Objects. ------------------------------------------------------------------------------------------------------

    /// The object that a format makes; found again after a restart without knowing anything.
    [[nodiscard]] object_id root() const noexcept { return core_->volume.root; }

    /// Errors: too_large when the table has all its parts; those of space and device.
    result<object_id> create() noexcept {
        const auto guard = enter();
        return create_one(volume());
    }

    /// The object is gone at once; its blocks are freed in steps, some now, the rest by `maintain` or when space is
    /// short.
    result<> erase(object_id id) noexcept {
        const auto guard = enter();
        if (id == root()) return errc::invalid_argument;
        return erase_one(volume(), id);
    }

    /// Reads from `offset` on; fewer bytes at the end of the object. Errors: not_found; checksum_differs with the
    /// block. Cost: one transfer an extent; the checksum blocks that are not cached.
    result<std::size_t> read(object_id id, std::uint64_t offset, std::span<std::byte> into) noexcept {
        const auto began = beside().foreground_time();
        auto       read  = read_here(id, offset, into);
        beside().tell_foreground(io_kind::read, into.size(), began);
        return read;
    }

    /// Reads consecutive bytes into several pieces of memory.
    result<std::size_t> read(object_id id, std::uint64_t offset,
                             std::span<const std::span<std::byte>> pieces) noexcept {
        std::size_t sum = 0;
        for (const auto& piece : pieces) {
            BOOST_OUTCOME_TRY(const auto bytes, read(id, offset + sum, piece));
            sum += bytes;
            if (bytes < piece.size()) break;
        }
        return sum;
    }

    /// Writes bytes; past the end the object grows, and what is skipped reads as zeros.
    /// Errors: too_large beyond write_bytes_max; pinned; busy; not_found; those of space and device. Nothing is half
    /// done.
    result<> write(object_id id, std::uint64_t offset, std::span<const std::byte> bytes) noexcept {
        const auto guard = enter();
        return write_one(volume(), id, offset, bytes);
    }

    /// Writes behind the end and answers where. More than write_bytes_max is cut: then the parts are atomic, not the
    /// whole, and what other threads append at the same time may come between them.
    result<std::uint64_t> append(object_id id, std::span<const std::byte> bytes) noexcept {
        const auto                   guard = enter();
        const std::size_t            most  = static_cast<std::size_t>(write_bytes_max());
        std::optional<std::uint64_t> first;
        do {
            const auto part = bytes.first(bytes.size() < most ? bytes.size() : most);
            BOOST_OUTCOME_TRY(const auto at, append_one(volume(), id, part));
            if (!first) first = at;
            bytes = bytes.subspan(part.size());
        } while (!bytes.empty());
        return *first;
    }

    /// A write and a sync.
    result<> put(object_id id, std::uint64_t offset, std::span<const std::byte> bytes) noexcept {
        BOOST_OUTCOME_TRY(write(id, offset, bytes));
        return sync();
    }

    /// Bytes that one write may hold, whatever its offset.
    [[nodiscard]] std::uint64_t write_bytes_max() const noexcept {
        return bytes_of(block_count{core_->volume.limits.transaction.data_blocks - 1}, core_->volume.geometry.block);
    }

    /// Sets the size; bytes past the end are zero. Errors: pinned; out_of_range; those of write.
    result<> truncate(object_id id, std::uint64_t size) noexcept {
        const auto guard = enter();
        return change_object(volume(), id, [&](std::uint32_t tx, object_state& object) noexcept {
            return truncate_object(volume(), tx, object, size);
        });
    }

    /// Makes a hole, which reads as zeros; whole blocks become free. Errors: pinned; too_large; those of write.
    result<> punch(object_id id, std::uint64_t offset, std::uint64_t length) noexcept {
        const auto guard = enter();
        return change_object(volume(), id, [&](std::uint32_t tx, object_state& object) noexcept {
            return punch_object(volume(), tx, object, offset, length);
        });
    }

    /// Gives the holes of a range blocks, which later writes fill in place. The size stays.
    result<> reserve(object_id id, std::uint64_t offset, std::uint64_t length) noexcept {
        const auto guard = enter();
        BOOST_OUTCOME_TRY(leave_list(volume(), id));
        return change_object(volume(), id, [&](std::uint32_t tx, object_state& object) noexcept {
            return reserve_object(volume(), tx, object, offset, length);
        });
    }

    /// Keeps the extents of a range where they are: they are never moved, and overwriting them is refused.
    result<> pin(object_id id, std::uint64_t offset, std::uint64_t length) noexcept {
        return set_pinned(id, offset, length, true);
    }
    result<> unpin(object_id id, std::uint64_t offset, std::uint64_t length) noexcept {
        return set_pinned(id, offset, length, false);
    }

    result<std::uint64_t> size(object_id id) noexcept {
        const auto guard = enter();
        BOOST_OUTCOME_TRY(const auto object, find(id));
        return object.size;
    }

    result<object_info> info(object_id id) noexcept {
        const auto guard = enter();
        BOOST_OUTCOME_TRY(const auto object, find(id));
        return object_info{object.id,         object.size,       object.map.blocks, object.map.extents,
                           object.generation, object.map.height, object.attributes};
    }

    result<> set_attributes(object_id id, std::span<const std::byte, attribute_bytes> attributes) noexcept {
        const auto guard = enter();
        return change_object(volume(), id, [&](std::uint32_t, object_state& object) noexcept -> result<> {
            std::memcpy(object.attributes.data(), attributes.data(), attribute_bytes);
            return success();
        });
    }

    /// The first object behind `after` in the order of ids; object_id{} begins.
    result<std::optional<object_id>> next_object(object_id after) noexcept {
        const auto guard = enter();
        return with_loads(volume(), [&]() noexcept { return ashlar::next_object(volume(), after); });
    }

    /// The extent that covers `from`, or else the first after it.
    result<std::optional<mapped_extent>> next_extent(object_id id, logical_block from) noexcept {
        const auto guard = enter();
        return with_loads(volume(), [&]() noexcept -> result<std::optional<mapped_extent>> {
            BOOST_OUTCOME_TRY(auto object, load_object(volume(), no_transaction, id));
            return map_of(volume(), no_transaction, object, space_use::data).find(from);
        });
    }

    /// All objects, in the order of their ids, as an input range: range-v3 and `for` take it. Each step reads the next
    /// id; an error ends the range, and `failure()` of it says so.
    [[nodiscard]] auto objects() noexcept {
        return stepping_range{[this, last = object_id{}]() mutable noexcept -> result<std::optional<object_id>> {
            BOOST_OUTCOME_TRY(const auto id, next_object(last));
            if (id) last = *id;
            return id;
        }};
    }

    /// The extents of an object, in their logical order, likewise.
    [[nodiscard]] auto extents(object_id id) noexcept {
        return stepping_range{
            [this, id, from = logical_block{}]() mutable noexcept -> result<std::optional<mapped_extent>> {
                BOOST_OUTCOME_TRY(const auto piece, next_extent(id, from));
                if (piece) from = piece->logical + piece->physical.count;
                return piece;
            }};
    }

    /// The free runs of the volume, in order; runs end where groups end. What waits for its batch counts as in use.
    [[nodiscard]] auto free_runs() noexcept {
        return stepping_range{[this, from = block_index{}]() mutable noexcept -> result<std::optional<extent>> {
            const auto guard = enter();
            BOOST_OUTCOME_TRY(const auto run, with_loads(volume(), [&]() noexcept {
                                  return volume().space.next_free(volume().metadata(), from);
                              }));
            if (run) from = run->end();
            return run;
        }};
    }

    // Durability. ---------------------------------------------------------------------------------------------------

    /// Everything that returned before is durable when this returns. Cost: one journal write and one sync; nothing when
    /// nothing changed. After an error writing has ended.
    result<> sync() noexcept {
        const auto guard = enter();
        if (volume().read_only) return errc::read_only;
        return flush(volume());
    }

    /// Brings every change home and empties the journal.
    result<> checkpoint() noexcept {
        const auto guard = enter();
        return ashlar::checkpoint(volume());
    }

    /// Several changes that become visible and durable together. Errors: busy; too_large; those of making room.
    result<transaction> begin() noexcept {
        const auto guard = enter();
        return transaction::begin(volume());
    }

    /// One bounded step of what the store does for itself: what was erased is freed, scattered objects and free space
    /// are put together where the blueprint names a policy, and an idle store confirms its last batches. No thread runs
    /// hidden: call it when there is time. `not_before` of the answer says when it is of use again.
    result<progress> maintain(step_budget budget = {}) noexcept {
        const locked<typename B::threading> alone{core_->maintaining};
        bool                                freed = false;
        {
            const auto guard = enter();
            BOOST_OUTCOME_TRY(volume().writable());
            for (std::uint32_t i = 0; i < reap_steps_at_once; ++i) {
                BOOST_OUTCOME_TRY(const bool more, reap(volume()));
                if (!more) break;
                freed = true;
            }
        }
        auto said = core_->maintenance.step(volume(), budget);
        if (freed) {
            said.reasons |= stop_reason::budget_spent;
        } else {
            const auto guard = enter();
            BOOST_OUTCOME_TRY(confirm_when_idle(volume()));
        }
        return said;
    }

    /// A step of the defragmenter alone.
    [[nodiscard]] progress defragment(step_budget budget = {}) noexcept requires B::defrag::enabled {
        const locked<typename B::threading> alone{core_->maintaining};
        return core_->maintenance.step(volume(), budget);
    }

    /// What a defragmentation would do; moves nothing. Errors: those of reading metadata.
    result<defrag_plan> plan_defragmentation(
        std::optional<std::uint64_t> group = {}) noexcept requires B::defrag::enabled {
        const locked<typename B::threading> alone{core_->maintaining};
        relocation_source<volume_type>      host{volume()};
        return core_->maintenance.defragmenter().plan(host, group);
    }

    /// To start, pause, resume and cancel it, and to ask what it did; each takes effect at its next step.
    [[nodiscard]] auto& defragmenter() noexcept requires B::defrag::enabled {
        return core_->maintenance.defragmenter();
    }

    /// How objects and free space lie. Cost: every bitmap that was ever written.
    result<fragmentation_report> fragmentation() noexcept {
        const auto guard = enter();
        await_stillness(volume());
        return report_fragmentation(volume());
    }

    /// Tells the device about free blocks, at most `blocks_max` of them. Call it again until the report says finished.
    /// Errors: read_only; those of the device. After a crash some blocks are trimmed again, which is harmless.
    result<trim_report> trim(block_count blocks_max) noexcept {
        const locked<typename B::threading> alone{core_->maintaining};
        const auto                          guard = enter();
        return trimmer<volume_type>{volume()}.step(blocks_max);
    }

    /// Proves that the volume is whole; `sink(const verify_finding&)` hears what is not. Cost: all metadata and, with
    /// `with_data`, all data is read. Safe while transactions are open: what has not joined has no part in it.
    template <class Sink>
    result<verify_report> verify(Sink&& sink, bool with_data = true) noexcept {
        const auto guard = enter();
        await_stillness(volume());
        return verifier<volume_type, std::remove_reference_t<Sink>>{volume(), sink}.run(with_data);
    }

    /// Mends what verify finds, where that is certain; `sink(const repair_finding&)` hears of each finding what was
    /// done, or that it was left. Data is never touched. Cut or failed, a repair leaves the volume as it was or better,
    /// and another one ends it. With `dry_run` nothing is written, so a store open for reading will do.
    /// Errors: read_only; busy while transactions are open; those of the device. Changes of others wait meanwhile.
    /// Cost: verify twice, the second time with data by option; a journaled change for each group that is mended.
    template <class Sink>
    result<repair_report> repair(Sink&& sink, repair_options chosen = {}) noexcept {
        const auto guard = enter();
        return repairer<volume_type, std::remove_reference_t<Sink>>{volume(), sink, chosen}.run();
    }

    // State. --------------------------------------------------------------------------------------------------------

    [[nodiscard]] const recovery_report& recovered() const noexcept { return core_->volume.recovered; }
    [[nodiscard]] device_type&           device() noexcept { return volume().device; }
    [[nodiscard]] bool                   read_only() const noexcept {
                          const entered guard{core_->volume};
                          return core_->volume.writable().has_error();
    }
    [[nodiscard]] volume_type& volume() noexcept { return core_->volume; }

    /// What the store did since it was opened, and has now. Takes no lock, so it never waits. Safe from: any thread.
    [[nodiscard]] store_metrics metrics() const noexcept { return core_->volume.metrics.snapshot(); }

    /// Sizes, counts and the journal's state. Reading them walks nothing; a checkpoint is waited for.
    [[nodiscard]] store_info info() const noexcept {
        const entered guard{core_->volume};
        await_quiet(core_->volume);
        return describe(core_->volume);
    }

    /// What works beside the store, as a channel does, keeps this: it owns nothing and stays valid while the store is
    /// open, wherever the handle moves.
    class companion {
      public:
        [[nodiscard]] volume_type& volume() const noexcept { return core_->volume; }

        /// The engine's time, where the blueprint has a clock.
        [[nodiscard]] std::uint64_t time() const noexcept {
            if constexpr (B::clock::ticks) return core_->clock.now().nanoseconds;
            return 0;
        }
        /// The time where a throttle listens to the foreground; else nothing is asked.
        [[nodiscard]] time_point foreground_time() const noexcept {
            if constexpr (hears_foreground<B>) return core_->clock.now();
            return {};
        }
        /// Tells the throttle of a transfer of the foreground that began then.
        void tell_foreground([[maybe_unused]] io_kind kind, [[maybe_unused]] std::uint64_t bytes,
                             [[maybe_unused]] time_point began) const noexcept {
            if constexpr (hears_foreground<B>) {
                const auto now = core_->clock.now();
                core_->maintenance.throttle().observe(kind, bytes, {now.nanoseconds - began.nanoseconds}, now);
            }
        }
        /// A throttle of a task's own, that hears of the store's foreground where throttles listen. Precondition: the
        /// store outlives it and stays open.
        [[nodiscard]] typename B::throttle throttle(const typename B::throttle::options& chosen) const noexcept {
            typename B::throttle made{chosen};
            if constexpr (hears_foreground<B>) hear(made, core_->maintenance.throttle());
            return made;
        }

      private:
        friend store;
        explicit companion(core* of) noexcept : core_{of} {}
        core* core_;
    };
    [[nodiscard]] companion beside() noexcept { return companion{core_}; }

  private:
    /// Lies at the head of the workspace, so that the handle can move while the rest stays.
    struct core {
        core(device_type&& device, const options& chosen) noexcept : volume{std::move(device)}, clock{chosen.clock} {}

        volume_type                                        volume;
        [[no_unique_address]] typename B::clock            clock;
        [[no_unique_address]] store_maintenance<B>         maintenance{};
        [[no_unique_address]] typename B::threading::mutex maintaining{};  ///< Only one thread steps it.
        aligned_buffer                                     memory{};
    };

    [[nodiscard]] static result<store> open_on_heap(device_type&& device, options&& chosen, bool read_only) noexcept {
        BOOST_OUTCOME_TRY(auto memory, aligned_buffer::allocate(workspace_bytes(device.geometry().size, chosen)));
        return open_in(std::move(device), std::move(chosen), std::move(memory), read_only);
    }

    [[nodiscard]] static result<store> open_in(device_type&& device, options&& chosen, aligned_buffer memory,
                                               bool read_only) noexcept {
        const auto size = device.geometry().size;
        if (!is_block_size(size.bytes) || !are_possible(chosen.limits)) return errc::invalid_argument;
        if (memory.bytes().size() < workspace_bytes(size, chosen)) return errc::workspace_too_small;
        arena      from{memory.bytes()};
        const auto head = from.take_bytes(sizeof(core), alignof(core));
        store      made;
        made.core_         = ::new (static_cast<void*>(head.data())) core{std::move(device), chosen};
        made.core_->memory = std::move(memory);
        volume_type::lay_out(from, size, chosen.limits, &made.core_->volume);
        const auto background = from.take_bytes(store_maintenance<B>::memory_bytes(chosen.defrag, size),
                                                metadata_cache::io_alignment(size));
        if (auto opened = made.core_->maintenance.open(chosen, size, background); opened.has_error()) {
            made.release();
            return opened.error();
        }
        auto opened = made.open_here(read_only);
        if (opened.has_error()) {
            made.release();
            return opened.error();
        }
        return made;
    }

    result<> open_here(bool read_only) noexcept {
        const auto guard = enter();
        BOOST_OUTCOME_TRY(open_volume(volume(), B::object_map::format_id, read_only));
        return resume_migration(volume());
    }
    result<> close_here() noexcept {
        const auto guard = enter();
        return close_volume(volume());
    }

    result<object_state> find(object_id id) noexcept {
        return with_loads(volume(), [&]() noexcept { return load_object(volume(), no_transaction, id); });
    }

    result<std::size_t> read_here(object_id id, std::uint64_t offset, std::span<std::byte> into) noexcept {
        const auto guard = enter();
        return read_bytes(volume(), id, offset, into);
    }

    result<> set_pinned(object_id id, std::uint64_t offset, std::uint64_t length, bool pinned) noexcept {
        const auto guard = enter();
        return change_object(volume(), id, [&](std::uint32_t tx, object_state& object) noexcept {
            return pin_object(volume(), tx, object, offset, length, pinned);
        });
    }

    /// Excludes other threads, where the blueprint has any, but for the device's work. The engine's time is the call's.
    [[nodiscard]] entered<volume_type> enter() noexcept { return entered<volume_type>{volume(), beside().time()}; }

    void leave() noexcept {
        if (core_ != nullptr) static_cast<void>(close());
    }

    void release() noexcept {
        aligned_buffer memory = std::move(core_->memory);
        core_->~core();
        core_ = nullptr;
    }

    core* core_ = nullptr;
};

}  // namespace ashlar::inline v0
