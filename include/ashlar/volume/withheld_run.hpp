#pragma once
/// Blocks that nobody is given, and what is known of them.

#include <ashlar/vocabulary/extent.hpp>

namespace ashlar::inline v0 {

/// What is withheld, by what its blocks are; the rest of it is free.
struct withheld_blocks {
    block_count in_use{};
    block_count reserved{};  ///< By operations that began before; these will use them, or give them back.
    block_count draining{};  ///< Free, but for readers and for the journal.

    [[nodiscard]] bool none() const noexcept { return (in_use + reserved + draining).value == 0; }
};

/// A run of blocks that is withheld, and how many of them are free, as far as it was counted: from its beginning on.
class withheld_run {
  public:
    /// These blocks and no others, of which nothing is counted yet.
    void begin(extent blocks) noexcept {
        blocks_     = blocks;
        counted_to_ = blocks.first;
        free_       = {};
    }
    /// So many of the next blocks that were not counted, up to `end`, are free.
    void count(block_index end, block_count free) noexcept {
        free_ += free;
        counted_to_ = end;
    }
    /// These of its blocks came free; whoever counts what they are part of finds them.
    void came_free(extent inside) noexcept {
        free_ += common_part(inside, {blocks_.first, counted_to_ - blocks_.first}).count;
    }

    [[nodiscard]] extent      blocks() const noexcept { return blocks_; }
    [[nodiscard]] extent      uncounted() const noexcept { return {counted_to_, blocks_.end() - counted_to_}; }
    [[nodiscard]] block_count free() const noexcept { return free_; }

  private:
    extent      blocks_{};
    block_index counted_to_{};
    block_count free_{};
};

}  // namespace ashlar::inline v0
