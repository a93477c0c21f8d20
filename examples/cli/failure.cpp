#include "failure.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

namespace cli {
namespace {

bool means_full(int os_code) { return os_code == ENOSPC || os_code == EDQUOT || os_code == EFBIG; }

/// What an errno means to the shell, and what helps.
failure advice_for(int os_code) {
    if (means_full(os_code)) return {exit_code::no_space, "", "", "free space on that disk and run the command again"};
    switch (os_code) {
        case ENOENT: return {exit_code::not_found, "", "", "check the path"};
        case ENOTDIR: return {exit_code::not_found, "", "", "a part of the path is not a folder; check it"};
        case EBUSY: return {exit_code::busy, "", "", "unmount the device or end the process that uses it"};
        case EACCES:
        case EPERM: return {exit_code::failed, "", "", "run as a user who may do this, or change the permissions"};
        case EROFS: return {exit_code::failed, "", "", "the file system is mounted read-only; use another place"};
        case EISDIR: return {exit_code::failed, "", "", "name a file or a block device instead of a folder"};
        case EIO:
            return {exit_code::failed, "", "", "the disk fails; look at the kernel log and copy what can be read"};
        default: return {exit_code::failed, "", "", "remove the cause and run the command again"};
    }
}

failure advice_for(ashlar::errc code) {
    using ashlar::errc;
    switch (code) {
        case errc::checksum_differs:
        case errc::damaged:
            return {
                exit_code::corrupt, "", "",
                "run 'ashlar verify' for the extent of the damage; 'ashlar export --keep-going' saves what is whole"};
        case errc::not_a_volume: return {exit_code::corrupt, "", "", "check the path; 'ashlar format' makes a volume"};
        case errc::unclean:
            return {exit_code::corrupt, "", "",
                    "the volume has no journal and was not closed; restore it from its source"};
        case errc::not_found: return {exit_code::not_found, "", "", "check the name"};
        case errc::busy: return {exit_code::busy, "", "", "wait for the other process or end it"};
        case errc::no_space:
        case errc::reserve_only:
        case errc::no_contiguous_space:
        case errc::journal_full: return {exit_code::no_space, "", "", "use a larger volume"};
        case errc::unsupported:
        case errc::policy_differs:
            return {exit_code::failed, "", "", "use the program or the settings that wrote the volume"};
        case errc::read_only:
            return {exit_code::failed, "", "", "writing has ended; run the command again, opening decides what holds"};
        case errc::workspace_too_small: return {exit_code::failed, "", "", "give the process more memory"};
        case errc::cancelled: return {exit_code::interrupted, "", "", "run the command again to go on"};
        case errc::invalid_argument:
        case errc::out_of_range: return {exit_code::failed, "", "", "use another size, or another block size"};
        default: return {exit_code::failed, "", "", "run 'ashlar verify' and report this if the volume is whole"};
    }
}

}  // namespace

failure system_failure(std::string what, std::string where, int os_code) {
    failure answer = advice_for(os_code);
    answer.what    = fmt::format("{} ({})", what, std::strerror(os_code));
    answer.where   = std::move(where);
    return answer;
}

failure store_failure(std::string what, std::string where, ashlar::error error) {
    if (error.os_code != 0) {
        const bool named = error.where.value != 0;
        return system_failure(named ? fmt::format("{}, at block {}", what, error.where.value) : what, std::move(where),
                              error.os_code);
    }
    failure answer = advice_for(error.code);
    answer.where   = std::move(where);
    answer.what    = fmt::format("{}: {}", what, ashlar::message(error.code));
    if (error.where.value != 0) answer.what += fmt::format(" (block {})", error.where.value);
    return answer;
}

}  // namespace cli
