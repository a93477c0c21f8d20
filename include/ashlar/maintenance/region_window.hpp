#pragma once
/// Where a region could lie if what is no region moved away.

#include <ashlar/region/region_source.hpp>

#include <optional>

namespace ashlar::inline v0 {

/// The lowest window of so many blocks from `from` on that ends by `end` and has nothing in it that stays. `behind`
/// answers for a window where the last such thing in it ends, or the window's first block where there is none.
template <class Behind>
[[nodiscard]] std::optional<extent> lowest_window(block_count blocks, block_index from, block_index end,
                                                  Behind&& behind) noexcept {
    for (;;) {
        if (blocks.value == 0 || from >= end || end - from < blocks) return std::nullopt;
        const extent window{from, blocks};
        const auto   next = behind(window);
        if (next <= from) return window;
        from = next;
    }
}

/// Where the last of the directory's regions in a window ends; those of which `counts` says no are not seen.
/// Precondition: the volume is entered.
template <class Volume, class Counts>
[[nodiscard]] block_index behind_regions(Volume& volume, extent window, Counts&& counts) noexcept {
    auto last = window.first;
    for (std::uint32_t i = 0; i < volume.regions.slots(); ++i) {
        const auto slot = slot_at(volume, i);
        if (counts(slot) && overlap(slot.place(), window) && slot.place().end() > last) last = slot.place().end();
    }
    return last;
}

}  // namespace ashlar::inline v0
