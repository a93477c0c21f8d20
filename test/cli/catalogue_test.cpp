/// The catalogue of imported trees: everything comes back, and bytes that lie give no catalogue.

#include "../../examples/cli/catalogue.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

namespace catalogue_test {

using cli::catalogue;
using cli::catalogue_entry;
using cli::entry_kind;

catalogue small_tree() {
    return {
        {.path = "", .kind = entry_kind::folder, .mode = 0755, .modified_s = -5, .modified_ns = 999'999'999},
        {.path = "bad\xFFname", .kind = entry_kind::file, .mode = 0600, .object = {7}, .size = 12},
        {.path = "empty", .kind = entry_kind::file, .mode = 0644},
        {.path = "folder", .kind = entry_kind::folder, .mode = 01777, .modified_s = 1'700'000'000},
        {.path = "folder/linked", .kind = entry_kind::file, .mode = 04755, .object = {7}, .size = 12},
        {.path = "link", .target = "../anywhere at all", .kind = entry_kind::symbolic_link, .mode = 0777},
    };
}

/// Puts the header's numbers right again, so that only the planted lie is wrong.
void mend(std::vector<std::byte>& bytes) {
    auto header  = ashlar::load_struct<cli::catalogue_header>(bytes);
    header.bytes = bytes.size();
    ashlar::store_struct(bytes, header);
    header.checksum = cli::detail::catalogue_checksum(bytes);
    ashlar::store_struct(bytes, header);
}

/// A tree with one more entry, encoded although it may be no tree.
std::optional<catalogue> decoded_with(catalogue_entry extra) {
    auto tree = small_tree();
    tree.push_back(std::move(extra));
    return cli::decode_catalogue(cli::encode_catalogue(tree));
}

TEST(Catalogue, ComesBackAsItWasWritten) {
    const auto decoded = cli::decode_catalogue(cli::encode_catalogue(small_tree()));
    ASSERT_TRUE(decoded.has_value());
    EXPECT_EQ(*decoded, small_tree());
}

TEST(Catalogue, EmptyTreeComesBackToo) {
    const auto decoded = cli::decode_catalogue(cli::encode_catalogue({}));
    ASSERT_TRUE(decoded.has_value());
    EXPECT_TRUE(decoded->empty());
}

TEST(Catalogue, AcceptsAFurtherEntryOnlyWhenItIsSound) {
    EXPECT_TRUE(decoded_with({.path = "zebra", .kind = entry_kind::file, .mode = 0644}).has_value());
}

TEST(Catalogue, TakesMemoryOnlyForWhatStandsOnItsVolume) {
    EXPECT_TRUE(cli::can_hold_catalogue(1, 1000, 4096, 40));
    EXPECT_TRUE(cli::can_hold_catalogue(2, 1000, 4096, 4097));
    EXPECT_FALSE(cli::can_hold_catalogue(1, 1000, 4096, 4097)) << "a hole";
    EXPECT_FALSE(cli::can_hold_catalogue(0, 1000, 4096, cli::catalogue_bytes_max)) << "nothing but a hole";
    EXPECT_FALSE(cli::can_hold_catalogue(1U << 20U, 1000, 4096, cli::catalogue_bytes_max)) << "more than the volume";
    EXPECT_FALSE(cli::can_hold_catalogue(~0ULL, ~0ULL, 512, ~0ULL));
}

TEST(Catalogue, PathThatLeadsOutOfTheFolderIsRefused) {
    for (const char* const path : {"z/../../etc/passwd", "..", "../x", "/etc/passwd", "z//x", "z/", "./z"}) {
        EXPECT_FALSE(decoded_with({.path = path, .kind = entry_kind::file, .mode = 0644}).has_value()) << path;
    }
    EXPECT_FALSE(decoded_with({.path = std::string{"z\0z", 3}, .kind = entry_kind::file}).has_value());
    EXPECT_FALSE(decoded_with({.path = std::string(256, 'z'), .kind = entry_kind::file}).has_value());
}

TEST(Catalogue, EntryBehindASymbolicLinkIsRefused) {
    EXPECT_FALSE(decoded_with({.path = "link/file", .kind = entry_kind::file, .mode = 0644}).has_value());
}

TEST(Catalogue, EntryWithoutItsFolderIsRefused) {
    EXPECT_FALSE(decoded_with({.path = "nowhere/file", .kind = entry_kind::file, .mode = 0644}).has_value());
}

TEST(Catalogue, SamePathTwiceIsRefused) {
    EXPECT_FALSE(decoded_with({.path = "link", .kind = entry_kind::file, .mode = 0644}).has_value());
}

TEST(Catalogue, ContradictingFieldsAreRefused) {
    EXPECT_FALSE(decoded_with({.path = "z", .kind = entry_kind::file, .size = 5}).has_value()) << "bytes but no object";
    EXPECT_FALSE(decoded_with({.path = "z", .kind = entry_kind::file, .object = {9}}).has_value())
        << "an object but no bytes";
    EXPECT_FALSE(decoded_with({.path = "z", .kind = entry_kind::folder, .object = {9}, .size = 5}).has_value());
    EXPECT_FALSE(decoded_with({.path = "z", .kind = entry_kind::symbolic_link}).has_value())
        << "a link without a target";
    EXPECT_FALSE(decoded_with({.path = "z", .kind = static_cast<entry_kind>(9)}).has_value());
    EXPECT_FALSE(decoded_with({.path = "z", .kind = entry_kind::file, .object = {7}, .size = 13}).has_value())
        << "a hard link of another size";
    EXPECT_FALSE(decoded_with({.path = "z", .kind = entry_kind::file, .modified_ns = 1'000'000'000}).has_value());
}

TEST(Catalogue, CutAtAnyByteIsRefused) {
    const auto whole = cli::encode_catalogue(small_tree());
    for (std::size_t size = 0; size < whole.size(); ++size) {
        std::vector<std::byte> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
        EXPECT_FALSE(cli::decode_catalogue(cut).has_value()) << size;
        if (size < sizeof(cli::catalogue_header)) continue;
        mend(cut);  // the checksum agrees now; the lengths still do not
        EXPECT_FALSE(cli::decode_catalogue(cut).has_value()) << size;
    }
}

TEST(Catalogue, EveryFlippedBitIsNoticed) {
    const auto whole = cli::encode_catalogue(small_tree());
    for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
        auto flipped = whole;
        flipped[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
        EXPECT_FALSE(cli::decode_catalogue(flipped).has_value()) << bit;
    }
}

TEST(Catalogue, RandomBytesWithARightChecksumNeverLeadOutOfBounds) {
    std::mt19937_64 random{20};
    const auto      whole = cli::encode_catalogue(small_tree());
    for (int round = 0; round < 20'000; ++round) {
        auto bytes = whole;
        for (int hits = 0; hits < 4; ++hits)
            bytes[16 + random() % (bytes.size() - 16)] = static_cast<std::byte>(random());
        mend(bytes);
        const auto decoded = cli::decode_catalogue(bytes);
        if (decoded) { EXPECT_TRUE(cli::is_tree(*decoded)); }
    }
}

TEST(Catalogue, WantedEntriesBeyondTheBytesAllocateNothing) {
    auto bytes     = cli::encode_catalogue(small_tree());
    auto header    = ashlar::load_struct<cli::catalogue_header>(bytes);
    header.entries = std::uint64_t{1} << 60U;
    ashlar::store_struct(bytes, header);
    mend(bytes);
    EXPECT_FALSE(cli::decode_catalogue(bytes).has_value());
}

}  // namespace catalogue_test
