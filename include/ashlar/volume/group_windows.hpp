#pragma once
/// The groups in memory of a store without an index: their bitmaps.

#include <ashlar/volume/space.hpp>

namespace ashlar::inline v0 {

/// A fixed number of group bitmaps; a bit is set where nothing may be allocated. The least recently used one gives way.
class group_windows {
  public:
    constexpr void take(arena& from, block_size block, const space_limits& limits) noexcept {
        words_per_window_ = words_for(blocks_per_group(block));
        windows_          = from.take<window>(limits.groups_loaded);
        words_            = from.take<bitmap_word>(limits.groups_loaded * words_per_window_);
    }

    void open(const volume_geometry&) noexcept {
        for (auto& one : windows_) one = window{};
    }

    /// What may be allocated of a group. Errors: those of reading its record and bitmap.
    template <class Source>
    result<group_view> view(const space& counts, const metadata_access<Source>& at, std::uint64_t group) noexcept {
        const std::uint32_t blocks = at.geometry.group_blocks(group);
        if (const auto i = find(group); i < windows_.size()) return group_view{words_of(i), blocks};
        std::span<bitmap_word> words{};
        BOOST_OUTCOME_TRY(const bool any, counts.read_busy(at, group, [&]() noexcept { return words = claim(group); }));
        if (!any) clear_bitmap(words, blocks);
        return group_view{words, blocks};
    }

    /// Takes a run; empty where no group has one. The groups are asked one after the other, from `start` on.
    /// Errors: those of reading records and bitmaps; then nothing is taken.
    template <Allocator A, class Source>
    result<extent> allocate(const space& counts, const metadata_access<Source>& at, const A& allocator,
                            const space_request& request, std::uint64_t start) noexcept {
        BOOST_OUTCOME_TRY(auto found, search(counts, at, allocator, request, start, request.blocks, near_groups));
        if (found.empty() && request.least < request.blocks) {
            BOOST_OUTCOME_TRY(const auto group, roomiest(counts, at, start));
            BOOST_OUTCOME_TRY(found, look_in(counts, at, allocator, request, group, request.least));
        }
        if (found.empty()) {
            BOOST_OUTCOME_TRY(found, search(counts, at, allocator, request, start, request.least, at.geometry.groups));
        }
        set_busy(found, at.geometry.block);
        return found;
    }

    /// Marks the part of the extent that lies in loaded groups.
    void set_busy(extent blocks, block_size size) noexcept { mark(blocks, size, true); }
    void set_free(extent blocks, block_size size) noexcept { mark(blocks, size, false); }

    /// What was known of these blocks is old: their groups are looked at anew.
    void forget(extent blocks, block_size size) noexcept {
        for (auto& one : windows_) {
            if (one.used != 0 && part_in_group(blocks, one.group, size).count != 0) one = {};
        }
    }
    /// Nothing of these blocks can be had: here nothing is remembered of groups that are not loaded.
    void exclude(extent, const volume_geometry&) noexcept {}

  private:
    struct window {
        std::uint64_t group = ~std::uint64_t{0};
        std::uint64_t used  = 0;
    };

    static constexpr std::uint64_t near_groups = 16;  // looked at before a split is accepted

    [[nodiscard]] std::span<bitmap_word> words_of(std::size_t i) const noexcept {
        return words_.subspan(i * words_per_window_, words_per_window_);
    }
    [[nodiscard]] std::size_t find(std::uint64_t group) noexcept {
        for (std::size_t i = 0; i < windows_.size(); ++i) {
            if (windows_[i].group != group) continue;
            windows_[i].used = ++uses_;
            return i;
        }
        return windows_.size();
    }
    /// A window for a group that is not loaded; its words are the caller's to fill.
    [[nodiscard]] std::span<bitmap_word> claim(std::uint64_t group) noexcept {
        std::size_t oldest = 0;
        for (std::size_t i = 1; i < windows_.size(); ++i) {
            if (windows_[i].used < windows_[oldest].used) oldest = i;
        }
        windows_[oldest] = {.group = group, .used = ++uses_};
        return words_of(oldest);
    }

    void mark(extent blocks, block_size size, bool busy) noexcept {
        for (std::size_t i = 0; i < windows_.size(); ++i) {
            if (windows_[i].group == ~std::uint64_t{0}) continue;
            const auto run = part_in_group(blocks, windows_[i].group, size);
            busy ? set_bits(words_of(i), run) : clear_bits(words_of(i), run);
        }
    }

    template <Allocator A, class Source>
    result<extent> look_in(const space& counts, const metadata_access<Source>& at, const A& allocator,
                           const space_request& request, std::uint64_t group, block_count least) noexcept {
        BOOST_OUTCOME_TRY(const auto free, view(counts, at, group));
        const auto run = allocator.find(free, request_in_group(request, group, least, at.geometry.block));
        return extent{first_of_group(group, at.geometry.block) + block_count{run.first}, block_count{run.count}};
    }

    /// The first run of at least `least` blocks in the groups from `start` on.
    template <Allocator A, class Source>
    result<extent> search(const space& counts, const metadata_access<Source>& at, const A& allocator,
                          const space_request& request, std::uint64_t start, block_count least,
                          std::uint64_t groups_max) noexcept {
        const std::uint64_t groups = at.geometry.groups;
        for (std::uint64_t i = 0; i < groups && i < groups_max; ++i) {
            const std::uint64_t group = start + i < groups ? start + i : start + i - groups;
            BOOST_OUTCOME_TRY(const auto known, space::summary(at, group));
            if (known.largest < least.value || counts.withholds(at, group)) continue;
            BOOST_OUTCOME_TRY(const auto found, look_in(counts, at, allocator, request, group, least));
            if (!found.empty()) return found;
        }
        return extent{};
    }

    /// Of the groups near `start`, the one with the longest free run.
    template <class Source>
    result<std::uint64_t> roomiest(const space& counts, const metadata_access<Source>& at,
                                   std::uint64_t start) noexcept {
        const std::uint64_t groups  = at.geometry.groups;
        std::uint64_t       best    = start;
        std::uint32_t       largest = 0;
        for (std::uint64_t i = 0; i < groups && i < near_groups; ++i) {
            const std::uint64_t group = start + i < groups ? start + i : start + i - groups;
            BOOST_OUTCOME_TRY(const auto known, space::summary(at, group));
            if (known.largest > largest && !counts.withholds(at, group)) {
                largest = known.largest;
                best    = group;
            }
        }
        return best;
    }

    std::span<window>      windows_{};
    std::span<bitmap_word> words_{};
    std::size_t            words_per_window_ = 0;
    std::uint64_t          uses_             = 0;
};

}  // namespace ashlar::inline v0
