// A device that cannot sync keeps no promise.
// expect: NamesDevice
// expect: sync
#include "parts.hpp"

struct device_without_sync {
    ashlar::device_geometry geometry() const noexcept;
    ashlar::result<>        read(ashlar::extent, std::span<std::byte>) noexcept;
    ashlar::result<>        write(ashlar::extent, std::span<const std::byte>) noexcept;
    ashlar::result<>        trim(ashlar::extent) noexcept;
};
struct log_store : whole {
    using device = device_without_sync;
};
ashlar::store<log_store> store;
