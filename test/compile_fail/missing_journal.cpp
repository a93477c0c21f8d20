// Durability has no default.
// expect: JournalFitsDevice
#include "parts.hpp"

struct log_store : ashlar::blueprint {
    using device    = ashlar::memory_device;
    using threading = ashlar::single_threaded;
};
ashlar::store<log_store> store;
