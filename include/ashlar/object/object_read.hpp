#pragma once
/// Bytes of an object, from its blocks to the caller.

#include <ashlar/object/object_map.hpp>

namespace ashlar::inline v0 {

/// Reads data blocks and proves them. Errors: those of the device; checksum_differs with the block.
template <class Volume>
result<> read_blocks(Volume& volume, extent blocks, std::span<std::byte> bytes) noexcept {
    BOOST_OUTCOME_TRY(volume.device.read(blocks, bytes));
    return verify_data(volume, blocks, std::span<const std::byte>{bytes});
}

/// The checksum that the transaction itself gave a block, if it wrote it: the table learns of it only when it joins.
template <class Volume>
[[nodiscard]] std::optional<std::uint64_t> own_checksum(Volume& volume, std::uint32_t tx, block_index block) noexcept {
    if (tx == no_transaction) return std::nullopt;
    auto&                        state = volume.transactions[tx];
    std::optional<std::uint64_t> newest;
    for (const auto& run : state.taken.all()) {
        if (run.data && run.blocks.contains(block))
            newest = state.sums[run.sums + static_cast<std::size_t>((block - run.blocks.first).value)];
    }
    return newest;
}

/// Reads one logical block; zeros where nothing is mapped or written.
template <class Volume>
result<> read_block(Volume& volume, std::uint32_t tx, object_state& object, logical_block at,
                    std::span<std::byte> block) noexcept {
    auto map = map_of(volume, tx, object, space_use::data);
    BOOST_OUTCOME_TRY(const auto found, map.find(at));
    if (!found || found->logical > at || found->unwritten) {
        std::memset(block.data(), 0, block.size());
        return success();
    }
    const block_index physical = found->physical.first + (at - found->logical);
    const auto        own      = own_checksum(volume, tx, physical);
    if (!own) return read_blocks(volume, {physical, block_count{1}}, block);
    BOOST_OUTCOME_TRY(volume.device.read({physical, block_count{1}}, block));
    if (Volume::checksum_type::of(block) != *own) return error{errc::checksum_differs, physical};
    return success();
}

/// Reads `into.size()` bytes from `offset` on. Precondition: the range lies in the object.
/// Whole blocks go straight to the caller; a part of a block goes through one block of staging memory.
template <class Volume>
result<> read_object(Volume& volume, object_state& object, std::uint64_t offset, std::span<std::byte> into) noexcept {
    const block_size  size    = volume.geometry.block;
    const std::size_t mask    = size.bytes - 1U;
    const auto        staging = volume.staging.first(size.bytes);
    auto              map     = map_of(volume, no_transaction, object, space_use::data);
    while (!into.empty()) {
        const logical_block at{offset >> size.shift()};
        const std::size_t   skip = static_cast<std::size_t>(offset & mask);
        BOOST_OUTCOME_TRY(const auto found, map.find(at));
        std::size_t bytes = into.size();
        if (!found || found->logical > at || found->unwritten) {
            std::uint64_t end = no_bound;  // of what reads as zeros
            if (found)
                end = (found->logical > at ? found->logical.value : found->logical.value + found->physical.count.value);
            const std::uint64_t blocks = end - at.value;
            if (blocks < (into.size() >> size.shift()) + 2) {
                const std::uint64_t zeros = (blocks << size.shift()) - skip;
                bytes                     = zeros < bytes ? static_cast<std::size_t>(zeros) : bytes;
            }
            std::memset(into.data(), 0, bytes);
        } else {
            const extent rest = part_of(found->physical, at - found->logical, found->physical.count);
            if (skip != 0 || into.size() < size.bytes) {
                BOOST_OUTCOME_TRY(read_blocks(volume, {rest.first, block_count{1}}, staging));
                bytes = size.bytes - skip < bytes ? size.bytes - skip : bytes;
                std::memcpy(into.data(), staging.data() + skip, bytes);
            } else {
                const auto   whole = whole_blocks(into.size(), size);
                const extent run   = part_of(rest, block_count{0}, whole);
                bytes              = static_cast<std::size_t>(bytes_of(run.count, size));
                BOOST_OUTCOME_TRY(read_blocks(volume, run, into.first(bytes)));
            }
        }
        into = into.subspan(bytes);
        offset += bytes;
    }
    return success();
}

}  // namespace ashlar::inline v0
