#pragma once
/// Front door: everything portable. No header of an operating system is reached from here.

#include <ashlar/blueprint.hpp>
#include <ashlar/checksum/no_checksum.hpp>
#include <ashlar/checksum/xxh64_checksum.hpp>
#include <ashlar/defrag_policy/best_gain.hpp>
#include <ashlar/defrag_policy/threshold_policy.hpp>
#include <ashlar/device/memory_device.hpp>
#include <ashlar/journal/no_journal.hpp>
#include <ashlar/journal/ring_journal.hpp>
#include <ashlar/store.hpp>
#include <ashlar/threading/single_threaded.hpp>
#include <ashlar/throttle/combined_throttle.hpp>
#include <ashlar/throttle/cycle_budget.hpp>
#include <ashlar/throttle/latency_target.hpp>
#include <ashlar/throttle/token_bucket.hpp>
