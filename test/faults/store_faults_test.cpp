// The n-th call of each kind fails, once and for good, for every n until the scenario is done without meeting it.

#include "faults_fixture.hpp"

#include <ashlar/defrag_policy/best_gain.hpp>

namespace ashlar::test {
namespace store_faults_test {

// Use of an unclean volume: recovery first, then operations of every kind.
// ----------------------------------------------------------

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

}  // namespace store_faults_test
}  // namespace ashlar::test
