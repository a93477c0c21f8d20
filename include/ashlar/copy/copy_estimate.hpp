#pragma once
/// What a copy would take, and whether a volume can become one.

#include <ashlar/copy/copy_mark.hpp>
#include <ashlar/copy/copy_source.hpp>
#include <ashlar/maintenance/volume_copy_report.hpp>

namespace ashlar::inline v0 {

/// Cost: every record and every extent. Errors: those of reading metadata.
template <Blueprint B>
[[nodiscard]] result<volume_copy_estimate> estimate_copy(store<B>& from) noexcept {
    volume_copy_estimate said;
    for (const auto id : from.objects()) {
        ++said.objects;
        auto pieces = from.extents(id);
        for (const auto& piece : pieces) (piece.unwritten ? said.reserved : said.blocks) += piece.physical.count;
        if (pieces.failure().code != errc::none && pieces.failure().code != errc::not_found) return pieces.failure();
    }
    store_regions source{from};
    for (std::uint32_t i = 0; i < source.count(); ++i) {
        const auto one = source.at(i);
        if (!one || one.value().engine) continue;
        ++said.regions;
        said.blocks += one.value().place.count;
    }
    said.skipped = from.volume().geometry.blocks - said.blocks;
    return said;
}

/// Whether a volume has nothing but its root and perhaps a mark.
template <Blueprint B>
[[nodiscard]] result<bool> is_empty_volume(store<B>& of) noexcept {
    store_regions regions{of};
    for (std::uint32_t i = 0; i < regions.count(); ++i) {
        BOOST_OUTCOME_TRY(const auto one, regions.at(i));
        if (!one.engine && one.name != copy_mark::name) return false;
    }
    BOOST_OUTCOME_TRY(const auto root, of.info(of.root()));
    return of.volume().space.totals().records_high_water == 1 && root.size == 0 && root.extents == 0;
}

}  // namespace ashlar::inline v0
