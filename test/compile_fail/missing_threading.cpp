// Whether threads share a store has no default.
// expect: NamesThreading
// expect: threading
#include "parts.hpp"

struct log_store : ashlar::blueprint {
    using device  = ashlar::memory_device;
    using journal = ashlar::ring_journal;
};
ashlar::store<log_store> store;
