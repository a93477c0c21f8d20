#pragma once
/// The groups whose free runs are in memory.

#include <ashlar/allocator/bitmap_words.hpp>
#include <ashlar/format/group_record.hpp>
#include <ashlar/vocabulary/extent.hpp>
#include <ashlar/volume/arena.hpp>

namespace ashlar::inline v0 {

/// A fixed number of group bitmaps; a bit is set where nothing may be allocated. The least recently used one gives way.
class group_windows {
  public:
    constexpr void take(arena& from, std::size_t windows, std::uint32_t group_blocks) noexcept {
        words_per_window_ = words_for(group_blocks);
        windows_          = from.take<window>(windows);
        words_            = from.take<bitmap_word>(windows * words_per_window_);
    }

    void clear() noexcept {
        for (auto& one : windows_) one = window{};
    }

    /// The words of a group; empty when it is not loaded.
    [[nodiscard]] std::span<bitmap_word> find(std::uint64_t group) noexcept {
        for (std::size_t i = 0; i < windows_.size(); ++i) {
            if (windows_[i].group != group) continue;
            windows_[i].used = ++uses_;
            return words_.subspan(i * words_per_window_, words_per_window_);
        }
        return {};
    }

    /// A window for a group that is not loaded; its words are the caller's to fill.
    [[nodiscard]] std::span<bitmap_word> claim(std::uint64_t group) noexcept {
        std::size_t oldest = 0;
        for (std::size_t i = 1; i < windows_.size(); ++i) {
            if (windows_[i].used < windows_[oldest].used) oldest = i;
        }
        windows_[oldest] = {.group = group, .used = ++uses_};
        return words_.subspan(oldest * words_per_window_, words_per_window_);
    }

    /// Marks the part of the extent that lies in loaded groups.
    void set_busy(extent blocks, block_size size) noexcept { mark(blocks, size, true); }
    void set_free(extent blocks, block_size size) noexcept { mark(blocks, size, false); }

  private:
    struct window {
        std::uint64_t group = ~std::uint64_t{0};
        std::uint64_t used  = 0;
    };

    void mark(extent blocks, block_size size, bool busy) noexcept {
        for (std::size_t i = 0; i < windows_.size(); ++i) {
            if (windows_[i].group == ~std::uint64_t{0}) continue;
            const extent whole{first_of_group(windows_[i].group, size), block_count{blocks_per_group(size)}};
            if (!overlap(whole, blocks)) continue;
            const auto      first = blocks.first > whole.first ? blocks.first : whole.first;
            const auto      end   = blocks.end() < whole.end() ? blocks.end() : whole.end();
            const group_run run{static_cast<std::uint32_t>((first - whole.first).value),
                                static_cast<std::uint32_t>((end - first).value)};
            const auto      words = words_.subspan(i * words_per_window_, words_per_window_);
            busy ? set_bits(words, run) : clear_bits(words, run);
        }
    }

    std::span<window>      windows_{};
    std::span<bitmap_word> words_{};
    std::size_t            words_per_window_ = 0;
    std::uint64_t          uses_             = 0;
};

}  // namespace ashlar::inline v0
