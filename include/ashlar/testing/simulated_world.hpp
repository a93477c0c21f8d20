#pragma once
/// What the parts of a simulation share: a store with all that lies below it, its owners, and what was seen so far.

#include <ashlar/testing/simulated_disk.hpp>
#include <ashlar/testing/simulated_owner.hpp>
#include <ashlar/testing/simulation_options.hpp>

namespace ashlar::inline v0 {

/// The world of one run. Where threads are stuck it must not be destroyed, as they stand in it.
template <class B>
struct simulated_world {
    using store_type = store<simulated<B>>;
    static_assert(B::journal::durable, "without a journal nothing is promised, so nothing can be compared");

    static constexpr std::uint64_t never = ~std::uint64_t{0};

    simulated_world(const simulated_setup& chosen, const simulation_options<B>& named)
        : setup{chosen},
          options{named},
          medium{make_medium(chosen)},
          disk{medium, chosen.trimmed, named.watch_order, clock, hash},
          top{disk.top()},
          device{named.stack ? named.stack(top) : top} {}

    /// The first thing that went wrong stays; the threads end after their step.
    void fail(std::string why) {
        halted = true;
        if (failure.empty()) failure = std::move(why);
    }

    /// Time as owners see it: each stamp is larger than the one before.
    [[nodiscard]] std::uint64_t stamp() noexcept { return ++stamps_; }

    [[nodiscard]] bool writing_ended() noexcept { return !disk.cut().powered() || opened.read_only(); }
    [[nodiscard]] bool disk_failed_since(std::uint64_t before) noexcept { return disk.faults().failures() != before; }

    /// Whether a call may have failed so: for want of room or of a turn, or since the device failed meanwhile.
    [[nodiscard]] bool may_be(error why, std::uint64_t faults_before) noexcept {
        switch (why.code) {
            case errc::too_large:
            case errc::no_space:
            case errc::reserve_only:
            case errc::no_contiguous_space:
            case errc::too_many_extents:
            case errc::busy: return true;
            case errc::device_failed: return disk_failed_since(faults_before);
            case errc::checksum_differs:
            case errc::damaged: ++counts.noticed; return rotten;
            default: return false;
        }
    }

    simulated_setup              setup;
    const simulation_options<B>& options;
    manual_clock                 clock{};
    running_hash                 hash{};  ///< Of all that was asked and answered.
    memory_device                medium;
    simulated_disk               disk;
    any_device                   top;     ///< Of the simulated disk.
    any_device                   device;  ///< What the store is given: that, or what the user laid over it.
    store_type                   opened{};
    std::vector<simulated_owner> owners{};  ///< One for each thread that changes objects.
    simulation_counts            counts{};
    std::string                  failure{};         ///< One sentence; empty while all is well.
    std::uint64_t                cut_seed = 0;      ///< What a power cut leaves that comes between two steps.
    bool                         halted   = false;  ///< The threads end after their step.
    bool                         rotten   = false;  ///< Bits have changed in this life.

  private:
    static memory_device make_medium(const simulated_setup& setup) {
        auto made = memory_device::create({setup.block_bytes}, block_count{setup.blocks});
        ASHLAR_ASSERT(made.has_value());
        return std::move(made).value();
    }

    std::uint64_t stamps_ = 0;
};

}  // namespace ashlar::inline v0
