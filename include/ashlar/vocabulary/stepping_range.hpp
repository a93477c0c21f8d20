#pragma once
/// An input range over what a function answers step by step.

#include <ashlar/vocabulary/result.hpp>

#include <cstddef>
#include <iterator>
#include <optional>
#include <type_traits>
#include <utility>

namespace ashlar::inline v0 {

/// Ends where `next` answers nothing or fails; `failure` tells which. One pass; move only where `next` is. It needs no
/// view of a range library and works with all of them.
template <class Next>
class stepping_range {
  public:
    using value_type = typename std::invoke_result_t<Next&>::value_type::value_type;

    explicit stepping_range(Next next) noexcept : next_{std::move(next)} {}

    class iterator {
      public:
        using value_type       = stepping_range::value_type;
        using difference_type  = std::ptrdiff_t;
        using iterator_concept = std::input_iterator_tag;

        iterator() noexcept = default;
        explicit iterator(stepping_range& range) noexcept : range_{&range} {}

        [[nodiscard]] const value_type& operator*() const noexcept { return *range_->current_; }
        iterator&                       operator++() noexcept {
                                  range_->step();
                                  return *this;
        }
        void               operator++(int) noexcept { range_->step(); }
        [[nodiscard]] bool is_at_end() const noexcept { return !range_->current_; }
        friend bool        operator==(const iterator& i, std::default_sentinel_t) noexcept { return i.is_at_end(); }

      private:
        stepping_range* range_ = nullptr;
    };

    [[nodiscard]] iterator begin() noexcept {
        step();
        return iterator{*this};
    }
    [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

    /// Code `none` when the range ended because nothing is left.
    [[nodiscard]] error failure() const noexcept { return failure_; }

  private:
    void step() noexcept {
        auto answer = next_();
        current_    = answer.has_value() ? std::move(answer).value() : std::nullopt;
        if (answer.has_error()) failure_ = answer.error();
    }

    Next                      next_;
    std::optional<value_type> current_{};
    error                     failure_{};
};

}  // namespace ashlar::inline v0
