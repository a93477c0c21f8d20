#pragma once
/// A device that remembers what was done to it.

#include <ashlar/concepts/transfer_queue.hpp>

#include <mutex>
#include <vector>

namespace ashlar::inline v0 {

/// One write, sync or trim.
struct recorded_call {
    transfer_kind          kind = transfer_kind::write;
    extent                 blocks{};
    std::uint64_t          epoch = 0;  ///< Syncs that had succeeded before.
    std::vector<std::byte> data{};     ///< Of a write.
    error                  failure{};  ///< Code `none` when it succeeded.
};

/// Any device, with every write, sync and trim written down in order, failed ones too. Reads are only counted.
/// Memory: all bytes ever written. Safe from: several threads, whose calls it puts in one order.
template <BlockDevice Inner>
class recording_device {
  public:
    explicit recording_device(Inner& inner) noexcept : inner_{inner} {}

    [[nodiscard]] device_geometry geometry() const noexcept { return inner_.geometry(); }

    [[nodiscard]] result<> read(extent e, std::span<std::byte> in) noexcept {
        const std::lock_guard lock{mutex_};
        ++reads_;
        return inner_.read(e, in);
    }
    [[nodiscard]] result<> write(extent e, std::span<const std::byte> out) noexcept {
        const std::lock_guard lock{mutex_};
        return note({transfer_kind::write, e, epoch_, {out.begin(), out.end()}, {}}, inner_.write(e, out));
    }
    [[nodiscard]] result<> sync() noexcept {
        const std::lock_guard lock{mutex_};
        auto                  done = note({transfer_kind::sync, {}, epoch_, {}, {}}, inner_.sync());
        if (done) ++epoch_;
        return done;
    }
    [[nodiscard]] result<> trim(extent e) noexcept {
        const std::lock_guard lock{mutex_};
        return note({transfer_kind::trim, e, epoch_, {}, {}}, inner_.trim(e));
    }

    /// Not to be looked at while another thread uses the device.
    [[nodiscard]] const std::vector<recorded_call>& calls() const noexcept { return calls_; }
    [[nodiscard]] std::uint64_t                     epoch() const noexcept { return epoch_; }
    [[nodiscard]] std::uint64_t                     reads() const noexcept { return reads_; }

    void forget() noexcept {
        const std::lock_guard lock{mutex_};
        calls_.clear();
        epoch_ = reads_ = 0;
    }

  private:
    result<> note(recorded_call call, result<> done) {
        if (!done) call.failure = done.error();
        calls_.push_back(std::move(call));
        return done;
    }

    Inner&                     inner_;
    std::mutex                 mutex_;
    std::vector<recorded_call> calls_;
    std::uint64_t              epoch_ = 0;
    std::uint64_t              reads_ = 0;
};

}  // namespace ashlar::inline v0
