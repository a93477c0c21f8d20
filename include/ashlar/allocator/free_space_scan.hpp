#pragma once
/// Free space as a whole: the runs of whatever says where free blocks are, joined where they touch.

#include <ashlar/allocator/bitmap_words.hpp>
#include <ashlar/vocabulary/extent.hpp>
#include <ashlar/vocabulary/result.hpp>

#include <optional>

namespace ashlar::inline v0 {

/// Says where free blocks are: the first free run at or behind a block, or none. Runs come in order; one may end where
/// the next begins.
template <class S>
concept FreeSpace = requires(S& source, block_index from) {
    { source.next_free(from) }
    noexcept->std::same_as<result<std::optional<extent>>>;
};

/// The free space of a bitmap in memory: a clear bit is a free block. Safe from: any number of threads, while nobody
/// changes the words.
class bitmap_free_space {
  public:
    constexpr bitmap_free_space(std::span<const bitmap_word> words, std::uint32_t blocks) noexcept
        : words_{words}, blocks_{blocks} {}

    [[nodiscard]] result<std::optional<extent>> next_free(block_index from) noexcept {
        if (from.value >= blocks_) return std::optional<extent>{};
        const auto first = next_clear(words_, static_cast<std::uint32_t>(from.value), blocks_);
        if (first == blocks_) return std::optional<extent>{};
        return std::optional{extent{block_index{first}, block_count{next_set(words_, first, blocks_) - first}}};
    }

  private:
    std::span<const bitmap_word> words_;
    std::uint32_t                blocks_;
};

/// Calls `each(extent)` for every free run from `from` on, those that touch as one, until it answers false.
/// Errors: the source's. Cost: one look at the source for each run of it.
template <FreeSpace S, class Each>
result<> for_each_free_run(S& source, block_index from, Each&& each) noexcept {
    extent run{};
    for (block_index at = from;;) {
        BOOST_OUTCOME_TRY(const auto found, source.next_free(at));
        if (found && !run.empty() && found->first == run.end()) {
            run.count += found->count;
        } else {
            if (!run.empty() && !each(run)) return success();
            if (!found) return success();
            run = *found;
        }
        at = run.end();
    }
}

/// The first run of at least so many blocks that lies before `end`, cut to that number; empty where there is none.
/// Precondition: blocks > 0. Errors: the source's.
template <FreeSpace S>
[[nodiscard]] result<std::optional<extent>> first_fit(S& source, block_count blocks, block_index from = {},
                                                      block_index end = {~std::uint64_t{0}}) noexcept {
    std::optional<extent> fit;
    BOOST_OUTCOME_TRY(for_each_free_run(source, from, [&](extent run) noexcept {
        if (run.first < end && run.end() > end) run.count = end - run.first;
        if (run.first >= end) return false;
        if (run.count >= blocks) fit = extent{run.first, blocks};
        return !fit;
    }));
    return fit;
}

}  // namespace ashlar::inline v0
