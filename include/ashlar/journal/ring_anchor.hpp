#pragma once
/// Reads and writes the two copies of the anchor.

#include <ashlar/format/anchor.hpp>
#include <ashlar/journal/ring_layout.hpp>
#include <ashlar/journal/ring_reader.hpp>

#include <optional>

namespace ashlar::inline v0 {

/// The anchor that counts, and which copy the next one must be written to first: the older or invalid one.
struct anchor_found {
    anchor_content content{};
    unsigned       write_first = 0;
};

/// The frame of a copy as blocks of the device.
[[nodiscard]] constexpr extent anchor_frame(const journal_place& place, block_size size, unsigned copy) noexcept {
    return {copy == 0 ? place.anchor_first : place.anchor_second, blocks_for(place.frame_bytes, size)};
}

/// Whether a ring can lie where it is said to: on the device, and not over an anchor.
[[nodiscard]] constexpr bool ring_fits(extent ring, const journal_place& place,
                                       const device_geometry& geometry) noexcept {
    if (ring.count.value > ring_blocks_max || !lies_in(ring, {block_index{0}, geometry.blocks})) return false;
    return !overlap(ring, anchor_frame(place, geometry.size, 0)) &&
           !overlap(ring, anchor_frame(place, geometry.size, 1));
}

/// Takes the newest valid copy. A copy that cannot be read is as good as an invalid one while the other is valid, since
/// nothing is done on the strength of an anchor before both are durable. Errors: the device's, or `damaged`.
template <BlockDevice D>
result<anchor_found> read_anchors(D& device, const journal_place& place, std::span<std::byte> memory) noexcept {
    const auto geometry = device.geometry();
    const auto frame    = memory.first(place.frame_bytes);
    error      why{errc::damaged, place.anchor_first};

    std::optional<anchor_content> copies[2];
    for (unsigned copy = 0; copy < 2; ++copy) {
        const auto read = read_twice(device, anchor_frame(place, geometry.size, copy), frame);
        if (!read) {
            why = read.error();
            continue;
        }
        copies[copy] = decode_anchor(frame, place.volume);
        if (!copies[copy]) continue;
        const extent ring{{copies[copy]->ring_first}, {copies[copy]->ring_blocks}};
        if (!ring_fits(ring, place, geometry)) copies[copy].reset();
    }
    if (!copies[0] && !copies[1]) return why;
    if (!copies[1]) return anchor_found{*copies[0], 1};
    if (!copies[0]) return anchor_found{*copies[1], 0};
    const bool second = copies[1]->generation > copies[0]->generation;
    const bool first  = copies[0]->generation > copies[1]->generation;
    return anchor_found{second ? *copies[1] : *copies[0], first ? 1U : 0U};
}

/// Writes one copy; nothing is synced.
template <BlockDevice D>
result<> write_anchor_copy(D& device, const journal_place& place, std::span<std::byte> memory,
                           const anchor_content& content, unsigned copy) noexcept {
    const auto frame = memory.first(place.frame_bytes);
    encode_anchor(frame, content, place.volume);
    return device.write(anchor_frame(place, device.geometry().size, copy), frame);
}

/// Writes both copies, each followed by a sync, so that one of them is whole at any moment.
template <BlockDevice D>
result<> write_anchors(D& device, const journal_place& place, std::span<std::byte> memory,
                       const anchor_content& content, unsigned write_first) noexcept {
    const auto frame = memory.first(place.frame_bytes);
    encode_anchor(frame, content, place.volume);
    const auto size = device.geometry().size;
    BOOST_OUTCOME_TRY(device.write(anchor_frame(place, size, write_first), frame));
    BOOST_OUTCOME_TRY(device.sync());
    BOOST_OUTCOME_TRY(device.write(anchor_frame(place, size, 1 - write_first), frame));
    return device.sync();
}

}  // namespace ashlar::inline v0
