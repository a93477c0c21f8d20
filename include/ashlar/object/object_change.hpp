#pragma once
/// Truncate, punch, reserve, pin, erase.

#include <ashlar/object/object_write.hpp>

namespace ashlar::inline v0 {

namespace detail {

/// Zeros a part of one block that holds data. A hole and reserved space already read as zeros.
template <class Volume>
result<> zero_part(Volume& volume, std::uint32_t tx, object_state& object, std::uint64_t offset,
                   std::uint64_t length) noexcept {
    if (length == 0) return success();
    const block_size    size = volume.geometry.block;
    const logical_block at{offset >> size.shift()};
    auto                map = map_of(volume, tx, object, space_use::metadata);
    BOOST_OUTCOME_TRY(const auto found, map.find(at));
    if (!found || found->logical > at || found->unwritten) return success();
    const std::span<const std::byte> zeros{static_cast<const std::byte*>(nullptr), static_cast<std::size_t>(length)};
    const auto                       bytes = object.size;
    BOOST_OUTCOME_TRY(write_object(volume, tx, object, offset, zeros, space_use::metadata));
    object.size = bytes;
    return success();
}

/// Error: pinned, with the first pinned extent that touches [first, end).
template <class Volume>
result<> refuse_pinned(Volume& volume, std::uint32_t tx, object_state& object, logical_block first,
                       logical_block end) noexcept {
    if (end <= first) return success();
    result<> answer = success();
    auto     map    = map_of(volume, tx, object, space_use::metadata);
    BOOST_OUTCOME_TRY(map.walk(first, end, [&](const mapped_extent& piece) noexcept -> result<bool> {
        if (piece.pinned) answer = error{errc::pinned, piece.physical.first};
        return !piece.pinned;
    }));
    return answer;
}

/// Puts an object at the head of the list of the dying: what it no longer needs is freed in steps.
template <class Volume>
result<> put_on_list(Volume& volume, std::uint32_t tx, object_state& object) noexcept {
    BOOST_OUTCOME_TRY(lock_table(volume, tx));
    auto& totals           = volume.transactions[tx].totals;
    object.next_dying      = object_id{totals.sets_dying_head ? totals.dying_head : volume.space.totals().dying_head};
    totals.dying_head      = object.id.value;
    totals.sets_dying_head = true;
    return success();
}

}  // namespace detail

/// How many extents one transaction frees: what it touches must fit the cache, whatever groups they lie in.
template <class Volume>
[[nodiscard]] std::uint64_t extents_per_step(const Volume& volume) noexcept {
    const std::size_t cached = (volume.cache.slots() - cache_blocks_min + 6) / 3;
    const std::size_t listed = volume.limits.transaction.extents / 2;
    return cached < listed ? cached : listed;
}

/// Sets the size. Shrinking frees at most a step's extents at once; the rest is freed later, in steps that survive a
/// crash. Errors: pinned; out_of_range; busy; those of space, map and device.
template <class Volume>
result<> truncate_object(Volume& volume, std::uint32_t tx, object_state& object, std::uint64_t bytes) noexcept {
    if (bytes > object_bytes_max) return errc::out_of_range;
    const block_size size = volume.geometry.block;
    if (bytes >= object.size) {
        object.size = bytes;
        return success();
    }
    const std::uint64_t block_end = bytes_of(blocks_for(bytes, size), size);
    BOOST_OUTCOME_TRY(
        detail::zero_part(volume, tx, object, bytes, (block_end < object.size ? block_end : object.size) - bytes));
    const auto          extents = object.map.extents;
    const logical_block keep{blocks_for(bytes, size).value};
    BOOST_OUTCOME_TRY(detail::refuse_pinned(volume, tx, object, keep, {blocks_for(object.size, size).value}));
    const retire_sink<Volume> sink{volume, tx};
    auto                      map = map_of(volume, tx, object, space_use::metadata);
    BOOST_OUTCOME_TRY(const bool more, map.remove_last(extents_per_step(volume), keep, sink));
    if (more && !object.shrinking) {
        BOOST_OUTCOME_TRY(detail::put_on_list(volume, tx, object));
        object.shrinking = true;
    }
    note_mapping(volume, tx, object, extents);
    object.size = bytes;
    return success();
}

/// Makes a hole that reads as zeros; whole blocks become free. Errors: pinned; too_large for a range of more extents
/// than one transaction frees; those of space, map and device.
template <class Volume>
result<> punch_object(Volume& volume, std::uint32_t tx, object_state& object, std::uint64_t offset,
                      std::uint64_t length) noexcept {
    if (offset >= object.size || length == 0) return success();
    const block_size    size = volume.geometry.block;
    const std::uint64_t end  = length < object.size - offset ? offset + length : object.size;
    const logical_block first{blocks_for(offset, size).value};
    const logical_block stop{end == object.size ? blocks_for(end, size).value : whole_blocks(end, size).value};
    BOOST_OUTCOME_TRY(detail::refuse_pinned(volume, tx, object, first, stop));
    const std::uint64_t head_end = byte_offset(first, size) < end ? byte_offset(first, size) : end;
    if (offset < head_end) { BOOST_OUTCOME_TRY(detail::zero_part(volume, tx, object, offset, head_end - offset)); }
    if (stop >= first && byte_offset(stop, size) < end) {
        BOOST_OUTCOME_TRY(
            detail::zero_part(volume, tx, object, byte_offset(stop, size), end - byte_offset(stop, size)));
    }
    if (stop <= first) return success();
    const auto                extents = object.map.extents;
    const retire_sink<Volume> sink{volume, tx};
    auto                      map = map_of(volume, tx, object, space_use::metadata);
    BOOST_OUTCOME_TRY(map.replace(first, stop - first, {}, sink));
    note_mapping(volume, tx, object, extents);
    return success();
}

/// Gives every hole of the range blocks that hold nothing yet: later writes into it cannot run out of space.
/// The size stays. Errors: those of space and map.
template <class Volume>
result<> reserve_object(Volume& volume, std::uint32_t tx, object_state& object, std::uint64_t offset,
                        std::uint64_t length) noexcept {
    if (offset > object_bytes_max || length > object_bytes_max - offset) return errc::out_of_range;
    const block_size    size = volume.geometry.block;
    const logical_block end{blocks_for(offset + length, size).value};
    const auto          extents = object.map.extents;
    auto                map     = map_of(volume, tx, object, space_use::data);
    auto&               state   = volume.transactions[tx];
    for (logical_block at{offset >> size.shift()}; at < end;) {
        BOOST_OUTCOME_TRY(const auto found, map.find(at));
        if (found && found->logical <= at) {
            at = found->logical + found->physical.count;
            continue;
        }
        const auto stop = found && found->logical < end ? found->logical : end;
        if (state.taken.full()) return error{errc::too_large};
        BOOST_OUTCOME_TRY(const auto goal, detail::goal_for(volume, map, at));
        BOOST_OUTCOME_TRY(const auto run, volume.space.reserve(volume.metadata(), volume.allocator,
                                                               {.blocks = stop - at, .goal = goal, .is_data = true}));
        state.taken.push({.blocks = run});
        const mapped_extent       piece{.logical = at, .physical = run, .unwritten = true};
        const retire_sink<Volume> sink{volume, tx};
        BOOST_OUTCOME_TRY(map.replace(at, run.count, std::span{&piece, 1}, sink));
        at = at + run.count;
    }
    note_mapping(volume, tx, object, extents);
    return success();
}

/// Pins or unpins the extents of a range. A pinned extent is never moved, and never overwritten.
template <class Volume>
result<> pin_object(Volume& volume, std::uint32_t tx, object_state& object, std::uint64_t offset, std::uint64_t length,
                    bool pinned) noexcept {
    if (length == 0) return success();
    if (offset > object_bytes_max || length > object_bytes_max - offset) return errc::out_of_range;
    const block_size    size = volume.geometry.block;
    const logical_block first{offset >> size.shift()};
    const logical_block end{blocks_for(offset + length, size).value};
    const auto          extents = object.map.extents;
    auto                map     = map_of(volume, tx, object, space_use::metadata);
    BOOST_OUTCOME_TRY(map.set_flags(first, end - first, extent_flag::pinned, pinned ? extent_flag::pinned : 0U));
    note_mapping(volume, tx, object, extents);
    return success();
}

/// Erases an object: from here on it does not exist; its blocks are freed in steps. Error: busy.
template <class Volume>
result<> erase_object(Volume& volume, std::uint32_t tx, object_state& object) noexcept {
    BOOST_OUTCOME_TRY(lock_table(volume, tx));
    if (!object.shrinking) { BOOST_OUTCOME_TRY(detail::put_on_list(volume, tx, object)); }
    auto& totals = volume.transactions[tx].totals;
    count_extents(totals, object.map.extents, 0);
    --totals.classes[0];
    --totals.objects;
    object.dying = true;
    return success();
}

/// Frees a part of the object at the head of the list of the dying, in a transaction of its own.
/// Answers whether anything is left to do. Errors: busy when an open transaction holds object or table.
template <class Volume>
result<> reap_object(Volume& volume, std::uint32_t tx) noexcept {
    const object_id id{volume.space.totals().dying_head};
    BOOST_OUTCOME_TRY(lock_table(volume, tx));
    if (!names_record(id)) return error{errc::damaged};
    BOOST_OUTCOME_TRY(auto object, load_record(volume, tx, record_of(id)));
    if (object.id != id || !(object.dying || object.shrinking)) return error{errc::damaged};
    BOOST_OUTCOME_TRY(lock_object(volume, tx, id));
    const auto                extents = object.map.extents;
    const logical_block       keep{object.dying ? 0 : blocks_for(object.size, volume.geometry.block).value};
    const retire_sink<Volume> sink{volume, tx};
    auto                      map = map_of(volume, tx, object, space_use::metadata);
    BOOST_OUTCOME_TRY(const bool more, map.remove_last(extents_per_step(volume), keep, sink));
    note_mapping(volume, tx, object, extents);
    if (!more) {
        auto& totals           = volume.transactions[tx].totals;
        totals.dying_head      = object.next_dying.value;
        totals.sets_dying_head = true;
        object.next_dying      = {};
        object.shrinking       = false;
        if (object.dying) return free_record(volume, tx, id);
    }
    return store_object(volume, tx, object);
}

/// Frees a part of what an object that shrank no longer needs, without taking it off the list.
template <class Volume>
result<bool> shrink_object(Volume& volume, std::uint32_t tx, object_state& object) noexcept {
    const auto                extents = object.map.extents;
    const logical_block       keep{blocks_for(object.size, volume.geometry.block).value};
    const retire_sink<Volume> sink{volume, tx};
    auto                      map = map_of(volume, tx, object, space_use::metadata);
    BOOST_OUTCOME_TRY(const bool more, map.remove_last(extents_per_step(volume), keep, sink));
    note_mapping(volume, tx, object, extents);
    BOOST_OUTCOME_TRY(store_object(volume, tx, object));
    return more;
}

}  // namespace ashlar::inline v0
