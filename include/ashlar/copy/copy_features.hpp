#pragma once
/// Features of a volume that is copied: their names, their rows, and what they keep in each record.

#include <ashlar/features.hpp>
#include <ashlar/maintenance/volume_copy_report.hpp>

namespace ashlar::inline v0 {

/// The features of a volume at one moment, those that are being removed included, as its superblock has them.
struct feature_set {
    std::uint32_t                         manifest = 0;
    std::uint32_t                         there    = 0;  ///< Those whose rows are sound; of the others nothing is kept.
    std::uint32_t                         bytes    = 0;  ///< Of all in each record.
    std::array<feature_row, feature_rows> rows{};

    [[nodiscard]] bool has(std::uint32_t bit) const noexcept { return (there >> bit & 1U) != 0; }
    [[nodiscard]] bool names(std::uint32_t bit) const noexcept { return (manifest >> bit & 1U) != 0; }

    /// Whether those that are in the set have a byte in common with the row.
    [[nodiscard]] bool overlaps(const feature_row& row) const noexcept {
        for (std::uint32_t bit = 0; bit < feature_rows; ++bit) {
            const auto& other = rows[bit];
            if (has(bit) && other.bytes != 0 && row.offset < other.end() && other.offset < row.end()) return true;
        }
        return false;
    }
};

/// What the copy makes of the rows of its target.
struct feature_places {
    std::uint32_t                         same = 0;  ///< There already, with the width and the regions of the source's;
    std::uint32_t                         kept = 0;  ///< of these the ones that stay where they are.
    std::uint32_t                         width = 0;  ///< That records must have.
    std::array<feature_row, feature_rows> rows{};
};

namespace copied_features {

/// Whether a row can be believed: its bytes lie in the record, and its regions are a user's.
template <class Volume>
[[nodiscard]] bool is_sound(Volume& volume, const feature_row& row) noexcept {
    if (row.region != 0 && !is_user_region(row.region)) return false;
    return row.bytes == 0 || features::place_of_row(volume, row).has_value();
}

/// What the superblock says, checked: no row is believed that lies outside of the record, or on another one. Those that
/// nobody names any more hold nothing where they are damaged. Error: damaged, where one that is named is.
/// Precondition of all here: the volume is entered.
template <class Volume>
[[nodiscard]] result<feature_set> seen_in(Volume& volume) noexcept {
    feature_set seen{.manifest = superblock_as_is(volume).manifest};
    for (std::uint32_t bit = 0; bit < feature_rows; ++bit) seen.rows[bit] = features::row_of(volume, bit);
    for (const bool named : {true, false}) {
        for (std::uint32_t bit = 0; bit < feature_rows; ++bit) {
            const auto& row = seen.rows[bit];
            if (seen.names(bit) != named || (!named && row.empty())) continue;
            if (is_sound(volume, row) && (row.bytes == 0 || !seen.overlaps(row))) {
                seen.there |= std::uint32_t{1} << bit;
                seen.bytes += row.bytes;
            } else if (named) {
                return error{errc::damaged, frame_home(frame::superblock, volume.geometry.block)};
            }
        }
    }
    return seen;
}

/// Whether nothing was added and nothing removed since. Cost: a comparison of 512 bytes.
template <class Volume>
[[nodiscard]] bool are_as(Volume& volume, const feature_set& seen) noexcept {
    const auto now = features::superblock_of(volume).subspan(feature_row_offset(0), sizeof seen.rows);
    return superblock_as_is(volume).manifest == seen.manifest &&
           std::memcmp(now.data(), seen.rows.data(), sizeof seen.rows) == 0;
}

/// Rows of a target as they are planned, one after the other.
struct feature_places_plan {
    feature_places                                          made{};
    feature_set                                             placed{};
    std::array<std::byte, feature_row_offset(feature_rows)> image{};

    void put(std::uint32_t bit, const feature_row& row, std::uint32_t base) noexcept {
        made.rows[bit] = placed.rows[bit] = row;
        placed.there |= std::uint32_t{1} << bit;
        store_struct(std::span{image}.subspan(feature_row_offset(bit)), row);
        if (row.bytes != 0 && made.width < base + row.end()) made.width = base + row.end();
    }
    /// Those that have no place yet, into bytes that are nobody's.
    void put_others(const feature_set& wanted, std::uint32_t base) noexcept {
        for (std::uint32_t bit = 0; bit < feature_rows; ++bit) {
            if (!wanted.has(bit) || placed.has(bit)) continue;
            auto row   = wanted.rows[bit];
            row.zero   = std::uint64_t{0};
            row.offset = static_cast<std::uint16_t>(row.bytes == 0 ? 0U : free_feature_offset(image, row.bytes));
            put(bit, row, base);
        }
    }
};

/// Where the features of a source stand in the target's records: where they are already, or in bytes that are nobody's.
/// Where that is too wide for a record all stand close together instead, and what is in another place moves.
template <class Volume>
[[nodiscard]] feature_places places_in(Volume& to, const feature_set& wanted) noexcept {
    const auto          base = object_encoded_bytes(to.inline_extents);
    feature_places_plan stays{.made = {.width = base}}, moves{.made = {.width = base}};
    for (std::uint32_t bit = 0; bit < feature_rows; ++bit) {
        const auto row = features::row_of(to, bit), as = wanted.rows[bit];
        if (!wanted.has(bit) || row.bytes != as.bytes || row.region != as.region || !is_sound(to, row)) continue;
        if (row.bytes != 0 && stays.placed.overlaps(row)) continue;
        stays.put(bit, row, base);
    }
    stays.made.same = stays.made.kept = stays.placed.there;
    stays.put_others(wanted, base);
    if (stays.made.width <= to.record_bytes) return stays.made;
    moves.put_others(wanted, base);
    moves.made.same = stays.made.same;
    for (std::uint32_t bit = 0; bit < feature_rows; ++bit) {
        const auto one = std::uint32_t{1} << bit;
        if ((moves.made.same & one) != 0 && moves.made.rows[bit].offset == stays.made.rows[bit].offset)
            moves.made.kept |= one;
    }
    return moves.made;
}

/// Whether the target has a feature, or the rest of one, that the source has not.
template <class Volume>
[[nodiscard]] bool has_others(Volume& to, const feature_places& places) noexcept {
    for (std::uint32_t bit = 0; bit < feature_rows; ++bit) {
        const bool any = features::is_named(to, bit) || !features::row_of(to, bit).empty();
        if (any && (places.same >> bit & 1U) == 0) return true;
    }
    return false;
}

/// Takes out what the source has no more: the name, the bytes, the row. Its regions are left to the copy of regions.
/// Cut in between, the same goes on. Errors: those of features::change_row and zero_block. Cost: every block of the
/// object table.
template <class Volume>
result<> take_out(Volume& to, std::uint32_t bit) noexcept {
    const auto row = features::row_of(to, bit);
    if (features::is_named(to, bit)) { BOOST_OUTCOME_TRY(features::change_row(to, bit, row, row)); }
    return features::give_up_bytes(to, bit, row);
}

/// Gives the target the features of the source, no more and no fewer; each step is a transaction, and whatever was cut
/// goes on here. What a feature owns is still to be copied. Errors: too_large, whose `where` is the width that records
/// must have; those of take_out.
template <class Volume>
result<> bring_to(Volume& to, const feature_set& wanted) noexcept {
    const auto places = places_in(to, wanted);
    if (places.width > to.record_bytes) return error{errc::too_large, block_index{places.width}};
    for (std::uint32_t bit = 0; bit < feature_rows; ++bit) {
        if ((places.kept >> bit & 1U) != 0) continue;
        if (features::is_named(to, bit) || !features::row_of(to, bit).empty()) { BOOST_OUTCOME_TRY(take_out(to, bit)); }
    }
    for (std::uint32_t bit = 0; bit < feature_rows; ++bit) {
        if (!wanted.has(bit)) continue;
        if ((places.kept >> bit & 1U) != 0 && features::is_named(to, bit) == wanted.names(bit)) continue;
        BOOST_OUTCOME_TRY(
            features::change_row(to, bit, features::row_of(to, bit), places.rows[bit], wanted.names(bit)));
    }
    return success();
}

/// Calls `each(byte, count)` for what each feature has in a record, in the order of their bits; answers whether all of
/// it lies in the record. `set` is the volume's own.
template <class Volume, class Each>
[[nodiscard]] bool for_each_place(Volume& volume, const feature_set& set, Each&& each) noexcept {
    for (std::uint32_t bit = 0; bit < feature_rows; ++bit) {
        if (!set.has(bit) || set.rows[bit].bytes == 0) continue;
        const auto place = features::place_of_row(volume, set.rows[bit]);
        if (!place) return false;
        each(place.value().first, place.value().count);
    }
    return true;
}

}  // namespace copied_features

/// What all features of a volume keep in one record, behind each other in the order of their bits.
struct feature_bytes {
    std::array<std::byte, record_bytes_max> memory{};
    std::uint32_t                           count = 0;

    [[nodiscard]] std::span<const std::byte> all() const noexcept { return std::span{memory}.first(count); }

    /// Reads them. Errors: those of reading the record; damaged. Precondition: the record is in use.
    template <class Volume>
    [[nodiscard]] static result<feature_bytes> read(Volume& volume, std::uint64_t record,
                                                    const feature_set& set) noexcept {
        feature_bytes seen;
        if (set.bytes == 0) return seen;
        const auto place = place_of_record(volume, record);
        if (!place) return errc::not_found;
        BOOST_OUTCOME_TRY(const auto block,
                          view_block(volume, no_transaction, place->block.home, place->block.identity));
        const bool inside = copied_features::for_each_place(volume, set, [&](auto first, auto length) noexcept {
            std::memcpy(seen.memory.data() + seen.count, block.bytes().data() + place->byte + first, length);
            seen.count += length;
        });
        if (!inside) return error{errc::damaged, place->block.home};
        return seen;
    }

    /// Writes them in a transaction that writes the record too, afterwards. Errors: those of editing it; damaged.
    template <class Volume>
    [[nodiscard]] result<> write(Volume& volume, std::uint32_t tx, std::uint64_t record,
                                 const feature_set& set) const noexcept {
        if (count == 0) return success();
        const auto place = place_of_record(volume, record);
        if (!place || set.bytes != count) return errc::damaged;
        BOOST_OUTCOME_TRY(auto block, edit_block(volume, tx, place->block.home, place->block.identity));
        auto       left   = all();
        const bool inside = copied_features::for_each_place(volume, set, [&](auto first, auto length) noexcept {
            detail::write_record(block, place->byte + first, left.first(length));
            left = left.subspan(length);
        });
        if (!inside) return error{errc::damaged, place->block.home};
        return success();
    }
};

/// Whether the features of one store have room in the records of another one, for a copy that begins. Errors: damaged,
/// where a row of the source is.
template <Blueprint From, Blueprint To>
[[nodiscard]] result<copy_features_plan> plan_copy_of_features(store<From>& from, store<To>& to) noexcept {
    feature_set wanted;
    {
        const entered guard{from.volume()};
        BOOST_OUTCOME_TRY(wanted, copied_features::seen_in(from.volume()));
    }
    auto&              target = to.volume();
    const entered      guard{target};
    const auto         places = copied_features::places_in(target, wanted);
    copy_features_plan made{.width = places.width, .has = target.record_bytes};
    if (copied_features::has_others(target, places)) made.obstacle = errc::busy;
    if (made.width > made.has) made.obstacle = errc::too_large;
    return made;
}

}  // namespace ashlar::inline v0
