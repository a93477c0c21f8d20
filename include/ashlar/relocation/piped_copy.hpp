#pragma once
/// Chunks of a move that overlap: while one is written, the next is read, piece by piece at the same time.

#include <ashlar/concepts/clock.hpp>
#include <ashlar/concepts/io_throttle.hpp>
#include <ashlar/concepts/transfer_queue.hpp>
#include <ashlar/relocation/chunk_copy.hpp>

#include <type_traits>

namespace ashlar::inline v0 {

/// A host that can have several transfers of a move in flight.
///  - `queue` answers a queue that is empty, and nobody else's for as long as a call of `relocation` lasts; null: none.
///  - `on_device` says whether the queue finds the bytes of held blocks. Where not, `read_blocks` knows where they are.
///  - `prove` checks bytes of held blocks that the queue read, as `read_blocks` would.
template <class H>
concept QueuedRelocationHost = RelocationHost<H> && requires(H& host, extent e, std::span<const std::byte> bytes) {
    requires TransferQueue<std::remove_reference_t<decltype(*host.queue())>>;
    { host.on_device(e) }
    noexcept->std::same_as<bool>;
    { host.prove(e, bytes) }
    noexcept->std::same_as<result<>>;
};

/// What a chunk, or several, came to.
struct copied_part {
    block_count   copied{};
    copy_position reached{};        ///< Of several: where to go on.
    bool          refused = false;  ///< By the throttle,
    time_point    not_before{};     ///< which said when to ask again.
    error         failure{};        ///< Of several: of what follows `reached`.
};

inline constexpr std::size_t transfers_min = 3;  ///< For chunks that overlap: one write beside two reads.

/// Copies chunks with one being read while the one before is written. What was read is proved while it is being
/// written: nobody can see the target before the flip, and without the proof there is none.
///
/// Each chunk asks the throttle by itself, so two grants are out at a time. `together` is what the throttle was seen to
/// let both have; each asks for half of it. Where that is little, one chunk takes it all: a small transfer takes as
/// long as a larger one, so that halves would only lose. It is kept between runs. Every grant, every hold and every
/// transfer is done with when `run` returns.
template <QueuedRelocationHost Host>
class piped_copy {
  public:
    static constexpr std::uint64_t overlap_min = 128 * 1024;  ///< Two chunks have at least so much together.

    /// `memory` holds two chunks, `transfers` the requests: one write, and the pieces of one read.
    piped_copy(Host& host, std::span<const mapped_extent> pieces, extent target, std::span<std::byte> memory,
               std::span<transfer> transfers) noexcept
        : host_{host}, pieces_{pieces}, target_{target}, transfers_{transfers} {
        const auto half   = bytes_of(whole_blocks(memory.size() / 2, host.block()), host.block());
        chunks_[0].memory = memory.first(static_cast<std::size_t>(half));
        chunks_[1].memory = memory.subspan(static_cast<std::size_t>(half), static_cast<std::size_t>(half));
    }

    /// Copies at most `most` blocks from `from` on, until the range has a gap.
    template <IoThrottle Throttle, Clock C>
    [[nodiscard]] copied_part run(copy_position from, block_count most, std::uint64_t& together, Throttle& throttle,
                                  const C& clock) noexcept {
        copied_part part{.reached = from};
        block_count taken{};
        chunk*      writing = nullptr;
        for (auto ahead = from;;) {
            chunk* reading = &chunks_[writing == &chunks_[0] ? 1 : 0];
            if (!ask(*reading, ahead, most - taken, together, throttle, clock, part)) reading = nullptr;
            learn(together, writing, reading, part);
            if (reading == nullptr && writing == nullptr) return part;
            if (reading != nullptr) {
                taken += reading->blocks;
                ahead        = reading->behind;
                part.refused = false;
            }
            const auto done = transfer_both(reading, writing);
            if (writing != nullptr) {
                throttle.release(writing->granted, clock.now());
                if (done.has_value()) {
                    part.copied += writing->blocks;
                    part.reached = writing->behind;
                }
            }
            if (done.has_error()) {
                if (reading != nullptr) throttle.release(reading->granted, clock.now());
                part.failure = done.error();
                return part;
            }
            if (part.refused) return part;
            writing = reading;
        }
    }

  private:
    struct chunk {
        std::span<std::byte> memory{};
        copy_position        at{};
        copy_position        behind{};
        block_count          blocks{};
        std::uint64_t        wanted  = 0;
        std::uint64_t        granted = 0;
    };

    [[nodiscard]] std::span<std::byte> bytes_of_chunk(const chunk& one) const noexcept {
        return one.memory.first(static_cast<std::size_t>(bytes_of(one.blocks, host_.block())));
    }

    /// Gives the chunk its place, as large as the throttle lets it be. False: nothing is left in this run, or refused.
    template <IoThrottle Throttle, Clock C>
    bool ask(chunk& one, copy_position at, block_count most, std::uint64_t together, Throttle& throttle, const C& clock,
             copied_part& part) noexcept {
        const auto size   = host_.block();
        const auto before = at.target;
        const auto left   = next_written(pieces_, at);
        part.refused      = false;
        if (left.value == 0 || most.value == 0 || at.target != before) return false;
        const auto share = std::min<std::uint64_t>(share_of(together), one.memory.size());
        const auto want =
            within_reads(at, std::min({left, most, whole_blocks(std::max<std::uint64_t>(share, size.bytes), size)}));
        const auto grant = throttle.acquire({bytes_of(want, size), size.bytes}, clock.now());
        if (grant.bytes == 0) {
            part.refused    = true;
            part.not_before = grant.not_before;
            return false;
        }
        one.at      = at;
        one.wanted  = bytes_of(want, size);
        one.granted = grant.bytes;
        one.blocks  = std::min(whole_blocks(grant.bytes, size), want);
        one.behind  = passed(pieces_, at, one.blocks);
        return true;
    }

    /// As many blocks as the transfers can read at once.
    [[nodiscard]] block_count within_reads(copy_position at, block_count most) const noexcept {
        block_count fits{};
        auto        reads = transfers_.size() - 1;
        for (auto i = at.piece; fits < most && reads > 0; ++i, --reads) {
            fits += pieces_[i].physical.count - (i == at.piece ? at.skip : block_count{0});
        }
        return std::min(fits, most);
    }

    [[nodiscard]] static constexpr std::uint64_t share_of(std::uint64_t together) noexcept {
        return together < overlap_min ? overlap_min : together / 2;
    }

    /// Learns from the second grant. A throttle that refuses because of time says nothing about bytes in flight.
    void learn(std::uint64_t& together, const chunk* first, const chunk* second, copied_part& part) const noexcept {
        if (first == nullptr || (second == nullptr && !part.refused)) return;
        if (second == nullptr) {
            if (part.not_before != time_point{~std::uint64_t{0}}) return;
            part.refused = false;  // it will grant what the first gives back
            together     = first->granted;
        } else if (second->granted < second->wanted) {
            together = first->granted + second->granted;
        } else if (second->wanted + host_.block().bytes > share_of(together)) {  // more was not asked for
            together += together / 8;
        }
        together = std::min<std::uint64_t>(together, 2 * chunks_[0].memory.size());
    }

    /// Reads the one and writes the other. Errors: those of the queue, of a hold, of a transfer, and of the proof of
    /// what is written; nothing is in flight or held afterwards.
    result<> transfer_both(const chunk* reading, const chunk* writing) noexcept {
        auto&       queue = *host_.queue();
        std::size_t used  = 0;
        const auto  issue = [&](transfer_kind kind, extent e, std::span<std::byte> memory) noexcept {
            transfers_[used] = {.blocks = e, .memory = memory.data(), .kind = kind};
            queue.submit(transfers_[used++]);
        };
        error failure{};
        if (writing != nullptr)
            issue(transfer_kind::write, part_of(target_, writing->at.target, writing->blocks),
                  bytes_of_chunk(*writing));
        std::size_t held = 0;
        if (reading != nullptr) {
            const auto begun = for_each_part(*reading, [&](extent e, std::span<std::byte> memory) noexcept -> result<> {
                BOOST_OUTCOME_TRY(host_.hold(e));
                ++held;
                if (!host_.on_device(e)) return error{errc::not_found, e.first};
                issue(transfer_kind::read, e, memory);
                return success();
            });
            if (begun.has_error()) failure = begun.error();
        }
        if (writing != nullptr) {
            note(failure, queue.complete({}, 0));  // they are under way while the proof is found
            note(failure, for_each_part(*writing, [&](extent e, std::span<std::byte> memory) noexcept -> result<> {
                     return host_.prove(e, memory);
                 }));
        }
        note(failure, await_all(queue));
        for (const auto& one : transfers_.first(used)) {
            if (failure.code == errc::none) failure = one.failure;
        }
        if (reading != nullptr) unhold(*reading, held);
        if (failure.code != errc::none) return failure;
        return success();
    }

    template <class T>
    static void note(error& failure, const result<T>& done) noexcept {
        if (done.has_error() && failure.code == errc::none) failure = done.error();
    }

    /// Errors: the queue's own; then what becomes of its transfers is unknown.
    template <TransferQueue Q>
    static result<> await_all(Q& queue) noexcept {
        transfer* finished[8];
        while (const auto left = queue.in_flight()) {
            BOOST_OUTCOME_TRY(queue.complete(finished, std::min(left, std::size(finished))));
        }
        return success();
    }

    /// Calls `use(extent, its bytes)` for each part of the chunk's source, until one fails.
    template <class Use>
    result<> for_each_part(const chunk& one, Use&& use) const noexcept {
        const auto size   = host_.block();
        auto       memory = bytes_of_chunk(one);
        auto       skip   = one.at.skip;
        for (auto i = one.at.piece; !memory.empty(); ++i, skip = {}) {
            const auto source = part_of(pieces_[i].physical, skip, whole_blocks(memory.size(), size));
            const auto bytes  = static_cast<std::size_t>(bytes_of(source.count, size));
            BOOST_OUTCOME_TRY(use(source, memory.first(bytes)));
            memory = memory.subspan(bytes);
        }
        return success();
    }

    void unhold(const chunk& one, std::size_t held) noexcept {
        static_cast<void>(for_each_part(one, [&](extent e, std::span<std::byte>) noexcept -> result<> {
            if (held == 0) return success();
            --held;
            host_.unhold(e);
            return success();
        }));
    }

    Host&                          host_;
    std::span<const mapped_extent> pieces_;
    extent                         target_;
    std::span<transfer>            transfers_;
    chunk                          chunks_[2]{};
};

}  // namespace ashlar::inline v0
