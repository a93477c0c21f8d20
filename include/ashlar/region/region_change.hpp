#pragma once
/// How users' regions come and go while the volume is in use.

#include <ashlar/region/region_slide.hpp>

namespace ashlar::inline v0 {

/// What a new region shall be.
struct region_request {
    std::uint32_t type = 0;  ///< Four letters of the user's: tag_of("LOGS"). The format's own are refused.
    block_count   blocks{};
    block_index   from{};                   ///< The first run that is long enough from here on.
    std::optional<std::uint32_t> number{};  ///< Its number within the type; else the lowest that is free.
};

/// The region that moves or goes now, for a scope: one at a time.
template <class Volume>
class [[nodiscard]] motion_scope {
  public:
    /// Waits for a region that goes. Error: busy where another one moves.
    static result<> begin(Volume& volume, region_motion& motion) noexcept {
        auto& now = volume.region_traffic.motion;
        if constexpr (Volume::threading_type::concurrent) {
            while (now != nullptr && now->goes()) volume.lock.wait();
        }
        if (now != nullptr) return errc::busy;
        now = &motion;
        return success();
    }
    static void end(Volume& volume) noexcept {
        volume.region_traffic.motion = nullptr;
        volume.lock.wake();
    }

    explicit motion_scope(Volume& volume) noexcept : volume_{volume} {}
    ~motion_scope() { end(volume_); }
    motion_scope(const motion_scope&)            = delete;
    motion_scope& operator=(const motion_scope&) = delete;

  private:
    Volume& volume_;
};

namespace detail {
template <class Volume>
result<> await_older_changes(Volume& volume) noexcept {
    const auto& traffic = volume.region_traffic;
    while (traffic.in_flight.older()) {
        if (traffic.find_queue([](const auto& one) noexcept { return one.broken; }) != nullptr) return errc::busy;
        auto* const idle = traffic.find_queue([](const auto& one) noexcept { return one.pending && !one.in_use; });
        if (idle != nullptr)
            idle->drain(*idle);
        else
            volume.lock.wait();
    }
    return success();
}
}  // namespace detail

/// Waits for all changes of regions that are on their way. What queues have in flight is completed here: their owners
/// may be far away, or be this thread. Error: busy where a queue broke; what it began ends when it is destroyed.
template <class Volume>
result<> await_region_changes(Volume& volume) noexcept {
    BOOST_OUTCOME_TRY(detail::await_older_changes(volume));  // those that somebody could not wait for before
    volume.region_traffic.in_flight.change();
    return detail::await_older_changes(volume);
}

/// Keeps new changes of the moving region away, and waits for those on their way. Error: busy; see above.
template <class Volume>
result<> hold_region_writes(Volume& volume) noexcept {
    volume.region_traffic.motion->held = true;
    return await_region_changes(volume);
}

/// The lowest number that no region of the type has.
template <class Volume>
[[nodiscard]] region_id free_name(Volume& volume, std::uint32_t type) noexcept {
    region_id name{type, 0};
    while (index_of_region(volume, name) != volume.regions.slots()) ++name.number;
    return name;
}

/// Enters a new region in a transaction; note it as written once that has joined: it holds what its blocks held before.
/// Errors: busy where the name is taken, or another transaction changes the directory; too_large where that is full;
/// those of reserving the run.
template <class Volume>
result<> put_region(Volume& volume, std::uint32_t tx, region_id name, block_count blocks,
                    block_index from = {}) noexcept {
    if (index_of_region(volume, name) != volume.regions.slots()) return errc::busy;
    region_slot slot;
    slot.type = name.type;
    slot.id   = name.number;
    BOOST_OUTCOME_TRY(change_region(volume, tx, {.before = {}, .after = slot}));
    BOOST_OUTCOME_TRY(const auto run, reserve_long_run(volume, blocks, space_use::data, from));
    auto& state = volume.transactions[tx];
    state.taken.push({.blocks = run});
    state.region.after.start  = run.first.value;
    state.region.after.blocks = run.count.value;
    return success();
}

/// Adds a region in one transaction. What its blocks hold is not said: a region is used like a device.
/// Errors: invalid_argument for a type that is the format's, or no blocks; busy where the number is taken; too_large
/// where the directory is full; too_large or journal_full where the journal could not hold the change; no_space,
/// reserve_only, no_contiguous_space; those of reading metadata. Cost: the bitmaps up to the run; a journaled change
/// for each group that it touches. Durable at the next sync.
template <class Volume>
result<region_id> add_region(Volume& volume, const region_request& wanted) noexcept {
    if (!is_user_region(wanted.type) || wanted.blocks.value == 0) return errc::invalid_argument;
    region_id name{};
    BOOST_OUTCOME_TRY(run_transaction(volume, [&](std::uint32_t tx) noexcept {
        name = wanted.number ? region_id{wanted.type, *wanted.number} : free_name(volume, wanted.type);
        return put_region(volume, tx, name, wanted.blocks, wanted.from);
    }));
    volume.region_traffic.note(name, {block_index{0}, wanted.blocks});
    return name;
}

/// Removes a region, also one that lies in parts; its blocks are free once that is confirmed and nobody reads them.
/// Whoever has it open finds it gone. Errors: not_found; pinned; busy while a region moves; invalid_argument for a
/// region of the engine's.
template <class Volume>
result<> remove_region(Volume& volume, region_id name) noexcept {
    if (!is_user_region(name.type)) return errc::invalid_argument;
    region_motion motion{name};
    BOOST_OUTCOME_TRY(motion_scope<Volume>::begin(volume, motion));
    const motion_scope<Volume> scope{volume};
    BOOST_OUTCOME_TRY(hold_region_writes(volume));
    const bool in_parts = is_sliding(volume, name);
    const auto table    = volume.regions.indirection();
    if (in_parts) { BOOST_OUTCOME_TRY(checkpoint(volume)); }  // as end_slide: no replay may meet the table again
    BOOST_OUTCOME_TRY(run_transaction(volume, [&](std::uint32_t tx) noexcept -> result<> {
        BOOST_OUTCOME_TRY(const auto slot, find_region(volume, name));
        if ((slot.flags & region_flag::pinned) != 0) return error{errc::pinned, slot.place().first};
        BOOST_OUTCOME_TRY(change_region(volume, tx, {.before = slot, .after = {}}));
        volume.transactions[tx].given.push({.blocks = slot.place()});
        if (!in_parts) return success();
        volume.transactions[tx].given.push({.blocks = volume.regions.slide()});
        return detail::drop_own_regions(volume, tx);
    }));
    if (in_parts) detail::end_entries(volume, table);
    return success();
}

/// A pinned region neither moves nor goes. Errors: not_found; invalid_argument for a region of the engine's.
template <class Volume>
result<> pin_region(Volume& volume, region_id name, bool pinned) noexcept {
    if (!is_user_region(name.type)) return errc::invalid_argument;
    return run_transaction(volume, [&](std::uint32_t tx) noexcept -> result<> {
        BOOST_OUTCOME_TRY(const auto slot, find_region(volume, name));
        auto after  = slot;
        after.flags = pinned ? slot.flags | region_flag::pinned : slot.flags & ~region_flag::pinned;
        return change_region(volume, tx, {.before = slot, .after = after});
    });
}

}  // namespace ashlar::inline v0
