#pragma once
/// Wholly free groups that no index holds.

#include <ashlar/allocator/group_set.hpp>
#include <ashlar/concepts/threading.hpp>

namespace ashlar::inline v0 {

/// What several indexes over one `run_memory` share: an index that runs short takes a group from here and adopts it,
/// and one that got a whole group back may release it to here. As a thread takes its blocks from its own index, this
/// lock is the only one they meet at, once in tens of thousands of blocks. The lowest group goes first.
template <Threading T>
class group_pool {
  public:
    /// Begins empty. Precondition: `words` are `group_set::words_for_groups(groups)`.
    group_pool(std::span<std::uint64_t> words, std::uint32_t groups) noexcept : groups_{words.data(), groups} {
        ASHLAR_ASSERT(words.size() >= group_set::words_for_groups(groups));
        for (auto& word : words) word = 0;
    }

    /// Precondition: the group is wholly free and no index holds it.
    void put(std::uint32_t group) noexcept {
        const locked<T> lock{mutex_};
        groups_.insert(group);
    }

    /// The lowest group, which then belongs to the caller; `group_set::none` when the pool is empty.
    [[nodiscard]] std::uint32_t take() noexcept {
        const locked<T>     lock{mutex_};
        const std::uint32_t group = groups_.lowest();
        if (group != group_set::none) groups_.erase(group);
        return group;
    }

  private:
    typename T::mutex mutex_{};
    group_set         groups_{};
};

}  // namespace ashlar::inline v0
