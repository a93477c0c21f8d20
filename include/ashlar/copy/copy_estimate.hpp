#pragma once
/// What a copy would take, and whether a volume can become one.

#include <ashlar/copy/copy_mark.hpp>
#include <ashlar/copy/copy_source.hpp>
#include <ashlar/maintenance/volume_copy_report.hpp>

#include <bit>

namespace ashlar::inline v0 {

/// Cost: every record and every extent. Errors: those of reading metadata.
template <Blueprint B>
[[nodiscard]] result<volume_copy_estimate> estimate_copy(store<B>& from) noexcept {
    volume_copy_estimate said;
    auto                 all = from.objects();
    for (const auto id : all) {
        ++said.objects;
        auto pieces = from.extents(id);
        for (const auto& piece : pieces) (piece.unwritten ? said.reserved : said.blocks) += piece.physical.count;
        if (pieces.failure().code != errc::none && pieces.failure().code != errc::not_found) return pieces.failure();
    }
    if (all.failure().code != errc::none) return all.failure();
    store_regions source{from};
    for (std::uint32_t i = 0; i < source.count(); ++i) {
        const auto one = source.at(i);
        if (!one || one.value().engine) continue;
        ++said.regions;
        said.blocks += one.value().place.count;
    }
    said.skipped = from.volume().geometry.blocks - said.blocks;
    const entered guard{from.volume()};
    BOOST_OUTCOME_TRY(const auto features, copied_features::seen_in(from.volume()));
    said.features      = static_cast<std::uint32_t>(std::popcount(features.there & features.manifest));
    said.feature_bytes = features.bytes;
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

/// The mark of the copy that goes on in the target; empty for one that begins. Errors: busy where the source is itself
/// no complete copy, or the target holds anything else; those of both stores. `scratch` has one block or more.
template <Blueprint From, Blueprint To>
[[nodiscard]] result<std::optional<copy_mark>> look_for_copy(store<From>& from, store<To>& to,
                                                             std::span<std::byte> scratch) noexcept {
    if (store_regions{from}.find(copy_mark::name).has_value()) return errc::busy;
    BOOST_OUTCOME_TRY(const bool empty, is_empty_volume(to));
    if (store_regions{to}.find(copy_mark::name).has_value()) {
        // Also without a record it may have features already, which are made equal where the copy is known to go on.
        BOOST_OUTCOME_TRY(const auto mark, copy_mark::read(to, scratch));
        if (mark.names(from.volume().id)) return std::optional{mark};
    }
    if (!empty) return errc::busy;
    return std::optional<copy_mark>{};  // a copy that began may have been cut before its mark was written
}

}  // namespace ashlar::inline v0
