#pragma once
/// How a store is simulated: its blueprint, what it is opened with, and what a run counts.

#include <ashlar/journal/ring_journal.hpp>
#include <ashlar/store.hpp>
#include <ashlar/testing/any_device.hpp>
#include <ashlar/testing/manual_clock.hpp>
#include <ashlar/testing/scheduled.hpp>
#include <ashlar/testing/simulated_plan.hpp>
#include <ashlar/testing/small_machine.hpp>

#include <functional>
#include <type_traits>

namespace ashlar::inline v0 {

/// A blueprint as it is simulated: device, clock and threads are the simulator's; a threading that derives from
/// `scheduled` stays. All else is what the user named.
template <class B>
struct simulated : B {
    using device = any_device;
    using clock  = manual_clock;
    using threading =
        std::conditional_t<std::is_base_of_v<scheduled, typename B::threading>, typename B::threading, scheduled>;
};

template <class B>
struct simulation_options {
    using store_options = typename store<simulated<B>>::options;

    simulation_table table{};
    /// What the store is opened with. What stands in the table, and the clock, are the seed's.
    store_options base = [] {
        store_options chosen{};
        chosen.limits             = small_limits();
        chosen.defrag             = eager_defragmenter();
        chosen.defrag.extents_min = 2;
        chosen.defrag.chunk_bytes = 16384;
        return chosen;
    }();
    /// Lays devices of the user's own over the simulated one, afresh for each run. They outlive the run.
    std::function<any_device(any_device& below)> stack{};
    bool watch_order = std::is_same_v<typename B::journal, ring_journal>;  ///< An order_checker understands it.

    std::uint64_t shrink_runs_max = 800;  ///< Runs that making a failure small may take; 0: it stays as it is.
};

/// What a run did: zero means that it proved nothing.
struct simulation_counts {
    std::uint64_t steps    = 0;  ///< That did something.
    std::uint64_t refused  = 0;  ///< For want of room, or because another thread was in the way, or the device failed.
    std::uint64_t reads    = 0;  ///< Answers compared with the model.
    std::uint64_t cuts     = 0;  ///< Recoveries that were judged.
    std::uint64_t reopened = 0;  ///< Closed and opened.
    std::uint64_t faults   = 0;  ///< Calls of the device that failed.
    std::uint64_t noticed  = 0;  ///< Answers that named bytes as wrong.
    std::uint64_t moved    = 0;  ///< Blocks that maintenance moved.
    std::uint64_t switches = 0;  ///< Between threads.
    std::uint64_t calls    = 0;  ///< Of the device.

    simulation_counts& operator+=(const simulation_counts& more) noexcept {
        steps += more.steps;
        refused += more.refused;
        reads += more.reads;
        cuts += more.cuts;
        reopened += more.reopened;
        faults += more.faults;
        noticed += more.noticed;
        moved += more.moved;
        switches += more.switches;
        calls += more.calls;
        return *this;
    }
};

}  // namespace ashlar::inline v0
