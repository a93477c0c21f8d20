// An allocator is asked for runs.
// expect: NamesAllocator
// expect: find
#include "parts.hpp"

struct allocator_without_find {
    static constexpr std::uint32_t format_id = 9;
};
struct log_store : whole {
    using allocator = allocator_without_find;
};
ashlar::store<log_store> store;
