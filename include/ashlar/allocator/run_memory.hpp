#pragma once
/// Where the free runs of many groups lie.

#include <ashlar/allocator/group_runs.hpp>

#include <new>

namespace ashlar::inline v0 {

/// The memory of the runs of a fixed number of groups: for each its array, its bitmap and its counts. A handle that may
/// be copied; several indexes may share it where no two hold the same group.
class run_memory {
  public:
    static constexpr std::size_t alignment = 64;

    run_memory() noexcept = default;
    /// Precondition: `memory` is aligned to `alignment` and has `bytes(groups, group_blocks)` or more. No group is
    /// loaded then.
    run_memory(std::span<std::byte> memory, std::uint32_t groups, std::uint32_t group_blocks) noexcept
        : groups_{groups},
          group_blocks_{group_blocks},
          capacity_{runs_in_array(group_blocks)},
          group_words_{words_for(group_blocks)} {
        ASHLAR_ASSERT(memory.size() >= bytes(groups, group_blocks) && group_blocks <= group_blocks_max);
        std::byte* at = memory.data();
        entries_      = place<std::uint16_t>(at, std::size_t{groups} * capacity_ * 2U);
        words_        = place<bitmap_word>(at, groups * group_words_);
        states_       = place<group_state>(at, groups);
        hidden_       = place<std::uint16_t>(at, std::size_t{groups} * hidden_lengths);
    }

    /// Bytes for so many groups of so many blocks: with groups of 3968 blocks or more less than a quarter byte a block.
    [[nodiscard]] static constexpr std::size_t bytes(std::uint32_t groups, std::uint32_t group_blocks) noexcept {
        const std::size_t one = runs_in_array(group_blocks) * 2U * sizeof(std::uint16_t) +
                                words_for(group_blocks) * sizeof(bitmap_word) + sizeof(group_state) +
                                hidden_lengths * sizeof(std::uint16_t);
        return groups * one + alignof(bitmap_word);
    }

    [[nodiscard]] std::uint32_t groups() const noexcept { return groups_; }
    [[nodiscard]] std::uint32_t group_blocks() const noexcept { return group_blocks_; }

    [[nodiscard]] group_runs operator[](std::uint32_t group) const noexcept {
        ASHLAR_ASSERT(group < groups_);
        return {states_[group], entries_ + std::size_t{group} * capacity_ * 2U, capacity_,
                hidden_ + std::size_t{group} * hidden_lengths, std::span{words_ + group * group_words_, group_words_}};
    }

  private:
    template <class T>
    [[nodiscard]] static T* place(std::byte*& at, std::size_t count) noexcept {
        T* const first = reinterpret_cast<T*>(at);
        for (std::size_t i = 0; i < count; ++i) ::new (static_cast<void*>(first + i)) T{};
        at += count * sizeof(T);
        return first;
    }

    std::uint16_t* entries_      = nullptr;
    bitmap_word*   words_        = nullptr;
    group_state*   states_       = nullptr;
    std::uint16_t* hidden_       = nullptr;
    std::uint32_t  groups_       = 0;
    std::uint32_t  group_blocks_ = 0;
    std::uint32_t  capacity_     = 0;
    std::size_t    group_words_  = 0;
};
static_assert(run_memory::bytes(512, group_blocks_max) * 5U < std::size_t{512} * group_blocks_max);
static_assert(run_memory::bytes(512, 3968) * 4U < std::size_t{512} * 3968U);

}  // namespace ashlar::inline v0
