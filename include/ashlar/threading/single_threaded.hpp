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
};
static_assert(Threading<single_threaded>);

}  // namespace ashlar::inline v0
