#include "fake_host.hpp"

#include <ashlar/relocation/relocation.hpp>
#include <ashlar/throttle/no_throttle.hpp>
#include <ashlar/throttle/token_bucket.hpp>

#include <gtest/gtest.h>

#include <array>

using namespace ashlar_test;

namespace relocation_test {

constexpr move_request all_of(std::uint64_t owner, std::uint64_t blocks = 1024) {
    return {{owner}, {0}, {blocks}, {1024}};
}

struct mover {
    explicit mover(relocation_options options = {}) : move{options, {chunk, pieces}} {}

    /// Runs a move to its end and makes it durable.
    move_answer run(fake_host& host, const move_request& request, std::uint64_t step = 1'000'000) {
        auto answer = move.begin(host, request);
        while (answer.verdict == move_verdict::more) answer = move.advance(host, throttle, no_clock{}, {step});
        EXPECT_FALSE(move.active());
        EXPECT_TRUE(move.commit(host).has_value());
        return answer;
    }

    std::array<std::byte, 8 * fake_host::block_bytes> chunk{};
    std::array<mapped_extent, 64>                     pieces{};
    no_throttle                                       throttle;
    relocation                                        move;
};

fake_host scattered() {
    fake_host host{64};
    for (std::uint64_t i = 0; i < 6; ++i) host.add(1, i * 2, 1 + i * 5, 2);
    return host;
}

TEST(Relocation, PutsAScatteredRangeIntoOneRunAndKeepsItsContent) {
    auto       host = scattered();
    mover      m;
    const auto before = host.energy();
    EXPECT_EQ(m.run(host, all_of(1)).verdict, move_verdict::flipped);
    EXPECT_EQ(host.pieces(1), 1U);
    EXPECT_EQ(host.broken(), "");
    EXPECT_LT(host.energy(), before);
    EXPECT_EQ(host.blocks_written, 12U);
}

TEST(Relocation, WritesChunksThatGatherSeveralPieces) {
    auto          host = scattered();
    mover         m;
    std::uint64_t writes = 0;
    host.on_read         = [&](extent) { ++writes; };
    (void)m.run(host, all_of(1));
    EXPECT_EQ(host.reads, 6U) << "each piece is read once";
}

TEST(Relocation, LeavesTheSourceUntouchedUntilTheFlip) {
    auto  host = scattered();
    mover m;
    ASSERT_EQ(m.move.begin(host, all_of(1)).verdict, move_verdict::more);
    for (int i = 0; i < 5; ++i) {
        const auto answer = m.move.advance(host, m.throttle, no_clock{}, {2});
        EXPECT_EQ(answer.verdict, move_verdict::more);
        EXPECT_EQ(answer.copied.value, 2U) << "never more than the call allows";
        EXPECT_EQ(host.pieces(1), 6U);
    }
    m.move.undo(host);
    EXPECT_EQ(host.broken(), "");
    EXPECT_EQ(host.pieces(1), 6U);
}

TEST(Relocation, CanBeUndoneAfterEveryBlock) {
    for (std::uint64_t stop = 0; stop < 12; ++stop) {
        auto       host = scattered();
        mover      m;
        const auto before = host.energy();
        ASSERT_EQ(m.move.begin(host, all_of(1)).verdict, move_verdict::more);
        for (std::uint64_t i = 0; i < stop; ++i) (void)m.move.advance(host, m.throttle, no_clock{}, {1});
        m.move.undo(host);
        EXPECT_EQ(host.broken(), "") << stop;
        EXPECT_EQ(host.energy(), before) << stop;
        EXPECT_EQ(m.run(host, all_of(1)).verdict, move_verdict::flipped) << "the next try goes through";
        EXPECT_EQ(host.broken(), "");
    }
}

TEST(Relocation, DoesNotMoveWhatLiesWell) {
    fake_host host{64};
    host.add(1, 0, 10, 20);
    mover m;
    EXPECT_EQ(m.run(host, all_of(1)).verdict, move_verdict::nothing_to_gain);
    EXPECT_EQ(host.blocks_written, 0U);
}

TEST(Relocation, DoesNotMoveARangeWhoseCutsCostWhatTheMoveGains) {
    fake_host host{64};
    host.add(1, 0, 10, 8);  // joined to what precedes the range
    host.add(1, 8, 30, 8);  // and to what follows it
    mover m;
    EXPECT_EQ(m.run(host, {{1}, {4}, {8}, {8}}).verdict, move_verdict::nothing_to_gain)
        << "two pieces would become three";
    EXPECT_EQ(m.run(host, {{1}, {0}, {16}, {16}}).verdict, move_verdict::flipped);
    EXPECT_EQ(host.pieces(1), 1U);
}

TEST(Relocation, CountsACutAtEitherEnd) {
    fake_host host{64};
    host.add(1, 0, 10, 8);
    host.add(1, 8, 30, 8);
    mover m;
    EXPECT_EQ(m.run(host, {{1}, {4}, {12}, {12}}).verdict, move_verdict::nothing_to_gain) << "cut before";
    EXPECT_EQ(m.run(host, {{1}, {0}, {12}, {12}}).verdict, move_verdict::nothing_to_gain) << "cut behind";
    EXPECT_EQ(m.run(host, {{1}, {0}, {12}, {16}}).verdict, move_verdict::nothing_to_gain)
        << "cut by the number of blocks";
}

TEST(Relocation, CountsHolesAsCutsThatNoMoveCloses) {
    fake_host host{64};
    host.add(1, 0, 10, 2);
    host.add(1, 5, 20, 2);
    mover m;
    EXPECT_EQ(m.run(host, all_of(1)).verdict, move_verdict::nothing_to_gain);
    host.add(1, 7, 30, 2);
    EXPECT_EQ(m.run(host, all_of(1)).verdict, move_verdict::flipped);
    EXPECT_EQ(host.pieces(1), 2U);
    EXPECT_EQ(host.broken(), "");
}

TEST(Relocation, DoesNotCopyUnwrittenBlocksAndKeepsThemUnwritten) {
    fake_host host{64};
    host.add(1, 0, 10, 2);
    host.add(1, 2, 20, 3, false, true);
    host.add(1, 5, 30, 1, false, true);
    host.add(1, 6, 40, 2);
    mover m;
    EXPECT_EQ(m.run(host, all_of(1)).verdict, move_verdict::flipped);
    EXPECT_EQ(host.blocks_written, 4U);
    EXPECT_EQ(host.pieces(1), 3U) << "written, unwritten, written";
    EXPECT_EQ(host.broken(), "");
}

TEST(Relocation, ReportsPinnedPiecesAndMovesAroundThem) {
    fake_host host{64};
    host.add(1, 0, 10, 2);
    host.add(1, 2, 20, 2, true);
    host.add(1, 4, 30, 2);
    mover      m;
    const auto answer = m.run(host, all_of(1));
    EXPECT_EQ(answer.verdict, move_verdict::pinned);
    EXPECT_EQ(answer.failure, (error{errc::pinned, block_index{20}}));
    host.add(1, 6, 40, 2);
    EXPECT_EQ(m.run(host, all_of(1)).verdict, move_verdict::flipped);
    EXPECT_EQ(host.owners[1].map[1].physical.first.value, 20U);
    EXPECT_EQ(host.pieces(1), 3U);
    EXPECT_EQ(host.broken(), "");
}

TEST(Relocation, TriesAgainAfterARace) {
    auto  host = scattered();
    mover m;
    int   races  = 2;
    host.on_flip = [&] {
        if (races-- > 0) host.overwrite(1, 3);
    };
    EXPECT_EQ(m.run(host, all_of(1)).verdict, move_verdict::flipped);
    EXPECT_EQ(m.move.races(), 2U);
    EXPECT_EQ(host.pieces(1), 1U);
    EXPECT_EQ(host.broken(), "") << "the writer's block is in the moved range";
}

TEST(Relocation, GivesUpAfterThreeRetries) {
    auto  host = scattered();
    mover m;
    int   flips  = 0;
    host.on_flip = [&] {
        ++flips;
        host.overwrite(1, 3);
    };
    EXPECT_EQ(m.run(host, all_of(1)).verdict, move_verdict::raced);
    EXPECT_EQ(flips, 4);
    EXPECT_EQ(host.broken(), "");
}

TEST(Relocation, TreatsABusyOwnerAsARace) {
    auto  host = scattered();
    mover m;
    host.flip_errors = 1;
    host.flip_error  = errc::busy;
    EXPECT_EQ(m.run(host, all_of(1)).verdict, move_verdict::flipped);
    EXPECT_EQ(m.move.races(), 1U);
}

TEST(Relocation, SyncsAndTriesAgainWhenTheJournalIsFull) {
    auto  host = scattered();
    mover m;
    host.flip_errors = 1;
    host.flip_error  = errc::journal_full;
    EXPECT_EQ(m.run(host, all_of(1)).verdict, move_verdict::flipped);
    EXPECT_EQ(host.syncs, 2U);
    EXPECT_EQ(host.broken(), "");
}

TEST(Relocation, ForgetsAnOwnerThatWasErasedMeanwhile) {
    auto  host = scattered();
    mover m;
    host.on_flip = [&] { host.erase(1); };
    EXPECT_EQ(m.run(host, all_of(1)).verdict, move_verdict::nothing_to_gain);
    EXPECT_EQ(host.broken(), "");
}

TEST(Relocation, ABadReadUnderAChangedGenerationIsARace) {
    auto  host = scattered();
    mover m;
    bool  once   = true;
    host.on_read = [&](extent e) {
        if (!std::exchange(once, false)) return;
        host.bad_reads[e.first.value] = 100;
        host.overwrite(1, 0);
    };
    EXPECT_EQ(m.run(host, all_of(1)).verdict, move_verdict::flipped);
    EXPECT_EQ(m.move.races(), 1U);
    EXPECT_EQ(host.broken(), "");
}

TEST(Relocation, RetriesFailedReadsABoundedNumberOfTimes) {
    auto  host = scattered();
    mover m;
    host.bad_reads[6] = 2;
    EXPECT_EQ(m.run(host, all_of(1)).verdict, move_verdict::flipped) << "the third try succeeds";

    host              = scattered();
    host.bad_reads[6] = 3;
    const auto answer = m.run(host, all_of(1));
    EXPECT_EQ(answer.verdict, move_verdict::failed);
    EXPECT_EQ(answer.failure, (error{errc::device_failed, block_index{6}, 5})) << "it says which block";
    EXPECT_EQ(host.broken(), "") << "the target was released";
}

TEST(Relocation, NoticesALyingWriteWhenItVerifies) {
    auto host         = scattered();
    host.lying_writes = 1;
    mover m{{.verify_target = true}};
    EXPECT_EQ(m.run(host, all_of(1)).verdict, move_verdict::flipped) << "written again";
    EXPECT_EQ(host.broken(), "");

    host              = scattered();
    host.lying_writes = 1000;
    const auto answer = m.run(host, all_of(1));
    EXPECT_EQ(answer.verdict, move_verdict::failed);
    EXPECT_EQ(answer.failure.code, errc::checksum_differs);
    EXPECT_EQ(host.pieces(1), 6U);
    EXPECT_EQ(host.broken(), "");
}

TEST(Relocation, SaysWhenNoFreeRunIsLongEnough) {
    fake_host host{16};
    for (std::uint64_t i = 0; i < 8; ++i) host.add(1, i, i * 2, 1);
    mover      m;
    const auto answer = m.run(host, all_of(1));
    EXPECT_EQ(answer.verdict, move_verdict::no_contiguous_space);
    EXPECT_EQ(answer.failure.code, errc::no_contiguous_space);
    EXPECT_EQ(host.broken(), "");
}

TEST(Relocation, MakesChunksAsLargeAsTheGrantAndHandsOnARefusal) {
    fake_host host{512};
    for (std::uint64_t i = 0; i < 10; ++i) host.add(1, i * 8, 1 + i * 20, 8);
    std::vector<std::byte>     chunk(64 * fake_host::block_bytes);
    std::vector<mapped_extent> pieces(16);
    token_bucket throttle{{.bytes_per_second = 16 * 1024, .bytes_in_flight_max = 16 * 1024, .burst = 16 * 1024}};
    relocation   move{{}, {chunk, pieces}};
    hand_clock   clock;
    ASSERT_EQ(move.begin(host, all_of(1)).verdict, move_verdict::more);
    auto answer = move.advance(host, throttle, clock, {1000});
    EXPECT_EQ(answer.verdict, move_verdict::throttled);
    EXPECT_EQ(answer.copied.value, 32U) << "16 KiB";
    EXPECT_EQ(answer.not_before.nanoseconds, nanoseconds_per_second);
    EXPECT_EQ(throttle.in_flight(), 0U) << "every grant was released";
    EXPECT_TRUE(move.active()) << "the copy is kept";
    clock.time = answer.not_before;
    EXPECT_EQ(move.advance(host, throttle, clock, {1000}).copied.value, 32U);
    clock.time = {9 * nanoseconds_per_second};
    EXPECT_EQ(move.advance(host, throttle, clock, {1000}).verdict, move_verdict::flipped);
    EXPECT_TRUE(move.commit(host).has_value());
    EXPECT_EQ(host.broken(), "");
}

TEST(Relocation, MovesARangeWithMorePiecesThanItsMemoryInSeveralMoves) {
    fake_host host{256};
    for (std::uint64_t i = 0; i < 20; ++i) host.add(1, i, 1 + i * 3, 1);
    std::array<std::byte, fake_host::block_bytes> chunk{};
    std::array<mapped_extent, 5>                  pieces{};
    relocation                                    move{{}, {chunk, pieces}};
    no_throttle                                   throttle;
    auto                                          energy = host.energy();
    for (std::uint64_t first = 0; first < 20; ++first) {
        auto answer = move.begin(host, {{1}, {first}, {64}, {64}});
        while (answer.verdict == move_verdict::more) answer = move.advance(host, throttle, no_clock{}, {3});
        ASSERT_TRUE(move.commit(host).has_value());
        if (answer.verdict != move_verdict::flipped) continue;
        EXPECT_LT(host.energy(), energy);
        energy = host.energy();
    }
    EXPECT_LT(host.pieces(1), 10U);
    EXPECT_EQ(host.broken(), "");
}

TEST(Relocation, MergesTwoFreeRunsByMovingTheExtentBetweenThem) {
    fake_host host{40};
    host.add(1, 0, 10, 3);
    host.add(2, 0, 20, 5);
    host.add(3, 0, 29, 11);
    mover m;
    auto  request     = all_of(1, 3);
    request.where     = placement::tight;
    const auto before = host.energy();
    EXPECT_EQ(m.run(host, request).verdict, move_verdict::flipped);
    EXPECT_EQ(host.energy().first, before.first);
    EXPECT_EQ(host.energy().second, before.second - 1);
    EXPECT_EQ(host.broken(), "");
}

TEST(Relocation, ThePotentialFallsWithEveryMoveOfARandomVolume) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        fake_host host{2000};
        host.scatter(seed, 60, 12, 6);
        mover m;
        auto  energy = host.energy();
        for (auto& [id, owner] : host.owners) {
            if (m.run(host, all_of(id), 3).verdict != move_verdict::flipped) continue;
            ASSERT_LT(host.energy(), energy);
            energy = host.energy();
        }
        EXPECT_EQ(host.broken(), "");
        EXPECT_GT(host.flips, 2U);
    }
}

TEST(Relocation, HandsOnTheErrorOfASync) {
    auto  host = scattered();
    mover m;
    auto  answer = m.move.begin(host, all_of(1));
    while (answer.verdict == move_verdict::more) answer = m.move.advance(host, m.throttle, no_clock{}, {100});
    host.sync_error = {errc::read_only, block_index{3}};
    EXPECT_EQ(m.move.commit(host).error(), host.sync_error);
}

}  // namespace relocation_test
