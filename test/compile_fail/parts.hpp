#pragma once
/// What the cases have in common: a blueprint that passes, to be broken in one place by each case.

#include <ashlar/ashlar.hpp>

struct whole : ashlar::blueprint {
    using device    = ashlar::memory_device;
    using journal   = ashlar::ring_journal;
    using threading = ashlar::single_threaded;
};
