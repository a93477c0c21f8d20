// A rate needs a clock that ticks.
// expect: ThrottleHasClock
#include "parts.hpp"

struct log_store : whole {
    using throttle = ashlar::token_bucket;
};
ashlar::store<log_store> store;
