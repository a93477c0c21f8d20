#include <ashlar/ashlar.hpp>
#include <ashlar/device/device_ref.hpp>
#include <ashlar/device/memory_device.hpp>
#include <ashlar/testing/crash_states.hpp>
#include <ashlar/testing/faulty_device.hpp>
#include <ashlar/testing/order_checker.hpp>
#include <ashlar/testing/power_cut_device.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace order_checker_test {

using namespace ashlar;

/// Stands between a store and the checker and breaks a promise when told to.
template <BlockDevice Inner>
struct disloyal_device {
    Inner& inner;
    bool   swallows_syncs = false;

    device_geometry geometry() const noexcept { return inner.geometry(); }
    result<>        read(extent e, std::span<std::byte> in) noexcept { return inner.read(e, in); }
    result<>        write(extent e, std::span<const std::byte> out) noexcept { return inner.write(e, out); }
    result<>        trim(extent e) noexcept { return inner.trim(e); }
    result<>        sync() noexcept { return swallows_syncs ? result<>{success()} : inner.sync(); }
};

using faulty_memory = faulty_device<memory_device>;
using cut_memory    = power_cut_device<faulty_memory>;
using checker       = order_checker<cut_memory>;
using disloyal      = disloyal_device<checker>;
static_assert(BlockDevice<checker>);

struct checked_blueprint : blueprint {
    using device    = device_ref<disloyal>;
    using journal   = ring_journal;
    using threading = single_threaded;
};
using checked_store = store<checked_blueprint>;

constexpr std::uint32_t block_bytes = 4096;

struct OrderChecker : testing::Test {
    memory_device memory = memory_device::create({block_bytes}, {1024}).value();
    faulty_memory faulty{memory};
    cut_memory    cut{faulty, trim_leaves::garbage};
    checker       watched{cut};
    disloyal      device{watched};

    OrderChecker() {
        device_ref ref{device};
        EXPECT_TRUE(checked_store::format(ref, {.volume = volume_id{std::byte{7}}}));
        EXPECT_TRUE(watched.is_watching());
        EXPECT_TRUE(watched.violations().empty()) << "formatting is not judged";
        cut.keep_base();
    }

    checked_store open() {
        checked_store::options options;
        options.limits.cache_blocks = 64;
        auto opened                 = checked_store::open(device_ref{device}, options);
        EXPECT_TRUE(opened) << message(opened.error().code);
        return std::move(opened).value();
    }

    void expect_no_violation() {
        for (const auto& one : watched.violations()) ADD_FAILURE() << one;
    }
    void expect_violation(const std::string& words) {
        const auto all = watched.violations();
        ASSERT_FALSE(all.empty()) << "nobody noticed: " << words;
        EXPECT_NE(all.front().find(words), std::string::npos) << all.front();
    }

    /// What the durable journal says right now, read apart from the checker.
    journal_history history() {
        journal_history seen;
        EXPECT_TRUE(seen.open(memory));
        return seen;
    }
    static block_index first_block(checked_store& log, object_id id) {
        return log.next_extent(id, {0}).value().value().physical.first;
    }
};

std::vector<std::byte> filled(std::size_t bytes, std::uint64_t seed) {
    std::vector<std::byte> made(bytes);
    random_bits{seed}.fill(made);
    return made;
}

/// Objects come, grow, are overwritten, cut and erased; batches and checkpoints in between. Ends at the first error.
result<> work(checked_store& log, std::uint64_t seed, unsigned steps) {
    random_bits            random{seed};
    std::vector<object_id> objects{log.root()};
    for (unsigned i = 0; i < steps; ++i) {
        const auto id = objects[random.below(objects.size())];
        switch (random.below(9)) {
            case 0: {
                BOOST_OUTCOME_TRY(const auto made, log.create());
                objects.push_back(made);
                break;
            }
            case 1:
                if (objects.size() > 1) {
                    BOOST_OUTCOME_TRY(log.erase(objects.back()));
                    objects.pop_back();
                }
                break;
            case 2: {
                BOOST_OUTCOME_TRY(log.truncate(id, random.below(40'000)));
                break;
            }
            case 3: {
                BOOST_OUTCOME_TRY(log.punch(id, random.below(60'000), random.below(30'000)));
                break;
            }
            case 4: {
                BOOST_OUTCOME_TRY(log.checkpoint());
                break;
            }
            case 5: {
                BOOST_OUTCOME_TRY(log.sync());
                break;
            }
            default: {
                BOOST_OUTCOME_TRY(log.write(id, random.below(80'000), filled(1 + random.below(30'000), seed + i)));
                break;
            }
        }
    }
    return success();
}

TEST_F(OrderChecker, AStoreThatKeepsTheOrderPassesAndWasReallyWatched) {
    for (std::uint64_t seed = 1; seed <= 4; ++seed) {
        auto       log  = open();
        const auto done = work(log, seed, 200);
        ASSERT_TRUE(done) << message(done.error().code);
        ASSERT_TRUE(log.close());
        expect_no_violation();
    }
    const auto seen = watched.checks();
    EXPECT_GT(seen.batches, 50U);
    EXPECT_GT(seen.home_writes, 100U);
    EXPECT_GT(seen.reuses, 10U);
    EXPECT_GT(seen.anchors, 20U);
}

TEST_F(OrderChecker, RecoveryKeepsTheOrderAfterACutAtManyPlaces) {
    std::uint64_t recoveries = 0;
    for (std::uint64_t cut_at = 5; cut_at < 200; cut_at += 3) {
        cut.reset();
        watched.restarted();
        auto log = open();
        cut.cut_after(cut_at);
        if (work(log, cut_at, 120)) continue;
        static_cast<void>(log.abandon());  // a store that lives on would write into the restarted device
        const auto choices = crash_choices(cut, {.random_max = 1, .single_max = 0, .tears_max = 1});
        cut.restart(choices[cut_at % choices.size()]);
        watched.restarted();
        auto again = open();
        ++recoveries;
        const auto done = work(again, cut_at + 1, 20);
        ASSERT_TRUE(done) << message(done.error().code);
        ASSERT_TRUE(again.close());
        expect_no_violation();
    }
    EXPECT_GT(recoveries, 30U);
}

/// Cuts in the work and in up to two recoveries after it, on blocks smaller and larger than a frame.
TEST(OrderCheckerOnOtherBlocks, RepeatedCutsLeaveNothingToReport) {
    for (const std::uint32_t bytes : {512U, 16384U}) {
        auto          memory = memory_device::create({bytes}, {bytes == 512 ? 6000U : 1000U}).value();
        faulty_memory faulty{memory};
        cut_memory    cut{faulty};
        checker       watched{cut};
        disloyal      device{watched};
        device_ref    ref{device};
        ASSERT_TRUE(checked_store::format(ref, {.volume = volume_id{std::byte{7}}}));
        cut.keep_base();
        checked_store::options options;
        options.limits.cache_blocks = 24;
        std::uint64_t cuts          = 0;
        for (std::uint64_t seed = 1; seed <= 40; ++seed) {
            cut.reset();
            for (unsigned depth = 0; depth <= 3; ++depth) {
                watched.restarted();
                if (depth < 3) cut.cut_after(depth == 0 ? 1 + seed * 7919 % 250 : 1 + (seed * 13 + depth) % 12);
                auto log = checked_store::open(ref, options);
                if (log) {
                    const auto done = work(log.value(), seed + depth, depth == 0 ? 100 : 10);
                    if (done && log.value().close()) break;
                    if (!done) static_cast<void>(log.value().abandon());
                }
                ASSERT_LT(depth, 3U) << "nothing failed after the last cut";
                ++cuts;
                const auto choices = crash_choices(cut, {.random_max = 2, .single_max = 2, .tears_max = 2});
                cut.restart(choices[(seed * 31 + depth) % choices.size()]);
            }
            for (const auto& one : watched.violations()) FAIL() << bytes << " " << seed << ": " << one;
        }
        EXPECT_GT(cuts, 40U);
        EXPECT_GT(watched.checks().home_writes, 500U);
        EXPECT_GT(watched.checks().reuses, 100U);
    }
}

TEST_F(OrderChecker, NoticesAMetadataBlockThatGoesHomeBeforeItsBatchIsConfirmed) {
    auto log = open();
    ASSERT_TRUE(log.put(log.root(), 0, filled(5000, 1)));
    const auto seen = history();
    ASSERT_GT(seen.last(), seen.confirmed());
    const auto& [home, block] = *seen.blocks().rbegin();
    ASSERT_TRUE(device.write({home, {1}}, block.image));
    expect_violation("block " + std::to_string(home.value) + " went home with changes of batch 1");
    static_cast<void>(log.abandon());
}

TEST_F(OrderChecker, AcceptsTheSameWriteOnceANextBatchOrAnAnchorConfirms) {
    auto log = open();
    ASSERT_TRUE(log.put(log.root(), 0, filled(5000, 1)));
    const auto seen           = history();
    const auto& [home, block] = *seen.blocks().rbegin();
    ASSERT_TRUE(log.put(log.root(), 9000, filled(10, 2)));
    ASSERT_TRUE(device.write({home, {1}}, block.image));
    EXPECT_EQ(watched.checks().home_writes, 1U);
    expect_no_violation();
    static_cast<void>(log.abandon());
}

TEST_F(OrderChecker, NoticesMetadataWrittenWithBytesThatNoBatchCarries) {
    auto log = open();
    ASSERT_TRUE(log.put(log.root(), 0, filled(5000, 1)));
    const auto seen           = history();
    const auto& [home, block] = *seen.blocks().rbegin();
    auto image                = block.image;
    image[100] ^= std::byte{1};
    ASSERT_TRUE(device.write({home, {1}}, image));
    expect_violation("bytes that no durable batch carries");
    static_cast<void>(log.abandon());
}

TEST_F(OrderChecker, NoticesATreeNodeThatWasNeverJournaled) {
    std::vector<std::byte> node(block_bytes);
    store_little<std::uint64_t>(node.data(), 5);
    store_little<std::uint64_t>(node.data() + 8, 9);
    seal_block(node, tag::node, {1}, identity_seed(volume_id{std::byte{7}}, {tag::node, 5, 9}));
    ASSERT_TRUE(device.write({{1000}, {1}}, filled(block_bytes, 1)));
    expect_no_violation();
    ASSERT_TRUE(device.write({{1000}, {1}}, node));
    expect_violation("block 1000 is metadata");
}

TEST_F(OrderChecker, NoticesAFreedBlockThatIsWrittenTooEarlyAndAcceptsItLater) {
    auto log = open();
    ASSERT_TRUE(log.put(log.root(), 0, filled(3 * block_bytes, 1)));
    const auto block = first_block(log, log.root());
    ASSERT_TRUE(log.put(log.root(), 0, filled(3 * block_bytes, 2)));
    ASSERT_NE(first_block(log, log.root()), block);
    ASSERT_TRUE(history().freed(block) != nullptr);
    ASSERT_TRUE(log.put(log.root(), 20'000, filled(10, 3)));
    ASSERT_TRUE(device.write({block, {1}}, filled(block_bytes, 4)));
    expect_no_violation();
    EXPECT_EQ(watched.checks().reuses, 1U);

    const auto other = first_block(log, log.root());
    ASSERT_TRUE(log.put(log.root(), 0, filled(3 * block_bytes, 5)));
    ASSERT_TRUE(device.write({other, {1}}, filled(block_bytes, 6)));
    expect_violation("block " + std::to_string(other.value) +
                     " was written again, but batch 4 that freed it is not confirmed");
    static_cast<void>(log.abandon());
}

TEST_F(OrderChecker, NoticesATrimOfABlockInUseOrFreedTooRecently) {
    auto log = open();
    ASSERT_TRUE(log.put(log.root(), 0, filled(3 * block_bytes, 1)));
    const auto block = first_block(log, log.root());
    ASSERT_TRUE(device.trim({block, {1}}));
    expect_violation("block " + std::to_string(block.value) + " was trimmed while it is in use");
    ASSERT_TRUE(device.trim({{1010}, {4}}));
    EXPECT_EQ(watched.violations().size(), 1U) << "a block that was never used may be trimmed";
    ASSERT_TRUE(log.put(log.root(), 0, filled(3 * block_bytes, 2)));
    ASSERT_TRUE(device.trim({block, {1}}));
    ASSERT_EQ(watched.violations().size(), 2U);
    EXPECT_NE(watched.violations()[1].find("was trimmed, but batch 2 that freed it is not confirmed"),
              std::string::npos)
        << watched.violations()[1];
    ASSERT_TRUE(log.put(log.root(), 20'000, filled(10, 3)));
    ASSERT_TRUE(device.trim({block, {1}}));
    EXPECT_EQ(watched.violations().size(), 2U);
    EXPECT_EQ(watched.checks().trims, 2U);
    static_cast<void>(log.abandon());
}

TEST_F(OrderChecker, NoticesAWriteThatATrimMayStillOvertake) {
    ASSERT_TRUE(device.trim({{1000}, {1}}));
    ASSERT_TRUE(device.sync());
    ASSERT_TRUE(device.write({{1000}, {1}}, filled(block_bytes, 1)));
    expect_no_violation();
    ASSERT_TRUE(device.trim({{1001}, {1}}));
    ASSERT_TRUE(device.write({{1001}, {1}}, filled(block_bytes, 1)));
    expect_violation("block 1001 was written after a trim without a sync between them");
}

TEST_F(OrderChecker, NoticesAStoreWhoseSyncsAreSwallowed) {
    auto log              = open();
    device.swallows_syncs = true;
    ASSERT_TRUE(log.put(log.root(), 0, filled(5000, 1)));
    ASSERT_TRUE(log.checkpoint());
    EXPECT_FALSE(watched.violations().empty());
    static_cast<void>(log.abandon());
}

TEST_F(OrderChecker, NoticesAHeaderThatClaimsWhatNoSyncMadeDurable) {
    auto log              = open();
    device.swallows_syncs = true;
    ASSERT_TRUE(log.put(log.root(), 0, filled(5000, 1)));
    device.swallows_syncs = false;
    expect_no_violation();
    ASSERT_TRUE(log.put(log.root(), 9000, filled(10, 2)));
    expect_violation("batch 2 says that batch 1 was acknowledged");
    static_cast<void>(log.abandon());
}

TEST_F(OrderChecker, NoticesARingThatIsOverwrittenWhileReplayNeedsIt) {
    auto log = open();
    ASSERT_TRUE(log.put(log.root(), 0, filled(5000, 1)));
    auto        seen = history();
    block_index live = frame_home(frame::count, {block_bytes});
    while (!seen.in_live_ring(live)) live = live + block_count{1};
    std::vector<std::byte> same(block_bytes);
    ASSERT_TRUE(device.read({live, {1}}, same));
    ASSERT_TRUE(device.write({live, {1}}, same));
    expect_no_violation();
    ASSERT_TRUE(device.write({live, {1}}, filled(block_bytes, 1)));
    expect_violation("of the ring was overwritten");
    static_cast<void>(log.abandon());
}

TEST_F(OrderChecker, NoticesAnAnchorThatSaysTooMuch) {
    auto log = open();
    ASSERT_TRUE(log.put(log.root(), 0, filled(5000, 1)));
    const auto             home = frame_home(frame::anchor, {block_bytes});
    std::vector<std::byte> frame_bytes(block_bytes);
    ASSERT_TRUE(device.read({home, {1}}, frame_bytes));
    auto content       = decode_anchor(frame_bytes, volume_id{std::byte{7}}).value();
    content.generation = content.generation + 1;
    content.confirmed  = 1;
    encode_anchor(frame_bytes, content, volume_id{std::byte{7}});
    ASSERT_TRUE(device.write({home, {1}}, frame_bytes));
    ASSERT_TRUE(device.sync());
    expect_no_violation();
    content.tail = 2;
    encode_anchor(frame_bytes, content, volume_id{std::byte{7}});
    ASSERT_TRUE(device.write({home, {1}}, frame_bytes));
    expect_violation("the tail passes batch 1");
    content.confirmed = 2;
    encode_anchor(frame_bytes, content, volume_id{std::byte{7}});
    ASSERT_TRUE(device.sync());
    ASSERT_TRUE(device.write({home, {1}}, frame_bytes));
    const auto all = watched.violations();
    EXPECT_TRUE(std::any_of(all.begin(), all.end(), [](const std::string& one) {
        return one.find("an anchor confirms batch 2") != std::string::npos;
    }));
    static_cast<void>(log.abandon());
}

TEST_F(OrderChecker, NoticesBothCopiesOfAFrameOnTheirWayAtOnce) {
    std::vector<std::byte> frame_bytes(block_bytes);
    ASSERT_TRUE(device.read({{0}, {1}}, frame_bytes));
    ASSERT_TRUE(device.write({frame_home(frame::superblock, {block_bytes}), {1}}, frame_bytes));
    ASSERT_TRUE(device.sync());
    ASSERT_TRUE(device.write({frame_home(frame::superblock_mirror, {block_bytes}), {1}}, frame_bytes));
    expect_no_violation();
    ASSERT_TRUE(device.write({frame_home(frame::superblock, {block_bytes}), {1}}, frame_bytes));
    expect_violation("frame 0 was written before a sync covered its other copy");
}

TEST_F(OrderChecker, LosesSightOfAVolumeThatIsFormattedAgainAndFindsTheNewOne) {
    device_ref ref{device};
    {
        auto log = open();
        ASSERT_TRUE(log.put(log.root(), 0, filled(5000, 1)));
        static_cast<void>(log.abandon());
    }
    ASSERT_TRUE(checked_store::format(ref, {.volume = volume_id{std::byte{9}}, .overwrite = true}));
    auto       log  = open();
    const auto done = work(log, 3, 50);
    ASSERT_TRUE(done) << message(done.error().code);
    ASSERT_TRUE(log.close());
    EXPECT_TRUE(watched.is_watching());
    expect_no_violation();
}

/// Each read fails in turn, the store's and the checker's own; alone, or with all that follow.
TEST_F(OrderChecker, AReadThatFailsMakesItBlindAndNeverUnjust) {
    checked_store::options options;
    options.limits.cache_blocks = 24;
    std::uint64_t blind = 0, watching = 0;
    for (const auto lasts : {fault_lasts::once, fault_lasts::for_good}) {
        for (std::uint64_t nth = 1;; ++nth) {
            cut.reset();
            watched.restarted();
            const auto before = faulty.failures();
            faulty.fail(transfer_kind::read, nth, lasts);
            auto log = checked_store::open(device_ref{device}, options);
            if (log) {
                const auto done = work(log.value(), 3, 25);
                if (done) {
                    static_cast<void>(log.value().close());
                } else {
                    static_cast<void>(log.value().abandon());
                }
            }
            const bool reached = faulty.failures() > before;
            faulty.heal();
            for (const auto& one : watched.violations()) FAIL() << nth << ": " << one;
            if (!reached) break;
            watched.is_watching() ? ++watching : ++blind;
        }
    }
    EXPECT_GT(blind, 20U) << "what it reads itself";
    EXPECT_GT(watching, 20U) << "what the store reads";
}

TEST_F(OrderChecker, OpensNothingButAWholeVolumeWithAJournal) {
    const auto opens = [](memory_device& on) {
        journal_history seen;
        return seen.open(on);
    };
    const auto copy = [&](std::uint32_t size, std::uint64_t blocks) {
        auto made = memory_device::create({size}, {blocks}).value();
        std::copy_n(memory.bytes().begin(), made.bytes().size(), made.bytes().begin());
        return made;
    };
    auto whole = copy(block_bytes, 1024);
    EXPECT_TRUE(opens(whole));
    auto tiny = copy(block_bytes, 4);
    EXPECT_FALSE(opens(tiny)) << "no room for the frames";
    auto shorter = copy(block_bytes, 1000);
    EXPECT_FALSE(opens(shorter)) << "it does not hold the volume";
    auto other_blocks = copy(512, 8192);
    EXPECT_FALSE(opens(other_blocks)) << "the volume has larger ones";
    auto zeros = memory_device::create({block_bytes}, {1024}).value();
    EXPECT_FALSE(opens(zeros));

    const auto             volume = volume_id{std::byte{7}};
    const block_size       size{block_bytes};
    std::vector<std::byte> frame_bytes(block_bytes);
    const auto             with_anchors = [&](auto change) {
        auto image = copy(block_bytes, 1024);
        EXPECT_TRUE(image.read({frame_home(frame::anchor, size), {1}}, frame_bytes));
        auto content = decode_anchor(frame_bytes, volume).value();
        change(content);
        encode_anchor(frame_bytes, content, volume);
        for (const auto home : {frame_home(frame::anchor, size), frame_home(frame::anchor_mirror, size)})
            EXPECT_TRUE(image.write({home, {1}}, frame_bytes));
        return opens(image);
    };
    EXPECT_TRUE(with_anchors([](auto&) {}));
    EXPECT_FALSE(with_anchors([](anchor_content& a) { a.ring_first = 1020; })) << "the ring ends outside";
    for (const auto home : {frame_home(frame::anchor, size), frame_home(frame::anchor_mirror, size)}) {
        EXPECT_TRUE(whole.write({home, {1}}, std::vector<std::byte>(block_bytes)));
        EXPECT_EQ(opens(whole), home == frame_home(frame::anchor, size)) << "one copy is enough, none is not";
    }
}

TEST_F(OrderChecker, NoticesFramesThatAreNotWhatTheyShouldBe) {
    const block_size size{block_bytes};
    ASSERT_TRUE(device.write({frame_home(frame::anchor, size), {1}}, filled(block_bytes, 1)));
    expect_violation("an anchor was written that is none");
    ASSERT_TRUE(device.write({frame_home(frame::directory, size), {1}}, filled(block_bytes, 2)));
    ASSERT_TRUE(device.write({frame_home(frame::superblock_mirror, size), {2}}, filled(2 * block_bytes, 3)));
    const auto all = watched.violations();
    ASSERT_EQ(all.size(), 3U);
    EXPECT_NE(all[1].find("bytes that no durable batch carries"), std::string::npos) << all[1];
    EXPECT_NE(all[2].find("was not written as a whole"), std::string::npos) << all[2];
}

TEST_F(OrderChecker, WritesDownTheFirstHundredViolations) {
    const auto frame_bytes = filled(block_bytes, 1);
    for (int i = 0; i < 150; ++i)
        ASSERT_TRUE(device.write({frame_home(frame::anchor, {block_bytes}), {1}}, frame_bytes));
    EXPECT_EQ(watched.violations().size(), 100U);
}

TEST_F(OrderChecker, LeavesToTheDeviceWhatLiesOutsideOrIsEmpty) {
    const auto block = filled(block_bytes, 1);
    EXPECT_EQ(device.write({{1024}, {1}}, block).error().code, errc::out_of_range);
    EXPECT_EQ(device.trim({{1024}, {1}}).error().code, errc::out_of_range);
    EXPECT_TRUE(device.write({{0}, {0}}, {}));
    EXPECT_TRUE(device.trim({{0}, {0}}));
    cut.cut_after(0);
    EXPECT_FALSE(device.sync());
    expect_no_violation();

    auto          nothing = memory_device::create({block_bytes}, {64}).value();
    order_checker blind{nothing};
    EXPECT_TRUE(blind.trim({{40}, {1}})) << "there is no volume to judge by";
    EXPECT_TRUE(blind.write({{40}, {1}}, block));
    EXPECT_TRUE(blind.sync());
    EXPECT_FALSE(blind.is_watching());
    EXPECT_TRUE(blind.violations().empty());
}

}  // namespace order_checker_test
