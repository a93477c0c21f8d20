#include "fake_host.hpp"

#include <ashlar/relocation/relocation.hpp>
#include <ashlar/throttle/no_throttle.hpp>

#include <gtest/gtest.h>

#include <array>

using namespace ashlar_test;

namespace relocation_errors_test {

/// Answers errors where it is told to; the n-th call is meant.
struct stubborn_host : fake_host {
    struct refusal {
        std::uint64_t at = 0;  ///< 0: never.
        error         why{};
        std::uint64_t calls = 0;

        [[nodiscard]] bool due() noexcept { return ++calls == at; }
    };

    explicit stubborn_host(fake_host host) : fake_host{std::move(host)} {}

    [[nodiscard]] result<mapping_view> mapping(object_id id, logical_block first, block_count count,
                                               std::span<mapped_extent> out) noexcept {
        if (mappings.due()) return mappings.why;
        auto view = fake_host::mapping(id, first, count, out);
        if (splits_pieces) {  // the first block of the first piece is a piece of its own
            std::copy_backward(out.begin(), out.end() - 1, out.end());
            out[0].physical.count = out[1].physical.count = {1};
            out[1].logical                                = out[1].logical + block_count{1};
            out[1].physical.first                         = out[1].physical.first + block_count{1};
            ++view.value().pieces;
        }
        if (lies_about_pieces) view.value().pieces = out.size() + 1;
        return view;
    }
    [[nodiscard]] result<extent> reserve_target(target_request wanted) noexcept {
        if (targets.due()) return targets.why;
        wanted.blocks.value -= missing;
        return fake_host::reserve_target(wanted);
    }
    [[nodiscard]] result<> hold(extent e) noexcept {
        if (held.due()) return held.why;
        return fake_host::hold(e);
    }
    [[nodiscard]] result<> write_blocks(extent e, std::span<const std::byte> out) noexcept {
        if (writes.due()) return writes.why;
        return fake_host::write_blocks(e, out);
    }

    refusal       mappings, targets, held, writes;
    bool          lies_about_pieces = false;
    bool          splits_pieces     = false;
    std::uint64_t missing           = 0;  ///< By so many blocks a target is too short.
};

/// Has a way of its own to read what was written to a target, which may fail too.
struct proving_host : stubborn_host {
    using stubborn_host::stubborn_host;
    [[nodiscard]] result<> read_target(extent e, std::span<std::byte> in) noexcept {
        if (proofs.due()) return proofs.why;
        const auto before = reads;
        const auto done   = fake_host::read_blocks(e, in);
        reads             = before;
        return done;
    }
    refusal proofs;
};
static_assert(RelocationHost<proving_host>);

fake_host scattered() {
    fake_host host{64};
    for (std::uint64_t i = 0; i < 6; ++i) host.add(1, i * 2, 1 + i * 5, 2);
    return host;
}

template <class Host>
struct setting {
    explicit setting(relocation_options options = {}) : move{options, {chunk, pieces}} {}

    /// Runs one move to its end. Whatever happens, content and blocks must be in order afterwards.
    move_answer run(move_request request = {{1}, {0}, {1024}, {1024}}) {
        auto answer = move.begin(host, request);
        while (answer.verdict == move_verdict::more) answer = move.advance(host, throttle, no_clock{}, {3});
        EXPECT_FALSE(move.active());
        EXPECT_TRUE(move.commit(host).has_value());
        EXPECT_EQ(host.broken(), "");
        return answer;
    }

    Host                                              host{scattered()};
    std::array<std::byte, 8 * fake_host::block_bytes> chunk{};
    std::array<mapped_extent, 64>                     pieces{};
    no_throttle                                       throttle;
    relocation                                        move;
};

constexpr error broken_device{errc::device_failed, block_index{3}, 5};

TEST(RelocationErrors, AMappingThatCannotBeReadFailsTheMove) {
    setting<stubborn_host> s;
    s.host.mappings   = {1, broken_device};
    const auto answer = s.run();
    EXPECT_EQ(answer.verdict, move_verdict::failed);
    EXPECT_EQ(answer.failure, broken_device);
    EXPECT_EQ(s.run().verdict, move_verdict::flipped) << "the next try goes through";
}

TEST(RelocationErrors, AMappingOfMorePiecesThanWereAskedForIsDamage) {
    setting<stubborn_host> s;
    s.host.lies_about_pieces = true;
    EXPECT_EQ(s.run().failure.code, errc::damaged);
}

TEST(RelocationErrors, WhatATargetsRefusalMeansDependsOnItsReason) {
    for (const auto full : {errc::no_contiguous_space, errc::no_space, errc::reserve_only}) {
        setting<stubborn_host> s;
        s.host.targets    = {1, {full}};
        const auto answer = s.run();
        EXPECT_EQ(answer.verdict, move_verdict::no_contiguous_space);
        EXPECT_EQ(answer.failure.code, full);
    }
    for (const auto race : {errc::busy, errc::not_found}) {
        setting<stubborn_host> s;
        s.host.targets = {1, {race}};
        EXPECT_EQ(s.run().verdict, move_verdict::raced);
        EXPECT_EQ(s.run().verdict, move_verdict::flipped) << "the next try goes through";
    }
    for (const auto changed : {errc::busy, errc::not_found}) {
        setting<stubborn_host> s;
        s.host.targets = {1, {changed}};
        EXPECT_EQ(s.run().verdict, move_verdict::raced) << "somebody else was there first";
    }
    setting<stubborn_host> s;
    s.host.targets    = {1, broken_device};
    const auto answer = s.run();
    EXPECT_EQ(answer.verdict, move_verdict::failed);
    EXPECT_EQ(answer.failure, broken_device);
}

TEST(RelocationErrors, ATargetOfAnotherLengthIsGivenBackAndIsDamage) {
    setting<stubborn_host> s;
    s.host.missing    = 1;
    const auto answer = s.run();
    EXPECT_EQ(answer.verdict, move_verdict::failed);
    EXPECT_EQ(answer.failure.code, errc::damaged);
}

TEST(RelocationErrors, AHoldOrAWriteThatFailsIsTriedAgainAndThenFailsTheMove) {
    for (const std::uint32_t failures_max : {0U, 2U}) {
        for (std::uint64_t nth = 1; nth <= 6; ++nth) {
            setting<stubborn_host> s{{.failures_max = failures_max}};
            s.host.held       = {nth, broken_device};
            const auto answer = s.run();
            EXPECT_EQ(answer.verdict, failures_max == 0 ? move_verdict::failed : move_verdict::flipped) << nth;
            if (failures_max == 0) { EXPECT_EQ(answer.failure.code, errc::device_failed); }
        }
        for (std::uint64_t nth = 1; nth <= 4; ++nth) {
            setting<stubborn_host> s{{.failures_max = failures_max}};
            s.host.writes     = {nth, {errc::device_failed, block_index{63}, 28}};
            const auto answer = s.run();
            EXPECT_EQ(answer.verdict, failures_max == 0 ? move_verdict::failed : move_verdict::flipped) << nth;
            if (failures_max == 0) { EXPECT_EQ(answer.failure.os_code, 28) << "the system's word is handed on"; }
        }
    }
}

TEST(RelocationErrors, AHostThatReadsTargetsInItsOwnWayIsAskedToProveWhatWasWritten) {
    setting<proving_host> s{{.failures_max = 0, .verify_target = true}};
    EXPECT_EQ(s.run().verdict, move_verdict::flipped);
    EXPECT_GE(s.host.proofs.calls, 4U);

    for (std::uint64_t nth = 1; nth <= 4; ++nth) {
        setting<proving_host> other{{.failures_max = 0, .verify_target = true}};
        other.host.proofs = {nth, broken_device};
        const auto answer = other.run();
        EXPECT_EQ(answer.verdict, move_verdict::failed) << nth;
        EXPECT_EQ(answer.failure.code, errc::device_failed);
        EXPECT_EQ(answer.failure.os_code, broken_device.os_code);
        EXPECT_EQ(other.host.pieces(1), 6U);
    }
    setting<proving_host> lying{{.failures_max = 0, .verify_target = true}};
    lying.host.lying_writes = 1;
    EXPECT_EQ(lying.run().failure.code, errc::checksum_differs);
}

TEST(RelocationErrors, AFailedCopyOfAnOwnerThatChangesAtEveryTryIsRaced) {
    setting<stubborn_host> s{{.races_max = 2, .failures_max = 0}};
    s.host.on_read = [&](extent e) {
        s.host.bad_reads[e.first.value] = 1;
        s.host.overwrite(1, 0);
    };
    EXPECT_EQ(s.run().verdict, move_verdict::raced);
    EXPECT_EQ(s.move.races(), 2U);
}

TEST(RelocationErrors, AFailedCopyWhoseOwnerIsGoneOrUnknownSaysSo) {
    setting<stubborn_host> gone{{.failures_max = 0}};
    gone.host.on_read = [&](extent e) {
        gone.host.bad_reads[e.first.value] = 1;
        gone.host.owners.erase(1);
        for (auto& one : gone.host.uses) {
            if (one == fake_host::use::used) one = fake_host::use::free;
        }
    };
    EXPECT_EQ(gone.run().verdict, move_verdict::nothing_to_gain);

    setting<stubborn_host> unknown{{.failures_max = 0}};
    unknown.host.mappings     = {2, {errc::damaged}};
    unknown.host.bad_reads[1] = 1;
    const auto answer         = unknown.run();
    EXPECT_EQ(answer.verdict, move_verdict::failed);
    EXPECT_EQ(answer.failure.code, errc::device_failed) << "what the copy said counts";
}

TEST(RelocationErrors, AFlipThatFailsLeavesEverythingAsItWas) {
    setting<stubborn_host> s;
    s.host.flip_errors = 1;
    s.host.flip_error  = broken_device;
    EXPECT_EQ(s.run().failure, broken_device);
    EXPECT_EQ(s.host.pieces(1), 6U);

    s.host.flip_errors = 2;
    s.host.flip_error  = errc::journal_full;
    EXPECT_EQ(s.run().failure.code, errc::journal_full) << "one sync makes room or none does";
    EXPECT_EQ(s.host.pieces(1), 6U);

    s.host.flip_errors = 1;
    s.host.sync_error  = broken_device;
    auto answer        = s.move.begin(s.host, {{1}, {0}, {1024}, {1024}});
    while (answer.verdict == move_verdict::more) answer = s.move.advance(s.host, s.throttle, no_clock{}, {30});
    EXPECT_EQ(answer.verdict, move_verdict::failed);
    EXPECT_EQ(answer.failure, broken_device);
    EXPECT_FALSE(s.move.active());
}

TEST(RelocationErrors, UndoWithoutAMoveDoesNothing) {
    setting<stubborn_host> s;
    s.move.undo(s.host);
    EXPECT_EQ(s.host.broken(), "");
    EXPECT_EQ(s.host.pieces(1), 6U);
}

// ---- what is worth a move ------------------------------------------------------------------------------------------

TEST(RelocationPlan, ARangeWithoutBlocksGainsNothing) {
    setting<stubborn_host> s;
    EXPECT_EQ(s.run({{1}, {500}, {8}, {8}}).verdict, move_verdict::nothing_to_gain);
    EXPECT_EQ(s.run({{1}, {0}, {0}, {8}}).verdict, move_verdict::nothing_to_gain) << "no block may be moved";
    EXPECT_EQ(s.run({{1}, {11}, {1}, {1}}).verdict, move_verdict::nothing_to_gain) << "one block is one piece";
}

TEST(RelocationPlan, PiecesThatAreOneExtentAsTheyLieAreNoGain) {
    setting<stubborn_host> s;
    s.host = stubborn_host{fake_host{40}};
    s.host.add(1, 0, 10, 2);
    s.host.splits_pieces = true;
    EXPECT_EQ(s.run().verdict, move_verdict::nothing_to_gain);
    s.host.add(1, 2, 20, 3);
    EXPECT_EQ(s.run().verdict, move_verdict::flipped);
    EXPECT_EQ(s.move.stretch().extents_before, 2U);
    EXPECT_EQ(s.move.stretch().gain, 1U);
}

TEST(RelocationPlan, WhereThePartThatFitsGainsNothingItAsksWhetherTheWholeWould) {
    setting<stubborn_host> s;
    auto                   request = move_request{{1}, {0}, {1024}, {1024}};
    request.room                   = {3};
    EXPECT_EQ(s.run(request).verdict, move_verdict::no_contiguous_space) << "two pieces have four blocks";

    setting<stubborn_host> well{};
    well.host = stubborn_host{fake_host{64}};
    well.host.add(1, 0, 10, 20);
    EXPECT_EQ(well.run(request).verdict, move_verdict::nothing_to_gain) << "the whole lies well";

    setting<stubborn_host> unknown;
    unknown.host.mappings = {2, broken_device};
    EXPECT_EQ(unknown.run(request).verdict, move_verdict::nothing_to_gain);
}

TEST(RelocationPlan, OnlyAWholeExtentIsMovedBetweenFreeRuns) {
    const auto tight = [](std::uint64_t first, std::uint64_t blocks) {
        return move_request{{1}, {first}, {blocks}, {1024}, placement::tight};
    };
    setting<stubborn_host> s;
    s.host = stubborn_host{fake_host{40}};
    s.host.add(1, 0, 10, 6);
    s.host.add(2, 0, 25, 15);
    EXPECT_EQ(s.run(tight(2, 4)).verdict, move_verdict::nothing_to_gain) << "joined to what is before the range";
    EXPECT_EQ(s.run(tight(0, 4)).verdict, move_verdict::nothing_to_gain) << "joined to what is behind it";
    s.host.add(1, 6, 18, 1);
    EXPECT_EQ(s.run(tight(0, 9)).verdict, move_verdict::nothing_to_gain) << "two extents";
    EXPECT_EQ(s.run(tight(6, 1)).verdict, move_verdict::flipped) << "its neighbour lies elsewhere";
    EXPECT_EQ(s.host.pieces(1), 2U);
}

TEST(RelocationPlan, APinnedExtentStaysBetweenItsFreeRuns) {
    setting<stubborn_host> s;
    s.host = stubborn_host{fake_host{40}};
    s.host.add(1, 0, 10, 6, true);
    const auto answer = s.run({{1}, {0}, {6}, {1024}, placement::tight});
    EXPECT_EQ(answer.verdict, move_verdict::pinned);
    EXPECT_EQ(answer.failure.where.value, 10U);
}

}  // namespace relocation_errors_test
