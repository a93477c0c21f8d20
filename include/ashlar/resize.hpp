#pragma once
/// Stores that become larger or smaller while they are in use.

#include <ashlar/maintenance/shrink_plan.hpp>
#include <ashlar/maintenance/volume_growth.hpp>
#include <ashlar/store.hpp>

namespace ashlar::inline v0 {

/// The size of an open store. Owns nothing; valid while the store is open, wherever its handle moves.
/// Safe from: as the store.
template <Blueprint B>
class store_size {
  public:
    explicit store_size(store<B>& of) noexcept : store_{of.beside()} {}

    /// Asks how many blocks the device has now, where that may change. Errors: the device's.
    result<> refresh() noexcept {
        if constexpr (ResizableDevice<typename B::device>) return store_.volume().device.refresh();
        return success();
    }

    /// What growing to so many blocks, or to all that the device has, would do; `device`: were the device so long.
    /// Reads nothing.
    [[nodiscard]] growth_plan plan_growth(block_count wanted = {}, block_count device = {}) noexcept {
        const entered guard{store_.volume(), store_.time()};
        return ashlar::plan_growth(store_.volume(), wanted, device);
    }
    /// Makes the volume so large, or as large as the device. Durable when it returns. Errors and cost: volume_growth.
    result<growth_plan> grow(block_count wanted = {}) noexcept {
        const entered guard{store_.volume(), store_.time()};
        return volume_growth{store_.volume()}.run(wanted);
    }

    /// What shrinking to so many blocks would meet. Errors and cost: ashlar::plan_shrink.
    [[nodiscard]] result<shrink_plan> plan_shrink(block_count blocks) noexcept {
        const entered guard{store_.volume(), store_.time()};
        return ashlar::plan_shrink(store_.volume(), blocks);
    }
    /// Cuts the end off, which is free already. Errors and cost: volume_cut.
    result<> cut(block_count blocks) noexcept {
        const entered guard{store_.volume(), store_.time()};
        return volume_cut{store_.volume()}.run(blocks);
    }

  private:
    typename store<B>::companion store_;
};

}  // namespace ashlar::inline v0
