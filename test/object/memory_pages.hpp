#pragma once
/// Tree nodes in memory, for tests: counts pins, changed bytes and touched nodes, and sees writes outside of a marked
/// range. On request a call fails, or a node reads otherwise than before.

#include <ashlar/format/tree_node.hpp>
#include <ashlar/object/node_pages.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <set>
#include <utility>
#include <vector>

namespace ashlar_test {

using namespace ashlar;

class memory_pages {
  public:
    struct node {
        std::vector<std::byte> bytes;
        std::uint64_t          owner = 0;
        std::uint64_t          id    = 0;
        int                    pins  = 0;
    };

    class pin {
      public:
        pin(memory_pages& pages, node& node, std::uint64_t block) noexcept
            : pages_{&pages}, node_{&node}, block_{block} {
            EXPECT_EQ(node.pins++, 0) << "two pins of one block";
            if (++pages.pins > pages.pins_most) pages.pins_most = pages.pins;
        }
        pin(pin&& other) noexcept
            : pages_{std::exchange(other.pages_, nullptr)}, node_{other.node_}, block_{other.block_} {}
        pin& operator=(pin&& other) noexcept {
            if (this != &other) {
                release();
                pages_ = std::exchange(other.pages_, nullptr), node_ = other.node_, block_ = other.block_;
            }
            return *this;
        }
        ~pin() { release(); }
        std::span<const std::byte> bytes() const noexcept { return node_->bytes; }

      protected:
        void release() noexcept {
            if (pages_ == nullptr) return;
            --node_->pins;
            --pages_->pins;
            pages_ = nullptr;
        }
        memory_pages* pages_;
        node*         node_;
        std::uint64_t block_;
    };

    using view = pin;

    class edit : public pin {
      public:
        edit(memory_pages& pages, node& node, std::uint64_t block) : pin{pages, node, block} {
            pages.touched.insert(block);
            if (pages.guards_edits) unmarked_ = node.bytes;
        }
        edit(edit&&) noexcept            = default;
        edit& operator=(edit&&) noexcept = delete;
        ~edit() {
            if (pages_ == nullptr || !pages_->guards_edits) return;
            for (const auto& [offset, length] : marked_)
                std::copy_n(node_->bytes.begin() + long(offset), length, unmarked_.begin() + long(offset));
            EXPECT_EQ(unmarked_, node_->bytes) << "a byte changed that was not marked";
        }
        std::span<std::byte> modify(std::size_t offset, std::size_t length) noexcept {
            EXPECT_GT(length, 0U);
            EXPECT_LE(offset + length, node_->bytes.size() - trailer_bytes) << "a change reaches the trailer";
            pages_->changed_bytes += length;
            if (pages_->guards_edits) marked_.emplace_back(offset, length);
            return std::span{node_->bytes}.subspan(offset, length);
        }

      private:
        std::vector<std::byte>                           unmarked_;
        std::vector<std::pair<std::size_t, std::size_t>> marked_;
    };

    struct created {
        block_index block;
        edit        page;
    };

    explicit memory_pages(std::uint32_t block_bytes) : size_{block_bytes} {}

    block_size   block() const noexcept { return size_; }
    result<view> view_node(block_index at, std::uint64_t owner, std::uint64_t id) noexcept {
        BOOST_OUTCOME_TRY(node* const found, get(at, owner, id));
        return view{*this, *found, at.value};
    }
    result<edit> edit_node(block_index at, std::uint64_t owner, std::uint64_t id) noexcept {
        BOOST_OUTCOME_TRY(node* const found, get(at, owner, id));
        return edit{*this, *found, at.value};
    }
    result<created> create_node(std::uint64_t owner, std::uint64_t id) noexcept {
        if (++calls == fails_at) return error{errc::no_space};
        const std::uint64_t block = next_block++;
        node&               made  = nodes[block];
        made.bytes.assign(size_.bytes, std::byte{0});
        made.owner = owner, made.id = id;
        return created{{block}, edit{*this, made, block}};
    }
    result<> discard_node(block_index at, std::uint64_t owner, std::uint64_t id) noexcept {
        if (++calls == fails_at) return error{errc::too_large, at};
        BOOST_OUTCOME_TRY(node* const found, find(at, owner, id));
        EXPECT_EQ(found->pins, 0);
        touched.insert(at.value);
        nodes.erase(at.value);
        return success();
    }

    std::map<std::uint64_t, node> nodes;
    std::set<std::uint64_t>       touched;
    std::uint64_t                 changed_bytes = 0;
    std::uint64_t                 next_block    = 1'000'000;
    int                           pins          = 0;
    int                           pins_most     = 0;
    bool                          guards_edits  = true;
    std::uint64_t                 calls         = 0;  ///< Views, edits, nodes made and given up.
    std::uint64_t                 fails_at      = 0;  ///< The number of the call that fails.
    /// May change what a call shows, by the call's number; later calls show the truth again, unless the node was
    /// edited.
    std::function<bool(std::uint64_t, std::span<std::byte>)> lie;

  private:
    result<node*> get(block_index at, std::uint64_t owner, std::uint64_t id) noexcept {
        if (++calls == fails_at) return error{errc::device_failed, at};
        BOOST_OUTCOME_TRY(node* const found, find(at, owner, id));
        if (!lie) return found;
        const auto told = nodes.find(lied_about_);
        if (told != nodes.end() && told->second.pins == 0 && told->second.bytes == told_) told->second.bytes = truth_;
        if (found->pins != 0) return found;
        const auto before = found->bytes;
        if (lie(calls, found->bytes)) lied_about_ = at.value, truth_ = before, told_ = found->bytes;
        return found;
    }

    result<node*> find(block_index at, std::uint64_t owner, std::uint64_t id) noexcept {
        const auto found = nodes.find(at.value);
        if (found == nodes.end()) return error{errc::out_of_range, at};
        if (found->second.owner != owner || found->second.id != id) return error{errc::checksum_differs, at};
        return &found->second;
    }

    block_size             size_;
    std::uint64_t          lied_about_ = 0;
    std::vector<std::byte> truth_;
    std::vector<std::byte> told_;
};
static_assert(NodePages<memory_pages>);

}  // namespace ashlar_test
