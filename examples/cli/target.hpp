#pragma once
/// Where a volume is to stand: what kind of place it is, how large, and who uses it.

#include "failure.hpp"

#include <cstdint>
#include <string>

namespace cli {

struct format_target {
    bool          exists       = false;
    bool          block_device = false;
    std::uint64_t bytes        = 0;      ///< Of what exists.
    std::string   mounted_at{};          ///< Where the device, or a partition of it, is mounted; or "swap".
    std::string   holds{};               ///< What its first bytes belong to; empty for zeros.
    bool          holds_volume = false;  ///< An ashlar volume, perhaps a damaged one.
    std::uint32_t block_bytes  = 0;      ///< As a whole superblock of that volume says; 0 where none is whole.
    std::uint64_t blocks       = 0;      ///< Likewise.
};

/// What is given to a store is given in whole blocks. Errors: the size has a part of one; the sizes next to it are
/// named.
[[nodiscard]] result<> expect_whole_blocks(std::uint64_t bytes, std::uint64_t block_bytes, const std::string& path);
/// The same for the volume at `path`, which is not opened. Of one whose block size cannot be read, opening says why.
[[nodiscard]] result<> expect_whole_blocks(std::uint64_t bytes, const std::string& path);

/// Takes the space of a file's bytes from `first` on from its disk now, so that a full disk shows here and not in the
/// middle of a write. Where the file system cannot, nothing happens. Errors: the disk has less.
[[nodiscard]] result<> reserve_space(int file, std::uint64_t first, std::uint64_t bytes, const std::string& path);

/// Looks without writing. Errors: a folder or another kind of file that cannot be a volume, or no permission.
[[nodiscard]] result<format_target> look_at(const std::string& path);

}  // namespace cli
