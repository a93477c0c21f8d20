#include "target.hpp"

#include "descriptor.hpp"
#include "foreign.hpp"

#include <ashlar/format/superblock.hpp>

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

namespace cli {
namespace {

/// Whether `line_device` is `device` or one of its partitions: the kernel links a partition below its disk.
bool is_part_of(dev_t line_device, dev_t device) {
    if (line_device == device) return true;
    std::error_code ignored;
    const auto      folder = [](dev_t d) {
        return "/sys/dev/block/" + std::to_string(major(d)) + ":" + std::to_string(minor(d));
    };
    const auto part  = std::filesystem::canonical(folder(line_device), ignored);
    const auto whole = std::filesystem::canonical(folder(device), ignored);
    return !whole.empty() && part.parent_path() == whole;
}

/// The first word of each line of a table of the kernel names a device; the answer is the second word of a line that
/// names this one, or "swap" for the table of swap areas.
std::string find_use(const char* table, dev_t device, bool swaps) {
    std::ifstream lines{table};
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words{line};
        std::string        name, place;
        words >> name >> place;
        struct stat seen {};
        if (name.empty() || name.front() != '/' || ::stat(name.c_str(), &seen) != 0 || !S_ISBLK(seen.st_mode)) continue;
        if (is_part_of(seen.st_rdev, device)) return swaps ? "swap" : place;
    }
    return {};
}

std::string where_mounted(dev_t device) {
    auto place = find_use("/proc/self/mounts", device, false);
    return place.empty() ? find_use("/proc/swaps", device, true) : place;
}

/// Bytes at the front that are looked at: as far as the farthest place where a superblock's mirror may stand.
constexpr std::size_t front_bytes =
    ashlar::frame::superblock_mirror * ashlar::block_bytes_max + ashlar::frame_bytes_min;
static_assert(front_bytes >= recognised_bytes);

/// Finds the volume's superblock, or its mirror: that stands at four frames, and a frame has one of five sizes.
void find_volume(std::span<const std::byte> front, format_target& target) {
    const auto take = [&](std::size_t at) {
        if (target.block_bytes != 0 || front.size() < at + ashlar::frame_bytes_min) return;
        const auto content = front.subspan(at, ashlar::frame_bytes_min);
        if (!ashlar::is_superblock(content)) return;
        target.holds_volume = true;
        const auto super    = ashlar::load_struct<ashlar::superblock>(content);
        target.block_bytes  = super.block_bytes;
        target.blocks       = super.blocks;
    };
    take(0);
    for (std::size_t frame = ashlar::frame_bytes_min; frame <= ashlar::block_bytes_max; frame *= 2)
        take(frame * ashlar::frame::superblock_mirror);
    if (front.size() >= sizeof ashlar::superblock_magic &&
        std::memcmp(front.data(), ashlar::superblock_magic, sizeof ashlar::superblock_magic) == 0) {
        target.holds_volume = true;
    }
}

}  // namespace

result<> expect_whole_blocks(std::uint64_t bytes, std::uint64_t block_bytes, const std::string& path) {
    const auto whole = bytes / block_bytes * block_bytes;
    if (whole == bytes) return success();
    return failure{
        exit_code::usage, fmt::format("a size of {} bytes is not a multiple of the block size {}", bytes, block_bytes),
        path,
        whole == 0 ? fmt::format("use {}", block_bytes) : fmt::format("use {} or {}", whole, whole + block_bytes)};
}

result<> expect_whole_blocks(std::uint64_t bytes, const std::string& path) {
    BOOST_OUTCOME_TRY(const auto seen, look_at(path));
    if (!seen.holds_volume || seen.block_bytes == 0) return success();
    return expect_whole_blocks(bytes, seen.block_bytes, path);
}

/// The file system is asked first: to find out by allocating would take all that others may need meanwhile.
result<> reserve_space(int file, std::uint64_t first, std::uint64_t bytes, const std::string& path) {
    struct statvfs disk {};
    int            failed = 0;
    if (::fstatvfs(file, &disk) == 0 && disk.f_blocks != 0 && bytes / disk.f_frsize > disk.f_bavail) failed = ENOSPC;
    if (failed == 0) {
        do {
            failed = ::posix_fallocate(file, static_cast<off_t>(first), static_cast<off_t>(bytes));
        } while (failed == EINTR);
    }
    if (failed == 0 || failed == EOPNOTSUPP || failed == EINVAL) return success();
    return system_failure("the disk does not hold the volume", path, failed);
}

result<format_target> look_at(const std::string& path) {
    format_target target;
    struct stat   seen {};
    if (::stat(path.c_str(), &seen) != 0) {
        if (errno == ENOENT) return target;
        return system_failure("cannot look at the volume", path, errno);
    }
    target.exists       = true;
    target.block_device = S_ISBLK(seen.st_mode);
    if (S_ISDIR(seen.st_mode))
        return failure{exit_code::failed, "a folder cannot be a volume", path, "name a file or a block device"};
    if (!S_ISREG(seen.st_mode) && !target.block_device) {
        return failure{exit_code::failed, "this kind of file cannot be a volume", path,
                       "name a regular file or a block device"};
    }

    const descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (!file.open()) return system_failure("cannot read what stands there", path, errno);
    target.bytes = static_cast<std::uint64_t>(seen.st_size);
    if (target.block_device) {
        if (::ioctl(file.number(), BLKGETSIZE64, &target.bytes) != 0)
            return system_failure("cannot read the device's size", path, errno);
        target.mounted_at = where_mounted(seen.st_rdev);
    }

    std::vector<std::byte> front(front_bytes);
    std::size_t            filled = 0;
    while (filled < front.size()) {
        const auto got =
            ::pread(file.number(), front.data() + filled, front.size() - filled, static_cast<off_t>(filled));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return system_failure("cannot read what stands there", path, errno);
        if (got == 0) break;
        filled += static_cast<std::size_t>(got);
    }
    front.resize(filled);
    find_volume(front, target);
    target.holds = !target.holds_volume      ? std::string{recognise(front)}
                   : target.block_bytes != 0 ? "an ashlar volume"
                                             : "a damaged ashlar volume";
    return target;
}

}  // namespace cli
