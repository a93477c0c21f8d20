#pragma once
/// Many requests to a store in flight from one thread.

#include <ashlar/channel_core.hpp>

namespace ashlar::inline v0 {

struct channel_options {
    std::size_t depth      = 32;     ///< Requests in flight.
    std::size_t reap_max   = 0;      ///< As `queue_options` says.
    bool        one_thread = false;  ///< Promise: only the opening thread uses the channel.
};

/// Reads, writes and commits of one thread, many at a time. Nothing is allocated per request.
///
/// Requests have no order among themselves, except that a read sees the writes and puts that were finished before it
/// was submitted. A put's commit is under way until it is finished: its thread calls `complete` until then, since other
/// commits of the store wait for it. A blocking call of the same thread that needs to commit meanwhile answers `busy`,
/// or with a concurrent threading would wait for itself; so does a second channel's put: give each thread one. A write
/// of more than half of `staged_bytes`, a part of a block, and metadata that is not cached are worked off inside
/// `complete`. Precondition: the store outlives the channel, and stays open; its handle may move.
/// Safe from: one thread at a time.
template <Blueprint B>
class channel {
  public:
    using volume_type = volume_of<B>;

    static constexpr std::size_t depth_max = 16'384;

    /// Errors: invalid_argument for a depth of 0 or above depth_max; workspace_too_small; those of the device's queue.
    [[nodiscard]] static result<channel> open(store<B>& owner, channel_options chosen = {}) noexcept {
        if (chosen.depth > depth_max) return errc::invalid_argument;
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
    /// Waits for what is in flight. The requests are their owner's again, and each says how it ended.
    ~channel() {
        if (core_ == nullptr) return;
        std::array<request*, 8> finished;
        while (core_->in_flight != 0 && complete(finished, 1).has_value()) {}
        core_->lose_rest();
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
    /// Errors: the device's queue broke, now or before; then a batch in flight has failed, and so has the store's
    /// writing, and what is in flight stays there until the channel is destroyed. A request's own failure is in it:
    /// busy for a put beside another channel of the same thread that commits; it is written, and not durable.
    /// Precondition: at_least <= in_flight() and <= finished.size().
    [[nodiscard]] result<std::size_t> complete(std::span<request*> finished, std::size_t at_least) noexcept {
        ASHLAR_ASSERT(at_least <= core_->in_flight && at_least <= finished.size());
        std::size_t count = 0;
        for (;;) {
            core_->begin();
            count += core_->hand_back(finished.subspan(count));
            const bool enough   = count >= at_least;
            const auto advanced = core_->advance(!enough);
            if (advanced.has_error() && count == 0) return advanced.error();
            count += core_->hand_back(finished.subspan(count));
            if (count >= at_least || advanced.has_error()) return count;
        }
    }

  private:
    using core = channel_core<B>;

    static constexpr void lay_out(arena& from, const channel_options& chosen, block_size size, core* made) noexcept {
        const auto jobs    = from.template take<channel_job>(chosen.depth);
        const auto slots   = from.template take<typename core::slot>(core::transfers_of(chosen.depth));
        const auto pair    = std::size_t{2} << size.shift();
        const auto buffers = from.take_bytes(chosen.depth * pair, metadata_cache::io_alignment(size));
        static_cast<void>(from.take_bytes(sizeof(core), alignof(core)));
        if (made == nullptr) return;
        made->jobs  = jobs;
        made->slots = slots;
        for (std::uint32_t i = 0; i < jobs.size(); ++i) {
            jobs[i].buffers   = buffers.subspan(i * pair, pair);
            jobs[i].next_free = i + 1 < jobs.size() ? i + 1 : core::none;
        }
        for (std::uint32_t i = 0; i < slots.size(); ++i) slots[i].next = i + 1 < slots.size() ? i + 1 : core::none;
        made->free_job = made->free_slot = 0;
        made->free_slots                 = slots.size();
    }

    [[nodiscard]] static result<channel> open_in(store<B>& owner, const channel_options& chosen,
                                                 aligned_buffer memory) noexcept {
        const auto size = owner.volume().geometry.block;
        if (chosen.depth == 0 || chosen.depth > depth_max) return errc::invalid_argument;
        if (memory.bytes().size() < memory_bytes(chosen, size)) return errc::workspace_too_small;
        BOOST_OUTCOME_TRY(auto queue, open_queue_of(owner.device(), {.depth      = core::transfers_of(chosen.depth),
                                                                     .reap_max   = chosen.reap_max,
                                                                     .one_thread = chosen.one_thread}));
        arena      from{memory.bytes()};
        const auto head = from.take_bytes(sizeof(core), alignof(core));
        channel    made;
        made.core_ = owning{::new (static_cast<void*>(head.data())) core{owner.beside(), std::move(queue)}};
        lay_out(from, chosen, size, made.core_.get());
        made.memory_ = std::move(memory);
        return made;
    }

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
