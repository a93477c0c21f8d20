#pragma once
/// The best of a bounded number of candidates.

#include <ashlar/concepts/defrag_policy.hpp>
#include <ashlar/config.hpp>

#include <algorithm>
#include <span>

namespace ashlar::inline v0 {

struct ranked_candidate {
    std::uint64_t    rank = 0;
    std::uint64_t    turn = 0;  ///< Equal ranks: first come, first served, so that runs repeat exactly.
    defrag_candidate what{};
};

/// A heap in lent memory with the highest rank on top. It refuses what it has no room for.
class candidate_heap {
  public:
    candidate_heap() noexcept = default;
    explicit candidate_heap(std::span<ranked_candidate> memory) noexcept : memory_{memory} {}

    void clear() noexcept {
        count_ = 0;
        turn_  = 0;
    }

    /// False: full, and nothing was added.
    bool push(const defrag_candidate& what, std::uint64_t rank) noexcept {
        if (full()) return false;
        memory_[count_++] = {rank, turn_++, what};
        std::push_heap(memory_.data(), memory_.data() + count_, lower);
        return true;
    }

    [[nodiscard]] const defrag_candidate& best() const noexcept {
        ASHLAR_ASSERT(!empty());
        return memory_.front().what;
    }

    void pop() noexcept {
        ASHLAR_ASSERT(!empty());
        std::pop_heap(memory_.data(), memory_.data() + count_, lower);
        --count_;
    }

    /// An owner has `fewer` pieces now. Ranks stay: they judge ranges, not owners.
    void owner_improved(object_id owner, std::uint64_t fewer) noexcept {
        for (auto& one : memory_.first(count_)) {
            if (one.what.owner == owner) one.what.owner_extents -= std::min(one.what.owner_extents, fewer);
        }
    }

    [[nodiscard]] bool        empty() const noexcept { return count_ == 0; }
    [[nodiscard]] bool        full() const noexcept { return count_ == memory_.size(); }
    [[nodiscard]] std::size_t size() const noexcept { return count_; }

  private:
    static bool lower(const ranked_candidate& a, const ranked_candidate& b) noexcept {
        return a.rank != b.rank ? a.rank < b.rank : a.turn > b.turn;
    }

    std::span<ranked_candidate> memory_{};
    std::size_t                 count_ = 0;
    std::uint64_t               turn_  = 0;
};

}  // namespace ashlar::inline v0
