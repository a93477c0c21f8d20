#pragma once
/// The two copies of superblock, pointer table and directory, as they stand on the device.

#include <ashlar/volume/frames.hpp>

namespace ashlar::inline v0 {

/// Reads both copies of each frame and calls `each(copy, slot, why)` for one that is not whole, cannot be read, or is
/// not the one that counts. Anchors are left out: every opening writes both. So are frames that the journal of a
/// volume open for reading still changes, and the superblock of one without a journal: a cut may have come between
/// their copies, and opening for writing ends what it was at. Cost: six reads. The staging memory is used.
template <class Volume, class Each>
void for_each_bad_copy(Volume& volume, Each&& each) noexcept {
    const auto bytes = volume.staging.first(frame_bytes_of(volume.geometry.block));
    for (const auto& pair : frame_pairs) {
        const auto home = frame_home(pair.number, volume.geometry.block);
        if (volume.must_replay && volume.may_be_replayed(home)) continue;
        if (!Volume::journal_type::durable && pair.slot == frame_slot::superblock) continue;
        frame_copy copies[2];
        for (unsigned i = 0; i < 2; ++i) copies[i] = read_frame_copy(volume, pair, i, bytes);
        const unsigned counts = frame_that_counts<Volume>(copies[0], copies[1]);
        for (unsigned i = 0; i < 2; ++i) {
            if (copies[i].whole && (i == counts || copies[i].checksum == copies[counts].checksum)) continue;
            each(i, pair, copies[i].why);
        }
    }
}

}  // namespace ashlar::inline v0
