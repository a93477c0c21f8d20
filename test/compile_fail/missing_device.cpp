// A store needs a device.
// expect: NamesDevice
// expect: device
#include "parts.hpp"

struct log_store : ashlar::blueprint {
    using journal   = ashlar::ring_journal;
    using threading = ashlar::single_threaded;
};
ashlar::store<log_store> store;
