#include "../channel/channel_fixture.hpp"
#include "crash_fixture.hpp"

namespace ashlar::test {
namespace {

/// Changes through a channel, several in flight, in the order in which they join; each finished put and sync promised
/// itself and everything before.
history record_channel(const volume_shape& shape, std::uint64_t seed, std::size_t operations, std::size_t depth) {
    struct place {
        request     asked;
        byte_vector bytes;
        std::size_t operation = 0;
        bool        in_use    = false;
    };
    random_bits     random{seed};
    queue_orders    orders;
    recorded_volume volume{shape};
    history         changes;  // those of the channel
    auto            opened = store<ordered_single>::open(ordered_device{volume.device(), orders},
                                                         with<store<ordered_single>>(small_limits()));
    EXPECT_TRUE(opened) << said(opened);
    auto&       live = opened.value();
    model_state state{{live.root().value, {}}};
    for (int i = 0; i < 5; ++i) state[live.create().value().value] = {};
    ASHLAR_EXPECT_OK(live.checkpoint());
    volume.begin(digest_of(state));
    const auto note = [&](const char* name) {
        changes.begun.push_back(volume.device().calls().size());
        changes.note(digest_of(state), ~std::size_t{0}, false, name);
    };
    note("base");
    auto                     on = channel<ordered_single>::open(live, {.depth = depth}).value();
    std::vector<place>       places(depth);
    std::array<request*, 16> finished;
    while (changes.digests.size() < operations || on.in_flight() != 0) {
        while (on.in_flight() < depth && changes.digests.size() < operations && random.below(3) != 0) {
            auto& free   = *std::find_if(places.begin(), places.end(), [](const auto& one) { return !one.in_use; });
            auto  object = state.begin();
            std::advance(object, static_cast<std::ptrdiff_t>(random.below(state.size())));
            free.bytes =
                pattern(static_cast<std::size_t>(1 + random.below(random.below(4) == 0 ? 3000 : 600)), random.next());
            free.asked     = {.verb   = static_cast<request_verb>(random.below(4)),
                              .object = object_id{object->first},
                              .offset = random.below(8000),
                              .memory = free.bytes,
                              .token  = static_cast<std::uint64_t>(&free - places.data())};
            free.in_use    = true;
            free.operation = 0;
            if (free.asked.verb == request_verb::write || free.asked.verb == request_verb::put)
                model_write(object->second, free.asked.offset, free.bytes);
            if (free.asked.verb != request_verb::read) {
                free.operation = changes.digests.size();
                note(free.asked.verb == request_verb::sync ? "sync" : "put or write");
            }
            on.submit(free.asked);
        }
        orders.reap         = random.below(4);
        orders.newest_first = random.below(2) == 0;
        const auto count    = on.complete(finished, on.in_flight() != 0 ? random.below(2) : 0);
        EXPECT_TRUE(count) << said(count);
        for (std::size_t i = 0; i < count.value(); ++i) {
            auto& one  = places[static_cast<std::size_t>(finished[i]->token)];
            one.in_use = false;
            EXPECT_EQ(one.asked.failure.code, errc::none) << said(one.asked);
            if (one.operation == 0) continue;
            changes.ended[one.operation]   = volume.device().calls().size();
            changes.durable[one.operation] = one.asked.verb != request_verb::write;
        }
        if (on.in_flight() == 0 && random.below(40) == 0) ASHLAR_EXPECT_OK(live.checkpoint());
    }
    EXPECT_EQ(difference(live, state), "");
    EXPECT_EQ(findings_of(live), "");
    static_cast<void>(live.abandon());
    auto log       = volume.finish();
    log.digests    = changes.digests;
    log.ended      = changes.ended;
    log.durable    = changes.durable;
    log.names      = changes.names;
    log.begun      = changes.begun;
    log.ended[0]   = 0;
    log.durable[0] = true;
    return log;
}

TEST(ChannelCut, EveryFinishedPutIsThereAfterACutAtEachWriteAndSector) {
    for (std::uint64_t seed = 1; seed <= scaled(2); ++seed) {
        const auto log    = record_channel({}, seed, 400, 2 + 5 * seed);
        const auto states = cut_everywhere(log, {.random_max = 1, .single_max = 4, .tears_max = 8, .seed = seed});
        EXPECT_GE(log.device_writes, 100U);
        EXPECT_GT(states, log.device_writes);
        std::printf("channel: %llu writes, %llu states\n", static_cast<unsigned long long>(log.device_writes),
                    static_cast<unsigned long long>(states));
    }
}

/// The log itself can fail: a put that is said to be finished before its sync is found missing by some cut.
TEST(ChannelCut, AnAcknowledgementThatComesTooEarlyIsFound) {
    auto log = record_channel({}, 7, 120, 6);
    for (std::size_t i = 1; i < log.ended.size(); ++i) {
        if (log.durable[i]) log.ended[i] = log.begun[i];
    }
    std::uint64_t missed = 0;
    crash_states(log.calls, log.base, {log.shape.block_bytes}, {.random_max = 0, .single_max = 1, .tears_max = 0},
                 [&](const crash_point& at, std::span<std::byte> image) {
                     missed += examine(image, log, at.calls, 1).empty() ? 0U : 1U;
                     return missed == 0;
                 });
    EXPECT_EQ(missed, 1U);
}

}  // namespace
}  // namespace ashlar::test
