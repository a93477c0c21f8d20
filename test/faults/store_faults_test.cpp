// The n-th call of each kind fails, once and for good, for every n until the scenario is done without meeting it.

#include "../counts.hpp"
#include "../store/store_fixture.hpp"

#include <ashlar/defrag_policy/best_gain.hpp>
#include <ashlar/testing/faulty_device.hpp>

#include <cstdio>

namespace ashlar::test {
namespace {

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
used_volume unclean_volume(std::uint64_t seed) {
    used_volume made;
    auto        memory = make_memory(made.shape);
    format_on(memory, made.shape);
    auto                 live = opened_on(memory);
    scenario<test_store> runs{seed, live.root()};
    for (int i = 0; i < 60; ++i) EXPECT_EQ(runs.step(live).why.code, errc::none);
    ASHLAR_EXPECT_OK(live.sync());
    made.state = runs.state();
    static_cast<void>(live.abandon());
    made.keep(memory);
    return made;
}

/// One that was closed, whose objects lie in pieces between each other's.
used_volume scattered_volume() {
    used_volume made;
    auto        memory = make_memory(made.shape);
    format_on(memory, made.shape);
    auto live                     = opened_on(memory);
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

void expect_whole_after(memory_device& memory, const candidates& known, const fault& planned) {
    auto       live  = opened_on(memory);
    const auto found = digest_on(live);
    EXPECT_TRUE(found) << said(found) << planned.text();
    if (found) { EXPECT_TRUE(known.hold(found.value())) << "something acknowledged is lost" << planned.text(); }
    EXPECT_EQ(findings_of(live), "") << planned.text();
    static_cast<void>(live.abandon());
}

/// Runs `scene(device, planned)` with each fault of a kind, on copies of one volume. It answers what may be there
/// afterwards, with the device mended. Nothing is left out: n grows until no fault of that number is met.
template <class Scene>
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
                expect_whole_after(memory, known, planned);
            }
        }
        runs += met;
    }
    EXPECT_GT(runs, 0U);
    std::printf("%llu runs with a fault\n", static_cast<unsigned long long>(runs));
    count("fault runs", runs);
}

// Use of an unclean volume: recovery first, then operations of every kind.
// ----------------------------------------------------------

candidates use(faulty_memory& device, const used_volume& base, std::uint64_t seed, const fault& planned) {
    candidates known{base.state};
    auto       opened = test_store::open(any_device{device}, with());
    if (!opened) {
        EXPECT_EQ(opened.error().code, errc::device_failed) << planned.text();
        EXPECT_GT(device.failures(), 0U) << planned.text();
        device.fail(planned.kind, 0);
        return known;
    }
    auto                 live = std::move(opened).value();
    scenario<test_store> runs{seed, live.root()};
    runs.restore(base.state);
    for (std::uint64_t i = 0; i < 100 && !live.read_only(); ++i) {
        const auto done = runs.step(live);
        if (done.why.code == errc::none) {
            EXPECT_FALSE(done.durable && live.read_only())
                << "nothing is acknowledged after a failure" << planned.text();
            done.durable ? known.promised(runs.state()) : known.possible(runs.state());
            continue;
        }
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

void use_with_each(transfer_kind kind) {
    for (std::uint64_t seed = 5; seed < 5 + scaled(8); ++seed) {
        const auto base = unclean_volume(seed);
        fail_each(kind, base,
                  [&](faulty_memory& device, const fault& planned) { return use(device, base, 70 + seed, planned); });
    }
}

TEST(StoreFaults, EachWriteMayFailOnceOrForGood) { use_with_each(transfer_kind::write); }
TEST(StoreFaults, EachSyncMayFailOnceOrForGood) { use_with_each(transfer_kind::sync); }
TEST(StoreFaults, EachReadMayFailOnceOrForGood) { use_with_each(transfer_kind::read); }

// A defragmentation changes no byte, whatever fails.
// --------------------------------------------------------------------------------

struct gaining : test_blueprint<> {
    using defrag = best_gain;
};
using gaining_store = store<gaining>;

candidates defragment(faulty_memory& device, const used_volume& base, const fault& planned) {
    const candidates known{base.state};
    auto             chosen = with<gaining_store>();
    chosen.defrag           = eager_defragmenter();
    auto opened             = gaining_store::open(any_device{device}, chosen);
    if (!opened) {
        EXPECT_EQ(opened.error().code, errc::device_failed) << planned.text();
        device.fail(planned.kind, 0);
        return known;
    }
    auto live = std::move(opened).value();
    live.defragmenter().start_pass();
    for (int i = 0; i < 200 && !live.read_only(); ++i) {
        const auto now = live.defragment({.blocks_max = 16, .candidates_max = 16});
        if (now.reasons.has(stop_reason::finished) || now.reasons.has(stop_reason::nothing_to_gain)) break;
    }
    if (const auto done = live.sync(); !done) { EXPECT_GT(device.failures(), 0U) << said(done) << planned.text(); }
    if (device.failures() == 0) { EXPECT_GT(live.defragmenter().lifetime().moves, 3U) << "nothing to move"; }
    device.fail(planned.kind, 0);
    expect_honest(live, known, planned);
    return known;
}

void defragment_with_each(transfer_kind kind) {
    const auto base = scattered_volume();
    fail_each(kind, base,
              [&](faulty_memory& device, const fault& planned) { return defragment(device, base, planned); });
}

TEST(StoreFaults, EachWriteOfADefragmentationMayFail) { defragment_with_each(transfer_kind::write); }
TEST(StoreFaults, EachSyncOfADefragmentationMayFail) { defragment_with_each(transfer_kind::sync); }
TEST(StoreFaults, EachReadOfADefragmentationMayFail) { defragment_with_each(transfer_kind::read); }

// A trim pass: what failed is not noted, what holds data is not touched.
// ------------------------------------------------------------

candidates trim(faulty_memory& device, const used_volume& base, const fault& planned) {
    candidates known{base.state};
    auto       opened = test_store::open(any_device{device}, with());
    if (!opened) {
        EXPECT_EQ(opened.error().code, errc::device_failed) << planned.text();
        device.fail(planned.kind, 0);
        return known;
    }
    auto  live = std::move(opened).value();
    auto  now  = base.state;
    auto& root = now[live.root().value];
    // Two rounds, with a change between them that frees some blocks and uses others.
    for (std::uint64_t round = 0; round < 2 && !live.read_only(); ++round) {
        for (int i = 0; i < 100 && !live.read_only(); ++i) {
            const auto done = live.trim({100});
            if (!done) {
                EXPECT_GT(device.failures(), 0U) << said(done) << planned.text();
                if (planned.kind == transfer_kind::trim) {
                    EXPECT_FALSE(live.read_only()) << "a trim that fails is no reason to end" << planned.text();
                }
                if (planned.lasts == fault_lasts::for_good) break;
            } else if (done.value().finished) {
                break;
            }
        }
        const auto bytes = pattern(900, round + 1);
        const auto done  = live.write(live.root(), 100, bytes);
        auto       after = now;
        model_write(after[live.root().value], 100, bytes);
        known.possible(after);
        if (done) model_write(root, 100, bytes);
        if (live.sync()) known.promised(now);
    }
    if (planned.kind == transfer_kind::sync && device.failures() != 0) {
        EXPECT_TRUE(live.read_only()) << planned.text();
    }
    device.fail(planned.kind, 0);
    expect_honest(live, known, planned);
    return known;
}

void trim_with_each(transfer_kind kind) {
    const auto base = scattered_volume();
    fail_each(kind, base, [&](faulty_memory& device, const fault& planned) { return trim(device, base, planned); });
}

TEST(StoreFaults, EachTrimMayFail) { trim_with_each(transfer_kind::trim); }
TEST(StoreFaults, EachWriteOfATrimPassMayFail) { trim_with_each(transfer_kind::write); }
TEST(StoreFaults, EachSyncOfATrimPassMayFail) { trim_with_each(transfer_kind::sync); }
TEST(StoreFaults, EachReadOfATrimPassMayFail) { trim_with_each(transfer_kind::read); }

// A failed sync, and what it means.
// -------------------------------------------------------------------------------------------------

TEST(StoreFaults, AFailedSyncMakesTheStoreReadOnlyUntilItIsOpenedAgain) {
    const volume_shape shape{};
    auto               memory = make_memory(shape);
    format_on(memory, shape);
    faulty_memory device{memory};
    auto          live = opened_on(device);
    ASHLAR_ASSERT_OK(live.put(live.root(), 0, pattern(1000, 1)));
    ASHLAR_ASSERT_OK(live.write(live.root(), 1000, pattern(1000, 2)));
    device.fail(transfer_kind::sync, 1);
    EXPECT_EQ(code_of(live.sync()), errc::device_failed);
    // The device is well again, and still nothing is retried as though it were only late.
    for (int i = 0; i < 3; ++i) {
        EXPECT_TRUE(live.read_only());
        EXPECT_EQ(code_of(live.sync()), errc::read_only);
        EXPECT_EQ(code_of(live.create()), errc::read_only);
        EXPECT_EQ(code_of(live.maintain()), errc::read_only);
    }
    const auto calls = device.calls(transfer_kind::write) + device.calls(transfer_kind::sync);
    EXPECT_EQ(code_of(live.close()), errc::read_only);
    EXPECT_EQ(device.calls(transfer_kind::write) + device.calls(transfer_kind::sync), calls)
        << "nothing is written after that, not even by close";
    auto        again = opened_on(device);
    byte_vector found(2000);
    const auto  read = again.read(again.root(), 0, std::span<std::byte>{found});
    ASHLAR_ASSERT_OK(read);
    EXPECT_TRUE(read.value() == 1000 || read.value() == 2000) << "what was promised is there, the rest is or is not";
    ASHLAR_EXPECT_OK(again.put(again.root(), 0, pattern(100, 3)));
    EXPECT_EQ(findings_of(again), "");
}

// Making a volume.
// ------------------------------------------------------------------------------------------------------------------

TEST(StoreFaults, AFormatThatFailsSaysSoAndCanBeRepeated) {
    const volume_shape shape{.blocks = 700, .journal_blocks = 64};
    std::uint64_t      runs = 0;
    for (const auto kind : {transfer_kind::read, transfer_kind::write, transfer_kind::sync}) {
        for (std::uint64_t nth = 1;; ++nth) {
            auto          memory = make_memory(shape);
            faulty_memory device{memory};
            device.fail(kind, nth);
            any_device any{device};
            const auto done = test_store::format(any, shape.format());
            if (device.failures() == 0) break;
            ++runs;
            if (kind == transfer_kind::read) {
                ASHLAR_EXPECT_OK(done);  // a read is tried again
                continue;
            }
            EXPECT_EQ(code_of(done), errc::device_failed) << fault{kind, nth}.text();
            if (const auto half = test_store::open_read_only(any_device{memory}, with()); !half) {
                EXPECT_EQ(code_of(half), errc::not_a_volume) << fault{kind, nth}.text();
            } else {  // all but the superblock's second copy is there
                auto live = opened_on(memory);
                EXPECT_EQ(findings_of(live), "") << fault{kind, nth}.text();
            }
            auto again      = shape.format();
            again.overwrite = true;
            any_device whole{memory};
            ASHLAR_EXPECT_OK(test_store::format(whole, again));
            auto live = opened_on(memory);
            EXPECT_EQ(findings_of(live), "") << fault{kind, nth}.text();
        }
    }
    EXPECT_GT(runs, 20U);
    count("fault runs", runs);
}

TEST(StoreFaults, ADeviceThatCannotBeReadIsNotTakenForAnEmptyOne) {
    const volume_shape shape{.blocks = 700, .journal_blocks = 64};
    auto               memory = make_memory(shape);
    format_on(memory, shape);
    faulty_memory device{memory};
    device.fail(transfer_kind::read, 1, fault_lasts::for_good);
    EXPECT_EQ(code_of(test_store::open(any_device{device}, with())), errc::device_failed);
    any_device any{device};
    EXPECT_EQ(code_of(test_store::format(any, shape.format(2))), errc::device_failed)
        << "a volume that cannot be read now is still one";
    device.heal();
    auto live = opened_on(device);
    EXPECT_EQ(findings_of(live), "");
}

}  // namespace
}  // namespace ashlar::test
