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

    /// The blocks of the device behind the first of `logical` ones, as far as they follow each other: all of them,
    /// unless a region is being moved in parts. What remains is asked for again.
    /// Errors: not_found; out_of_range; why the indirection table could not be read, where it could not.
    /// Cost: a comparison; a lookup a block while parts of any region lie apart.
    template <class Volume>
    [[nodiscard]] result<extent> resolve(Volume& volume, extent logical) noexcept {
        BOOST_OUTCOME_TRY(const auto place, find(volume));
        if (!lies_in(logical, {block_index{0}, place.count})) return error{errc::out_of_range, logical.first};
        const extent by_directory{place.first + block_count{logical.first.value}, logical.count};
        if (volume.indirection.empty()) return by_directory;
        if (volume.indirection.lost().code != errc::none) return volume.indirection.lost();
        return volume.indirection.resolve_run(by_directory);
    }

  private:
    region_id     name_{};
    extent        place_{};
    std::uint32_t version_ = 0;
    bool          known_   = false;
};

namespace detail {
/// How many of the bytes lent for `logical` belong to its first `part` blocks. Where that is all of them the device
/// checks their number. Error: out_of_range where it is wrong.
template <class Volume>
[[nodiscard]] result<std::size_t> bytes_of_part(const Volume& volume, extent logical, block_count part,
                                                std::size_t bytes) noexcept {
    if (part == logical.count) return bytes;
    if (bytes_of(logical.count, volume.geometry.block) != bytes) return error{errc::out_of_range, logical.first};
    return static_cast<std::size_t>(bytes_of(part, volume.geometry.block));
}
}  // namespace detail

/// Nothing waits: a reader of the old place reads what it held when the read began.
/// Errors: those of resolve and of the device. Precondition of these four: the volume is entered.
template <class Volume>
result<> read_region(Volume& volume, region_place& region, extent logical, std::span<std::byte> into) noexcept {
    for (;;) {
        BOOST_OUTCOME_TRY(const auto blocks, region.resolve(volume, logical));
        BOOST_OUTCOME_TRY(const auto length, detail::bytes_of_part(volume, logical, blocks.count, into.size()));
        const auto ticket = volume.space.enter_reader();
        auto done = volume.lock.outside([&]() noexcept { return volume.device.read(blocks, into.first(length)); });
        volume.space.leave_reader(ticket);
        if (done.has_error() || blocks.count == logical.count) return done;
        logical = part_of(logical, blocks.count, logical.count);
        into    = into.subspan(length);
    }
}

namespace detail {

/// Runs `change(blocks)` on the device, for each run of blocks that follow each other there. Whoever moves
/// the region, or copies the volume, hears of it before and after, so that a copy made in between is made again; while
/// its last part is copied, writers wait.
template <class Volume, class Change>
result<> change_region_blocks(Volume& volume, region_place& region, extent logical, Change&& change) noexcept {
    auto& traffic = volume.region_traffic;
    for (;;) {
        if constexpr (Volume::threading_type::concurrent) {  // else nobody could be writing while writers are kept away
            while (traffic.holds(region.name(), logical)) volume.lock.wait();
        }
        BOOST_OUTCOME_TRY(volume.writable());  // the move that was waited for may have ended writing
        BOOST_OUTCOME_TRY(const auto blocks, region.resolve(volume, logical));
        const extent part{logical.first, blocks.count};
        const auto   ticket = traffic.in_flight.enter();
        traffic.note(region.name(), part);
        auto done = volume.lock.outside([&]() noexcept { return change(blocks); });
        traffic.note(region.name(), part);
        traffic.in_flight.leave(ticket);
        if (done.has_error() || part.count == logical.count) return done;
        logical = part_of(logical, part.count, logical.count);
    }
}

}  // namespace detail

/// In place: after an error, or a crash before the next sync, the blocks hold old bytes, new ones, or a mixture.
template <class Volume>
result<> write_region(Volume& volume, region_place& region, extent logical, std::span<const std::byte> from) noexcept {
    extent left = logical;
    return detail::change_region_blocks(volume, region, logical, [&](extent blocks) noexcept -> result<> {
        BOOST_OUTCOME_TRY(const auto length, detail::bytes_of_part(volume, left, blocks.count, from.size()));
        const auto part = from.first(length);
        from            = from.subspan(length);
        left            = part_of(left, blocks.count, left.count);
        return volume.device.write(blocks, part);
    });
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
