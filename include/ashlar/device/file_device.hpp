#pragma once
/// Files and block devices of a POSIX system.

#include <ashlar/device/posix_calls.hpp>
#include <ashlar/device/posix_file.hpp>
#include <ashlar/vocabulary/aligned_buffer.hpp>

#include <sched.h>

#include <memory>
#include <mutex>
#include <new>
#include <type_traits>

namespace ashlar::inline v0 {

/// A file or block device, by pread, pwrite and fdatasync.
///
/// Transfers go past the page cache where the file system can; `direct()` says whether they do and why not. Memory that
/// is not aligned for them goes through a buffer of 64 KiB taken at `open`, one such transfer at a time. A trim punches
/// a hole, or discards; where the system refuses that it does nothing. A file that shrank after `open` fails reads with
/// out_of_range at the first missing block; a write beyond the new end makes the file longer again.
/// Errors of every call carry errno in `os_code` and the first block of the call in `where`.
/// Safe from: several threads.
template <class Calls>
class basic_file_device {
  public:
    /// Errors: those of `posix_file::open`; workspace_too_small when the heap has no 64 KiB.
    [[nodiscard]] static result<basic_file_device> open(const char* path, file_device_options options = {}) noexcept {
        BOOST_OUTCOME_TRY(auto file, posix_file::open(path, options));
        std::unique_ptr<bounce> buffer;
        if (file.view().direct == direct_state::in_use) {
            buffer.reset(new (std::nothrow) bounce);
            if (buffer == nullptr) return errc::workspace_too_small;
        }
        return basic_file_device{std::move(file), std::move(buffer)};
    }

    [[nodiscard]] device_geometry geometry() const noexcept {
        auto now   = seen().geometry;
        now.blocks = file_.blocks();
        return now;
    }
    /// See posix_file.
    [[nodiscard]] result<> refresh() noexcept { return file_.refresh(); }
    [[nodiscard]] result<> resize(block_count blocks) noexcept { return file_.resize(blocks); }

    [[nodiscard]] result<> read(extent e, std::span<std::byte> in) noexcept {
        if (!transfer_fits(geometry(), e, in.size())) return error{errc::out_of_range, e.first};
        return seen().is_aligned(in.data()) ? move_bytes(e.first, in) : bounce_bytes(e.first, in);
    }

    [[nodiscard]] result<> write(extent e, std::span<const std::byte> out) noexcept {
        if (seen().read_only) return error{errc::read_only, e.first};
        if (!transfer_fits(geometry(), e, out.size())) return error{errc::out_of_range, e.first};
        return seen().is_aligned(out.data()) ? move_bytes(e.first, out) : bounce_bytes(e.first, out);
    }

    /// Every write that was complete before is durable when this returns. A failure is final: see the device concept.
    [[nodiscard]] result<> sync() noexcept { return sync_file<Calls>(seen()); }

    [[nodiscard]] result<> trim(extent e) noexcept { return trim_file<Calls>(view(), e); }

    /// Whether transfers go past the page cache, or why not.
    [[nodiscard]] direct_state direct() const noexcept { return seen().direct; }

    /// The descriptor, for calls that this class has not; it stays the device's.
    [[nodiscard]] int native_handle() const noexcept { return seen().descriptor; }

    /// What a queue of its own needs to move the same bytes. The descriptor stays the device's.
    [[nodiscard]] file_view view() const noexcept {
        auto now     = seen();
        now.geometry = geometry();
        return now;
    }

  private:
    [[nodiscard]] const file_view& seen() const noexcept { return file_.view(); }

    static constexpr std::size_t bounce_bytes_max = block_bytes_max;

    struct alignas(aligned_buffer::alignment) bounce {
        std::byte  bytes[bounce_bytes_max];
        std::mutex mutex;
    };

    basic_file_device(posix_file file, std::unique_ptr<bounce> buffer) noexcept
        : file_{std::move(file)}, bounce_{std::move(buffer)} {}

    static ssize_t call(int file, std::span<std::byte> in, off_t at) noexcept {
        return Calls::read(file, in.data(), in.size(), at);
    }
    static ssize_t call(int file, std::span<const std::byte> out, off_t at) noexcept {
        return Calls::write(file, out.data(), out.size(), at);
    }

    /// Moves all of `memory`. A short transfer goes on where it stopped; with direct transfers, at a whole sector.
    template <class Byte>
    result<> move_bytes(block_index first, std::span<Byte> memory) noexcept {
        const std::size_t unit = seen().direct == direct_state::in_use ? geometry().size.bytes : 1U;
        const auto        from = byte_offset(first, geometry().size);
        std::size_t       done = 0;
        unsigned          idle = 0;
        while (done < memory.size()) {
            const auto moved = call(seen().descriptor, memory.subspan(done), static_cast<off_t>(from + done));
            if (moved < 0) {
                if ((errno != EINTR && errno != EAGAIN) || ++idle > attempts_max)
                    return error{errc::device_failed, first, errno};
                if (errno == EAGAIN) ::sched_yield();
                continue;
            }
            const auto kept = static_cast<std::size_t>(moved) & ~(unit - 1U);
            if (kept == 0 && (moved == 0 || ++idle > attempts_max)) return seen().stopped(first, from + done);
            if (kept > 0) idle = 0;
            done += kept;
        }
        return success();
    }

    template <class Byte>
    result<> bounce_bytes(block_index first, std::span<Byte> memory) noexcept {
        const std::lock_guard lock{bounce_->mutex};
        const auto            size = geometry().size;
        for (std::size_t done = 0; done < memory.size();) {
            const auto left = memory.size() - done;
            const auto place =
                std::span<std::byte>{bounce_->bytes}.first(left < bounce_bytes_max ? left : bounce_bytes_max);
            const auto block = first + whole_blocks(done, size);
            if constexpr (std::is_const_v<Byte>) {
                std::memcpy(place.data(), memory.data() + done, place.size());
                BOOST_OUTCOME_TRY(move_bytes(block, std::span<const std::byte>{place}));
            } else {
                BOOST_OUTCOME_TRY(move_bytes(block, place));
                std::memcpy(memory.data() + done, place.data(), place.size());
            }
            done += place.size();
        }
        return success();
    }

    posix_file              file_;
    std::unique_ptr<bounce> bounce_;  // present with direct transfers
};

using file_device = basic_file_device<posix_calls>;
static_assert(ResizableDevice<file_device>);

}  // namespace ashlar::inline v0
