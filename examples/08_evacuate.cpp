/// The first half of a volume is emptied while it is used: what lies there moves, and nobody who reads it notices.

#include <ashlar/ashlar.hpp>
#include <ashlar/evacuation.hpp>
#include <ashlar/regions.hpp>

#include <cstdio>
#include <vector>

namespace {

struct machine : ashlar::blueprint {
    using device    = ashlar::memory_device;
    using journal   = ashlar::ring_journal;
    using threading = ashlar::single_threaded;
};

ashlar::result<> run() {
    BOOST_OUTCOME_TRY(auto memory, ashlar::memory_device::create({4096}, {8192}));
    BOOST_OUTCOME_TRY(ashlar::store<machine>::format(memory, {.volume = {std::byte{1}}}));
    BOOST_OUTCOME_TRY(auto live, ashlar::store<machine>::open(std::move(memory)));

    std::vector<std::byte> page(64 * 1024, std::byte{'x'});
    for (int i = 0; i < 100; ++i) {
        BOOST_OUTCOME_TRY(const auto id, live.create());
        BOOST_OUTCOME_TRY(live.write(id, 0, page));
    }
    // What the store keeps for itself stays where it is, so the range begins behind that.
    ashlar::store_regions regions{live};
    ashlar::block_index   first{};
    for (std::uint32_t i = 0; i < regions.count(); ++i) {
        BOOST_OUTCOME_TRY(const auto one, regions.at(i));
        if (one.place.end() > first) first = one.place.end();
    }
    const ashlar::extent range{first, ashlar::block_index{4096} - first};

    BOOST_OUTCOME_TRY(auto task, ashlar::evacuation<machine>::open(live));
    BOOST_OUTCOME_TRY(const auto plan, task.plan(range));
    std::printf("to move: %llu blocks; there is room for %llu\n", static_cast<unsigned long long>(plan.to_move().value),
                static_cast<unsigned long long>(plan.room.value));
    if (!plan.succeeds()) return ashlar::errc::no_space;

    BOOST_OUTCOME_TRY(task.start(range));
    int written = 0;
    while (task.running()) {  // others go on meanwhile; nothing of theirs comes into the range
        task.step({.blocks_max = 256});
        BOOST_OUTCOME_TRY(live.append(live.root(), std::span{page}.first(4096)));
        ++written;
    }
    const auto& done = task.last_result();
    std::printf("moved %llu blocks while %d pages were written\n", static_cast<unsigned long long>(done.moved.value),
                written);
    for (const auto& one : task.obstacles())
        std::printf("in the way: block %llu\n", static_cast<unsigned long long>(one.blocks.first.value));
    if (!done.emptied) return done.failure.code;
    return live.close();
}

}  // namespace

int main() {
    const auto done = run();
    if (!done) std::fprintf(stderr, "%s\n", ashlar::message(done.error().code));
    return done ? 0 : 1;
}
