#pragma once
/// Work on a whole volume that nobody else may change meanwhile.

#include <ashlar/object/object_operation.hpp>

namespace ashlar::inline v0 {

/// Waits for operations of other threads. Error: busy where a caller keeps a transaction open.
template <class Volume>
result<> await_no_transactions(Volume& volume) noexcept {
    for (;;) {
        await_stillness(volume);
        bool open = false;
        for (const auto& one : volume.transactions) open = open || one.open;
        if (!open) return success();
        if (!others_will_end(volume)) return errc::busy;
        volume.lock.wait();
    }
}

}  // namespace ashlar::inline v0
