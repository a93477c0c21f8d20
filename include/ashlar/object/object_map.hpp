#pragma once
/// One object's map, as one transaction sees it.

#include <ashlar/object/object_table.hpp>
#include <ashlar/object/transaction_pages.hpp>

namespace ashlar::inline v0 {

/// The volume's map policy bound to the pages of a transaction and the state of an object; made per call.
template <class Volume>
class bound_map {
  public:
    using policy = typename Volume::map_type;

    bound_map(Volume& volume, std::uint32_t tx, extent_map_state& state, space_use use) noexcept
        : pages_{volume, tx, use}, state_{state} {}

    [[nodiscard]] result<std::optional<mapped_extent>> find(logical_block at) noexcept {
        return policy::find(pages_, state_, at);
    }

    template <class Visit>
    [[nodiscard]] result<> walk(logical_block first, logical_block end, Visit&& visit) noexcept {
        return policy::walk(pages_, state_, first, end, visit);
    }

    template <class Sink>
    [[nodiscard]] result<> replace(logical_block first, block_count count, std::span<const mapped_extent> pieces,
                                   Sink& removed) noexcept {
        return policy::replace(pages_, state_, first, count, pieces, removed);
    }

    [[nodiscard]] result<> set_flags(logical_block first, block_count count, std::uint32_t mask,
                                     std::uint32_t value) noexcept {
        return policy::set_flags(pages_, state_, first, count, mask, value);
    }

    /// Answers whether extents are left to remove.
    template <class Sink>
    [[nodiscard]] result<bool> remove_last(std::uint64_t extents_max, logical_block keep_below,
                                           Sink& removed) noexcept {
        BOOST_OUTCOME_TRY(const auto removal, policy::remove_last(pages_, state_, extents_max, keep_below, removed));
        return !removal.done;
    }

    [[nodiscard]] transaction_pages<Volume>& pages() noexcept { return pages_; }

  private:
    transaction_pages<Volume> pages_;
    extent_map_state&         state_;
};

template <class Volume>
[[nodiscard]] bound_map<Volume> map_of(Volume& volume, std::uint32_t tx, object_state& object, space_use use) noexcept {
    return {volume, tx, object.map, use};
}

}  // namespace ashlar::inline v0
