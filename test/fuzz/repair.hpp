#pragma once
/// Puts the checksums of a changed image right: trailers of metadata blocks, hashes of the journal. What passes them
/// lies under a valid checksum, as an attacker's image would.

#include "target.hpp"

#include <ashlar/volume/region_table.hpp>

namespace ashlar::fuzz {

/// Where the structures of an image are.
struct places {
    volume_geometry geometry{};
    volume_id       volume{};
    region_table    regions{};
    extent          ring{};  ///< Lies in the image.
};

/// As the image's superblock and directory say, whole or not; empty where they make no sense.
[[nodiscard]] std::optional<places> find_places(bytes_in image);

/// Seals a copy of a frame: 0, 1, 2 or 8, or its mirror.
void seal_frame(std::span<std::byte> image, const places& where, std::uint64_t number);

/// Seals a block of a region, or a tree node, which its tag gives away. Anything else stays as it is.
void seal_metadata(std::span<std::byte> image, const places& where, block_index block);

/// Gives each batch of the journal, from the anchor's tail on, the hashes and the chain that its bytes ask for; and the
/// trailers that it carries the checksums of the blocks that replay will make.
void seal_ring(std::span<std::byte> image, const places& where);

/// All of it, for an image of which nobody knows what was changed.
void seal_image(std::span<std::byte> image);

/// Hashes one batch, whose header has its length and counts; the trailers among its entries are left as they are.
/// Answers the hash that the next batch names. Precondition: `batch` is as long as the header says, and holds it.
std::uint64_t seal_batch(std::span<std::byte> batch, const volume_id& volume, std::uint64_t position);

}  // namespace ashlar::fuzz
