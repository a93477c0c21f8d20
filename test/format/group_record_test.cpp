#include <ashlar/allocator/bitmap_words.hpp>
#include <ashlar/format/group_bitmap.hpp>
#include <ashlar/format/group_record.hpp>
#include <ashlar/format/volume_totals.hpp>

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace group_record_test {

using namespace ashlar;

constexpr block_size all_sizes[] = {{512}, {1024}, {2048}, {4096}, {8192}, {16384}, {32768}, {65536}};

TEST(ShortDivision, AgreesWithADivision) {
    std::mt19937_64 random{3};
    for (unsigned k = 1; k < 64; ++k) {
        const std::uint64_t divisor = (std::uint64_t{1} << k) - 1;
        for (int i = 0; i < 200; ++i) {
            std::uint64_t value = random() >> (random() % 64);
            if (i < 8) value = divisor * (random() % 3) + static_cast<std::uint64_t>(i % 3) - 1;
            const auto split = divide_by_ones(value, k);
            ASSERT_EQ(split.quotient, value / divisor);
            ASSERT_EQ(split.rest, value % divisor);
        }
    }
}

TEST(GroupRecord, PlacesOfBlocksAgreeWithADivisionOnEveryBlockSize) {
    std::mt19937_64 random{4};
    for (const auto size : all_sizes) {
        const std::uint64_t per_group = blocks_per_group(size);
        for (int i = 0; i < 500; ++i) {
            const std::uint64_t block = random() >> (random() % 64);
            const auto          place = place_of({block}, size);
            ASSERT_EQ(place.group, block / per_group);
            ASSERT_EQ(place.offset, block % per_group);
            ASSERT_EQ(first_of_group(place.group, size).value + place.offset, block);
            const std::uint64_t volume = 1 + (block >> 1);
            const std::uint64_t groups = groups_for({volume}, size);
            ASSERT_EQ(groups, (volume - 1) / per_group + 1);
            ASSERT_EQ(first_of_group(groups - 1, size).value + blocks_of_group(groups - 1, {volume}, size), volume);
        }
        EXPECT_GE(sums_per_block(size) * checksum_blocks_per_group(size), per_group);
        EXPECT_LE(checksum_blocks_per_group(size), 64U);
    }
}

TEST(GroupRecord, RecordsOfTheTableFollowTheTotalsAndNeverReachTheTrailer) {
    for (const auto size : all_sizes) {
        std::uint64_t block = 0;
        std::uint32_t byte  = totals_records * group_record_bytes;
        EXPECT_LE(byte, size.bytes - trailer_bytes);
        for (std::uint64_t group = 0; group < 3000; ++group) {
            if (byte + group_record_bytes > size.bytes - trailer_bytes) {
                byte = 0;
                ++block;
            }
            const auto place = group_record_of(group, size);
            ASSERT_EQ(place.block.value, block);
            ASSERT_EQ(place.byte, byte);
            ASSERT_EQ(group_table_blocks(group + 1, size).value, block + 1);
            byte += group_record_bytes;
        }
    }
}

TEST(GroupRecord, ComesBackAsItWas) {
    group_summary summary     = empty_group(1000);
    summary.free              = 700;
    summary.runs              = {1, 0, 0, 0, 0, 0, 0, 2, 1};
    summary.largest           = 443;
    summary.tail              = 128;
    summary.head              = 1;
    summary.trimmed           = 699;
    summary.bitmap_written    = true;
    summary.trimmed_written   = true;
    summary.checksums_written = 0x8000'0000'0000'0001;
    const auto decoded        = decode_group(encode_group(summary), 1000);
    ASSERT_TRUE(decoded.has_value());
    EXPECT_EQ(*decoded, summary);
    EXPECT_TRUE(decode_group(encode_group(empty_group(32'640)), 32'640).has_value());
}

TEST(GroupRecord, ThatContradictsItselfIsRefused) {
    const auto good    = empty_group(1000);
    const auto refused = [&](auto change) {
        group_summary bad  = good;
        bad.bitmap_written = true;
        change(bad);
        return !decode_group(encode_group(bad), 1000).has_value();
    };
    EXPECT_FALSE(refused([](group_summary&) {}));
    EXPECT_TRUE(refused([](group_summary& s) { s.free = 1001; }));
    EXPECT_TRUE(refused([](group_summary& s) { s.free = 500; }));
    EXPECT_TRUE(refused([](group_summary& s) { s.largest = 0xFFFF'FFFF; }));
    EXPECT_TRUE(refused([](group_summary& s) { s.largest = 0; }));
    EXPECT_TRUE(refused([](group_summary& s) { s.head = 1001; }));
    EXPECT_TRUE(refused([](group_summary& s) { s.tail = 1001; }));
    EXPECT_TRUE(refused([](group_summary& s) { s.trimmed = 1001; }));
    EXPECT_TRUE(refused([](group_summary& s) { s.runs[0] = 1000; }));
    EXPECT_TRUE(refused([](group_summary& s) { s.runs = {}; }));
    EXPECT_TRUE(refused([](group_summary& s) {
        s.runs    = {1};
        s.largest = s.head = s.tail = 1;
    })) << "fewer blocks in runs than are free";
    EXPECT_TRUE(refused([](group_summary& s) { s.head = s.largest + 1; }));
    EXPECT_TRUE(refused([](group_summary& s) {
        s                = {};
        s.bitmap_written = false;
    }));
    auto record  = encode_group(good);
    record.flags = 4;
    EXPECT_FALSE(decode_group(record, 1000).has_value());
    EXPECT_FALSE(decode_group(encode_group(good), 999).has_value());
    EXPECT_FALSE(decode_group(encode_group(empty_group(group_blocks_max)), group_blocks_max + 1).has_value());
}

TEST(GroupRecord, AVolumeThatEndsWithAGroupHasNoEmptyOneBehindIt) {
    for (const auto size : all_sizes) {
        const std::uint64_t per_group = blocks_per_group(size);
        EXPECT_EQ(groups_for({3 * per_group}, size), 3U);
        EXPECT_EQ(groups_for({3 * per_group + 1}, size), 4U);
        EXPECT_EQ(blocks_of_group(2, {3 * per_group}, size), per_group);
    }
}

TEST(VolumeTotals, ComeBackAsTheyWereAndImpossibleOnesAreRefused) {
    volume_totals totals;
    totals.free = 5, totals.objects = 3, totals.records_high_water = 4, totals.dying_head = 9,
    totals.generation_counter = 77;
    totals.allocated_extents = 6, totals.objects_with_data = 2, totals.trimmed = 4;
    totals.runs[3] = 0xFFFF'FFFF, totals.extents[10] = 8;
    const auto decoded = decode_totals(encode_totals(totals), {100});
    ASSERT_TRUE(decoded.has_value());
    EXPECT_EQ(*decoded, totals);
    EXPECT_FALSE(decode_totals(encode_totals(totals), {4}).has_value());
    const auto refused = [&](auto change) {
        auto bad = totals;
        change(bad);
        return !decode_totals(encode_totals(bad), {100}).has_value();
    };
    EXPECT_TRUE(refused([](volume_totals& t) { t.trimmed = 6; })) << "more trimmed than free";
    EXPECT_TRUE(refused([](volume_totals& t) { t.objects = 5; })) << "more objects than records";
    EXPECT_TRUE(refused([](volume_totals& t) { t.objects_with_data = 4; })) << "more than there are objects";
    EXPECT_TRUE(refused([](volume_totals& t) { t.allocated_extents = 101; })) << "more extents than blocks";
    EXPECT_FALSE(refused([](volume_totals& t) { t.allocated_extents = 100; }));
}

TEST(GroupBitmap, WordsAndBytesAgreeAndBitsPastTheEndAreSetInMemoryOnly) {
    std::mt19937_64 random{5};
    for (const std::uint32_t blocks : {1U, 7U, 64U, 65U, 1000U, 3968U}) {
        std::vector<std::byte>   bytes(496, std::byte{0});
        std::vector<bitmap_word> words(62);
        std::vector<bool>        model(blocks);
        for (int step = 0; step < 40; ++step) {
            const auto first   = static_cast<std::uint32_t>(random() % blocks);
            const auto count   = static_cast<std::uint32_t>(1 + random() % (blocks - first));
            const bool set     = random() % 2 != 0;
            const auto touched = bytes_of_run({first, count});
            write_run(std::span{bytes}.subspan(touched.offset, touched.length), {first, count}, set);
            for (std::uint32_t i = first; i < first + count; ++i) model[i] = set;
        }
        load_bitmap(words, bytes, blocks);
        for (std::uint32_t i = 0; i < blocks; ++i) {
            ASSERT_EQ(is_set(words, i), model[i]);
            ASSERT_EQ((bytes[i / 8] >> (i % 8) & std::byte{1}) == std::byte{1}, model[i]);
        }
        EXPECT_TRUE(all_set(words, {blocks, 3968 - blocks}));
        std::vector<std::byte> again(496, std::byte{0});
        store_bitmap(again, words, blocks);
        EXPECT_EQ(again, bytes);
        clear_bitmap(words, blocks);
        EXPECT_EQ(longest_clear_run(words, 0, 3968), (group_run{0, blocks}));
    }
}

}  // namespace group_record_test
