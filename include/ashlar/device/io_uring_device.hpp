#pragma once
/// Files and block devices of Linux with many transfers in flight.

#include <ashlar/device/io_uring_queue.hpp>

namespace ashlar::inline v0 {

/// Whether this process may use io_uring, or why not.
enum class io_uring_state : std::uint8_t {
    available,
    not_built,  ///< The kernel, or the system, has none.
    refused,    ///< The kernel has it, and forbids it to this process: containers often do.
    too_old,    ///< The kernel's is from before 5.6 and lacks operations.
    failed,     ///< The kernel could not make a ring: out of memory or descriptors.
};

/// One sentence for people.
[[nodiscard]] constexpr const char* message(io_uring_state state) noexcept {
    switch (state) {
        case io_uring_state::available: return "io_uring is available";
        case io_uring_state::not_built: return "the system has no io_uring";
        case io_uring_state::refused:
            return "io_uring is forbidden here; see the seccomp profile and the sysctl kernel.io_uring_disabled";
        case io_uring_state::too_old: return "io_uring of this kernel lacks operations; Linux 5.6 has them";
        case io_uring_state::failed: return "a ring could not be made; see the limits of memory and open files";
    }
    return "unknown state";
}

/// The same for the error of a call that needs io_uring.
[[nodiscard]] constexpr io_uring_state io_uring_state_of(error failure) noexcept {
    if (failure.code == errc::none) return io_uring_state::available;
    if (failure.code != errc::unsupported) return io_uring_state::failed;
    if (failure.os_code == ENOSYS) return io_uring_state::not_built;
    return failure.os_code == EPERM || failure.os_code == EACCES ? io_uring_state::refused : io_uring_state::too_old;
}

/// Asks the kernel by making a small ring and giving it back. Errors: those of `basic_uring_ring::open`; unsupported
/// with EOPNOTSUPP where operations are missing.
template <class Calls = uring_calls>
[[nodiscard]] result<> try_io_uring() noexcept {
    static constexpr std::uint8_t needed[] = {IORING_OP_READ, IORING_OP_WRITE, IORING_OP_FSYNC, IORING_OP_FALLOCATE};
    BOOST_OUTCOME_TRY(auto ring, basic_uring_ring<Calls>::open(1, false));
    return ring.expect(needed);
}

/// A file or block device whose queues are rings of io_uring. Its blocking calls are those of `file_device`, so a file
/// may be opened by the one and then by the other. A queue of the device may go on while the device object is moved;
/// it ends before the device does.
/// Safe from: several threads, a queue for each.
template <class Calls>
class basic_io_uring_device {
  public:
    using queue = basic_io_uring_queue<Calls>;

    /// Errors: unsupported with the system's code where io_uring can not be used (`message(io_uring_state_of(error))`
    /// says what to do), and then no file was touched; those of `file_device::open`.
    [[nodiscard]] static result<basic_io_uring_device> open(const char*         path,
                                                            file_device_options options = {}) noexcept {
        BOOST_OUTCOME_TRY(try_io_uring<Calls>());
        BOOST_OUTCOME_TRY(auto file, file_device::open(path, options));
        return basic_io_uring_device{std::move(file)};
    }

    [[nodiscard]] device_geometry geometry() const noexcept { return file_.geometry(); }
    [[nodiscard]] result<>        read(extent e, std::span<std::byte> in) noexcept { return file_.read(e, in); }
    [[nodiscard]] result<> write(extent e, std::span<const std::byte> out) noexcept { return file_.write(e, out); }
    [[nodiscard]] result<> sync() noexcept { return file_.sync(); }
    [[nodiscard]] result<> trim(extent e) noexcept { return file_.trim(e); }
    [[nodiscard]] result<> refresh() noexcept { return file_.refresh(); }
    [[nodiscard]] result<> resize(block_count blocks) noexcept { return file_.resize(blocks); }

    /// A ring of its own; one for each thread that has transfers in flight.
    /// Errors and memory: those of `basic_io_uring_queue::open`.
    [[nodiscard]] result<queue> open_queue(queue_options options) noexcept {
        return queue::open(file_.view(), options);
    }

    /// Whether transfers go past the page cache, or why not.
    [[nodiscard]] direct_state direct() const noexcept { return file_.direct(); }

    /// The descriptor, for calls that this class has not; it stays the device's.
    [[nodiscard]] int native_handle() const noexcept { return file_.native_handle(); }

  private:
    explicit basic_io_uring_device(file_device file) noexcept : file_{std::move(file)} {}

    file_device file_;
};

using io_uring_queue  = basic_io_uring_queue<uring_calls>;
using io_uring_device = basic_io_uring_device<uring_calls>;
static_assert(QueuedDevice<io_uring_device> && ResizableDevice<io_uring_device>);

}  // namespace ashlar::inline v0
