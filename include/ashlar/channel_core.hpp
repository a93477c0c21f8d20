#pragma once
/// What a channel is made of: its requests, the transfers they became, and its turn at committing.

#include <ashlar/channel_request.hpp>
#include <ashlar/device/blocking_queue.hpp>
#include <ashlar/store.hpp>
#include <ashlar/volume/batch_flight.hpp>

namespace ashlar::inline v0 {

/// A read under way.
struct channel_job {
    request*             asked = nullptr;
    read_plan            plan;
    std::span<std::byte> buffers{};          ///< Two blocks: a round may begin and end inside of one.
    std::size_t          planned   = 0;      ///< Bytes of this round.
    bool                 is_last   = false;  ///< The object ends with this round, or the request does.
    std::size_t          next      = 0;      ///< Piece to be read next.
    std::size_t          out       = 0;      ///< Transfers in flight.
    std::uint32_t        ticket    = 0;
    std::uint32_t        next_free = 0;
    std::uint32_t        races     = 0;
    time_point           began{};

    /// Where the transfer of a piece puts its bytes.
    [[nodiscard]] std::span<std::byte> place_of(const read_plan::piece& one) const noexcept {
        const auto into = asked->memory.subspan(asked->moved);
        if (!one.part) return into.subspan(one.into, one.bytes);
        const std::size_t block = buffers.size() / 2;
        return one.skip != 0 ? buffers.first(block) : buffers.last(block);
    }
};

/// Everything of a channel that stays where it is while the handle moves; `channel` alone uses it, and lends its lists.
template <Blueprint B>
struct channel_core {
    using volume_type = volume_of<B>;
    using companion   = typename store<B>::companion;

    static constexpr std::size_t batch_slots = 8;  ///< Reads leave them free, so that no batch waits for all of them.

    static constexpr std::uint32_t none = ~std::uint32_t{0};

    static constexpr std::size_t transfers_of(std::size_t depth) noexcept { return depth + 2 * batch_slots; }

    struct slot {
        transfer      io;
        std::uint32_t job   = none;  ///< `none`: the batch's.
        std::uint32_t piece = 0;
        std::uint32_t next  = none;
    };

    channel_core(companion store, queue_of<typename B::device>&& opened) noexcept
        : owner{store}, volume{store.volume()}, queue{std::move(opened)} {}

    companion                    owner;
    volume_type&                 volume;
    queue_of<typename B::device> queue;
    std::span<channel_job>       jobs{};
    std::span<slot>              slots{};
    std::uint32_t                free_job   = none;
    std::uint32_t                free_slot  = none;
    std::size_t                  free_slots = 0;
    std::size_t                  in_flight  = 0;
    std::uint32_t                unissued   = none;  ///< A job that has pieces to be read, or none.
    request_list                 submitted{};
    request_list                 undurable{};  ///< Wait for a batch, oldest first.
    request_list                 done{};
    batch_flight<volume_type>    flight{};
    error                        broken{};  ///< Why the queue moves nothing any more.

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
        channel_job&        work  = jobs[index];
        free_job                  = work.next_free;
        work.asked                = &asked;
        work.races                = 0;
        work.began                = owner.foreground_time();
        plan_round(index);
    }

    /// Plans the bytes that follow; the lock is held.
    void plan_round(std::uint32_t index) noexcept {
        channel_job& work    = jobs[index];
        request&     asked   = *work.asked;
        const auto   before  = work.plan.generation();
        const auto   planned = with_loads(volume, [&]() noexcept -> result<std::size_t> {
            BOOST_OUTCOME_TRY(object_state* const object, view_object(volume, asked.object));
            if (asked.moved != 0 && object->generation != before) return errc::raced;
            const auto at   = asked.offset + asked.moved;
            const auto left = at < object->size ? object->size - at : 0;
            const auto rest = asked.memory.size() - asked.moved;
            const auto into = asked.memory.subspan(asked.moved, left < rest ? static_cast<std::size_t>(left) : rest);
            BOOST_OUTCOME_TRY(const auto bytes, work.plan.make(volume, *object, at, into));
            work.is_last = bytes == into.size();
            return bytes;
        });
        if (planned.has_error()) return fail_round(index, planned.error());
        work.planned = planned.value();
        work.next = work.out = 0;
        if (work.plan.pieces().empty()) {  // holes and what is in memory need no transfer, and no second round
            asked.moved += work.planned;
            return end_read(index);
        }
        work.ticket = volume.space.enter_reader();
        ++volume.channel_reads;
        issue(index);
    }

    void fail_round(std::uint32_t index, error why) noexcept {
        channel_job& work = jobs[index];
        if (why.code == errc::raced) {  // it changed between two rounds: all of it again, in the end in one go
            work.asked->moved = 0;
            // Who keeps writers away waits for them, and they may wait for this channel's batch.
            if (++work.races < read_races_max || !flight.idle()) return plan_round(index);
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
        result<>                         changed = volume.writable();
        if (changed.has_value() && broken.code != errc::none) changed = broken;  // nothing would carry its batch
        if (changed.has_value() && asked.verb != request_verb::sync)
            changed = write_one(volume, asked.object, asked.offset, bytes);
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
        if (volume.committing) return;  // somebody else's; `advance` waits for it
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
        end_durable(writable.has_error() ? writable.error() : error{});
    }
    void end_durable(error failure) noexcept {
        while (request* const asked = undurable.pop()) {
            asked->failure = failure;
            done.push(*asked);
        }
    }

    // Transfers. ------------------------------------------------------------------------------------------------

    [[nodiscard]] slot* take_slot() noexcept {
        if (free_slot == none) return nullptr;
        slot& taken = slots[free_slot];
        free_slot   = taken.next;
        --free_slots;
        return &taken;
    }
    [[nodiscard]] bool may_read() const noexcept { return free_slots > batch_slots; }
    void               give_back(slot& one) noexcept {
                      one.next  = free_slot;
                      free_slot = static_cast<std::uint32_t>(&one - slots.data());
                      ++free_slots;
    }
    void send(slot& one) noexcept {
        one.io.failure = {};
        one.io.token   = static_cast<std::uint64_t>(&one - slots.data());
        queue.submit(one.io);
    }

    /// Sends pieces of a read while there are slots. One that gets none goes on when another's piece ended.
    void issue(std::uint32_t index) noexcept {
        channel_job& work   = jobs[index];
        const auto   pieces = work.plan.pieces();
        while (work.next < pieces.size()) {
            if (!may_read()) {
                if (unissued == none) unissued = index;
                return;
            }
            slot&       free  = *take_slot();
            const auto& piece = pieces[work.next];
            free.job          = index;
            free.piece        = static_cast<std::uint32_t>(work.next++);
            free.io.kind      = transfer_kind::read;
            free.io.blocks    = piece.blocks;
            free.io.memory    = work.place_of(piece).data();
            ++work.out;
            send(free);
        }
    }

    /// Sends what the batch may send now: writes, and behind the last of them its sync.
    void issue_batch() noexcept {
        while (!flight.idle()) {
            slot* const free = take_slot();
            if (free == nullptr) return;
            free->job       = none;
            const bool more = flight.next(volume, free->io) || (flight.may_sync() && flight.sync(free->io));
            if (!more) return give_back(*free);
            send(*free);
        }
    }

    /// Moves everything on. With `wait`, until a transfer ended or another thread's batch did.
    result<> advance(bool wait) noexcept {
        if (broken.code != errc::none) return broken;
        issue_batch();
        if (queue.in_flight() == 0) {
            if (wait) wait_for_others();
            return success();
        }
        std::array<transfer*, 32> ended;
        const auto                count = queue.complete(ended, wait ? 1 : 0);
        if (count.has_error()) return break_off(count.error());
        for (std::size_t i = 0; i < count.value(); ++i) take_back(slots[static_cast<std::size_t>(ended[i]->token)]);
        resume();
        land();
        return success();
    }

    /// What the transfers in flight did nobody will know: a batch among them failed (R15), and gives its turn back.
    error break_off(error why) noexcept {
        broken = why;
        const entered guard{volume};
        if (flight.idle()) {  // what waits for its turn is written, and no batch of this channel will carry it
            end_durable(why);
        } else {
            flight.lose(volume, why);
            end_durable();
        }
        return why;
    }

    /// Behind a queue that broke. Its destructor waits until no transfer uses memory any more.
    void lose_rest() noexcept {
        if (in_flight == 0) return;
        { [[maybe_unused]] const auto ended = std::move(queue); }
        const entered guard{volume};
        for (channel_job& work : jobs) {
            if (work.asked == nullptr) continue;
            leave_reader(work);
            work.asked->failure = broken;
        }
        while (request* const asked = submitted.pop()) asked->failure = broken;
        end_durable(broken);
    }

    void land() noexcept {
        if (!flight.landed()) return;
        const entered guard{volume};
        flight.settle(volume);
        end_durable();
    }

    void take_back(slot& one) noexcept {
        const auto index = one.job;
        const auto piece = one.piece;
        const auto why   = one.io.failure;
        give_back(one);
        if (index == none) return flight.ended(why);
        channel_job& work  = jobs[index];
        request&     asked = *work.asked;
        --work.out;
        if (why.code != errc::none) {
            asked.failure = why;
        } else if (const auto ended = finish(work, work.plan.pieces()[piece]); ended.has_error()) {
            asked.failure = ended.error();
        }
        if (work.next < work.plan.pieces().size()) {
            if (asked.failure.code == errc::none) return issue(index);
            work.next = work.plan.pieces().size();
        }
        if (work.out == 0) end_round(index);
    }

    /// Proves the bytes of a piece, and copies the part that is wanted. What the journal of a read-only volume
    /// still holds is laid over them first.
    result<> finish(const channel_job& work, const read_plan::piece& piece) noexcept {
        const auto bytes = work.place_of(piece);
        if (volume.must_replay) {
            const entered guard{volume};
            BOOST_OUTCOME_TRY(lay_over_blocks(volume, piece.blocks, bytes));
        }
        return work.plan.finish(volume, piece, work.asked->memory.subspan(work.asked->moved), bytes);
    }

    void end_round(std::uint32_t index) noexcept {
        channel_job&  work  = jobs[index];
        request&      asked = *work.asked;
        const entered guard{volume};
        leave_reader(work);
        if (asked.failure.code != errc::none) return end_read(index);
        asked.moved += work.planned;
        if (!work.is_last) return plan_round(index);
        end_read(index);
    }

    /// The lock is held.
    void leave_reader(const channel_job& work) noexcept {
        volume.space.leave_reader(work.ticket);
        --volume.channel_reads;
    }

    void end_read(std::uint32_t index) noexcept {
        channel_job& work = jobs[index];
        if (work.asked->failure.code != errc::none) work.asked->moved = 0;
        note_read(volume, work.asked->moved);
        owner.tell_foreground(io_kind::read, work.asked->moved, work.began);
        done.push(*work.asked);
        work.asked     = nullptr;
        work.next_free = free_job;
        free_job       = index;
    }

    /// A read that found no slot goes on.
    void resume() noexcept {
        if (unissued == none) return;
        unissued = none;
        for (std::uint32_t i = 0; i < jobs.size() && may_read(); ++i) {
            if (jobs[i].asked != nullptr && jobs[i].next < jobs[i].plan.pieces().size()) issue(i);
        }
        for (std::uint32_t i = 0; i < jobs.size() && unissued == none; ++i) {
            if (jobs[i].asked != nullptr && jobs[i].next < jobs[i].plan.pieces().size()) unissued = i;
        }
    }

    /// Nothing of this channel is in flight: another thread commits, and this one's requests come after. Where
    /// there is no other thread, another channel of this one commits, and would never end while this one waits.
    void wait_for_others() noexcept {
        if (undurable.empty() || !flight.idle()) return;
        const entered guard{volume};
        if (volume.committing) {
            if constexpr (!volume_type::threading_type::concurrent) return end_durable(errc::busy);
            volume.lock.wait_for_batch();
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

}  // namespace ashlar::inline v0
