#pragma once
/// Which policies a store is made of, and the gate that refuses what does not fit together.

#include <ashlar/allocator/grouped_allocator.hpp>
#include <ashlar/checksum/xxh3.hpp>
#include <ashlar/concepts/checksum.hpp>
#include <ashlar/concepts/clock.hpp>
#include <ashlar/concepts/journal.hpp>
#include <ashlar/concepts/threading.hpp>
#include <ashlar/defrag_policy/no_defrag.hpp>
#include <ashlar/object/extent_map.hpp>
#include <ashlar/throttle/no_throttle.hpp>

namespace ashlar::inline v0 {

/// Derive from it and name the parts. `device`, `journal` and `threading` have no default, because a wrong guess, or a
/// misspelt name that leaves the guess in force, would cost data. What has a default costs speed or space at worst.
struct blueprint {
    using allocator  = grouped_allocator;
    using checksum   = xxh3;
    using object_map = extent_tree;
    using defrag     = no_defrag;
    using throttle   = no_throttle;
    using clock      = no_clock;
};

// One concept per line of the gate: its name is what the compiler says when a blueprint does not pass.

/// `device` is named and is a block device.
template <class B>
concept NamesDevice = requires {
    typename B::device;
}
&&BlockDevice<typename B::device>;

/// `journal` is named and works on the device.
template <class B>
concept JournalFitsDevice = requires {
    typename B::journal;
}
&&JournalOn<typename B::journal, typename B::device>;

/// `threading` is named, and says how threads exclude each other.
template <class B>
concept NamesThreading = requires {
    typename B::threading;
}
&&Threading<typename B::threading>;

template <class B>
concept NamesAllocator = requires {
    typename B::allocator;
}
&&Allocator<typename B::allocator>;

template <class B>
concept NamesChecksum = requires {
    typename B::checksum;
}
&&Checksum<typename B::checksum>;

/// `object_map` is named: the extents of an object in a tree, or in its record alone.
template <class B>
concept NamesObjectMap = requires(std::uint32_t height, std::uint64_t extents, block_size size) {
    { B::object_map::format_id } -> std::convertible_to<std::uint32_t>;
    { B::object_map::has_tree } -> std::convertible_to<bool>;
    { B::object_map::nodes_changed_max(height, extents, size) }
    noexcept->std::same_as<std::uint32_t>;
};

template <class B>
concept NamesDefragPolicy = requires {
    typename B::defrag;
}
&&DefragPolicy<typename B::defrag>;

template <class B>
concept NamesThrottle = requires {
    typename B::throttle;
}
&&IoThrottle<typename B::throttle>;

template <class B>
concept NamesClock = requires {
    typename B::clock;
}
&&Clock<typename B::clock>;

/// A throttle that counts time needs a clock that ticks: beside `no_clock` it would grant once and never again.
template <class B>
concept ThrottleHasClock = !B::throttle::needs_clock || B::clock::ticks;

/// A throttle that one thread alone may tell of the foreground does not fit a store of many threads.
template <class B>
concept ThrottleFitsThreading = !B::threading::concurrent || !observes_alone<typename B::throttle>;

/// What a store can be made of.
template <class B>
concept Blueprint = NamesDevice<B> && JournalFitsDevice<B> && NamesThreading<B> && NamesAllocator<B> &&
    NamesChecksum<B> && NamesObjectMap<B> && NamesDefragPolicy<B> && NamesThrottle<B> && NamesClock<B> &&
    ThrottleHasClock<B> && ThrottleFitsThreading<B>;

}  // namespace ashlar::inline v0
