#pragma once
/// A volume loses its end, which nobody uses.

#include <ashlar/maintenance/size_change.hpp>
#include <ashlar/volume/space_repair.hpp>

namespace ashlar::inline v0 {

/// What is in the way of a shorter volume, or goes with its end.
struct tail_regions {
    std::array<std::size_t, sized_tables> parts{};  ///< Parts that each table keeps.
    block_count                           given{};  ///< Blocks of the others that lie in what stays.
    error                                 why{};  ///< pinned, where a region lies in the end that does not go with it.
    region_id                             pinned{};
};

/// Looks at all regions: parts of tables that a volume of so many blocks does not need go with its end. The last parts
/// alone do, and only where one of them lies in it. Reads nothing.
template <class Volume>
[[nodiscard]] tail_regions look_at_tail(Volume& volume, block_count blocks) noexcept {
    const block_index end{blocks.value};
    const auto        needed = table_lengths_for(groups_for(blocks, volume.geometry.block), volume.geometry.block,
                                                 !volume.regions.checksums().empty());
    tail_regions      seen;
    for (std::size_t i = 0; i < sized_tables; ++i) {
        const auto parts = parts_of(volume.regions, i);
        seen.parts[i]    = parts.size();
        for (std::size_t part = parts_needed(parts, needed[i]); part < parts.size(); ++part) {
            if (parts[part].end() > end && part < seen.parts[i]) seen.parts[i] = part;
        }
        for (std::size_t part = seen.parts[i]; part < parts.size(); ++part)
            seen.given += common_part(parts[part], {{}, blocks}).count;
    }
    for (std::uint32_t i = 0; i < volume.regions.slots(); ++i) {
        const auto slot  = slot_at(volume, i);
        const auto table = sized_table_of(slot.type);
        const bool goes  = table != sized_tables && slot.id >= seen.parts[table];
        if (goes || slot.place().end() <= end || seen.why.code != errc::none) continue;
        seen.why    = error{errc::pinned, slot.place().first};
        seen.pinned = name_of(slot);
    }
    return seen;
}

/// Cuts the end off an open volume. Precondition of all: what others use lies before the new end; this only makes sure.
///
/// One batch says it: superblock, directory, totals, the record of the group that is the last then, and bits of tables
/// that go. Before it the journal is emptied, so that it names no block behind the new end; after it the batch is
/// brought home, so that the device may be shortened once `run` returns (R14).
template <class Volume>
class volume_cut {
  public:
    explicit volume_cut(Volume& volume) noexcept : volume_{volume} {}

    /// Errors: invalid_argument where the volume is not longer; pinned where a region lies in the end, at its first
    /// block; busy where blocks there are in use, reserved, or wait for readers, while blocks before it are withheld or
    /// a transaction is held open, or a channel has a batch on its way; no_space where what is left would not hold the
    /// reserve of metadata; too_large where the journal does not hold the change; those of the device. An error before
    /// the batch is written leaves the volume as it was; one after it ends writing, and opening it again decides. Cost:
    /// two checkpoints; the group records of the end, the bitmaps of groups in it that are not empty. Changes of others
    /// wait meanwhile, reads do not.
    result<> run(block_count blocks) noexcept {
        BOOST_OUTCOME_TRY(volume_.writable());
        BOOST_OUTCOME_TRY(await_no_transactions(volume_));
        if (blocks >= volume_.geometry.blocks || blocks <= block_count{frames_end(size()).value})
            return errc::invalid_argument;
        const auto held = volume_.space.withheld();  // it would end with the size that it was counted for
        if (!held.empty() && held.first.value < blocks.value) return error{errc::busy, held.first};
        blocks_ = blocks;
        tail_   = look_at_tail(volume_, blocks);
        if (tail_.why.code != errc::none) return tail_.why;
        const detail::no_changes alone{volume_};
        BOOST_OUTCOME_TRY(checkpoint_alone(volume_));
        await_readers();
        if (volume_.space.is_waited_for(block_index{blocks.value})) return error{errc::busy, block_index{blocks.value}};
        const auto edit = [&](std::span<std::byte> content) noexcept { remove_parts(content); };
        BOOST_OUTCOME_TRY(const auto cut, resized(volume_, blocks, edit));
        BOOST_OUTCOME_TRY(look_at_groups(cut));
        if (auto entered = enter(cut, edit); entered.has_error()) return volume_.end_writing(entered.error());
        BOOST_OUTCOME_TRY(finish_size(volume_));
        forget_cached(volume_, [&](block_index home) noexcept { return home.value >= blocks.value || is_given(home); });
        return success();
    }

  private:
    [[nodiscard]] block_size size() const noexcept { return volume_.geometry.block; }

    /// What readers still look at is free when they have gone; they do not take long.
    void await_readers() noexcept {
        if constexpr (Volume::threading_type::concurrent) {
            const auto waits = [&]() noexcept {
                return volume_.space.is_waited_for(block_index{blocks_.value}) &&
                       volume_.space.readers() > volume_.channel_reads;
            };
            for (int i = 0; i < 8 && waits(); ++i) {
                volume_.lock.wait();
                drain_retired(volume_);
            }
        }
    }

    void remove_parts(std::span<std::byte> content) const noexcept {
        for (std::uint32_t i = load_struct<directory_head>(content).slots; i-- > 0;) {
            const auto slot  = load_struct<region_slot>(content.subspan(region_slot_offset(i)));
            const auto table = sized_table_of(slot.type);
            if (table != sized_tables && slot.id >= tail_.parts[table]) remove_slot(content, i);
        }
    }

    /// The parts of tables that go.
    [[nodiscard]] std::span<const extent> given() const noexcept { return std::span{given_}.first(given_count_); }
    void                                  note_given() noexcept {
                                         first_touched_ = place_of(block_index{blocks_.value} - block_count{1}, size()).group;
                                         for (std::size_t i = 0; i < sized_tables; ++i) {
                                             for (const auto& part : parts_of(volume_.regions, i).subspan(tail_.parts[i])) {
                                                 given_[given_count_++] = part;
                                                 const auto group       = place_of(part.first, size()).group;
                                                 if (group < first_touched_) first_touched_ = group;
            }
        }
    }
    [[nodiscard]] bool is_given(block_index block) const noexcept {
        for (const auto& one : given()) {
            if (one.contains(block)) return true;
        }
        return false;
    }

    /// Whether a group is said anew: it is the one that becomes shorter, or tables go from it.
    [[nodiscard]] bool changes(const sized_volume& cut, std::uint64_t group) const noexcept {
        bool touched = cut.geometry.group_blocks(group) != volume_.geometry.group_blocks(group);
        for (const auto& one : given()) touched = touched || part_in_group(one, group, size()).count != 0;
        return touched;
    }

    /// The bits of a group without those of the tables that go, in the scratch memory. Error: damaged, where bitmap and
    /// record differ; busy, where a block behind the end is in use.
    result<std::span<bitmap_word>> words_of(std::uint64_t group, const group_summary& known) noexcept {
        const std::uint32_t blocks = volume_.geometry.group_blocks(group);
        const auto          first  = first_of_group(group, size());
        const auto          words  = volume_.space.scratch();
        const auto          at     = volume_.metadata();
        clear_bitmap(words, blocks);
        if (known.bitmap_written) {
            BOOST_OUTCOME_TRY(const auto bitmap, at.get(at.regions.bitmap(group)));
            load_bitmap(words, volume_.cache.bytes(bitmap.slot()), blocks);
            if (summarize({words, blocks}).runs != known.runs)
                return error{errc::damaged, at.regions.bitmap(group).home};
        }
        for (const auto& one : given()) {
            if (const auto part = part_in_group(one, group, size()); part.count != 0) clear_bits(words, part);
        }
        const std::uint64_t left  = block_index{blocks_.value} > first ? blocks_.value - first.value : 0;
        const std::uint32_t stays = left < blocks ? static_cast<std::uint32_t>(left) : blocks;
        const std::uint32_t used  = next_set(words, stays, blocks);
        if (used != blocks) return error{errc::busy, first + block_count{used}};
        return words;
    }

    /// Reads whatever is needed: that nothing is in use in the end, and what the totals are without it.
    result<> look_at_groups(const sized_volume& cut) noexcept {
        note_given();
        totals_            = volume_.space.totals();
        std::size_t groups = 0;
        for (auto group = first_touched_; group < cut.geometry.groups; ++group) groups += changes(cut, group) ? 1U : 0U;
        if (!ring_has_room(volume_, 3 * groups + 2) || !volume_.cache.has_room_for(4)) return errc::too_large;
        for (std::uint64_t group = cut.geometry.groups; group < volume_.geometry.groups; ++group) {
            BOOST_OUTCOME_TRY(const auto known, space::summary(volume_.metadata(), group));
            if (known.free != volume_.geometry.group_blocks(group)) { BOOST_OUTCOME_TRY(words_of(group, known)); }
            detail::count_difference(totals_, known, {});
        }
        for (auto group = first_touched_; group < cut.geometry.groups; ++group) {
            if (!changes(cut, group)) continue;
            BOOST_OUTCOME_TRY(const auto known, space::summary(volume_.metadata(), group));
            BOOST_OUTCOME_TRY(const auto now, shorter(cut, group, known));
            detail::count_difference(totals_, known, now);
        }
        if (totals_.free < space::metadata_reserve(blocks_).value) return errc::no_space;  // an erase always works
        return success();
    }

    /// What a group that changes is then.
    result<group_summary> shorter(const sized_volume& cut, std::uint64_t group, const group_summary& known) noexcept {
        const std::uint32_t blocks = cut.geometry.group_blocks(group);
        BOOST_OUTCOME_TRY(const auto words, words_of(group, known));
        auto now              = summarize({words, blocks});
        now.bitmap_written    = known.bitmap_written;
        now.trimmed_written   = known.trimmed_written;
        now.checksums_written = known.checksums_written;
        if (!known.trimmed_written) return now;
        const auto at = volume_.metadata();
        BOOST_OUTCOME_TRY(const auto trimmed, at.get(at.regions.trimmed(group)));
        load_bitmap(words, volume_.cache.bytes(trimmed.slot()), blocks);
        now.trimmed = count_set(words, {0, blocks});
        return now;
    }

    /// Enters the cut into the open batch.
    template <class Edit>
    result<> enter(const sized_volume& cut, Edit& edit) noexcept {
        for (auto group = first_touched_; group < cut.geometry.groups; ++group) {
            if (changes(cut, group)) { BOOST_OUTCOME_TRY(enter_group(cut, group)); }
        }
        enter_size(volume_, cut, edit);
        return volume_.space.restate_totals(volume_.metadata(), totals_);
    }

    result<> enter_group(const sized_volume& cut, std::uint64_t group) noexcept {
        const auto          at     = volume_.metadata();
        const std::uint32_t blocks = cut.geometry.group_blocks(group);
        const auto          place  = group_record_of(group, size());
        BOOST_OUTCOME_TRY(const auto record, at.get(at.regions.group_table(place.block)));
        BOOST_OUTCOME_TRY(const auto known, space::summary(at, group));
        BOOST_OUTCOME_TRY(const auto now, shorter(cut, group, known));
        if (known.bitmap_written) {
            BOOST_OUTCOME_TRY(const auto bitmap, at.get(at.regions.bitmap(group)));
            BOOST_OUTCOME_TRY(const auto words, words_of(group, known));
            restate(bitmap.slot(), words, blocks);
            volume_.cache.at(bitmap.slot()).checked = false;
        }
        if (known.trimmed_written) {
            BOOST_OUTCOME_TRY(const auto trimmed, at.get(at.regions.trimmed(group)));
            const auto words = volume_.space.scratch();
            load_bitmap(words, volume_.cache.bytes(trimmed.slot()), blocks);
            restate(trimmed.slot(), words, blocks);
        }
        store_struct(volume_.cache.bytes(record.slot()).subspan(place.byte), encode_group(now));
        volume_.cache.change(record.slot(), place.byte, group_record_bytes);
        return success();
    }

    /// Bits past the last block of a group are 0.
    void restate(std::uint32_t slot, std::span<const bitmap_word> words, std::uint32_t blocks) noexcept {
        const auto content = volume_.cache.bytes(slot).first(size().bytes - trailer_bytes);
        std::memset(content.data(), 0, content.size());
        store_bitmap(content, words, blocks);
        volume_.cache.change(slot, 0, content.size());
    }

    Volume&                                                          volume_;
    block_count                                                      blocks_{};
    tail_regions                                                     tail_{};
    std::array<extent, sized_tables * region_table::table_parts_max> given_{};  ///< Parts of tables that go.
    std::size_t                                                      given_count_   = 0;
    std::uint64_t                                                    first_touched_ = 0;
    volume_totals                                                    totals_{};
};

}  // namespace ashlar::inline v0
