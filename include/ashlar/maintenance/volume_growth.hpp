#pragma once
/// A volume becomes larger while it is in use.

#include <ashlar/maintenance/size_change.hpp>
#include <ashlar/volume/format_volume.hpp>
#include <ashlar/volume/space_repair.hpp>

namespace ashlar::inline v0 {

/// What a growth would do, or did.
struct growth_plan {
    block_count                      before{};
    block_count                      after{};
    block_count                      device{};  ///< What the device has.
    block_count                      tables{};  ///< Of the new blocks, those that describe them.
    std::array<extent, sized_tables> parts{};   ///< Where these lie; empty where a table has room.
    error                            why{};     ///< Why it cannot be; code none where it can.

    [[nodiscard]] bool        possible() const noexcept { return why.code == errc::none; }
    [[nodiscard]] block_count gained() const noexcept { return after - before - tables; }
};

/// Says what growing to so many blocks does; 0: to what the device has. Reads nothing. `device`: as if the device had
/// so many, which it may be given first; 0: what it has. The plan says no with: out_of_range where the device is
/// smaller, `where` is what it has; invalid_argument where the volume is not smaller; no_space where the new blocks do
/// not hold their own tables; too_large where the directory is full, or a table has all its parts; busy while blocks
/// are withheld.
template <class Volume>
[[nodiscard]] growth_plan plan_growth(Volume& volume, block_count wanted = {}, block_count device = {}) noexcept {
    constexpr std::uint64_t blocks_max = ~std::uint64_t{0} >> 17U;
    constexpr unsigned      room_shift = 12;  // one group more for so many blocks: a 60th of them at most
    const auto              size       = volume.geometry.block;
    growth_plan             plan;
    plan.before   = volume.geometry.blocks;
    plan.device   = device.value != 0 ? device : volume.device.geometry().blocks;
    plan.after    = wanted.value != 0 ? wanted : plan.device;
    const auto no = [&](errc code, block_index where = {}) noexcept {
        plan.why = error{code, where};
        return plan;
    };
    if (plan.after > plan.device) return no(errc::out_of_range, block_index{plan.device.value});
    if (plan.after <= plan.before || plan.after.value > blocks_max) return no(errc::invalid_argument);
    if (!volume.space.withheld().empty()) return no(errc::busy, volume.space.withheld().first);

    const bool          sums   = !volume.regions.checksums().empty();
    const std::uint64_t groups = groups_for(plan.after, size);
    const std::uint64_t extra  = (plan.after - plan.before).value >> room_shift;
    const auto          needed = table_lengths_for(groups, size, sums);
    const auto          roomy  = table_lengths_for(groups + (extra < groups ? extra : groups), size, sums);
    std::uint32_t       slots  = volume.regions.slots();
    for (std::size_t i = 0; i < sized_tables; ++i) {
        const auto parts = parts_of(volume.regions, i);
        const auto has   = length_of(parts);
        if (has >= needed[i]) continue;
        if (parts.size() == region_table::table_parts_max || slots++ == region_slots) return no(errc::too_large);
        plan.parts[i] = {block_index{(plan.before + plan.tables).value}, block_count{roomy[i] - has}};
        plan.tables += plan.parts[i].count;
    }
    if (plan.before + plan.tables >= plan.after) return no(errc::no_space);
    return plan;
}

/// One growth of an open volume.
///
/// The tables of what comes stand at its beginning, so a volume that is full grows too. What they say of groups that
/// did not exist is written before they exist, outside of the journal, as a format does: until the superblock says so,
/// those blocks are nobody's. Then one batch makes the volume larger: superblock, directory, totals, and the group that
/// was the last. It is brought home before a block behind the old end is used: so the journal never names a block that
/// the superblock at home does not know.
template <class Volume>
class volume_growth {
  public:
    explicit volume_growth(Volume& volume) noexcept : volume_{volume} {}

    /// Errors: the plan's; read_only; busy while a transaction is held open, or a channel has a batch on its way;
    /// too_large where cache or journal do not hold five blocks; those of the device. An error before the batch is
    /// written leaves the volume as it was; one after it ends writing, and opening it again decides.
    /// Cost: two checkpoints; a write for each new block of the group table and each bitmap that tables lie in. Changes
    /// of others wait meanwhile, reads do not.
    result<growth_plan> run(block_count wanted) noexcept {
        BOOST_OUTCOME_TRY(volume_.writable());
        BOOST_OUTCOME_TRY(await_no_transactions(volume_));
        plan_ = plan_growth(volume_, wanted);
        if (!plan_.possible()) return plan_.why;
        const detail::no_changes alone{volume_};
        BOOST_OUTCOME_TRY(checkpoint_alone(volume_));
        constexpr std::size_t changed = 5;  // totals, the old last group's record and bitmap, the new one's, to spare
        if (!ring_has_room(volume_, changed) || !volume_.cache.has_room_for(changed)) return errc::too_large;
        const auto edit = [&](std::span<std::byte> content) noexcept { add_parts(content); };
        BOOST_OUTCOME_TRY(const auto grown, resized(volume_, plan_.after, edit));
        BOOST_OUTCOME_TRY(write_groups(grown));
        BOOST_OUTCOME_TRY(enter(grown, edit));
        BOOST_OUTCOME_TRY(finish_size(volume_));
        return plan_;
    }

  private:
    [[nodiscard]] block_size  size() const noexcept { return volume_.geometry.block; }
    [[nodiscard]] block_index tables_end() const noexcept { return {(plan_.before + plan_.tables).value}; }

    void add_parts(std::span<std::byte> content) const noexcept {
        for (std::size_t i = 0; i < sized_tables; ++i) {
            if (plan_.parts[i].empty()) continue;
            region_slot slot;
            slot.type   = sized_table_types[i];
            slot.id     = static_cast<std::uint32_t>(parts_of(volume_.regions, i).size());
            slot.start  = plan_.parts[i].first.value;
            slot.blocks = plan_.parts[i].count.value;
            add_slot(content, slot);
        }
    }

    /// Writes the blocks of the group table in which only new groups have records, and the bitmaps of new groups that
    /// tables lie in; and syncs them.
    result<> write_groups(const sized_volume& grown) noexcept {
        const auto          block = volume_.staging.first(size().bytes);
        const std::uint64_t first = group_table_blocks(volume_.geometry.groups, size()).value;
        const std::uint64_t end   = group_table_blocks(grown.geometry.groups, size()).value;
        std::uint64_t       group = volume_.geometry.groups;
        while (group < grown.geometry.groups && group_record_of(group, size()).block.value < first) ++group;
        for (std::uint64_t number = first; number < end; ++number) {
            std::memset(block.data(), 0, block.size());
            for (; group < grown.geometry.groups && group_record_of(group, size()).block.value == number; ++group) {
                const auto summary = detail::new_group(grown.geometry, group, tables_end());
                store_struct(block.subspan(group_record_of(group, size()).byte), encode_group(summary));
            }
            BOOST_OUTCOME_TRY(put(grown.regions.group_table(block_count{number}), block));
        }
        for (group = volume_.geometry.groups;
             group < grown.geometry.groups && first_of_group(group, size()) < tables_end(); ++group) {
            std::memset(block.data(), 0, block.size());
            write_run(block, {0, detail::blocks_before(grown.geometry, group, tables_end())}, true);
            BOOST_OUTCOME_TRY(put(grown.regions.bitmap(group), block));
        }
        const auto synced = volume_.lock.outside([&]() noexcept { return volume_.device.sync(); });
        if (synced.has_error()) return volume_.end_writing(synced.error());
        return success();
    }
    /// What memory knows of the block is of an older life of it.
    result<> put(const region_block& to, std::span<std::byte> block) noexcept {
        volume_.cache.forget(to.home);
        return volume_.lock.outside(
            [&]() noexcept { return detail::put_block(volume_.device, block, volume_.id, to); });
    }

    /// Enters the growth into the open batch. What may fail comes first.
    template <class Edit>
    result<> enter(const sized_volume& grown, Edit& edit) noexcept {
        const auto          at    = volume_.metadata();
        const std::uint64_t first = volume_.geometry.groups;
        const auto          last  = group_record_of(first - 1, size());
        const auto          next  = group_record_of(first, size());
        const bool          extra = next.block.value < group_table_blocks(first, size()).value;
        BOOST_OUTCOME_TRY(const auto totals, at.get(at.regions.group_table(block_count{0})));
        BOOST_OUTCOME_TRY(const auto record, at.get(at.regions.group_table(last.block)));
        BOOST_OUTCOME_TRY(const auto shared, at.get(at.regions.group_table(extra ? next.block : last.block)));
        BOOST_OUTCOME_TRY(const auto before, space::summary(at, first - 1));
        BOOST_OUTCOME_TRY(const auto longer, lengthen(grown, before));
        volume_totals now = volume_.space.totals();
        detail::count_difference(now, before, longer);
        for (std::uint64_t group = first; group < grown.geometry.groups; ++group) {
            const auto summary = detail::new_group(grown.geometry, group, tables_end());
            detail::count_difference(now, {}, summary);
            const auto place = group_record_of(group, size());
            if (extra && place.block == next.block) store(shared.slot(), place.byte, summary);
        }
        store(record.slot(), last.byte, longer);
        enter_size(volume_, grown, edit);
        return volume_.space.restate_totals(volume_.metadata(), now);
    }

    /// The group that was the last gets the blocks that it lacked, and the tables that lie in them.
    result<group_summary> lengthen(const sized_volume& grown, const group_summary& before) noexcept {
        const auto          at     = volume_.metadata();
        const std::uint64_t group  = volume_.geometry.groups - 1;
        const std::uint32_t had    = volume_.geometry.group_blocks(group);
        const std::uint32_t has    = grown.geometry.group_blocks(group);
        const std::uint32_t used   = detail::blocks_before(grown.geometry, group, tables_end());
        const group_run     tables = {had, used > had ? used - had : 0};
        if (has == had) return before;
        const auto words = volume_.space.scratch();
        clear_bitmap(words, has);
        if (before.bitmap_written || tables.count != 0) {
            BOOST_OUTCOME_TRY(const auto bitmap, before.bitmap_written ? at.get(at.regions.bitmap(group))
                                                                       : at.create(at.regions.bitmap(group)));
            load_bitmap(words, volume_.cache.bytes(bitmap.slot()), has);
            if (!all_clear(words, {had, has - had}) || summarize({words, had}).runs != before.runs)
                return error{errc::damaged, at.regions.bitmap(group).home};
            if (tables.count != 0) {
                const auto touched = bytes_of_run(tables);
                set_bits(words, tables);
                write_run(volume_.cache.bytes(bitmap.slot()).subspan(touched.offset, touched.length), tables, true);
                volume_.cache.change(bitmap.slot(), touched.offset, touched.length);
            }
            volume_.cache.at(bitmap.slot()).checked = false;
        }
        auto longer              = summarize({words, has});
        longer.bitmap_written    = before.bitmap_written || tables.count != 0;
        longer.trimmed_written   = before.trimmed_written;
        longer.trimmed           = before.trimmed;
        longer.checksums_written = before.checksums_written;
        return longer;
    }

    void store(std::uint32_t slot, std::size_t byte, const group_summary& summary) noexcept {
        store_struct(volume_.cache.bytes(slot).subspan(byte), encode_group(summary));
        volume_.cache.change(slot, byte, group_record_bytes);
    }

    Volume&     volume_;
    growth_plan plan_{};
};

}  // namespace ashlar::inline v0
