#pragma once
/// The mark of a volume that is not a complete copy yet.

#include <ashlar/regions.hpp>

namespace ashlar::inline v0 {

/// Block 0 of the region COPY, which says whose copy the target is. docs/format.md, "Copies". Within one sector, so
/// that it is never torn.
///
///   offset  size  field
///        0     8  magic    "ASHCOPY1"
///        8    16  source   the source's volume id
///       24     8  durable  no mapping of the source up to this generation can be lost any more, nor its number be used
///                          again
struct copy_mark {
    static constexpr region_id name{tag_of("COPY"), 0};
    static constexpr char      letters[8] = {'A', 'S', 'H', 'C', 'O', 'P', 'Y', '1'};

    char      magic[8]{};
    std::byte source[16]{};
    le_u64    durable{};

    [[nodiscard]] static copy_mark of(const volume_id& source, std::uint64_t durable) noexcept {
        copy_mark made;
        std::memcpy(made.magic, letters, sizeof letters);
        std::memcpy(made.source, source.data(), sizeof made.source);
        made.durable = durable;
        return made;
    }
    [[nodiscard]] bool names(const volume_id& id) const noexcept {
        return std::memcmp(magic, letters, sizeof letters) == 0 && std::memcmp(source, id.data(), sizeof source) == 0;
    }

    /// Errors: not_found where there is no mark; those of the device. `scratch` has one block or more.
    template <Blueprint B>
    [[nodiscard]] static result<copy_mark> read(store<B>& from, std::span<std::byte> scratch) noexcept {
        BOOST_OUTCOME_TRY(auto region, store_regions{from}.open(name));
        const auto block = scratch.first(region.geometry().size.bytes);
        BOOST_OUTCOME_TRY(region.read({block_index{0}, block_count{1}}, block));
        return load_struct<copy_mark>(block);
    }

    /// Durable when it returns. Adds the region where there is none. Errors: those of both.
    template <Blueprint B>
    [[nodiscard]] result<> write(store<B>& to, std::span<std::byte> scratch) const noexcept {
        store_regions regions{to};
        if (regions.find(name).has_error()) {
            BOOST_OUTCOME_TRY(regions.add({.type = name.type, .blocks = block_count{1}, .number = name.number}));
        }
        BOOST_OUTCOME_TRY(auto region, regions.open(name));
        const auto block = scratch.first(region.geometry().size.bytes);
        std::memset(block.data(), 0, block.size());
        store_struct(block, *this);
        BOOST_OUTCOME_TRY(region.write({block_index{0}, block_count{1}}, block));
        return region.sync();
    }
};
static_assert(sizeof(copy_mark) == 32 && alignof(copy_mark) == 1);

}  // namespace ashlar::inline v0
