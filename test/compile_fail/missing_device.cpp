// A store needs a device.
// expect: NamesDevice
// expect: device
#include "parts.hpp"

struct log_store : ashlar::blueprint {
    using journal   = ashlar::ring_journal;
    using threading = ashlar::single_threaded;
};
gate<log_store> store;
