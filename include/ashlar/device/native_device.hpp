#pragma once
/// The fastest device that the system has for a file or block device, chosen when it is opened.

#include <ashlar/device/blocking_queue.hpp>
#include <ashlar/device/file_device.hpp>
#if defined(__linux__)
#include <ashlar/device/io_uring_device.hpp>
#endif

#include <variant>

namespace ashlar::inline v0 {

/// A queue of `native_device`: a ring, or transfers made one after the other.
template <class Fast, class Plain>
class either_queue {
  public:
    explicit either_queue(Fast queue) noexcept : queue_{std::in_place_index<0>, std::move(queue)} {}
    explicit either_queue(Plain queue) noexcept : queue_{std::in_place_index<1>, std::move(queue)} {}

    [[nodiscard]] std::size_t depth() const noexcept {
        const auto* const fast = std::get_if<0>(&queue_);
        return fast != nullptr ? fast->depth() : std::get_if<1>(&queue_)->depth();
    }
    [[nodiscard]] std::size_t in_flight() const noexcept {
        const auto* const fast = std::get_if<0>(&queue_);
        return fast != nullptr ? fast->in_flight() : std::get_if<1>(&queue_)->in_flight();
    }
    void submit(transfer& t) noexcept {
        auto* const fast = std::get_if<0>(&queue_);
        fast != nullptr ? fast->submit(t) : std::get_if<1>(&queue_)->submit(t);
    }
    [[nodiscard]] result<std::size_t> complete(std::span<transfer*> finished, std::size_t at_least) noexcept {
        auto* const fast = std::get_if<0>(&queue_);
        return fast != nullptr ? fast->complete(finished, at_least)
                               : std::get_if<1>(&queue_)->complete(finished, at_least);
    }

    /// Whether transfers of this queue are in flight together.
    [[nodiscard]] bool is_fast() const noexcept { return queue_.index() == 0; }

  private:
    std::variant<Fast, Plain> queue_;
};

#if defined(__linux__)

/// A `file_device` whose queues are rings of io_uring where this process may use it, and `blocking_queue`s where it may
/// not. The file is the same either way.
/// A device must stay where it is while a queue of it is open, as a blocking queue refers to it.
/// Safe from: several threads, a queue for each.
template <class Calls>
class basic_native_device {
  public:
    using queue = either_queue<basic_io_uring_queue<Calls>, blocking_queue<file_device>>;

    /// Errors: those of `file_device::open`. That io_uring can not be used is none; see `io_uring()`.
    [[nodiscard]] static result<basic_native_device> open(const char* path, file_device_options options = {}) noexcept {
        BOOST_OUTCOME_TRY(auto file, file_device::open(path, options));
        const auto tried = try_io_uring<Calls>();
        return basic_native_device{std::move(file), io_uring_state_of(tried ? error{} : tried.error())};
    }

    [[nodiscard]] device_geometry geometry() const noexcept { return file_.geometry(); }
    [[nodiscard]] result<>        read(extent e, std::span<std::byte> in) noexcept { return file_.read(e, in); }
    [[nodiscard]] result<> write(extent e, std::span<const std::byte> out) noexcept { return file_.write(e, out); }
    [[nodiscard]] result<> sync() noexcept { return file_.sync(); }
    [[nodiscard]] result<> trim(extent e) noexcept { return file_.trim(e); }
    [[nodiscard]] result<> refresh() noexcept { return file_.refresh(); }
    [[nodiscard]] result<> resize(block_count blocks) noexcept { return file_.resize(blocks); }

    /// Errors: invalid_argument and workspace_too_small as `basic_io_uring_queue::open` tells them. Where the kernel
    /// has no ring to give, the queue is a blocking one.
    [[nodiscard]] result<queue> open_queue(queue_options options) noexcept {
        if (options.depth == 0 || options.depth > basic_uring_ring<Calls>::entries_max) return errc::invalid_argument;
        if (uses_io_uring()) {
            auto made = basic_io_uring_queue<Calls>::open(file_.view(), options);
            if (made) return queue{std::move(made).value()};
            if (made.error().code == errc::workspace_too_small) return made.error();
        }
        return queue{blocking_queue<file_device>{file_, options.depth}};
    }

    [[nodiscard]] bool           uses_io_uring() const noexcept { return state_ == io_uring_state::available; }
    [[nodiscard]] io_uring_state io_uring() const noexcept { return state_; }  ///< `message(...)` says it in words.

    /// Whether transfers go past the page cache, or why not.
    [[nodiscard]] direct_state direct() const noexcept { return file_.direct(); }

    /// The descriptor, for calls that this class has not; it stays the device's.
    [[nodiscard]] int native_handle() const noexcept { return file_.native_handle(); }

  private:
    basic_native_device(file_device file, io_uring_state state) noexcept : file_{std::move(file)}, state_{state} {}

    file_device    file_;
    io_uring_state state_;
};

using native_device = basic_native_device<uring_calls>;
static_assert(QueuedDevice<native_device> && ResizableDevice<native_device>);

#else

/// Other POSIX systems: a file device.
using native_device = file_device;

#endif

}  // namespace ashlar::inline v0
