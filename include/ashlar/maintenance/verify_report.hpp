#pragma once
/// What proving a volume may find.

#include <ashlar/concepts/relocation_host.hpp>
#include <ashlar/vocabulary/error.hpp>

namespace ashlar::inline v0 {

enum class verify_problem : std::uint8_t {
    two_owners,       ///< A block belongs to two extents, nodes or tables.
    leaked,           ///< A block is in use and has no owner.
    in_use_but_free,  ///< A block has an owner and the bitmap calls it free.
    bad_data,         ///< A data block does not match its checksum, or cannot be read.
    bad_metadata,     ///< A metadata block does not match its checksum, or contradicts itself.
    bad_record,       ///< An object record or an extent contradicts the volume.
    bad_summary,      ///< A group's record disagrees with its bitmap, or the bitmap with that of trimmed blocks.
    bad_totals,       ///< The totals disagree with what was counted.
    bad_copy,         ///< One of a frame's two copies is not whole, or older; the other one stands in.
    bad_list,         ///< The list of the dying misses an object, or holds what is none of it.
    lost_history,     ///< Acknowledged batches are missing from the journal: what is read is older than was promised.
};

/// What a finding says of its block. The text is part of no format and may change.
[[nodiscard]] constexpr const char* message(verify_problem problem) noexcept {
    switch (problem) {
        case verify_problem::two_owners: return "has two owners";
        case verify_problem::leaked: return "is in use and has no owner";
        case verify_problem::in_use_but_free: return "has an owner and counts as free";
        case verify_problem::bad_data: return "holds damaged data";
        case verify_problem::bad_metadata: return "holds damaged metadata";
        case verify_problem::bad_record: return "is named by a record that makes no sense";
        case verify_problem::bad_summary: return "begins a group, or maps one, whose record disagrees with its bitmaps";
        case verify_problem::bad_totals: return "counts in totals that disagree with what is there";
        case verify_problem::bad_copy: return "begins a copy that is not whole, or older than its twin";
        case verify_problem::bad_list: return "begins a list of the dying that misses objects, or holds too many";
        case verify_problem::lost_history: return "should begin a batch that was acknowledged and is missing";
    }
    return "has an unknown problem";
}

/// The problem's name, for logs and tests.
[[nodiscard]] constexpr const char* name_of(verify_problem problem) noexcept {
    constexpr const char* names[] = {"two_owners",   "leaked",     "in_use_but_free", "bad_data",
                                     "bad_metadata", "bad_record", "bad_summary",     "bad_totals",
                                     "bad_copy",     "bad_list",   "lost_history"};
    const auto            i       = static_cast<std::size_t>(problem);
    return i < sizeof names / sizeof names[0] ? names[i] : "unknown";
}

struct verify_finding {
    verify_problem problem{};
    block_index    block{};   ///< First block concerned.
    object_id      object{};  ///< Whose; none for tables.
    error          why{};     ///< What reading said, where it failed.
};

struct verify_report {
    std::uint64_t objects     = 0;
    std::uint64_t dying       = 0;  ///< Erased or truncated, not freed yet.
    std::uint64_t extents     = 0;
    std::uint64_t nodes       = 0;
    std::uint64_t data_blocks = 0;  ///< Read and compared with their checksums.
    std::uint64_t findings    = 0;
    block_count   in_use{};
    block_count   leaked{};
};

}  // namespace ashlar::inline v0
