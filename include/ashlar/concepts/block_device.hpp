#pragma once
/// What a block device must offer.

#include <ashlar/vocabulary/extent.hpp>
#include <ashlar/vocabulary/result.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

namespace ashlar::inline v0 {

/// The shape of a device. May be a constant of the type: then firmware folds it into its code.
struct device_geometry {
    block_size    size{};
    block_count   blocks{};
    std::uint32_t memory_alignment =
        1;                            ///< Buffers aligned so are transferred without a copy; others work and cost one.
    block_count trim_granularity{1};  ///< A trim of whole runs of so many blocks has an effect.
};

/// A flat array of equal blocks that survives power loss once synced.
///
/// Semantics that the compiler cannot check; every device must keep them:
///  - `read` and `write` move `e.count` whole blocks and fail rather than move a part.
///    The span has exactly `e.count` blocks of bytes; any alignment works.
///  - An extent outside the geometry fails with `out_of_range` and moves nothing.
///  - Only a 512-byte sector is atomic: a block may be torn if power fails during its own `write`.
///  - Writes between two syncs have no order; after `sync` returns, all earlier ones are durable.
///  - After a failed `sync` everything since the last good one is unknown.
///  - `trim` is a hint; reading a trimmed block returns any bytes, without error.
///  - Used by several threads: a read beside a write of the same blocks gets any mixture of old and new bytes, and
///    neither call fails for it. A region is copied so while it is written, and what was written is copied again.
template <class D>
concept BlockDevice = requires(D& device, const D& seen, extent e, std::span<std::byte> in,
                               std::span<const std::byte> out) {
    { seen.geometry() }
    noexcept->std::same_as<device_geometry>;
    { device.read(e, in) }
    noexcept->std::same_as<result<>>;
    { device.write(e, out) }
    noexcept->std::same_as<result<>>;
    { device.sync() }
    noexcept->std::same_as<result<>>;
    { device.trim(e) }
    noexcept->std::same_as<result<>>;
};

/// A device whose number of blocks may change while it is open: a file, or a volume of the system that was enlarged.
///  - `refresh` asks how many blocks there are; `geometry` and every queue of the device know it from then on.
///  - `resize` gives it so many, durably when it returns; what is behind the new end is gone, and new blocks may hold
///    anything. It fails with `unsupported` where the size is not this program's to change.
/// Both may run beside transfers that lie before the new end and the old one.
template <class D>
concept ResizableDevice = BlockDevice<D> && requires(D& device, block_count blocks) {
    { device.refresh() }
    noexcept->std::same_as<result<>>;
    { device.resize(blocks) }
    noexcept->std::same_as<result<>>;
};

/// Whether a transfer of `bytes` at `e` fits the device. Devices use it to check what they are given.
[[nodiscard]] constexpr bool transfer_fits(const device_geometry& geometry, extent e, std::size_t bytes) noexcept {
    return lies_in(e, {block_index{0}, geometry.blocks}) && bytes_of(e.count, geometry.size) == bytes;
}

}  // namespace ashlar::inline v0
