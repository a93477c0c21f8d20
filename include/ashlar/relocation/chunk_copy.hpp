#pragma once
/// One chunk of a move: gathered from the pieces of the source, written at once.

#include <ashlar/concepts/relocation_host.hpp>

#include <algorithm>
#include <cstring>
#include <span>

namespace ashlar::inline v0 {

/// Where a copy stands in the pieces of its source.
struct copy_position {
    std::size_t piece = 0;
    block_count skip{};    ///< Blocks of the piece that are behind it: never all of them.
    block_count target{};  ///< Blocks of the target that are behind it.
};

/// Passes over what needs no copy; answers how many written blocks follow without a gap in the target.
[[nodiscard]] inline block_count next_written(std::span<const mapped_extent> pieces, copy_position& at) noexcept {
    while (at.piece < pieces.size() && pieces[at.piece].unwritten) {
        at.target += pieces[at.piece].physical.count - at.skip;
        at.skip = {};
        ++at.piece;
    }
    block_count written{};
    auto        skip = at.skip;
    for (auto i = at.piece; i < pieces.size() && !pieces[i].unwritten; ++i) {
        written += pieces[i].physical.count - skip;
        skip = {};
    }
    return written;
}

/// Reads `buffer` full from `at` on. A piece is held only while it is read: a block that was given away meanwhile is
/// noticed by the generation at the flip, so nothing needs to be held between chunks.
/// Errors: the host's, with the first block of the piece that failed.
template <RelocationHost Host>
result<> gather(Host& host, std::span<const mapped_extent> pieces, copy_position at,
                std::span<std::byte> buffer) noexcept {
    const auto size = host.block();
    while (!buffer.empty()) {
        const auto source = part_of(pieces[at.piece].physical, at.skip, whole_blocks(buffer.size(), size));
        const auto bytes  = buffer.first(static_cast<std::size_t>(bytes_of(source.count, size)));
        BOOST_OUTCOME_TRY(host.hold(source));
        const auto read = host.read_blocks(source, bytes);
        host.unhold(source);
        if (read.has_error()) return error{read.error().code, source.first, read.error().os_code};
        buffer = buffer.subspan(bytes.size());
        ++at.piece;
        at.skip = {};
    }
    return success();
}

/// Reads back what was written to a target. A host whose `read_blocks` proves bytes by what it knows of a block knows
/// nothing of a target yet; such a host has a `read_target` that only reads.
template <RelocationHost Host>
result<> read_back(Host& host, extent target, std::span<std::byte> into) noexcept {
    if constexpr (requires { host.read_target(target, into); }) {
        return host.read_target(target, into);
    } else {
        return host.read_blocks(target, into);
    }
}

/// Writes the buffer and, where `proof` has room for it, reads it back and compares.
/// Errors: the host's; checksum_differs when what came back is not what was written.
template <RelocationHost Host>
result<> put(Host& host, extent target, std::span<const std::byte> buffer, std::span<std::byte> proof) noexcept {
    const auto written = host.write_blocks(target, buffer);
    if (written.has_error()) return error{written.error().code, target.first, written.error().os_code};
    if (proof.empty()) return success();
    const auto seen = proof.first(buffer.size());
    const auto read = read_back(host, target, seen);
    if (read.has_error()) return error{read.error().code, target.first, read.error().os_code};
    if (std::memcmp(seen.data(), buffer.data(), buffer.size()) != 0) return error{errc::checksum_differs, target.first};
    return success();
}

/// The position `blocks` further on; they are written ones.
[[nodiscard]] inline copy_position passed(std::span<const mapped_extent> pieces, copy_position at,
                                          block_count blocks) noexcept {
    at.target += blocks;
    while (blocks.value > 0) {
        const auto left = pieces[at.piece].physical.count - at.skip;
        const auto step = std::min(left, blocks);
        at.skip += step;
        blocks -= step;
        if (at.skip >= pieces[at.piece].physical.count) {
            at.skip = {};
            ++at.piece;
        }
    }
    return at;
}

}  // namespace ashlar::inline v0
