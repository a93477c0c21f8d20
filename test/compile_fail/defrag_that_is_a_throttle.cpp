// A policy in the wrong slot.
// expect: NamesDefragPolicy
#include "parts.hpp"

struct log_store : whole {
    using defrag = ashlar::no_throttle;
};
ashlar::store<log_store> store;
