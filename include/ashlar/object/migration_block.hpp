#pragma once
/// Where the state of a migration of records stands while it is under way, and how it is saved.

#include <ashlar/volume/block_edit.hpp>
#include <ashlar/volume/superblock_edit.hpp>

namespace ashlar::inline v0 {

/// The last block of the object table's last part.
template <class Volume>
[[nodiscard]] region_block migration_home(const Volume& volume) noexcept {
    const auto parts = volume.regions.object_parts();
    return region_table::migration_block(parts, parts.size() - 1);
}

/// The state as transaction `tx` sees it. Errors: those of reading the block; damaged where it says what cannot be.
template <class Volume>
result<migration_checkpoint> load_migration(Volume& volume, std::uint32_t tx) noexcept {
    const auto home = migration_home(volume);
    BOOST_OUTCOME_TRY(const auto block, view_block(volume, tx, home.home, home.identity));
    const auto seen = decode_migration(block.bytes());
    if (!seen || seen->old_bytes > record_bytes_max) return error{errc::damaged, home.home};
    return *seen;
}

/// Writes the state to a block that holds nothing yet. What an earlier migration left there may still be on its way
/// home: then that is changed.
template <class Volume>
result<> create_migration(Volume& volume, std::uint32_t tx, const region_block& home,
                          const migration_checkpoint& state) noexcept {
    const auto slot  = volume.cache.find(home.home);
    const bool known = slot != no_slot && !volume.cache.at(slot).evictable();
    auto       made =
        known ? edit_block(volume, tx, home.home, home.identity) : create_block(volume, tx, home.home, home.identity);
    BOOST_OUTCOME_TRY(auto block, std::move(made));
    const auto content = block.modify(0, volume.geometry.block.bytes - trailer_bytes);
    encode_migration(content, state);
    encode_migration_parts(content, volume.regions.object_parts(), volume.regions.next_object_parts());
    return success();
}

/// Changes the state. The parts are listed again where there are others than it says.
template <class Volume>
result<> save_migration(Volume& volume, std::uint32_t tx, migration_checkpoint state) noexcept {
    const auto home      = migration_home(volume);
    const auto old_parts = static_cast<std::uint16_t>(volume.regions.object_parts().size());
    const auto new_parts = static_cast<std::uint16_t>(volume.regions.next_object_parts().size());
    const bool lists     = state.old_parts != old_parts || state.new_parts != new_parts;
    state.old_parts      = old_parts;
    state.new_parts      = new_parts;
    state.saved          = volume.now;
    BOOST_OUTCOME_TRY(auto block, edit_block(volume, tx, home.home, home.identity));
    const std::size_t content = volume.geometry.block.bytes - trailer_bytes;
    const auto        bytes   = block.modify(0, lists ? content : sizeof state);
    encode_migration(bytes, state);
    if (lists) encode_migration_parts(bytes, volume.regions.object_parts(), volume.regions.next_object_parts());
    return success();
}

/// Takes the state along where the table gets another last part.
template <class Volume>
result<> move_migration(Volume& volume, std::uint32_t tx, extent part) noexcept {
    BOOST_OUTCOME_TRY(auto state, load_migration(volume, tx));
    state.old_parts = std::uint16_t{1};  // the next save lists the parts
    const auto last = part.count - block_count{1};
    return create_migration(
        volume, tx, {part.first + last, {tag::migration, volume.regions.object_parts().size(), last.value}}, state);
}

}  // namespace ashlar::inline v0
