#pragma once
/// What a pass of the defragmenter would do and cost, before the first byte moves.

#include <ashlar/maintenance/candidate_window.hpp>
#include <ashlar/maintenance/fragmentation_meter.hpp>
#include <ashlar/maintenance/target_rehearsal.hpp>

namespace ashlar::inline v0 {

/// Moves of one pass as things lie now; the pass does within a few percent of it while nobody changes the volume.
struct defrag_plan {
    std::uint64_t moves  = 0;  ///< Of ranges and of whole extents.
    std::uint64_t merges = 0;  ///< Those of whole extents, which join free runs.
    block_count   blocks{};
    std::uint64_t bytes_read    = 0;
    std::uint64_t bytes_written = 0;
    std::size_t   memory_bytes  = 0;
    duration      time{};  ///< At the rate, rests and cycles of the options; 0 when none of them limits.
    fragmentation before{};
    fragmentation after{};  ///< Which free run will be the longest shows only later: free space counts as today.
    std::uint64_t extents_saved    = 0;
    std::uint64_t reads_saved      = 0;
    std::uint64_t free_runs_before = 0;
    std::uint64_t free_runs_after  = 0;      ///< Merges counted; ranges may split or join runs.
    std::uint64_t pinned           = 0;      ///< Ranges that stay because a pinned extent is in the way.
    std::uint64_t without_room     = 0;      ///< Ranges that stay because no free run is long enough.
    bool          below_threshold  = false;  ///< Nothing would be moved, as little is fragmented.
};

/// Walks the candidates as a pass does and adds up. Nothing is written or held; targets are reserved in memory while
/// the walk over whole extents lasts, because a merge that fills a free run makes others needless.
class defrag_planner {
  public:
    /// `pieces`: four or more. `targets`: the more, the better merges are foreseen.
    defrag_planner(const defrag_options& options, extent scope, std::span<mapped_extent> pieces,
                   std::span<extent> targets) noexcept
        : options_{options}, scope_{scope}, pieces_{pieces}, rehearsal_{targets} {}

    /// Errors: the host's. Cost: two walks over the candidates' metadata, one look at the mapping of each range.
    template <RelocationHost Host, DefragPolicy Policy>
    [[nodiscard]] result<defrag_plan> run(Host& host, const Policy& policy, const set_aside_list& aside,
                                          space_sums space) noexcept {
        BOOST_OUTCOME_TRY(measure(host, space));
        if (std::max(plan_.before.objects_permille, plan_.before.free_permille) >= options_.threshold_permille) {
            if (options_.compact_free_extents) {
                rehearsal_.begin({space.free >> 2U});
                const auto walked = walk(host, policy, aside, candidate_kind::free_space_gap);
                rehearsal_.release(host);
                BOOST_OUTCOME_TRY(walked);
            }
            if (options_.relocate_fragmented) {
                BOOST_OUTCOME_TRY(walk(host, policy, aside, candidate_kind::fragmented_range));
            }
        } else {
            plan_.below_threshold = true;
        }
        conclude(host);
        return plan_;
    }

  private:
    template <RelocationHost Host>
    result<> measure(Host& host, const space_sums& space) noexcept {
        object_meter objects;
        objects.begin({candidate_kind::fragmented_range, range_limit(options_), scope_}, options_.extents_min);
        auto looks = ~std::uint64_t{0};
        BOOST_OUTCOME_TRY(objects.advance(host, looks));
        fragmented_            = objects.fragmented();
        largest_               = space.largest;
        plan_.before           = {permille_of(fragmented_, host.owner_count()), space.permille()};
        plan_.free_runs_before = space.free_runs;
        return success();
    }

    template <RelocationHost Host, DefragPolicy Policy>
    result<> walk(Host& host, const Policy& policy, const set_aside_list& aside, candidate_kind kind) noexcept {
        const candidate_request wanted{kind, range_limit(options_), scope_};
        relocation_cursor       cursor;
        object_id               owner{};
        std::uint64_t           saved = 0;  // pieces that the moves so far take from the owner
        for (;;) {
            BOOST_OUTCOME_TRY(const std::optional<defrag_candidate> found, host.next_candidate(cursor, wanted));
            if (!found) return success();
            auto c = *found;
            if (c.owner != owner) saved = 0;
            owner = c.owner;
            c.owner_extents -= std::min(c.owner_extents, saved);
            if (!selects(policy, options_, aside, c)) continue;
            auto request = request_of(c, range_limit(options_));
            BOOST_OUTCOME_TRY(move_stretch stretch, find_stretch(host, request, pieces_));
            if (request.where == placement::near_goal && stretch.blocks.value > largest_) {  // a part may fit
                request.room = {largest_};
                BOOST_OUTCOME_TRY(const move_stretch part, find_stretch(host, request, pieces_));
                if (part.empty()) {
                    ++plan_.without_room;
                    continue;
                }
                stretch = part;
            }
            if (!add(host, c, stretch)) continue;
            saved += stretch.gain;
            const auto left = c.owner_extents - std::min(c.owner_extents, stretch.gain);
            if (c.owner_extents >= options_.extents_min && left < options_.extents_min && fragmented_ > 0)
                --fragmented_;
        }
    }

    /// False: the range stays as it is.
    template <RelocationHost Host>
    bool add(Host& host, const defrag_candidate& c, const move_stretch& stretch) noexcept {
        if (stretch.empty()) {
            plan_.pinned += stretch.pinned.empty() ? 0U : 1U;
            return false;
        }
        const bool gap = c.free_runs_merged > 0;
        if (gap && !rehearsal_.place(host, {stretch.goal, stretch.blocks, placement::tight})) {
            ++plan_.without_room;
            return false;
        }
        ++plan_.moves;
        plan_.merges += c.free_runs_merged;
        plan_.blocks += stretch.blocks - stretch.unwritten;
        plan_.extents_saved += stretch.gain;
        plan_.reads_saved += c.reads_before > c.reads_after ? c.reads_before - c.reads_after : 0;
        return true;
    }

    template <RelocationHost Host>
    void conclude(Host& host) noexcept {
        plan_.bytes_written   = bytes_of(plan_.blocks, host.block());
        plan_.bytes_read      = options_.verify_target ? 2 * plan_.bytes_written : plan_.bytes_written;
        plan_.after           = {permille_of(fragmented_, host.owner_count()), plan_.before.free_permille};
        plan_.free_runs_after = plan_.free_runs_before - std::min(plan_.free_runs_before, plan_.merges);
        plan_.time            = expected_time();
    }

    /// Rests between batches come on top of the bytes; the intervals of cycles pass beside both.
    [[nodiscard]] duration expected_time() const noexcept {
        const auto pace    = pace_of(options_.priority);
        const auto rate    = options_.bytes_per_second;
        const auto seconds = quotient_of(plan_.bytes_written, rate);
        const auto rest    = rate == 0 ? 0 : plan_.bytes_written - seconds * rate;
        const auto nano    = quotient_of(rest << 10U, rate) * (nanoseconds_per_second >> 10U);
        const auto batches = quotient_of(plan_.moves + pace.extents_per_batch - 1, pace.extents_per_batch);
        const auto copying = seconds * nanoseconds_per_second + nano + batches * pace.between_batches.nanoseconds;
        const auto cycles  = quotient_of(plan_.blocks.value, options_.cycle_blocks_max.value);
        const auto cycling = cycles * options_.cycle_interval.nanoseconds;
        return {std::max(copying, cycling)};
    }

    defrag_options           options_;
    extent                   scope_;
    std::span<mapped_extent> pieces_;
    target_rehearsal         rehearsal_;
    defrag_plan              plan_{};
    std::uint64_t            fragmented_ = 0;
    std::uint64_t            largest_    = 0;
};

}  // namespace ashlar::inline v0
