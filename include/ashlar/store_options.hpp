#pragma once
/// What an open store is told: sizes, policies' numbers.

#include <ashlar/object/extent_map.hpp>
#include <ashlar/blueprint.hpp>
#include <ashlar/volume/format_volume.hpp>

namespace ashlar::inline v0 {

/// The volume that a blueprint describes.
template <Blueprint B>
using volume_of = volume_state<typename B::device, typename B::journal, typename B::allocator, typename B::checksum, typename B::threading,
                               typename B::object_map>;

/// What `info` says of a store. Reading it walks nothing.
struct store_info {
    volume_id        volume{};
    std::array<char, 64> label{};       ///< Ends with a zero.
    block_size       block{};
    block_count      blocks{};
    block_count      free{};            ///< Not in use; what waits for its batch and the reserves included.
    block_count      available{};       ///< What the next write may take.
    std::uint64_t    groups  = 0;
    std::uint64_t    objects = 0;
    std::uint64_t    objects_with_data = 0;
    std::uint64_t    extents = 0;
    std::array<std::uint32_t, extents_classes> objects_by_extents{};  ///< By extents_class.
    std::array<std::uint32_t, run_classes>     free_runs_by_size{};   ///< By run_class.
    extent           journal{};
    block_count      journal_used{};
    std::uint64_t    epoch = 0;
    sequence         last{};            ///< The newest acknowledged batch.
    sequence         confirmed{};
    std::uint64_t    created = 0;
    std::uint32_t    record_bytes = 0;
    bool             read_only = false;
    error            failure{};         ///< Why writing ended, if it did.
};

/// What `info(id)` says of an object.
struct object_info {
    object_id     id{};
    std::uint64_t size    = 0;
    std::uint64_t blocks  = 0;  ///< With data or reserved.
    std::uint64_t extents = 0;
    std::uint64_t generation = 0;
    std::uint32_t tree_height = 0;
    std::array<std::byte, attribute_bytes> attributes{};
};

}  // namespace ashlar::inline v0
