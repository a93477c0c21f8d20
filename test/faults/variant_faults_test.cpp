// Stores of other parts than the usual ones, on a device that fails at any call.

#include "faults_fixture.hpp"

#include <ashlar/allocator/bitmap_allocator.hpp>
#include <ashlar/checksum/no_checksum.hpp>
#include <ashlar/hosted/multi_threaded.hpp>
#include <ashlar/journal/no_journal.hpp>

namespace ashlar::test {
namespace variant_faults_test {

/// What each store does: everything, and often what it does for itself.
mixture busy_mixture() {
    mixture mix;
    mix.checkpoint = 3;
    mix.maintain   = 6;
    mix.trim       = 6;
    mix.bytes_max  = 2000;
    return mix;
}
constexpr std::uint64_t steps = 36;

// Stores with a journal.
// ----------------------------------------------------------------------------------------------------------------

struct bare : test_blueprint<no_checksum, inline_map> {
    using allocator = bitmap_allocator;
};
struct threaded : test_blueprint<> {
    using threading = multi_threaded;
};

template <class Store>
class VariantFaults : public testing::Test {
  protected:
    void use_with_each(transfer_kind kind) {
        for (std::uint64_t seed = 11; seed < 11 + scaled(3); ++seed) {
            const auto base = unclean_volume<Store>(seed, {.blocks = 1100, .journal_blocks = 64}, busy_mixture());
            fail_each<Store>(kind, base, [&](faulty_memory& device, const fault& planned) {
                return use<Store>(device, base, 70 + seed, planned, busy_mixture(), steps);
            });
        }
    }
};
using variants = testing::Types<store<bare>, store<threaded>>;
TYPED_TEST_SUITE(VariantFaults, variants);

TYPED_TEST(VariantFaults, EachWriteMayFail) { this->use_with_each(transfer_kind::write); }
TYPED_TEST(VariantFaults, EachSyncMayFail) { this->use_with_each(transfer_kind::sync); }
TYPED_TEST(VariantFaults, EachReadMayFail) { this->use_with_each(transfer_kind::read); }
TYPED_TEST(VariantFaults, EachTrimMayFail) { this->use_with_each(transfer_kind::trim); }

// A store without a journal: it promises something only when it is closed.
// ----------------------------------------------------------------------------------------------------------------

using scratch_store = store<test_blueprint<xxh3, inline_map, no_journal>>;

TEST(ScratchFaults, AfterAFaultAStoreWithoutAJournalIsUncleanOrWhole) {
    const volume_shape shape{.blocks = 700, .journal_blocks = 64};
    used_volume        base;
    base.shape  = shape;
    auto memory = make_memory(shape);
    format_on<scratch_store>(memory, shape);
    {
        auto live = opened_on<scratch_store>(memory);
        ASHLAR_ASSERT_OK(live.write(live.root(), 0, pattern(2000, 1)));
        base.state[live.root().value] = pattern(2000, 1);
        ASHLAR_ASSERT_OK(live.close());
    }
    base.keep(memory);
    std::uint64_t runs = 0, unclean = 0;
    for (const auto kind : {transfer_kind::read, transfer_kind::write, transfer_kind::sync, transfer_kind::trim}) {
        for (const auto lasts : {fault_lasts::once, fault_lasts::for_good}) {
            for (std::uint64_t nth = 1;; ++nth) {
                std::memcpy(memory.bytes().data(), base.bytes.data(), base.bytes.size());
                faulty_memory device{memory};
                const fault   planned{kind, nth, lasts};
                device.fail(kind, nth, lasts);
                auto state  = base.state;
                bool closed = false;
                auto opened = scratch_store::open(any_device{device}, with<scratch_store>());
                if (opened) {
                    auto&                   live = opened.value();
                    scenario<scratch_store> operations{nth, live.root(), busy_mixture()};
                    operations.restore(state);
                    for (std::uint64_t i = 0; i < steps && !live.read_only(); ++i) {
                        const auto done = operations.step(live);
                        EXPECT_EQ(done.wrong, nullptr) << done.text() << planned.text();
                        if (!done.succeeded() && done.why.code != errc::too_many_extents) {
                            EXPECT_GT(device.failures(), 0U) << done.text() << planned.text();
                        }
                    }
                    if (!live.read_only() && kind != transfer_kind::read) {
                        EXPECT_EQ(difference(live, operations.state()), "") << planned.text();
                    }
                    const auto ended = live.close();
                    if (!ended) { EXPECT_GT(device.failures(), 0U) << planned.text(); }
                    closed = ended.has_value();
                    state  = operations.state();
                } else {
                    EXPECT_EQ(code_of(opened), errc::device_failed) << planned.text();
                }
                const bool met = device.failures() != 0;
                runs += met ? 1U : 0U;
                auto again = scratch_store::open(any_device{memory}, with<scratch_store>());
                if (again) {
                    EXPECT_EQ(difference(again.value(), state), "") << planned.text();
                    EXPECT_EQ(findings_of(again.value()), "") << planned.text();
                    static_cast<void>(again.value().abandon());
                } else {
                    EXPECT_EQ(code_of(again), errc::unclean) << planned.text();
                    EXPECT_FALSE(closed) << "what was closed can be opened" << planned.text();
                    ++unclean;
                }
                if (!met || HasFailure()) break;
            }
        }
    }
    EXPECT_GT(unclean, 50U);
    count("fault runs", runs);
}

// A format of any shape.
// ----------------------------------------------------------------------------------------------------------------

template <class Store>
void fail_format(const volume_shape& shape) {
    std::uint64_t runs   = 0;
    auto          memory = make_memory(shape);
    for (const auto kind : {transfer_kind::read, transfer_kind::write, transfer_kind::sync}) {
        for (std::uint64_t nth = 1;; ++nth) {
            std::memset(memory.bytes().data(), 0, memory.bytes().size());
            faulty_memory device{memory};
            const fault   planned{kind, nth, fault_lasts::for_good};
            device.fail(kind, nth, fault_lasts::for_good);
            any_device any{device};
            const auto done = Store::format(any, shape.format());
            if (device.failures() == 0) {
                ASHLAR_EXPECT_OK(done);
                break;
            }
            ++runs;
            EXPECT_EQ(code_of(done), errc::device_failed) << planned.text();
            device.heal();
            const auto half = Store::open_read_only(any_device{memory}, with<Store>());
            if (!half) { EXPECT_EQ(code_of(half), errc::not_a_volume) << planned.text(); }
            auto again      = shape.format();
            again.overwrite = true;
            ASHLAR_EXPECT_OK(Store::format(any, again));
            if (nth % 8 != 1) continue;
            auto live = opened_on<Store>(memory);
            EXPECT_EQ(findings_of(live), "") << planned.text();
        }
    }
    EXPECT_GT(runs, 20U);
    count("fault runs", runs);
}

TEST(FormatFaults, EachCallOfAFormatMayFail) {
    // Tables that fill a group and begin another; several blocks of group records.
    fail_format<test_store>({.blocks = 16'200, .journal_blocks = 3900});
    fail_format<store<bare>>({.block_bytes = 4096, .blocks = 400, .journal_blocks = 64});
    fail_format<scratch_store>({.blocks = 700, .journal_blocks = 64});
}

}  // namespace variant_faults_test
}  // namespace ashlar::test
