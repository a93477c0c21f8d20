// Trims that fail in their middle.

#include "../store/store_fixture.hpp"

#include <ashlar/testing/faulty_device.hpp>

namespace ashlar::test {
namespace {

/// A store whose free space is in several runs that the device was not told of. Its root fills the front.
test_store scattered(any_device device) {
    auto store = test_store::open(device, with());
    EXPECT_TRUE(store) << said(store);
    auto                   live = std::move(store).value();
    std::vector<object_id> made;
    for (std::uint64_t i = 0; i < 24; ++i) {
        const auto id = live.create();
        EXPECT_TRUE(id) << said(id);
        ASHLAR_EXPECT_OK(live.write(id.value(), 0, pattern(2048, i)));
        made.push_back(id.value());
    }
    ASHLAR_EXPECT_OK(live.checkpoint());
    for (std::size_t i = 0; i < made.size(); i += 2) ASHLAR_EXPECT_OK(live.erase(made[i]));
    for (int i = 0; i < 8; ++i) ASHLAR_EXPECT_OK(live.maintain());
    ASHLAR_EXPECT_OK(live.checkpoint());
    return live;
}

TEST(Trimmer, BlocksOfATrimThatFailedInItsMiddleAreWrittenAgainOnlyBehindASync) {
    for (const std::uint64_t nth : {1U, 2U, 5U}) {
        auto memory = make_memory({});
        format_on(memory, {});
        order_checker checked{memory};
        any_device    below{checked};
        faulty_device faulty{below};
        auto          live = scattered(any_device{faulty});
        faulty.fail(transfer_kind::trim, nth);
        EXPECT_EQ(code_of(live.trim({1000})), errc::device_failed);
        EXPECT_FALSE(live.read_only()) << "nothing was lost";
        const auto id = live.create();
        ASHLAR_ASSERT_OK(id);
        for (std::uint64_t i = 0; live.write(id.value(), i * 6000, pattern(6000, i)); ++i) {}  // into every free block
        expect_order(checked);
        ASHLAR_EXPECT_OK(live.trim({1000}));
        EXPECT_EQ(findings_of(live), "");
    }
}

TEST(Trimmer, ASyncThatFailsBehindATrimThatFailedEndsWriting) {
    auto memory = make_memory({});
    format_on(memory, {});
    faulty_device faulty{memory};
    auto          live = scattered(any_device{faulty});
    faulty.fail(transfer_kind::trim, 3);
    faulty.fail(transfer_kind::sync, 1);
    EXPECT_FALSE(live.trim({1000}));
    EXPECT_TRUE(live.read_only());
}

}  // namespace
}  // namespace ashlar::test
