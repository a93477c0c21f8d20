// The region directory, as opening decodes it: what contradicts itself or the volume is refused.

#include <ashlar/volume/region_table.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace ashlar {
namespace region_table_test {

constexpr block_size  size{512};
constexpr block_index where = frame_home(frame::directory, size);
constexpr auto        geometry =
    volume_geometry::of(size, block_count{3 * std::uint64_t{blocks_per_group(size)} - 50});  // three groups

/// The slots of a directory, in the order of a new volume.
class directory {
  public:
    directory() {
        next_ = frame_home(frame::count, size).value;
        add(tag::journal, 96);
        add(tag::groups, group_table_blocks(geometry.groups, size).value);
        add(tag::bitmap, geometry.groups);
        add(tag::trimmed, geometry.groups);
        add(tag::checksums, geometry.groups * checksum_blocks_per_group(size));
        add(tag::objects, 8);
    }
    region_slot& add(std::uint32_t type, std::uint64_t blocks, std::uint32_t id = 0) {
        region_slot made;
        made.type   = type;
        made.id     = id;
        made.start  = next_;
        made.blocks = blocks;
        next_ += blocks;
        slots.push_back(made);
        return slots.back();
    }
    region_slot& of(std::uint32_t type) {
        for (auto& one : slots) {
            if (one.type == type) return one;
        }
        ADD_FAILURE();
        return slots.front();
    }
    void drop(std::uint32_t type) {
        std::erase_if(slots, [&](const auto& one) { return one.type == type; });
    }

    [[nodiscard]] result<region_table> decoded() const {
        std::vector<std::byte> content(4096);
        directory_head         written = head;
        written.slots = head.slots != 0 ? std::uint32_t{head.slots} : static_cast<std::uint32_t>(slots.size());
        store_struct(content, written);
        for (std::uint32_t i = 0; i < slots.size(); ++i)
            store_struct(std::span<std::byte>{content}.subspan(region_slot_offset(i)), slots[i]);
        return region_table::decode(content, geometry);
    }

    directory_head head = [] {
        directory_head made;
        made.version = directory_version;
        return made;
    }();
    std::vector<region_slot> slots;

  private:
    std::uint64_t next_ = 0;
};

void expect_refused(const directory& lies, errc code, const std::string& why) {
    const auto table = lies.decoded();
    ASSERT_TRUE(table.has_error()) << why;
    EXPECT_EQ(table.error(), (error{code, where})) << why;
}

TEST(RegionTable, SaysWhereEachBlockBelongs) {
    directory whole;
    whole.add(tag::objects, 5, 1);
    const auto decoded = whole.decoded();
    ASSERT_TRUE(decoded);
    const auto& table = decoded.value();
    EXPECT_EQ(table.slots(), 7U);
    EXPECT_EQ(table.journal(), whole.of(tag::journal).place());
    EXPECT_EQ(table.object_parts().size(), 2U);
    for (const auto& block :
         {table.group_table({0}), table.bitmap(2), table.trimmed(1), table.checksum_block(70), table.object_block(0, 6),
          table.object_block(1, 3), region_table::migration_block(table.object_parts(), 0),
          region_table::migration_block(table.object_parts(), 1)}) {
        const auto found = table.identity_of(block.home);
        ASSERT_TRUE(found);
        EXPECT_EQ(*found, block.identity);
    }
    EXPECT_FALSE(table.identity_of({0})) << "a frame";
    EXPECT_FALSE(table.identity_of(table.journal().first)) << "the ring proves itself";
    EXPECT_FALSE(table.identity_of(table.object_block(1, 5).home)) << "behind the tables";
}

TEST(RegionTable, HeadsOfOtherVersionsAreRefused) {
    directory version, next, slots;
    version.head.version = 2;
    expect_refused(version, errc::unsupported, "version");
    next.head.next = 700;
    expect_refused(next, errc::unsupported, "a second directory");
    slots.head.slots = region_slots + 1;
    expect_refused(slots, errc::damaged, "more slots than fit in");
}

TEST(RegionTable, ASlotMustLieInTheVolumeAndHaveAName) {
    directory flags, unnamed, empty, in_frames, behind, wraps;
    flags.of(tag::bitmap).flags = 0x8000;
    expect_refused(flags, errc::unsupported, "an unknown flag");
    unnamed.add(0, 1);
    expect_refused(unnamed, errc::damaged, "no type");
    empty.of(tag::trimmed).blocks = 0;
    expect_refused(empty, errc::damaged, "no blocks");
    in_frames.of(tag::journal).start = frame_home(frame::count, size).value - 1;
    expect_refused(in_frames, errc::damaged, "among the frames");
    behind.add(tag_of("MINE"), geometry.blocks.value);
    expect_refused(behind, errc::damaged, "longer than the volume");
    wraps.add(tag_of("MINE"), 8).start = ~std::uint64_t{0} - 3;
    expect_refused(wraps, errc::damaged, "around the end of all numbers");
}

TEST(RegionTable, NoTwoRegionsShareABlockOrAName) {
    directory overlapping, named_twice, second_engine;
    overlapping.of(tag::bitmap).start = overlapping.of(tag::groups).start;
    expect_refused(overlapping, errc::damaged, "overlap");
    named_twice.add(tag_of("MINE"), 3, 4);
    named_twice.add(tag_of("MINE"), 3, 4);
    expect_refused(named_twice, errc::damaged, "the same name");
    second_engine.add(tag::journal, 8, 1);
    expect_refused(second_engine, errc::damaged, "a second ring");

    region_table table;
    ASSERT_TRUE(table.add(overlapping.of(tag::groups), where));
    EXPECT_EQ(table.add(overlapping.of(tag::groups), where).error().code, errc::damaged);
}

TEST(RegionTable, PartsOfTheObjectTableCountFromZeroAndAreBounded) {
    directory skipped, most, more;
    skipped.add(tag::objects, 1, 2);
    expect_refused(skipped, errc::damaged, "part 1 is missing");
    for (std::uint32_t i = 1; i < region_table::object_parts_max; ++i) most.add(tag::objects, 1, i);
    const auto table = most.decoded();
    ASSERT_TRUE(table);
    EXPECT_EQ(table.value().object_parts().size(), region_table::object_parts_max);
    more = most;
    more.add(tag::objects, 1, region_table::object_parts_max);
    expect_refused(more, errc::damaged, "one too many");
}

TEST(RegionTable, ATableGoesOnInItsNextPart) {
    directory whole;
    for (const auto type : {tag::groups, tag::bitmap, tag::trimmed, tag::checksums}) {
        whole.add(type, 2, 1);
        whole.add(type, 3, 2);
    }
    const auto table = whole.decoded();
    ASSERT_TRUE(table);
    for (std::uint64_t i = 0; i < geometry.groups; ++i)
        EXPECT_EQ(table.value().bitmap(i).identity, (block_identity{tag::bitmap, 0, i}));
    for (std::uint64_t i = 0; i < 2; ++i)
        EXPECT_EQ(table.value().bitmap(geometry.groups + i).identity, (block_identity{tag::bitmap, 1, i}));
    const auto first = table.value().checksums()[0].count.value + 2;
    EXPECT_EQ(table.value().checksum_block(first).identity, (block_identity{tag::checksums, 2, 0}));
    for (const auto& block : {table.value().bitmap(geometry.groups + 4), table.value().trimmed(geometry.groups + 2),
                              table.value().group_table({table.value().groups()[0].count.value + 3}),
                              table.value().checksum_block(first + 2)}) {
        const auto found = table.value().identity_of(block.home);
        ASSERT_TRUE(found);
        EXPECT_EQ(*found, block.identity);
    }
}

TEST(RegionTable, PartsMayStandInAnyOrderButNoneMayMiss) {
    directory turned;
    turned.add(tag::objects, 5, 1);
    turned.add(tag::bitmap, 2, 1);
    std::reverse(turned.slots.begin(), turned.slots.end());
    const auto table = turned.decoded();
    ASSERT_TRUE(table);
    EXPECT_EQ(table.value().object_parts()[1].count, block_count{5});
    EXPECT_EQ(table.value().bitmap(geometry.groups).identity, (block_identity{tag::bitmap, 1, 0}));
    for (const auto type : {tag::groups, tag::bitmap, tag::trimmed, tag::checksums}) {
        directory missing, more;
        missing.add(type, 2, 2);
        expect_refused(missing, errc::damaged, "part 1 is missing");
        for (std::uint32_t i = 1; i <= region_table::table_parts_max; ++i) more.add(type, 1, i);
        expect_refused(more, errc::damaged, "one part too many");
    }
}

TEST(RegionTable, WhatTheEngineIndexesMustBeLongEnough) {
    for (const auto type : {tag::groups, tag::bitmap, tag::trimmed, tag::checksums, tag::objects}) {
        directory without;
        without.drop(type);
        if (type == tag::checksums) {
            const auto table = without.decoded();
            ASSERT_TRUE(table) << "a volume may have none";
            EXPECT_TRUE(table.value().checksums().empty());
        } else {
            expect_refused(without, errc::damaged, "missing");
        }
        if (type == tag::objects || type == tag::groups) continue;  // of these one block is enough here
        directory shorter;
        shorter.of(type).blocks = shorter.of(type).blocks - 1;
        expect_refused(shorter, errc::damaged, "a block short");
    }
}

}  // namespace region_table_test
}  // namespace ashlar
