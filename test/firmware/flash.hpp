#pragma once
/// A flash chip of 512-byte sectors as a block device.

#include <ashlar/concepts/block_device.hpp>

#include <cstddef>
#include <cstdint>

namespace board {

inline constexpr std::uint32_t sector_bytes = 512;
inline constexpr std::uint32_t sectors      = 8192;

bool flash_read(std::uint32_t sector, std::byte* in) noexcept;
bool flash_program(std::uint32_t sector, const std::byte* out) noexcept;
bool flash_flush() noexcept;

/// Its shape is a constant of the type, so that it folds into the code.
struct flash_device {
    [[nodiscard]] static constexpr ashlar::device_geometry geometry() noexcept {
        return {.size = {sector_bytes}, .blocks = {sectors}};
    }

    [[nodiscard]] ashlar::result<> read(ashlar::extent e, std::span<std::byte> in) noexcept {
        if (!ashlar::transfer_fits(geometry(), e, in.size())) return ashlar::error{ashlar::errc::out_of_range, e.first};
        for (std::uint32_t i = 0; i < e.count.value; ++i) {
            const auto sector = static_cast<std::uint32_t>(e.first.value) + i;
            if (!flash_read(sector, in.data() + i * sector_bytes))
                return ashlar::error{ashlar::errc::device_failed, {sector}};
        }
        return ashlar::success();
    }

    [[nodiscard]] ashlar::result<> write(ashlar::extent e, std::span<const std::byte> out) noexcept {
        if (!ashlar::transfer_fits(geometry(), e, out.size()))
            return ashlar::error{ashlar::errc::out_of_range, e.first};
        for (std::uint32_t i = 0; i < e.count.value; ++i) {
            const auto sector = static_cast<std::uint32_t>(e.first.value) + i;
            if (!flash_program(sector, out.data() + i * sector_bytes))
                return ashlar::error{ashlar::errc::device_failed, {sector}};
        }
        return ashlar::success();
    }

    [[nodiscard]] ashlar::result<> sync() noexcept {
        if (!flash_flush()) return ashlar::errc::device_failed;
        return ashlar::success();
    }

    [[nodiscard]] ashlar::result<> trim(ashlar::extent) noexcept { return ashlar::success(); }
};
static_assert(ashlar::BlockDevice<flash_device>);

}  // namespace board
