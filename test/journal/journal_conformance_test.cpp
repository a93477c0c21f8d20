#include "journal_fixture.hpp"

#include <ashlar/testing/journal_conformance.hpp>

namespace ashlar::test {
namespace {

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

template <class J>
std::vector<std::string> broken_by() {
    const journal_shape shape;
    auto                device = make_device(shape);
    return journal_conformance<J>(device, shape.place());
}

TEST(JournalConformance, AJournalThatBreaksAPromiseIsNamed) {
    EXPECT_FALSE(broken_by<forgetful_journal>().empty());
    EXPECT_FALSE(broken_by<clipping_journal>().empty());
    EXPECT_FALSE(broken_by<eager_journal>().empty());
    EXPECT_FALSE(broken_by<trusting_journal>().empty());
}

}  // namespace
}  // namespace ashlar::test
