// What a repair mends, what it leaves, and that it may be cut anywhere.

#include "repairer_fixture.hpp"

#include <ashlar/testing/crash_states.hpp>
#include <ashlar/testing/recording_device.hpp>

#include <cstdio>

namespace ashlar::test {
namespace repairer_test {

TEST_F(Repairer, AWholeVolumeNeedsNone) { EXPECT_EQ(repaired().text(), ""); }

TEST_F(Repairer, GivesBackWhatLeaked) {
    edit_bitmap(0, true, [](auto& words) { set_bits(words, free_run); });
    const auto done = repaired();
    EXPECT_EQ(done.of("leaked: given back"), free_run.count) << done.text();
}

TEST_F(Repairer, CountsAgainWhatARecordHasWrong) {
    edit_bitmap(0, false, [](auto& words) { set_bits(words, free_run); });
    const auto done = repaired();
    EXPECT_EQ(done.of("leaked: given back"), free_run.count);
    EXPECT_EQ(done.of("bad_summary: counted again"), 2U) << done.text();  // trimmed blocks in use, too
}

TEST_F(Repairer, MarksWhatHasAnOwnerAndBelievesTheBitmapNoMore) {
    const auto at = first_block_of(ids_[2]);
    edit_bitmap(0, false, [&](auto& words) {
        clear_bits(words, {static_cast<std::uint32_t>(at.value), 2});
        set_bits(words, free_run);
    });
    const auto done = repaired();  // the record does not agree with this bitmap: it is the bitmap that is wrong
    EXPECT_EQ(done.of("in_use_but_free: marked as in use"), 2U);
    EXPECT_EQ(done.of("leaked: given back"), free_run.count) << done.text();
}

TEST_F(Repairer, GivesNothingBackWhereAnOwnerMayBeOld) {
    const auto at = first_block_of(ids_[2]);
    edit_bitmap(0, true, [&](auto& words) {  // bitmap and record agree that the owner has no right to its blocks
        clear_bits(words, {static_cast<std::uint32_t>(at.value), 2});
        set_bits(words, free_run);
    });
    const auto done = repaired(free_run.count);
    EXPECT_EQ(done.of("in_use_but_free: marked as in use"), 2U);
    EXPECT_EQ(done.of("leaked: left as it is"), free_run.count) << done.text();
}

TEST_F(Repairer, GivesNothingBackWhereTheTotalsKnowOfMoreObjects) {
    edit_bitmap(0, true, [](auto& words) { set_bits(words, free_run); });
    edit_totals([](volume_totals& totals) {
        ++totals.objects;
        ++totals.objects_with_data;
        ++totals.allocated_extents;
        ++totals.extents[1];
        ++totals.records_high_water;
    });
    const auto done = repaired(free_run.count + 2);
    EXPECT_EQ(done.of("leaked: left as it is"), free_run.count) << done.text();
    EXPECT_EQ(done.of("bad_totals: left as it is"), 1U) << done.text();
}

TEST_F(Repairer, GivesNothingBackWhereRecordsStandBehindTheEnd) {
    edit_totals([&](volume_totals& totals) {
        totals.records_high_water = record_of(ids_[2]);
        totals.objects            = 0;  // of this the count of objects makes no secret
        totals.objects_with_data  = 0;
    });
    auto  live = opened_on(memory_);
    heard done;
    ASHLAR_EXPECT_OK(live.repair(done));
    EXPECT_EQ(done.of("leaked: given back"), 0U) << done.text();
    EXPECT_GT(done.of("leaked: left as it is"), 0U) << done.text();
}

TEST_F(Repairer, CountsTotalsAgain) {
    edit_totals([](volume_totals& totals) {
        totals.free -= 5;
        totals.trimmed -= 3;
        ++totals.runs[2];
        --totals.extents[0];
        ++totals.extents[3];
        totals.generation_counter = 1;
    });
    EXPECT_EQ(repaired().text(), "bad_totals: counted again (1); ");
}

TEST_F(Repairer, TakesBlocksInUseFromThoseKnownToBeTrimmed) {
    const auto at = first_block_of(ids_[2]);
    edit(regions_.trimmed(0), [&](std::span<std::byte> bytes) { bytes[at.value / 8] = std::byte{0xFF}; });
    EXPECT_EQ(repaired().text(), "bad_summary: counted again (1); ");
}

TEST_F(Repairer, MakesBitmapsAnewFromTheOwners) {
    raw(regions_.bitmap(0).home)[17] ^= std::byte{4};
    raw(regions_.trimmed(0).home)[200] ^= std::byte{4};
    const auto done = repaired();
    EXPECT_GE(done.of("bad_metadata: made anew from what the rest proves"), 1U) << done.text();
    EXPECT_EQ(done.of("bad_metadata: left as it is"), 0U) << done.text();
}

TEST_F(Repairer, MakesAChecksumBlockAnewOnlyWhereNoDataNeedsIt) {
    const auto owned = checksum_place_of(regions_, first_block_of(ids_[2]), {512}).block;
    raw(owned.home)[5] ^= std::byte{1};
    {
        auto  live = opened_on(memory_);
        heard done;
        ASHLAR_EXPECT_OK(live.repair(done));
        EXPECT_EQ(done.of("bad_metadata: left as it is"), 1U) << done.text();
        EXPECT_GT(done.of("bad_data: left as it is"), 0U) << "no sum is made up: " << done.text();
        static_cast<void>(live.abandon());
    }
    raw(owned.home)[5] ^= std::byte{1};
    // The group's last block of the table, written and needed by nobody.
    const auto last = regions_.checksum_block(checksum_place_of(regions_, {1500}, {512}).in_group);
    edit(regions_.group_table({0}), [&](std::span<std::byte> bytes) {
        const auto place         = group_record_of(0, {512});
        auto       record        = load_struct<group_record>(bytes.subspan(place.byte));
        record.checksums_written = std::uint64_t{record.checksums_written} | std::uint64_t{1} << last.identity.number;
        store_struct(bytes.subspan(place.byte), record);
    });
    std::memset(raw(last.home).data(), 0x5A, 512);
    EXPECT_EQ(repaired().text(), "bad_metadata: made anew from what the rest proves (1); ");
}

TEST_F(Repairer, LeavesTwoOwnersAndEverythingThatRestsOnOwners) {
    const auto stolen = first_block_of(ids_[2]);
    edit_record(ids_[3], [&](object_state& object) {
        store_little<std::uint64_t>(object.map.entries.data() + 8, stolen.value);  // where its first extent lies
    });
    auto  live = opened_on(memory_);
    heard done;
    ASHLAR_EXPECT_OK(live.repair(done));
    EXPECT_GT(done.of("two_owners: left as it is"), 0U) << done.text();
    EXPECT_GT(done.of("leaked: left as it is"), 0U) << done.text();
    EXPECT_EQ(done.of("leaked: given back"), 0U) << done.text();
}

TEST_F(Repairer, LeavesDamagedDataAndSaysWhoseItIs) {
    const auto at = first_block_of(ids_[2]);
    raw(at)[100] ^= std::byte{1};
    auto        live = opened_on(memory_);
    heard       said_of;
    const auto  done     = live.repair(said_of);
    const auto& findings = said_of.findings;
    ASHLAR_ASSERT_OK(done);
    ASSERT_EQ(findings.size(), 1U);
    EXPECT_EQ(findings[0].found.problem, verify_problem::bad_data);
    EXPECT_EQ(findings[0].found.object, ids_[2]);
    EXPECT_EQ(findings[0].found.block, at);
    EXPECT_EQ(findings[0].deed, repair_deed::left);
    EXPECT_EQ(done.value().left, 1U);
    const auto quick = live.repair(said_of, {.with_data = false});
    EXPECT_EQ(quick.value().left, 0U);
    byte_vector into(100);
    EXPECT_EQ(code_of(live.read(ids_[2], 0, std::span<std::byte>{into})), errc::checksum_differs);
}

TEST_F(Repairer, LinksTheListOfTheDyingAgain) {
    {
        auto live = opened_on(memory_);
        // Erased, and not freed yet: a transaction only puts it on the list.
        for (const auto id : {ids_[0], ids_[3]}) {
            auto tx = live.begin().value();
            ASHLAR_ASSERT_OK(tx.erase(id));
            ASHLAR_ASSERT_OK(tx.commit());
            model_.erase(id.value);
        }
        ASHLAR_ASSERT_OK(live.close());
    }
    edit_totals([](volume_totals& totals) { totals.dying_head = 0; });
    const auto done = repaired();
    EXPECT_EQ(done.of("bad_list: linked again"), 1U) << done.text();
    auto live = opened_on(memory_);
    for (int i = 0; i < 10; ++i) ASHLAR_EXPECT_OK(live.maintain());
    EXPECT_EQ(live.verify([](const verify_finding&) {}).value().dying, 0U) << "what is on the list is freed";
    EXPECT_EQ(findings_of(live), "");
}

TEST_F(Repairer, WritesAFrameThatRottedMeanwhileAgainFromItsTwin) {
    for (const auto number : {frame::superblock_mirror, frame::pointers, frame::directory, frame::directory_mirror}) {
        const byte_vector before(memory_.bytes().begin(), memory_.bytes().end());
        auto              live = opened_on(memory_);
        const auto        home = frame_home(number, {512});
        const byte_vector right(raw(home).begin(), raw(home).end());
        raw(home)[40] ^= std::byte{2};
        EXPECT_EQ(findings_of(live).rfind("bad_copy", 0), 0U);
        heard done;
        ASHLAR_EXPECT_OK(live.repair(done));
        EXPECT_EQ(done.text(), "bad_copy: written again from its twin (1); ");
        EXPECT_TRUE(std::equal(right.begin(), right.end(), raw(home).begin()));
        EXPECT_EQ(findings_of(live), "");
        static_cast<void>(live.abandon());
        std::memcpy(memory_.bytes().data(), before.data(), before.size());
    }
}

TEST_F(Repairer, OpeningWritesABadCopyAgainAndSaysSo) {
    raw(frame_home(frame::directory, {512}))[40] ^= std::byte{2};
    {
        auto looked = test_store::open_read_only(any_device{memory_}, with());
        EXPECT_EQ(looked.value().recovered().bad_frames, 1U << frame::directory);
        EXPECT_EQ(looked.value().recovered().mended_frames, 0U);
        heard done;
        ASHLAR_EXPECT_OK(looked.value().repair(done, {.dry_run = true}));
        EXPECT_EQ(done.text(), "bad_copy: written again from its twin (1); ");
    }
    auto live = opened_on(memory_);
    EXPECT_EQ(live.recovered().mended_frames, 1U << frame::directory);
    EXPECT_EQ(findings_of(live), "");
}

TEST_F(Repairer, RefusesWhereItCannotBeAlone) {
    auto live = opened_on(memory_);
    {
        auto tx = live.begin();
        EXPECT_EQ(code_of(live.repair(heard{})), errc::busy);
    }
    ASHLAR_EXPECT_OK(live.repair(heard{}));
    static_cast<void>(live.abandon());
    auto looked = test_store::open_read_only(any_device{memory_}, with());
    EXPECT_EQ(code_of(looked.value().repair(heard{})), errc::read_only);
}

TEST_F(RepairerOfManyGroups, MendsAllOfIt) {
    const auto done = repaired();
    EXPECT_EQ(done.of("leaked: given back"), 120U) << done.text();
    EXPECT_EQ(done.of("bad_list: linked again"), 1U) << done.text();
    EXPECT_EQ(done.of("bad_totals: counted again"), 1U) << done.text();
}

TEST_F(RepairerOfManyGroups, MayBeCutAnywhereAndIsEndedByAnother) {
    const byte_vector base(memory_.bytes().begin(), memory_.bytes().end());
    recording_device  recorded{memory_};
    {
        auto live = opened_on(recorded, limits_);
        ASHLAR_ASSERT_OK(live.repair(heard{}));
        ASHLAR_ASSERT_OK(live.close());
    }
    int           failures = 0;
    const auto    effort   = crash_effort{.random_max = 4, .single_max = 6, .tears_max = 6, .seed = 5};
    std::uint64_t number   = 0;
    const auto    states =
        crash_states(recorded.calls(), base, {512}, effort, [&](const crash_point& at, std::span<std::byte> image) {
            auto lent   = memory_device::lend(image, {512});
            auto opened = test_store::open(any_device{lent.value()}, with(limits_));
            if (!opened) {
                ADD_FAILURE() << "open: " << said(opened) << " after call " << at.calls;
                return ++failures < 3;
            }
            auto&       live    = opened.value();
            std::string problem = difference(live, model_);
            const auto  done    = live.repair(heard{});
            if (problem.empty() && (!done || done.value().left != 0)) problem = "repair again: " + said(done);
            if (problem.empty()) problem = findings_of(live);
            if (problem.empty() && ++number % 8 == 0) {
                if (const auto more = live.append(ids_[2], pattern(3000, 1)); !more) problem = said(more);
                if (problem.empty()) problem = findings_of(live);
            }
            static_cast<void>(live.abandon());
            if (problem.empty()) return true;
            ADD_FAILURE() << problem << " after call " << at.calls << " of " << recorded.calls().size();
            return ++failures < 3;
        });
    EXPECT_GT(states, 100U);
    std::printf("%llu states\n", static_cast<unsigned long long>(states));
    count("crash states", states);
}

TEST_F(RepairerOfManyGroups, MayFailAtEachCallAndIsEndedByAnother) {
    const byte_vector base(memory_.bytes().begin(), memory_.bytes().end());
    std::uint64_t     runs = 0;
    for (const auto kind : {transfer_kind::read, transfer_kind::write, transfer_kind::sync}) {
        for (const auto lasts : {fault_lasts::once, fault_lasts::for_good}) {
            for (std::uint64_t nth = 1; !testing::Test::HasFailure(); ++nth) {
                std::memcpy(memory_.bytes().data(), base.data(), base.size());
                faulty_device device{memory_};
                auto          live = opened_on(device, limits_);
                device.fail(kind, nth, lasts);
                const auto done = live.repair(heard{});
                const bool met  = device.failures() != 0;
                if (met && kind != transfer_kind::read) { EXPECT_TRUE(!done && live.read_only()) << said(done); }
                device.heal();
                EXPECT_EQ(difference(live, model_), "");
                static_cast<void>(live.abandon());
                auto       again = opened_on(memory_, limits_);
                const auto ended = again.repair(heard{});
                ASHLAR_EXPECT_OK(ended);
                EXPECT_EQ(findings_of(again), "") << "call " << nth << " of kind " << static_cast<int>(kind);
                EXPECT_EQ(difference(again, model_), "");
                static_cast<void>(again.abandon());
                if (!met) break;
                ++runs;
            }
        }
    }
    std::printf("%llu runs with a fault\n", static_cast<unsigned long long>(runs));
    count("fault runs", runs);
}

}  // namespace repairer_test
}  // namespace ashlar::test
