#pragma once
/// Which volume.

#include <array>
#include <cstddef>

namespace ashlar::inline v0 {

/// 16 bytes that no two volumes share; injected by who formats. It seeds every metadata checksum.
using volume_id = std::array<std::byte, 16>;

}  // namespace ashlar::inline v0
