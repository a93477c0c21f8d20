// Damage of one kind at a time: what a repair mends of it, what it leaves, and what it says.

#include "repairer_fixture.hpp"

#include <ashlar/format/batch.hpp>

namespace ashlar::test {
namespace repairer_damage_test {

class RepairerDamage : public Repairer {
  protected:
    /// Changes what a group's record says and nothing else.
    template <class Change>
    void edit_group(std::uint64_t group, Change&& change) {
        const auto blocks = volume_geometry::of({512}, {shape_.blocks}).group_blocks(group);
        const auto place  = group_record_of(group, {512});
        edit(regions_.group_table(place.block), [&](std::span<std::byte> bytes) {
            auto record = *decode_group(load_struct<group_record>(bytes.subspan(place.byte)), blocks);
            change(record);
            const auto changed = encode_group(record);
            EXPECT_TRUE(decode_group(changed, blocks)) << "it must be possible";
            store_struct(bytes.subspan(place.byte), changed);
        });
    }
    void restore() { std::memcpy(memory_.bytes().data(), base_.data(), base_.size()); }
    /// Repairs as the volume is; what is not mended may stay.
    heard mended() {
        auto  live = opened_on(memory_);
        heard done;
        ASHLAR_EXPECT_OK(live.repair(done));
        static_cast<void>(live.abandon());
        return done;
    }
    /// Two objects that want the same blocks: nobody can say who owns what.
    void steal() {
        const auto stolen = first_block_of(ids_[2]);
        edit_record(ids_[3], [&](object_state& object) {
            store_little<std::uint64_t>(object.map.entries.data() + 8, stolen.value);
        });
    }
    /// Erases objects and leaves them on the list of the dying.
    void leave_dying(std::initializer_list<object_id> which) {
        auto live = opened_on(memory_);
        for (const auto id : which) {
            auto changes = live.begin().value();
            ASHLAR_EXPECT_OK(changes.erase(id));
            ASHLAR_EXPECT_OK(changes.commit());
            model_.erase(id.value);
        }
        ASHLAR_EXPECT_OK(live.close());
        base_.assign(memory_.bytes().begin(), memory_.bytes().end());
    }

    byte_vector base_{memory_.bytes().begin(), memory_.bytes().end()};
};

TEST_F(RepairerDamage, EachNumberOfAGroupsRecordIsCountedAgain) {
    using change = void (*)(group_summary&);
    for (const change one :
         {change{[](group_summary& now) {  // added to the totals, more blocks than there are would be free
              now.free = now.largest = now.head = now.tail = now.trimmed = 0;
              now.runs                                                   = {};
          }},
          change{[](group_summary& now) { --now.free; }}, change{[](group_summary& now) { ++now.runs[0]; }},
          change{[](group_summary& now) { --now.largest, --now.tail; }},
          change{[](group_summary& now) { now.head = now.head == 0 ? 1 : now.head - 1; }},
          change{[](group_summary& now) { now.tail = now.tail == 0 ? 1 : now.tail - 1; }},
          change{[](group_summary& now) { --now.trimmed; }}}) {
        restore();
        const auto model = model_;
        edit_group(0, one);
        const auto done = repaired();
        EXPECT_GE(done.of("bad_summary: counted again"), 1U) << done.text();
        EXPECT_EQ(done.of("leaked: given back") + done.of("in_use_but_free: marked as in use"), 0U) << done.text();
        model_ = model;
    }
}

TEST_F(RepairerDamage, NothingIsGivenBackWhereTheTotalsKnowOfAnythingElse) {
    using change = void (*)(volume_totals&);
    for (const change one :
         {change{[](volume_totals& now) { --now.objects; }},
          change{[](volume_totals& now) { ++now.allocated_extents; }},
          change{[](volume_totals& now) { --now.objects_with_data; }}, change{[](volume_totals& now) {
              --now.extents[0];
              ++now.extents[3];
          }},
          change{[](volume_totals& now) { now.generation_counter = 1; }}}) {
        restore();
        edit_bitmap(0, true, [](auto& words) { set_bits(words, free_run); });
        edit_totals(one);
        const auto done = mended();
        EXPECT_EQ(done.of("leaked: left as it is"), free_run.count) << done.text();
        EXPECT_EQ(done.of("bad_totals: left as it is"), 1U) << done.text();
    }
}

TEST_F(RepairerDamage, NothingIsGivenBackWhereAnObjectStandsBehindTheEndOfTheRecords) {
    object_id last{};
    {
        auto live = opened_on(memory_);
        last      = live.create().value();
        while (record_of(last) % 3 != 0) last = live.create().value();
        ASHLAR_ASSERT_OK(live.close());
    }
    // The totals were true before the last object, which owns no block, was made.
    edit_totals([&](volume_totals& totals) {
        totals.records_high_water = record_of(last);
        --totals.objects;
        --totals.extents[0];
    });
    edit_bitmap(0, true, [](auto& words) { set_bits(words, free_run); });
    const auto done = mended();
    EXPECT_EQ(done.of("leaked: left as it is"), free_run.count) << done.text();
}

TEST_F(RepairerDamage, WhereOwnersAreNotProvedWhatRestsOnThemStays) {
    steal();
    const auto at = first_block_of(ids_[1]);
    edit_bitmap(0, false, [&](auto& words) {  // owned, and free in a bitmap that its record contradicts
        clear_bits(words, {static_cast<std::uint32_t>(at.value), 1});
    });
    edit_totals([](volume_totals& totals) { ++totals.extents[5]; });
    const auto sums = regions_.checksum_block(checksum_place_of(regions_, {1500}, {512}).in_group);
    edit(regions_.group_table({0}), [&](std::span<std::byte> bytes) {
        const auto place         = group_record_of(0, {512});
        auto       record        = load_struct<group_record>(bytes.subspan(place.byte));
        record.checksums_written = std::uint64_t{record.checksums_written} | std::uint64_t{1} << sums.identity.number;
        store_struct(bytes.subspan(place.byte), record);
    });
    std::memset(raw(sums.home).data(), 0x5A, 512);
    const auto done = mended();
    for (const char* kind : {"two_owners", "in_use_but_free", "bad_summary", "bad_totals", "bad_metadata"}) {
        EXPECT_GT(done.of((std::string{kind} + ": left as it is").c_str()), 0U) << kind << " of " << done.text();
    }
    for (const auto& [what, times] : done.seen) {
        EXPECT_NE(what.find(": left as it is"), std::string::npos) << what << " " << times;
    }
}

TEST_F(RepairerDamage, WhereOwnersAreNotProvedABlockThatIsOwnedIsMarkedAllTheSame) {
    steal();
    const auto at = first_block_of(ids_[1]);
    edit_bitmap(0, true, [&](auto& words) { clear_bits(words, {static_cast<std::uint32_t>(at.value), 1}); });
    const auto done = mended();
    EXPECT_GE(done.of("in_use_but_free: marked as in use"), 1U) << done.text();
    EXPECT_EQ(done.of("leaked: given back"), 0U) << done.text();
}

TEST_F(RepairerDamage, ABitmapAloneIsMadeAnewAndTheTrimmedBlocksStayKnown) {
    raw(regions_.bitmap(0).home)[17] ^= std::byte{4};
    const auto done = repaired();
    EXPECT_EQ(done.text(), "bad_metadata: made anew from what the rest proves (1); bad_totals: counted again (1); ");
}

TEST_F(RepairerDamage, TheBitmapOfTrimmedBlocksAloneIsMadeAnew) {
    raw(regions_.trimmed(0).home)[17] ^= std::byte{4};
    const auto done = repaired();
    EXPECT_GE(done.of("bad_metadata: made anew from what the rest proves"), 1U) << done.text();
}

TEST_F(RepairerDamage, AGroupWhoseRecordIsUnreadableIsLeftAsItIs) {
    raw(regions_.group_table({0}).home)[400] ^= std::byte{1};
    EXPECT_FALSE(test_store::open(any_device{memory_}, with())) << "the totals stand in the same block";
}

TEST_F(RepairerDamage, AnExtentOutsideTheVolumeIsSaidOfItsObjectAndLeft) {
    for (const std::uint64_t where : {shape_.blocks, shape_.blocks - 1, std::uint64_t{1} << 40U}) {
        restore();
        edit_record(ids_[3],
                    [&](object_state& object) { store_little<std::uint64_t>(object.map.entries.data() + 8, where); });
        const auto done = mended();
        EXPECT_EQ(done.of("bad_record: left as it is"), 1U) << done.text();
        ASSERT_FALSE(done.findings.empty());
        EXPECT_EQ(done.findings[0].found.object, ids_[3]);
        EXPECT_EQ(done.findings[0].found.block.value, where);
        EXPECT_EQ(done.of("leaked: given back"), 0U) << "where it was, its blocks have no owner now: " << done.text();
        auto        live = opened_on(memory_);
        byte_vector into(100);
        EXPECT_FALSE(live.read(ids_[3], 0, std::span<std::byte>{into}));
        EXPECT_TRUE(live.read(ids_[2], 0, std::span<std::byte>{into}));
        static_cast<void>(live.abandon());
    }
}

TEST_F(RepairerDamage, ARecordWhoseSumsAreWrongIsLeft) {
    edit_record(ids_[0], [](object_state& object) { ++object.map.blocks; });  // the one with a tree
    const auto done = mended();
    EXPECT_EQ(done.of("bad_record: left as it is"), 1U) << done.text();
}

TEST_F(RepairerDamage, AListOfTheDyingThatLeadsAstrayIsLinkedAgain) {
    leave_dying({ids_[1], ids_[3]});
    const auto head = [&](object_id id) { edit_totals([&](volume_totals& totals) { totals.dying_head = id.value; }); };
    const std::uint64_t reuse = std::uint64_t{1} << 56U;
    int                 which = 0;
    for (const auto& astray : {object_id{}, object_id{~std::uint64_t{0}}, ids_[2], object_id{ids_[3].value + reuse},
                               object_id_of(record_of(ids_[3]) + 400, 1), object_id_of(record_of(ids_[4]), 1)}) {
        restore();
        head(astray);
        const auto done = mended();
        EXPECT_EQ(done.text(), "bad_list: linked again (1); ") << which++;
        auto live = opened_on(memory_);
        EXPECT_EQ(findings_of(live), "");
        for (int i = 0; i < 10; ++i) ASHLAR_EXPECT_OK(live.maintain());
        EXPECT_EQ(live.verify([](const verify_finding&) {}).value().dying, 0U) << "what is on the list is freed";
        EXPECT_EQ(difference(live, model_), "");
        static_cast<void>(live.abandon());
    }
}

TEST_F(RepairerDamage, AListOfTheDyingThatRunsInACircleEnds) {
    leave_dying({ids_[1], ids_[3]});
    for (const auto id : {ids_[1], ids_[3]}) {
        restore();
        edit_record(id, [&](object_state& object) { object.next_dying = id; });
        const auto done = mended();
        EXPECT_EQ(done.text(), "bad_list: linked again (1); ");
        auto live = opened_on(memory_);
        EXPECT_EQ(findings_of(live), "");
        EXPECT_EQ(difference(live, model_), "");
        static_cast<void>(live.abandon());
    }
}

TEST_F(RepairerDamage, ATransactionAndATruncateAreOnTheListToo) {
    {
        auto live = opened_on(memory_);
        auto both = live.begin().value();
        ASHLAR_ASSERT_OK(both.truncate(ids_[0], 600));
        ASHLAR_ASSERT_OK(both.erase(ids_[3]));
        ASHLAR_ASSERT_OK(both.commit());
        model_[ids_[0].value].resize(600);
        model_.erase(ids_[3].value);
        EXPECT_GT(live.verify([](const verify_finding&) {}).value().dying, 0U);
        ASHLAR_ASSERT_OK(live.close());
    }
    edit_totals([](volume_totals& totals) { totals.dying_head = 0; });
    EXPECT_EQ(repaired().text(), "bad_list: linked again (1); ");
}

TEST_F(RepairerDamage, AJournalThatLostBatchesIsSaidAndNothingIsCertain) {
    {
        auto live = opened_on(memory_);
        for (std::uint64_t i = 0; i < 12; ++i) ASHLAR_ASSERT_OK(live.put(live.root(), i * 512, pattern(512, i)));
        const auto ring = live.info().journal;
        static_cast<void>(live.abandon());
        std::uint64_t found = 0;
        for (std::uint64_t i = 0; i < ring.count.value && found < 3; ++i) {
            const auto header = raw(ring.first + block_count{i});
            if (!decode_header(header.first(64), shape_.format().volume, i) || ++found < 3) continue;
            header[200] ^= std::byte{1};
        }
        ASSERT_EQ(found, 3U);
    }
    EXPECT_EQ(code_of(test_store::open(any_device{memory_}, with())), errc::damaged);
    auto looked = test_store::open_read_only(any_device{memory_}, with());
    ASHLAR_ASSERT_OK(looked);
    heard done;
    ASHLAR_ASSERT_OK(looked.value().repair(done, {.dry_run = true}));
    EXPECT_EQ(done.text(), "lost_history: left as it is (1); ");
    EXPECT_EQ(code_of(looked.value().repair(done)), errc::read_only);
}

TEST_F(RepairerDamage, AnUncleanVolumeIsLookedAtAsItsJournalSaysIt) {
    {
        auto live = opened_on(memory_);
        for (std::uint64_t i = 0; i < 5; ++i) ASHLAR_ASSERT_OK(live.put(ids_[2], i * 512, pattern(512, i)));
        static_cast<void>(live.abandon());
    }
    auto looked = test_store::open_read_only(any_device{memory_}, with());
    ASHLAR_ASSERT_OK(looked);
    heard done;
    ASHLAR_ASSERT_OK(looked.value().repair(done, {.dry_run = true}));
    EXPECT_EQ(done.text(), "");
}

TEST_F(RepairerDamage, AFrameThatTheDeviceDoesNotTakeIsSaid) {
    faulty_device device{memory_};
    auto          live = opened_on(device);
    raw(frame_home(frame::directory_mirror, {512}))[40] ^= std::byte{2};
    for (const auto kind : {transfer_kind::write, transfer_kind::sync}) {
        auto again = kind == transfer_kind::write ? std::move(live) : opened_on(device);
        if (kind == transfer_kind::sync) raw(frame_home(frame::directory_mirror, {512}))[40] ^= std::byte{2};
        device.fail(kind, 1, fault_lasts::for_good);
        heard done;
        EXPECT_EQ(code_of(again.repair(done)), errc::device_failed);
        EXPECT_EQ(again.read_only(), kind == transfer_kind::sync) << "nobody knows what a failed sync left";
        EXPECT_EQ(done.of("bad_copy: written again from its twin"), 1U) << done.text();
        device.heal();
        static_cast<void>(again.abandon());
    }
    auto last = opened_on(memory_);
    EXPECT_EQ(findings_of(last), "");
}

TEST_F(RepairerOfManyGroups, AnExtentOutsideTheVolumeIsSaidOnceHoweverManyWindowsThereAre) {
    edit_record(ids_[3], [&](object_state& object) {
        store_little<std::uint64_t>(object.map.entries.data() + 8, shape_.blocks + 7);
    });
    auto  live = opened_on(memory_, limits_);
    heard done;
    ASHLAR_EXPECT_OK(live.repair(done));
    EXPECT_EQ(done.of("bad_record: left as it is"), 1U) << done.text();
    static_cast<void>(live.abandon());
}

TEST(RepairerOfFrames, ADirectoryThatTheJournalStillChangesIsNoBadCopy) {
    auto memory = make_memory({});
    format_on(memory, {});
    auto       live  = opened_on(memory);
    const auto parts = live.volume().regions.slots();
    while (live.volume().regions.slots() == parts) ASHLAR_ASSERT_OK(live.create());
    ASHLAR_ASSERT_OK(live.sync());
    static_cast<void>(live.abandon());
    auto looked = test_store::open_read_only(any_device{memory}, with());
    ASHLAR_ASSERT_OK(looked);
    EXPECT_EQ(findings_of(looked.value()), "");
    heard done;
    ASHLAR_ASSERT_OK(looked.value().repair(done, {.dry_run = true}));
    EXPECT_EQ(done.text(), "");
}

/// Other blocks and other policies; damage that is mended there too.
TEST(RepairerOfLargeBlocks, TheLastChecksumBlockOfAGroupIsMadeAnew) {
    const volume_shape shape{.block_bytes = 8192, .blocks = 600, .journal_blocks = 64};
    auto               memory = make_memory(shape);
    format_on(memory, shape);
    auto limits          = small_limits();
    limits.staging_bytes = limits.journal_bytes = 1U << 17U;
    region_block last{}, table{};
    {
        auto live = opened_on(memory, limits);
        ASHLAR_ASSERT_OK(live.write(live.root(), 0, pattern(40'000, 1)));
        last  = live.volume().regions.checksum_block(checksum_blocks_per_group({8192}) - 1);
        table = live.volume().regions.group_table({0});
        ASHLAR_ASSERT_OK(live.close());
    }
    const auto raw = [&](block_index home) {
        return memory.bytes().subspan(static_cast<std::size_t>(home.value) * 8192, 8192);
    };
    const auto place         = group_record_of(0, {8192});
    const auto bytes         = raw(table.home).subspan(place.byte);
    auto       record        = load_struct<group_record>(bytes);
    record.checksums_written = std::uint64_t{record.checksums_written} | std::uint64_t{1} << last.identity.number;
    store_struct(bytes, record);
    seal_block(raw(table.home), table.identity.tag, {}, identity_seed(shape.format().volume, table.identity));
    std::memset(raw(last.home).data(), 0x5A, 8192);
    auto  live = opened_on(memory, limits);
    heard done;
    ASHLAR_ASSERT_OK(live.repair(done));
    EXPECT_EQ(done.text(), "bad_metadata: made anew from what the rest proves (1); ");
    EXPECT_EQ(findings_of(live), "");
}

TEST(RepairWords, EachProblemAndEachDeedHasItsOwn) {
    std::set<std::string> names, messages, deeds;
    for (int i = 0; i <= static_cast<int>(verify_problem::lost_history); ++i) {
        const auto problem = static_cast<verify_problem>(i);
        names.insert(name_of(problem));
        messages.insert(message(problem));
        EXPECT_GT(std::strlen(advice_for(problem)), 30U);
    }
    EXPECT_EQ(names.size(), 11U);
    EXPECT_EQ(messages.size(), 11U);
    for (int i = 0; i <= static_cast<int>(repair_deed::linked_again); ++i)
        deeds.insert(message(static_cast<repair_deed>(i)));
    EXPECT_EQ(deeds.size(), 7U);
    EXPECT_STREQ(name_of(static_cast<verify_problem>(99)), "unknown");
    EXPECT_STREQ(message(static_cast<verify_problem>(99)), "has an unknown problem");
    EXPECT_STREQ(message(static_cast<repair_deed>(99)), "unknown");
    EXPECT_STREQ(advice_for(static_cast<verify_problem>(99)), "copy out what can be read");
}

// ---- faults in a small cache
// --------------------------------------------------------------------------------------------

/// Damage of several groups, mended in a cache that holds little of them.
TEST_F(RepairerOfManyGroups, InTheSmallestCacheEachCallMayFailAndAnotherEndsIt) {
    {
        auto live = opened_on(memory_);
        ASHLAR_ASSERT_OK(live.repair(heard{}));
        std::vector<object_id> many;
        for (std::uint64_t i = 0; i < 60; ++i) many.push_back(live.create().value());
        ASHLAR_ASSERT_OK(live.sync());
        for (const auto id : many) {
            auto changes = live.begin().value();
            ASHLAR_ASSERT_OK(changes.erase(id));
            ASHLAR_ASSERT_OK(changes.commit());
        }
        ASHLAR_ASSERT_OK(live.close());
    }
    damage();
    limits_.cache_blocks        = 16;
    limits_.transaction.shadows = 8;
    const byte_vector base(memory_.bytes().begin(), memory_.bytes().end());
    const auto        rotten = frame_home(frame::directory_mirror, {512});
    std::uint64_t     runs   = 0;
    for (const auto kind : {transfer_kind::read, transfer_kind::write, transfer_kind::sync}) {
        for (const auto lasts : {fault_lasts::once, fault_lasts::for_good}) {
            for (std::uint64_t nth = 1; !testing::Test::HasFailure(); nth += nth < 80 ? 1 : nth / 16) {
                std::memcpy(memory_.bytes().data(), base.data(), base.size());
                faulty_device device{memory_};
                auto          live = opened_on(device, limits_);
                ASHLAR_EXPECT_OK(live.set_attributes(
                    ids_[3], std::array<std::byte, attribute_bytes>{}));  // something that is not at home
                raw(rotten)[40] ^= std::byte{2};
                device.fail(kind, nth, lasts);
                const auto done = live.repair(heard{});
                const bool met  = device.failures() != 0;
                if (!met) { ASHLAR_EXPECT_OK(done); }
                if (met && kind == transfer_kind::sync) { EXPECT_TRUE(!done && live.read_only()) << said(done); }
                device.heal();
                static_cast<void>(live.abandon());
                auto       again = opened_on(memory_, limits_);
                const auto ended = again.repair(heard{});
                ASHLAR_EXPECT_OK(ended);
                EXPECT_EQ(findings_of(again), "") << "call " << nth << " of kind " << static_cast<int>(kind);
                byte_vector seen(model_[ids_[2].value].size());
                ASHLAR_EXPECT_OK(again.read(ids_[2], 0, std::span<std::byte>{seen}));
                EXPECT_TRUE(seen == model_[ids_[2].value]);
                static_cast<void>(again.abandon());
                if (!met) break;
                ++runs;
            }
        }
    }
    EXPECT_GT(runs, 100U);
    count("fault runs", runs);
}

}  // namespace repairer_damage_test
}  // namespace ashlar::test
