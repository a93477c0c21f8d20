#pragma once
/// What a copy of a volume is told, and what it says.

#include <ashlar/vocabulary/address.hpp>
#include <ashlar/vocabulary/error.hpp>
#include <ashlar/vocabulary/ratio.hpp>
#include <ashlar/vocabulary/time_point.hpp>

#include <cstddef>

namespace ashlar::inline v0 {

struct volume_copy_options {
    block_count   chunk{16};            ///< One transfer; less where the target's transactions hold less.
    std::uint32_t chunks_together = 8;  ///< So many chunks are one transfer where they lie in one run.
    /// In all: half of it is read while the other half is written; four chunks at least.
    std::size_t   memory_bytes = std::size_t{8} << 20U;
    bool          in_use       = false;  ///< The source is written meanwhile: passes follow, and `finish` ends.
    std::uint32_t passes_max   = 8;      ///< Over what changed meanwhile, before only `finish` is left.
    block_count   rest_max{1024};        ///< A pass that copied no more says that `finish` would be short.
};

/// The same for transactions of the target that hold so many blocks. Precondition: a chunk has a block.
[[nodiscard]] constexpr volume_copy_options fitted(volume_copy_options chosen, block_count most,
                                                   block_size size) noexcept {
    if (most < chosen.chunk) chosen.chunk = most;
    const auto together = quotient_of(most.value, chosen.chunk.value);
    if (chosen.chunks_together == 0) chosen.chunks_together = 1;
    if (together < chosen.chunks_together) chosen.chunks_together = static_cast<std::uint32_t>(together);
    const auto least = static_cast<std::size_t>(bytes_of(chosen.chunk, size)) * 4;
    if (chosen.memory_bytes < least) chosen.memory_bytes = least;
    return chosen;
}

/// What a copy would take.
struct volume_copy_estimate {
    std::uint64_t objects = 0;
    std::uint64_t regions = 0;
    block_count   blocks{};    ///< Read and written: those that hold data.
    block_count   reserved{};  ///< Given to objects in the target too, not copied.
    block_count   skipped{};   ///< Blocks of the source's device that are not looked at.
    std::uint32_t features      = 0;
    std::uint32_t feature_bytes = 0;  ///< Of all features in each record: the target's records need room for them.
};

/// Whether the features of a source have room in the records of a target.
struct copy_features_plan {
    /// too_large: the records are too narrow; busy: the target has a feature that the source has not, or another one
    /// under the same bit.
    errc          obstacle = errc::none;
    std::uint32_t width    = 0;  ///< That the target's records must have: by `record_migration`, or by its format.
    std::uint32_t has      = 0;  ///< That they have.
};

struct volume_copy_result {
    bool          finished = false;
    bool          resumed  = false;  ///< It went on where an earlier copy was stopped.
    std::uint32_t passes   = 0;      ///< Over all records and regions, those that only compared included.
    std::uint64_t objects  = 0;      ///< Made whole; one that changed meanwhile counts again.
    std::uint64_t regions  = 0;
    block_count   blocks{};   ///< Copied, those that were copied again included.
    block_count   kept{};     ///< Found in the target already, by their checksums.
    block_count   total{};    ///< Of the source's device.
    std::uint64_t bytes = 0;  ///< Of `blocks`.
    duration      took{};     ///< 0 without a clock.

    /// Blocks of the source's device that were not read.
    [[nodiscard]] constexpr block_count skipped() const noexcept {
        return blocks < total ? total - blocks : block_count{};
    }
    /// How many times as long copying every block of the device would take at the same speed, in percent; 0 where
    /// nothing was copied.
    [[nodiscard]] constexpr std::uint64_t speed_up_percent() const noexcept {
        return quotient_of(total.value * 100, blocks.value);
    }
};

enum class copy_phase : std::uint8_t {
    objects,
    regions,
    caught_up,  ///< Of a source in use: only `finish` is left. A step makes another pass.
    finished,
};

}  // namespace ashlar::inline v0
