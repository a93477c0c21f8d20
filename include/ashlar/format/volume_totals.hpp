#pragma once
/// The totals of the volume: the first 256 bytes of the group table.

#include <ashlar/format/group_record.hpp>

namespace ashlar::inline v0 {

/// Classes of objects by how many extents they have: 0, 1, 2, 3, 4, 5-9, 10-19, 20-49, 50-99, 100-999, 1000 and more.
inline constexpr std::size_t extents_classes = 11;

[[nodiscard]] constexpr std::size_t extents_class(std::uint64_t extents) noexcept {
    constexpr std::array<std::uint64_t, 5> ends{10, 20, 50, 100, 1000};
    if (extents < 5) return static_cast<std::size_t>(extents);
    std::size_t k = 5;
    for (const auto end : ends) k += extents >= end ? 1U : 0U;
    return k;
}
static_assert(extents_class(4) == 4 && extents_class(5) == 5 && extents_class(9) == 5 && extents_class(10) == 6);
static_assert(extents_class(99) == 8 && extents_class(999) == 9 && extents_class(1000) == 10);

/// Sums over all groups and objects, kept with every transaction, so that no metric needs a walk.
struct volume_totals {
    std::uint64_t free               = 0;  ///< Free blocks.
    std::uint64_t objects            = 0;
    std::uint64_t records_high_water = 0;  ///< Records of the object table that were ever in use lie below it.
    std::uint64_t dying_head         = 0;  ///< Id of the first object on the list of the dying; 0: none.
    std::uint64_t generation_counter = 0;  ///< The last generation given to a mapping.
    std::uint64_t allocated_extents  = 0;  ///< Extents of all objects.
    std::uint64_t objects_with_data  = 0;
    std::uint64_t trimmed            = 0;           ///< Free blocks known to be trimmed.
    std::array<std::uint32_t, run_classes> runs{};  ///< Free runs by run_class, modulo 2^32; runs end at a group's end.
    std::array<std::uint32_t, 16>          extents{};  ///< Objects by extents_class, modulo 2^32.

    friend constexpr bool operator==(const volume_totals&, const volume_totals&) = default;
};

/// The totals on disk. docs/format.md, "Group records".
///
///   offset  size  field
///        0     8  free                free blocks
///        8     8  objects             objects that exist
///       16     8  records_high_water  end of the records that were ever in use
///       24     8  dying_head          first object on the list of the dying, 0 for none
///       32     8  generation_counter  the last generation given
///       40     8  allocated_extents   extents of all objects
///       48     8  objects_with_data   objects with at least one extent
///       56     8  reserved            zero
///       64    64  runs                free runs by the log2 of their length, 16 counts of 4 bytes
///      128    64  extents             objects by their number of extents, 11 of 16 counts of 4 bytes in use
///      192     8  trimmed             free blocks known to be trimmed
///      200    56  reserved            zero
struct volume_totals_record {
    le_u64    free;
    le_u64    objects;
    le_u64    records_high_water;
    le_u64    dying_head;
    le_u64    generation_counter;
    le_u64    allocated_extents;
    le_u64    objects_with_data;
    le_u64    reserved;
    le_u32    runs[run_classes];
    le_u32    extents[16];
    le_u64    trimmed;
    std::byte reserved_end[56]{};
};
static_assert(sizeof(volume_totals_record) == totals_records * group_record_bytes &&
              alignof(volume_totals_record) == 1);
static_assert(offsetof(volume_totals_record, dying_head) == 24 &&
              offsetof(volume_totals_record, generation_counter) == 32);
static_assert(offsetof(volume_totals_record, runs) == 64 && offsetof(volume_totals_record, extents) == 128);
static_assert(offsetof(volume_totals_record, trimmed) == 192 && offsetof(volume_totals_record, reserved_end) == 200);

[[nodiscard]] inline volume_totals_record encode_totals(const volume_totals& totals) noexcept {
    volume_totals_record record;
    record.free               = totals.free;
    record.objects            = totals.objects;
    record.records_high_water = totals.records_high_water;
    record.dying_head         = totals.dying_head;
    record.generation_counter = totals.generation_counter;
    record.allocated_extents  = totals.allocated_extents;
    record.objects_with_data  = totals.objects_with_data;
    record.trimmed            = totals.trimmed;
    for (std::size_t k = 0; k < run_classes; ++k) record.runs[k] = totals.runs[k];
    for (std::size_t k = 0; k < totals.extents.size(); ++k) record.extents[k] = totals.extents[k];
    return record;
}

/// Reads the totals of a volume of `blocks` blocks. Empty when they are impossible: then the table is damaged.
[[nodiscard]] inline std::optional<volume_totals> decode_totals(const volume_totals_record& record,
                                                                block_count                 blocks) noexcept {
    volume_totals totals{};
    totals.free               = record.free;
    totals.objects            = record.objects;
    totals.records_high_water = record.records_high_water;
    totals.dying_head         = record.dying_head;
    totals.generation_counter = record.generation_counter;
    totals.allocated_extents  = record.allocated_extents;
    totals.objects_with_data  = record.objects_with_data;
    totals.trimmed            = record.trimmed;
    for (std::size_t k = 0; k < run_classes; ++k) totals.runs[k] = record.runs[k];
    for (std::size_t k = 0; k < totals.extents.size(); ++k) totals.extents[k] = record.extents[k];
    const bool possible = totals.free <= blocks.value && totals.trimmed <= totals.free &&
                          totals.objects <= totals.records_high_water && totals.objects_with_data <= totals.objects &&
                          totals.allocated_extents <= blocks.value;
    if (!possible) return std::nullopt;
    return totals;
}

}  // namespace ashlar::inline v0
