// A rate needs a clock that ticks.
// expect: ThrottleHasClock
#include "parts.hpp"

#include <ashlar/throttle/token_bucket.hpp>

struct log_store : whole {
    using throttle = ashlar::token_bucket;
};
gate<log_store> store;
