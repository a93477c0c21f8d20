/// Objects whose records become wider while they are made and written; a restart in the middle changes nothing.

#include <ashlar/ashlar.hpp>
#include <ashlar/record_migration.hpp>

#include <array>
#include <cstdio>
#include <cstring>

namespace {

struct machine : ashlar::blueprint {
    using device    = ashlar::memory_device;
    using journal   = ashlar::ring_journal;
    using threading = ashlar::single_threaded;
};
using live_store = ashlar::store<machine>;
using entry      = std::array<std::byte, 64>;

entry text(std::uint64_t number) {
    entry bytes{};
    std::memcpy(bytes.data(), &number, sizeof number);
    return bytes;
}

ashlar::result<> run() {
    BOOST_OUTCOME_TRY(auto memory, ashlar::memory_device::create({4096}, {8192}));
    BOOST_OUTCOME_TRY(live_store::format(memory, {.volume = {std::byte{1}}}));
    BOOST_OUTCOME_TRY(auto live, live_store::open(std::move(memory)));

    std::array<ashlar::object_id, 600> made{};
    std::uint64_t                      written = 0;
    const auto                         write   = [&]() -> ashlar::result<> {
        BOOST_OUTCOME_TRY(made[written], live.create());
        BOOST_OUTCOME_TRY(live.append(made[written], text(written)));
        ++written;
        return ashlar::success();
    };
    while (written < 500) { BOOST_OUTCOME_TRY(write()); }

    // What it takes is said before anything is written.
    ashlar::record_migration task{live};
    BOOST_OUTCOME_TRY(const auto plan, task.plan({.record_bytes = 256}));
    if (plan.obstacle != ashlar::errc::none) return plan.obstacle;
    std::printf("%llu records, a table of %llu blocks\n", static_cast<unsigned long long>(plan.records),
                static_cast<unsigned long long>(plan.blocks.value));

    // A few steps, with new objects in between; then the power goes.
    task.start({.record_bytes = 256});
    for (int i = 0; i < 20; ++i) {
        static_cast<void>(task.step({.blocks_max = 1, .candidates_max = 1}));
        BOOST_OUTCOME_TRY(write());
    }
    BOOST_OUTCOME_TRY(live.sync());
    BOOST_OUTCOME_TRY(live, live_store::open(live.abandon()));
    ashlar::record_migration again{live};
    for (ashlar::progress said; !said.reasons.has(ashlar::stop_reason::finished);) {
        BOOST_OUTCOME_TRY(write());
        said = again.step({.blocks_max = 4});
        if (said.failure.code != ashlar::errc::none) return said.failure;
    }
    std::printf("%s, %llu records copied after the restart, %llu objects\n",
                again.last_result().resumed ? "resumed" : "begun anew",
                static_cast<unsigned long long>(again.last_result().records), static_cast<unsigned long long>(written));
    for (std::uint64_t i = 0; i < written; ++i) {
        entry seen{};
        BOOST_OUTCOME_TRY(live.read(made[i], 0, seen));
        if (seen != text(i)) return ashlar::errc::damaged;
    }
    if (!again.last_result().resumed || live.volume().record_bytes != 256) return ashlar::errc::damaged;
    return live.close();
}

}  // namespace

int main() {
    const auto done = run();
    if (!done) std::fprintf(stderr, "%s\n", ashlar::message(done.error().code));
    return done ? 0 : 1;
}
