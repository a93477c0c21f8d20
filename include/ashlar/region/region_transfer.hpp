#pragma once
/// Reads and writes of users' regions: in place, by logical block, while the region may move.

#include <ashlar/region/region_change.hpp>

namespace ashlar::inline v0 {

/// A region as a handle remembers it. Looking it up again costs a comparison while the directory stays as it is.
class region_place {
  public:
    region_place() noexcept = default;
    explicit region_place(region_id name) noexcept : name_{name} {}

    [[nodiscard]] region_id name() const noexcept { return name_; }

    /// Where it is now. Errors: not_found once it was removed.
    template <class Volume>
    [[nodiscard]] result<extent> find(Volume& volume) noexcept {
        if (!known_ || version_ != volume.regions.version()) {
            BOOST_OUTCOME_TRY(const auto slot, find_region(volume, name_));
            place_   = slot.place();
            version_ = volume.regions.version();
            known_   = true;
        }
        return place_;
    }

    /// The blocks of the device behind `logical` ones. Errors: not_found; out_of_range.
    template <class Volume>
    [[nodiscard]] result<extent> resolve(Volume& volume, extent logical) noexcept {
        BOOST_OUTCOME_TRY(const auto place, find(volume));
        if (!lies_in(logical, {block_index{0}, place.count})) return error{errc::out_of_range, logical.first};
        return extent{place.first + block_count{logical.first.value}, logical.count};
    }

  private:
    region_id     name_{};
    extent        place_{};
    std::uint32_t version_ = 0;
    bool          known_   = false;
};

/// Nothing waits: a reader of the old place reads what it held when the read began.
/// Errors: those of resolve and of the device. Precondition of these four: the volume is entered.
template <class Volume>
result<> read_region(Volume& volume, region_place& region, extent logical, std::span<std::byte> into) noexcept {
    BOOST_OUTCOME_TRY(const auto blocks, region.resolve(volume, logical));
    const auto ticket = volume.space.enter_reader();
    auto       done   = volume.lock.outside([&]() noexcept { return volume.device.read(blocks, into); });
    volume.space.leave_reader(ticket);
    return done;
}

namespace detail {

/// Runs `change(blocks)` on the device. A region that moves hears of it before and after, so that a copy made in
/// between is made again; while its last part is copied, writers wait.
template <class Volume, class Change>
result<> change_region_blocks(Volume& volume, region_place& region, extent logical, Change&& change) noexcept {
    BOOST_OUTCOME_TRY(volume.writable());
    auto&      traffic = volume.region_traffic;
    const auto moving = [&]() noexcept { return traffic.motion != nullptr && traffic.motion->region == region.name(); };
    if constexpr (Volume::threading_type::concurrent) {  // else nobody could be writing while writers are kept away
        while (moving() && traffic.motion->held) volume.lock.wait();
    }
    BOOST_OUTCOME_TRY(const auto blocks, region.resolve(volume, logical));
    const auto ticket = traffic.enter();
    if (moving()) traffic.motion->note(logical);
    auto done = volume.lock.outside([&]() noexcept { return change(blocks); });
    if (moving()) traffic.motion->note(logical);
    traffic.leave(ticket);
    return done;
}

}  // namespace detail

/// In place: after an error, or a crash before the next sync, the blocks hold old bytes, new ones, or a mixture.
template <class Volume>
result<> write_region(Volume& volume, region_place& region, extent logical, std::span<const std::byte> from) noexcept {
    return detail::change_region_blocks(volume, region, logical,
                                        [&](extent blocks) noexcept { return volume.device.write(blocks, from); });
}

template <class Volume>
result<> trim_region(Volume& volume, region_place& region, extent logical) noexcept {
    return detail::change_region_blocks(volume, region, logical,
                                        [&](extent blocks) noexcept { return volume.device.trim(blocks); });
}

/// Makes durable what was written to any region, and that the region is there. After an error writing has ended (R15).
template <class Volume>
result<> sync_regions(Volume& volume) noexcept {
    BOOST_OUTCOME_TRY(flush(volume));
    auto done = volume.lock.outside([&]() noexcept { return volume.device.sync(); });
    if (done.has_error()) return volume.end_writing(done.error());
    return success();
}

}  // namespace ashlar::inline v0
