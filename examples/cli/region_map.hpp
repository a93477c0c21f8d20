#pragma once
/// A picture of a volume in text: where its regions lie, and what is free between them.

#include <ashlar/vocabulary/extent.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace cli {

/// What a block may belong to. What nobody claims belongs to objects, or to what the store keeps between them.
enum class block_use : std::uint8_t { free, store, region, pinned };

/// Counts the blocks of each stretch of a volume by their use; stretches have the same number of blocks, the last one
/// perhaps fewer.
class region_map {
  public:
    region_map(std::uint64_t blocks, std::size_t cells)
        : blocks_{blocks},
          per_cell_{std::max<std::uint64_t>(1, (blocks + cells - 1) / std::max<std::size_t>(cells, 1))},
          cells_(static_cast<std::size_t>((blocks + per_cell_ - 1) / per_cell_)) {}

    void add(ashlar::extent part, block_use use) {
        std::uint64_t block = part.first.value;
        std::uint64_t left  = part.count.value;
        while (left > 0 && block / per_cell_ < cells_.size()) {
            const auto count = std::min(left, per_cell_ - block % per_cell_);
            cells_[static_cast<std::size_t>(block / per_cell_)][static_cast<std::size_t>(use)] += count;
            block += count;
            left -= count;
        }
    }

    /// One letter a cell: '.' where all is free, else what most of the rest is: '-' objects, 's' the store's own
    /// regions, '#' regions, 'P' pinned ones.
    [[nodiscard]] std::string letters() const {
        std::string text;
        text.reserve(cells_.size());
        for (std::size_t i = 0; i < cells_.size(); ++i) text += letter(i);
        return text;
    }

    [[nodiscard]] std::uint64_t blocks_per_cell() const { return per_cell_; }

  private:
    [[nodiscard]] char letter(std::size_t cell) const {
        static constexpr std::array<char, 4> names{'.', 's', '#', 'P'};

        const auto&   uses = cells_[cell];
        std::uint64_t rest = std::min(per_cell_, blocks_ - cell * per_cell_);
        for (const auto count : uses) rest -= std::min(rest, count);
        char          most  = '-';
        std::uint64_t count = rest;
        for (std::size_t use = 1; use < names.size(); ++use) {
            if (uses[use] == 0 || uses[use] < count) continue;
            most  = names[use];
            count = uses[use];
        }
        return count == 0 ? '.' : most;
    }

    std::uint64_t                             blocks_;
    std::uint64_t                             per_cell_;
    std::vector<std::array<std::uint64_t, 4>> cells_;
};

}  // namespace cli
