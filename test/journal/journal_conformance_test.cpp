#include "journal_fixture.hpp"

#include <ashlar/testing/journal_conformance.hpp>

namespace ashlar::test {
namespace journal_conformance_test {

TEST(JournalConformance, TheRingJournalKeepsEveryPromiseAtEveryBlockSize) {
    for (const std::uint32_t bytes : {512U, 4096U, 65536U}) {
        const journal_shape shape{.block_bytes = bytes};
        auto                device = make_device(shape);
        const auto          broken = journal_conformance<ring_journal>(device, shape.place());
        EXPECT_TRUE(broken.empty()) << bytes << ": " << (broken.empty() ? "" : broken.front());
    }
}

/// Loses the tail that it is asked to keep.
struct forgetful_journal : ring_journal {
    template <BlockDevice D>
    result<> anchor(D& device, sequence, anchor_totals totals) noexcept {
        return ring_journal::anchor(device, next(), totals);
    }
};
/// Says that it is closed and writes nothing.
struct unclosed_journal : ring_journal {
    template <BlockDevice D>
    result<> close(D&, anchor_totals) noexcept {
        return success();
    }
};
/// Hands out entries that are not whole.
struct clipping_journal : ring_journal {
    template <BlockDevice D, class Sink>
    result<> replay(D& device, Sink& sink) noexcept {
        auto clipped = [&](sequence s, block_index target, std::uint32_t offset,
                           std::span<const std::byte> bytes) noexcept {
            return sink(s, target, offset, bytes.first(bytes.size() - 1));
        };
        return ring_journal::replay(device, clipped);
    }
};
/// Writes although it was told not to.
struct eager_journal : ring_journal {
    template <BlockDevice D, class Data>
    result<recovery_report> recover(D& device, Data& data, bool) noexcept {
        return ring_journal::recover(device, data, false);
    }
};
/// Never looks at the data.
struct trusting_journal : ring_journal {
    struct yes {
        result<bool> matches(block_index, std::uint64_t) noexcept { return true; }
        result<>     repeat(block_index) noexcept { return success(); }
    };
    template <BlockDevice D, class Data>
    result<recovery_report> recover(D& device, Data&, bool read_only) noexcept {
        yes all;
        return ring_journal::recover(device, all, read_only);
    }
};

/// Breaks a promise from the n-th time on that it is asked to keep it, or fails a call.
struct lying_journal : ring_journal {
    enum class lie : std::uint8_t {
        none,
        fails,  ///< The n-th call that can; that one alone.
        room,
        capacity,
        both,  ///< Room and capacity, by as much.
        next,
        acknowledged,
        confirmed,
        confirms_itself,
        epoch,
        tail,
        needs_nothing,
        was_clean,
        last,
        free_blocks,
        modified,
        batches_cut,
        replays_nothing,
        replays_more,
        sealed,
    };
    static inline lie           kind  = lie::none;
    static inline std::uint64_t from  = 0;
    static inline std::uint64_t asked = 0;

    static void tell(lie chosen, std::uint64_t nth) { kind = chosen, from = nth, asked = 0; }
    static bool due(lie one) noexcept { return kind == one && ++asked >= from; }
    static bool fails() noexcept { return kind == lie::fails && ++asked == from; }

    result<> attach(journal_place place, block_size size, std::span<std::byte> memory) noexcept {
        return fails() ? result<>{errc::device_failed} : ring_journal::attach(place, size, memory);
    }
    template <BlockDevice D>
    result<> format(D& device, anchor_totals totals) noexcept {
        return fails() ? result<>{errc::device_failed} : ring_journal::format(device, totals);
    }
    template <BlockDevice D>
    result<> begin(D& device, batch_shape shape) noexcept {
        if (broken) return errc::read_only;
        return fails() ? result<>{errc::device_failed} : ring_journal::begin(device, shape);
    }
    template <BlockDevice D>
    result<> data(D& device, block_index block, std::uint64_t checksum) noexcept {
        return fails() ? fail_in_a_batch() : ring_journal::data(device, block, checksum);
    }
    template <BlockDevice D>
    result<> entry(D& device, block_index target, std::uint32_t offset, std::span<const std::byte> bytes) noexcept {
        return fails() ? fail_in_a_batch() : ring_journal::entry(device, target, offset, bytes);
    }
    template <BlockDevice D>
    result<sequence> seal(D& device) noexcept {
        if (fails()) return fail_in_a_batch().error();
        auto done = ring_journal::seal(device);
        if (done && due(lie::sealed)) ++done.value().value;
        return done;
    }
    template <BlockDevice D>
    result<> anchor(D& device, sequence tail, anchor_totals totals) noexcept {
        if (broken) return errc::read_only;
        const auto known = std::min(tail, ring_journal::next());
        return fails() ? result<>{errc::device_failed} : ring_journal::anchor(device, known, totals);
    }
    template <BlockDevice D>
    result<> close(D& device, anchor_totals totals) noexcept {
        if (broken) return errc::read_only;
        return fails() ? result<>{errc::device_failed} : ring_journal::close(device, totals);
    }
    template <BlockDevice D, class Data>
    result<recovery_report> recover(D& device, Data& data, bool read_only) noexcept {
        if (fails()) return errc::device_failed;
        auto report = ring_journal::recover(device, data, read_only);
        if (!report) return report;
        if (due(lie::was_clean)) report.value().was_clean = !report.value().was_clean;
        if (due(lie::last)) ++report.value().last.value;
        if (due(lie::free_blocks)) ++report.value().totals.free_blocks;
        if (due(lie::modified)) ++report.value().totals.modified;
        if (due(lie::batches_cut)) ++report.value().batches_cut;
        return report;
    }
    template <BlockDevice D, class Sink>
    result<> replay(D& device, Sink& sink) noexcept {
        if (broken) return errc::read_only;
        if (fails()) return errc::device_failed;
        if (due(lie::replays_nothing)) return success();
        if (due(lie::replays_more)) { BOOST_OUTCOME_TRY(ring_journal::replay(device, sink)); }
        return ring_journal::replay(device, sink);
    }
    void acknowledge(sequence batch) noexcept { ring_journal::acknowledge(std::min(batch, ring_journal::last())); }
    block_count room() const noexcept { return ring_journal::room() + more(lie::room) + more(lie::both); }
    block_count capacity() const noexcept { return ring_journal::capacity() + more(lie::capacity) + more(lie::both); }
    block_count blocks_needed(batch_shape shape) const noexcept {
        return due(lie::needs_nothing) ? block_count{0} : ring_journal::blocks_needed(shape);
    }
    sequence next() const noexcept { return sequence{ring_journal::next().value + more(lie::next).value}; }
    sequence acknowledged() const noexcept {
        return {ring_journal::acknowledged().value + more(lie::acknowledged).value};
    }
    sequence confirmed() const noexcept {
        if (due(lie::confirms_itself)) return ring_journal::last();
        const auto right = ring_journal::confirmed();
        return due(lie::confirmed) && right.value > 0 ? sequence{right.value - 1} : right;
    }
    sequence      tail() const noexcept { return {ring_journal::tail().value + more(lie::tail).value}; }
    std::uint64_t epoch() const noexcept { return due(lie::epoch) ? 1 : ring_journal::epoch(); }

  private:
    result<> fail_in_a_batch() noexcept {
        broken = true;  // the batch stays open, and nothing may follow it
        return errc::device_failed;
    }

    bool broken = false;

    static block_count more(lie one) noexcept { return {due(one) ? 1U : 0U}; }
};

template <class J>
std::vector<std::string> broken_by() {
    const journal_shape shape;
    auto                device = make_device(shape);
    return journal_conformance<J>(device, shape.place());
}

TEST(JournalConformance, AJournalThatBreaksAPromiseIsNamed) {
    EXPECT_FALSE(broken_by<forgetful_journal>().empty());
    EXPECT_FALSE(broken_by<unclosed_journal>().empty());
    EXPECT_FALSE(broken_by<clipping_journal>().empty());
    EXPECT_FALSE(broken_by<eager_journal>().empty());
    EXPECT_FALSE(broken_by<trusting_journal>().empty());
}

TEST(JournalConformance, EveryLieIsNamedWheneverItIsTold) {
    using lie = lying_journal::lie;
    lying_journal::tell(lie::none, 1);
    ASSERT_TRUE(broken_by<lying_journal>().empty());
    for (auto one = static_cast<int>(lie::room); one <= static_cast<int>(lie::sealed); ++one) {
        std::uint64_t named = 0, told = 0;
        for (std::uint64_t nth = 1; nth <= 12; ++nth) {
            lying_journal::tell(static_cast<lie>(one), nth);
            const bool is_named = !broken_by<lying_journal>().empty();
            if (lying_journal::asked < nth) break;
            ++told;
            named += is_named ? 1 : 0;
        }
        EXPECT_GE(named, 1U) << one;
        EXPECT_GE(told, 1U) << one;
    }
    lying_journal::tell(lie::none, 1);
}

TEST(JournalConformance, EveryCallThatFailsIsNamedUnlessItWasMeantTo) {
    using lie           = lying_journal::lie;
    std::uint64_t meant = 0, nth = 1;
    for (;; ++nth) {
        lying_journal::tell(lie::fails, nth);
        const bool is_named = !broken_by<lying_journal>().empty();
        if (lying_journal::asked < nth) break;
        meant += is_named ? 0 : 1;
    }
    EXPECT_GT(nth, 150U);
    EXPECT_LE(meant, 10U)
        << "too little memory, unreadable data, a batch of a reader, and six calls of a write that fails";
    lying_journal::tell(lie::none, 1);
}

}  // namespace journal_conformance_test
}  // namespace ashlar::test
