#pragma once
/// Groups of a volume, the most fragmented first.

#include <ashlar/maintenance/fragmentation_meter.hpp>

#include <span>

namespace ashlar::inline v0 {

struct ranked_group {
    std::uint64_t group    = 0;
    std::uint32_t permille = 0;
};

/// Hands out each group of a volume once. A volume of more groups than the lent memory holds is ordered stretch by
/// stretch: worst first within each, so that neither memory nor the walk grows with the volume squared.
class group_order {
  public:
    group_order() noexcept = default;
    explicit group_order(std::span<ranked_group> memory) noexcept : memory_{memory} {}

    void begin() noexcept {
        next_ = count_ = taken_ = 0;
        filled_                 = false;
    }

    /// True when `take` can answer. Each group costs one look. Errors: the host's.
    template <RelocationHost Host>
    [[nodiscard]] result<bool> advance(Host& host, std::uint64_t& looks) noexcept {
        if (filled_ && taken_ < count_) return true;
        if (filled_) {
            filled_ = false;
            count_ = taken_ = 0;
        }
        while (next_ < host.scope_count() && count_ < memory_.size()) {
            if (looks == 0) return false;
            --looks;
            BOOST_OUTCOME_TRY(const relocation_scope group, host.scope(next_));
            const auto outside = group.free.value - std::min(group.free.value, group.largest_free.value);
            insert({next_, permille_of(outside, group.free.value)});
            ++next_;
        }
        return filled_ = true;
    }

    /// The worst group that is left; none at the end. Precondition: `advance` answered true.
    [[nodiscard]] std::optional<std::uint64_t> take() noexcept {
        if (taken_ == count_) return std::nullopt;
        return memory_[taken_++].group;
    }

  private:
    void insert(ranked_group one) noexcept {
        auto at = count_++;
        for (; at > 0 && memory_[at - 1].permille < one.permille; --at) memory_[at] = memory_[at - 1];
        memory_[at] = one;
    }

    std::span<ranked_group> memory_{};
    std::uint64_t           next_   = 0;
    std::size_t             count_  = 0;
    std::size_t             taken_  = 0;
    bool                    filled_ = false;
};

}  // namespace ashlar::inline v0
