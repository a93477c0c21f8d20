#pragma once
/// A device that fails when told to, or lies.

#include <ashlar/concepts/transfer_queue.hpp>

#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

namespace ashlar::inline v0 {

enum class fault_lasts : std::uint8_t {
    once,      ///< One call fails, the next succeeds.
    for_good,  ///< This and every later call of the kind fails.
};

/// What a write that reports failure has done. Both happen on real disks, so both are worth a test.
enum class failed_write : std::uint8_t { left_nothing, wrote_all };

/// Any device, with faults by schedule: failing calls, flipped bits, lost and misdirected writes.
/// Calls are counted from the moment that a fault is scheduled, and the next call is number 1.
/// Safe from: several threads.
template <BlockDevice Inner>
class faulty_device {
  public:
    explicit faulty_device(Inner& inner) noexcept : inner_{inner} {}

    [[nodiscard]] device_geometry geometry() const noexcept { return inner_.geometry(); }

    [[nodiscard]] result<> read(extent e, std::span<std::byte> in) noexcept {
        const std::lock_guard lock{mutex_};
        if (fails(transfer_kind::read)) return error{errc::device_failed, e.first, EIO};
        BOOST_OUTCOME_TRY(inner_.read(e, in));
        for (auto rot = rotten_.lower_bound(e.first); rot != rotten_.end() && e.contains(rot->first); ++rot) {
            const auto block = in.subspan(static_cast<std::size_t>(bytes_of(rot->first - e.first, geometry().size)));
            for (const auto bit : rot->second) block[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
        }
        return success();
    }

    [[nodiscard]] result<> write(extent e, std::span<const std::byte> out) noexcept {
        const std::lock_guard lock{mutex_};
        if (fails(transfer_kind::write)) {
            if (failed_write_ == failed_write::wrote_all) static_cast<void>(write_through(e, out));
            return error{errc::device_failed, e.first, EIO};
        }
        if (!transfer_fits(geometry(), e, out.size())) return error{errc::out_of_range, e.first};
        if (lose_.due()) return success();
        if (misdirect_.due()) return write_through({misdirect_to_, e.count}, out);
        return write_through(e, out);
    }

    [[nodiscard]] result<> sync() noexcept {
        const std::lock_guard lock{mutex_};
        if (fails(transfer_kind::sync)) return error{errc::device_failed, {}, EIO};
        return inner_.sync();
    }

    [[nodiscard]] result<> trim(extent e) noexcept {
        const std::lock_guard lock{mutex_};
        if (fails(transfer_kind::trim)) return error{errc::device_failed, e.first, EIO};
        return inner_.trim(e);
    }

    /// The `nth` call of that kind from now on fails. A later schedule for the kind replaces this one.
    void fail(transfer_kind kind, std::uint64_t nth, fault_lasts lasts = fault_lasts::once) noexcept {
        const std::lock_guard lock{mutex_};
        plan_[index(kind)] = {nth, lasts == fault_lasts::for_good};
    }

    /// What failing writes do from now on. A failing sync never reaches the inner device.
    void failing_writes(failed_write leave) noexcept {
        const std::lock_guard lock{mutex_};
        failed_write_ = leave;
    }

    /// Reads of the block answer this bit flipped until the block is written or `heal` is called; twice flips it back.
    /// The bytes on the inner device stay as they are. Precondition: `bit` lies in a block.
    void flip_bit(block_index block, std::uint32_t bit) noexcept {
        const std::lock_guard lock{mutex_};
        ASHLAR_ASSERT(bit / 8 < geometry().size.bytes);
        rotten_[block].push_back(bit);
    }

    /// The `nth` write from now on reports success and does nothing.
    void lose_write(std::uint64_t nth) noexcept {
        const std::lock_guard lock{mutex_};
        lose_ = {nth, false};
    }

    /// The `nth` write from now on lands at `target` instead and reports success.
    void misdirect_write(std::uint64_t nth, block_index target) noexcept {
        const std::lock_guard lock{mutex_};
        misdirect_    = {nth, false};
        misdirect_to_ = target;
    }

    /// Ends every fault, scheduled or in effect.
    void heal() noexcept {
        const std::lock_guard lock{mutex_};
        plan_         = {};
        lose_         = {};
        misdirect_    = {};
        failed_write_ = failed_write::left_nothing;
        rotten_.clear();
    }

    [[nodiscard]] std::uint64_t calls(
        transfer_kind kind) const noexcept {  ///< Since construction, failed ones included.
        const std::lock_guard lock{mutex_};
        return calls_[index(kind)];
    }
    [[nodiscard]] std::uint64_t failures() const noexcept {
        const std::lock_guard lock{mutex_};
        return failures_;
    }

  private:
    struct countdown {
        std::uint64_t left     = 0;  // 0: nothing is scheduled
        bool          for_good = false;

        bool due() noexcept {
            if (left == 0) return false;
            if (left > 1) return --left, false;
            if (!for_good) left = 0;
            return true;
        }
    };

    static std::size_t index(transfer_kind kind) noexcept { return static_cast<std::size_t>(kind); }

    bool fails(transfer_kind kind) noexcept {
        ++calls_[index(kind)];
        const bool due = plan_[index(kind)].due();
        if (due) ++failures_;
        return due;
    }

    result<> write_through(extent e, std::span<const std::byte> out) noexcept {
        BOOST_OUTCOME_TRY(inner_.write(e, out));
        rotten_.erase(rotten_.lower_bound(e.first), rotten_.lower_bound(e.end()));
        return success();
    }

    Inner&                                            inner_;
    mutable std::mutex                                mutex_;
    std::array<countdown, 4>                          plan_{};
    std::array<std::uint64_t, 4>                      calls_{};
    std::map<block_index, std::vector<std::uint32_t>> rotten_;
    countdown                                         lose_{};
    countdown                                         misdirect_{};
    block_index                                       misdirect_to_{};
    failed_write                                      failed_write_ = failed_write::left_nothing;
    std::uint64_t                                     failures_     = 0;
};

}  // namespace ashlar::inline v0
