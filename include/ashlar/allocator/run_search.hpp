#pragma once
/// Searches in arrays of 16-bit starts and lengths, many entries at once.

#include <ashlar/config.hpp>

#include <bit>
#include <cstdint>
#include <cstring>

namespace ashlar::inline v0 {

/// Arrays of runs are whole multiples of so many entries; a search may look at all of these.
inline constexpr std::uint32_t run_lanes = 64;

/// No such entry.
inline constexpr std::uint32_t no_run = ~std::uint32_t{0};

/// A spare entry: no search finds it, as it is empty and ends where no group does.
inline constexpr std::uint16_t spare_start  = 0xFFFF;
inline constexpr std::uint16_t spare_length = 0;

/// An entry of some length, and whether another is there too.
struct length_found {
    std::uint32_t at   = no_run;
    bool          more = false;
};

/// The entries beside a run; `no_run` where the neighbour is not free.
struct run_neighbours {
    std::uint32_t before = no_run;  ///< Ends where the run begins.
    std::uint32_t after  = no_run;  ///< Begins where the run ends.
};

/// One entry at a time, for every machine.
namespace plain_search {

/// The first entry whose length is at least `low` and at most `low + width`.
[[nodiscard]] inline length_found by_length(const std::uint16_t* lengths, std::uint32_t count, std::uint16_t low,
                                            std::uint16_t width) noexcept {
    length_found found{};
    for (std::uint32_t i = 0; i < count && !found.more; ++i) {
        if (static_cast<std::uint16_t>(lengths[i] - low) > width) continue;
        found.more = found.at != no_run;
        found.at   = found.more ? found.at : i;
    }
    return found;
}

/// The entry that holds `block`.
[[nodiscard]] inline std::uint32_t around(const std::uint16_t* starts, const std::uint16_t* lengths,
                                          std::uint32_t count, std::uint16_t block) noexcept {
    for (std::uint32_t i = 0; i < count; ++i) {
        if (static_cast<std::uint16_t>(block - starts[i]) < lengths[i]) return i;
    }
    return no_run;
}

/// The entries that end at `first` and that begin at `end`.
[[nodiscard]] inline run_neighbours beside(const std::uint16_t* starts, const std::uint16_t* lengths,
                                           std::uint32_t count, std::uint16_t first, std::uint16_t end) noexcept {
    run_neighbours found{};
    for (std::uint32_t i = 0; i < count; ++i) {
        if (static_cast<std::uint16_t>(starts[i] + lengths[i]) == first) found.before = i;
        if (starts[i] == end) found.after = i;
    }
    return found;
}

}  // namespace plain_search

#if defined(__GNUC__) && defined(__SSE2__)

/// Sixty-four entries at a time and without a branch between them, since most groups have fewer runs. The same answers
/// as `plain_search`.
namespace lane_search {

using lanes      = std::uint16_t __attribute__((vector_size(16)));
using lane_marks = std::int16_t __attribute__((vector_size(16)));

[[nodiscard]] inline lanes load(const std::uint16_t* at) noexcept {
    lanes loaded;
    std::memcpy(&loaded, at, sizeof loaded);
    return loaded;
}
[[nodiscard]] inline lanes all(std::uint16_t value) noexcept {
    return lanes{value, value, value, value, value, value, value, value};
}

/// One bit for each of 64 entries: whether `holds(i)`, asked of the eight entries from i on, says so.
template <class Holds>
[[nodiscard]] inline std::uint64_t marks(Holds holds) noexcept {
    const auto sixteen = [&](std::uint32_t i) noexcept {
        const auto bytes = __builtin_ia32_packsswb128(lane_marks(holds(i)), lane_marks(holds(i + 8U)));
        return static_cast<std::uint64_t>(static_cast<std::uint32_t>(__builtin_ia32_pmovmskb128(bytes)));
    };
    return sixteen(0) | sixteen(16) << 16U | sixteen(32) << 32U | sixteen(48) << 48U;
}
[[nodiscard]] inline std::uint32_t first_of(std::uint64_t found) noexcept {
    return static_cast<std::uint32_t>(std::countr_zero(found));
}

[[nodiscard]] inline length_found by_length(const std::uint16_t* lengths, std::uint32_t count, std::uint16_t low,
                                            std::uint16_t width) noexcept {
    const lanes  lowest = all(low);
    const lanes  widest = all(width);
    length_found found{};
    for (std::uint32_t i = 0; i < count && !found.more; i += run_lanes) {
        std::uint64_t here = marks([&](std::uint32_t k) noexcept { return load(lengths + i + k) - lowest <= widest; });
        if (here == 0) continue;
        if (found.at == no_run) {
            found.at = i + first_of(here);
            here &= here - 1U;
        }
        found.more = here != 0;
    }
    return found;
}

[[nodiscard]] inline std::uint32_t around(const std::uint16_t* starts, const std::uint16_t* lengths,
                                          std::uint32_t count, std::uint16_t block) noexcept {
    const lanes inside = all(block);
    for (std::uint32_t i = 0; i < count; i += run_lanes) {
        const std::uint64_t here =
            marks([&](std::uint32_t k) noexcept { return inside - load(starts + i + k) < load(lengths + i + k); });
        if (here != 0) return i + first_of(here);
    }
    return no_run;
}

[[nodiscard]] inline run_neighbours beside(const std::uint16_t* starts, const std::uint16_t* lengths,
                                           std::uint32_t count, std::uint16_t first, std::uint16_t end) noexcept {
    const lanes    begins = all(end);
    const lanes    ends   = all(first);
    run_neighbours found{};
    for (std::uint32_t i = 0; i < count; i += run_lanes) {
        const std::uint64_t after = marks([&](std::uint32_t k) noexcept { return load(starts + i + k) == begins; });
        const std::uint64_t before =
            marks([&](std::uint32_t k) noexcept { return load(starts + i + k) + load(lengths + i + k) == ends; });
        if (after != 0) found.after = i + first_of(after);
        if (before != 0) found.before = i + first_of(before);
    }
    return found;
}

}  // namespace lane_search

namespace run_search = lane_search;

#else

namespace run_search = plain_search;

#endif

}  // namespace ashlar::inline v0
