#pragma once
/// What a repair did about each finding, and what it left.

#include <ashlar/maintenance/verify_report.hpp>

namespace ashlar::inline v0 {

/// What was done about a finding; in a dry run, what would be.
enum class repair_deed : std::uint8_t {
    left,           ///< Nothing that is certain to be right; `advice_for` says what to do.
    copied,         ///< The bad copy was written again from its twin.
    given_back,     ///< The block is free now.
    marked,         ///< The block counts as in use now.
    counted_again,  ///< The record or the totals say what is there now.
    rebuilt,        ///< The block was made anew from what other blocks prove.
    linked_again,   ///< The list holds what belongs on it now.
};

/// The text is part of no format and may change.
[[nodiscard]] constexpr const char* message(repair_deed deed) noexcept {
    switch (deed) {
        case repair_deed::left: return "left as it is";
        case repair_deed::copied: return "written again from its twin";
        case repair_deed::given_back: return "given back";
        case repair_deed::marked: return "marked as in use";
        case repair_deed::counted_again: return "counted again";
        case repair_deed::rebuilt: return "made anew from what the rest proves";
        case repair_deed::linked_again: return "linked again";
    }
    return "unknown";
}

/// What a person can do about a problem that was left.
[[nodiscard]] constexpr const char* advice_for(verify_problem problem) noexcept {
    switch (problem) {
        case verify_problem::two_owners:
            return "one of its owners has lost this block: copy out what is right of both objects, erase both, repair "
                   "again";
        case verify_problem::bad_data: return "write the object again from its source, or erase it";
        case verify_problem::bad_metadata:
        case verify_problem::bad_record:
            return "copy out what can be read, make the volume anew and fill it from there";
        case verify_problem::lost_history:
            return "copy out what can be read, and compare it with its source; make the volume anew";
        case verify_problem::leaked:
        case verify_problem::bad_totals:
            return "objects, or parts of them, may be missing: see first to the other damage and repair again; where "
                   "that changes nothing, compare what is there with its source";
        case verify_problem::in_use_but_free:
        case verify_problem::bad_summary:
        case verify_problem::bad_list:
            return "nobody can say who owns what while other metadata is damaged: see to that first, repair again";
        case verify_problem::bad_copy: return "the device does not take it: replace the device";
    }
    return "copy out what can be read";
}

struct repair_finding {
    verify_finding found{};
    repair_deed    deed = repair_deed::left;
};

struct repair_options {
    bool dry_run   = false;  ///< Says the same and writes nothing; works on a store that is open for reading only.
    bool with_data = true;   ///< Data is read and proved too.
};

struct repair_report {
    verify_report seen{};      ///< What stood there before.
    std::uint64_t mended = 0;  ///< Findings about which something was done.
    std::uint64_t left   = 0;  ///< Findings that stay.
    block_count   given_back{};
    block_count   marked{};
};

}  // namespace ashlar::inline v0
