#pragma once
/// One thread uses the store: no lock, no atomic, no code.

#include <ashlar/concepts/threading.hpp>

namespace ashlar::inline v0 {

struct single_threaded {
    static constexpr bool concurrent = false;

    struct mutex {
        constexpr void lock() noexcept {}
        constexpr void unlock() noexcept {}
    };
    struct condition {
        constexpr void wait(mutex&) noexcept {}
        constexpr void wake() noexcept {}
    };
    class counter {
      public:
        constexpr void                        add(std::uint64_t n) noexcept { value_ += n; }
        constexpr void                        set(std::uint64_t n) noexcept { value_ = n; }
        [[nodiscard]] constexpr std::uint64_t value() const noexcept { return value_; }

      private:
        std::uint64_t value_ = 0;
    };
};
static_assert(Threading<single_threaded>);

}  // namespace ashlar::inline v0
