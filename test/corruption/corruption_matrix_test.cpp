// Every metadata block of a volume flipped, zeroed, replaced by its neighbour, replaced by an older copy of itself;
// every byte of superblocks and journal headers; every block of data. What is wrong is noticed or harmless, and no
// wrong byte is an answer. What an older copy of a whole block gets past, is said at the end.

#include "corruption_fixture.hpp"

#include <algorithm>

namespace ashlar::test {
namespace corruption_matrix_test {

enum class damage : std::uint8_t { flipped, zeroed, neighbour, older };

const char* name_of_kind(damage kind) {
    static const char* const names[] = {"flipped", "zeroed", "neighbour", "older"};
    return names[static_cast<std::size_t>(kind)];
}

/// How damage came out.
struct tally {
    std::uint64_t harmless = 0;  ///< All is as it should be: another copy or the journal stood in, or nobody needs it.
    std::uint64_t refused  = 0;  ///< Opening said so.
    std::uint64_t failed   = 0;  ///< A read said so.
    std::uint64_t verified = 0;  ///< Reads gave what is right; verify said so.
    std::uint64_t cut      = 0;  ///< Batches that nothing confirmed counted as torn.
    std::uint64_t stale    = 0;  ///< Reads gave an older state; verify said so.
    std::uint64_t missed   = 0;  ///< Nobody said so.

    [[nodiscard]] std::uint64_t all() const { return harmless + refused + failed + verified + cut + stale + missed; }
};

class CorruptionMatrix : public testing::TestWithParam<bool> {
  protected:
    static const known_volume& volume() {
        static const known_volume closed = make_known_volume(true), unclean = make_known_volume(false);
        return GetParam() ? closed : unclean;
    }

    /// Damages the device. False where the bytes stay the same.
    bool apply(const target& at, damage kind, random_bits& random) {
        const auto& known   = volume();
        bool        differs = false;
        const auto  bit     = random.below(at.blocks.count.value * 512 * 8);
        for (std::uint64_t i = 0; i < at.blocks.count.value; ++i) {
            const auto block = at.blocks.first + block_count{i};
            const auto bytes = device_.change(block);
            switch (kind) {
                case damage::flipped:
                    if (bit / (512 * 8) == i) bytes[bit / 8 % 512] ^= static_cast<std::byte>(1U << (bit % 8));
                    break;
                case damage::zeroed: std::memset(bytes.data(), 0, bytes.size()); break;
                case damage::neighbour: {
                    const auto next = block + at.blocks.count;
                    std::memcpy(bytes.data(), known.original(next).data(), bytes.size());
                    break;
                }
                case damage::older: std::memcpy(bytes.data(), known.old(block).data(), bytes.size()); break;
            }
            differs = differs || std::memcmp(bytes.data(), known.original(block).data(), bytes.size()) != 0;
        }
        return differs;
    }

    /// Judges what is seen, and counts it. `may_be_stale`: reads alone cannot know.
    void judge(const sight& seen, bool may_be_stale, tally& into, const std::string& where) {
        const auto last = volume().states.size() - 1;
        if (!seen.opened) {
            EXPECT_NE(seen.why.code, errc::none) << where;
            ++into.refused;
        } else if (seen.wrong) {
            EXPECT_TRUE(may_be_stale) << "a wrong byte was an answer: " << where << "; verify: " << seen.first;
            ++(seen.findings != 0 ? into.stale : into.missed);
            EXPECT_NE(seen.findings, 0U) << "nobody noticed: " << where;
        } else if (seen.failed) {
            EXPECT_NE(seen.findings, 0U) << "reads fail, and verify finds nothing: " << where;
            ++into.failed;
        } else if (seen.findings != 0) {
            ++into.verified;
        } else if (seen.state != last) {
            EXPECT_GE(seen.state, volume().certain) << "confirmed history is gone, and nobody says so: " << where;
            ++into.cut;
        } else {
            ++into.harmless;
        }
    }

    void examine(bool may_be_stale, tally& into, const std::string& where) {
        const auto before = device_.changes();
        judge(look_at(device_, volume(), true), may_be_stale, into, where + ", open for reading");
        EXPECT_EQ(device_.changes(), before) << "a store open for reading wrote: " << where;
        judge(look_at(device_, volume(), false), may_be_stale, into, where + ", open for writing");
    }

    /// Which blocks of the volume's data the bitmaps call in use.
    static std::vector<std::uint64_t> data_in_use(test_store& live) {
        std::vector<std::uint64_t> found;
        auto&                      opened = live.volume();
        for (const auto& at : volume().data) {
            const auto place = place_of(at.blocks.first, {512});
            const auto pin   = opened.metadata().get(opened.regions.bitmap(place.group));
            if (!pin) continue;
            const auto byte = opened.cache.bytes(pin.value().slot())[place.offset / 8];
            if ((byte >> (place.offset % 8) & std::byte{1}) != std::byte{0}) found.push_back(at.blocks.first.value);
        }
        std::sort(found.begin(), found.end());
        return found;
    }

    void report(const std::string& name, const tally& of) {
        std::printf(
            "%-32s %5llu: %llu harmless, %llu refused, %llu reads failed, %llu by verify, %llu cut, %llu stale, "
            "%llu missed\n",
            name.c_str(), static_cast<unsigned long long>(of.all()), static_cast<unsigned long long>(of.harmless),
            static_cast<unsigned long long>(of.refused), static_cast<unsigned long long>(of.failed),
            static_cast<unsigned long long>(of.verified), static_cast<unsigned long long>(of.cut),
            static_cast<unsigned long long>(of.stale), static_cast<unsigned long long>(of.missed));
        count("corruptions", of.all());
    }

    overlay_device device_{volume().bytes, {512}};
};

INSTANTIATE_TEST_SUITE_P(Volumes, CorruptionMatrix, testing::Bool(),
                         [](const auto& chosen) { return chosen.param ? "Closed" : "WithAJournalToReplay"; });

TEST_P(CorruptionMatrix, NothingIsWrongWithoutDamage) {
    for (const bool read_only : {true, false}) {
        device_.forget();
        const auto seen = look_at(device_, volume(), read_only);
        EXPECT_TRUE(seen.opened && !seen.wrong && !seen.failed) << said(result<>{seen.why});
        EXPECT_EQ(seen.first, "");
        EXPECT_EQ(seen.state, volume().states.size() - 1);
    }
}

TEST_P(CorruptionMatrix, EveryMetadataBlockIsProvedOrStoodInFor) {
    random_bits                  random{GetParam() ? 7U : 8U};
    std::map<std::string, tally> results;
    for (const auto& at : volume().metadata) {
        for (const auto kind : {damage::flipped, damage::zeroed, damage::neighbour}) {
            for (std::uint64_t again = 0; again < (kind == damage::flipped ? scaled(2) : 1); ++again) {
                device_.forget();
                if (!apply(at, kind, random)) continue;
                examine(false, results[at.name + " " + name_of_kind(kind)],
                        at.name + " at block " + std::to_string(at.blocks.first.value) + " " + name_of_kind(kind));
            }
        }
    }
    for (const auto& [name, one] : results) report(name, one);
}

TEST_P(CorruptionMatrix, EveryByteOfBothSuperblocksMayFlip) {
    random_bits         random{GetParam() ? 17U : 18U};
    const std::uint64_t stride = 64 / std::min<std::uint64_t>(scaled(64), 64);
    const auto&         last   = volume().states.back();
    std::uint64_t       runs   = 0;
    for (const auto number : {frame::superblock, frame::superblock_mirror}) {
        const auto first = frame_home(number, {512});
        for (std::uint64_t byte = random.below(stride); byte < frame_bytes_min; byte += stride) {
            device_.forget();
            device_.change(first + block_count{byte / 512})[byte % 512] ^=
                static_cast<std::byte>(1U << random.below(8));
            auto opened = test_store::open(any_device{device_}, with());
            ASHLAR_ASSERT_OK(opened);
            auto&       live = opened.value();
            byte_vector root(last.at(live.root().value).size());
            const auto  read = live.read(live.root(), 0, std::span<std::byte>{root});
            ASHLAR_ASSERT_OK(read);
            ASSERT_TRUE(root == last.at(live.root().value)) << "byte " << byte << " of frame " << number;
            ASSERT_EQ(live.recovered().mended_frames, 1U << number) << "byte " << byte << " of frame " << number;
            for (std::uint64_t i = 0; i < 8; ++i) {
                const auto block = first + block_count{i};
                ASSERT_EQ(std::memcmp(device_.block(block).data(), volume().original(block).data(), 512), 0)
                    << "the copy is not written again from its twin: byte " << byte << " of frame " << number;
            }
            static_cast<void>(live.abandon());
            ++runs;
        }
    }
    std::printf("%llu bytes\n", static_cast<unsigned long long>(runs));
    count("corruptions", runs);
}

TEST_P(CorruptionMatrix, EveryByteOfEveryJournalHeaderMayFlip) {
    random_bits random{GetParam() ? 27U : 28U};
    tally       result;
    for (std::uint64_t position = 0; position < volume().ring.count.value; ++position) {
        const auto block  = volume().ring.first + block_count{position};
        const auto header = decode_header(volume().original(block), known_volume::shape.format().volume, position);
        if (!header) continue;
        // Of batches that nobody needs any more a few bytes are enough.
        const std::size_t stride = header->sequence < volume().tail.value ? 27 : 1;
        for (std::size_t byte = 0; byte < batch_header_bytes; byte += stride) {
            device_.forget();
            device_.change(block)[byte] ^= static_cast<std::byte>(1U << random.below(8));
            examine(false, result,
                    "byte " + std::to_string(byte) + " of the header of batch " +
                        std::to_string(std::uint64_t{header->sequence}));
        }
    }
    report("journal header bytes", result);
    EXPECT_GT(result.all(), 80U);
}

TEST_P(CorruptionMatrix, DamagedDataIsAnErrorAndNeverAnAnswer) {
    random_bits                  random{GetParam() ? 37U : 38U};
    std::map<std::string, tally> results;
    for (const auto& at : volume().data) {
        for (const auto kind : {damage::flipped, damage::zeroed, damage::neighbour, damage::older}) {
            device_.forget();
            if (!apply(at, kind, random)) continue;
            auto&      into   = results[std::string{"data "} + name_of_kind(kind)];
            const auto failed = into.failed;
            const auto where  = "data at block " + std::to_string(at.blocks.first.value) + " " + name_of_kind(kind);
            examine(false, into, where);
            if (GetParam()) { EXPECT_EQ(into.failed, failed + 2) << "it is read all the same: " << where; }
        }
    }
    for (const auto& [name, one] : results) report(name, one);
}

// A block that comes back whole, as it was before, bears every mark of its place: no seed and no checksum knows of
// time. Frames have a second copy and a number that says which is newer; anchors and batches are numbered too; data is
// proved by the checksum table, and the table by data; bitmaps, records of groups and owners contradict each other as
// soon as one of them is old. What is left are the blocks that say where bytes are: the object table, the nodes of a
// tree, and the totals, which say how many records there are. The block that such an old one names may be whole in the
// checksum table's eyes, and then an older state of the object, or what another object put there, is read without an
// error. Only `verify` sees that: owners and bitmap disagree. While the store runs the checkpoint reads back what it
// wrote, so a write that was lost at once is noticed there.
TEST_P(CorruptionMatrix, AnOlderCopyOfAWholeBlockIsFoundByVerifyWhereReadsCannotKnow) {
    const std::set<std::string>  says_where{"object table", "tree node", "group table"};
    random_bits                  random{9};
    std::map<std::string, tally> results;
    for (const auto& at : volume().metadata) {
        device_.forget();
        if (!apply(at, damage::older, random)) continue;
        examine(says_where.count(at.name) != 0, results[at.name + " older"],
                at.name + " at block " + std::to_string(at.blocks.first.value) + " older");
    }
    for (const auto& [name, one] : results) report(name, one);
}

TEST_P(CorruptionMatrix, ARepairMendsWhatIsCertainAndMakesNothingWorse) {
    random_bits   random{GetParam() ? 47U : 48U};
    std::uint64_t runs = 0, whole = 0, better = 0, left = 0;
    for (const auto& at : volume().metadata) {
        if (at.name == "journal") continue;
        for (const auto kind : {damage::flipped, damage::zeroed, damage::neighbour, damage::older}) {
            device_.forget();
            if (!apply(at, kind, random)) continue;
            auto opened = test_store::open(any_device{device_}, with());
            if (!opened) continue;
            const auto where =
                at.name + " at block " + std::to_string(at.blocks.first.value) + " " + name_of_kind(kind);
            auto& live = opened.value();
            sight before, after, again;
            read_everything(live, volume(), before);
            const auto taken = data_in_use(live);
            const auto done  = live.repair([](const repair_finding&) {});
            ASSERT_TRUE(done.has_value()) << said(done) << ": " << where;
            read_everything(live, volume(), after);
            EXPECT_EQ(std::tie(after.failed, after.wrong, after.state),
                      std::tie(before.failed, before.wrong, before.state))
                << "a repair changes nothing that is read: " << where;
            const auto rest = findings_of(live);
            if (done.value().left == 0) { EXPECT_EQ(rest, "") << where; }
            if (GetParam()) {
                const auto still = data_in_use(live);
                EXPECT_TRUE(std::includes(still.begin(), still.end(), taken.begin(), taken.end()))
                    << "a block of the volume as it was is given back: " << where;
            }
            static_cast<void>(live.abandon());
            auto reopened = test_store::open(any_device{device_}, with());
            ASSERT_TRUE(reopened.has_value()) << said(reopened) << ": " << where;
            read_everything(reopened.value(), volume(), again);
            EXPECT_EQ(std::tie(again.failed, again.wrong, again.state),
                      std::tie(before.failed, before.wrong, before.state))
                << where;
            EXPECT_EQ(findings_of(reopened.value()).empty(), rest.empty()) << where;
            // What is mended can be used.
            if (rest.empty() && !after.failed && !after.wrong) {
                auto& used = reopened.value();
                ASHLAR_EXPECT_OK(used.append(used.root(), pattern(900, 1)));
                const auto made = used.create();
                ASHLAR_ASSERT_OK(made);
                ASHLAR_EXPECT_OK(used.put(made.value(), 0, pattern(5000, 2)));
                EXPECT_EQ(findings_of(used), "") << where;
            }
            static_cast<void>(reopened.value().abandon());
            ++runs;
            whole += done.value().mended == 0 && done.value().left == 0 ? 1U : 0U;
            better += done.value().mended != 0 && done.value().left == 0 ? 1U : 0U;
            left += done.value().left != 0 ? 1U : 0U;
        }
    }
    std::printf("%llu volumes: %llu needed nothing more than opening, %llu were mended, %llu keep a finding\n",
                static_cast<unsigned long long>(runs), static_cast<unsigned long long>(whole),
                static_cast<unsigned long long>(better), static_cast<unsigned long long>(left));
    EXPECT_GT(better, 5U);
    count("repairs", runs);
}

}  // namespace corruption_matrix_test
}  // namespace ashlar::test
