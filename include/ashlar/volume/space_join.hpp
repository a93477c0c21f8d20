#pragma once
/// How space follows a transaction into a batch: everything that may fail first, then the bits, records and totals.

#include <ashlar/volume/space.hpp>

namespace ashlar::inline v0 {

template <class Source>
result<> space::prepare(const metadata_access<Source>& at, transaction_state& tx, bool sums) noexcept {
    const auto loaded = prepare_all(at, tx, sums);
    if (loaded.has_error()) unprepare(at.cache);
    return loaded;
}

template <class Source>
void space::apply(const metadata_access<Source>& at, transaction_state& tx, sequence batch) noexcept {
    for (const auto& run : tx.taken.all()) {
        if (!run.fresh) continue;
        unreserve(run.blocks);
        flip(at, run.blocks, true);
    }
    for (const auto& run : tx.given.all()) {
        flip(at, run.blocks, false);
        if (contradiction_) break;  // nothing of this batch will be written: what was free already must not retire
        retired_.push({.blocks = run.blocks, .batch = batch, .metadata = run.metadata});
    }
    add_totals(tx.totals, tx.generation);
    const auto slot = at.cache.find(at.regions.group_table(block_count{0}).home);
    store_struct(at.cache.bytes(slot), encode_totals(totals_));
    at.cache.change(slot, 0, sizeof(volume_totals_record));
    unprepare(at.cache);
}

template <class Source>
result<> space::note_trimmed(const metadata_access<Source>& at, extent run) noexcept {
    return for_each_group_part(run, at.geometry.block, [&](std::uint64_t group, group_run part) noexcept -> result<> {
        const auto place = group_record_of(group, at.geometry.block);
        BOOST_OUTCOME_TRY(const auto header, at.get(at.regions.group_table(place.block)));
        BOOST_OUTCOME_TRY(const auto totals, at.get(at.regions.group_table(block_count{0})));
        BOOST_OUTCOME_TRY(const auto before, summary(at, group));
        BOOST_OUTCOME_TRY(const auto bitmap, before.trimmed_written ? at.get(at.regions.trimmed(group))
                                                                    : at.create(at.regions.trimmed(group)));
        // Each of these may have waited while others changed the record: what it says now stays so until the end.
        BOOST_OUTCOME_TRY(auto known, summary(at, group));
        const auto touched = bytes_of_run(part);
        write_run(at.cache.bytes(bitmap.slot()).subspan(touched.offset, touched.length), part, true);
        at.cache.change(bitmap.slot(), touched.offset, touched.length);
        known.trimmed_written = true;
        known.trimmed += part.count;
        store_struct(at.cache.bytes(header.slot()).subspan(place.byte), encode_group(known));
        at.cache.change(header.slot(), place.byte, group_record_bytes);
        totals_.trimmed += part.count;
        store_struct(at.cache.bytes(totals.slot()), encode_totals(totals_));
        at.cache.change(totals.slot(), 0, sizeof(volume_totals_record));
        return success();
    });
}

template <class Source>
result<> space::prepare_all(const metadata_access<Source>& at, transaction_state& tx, bool sums) noexcept {
    BOOST_OUTCOME_TRY(auto totals, at.get(at.regions.group_table(block_count{0})));
    keep(at.cache, std::move(totals));
    for (const auto& run : tx.taken.all()) {
        BOOST_OUTCOME_TRY(
            for_each_group_part(run.blocks, at.geometry.block, [&](std::uint64_t group, group_run part) noexcept {
                return prepare_group(at, group, part, sums && run.data);
            }));
    }
    if (retired_.room() < tx.given.size()) return error{errc::too_large};
    for (const auto& run : tx.given.all()) {
        BOOST_OUTCOME_TRY(for_each_group_part(
            run.blocks, at.geometry.block,
            [&](std::uint64_t group, group_run part) noexcept { return prepare_group(at, group, part, false); }));
    }
    return success();
}

template <class Source>
result<> space::prepare_group(const metadata_access<Source>& at, std::uint64_t group, group_run part,
                              bool sums) noexcept {
    BOOST_OUTCOME_TRY(auto known, summary(at, group));
    const auto place = group_record_of(group, at.geometry.block);
    BOOST_OUTCOME_TRY(auto header, at.get(at.regions.group_table(place.block)));
    const auto header_slot = header.slot();
    keep(at.cache, std::move(header));

    const auto store = [&]() noexcept {
        store_struct(at.cache.bytes(header_slot).subspan(place.byte), encode_group(known));
        at.cache.change(header_slot, place.byte, group_record_bytes);
    };
    if (!known.bitmap_written) {
        BOOST_OUTCOME_TRY(auto bitmap, at.create(at.regions.bitmap(group)));
        keep(at.cache, std::move(bitmap));
        known.bitmap_written = true;
        store();
    } else {
        BOOST_OUTCOME_TRY(auto bitmap, at.get(at.regions.bitmap(group)));
        BOOST_OUTCOME_TRY(check(at, group, known, bitmap.slot()));
        keep(at.cache, std::move(bitmap));
    }
    if (known.trimmed_written) {
        BOOST_OUTCOME_TRY(auto trimmed, at.get(at.regions.trimmed(group)));
        keep(at.cache, std::move(trimmed));
    }
    if (!sums) return success();
    const std::uint32_t per_block = sums_per_block(at.geometry.block);
    for (std::uint32_t i = part.first / per_block; i <= (part.first + part.count - 1) / per_block; ++i) {
        const auto block   = at.regions.checksum_block(group * checksum_blocks_per_group(at.geometry.block) + i);
        const bool written = (known.checksums_written >> i & 1U) != 0;
        BOOST_OUTCOME_TRY(auto pin, written ? at.get(block) : at.create(block));
        keep(at.cache, std::move(pin));
        if (!written) {
            known.checksums_written |= std::uint64_t{1} << i;
            store();
        }
    }
    return success();
}

template <class Source>
result<> space::check(const metadata_access<Source>& at, std::uint64_t group, const group_summary& known,
                      std::uint32_t slot) noexcept {
    if (at.cache.at(slot).checked) return success();
    durable_group_     = no_group;
    const auto counted = summarize(durable_words(at, group, slot));
    if (counted.free != known.free || counted.runs != known.runs || counted.largest != known.largest ||
        counted.head != known.head || counted.tail != known.tail) {
        return error{errc::damaged, at.cache.at(slot).home};
    }
    at.cache.at(slot).checked = true;
    return success();
}

template <class Source>
void space::flip(const metadata_access<Source>& at, extent blocks, bool take) noexcept {
    static_cast<void>(
        for_each_group_part(blocks, at.geometry.block, [&](std::uint64_t group, group_run run) noexcept -> result<> {
            const auto place       = group_record_of(group, at.geometry.block);
            const auto header_slot = at.cache.find(at.regions.group_table(place.block).home);
            const auto bitmap_slot = at.cache.find(at.regions.bitmap(group).home);
            const auto record      = at.cache.bytes(header_slot).subspan(place.byte);
            const auto decoded     = decode_group(load_struct<group_record>(record), at.geometry.group_blocks(group));

            const group_view durable = durable_words(at, group, bitmap_slot);
            if (!decoded || !(take ? all_clear(durable.busy, run) : all_set(durable.busy, run))) {
                contradiction_ = first_of_group(group, at.geometry.block) + block_count{run.first};
                return success();
            }
            auto       known       = *decoded;
            const auto runs_before = known.runs;
            if (take) {
                take_run(known, durable, run);
                set_bits(durable_, run);
                untrim(at, group, run, known);
                totals_.free -= run.count;
            } else {
                give_run(known, durable, run);
                clear_bits(durable_, run);
                totals_.free += run.count;
            }
            for (std::size_t k = 0; k < run_classes; ++k)
                totals_.runs[k] += static_cast<std::uint32_t>(known.runs[k] - runs_before[k]);

            const auto touched = bytes_of_run(run);
            write_run(at.cache.bytes(bitmap_slot).subspan(touched.offset, touched.length), run, take);
            at.cache.change(bitmap_slot, touched.offset, touched.length);
            store_struct(record, encode_group(known));
            at.cache.change(header_slot, place.byte, group_record_bytes);
            return success();
        }));
}

template <class Source>
group_view space::durable_words(const metadata_access<Source>& at, std::uint64_t group,
                                std::uint32_t bitmap_slot) noexcept {
    const std::uint32_t blocks = at.geometry.group_blocks(group);
    if (durable_group_ != group) load_bitmap(durable_, at.cache.bytes(bitmap_slot), blocks);
    durable_group_ = group;
    return {durable_, blocks};
}

template <class Source>
void space::untrim(const metadata_access<Source>& at, std::uint64_t group, group_run run,
                   group_summary& known) noexcept {
    if (!known.trimmed_written || known.trimmed == 0) return;
    const auto    slot    = at.cache.find(at.regions.trimmed(group).home);
    const auto    touched = bytes_of_run(run);
    const auto    bytes   = at.cache.bytes(slot).subspan(touched.offset, touched.length);
    std::uint32_t were    = 0;
    for (std::uint32_t i = 0; i < run.count; ++i) {
        const std::uint32_t bit = run.first % 8U + i;
        were += static_cast<std::uint32_t>(bytes[bit / 8U] >> (bit % 8U) & std::byte{1});
    }
    write_run(bytes, run, false);
    at.cache.change(slot, touched.offset, touched.length);
    known.trimmed -= were < known.trimmed ? were : known.trimmed;
    totals_.trimmed -= were < totals_.trimmed ? were : totals_.trimmed;
}

inline void space::add_totals(const totals_change& change, std::uint64_t generation) noexcept {
    totals_.objects += static_cast<std::uint64_t>(change.objects);
    totals_.objects_with_data += static_cast<std::uint64_t>(change.objects_with_data);
    totals_.allocated_extents += static_cast<std::uint64_t>(change.extents);
    for (std::size_t k = 0; k < extents_classes; ++k)
        totals_.extents[k] += static_cast<std::uint32_t>(change.classes[k]);
    if (change.records_high_water > totals_.records_high_water) totals_.records_high_water = change.records_high_water;
    if (change.sets_dying_head) totals_.dying_head = change.dying_head;
    if (generation > totals_.generation_counter) totals_.generation_counter = generation;
}

}  // namespace ashlar::inline v0
