#pragma once
/// Candidates collected from a cursor, the best of a window first. The plan and the run choose with the same rule.

#include <ashlar/concepts/relocation_host.hpp>
#include <ashlar/maintenance/candidate_heap.hpp>
#include <ashlar/maintenance/defrag_options.hpp>
#include <ashlar/maintenance/set_aside_list.hpp>
#include <ashlar/relocation/relocation_plan.hpp>

namespace ashlar::inline v0 {

/// Whether a candidate is moved: neither set aside nor of an object that counts as whole, and worth it to the policy.
/// `crowded`: ranges find no room, so no piece may count on leaving with its range.
template <DefragPolicy Policy>
[[nodiscard]] bool selects(const Policy& policy, const defrag_options& options, const set_aside_list& aside,
                           const defrag_candidate& c, bool crowded = false) noexcept {
    if (c.blocks.value == 0 || c.blocks > range_limit(options) || aside.holds(c)) return false;
    if (c.free_runs_merged == 0) return c.owner_extents >= options.extents_min && policy.worth_moving(c);
    if (crowded) return policy.worth_moving(c);
    // A piece of an object that will be put together soon leaves its place anyway: moving it now would be done twice.
    defrag_candidate whole = c;
    whole.free_runs_merged = 0;
    whole.extents          = c.owner_extents;
    whole.reads_before     = c.owner_extents * c.reads_before;
    whole.reads_after      = ((c.owner_extents * c.bytes) >> 18U) + 1;
    const bool leaves =
        options.relocate_fragmented && c.owner_extents >= options.extents_min && policy.worth_moving(whole);
    return !leaves && policy.worth_moving(c);
}

/// What to ask the move core for a candidate when no free run is longer than `room`.
[[nodiscard]] constexpr move_request request_of(const defrag_candidate& c, block_count window,
                                                block_count room = {~std::uint64_t{0}}) noexcept {
    const bool gap = c.free_runs_merged > 0;
    return {c.owner, c.first, c.blocks, window, gap ? placement::tight : placement::near_goal, room};
}

/// A part of a candidate as a candidate of its own, so that the policy can judge it too.
[[nodiscard]] inline defrag_candidate as_candidate(const defrag_candidate& c, const move_stretch& part,
                                                   block_size block) noexcept {
    const auto reads = [block](block_count blocks) noexcept { return (bytes_of(blocks, block) + 0x3FFFFU) >> 18U; };
    auto       cut   = c;
    cut.first        = part.first;
    cut.blocks       = part.blocks;
    cut.extents      = part.extents_before;
    // The cuts at its ends count, so that what is saved here is what the owner saves.
    cut.extents_ideal = part.extents_before - part.gain;
    cut.reads_before  = 0;
    for (const auto& piece : part.pieces) cut.reads_before += reads(piece.physical.count);
    cut.reads_after = reads(part.blocks);
    cut.bytes       = bytes_of(part.blocks, block);
    return cut;
}

/// What is left to gain from a candidate of which a part has moved.
[[nodiscard]] constexpr defrag_candidate rest_of(defrag_candidate c, const defrag_candidate& part) noexcept {
    const auto gain  = part.extents - part.extents_ideal;
    const auto saved = part.reads_before - std::min(part.reads_before, part.reads_after);
    c.extents -= std::min(c.extents, gain);
    c.owner_extents -= std::min(c.owner_extents, gain);
    c.reads_before -= std::min(c.reads_before, saved);
    return c;
}

/// Looks at candidates until its memory is full, hands out the best first, then goes on from where it stood.
class candidate_window {
  public:
    candidate_window() noexcept = default;
    explicit candidate_window(std::span<ranked_candidate> memory) noexcept : heap_{memory} {}

    void begin(const candidate_request& wanted, bool crowded) noexcept {
        wanted_   = wanted;
        crowded_  = crowded;
        cursor_   = {};
        ended_    = false;
        draining_ = false;
        heap_.clear();
    }

    /// True when `best` may be asked, or nothing is left. Each answer of the host costs one look. Errors: the host's.
    template <RelocationHost Host, DefragPolicy Policy>
    [[nodiscard]] result<bool> collect(Host& host, const Policy& policy, const defrag_options& options,
                                       const set_aside_list& aside, std::uint64_t& looks) noexcept {
        if (draining_ && !heap_.empty()) return true;
        draining_ = false;
        while (!ended_ && !heap_.full()) {
            if (looks == 0) return false;
            --looks;
            BOOST_OUTCOME_TRY(const std::optional<defrag_candidate> found, host.next_candidate(cursor_, wanted_));
            ended_ = !found.has_value();
            if (ended_ || !selects(policy, options, aside, *found, crowded_)) continue;
            heap_.push(*found, policy.rank(*found));
        }
        return draining_ = true;
    }

    /// Asks the host whether a whole extent still keeps two free runs apart: earlier moves may have filled one of them.
    template <RelocationHost Host>
    [[nodiscard]] result<bool> still_stands(Host& host, const defrag_candidate& c) noexcept {
        if (c.free_runs_merged == 0) return true;
        constexpr int     tries_max = 16;
        relocation_cursor cursor{c.owner, c.first, 0};
        for (int tries = 0; tries < tries_max; ++tries) {
            BOOST_OUTCOME_TRY(const std::optional<defrag_candidate> found, host.next_candidate(cursor, wanted_));
            if (!found) return false;
            if (found->blocks.value > 0)
                return found->owner == c.owner && found->first == c.first && found->blocks == c.blocks;
            if (cursor.owner != c.owner || cursor.logical != c.first) return false;  // the walk has passed it
        }
        return false;
    }

    [[nodiscard]] const defrag_candidate& best() const noexcept { return heap_.best(); }
    void                                  pop() noexcept { heap_.pop(); }
    /// For what was popped and is to be tried again.
    void put_back(const defrag_candidate& c, std::uint64_t rank) noexcept {
        draining_ = heap_.push(c, rank) || draining_;
    }
    void owner_improved(object_id owner, std::uint64_t fewer) noexcept { heap_.owner_improved(owner, fewer); }

    [[nodiscard]] bool empty() const noexcept { return heap_.empty(); }
    [[nodiscard]] bool crowded() const noexcept { return crowded_; }
    /// Owners that the walk passed, less the candidates that wait.
    [[nodiscard]] std::uint64_t behind() const noexcept {
        return cursor_.seen - std::min<std::uint64_t>(cursor_.seen, heap_.size());
    }

  private:
    candidate_heap    heap_{};
    candidate_request wanted_{};
    relocation_cursor cursor_{};
    bool              crowded_  = false;
    bool              ended_    = false;
    bool              draining_ = false;
};

}  // namespace ashlar::inline v0
