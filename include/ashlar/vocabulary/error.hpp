#pragma once
/// What can fail, and where it failed.

#include <ashlar/vocabulary/address.hpp>

#include <cstdint>

namespace ashlar::inline v0 {

/// What went wrong. Values are stable: they appear in logs and bug reports.
enum class errc : std::uint16_t {
    none             = 0,
    device_failed    = 1,  ///< The device refused a transfer; `error::os_code` has the system's reason.
    checksum_differs = 2,  ///< Bytes were read whole but do not match their checksum.
    damaged          = 3,  ///< A structure on the device contradicts itself or its bounds.
    journal_full     = 4,  ///< No room in the ring until the next checkpoint.
    no_space         = 5,  ///< No free block is left, reserves included.
    reserve_only =
        6,  ///< Free blocks are left, but they belong to the reserves that keep erase and compaction possible.
    no_contiguous_space = 7,   ///< Enough blocks are free, but no run of them is long enough.
    not_found           = 8,   ///< No object, record or region of that name.
    busy                = 9,   ///< Another transaction or process holds it; try again later.
    pinned              = 10,  ///< The extent is pinned: it may not move, so it may not be overwritten.
    read_only           = 11,  ///< Opened read-only, or writing ended after a failed sync; reopen to go on.
    out_of_range        = 12,  ///< A place or size outside of what exists.
    invalid_argument    = 13,  ///< An option or argument that is never valid.
    too_large           = 14,  ///< More than one transaction may hold; split the request.
    not_a_volume        = 15,  ///< No superblock of ashlar was found.
    unsupported         = 16,  ///< The volume uses a change of format that this build lacks; `where` holds the mask.
    policy_differs =
        17,  ///< The volume was written with another policy than this build's; `where` holds its format_id.
    workspace_too_small = 18,  ///< The lent memory is less than `workspace_bytes` says.
    too_many_extents    = 19,  ///< The object map or the caller's buffer has no room for more extents.
    unclean             = 20,  ///< A volume without journal was not closed; its options say whether to discard it.
    raced               = 21,  ///< The mapping changed while its blocks were copied.
    cancelled           = 22,  ///< The caller asked to stop.
    again = 23,  ///< Inside the engine only: a block has to be loaded before the operation can be repeated.
};

/// A failure and where it happened. Trivially copyable; never allocates.
struct error {
    errc          code{};
    std::uint16_t reserved = 0;
    std::int32_t  os_code  = 0;  ///< errno or GetLastError(); 0 when the system was not involved.
    block_index   where{};       ///< First block of the failed operation.

    constexpr error() noexcept = default;  ///< Code 0: nothing failed.
    constexpr error(errc c, block_index at = {}, std::int32_t os = 0) noexcept : code{c}, os_code{os}, where{at} {}

    friend constexpr bool operator==(const error&, const error&) = default;
};
static_assert(sizeof(error) == 16);

/// One sentence for people. The text is part of no format and may change.
[[nodiscard]] constexpr const char* message(errc code) noexcept {
    switch (code) {
        case errc::none: return "nothing failed";
        case errc::device_failed: return "the device refused a transfer";
        case errc::checksum_differs: return "the bytes do not match their checksum";
        case errc::damaged: return "a structure on the volume is damaged";
        case errc::journal_full: return "the journal has no room";
        case errc::no_space: return "no free block is left";
        case errc::reserve_only: return "only the reserves for erase and compaction are left";
        case errc::no_contiguous_space: return "no free run is long enough";
        case errc::not_found: return "not found";
        case errc::busy: return "in use by another transaction or process";
        case errc::pinned: return "the extent is pinned";
        case errc::read_only: return "open for reading only";
        case errc::out_of_range: return "outside of what exists";
        case errc::invalid_argument: return "the argument is never valid";
        case errc::too_large: return "more than one transaction can hold";
        case errc::not_a_volume: return "no ashlar volume was found";
        case errc::unsupported: return "the volume uses a format change that this build lacks";
        case errc::policy_differs: return "the volume was written with another policy";
        case errc::workspace_too_small: return "the workspace is too small";
        case errc::too_many_extents: return "too many extents";
        case errc::unclean: return "the volume was not closed and has no journal";
        case errc::raced: return "the mapping changed meanwhile";
        case errc::cancelled: return "cancelled";
        case errc::again: return "a block has to be loaded first";
    }
    return "unknown error";
}

}  // namespace ashlar::inline v0
