#include "fake_host.hpp"

#include <ashlar/relocation/relocation.hpp>
#include <ashlar/throttle/no_throttle.hpp>
#include <ashlar/throttle/token_bucket.hpp>

#include <gtest/gtest.h>

#include <array>
#include <deque>

using namespace ashlar_test;

namespace piped_copy_test {

/// A fake engine whose transfers end in any order, each by `read_blocks` and `write_blocks` when it is waited for.
class queued_host : public fake_host {
  public:
    class queue_type {
      public:
        void serve(queued_host& host) noexcept { host_ = &host; }

        [[nodiscard]] std::size_t depth() const noexcept { return 64; }
        [[nodiscard]] std::size_t in_flight() const noexcept { return waiting_.size(); }

        void submit(transfer& t) noexcept {
            waiting_.push_back(&t);
            host_->at_once_max = std::max(host_->at_once_max, waiting_.size());
            std::size_t read = 0, written = 0;
            for (const auto* one : waiting_)
                (one->kind == transfer_kind::read ? read : written) += one->blocks.count.value * block_bytes;
            if (read > 0 && written > 0) ++host_->overlaps;
            host_->read_at_once_max = std::max(host_->read_at_once_max, read);
        }
        [[nodiscard]] result<std::size_t> complete(std::span<transfer*> finished, std::size_t) noexcept {
            const auto wait = ++host_->waits;
            if (wait >= host_->refused_from && wait < host_->refused_until) return error{errc::device_failed, {}, 9};
            std::size_t count = 0;
            while (count < finished.size() && !waiting_.empty()) {
                const auto at     = waiting_.begin() + static_cast<std::ptrdiff_t>(random_.below(waiting_.size()));
                finished[count++] = *at;
                host_->perform(**at);
                waiting_.erase(at);
            }
            return count;
        }

      private:
        queued_host*          host_ = nullptr;
        random_bits           random_{99};
        std::deque<transfer*> waiting_{};
    };

    using fake_host::fake_host;

    [[nodiscard]] queue_type* queue() noexcept {
        queue_.serve(*this);
        return has_queue ? &queue_ : nullptr;
    }
    [[nodiscard]] bool on_device(extent e) const noexcept { return !overlap(e, elsewhere); }

    [[nodiscard]] result<> prove(extent e, std::span<const std::byte> seen) noexcept {
        ++proofs;
        if (std::memcmp(seen.data(), bytes.data() + e.first.value * block_bytes, seen.size()) == 0) return success();
        return error{errc::checksum_differs, e.first};
    }

    std::size_t   at_once_max = 0, read_at_once_max = 0;
    std::uint64_t overlaps = 0, proofs = 0, waits = 0;
    std::uint64_t refused_from = ~std::uint64_t{0}, refused_until = ~std::uint64_t{0};  ///< Waits that are refused.
    bool          has_queue = true;
    extent        elsewhere{};  ///< Blocks whose bytes only `read_blocks` knows.
    int           failing_writes = 0;
    int           spoilt_reads   = 0;  ///< Reads that bring other bytes, without an error.

  private:
    void perform(transfer& t) noexcept {
        const std::span<std::byte> memory{t.memory, t.blocks.count.value * block_bytes};
        const bool                 is_read = t.kind == transfer_kind::read;
        result<>                   done    = success();
        if (!is_read && failing_writes > 0) {
            --failing_writes;
            done = error{errc::device_failed, t.blocks.first, 5};
        } else {
            done = is_read ? read_blocks(t.blocks, memory) : write_blocks(t.blocks, memory);
        }
        if (is_read && spoilt_reads > 0) {
            --spoilt_reads;
            memory[0] ^= std::byte{1};
        }
        t.failure = done.has_error() ? done.error() : error{};
    }

    queue_type queue_{};
};
static_assert(QueuedRelocationHost<queued_host>);
static_assert(!QueuedRelocationHost<fake_host>);

template <class Throttle = no_throttle>
struct piped_mover {
    explicit piped_mover(Throttle chosen = {}, std::size_t transfers_count = 8, relocation_options options = {})
        : throttle{chosen}, move{options, {chunk, pieces, std::span{transfers}.first(transfers_count)}} {}

    move_answer run(queued_host& host, std::uint64_t owner, std::uint64_t step = 1'000'000) {
        auto answer = move.begin(host, {{owner}, {0}, {8192}, {8192}});
        while (answer.verdict == move_verdict::more) answer = move.advance(host, throttle, no_clock{}, {step});
        EXPECT_FALSE(move.active());
        EXPECT_TRUE(move.commit(host).has_value());
        return answer;
    }

    std::vector<std::byte>        chunk = std::vector<std::byte>(512 * 1024);
    std::array<mapped_extent, 64> pieces{};
    std::array<transfer, 16>      transfers{};
    Throttle                      throttle;
    relocation                    move;
};

/// 2400 blocks in 24 pieces of 100: 1.2 MB.
queued_host scattered() {
    queued_host host{8192};
    for (std::uint64_t i = 0; i < 24; ++i) host.add(1, i * 100, 1 + i * 200, 100);
    return host;
}

/// Counts what is granted at a time.
struct strict_throttle {
    static constexpr bool  needs_clock = false;
    std::uint64_t          limit       = 0;
    std::uint64_t          in_flight = 0, most = 0, grants = 0;
    [[nodiscard]] io_grant acquire(io_request asked, time_point) noexcept {
        const auto bytes = std::min(asked.want, limit - in_flight);
        if (bytes < std::min<std::uint64_t>(asked.want, 16 * 1024)) return {0, {~std::uint64_t{0}}};
        in_flight += bytes;
        most = std::max(most, in_flight);
        ++grants;
        return {bytes, {}};
    }
    void release(std::uint64_t bytes, time_point) noexcept { in_flight -= bytes; }
    void observe(io_kind, std::uint64_t, duration, time_point) noexcept {}
};

TEST(PipedCopy, ReadsAChunkWhileTheOneBeforeIsWritten) {
    auto        host = scattered();
    piped_mover m;
    EXPECT_EQ(m.run(host, 1).verdict, move_verdict::flipped);
    EXPECT_EQ(host.pieces(1), 1U);
    EXPECT_EQ(host.broken(), "");
    EXPECT_GE(host.overlaps, 3U);
    EXPECT_GT(host.proofs, 0U);
    EXPECT_EQ(host.blocks_written, 2400U) << "each block is written once";
}

TEST(PipedCopy, KeepsContentAndLeavesNothingInFlightWhateverTheStep) {
    for (std::uint64_t step = 1; step < 1500; step += 91) {
        auto        host = scattered();
        piped_mover m;
        auto        answer = m.move.begin(host, {{1}, {0}, {8192}, {8192}});
        while (answer.verdict == move_verdict::more) {
            answer = m.move.advance(host, m.throttle, no_clock{}, {step});
            EXPECT_LE(answer.copied.value, step);
            EXPECT_EQ(host.queue()->in_flight(), 0U);
        }
        ASSERT_TRUE(m.move.commit(host).has_value());
        EXPECT_EQ(host.pieces(1), 1U);
        EXPECT_EQ(host.broken(), "") << step;
    }
}

TEST(PipedCopy, HasNoMoreTransfersThanItWasLent) {
    for (const std::size_t lent : {3U, 4U, 9U}) {
        auto        host = scattered();
        piped_mover m{no_throttle{}, lent};
        EXPECT_EQ(m.run(host, 1).verdict, move_verdict::flipped);
        EXPECT_LE(host.at_once_max, lent);
        EXPECT_EQ(host.broken(), "");
    }
}

TEST(PipedCopy, CopiesOneByOneWithoutTransfersOrWhenTargetsAreVerified) {
    auto        host = scattered();
    piped_mover none{no_throttle{}, 0};
    EXPECT_EQ(none.run(host, 1).verdict, move_verdict::flipped);
    EXPECT_EQ(host.overlaps, 0U);
    auto        other = scattered();
    piped_mover verified{no_throttle{}, 8, {.verify_target = true}};
    EXPECT_EQ(verified.run(other, 1).verdict, move_verdict::flipped);
    EXPECT_EQ(other.overlaps, 0U);
    EXPECT_EQ(other.broken(), "");
}

TEST(PipedCopy, CopiesOneByOneWhereTheHostHasNoQueueAtTheMoment) {
    auto host      = scattered();
    host.has_queue = false;
    piped_mover m;
    EXPECT_EQ(m.run(host, 1).verdict, move_verdict::flipped);
    EXPECT_EQ(host.overlaps, 0U);
    EXPECT_EQ(host.broken(), "");
}

TEST(PipedCopy, LeavesToTheHostWhatIsNotOnTheDevice) {
    auto host      = scattered();
    host.elsewhere = {{1 + 9 * 200}, {3}};
    piped_mover m;
    EXPECT_EQ(m.run(host, 1).verdict, move_verdict::flipped);
    EXPECT_GT(host.overlaps, 0U);
    EXPECT_EQ(host.broken(), "");
}

TEST(PipedCopy, TakesTurnsWithSmallReadsAndLargeWritesWhereLittleMayBeInFlight) {
    auto        host = scattered();
    piped_mover m{strict_throttle{.limit = 192 * 1024}};
    EXPECT_EQ(m.run(host, 1).verdict, move_verdict::flipped);
    EXPECT_EQ(host.broken(), "");
    EXPECT_EQ(m.throttle.in_flight, 0U) << "every grant came back";
    EXPECT_EQ(m.throttle.most, 192U * 1024);
    EXPECT_LE(m.throttle.grants, 8U) << "1.2 MB in chunks as large as is allowed";
    EXPECT_EQ(host.overlaps, 0U);
    EXPECT_LE(host.read_at_once_max, 64U * 1024);
    EXPECT_GE(host.at_once_max, 2U) << "the pieces of one read are read together";
}

TEST(PipedCopy, ReadsAsMuchAtATimeAsItIsTold) {
    for (const std::size_t bytes : {64U * 1024, 192U * 1024}) {
        queued_host host{8192};
        host.add(1, 0, 1, 1200);
        host.add(1, 1200, 2000, 1200);
        piped_mover m{strict_throttle{.limit = 256 * 1024}, 8, {.read_bytes = bytes}};
        EXPECT_EQ(m.run(host, 1).verdict, move_verdict::flipped);
        EXPECT_EQ(host.broken(), "");
        EXPECT_EQ(host.read_at_once_max, bytes);
    }
}

TEST(PipedCopy, OverlapsWhereMoreMayBeInFlightThanTheMemoryHolds) {
    auto        host = scattered();
    piped_mover m{strict_throttle{.limit = 520 * 1024}};
    EXPECT_EQ(m.run(host, 1).verdict, move_verdict::flipped);
    EXPECT_EQ(host.broken(), "");
    EXPECT_EQ(m.throttle.in_flight, 0U);
    EXPECT_GT(host.overlaps, 0U);
}

/// A move that overlaps, until so many bytes are copied; then the limit changes.
void copies_under_a_new_limit(std::uint64_t limit) {
    auto        host = scattered();
    piped_mover m{strict_throttle{.limit = 600 * 1024}};
    auto        answer = m.move.begin(host, {{1}, {0}, {8192}, {8192}});
    ASSERT_EQ(answer.verdict, move_verdict::more);
    answer = m.move.advance(host, m.throttle, no_clock{}, {1100});
    EXPECT_GT(m.throttle.grants, 1U) << "it learned that two chunks may be in flight";
    m.throttle.limit = limit;
    m.throttle.most  = 0;
    while (answer.verdict == move_verdict::more) {
        answer = m.move.advance(host, m.throttle, no_clock{}, {600});
        EXPECT_EQ(m.throttle.in_flight, 0U);
    }
    EXPECT_EQ(answer.verdict, move_verdict::flipped) << limit;
    EXPECT_EQ(m.throttle.most, limit) << "all of what is allowed is used";
    EXPECT_TRUE(m.move.commit(host).has_value());
    EXPECT_EQ(host.blocks_written, 2400U);
    EXPECT_EQ(host.broken(), "");
}

TEST(PipedCopy, NoticesThatLessMayBeInFlightThanBefore) {
    copies_under_a_new_limit(128 * 1024);  // one of the two chunks
    copies_under_a_new_limit(150 * 1024);  // one, and a part of the other
    copies_under_a_new_limit(64 * 1024);   // not even one
}

TEST(PipedCopy, NoticesThatMoreMayBeInFlightThanBefore) {
    auto        host = scattered();
    piped_mover m{strict_throttle{.limit = 600 * 1024}};
    auto        answer = m.move.begin(host, {{1}, {0}, {8192}, {8192}});
    for (const std::uint64_t limit : {200U * 1024, 4096U * 1024}) {
        EXPECT_EQ(answer.verdict, move_verdict::more);
        answer           = m.move.advance(host, m.throttle, no_clock{}, {1030});
        m.throttle.limit = limit;
    }
    while (answer.verdict == move_verdict::more) answer = m.move.advance(host, m.throttle, no_clock{}, {600});
    EXPECT_EQ(answer.verdict, move_verdict::flipped);
    EXPECT_TRUE(m.move.commit(host).has_value());
    EXPECT_EQ(host.broken(), "");
}

TEST(PipedCopy, CopiesOneByOneWithTheLeastMemoryThatItCanBeLent) {
    auto        host = scattered();
    piped_mover m;
    m.move = relocation{{}, {std::span{m.chunk}.first(fake_host::block_bytes), m.pieces, m.transfers}};
    EXPECT_EQ(m.run(host, 1).verdict, move_verdict::flipped);
    EXPECT_EQ(host.waits, 0U);
    EXPECT_EQ(host.broken(), "");
}

TEST(PipedCopy, ATransferThatFailsIsCopiedAgainWhicheverItIs) {
    for (int nth = 1; nth <= 12; ++nth) {
        auto        host = scattered();
        piped_mover m{strict_throttle{.limit = 520 * 1024}};
        auto        answer = m.move.begin(host, {{1}, {0}, {8192}, {8192}});
        for (int step = 1; answer.verdict == move_verdict::more; ++step) {
            host.failing_writes = step == nth ? 1 : 0;
            answer              = m.move.advance(host, m.throttle, no_clock{}, {250});
            EXPECT_EQ(m.throttle.in_flight, 0U);
        }
        EXPECT_EQ(answer.verdict, move_verdict::flipped);
        EXPECT_TRUE(m.move.commit(host).has_value());
        EXPECT_EQ(host.broken(), "") << nth;
    }
}

TEST(PipedCopy, NothingThatAQueueStillHasInFlightReachesABlockOrMemoryThatIsUsedAgain) {
    std::uint64_t waits = 0;
    {
        auto        host = scattered();
        piped_mover m;
        EXPECT_EQ(m.run(host, 1).verdict, move_verdict::flipped);
        waits = host.waits;
    }
    ASSERT_GT(waits, 10U);
    std::uint64_t lost = 0, went_on = 0;
    for (const std::uint64_t refusals : {1U, 2U, 3U, 1'000'000U}) {
        for (std::uint64_t nth = 1; nth <= waits; ++nth) {
            auto host          = scattered();
            host.refused_from  = nth;
            host.refused_until = nth + refusals;
            host.add(2, 0, 5000, 10);
            host.add(2, 10, 5100, 10);
            piped_mover m;
            const auto  answer = m.run(host, 1);
            const auto  second = m.run(host, 2);
            if (answer.verdict == move_verdict::flipped) {
                ++went_on;
                EXPECT_EQ(second.verdict, move_verdict::flipped);
                EXPECT_EQ(host.broken(), "") << nth << ", " << refusals;
                continue;
            }
            ++lost;
            EXPECT_EQ(answer.verdict, move_verdict::failed);
            EXPECT_EQ(answer.failure.os_code, 9);
            EXPECT_EQ(second.verdict, move_verdict::failed) << "its memory is not its own any more";
            EXPECT_EQ(second.failure, answer.failure);
            EXPECT_EQ(host.broken(), "a target is still reserved") << nth << ", " << refusals;
            EXPECT_EQ(host.pieces(1), 24U);
        }
    }
    EXPECT_GT(lost, 10U);
    EXPECT_GT(went_on, 10U) << "one refusal is waited through";
}

TEST(PipedCopy, WaitsWhenTheRateIsSpentAndWritesWhatItHasRead) {
    auto                      host = scattered();
    piped_mover<token_bucket> m{
        token_bucket{{.bytes_per_second = 1'000'000, .bytes_in_flight_max = 1 << 20, .burst = 256 * 1024}}};
    hand_clock clock;
    auto       answer = m.move.begin(host, {{1}, {0}, {8192}, {8192}});
    int        waits  = 0;
    while (answer.verdict == move_verdict::more || answer.verdict == move_verdict::throttled) {
        if (answer.verdict == move_verdict::throttled) {
            ++waits;
            EXPECT_GT(answer.not_before, clock.time);
            clock.time = answer.not_before;
        }
        EXPECT_EQ(m.throttle.in_flight(), 0U);
        answer = m.move.advance(host, m.throttle, clock, {1'000'000});
    }
    EXPECT_EQ(answer.verdict, move_verdict::flipped);
    EXPECT_GE(waits, 3);
    EXPECT_TRUE(m.move.commit(host).has_value());
    EXPECT_EQ(host.blocks_written, 2400U) << "nothing that was read is read again";
    EXPECT_EQ(host.broken(), "");
}

TEST(PipedCopy, CopiesAgainAloneWhatFailedAmongOthers) {
    auto        host = scattered();
    piped_mover m;
    host.bad_reads[1 + 9 * 200] = 1;
    host.failing_writes         = 1;
    host.spoilt_reads           = 1;
    EXPECT_EQ(m.run(host, 1).verdict, move_verdict::flipped);
    EXPECT_EQ(host.broken(), "");
    EXPECT_EQ(host.pieces(1), 1U);
}

TEST(PipedCopy, NeverFlipsToWhatItCouldNotProve) {
    auto        host = scattered();
    piped_mover m;
    host.spoilt_reads = 3;
    EXPECT_EQ(m.run(host, 1).verdict, move_verdict::flipped);
    EXPECT_EQ(host.broken(), "");
}

TEST(PipedCopy, GivesUpABlockThatStaysBadAndLeavesEverythingAsItWas) {
    auto        host   = scattered();
    const auto  before = host.energy();
    piped_mover m{strict_throttle{.limit = 192 * 1024}};
    host.bad_reads[1 + 9 * 200] = 1000;
    const auto answer           = m.run(host, 1);
    EXPECT_EQ(answer.verdict, move_verdict::failed);
    EXPECT_EQ(answer.failure.where.value, 1U + 9 * 200);
    EXPECT_EQ(host.energy(), before);
    EXPECT_EQ(host.broken(), "");
    EXPECT_EQ(m.throttle.in_flight, 0U);
}

TEST(PipedCopy, BeginsAnewWhenTheOwnerChanges) {
    auto          host = scattered();
    piped_mover   m;
    std::uint64_t reads = 0;
    host.on_read        = [&](extent) {
        if (++reads == 9) host.overwrite(1, 133);
    };
    EXPECT_EQ(m.run(host, 1).verdict, move_verdict::flipped);
    EXPECT_EQ(m.move.races(), 1U);
    EXPECT_EQ(host.broken(), "");
}

TEST(PipedCopy, CopiesAroundBlocksThatHoldNothing) {
    queued_host host{2048};
    for (std::uint64_t i = 0; i < 12; ++i) host.add(1, i * 20, 1 + i * 40, 20, false, i % 3 == 1);
    host.add(1, 240, 1000, 20);
    piped_mover m;
    EXPECT_EQ(m.run(host, 1).verdict, move_verdict::flipped);
    EXPECT_EQ(host.blocks_written, 9U * 20);
    EXPECT_EQ(host.broken(), "");
}

}  // namespace piped_copy_test
