#pragma once
/// What stands on a device or in a file before `format` writes over it.

#include <ashlar/vocabulary/little_endian.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace cli {

/// Bytes that give a format away.
struct signature {
    std::string_view name;
    std::size_t      offset;
    std::string_view bytes;
};

using namespace std::string_view_literals;

/// In the order of the test: what may stand beside something else, such as a partition table, comes last.
inline constexpr std::array signatures{
    signature{"an XFS file system", 0, "XFSB"sv},
    signature{"a Btrfs file system", 0x10040, "_BHRfS_M"sv},
    signature{"an ext2, ext3 or ext4 file system", 1080, "\x53\xEF"sv},
    signature{"an F2FS file system", 1024, "\x10\x20\xF5\xF2"sv},
    signature{"a bcachefs or bcache device", 4120, "\xC6\x85\x73\xF6\x4E\x1A\x45\xCA"sv},
    signature{"a ZFS label", 16384, "\x00\x00\x00\x01"sv},
    signature{"a LUKS encrypted volume", 0, "LUKS\xBA\xBE"sv},
    signature{"an LVM physical volume", 536, "LVM2 001"sv},
    signature{"an LVM physical volume", 24, "LVM2 001"sv},
    signature{"a member of a Linux RAID", 4096, "\xFC\x4E\x2B\xA9"sv},
    signature{"a member of a Linux RAID", 0, "\xFC\x4E\x2B\xA9"sv},
    signature{"a swap area", 4086, "SWAPSPACE2"sv},
    signature{"a swap area", 65526, "SWAPSPACE2"sv},
    signature{"an NTFS file system", 3, "NTFS    "sv},
    signature{"a BitLocker volume", 3, "-FVE-FS-"sv},
    signature{"an exFAT file system", 3, "EXFAT   "sv},
    signature{"a FAT file system", 54, "FAT1"sv},
    signature{"a FAT file system", 82, "FAT32   "sv},
    signature{"an ISO 9660 image", 32769, "CD001"sv},
    signature{"a SquashFS image", 0, "hsqs"sv},
    signature{"an EROFS image", 1024, "\xE2\xE1\xF5\xE0"sv},
    signature{"a QCOW2 disk image", 0, "QFI\xFB"sv},
    signature{"a GUID partition table", 512, "EFI PART"sv},
    signature{"a GUID partition table", 4096, "EFI PART"sv},
    signature{"an SQLite database", 0, "SQLite format 3\0"sv},
    signature{"an ELF program", 0,
              "\x7F"
              "ELF"sv},
    signature{"a gzip archive", 0, "\x1F\x8B\x08"sv},
    signature{"a ZIP archive", 0, "PK\x03\x04"sv},
    signature{"a PDF document", 0, "%PDF-"sv},
    signature{"a master boot record", 510, "\x55\xAA"sv},
};

/// How many leading bytes `recognise` wants to see.
inline constexpr std::size_t recognised_bytes = 0x10048;

/// Names what the first bytes of a file or device belong to. Empty: nothing that is known, and nothing but zeros.
/// Bytes that are not zero but not known either are "data of an unknown kind".
[[nodiscard]] inline std::string_view recognise(std::span<const std::byte> front) {
    for (const auto& known : signatures) {
        if (front.size() < known.offset + known.bytes.size()) continue;
        const auto found = front.subspan(known.offset, known.bytes.size());
        if (std::equal(found.begin(), found.end(), known.bytes.begin(),
                       [](std::byte a, char b) { return a == static_cast<std::byte>(b); })) {
            return known.name;
        }
    }
    const bool empty = std::all_of(front.begin(), front.end(), [](std::byte b) { return b == std::byte{0}; });
    return empty ? std::string_view{} : "data of an unknown kind"sv;
}

}  // namespace cli
