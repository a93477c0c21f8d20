#pragma once
/// Users' regions: runs of blocks beside the objects, each used like a device of its own.

#include <ashlar/maintenance/region_report.hpp>
#include <ashlar/region/region_queue.hpp>
#include <ashlar/region/region_size.hpp>
#include <ashlar/store.hpp>

namespace ashlar::inline v0 {

namespace detail {
template <Blueprint B>
struct no_region_queue {};
template <Blueprint B>
struct has_region_queue {
    using queue = region_queue<typename store<B>::volume_type>;
};
}  // namespace detail

/// One region. Its logical blocks stay while it moves, so it models BlockDevice, and whatever works on a device works
/// on a region; where the store's device has queues, so has the region. What it holds is its user's: the store neither
/// journals nor checks it.
///
/// Writes are in place: after a crash each block written since the last `sync` holds old bytes, new ones, or a mixture.
/// Precondition: the store outlives it and stays open; its handle may move.
/// Safe from: one thread at a time; as many handles of a region as there are threads, where the blueprint has threads.
template <Blueprint B>
class region_device : public std::conditional_t<QueuedDevice<typename B::device>, detail::has_region_queue<B>,
                                                detail::no_region_queue<B>> {
  public:
    [[nodiscard]] device_geometry geometry() const noexcept { return geometry_; }
    [[nodiscard]] region_id       name() const noexcept { return place_.name(); }

    /// Errors: not_found once the region was removed; out_of_range; those of the device.
    result<> read(extent e, std::span<std::byte> into) noexcept {
        const auto began = store_.foreground_time();
        auto       done  = read_here(e, into);
        store_.tell_foreground(io_kind::read, into.size(), began);
        return done;
    }
    /// Errors too: read_only. Waits where the region's move comes to its end.
    result<> write(extent e, std::span<const std::byte> from) noexcept {
        const entered guard{store_.volume()};
        return write_region(store_.volume(), place_, e, from);
    }
    result<> trim(extent e) noexcept {
        const entered guard{store_.volume()};
        return trim_region(store_.volume(), place_, e);
    }
    /// Makes durable what was written to the region, and the store's own changes with it. After an error the store only
    /// reads. Cost: a sync of the device, and a batch where the store has one.
    result<> sync() noexcept {
        const entered guard{store_.volume()};
        return sync_regions(store_.volume());
    }

    /// A queue of its own, which outlives this handle. Errors: those of region_queue::open.
    [[nodiscard]] auto open_queue(queue_options options) noexcept requires QueuedDevice<typename B::device> {
        return region_queue<typename store<B>::volume_type>::open(store_.volume(), name(), options);
    }

  private:
    template <Blueprint>
    friend class store_regions;

    result<> read_here(extent e, std::span<std::byte> into) noexcept {
        const entered guard{store_.volume()};
        return read_region(store_.volume(), place_, e, into);
    }

    region_device(typename store<B>::companion of, region_id name, device_geometry geometry) noexcept
        : store_{of}, place_{name}, geometry_{geometry} {}

    typename store<B>::companion store_;
    region_place                 place_;
    device_geometry              geometry_;
};

/// What is known of a region.
struct region_info {
    region_id name{};
    extent    place{};
    bool      pinned = false;
    bool      engine = false;  ///< The store's own: listed, and not to be opened, pinned or removed.
};

/// The regions of a store. Precondition: the store outlives it and stays open; its handle may move.
/// Changes are atomic and visible when a call returns, and durable at the next sync of the store or of a region.
/// Safe from: as many threads as the store.
template <Blueprint B>
class store_regions {
  public:
    explicit store_regions(store<B>& of) noexcept : store_{of.beside()} {}

    /// Adds a region of free blocks, in one run, without stopping anything. Errors and cost: add_region.
    result<region_id> add(const region_request& wanted) noexcept {
        const entered guard{store_.volume(), store_.time()};
        return add_region(store_.volume(), wanted);
    }
    /// Whether `add` would succeed now, and where the region would lie. Writes nothing, unless blocks that wait to be
    /// free could help: then everything is confirmed and brought home first, as `add` would do.
    /// Errors: those of `add`, but for a journal that could not hold the change.
    result<extent> can_add(const region_request& wanted) noexcept {
        const entered guard{store_.volume(), store_.time()};
        auto&         volume = store_.volume();
        if (!is_user_region(wanted.type) || wanted.blocks.value == 0) return errc::invalid_argument;
        BOOST_OUTCOME_TRY(volume.writable());
        if (wanted.number && find_region(volume, {wanted.type, *wanted.number})) return errc::busy;
        if (volume.regions.slots() == region_slots) return errc::too_large;
        return ask_for_space(volume, [&]() noexcept -> result<extent> {
            BOOST_OUTCOME_TRY(may_take(volume, wanted.blocks, space_use::data));
            BOOST_OUTCOME_TRY(const auto found, with_loads(volume, [&]() noexcept {
                                  volume_free_space<volume_type> source{volume};
                                  return first_fit(source, wanted.blocks, wanted.from);
                              }));
            if (!found) return errc::no_contiguous_space;
            return *found;
        });
    }
    /// Its blocks are free once that is confirmed. Errors: remove_region.
    result<> remove(region_id name) noexcept {
        const entered guard{store_.volume(), store_.time()};
        return remove_region(store_.volume(), name);
    }
    /// A pinned region neither moves nor goes. Errors: pin_region.
    result<> pin(region_id name, bool pinned = true) noexcept {
        const entered guard{store_.volume(), store_.time()};
        return pin_region(store_.volume(), name, pinned);
    }

    /// Errors: not_found; invalid_argument for a region of the store's own.
    result<region_device<B>> open(region_id name) noexcept {
        if (!is_user_region(name.type)) return errc::invalid_argument;
        const entered guard{store_.volume()};
        BOOST_OUTCOME_TRY(const auto slot, find_region(store_.volume(), name));
        auto geometry   = store_.volume().device.geometry();
        geometry.blocks = slot.place().count;
        return region_device<B>{store_, name, geometry};
    }

    /// Errors: not_found.
    result<region_info> find(region_id name) noexcept {
        const entered guard{store_.volume()};
        BOOST_OUTCOME_TRY(const auto slot, find_region(store_.volume(), name));
        return describe(slot);
    }
    [[nodiscard]] std::uint32_t count() noexcept {
        const entered guard{store_.volume()};
        return store_.volume().regions.slots();
    }
    /// The i-th of `count()`, in no order that lasts. Errors: out_of_range.
    result<region_info> at(std::uint32_t i) noexcept {
        const entered guard{store_.volume()};
        if (i >= store_.volume().regions.slots()) return errc::out_of_range;
        return describe(slot_at(store_.volume(), i));
    }

    /// Calls `each(extent)` for every free run of the volume, groups joined, until it answers false. `each` calls
    /// nothing of the store. Errors: those of reading metadata. Cost: every bitmap that was ever written.
    template <class Each>
    result<> for_each_free(Each&& each) noexcept {
        const entered                  guard{store_.volume()};
        volume_free_space<volume_type> source{store_.volume()};
        return for_each_free_run(source, {}, each);
    }

    /// A row for each region and the free space between them. Errors and cost: report_regions.
    result<region_report> report(std::span<region_row> rows) noexcept {
        return report(rows, [](extent) noexcept {});
    }
    /// And `each(extent)` for every free run. `each` calls nothing of the store.
    template <class Each>
    result<region_report> report(std::span<region_row> rows, Each&& each) noexcept {
        return report_regions(store_.volume(), rows, each);
    }

  private:
    using volume_type = typename store<B>::volume_type;

    [[nodiscard]] static region_info describe(const region_slot& slot) noexcept {
        return {name_of(slot), slot.place(), (slot.flags & region_flag::pinned) != 0, !is_user_region(slot.type)};
    }

    typename store<B>::companion store_;
};

template <Blueprint B>
store_regions(store<B>&) -> store_regions<B>;

}  // namespace ashlar::inline v0
