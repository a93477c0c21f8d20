#include "store_fixture.hpp"

#include <ashlar/checksum/no_checksum.hpp>
#include <ashlar/checksum/xxh64_checksum.hpp>
#include <ashlar/journal/no_journal.hpp>

namespace ashlar::test {
namespace store_open_test {

using unsummed_store = store<test_blueprint<no_checksum>>;
using cache_store    = store<test_blueprint<xxh3, inline_map, no_journal>>;

struct volume_of_memory {
    explicit volume_of_memory(volume_shape with_shape = {})
        : shape{with_shape}, memory{make_memory(shape)}, device{memory} {
        format_on(memory, shape);
    }
    volume_shape  shape;
    memory_device memory;
    any_device    device;

    void change_superblock(std::size_t offset, std::uint64_t value, std::size_t bytes) {
        for (const auto number : {frame::superblock, frame::superblock_mirror}) {
            const auto content = memory.bytes().subspan(
                static_cast<std::size_t>(byte_offset(frame_home(number, {shape.block_bytes}), {shape.block_bytes})),
                4096);
            for (std::size_t i = 0; i < bytes; ++i) content[offset + i] = static_cast<std::byte>(value >> (8 * i));
            seal_block(content, tag::superblock, {}, identity_seed({}, superblock_identity));
        }
    }
};

TEST(StoreOpen, AnEmptyDeviceIsNoVolume) {
    auto memory = make_memory({});
    EXPECT_EQ(code_of(test_store::open(any_device{memory}, with())), errc::not_a_volume);
    random_bits{3}.fill(memory.bytes());
    EXPECT_EQ(code_of(test_store::open(any_device{memory}, with())), errc::not_a_volume);
}

TEST(StoreOpen, FormatRefusesAVolumeUnlessToldOtherwise) {
    volume_of_memory volume;
    EXPECT_EQ(code_of(test_store::format(volume.device, volume.shape.format(2))), errc::busy);
    auto options      = volume.shape.format(2);
    options.overwrite = true;
    ASHLAR_ASSERT_OK(test_store::format(volume.device, options));
    auto live = opened_on(volume.memory);
    EXPECT_EQ(live.info().volume, options.volume);
    EXPECT_EQ(findings_of(live), "");
}

TEST(StoreOpen, FormatSaysHowManyBlocksItNeeds) {
    auto       memory = make_memory({.blocks = 150});
    any_device device{memory};
    const auto formatted = test_store::format(device, volume_shape{}.format());
    EXPECT_EQ(code_of(formatted), errc::out_of_range);
    auto       enough = make_memory({.blocks = formatted.error().where.value});
    any_device larger{enough};
    ASHLAR_ASSERT_OK(test_store::format(larger, volume_shape{}.format()));
    auto live = opened_on(enough);
    ASHLAR_EXPECT_OK(live.put(live.root(), 0, pattern(100, 1)));
    auto bad         = volume_shape{}.format();
    bad.record_bytes = 13;
    bad.overwrite    = true;
    EXPECT_EQ(code_of(test_store::format(larger, bad)), errc::invalid_argument);
}

TEST(StoreOpen, TheSmallestVolumesWork) {
    for (const std::uint32_t block : {512U, 4096U}) {
        for (const std::uint64_t blocks : {340U, 400U, 512U, 700U}) {
            auto       memory = make_memory({.block_bytes = block, .blocks = blocks});
            any_device device{memory};
            ASHLAR_ASSERT_OK(test_store::format(device, {}));
            auto live = opened_on(memory);
            for (std::uint64_t i = 0; i < 200; ++i) {
                ASHLAR_ASSERT_OK(live.write(live.root(), (i % 9) * block, pattern(block, i)));
                if (i % 3 == 0) { ASHLAR_ASSERT_OK(live.sync()); }
                const auto made = live.create();
                ASHLAR_ASSERT_OK(made);
                ASHLAR_ASSERT_OK(live.put(made.value(), 0, pattern(40, i)));
                ASHLAR_ASSERT_OK(live.erase(made.value()));
            }
            EXPECT_EQ(findings_of(live), "") << block << " " << blocks;
        }
    }
}

TEST(StoreOpen, TheMirrorOfTheSuperblockIsFound) {
    for (const std::uint32_t block : {512U, 4096U, 16'384U, 65'536U}) {
        volume_of_memory volume{{.block_bytes = block, .blocks = block > 4096 ? 500U : 1600U, .journal_blocks = 96}};
        std::memset(volume.memory.bytes().data(), 0x5A, 4096);
        auto live = opened_on(volume.memory);
        ASHLAR_EXPECT_OK(live.put(live.root(), 0, pattern(10, 1)));
        EXPECT_EQ(findings_of(live), "");
    }
}

TEST(StoreOpen, AnotherBlockSizeIsRefusedWithTheRightOne) {
    volume_of_memory volume;
    auto             other = memory_device::lend(volume.memory.bytes(), {4096});
    ASHLAR_ASSERT_OK(other);
    const auto opened = test_store::open(any_device{other.value()}, with());
    EXPECT_EQ(code_of(opened), errc::invalid_argument);
    EXPECT_EQ(opened.error().where.value, 512U);
}

TEST(StoreOpen, AShrunkenDeviceIsRefused) {
    volume_of_memory volume;
    auto shorter = memory_device::lend(volume.memory.bytes().first(volume.memory.bytes().size() - 512), {512});
    ASHLAR_ASSERT_OK(shorter);
    const auto opened = test_store::open(any_device{shorter.value()}, with());
    EXPECT_EQ(code_of(opened), errc::out_of_range);
    EXPECT_EQ(opened.error().where.value, volume.shape.blocks);
}

TEST(StoreOpen, AnotherPolicyIsRefusedWithTheOneThatWrote) {
    volume_of_memory volume;
    const auto       unsummed = unsummed_store::open(volume.device, with<unsummed_store>());
    EXPECT_EQ(code_of(unsummed), errc::policy_differs);
    EXPECT_EQ(unsummed.error().where.value, xxh3::format_id);
    const auto cache = cache_store::open(volume.device, with<cache_store>());
    EXPECT_EQ(code_of(cache), errc::policy_differs);
    EXPECT_EQ(cache.error().where.value, ring_journal::format_id);
}

TEST(StoreOpen, ChangesOfTheFormatAreRefusedByTheirMask) {
    volume_of_memory newer;
    newer.change_superblock(offsetof(superblock, incompatible), 4, 8);
    EXPECT_EQ(test_store::open(newer.device, with()).error(), (error{errc::unsupported, {4}}));
    EXPECT_EQ(test_store::open_read_only(newer.device, with()).error(), (error{errc::unsupported, {4}}));

    volume_of_memory readable;
    readable.change_superblock(offsetof(superblock, read_only), 2, 8);
    EXPECT_EQ(test_store::open(readable.device, with()).error(), (error{errc::unsupported, {2}}));
    ASHLAR_EXPECT_OK(test_store::open_read_only(readable.device, with()));

    volume_of_memory compatible;
    compatible.change_superblock(offsetof(superblock, compatible), ~std::uint64_t{0}, 8);
    ASHLAR_EXPECT_OK(test_store::open(compatible.device, with()));

    volume_of_memory version;
    version.change_superblock(offsetof(superblock, version), 2, 4);
    EXPECT_EQ(code_of(test_store::open(version.device, with())), errc::unsupported);
}

TEST(StoreOpen, ReadOnlyWritesNothingAndShowsWhatTheJournalHolds) {
    volume_of_memory     volume;
    auto                 live = opened_on(volume.memory);
    scenario<test_store> runs{9, live.root()};
    for (int i = 0; i < 80; ++i) ASSERT_EQ(runs.step(live).why.code, errc::none);
    ASHLAR_ASSERT_OK(live.sync());
    static_cast<void>(live.abandon());
    const byte_vector before(volume.memory.bytes().begin(), volume.memory.bytes().end());

    auto opened = test_store::open_read_only(volume.device, with());
    ASHLAR_ASSERT_OK(opened);
    auto& seen = opened.value();
    EXPECT_TRUE(seen.read_only());
    EXPECT_FALSE(seen.recovered().was_clean);
    EXPECT_EQ(difference(seen, runs.state()), "");
    EXPECT_EQ(findings_of(seen), "");
    EXPECT_EQ(code_of(seen.write(seen.root(), 0, pattern(3, 1))), errc::read_only);
    EXPECT_EQ(code_of(seen.create()), errc::read_only);
    EXPECT_EQ(code_of(seen.begin()), errc::read_only);
    EXPECT_EQ(code_of(seen.sync()), errc::read_only);
    EXPECT_EQ(code_of(seen.checkpoint()), errc::read_only);
    EXPECT_EQ(code_of(seen.maintain()), errc::read_only);
    ASHLAR_EXPECT_OK(seen.close());
    EXPECT_TRUE(std::equal(before.begin(), before.end(), volume.memory.bytes().begin())) << "not one byte was written";
    live = opened_on(volume.memory);
    EXPECT_EQ(difference(live, runs.state()), "");
}

TEST(StoreOpen, DamagedHistoryIsRefusedForWritingAndReadableUpToTheDamage) {
    volume_of_memory volume;
    auto             live = opened_on(volume.memory);
    const auto       root = live.root();
    for (std::uint64_t i = 0; i < 12; ++i) ASHLAR_ASSERT_OK(live.put(root, i * 512, pattern(512, i)));
    const auto ring = live.info().journal;
    static_cast<void>(live.abandon());
    // The third batch loses a bit; those behind it say that it was acknowledged.
    std::uint64_t header = 0, found = 0;
    for (std::uint64_t i = 0; i < ring.count.value && found < 3; ++i) {
        const auto at = volume.memory.bytes().subspan(static_cast<std::size_t>((ring.first.value + i) * 512), 64);
        if (decode_header(at, volume.shape.format().volume, i)) {
            header = ring.first.value + i;
            ++found;
        }
    }
    ASSERT_EQ(found, 3U);
    volume.memory.bytes()[static_cast<std::size_t>(header * 512 + 200)] ^= std::byte{1};
    const auto refused = test_store::open(volume.device, with());
    EXPECT_EQ(refused.error(), (error{errc::damaged, {header}}));
    auto opened = test_store::open_read_only(volume.device, with());
    ASHLAR_ASSERT_OK(opened);
    byte_vector bytes(512);
    EXPECT_EQ(opened.value().size(root).value(), 2 * 512U) << "two batches are whole";
    ASHLAR_ASSERT_OK(opened.value().read(root, 512, std::span<std::byte>{bytes}));
    EXPECT_TRUE(bytes == pattern(512, 1));
}

TEST(StoreOpen, ALentWorkspaceIsEnoughOrSaysTooSmall) {
    volume_of_memory volume;
    const auto       needed = test_store::workspace_bytes({512}, with());
    byte_vector      memory(needed + 64);
    for (const std::size_t skew : {0U, 1U, 8U, 63U}) {
        auto opened = test_store::open(volume.device, with(), std::span{memory}.subspan(skew, needed));
        ASHLAR_ASSERT_OK(opened);
        ASHLAR_EXPECT_OK(opened.value().put(opened.value().root(), 0, pattern(700, skew)));
        ASHLAR_EXPECT_OK(opened.value().close());
    }
    EXPECT_EQ(code_of(test_store::open(volume.device, with(), std::span{memory}.first(needed - 1))),
              errc::workspace_too_small);
    EXPECT_EQ(code_of(test_store::open(volume.device, with(), {})), errc::workspace_too_small);
    auto too_small         = small_limits();
    too_small.cache_blocks = 4;
    EXPECT_EQ(code_of(test_store::open(volume.device, with(too_small))), errc::invalid_argument);
}

TEST(StoreOpen, AHandleMovesAndAnEmptyOneIsHarmless) {
    volume_of_memory volume;
    auto             first = opened_on(volume.memory);
    const auto       root  = first.root();
    ASHLAR_ASSERT_OK(first.write(root, 0, pattern(9, 1)));
    test_store second{std::move(first)};
    ASHLAR_ASSERT_OK(second.write(root, 9, pattern(9, 2)));
    first = std::move(second);
    EXPECT_EQ(first.size(root).value(), 18U);
    first      = test_store{};  // the old one closes
    auto again = opened_on(volume.memory);
    EXPECT_TRUE(again.recovered().was_clean);
    EXPECT_EQ(again.size(root).value(), 18U);
}

TEST(StoreOpen, DataWithoutChecksumsIsSyncedBeforeItsBatch) {
    auto memory = make_memory({});
    format_on<unsummed_store>(memory, {});
    auto                     live = opened_on<unsummed_store>(memory);
    scenario<unsummed_store> runs{4, live.root()};
    for (int i = 0; i < 400; ++i) ASSERT_EQ(runs.step(live).why.code, errc::none);
    ASHLAR_ASSERT_OK(live.sync());
    static_cast<void>(live.abandon());
    live = opened_on<unsummed_store>(memory);
    EXPECT_EQ(live.recovered().data_checked, 0U);
    EXPECT_EQ(difference(live, runs.state()), "");
    EXPECT_EQ(findings_of(live), "");
}

TEST(StoreOpen, ACacheWithoutJournalIsRefusedWhereItWasNotClosed) {
    auto memory = make_memory({});
    format_on<cache_store>(memory, {});
    auto live = opened_on<cache_store>(memory);
    EXPECT_EQ(code_of(cache_store::open(any_device{memory}, with<cache_store>())), errc::unclean) << "it is in use";
    mixture few;
    few.bytes_max = 600;
    few.punch = few.reserve = 0;
    scenario<cache_store> runs{4, live.root(), few};
    for (int i = 0; i < 300; ++i) {
        const auto done = runs.step(live);
        ASSERT_TRUE(done.why.code == errc::none || done.why.code == errc::too_many_extents) << message(done.why.code);
    }
    EXPECT_EQ(difference(live, runs.state()), "");
    EXPECT_EQ(findings_of(live), "");
    ASHLAR_ASSERT_OK(live.close());
    live = opened_on<cache_store>(memory);
    EXPECT_EQ(difference(live, runs.state()), "");
    EXPECT_EQ(findings_of(live), "");
    ASHLAR_ASSERT_OK(live.create());
    ASHLAR_ASSERT_OK(live.sync());
    static_cast<void>(live.abandon());
    EXPECT_EQ(code_of(cache_store::open(any_device{memory}, with<cache_store>())), errc::unclean);
    any_device device{memory};
    auto       options = volume_shape{}.format();
    options.overwrite  = true;
    ASHLAR_ASSERT_OK(cache_store::format(device, options));
    live = opened_on<cache_store>(memory);
    EXPECT_EQ(live.info().objects, 1U);
}

TEST(StoreFormat, AJournalThatHoldsNoOperationIsRefusedAndAnyOtherServes) {
    for (const std::uint32_t block : {512U, 4096U}) {
        std::uint64_t refused = 0, served = 0;
        for (std::uint64_t journal = 2; journal <= 80; ++journal) {
            const volume_shape shape{.block_bytes = block, .blocks = 600, .journal_blocks = journal};
            auto               memory = make_memory(shape);
            any_device         device{memory};
            if (const auto done = test_store::format(device, shape.format()); !done) {
                EXPECT_EQ(done.error().code, errc::invalid_argument) << journal;
                EXPECT_EQ(served, 0U) << "a larger journal is refused";
                ++refused;
                continue;
            }
            ++served;
            auto opened = test_store::open(device);
            ASHLAR_ASSERT_OK(opened);
            const auto made = opened.value().create();
            ASSERT_TRUE(made) << said(made) << " with a journal of " << journal << " blocks";
            ASHLAR_ASSERT_OK(opened.value().write(made.value(), 700, pattern(9 * block, journal)));
            ASHLAR_ASSERT_OK(opened.value().truncate(made.value(), 900));
            ASHLAR_ASSERT_OK(opened.value().trim({100}));
            ASHLAR_ASSERT_OK(opened.value().erase(made.value()));
            ASHLAR_ASSERT_OK(opened.value().close());
        }
        EXPECT_GT(refused, 0U);
        EXPECT_GT(served, 40U);
    }
}

}  // namespace store_open_test
}  // namespace ashlar::test
