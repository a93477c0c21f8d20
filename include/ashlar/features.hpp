#pragma once
/// Features of a store: what owns regions and bytes in each object record.

#include <ashlar/record_migration.hpp>
#include <ashlar/region/region_change.hpp>

namespace ashlar::inline v0 {

/// What a new feature shall own.
struct feature_request {
    std::uint32_t bit          = 0;  ///< Of the manifest, 0 to 31: its name.
    std::uint32_t record_bytes = 0;  ///< In each record; rounded up to 8.
    std::uint32_t region       = 0;  ///< Type of a region of its own, a user's type; 0: none.
    block_count   blocks{};          ///< Of that region.
};

/// The ways to add a feature, the cheapest first.
enum class feature_way : std::uint8_t {
    regions_only,      ///< One transaction.
    spare_bytes,       ///< One transaction: the bytes are there, and zero.
    record_migration,  ///< Records become wider first.
    volume_copy,       ///< Into a volume with wider records: no table of that width can be placed here.
};

struct feature_plan {
    feature_way   way      = feature_way::spare_bytes;
    errc          obstacle = errc::none;  ///< Why none of the ways goes now.
    std::uint32_t width    = 0;           ///< That records must have: with `record_migration` and `volume_copy`.
};

namespace features {

/// The superblock as it is in memory.
template <class Volume>
[[nodiscard]] std::span<const std::byte> superblock_of(Volume& volume) noexcept {
    return volume.cache.bytes(static_cast<std::uint32_t>(frame_slot::superblock));
}
template <class Volume>
[[nodiscard]] feature_row row_of(Volume& volume, std::uint32_t bit) noexcept {
    return load_struct<feature_row>(superblock_of(volume).subspan(feature_row_offset(bit)));
}

/// Whether the manifest names that feature.
template <class Volume>
[[nodiscard]] bool is_named(Volume& volume, std::uint32_t bit) noexcept {
    return bit < feature_rows && (superblock_as_is(volume).manifest >> bit & 1U) != 0;
}

/// Where the bytes of a row are within a record. Error: damaged, where they would lie outside, or not in whole
/// granules.
template <class Volume>
[[nodiscard]] result<group_run> place_of_row(Volume& volume, const feature_row& row) noexcept {
    const auto base = object_encoded_bytes(volume.inline_extents);
    if (base + row.end() > volume.record_bytes || row.offset % granule_bytes != 0 || row.bytes % granule_bytes != 0)
        return errc::damaged;
    return group_run{base + row.offset, row.bytes};
}

/// Where a feature's bytes are within a record. Errors: not_found; those of place_of_row.
template <class Volume>
[[nodiscard]] result<group_run> place_of_bytes(Volume& volume, std::uint32_t bit) noexcept {
    if (!is_named(volume, bit)) return errc::not_found;
    return place_of_row(volume, row_of(volume, bit));
}

/// Whether the volume has that feature, with what it shall own.
template <class Volume>
[[nodiscard]] bool is_there(Volume& volume, const feature_request& wanted) noexcept {
    if (!is_named(volume, wanted.bit)) return false;
    const auto row = row_of(volume, wanted.bit);
    return row.bytes == whole_feature_bytes(wanted.record_bytes) && row.region == wanted.region;
}

/// Looks at the ways, without writing. Errors: invalid_argument; those of reading bitmaps.
template <class Volume>
result<feature_plan> plan(Volume& volume, const feature_request& wanted) noexcept {
    const bool has_region = wanted.region != 0;
    if (wanted.bit >= feature_rows || wanted.record_bytes > record_bytes_max ||
        (!has_region && wanted.record_bytes == 0))
        return errc::invalid_argument;
    if (has_region && (!is_user_region(wanted.region) || wanted.blocks.value == 0)) return errc::invalid_argument;
    const auto   super = superblock_as_is(volume);
    feature_plan made;
    if (super.migrating || (super.manifest >> wanted.bit & 1U) != 0 || !row_of(volume, wanted.bit).empty())
        made.obstacle = errc::busy;
    if (has_region && index_of_region(volume, {wanted.region, 0}) != volume.regions.slots()) made.obstacle = errc::busy;
    if (made.obstacle == errc::none && volume.writable().has_error()) made.obstacle = errc::read_only;
    if (wanted.record_bytes == 0) {
        made.way = feature_way::regions_only;
        return made;
    }
    const std::uint32_t bytes = whole_feature_bytes(wanted.record_bytes);
    const std::uint32_t width =
        object_encoded_bytes(volume.inline_extents) + free_feature_offset(superblock_of(volume), bytes) + bytes;
    if (width <= volume.record_bytes) return made;
    made.way   = feature_way::record_migration;
    made.width = width;
    if (width > record_bytes_max) {
        made.obstacle = errc::too_large;
        return made;
    }
    if (made.obstacle != errc::none) return made;
    BOOST_OUTCOME_TRY(const auto table, plan_record_migration(volume, {.record_bytes = width}));
    if (table.obstacle != errc::none) made.way = feature_way::volume_copy;
    return made;
}

/// Enters a feature in a transaction. It is looked at again what the plan saw: others may have been faster.
/// Errors: busy where records migrate, or bit or region are another one's; raced where the bytes that were spare are
/// not any more; those of adding a region.
template <class Volume>
result<> put_feature(Volume& volume, std::uint32_t tx, const feature_request& wanted) noexcept {
    BOOST_OUTCOME_TRY(lock_table(volume, tx));
    auto super = superblock_as_is(volume);
    if (super.migrating || is_named(volume, wanted.bit) || !row_of(volume, wanted.bit).empty()) return errc::busy;
    const auto bytes  = whole_feature_bytes(wanted.record_bytes);
    const auto offset = bytes == 0 ? 0U : free_feature_offset(superblock_of(volume), bytes);
    if (bytes != 0 && object_encoded_bytes(volume.inline_extents) + offset + bytes > volume.record_bytes)
        return errc::raced;
    super.manifest |= std::uint32_t{1} << wanted.bit;
    super.feature                 = wanted.bit;
    super.row.offset              = static_cast<std::uint16_t>(offset);
    super.row.bytes               = static_cast<std::uint16_t>(bytes);
    super.row.region              = wanted.region;
    volume.transactions[tx].super = super;
    if (wanted.region == 0) return success();
    return put_region(volume, tx, {wanted.region, 0}, wanted.blocks);
}

/// Adds a feature in one transaction, where it goes so. Where others took the bytes meanwhile it is planned anew.
/// Errors: those of plan and of adding a region.
template <class Volume>
result<feature_plan> add(Volume& volume, const feature_request& wanted) noexcept {
    for (;;) {
        BOOST_OUTCOME_TRY(const auto made, plan(volume, wanted));
        if (made.obstacle != errc::none) return made.obstacle;
        if (made.way != feature_way::spare_bytes && made.way != feature_way::regions_only) return made;
        const auto put =
            run_transaction(volume, [&](std::uint32_t tx) noexcept { return put_feature(volume, tx, wanted); });
        if (put.has_error() && put.error().code == errc::raced) continue;
        BOOST_OUTCOME_TRY(put);
        if (wanted.region != 0) volume.region_traffic.note({wanted.region, 0}, {block_index{0}, wanted.blocks});
        return made;
    }
}

/// Writes a feature's row, and whether the manifest names it, in a transaction. Errors: busy while records migrate;
/// raced where the row is not what it was, or another one comes while the manifest still names the one that was.
template <class Volume>
result<> change_row(Volume& volume, std::uint32_t bit, const feature_row& was, const feature_row& row,
                    bool named = false) noexcept {
    return run_transaction(volume, [&](std::uint32_t tx) noexcept -> result<> {
        BOOST_OUTCOME_TRY(lock_table(volume, tx));
        auto super = superblock_as_is(volume);
        if (super.migrating) return errc::busy;
        if (row_of(volume, bit) != was || (row != was && is_named(volume, bit))) return errc::raced;
        super.manifest &= ~(std::uint32_t{1} << bit);
        if (named) super.manifest |= std::uint32_t{1} << bit;
        super.feature                 = bit;
        super.row                     = row;
        volume.transactions[tx].super = super;
        return success();
    });
}

/// Zeroes the bytes of a feature that is being removed, in the records of one block of the table. Answers the first
/// record behind it. Errors: busy while records migrate; raced where others removed it; those of editing the block.
template <class Volume>
result<std::uint64_t> zero_block(Volume& volume, std::uint64_t first, std::uint32_t bit,
                                 const feature_row& row) noexcept {
    std::uint64_t end = first;
    BOOST_OUTCOME_TRY(run_transaction(volume, [&](std::uint32_t tx) noexcept -> result<> {
        BOOST_OUTCOME_TRY(lock_table(volume, tx));
        if (superblock_as_is(volume).migrating) return errc::busy;
        if (row_of(volume, bit) != row || is_named(volume, bit)) return errc::raced;
        BOOST_OUTCOME_TRY(const auto bytes, place_of_row(volume, row));
        const auto place = place_of_record(volume, first);
        if (!place) return errc::damaged;
        BOOST_OUTCOME_TRY(auto block, edit_block(volume, tx, place->block.home, place->block.identity));
        const std::byte     zeros[record_bytes_max]{};
        const std::uint64_t used = records_used(volume, no_transaction);
        std::uint32_t       at   = place->byte;
        for (end = first; end < used && at + volume.record_bytes <= volume.geometry.block.bytes - trailer_bytes;
             ++end) {
            detail::write_record(block, at + bytes.first, std::span{zeros}.first(bytes.count));
            at += volume.record_bytes;
        }
        return success();
    }));
    return end;
}

/// Removes all regions of a feature's type. Errors: those of remove_region.
template <class Volume>
result<> remove_regions(Volume& volume, std::uint32_t type) noexcept {
    if (!is_user_region(type)) return success();
    for (std::uint32_t i = 0; i < volume.regions.slots();) {
        const auto name = name_of(slot_at(volume, i));
        if (name.type == type) { BOOST_OUTCOME_TRY(remove_region(volume, name)); }
        i = name.type == type ? 0 : i + 1;  // slots change their order
    }
    return success();
}

/// Zeroes a feature's bytes in every record, and then its row, which has no name any more. Errors: those of zero_block
/// and change_row.
template <class Volume>
result<> give_up_bytes(Volume& volume, std::uint32_t bit, const feature_row& row) noexcept {
    if (row.bytes != 0 && place_of_row(volume, row)) {
        for (std::uint64_t record = 0; record < records_used(volume, no_transaction);) {
            BOOST_OUTCOME_TRY(record, zero_block(volume, record, bit, row));
            volume.lock.yield();
        }
    }
    return change_row(volume, bit, row, {});
}

/// Removes a feature: its name at once, then its regions, its bytes in every record, and its row. Stopped in between,
/// the same call goes on. Of a row that is damaged the records hold nothing: it alone goes.
/// Errors: not_found; busy while records migrate, or a region of it moves; raced where another thread removes it too;
/// pinned; those of the journal.
/// Cost: a transaction for each block of the object table; between them others have their turn.
template <class Volume>
result<> remove(Volume& volume, std::uint32_t bit) noexcept {
    if (bit >= feature_rows) return errc::not_found;
    const auto row = row_of(volume, bit);
    if (row.empty()) return errc::not_found;
    if (is_named(volume, bit)) { BOOST_OUTCOME_TRY(change_row(volume, bit, row, row)); }
    if (row.region != 0) { BOOST_OUTCOME_TRY(remove_regions(volume, row.region)); }
    return give_up_bytes(volume, bit, row);
}

}  // namespace features

/// The features of a store. Precondition: the store outlives it and stays open; its handle may move. Changes are atomic
/// and visible when a call returns, and durable at the next sync. Safe from: as many threads as the store.
template <Blueprint B>
class store_features {
  public:
    explicit store_features(store<B>& of) noexcept : store_{of.beside()} {}

    /// Which way a feature would be added; writes nothing. Errors: invalid_argument; those of reading bitmaps.
    result<feature_plan> can_add(const feature_request& wanted) noexcept {
        const entered guard{store_.volume()};
        return features::plan(store_.volume(), wanted);
    }
    /// Adds it where that takes one transaction. Else nothing was done, and the answer names the way: after a
    /// `record_migration` to the width that it says, `add` succeeds; `feature_addition` does both. Errors: the
    /// obstacles of `can_add`; those of adding a region.
    result<feature_plan> add(const feature_request& wanted) noexcept {
        const entered guard{store_.volume(), store_.time()};
        return features::add(store_.volume(), wanted);
    }
    /// Errors and cost: features::remove. Stopped in between, the same call goes on.
    result<> remove(std::uint32_t bit) noexcept {
        const entered guard{store_.volume(), store_.time()};
        return features::remove(store_.volume(), bit);
    }
    /// Whether the volume's manifest names it. One that is being removed it does not name any more.
    [[nodiscard]] bool has(std::uint32_t bit) noexcept {
        const entered guard{store_.volume()};
        return features::is_named(store_.volume(), bit);
    }

    /// Whether it is there, and owns what is asked for.
    [[nodiscard]] bool has(const feature_request& wanted) noexcept {
        const entered guard{store_.volume()};
        return features::is_there(store_.volume(), wanted);
    }

    /// Reads the bytes that a feature has in an object's record; as many as fit the span. Errors: not_found for the
    /// object or the feature; those of reading.
    result<std::size_t> read(object_id id, std::uint32_t bit, std::span<std::byte> into) noexcept {
        auto&         volume = store_.volume();
        const entered guard{volume};
        return with_loads(volume, [&]() noexcept -> result<std::size_t> {
            BOOST_OUTCOME_TRY(const auto place, features::place_of_bytes(volume, bit));
            BOOST_OUTCOME_TRY(load_object(volume, no_transaction, id));
            const auto record = *place_of_record(volume, record_of(id));
            BOOST_OUTCOME_TRY(const auto block,
                              view_block(volume, no_transaction, record.block.home, record.block.identity));
            const std::size_t count = into.size() < place.count ? into.size() : place.count;
            if (count != 0) std::memcpy(into.data(), block.bytes().data() + record.byte + place.first, count);
            return count;
        });
    }
    /// Writes them, from the first on; what the span does not reach stays. Errors: too_large for more than there are;
    /// not_found; busy; those of editing the record. Durable at the next sync.
    result<> write(object_id id, std::uint32_t bit, std::span<const std::byte> from) noexcept {
        auto&         volume = store_.volume();
        const entered guard{volume, store_.time()};
        return run_transaction(volume, [&](std::uint32_t tx) noexcept -> result<> {
            BOOST_OUTCOME_TRY(const auto place, features::place_of_bytes(volume, bit));
            if (from.size() > place.count) return errc::too_large;
            BOOST_OUTCOME_TRY(lock_object(volume, tx, id));
            BOOST_OUTCOME_TRY(load_object(volume, tx, id));
            const auto record = *place_of_record(volume, record_of(id));
            BOOST_OUTCOME_TRY(auto block, edit_block(volume, tx, record.block.home, record.block.identity));
            std::byte memory[record_bytes_max];
            std::memcpy(memory, block.bytes().data() + record.byte + place.first, place.count);
            if (!from.empty()) std::memcpy(memory, from.data(), from.size());
            detail::write_record(block, record.byte + place.first, std::span{memory}.first(place.count));
            return detail::follow_record(volume, tx, record_of(id), block, record.byte);
        });
    }

  private:
    typename store<B>::companion store_;
};

template <Blueprint B>
store_features(store<B>&) -> store_features<B>;

}  // namespace ashlar::inline v0
