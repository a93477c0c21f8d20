// A typo must not leave a default in force.
// expect: JournalFitsDevice
// expect: journal
#include "parts.hpp"

struct log_store : ashlar::blueprint {
    using device    = ashlar::memory_device;
    using jornal    = ashlar::ring_journal;
    using threading = ashlar::single_threaded;
};
ashlar::store<log_store> store;
