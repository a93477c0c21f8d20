#pragma once
/// Many requests to a store in flight from one thread.

#include <ashlar/device/blocking_queue.hpp>
#include <ashlar/store.hpp>
#include <ashlar/volume/batch_flight.hpp>

namespace ashlar::inline v0 {

enum class request_verb : std::uint8_t {
    read,   ///< Finished when the bytes are there, and proved.
    write,  ///< Finished when others can see it; durable with the next put or sync.
    put,    ///< A write that is finished when it is durable. All puts that are under way share a batch.
    sync,   ///< Finished when everything is durable that was finished before.
};

/// One request: its owner's until submitted, and again once `complete` hands it back. It and its memory stay where they
/// are meanwhile.
struct request {
    request_verb         verb = request_verb::read;
    object_id            object{};
    std::uint64_t        offset = 0;
    std::span<std::byte> memory{};         ///< Read into, or written from; a write only reads it.
    std::uint64_t        token = 0;        ///< The owner's word; nobody looks at it.
    error                failure{};        ///< Code `none` when it succeeded.
    std::size_t          moved = 0;        ///< Bytes; a read has fewer at the end of the object.
    request*             next  = nullptr;  ///< The channel's, while in flight.
};

struct channel_options {
    std::size_t depth      = 32;     ///< Requests in flight.
    std::size_t reap_max   = 0;      ///< As `queue_options` says.
    bool        one_thread = false;  ///< Promise: only the opening thread uses the channel.
};

/// Reads, writes and commits of one thread, many at a time. Nothing is allocated per request.
///
/// Requests have no order among themselves, except that a read sees the writes and puts that were finished before it
/// was submitted. A put's commit is under way until it is finished: its thread calls `complete` until then, since other
/// commits of the store wait for it; a blocking call of the same thread that needs to commit meanwhile answers `busy`,
/// or with a concurrent threading would wait for itself. A write of more than half of `staged_bytes`, a part of a
/// block, and metadata that is not cached are worked off inside `complete`. Precondition: the store outlives the
/// channel, and stays open. Safe from: one thread at a time.
template <Blueprint B>
class channel {
  public:
    using volume_type = volume_of<B>;

    /// Errors: invalid_argument for a depth of 0; workspace_too_small; those of the device's queue.
    [[nodiscard]] static result<channel> open(store<B>& owner, channel_options chosen = {}) noexcept {
        const auto size = owner.volume().geometry.block;
        BOOST_OUTCOME_TRY(auto memory, aligned_buffer::allocate(memory_bytes(chosen, size)));
        return open_in(owner, chosen, std::move(memory));
    }
    /// The same in lent memory, which must outlive the channel.
    [[nodiscard]] static result<channel> open(store<B>& owner, channel_options chosen,
                                              std::span<std::byte> memory) noexcept {
        return open_in(owner, chosen, aligned_buffer::lend(memory));
    }
    [[nodiscard]] static constexpr std::size_t memory_bytes(const channel_options& chosen, block_size size) noexcept {
        arena counted;
        lay_out(counted, chosen, size, nullptr);
        return counted.used();
    }

    channel(channel&& other) noexcept            = default;
    channel& operator=(channel&& other) noexcept = delete;
    channel(const channel&)                      = delete;
    channel& operator=(const channel&)           = delete;
    /// Waits for what is in flight; nobody hears of it.
    ~channel() {
        if (core_ == nullptr) return;
        std::array<request*, 8> finished;
        while (core_->in_flight != 0 && complete(finished, 1).has_value()) {}
        core_->~core();
    }

    [[nodiscard]] std::size_t depth() const noexcept { return core_->jobs.size(); }
    [[nodiscard]] std::size_t in_flight() const noexcept { return core_->in_flight; }

    /// Takes a request; nothing begins before `complete`. Precondition: in_flight() < depth(). Cost: no system call.
    void submit(request& asked) noexcept {
        ASHLAR_ASSERT(core_->in_flight < core_->jobs.size());
        asked.failure = {};
        asked.moved   = 0;
        core_->submitted.push(asked);
        ++core_->in_flight;
    }

    /// Begins all that was submitted, and waits until at least so many requests are finished; answers how many.
    /// Errors: the device's queue broke; then what is in flight is lost. A request's own failure is in it.
    /// Precondition: at_least <= in_flight() and <= finished.size().
    [[nodiscard]] result<std::size_t> complete(std::span<request*> finished, std::size_t at_least) noexcept {
        ASHLAR_ASSERT(at_least <= core_->in_flight && at_least <= finished.size());
        std::size_t count = 0;
        for (;;) {
            core_->begin();
            count += core_->hand_back(finished.subspan(count));
            const bool enough = count >= at_least;
            BOOST_OUTCOME_TRY(core_->advance(!enough));
            count += core_->hand_back(finished.subspan(count));
            if (count >= at_least) return count;
        }
    }

  private:
    /// Requests in the order they came.
    struct request_list {
        request* first = nullptr;
        request* last  = nullptr;

        [[nodiscard]] bool empty() const noexcept { return first == nullptr; }
        void               push(request& one) noexcept {
                          one.next                               = nullptr;
                          (last == nullptr ? first : last->next) = &one;
                          last                                   = &one;
        }
        request* pop() noexcept {
            request* const one = first;
            if (one == nullptr) return nullptr;
            first = one->next;
            if (first == nullptr) last = nullptr;
            return one;
        }
    };

    /// A read under way.
    struct job {
        request*             asked = nullptr;
        read_plan            plan;
        std::span<std::byte> buffer{};
        std::size_t          planned   = 0;  ///< Bytes of this round.
        std::size_t          next      = 0;  ///< Piece to be read next.
        std::size_t          out       = 0;  ///< Transfers in flight.
        std::uint32_t        ticket    = 0;
        std::uint32_t        next_free = 0;
        std::uint32_t        races     = 0;
        time_point           began{};
    };

    static constexpr std::uint32_t none = ~std::uint32_t{0};

    struct slot {
        transfer      io;
        std::uint32_t job   = none;  ///< `none`: the batch's.
        std::uint32_t piece = 0;
        std::uint32_t next  = none;
    };

    struct core;

    static constexpr std::size_t transfers_of(std::size_t depth) noexcept { return depth + 16; }

    static constexpr void lay_out(arena& from, const channel_options& chosen, block_size size, core* made) noexcept {
        const auto jobs    = from.template take<job>(chosen.depth);
        const auto slots   = from.template take<slot>(transfers_of(chosen.depth));
        const auto buffers = from.take_bytes(chosen.depth << size.shift(), metadata_cache::io_alignment(size));
        static_cast<void>(from.take_bytes(sizeof(core), alignof(core)));
        if (made == nullptr) return;
        made->jobs  = jobs;
        made->slots = slots;
        for (std::uint32_t i = 0; i < jobs.size(); ++i) {
            jobs[i].buffer    = buffers.subspan(std::size_t{i} << size.shift(), size.bytes);
            jobs[i].next_free = i + 1 < jobs.size() ? i + 1 : none;
        }
        for (std::uint32_t i = 0; i < slots.size(); ++i) slots[i].next = i + 1 < slots.size() ? i + 1 : none;
        made->free_job = made->free_slot = 0;
    }

    [[nodiscard]] static result<channel> open_in(store<B>& owner, const channel_options& chosen,
                                                 aligned_buffer memory) noexcept {
        const auto size = owner.volume().geometry.block;
        if (chosen.depth == 0) return errc::invalid_argument;
        if (memory.bytes().size() < memory_bytes(chosen, size)) return errc::workspace_too_small;
        BOOST_OUTCOME_TRY(auto queue, open_queue_of(owner.device(), {.depth      = transfers_of(chosen.depth),
                                                                     .reap_max   = chosen.reap_max,
                                                                     .one_thread = chosen.one_thread}));
        arena      from{memory.bytes()};
        const auto head = from.take_bytes(sizeof(core), alignof(core));
        channel    made;
        made.core_ = owning{::new (static_cast<void*>(head.data())) core{owner, std::move(queue)}};
        lay_out(from, chosen, size, made.core_.get());
        made.memory_ = std::move(memory);
        return made;
    }

    /// Everything that moves while the handle may be moved.
    struct core {
        core(store<B>& store, queue_of<typename B::device>&& opened) noexcept
            : owner{store}, volume{store.volume()}, queue{std::move(opened)} {}

        store<B>&                    owner;
        volume_type&                 volume;
        queue_of<typename B::device> queue;
        std::span<job>               jobs{};
        std::span<slot>              slots{};
        std::uint32_t                free_job  = none;
        std::uint32_t                free_slot = none;
        std::size_t                  in_flight = 0;
        std::size_t                  reading   = 0;     ///< Jobs in use.
        std::uint32_t                unissued  = none;  ///< A job that has pieces to be read, or none.
        request_list                 submitted{};
        request_list                 undurable{};  ///< Wait for a batch, oldest first.
        request_list                 done{};
        batch_flight<volume_type>    flight{};

        // Beginning. ------------------------------------------------------------------------------------------------

        /// Begins what was submitted: reads at once, the rest while no batch of this channel is on its way.
        void begin() noexcept {
            if (submitted.empty() && (undurable.empty() || !flight.idle())) return;
            const entered guard{volume, owner.time()};
            request_list  later;
            while (request* const asked = submitted.pop()) {
                if (asked->verb == request_verb::read) {
                    begin_read(*asked);
                } else if (flight.idle()) {
                    begin_change(*asked);
                } else {
                    later.push(*asked);
                }
            }
            submitted = later;
            commit();
        }

        void begin_read(request& asked) noexcept {
            const std::uint32_t index = free_job;
            job&                work  = jobs[index];
            free_job                  = work.next_free;
            work.asked                = &asked;
            work.races                = 0;
            work.began                = owner.foreground_time();
            ++reading;
            plan_round(index);
        }

        /// Plans the bytes that follow; the lock is held.
        void plan_round(std::uint32_t index) noexcept {
            job&       work    = jobs[index];
            request&   asked   = *work.asked;
            const auto before  = work.plan.generation();
            const auto planned = with_loads(volume, [&]() noexcept -> result<std::size_t> {
                BOOST_OUTCOME_TRY(auto object, load_object(volume, no_transaction, asked.object));
                if (asked.moved != 0 && object.generation != before) return errc::raced;
                const auto at   = asked.offset + asked.moved;
                const auto left = at < object.size ? object.size - at : 0;
                const auto rest = asked.memory.size() - asked.moved;
                return work.plan.make(
                    volume, object, at,
                    asked.memory.subspan(asked.moved, left < rest ? static_cast<std::size_t>(left) : rest));
            });
            if (planned.has_error()) return fail_round(index, planned.error());
            work.planned = planned.value();
            work.next = work.out = 0;
            if (work.plan.pieces().empty()) {
                asked.moved += work.planned;
                // Holes and what is in memory need no transfer; nothing at all is the end of the object.
                if (work.planned == 0 || asked.moved == asked.memory.size()) return end_read(index);
                return plan_round(index);
            }
            work.ticket = volume.space.enter_reader();
            issue(index);
        }

        void fail_round(std::uint32_t index, error why) noexcept {
            job& work = jobs[index];
            if (why.code == errc::raced) {  // it changed between two rounds: all of it again, in the end in one go
                work.asked->moved = 0;
                if (++work.races < read_races_max) return plan_round(index);
                auto read = read_bytes(volume, work.asked->object, work.asked->offset, work.asked->memory);
                if (read.has_value()) {
                    work.asked->moved = read.value();
                    return end_read(index);
                }
                why = read.error();
            }
            work.asked->failure = why;
            end_read(index);
        }

        void begin_change(request& asked) noexcept {
            const std::span<const std::byte> bytes{asked.memory};
            result<>                         changed = success();
            if (asked.verb != request_verb::sync)
                changed = write_one(volume, asked.object, asked.offset, bytes);
            else
                changed = volume.writable();
            if (changed.has_error()) {
                asked.failure = changed.error();
                return done.push(asked);
            }
            asked.moved = asked.verb == request_verb::sync ? 0 : bytes.size();
            if (asked.verb == request_verb::write) return done.push(asked);
            undurable.push(asked);
        }

        // Committing. -----------------------------------------------------------------------------------------------

        /// Sends the open batch where somebody waits for it and nobody else commits. The lock is held.
        void commit() noexcept {
            if (undurable.empty() || !flight.idle()) return;
            if (volume.committing) return;  // another thread's; `advance` waits for it
            if (volume.cache.open_slots().empty() || volume.writable().has_error()) return end_durable();
            if constexpr (volume_type::journal_type::durable) {
                if (flight.take_off(volume).has_error()) return end_durable();
            } else {
                static_cast<void>(flush(volume));
                end_durable();
            }
        }

        /// What waited for the batch is durable, or it failed. Nothing joins after the batch was sealed but before it
        /// landed, since changes wait for that; so all of them were in it.
        void end_durable() noexcept {
            const auto writable = volume.writable();
            while (request* const asked = undurable.pop()) {
                if (writable.has_error()) asked->failure = writable.error();
                done.push(*asked);
            }
        }

        // Transfers. ------------------------------------------------------------------------------------------------

        [[nodiscard]] slot* take_slot() noexcept {
            if (free_slot == none) return nullptr;
            slot& taken = slots[free_slot];
            free_slot   = taken.next;
            return &taken;
        }
        void give_back(slot& one) noexcept {
            one.next  = free_slot;
            free_slot = static_cast<std::uint32_t>(&one - slots.data());
        }
        void send(slot& one) noexcept {
            one.io.failure = {};
            one.io.token   = static_cast<std::uint64_t>(&one - slots.data());
            queue.submit(one.io);
        }

        /// Sends pieces of a read while there are slots. One that gets none goes on when another's piece ended.
        void issue(std::uint32_t index) noexcept {
            job&       work   = jobs[index];
            const auto pieces = work.plan.pieces();
            while (work.next < pieces.size()) {
                slot* const free = take_slot();
                if (free == nullptr) {
                    if (unissued == none) unissued = index;
                    return;
                }
                const auto& piece = pieces[work.next];
                free->job         = index;
                free->piece       = static_cast<std::uint32_t>(work.next++);
                free->io.kind     = transfer_kind::read;
                free->io.blocks   = piece.blocks;
                free->io.memory =
                    piece.part ? work.buffer.data() : work.asked->memory.data() + work.asked->moved + piece.into;
                ++work.out;
                send(*free);
            }
        }

        void issue_batch() noexcept {
            while (!flight.idle()) {
                slot* const free = take_slot();
                if (free == nullptr) return;
                free->job = none;
                if (!flight.next(volume, free->io)) {
                    give_back(*free);
                    return;
                }
                send(*free);
            }
        }

        /// Moves everything on. With `wait`, until a transfer ended or another thread's batch did.
        result<> advance(bool wait) noexcept {
            issue_batch();
            if (flight.may_sync()) return sync_batch();
            if (queue.in_flight() == 0) {
                if (wait) wait_for_others();
                return success();
            }
            std::array<transfer*, 32> ended;
            BOOST_OUTCOME_TRY(const auto count, queue.complete(ended, wait ? 1 : 0));
            for (std::size_t i = 0; i < count; ++i) take_back(slots[static_cast<std::size_t>(ended[i]->token)]);
            resume();
            return land();
        }

        /// Where nothing else is in flight the sync is made here: a queue would only hand it to another thread.
        result<> sync_batch() noexcept {
            transfer only;
            if (flight.failed()) return land();
            if (queue.in_flight() == 0) {
                flight.sync(only);
                const auto synced = volume.device.sync();
                flight.ended(synced.has_error() ? synced.error() : error{});
                return land();
            }
            if (slot* const free = take_slot()) {
                free->job = none;
                flight.sync(free->io);
                send(*free);
            }
            return success();
        }

        result<> land() noexcept {
            if (!flight.landed()) return success();
            const entered guard{volume};
            flight.settle(volume);
            end_durable();
            return success();
        }

        void take_back(slot& one) noexcept {
            const auto index = one.job;
            const auto piece = one.piece;
            const auto why   = one.io.failure;
            give_back(one);
            if (index == none) return flight.ended(why);
            job&     work  = jobs[index];
            request& asked = *work.asked;
            --work.out;
            if (why.code != errc::none) {
                asked.failure = why;
            } else {
                const auto& part  = work.plan.pieces()[piece];
                const auto  into  = asked.memory.subspan(asked.moved);
                const auto  bytes = part.part ? work.buffer : into.subspan(part.into, part.bytes);
                const auto  ended = work.plan.finish(volume, part, into, bytes);
                if (ended.has_error()) asked.failure = ended.error();
            }
            if (work.next < work.plan.pieces().size()) {
                if (asked.failure.code == errc::none) return issue(index);
                work.next = work.plan.pieces().size();
            }
            if (work.out == 0) end_round(index);
        }

        void end_round(std::uint32_t index) noexcept {
            job&          work  = jobs[index];
            request&      asked = *work.asked;
            const entered guard{volume};
            volume.space.leave_reader(work.ticket);
            if (asked.failure.code != errc::none) return end_read(index);
            asked.moved += work.planned;
            if (asked.moved < asked.memory.size() && work.planned != 0) return plan_round(index);
            end_read(index);
        }

        void end_read(std::uint32_t index) noexcept {
            job& work = jobs[index];
            if (work.asked->failure.code != errc::none) work.asked->moved = 0;
            owner.tell_foreground(io_kind::read, work.asked->moved, work.began);
            done.push(*work.asked);
            work.asked     = nullptr;
            work.next_free = free_job;
            free_job       = index;
            --reading;
        }

        /// A read that found no slot goes on.
        void resume() noexcept {
            if (unissued == none) return;
            unissued = none;
            for (std::uint32_t i = 0; i < jobs.size() && free_slot != none; ++i) {
                if (jobs[i].asked != nullptr && jobs[i].next < jobs[i].plan.pieces().size()) issue(i);
            }
            for (std::uint32_t i = 0; i < jobs.size() && unissued == none; ++i) {
                if (jobs[i].asked != nullptr && jobs[i].next < jobs[i].plan.pieces().size()) unissued = i;
            }
        }

        /// Nothing of this channel is in flight: another thread commits, and this one's requests come after.
        void wait_for_others() noexcept {
            if (undurable.empty() || !flight.idle()) return;
            const entered guard{volume};
            if constexpr (volume_type::threading_type::concurrent) {
                if (volume.committing) volume.lock.wait_for_batch();
            }
            commit();
        }

        std::size_t hand_back(std::span<request*> finished) noexcept {
            std::size_t count = 0;
            while (count < finished.size()) {
                request* const one = done.pop();
                if (one == nullptr) break;
                finished[count++] = one;
                --in_flight;
            }
            return count;
        }
    };

    /// Moves with the handle.
    class owning {
      public:
        owning() noexcept = default;
        explicit owning(core* held) noexcept : held_{held} {}
        owning(owning&& other) noexcept : held_{std::exchange(other.held_, nullptr)} {}
        owning& operator=(owning&& other) noexcept {
            held_ = std::exchange(other.held_, nullptr);
            return *this;
        }
        [[nodiscard]] core* get() const noexcept { return held_; }
        core*               operator->() const noexcept { return held_; }
        friend bool         operator==(const owning& a, std::nullptr_t) noexcept { return a.held_ == nullptr; }

      private:
        core* held_ = nullptr;
    };

    channel() noexcept = default;

    owning         core_{};
    aligned_buffer memory_{};
};

}  // namespace ashlar::inline v0
