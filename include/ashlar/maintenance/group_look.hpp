#pragma once
/// What bitmap, record and owners of a group say together.

#include <ashlar/volume/volume_state.hpp>

namespace ashlar::inline v0 {

/// What is known of a group, and what a repair does with it.
struct group_look {
    bool known    = false;  ///< Its record is readable.
    bool mapped   = false;  ///< Its bitmap is, or was never written.
    bool agrees   = false;  ///< Bitmap and record agree.
    bool disowned = false;  ///< A block with an owner is free in the bitmap.
    bool leaks    = false;  ///< A block in use has no owner.
    bool gives    = false;  ///< Blocks without an owner become free.
    bool restates = false;  ///< Bitmap, record, trimmed blocks are written again.
};

/// Reads a group's bitmap. False where it is not whole.
template <class Volume>
[[nodiscard]] bool load_group_words(Volume& volume, std::uint64_t group, const group_summary& record,
                                    std::span<bitmap_word> words) noexcept {
    const std::uint32_t blocks = volume.geometry.group_blocks(group);
    if (!record.bitmap_written) {
        clear_bitmap(words, blocks);
        return true;
    }
    const auto pin = volume.metadata().get(volume.regions.bitmap(group));
    if (pin.has_error()) return false;
    load_bitmap(words, volume.cache.bytes(pin.value().slot()), blocks);
    return true;
}

namespace detail {

/// Whether `some` has a bit of the first `blocks` that `others` has not.
[[nodiscard]] constexpr bool has_more(std::span<const bitmap_word> some, std::span<const bitmap_word> others,
                                      std::uint32_t blocks) noexcept {
    for (std::uint32_t at = 0; at < blocks; at += word_bits) {
        const std::uint32_t left = blocks - at;
        const auto          more = static_cast<bitmap_word>(some[at / word_bits] & ~others[at / word_bits]);
        if ((left < word_bits ? more & ~(~bitmap_word{0} << left) : more) != 0) return true;
    }
    return false;
}

/// Whether the bitmap of trimmed blocks can be read, names no block in use, and has as many bits as the record says.
/// `in_use` is the group's bitmap, and empty where that cannot be read.
template <class Volume>
[[nodiscard]] bool trimmed_fits(Volume& volume, std::uint64_t group, const group_summary& record,
                                std::span<const bitmap_word> owners, std::span<const bitmap_word> in_use) noexcept {
    if (!record.trimmed_written) return true;
    const auto pin = volume.metadata().get(volume.regions.trimmed(group));
    if (pin.has_error()) return false;
    const auto    bytes = volume.cache.bytes(pin.value().slot());
    std::uint32_t count = 0;
    for (std::uint32_t at = 0; at < volume.geometry.group_blocks(group); ++at) {
        if ((bytes[at / 8U] >> (at % 8U) & std::byte{1}) == std::byte{0}) continue;
        if (is_set(owners, at) || (!in_use.empty() && is_set(in_use, at))) return false;
        ++count;
    }
    return count == record.trimmed;
}

}  // namespace detail

/// Looks at a group. `proved`: its owners are all that there are; `decide`: so certainly that what they do not own is
/// free. Cost: its record and bitmaps; the scratch memory is used.
template <class Volume>
[[nodiscard]] group_look look_at_group(Volume& volume, std::uint64_t group, std::span<const bitmap_word> owners,
                                       bool proved, bool decide) noexcept {
    group_look look;
    const auto known = space::summary(volume.metadata(), group);
    if (known.has_error()) return look;
    look.known                 = true;
    const auto&         record = known.value();
    const std::uint32_t blocks = volume.geometry.group_blocks(group);
    const auto          words  = volume.space.scratch();
    if (load_group_words(volume, group, record, words)) {
        const auto count = summarize({words, blocks});
        look.mapped      = true;
        look.agrees      = count.free == record.free && count.runs == record.runs && count.largest == record.largest &&
                      count.head == record.head && count.tail == record.tail;
        look.disowned = detail::has_more(owners, words, blocks);
        look.leaks    = detail::has_more(words, owners, blocks);
    }
    const auto in_use = look.mapped ? words : std::span<bitmap_word>{};
    const bool wanted = look.disowned || !look.agrees || !detail::trimmed_fits(volume, group, record, owners, in_use);
    look.gives        = decide;
    look.restates     = decide ? wanted || look.leaks : wanted && look.mapped && (look.agrees || proved);
    return look;
}

}  // namespace ashlar::inline v0
