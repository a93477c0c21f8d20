// What leaves bytes on disk has a format_id.
// expect: NamesChecksum
#include "parts.hpp"

struct checksum_without_id {
    static constexpr bool enabled = true;
    static std::uint64_t  of(std::span<const std::byte>) noexcept { return 0; }
};
struct log_store : whole {
    using checksum = checksum_without_id;
};
ashlar::store<log_store> store;
