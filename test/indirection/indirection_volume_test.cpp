// The indirection table on a volume: many blocks of it, damage in each byte, more entries than memory holds.

#include "../region/region_fixture.hpp"

#include <ashlar/compaction.hpp>

namespace ashlar::test {
namespace indirection_volume_test {

/// A store that was left while a region slid, as it stands on the device.
class cut_slide {
  public:
    static constexpr std::uint64_t blocks = 150;

    /// Leaves it when so many blocks have moved, made by a store with room for so many entries.
    explicit cut_slide(std::uint64_t moved, bool whole_home = true, std::uint64_t gap = 40,
                       std::size_t entries_max = 4096)
        : memory_{make_memory(shape)} {
        format_on(memory_, shape);
        auto limits                    = small_limits();
        limits.indirection_entries_max = entries_max;
        auto live                      = opened_on(memory_, limits);
        ASHLAR_EXPECT_OK(live.append(live.root(), object));
        ASHLAR_EXPECT_OK(store_regions{live}.add({.type = maps, .blocks = block_count{gap}}));
        ASHLAR_EXPECT_OK(store_regions{live}.add({.type = logs, .blocks = block_count{blocks}}));
        ASHLAR_EXPECT_OK(store_regions{live}.remove({maps, 0}));
        ASHLAR_EXPECT_OK(live.checkpoint());
        auto region = store_regions{live}.open({logs, 0}).value();
        ASHLAR_EXPECT_OK(region.write({block_index{0}, block_count{blocks}}, content));
        {
            auto        task = compaction<test_blueprint<>>::open(live, {.regions = {.threshold_permille = 1}}).value();
            const auto& map  = live.volume().indirection;
            for (int i = 0; i < 999 && map.folded().count.value + map.count() < moved; ++i)
                static_cast<void>(task.step({.blocks_max = 1}));
        }
        entries = live.volume().indirection.count();
        folded  = live.volume().indirection.folded().count.value;
        place   = store_regions{live}.find({logs, 0}).value().place;
        below   = live.volume().regions.slide();
        table   = live.volume().regions.indirection();
        if (whole_home) ASHLAR_EXPECT_OK(live.checkpoint());
        static_cast<void>(live.abandon());
        base_.assign(memory_.bytes().begin(), memory_.bytes().end());
    }

    [[nodiscard]] std::span<std::byte> block(std::uint64_t i) {
        return memory_.bytes().subspan(static_cast<std::size_t>(table.first.value + i) * 512, 512);
    }
    /// Makes the block's trailer fit its bytes, so that only what they say can give it away.
    void seal(std::uint64_t i) {
        const auto id = volume();
        seal_block(block(i), tag::indirection, {1}, identity_seed(id, {tag::indirection, 0, i}));
    }
    /// Makes the table say that its entries are of the blocks from here on: of the region's block `first`, and so on.
    void say(std::int64_t first) {
        for (std::size_t i = 0; i < entries; ++i) {
            const auto         at = static_cast<std::uint64_t>(first) + i;
            indirection_record record;
            record.logical  = place.first.value + at;
            record.physical = below.first.value + at;
            store_struct(block(i / 30).subspan(indirection_entry_offset(static_cast<std::uint32_t>(i % 30))), record);
        }
        for (std::size_t i = 0; i * 30 <= entries; ++i) seal(i);
    }
    void heal() { std::copy(base_.begin(), base_.end(), memory_.bytes().begin()); }

    [[nodiscard]] result<test_store> open(std::size_t entries_max = 4096, bool read_only = false) {
        auto chosen                           = with<test_store>();
        chosen.limits.indirection_entries_max = entries_max;
        return read_only ? test_store::open_read_only(any_device{memory_}, chosen)
                         : test_store::open(any_device{memory_}, chosen);
    }
    void expect_content(test_store& store) {
        auto region = store_regions{store}.open({logs, 0}).value();
        EXPECT_EQ(read_all(region), content);
    }

    byte_vector   content = pattern(blocks, 512, 3), object = pattern(2, 512, 8);
    std::size_t   entries = 0;
    std::uint64_t folded  = 0;
    extent        table{}, place{}, below{};

  private:
    static constexpr volume_shape shape{.block_bytes = 512, .blocks = 1200, .journal_blocks = 96};

    [[nodiscard]] volume_id volume() {
        volume_id id{};
        std::memcpy(id.data(), memory_.bytes().data() + offsetof(superblock, volume), id.size());
        return id;
    }

    memory_device memory_;
    byte_vector   base_;
};

TEST(IndirectionVolume, ATableOfManyBlocksIsReadWhenTheStoreIsOpened) {
    for (const std::uint64_t moved : {1U, 29U, 30U, 31U, 60U, 90U, 120U}) {
        for (const bool home : {true, false}) {                      // from its place, or from the journal
            cut_slide cut{moved, home, moved % 2 == 0 ? 60U : 20U};  // in parts of 30 blocks, or of 10
            EXPECT_EQ(cut.entries % (moved % 2 == 0 ? 30 : 10), 0U);
            EXPECT_EQ(cut.table.count, block_count{5});
            for (const bool read_only : {true, false}) {
                auto opened = cut.open(4096, read_only);
                ASHLAR_ASSERT_OK(opened);
                EXPECT_EQ(opened.value().volume().indirection.count(), cut.entries);
                cut.expect_content(opened.value());
                EXPECT_EQ(findings_of(opened.value()), "");
                std::array<region_row, region_slots> rows;
                const auto                           report = store_regions{opened.value()}.report(rows);
                ASHLAR_ASSERT_OK(report);
                EXPECT_EQ(report.value().entries, cut.entries);
                EXPECT_EQ(report.value().entries_max, 4096U);
                for (const auto& row : std::span{rows}.first(report.value().regions))
                    EXPECT_EQ(row.slides, row.name == (region_id{logs, 0}));
                static_cast<void>(opened.value().abandon());
            }
        }
    }
}

TEST(IndirectionVolume, WhereMemoryHasRoomForFewerEntriesTheStoreSaysHowManyThereMayBe) {
    cut_slide  cut{70};
    const auto refused = cut.open(cut.entries - 1);
    ASSERT_TRUE(refused.has_error());
    EXPECT_EQ(refused.error(), (error{errc::too_large, block_index{cut_slide::blocks}}));
    EXPECT_EQ(code_of(cut.open(0)), errc::too_large);
    auto reading = cut.open(0, true);
    ASHLAR_ASSERT_OK(reading);
    byte_vector seen(cut.object.size());
    ASHLAR_EXPECT_OK(reading.value().read(reading.value().root(), 0, seen));
    EXPECT_EQ(seen, cut.object) << "objects need no table";
    auto region = store_regions{reading.value()}.open({logs, 0}).value();
    seen.resize(512);
    EXPECT_EQ(code_of(region.read({block_index{0}, block_count{1}}, seen)), errc::too_large);
    EXPECT_NE(findings_of(reading.value()), "");
    static_cast<void>(reading.value().abandon());
    ASHLAR_ASSERT_OK(cut.open(cut.entries));  // what is there fits
}

TEST(IndirectionVolume, EveryFlippedByteOfTheTableIsNoticed) {
    cut_slide         cut{40};
    const std::size_t used = 2;  // blocks with entries; what stands in the others is not read
    for (std::uint64_t i = 0; i < used; ++i) {
        for (std::size_t at = 0; at < 512; ++at) {
            cut.heal();
            cut.block(i)[at] ^= std::byte{0x10};
            ASSERT_EQ(code_of(cut.open()), errc::checksum_differs) << "block " << i << ", byte " << at;
        }
    }
    cut.heal();
    cut.block(1)[100] ^= std::byte{1};
    auto reading = cut.open(4096, true);
    ASHLAR_ASSERT_OK(reading);
    auto        region = store_regions{reading.value()}.open({logs, 0}).value();
    byte_vector seen(512);
    EXPECT_EQ(code_of(region.read({block_index{149}, block_count{1}}, seen)), errc::checksum_differs)
        << "nobody knows where a block lies";
    EXPECT_NE(findings_of(reading.value()), "");
}

void expect_each_byte_to_be_refused(cut_slide cut) {
    const auto    first = cut.entries - 30;  // entries of the second block
    std::uint64_t same  = 0;
    for (std::uint64_t i = 0; i < 2; ++i) {
        const auto count = i == 0 ? std::size_t{30} : first;
        for (std::size_t at = 0; at < 512 - trailer_bytes; ++at) {
            cut.heal();
            cut.block(i)[at] ^= std::byte{1};
            cut.seal(i);
            const auto opened = cut.open();
            if (at < 16 + 16 * count) {
                const bool fewer = i == 1 && at == 6;  // another number of entries in the last block
                if (opened.has_value() && fewer) continue;
                ASSERT_EQ(code_of(opened), errc::damaged) << "block " << i << ", byte " << at;
            } else {
                ASSERT_TRUE(opened.has_value()) << said(opened);  // nothing stands there
                ++same;
            }
        }
    }
    EXPECT_GT(same, 0U);
}

TEST(IndirectionVolume, OfTableSlideAndRegionNoneIsBelievedWithoutTheOthers) {
    for (const std::uint32_t gone : {tag::slide, tag::indirection, logs}) {  // of the directory
        cut_slide cut{40};
        auto      opened = cut.open();
        ASHLAR_ASSERT_OK(opened);
        auto&      store = opened.value();
        const auto i     = index_of_region(store.volume(), {gone, 0});
        auto       slot  = slot_at(store.volume(), i);
        const auto done  = run_transaction(store.volume(), [&](std::uint32_t tx) noexcept -> result<> {
            store.volume().transactions[tx].given.push({.blocks = slot.place()});
            return change_region(store.volume(), tx, {.before = slot});
        });
        ASHLAR_ASSERT_OK(done);
        ASHLAR_ASSERT_OK(store.checkpoint());
        static_cast<void>(store.abandon());
        EXPECT_EQ(code_of(cut.open()), errc::damaged);
        ASHLAR_EXPECT_OK(cut.open(4096, true));
    }
}

TEST(IndirectionVolume, AByteUnderARightChecksumIsRefusedWhereItSaysSomethingElse) {
    expect_each_byte_to_be_refused(cut_slide{40});
}

TEST(IndirectionVolume, AByteOfATableThatWasBegunAnewIsRefusedWhereItSaysSomethingElse) {
    cut_slide cut{80, true, 40, 45};
    ASSERT_EQ((std::pair{cut.folded, cut.entries}), (std::pair{std::uint64_t{40}, std::size_t{40}}));
    ASSERT_EQ(cut.table.count, block_count{2});
    expect_each_byte_to_be_refused(std::move(cut));
}

TEST(IndirectionVolume, ATableThatWasBegunAnewIsReadWhenTheStoreIsOpened) {
    for (const std::uint64_t moved : {20U, 45U, 80U, 100U, 120U, 140U}) {
        for (const bool home : {true, false}) {
            cut_slide cut{moved, home, 40, 45};
            EXPECT_EQ(cut.folded + cut.entries, moved == 45 ? 60U : moved);
            EXPECT_LE(cut.entries, 45U);
            for (const bool read_only : {true, false}) {
                auto opened = cut.open(cut.entries, read_only);
                ASHLAR_ASSERT_OK(opened);
                EXPECT_EQ(opened.value().volume().indirection.folded().count.value, cut.folded);
                EXPECT_EQ(opened.value().volume().indirection.count(), cut.entries);
                cut.expect_content(opened.value());
                EXPECT_EQ(findings_of(opened.value()), "");
                static_cast<void>(opened.value().abandon());
            }
            const auto refused = cut.open(cut.entries - 1);
            EXPECT_EQ(code_of(refused), errc::too_large) << "and how many there may be: two blocks, but one";
            EXPECT_EQ(refused.error().where, block_index{59});
        }
    }
}

TEST(IndirectionVolume, ATableOfBlocksThatTheRegionHasNotIsNotBelieved) {
    cut_slide cut{80, true, 40, 45};
    for (const std::int64_t first : {40, 0, 1, 110}) {  // the last is that of the region's end
        cut.heal();
        cut.say(first);
        auto opened = cut.open();
        ASHLAR_ASSERT_OK(opened);
        EXPECT_EQ(opened.value().volume().indirection.folded().count.value, static_cast<std::uint64_t>(first));
        if (first == 40) cut.expect_content(opened.value());
        static_cast<void>(opened.value().abandon());
    }
    for (const std::int64_t first : {-1, -40, 111, 149, 150, 1000, 100'000, -100'000}) {
        cut.heal();
        cut.say(first);
        EXPECT_EQ(code_of(cut.open()), errc::damaged) << first;
        ASHLAR_EXPECT_OK(cut.open(4096, true));
    }
}

/// Takes blocks from the table's end, in the directory.
void shorten(cut_slide& cut, std::uint64_t blocks) {
    auto opened = cut.open();
    ASHLAR_ASSERT_OK(opened);
    auto&      volume = opened.value().volume();
    const auto slot   = slot_at(volume, index_of_region(volume, {tag::indirection, 0}));
    auto       after  = slot;
    after.blocks      = blocks;
    const auto rest   = part_of(slot.place(), block_count{blocks}, slot.place().count);
    ASHLAR_ASSERT_OK(run_transaction(volume, [&](std::uint32_t tx) noexcept -> result<> {
        volume.transactions[tx].given.push({.blocks = rest});
        return change_region(volume, tx, {.before = slot, .after = after});
    }));
    ASHLAR_ASSERT_OK(opened.value().checkpoint());
    static_cast<void>(opened.value().abandon());
}

TEST(IndirectionVolume, ATableThatLostBlocksWithEntriesIsNotBelieved) {
    for (const std::uint64_t blocks : {4U, 3U, 2U, 1U}) {
        cut_slide cut{80};  // they stand in the first three of five blocks
        ASSERT_EQ(cut.entries, 80U);
        shorten(cut, blocks);
        const bool lost = blocks < 3;
        EXPECT_EQ(code_of(cut.open()), lost ? errc::damaged : errc::none) << blocks;
        auto reading = cut.open(4096, true);
        ASHLAR_ASSERT_OK(reading);
        byte_vector seen(512);
        auto        region = store_regions{reading.value()}.open({logs, 0}).value();
        EXPECT_EQ(code_of(region.read({block_index{0}, block_count{1}}, seen)), lost ? errc::damaged : errc::none);
    }
}

TEST(IndirectionVolume, WhatATableLostBehindItsEntriesIsNotMissed) {
    cut_slide cut{80};
    shorten(cut, 3);  // 89 entries at once
    auto opened = cut.open();
    ASHLAR_ASSERT_OK(opened);
    auto task = compaction<test_blueprint<>>::open(opened.value(), {.regions = {.threshold_permille = 1}}).value();
    while (!task.step({.blocks_max = 30}).reasons.has(stop_reason::finished)) {
        EXPECT_LT(opened.value().volume().indirection.count(), 90U);
    }
    EXPECT_TRUE(opened.value().volume().regions.slide().empty());
    cut.expect_content(opened.value());
    EXPECT_EQ(findings_of(opened.value()), "");
}

}  // namespace indirection_volume_test
}  // namespace ashlar::test
