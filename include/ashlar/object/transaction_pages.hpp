#pragma once
/// Tree nodes as one transaction sees them.

#include <ashlar/object/node_pages.hpp>
#include <ashlar/volume/block_edit.hpp>

namespace ashlar::inline v0 {

/// The way from an object's map to its nodes. Made per call; without a transaction it only reads.
template <class Volume>
class transaction_pages {
  public:
    using view = block_view;
    using edit = block_edit;
    struct created {
        block_index block{};
        edit        page;
    };

    transaction_pages(Volume& volume, std::uint32_t tx, space_use use) noexcept : volume_{volume}, tx_{tx}, use_{use} {}

    [[nodiscard]] block_size block() const noexcept { return volume_.geometry.block; }

    result<view> view_node(block_index home, std::uint64_t owner, std::uint64_t node) noexcept {
        return view_block(volume_, tx_, home, {tag::node, owner, node});
    }

    result<edit> edit_node(block_index home, std::uint64_t owner, std::uint64_t node) noexcept {
        return edit_block(volume_, tx_, home, {tag::node, owner, node});
    }

    result<created> create_node(std::uint64_t owner, std::uint64_t node) noexcept {
        auto& tx = volume_.transactions[tx_];
        if (tx.taken.full()) return errc::too_large;
        BOOST_OUTCOME_TRY(const auto run, volume_.space.reserve(volume_.metadata(), volume_.allocator, {.use = use_}));
        auto page = create_block(volume_, tx_, run.first, {tag::node, owner, node});
        if (page.has_error()) {
            volume_.space.release(run, volume_.geometry.block);
            return page.error();
        }
        tx.taken.push({.blocks = run});
        return created{run.first, std::move(page).value()};
    }

    result<> discard_node(block_index home, std::uint64_t, std::uint64_t) noexcept {
        auto& tx = volume_.transactions[tx_];
        if (tx.given.full() || tx.discarded.full()) return error{errc::too_large, home};
        tx.given.push({.blocks = {home, block_count{1}}, .metadata = true});
        tx.discarded.push(home);
        return success();
    }

  private:
    Volume&       volume_;
    std::uint32_t tx_;
    space_use     use_;
};

}  // namespace ashlar::inline v0
