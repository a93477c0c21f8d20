/// The program's small pure parts: names, sizes, signatures of other formats, and the picture of a volume.

#include "../../examples/cli/foreign.hpp"
#include "../../examples/cli/names.hpp"
#include "../../examples/cli/region_map.hpp"
#include "../../examples/cli/region_names.hpp"
#include "../../examples/cli/sizes.hpp"
#include "../../examples/cli/volume_map.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace text_test {

TEST(Names, WhatIsNoUtf8IsShownByItsBytes) {
    EXPECT_EQ(cli::shown("plain"), "plain");
    EXPECT_EQ(cli::shown("gr\xC3\xBC\xC3\x9F"
                         "e"),
              "gr\xC3\xBC\xC3\x9F"
              "e");
    EXPECT_EQ(cli::shown("a\xFF"
                         "b"),
              "a\\xffb");
    EXPECT_EQ(cli::shown("\xC0\xAF"), "\\xc0\\xaf") << "an overlong slash is no slash";
    EXPECT_EQ(cli::shown("\xED\xA0\x80"), "\\xed\\xa0\\x80") << "half of a surrogate pair";
    EXPECT_EQ(cli::shown("\xE2\x82"), "\\xe2\\x82") << "cut";
}

TEST(Names, NothingInAShownNameMovesTheCursor) {
    EXPECT_EQ(cli::shown("\033[2J\n"), "\\x1b[2J\\x0a");
    EXPECT_EQ(cli::shown("\xC2\x9B"), "\\xc2\\x9b");
}

TEST(Names, DifferentNamesAreShownDifferently) { EXPECT_NE(cli::shown("a\xFF"), cli::shown("a\\xff")); }

TEST(Sizes, UnitsArePowersOf1024) {
    EXPECT_EQ(cli::parse_size("1"), 1U);
    EXPECT_EQ(cli::parse_size("4K"), 4096U);
    EXPECT_EQ(cli::parse_size("4KiB"), 4096U);
    EXPECT_EQ(cli::parse_size("2G"), 2ULL << 30U);
    EXPECT_EQ(cli::parse_size("16777215T"), 16777215ULL << 40U);
}

TEST(Sizes, WhatIsNoSizeIsRefused) {
    for (const char* const text :
         {"", "K", "-4K", "4 K", "4Kx", "4KK", "0x10", "1.5G", "16777216T", "18446744073709551616"}) {
        EXPECT_FALSE(cli::parse_size(text).has_value()) << text;
    }
}

TEST(Recognise, EverySignatureIsFoundAtItsPlace) {
    for (const auto& known : cli::signatures) {
        std::vector<std::byte> front(cli::recognised_bytes);
        std::memcpy(front.data() + known.offset, known.bytes.data(), known.bytes.size());
        EXPECT_EQ(cli::recognise(front), known.name);
    }
}

TEST(Recognise, ZerosAreNothingAndOtherBytesAreSomething) {
    std::vector<std::byte> front(cli::recognised_bytes);
    EXPECT_EQ(cli::recognise(front), "");
    front[12345] = std::byte{1};
    EXPECT_EQ(cli::recognise(front), "data of an unknown kind");
    EXPECT_EQ(cli::recognise(std::span{front}.first(100)), "") << "a short file is looked at as far as it goes";
}

TEST(VolumeMap, LettersTellWholeDataFromBrokenData) {
    cli::volume_map map{100, 10};
    map.add({{0}, {10}}, false);
    map.add({{12}, {2}}, false);
    map.add({{20}, {9}}, true);
    map.add({{30}, {2}}, true);
    map.add({{40}, {5}}, false);
    EXPECT_EQ(map.letters(), "#-Xx=.....");
}

TEST(VolumeMap, AnExtentIsCountedInEveryCellThatItCrosses) {
    cli::volume_map map{95, 10};
    map.add({{5}, {90}}, false);
    EXPECT_EQ(map.letters(), "=########=");
    EXPECT_EQ(map.broken_part(), 0);
    map.add({{1000}, {5}}, true);  // beyond the volume: ignored
    EXPECT_EQ(map.broken_part(), 0);
}

TEST(RegionNames, ANameIsFourLettersAColonAndANumber) {
    EXPECT_EQ(cli::parse_region("LOGS:0"), (ashlar::region_id{ashlar::tag_of("LOGS"), 0}));
    EXPECT_EQ(cli::parse_region("a::b:4294967295"), (ashlar::region_id{ashlar::tag_of("a::b"), 4294967295U}));
    for (const char* const text : {"", "LOGS", "LOGS:", "LOG:0", "LOGSX:0", "LOGS:4294967296", "LOGS:1x", "LOGS:-1",
                                   "LO S:1", "LOGS 1", "LOGS:99999999999999999999999"}) {
        EXPECT_FALSE(cli::parse_region(text).has_value()) << text;
    }
}

TEST(RegionNames, TypesOfTheFormatAreNobodyElses) {
    for (const char* const text : {"JRNL", "BMAP", "MCHK", "LOG", "LOGSX", "LO\tS", "LO\xFFS"}) {
        EXPECT_FALSE(cli::parse_region_type(text).has_value()) << text;
    }
    EXPECT_EQ(cli::parse_region_type("LOGS"), ashlar::tag_of("LOGS"));
}

TEST(RegionNames, WhatIsParsedIsShownAgain) {
    for (const char* const text : {"LOGS:0", "a::b:17", "~~~~:4294967295"}) {
        EXPECT_EQ(cli::text_of(cli::parse_region(text).value()), text);
    }
    EXPECT_EQ(cli::type_text(ashlar::tag_of("\033[2J")), "\\x1b[2J") << "letters of a forged volume move no cursor";
}

TEST(RegionMap, ALetterIsWhatMostOfTheUsedBlocksAre) {
    cli::region_map map{100, 10};
    map.add({ashlar::block_index{0}, ashlar::block_count{4}}, cli::block_use::free);
    map.add({ashlar::block_index{4}, ashlar::block_count{6}}, cli::block_use::store);
    map.add({ashlar::block_index{10}, ashlar::block_count{20}}, cli::block_use::free);
    map.add({ashlar::block_index{30}, ashlar::block_count{25}}, cli::block_use::region);
    map.add({ashlar::block_index{55}, ashlar::block_count{5}}, cli::block_use::pinned);
    map.add({ashlar::block_index{60}, ashlar::block_count{9}}, cli::block_use::free);
    map.add({ashlar::block_index{69}, ashlar::block_count{1}}, cli::block_use::region);
    map.add({ashlar::block_index{80}, ashlar::block_count{2}}, cli::block_use::pinned);
    EXPECT_EQ(map.letters(), "s..##P#---");
    EXPECT_EQ(map.blocks_per_cell(), 10U);
}

TEST(RegionMap, TheLastLetterMayStandForFewerBlocks) {
    cli::region_map map{25, 3};
    map.add({ashlar::block_index{18}, ashlar::block_count{7}}, cli::block_use::free);
    EXPECT_EQ(map.letters(), "--.");
    map.add({ashlar::block_index{24}, ashlar::block_count{100}}, cli::block_use::store);
    EXPECT_EQ(map.letters(), "--s") << "what lies behind the volume is nowhere";
}

}  // namespace text_test
