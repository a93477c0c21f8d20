#pragma once
/// How fast maintenance may go.

#include <ashlar/vocabulary/time_point.hpp>

#include <concepts>
#include <cstdint>

namespace ashlar::inline v0 {

/// Bytes that a chunk would like, and the least that is of use.
struct io_request {
    std::uint64_t want  = 0;
    std::uint64_t least = 0;
};

/// `bytes` > 0: so many may be read and written now. `bytes` = 0: nothing before `not_before`.
struct io_grant {
    std::uint64_t         bytes = 0;
    time_point            not_before{};  ///< The largest value: not before some bytes in flight are released.
    friend constexpr bool operator==(io_grant, io_grant) = default;
};

enum class io_kind : std::uint8_t { read, write, sync };

/// Semantics: `acquire` is called before each chunk of maintenance; one grant covers the chunk's read and its write,
/// and the caller makes the chunk as large as the grant. It grants at least `least` bytes or none, never more than
/// `want`, and never sleeps. `release` gives back what was granted, on completion, error or cancel. `observe` tells of
/// every completed transfer of the foreground, which itself never asks. All are O(1). With `needs_clock` a clock must
/// tick.
template <class T>
concept IoThrottle = requires(T& throttle, io_request request, std::uint64_t bytes, io_kind kind, duration took,
                              time_point now) {
    { T::needs_clock } -> std::convertible_to<bool>;
    { throttle.acquire(request, now) }
    noexcept->std::same_as<io_grant>;
    { throttle.release(bytes, now) }
    noexcept->std::same_as<void>;
    { throttle.observe(kind, bytes, took, now) }
    noexcept->std::same_as<void>;
};

/// Whether only one thread may tell a throttle of the foreground, and none while it is asked: it has a member
/// `observes_alone` that says so. Without that member, `observe` is safe from any thread at any time.
template <class T>
inline constexpr bool observes_alone = false;

template <class T>
    requires requires { T::observes_alone; }
inline constexpr bool observes_alone<T> = T::observes_alone;

/// Whether a throttle has any use for `observe`: one that listens says `listens`. Nobody measures for the others.
template <class T>
inline constexpr bool listens = false;
template <class T>
    requires requires { T::listens; }
inline constexpr bool listens<T> = T::listens;

/// From now on the one judges by what the other is told of the foreground, so that several tasks beside one store hear
/// the same. Nothing happens where throttles do not listen. A model that listens has `hear(const T& other)` for it.
/// Two that work at once do not know of each other: what one of them measures in a pause of its own is the foreground
/// beside the other, not at rest. A goal that is given as a time holds all the same.
/// Precondition: the other one outlives it and stays where it is.
template <IoThrottle T>
constexpr void hear([[maybe_unused]] T& one, [[maybe_unused]] const T& other) noexcept {
    if constexpr (listens<T>) one.hear(other);
}

}  // namespace ashlar::inline v0
