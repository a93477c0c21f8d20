#pragma once
/// What moves of objects and of regions ask of a volume alike.

#include <ashlar/device/blocking_queue.hpp>
#include <ashlar/object/object_operation.hpp>

namespace ashlar::inline v0 {

/// The calls of RelocationHost that do not care what is moved. Every call takes the engine's lock, and gives it up
/// while the device works.
template <class Volume>
class volume_host {
  public:
    using queue_type = queue_of<typename Volume::device_type>;

    [[nodiscard]] block_size block() const noexcept { return volume_.geometry.block; }

    result<> hold(extent blocks) noexcept {
        const entered guard{volume_};
        return volume_.space.hold(blocks);
    }
    void unhold(extent blocks) noexcept {
        const entered guard{volume_};
        volume_.space.unhold(blocks);
    }

    [[nodiscard]] queue_type* queue() noexcept requires QueuedDevice<typename Volume::device_type> { return queue_; }

    result<> write_blocks(extent blocks, std::span<const std::byte> bytes) noexcept {
        {
            const entered guard{volume_};
            BOOST_OUTCOME_TRY(volume_.writable());
        }
        return volume_.device.write(blocks, bytes);
    }

    result<> sync() noexcept {
        const entered guard{volume_};
        return flush(volume_);
    }

    [[nodiscard]] std::uint64_t scope_count() noexcept { return volume_.geometry.groups; }
    result<relocation_scope>    scope(std::uint64_t group) noexcept {
           if (group >= volume_.geometry.groups) return errc::out_of_range;
        const entered guard{volume_};
           BOOST_OUTCOME_TRY(const auto known,
                             with_loads(volume_, [&]() noexcept { return space::summary(volume_.metadata(), group); }));
           return relocation_scope{
            {first_of_group(group, volume_.geometry.block), block_count{volume_.geometry.group_blocks(group)}},
            block_count{known.free},
            block_count{known.largest},
            known.free_runs()};
    }

  protected:
    volume_host(Volume& volume, queue_type* queue) noexcept : volume_{volume}, queue_{queue} {}
    ~volume_host() = default;

    Volume&     volume_;
    queue_type* queue_;
};

}  // namespace ashlar::inline v0
