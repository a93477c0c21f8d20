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
    bool          lost = false;  ///< What failed is the queue: it has transfers in flight and does not give them back.
};

inline constexpr std::size_t transfers_min = 3;  ///< For chunks that overlap: one write beside two reads.

/// Copies chunks by small reads, one after the other, and large writes. That is what a foreground feels least: its own
/// reads wait behind what is being read, while most devices take writes into a buffer. What was read is proved while
/// the next is being read.
///
/// A chunk takes what the throttle lets be in flight. Where that is more than the memory holds, one chunk is read while
/// another is written; then both are small, as a large write would delay the reads beside it, and each has a grant.
/// `together` is what the throttle was seen to let be in flight; it is kept between runs. Every grant, every hold and
/// every transfer is done with when `run` returns.
template <QueuedRelocationHost Host>
class piped_copy {
  public:
    static constexpr std::uint64_t overlap_max = 128 * 1024;  ///< Of each of two chunks that overlap, or one read.

    /// `transfers` holds the requests: one write, and the pieces of one read of so many bytes.
    piped_copy(Host& host, std::span<const mapped_extent> pieces, extent target, std::span<std::byte> memory,
               std::span<transfer> transfers, std::size_t read_bytes) noexcept
        : host_{host},
          pieces_{pieces},
          target_{target},
          memory_{memory.first(
              static_cast<std::size_t>(bytes_of(whole_blocks(memory.size(), host.block()), host.block())))},
          half_{static_cast<std::size_t>(bytes_of(
              whole_blocks(std::min(std::uint64_t{memory.size()} / 2, std::max(overlap_max, std::uint64_t{read_bytes})),
                           host.block()),
              host.block()))},
          read_bytes_{read_bytes},
          transfers_{transfers} {}

    /// Copies at most `most` blocks from `from` on, until the range has a gap.
    template <IoThrottle Throttle, Clock C>
    [[nodiscard]] copied_part run(copy_position from, block_count most, std::uint64_t& together, Throttle& throttle,
                                  const C& clock) noexcept {
        copied_part part{.reached = from};
        block_count taken{};
        chunk*      writing = nullptr;
        for (auto ahead = from;;) {
            chunk* reading = &chunks_[writing == &chunks_[0] ? 1 : 0];
            place(*reading, writing, together);
            if (!ask(*reading, ahead, most - taken, throttle, clock, part)) reading = nullptr;
            learn(together, writing, reading, part);
            if (reading == nullptr && writing == nullptr) return part;
            if (reading != nullptr) {
                taken += reading->blocks;
                ahead        = reading->behind;
                part.refused = false;
            }
            const auto done = transfer_both(reading, writing, std::max(read_bytes_, together / 4));
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
                part.lost    = host_.queue()->in_flight() > 0;
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

    /// What is read at a time: parts of pieces, one transfer each.
    struct read_group {
        copy_position        at{};
        std::span<std::byte> memory{};
        std::size_t          parts = 0;
    };

    /// Gives the chunk its memory: all, half, or none where the other has all.
    void place(chunk& one, const chunk* other, std::uint64_t together) const noexcept {
        const bool halves = together >= memory_.size();
        if (other == nullptr) {
            one.memory = halves ? memory_.first(half_) : memory_;
        } else {
            const bool in_front = other->memory.data() == memory_.data();
            one.memory          = other->memory.size() > half_ ? std::span<std::byte>{}
                                  : in_front                   ? memory_.subspan(half_, half_)
                                                               : memory_.first(half_);
        }
    }

    /// Asks for as much as the chunk's memory holds. False: nothing is left in this run, no memory, or refused.
    template <IoThrottle Throttle, Clock C>
    bool ask(chunk& one, copy_position at, block_count most, Throttle& throttle, const C& clock,
             copied_part& part) noexcept {
        const auto size   = host_.block();
        const auto before = at.target;
        const auto want   = std::min({next_written(pieces_, at), most, whole_blocks(one.memory.size(), size)});
        part.refused      = false;
        if (want.value == 0 || at.target != before) return false;
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

    /// Learns from a first grant and from what became of a second. A throttle that refuses because of time says nothing
    /// about bytes in flight, and one that was asked for little neither.
    void learn(std::uint64_t& together, const chunk* first, const chunk* second, copied_part& part) const noexcept {
        if (first == nullptr) {
            if (second == nullptr) return;
            const bool all = second->granted == second->wanted && second->wanted < second->memory.size();
            if (!all && second->memory.size() > half_) together = second->granted;
        } else if (second != nullptr) {
            const auto sum = first->granted + second->granted;
            if (second->granted < second->wanted || sum > together) together = sum;
        } else if (part.refused && part.not_before == time_point{~std::uint64_t{0}}) {
            part.refused = false;  // it will grant what the first gives back
            together     = first->granted;
        }
    }

    /// Reads the one, group by group, and writes the other. Errors: those of the queue, of a hold, of a transfer, and
    /// of a proof; nothing is in flight or held afterwards, unless the queue itself is broken.
    result<> transfer_both(const chunk* reading, const chunk* writing, std::uint64_t read_max) noexcept {
        if (writing != nullptr) {
            submit(0, transfer_kind::write, part_of(target_, writing->at.target, writing->blocks),
                   bytes_of_chunk(*writing));
        }
        result<> done = success();
        if (reading != nullptr) done = read_chunk(*reading, read_max);
        auto over = await_all();
        if (done.has_error()) return done;
        if (over.has_error()) return over;
        if (writing != nullptr && transfers_[0].failure.code != errc::none) return transfers_[0].failure;
        return success();
    }

    /// Each group is proved while the next is being read.
    result<> read_chunk(const chunk& one, std::uint64_t read_max) noexcept {
        const auto size   = host_.block();
        auto       at     = one.at;
        auto       memory = bytes_of_chunk(one);
        read_group before{};
        result<>   done = success();
        while (done.has_value() && !memory.empty()) {
            auto group = cut_group(at, memory, whole_blocks(read_max, size));
            done       = begin_reads(group);
            if (done.has_value()) done = prove(before);
            unhold(before);
            const auto over = await_reads(group);
            if (done.has_value()) done = over;
            memory = memory.subspan(group.memory.size());
            at     = passed(pieces_, at, whole_blocks(group.memory.size(), size));
            before = group;
        }
        if (done.has_value()) done = prove(before);
        unhold(before);
        return done;
    }

    /// As many blocks as may be read at a time and as there are transfers for.
    [[nodiscard]] read_group cut_group(copy_position at, std::span<std::byte> memory, block_count most) const noexcept {
        const auto  size = host_.block();
        block_count fits{};
        auto        reads = transfers_.size() - 1;
        most              = std::max(block_count{1}, std::min(most, whole_blocks(memory.size(), size)));
        for (auto i = at.piece; fits < most && reads > 0; ++i, --reads) {
            fits += pieces_[i].physical.count - (i == at.piece ? at.skip : block_count{0});
        }
        return {at, memory.first(static_cast<std::size_t>(bytes_of(std::min(fits, most), size))), 0};
    }

    /// Starts a group, and a write that waits in the queue. `parts` counts what is held, also after an error.
    result<> begin_reads(read_group& group) noexcept {
        BOOST_OUTCOME_TRY(for_each_part(group, [&](extent e, std::span<std::byte> memory) noexcept -> result<> {
            BOOST_OUTCOME_TRY(host_.hold(e));
            transfers_[++group.parts].failure = {};
            if (!host_.on_device(e)) return error{errc::not_found, e.first};
            submit(group.parts, transfer_kind::read, e, memory);
            return success();
        }));
        return reap(0);
    }

    result<> prove(const read_group& group) noexcept {
        return for_each_part(
            group, [&](extent e, std::span<std::byte> memory) noexcept -> result<> { return host_.prove(e, memory); });
    }

    void unhold(const read_group& group) noexcept {
        std::size_t held = group.parts;
        static_cast<void>(for_each_part(group, [&](extent e, std::span<std::byte>) noexcept -> result<> {
            if (held == 0) return success();
            --held;
            host_.unhold(e);
            return success();
        }));
    }

    /// Calls `use(extent, its bytes)` for each part of a group's source, until one fails.
    template <class Use>
    result<> for_each_part(const read_group& group, Use&& use) const noexcept {
        const auto size   = host_.block();
        auto       memory = group.memory;
        auto       skip   = group.at.skip;
        for (auto i = group.at.piece; !memory.empty(); ++i, skip = {}) {
            const auto source = part_of(pieces_[i].physical, skip, whole_blocks(memory.size(), size));
            const auto bytes  = static_cast<std::size_t>(bytes_of(source.count, size));
            BOOST_OUTCOME_TRY(use(source, memory.first(bytes)));
            memory = memory.subspan(bytes);
        }
        return success();
    }

    [[nodiscard]] std::span<std::byte> bytes_of_chunk(const chunk& one) const noexcept {
        return one.memory.first(static_cast<std::size_t>(bytes_of(one.blocks, host_.block())));
    }

    void submit(std::size_t slot, transfer_kind kind, extent e, std::span<std::byte> memory) noexcept {
        transfers_[slot] = {.blocks = e, .memory = memory.data(), .kind = kind};
        host_.queue()->submit(transfers_[slot]);
        if (kind == transfer_kind::read) ++reads_pending_;
    }

    /// Waits for the group, whatever becomes of a write beside it. Errors: the queue's; the first of a transfer.
    result<> await_reads(const read_group& group) noexcept {
        while (reads_pending_ > 0) { BOOST_OUTCOME_TRY(reap(reads_pending_)); }
        for (const auto& one : transfers_.subspan(1, group.parts)) {
            if (one.failure.code != errc::none) return one.failure;
        }
        return success();
    }

    result<> await_all() noexcept {
        while (const auto left = host_.queue()->in_flight()) { BOOST_OUTCOME_TRY(reap(left)); }
        return success();
    }

    result<> reap(std::size_t at_least) noexcept {
        transfer*  finished[8];
        const auto room = std::span{finished}.first(at_least == 0 ? 0 : std::size(finished));
        BOOST_OUTCOME_TRY(const auto count, host_.queue()->complete(room, std::min(at_least, room.size())));
        for (const auto* one : room.first(count)) reads_pending_ -= one->kind == transfer_kind::read ? 1U : 0U;
        return success();
    }

    Host&                          host_;
    std::span<const mapped_extent> pieces_;
    extent                         target_;
    std::span<std::byte>           memory_;
    std::size_t                    half_;
    std::uint64_t                  read_bytes_;
    std::span<transfer>            transfers_;
    std::size_t                    reads_pending_ = 0;
    chunk                          chunks_[2]{};
};

}  // namespace ashlar::inline v0
