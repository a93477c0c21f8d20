#pragma once
/// Many transfers of a user's region in flight, while the region may move.

#include <ashlar/device/blocking_queue.hpp>
#include <ashlar/region/region_transfer.hpp>
#include <ashlar/vocabulary/aligned_buffer.hpp>
#include <ashlar/volume/arena.hpp>

#include <array>

namespace ashlar::inline v0 {

/// A transfer of a region's user, and what the device's queue has of it: one run of blocks at a time.
struct region_flight {
    transfer       io{};              ///< The run under way.
    transfer*      asked = nullptr;   ///< The user's, while this is in use.
    block_count    moved{};           ///< Blocks of it whose runs are done.
    std::uint32_t  ticket = 0;        ///< Of a reader, or of a write to regions.
    region_flight* next   = nullptr;  ///< The next one that is free.
};

/// Everything of a queue that stays where it is while the handle moves. Every call but `submit` is made with the volume
/// entered. Invariant: the device's queue is used by whoever has set `in_use`, who may give up the engine's lock.
template <class Volume>
class region_queue_core : public region_queue_link {
  public:
    using device_queue = queue_of<typename Volume::device_type>;

    region_queue_core(Volume& volume, region_id name, device_queue&& opened, std::span<region_flight> flights) noexcept
        : volume_{volume}, place_{name}, queue_{std::move(opened)}, flights_{flights} {
        for (auto& one : flights) give_back(one);
        drain = [](region_queue_link& link) noexcept { return static_cast<region_queue_core&>(link).drain_here(); };
        volume.region_traffic.link(*this);
    }
    region_queue_core(const region_queue_core&)            = delete;
    region_queue_core& operator=(const region_queue_core&) = delete;

    /// Waits for what is in flight. What waits to begin is never begun.
    ~region_queue_core() {
        const entered guard{volume_};
        begin_use();
        closing_ = true;
        while (!broken && queue_->in_flight() > 0) reap(queue_->in_flight());
        static_cast<void>(volume_.lock.outside([&]() noexcept {
            queue_.reset();  // a queue that broke waits here for what it still has
            return true;
        }));
        for (auto& one : flights_) {
            if (one.asked != nullptr) leave(one);
        }
        volume_.region_traffic.unlink(*this);
    }

    [[nodiscard]] std::size_t depth() const noexcept { return flights_.size(); }
    [[nodiscard]] std::size_t in_flight() const noexcept { return in_flight_; }

    void submit(transfer& t) noexcept {
        ASHLAR_ASSERT(in_flight_ < depth());
        ++in_flight_;
        t.failure = {};
        waiting_.push(t);
    }

    result<std::size_t> complete(std::span<transfer*> finished, std::size_t at_least) noexcept {
        ASHLAR_ASSERT(at_least <= in_flight_ && at_least <= finished.size());
        begin_use();
        std::size_t count = 0;
        for (bool asked = false;;) {
            begin_waiting();
            while (count < finished.size() && !done_.empty()) finished[count++] = &done_.pop();
            const auto missing = at_least - (count < at_least ? count : at_least);
            if (missing == 0 && (asked || queue_->in_flight() == 0)) break;
            if (broken) {
                while (count > 0) done_.push(*finished[--count]);
                end_use();
                return why_;
            }
            if (queue_->in_flight() > 0) {
                reap(missing);
                asked = true;
            } else {  // what is missing waits until a region has moved
                end_use();
                volume_.lock.wait();
                begin_use();
            }
        }
        in_flight_ -= count;
        end_use();
        return count;
    }

  private:
    void begin_use() noexcept {
        if constexpr (Volume::threading_type::concurrent) {
            while (in_use) volume_.lock.wait();
        }
        in_use = true;
    }
    void end_use() noexcept {
        in_use  = false;
        pending = queue_->in_flight() > 0;
        volume_.lock.wake();
    }

    /// For who waits for writes to regions: the owner may be far away, or be the one who waits.
    void drain_here() noexcept {
        in_use = true;
        while (!broken && queue_->in_flight() > 0) reap(queue_->in_flight());
        end_use();
    }

    /// Begins what may begin. Writes to a region whose move comes to its end wait.
    void begin_waiting() noexcept {
        auto all = std::move(waiting_);
        while (!all.empty()) {
            transfer& t = all.pop();
            if (broken || (changes(t) && volume_.region_traffic.holds(place_.name(), t.blocks))) {
                waiting_.push(t);
            } else if (auto begun = begin(t); begun.has_error()) {
                t.failure = begun.error();
                done_.push(t);
            }
        }
    }

    [[nodiscard]] static bool changes(const transfer& t) noexcept {
        return t.kind == transfer_kind::write || t.kind == transfer_kind::trim;
    }

    result<> begin(transfer& t) noexcept {
        extent first{};
        if (t.kind == transfer_kind::sync) {
            BOOST_OUTCOME_TRY(flush(volume_));  // that the region is there
        } else {
            if (changes(t)) { BOOST_OUTCOME_TRY(volume_.writable()); }
            BOOST_OUTCOME_TRY(first, place_.resolve(volume_, t.blocks));
            if (first.empty()) {
                done_.push(t);
                return success();
            }
        }
        region_flight& one = *free_;
        free_              = one.next;
        one.asked          = &t;
        one.moved          = {};
        enter(one);
        send(one, first);
        return success();
    }

    /// While it is on its way the region does not flip under a change, and what it reads is not used again.
    void enter(region_flight& one) noexcept {
        if (one.asked->kind == transfer_kind::read) {
            one.ticket = volume_.space.enter_reader();
            ++volume_.channel_reads;
        } else if (changes(*one.asked)) {
            one.ticket = volume_.region_traffic.in_flight.enter();
            volume_.region_traffic.note(place_.name(), one.asked->blocks);
        }
    }
    void leave(region_flight& one) noexcept {
        if (one.asked->kind == transfer_kind::read) {
            volume_.space.leave_reader(one.ticket);
            --volume_.channel_reads;
        } else if (changes(*one.asked)) {
            volume_.region_traffic.note(place_.name(), one.asked->blocks);
            volume_.region_traffic.in_flight.leave(one.ticket);
        }
    }

    void send(region_flight& one, extent run) noexcept {
        const auto skipped = static_cast<std::size_t>(bytes_of(one.moved, volume_.geometry.block));
        one.io             = {};
        one.io.kind        = one.asked->kind;
        one.io.blocks      = run;
        one.io.memory      = one.asked->memory == nullptr ? nullptr : one.asked->memory + skipped;
        one.io.token       = static_cast<std::uint64_t>(&one - flights_.data());
        queue_->submit(one.io);
    }

    /// Waits for that many runs at least, and lets each transfer go on or end.
    void reap(std::size_t at_least) noexcept {
        std::array<transfer*, 32> ended{};
        const auto                least = at_least < ended.size() ? at_least : ended.size();
        const auto                count = volume_.lock.outside([&]() noexcept {
            return queue_->complete(ended, least < queue_->in_flight() ? least : queue_->in_flight());
        });
        if (count.has_error()) {
            broken = true;
            why_   = count.error();
            return;
        }
        for (auto* const io : std::span{ended}.first(count.value()))
            end_run(flights_[static_cast<std::size_t>(io->token)]);
    }

    void end_run(region_flight& one) noexcept {
        transfer& asked = *one.asked;
        asked.failure   = one.io.failure;
        one.moved += one.io.blocks.count;
        if (asked.kind == transfer_kind::sync) {
            if (asked.failure.code != errc::none) static_cast<void>(volume_.end_writing(asked.failure));  // R15
        } else if (asked.failure.code == errc::none && one.moved < asked.blocks.count && !closing_) {
            const auto rest = place_.resolve(volume_, part_of(asked.blocks, one.moved, asked.blocks.count));
            if (rest.has_value()) return send(one, rest.value());
            asked.failure = rest.error();
        }
        leave(one);
        done_.push(asked);
        give_back(one);
    }

    void give_back(region_flight& one) noexcept {
        one.asked = nullptr;
        one.next  = free_;
        free_     = &one;
    }

    Volume&                     volume_;
    region_place                place_;
    std::optional<device_queue> queue_;
    std::span<region_flight>    flights_;
    region_flight*              free_ = nullptr;
    transfer_list               waiting_;  // not begun
    transfer_list               done_;     // not handed back
    std::size_t                 in_flight_ = 0;
    error                       why_{};  // it broke
    bool                        closing_ = false;
};

/// A model of TransferQueue for a region: the device's own queue, whose transfers name logical blocks.
///
/// `submit` does nothing yet; `complete` begins all. What is on its way when the region's move comes to its end is
/// waited for by whoever moves it, and handed back by the next `complete`; writes that begin then wait inside
/// `complete` until the move is over. A `sync` makes the store's own changes durable too, and blocks for their batch.
/// A sync that fails ends writing. Precondition: the queue is destroyed before the store is closed.
/// Safe from: one thread at a time. Cost: the engine's lock for each call of `complete`; a look at the directory for
/// each transfer.
template <class Volume>
class region_queue {
  public:
    static constexpr std::size_t depth_max = 32768;

    /// Bytes of `queue_options::memory` that the queue takes itself; the device's queue is lent the rest.
    [[nodiscard]] static constexpr std::size_t memory_bytes(std::size_t depth) noexcept {
        arena counted;
        static_cast<void>(counted.take_bytes(sizeof(core), alignof(core)));
        static_cast<void>(counted.take<region_flight>(depth));
        return counted.used();
    }

    /// Errors: invalid_argument for a depth of 0 or above `depth_max`; workspace_too_small; those of the device's
    /// queue. Without lent memory its own comes from the heap.
    [[nodiscard]] static result<region_queue> open(Volume& volume, region_id name, queue_options options) noexcept {
        if (options.depth == 0 || options.depth > depth_max) return errc::invalid_argument;
        const auto   wanted = memory_bytes(options.depth);
        region_queue made;
        if (options.memory.empty()) {
            BOOST_OUTCOME_TRY(made.memory_, aligned_buffer::allocate(wanted));
        } else {
            if (options.memory.size() < wanted) return errc::workspace_too_small;
            made.memory_   = aligned_buffer::lend(options.memory.first(wanted));
            options.memory = options.memory.subspan(wanted);
        }
        if constexpr (Volume::threading_type::concurrent) options.one_thread = false;  // who moves the region uses it
        BOOST_OUTCOME_TRY(auto opened, open_queue_of(volume.device, options));
        arena         from{made.memory_.bytes()};
        const auto    head    = from.take_bytes(sizeof(core), alignof(core));
        const auto    flights = from.take<region_flight>(options.depth);
        const entered guard{volume};
        made.core_   = ::new (static_cast<void*>(head.data())) core{volume, name, std::move(opened), flights};
        made.volume_ = &volume;
        return made;
    }

    region_queue(const region_queue&)            = delete;
    region_queue& operator=(const region_queue&) = delete;
    region_queue(region_queue&& other) noexcept
        : memory_{std::move(other.memory_)}, volume_{other.volume_}, core_{std::exchange(other.core_, nullptr)} {}
    region_queue& operator=(region_queue&& other) noexcept {
        if (this == &other) return *this;
        close();
        memory_ = std::move(other.memory_);
        volume_ = other.volume_;
        core_   = std::exchange(other.core_, nullptr);
        return *this;
    }
    ~region_queue() { close(); }

    [[nodiscard]] std::size_t depth() const noexcept { return core_->depth(); }
    [[nodiscard]] std::size_t in_flight() const noexcept { return core_->in_flight(); }

    /// Precondition: in_flight() < depth().
    void submit(transfer& t) noexcept { core_->submit(t); }

    /// Errors: those of the device's queue, which is broken then. Precondition: at_least <= in_flight() and <=
    /// finished.size().
    [[nodiscard]] result<std::size_t> complete(std::span<transfer*> finished, std::size_t at_least) noexcept {
        if (core_->in_flight() == 0) return std::size_t{0};
        const entered guard{*volume_};
        return core_->complete(finished, at_least);
    }

  private:
    using core = region_queue_core<Volume>;

    region_queue() noexcept = default;

    void close() noexcept {
        if (core_ != nullptr) core_->~core();
        core_ = nullptr;
    }

    aligned_buffer memory_;
    Volume*        volume_ = nullptr;
    core*          core_   = nullptr;
};

}  // namespace ashlar::inline v0
