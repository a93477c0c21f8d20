#pragma once
/// How the data of a volume lies: counted by a walk over every object's extents.

#include "volume.hpp"
#include "volume_map.hpp"

#include <array>
#include <functional>

namespace cli {

/// Pieces shorter than this cost a read of their own; longer ones a disk reads at its full speed.
inline constexpr std::uint64_t long_piece_bytes = 64 * 1024;

/// Upper ends of the classes of the histogram of extents per object; the last class is open.
inline constexpr std::array<std::uint64_t, 8> extent_classes{1, 2, 4, 8, 16, 32, 64, ~std::uint64_t{0}};

/// What to do about a volume, by its share of fragmented objects.
enum class recommendation { none, consider, recommended, urgent };

[[nodiscard]] constexpr recommendation recommend(double object_fragmentation) noexcept {
    if (object_fragmentation > 0.50) return recommendation::urgent;
    if (object_fragmentation > 0.30) return recommendation::recommended;
    if (object_fragmentation > 0.15) return recommendation::consider;
    return recommendation::none;
}

[[nodiscard]] constexpr const char* name_of(recommendation advice) noexcept {
    switch (advice) {
        case recommendation::none: return "none";
        case recommendation::consider: return "consider";
        case recommendation::recommended: return "recommended";
        case recommendation::urgent: return "urgent";
    }
    return "none";
}

struct analysis {
    std::uint64_t objects    = 0;
    std::uint64_t with_data  = 0;
    std::uint64_t fragmented = 0;  ///< Of those with data: at least `extents_min` extents.
    std::uint64_t extents    = 0;
    std::uint64_t blocks     = 0;                                  ///< That hold data.
    std::array<std::uint64_t, extent_classes.size()> histogram{};  ///< Objects with data by their extents.
    std::vector<object_facts>                        worst{};      ///< Most extents first, ten at most.
    volume_map                                       map{1, 1};

    [[nodiscard]] double object_fragmentation() const {
        return with_data == 0 ? 0 : static_cast<double>(fragmented) / static_cast<double>(with_data);
    }
};

/// Walks the volume. `cells`: of the map. `tick` is told how many objects are behind it and answers whether to go on.
[[nodiscard]] result<analysis> analyze(volume& on, std::uint32_t extents_min, std::size_t cells,
                                       const std::function<bool(std::uint64_t done, std::uint64_t total)>& tick);

/// The map in lines of `columns` letters with a frame and a legend; coloured where stdout takes colours.
[[nodiscard]] std::string drawn(const volume_map& map, std::size_t columns, std::uint32_t block_bytes);

}  // namespace cli
