#pragma once
/// Ranges that maintenance leaves alone because their blocks failed.

#include <ashlar/concepts/defrag_policy.hpp>
#include <ashlar/vocabulary/error.hpp>

#include <span>

namespace ashlar::inline v0 {

struct set_aside_range {
    object_id     owner{};
    logical_block first{};
    block_count   blocks{};
    error         failure{};  ///< What failed, and at which block.
};

/// A bounded list in lent memory. When it is full the oldest entry makes room, and its range is tried again one day.
class set_aside_list {
  public:
    set_aside_list() noexcept = default;
    explicit set_aside_list(std::span<set_aside_range> memory) noexcept : memory_{memory} {}

    void add(const set_aside_range& range) noexcept {
        if (memory_.empty()) return;
        memory_[next_] = range;
        next_          = next_ + 1 == memory_.size() ? 0 : next_ + 1;
        count_         = count_ < memory_.size() ? count_ + 1 : count_;
    }

    [[nodiscard]] bool holds(const defrag_candidate& candidate) const noexcept {
        for (const auto& range : ranges()) {
            const bool before = candidate.first < range.first;
            const auto reach  = before ? range.first - candidate.first : candidate.first - range.first;
            const auto size   = before ? candidate.blocks : range.blocks;
            if (range.owner == candidate.owner && reach < size) return true;
        }
        return false;
    }

    void                                           clear() noexcept { count_ = next_ = 0; }
    [[nodiscard]] std::span<const set_aside_range> ranges() const noexcept { return memory_.first(count_); }

  private:
    std::span<set_aside_range> memory_{};
    std::size_t                count_ = 0;
    std::size_t                next_  = 0;
};

}  // namespace ashlar::inline v0
