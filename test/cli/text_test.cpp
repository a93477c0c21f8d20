/// The program's small pure parts: names, sizes, signatures of other formats, and the picture of a volume.

#include "../../examples/cli/foreign.hpp"
#include "../../examples/cli/names.hpp"
#include "../../examples/cli/sizes.hpp"
#include "../../examples/cli/volume_map.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace {

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

}  // namespace
