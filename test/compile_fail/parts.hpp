#pragma once
/// What the cases have in common: a blueprint that passes, to be broken in one place by each case.

#include <ashlar/blueprint.hpp>
#include <ashlar/device/memory_device.hpp>
#include <ashlar/journal/ring_journal.hpp>
#include <ashlar/threading/single_threaded.hpp>

struct whole : ashlar::blueprint {
    using device    = ashlar::memory_device;
    using journal   = ashlar::ring_journal;
    using threading = ashlar::single_threaded;
};

template <ashlar::Blueprint B>
struct gate {};
