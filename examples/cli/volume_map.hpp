#pragma once
/// A picture of a volume in text: which stretches hold data, and whether it lies in one piece.

#include <ashlar/vocabulary/extent.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace cli {

/// Counts the blocks of each stretch of a volume; all stretches have the same number of blocks, the last one perhaps
/// fewer.
class volume_map {
  public:
    volume_map(std::uint64_t blocks, std::size_t cells)
        : per_cell_{std::max<std::uint64_t>(1, (blocks + cells - 1) / std::max<std::size_t>(cells, 1))},
          cells_(static_cast<std::size_t>((blocks + per_cell_ - 1) / per_cell_)) {}

    /// Adds data. `broken`: a piece of an object that lies in several, and too short to be read at the device's speed.
    void add(ashlar::extent data, bool broken) {
        std::uint64_t block = data.first.value;
        std::uint64_t left  = data.count.value;
        while (left > 0 && block / per_cell_ < cells_.size()) {
            auto&      cell  = cells_[static_cast<std::size_t>(block / per_cell_)];
            const auto count = std::min(left, per_cell_ - block % per_cell_);
            (broken ? cell.broken : cell.whole) += count;
            block += count;
            left -= count;
        }
    }

    /// One letter a cell: '.' no data, '-' '=' '#' whole data and how much of it, 'x' 'X' mostly broken data.
    [[nodiscard]] std::string letters() const {
        std::string text;
        text.reserve(cells_.size());
        for (const auto& cell : cells_) text += letter(cell);
        return text;
    }

    /// Of the data, the part that is broken: 0 to 1.
    [[nodiscard]] double broken_part() const {
        std::uint64_t whole = 0, broken = 0;
        for (const auto& cell : cells_) {
            whole += cell.whole;
            broken += cell.broken;
        }
        return whole + broken == 0 ? 0 : static_cast<double>(broken) / static_cast<double>(whole + broken);
    }

    [[nodiscard]] std::uint64_t blocks_per_cell() const { return per_cell_; }

  private:
    struct counts {
        std::uint64_t whole  = 0;
        std::uint64_t broken = 0;
    };

    [[nodiscard]] char letter(const counts& cell) const {
        const std::uint64_t data = cell.whole + cell.broken;
        if (data == 0) return '.';
        if (cell.broken * 2 > data) return data * 2 > per_cell_ ? 'X' : 'x';
        if (data * 3 <= per_cell_) return '-';
        return data * 3 <= per_cell_ * 2 ? '=' : '#';
    }

    std::uint64_t       per_cell_;
    std::vector<counts> cells_;
};

}  // namespace cli
