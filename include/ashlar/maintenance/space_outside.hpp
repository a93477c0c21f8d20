#pragma once
/// What a volume has free outside of a range of its blocks.

#include <ashlar/region/region_space.hpp>

namespace ashlar::inline v0 {

/// The free space of a volume outside of a range, without the targets of a plan.
template <FreeSpace S>
class free_space_outside {
  public:
    free_space_outside(S& all, extent range, std::span<const extent> targets) noexcept
        : all_{all}, range_{range}, targets_{targets} {}

    /// Errors: those of the space as it is.
    [[nodiscard]] result<std::optional<extent>> next_free(block_index from) noexcept {
        for (;;) {
            BOOST_OUTCOME_TRY(auto next, all_.next_free(from));
            if (!next) return next;
            const auto behind = cut(*next);
            if (behind == next->first) return next;
            from = behind;
        }
    }

  private:
    /// Ends the run where something begins that is no part of it; answers where to go on if it begins inside of that.
    [[nodiscard]] block_index cut(extent& run) const noexcept {
        const auto one = [&](extent taken) noexcept {
            if (!overlap(taken, run)) return run.first;
            if (taken.contains(run.first)) return taken.end();
            run.count = taken.first - run.first;
            return run.first;
        };
        if (const auto behind = one(range_); behind != run.first) return behind;
        for (const auto& target : targets_) {
            if (const auto behind = one(target); behind != run.first) return behind;
        }
        return run.first;
    }

    S&                      all_;
    extent                  range_;
    std::span<const extent> targets_;
};

/// What moves may take outside, once what waits to be free is free.
template <class Volume>
[[nodiscard]] block_count room_outside(const Volume& volume, extent range, block_count free_inside) noexcept {
    const auto waits = volume.space.draining();
    if (volume.space.withheld() == range)
        return volume.space.available(space_use::relocation) + (waits - volume.space.withheld_now().draining);
    return volume.space.available_outside(range, free_inside, waits, volume.geometry);
}

}  // namespace ashlar::inline v0
