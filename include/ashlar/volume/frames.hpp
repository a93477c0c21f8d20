#pragma once
/// The two copies of superblock, pointer table and directory: read, chosen from, made whole again.

#include <ashlar/volume/home_writer.hpp>

namespace ashlar::inline v0 {

/// A frame that is ordinary metadata, and where its two copies stand.
struct frame_pair {
    frame_slot     slot{};
    std::uint64_t  number = 0;
    std::uint64_t  mirror = 0;
    block_identity identity{};

    [[nodiscard]] constexpr std::uint64_t copy(unsigned i) const noexcept { return i == 0 ? number : mirror; }
};
inline constexpr frame_pair frame_pairs[] = {
    {frame_slot::superblock, frame::superblock, frame::superblock_mirror, superblock_identity},
    {frame_slot::pointers, frame::pointers, frame::pointers_mirror, pointers_identity},
    {frame_slot::directory, frame::directory, frame::directory_mirror, directory_identity}};

/// What reading one copy of a frame showed.
struct frame_copy {
    bool          whole      = false;
    std::uint32_t generation = 0;
    std::uint64_t checksum   = 0;
    error         why{};  ///< Where it could not be read.
};

/// Reads a copy into `bytes`; a failed read is tried once more.
template <class Volume>
[[nodiscard]] frame_copy read_frame_copy(Volume& volume, const frame_pair& pair, unsigned i,
                                         std::span<std::byte> bytes) noexcept {
    const block_size size = volume.geometry.block;
    const extent     place{frame_home(pair.copy(i), size), frame_blocks_of(size)};
    frame_copy       copy;
    auto             read = volume.device.read(place, bytes);
    if (read.has_error()) read = volume.device.read(place, bytes);
    if (read.has_error()) {
        copy.why = read.error();
        return copy;
    }
    const auto content = bytes.first(frame_content_bytes);
    const auto trailer = load_struct<block_trailer>(content.last(trailer_bytes));
    copy.whole         = is_sealed(content, pair.identity.tag, volume.seed(pair.identity));
    copy.generation    = trailer.generation;
    copy.checksum      = trailer.checksum;
    return copy;
}

/// Which of two copies counts: the whole one, of two whole ones the newer, as the write of the other may have been
/// lost. Without a journal no number says which is newer, and the first counts, as it is written first.
template <class Volume>
[[nodiscard]] constexpr unsigned frame_that_counts(const frame_copy& first, const frame_copy& second) noexcept {
    if (!first.whole || !second.whole) return second.whole ? 1 : 0;
    const auto ahead = static_cast<std::int32_t>(second.generation - first.generation);
    return Volume::journal_type::durable && ahead > 0 ? 1 : 0;
}

/// Reads a frame into its slot: the copy that counts; where none is whole the first as it is, since the journal may
/// hold all of it. A bad copy is noted.
template <class Volume>
result<> load_frame(Volume& volume, const frame_pair& pair) noexcept {
    const auto content =
        volume.cache.install_frame(pair.slot, frame_home(pair.number, volume.geometry.block), pair.identity);
    const auto bytes = volume.staging.first(frame_bytes_of(volume.geometry.block));
    frame_copy copies[2];
    copies[1]           = read_frame_copy(volume, pair, 1, bytes);
    const bool readable = copies[1].why.code == errc::none;
    if (readable) std::memcpy(content.data(), bytes.data(), frame_content_bytes);
    copies[0] = read_frame_copy(volume, pair, 0, bytes);
    if (copies[0].why.code != errc::none && !copies[1].whole) return copies[0].why;
    const unsigned counts = frame_that_counts<Volume>(copies[0], copies[1]);
    if (counts == 0) std::memcpy(content.data(), bytes.data(), frame_content_bytes);
    for (unsigned i = 0; i < 2; ++i) {
        if (!copies[i].whole || copies[i].checksum != copies[counts].checksum)
            volume.recovered.bad_frames |= 1U << pair.copy(i);
    }
    return success();
}

template <class Volume>
result<> load_frames(Volume& volume) noexcept {
    for (const auto& pair : frame_pairs) { BOOST_OUTCOME_TRY(load_frame(volume, pair)); }
    return success();
}

/// Writes the copies of frames that were found bad again, so that each has two whole ones. A copy that cannot be
/// written stays bad: the other one is enough to work with, and `verify` says so. Precondition: nothing of the frames
/// waits to go home. Cost: nothing when all are whole.
template <class Volume>
result<> mend_frames(Volume& volume) noexcept {
    for (const auto& pair : frame_pairs) {
        const auto slot = static_cast<std::uint32_t>(pair.slot);
        for (unsigned i = 0; i < 2; ++i) {
            if ((volume.recovered.bad_frames >> pair.copy(i) & 1U) == 0) continue;
            if (write_frame(volume, slot, i == 1).has_error()) continue;
            BOOST_OUTCOME_TRY(volume.lock.outside([&]() noexcept { return volume.device.sync(); }));
            volume.recovered.mended_frames |= 1U << pair.copy(i);
        }
    }
    return success();
}

}  // namespace ashlar::inline v0
