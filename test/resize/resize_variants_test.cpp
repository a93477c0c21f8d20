// Sizes change without a journal, without checksums, with the smallest code, with threads; and what lies about sizes.

#include "resize_fixture.hpp"

#include <ashlar/allocator/bitmap_allocator.hpp>
#include <ashlar/checksum/no_checksum.hpp>
#include <ashlar/hosted/multi_threaded.hpp>
#include <ashlar/journal/no_journal.hpp>
#include <ashlar/object/inline_map.hpp>

#include <thread>

namespace ashlar::test {
namespace resize_variants_test {

struct small_blueprint : test_blueprint<no_checksum> {
    using allocator = bitmap_allocator;
};
struct threaded_blueprint : test_blueprint<> {
    using threading = multi_threaded;
};
using no_journal_store = store<test_blueprint<xxh3, extent_tree, no_journal>>;

template <class Blueprint>
struct ResizeVariants : testing::Test {};
using variants = testing::Types<small_blueprint, threaded_blueprint, test_blueprint<xxh3, extent_tree, no_journal>>;
TYPED_TEST_SUITE(ResizeVariants, variants, );

TYPED_TEST(ResizeVariants, AFullVolumeGrowsIsFilledAndIsCutAgain) {
    using store_type = store<TypeParam>;
    const volume_shape shape{.block_bytes = 512, .blocks = 3900, .journal_blocks = 96};
    auto               memory      = make_spare<store_type>(shape, 18'000);
    auto               live        = opened_on<store_type>(memory);
    std::uint64_t      first_bytes = 0, second_bytes = 0;
    const auto         first = fill(live, 1, first_bytes);
    ASHLAR_ASSERT_OK(store_size{live}.grow());
    expect_whole(live);
    const auto second = fill(live, 2, second_bytes);
    EXPECT_GT(second_bytes, 12'000U * 450U);
    expect_whole(live);
    ASHLAR_ASSERT_OK(live.close());
    live = opened_on<store_type>(memory);
    expect_filled(live, first, 1, first_bytes);
    expect_filled(live, second, 2, second_bytes);
    ASHLAR_ASSERT_OK(live.erase(second));
    while (live.maintain().value().reasons.has(stop_reason::budget_spent)) {}
    ASHLAR_ASSERT_OK(store_size{live}.cut(block_count{3900}));
    expect_whole(live);
    ASHLAR_ASSERT_OK(live.close());
    live = opened_on<store_type>(memory);
    EXPECT_EQ(live.info().blocks, block_count{3900});
    expect_filled(live, first, 1, first_bytes);
    expect_whole(live);
}

TEST(ResizeThreads, ReadersAndWritersGoOnWhileTheSizeChanges) {
    using store_type = store<threaded_blueprint>;
    const volume_shape     shape{.block_bytes = 512, .blocks = 3900, .journal_blocks = 160};
    auto                   memory = make_spare<store_type>(shape, 18'000);
    auto                   live   = opened_on<store_type>(memory);
    const auto             bytes  = pattern(8, 512, 3);
    std::vector<object_id> ids;
    for (int i = 0; i < 3; ++i) {
        ids.push_back(live.create().value());
        ASHLAR_ASSERT_OK(live.append(ids.back(), bytes));
    }
    std::vector<std::thread> others;
    for (const auto id : ids) {
        others.emplace_back([&live, &bytes, id] {
            byte_vector seen(bytes.size());
            for (std::uint64_t i = 0; i < scaled(150); ++i) {
                ASHLAR_EXPECT_OK(live.write(id, 0, bytes));
                ASHLAR_EXPECT_OK(live.read(id, 0, seen));
                EXPECT_EQ(seen, bytes);
                if (i % 8 == 0) ASHLAR_EXPECT_OK(live.sync());
            }
        });
    }
    for (int round = 0; round < 6; ++round) {
        ASHLAR_EXPECT_OK(store_size{live}.grow());
        for (int tries = 0; tries < 50; ++tries) {
            const auto cut = store_size{live}.cut(block_count{15'000});
            if (cut) break;
            EXPECT_EQ(cut.error().code, errc::busy) << said(cut);
            std::this_thread::yield();
        }
    }
    for (auto& one : others) one.join();
    expect_whole(live);
    ASHLAR_ASSERT_OK(live.close());
    live = opened_on<store_type>(memory);
    expect_whole(live);
}

struct ResizeHostile : testing::Test {
    static constexpr volume_shape shape{.block_bytes = 512, .blocks = 3900, .journal_blocks = 96};

    ResizeHostile() : memory{make_spare(shape, 18'000)} {
        auto live = opened_on(memory);
        ASHLAR_EXPECT_OK(store_size{live}.grow());
        id = live.volume().id;
        ASHLAR_EXPECT_OK(live.close());
    }
    /// Changes the bytes of a frame and its mirror, and makes their trailers fit.
    template <class Edit>
    void edit(std::uint64_t first, std::uint64_t second, const block_identity& identity, Edit change) {
        for (const auto number : {first, second}) {
            const auto frame = memory.bytes().subspan(static_cast<std::size_t>(number) * 4096, 4096);
            change(frame);
            seal_block(frame, identity.tag, {}, identity_seed(id, identity));
        }
    }
    void say_blocks(std::uint64_t blocks) {
        edit(frame::superblock, frame::superblock_mirror, superblock_identity, [&](std::span<std::byte> content) {
            store_little<std::uint64_t>(content.data() + offsetof(superblock, blocks), blocks);
        });
    }
    error refused() {
        auto opened = test_store::open(any_device{memory}, with<test_store>());
        EXPECT_TRUE(opened.has_error());
        return opened ? error{} : opened.error();
    }

    memory_device memory;
    volume_id     id{};
};

TEST_F(ResizeHostile, ASuperblockThatSaysAnotherSizeIsRefused) {
    say_blocks(18'001);
    EXPECT_EQ(refused(), (error{errc::out_of_range, {18'001}}));
    say_blocks(~std::uint64_t{0} >> 17U);
    EXPECT_EQ(refused().code, errc::out_of_range);
    say_blocks(~std::uint64_t{0});
    EXPECT_EQ(refused().code, errc::not_a_volume);
    say_blocks(80);
    EXPECT_EQ(refused().code, errc::damaged);
    say_blocks(0);
    EXPECT_EQ(refused().code, errc::damaged);
    say_blocks(3900);
    EXPECT_EQ(refused().code, errc::damaged) << "tables lie behind that end";
    say_blocks(18'000);
    auto opened = opened_on(memory);
    expect_whole(opened);
}

TEST_F(ResizeHostile, ADeviceThatIsShorterThanTheVolumeIsRefusedAndALongerOneIsNot) {
    auto shorter = memory_device::lend(memory.bytes().first(17'999 * 512), {512}).value();
    auto opened  = test_store::open(any_device{shorter}, with<test_store>());
    ASSERT_TRUE(opened.has_error());
    EXPECT_EQ(opened.error(), (error{errc::out_of_range, {18'000}}));
    auto longer = memory_device::create({512}, block_count{20'000}).value();
    std::memcpy(longer.bytes().data(), memory.bytes().data(), memory.bytes().size());
    auto live = opened_on(longer);
    EXPECT_EQ(live.info().blocks, block_count{18'000});
    EXPECT_EQ(store_size{live}.plan_growth().after, block_count{20'000});
    expect_whole(live);
}

TEST_F(ResizeHostile, PartsThatContradictEachOtherAreRefused) {
    const auto slots = [](std::span<const std::byte> content) {
        return std::uint32_t{load_struct<directory_head>(content).slots};
    };
    const auto saved = byte_vector(memory.bytes().begin(), memory.bytes().end());
    const auto spoil = [&](auto change) {
        std::copy(saved.begin(), saved.end(), memory.bytes().begin());
        edit(frame::directory, frame::directory_mirror, directory_identity, [&](std::span<std::byte> content) {
            for (std::uint32_t i = 0; i < slots(content); ++i) {
                auto slot = load_struct<region_slot>(content.subspan(region_slot_offset(i)));
                if (slot.type != tag::bitmap || slot.id != 1U) continue;
                change(slot);
                store_struct(content.subspan(region_slot_offset(i)), slot);
            }
        });
        return refused().code;
    };
    EXPECT_EQ(spoil([](region_slot& slot) { slot.id = 2; }), errc::damaged);
    EXPECT_EQ(spoil([](region_slot& slot) { slot.id = 0; }), errc::damaged);
    EXPECT_EQ(spoil([](region_slot& slot) { slot.id = ~0U; }), errc::damaged);
    EXPECT_EQ(spoil([](region_slot& slot) { slot.blocks = 1; }), errc::damaged) << "too short for the groups";
    EXPECT_EQ(spoil([](region_slot& slot) { slot.start = 17'999; }), errc::damaged);
    EXPECT_EQ(spoil([](region_slot& slot) { slot.type = tag_of("MINE"); }), errc::damaged);
}

TEST_F(ResizeHostile, ABitmapThatIsDamagedKeepsTheVolumeAsItIs) {
    auto live = opened_on(memory);
    ASHLAR_ASSERT_OK(store_size{live}.cut(block_count{17'500}));
    const auto home = live.volume().regions.bitmap(4).home;
    ASHLAR_ASSERT_OK(store_regions{live}.add({.type = logs, .blocks = block_count{8}, .from = block_index{16'000}}));
    ASHLAR_ASSERT_OK(live.close());
    const auto block = memory.bytes().subspan(static_cast<std::size_t>(home.value) * 512, 512);
    live             = opened_on(memory);
    block[300] ^= std::byte{1};
    EXPECT_EQ(code_of(store_size{live}.grow()), errc::checksum_differs);
    EXPECT_EQ(code_of(store_size{live}.cut(block_count{17'000})), errc::checksum_differs);
    EXPECT_EQ(live.info().blocks, block_count{17'500});
    block[300] ^= std::byte{1};
    store_little<std::uint64_t>(block.data() + 96, 1);  // whole, and says more than its group's record
    seal_block(block, tag::bitmap, {}, identity_seed(id, live.volume().regions.bitmap(4).identity));
    EXPECT_EQ(code_of(store_size{live}.grow()), errc::damaged);
    EXPECT_EQ(live.info().blocks, block_count{17'500});
}

TEST_F(ResizeHostile, ATableHasOnlySoManyParts) {
    auto live   = opened_on(memory);
    auto longer = memory_device::create({512}, block_count{400'000}).value();
    static_cast<void>(live.abandon());
    std::memcpy(longer.bytes().data(), memory.bytes().data(), memory.bytes().size());
    live                 = opened_on(longer);
    std::uint64_t blocks = 18'000;
    errc          last   = errc::none;
    while (last == errc::none && blocks < 390'000) last = code_of(store_size{live}.grow(block_count{blocks += 4100}));
    EXPECT_EQ(last, errc::too_large);
    EXPECT_EQ(live.volume().regions.checksums().size(), region_table::table_parts_max);
    expect_whole(live);
}

}  // namespace resize_variants_test
}  // namespace ashlar::test
