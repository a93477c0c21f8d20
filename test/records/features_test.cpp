// What owns regions and bytes in each record: added, used, removed, in a store in use.

#include "../counts.hpp"
#include "records_fixture.hpp"

#include <ashlar/features.hpp>
#include <ashlar/regions.hpp>
#include <ashlar/testing/crash_states.hpp>
#include <ashlar/testing/recording_device.hpp>

namespace ashlar::test {
namespace features_test {

constexpr std::uint32_t tags = tag_of("TAGS");

byte_vector bytes_in(test_store& live, object_id id, std::uint32_t bit) {
    byte_vector seen(64);
    const auto  read = store_features{live}.read(id, bit, seen);
    EXPECT_TRUE(read) << said(read);
    seen.resize(read ? read.value() : 0);
    return seen;
}

class features_test : public records_fixture {
  protected:
    void widen(std::uint32_t width) {
        record_migration task{live_};
        task.start({.record_bytes = width});
        EXPECT_TRUE(run_to_end(task).reasons.has(stop_reason::finished));
        EXPECT_EQ(live_.volume().record_bytes, width);
    }
};

TEST_F(features_test, AFeatureGetsBytesByAMigrationAndKeepsWhatIsWrittenThere) {
    const auto            ids = fill(live_, 30);
    store_features        features{live_};
    const feature_request wanted{.bit = 3, .record_bytes = 13};
    const auto            plan = features.can_add(wanted);
    ASHLAR_ASSERT_OK(plan);
    EXPECT_EQ(plan.value().way, feature_way::record_migration);
    EXPECT_EQ(plan.value().width, 152U);
    EXPECT_EQ(features.add(wanted).value().way, feature_way::record_migration) << "nothing was done";
    EXPECT_FALSE(features.has(3));
    widen(plan.value().width);
    EXPECT_EQ(features.add(wanted).value().way, feature_way::spare_bytes);
    EXPECT_TRUE(features.has(3));
    for (const auto id : ids) EXPECT_EQ(bytes_in(live_, id, 3), byte_vector(16)) << "new bytes are zero";
    ASHLAR_ASSERT_OK(features.write(ids[4], 3, bytes_of(16, 7)));
    ASHLAR_ASSERT_OK(features.write(ids[4], 3, bytes_of(5, 8)));
    auto expected = bytes_of(16, 7);
    std::memcpy(expected.data(), bytes_of(5, 8).data(), 5);
    ASHLAR_ASSERT_OK(live_.append(ids[4], bytes_of(900, 9)));
    reopen();
    store_features again{live_};
    EXPECT_TRUE(again.has(3));
    EXPECT_EQ(bytes_in(live_, ids[4], 3), expected);
    EXPECT_EQ(bytes_in(live_, ids[5], 3), byte_vector(16));
    EXPECT_EQ(code_of(again.write(ids[4], 3, bytes_of(17, 1))), errc::too_large);
    EXPECT_EQ(code_of(again.write(object_id{12}, 3, bytes_of(3, 1))), errc::not_found);
    EXPECT_EQ(code_of(again.write(ids[4], 4, bytes_of(3, 1))), errc::not_found);
    byte_vector some(4);
    EXPECT_EQ(code_of(again.read(ids[4], 4, some)), errc::not_found);
    EXPECT_EQ(again.read(ids[4], 3, some).value(), 4U);
    EXPECT_EQ(again.read(ids[4], 3, {}).value(), 0U) << "nothing is written through a null pointer";
    expect_whole(live_);
}

TEST_F(features_test, BytesGoAlongWhereRecordsMigrateAndAreChangedInBothTables) {
    const auto ids = fill(live_, 40);
    widen(160);
    store_features features{live_};
    ASHLAR_ASSERT_OK(features.add({.bit = 0, .record_bytes = 8}));
    ASHLAR_ASSERT_OK(features.add({.bit = 31, .record_bytes = 16}));
    for (std::size_t i = 0; i < ids.size(); ++i) ASHLAR_ASSERT_OK(features.write(ids[i], 31, bytes_of(16, i)));
    record_migration narrow{live_};
    EXPECT_EQ(narrow.plan({.record_bytes = 152}).value().obstacle, errc::invalid_argument) << "bytes would be lost";
    EXPECT_EQ(narrow.plan({.record_bytes = 160, .inline_extents = 3}).value().obstacle, errc::invalid_argument);
    record_migration task{live_};
    task.start({.record_bytes = 256, .inline_extents = 4});
    for (std::uint64_t i = 0; task.step({.blocks_max = 1, .candidates_max = 1}).reasons == stop_reason::budget_spent;
         ++i) {
        EXPECT_EQ(features.can_add({.bit = 5, .record_bytes = 8}).value().obstacle, errc::busy);
        ASHLAR_ASSERT_OK(features.write(ids[i % ids.size()], 31, bytes_of(16, i % ids.size() + 100)));
        ASHLAR_ASSERT_OK(features.write(ids[i % ids.size()], 31, bytes_of(16, i % ids.size())));
        EXPECT_EQ(difference_of_tables(live_), "");
        if (i == 6) { EXPECT_EQ(code_of(features.remove(31)), errc::busy); }
    }
    EXPECT_EQ(live_.volume().record_bytes, 256U);
    reopen();
    for (std::size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(bytes_in(live_, ids[i], 31), bytes_of(16, i));
    EXPECT_TRUE(store_features{live_}.has(0));
    expect_whole(live_);
}

TEST_F(features_test, WhatIsRemovedLeavesZerosForTheNext) {
    const auto ids = fill(live_, 40, 0);
    widen(184);
    store_features features{live_};
    ASHLAR_ASSERT_OK(features.add({.bit = 1, .record_bytes = 24}));
    ASHLAR_ASSERT_OK(features.add({.bit = 2, .record_bytes = 8, .region = tags, .blocks = block_count{20}}));
    EXPECT_EQ(store_regions{live_}.find({tags, 0}).value().place.count.value, 20U);
    for (const auto id : ids) {
        ASHLAR_ASSERT_OK(features.write(id, 1, bytes_of(24, id.value)));
        ASHLAR_ASSERT_OK(features.write(id, 2, bytes_of(8, id.value)));
    }
    EXPECT_EQ(features.can_add({.bit = 1, .record_bytes = 8}).value().obstacle, errc::busy);
    EXPECT_EQ(features.can_add({.bit = 6, .region = tags, .blocks = block_count{1}}).value().obstacle, errc::busy);
    ASHLAR_ASSERT_OK(features.remove(1));
    EXPECT_FALSE(features.has(1));
    EXPECT_EQ(code_of(features.remove(1)), errc::not_found);
    EXPECT_EQ(code_of(features.remove(99)), errc::not_found);
    EXPECT_EQ(features.add({.bit = 9, .record_bytes = 16}).value().way, feature_way::spare_bytes);
    for (const auto id : ids) {
        EXPECT_EQ(bytes_in(live_, id, 9), byte_vector(16)) << "the room of the removed one";
        EXPECT_EQ(bytes_in(live_, id, 2), bytes_of(8, id.value));
    }
    ASHLAR_ASSERT_OK(features.remove(2));
    EXPECT_EQ(code_of(store_regions{live_}.find({tags, 0})), errc::not_found);
    ASHLAR_ASSERT_OK(live_.erase(ids[7]));
    expect_whole(live_);
}

TEST_F(features_test, AnErasedObjectLeavesNoneOfItsBytesToTheNext) {
    const auto ids = fill(live_, 12, 0);
    widen(144);
    store_features features{live_};
    ASHLAR_ASSERT_OK(features.add({.bit = 1, .record_bytes = 8}));
    for (const auto id : ids) ASHLAR_ASSERT_OK(features.write(id, 1, bytes_of(8, id.value)));
    for (const auto id : ids) ASHLAR_ASSERT_OK(live_.erase(id));
    std::size_t again = 0;
    for (int i = 0; i < 60; ++i) {
        const auto made = live_.create();
        if (!made) break;
        again += made.value().value % (1U << 24U) != 0 ? 1U : 0U;
        EXPECT_EQ(bytes_in(live_, made.value(), 1), byte_vector(8));
    }
    EXPECT_GT(again, 0U) << "a record was used again";
}

TEST_F(features_test, TheWaysAreNamedTheCheapestFirst) {
    store_features features{live_};
    EXPECT_EQ(features.can_add({.bit = 0, .region = tags, .blocks = block_count{9}}).value().way,
              feature_way::regions_only);
    EXPECT_EQ(features.can_add({.bit = 0, .record_bytes = 8}).value().way, feature_way::record_migration);
    EXPECT_EQ(features.can_add({.bit = 0, .record_bytes = 128}).value().obstacle, errc::too_large) << "wider than any";
    for (const auto& wrong : {feature_request{.bit = 32, .record_bytes = 8}, feature_request{.bit = 1},
                              feature_request{.bit = 1, .record_bytes = 257},
                              feature_request{.bit = 1, .region = tag::objects, .blocks = block_count{1}},
                              feature_request{.bit = 1, .region = tags}}) {
        EXPECT_EQ(code_of(features.can_add(wrong)), errc::invalid_argument);
        EXPECT_EQ(code_of(features.add(wrong)), errc::invalid_argument);
    }
    EXPECT_EQ(code_of(features.add({.bit = 0, .region = tags, .blocks = block_count{1500}})), errc::no_space);
    EXPECT_FALSE(features.has(0)) << "all or nothing";
    for (std::uint64_t i = 0;; ++i) {
        if (!live_.append(live_.root(), bytes_of(4000, i))) break;
    }
    EXPECT_EQ(features.can_add({.bit = 0, .record_bytes = 8}).value().way, feature_way::volume_copy);
    EXPECT_EQ(features.add({.bit = 0, .record_bytes = 8}).value().way, feature_way::volume_copy);
}

TEST_F(features_test, BitsAndRowsOfFeaturesThatNobodyHereKnowsAreKept) {
    const auto ids = fill(live_, 20);
    widen(160);
    ASHLAR_ASSERT_OK(
        store_features{live_}.add({.bit = 30, .record_bytes = 24, .region = tags, .blocks = block_count{5}}));
    ASHLAR_ASSERT_OK(store_features{live_}.write(ids[1], 30, bytes_of(24, 1)));
    reopen();  // from here on nobody asks for features
    ASHLAR_ASSERT_OK(live_.append(ids[1], bytes_of(300, 1)));
    ASHLAR_ASSERT_OK(live_.truncate(ids[1], 10));
    widen(200);
    reopen();
    EXPECT_EQ(bytes_in(live_, ids[1], 30), bytes_of(24, 1));
    EXPECT_EQ(store_regions{live_}.find({tags, 0}).value().place.count.value, 5U);
    expect_whole(live_);
}

/// What no build of the library wrote, under a right checksum.
void put_row(std::span<std::byte> frames, std::uint32_t bit, std::uint16_t offset, std::uint16_t bytes) {
    for (const std::size_t at : {std::size_t{0}, std::size_t{4} * 4096}) {
        const auto content = frames.subspan(at, 4096);
        const auto named   = load_little<std::uint32_t>(content.data() + offsetof(superblock, manifest));
        store_little<std::uint32_t>(content.data() + offsetof(superblock, manifest), named | 1U << bit);
        feature_row row;
        row.offset = offset;
        row.bytes  = bytes;
        store_struct(content.subspan(feature_row_offset(bit)), row);
        seal_block(content, tag::superblock, {}, identity_seed({}, superblock_identity));
    }
}

TEST_F(features_test, ARowThatLiesOutsideOfItsRecordIsDamage) {
    const auto ids = fill(live_, 5);
    ASHLAR_ASSERT_OK(live_.close());
    put_row(memory_.bytes(), 1, 0xFFF8, 0xFFF8);
    live_ = opened_on(memory_);
    byte_vector    some(8);
    store_features features{live_};
    EXPECT_EQ(code_of(features.read(ids[0], 1, some)), errc::damaged);
    EXPECT_EQ(code_of(features.write(ids[0], 1, some)), errc::damaged);
    record_migration task{live_};
    EXPECT_EQ(task.plan({.record_bytes = 256}).value().obstacle, errc::invalid_argument);
    EXPECT_EQ(features.can_add({.bit = 2, .record_bytes = 8}).value().way, feature_way::volume_copy);
    ASHLAR_EXPECT_OK(features.remove(1));
    EXPECT_EQ(task.plan({.record_bytes = 256}).value().obstacle, errc::none);
    expect_whole(live_);
}

TEST_F(features_test, ARowThatIsNotAlignedTouchesNobodysBytes) {
    const auto ids = fill(live_, 5);
    widen(168);
    ASHLAR_ASSERT_OK(store_features{live_}.add({.bit = 1, .record_bytes = 8}));
    ASHLAR_ASSERT_OK(store_features{live_}.write(ids[0], 1, bytes_of(8, 1)));
    ASHLAR_ASSERT_OK(live_.close());
    put_row(memory_.bytes(), 2, 3, 8);
    live_ = opened_on(memory_);
    store_features features{live_};
    byte_vector    some(8);
    EXPECT_EQ(code_of(features.read(ids[0], 2, some)), errc::damaged);
    ASHLAR_ASSERT_OK(features.add({.bit = 3, .record_bytes = 8}));
    EXPECT_EQ(bytes_in(live_, ids[0], 3), byte_vector(8)) << "where it lies is aligned";
    ASHLAR_ASSERT_OK(features.remove(2));
    EXPECT_EQ(bytes_in(live_, ids[0], 1), bytes_of(8, 1));
    expect_whole(live_);
}

TEST_F(features_test, ARegionThatComesWithAFeatureIsToldToWhoCopiesTheVolume) {
    std::array<bitmap_word, 8> memory{};
    region_watch               watch{memory};
    live_.volume().region_traffic.watch = &watch;
    ASHLAR_ASSERT_OK(store_features{live_}.add({.bit = 1, .region = tags, .blocks = block_count{200}}));
    live_.volume().region_traffic.watch = nullptr;
    watch.turn();
    for (std::uint64_t window = 0; window < 4; ++window) EXPECT_TRUE(watch.wrote({tags, 0}, window)) << window;
}

TEST(FeaturesCrash, AFeatureComesAndGoesAsAWhole) {
    auto             memory = make_memory(records_shape);
    recording_device recorded{memory};
    format_on(recorded, records_shape);
    auto       live = opened_on(recorded);
    const auto ids  = fill(live, 20, 0);
    {
        record_migration task{live};
        task.start({.record_bytes = 168});
        EXPECT_TRUE(run_to_end(task).reasons.has(stop_reason::finished));
    }
    ASHLAR_ASSERT_OK(live.checkpoint());
    recorded.forget();
    const byte_vector base{memory.bytes().begin(), memory.bytes().end()};
    store_features    features{live};
    ASHLAR_ASSERT_OK(features.add({.bit = 7, .record_bytes = 24, .region = tags, .blocks = block_count{12}}));
    ASHLAR_ASSERT_OK(live.sync());
    for (const auto id : ids) {
        ASHLAR_ASSERT_OK(features.write(id, 7, bytes_of(24, id.value)));
        if (id.value % 3 == 0) { ASHLAR_ASSERT_OK(live.sync()); }
    }
    ASHLAR_ASSERT_OK(live.sync());
    {  // what a removal does first, alone in its batch
        const entered guard{live.volume()};
        const auto    row = features::row_of(live.volume(), 7);
        ASHLAR_ASSERT_OK(features::change_row(live.volume(), 7, row, row));
        ASHLAR_ASSERT_OK(flush(live.volume()));
    }
    ASHLAR_ASSERT_OK(features.remove(7));
    ASHLAR_ASSERT_OK(live.checkpoint());
    std::uint64_t seen[3]{}, findings = 0;
    const auto    judge = [&](std::span<std::byte> image) -> std::string {
        auto lent   = memory_device::lend(image, {512}).value();
        auto opened = test_store::open(any_device{lent}, with<test_store>());
        if (!opened) return "it does not open: " + said(opened);
        store_features had{opened.value()};
        const bool     is_there = had.has(7);
        const bool     leaves   = !is_there && !features::row_of(opened.value().volume(), 7).empty();
        const bool     region   = store_regions{opened.value()}.find({tags, 0}).has_value();
        ++seen[is_there ? 0 : (leaves ? 1 : 2)];
        if (is_there && !region) return "its region is gone before it";
        if (!is_there && !leaves && region) return "its region stays behind it";
        if (leaves) {
            if (const auto gone = had.remove(7); !gone) return "remove does not go on: " + said(gone);
        }
        if (is_there) return findings_of(opened.value());
        if (const auto added = had.add({.bit = 8, .record_bytes = 24}); !added) return "add: " + said(added);
        for (const auto id : ids) {
            if (bytes_in(opened.value(), id, 8) != byte_vector(24)) return "old bytes came back";
        }
        return findings_of(opened.value());
    };
    const auto states = crash_states(recorded.calls(), base, {512}, {.random_max = 2, .single_max = 8, .tears_max = 8},
                                     [&](const crash_point& at, std::span<std::byte> image) {
                                         const auto wrong = judge(image);
                                         if (wrong.empty()) return true;
                                         ADD_FAILURE() << wrong << "\n  cut after call " << at.calls;
                                         return ++findings < 3;
                                     });
    EXPECT_GT(states, 60U);
    for (const auto count : seen) EXPECT_GT(count, 0U);
    count("crash states of features", states);
}

}  // namespace features_test
}  // namespace ashlar::test
