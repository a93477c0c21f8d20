// A journal that refuses a call, whatever its reason: nothing of the batch counts, and writing ends.

#include "faults_fixture.hpp"

namespace ashlar::test {
namespace journal_faults_test {

/// The usual journal, of which one call fails, and with it all that would follow.
class fragile_journal : public ring_journal {
  public:
    static inline std::uint64_t fails_at = 0;  ///< Counted from 1; 0: none fails.
    static inline std::uint64_t calls    = 0;

    static void arm(std::uint64_t nth) {
        fails_at = nth;
        calls    = 0;
    }
    [[nodiscard]] static bool failed() noexcept { return fails_at != 0 && calls >= fails_at; }

    result<> attach(journal_place place, block_size size, std::span<std::byte> memory) noexcept {
        BOOST_OUTCOME_TRY(called());
        return ring_journal::attach(place, size, memory);
    }
    template <BlockDevice D>
    result<> format(D& device, anchor_totals totals) noexcept {
        BOOST_OUTCOME_TRY(called());
        return ring_journal::format(device, totals);
    }
    template <BlockDevice D>
    result<> begin(D& device, batch_shape shape) noexcept {
        BOOST_OUTCOME_TRY(called());
        return ring_journal::begin(device, shape);
    }
    template <BlockDevice D>
    result<> data(D& device, block_index block, std::uint64_t checksum) noexcept {
        BOOST_OUTCOME_TRY(called());
        return ring_journal::data(device, block, checksum);
    }
    template <BlockDevice D>
    result<> entry(D& device, block_index target, std::uint32_t offset, std::span<const std::byte> bytes) noexcept {
        BOOST_OUTCOME_TRY(called());
        return ring_journal::entry(device, target, offset, bytes);
    }
    template <BlockDevice D>
    result<sequence> seal(D& device) noexcept {
        BOOST_OUTCOME_TRY(called());
        return ring_journal::seal(device);
    }
    template <BlockDevice D>
    result<sequence> seal_unwritten(D& device, ring_writes& left) noexcept {
        BOOST_OUTCOME_TRY(called());
        return ring_journal::seal_unwritten(device, left);
    }
    template <BlockDevice D>
    result<> anchor(D& device, sequence tail, anchor_totals totals) noexcept {
        BOOST_OUTCOME_TRY(called());
        return ring_journal::anchor(device, tail, totals);
    }
    template <BlockDevice D, class Data>
    result<recovery_report> recover(D& device, Data& data, bool read_only) noexcept {
        BOOST_OUTCOME_TRY(called());
        return ring_journal::recover(device, data, read_only);
    }
    template <BlockDevice D, class Sink>
    result<> replay(D& device, Sink& sink) noexcept {
        BOOST_OUTCOME_TRY(called());
        return ring_journal::replay(device, sink);
    }

  private:
    static result<> called() noexcept {
        ++calls;
        if (failed()) return error{errc::journal_full, {}, 42};
        return success();
    }
};
static_assert(Journal<fragile_journal>);

using fragile_store = store<test_blueprint<xxh3, extent_tree, fragile_journal>>;

class JournalFaults : public testing::Test {
  protected:
    ~JournalFaults() override { fragile_journal::arm(0); }
};

TEST_F(JournalFaults, EachCallMayFailAndNothingMoreIsAcknowledged) {
    const auto    base   = unclean_volume<fragile_store>(3);
    auto          memory = make_memory(base.shape);
    std::uint64_t runs = 0, refused = 0;
    for (std::uint64_t nth = 1; !HasFailure(); ++nth) {
        const auto why = " with call " + std::to_string(nth) + " of the journal";
        std::memcpy(memory.bytes().data(), base.bytes.data(), base.bytes.size());
        candidates known{base.state};
        fragile_journal::arm(nth);
        auto opened = fragile_store::open(any_device{memory}, with<fragile_store>());
        if (!opened) {
            EXPECT_EQ(opened.error().os_code, 42) << why;
            ++refused;
        } else {
            auto&                   live = opened.value();
            mixture                 mix{.checkpoint = 3, .maintain = 6, .trim = 6};
            scenario<fragile_store> operations{9, live.root(), mix};
            operations.restore(base.state);
            for (int i = 0; i < 12 && !live.read_only(); ++i) {
                const auto done = operations.step(live);
                EXPECT_EQ(done.wrong, nullptr) << done.text() << why;
                if (done.why.code == errc::none) {
                    EXPECT_FALSE(done.durable && fragile_journal::failed()) << done.what << why;
                    done.durable ? known.promised(operations.state()) : known.possible(operations.state());
                    continue;
                }
                EXPECT_TRUE(fragile_journal::failed()) << done.text() << why;
                known.possible(operations.attempted());
            }
            if (live.read_only()) {
                EXPECT_TRUE(fragile_journal::failed()) << why;
                EXPECT_EQ(code_of(live.sync()), errc::read_only) << why;
                EXPECT_EQ(live.info().failure.os_code, 42) << why;
            }
            const auto seen = digest_on(live);
            ASSERT_TRUE(seen) << said(seen) << why;
            EXPECT_TRUE(known.hold(seen.value())) << why;
            const auto closed = live.close();
            if (fragile_journal::failed()) { EXPECT_TRUE(closed.has_error()) << why; }
            known.possible(operations.state());
        }
        const bool met = fragile_journal::failed();
        fragile_journal::arm(0);
        expect_whole_after<fragile_store>(memory, known, {});
        if (!met) break;
        ++runs;
    }
    EXPECT_GE(refused, 5U) << "attach, recover, replay twice, anchor";
    EXPECT_GT(runs, 40U);
    count("fault runs", runs);
}

TEST_F(JournalFaults, AFormatWhoseJournalFailsMakesNoVolume) {
    for (std::uint64_t nth = 1; nth <= 2; ++nth) {
        auto       memory = make_memory({});
        any_device device{memory};
        fragile_journal::arm(nth);
        EXPECT_EQ(fragile_store::format(device, volume_shape{}.format()).error().os_code, 42);
        fragile_journal::arm(0);
        EXPECT_EQ(code_of(fragile_store::open(device, with<fragile_store>())), errc::not_a_volume);
    }
}

}  // namespace journal_faults_test
}  // namespace ashlar::test
