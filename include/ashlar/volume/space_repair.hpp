#pragma once
/// What is said of space is said anew, by who proved what is true.

#include <ashlar/volume/space.hpp>

namespace ashlar::inline v0 {

/// Writes a group's bitmap, its record, and where one exists its bitmap of trimmed blocks, from which blocks in use are
/// taken, into the open batch; the totals change by the same difference. A block that is not whole is made anew.
/// Nothing is half done. What memory knows of the group is old then: open the space again.
/// Precondition: no transaction is open, and the batch has room for four blocks.
template <class Source>
result<> space::restate_group(const metadata_access<Source>& at, std::uint64_t group,
                              std::span<const bitmap_word> in_use) noexcept {
    const std::uint32_t blocks = at.geometry.group_blocks(group);
    BOOST_OUTCOME_TRY(const auto before, summary(at, group));
    const auto place = group_record_of(group, at.geometry.block);
    BOOST_OUTCOME_TRY(const auto header, at.get(at.regions.group_table(place.block)));
    BOOST_OUTCOME_TRY(const auto totals, at.get(at.regions.group_table(block_count{0})));
    BOOST_OUTCOME_TRY(const auto bitmap, get_or_create(at, at.regions.bitmap(group), before.bitmap_written));
    block_pin trimmed;
    if (before.trimmed_written) { BOOST_OUTCOME_TRY(trimmed, get_or_create(at, at.regions.trimmed(group), true)); }

    auto now              = summarize({in_use, blocks});
    now.bitmap_written    = true;
    now.trimmed_written   = before.trimmed_written;
    now.checksums_written = before.checksums_written;
    const auto content    = at.geometry.block.bytes - trailer_bytes;
    store_bitmap(at.cache.bytes(bitmap.slot()), in_use, blocks);
    at.cache.change(bitmap.slot(), 0, content);
    at.cache.at(bitmap.slot()).checked = false;
    if (before.trimmed_written) {
        const auto bytes = at.cache.bytes(trimmed.slot());
        load_bitmap(scratch_, bytes, blocks);
        for (std::size_t w = 0; w < words_for(blocks); ++w) scratch_[w] &= ~in_use[w];
        now.trimmed = count_set(scratch_, {0, blocks});
        store_bitmap(bytes, scratch_, blocks);
        at.cache.change(trimmed.slot(), 0, content);
    }
    store_struct(at.cache.bytes(header.slot()).subspan(place.byte), encode_group(now));
    at.cache.change(header.slot(), place.byte, group_record_bytes);

    auto sums = totals_;
    sums.free += std::uint64_t{now.free} - before.free;
    sums.trimmed += std::uint64_t{now.trimmed} - before.trimmed;
    for (std::size_t k = 0; k < run_classes; ++k)
        sums.runs[k] += static_cast<std::uint32_t>(now.runs[k]) - static_cast<std::uint32_t>(before.runs[k]);
    store_totals(at, totals.slot(), sums);
    durable_group_ = no_group;
    return success();
}

/// Writes the totals into the open batch. Precondition: as of restate_group, with room for one block.
template <class Source>
result<> space::restate_totals(const metadata_access<Source>& at, const volume_totals& now) noexcept {
    BOOST_OUTCOME_TRY(const auto totals, at.get(at.regions.group_table(block_count{0})));
    store_totals(at, totals.slot(), now);
    return success();
}

template <class Source>
void space::store_totals(const metadata_access<Source>& at, std::uint32_t slot, const volume_totals& now) noexcept {
    totals_ = now;
    store_struct(at.cache.bytes(slot), encode_totals(totals_));
    at.cache.change(slot, 0, sizeof(volume_totals_record));
}

template <class Source>
result<block_pin> space::get_or_create(const metadata_access<Source>& at, const region_block& block,
                                       bool written) noexcept {
    if (written) {
        auto found = at.get(block);
        if (found.has_value()) return found;
    }
    return at.create(block);
}

}  // namespace ashlar::inline v0
