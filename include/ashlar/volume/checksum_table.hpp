#pragma once
/// The checksums of data blocks, indexed by physical block.

#include <ashlar/volume/volume_state.hpp>

namespace ashlar::inline v0 {

/// Where a block's checksum stands.
struct checksum_place {
    region_block  block{};
    std::uint32_t byte     = 0;
    std::uint64_t group    = 0;
    std::uint32_t in_group = 0;  ///< Which of the group's checksum blocks.
};

[[nodiscard]] inline checksum_place checksum_place_of(const region_table& regions, block_index block,
                                                      block_size size) noexcept {
    const auto          place = place_of(block, size);
    const std::uint32_t index = place.offset / sums_per_block(size);
    return {regions.checksum_block(place.group * checksum_blocks_per_group(size) + index),
            (place.offset % sums_per_block(size)) * 8U, place.group, index};
}

/// The block of the table that holds a checksum. Errors: those of reading it; damaged where it was never written.
/// Cost: one lookup when it is cached, as only written ones are.
template <class Volume>
result<block_pin> checksum_block_at(Volume& volume, const checksum_place& place, block_index block) noexcept {
    if (volume.cache.find(place.block.home) == no_slot) {
        BOOST_OUTCOME_TRY(const auto known, space::summary(volume.metadata(), place.group));
        if ((known.checksums_written >> place.in_group & 1U) == 0) return error{errc::damaged, block};
    }
    return volume.metadata().get(place.block);
}

/// The checksum that the table holds for a block. Errors: those of reading the table; damaged where it was never
/// written.
template <class Volume>
result<std::uint64_t> checksum_of(Volume& volume, block_index block) noexcept {
    const auto place = checksum_place_of(volume.regions, block, volume.geometry.block);
    BOOST_OUTCOME_TRY(const auto pin, checksum_block_at(volume, place, block));
    return load_little<std::uint64_t>(volume.cache.bytes(pin.slot()).data() + place.byte);
}

/// Checks the bytes of whole data blocks against the table. Errors: checksum_differs with the first wrong block.
template <class Volume>
result<> verify_data(Volume& volume, extent blocks, std::span<const std::byte> bytes) noexcept {
    if constexpr (Volume::checksum_type::enabled) {
        const block_size size = volume.geometry.block;
        while (!blocks.empty()) {
            const auto place = checksum_place_of(volume.regions, blocks.first, size);
            BOOST_OUTCOME_TRY(const auto pin, checksum_block_at(volume, place, blocks.first));
            const auto    table = volume.cache.bytes(pin.slot());
            std::uint32_t byte  = place.byte;
            for (; !blocks.empty() && byte < sums_per_block(size) * 8U; byte += 8U) {
                const auto stored = load_little<std::uint64_t>(table.data() + byte);
                if (Volume::checksum_type::of(bytes.first(size.bytes)) != stored)
                    return error{errc::checksum_differs, blocks.first};
                bytes  = bytes.subspan(size.bytes);
                blocks = part_of(blocks, block_count{1}, blocks.count);
                if (place_of(blocks.first, size).offset == 0) {
                    byte += 8U;
                    break;
                }
            }
        }
    }
    return success();
}

/// Checksums from `place` on that stand in the same block of the table and belong to the same group.
[[nodiscard]] inline std::size_t sums_from(const checksum_place& place, block_index block, block_size size) noexcept {
    const std::uint32_t in_table = sums_per_block(size) - place.byte / 8U;
    const std::uint32_t in_group = blocks_per_group(size) - place_of(block, size).offset;
    return in_table < in_group ? in_table : in_group;
}

/// Enters the checksums of what the transaction wrote. Every block of the table that it touches is prepared.
template <class Volume>
void apply_checksums(Volume& volume, transaction_state& tx) noexcept {
    if constexpr (Volume::checksum_type::enabled) {
        const block_size size = volume.geometry.block;
        for (const auto& run : tx.taken.all()) {
            if (!run.data) continue;
            const auto sums = tx.sums.all().subspan(run.sums, static_cast<std::size_t>(run.blocks.count.value));
            for (std::size_t done = 0; done < sums.size();) {
                const auto block = run.blocks.first + block_count{done};
                const auto place = checksum_place_of(volume.regions, block, size);
                const auto slot  = volume.cache.find(place.block.home);
                const auto fits  = sums_from(place, block, size);
                const auto count = fits < sums.size() - done ? fits : sums.size() - done;
                const auto bytes = volume.cache.bytes(slot).subspan(place.byte, 8 * count);
                for (std::size_t i = 0; i < count; ++i)
                    store_little<std::uint64_t>(bytes.data() + 8 * i, sums[done + i]);
                volume.cache.change(slot, place.byte, 8 * count);
                done += count;
            }
        }
    }
}

}  // namespace ashlar::inline v0
