// What a repair mends, what it leaves, and that it may be cut anywhere.

#include "../counts.hpp"
#include "../store/store_fixture.hpp"

#include <ashlar/testing/crash_states.hpp>
#include <ashlar/testing/faulty_device.hpp>
#include <ashlar/testing/recording_device.hpp>

#include <algorithm>
#include <cstdio>

namespace ashlar::test {
namespace {

/// Findings and deeds as text, each kind once with its number.
struct heard {
    std::map<std::string, std::uint64_t> seen;

    void operator()(const repair_finding& one) {
        ++seen[std::string{name_of(one.found.problem)} + ": " + message(one.deed)];
        EXPECT_STRNE(message(one.found.problem), "has an unknown problem");
        if (one.deed == repair_deed::left) { EXPECT_GT(std::strlen(advice_for(one.found.problem)), 10U); }
    }
    [[nodiscard]] std::uint64_t of(const char* what) const {
        const auto at = seen.find(what);
        return at == seen.end() ? 0 : at->second;
    }
    [[nodiscard]] std::string text() const {
        std::string all;
        for (const auto& [what, times] : seen) all += what + " (" + std::to_string(times) + "); ";
        return all;
    }
};

/// A closed volume whose metadata can be changed behind the store's back, seals kept right.
class Repairer : public testing::Test {
  protected:
    explicit Repairer(std::uint64_t blocks = 1600) : shape_{.blocks = blocks}, memory_{make_memory(shape_)} {
        format_on(memory_, shape_);
        auto live = opened_on(memory_);
        for (std::uint64_t i = 0; i < 5; ++i) {
            const auto id = live.create().value();
            write(live, id, 0, pattern(600 * (i + 1), i));
            ids_.push_back(id);
        }
        for (std::uint64_t i = 0; i < 30; ++i) write(live, ids_[0], 5000 + i * 2048, pattern(100, i));  // a tree
        model_[live.root().value] = {};
        ASHLAR_EXPECT_OK(live.sync());
        while (!live.trim({1000}).value().finished) {}
        ASHLAR_EXPECT_OK(live.erase(ids_[4]));  // in use again, or not known to be trimmed
        model_.erase(ids_[4].value);
        regions_ = live.volume().regions;
        ASHLAR_EXPECT_OK(live.close());
    }

    void write(test_store& live, object_id id, std::uint64_t offset, const byte_vector& bytes) {
        ASHLAR_EXPECT_OK(live.write(id, offset, bytes));
        model_write(model_[id.value], offset, bytes);
    }

    [[nodiscard]] std::span<std::byte> raw(block_index home) { return memory_.bytes().subspan(home.value * 512, 512); }
    /// Changes a metadata block and seals it again.
    template <class Change>
    void edit(const region_block& block, Change&& change) {
        change(raw(block.home));
        seal_block(raw(block.home), block.identity.tag, {}, identity_seed(shape_.format().volume, block.identity));
    }
    /// Changes a group's bitmap; with `told` its record and the totals change with it, as a bug in the engine would.
    template <class Change>
    void edit_bitmap(std::uint64_t group, bool told, Change&& change) {
        const auto               blocks = volume_geometry::of({512}, {shape_.blocks}).group_blocks(group);
        std::vector<bitmap_word> words(words_for(blocks));
        edit(regions_.bitmap(group), [&](std::span<std::byte> bytes) {
            load_bitmap(words, bytes, blocks);
            change(words);
            store_bitmap(bytes, words, blocks);
        });
        if (!told) return;
        const auto place = group_record_of(group, {512});
        auto       after = summarize({words, blocks});
        edit(regions_.group_table(place.block), [&](std::span<std::byte> bytes) {
            const auto before       = *decode_group(load_struct<group_record>(bytes.subspan(place.byte)), blocks);
            after.bitmap_written    = true;
            after.trimmed_written   = before.trimmed_written;
            after.trimmed           = before.trimmed_written ? trimmed_left(group, words) : 0;
            after.checksums_written = before.checksums_written;
            store_struct(bytes.subspan(place.byte), encode_group(after));
            edit_totals_in(place.block.value == 0 ? bytes : std::span<std::byte>{}, before, after);
        });
    }
    /// Takes blocks in use from the bitmap of trimmed blocks; answers how many are left.
    std::uint32_t trimmed_left(std::uint64_t group, std::span<const bitmap_word> in_use) {
        std::uint32_t left = 0;
        edit(regions_.trimmed(group), [&](std::span<std::byte> bytes) {
            for (std::uint32_t at = 0; at < (512 - trailer_bytes) * 8; ++at) {
                const auto bit = static_cast<std::byte>(1U << (at % 8));
                if (at / word_bits >= in_use.size() || is_set(in_use, at)) bytes[at / 8] &= ~bit;
                left += (bytes[at / 8] & bit) != std::byte{0} ? 1U : 0U;
            }
        });
        return left;
    }
    void edit_totals_in(std::span<std::byte> same, const group_summary& before, const group_summary& after) {
        const auto change = [&](std::span<std::byte> bytes) {
            auto totals = *decode_totals(load_struct<volume_totals_record>(bytes), {shape_.blocks});
            totals.free += std::uint64_t{after.free} - before.free;
            totals.trimmed += std::uint64_t{after.trimmed} - before.trimmed;
            for (std::size_t k = 0; k < run_classes; ++k)
                totals.runs[k] +=
                    static_cast<std::uint32_t>(after.runs[k]) - static_cast<std::uint32_t>(before.runs[k]);
            store_struct(bytes, encode_totals(totals));
        };
        if (!same.empty()) return change(same);
        edit(regions_.group_table({0}), change);
    }
    template <class Change>
    void edit_totals(Change&& change) {
        edit(regions_.group_table({0}), [&](std::span<std::byte> bytes) {
            auto totals = *decode_totals(load_struct<volume_totals_record>(bytes), {shape_.blocks});
            change(totals);
            store_struct(bytes, encode_totals(totals));
        });
    }
    template <class Change>
    void edit_record(object_id id, Change&& change) {
        const std::uint32_t per = (512 - trailer_bytes) / object_record_bytes;
        edit(regions_.object_block(0, record_of(id) / per), [&](std::span<std::byte> bytes) {
            const auto at     = bytes.subspan((record_of(id) % per) * object_record_bytes, object_record_bytes);
            auto       object = decode_object(at, inline_extents_for(object_record_bytes)).value();
            change(object);
            encode_object(at, object);
        });
    }
    [[nodiscard]] block_index first_block_of(object_id id) {
        auto       live  = opened_on(memory_);
        const auto found = live.next_extent(id, {}).value()->physical.first;
        static_cast<void>(live.abandon());
        return found;
    }

    /// Repairs, first dry; checks that both say the same, that the dry one wrote nothing, that what is left is what
    /// verify still finds, and that the contents stayed. Answers what was said.
    heard repaired(std::uint64_t left = 0) {
        const byte_vector before(memory_.bytes().begin(), memory_.bytes().end());
        heard             dry, wet;
        {
            auto looked = test_store::open_read_only(any_device{memory_}, with());
            EXPECT_TRUE(looked.has_value()) << said(looked);
            if (!looked) return dry;
            const auto done = looked.value().repair(dry, {.dry_run = true});
            ASHLAR_EXPECT_OK(done);
            EXPECT_TRUE(std::equal(before.begin(), before.end(), memory_.bytes().begin())) << "a dry run wrote";
        }
        auto       live = opened_on(memory_);
        const auto done = live.repair(wet);
        ASHLAR_EXPECT_OK(done);
        EXPECT_EQ(dry.text(), wet.text());
        EXPECT_EQ(done.value().left, left) << wet.text();
        if (left == 0) {
            EXPECT_EQ(findings_of(live), "");
            EXPECT_EQ(difference(live, model_), "");
            use(live);
        }
        static_cast<void>(live.abandon());
        if (left == 0) {
            auto again = opened_on(memory_);
            EXPECT_EQ(findings_of(again), "");
            EXPECT_EQ(difference(again, model_), "");
            heard nothing;
            EXPECT_EQ(again.repair(nothing).value().mended, 0U) << nothing.text();
            ASHLAR_EXPECT_OK(again.close());
        }
        return wet;
    }
    /// The mended volume is one to work with.
    void use(test_store& live) {
        const auto made = live.create();
        ASHLAR_EXPECT_OK(made);
        write(live, made.value(), 0, pattern(9000, 77));
        ASHLAR_EXPECT_OK(live.erase(ids_[1]));
        model_.erase(ids_[1].value);
        ASHLAR_EXPECT_OK(live.trim({500}));
        ASHLAR_EXPECT_OK(live.sync());
        EXPECT_EQ(findings_of(live), "");
    }

    volume_shape           shape_;
    memory_device          memory_;
    region_table           regions_{};
    std::vector<object_id> ids_;
    model_state            model_;
};

constexpr group_run free_run{1400, 37};  // behind all that the volume holds

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
    auto                        live = opened_on(memory_);
    std::vector<repair_finding> findings;
    const auto                  done = live.repair([&](const repair_finding& one) { findings.push_back(one); });
    ASHLAR_ASSERT_OK(done);
    ASSERT_EQ(findings.size(), 1U);
    EXPECT_EQ(findings[0].found.problem, verify_problem::bad_data);
    EXPECT_EQ(findings[0].found.object, ids_[2]);
    EXPECT_EQ(findings[0].found.block, at);
    EXPECT_EQ(findings[0].deed, repair_deed::left);
    EXPECT_EQ(done.value().left, 1U);
    const auto quick = live.repair([](const repair_finding&) {}, {.with_data = false});
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
        EXPECT_EQ(code_of(live.repair([](const repair_finding&) {})), errc::busy);
    }
    ASHLAR_EXPECT_OK(live.repair([](const repair_finding&) {}));
    static_cast<void>(live.abandon());
    auto looked = test_store::open_read_only(any_device{memory_}, with());
    EXPECT_EQ(code_of(looked.value().repair([](const repair_finding&) {})), errc::read_only);
}

/// Damage of every kind that can be mended, at once, over several groups.
class RepairerOfManyGroups : public Repairer {
  protected:
    RepairerOfManyGroups() : Repairer(9000) {
        {
            auto live = opened_on(memory_);
            ASHLAR_EXPECT_OK(live.reserve(live.root(), 0, 3800 * 512));  // most of the second group
            ASHLAR_EXPECT_OK(live.reserve(ids_[2], 1U << 20U, 900 * 512));
            auto tx = live.begin().value();
            ASHLAR_EXPECT_OK(tx.erase(ids_[0]));
            ASHLAR_EXPECT_OK(tx.commit());
            model_.erase(ids_[0].value);
            ASHLAR_EXPECT_OK(live.close());
        }
        edit_bitmap(1, true, [](auto& words) { leak(words, 60); });
        edit_bitmap(2, false, [](auto& words) { leak(words, 60); });
        raw(regions_.bitmap(0).home)[17] ^= std::byte{4};
        edit_totals([](volume_totals& totals) {
            totals.dying_head = 0;
            ++totals.runs[3];
        });
        limits_.verify_groups = 1;
    }
    /// Sets the last bits that are clear.
    static void leak(std::span<bitmap_word> words, std::uint32_t count) {
        for (auto at = static_cast<std::uint32_t>(words.size() * word_bits); count != 0 && at-- > 0;) {
            if (is_set(words, at)) continue;
            set_bits(words, {at, 1});
            --count;
        }
        EXPECT_EQ(count, 0U);
    }

    volume_limits limits_ = small_limits();
};

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
        ASHLAR_ASSERT_OK(live.repair([](const repair_finding&) {}));
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
            const auto  done    = live.repair([](const repair_finding&) {});
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
                const auto done = live.repair([](const repair_finding&) {});
                const bool met  = device.failures() != 0;
                if (met && kind != transfer_kind::read) { EXPECT_TRUE(!done && live.read_only()) << said(done); }
                device.heal();
                EXPECT_EQ(difference(live, model_), "");
                static_cast<void>(live.abandon());
                auto       again = opened_on(memory_, limits_);
                const auto ended = again.repair([](const repair_finding&) {});
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

}  // namespace
}  // namespace ashlar::test
