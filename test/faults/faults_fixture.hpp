#pragma once
/// Shared by the tests of failing devices: the n-th call of each kind fails, once and for good, for every n until the
/// scenario is done without meeting it.

#include "../counts.hpp"
#include "../store/store_fixture.hpp"

#include <ashlar/testing/faulty_device.hpp>

#include <cstdio>

namespace ashlar::test {

using faulty_memory = faulty_device<memory_device>;

struct fault {
    transfer_kind kind   = transfer_kind::read;
    std::uint64_t nth    = 1;
    fault_lasts   lasts  = fault_lasts::once;
    failed_write  leaves = failed_write::left_nothing;

    [[nodiscard]] std::string text() const {
        static const char* const kinds[] = {"read", "write", "sync", "trim"};
        return std::string{" with "} + kinds[static_cast<std::size_t>(kind)] + " number " + std::to_string(nth) +
               (lasts == fault_lasts::once ? " failing once" : " and all later ones failing") +
               (leaves == failed_write::wrote_all ? ", although it wrote" : "");
    }
};

/// The states that a device may show after a failure: from the last promise on.
class candidates {
  public:
    explicit candidates(const model_state& base) { promised(base); }
    void promised(const model_state& state) {
        digests_.clear();
        possible(state);
    }
    void               possible(const model_state& state) { digests_.insert(digest_of(state)); }
    [[nodiscard]] bool hold(std::uint64_t digest) const { return digests_.count(digest) != 0; }

  private:
    std::set<std::uint64_t> digests_;
};

/// A volume, and what it holds.
struct used_volume {
    volume_shape shape{};
    byte_vector  bytes;
    model_state  state;

    void keep(memory_device& memory) { bytes.assign(memory.bytes().begin(), memory.bytes().end()); }
};

/// One that was used and not closed: opening it recovers.
template <class Store = test_store>
used_volume unclean_volume(std::uint64_t seed, volume_shape shape = {}, mixture mix = {}) {
    used_volume made;
    made.shape  = shape;
    auto memory = make_memory(made.shape);
    format_on<Store>(memory, made.shape);
    auto            live = opened_on<Store>(memory);
    scenario<Store> runs{seed, live.root(), mix};
    for (int i = 0; i < 60; ++i) {
        const auto done = runs.step(live);
        EXPECT_TRUE(done.succeeded() || done.why.code == errc::too_many_extents) << done.text();
    }
    ASHLAR_EXPECT_OK(live.sync());
    made.state = runs.state();
    static_cast<void>(live.abandon());
    made.keep(memory);
    return made;
}

/// One that was closed, whose objects lie in pieces between each other's.
template <class Store = test_store>
used_volume scattered_volume() {
    used_volume made;
    auto        memory = make_memory(made.shape);
    format_on<Store>(memory, made.shape);
    auto live                     = opened_on<Store>(memory);
    made.state[live.root().value] = {};
    std::vector<object_id> ids{live.root()};
    for (int i = 0; i < 4; ++i) ids.push_back(live.create().value());
    for (std::uint64_t round = 0; round < 8; ++round) {
        for (const auto id : ids) {
            const auto bytes = pattern(512 + 300 * (round % 3), round * 10 + id.value);
            auto&      model = made.state[id.value];
            ASHLAR_EXPECT_OK(live.write(id, model.size(), bytes));
            model_write(model, model.size(), bytes);
            ASHLAR_EXPECT_OK(live.sync());
        }
    }
    ASHLAR_EXPECT_OK(live.close());
    made.keep(memory);
    return made;
}

/// What holds for every store after its device failed and was mended: whether writing goes on is said, reads answer
/// what may be there, and opening again finds a whole volume with all that was promised.
template <class Store>
void expect_honest(Store& live, const candidates& known, const fault& planned) {
    if (live.read_only()) {
        EXPECT_EQ(code_of(live.sync()), errc::read_only) << planned.text();
        EXPECT_EQ(code_of(live.checkpoint()), errc::read_only) << planned.text();
        EXPECT_EQ(code_of(live.write(live.root(), 0, pattern(3, 3))), errc::read_only) << planned.text();
        EXPECT_EQ(code_of(live.begin()), errc::read_only) << planned.text();
        EXPECT_EQ(code_of(live.trim({8})), errc::read_only) << planned.text();
        EXPECT_NE(live.info().failure.code, errc::none) << planned.text();
    }
    const auto seen = digest_on(live);
    EXPECT_TRUE(seen) << "reads go on: " << said(seen) << planned.text();
    if (seen) { EXPECT_TRUE(known.hold(seen.value())) << "what is read was never written" << planned.text(); }
    const errc ended = live.read_only() ? errc::read_only : errc::none;
    if (planned.nth % 2 == 0) {
        EXPECT_EQ(code_of(live.close()), ended) << planned.text();
    } else {
        static_cast<void>(live.abandon());
    }
}

template <class Store = test_store>
void expect_whole_after(memory_device& memory, const candidates& known, const fault& planned) {
    auto       live  = opened_on<Store>(memory);
    const auto found = digest_on(live);
    EXPECT_TRUE(found) << said(found) << planned.text();
    if (found) { EXPECT_TRUE(known.hold(found.value())) << "something acknowledged is lost" << planned.text(); }
    EXPECT_EQ(findings_of(live), "") << planned.text();
    static_cast<void>(live.abandon());
}

/// Runs `scene(device, planned)` with each fault of a kind, on copies of one volume. It answers what may be there
/// afterwards, with the device mended. Nothing is left out: n grows until no fault of that number is met.
template <class Store = test_store, class Scene>
void fail_each(transfer_kind kind, const used_volume& base, Scene&& scene) {
    auto          memory = make_memory(base.shape);
    std::uint64_t runs = 0, met = 1;
    for (std::uint64_t nth = 1; met != 0 && !testing::Test::HasFailure(); ++nth) {
        met = 0;
        for (const auto lasts : {fault_lasts::once, fault_lasts::for_good}) {
            for (const auto leaves : {failed_write::left_nothing, failed_write::wrote_all}) {
                if (kind != transfer_kind::write && leaves == failed_write::wrote_all) continue;
                std::memcpy(memory.bytes().data(), base.bytes.data(), base.bytes.size());
                faulty_memory device{memory};
                const fault   planned{kind, nth, lasts, leaves};
                device.failing_writes(leaves);
                device.fail(kind, nth, lasts);
                const candidates known = scene(device, planned);
                met += device.failures() != 0 ? 1U : 0U;
                expect_whole_after<Store>(memory, known, planned);
            }
        }
        runs += met;
    }
    EXPECT_GT(runs, 0U);
    std::printf("%llu runs with a fault\n", static_cast<unsigned long long>(runs));
    count("fault runs", runs);
}

/// Use of an unclean volume: recovery first, then operations of every kind.
template <class Store = test_store>
candidates use(faulty_memory& device, const used_volume& base, std::uint64_t seed, const fault& planned,
               mixture mix = {}, std::uint64_t steps = 100) {
    candidates known{base.state};
    auto       opened = Store::open(any_device{device}, with<Store>());
    if (!opened) {
        EXPECT_EQ(opened.error().code, errc::device_failed) << planned.text();
        EXPECT_GT(device.failures(), 0U) << planned.text();
        device.fail(planned.kind, 0);
        return known;
    }
    auto            live = std::move(opened).value();
    scenario<Store> runs{seed, live.root(), mix};
    runs.restore(base.state);
    for (std::uint64_t i = 0; i < steps && !live.read_only(); ++i) {
        const auto done = runs.step(live);
        if (done.why.code == errc::none) {
            EXPECT_FALSE(done.durable && live.read_only())
                << "nothing is acknowledged after a failure" << planned.text();
            done.durable ? known.promised(runs.state()) : known.possible(runs.state());
            continue;
        }
        if (done.why.code == errc::too_many_extents) continue;  // an inline map is full: no fault, and nothing changed
        EXPECT_GT(device.failures(), 0U) << done.what << " failed without a fault" << planned.text();
        known.possible(runs.attempted());
        if (!live.read_only()) { EXPECT_NE(done.why.code, errc::read_only) << planned.text(); }
    }
    if (planned.kind == transfer_kind::sync && device.failures() != 0) {
        EXPECT_TRUE(live.read_only()) << "nobody knows what a failed sync left" << planned.text();
    }
    device.fail(planned.kind, 0);
    expect_honest(live, known, planned);
    return known;
}

}  // namespace ashlar::test
