#pragma once
/// A batch on its way through a transfer queue.

#include <ashlar/concepts/transfer_queue.hpp>
#include <ashlar/volume/commit.hpp>

namespace ashlar::inline v0 {

/// Commits without waiting: seals the open batch, hands out its writes, then its sync, and settles it. Its owner moves
/// the transfers and tells what came of them. One flight at a time over a volume: it holds the turn from `take_off` on.
template <class Volume>
class batch_flight {
  public:
    enum class phase : std::uint8_t { idle, writing, syncing };

    [[nodiscard]] bool  idle() const noexcept { return phase_ == phase::idle; }
    [[nodiscard]] phase now() const noexcept { return phase_; }

    /// Seals what has joined. The lock is held; nobody else has the turn. Errors: those of sealing; writing has ended.
    result<> take_off(Volume& volume) noexcept {
        ASHLAR_ASSERT(idle() && !volume.committing);
        volume.committing = true;
        auto sealed       = seal_batch(volume);
        if (sealed.has_error()) {
            end_turn(volume);
            return volume.end_writing(sealed.error());
        }
        sealed_  = sealed.value();
        runs_    = volume.staged.in_flight();
        next_    = 0;
        out_     = 0;
        failure_ = {};
        phase_   = phase::writing;
        return success();
    }

    /// The next transfer to make; false when there is none for now. The lock is not needed.
    [[nodiscard]] bool next(Volume& volume, transfer& t) noexcept {
        if (phase_ == phase::idle) return false;
        if (phase_ == phase::writing && next_ < writes()) {
            if (failure_.code != errc::none) return false;
            if (sealed_.data_first && next_ == runs_.size()) {  // the list would be too long: the data goes first
                if (out_ != 0) return false;
                if (!synced_) return synced_ = true, sync(t);
            }
            write(volume, t, next_++);
            return true;
        }
        return false;
    }

    /// Whether all writes are through, so that the sync may begin. It covers only what was complete before.
    [[nodiscard]] bool may_sync() const noexcept {
        return phase_ == phase::writing && out_ == 0 && (next_ == writes() || failure_.code != errc::none);
    }
    [[nodiscard]] bool failed() const noexcept { return failure_.code != errc::none; }

    bool sync(transfer& t) noexcept {
        if (failed()) return false;
        if (may_sync()) phase_ = phase::syncing;
        t.kind   = transfer_kind::sync;
        t.blocks = {};
        t.memory = nullptr;
        ++out_;
        return true;
    }

    /// A transfer ended.
    void ended(error failure) noexcept {
        --out_;
        if (failure_.code == errc::none) failure_ = failure;
    }
    [[nodiscard]] bool landed() const noexcept {
        return out_ == 0 && (phase_ == phase::syncing || (phase_ == phase::writing && failed()));
    }

    /// Gives the turn back. The lock is held. Precondition: landed.
    void settle(Volume& volume) noexcept {
        ASHLAR_ASSERT(landed());
        end(volume);
    }
    /// The same where nobody will tell what came of the transfers: the batch failed. Precondition: not idle.
    void lose(Volume& volume, error why) noexcept {
        failure_ = why;
        end(volume);
    }

  private:
    void end(Volume& volume) noexcept {
        phase_  = phase::idle;
        synced_ = false;
        static_cast<void>(settle_batch(volume, sealed_, failed() ? result<>{failure_} : result<>{success()}));
    }

    [[nodiscard]] std::size_t writes() const noexcept { return runs_.size() + sealed_.ring.count; }

    void write(Volume& volume, transfer& t, std::size_t i) noexcept {
        const bool                       data  = i < runs_.size();
        const auto&                      run   = sealed_.ring.runs[data ? 0 : i - runs_.size()];
        const std::span<const std::byte> bytes = data ? volume.staged.bytes(runs_[i]) : run.bytes;
        t.kind                                 = transfer_kind::write;
        t.blocks                               = data ? runs_[i].blocks : run.blocks;
        t.memory                               = const_cast<std::byte*>(bytes.data());  // a write only reads it
        ++out_;
    }

    sealed_batch                        sealed_{};
    std::span<const staged_writes::run> runs_{};
    std::size_t                         next_ = 0;
    std::size_t                         out_  = 0;
    error                               failure_{};
    phase                               phase_  = phase::idle;
    bool                                synced_ = false;  // the data, where it goes first
};

}  // namespace ashlar::inline v0
