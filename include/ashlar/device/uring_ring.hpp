#pragma once
/// The two rings of Linux's io_uring, by system calls alone. Nothing needs to be linked.
/// Source: io_uring(7), io_uring_setup(2), io_uring_enter(2), io_uring_register(2).

#include <ashlar/device/posix_calls.hpp>

#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>

namespace ashlar::inline v0 {

/// The system calls of a ring, and the blocking ones beside it. A type of its own, so that tests can count, refuse,
/// shorten and cancel. What is added here answers an errno as a negative number.
struct uring_calls : posix_calls {
    static int setup(unsigned entries, io_uring_params& shape) noexcept {
        return answer(::syscall(__NR_io_uring_setup, entries, &shape));
    }
    static int enter(int ring, unsigned begin, unsigned wait, unsigned flags) noexcept {
        return answer(::syscall(__NR_io_uring_enter, ring, begin, wait, flags, nullptr, 0));
    }
    static int configure(int ring, unsigned what, void* argument, unsigned count) noexcept {
        return answer(::syscall(__NR_io_uring_register, ring, what, argument, count));
    }
    static void         seen_before(io_uring_sqe&) noexcept {}  ///< Each request, when it is prepared.
    static std::int32_t seen_after(const io_uring_cqe& completion) noexcept { return completion.res; }

  private:
    static int answer(long value) noexcept { return value < 0 ? -errno : static_cast<int>(value); }
};

/// One instance of io_uring: requests go in, completions come out, in any order. It knows nothing of what they mean.
/// Safe from: one thread at a time; opened with `one_thread`, from the opening thread alone.
template <class Calls>
class basic_uring_ring {
  public:
    static constexpr unsigned entries_max = 32768;  ///< The kernel's own bound.

    basic_uring_ring() noexcept                          = default;
    basic_uring_ring(const basic_uring_ring&)            = delete;
    basic_uring_ring& operator=(const basic_uring_ring&) = delete;
    basic_uring_ring(basic_uring_ring&& other) noexcept { swap(other); }
    basic_uring_ring& operator=(basic_uring_ring&& other) noexcept {
        basic_uring_ring gone{std::move(other)};
        swap(gone);
        return *this;
    }
    /// Precondition: `started()` is 0, or nobody needs the memory of what still runs.
    ~basic_uring_ring() {
        if (requests_ != nullptr) ::munmap(requests_, std::size_t{entries_} * sizeof(io_uring_sqe));
        if (rings_ != nullptr) ::munmap(rings_, rings_bytes_);
        if (descriptor_ >= 0) ::close(descriptor_);
    }

    /// A ring for so many requests at a time. With `one_thread` the kernel is told that no other thread enters, where
    /// it knows that. Errors: unsupported with the system's code where there is no io_uring, or none that can do this;
    /// device_failed for all else. Precondition: 1 to entries_max.
    [[nodiscard]] static result<basic_uring_ring> open(unsigned entries, bool one_thread) noexcept {
        basic_uring_ring ring;
        io_uring_params  shape{};
        shape.flags      = one_thread ? flags_of_one_thread : 0;
        ring.descriptor_ = Calls::setup(entries, shape);
        if (ring.descriptor_ == -EINVAL && shape.flags != 0) {
            shape            = {};  // an older kernel refuses flags that it does not know
            ring.descriptor_ = Calls::setup(entries, shape);
        }
        const int refused = ring.descriptor_;
        if (refused == -ENOSYS || refused == -EPERM || refused == -EACCES) return missing(-refused);
        if (refused < 0) return error{errc::device_failed, {}, -refused};
        if ((shape.features & IORING_FEAT_SINGLE_MMAP) == 0 || (shape.features & IORING_FEAT_NODROP) == 0)
            return missing(EOPNOTSUPP);
        BOOST_OUTCOME_TRY(ring.map(shape));
        return ring;
    }

    /// Errors: unsupported where the kernel lacks one of the operations.
    [[nodiscard]] result<> expect(std::span<const std::uint8_t> operations) noexcept {
        constexpr unsigned                                                                         operations_max = 256;
        std::array<std::byte, sizeof(io_uring_probe) + operations_max * sizeof(io_uring_probe_op)> bytes{};
        if (const int done = configure(IORING_REGISTER_PROBE, bytes.data(), operations_max); done < 0)
            return missing(-done);
        for (const auto operation : operations) {
            io_uring_probe_op seen{};  // all zero behind the last one that the kernel has
            std::memcpy(&seen, bytes.data() + sizeof(io_uring_probe) + operation * sizeof seen, sizeof seen);
            if ((seen.flags & IO_URING_OP_SUPPORTED) == 0) return missing(EOPNOTSUPP);
        }
        return success();
    }

    /// 0, or an errno as a negative number.
    int configure(unsigned what, void* argument, unsigned count) noexcept {
        return Calls::configure(descriptor_, what, argument, count);
    }

    [[nodiscard]] unsigned prepared() const noexcept { return prepared_; }  ///< Requests that the kernel has not seen.
    [[nodiscard]] unsigned started() const noexcept { return started_; }    ///< Requests whose completion is not taken.

    /// Notes a request. Precondition: prepared() is below the entries that the ring was opened for.
    void prepare(const io_uring_sqe& request) noexcept {
        auto& place = requests_[(tail_ + prepared_) & mask_];
        place       = request;
        Calls::seen_before(place);
        ++prepared_;
    }

    /// Starts what is prepared, and waits until `at_least` completions are there; one system call. It may do less.
    /// 0, or an errno as a negative number. Precondition: at_least <= prepared() + started().
    int enter(unsigned at_least) noexcept {
        store(requests_tail_, tail_ + prepared_);
        const bool collect = at_least > 0 || has_hidden();
        const int  begun   = Calls::enter(descriptor_, prepared_, at_least, collect ? IORING_ENTER_GETEVENTS : 0U);
        if (begun < 0) return begun;
        tail_ += static_cast<unsigned>(begun);
        prepared_ -= static_cast<unsigned>(begun);
        started_ += static_cast<unsigned>(begun);
        return 0;
    }

    /// Waits for `at_least` completions and starts nothing. 0, or an errno as a negative number.
    int wait(unsigned at_least) noexcept {
        const int done = Calls::enter(descriptor_, 0, at_least, IORING_ENTER_GETEVENTS);
        return done < 0 ? done : 0;
    }

    /// Whether completions may lie in the kernel until the next entry, out of this ring's sight.
    [[nodiscard]] bool has_hidden() const noexcept {
        return started_ > 0 && (load(requests_flags_) & (IORING_SQ_CQ_OVERFLOW | IORING_SQ_TASKRUN)) != 0;
    }

    struct completion {
        std::uint64_t token;
        std::int32_t  outcome;  ///< Negative: an errno.
    };

    /// Takes the next completion that is there. False: there is none.
    [[nodiscard]] bool take(completion& into) noexcept {
        if (head_ == seen_tail_) {
            seen_tail_ = load(completions_tail_);
            if (head_ == seen_tail_) return false;
        }
        const io_uring_cqe& entry = completions_[head_ & completions_mask_];
        into                      = {entry.user_data, Calls::seen_after(entry)};
        store(completions_head_, ++head_);
        --started_;
        return true;
    }

  private:
#if defined(IORING_SETUP_DEFER_TASKRUN)
    static constexpr unsigned flags_of_one_thread =
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
#else
    static constexpr unsigned flags_of_one_thread = 0;
#endif

    static error    missing(int os_code) noexcept { return error{errc::unsupported, {}, os_code}; }
    static unsigned load(unsigned* word) noexcept {
        return std::atomic_ref<unsigned>{*word}.load(std::memory_order_acquire);
    }
    static void store(unsigned* word, unsigned value) noexcept {
        std::atomic_ref<unsigned>{*word}.store(value, std::memory_order_release);
    }

    static void* map_part(int descriptor, std::size_t bytes, unsigned long long at) noexcept {
        void* const place = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, descriptor,
                                   static_cast<off_t>(at));
        return place == MAP_FAILED ? nullptr : place;
    }

    result<> map(const io_uring_params& shape) noexcept {
        const auto ends_first  = shape.sq_off.array + std::size_t{shape.sq_entries} * sizeof(unsigned);
        const auto ends_second = shape.cq_off.cqes + std::size_t{shape.cq_entries} * sizeof(io_uring_cqe);
        entries_               = shape.sq_entries;
        rings_bytes_           = ends_first < ends_second ? ends_second : ends_first;
        rings_                 = static_cast<std::byte*>(map_part(descriptor_, rings_bytes_, IORING_OFF_SQ_RING));
        if (rings_ == nullptr) return error{errc::device_failed, {}, errno};
        requests_ = static_cast<io_uring_sqe*>(
            map_part(descriptor_, std::size_t{entries_} * sizeof(io_uring_sqe), IORING_OFF_SQES));
        if (requests_ == nullptr) return error{errc::device_failed, {}, errno};

        const auto word   = [&](unsigned offset) { return reinterpret_cast<unsigned*>(rings_ + offset); };
        requests_tail_    = word(shape.sq_off.tail);
        requests_flags_   = word(shape.sq_off.flags);
        mask_             = *word(shape.sq_off.ring_mask);
        completions_head_ = word(shape.cq_off.head);
        completions_tail_ = word(shape.cq_off.tail);
        completions_mask_ = *word(shape.cq_off.ring_mask);
        completions_      = reinterpret_cast<const io_uring_cqe*>(rings_ + shape.cq_off.cqes);
        for (unsigned i = 0; i < entries_; ++i)
            word(shape.sq_off.array)[i] = i;  // each request stands in its own place
        return success();
    }

    void swap(basic_uring_ring& other) noexcept {
        std::swap(descriptor_, other.descriptor_);
        std::swap(prepared_, other.prepared_);
        std::swap(started_, other.started_);
        std::swap(tail_, other.tail_);
        std::swap(mask_, other.mask_);
        std::swap(head_, other.head_);
        std::swap(seen_tail_, other.seen_tail_);
        std::swap(completions_mask_, other.completions_mask_);
        std::swap(requests_, other.requests_);
        std::swap(completions_, other.completions_);
        std::swap(requests_tail_, other.requests_tail_);
        std::swap(requests_flags_, other.requests_flags_);
        std::swap(completions_head_, other.completions_head_);
        std::swap(completions_tail_, other.completions_tail_);
        std::swap(rings_, other.rings_);
        std::swap(rings_bytes_, other.rings_bytes_);
        std::swap(entries_, other.entries_);
    }

    int                 descriptor_       = -1;
    unsigned            prepared_         = 0;
    unsigned            started_          = 0;
    unsigned            tail_             = 0;  // behind the last request that the kernel took
    unsigned            mask_             = 0;
    unsigned            head_             = 0;  // the next completion to take
    unsigned            seen_tail_        = 0;
    unsigned            completions_mask_ = 0;
    io_uring_sqe*       requests_         = nullptr;
    const io_uring_cqe* completions_      = nullptr;
    unsigned*           requests_tail_    = nullptr;
    unsigned*           requests_flags_   = nullptr;
    unsigned*           completions_head_ = nullptr;
    unsigned*           completions_tail_ = nullptr;
    std::byte*          rings_            = nullptr;
    std::size_t         rings_bytes_      = 0;
    unsigned            entries_          = 0;
};

}  // namespace ashlar::inline v0
