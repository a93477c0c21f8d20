#pragma once
/// A device that stays where it is, lent to whoever wants to hold one.

#include <ashlar/concepts/transfer_queue.hpp>

namespace ashlar::inline v0 {

/// One pointer that forwards every call. A store takes its device by value: hand it a `device_ref` to keep the device
/// itself, as tests do that look at it afterwards. The device must outlive the reference. It opens the device's own
/// queues.
template <BlockDevice D>
class device_ref {
  public:
    explicit device_ref(D& device) noexcept : device_{&device} {}

    [[nodiscard]] device_geometry geometry() const noexcept { return device_->geometry(); }
    [[nodiscard]] result<>        read(extent e, std::span<std::byte> in) noexcept { return device_->read(e, in); }
    [[nodiscard]] result<> write(extent e, std::span<const std::byte> out) noexcept { return device_->write(e, out); }
    [[nodiscard]] result<> sync() noexcept { return device_->sync(); }
    [[nodiscard]] result<> trim(extent e) noexcept { return device_->trim(e); }
    [[nodiscard]] result<> refresh() noexcept requires ResizableDevice<D> { return device_->refresh(); }
    [[nodiscard]] result<> resize(block_count blocks) noexcept requires ResizableDevice<D> {
        return device_->resize(blocks);
    }

    [[nodiscard]] D& device() const noexcept { return *device_; }

  private:
    D* device_;
};

/// The same for a device with queues.
template <QueuedDevice D>
class device_ref<D> {
  public:
    using queue = typename D::queue;

    explicit device_ref(D& device) noexcept : device_{&device} {}

    [[nodiscard]] device_geometry geometry() const noexcept { return device_->geometry(); }
    [[nodiscard]] result<>        read(extent e, std::span<std::byte> in) noexcept { return device_->read(e, in); }
    [[nodiscard]] result<> write(extent e, std::span<const std::byte> out) noexcept { return device_->write(e, out); }
    [[nodiscard]] result<> sync() noexcept { return device_->sync(); }
    [[nodiscard]] result<> trim(extent e) noexcept { return device_->trim(e); }
    [[nodiscard]] result<> refresh() noexcept requires ResizableDevice<D> { return device_->refresh(); }
    [[nodiscard]] result<> resize(block_count blocks) noexcept requires ResizableDevice<D> {
        return device_->resize(blocks);
    }
    [[nodiscard]] result<queue> open_queue(queue_options options) noexcept { return device_->open_queue(options); }

    [[nodiscard]] D& device() const noexcept { return *device_; }

  private:
    D* device_;
};

}  // namespace ashlar::inline v0
