/// Two objects that grow in turns lie in many pieces; bounded steps put them together while the program goes on.

#include <ashlar/ashlar.hpp>
#include <ashlar/hosted/steady_clock.hpp>

#include <array>
#include <cstdio>

namespace {

struct recorder : ashlar::blueprint {
    using device    = ashlar::memory_device;
    using journal   = ashlar::ring_journal;
    using threading = ashlar::single_threaded;
    using defrag    = ashlar::best_gain;     // which extents are worth moving
    using throttle  = ashlar::token_bucket;  // how fast bytes may flow
    using clock     = ashlar::steady_clock;
};
using recorder_store = ashlar::store<recorder>;

ashlar::result<> run() {
    BOOST_OUTCOME_TRY(auto memory, ashlar::memory_device::create({4096}, {8192}));
    BOOST_OUTCOME_TRY(recorder_store::format(memory, {.volume = {std::byte{3}}}));
    recorder_store::options options;
    options.throttle.bytes_per_second = 0;  // memory needs no protection
    options.defrag.priority           = ashlar::defrag_intensity::unpaced;
    options.defrag.cycle_blocks_max   = {};  // by default 256 blocks, then a rest of 30 s
    BOOST_OUTCOME_TRY(auto store, recorder_store::open(std::move(memory), options));

    BOOST_OUTCOME_TRY(const auto one, store.create());
    BOOST_OUTCOME_TRY(const auto two, store.create());
    std::array<std::byte, 4096> sample{};
    for (std::uint64_t i = 0; i < 128; ++i) {
        const std::uint64_t at = (i * 37 % 128) * sample.size();  // out of order, as downloads arrive
        BOOST_OUTCOME_TRY(store.write(one, at, sample));
        BOOST_OUTCOME_TRY(store.write(two, at, sample));
    }
    BOOST_OUTCOME_TRY(const auto before, store.info(one));
    BOOST_OUTCOME_TRY(const auto plan, store.plan_defragmentation());  // costs nothing on the device
    std::printf("%llu extents; %llu moves of %llu bytes would help\n", static_cast<unsigned long long>(before.extents),
                static_cast<unsigned long long>(plan.moves), static_cast<unsigned long long>(plan.bytes_written));

    for (unsigned steps = 1;; ++steps) {
        BOOST_OUTCOME_TRY(const auto step, store.maintain({.blocks_max = 32}));
        BOOST_OUTCOME_TRY(store.write(two, 0, sample));  // the program goes on between two steps
        if (!step.reasons.has(ashlar::stop_reason::finished)) continue;
        BOOST_OUTCOME_TRY(const auto after, store.info(one));
        std::printf("%llu after %u steps of at most 32 blocks\n", static_cast<unsigned long long>(after.extents),
                    steps);
        return store.close();
    }
}

}  // namespace

int main() {
    const auto done = run();
    if (!done) std::fprintf(stderr, "%s\n", ashlar::message(done.error().code));
    return done ? 0 : 1;
}
