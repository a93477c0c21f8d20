#pragma once
/// How scattered objects and free space are, measured in bounded pieces.

#include <ashlar/concepts/relocation_host.hpp>
#include <ashlar/maintenance/defrag_statistics.hpp>

#include <algorithm>

namespace ashlar::inline v0 {

/// Sums over free space.
struct space_sums {
    std::uint64_t free         = 0;
    std::uint64_t outside_runs = 0;  ///< Free blocks outside the longest run of their group.
    std::uint64_t free_runs    = 0;
    std::uint64_t largest      = 0;

    [[nodiscard]] std::uint32_t permille() const noexcept { return permille_of(outside_runs, free); }
};

/// Walks the groups of a volume, or looks at one.
class space_meter {
  public:
    void begin() noexcept { *this = {}; }
    void begin(std::uint64_t group) noexcept {
        *this = {};
        next_ = group;
        one_  = true;
    }

    /// True when done. Each group costs one look. Errors: the host's.
    template <RelocationHost Host>
    [[nodiscard]] result<bool> advance(Host& host, std::uint64_t& looks) noexcept {
        const auto end = one_ ? next_ + (done_ ? 0U : 1U) : host.scope_count();
        while (!done_ && next_ < end) {
            if (looks == 0) return false;
            --looks;
            BOOST_OUTCOME_TRY(const relocation_scope group, host.scope(next_));
            sums_.free += group.free.value;
            sums_.outside_runs += group.free.value - std::min(group.free.value, group.largest_free.value);
            sums_.free_runs += group.free_runs;
            sums_.largest = std::max(sums_.largest, group.largest_free.value);
            ++next_;
            if (one_) break;
        }
        done_ = true;
        return true;
    }

    [[nodiscard]] const space_sums& sums() const noexcept { return sums_; }

  private:
    space_sums    sums_{};
    std::uint64_t next_ = 0;
    bool          one_  = false;
    bool          done_ = false;
};

/// Counts the objects in many pieces: those of `extents_min` or more.
class object_meter {
  public:
    void begin(const candidate_request& wanted, std::uint64_t extents_min) noexcept {
        *this        = {};
        wanted_      = wanted;
        extents_min_ = extents_min;
    }

    /// True when done. Each answer of the host costs one look. Errors: the host's.
    template <RelocationHost Host>
    [[nodiscard]] result<bool> advance(Host& host, std::uint64_t& looks) noexcept {
        for (;;) {
            if (looks == 0) return false;
            --looks;
            BOOST_OUTCOME_TRY(const std::optional<defrag_candidate> found, host.next_candidate(cursor_, wanted_));
            if (!found) return true;
            if (found->blocks.value == 0 || found->owner == last_) continue;
            last_ = found->owner;
            if (found->owner_extents >= extents_min_) ++fragmented_;
        }
    }

    [[nodiscard]] std::uint64_t fragmented() const noexcept { return fragmented_; }
    [[nodiscard]] std::uint64_t seen() const noexcept { return cursor_.seen; }

  private:
    relocation_cursor cursor_{};
    candidate_request wanted_{};
    std::uint64_t     extents_min_ = 0;
    std::uint64_t     fragmented_  = 0;
    object_id         last_{};
};

}  // namespace ashlar::inline v0
