#pragma once
/// A device whose type is forgotten, so that one store type works on every device of a test.

#include <ashlar/concepts/block_device.hpp>

namespace ashlar::inline v0 {

/// Refers to a device that lives elsewhere and outlives it; copies refer to the same one. A blueprint is tested by a
/// copy of it that differs in this alias alone:
///
///     struct tested : my_blueprint { using device = ashlar::any_device; };
///
/// Cost: an indirect call for each transfer. Safe from: what the device below is safe from.
class any_device {
  public:
    template <BlockDevice D>
        requires(!std::same_as<D, any_device>)
    explicit any_device(D& device) noexcept
        : at_{&device},
          geometry_{[](const void* at) noexcept { return static_cast<const D*>(at)->geometry(); }},
          read_{[](void* at, extent e, std::span<std::byte> in) noexcept { return static_cast<D*>(at)->read(e, in); }},
          write_{[](void* at, extent e, std::span<const std::byte> out) noexcept {
              return static_cast<D*>(at)->write(e, out);
          }},
          sync_{[](void* at) noexcept { return static_cast<D*>(at)->sync(); }},
          trim_{[](void* at, extent e) noexcept { return static_cast<D*>(at)->trim(e); }} {}

    [[nodiscard]] device_geometry geometry() const noexcept { return geometry_(at_); }
    [[nodiscard]] result<>        read(extent e, std::span<std::byte> in) noexcept { return read_(at_, e, in); }
    [[nodiscard]] result<> write(extent e, std::span<const std::byte> out) noexcept { return write_(at_, e, out); }
    [[nodiscard]] result<> sync() noexcept { return sync_(at_); }
    [[nodiscard]] result<> trim(extent e) noexcept { return trim_(at_, e); }

  private:
    void* at_;
    device_geometry (*geometry_)(const void*) noexcept;
    result<> (*read_)(void*, extent, std::span<std::byte>) noexcept;
    result<> (*write_)(void*, extent, std::span<const std::byte>) noexcept;
    result<> (*sync_)(void*) noexcept;
    result<> (*trim_)(void*, extent) noexcept;
};
static_assert(BlockDevice<any_device>);

}  // namespace ashlar::inline v0
