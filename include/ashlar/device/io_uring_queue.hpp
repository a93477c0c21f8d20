#pragma once
/// Many transfers of one file in flight, through io_uring.

#include <ashlar/device/bounce_slots.hpp>
#include <ashlar/device/file_device.hpp>
#include <ashlar/device/transfer_list.hpp>
#include <ashlar/device/uring_ring.hpp>

#include <sched.h>

namespace ashlar::inline v0 {

/// A ring of its own. `submit` writes the request into the ring; `complete` starts all and waits in one system call.
///
/// Short transfers go on where they stopped, interruptions are repeated; one that the kernel cancelled comes back as
/// `cancelled` with ECANCELED, and whether it moved anything is unknown. Memory that a direct file can not take goes
/// through places of 16 KiB, up to 16 at a time, which cost a copy and cut long transfers. A trim of a block device is
/// a blocking call inside `complete`; all else runs in the kernel. The queue refers to the file's descriptor, which
/// must stay open; the device object itself may move. What was handed in and not begun when the queue is destroyed is
/// never begun; the destructor waits for the rest. The thread that called `complete` lives until what it began is done:
/// the kernel cancels the transfers of threads that end. Safe from: one thread at a time; with `one_thread`, the
/// opening thread alone.
template <class Calls>
class basic_io_uring_queue {
  public:
    /// Errors: invalid_argument for a depth of 0 or above 32768; unsupported where the system has no io_uring;
    /// workspace_too_small when the places for a direct file do not fit the lent memory, or the heap; device_failed.
    [[nodiscard]] static result<basic_io_uring_queue> open(const file_view& file, queue_options options) noexcept {
        if (options.depth == 0 || options.depth > basic_uring_ring<Calls>::entries_max) return errc::invalid_argument;
        basic_io_uring_queue queue;
        queue.file_     = file;
        queue.depth_    = options.depth;
        queue.reap_max_ = options.reap_max != 0                 ? options.reap_max
                          : file.direct == direct_state::in_use ? (options.depth + 7) / 8
                                                                : options.depth;
        BOOST_OUTCOME_TRY(queue.ring_, ring::open(static_cast<unsigned>(options.depth), options.one_thread));
        if (file.direct == direct_state::in_use) {
            BOOST_OUTCOME_TRY(queue.bounce_, bounce_slots::open(options.memory, file.geometry.size));
        }
        int descriptor    = file.descriptor;
        queue.registered_ = queue.ring_.configure(IORING_REGISTER_FILES, &descriptor, 1) >= 0;
        return queue;
    }

    basic_io_uring_queue(const basic_io_uring_queue&)            = delete;
    basic_io_uring_queue& operator=(const basic_io_uring_queue&) = delete;
    basic_io_uring_queue(basic_io_uring_queue&& other) noexcept { take(other); }
    basic_io_uring_queue& operator=(basic_io_uring_queue&& other) noexcept {
        if (this == &other) return *this;
        drain();
        take(other);
        return *this;
    }
    ~basic_io_uring_queue() { drain(); }

    [[nodiscard]] std::size_t depth() const noexcept { return depth_; }
    [[nodiscard]] std::size_t in_flight() const noexcept { return in_flight_; }

    /// No system call. Precondition: in_flight() < depth().
    void submit(transfer& t) noexcept {
        ASHLAR_ASSERT(in_flight_ < depth_);
        ++in_flight_;
        t.failure = objection(t);
        t.moved   = 0;
        t.next    = nullptr;
        if (alone_ != nullptr) prepare(*std::exchange(alone_, nullptr));
        if (t.failure.code != errc::none || needs_nothing(t)) return done_.push(t);
        if (t.kind == transfer_kind::trim && file_.block_device) return trims_.push(t);
        if (is_bounced(t)) return waiting_.push(t);
        if (in_flight_ == 1 && t.kind != transfer_kind::trim) return void(alone_ = &t);
        prepare(t);
    }

    /// Starts all, then hands back what is done: at least `at_least`, at most as many as `finished` has places and,
    /// unless `at_least` is more, `reap_max`. Errors: device_failed when the ring refuses to be entered; no transfer is
    /// handed back then. Cost: one system call, none where enough was done and nothing waits to begin; more for short
    /// transfers, for those that wait for an aligned place, and for trims of block devices.
    /// Precondition: at_least <= in_flight() and <= finished.size().
    [[nodiscard]] result<std::size_t> complete(std::span<transfer*> finished, std::size_t at_least) noexcept {
        ASHLAR_ASSERT(at_least <= in_flight_ && at_least <= finished.size());
        const auto bound = at_least < reap_max_ ? reap_max_ : at_least;
        const auto room  = finished.first(bound < finished.size() ? bound : finished.size());
        if (alone_ != nullptr) begin_alone(at_least > 0);
        std::size_t count = 0;
        bool        begun = false;  // whether the kernel was entered, which is what finishes most
        for (int refusals = 0;;) {
            count = collect(room, count);
            begin_waiting();
            const auto missing = at_least < count ? 0 : at_least - count;
            const bool idle    = ring_.prepared() == 0 && trims_.empty();
            if (missing == 0 && idle && (begun || count == room.size() || !ring_.has_hidden())) break;
            const int refused = enter(missing);
            begun             = true;
            if (refused == 0) {
                refusals = 0;
            } else if ((refused != -EINTR && refused != -EAGAIN && refused != -EBUSY) || ++refusals > attempts_max) {
                while (count > 0) done_.push(*finished[--count]);
                return error{errc::device_failed, {}, -refused};
            } else {
                ::sched_yield();
            }
        }
        in_flight_ -= count;
        return count;
    }

  private:
    using ring = basic_uring_ring<Calls>;

    static constexpr std::uint64_t piece_max = std::uint64_t{1} << 30U;

    basic_io_uring_queue() noexcept = default;

    [[nodiscard]] bool is_inside(extent e) const noexcept {
        return lies_in(e, {block_index{0}, file_.geometry.blocks});
    }
    /// The file may have grown since the queue was opened.
    void ask_size() noexcept {
        if (const auto bytes = file_.bytes_now())
            file_.geometry.blocks = whole_blocks(bytes.value(), file_.geometry.size);
    }

    error objection(const transfer& t) noexcept {
        if (t.kind == transfer_kind::sync) return {};
        if (file_.read_only && t.kind != transfer_kind::read) return {errc::read_only, t.blocks.first};
        if (!is_inside(t.blocks)) ask_size();
        if (!is_inside(t.blocks)) return {errc::out_of_range, t.blocks.first};
        if (t.blocks.count.value > 0xFFFF'FFFFU && t.kind != transfer_kind::trim)
            return {errc::too_large, t.blocks.first};  // more than `moved` can count
        return {};
    }

    bool needs_nothing(const transfer& t) const noexcept {
        return t.kind == transfer_kind::sync ? file_.read_only : t.blocks.empty();
    }

    bool is_bounced(const transfer& t) const noexcept {
        return (t.kind == transfer_kind::read || t.kind == transfer_kind::write) && !file_.is_aligned(t.memory);
    }

    std::byte* place_of(const transfer& t) const noexcept {
        return t.memory + static_cast<std::size_t>(bytes_of({t.moved}, file_.geometry.size));
    }

    /// What the transfer moves next: all that is left, or what its aligned place holds.
    std::span<std::byte> next_piece(const transfer& t) noexcept {
        const auto left = bytes_of({t.blocks.count.value - t.moved}, file_.geometry.size);
        if (is_bounced(t)) {
            const auto slot = bounce_.of(t);
            return left < slot.size() ? slot.first(static_cast<std::size_t>(left)) : slot;
        }
        return {place_of(t), static_cast<std::size_t>(left < piece_max ? left : piece_max)};
    }

    void prepare(transfer& t) noexcept {
        io_uring_sqe request{};
        request.fd        = registered_ ? 0 : file_.descriptor;
        request.flags     = registered_ ? IOSQE_FIXED_FILE : 0;
        request.user_data = reinterpret_cast<std::uintptr_t>(&t);
        if (t.kind == transfer_kind::sync) {
            request.opcode      = IORING_OP_FSYNC;
            request.fsync_flags = IORING_FSYNC_DATASYNC;
        } else if (t.kind == transfer_kind::trim) {
            request.opcode = IORING_OP_FALLOCATE;
            request.off    = byte_offset(t.blocks.first, file_.geometry.size);
            request.addr   = bytes_of(t.blocks.count, file_.geometry.size);
            request.len    = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
        } else {
            const auto piece = next_piece(t);
            if (t.kind == transfer_kind::write && is_bounced(t)) std::memcpy(piece.data(), place_of(t), piece.size());
            request.opcode = t.kind == transfer_kind::read ? IORING_OP_READ : IORING_OP_WRITE;
            request.off    = byte_offset(t.blocks.first + block_count{t.moved}, file_.geometry.size);
            request.addr   = reinterpret_cast<std::uintptr_t>(piece.data());
            request.len    = static_cast<std::uint32_t>(piece.size());
        }
        ring_.prepare(request);
    }

    /// Those whose memory needs an aligned place, as far as places are free.
    void begin_waiting() noexcept {
        while (!waiting_.empty() && bounce_.take(waiting_.first())) prepare(waiting_.pop());
    }

    /// Enters the kernel for `missing` more completions, or for as many as can come from it.
    int enter(std::size_t missing) noexcept {
        if (!trims_.empty()) return trim_blocking();
        const auto most = ring_.prepared() + ring_.started();
        return ring_.enter(missing < most ? static_cast<unsigned>(missing) : most);
    }

    void begin_alone(bool waited_for) noexcept {
        transfer& t = *std::exchange(alone_, nullptr);
        if (!waited_for) return prepare(t);
        while (!settle(t, call_blocking(t))) {}
        done_.push(t);
    }

    /// What the transfer does next, as a completion would tell it.
    std::int32_t call_blocking(const transfer& t) noexcept {
        if (t.kind == transfer_kind::sync) return Calls::sync(file_.descriptor) == 0 ? 0 : -errno;
        const auto piece = next_piece(t);
        const auto at    = static_cast<off_t>(byte_offset(t.blocks.first + block_count{t.moved}, file_.geometry.size));
        const auto moved = t.kind == transfer_kind::read
                               ? Calls::read(file_.descriptor, piece.data(), piece.size(), at)
                               : Calls::write(file_.descriptor, piece.data(), piece.size(), at);
        return moved < 0 ? -errno : static_cast<std::int32_t>(moved);
    }

    /// Block devices have no operation for it that every kernel knows. What is prepared starts first.
    int trim_blocking() noexcept {
        if (ring_.prepared() > 0) {
            if (const int refused = ring_.enter(0); refused != 0) return refused;
        }
        while (!trims_.empty()) {
            transfer& t = trims_.pop();
            if (const auto done = trim_file<Calls>(file_, t.blocks); !done) t.failure = done.error();
            done_.push(t);
        }
        return 0;
    }

    /// Fills `room` behind the first `count` with what is done.
    std::size_t collect(std::span<transfer*> room, std::size_t count) noexcept {
        while (count < room.size() && !done_.empty()) room[count++] = &done_.pop();
        typename ring::completion seen{};
        while (count < room.size() && ring_.take(seen)) {
            auto& t = *reinterpret_cast<transfer*>(static_cast<std::uintptr_t>(seen.token));
            if (!settle(t, seen.outcome)) {
                prepare(t);
                continue;
            }
            if (is_bounced(t)) bounce_.give_back(t);
            room[count++] = &t;
        }
        return count;
    }

    /// Whether the transfer is finished; otherwise it has to go on.
    bool settle(transfer& t, std::int32_t outcome) noexcept {
        if (outcome < 0) return !is_repeated(t, -outcome);
        if (t.kind == transfer_kind::sync || t.kind == transfer_kind::trim) return finish(t, {});
        const auto size   = file_.geometry.size;
        const auto blocks = whole_blocks(static_cast<std::uint64_t>(outcome), size);
        if (blocks.value == 0) {
            if (outcome > 0 && ++attempts(t) <= attempts_max) return false;
            const auto at = byte_offset(t.blocks.first + block_count{t.moved}, size);
            return finish(t, file_.stopped(t.blocks.first, at));
        }
        if (t.kind == transfer_kind::read && is_bounced(t))
            std::memcpy(place_of(t), bounce_.of(t).data(), static_cast<std::size_t>(bytes_of(blocks, size)));
        t.moved += static_cast<std::uint32_t>(blocks.value);
        attempts(t) = 0;
        return t.moved == t.blocks.count.value ? finish(t, {}) : false;
    }

    bool is_repeated(transfer& t, int os_code) noexcept {
        if ((os_code == EINTR || os_code == EAGAIN) && ++attempts(t) <= attempts_max) return true;
        const auto where = t.kind == transfer_kind::sync ? block_index{} : t.blocks.first;
        if (os_code == ECANCELED) {
            finish(t, {errc::cancelled, where, os_code});
        } else if (t.kind == transfer_kind::trim && means_no_trim(os_code)) {
            finish(t, {});
        } else {
            finish(t, {errc::device_failed, where, os_code});
        }
        return false;
    }

    bool finish(transfer& t, error failure) noexcept {
        t.failure = failure;
        return true;
    }

    /// While a transfer is in flight its failure is free to count what brought it no further.
    static std::int32_t& attempts(transfer& t) noexcept { return t.failure.os_code; }

    /// Waits until the kernel uses no memory of the owner's, and no longer the file: it gives a ring back some time
    /// after the ring was closed, and whoever opens the file next would find it locked.
    void drain() noexcept {
        typename ring::completion seen{};
        while (ring_.started() > 0) {
            const int done = ring_.wait(ring_.started());
            while (ring_.started() > 0 && ring_.take(seen)) {}
            ASHLAR_ASSERT(done != -EEXIST);  // a queue opened with `one_thread` is destroyed by that thread
            if (done != 0 && done != -EINTR && done != -EAGAIN && done != -EBUSY) return;
        }
        if (std::exchange(registered_, false)) ring_.configure(IORING_UNREGISTER_FILES, nullptr, 0);
    }

    void take(basic_io_uring_queue& other) noexcept {
        file_       = other.file_;
        ring_       = std::move(other.ring_);
        bounce_     = std::move(other.bounce_);
        done_       = std::move(other.done_);
        waiting_    = std::move(other.waiting_);
        trims_      = std::move(other.trims_);
        in_flight_  = std::exchange(other.in_flight_, 0);
        depth_      = other.depth_;
        reap_max_   = other.reap_max_;
        registered_ = std::exchange(other.registered_, false);
        alone_      = std::exchange(other.alone_, nullptr);
    }

    file_view     file_{};
    ring          ring_;
    bounce_slots  bounce_;
    transfer_list done_;                  // finished without the kernel, or kept back when the ring broke
    transfer_list waiting_;               // for an aligned place
    transfer_list trims_;                 // that have to be done by a blocking call
    transfer*     alone_      = nullptr;  // the only one in flight, not begun
    std::size_t   in_flight_  = 0;
    std::size_t   depth_      = 0;
    std::size_t   reap_max_   = 0;
    bool          registered_ = false;
};

}  // namespace ashlar::inline v0
