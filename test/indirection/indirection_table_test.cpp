// The indirection table's blocks, and its entries in memory.

#include <ashlar/testing/random_bits.hpp>
#include <ashlar/volume/indirection_map.hpp>

#include <gtest/gtest.h>

#include <map>
#include <vector>

namespace ashlar::test {
namespace indirection_table_test {

using byte_vector = std::vector<std::byte>;

constexpr block_index block(std::uint64_t i) { return block_index{i}; }

/// A block of 512 bytes, part 3 of a table, with two entries.
byte_vector two_entries() {
    byte_vector bytes(512);
    encode_indirection_head(bytes, 3, 2);
    encode_indirection_entry(std::span{bytes}.subspan(indirection_entry_offset(0), 16), {block(700), block(650)});
    encode_indirection_entry(std::span{bytes}.subspan(indirection_entry_offset(1), 16), {block(701), block(651)});
    return bytes;
}

TEST(IndirectionTable, ABlockHoldsWhatItsSizeLeavesBesideHeadAndTrailer) {
    EXPECT_EQ(indirection_entries_in({512}), 30U);
    EXPECT_EQ(indirection_entries_in({4096}), 254U);
    EXPECT_EQ(indirection_entries_in({65536}), 4094U);
    const auto bytes = two_entries();
    const auto text  = std::string(reinterpret_cast<const char*>(bytes.data()), 4);
    EXPECT_EQ(text, "INDR");
    EXPECT_EQ(bytes[4], std::byte{1}) << "the version";
    EXPECT_EQ(bytes[6], std::byte{2}) << "the number of entries, not aligned";
    EXPECT_EQ(bytes[10], std::byte{3}) << "the part";
    EXPECT_EQ(load_little<std::uint64_t>(bytes.data() + 16), 700U);
    EXPECT_EQ(load_little<std::uint64_t>(bytes.data() + 24), 650U);
}

TEST(IndirectionTable, WhatWasEncodedIsDecoded) {
    const auto bytes = two_entries();
    EXPECT_EQ(decode_indirection_head(bytes, 3), 2U);
    EXPECT_EQ(decode_indirection_entry(bytes, 1, block_count{1000}), (indirection_entry{block(701), block(651)}));
}

TEST(IndirectionTable, EveryByteOfTheHeadCounts) {
    for (std::size_t i = 0; i < sizeof(indirection_head); ++i) {
        for (unsigned bit = 0; bit < 8; ++bit) {
            auto bytes = two_entries();
            bytes[i] ^= std::byte{1} << bit;
            const auto count = decode_indirection_head(bytes, 3);
            const bool other = i == 6 && bit < 5;  // another number of entries, up to 30, is as good a head
            if (other) {
                ASSERT_TRUE(count.has_value());
                EXPECT_LE(*count, 30U);
            } else {
                EXPECT_FALSE(count.has_value()) << "byte " << i << ", bit " << bit;
            }
        }
    }
    EXPECT_FALSE(decode_indirection_head(two_entries(), 2).has_value()) << "a block of another place";
    EXPECT_FALSE(decode_indirection_head(byte_vector(512), 0).has_value()) << "zeros are not an empty table";
}

TEST(IndirectionTable, AnEntryNamesBlocksOfTheVolumeAndNeverOneTwice) {
    const auto bytes = two_entries();
    EXPECT_FALSE(decode_indirection_entry(bytes, 0, block_count{700}).has_value());
    EXPECT_TRUE(decode_indirection_entry(bytes, 0, block_count{701}).has_value());
    auto same = bytes;
    encode_indirection_entry(std::span{same}.subspan(indirection_entry_offset(0), 16), {block(9), block(9)});
    EXPECT_FALSE(decode_indirection_entry(same, 0, block_count{1000}).has_value()) << "identity is not stored";
    encode_indirection_entry(std::span{same}.subspan(indirection_entry_offset(0), 16), {block(9), block(~0ULL)});
    EXPECT_FALSE(decode_indirection_entry(same, 0, block_count{1000}).has_value());
}

struct lent_map {
    explicit lent_map(std::size_t entries) {
        arena counted;
        map.take(counted, entries);
        memory.resize(counted.used() + 1);
        arena from{memory};
        map.take(from, entries);
        map.clear();
    }
    byte_vector     memory;
    indirection_map map;
};

TEST(IndirectionMap, WithoutMemoryEveryBlockIsWhereItIs) {
    lent_map none{0};
    EXPECT_TRUE(none.map.empty());
    EXPECT_FALSE(none.map.resolve(block(5)).remapped);
    EXPECT_EQ(none.map.resolve_run({block(5), block_count{7}}), (extent{block(5), block_count{7}}));
    EXPECT_FALSE(none.map.remove(block(5)));
    const auto refused = none.map.remap(block(5), block(6));
    ASSERT_TRUE(refused.has_error());
    EXPECT_EQ(refused.error(), (error{errc::too_large, block(0)}));
}

TEST(IndirectionMap, RemapsAreFoundChangedAndTakenAway) {
    lent_map lent{8};
    auto&    map = lent.map;
    ASSERT_TRUE(map.remap(block(100), block(90)));
    ASSERT_TRUE(map.remap(block(101), block(91)));
    ASSERT_TRUE(map.remap(block(102), block(70)));
    EXPECT_FALSE(map.empty());
    EXPECT_EQ(map.count(), 3U);
    EXPECT_TRUE(map.has(block(101)));
    const auto found = map.resolve(block(100));
    EXPECT_EQ(found.logical, block(100));
    EXPECT_EQ(found.physical, block(90));
    EXPECT_TRUE(found.remapped);
    EXPECT_EQ(map.resolve_run({block(100), block_count{5}}), (extent{block(90), block_count{2}}));
    EXPECT_EQ(map.resolve_run({block(102), block_count{3}}), (extent{block(70), block_count{1}}));
    EXPECT_EQ(map.resolve_run({block(103), block_count{3}}), (extent{block(103), block_count{3}}));
    EXPECT_EQ(map.resolve_run({block(103), block_count{0}}), (extent{block(103), block_count{0}}));
    ASSERT_TRUE(map.remap(block(101), block(60)));
    EXPECT_EQ(map.resolve(block(101)).physical, block(60));
    ASSERT_TRUE(map.remap(block(100), block(100)));
    EXPECT_FALSE(map.has(block(100))) << "a block at its own place needs no entry";
    EXPECT_EQ(map.list().size(), 2U);
    EXPECT_EQ(map.list()[0].logical, block(102)) << "the last one took its place";
    EXPECT_TRUE(map.remove(block(102)));
    EXPECT_TRUE(map.remove(block(101)));
    EXPECT_TRUE(map.empty());
}

TEST(IndirectionMap, TheBoundIsSaidWithTheFigure) {
    lent_map lent{5};
    for (std::uint64_t i = 0; i < 5; ++i) ASSERT_TRUE(lent.map.remap(block(100 + i), block(i)));
    const auto refused = lent.map.remap(block(200), block(7));
    ASSERT_TRUE(refused.has_error());
    EXPECT_EQ(refused.error(), (error{errc::too_large, block(5)}));
    EXPECT_TRUE(lent.map.remap(block(104), block(7))) << "one that is there may change";
}

TEST(IndirectionMap, ATableThatWasLostIsNotAnEmptyOne) {
    lent_map lent{5};
    ASSERT_TRUE(lent.map.remap(block(100), block(7)));
    lent.map.lose({errc::damaged, block(9)});
    EXPECT_FALSE(lent.map.empty());
    EXPECT_EQ(lent.map.count(), 0U);
    EXPECT_EQ(lent.map.lost().code, errc::damaged);
    lent.map.clear();
    EXPECT_TRUE(lent.map.empty());
    EXPECT_EQ(lent.map.lost().code, errc::none);
}

TEST(IndirectionMap, ARunThatLiesElsewhereAsAWholeNeedsNoEntries) {
    lent_map lent{3};
    for (std::uint64_t i = 0; i < 3; ++i) ASSERT_TRUE(lent.map.remap(block(100 + i), block(60 + i)).has_value());
    lent.map.fold({block(100), block_count{50}}, block(60));
    EXPECT_EQ(lent.map.count(), 0U);
    EXPECT_FALSE(lent.map.empty());
    EXPECT_EQ(lent.map.folded(), (extent{block(100), block_count{50}}));
    for (std::uint64_t i = 0; i < 3; ++i) ASSERT_TRUE(lent.map.remap(block(150 + i), block(110 + i)).has_value());
    EXPECT_EQ(lent.map.resolve(block(99)).physical, block(99));
    EXPECT_EQ(lent.map.resolve(block(100)).physical, block(60));
    EXPECT_EQ(lent.map.resolve(block(149)).physical, block(109));
    EXPECT_EQ(lent.map.resolve(block(152)).physical, block(112));
    EXPECT_EQ(lent.map.resolve(block(153)).physical, block(153));
    const auto run = [&](std::uint64_t first, std::uint64_t count) {
        return lent.map.resolve_run({block(first), block_count{count}});
    };
    EXPECT_EQ(run(100, 7), (extent{block(60), block_count{7}}));
    EXPECT_EQ(run(120, 33), (extent{block(80), block_count{33}})) << "and what has entries follows it";
    EXPECT_EQ(run(120, 90), (extent{block(80), block_count{33}}));
    EXPECT_EQ(run(97, 90), (extent{block(97), block_count{3}}));
    EXPECT_EQ(run(153, 4), (extent{block(153), block_count{4}}));
    for (std::uint64_t i = 0; i < 3; ++i) EXPECT_TRUE(lent.map.remove(block(150 + i)));
    EXPECT_FALSE(lent.map.empty()) << "the run lies there still";
    EXPECT_EQ(lent.map.resolve(block(101)).physical, block(61));
    lent.map.clear();
    EXPECT_TRUE(lent.map.empty());
    EXPECT_EQ(lent.map.resolve(block(101)).physical, block(101));
    lent.map.fold({block(100), block_count{0}}, block(60));
    EXPECT_TRUE(lent.map.empty());
}

TEST(IndirectionMap, BehavesAsAnOrderedMapDoes) {
    for (std::uint32_t seed = 1; seed <= 20; ++seed) {
        random_bits                            random{seed};
        lent_map                               lent{40};
        std::map<std::uint64_t, std::uint64_t> model;
        for (int i = 0; i < 3000; ++i) {
            const auto logical = random.below(90) * (seed % 3 == 0 ? 0x100000000U : 1U), physical = random.below(90);
            if (random.below(3) == 0) {
                EXPECT_EQ(lent.map.remove(block(logical)), model.erase(logical) != 0);
                continue;
            }
            const bool fits = model.contains(logical) || model.size() < 40 || logical == physical;
            EXPECT_EQ(lent.map.remap(block(logical), block(physical)).has_value(), fits);
            if (fits && logical != physical) model[logical] = physical;
            if (logical == physical) model.erase(logical);
        }
        ASSERT_EQ(lent.map.count(), model.size());
        EXPECT_EQ(lent.map.empty(), model.empty());
        for (std::uint64_t i = 0; i < 90; ++i) {
            const auto logical = i * (seed % 3 == 0 ? 0x100000000U : 1U);
            const auto at      = model.find(logical);
            EXPECT_EQ(lent.map.resolve(block(logical)).physical, block(at == model.end() ? logical : at->second));
        }
    }
}

}  // namespace indirection_table_test
}  // namespace ashlar::test
