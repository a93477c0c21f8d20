#include "journal_fixture.hpp"

#include <ashlar/testing/faulty_device.hpp>
#include <ashlar/testing/power_cut_device.hpp>
#include <ashlar/testing/random_bits.hpp>

#include <algorithm>
#include <cstring>
#include <optional>

namespace ashlar::test {
namespace ring_journal_damage_test {

void copy_image(const memory_device& from, memory_device& to) {
    std::copy(from.bytes().begin(), from.bytes().end(), to.bytes().begin());
}

/// What a recovery for reading says: the last batch and the entries, or an error.
struct answer {
    std::optional<errc>       failure;
    std::uint64_t             last = 0;
    std::vector<logged_entry> entries;
    bool                      operator==(const answer&) const = default;
};

template <BlockDevice D>
answer ask(D& device, const journal_shape& shape, bool read_only) {
    attached_journal journal{shape};
    data_on<D>       data{device};
    const auto       report = journal->recover(device, data, read_only);
    if (!report) return {report.error().code, 0, {}};
    return {std::nullopt, report.value().last.value, replayed(device, journal.journal)};
}

class RingJournalDamage : public ::testing::TestWithParam<std::uint32_t> {
  protected:
    void SetUp() override {
        attached_journal journal{shape};
        ASSERT_TRUE(journal->format(device, {}));
        for (std::uint64_t i = 1; i <= 4; ++i) {
            auto batch = small_batch(i, i == 3 ? 2000 : 100);
            batch.data.emplace_back(shape.data_first().value + i, pattern(GetParam(), 60 + i));
            begins[i + 1] = begins[i] + journal->room().value;
            ASSERT_TRUE(commit(device, journal.journal, batch));
            begins[i + 1] -= journal->room().value;
            ends[i] = begins[i] * GetParam() + batch_bytes(1, 2, batch.shape().entry_bytes, i == 3);
            append_expected(entries, batch, i);
            if (i == 2) { ASSERT_TRUE(journal->anchor(device, {2}, {})); }
        }
        entries.erase(entries.begin(), entries.begin() + 2);  // Batch 1 is home.
        copy_image(device, image);
    }
    std::byte& ring_byte(std::uint64_t at) {
        return device.bytes()[byte_offset(shape.place().ring.first, shape.size()) + at];
    }
    std::byte& anchor_byte(unsigned copy, std::size_t at) {
        const auto place = shape.place();
        return device.bytes()[byte_offset(copy == 0 ? place.anchor_first : place.anchor_second, shape.size()) + at];
    }
    [[nodiscard]] answer whole() const { return {std::nullopt, 4, entries}; }
    [[nodiscard]] answer without_newest() const { return {std::nullopt, 3, {entries.begin(), entries.end() - 2}}; }

    journal_shape             shape{.block_bytes = GetParam()};
    memory_device             device = make_device(shape);
    memory_device             image  = make_device(shape);
    std::vector<logged_entry> entries;
    std::uint64_t             begins[6]{}, ends[6]{};
};
INSTANTIATE_TEST_SUITE_P(BlockSizes, RingJournalDamage, ::testing::Values(512U, 4096U));

TEST_P(RingJournalDamage, EveryFlippedByteOfABatchIsDetectedOrHarmless) {
    ASSERT_EQ(ask(device, shape, true), whole());
    const auto used = (begins[4] + 2) * GetParam();
    for (std::uint64_t at = 0; at < used; ++at) {
        std::uint64_t batch = 0;  // 0: no batch, or one that is home
        for (std::uint64_t i = 2; i <= 4; ++i) {
            if (at >= begins[i] * GetParam() && at < ends[i]) batch = i;
        }
        ring_byte(at) ^= std::byte{0x10};
        const auto found = ask(device, shape, true);
        ring_byte(at) ^= std::byte{0x10};
        if (batch == 0) {
            ASSERT_EQ(found, whole()) << at;
        } else if (batch == 4) {
            ASSERT_EQ(found, without_newest()) << "the newest batch cannot be told from a torn one: byte " << at;
        } else {
            ASSERT_EQ(found.failure, errc::damaged) << "batch " << batch << " was confirmed: byte " << at;
        }
    }
}

TEST_P(RingJournalDamage, EveryFlippedByteOfOneAnchorIsHarmlessAndOfBothIsDetected) {
    for (std::size_t at = 0; at < anchor_bytes; ++at) {
        for (unsigned copy = 0; copy < 2; ++copy) {
            anchor_byte(copy, at) ^= std::byte{0x01};
            ASSERT_EQ(ask(device, shape, true), whole()) << at;
            anchor_byte(copy, at) ^= std::byte{0x01};
        }
        anchor_byte(0, at) ^= std::byte{0x01};
        anchor_byte(1, at) ^= std::byte{0x01};
        ASSERT_EQ(ask(device, shape, true).failure, errc::damaged) << at;
        anchor_byte(0, at) ^= std::byte{0x01};
        anchor_byte(1, at) ^= std::byte{0x01};
    }
}

TEST_P(RingJournalDamage, ADamagedAnchorIsWrittenAgainByTheNextRecovery) {
    for (unsigned copy = 0; copy < 2; ++copy) {
        copy_image(image, device);
        anchor_byte(copy, 20) ^= std::byte{0x01};
        ASSERT_EQ(ask(device, shape, false), whole());
        anchor_byte(1 - copy, 20) ^= std::byte{0x01};
        EXPECT_EQ(ask(device, shape, false).last, 4U) << "the copy that was damaged is whole again";
    }
}

TEST_P(RingJournalDamage, AnUnreadableAnchorIsHarmlessWhileTheOtherIsValid) {
    struct one_bad {
        memory_device&  inner;
        block_index     bad[2];
        device_geometry geometry() const noexcept { return inner.geometry(); }
        result<>        read(extent e, std::span<std::byte> in) noexcept {
                   if (e.contains(bad[0]) || e.contains(bad[1])) return error{errc::device_failed, e.first};
            return inner.read(e, in);
        }
        result<> write(extent e, std::span<const std::byte> out) noexcept { return inner.write(e, out); }
        result<> sync() noexcept { return success(); }
        result<> trim(extent) noexcept { return success(); }
    };
    const auto place = shape.place();
    for (const auto bad : {place.anchor_first, place.anchor_second}) {
        one_bad broken{device, {bad, bad}};
        EXPECT_EQ(ask(broken, shape, true), whole());
    }
    one_bad broken{device, {place.anchor_first, place.anchor_second}};
    EXPECT_EQ(ask(broken, shape, true).failure, errc::device_failed);
}

TEST_P(RingJournalDamage, ABatchWhoseDataNeverArrivedIsCutAndNeverComesBack) {
    block_bytes  lost(GetParam());
    const extent block{{shape.data_first().value + 4}, {1}};
    ASSERT_TRUE(device.read(block, lost));
    ASSERT_TRUE(device.write(block, pattern(GetParam(), 999)));
    attached_journal       first{shape};
    data_on<memory_device> data{device};
    const auto             report = first->recover(device, data, false);
    ASSERT_TRUE(report);
    EXPECT_EQ(report.value().last, sequence{3});
    EXPECT_EQ(report.value().batches_cut, 1U);
    EXPECT_EQ(report.value().data_checked, 1U);

    ASSERT_TRUE(device.write(block, lost));  // As if a lazy cache gave it back after all.
    EXPECT_EQ(ask(device, shape, true), without_newest()) << "the epoch forbids it";
    EXPECT_EQ(ask(device, shape, false), without_newest());
    attached_journal again{shape};
    ASSERT_TRUE(again->recover(device, data, false));
    ASSERT_TRUE(commit(device, again.journal, small_batch(77)));
    auto expected = without_newest();
    append_expected(expected.entries, small_batch(77), 4);
    expected.last = 4;
    EXPECT_EQ(ask(device, shape, false), expected) << "a new batch takes the number of the one that was cut";
}

TEST_P(RingJournalDamage, DataOfConfirmedBatchesIsNotAskedFor) {
    for (std::uint64_t i = 1; i <= 3; ++i)
        ASSERT_TRUE(device.write({{shape.data_first().value + i}, {1}}, pattern(GetParam(), 999)));
    EXPECT_EQ(ask(device, shape, true), whole()) << "its blocks may have had other owners since";
}

TEST_P(RingJournalDamage, DataThatCannotBeReadFailsAndAFaultThatPassesDoesNot) {
    struct unreadable {
        int          faults;
        result<bool> matches(block_index block, std::uint64_t) noexcept {
            if (faults-- > 0) return error{errc::device_failed, block};
            return true;
        }
        result<> repeat(block_index) noexcept { return success(); }
    };
    attached_journal journal{shape};
    unreadable       twice{2};
    const auto       failed = journal->recover(device, twice, false);
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, errc::device_failed);
    EXPECT_TRUE(std::equal(device.bytes().begin(), device.bytes().end(), image.bytes().begin()));
    unreadable once{1};
    const auto report = journal->recover(device, once, false);
    ASSERT_TRUE(report);
    EXPECT_EQ(report.value().last, sequence{4});
}

TEST_P(RingJournalDamage, ReplayNoticesABatchThatChangedSinceRecovery) {
    attached_journal       journal{shape};
    data_on<memory_device> data{device};
    ASSERT_TRUE(journal->recover(device, data, true));
    ring_byte(begins[3] * GetParam() + batch_header_bytes + 60) ^= std::byte{1};
    entry_log  log;
    const auto done = journal->replay(device, log);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error(), (error{errc::checksum_differs, shape.place().ring.first + block_count{begins[3]}}));
}

TEST_P(RingJournalDamage, TheSinksErrorEndsReplay) {
    attached_journal       journal{shape};
    data_on<memory_device> data{device};
    ASSERT_TRUE(journal->recover(device, data, true));
    auto refuse = [](sequence, block_index target, std::uint32_t, std::span<const std::byte>) noexcept -> result<> {
        return error{errc::cancelled, target};
    };
    EXPECT_EQ(journal->replay(device, refuse).error().code, errc::cancelled);
}

TEST_P(RingJournalDamage, AMissingBatchThatTheAnchorConfirmsIsDamageEvenWhereNoLaterHeaderIsLeft) {
    {
        attached_journal       journal{shape};
        data_on<memory_device> data{device};
        ASSERT_TRUE(journal->recover(device, data, false));  // Its anchor confirms batch 4.
    }
    ring_byte(begins[4] * GetParam()) ^= std::byte{1};
    EXPECT_EQ(ask(device, shape, true).failure, errc::damaged);
    EXPECT_EQ(ask(device, shape, false).failure, errc::damaged);
}

/// Fails after some writes as a process that is killed does: what was written stays with the device.
struct killed_device {
    power_cut_device<memory_device>& inner;
    std::uint64_t                    left;
    device_geometry                  geometry() const noexcept { return inner.geometry(); }
    result<>                         read(extent e, std::span<std::byte> in) noexcept { return inner.read(e, in); }
    result<>                         write(extent e, std::span<const std::byte> out) noexcept {
                                if (left == 0) return error{errc::device_failed};
        --left;
                                return inner.write(e, out);
    }
    result<> sync() noexcept { return left == 0 ? result<>{errc::device_failed} : inner.sync(); }
    result<> trim(extent) noexcept { return success(); }
};

TEST_P(RingJournalDamage, AKilledProcessLeavesUnsyncedWritesThatACutInsideRecoveryMayStillLose) {
    power_cut_device<memory_device> power{device};
    std::uint64_t                   states = 0;
    for (std::uint64_t kill = 1; kill <= 12; ++kill) {
        for (std::uint64_t cut = 1;; ++cut) {
            power.reset();
            std::uint64_t acknowledged = 4;
            std::uint64_t issued       = 4;
            {
                attached_journal                         journal{shape};
                data_on<power_cut_device<memory_device>> data{power};
                ASSERT_TRUE(journal->recover(power, data, false));
                killed_device mortal{power, kill};
                for (std::uint64_t i = 5; i <= 8; ++i) {
                    issued = i;
                    if (!commit(mortal, journal.journal, small_batch(i, 2000))) break;
                    acknowledged = i;
                    if (!journal->anchor(mortal, {i}, {})) break;
                }
            }
            power.cut_after(cut);
            attached_journal                         journal{shape};
            data_on<power_cut_device<memory_device>> data{power};
            if (journal->recover(power, data, false)) break;
            for (std::uint64_t seed = 0; seed < 8; ++seed) {
                const auto keep = seed == 0 ? unsynced::none : seed == 1 ? unsynced::all : unsynced::some_sectors;
                power.crash_image({keep, 0, seed}, image.bytes());
                const auto found = ask(image, shape, false);
                ASSERT_EQ(found.failure, std::nullopt)
                    << "killed after write " << kill << ", cut after " << cut << ", seed " << seed;
                ASSERT_GE(found.last, acknowledged);
                ASSERT_LE(found.last, issued);
                ++states;
            }
        }
    }
    EXPECT_GE(states, 100U);
}

/// Reads one leg, writes both.
struct mirror {
    memory_device&  read_leg;
    memory_device&  other_leg;
    device_geometry geometry() const noexcept { return read_leg.geometry(); }
    result<>        read(extent e, std::span<std::byte> in) noexcept { return read_leg.read(e, in); }
    result<>        write(extent e, std::span<const std::byte> out) noexcept {
               BOOST_OUTCOME_TRY(read_leg.write(e, out));
               return other_leg.write(e, out);
    }
    result<> sync() noexcept { return success(); }
    result<> trim(extent) noexcept { return success(); }
};

TEST_P(RingJournalDamage, WhatRecoveryReadFromOneLegOfAMirrorStandsOnBothAfterwards) {
    memory_device    other = make_device(shape);
    mirror           both{device, other};
    attached_journal journal{shape};
    copy_image(device, other);
    data_on<mirror> data{both};
    ASSERT_TRUE(journal->recover(both, data, false));
    ASSERT_TRUE(journal->anchor(both, {4}, {}));

    planned_batch newest;  // Larger than the memory, so that it is copied in several runs.
    for (std::uint64_t i = 0; i < 2; ++i) newest.entries.push_back({0, i, 0, pattern(4096, i)});
    newest.data.emplace_back(shape.data_first().value + 9, pattern(GetParam(), 90));
    newest.data.emplace_back(shape.data_first().value + 10, pattern(GetParam(), 91));
    ASSERT_TRUE(write_batch(device, journal.journal, newest)) << "the cut came before the other leg was written";

    attached_journal opened{shape};
    ASSERT_TRUE(opened->recover(both, data, false));
    EXPECT_EQ(opened->last(), sequence{5});
    const auto expected = replayed(device, opened.journal);
    EXPECT_EQ(expected.size(), 4U);
    EXPECT_TRUE(std::equal(device.bytes().begin(), device.bytes().end(), other.bytes().begin()))
        << "both legs are the same";
    EXPECT_EQ(ask(other, shape, false).entries, expected);
}

/// From its `turns`-th read on it answers one bit of a block wrongly: the other leg of a mirror, or a cache that was
/// dropped.
struct fickle_device {
    memory_device&  inner;
    block_index     block;
    std::size_t     byte;
    std::uint64_t   turns;
    std::uint64_t   reads = 0;
    device_geometry geometry() const noexcept { return inner.geometry(); }
    result<>        read(extent e, std::span<std::byte> in) noexcept {
               BOOST_OUTCOME_TRY(inner.read(e, in));
               if (++reads >= turns && e.contains(block))
            in[bytes_of(block - e.first, geometry().size) + byte] ^= std::byte{4};
        return success();
    }
    result<> write(extent e, std::span<const std::byte> out) noexcept { return inner.write(e, out); }
    result<> sync() noexcept { return success(); }
    result<> trim(extent) noexcept { return success(); }
};

TEST_P(RingJournalDamage, AReadThatChangesItsAnswerDuringRecoveryIsNotAccepted) {
    struct accept_all {
        result<bool> matches(block_index, std::uint64_t) noexcept { return true; }
        result<>     repeat(block_index) noexcept { return success(); }
    } data;
    int refused = 0;
    for (std::uint64_t turns = 1; turns < 20; ++turns) {
        copy_image(image, device);
        fickle_device    fickle{device, shape.place().ring.first + block_count{begins[4]}, 200, turns};
        attached_journal journal{shape};
        const auto       report = journal->recover(fickle, data, false);
        if (!report) {
            EXPECT_EQ(report.error(), (error{errc::checksum_differs, fickle.block}));
            EXPECT_EQ(ask(device, shape, true), whole()) << "the wrong answer was not written over the right one";
            ++refused;
        } else {
            EXPECT_TRUE(report.value().last == sequence{4} || report.value().last == sequence{3});
        }
    }
    EXPECT_GE(refused, 3) << "the data check, the repetition and the copy each read again";
}

// ---- hostile images: every hash is right, the numbers are not ----

constexpr std::uint64_t extremes[] = {0,
                                      1,
                                      2,
                                      5,
                                      23,
                                      24,
                                      27,
                                      28,
                                      79,
                                      80,
                                      107,
                                      108,
                                      511,
                                      512,
                                      4095,
                                      4096,
                                      4097,
                                      65536,
                                      0x7FFF'FFFF,
                                      0xFFFF'FFFF,
                                      0x1'0000'0000,
                                      0x7FFF'FFFF'FFFF'FFFE,
                                      0x7FFF'FFFF'FFFF'FFFF,
                                      0x8000'0000'0000'0000,
                                      0xFFFF'FFFF'FFFF'FF00,
                                      0xFFFF'FFFF'FFFF'FFFE,
                                      0xFFFF'FFFF'FFFF'FFFF};

/// A batch with one list item and two entries, in which a test can lie anywhere before the hashes are made.
struct crafted_batch {
    batch_header                    header;
    std::vector<batch_data_item>    list{1};
    std::vector<journal_entry_head> heads{2};
    journal_marker                  commit;
    std::size_t                     carried    = 40;  ///< Bytes that follow each head, whatever it says.
    std::uint64_t                   item_error = 0;   ///< Added to the hash of each entry.
    std::optional<journal_marker>   completion;       ///< Its hash is the error to add to the right one.
    volume_id                       seed_volume = test_volume();

    crafted_batch(std::uint64_t number, std::uint64_t epoch, std::uint64_t chain) {
        header.volume       = test_volume();
        header.epoch        = epoch;
        header.sequence     = number;
        header.acknowledged = number - 1;
        header.previous     = chain;
        header.length       = batch_bytes(1, 2, 2 * carried, false);
        header.entries      = 2;
        header.data         = 1;
        for (auto& head : heads) {
            head.target = 5;
            head.length = static_cast<std::uint32_t>(carried);
            head.offset = 8;
        }
        commit.target   = commit_marker_target;
        commit.sequence = number;
        commit.entries  = 2;
    }
    /// The bytes, with every hash as a writer would make it.
    block_bytes sealed(std::uint64_t position) {
        const auto  seed = batch_seed(seed_volume, header.epoch, position);
        block_bytes bytes;
        const auto  add = [&](const auto& value) {
            std::byte text[sizeof value];
            store_struct(text, value);
            bytes.insert(bytes.end(), text, text + sizeof value);
        };
        seal_header(header, seed);
        add(header);
        for (const auto& item : list) add(item);
        if (completion) {
            const auto place = bytes.size();
            add(*completion);
            const auto covered = std::span{bytes}.subspan(place, marker_bytes - 8);
            store_little<std::uint64_t>(bytes.data() + place + 20, item_hash(covered, seed, place) + completion->hash);
        }
        for (const auto& head : heads) {
            const auto place = bytes.size();
            add(head);
            bytes.resize(bytes.size() + carried, std::byte{0x5A});
            add(le_u64{item_hash(std::span{bytes}.subspan(place), seed, place) + item_error});
        }
        add(commit);
        bytes.resize(bytes.size() - 8);
        add(le_u64{xxh64(bytes, seed)});
        return bytes;
    }
};

class RingJournalHostile : public ::testing::Test {
  protected:
    void SetUp() override {
        attached_journal journal{shape};
        ASSERT_TRUE(journal->format(device, {}));
        ASSERT_TRUE(commit(device, journal.journal, small_batch(1)));
        const auto ring = std::span{device.bytes()}.subspan(byte_offset(shape.place().ring.first, shape.size()));
        chain           = load_little<std::uint64_t>(ring.data() + batch_bytes(0, 2, 116, false) - 8);
        copy_image(device, image);
    }
    struct accept_all {
        result<bool> matches(block_index, std::uint64_t) noexcept { return true; }
        result<>     repeat(block_index) noexcept { return success(); }
    };
    /// The last batch that recovery finds, or nothing where it refuses. Afterwards the journal must work or refuse,
    /// too.
    std::optional<std::uint64_t> recovered(memory_device& from) {
        std::optional<std::uint64_t> last;
        for (const bool read_only : {true, false}) {
            attached_journal journal{shape};
            accept_all       data;
            entry_log        log;
            const auto       report = journal->recover(from, data, read_only);
            if (report) last = report.value().last.value;
            const auto shown = journal->replay(from, log);
            if (report) { EXPECT_TRUE(shown); }
            if (report && !read_only) {
                if (commit(from, journal.journal, small_batch(3))) { EXPECT_EQ(journal->last().value, *last + 1); }
                static_cast<void>(journal->anchor(from, journal->next(), {}));
            }
        }
        return last;
    }
    std::optional<std::uint64_t> recovered_with(crafted_batch batch, std::uint64_t sealed_for = 1) {
        copy_image(image, device);
        const auto bytes = batch.sealed(sealed_for);
        EXPECT_TRUE(bytes.size() <= 23 * 512);
        std::copy(bytes.begin(), bytes.end(),
                  device.bytes().begin() +
                      static_cast<std::ptrdiff_t>(byte_offset(shape.place().ring.first, shape.size()) + 512));
        return recovered(device);
    }

    journal_shape shape;
    memory_device device = make_device(shape);
    memory_device image  = make_device(shape);
    std::uint64_t chain  = 0;
};

TEST_F(RingJournalHostile, ACraftedBatchWithoutALieCounts) { EXPECT_EQ(recovered_with({2, 1, chain}), 2U); }

TEST_F(RingJournalHostile, AnyNumberInAHeaderIsCheckedEvenUnderARightHash) {
    for (const auto lie : extremes) {
        const auto    small = static_cast<std::uint32_t>(lie);
        crafted_batch b{2, 1, chain};
        b.header.length = lie;
        if (lie != batch_bytes(1, 2, 80, false)) { EXPECT_EQ(recovered_with(b), 1U) << "length " << lie; }
        b                = {2, 1, chain};
        b.header.entries = small;
        if (small != 2) { EXPECT_EQ(recovered_with(b), 1U) << "entries " << small; }
        b             = {2, 1, chain};
        b.header.data = small;
        if (small != 1) { EXPECT_EQ(recovered_with(b), 1U) << "data " << small; }
        b              = {2, 1, chain};
        b.header.epoch = lie;
        if (lie == 0) { EXPECT_EQ(recovered_with(b), 1U) << "epoch " << lie; }
        if (lie > 1) { EXPECT_EQ(recovered_with(b), std::nullopt) << "no anchor knows epoch " << lie; }
        b                 = {2, 1, chain};
        b.header.previous = lie;
        EXPECT_EQ(recovered_with(b), 1U) << "previous " << lie;
        b              = {2, 1, chain};
        b.header.flags = static_cast<std::uint16_t>(lie);
        if (static_cast<std::uint16_t>(lie) != 0) { EXPECT_EQ(recovered_with(b), 1U) << "flags " << lie; }
        b                     = {2, 1, chain};
        b.header.acknowledged = lie;
        if (lie > 1) { EXPECT_EQ(recovered_with(b), 1U) << "acknowledged " << lie; }
        b                 = {2, 1, chain};
        b.header.sequence = lie;
        if (lie < 2) { EXPECT_EQ(recovered_with(b), 1U) << "sequence " << lie; }
        b.header.acknowledged = lie - 1;
        if (lie > 2) {
            EXPECT_EQ(recovered_with(b), std::nullopt) << "a later batch says that the missing one was acknowledged";
        }
    }
}

TEST_F(RingJournalHostile, AnyNumberInAnEntryOrMarkerIsCheckedEvenUnderARightHash) {
    for (const auto lie : extremes) {
        const auto small = static_cast<std::uint32_t>(lie);
        for (std::size_t which = 0; which < 2; ++which) {
            crafted_batch b{2, 1, chain};
            b.heads[which].length = small;
            if (small != 40) { EXPECT_EQ(recovered_with(b), 1U) << "entry length " << small; }
            b                     = {2, 1, chain};
            b.heads[which].offset = small;
            EXPECT_EQ(recovered_with(b), small <= 4096 - 40 ? 2U : 1U) << "entry offset " << small;
            b                     = {2, 1, chain};
            b.heads[which].target = lie;
            EXPECT_EQ(recovered_with(b), lie < commit_marker_target ? 2U : 1U) << "entry target " << lie;
        }
        crafted_batch b{2, 1, chain};
        b.commit.target = lie;
        if (lie != commit_marker_target) { EXPECT_EQ(recovered_with(b), 1U) << "marker " << lie; }
        b                 = {2, 1, chain};
        b.commit.sequence = lie;
        if (lie != 2) { EXPECT_EQ(recovered_with(b), 1U) << "marker's sequence " << lie; }
        b                = {2, 1, chain};
        b.commit.entries = small;
        if (small != 2) { EXPECT_EQ(recovered_with(b), 1U) << "marker's entries " << small; }
        b               = {2, 1, chain};
        b.list[0].block = lie;
        EXPECT_EQ(recovered_with(b), 2U) << "whether a listed block exists is for the reader of data to say";
    }
}

TEST_F(RingJournalHostile, ABatchThatIsLongerThanTheRingIsNotFollowed) {
    for (const std::uint32_t data : {700U, 2000U, 0xFFFF'FFFFU}) {
        crafted_batch b{2, 1, chain};
        b.header.data   = data;
        b.header.length = batch_bytes(data, 2, 80, false);
        EXPECT_EQ(recovered_with(b), 1U) << data;
    }
}

TEST_F(RingJournalHostile, AnEntryThatReachesOverTheEndOfTheRingIsNotFollowed) {
    crafted_batch b{2, 1, chain};
    b.list.resize(720);
    b.header.data   = 720;
    b.header.length = batch_bytes(720, 2, 80, false);
    ASSERT_EQ(blocks_for(b.header.length, shape.size()).value, shape.ring_blocks - 1);
    EXPECT_EQ(recovered_with(b), 2U);
    b.heads[1].length = 4096;
    b.heads[1].offset = 0;
    EXPECT_EQ(recovered_with(b), 1U);
}

TEST_F(RingJournalHostile, AnAnchorWhoseRingLiesOutsideOrOverAnAnchorIsInvalid) {
    const auto place = shape.place();
    const auto good  = decode_anchor(
         std::span{image.bytes()}.subspan(byte_offset(place.anchor_first, shape.size()), 4096), place.volume);
    ASSERT_TRUE(good);
    for (const std::uint64_t first : {device.geometry().blocks.value - 23, std::uint64_t{0} - 8,
                                      place.anchor_first.value, place.anchor_second.value - 23}) {
        auto lie       = *good;
        lie.ring_first = first;
        copy_image(image, device);
        for (const auto copy : {place.anchor_first, place.anchor_second}) {
            encode_anchor(std::span{device.bytes()}.subspan(byte_offset(copy, shape.size()), 4096), lie, place.volume);
        }
        EXPECT_EQ(ask(device, shape, true).failure, errc::damaged) << first;
    }
}

TEST_F(RingJournalHostile, AnEntryThatIsTooLongForAFrameIsNoEntry) {
    crafted_batch b{2, 1, chain};
    b.carried       = 4097;
    b.header.length = batch_bytes(1, 2, 2 * b.carried, false);
    for (auto& head : b.heads) {
        head.length = 4097;
        head.offset = 0;
    }
    EXPECT_EQ(recovered_with(b), 1U);
}

TEST_F(RingJournalHostile, AnEntryWithAWrongHashIsNoEntryEvenInABatchWithARightOne) {
    crafted_batch b{2, 1, chain};
    b.item_error = 1;
    EXPECT_EQ(recovered_with(b), 1U);
}

TEST_F(RingJournalHostile, AMissingCompletionMarkerIsNoticed) {
    crafted_batch b{2, 1, chain};
    b.header.flags = batch_has_completion;
    EXPECT_EQ(recovered_with(b), 1U);
    b.header.length = b.header.length + marker_bytes;
    EXPECT_EQ(recovered_with(b), 1U);
}

TEST_F(RingJournalHostile, ACompletionMarkerIsCheckedFieldByField) {
    journal_marker good;
    good.target     = completion_marker_target;
    good.sequence   = 1;
    const auto with = [&](const journal_marker& marker) {
        crafted_batch b{2, 1, chain};
        b.header.flags  = batch_has_completion;
        b.header.length = batch_bytes(1, 2, 80, true);
        b.completion    = marker;
        return recovered_with(b);
    };
    EXPECT_EQ(with(good), 2U);
    auto bad   = good;
    bad.target = commit_marker_target;
    EXPECT_EQ(with(bad), 1U);
    bad          = good;
    bad.sequence = 2;
    EXPECT_EQ(with(bad), 1U) << "a batch cannot say that it is home itself";
    bad         = good;
    bad.entries = 1;
    EXPECT_EQ(with(bad), 1U);
    bad      = good;
    bad.hash = 1;
    EXPECT_EQ(with(bad), 1U);
}

TEST_F(RingJournalHostile, ABatchOfAnotherPlaceOrVolumeDoesNotCount) {
    EXPECT_EQ(recovered_with({2, 1, chain}, 2), 1U) << "made for the next block";
    crafted_batch b{2, 1, chain};
    b.header.volume = test_volume(9);
    EXPECT_EQ(recovered_with(b), 1U) << "names another volume";
    b.seed_volume = test_volume(9);
    EXPECT_EQ(recovered_with(b), 1U) << "belongs to another volume";
    b.header.volume = test_volume();
    EXPECT_EQ(recovered_with(b), 1U) << "names this volume, but was hashed for another";
}

TEST_F(RingJournalHostile, AnyNumberInAnAnchorGivesAResultOrAnError) {
    const auto place = shape.place();
    const auto first = byte_offset(place.anchor_first, shape.size());
    const auto good  = decode_anchor(std::span{image.bytes()}.subspan(first, 4096), place.volume);
    ASSERT_TRUE(good);
    random_bits   random{5};
    std::uint64_t refused = 0, accepted = 0;
    const auto    plant = [&](const anchor_content& lie) {
        copy_image(image, device);
        for (const auto copy : {place.anchor_first, place.anchor_second}) {
            encode_anchor(std::span{device.bytes()}.subspan(byte_offset(copy, shape.size()), 4096), lie, place.volume);
        }
        recovered(device) ? ++accepted : ++refused;
    };
    using field                   = le_u64 anchor_content::*;
    constexpr field      fields[] = {
             &anchor_content::generation,  &anchor_content::epoch,      &anchor_content::first,
             &anchor_content::confirmed,   &anchor_content::tail,       &anchor_content::tail_position,
             &anchor_content::tail_chain,  &anchor_content::ring_first, &anchor_content::ring_blocks,
             &anchor_content::free_blocks, &anchor_content::modified,   &anchor_content::checkpoint};
    for (const auto one : fields) {
        for (const auto value : extremes) {
            auto lie = *good;
            lie.*one = value;
            plant(lie);
        }
    }
    for (int round = 0; round < 3000; ++round) {
        auto lie = *good;
        for (int i = 0; i < 3; ++i)
            lie.*fields[random.next() % std::size(fields)] = extremes[random.next() % std::size(extremes)];
        plant(lie);
    }
    EXPECT_GT(refused, 500U);
    EXPECT_GT(accepted, 50U);
}

TEST_F(RingJournalHostile, RandomBytesInTheRingNeverCount) {
    random_bits random{9};
    for (int round = 0; round < 500; ++round) {
        copy_image(image, device);
        const auto ring = std::span{device.bytes()}.subspan(byte_offset(shape.place().ring.first, shape.size()),
                                                            shape.ring_blocks * 512);
        const auto from = 512 + random.next() % (ring.size() - 600);
        random.fill(ring.subspan(from, 1 + random.next() % (ring.size() - from)));
        EXPECT_EQ(recovered(device), 1U);
    }
}

}  // namespace ring_journal_damage_test
}  // namespace ashlar::test
