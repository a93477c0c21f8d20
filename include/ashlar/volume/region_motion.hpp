#pragma once
/// What is known of writes to users' regions while they are on their way.

#include <ashlar/volume/phase_count.hpp>
#include <ashlar/volume/region_watch.hpp>

namespace ashlar::inline v0 {

/// A region that moves or goes: its writes are noted, or kept away.
///
/// A window is a run of its blocks, 64 where the memory has a bit for each, else more. Its bit says that it was written
/// since it was last copied (R5).
class region_motion {
  public:
    region_motion() noexcept = default;
    explicit region_motion(region_id name) noexcept : region{name} {}
    /// `memory` holds a bit a window: the more, the less is copied again after a write. Precondition: it is not empty.
    region_motion(region_id name, block_count blocks, std::span<bitmap_word> memory) noexcept
        : region{name}, blocks_{blocks}, words_{memory} {
        ASHLAR_ASSERT(!memory.empty());
        const std::uint64_t bits = std::uint64_t{memory.size()} * word_bits;
        while (((blocks.value + (std::uint64_t{1} << shift_) - 1) >> shift_) > bits) ++shift_;
        for (auto& word : words_) word = 0;
    }

    void note(extent written) noexcept {
        if (words_.empty() || written.empty()) return;
        const std::uint64_t first = written.first.value >> shift_;
        const std::uint64_t last  = (written.end().value - 1) >> shift_;
        set_bits(words_, {static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(last - first + 1)});
    }

    /// Takes the first window at or behind `from` that was written since it was copied, as blocks of the region; empty:
    /// none is left there. So a pass over all windows ends, however fast somebody writes.
    [[nodiscard]] extent take_written(block_count from) noexcept {
        const auto count = static_cast<std::uint32_t>((blocks_.value + (std::uint64_t{1} << shift_) - 1) >> shift_);
        const auto begin = static_cast<std::uint32_t>((from.value + (std::uint64_t{1} << shift_) - 1) >> shift_);
        if (begin >= count) return {};
        const auto first = next_set(words_, begin, count);
        if (first == count) return {};
        clear_bits(words_, {first, 1});
        const extent window{{std::uint64_t{first} << shift_}, {std::uint64_t{1} << shift_}};
        return part_of(window, {}, {blocks_.value - window.first.value});
    }

    /// Where the window of a block begins.
    [[nodiscard]] block_count window_of(block_count block) const noexcept { return {block.value >> shift_ << shift_}; }

    /// Only so many of its blocks move now; else all do.
    void               only(extent part) noexcept { part_ = part; }
    [[nodiscard]] bool holds(extent logical) const noexcept { return part_.empty() || overlap(part_, logical); }

    /// Whether the region goes, which ends by itself; a move goes on when its owner steps.
    [[nodiscard]] bool goes() const noexcept { return words_.empty(); }

    region_id region{};
    bool      held = false;  ///< Writers wait.

  private:
    block_count            blocks_{};
    std::span<bitmap_word> words_{};
    unsigned               shift_ = 6;
    extent                 part_{};
};

/// A queue of transfers of a region, as those see it that wait for writes. Read and changed under the engine's lock.
struct region_queue_link {
    void (*drain)(region_queue_link&) noexcept = nullptr;  ///< Waits for all that it has in flight.
    region_queue_link* next                    = nullptr;
    bool               in_use                  = false;  ///< Somebody completes its transfers just now.
    bool               pending                 = false;  ///< Else: it has transfers in flight,
    bool               broken                  = false;  ///< which nobody can wait for.
};

/// Writes in flight, and who must hear of them.
class region_writes {
  public:
    void link(region_queue_link& one) noexcept {
        one.next = queues_;
        queues_  = &one;
    }
    void unlink(region_queue_link& one) noexcept {
        auto* at = &queues_;
        while (*at != &one) at = &(*at)->next;
        *at = one.next;
    }
    /// The first queue for which `holds(queue)`, or null.
    template <class Holds>
    [[nodiscard]] region_queue_link* find_queue(Holds&& holds) const noexcept {
        auto* at = queues_;
        while (at != nullptr && !holds(*at)) at = at->next;
        return at;
    }

    /// Whoever changes blocks of a region calls it before and after.
    void note(region_id region, extent written) noexcept {
        if (motion != nullptr && motion->region == region) motion->note(written);
        if (watch != nullptr) watch->note(region, written);
    }
    /// Whether changes of those blocks of the region have to wait: the last of what moves now is being copied, or
    /// the last of the whole volume.
    [[nodiscard]] bool holds(region_id region, extent logical) const noexcept {
        return (motion != nullptr && motion->held && motion->region == region && motion->holds(logical)) ||
               (watch != nullptr && watch->held);
    }

    phase_count    in_flight{};
    region_motion* motion = nullptr;  ///< At most one region moves or goes.
    region_watch*  watch  = nullptr;  ///< At most one copy of the volume is made.

    /// Where a part of a region was that slides: its blocks are the target of a later part.
    struct left_part {
        block_count   end{};      ///< Of the region's blocks that had moved then.
        sequence      batch{};    ///< Must be confirmed first,
        std::uint32_t phase = 0;  ///< and the readers of that time have to be gone.
    };
    left_part left[2]{};  ///< The newest, and the one before it.

  private:
    region_queue_link* queues_ = nullptr;
};

}  // namespace ashlar::inline v0
