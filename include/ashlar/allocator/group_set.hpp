#pragma once
/// A set of groups whose lowest member is found at once.

#include <ashlar/config.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

namespace ashlar::inline v0 {

/// Bits over lent words: one for each group, and where there are more than a few words of these, above them one for
/// each word that is not empty.
class group_set {
  public:
    static constexpr std::uint32_t none = ~std::uint32_t{0};

    constexpr group_set() noexcept = default;
    /// Precondition: `words` are `words_for_groups(groups)` and hold a set: zeroes are the empty one.
    constexpr group_set(std::uint64_t* words, std::uint32_t groups) noexcept
        : summary_{words},
          leaves_{words + summary_words(groups)},
          summary_words_{summary_words(groups)},
          leaf_words_{words_of(groups)} {}

    [[nodiscard]] static constexpr std::size_t words_for_groups(std::uint32_t groups) noexcept {
        return std::size_t{words_of(groups)} + summary_words(groups);
    }

    constexpr void insert(std::uint32_t group) noexcept {
        leaves_[group / 64U] |= bit(group);
        if (summary_words_ != 0) summary_[group / 4096U] |= bit(group / 64U);
    }
    /// Whether the set is empty then.
    constexpr bool erase(std::uint32_t group) noexcept {
        leaves_[group / 64U] &= ~bit(group);
        if (leaves_[group / 64U] != 0) return false;
        if (summary_words_ != 0) summary_[group / 4096U] &= ~bit(group / 64U);
        return empty();
    }
    [[nodiscard]] constexpr bool contains(std::uint32_t group) const noexcept {
        return (leaves_[group / 64U] & bit(group)) != 0;
    }
    [[nodiscard]] constexpr bool empty() const noexcept {
        const std::uint32_t words = summary_words_ != 0 ? summary_words_ : leaf_words_;
        for (std::uint32_t w = 0; w < words; ++w) {
            if (summary_[w] != 0) return false;
        }
        return true;
    }

    /// The lowest member; `none` when there is none. Cost: a few words, and one for each 4096 groups of the whole.
    [[nodiscard]] constexpr std::uint32_t lowest() const noexcept { return lowest_in_words(0); }

    /// The lowest member from `group` on. Precondition: `group` may be a member.
    [[nodiscard]] constexpr std::uint32_t lowest_from(std::uint32_t group) const noexcept {
        const std::uint64_t here = leaves_[group / 64U] >> (group % 64U);
        if (here != 0) return group + first_bit(here);
        return lowest_in_words(group / 64U + 1U);
    }

  private:
    static constexpr std::uint32_t words_without_summary = 4;

    [[nodiscard]] static constexpr std::uint32_t words_of(std::uint32_t bits) noexcept { return (bits + 63U) / 64U; }
    [[nodiscard]] static constexpr std::uint32_t summary_words(std::uint32_t groups) noexcept {
        return words_of(groups) <= words_without_summary ? 0 : words_of(words_of(groups));
    }
    [[nodiscard]] static constexpr std::uint64_t bit(std::uint32_t n) noexcept { return std::uint64_t{1} << (n % 64U); }
    [[nodiscard]] static constexpr std::uint32_t first_bit(std::uint64_t word) noexcept {
        return static_cast<std::uint32_t>(std::countr_zero(word));
    }

    /// The lowest member whose leaf is not before `leaf`.
    [[nodiscard]] constexpr std::uint32_t lowest_in_words(std::uint32_t leaf) const noexcept {
        if (summary_words_ == 0) {
            while (leaf < leaf_words_ && leaves_[leaf] == 0) ++leaf;
            return leaf < leaf_words_ ? leaf * 64U + first_bit(leaves_[leaf]) : none;
        }
        std::uint64_t keep = ~std::uint64_t{0} << (leaf % 64U);
        for (std::uint32_t w = leaf / 64U; w < summary_words_; ++w, keep = ~std::uint64_t{0}) {
            const std::uint64_t here = summary_[w] & keep;
            if (here == 0) continue;
            const std::uint32_t found = w * 64U + first_bit(here);
            return found * 64U + first_bit(leaves_[found]);
        }
        return none;
    }

    // Without a summary both begin at the same word.
    std::uint64_t* summary_       = nullptr;
    std::uint64_t* leaves_        = nullptr;
    std::uint32_t  summary_words_ = 0;
    std::uint32_t  leaf_words_    = 0;
};

}  // namespace ashlar::inline v0
