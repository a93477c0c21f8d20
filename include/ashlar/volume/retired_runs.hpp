#pragma once
/// What was freed and is not free yet: rule R3.

#include <ashlar/volume/phase_count.hpp>
#include <ashlar/volume/transaction.hpp>

namespace ashlar::inline v0 {

/// A run that a batch freed.
struct retired_run {
    extent        blocks{};
    sequence      batch{};
    bool          metadata = false;  ///< A replay may write it: it waits until the journal's tail has passed the batch.
    std::uint32_t phase    = 0;      ///< Of the readers that may still look at it.
};

/// Runs that wait for their batch, for readers that began before, and for who holds them.
class retired_runs {
  public:
    constexpr void take(arena& from, std::size_t runs, std::size_t holds) noexcept {
        runs_.lend(from.take<retired_run>(runs));
        holds_.lend(from.take<extent>(holds));
    }

    [[nodiscard]] block_count                  blocks() const noexcept { return blocks_; }
    [[nodiscard]] std::size_t                  room() const noexcept { return runs_.room(); }
    [[nodiscard]] std::span<const retired_run> all() const noexcept { return runs_.all(); }

    /// The first run of them at or behind a block, or the rest of the one that it is in. Cost: all of them.
    [[nodiscard]] std::optional<extent> next(block_index from) const noexcept {
        std::optional<extent> next;
        for (const auto& run : runs_.all()) {
            if (run.blocks.end() <= from) continue;
            const auto first = run.blocks.first > from ? run.blocks.first : from;
            if (!next || first < next->first) next = extent{first, run.blocks.end() - first};
        }
        return next;
    }

    /// The readers of now may look at it until they leave. Precondition: there is room.
    void push(retired_run run) noexcept {
        run.phase = readers.phase();
        blocks_ += run.blocks.count;
        if (!runs_.empty()) {
            auto& last = runs_[runs_.size() - 1];
            if (last.batch == run.batch && last.metadata == run.metadata && last.phase == run.phase &&
                last.blocks.end() == run.blocks.first) {
                last.blocks.count += run.blocks.count;
                return;
            }
        }
        runs_.push(run);
    }

    /// Takes the runs off the list that may be used again, and calls `each(run)` for them; neighbours make one run.
    template <class Each>
    void drain(sequence confirmed, sequence tail, Each each) noexcept {
        if (!readers.older()) readers.change();
        std::size_t kept = 0;
        extent      free{};
        for (std::size_t i = 0; i < runs_.size(); ++i) {
            const retired_run run = runs_[i];
            if (run.batch > confirmed || (run.metadata && run.batch >= tail) || may_be_read(run) ||
                is_held(run.blocks)) {
                runs_[kept++] = run;
                continue;
            }
            blocks_ -= run.blocks.count;
            if (free.end() == run.blocks.first) {
                free.count += run.blocks.count;
            } else if (run.blocks.end() == free.first) {
                free = {run.blocks.first, run.blocks.count + free.count};
            } else {
                if (!free.empty()) each(free);
                free = run.blocks;
            }
        }
        if (!free.empty()) each(free);
        runs_.resize(kept);
    }

    /// Keeps a run from reuse. Error: busy when all holds are taken.
    result<> hold(extent run) noexcept {
        if (holds_.full()) return error{errc::busy, run.first};
        holds_.push(run);
        return success();
    }
    void unhold(extent run) noexcept {
        for (std::size_t i = 0; i < holds_.size(); ++i) {
            if (holds_[i] == run) return holds_.remove(i);
        }
        ASHLAR_ASSERT(false);
    }

    phase_count readers{};

  private:
    [[nodiscard]] bool is_held(extent run) const noexcept {
        for (const auto& held : holds_.all()) {
            if (overlap(held, run)) return true;
        }
        return false;
    }
    /// Whether a reader that began before the run was retired may still read it.
    [[nodiscard]] bool may_be_read(const retired_run& run) const noexcept { return !readers.left(run.phase); }

    bounded_list<retired_run> runs_{};
    bounded_list<extent>      holds_{};
    block_count               blocks_{};
};

}  // namespace ashlar::inline v0
