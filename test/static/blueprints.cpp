// Which blueprints pass the gate, and which line of it refuses the others.

#include "archetypes.hpp"

#include <ashlar/ashlar.hpp>

namespace blueprints {

using namespace ashlar;

struct whole : blueprint {
    using device    = memory_device;
    using journal   = ring_journal;
    using threading = single_threaded;
};
static_assert(Blueprint<whole>);
static_assert(Blueprint<const whole>);
static_assert(!Blueprint<blueprint>, "device, journal and threading have no default");
static_assert(!Blueprint<int>);

/// Every part replaced by the least that models its concept.
struct of_archetypes : blueprint {
    using device    = archetype::block_device;
    using journal   = archetype::journal;
    using threading = archetype::threading;
    using allocator = archetype::allocator;
    using checksum  = archetype::checksum;
    using defrag    = archetype::defrag_policy;
    using throttle  = archetype::io_throttle;
    using clock     = archetype::clock;
};
static_assert(Blueprint<of_archetypes>);

struct without_durability : whole {
    using journal  = no_journal;
    using checksum = no_checksum;
};
static_assert(Blueprint<without_durability>);

struct small : whole {
    using checksum   = xxh64_checksum;
    using object_map = inline_map;
};
static_assert(Blueprint<small>);

struct journal_of_another_device : whole {
    using journal = archetype::journal;
};
static_assert(NamesDevice<journal_of_another_device> && !JournalFitsDevice<journal_of_another_device>);

struct paced : whole {
    using throttle = token_bucket;
};
struct paced_with_clock : paced {
    using clock = archetype::clock;
};
static_assert(NamesThrottle<paced> && !ThrottleHasClock<paced> && !Blueprint<paced>);
static_assert(Blueprint<paced_with_clock>);

struct swapped : whole {
    using allocator = xxh3;
    using checksum  = grouped_allocator;
};
static_assert(!NamesAllocator<swapped> && !NamesChecksum<swapped> && !Blueprint<swapped>);

struct defragmented : whole {
    using defrag = best_gain;
};
static_assert(Blueprint<defragmented>);

// What is not named costs nothing: neither bytes in a store nor a call.
static_assert(std::is_empty_v<no_defrag> && std::is_empty_v<no_throttle> && std::is_empty_v<no_clock>);
static_assert(std::is_empty_v<single_threaded::mutex> && std::is_empty_v<grouped_allocator>);
static_assert(sizeof(store<whole>) == sizeof(void*), "a store is a handle");
static_assert(std::is_nothrow_move_constructible_v<store<whole>> && !std::is_copy_constructible_v<store<whole>>);

}  // namespace blueprints
