#pragma once
/// What the extent tree asks of who keeps its blocks.

#include <ashlar/vocabulary/address.hpp>
#include <ashlar/vocabulary/result.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

namespace ashlar::inline v0 {

/// Tree nodes as blocks of a cache, seen through one transaction.
///
/// Semantics:
///  - A view and an edit are pins, move only. `bytes` is the whole block; it stays where it is while the pin lives.
///    The tree holds at most three pins at once, and never two of one block.
///  - `view_node` shows the transaction's own changes. Checksum and identity are proved; what the node says is not.
///  - `modify` answers a part of what `bytes` shows, writable, and marks it changed: these ranges become journal
///  entries.
///  - `create_node` takes a free block; its bytes are zero. `discard_node` gives the block up with the transaction.
///  - After an error the transaction is dropped, and the map's state with it.
template <class P>
concept NodePages = std::move_constructible<typename P::view> && std::move_constructible<typename P::edit> &&
    requires(P& pages, const P& seen, const typename P::view& view, typename P::edit& edit,
             const typename P::edit& seen_edit, typename P::created& made, block_index block, std::uint64_t owner,
             std::uint64_t node, std::size_t n) {
    { view.bytes() }
    noexcept->std::convertible_to<std::span<const std::byte>>;
    { seen_edit.bytes() }
    noexcept->std::convertible_to<std::span<const std::byte>>;
    { edit.modify(n, n) }
    noexcept->std::same_as<std::span<std::byte>>;
    { made.block } -> std::convertible_to<block_index>;
    { made.page } -> std::convertible_to<typename P::edit&>;
    { seen.block() }
    noexcept->std::same_as<block_size>;
    { pages.view_node(block, owner, node) }
    noexcept->std::same_as<result<typename P::view>>;
    { pages.edit_node(block, owner, node) }
    noexcept->std::same_as<result<typename P::edit>>;
    { pages.create_node(owner, node) }
    noexcept->std::same_as<result<typename P::created>>;
    { pages.discard_node(block, owner, node) }
    noexcept->std::same_as<result<>>;
};

}  // namespace ashlar::inline v0
