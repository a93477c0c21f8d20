#pragma once
/// What an open store is told: sizes, policies' numbers.

#include <ashlar/blueprint.hpp>
#include <ashlar/object/extent_map.hpp>
#include <ashlar/volume/format_volume.hpp>

namespace ashlar::inline v0 {

/// The volume that a blueprint describes.
template <Blueprint B>
using volume_of = volume_state<typename B::device, typename B::journal, typename B::allocator, typename B::checksum,
                               typename B::threading, typename B::object_map>;

/// What `info` says of a store. Reading it walks nothing.
struct store_info {
    volume_id            volume{};
    std::array<char, 64> label{};  ///< Ends with a zero.
    block_size           block{};
    block_count          blocks{};
    block_count          free{};       ///< Not in use; what waits for its batch and the reserves included.
    block_count          available{};  ///< What the next write may take.
    std::uint64_t        groups            = 0;
    std::uint64_t        objects           = 0;
    std::uint64_t        objects_with_data = 0;
    std::uint64_t        extents           = 0;
    std::array<std::uint32_t, extents_classes> objects_by_extents{};  ///< By extents_class.
    std::array<std::uint32_t, run_classes>     free_runs_by_size{};   ///< By run_class.
    extent                                     journal{};
    block_count                                journal_used{};
    std::uint64_t                              epoch = 0;
    sequence                                   last{};  ///< The newest acknowledged batch.
    sequence                                   confirmed{};
    std::uint64_t                              created      = 0;
    std::uint32_t                              record_bytes = 0;
    bool                                       read_only    = false;
    error                                      failure{};  ///< Why writing ended, if it did.
};

template <class Volume>
[[nodiscard]] store_info describe(Volume& volume) noexcept {
    const auto& totals = volume.space.totals();
    const auto  super = load_struct<superblock>(volume.cache.bytes(static_cast<std::uint32_t>(frame_slot::superblock)));
    store_info  answer;
    std::memcpy(answer.label.data(), super.label, sizeof super.label);
    answer.label.back()      = '\0';
    answer.volume            = volume.id;
    answer.block             = volume.geometry.block;
    answer.blocks            = volume.geometry.blocks;
    answer.groups            = volume.geometry.groups;
    answer.free              = block_count{totals.free};
    answer.available         = volume.space.available(space_use::data);
    answer.objects           = totals.objects;
    answer.objects_with_data = totals.objects_with_data;
    answer.extents           = totals.allocated_extents;
    for (std::size_t k = 0; k < extents_classes; ++k) answer.objects_by_extents[k] = totals.extents[k];
    answer.free_runs_by_size = totals.runs;
    answer.created           = super.created;
    answer.record_bytes      = volume.record_bytes;
    answer.journal           = volume.regions.journal();
    answer.failure           = volume.failure;
    answer.read_only         = volume.writable().has_error();
    if constexpr (Volume::journal_type::durable) {
        answer.journal_used = volume.journal.capacity() - volume.journal.room();
        answer.epoch        = volume.journal.epoch();
        answer.last         = volume.journal.acknowledged();
        answer.confirmed    = volume.journal.confirmed();
    }
    return answer;
}

/// What `info(id)` says of an object.
struct object_info {
    object_id                              id{};
    std::uint64_t                          size        = 0;
    std::uint64_t                          blocks      = 0;  ///< With data or reserved.
    std::uint64_t                          extents     = 0;
    std::uint64_t                          generation  = 0;
    std::uint32_t                          tree_height = 0;
    std::array<std::byte, attribute_bytes> attributes{};
};

}  // namespace ashlar::inline v0
