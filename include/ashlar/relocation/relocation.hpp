#pragma once
/// The move: whatever an engine calls an extent goes to another place while the engine is in use.

#include <ashlar/concepts/clock.hpp>
#include <ashlar/concepts/io_throttle.hpp>
#include <ashlar/relocation/piped_copy.hpp>
#include <ashlar/relocation/relocation_plan.hpp>

namespace ashlar::inline v0 {

/// How a call of `relocation` ended.
enum class move_verdict : std::uint8_t {
    more,                 ///< The call's blocks are spent; call again.
    throttled,            ///< Call again, not before `move_answer::not_before`.
    flipped,              ///< Done; durable at the next `commit`.
    nothing_to_gain,      ///< As it lies, no move of this range would improve anything.
    no_contiguous_space,  ///< No free run is long enough; nor, where the request says how long they are, for a part.
    pinned,               ///< What would gain is pinned.
    raced,                ///< The owner changed at every try.
    failed,               ///< A device or the host failed, each time it was tried.
};

struct move_answer {
    move_verdict verdict = move_verdict::more;
    block_count  copied{};      ///< In this call, those of a try that was raced included.
    time_point   not_before{};  ///< With `throttled`.
    error        failure{};     ///< With `failed` and `no_contiguous_space`; with `pinned`, the block.
    bool         lost = false;  ///< With `failed`: transfers of this move are in flight for ever.
};

struct relocation_options {
    std::uint32_t races_max     = 3;          ///< Retries after the owner changed during a copy.
    std::uint32_t failures_max  = 2;          ///< Retries of a transfer that failed.
    bool          verify_target = false;      ///< Read back what was written and compare. Halves the chunk.
    std::size_t   read_bytes    = 64 * 1024;  ///< Of one read, on devices with queues: shorter takes hardly less
                                              ///< time, and longer keeps others waiting.
};

/// Memory that a caller lends for as long as the relocation is used.
struct relocation_memory {
    std::span<std::byte>     chunk{};   ///< One block or more; two with `verify_target`, or for chunks that overlap.
    std::span<mapped_extent> pieces{};  ///< Four or more. A range in more pieces is moved in several moves.
    std::span<transfer>
        transfers{};  ///< Three or more let chunks overlap where the host has a queue; none: one by one.
};

/// Moves one range at a time; several flips may share a commit.
///
/// Invariants:
///  - The source is never written. Until the flip the owner's mapping is as it was, and `undo` needs only to release
///  the
///    target; after it the host keeps the old blocks until the change is confirmed.
///  - A target is reserved exactly while a move is under way (`active`).
///  - Every grant of the throttle is released before the call returns.
///  - Where a queue fails and keeps transfers in flight, nobody knows what they still read and write. The target then
///    stays reserved for as long as the volume is open, and no move begins any more, as they have its memory.
/// No lock and no hold outlives a call. Safe from: one thread at a time; the host may be used by others meanwhile.
class relocation {
  public:
    relocation() noexcept = default;
    relocation(const relocation_options& chosen, relocation_memory memory) noexcept
        : options_{chosen}, memory_{memory} {}

    /// Looks at the range and reserves a target. `more`: the move is under way; else why there is none.
    /// Precondition: no move is under way.
    template <RelocationHost Host>
    [[nodiscard]] move_answer begin(Host& host, const move_request& request) noexcept {
        ASHLAR_ASSERT(!active());
        if (lost_.code != errc::none) return {.verdict = move_verdict::failed, .failure = lost_};
        request_ = request;
        races_   = 0;
        return aim(host);
    }

    /// Copies on, at most `blocks_max` blocks, and flips when all are copied.
    /// Precondition: a move is under way. It still is after `more` and `throttled`, and after no other verdict.
    template <RelocationHost Host, IoThrottle Throttle, Clock C>
    [[nodiscard]] move_answer advance(Host& host, Throttle& throttle, const C& clock, block_count blocks_max) noexcept;

    /// Ends the move under way, if any: its target is free again and nothing else was changed.
    template <RelocationHost Host>
    void undo(Host& host) noexcept {
        if (active()) host.release_target(target_);
        target_ = {};
    }

    /// Makes the flips so far durable. Errors: the host's; then writing has ended, and reopening decides about the
    /// flips.
    template <RelocationHost Host>
    [[nodiscard]] result<> commit(Host& host) noexcept {
        if (flips_ == 0) return success();
        flips_ = 0;
        return host.sync();
    }

    [[nodiscard]] bool                active() const noexcept { return !target_.empty(); }
    [[nodiscard]] std::uint64_t       flips() const noexcept { return flips_; }      ///< Since the last commit.
    [[nodiscard]] std::uint32_t       races() const noexcept { return races_; }      ///< Of the last move.
    [[nodiscard]] const move_stretch& stretch() const noexcept { return stretch_; }  ///< Of the last move.
    [[nodiscard]] extent              target() const noexcept { return target_; }    ///< Of the move under way.

  private:
    template <RelocationHost Host>
    move_answer aim(Host& host) noexcept;
    template <RelocationHost Host>
    move_answer finish(Host& host) noexcept;
    template <RelocationHost Host>
    move_answer again_after_race(Host& host) noexcept;
    template <RelocationHost Host, IoThrottle Throttle, Clock C>
    copied_part copy_chunk(Host& host, Throttle& throttle, const C& clock, block_count most) noexcept;
    template <RelocationHost Host, IoThrottle Throttle, Clock C>
    copied_part copy_chunks(Host& host, Throttle& throttle, const C& clock, block_count most) noexcept;
    template <RelocationHost Host>
    result<> copy(Host& host, block_count blocks) noexcept;
    template <RelocationHost Host>
    bool changed(Host& host) noexcept;

    template <RelocationHost Host>
    move_answer fail(Host& host, error why) noexcept {
        undo(host);
        return {.verdict = move_verdict::failed, .failure = why};
    }

    [[nodiscard]] std::size_t chunk_bytes() const noexcept {
        return options_.verify_target ? memory_.chunk.size() / 2 : memory_.chunk.size();
    }

    relocation_options options_{};
    relocation_memory  memory_{};
    move_request       request_{};
    move_stretch       stretch_{};
    extent             target_{};
    copy_position      at_{};
    std::uint64_t      flips_    = 0;
    std::uint64_t      together_ = 0;  ///< Bytes that the throttle lets be in flight, as overlapping chunks learned.
    std::uint32_t      races_    = 0;
    error              lost_{};  ///< Of the queue that has the memory.
    bool stumbled_ = false;      ///< Overlapping chunks failed; the next is copied alone, which finds out why.
};

template <RelocationHost Host>
move_answer relocation::aim(Host& host) noexcept {
    const auto found = find_stretch(host, request_, memory_.pieces);
    if (found.has_error()) {
        const bool gone = found.error().code == errc::not_found;
        return {.verdict = gone ? move_verdict::nothing_to_gain : move_verdict::failed, .failure = found.error()};
    }
    stretch_ = found.value();
    at_      = {};
    if (stretch_.empty() && request_.room < request_.blocks) {  // a part gains nothing: would the whole?
        auto whole       = request_;
        whole.room       = request_.blocks;
        const auto again = find_stretch(host, whole, memory_.pieces);
        if (again.has_value() && !again.value().empty()) {
            stretch_ = again.value();
            return {.verdict = move_verdict::no_contiguous_space, .failure = errc::no_contiguous_space};
        }
    }
    if (stretch_.empty()) {
        if (stretch_.pinned.empty()) return {.verdict = move_verdict::nothing_to_gain};
        return {.verdict = move_verdict::pinned, .failure = {errc::pinned, stretch_.pinned.first}};
    }
    const auto target = host.reserve_target({stretch_.goal, stretch_.blocks, request_.where});
    if (target.has_error()) {
        const auto code = target.error().code;
        const bool full = code == errc::no_contiguous_space || code == errc::no_space || code == errc::reserve_only;
        if (code == errc::busy || code == errc::not_found) return {.verdict = move_verdict::raced};
        return {.verdict = full ? move_verdict::no_contiguous_space : move_verdict::failed, .failure = target.error()};
    }
    target_ = target.value();
    return target_.count == stretch_.blocks ? move_answer{} : fail(host, {errc::damaged, target_.first});
}

template <RelocationHost Host, IoThrottle Throttle, Clock C>
move_answer relocation::advance(Host& host, Throttle& throttle, const C& clock, block_count blocks_max) noexcept {
    ASHLAR_ASSERT(active());
    ASHLAR_ASSERT(chunk_bytes() >= host.block().bytes);
    block_count copied{};
    const auto  answered = [&copied](move_answer answer) noexcept {
        answer.copied = copied;
        return answer;
    };
    for (;;) {
        if (next_written(stretch_.pieces, at_).value == 0) {
            const auto answer = finish(host);
            if (answer.verdict != move_verdict::more) return answered(answer);
            continue;  // raced, and aimed again
        }
        if (copied >= blocks_max) return answered({});
        const auto part = copy_chunks(host, throttle, clock, blocks_max - copied);
        copied += part.copied;
        if (part.lost) {
            lost_   = part.failure;
            target_ = {};
            return answered({.verdict = move_verdict::failed, .failure = lost_, .lost = true});
        }
        if (part.refused) return answered({.verdict = move_verdict::throttled, .not_before = part.not_before});
        if (part.failure.code == errc::none) continue;
        if (!changed(host)) return answered(fail(host, part.failure));
        const auto answer = again_after_race(host);
        if (answer.verdict != move_verdict::more) return answered(answer);
    }
}

/// Copies as the host can: chunks that overlap, or one chunk. What fails among several is copied again alone.
template <RelocationHost Host, IoThrottle Throttle, Clock C>
copied_part relocation::copy_chunks(Host& host, Throttle& throttle, const C& clock, block_count most) noexcept {
    if constexpr (QueuedRelocationHost<Host>) {
        const bool fits =
            memory_.chunk.size() >= 2 * std::size_t{host.block().bytes} && memory_.transfers.size() >= transfers_min;
        const bool has_queue = host.queue() != nullptr && host.queue()->in_flight() == 0;
        if (fits && has_queue && !options_.verify_target && !stumbled_) {
            piped_copy<Host> several{host,          stretch_.pieces,   target_,
                                     memory_.chunk, memory_.transfers, options_.read_bytes};
            auto             part = several.run(at_, most, together_, throttle, clock);
            at_                   = part.reached;
            stumbled_             = part.failure.code != errc::none;
            if (!part.lost) part.failure = {};
            return part;
        }
    }
    stumbled_ = false;
    return copy_chunk(host, throttle, clock, most);
}

template <RelocationHost Host, IoThrottle Throttle, Clock C>
copied_part relocation::copy_chunk(Host& host, Throttle& throttle, const C& clock, block_count most) noexcept {
    const auto  size = host.block();
    const auto  want = std::min({next_written(stretch_.pieces, at_), whole_blocks(chunk_bytes(), size), most});
    copied_part part;
    const auto  grant = throttle.acquire({bytes_of(want, size), size.bytes}, clock.now());
    part.refused      = grant.bytes == 0;
    part.not_before   = grant.not_before;
    if (part.refused) return part;
    part.copied     = std::min(whole_blocks(grant.bytes, size), want);
    const auto done = copy(host, part.copied);
    throttle.release(grant.bytes, clock.now());
    if (done.has_error()) part.failure = done.error();
    return part;
}

/// Reads and writes the next blocks, each transfer with its retries.
template <RelocationHost Host>
result<> relocation::copy(Host& host, block_count blocks) noexcept {
    const auto bytes  = static_cast<std::size_t>(bytes_of(blocks, host.block()));
    const auto buffer = memory_.chunk.first(bytes);
    const auto proof  = options_.verify_target ? memory_.chunk.subspan(bytes, bytes) : std::span<std::byte>{};
    const auto part   = part_of(target_, at_.target, blocks);
    for (std::uint32_t failures = 0;; ++failures) {
        auto done = gather(host, stretch_.pieces, at_, buffer);
        if (done.has_value()) done = put(host, part, buffer, proof);
        if (done.has_value()) break;
        if (failures >= options_.failures_max) return done;
    }
    at_ = passed(stretch_.pieces, at_, blocks);
    return success();
}

/// Whether the owner's mapping is no longer the one that is being copied. Then a failed read says nothing: the blocks
/// may belong to another owner by now.
template <RelocationHost Host>
bool relocation::changed(Host& host) noexcept {
    mapped_extent one[4];
    const auto    view = host.mapping(request_.owner, stretch_.first, block_count{1}, one);
    if (view.has_error()) return view.error().code == errc::not_found;
    return view.value().generation != stretch_.generation;
}

template <RelocationHost Host>
move_answer relocation::finish(Host& host) noexcept {
    const auto flip = [&]() noexcept {
        return host.flip(request_.owner, stretch_.first, stretch_.logical_blocks, stretch_.generation, target_);
    };
    auto flipped = flip();
    if (flipped.has_error() && flipped.error().code == errc::journal_full) {  // a sync lets the journal go on
        if (const auto synced = host.sync(); synced.has_error()) return fail(host, synced.error());
        flips_  = 0;
        flipped = flip();
    }
    if (flipped.has_error()) {
        // Busy: somebody else is changing the owner, which would have raced the flip a moment later. Not found: it is
        // gone.
        const bool race = flipped.error().code == errc::busy || flipped.error().code == errc::not_found;
        return race ? again_after_race(host) : fail(host, flipped.error());
    }
    if (!flipped.value()) return again_after_race(host);
    target_ = {};
    ++flips_;
    return {.verdict = move_verdict::flipped};
}

template <RelocationHost Host>
move_answer relocation::again_after_race(Host& host) noexcept {
    undo(host);
    if (races_ >= options_.races_max) return {.verdict = move_verdict::raced};
    ++races_;
    return aim(host);
}

}  // namespace ashlar::inline v0
