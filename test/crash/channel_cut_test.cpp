#include "../channel/channel_fixture.hpp"
#include "crash_fixture.hpp"

namespace ashlar::test {
namespace channel_cut_test {

/// Changes through a channel, several in flight, in the order in which they join; each finished put and sync promised
/// itself and everything before.
crash_recording record_channel(const crash_setup<crash_store>& setup, std::uint64_t seed, std::size_t operations,
                               std::size_t depth) {
    struct place {
        request     asked;
        byte_vector bytes;
        std::size_t operation = 0;
        bool        in_use    = false;
    };
    random_bits      random{seed};
    queue_orders     orders;
    memory_device    memory = std::move(memory_device::create(setup.block, setup.blocks).value());
    order_checker    checker{memory};
    recording_device device{checker};
    any_device       top{device};
    ASHLAR_EXPECT_OK(setup.format_on(top));
    auto opened =
        store<ordered_single>::open(ordered_device{device, orders}, with<store<ordered_single>>(small_limits()));
    EXPECT_TRUE(opened) << said(opened);
    auto&       live = opened.value();
    model_state state{{live.root().value, {}}};
    for (int i = 0; i < 5; ++i) state[live.create().value().value] = {};
    ASHLAR_EXPECT_OK(live.checkpoint());
    device.forget();
    crash_recording log{
        .size = setup.block, .base = {}, .calls = {}, .history = store_history{digest_of(state)}, .findings = {}};
    log.base.assign(memory.bytes().begin(), memory.bytes().end());

    auto                     on = channel<ordered_single>::open(live, {.depth = depth}).value();
    std::vector<place>       places(depth);
    std::array<request*, 16> finished;
    while (log.history.moments().size() < operations || on.in_flight() != 0) {
        while (on.in_flight() < depth && log.history.moments().size() < operations && random.below(3) != 0) {
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
                free.operation = log.history.begin(digest_of(state), device.calls().size(),
                                                   free.asked.verb == request_verb::sync ? "sync" : "put or write");
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
            if (one.operation != 0)
                log.history.end(one.operation, device.calls().size(), one.asked.verb != request_verb::write);
        }
        if (on.in_flight() == 0 && random.below(40) == 0) ASHLAR_EXPECT_OK(live.checkpoint());
    }
    EXPECT_EQ(difference(live, state), "");
    EXPECT_EQ(findings_of(live), "");
    static_cast<void>(live.abandon());
    expect_order(checker);
    EXPECT_GT(checker.checks().batches, 0U);
    log.calls = device.calls();
    return log;
}

TEST(ChannelCut, EveryFinishedPutIsThereAfterACutAtEachWriteAndSector) {
    for (std::uint64_t seed = 1; seed <= scaled(2); ++seed) {
        const auto       setup = setup_of();
        const crash_plan plan{.effort     = {.random_max = 1, .single_max = 4, .tears_max = 8, .seed = seed},
                              .states     = part_of_states(),
                              .recoveries = {.one_in = 400}};
        const auto       log = record_channel(setup, seed, 400, 2 + 5 * seed);
        EXPECT_GE(log.writes(), 100U);
        expect_whole("channel", crash_cutter<crash_store>{setup, plan}.cut(log));
    }
}

/// The history itself can fail: a put that is said to be finished before its sync is found missing by some cut.
TEST(ChannelCut, AnAcknowledgementThatComesTooEarlyIsFound) {
    const auto setup = setup_of();
    auto       log   = record_channel(setup, 7, 120, 6);
    for (auto& one : log.history.moments()) {
        if (one.durable) one.ended = one.began;
    }
    const crash_plan plan{.effort = {.random_max = 0, .single_max = 1, .tears_max = 0}, .findings_max = 1};
    const auto       report = crash_cutter<crash_store>{setup, plan}.cut(log);
    ASSERT_EQ(report.findings.size(), 1U);
    EXPECT_NE(report.findings.front().find("it holds"), std::string::npos) << report.findings.front();
}

}  // namespace channel_cut_test
}  // namespace ashlar::test
