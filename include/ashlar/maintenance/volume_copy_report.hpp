#pragma once
/// What a copy of a volume is told, and what it says.

#include <ashlar/vocabulary/address.hpp>

namespace ashlar::inline v0 {

struct volume_copy_options {
    block_count chunk{256};  ///< Read and written at once; less where the target's transactions hold less.
};

/// What a copy would take.
struct volume_copy_estimate {
    std::uint64_t objects = 0;
    std::uint64_t regions = 0;
    block_count   blocks{};    ///< Read and written: those that hold data.
    block_count   reserved{};  ///< Given to objects in the target too, not copied.
    block_count   skipped{};   ///< Blocks of the source's device that are not looked at.
};

struct volume_copy_result {
    bool          finished = false;
    bool          resumed  = false;  ///< It went on where an earlier copy was stopped.
    std::uint64_t objects  = 0;
    std::uint64_t regions  = 0;
    block_count   blocks{};  ///< Copied, those of the objects that were begun again included.
};

enum class copy_phase : std::uint8_t { objects, regions, finished };

}  // namespace ashlar::inline v0
