#pragma once
/// Operations that find a block missing: undone, the block loaded without the lock, repeated.

#include <ashlar/volume/volume_state.hpp>

namespace ashlar::inline v0 {

inline constexpr unsigned loads_outside_max = 24;  ///< After so many repetitions an operation loads under the lock.

/// Loads the block that an operation gave up for, or waits for the thread that does. What goes wrong is left for the
/// operation to find: the block may have been freed meanwhile, and then nobody asks for it again.
template <class Volume>
void load_wanted(Volume& volume) noexcept {
    auto& cache = volume.cache;
    if (!volume.is_wanted) return volume.lock.wait();
    volume.is_wanted          = false;
    const auto     home       = volume.wanted;
    block_identity identity   = volume.wanted_identity;
    const auto     found      = cache.find(home);
    const bool     by_another = found != no_slot && cache.at(found).loading;
    if (by_another) return volume.lock.wait();
    if (found != no_slot) return;
    const auto slot = cache.begin_loading(home, identity);
    if (slot.has_error()) return volume.lock.set_mode(load_mode::again_on_loading);
    const bool whole = volume.lock.outside([&]() noexcept {
        const auto bytes = cache.bytes(slot.value());
        return volume.load(home, bytes).has_value() && is_sealed(bytes, identity.tag, volume.seed(identity));
    });
    cache.loaded(slot.value(), whole);
    if (!whole) volume.lock.set_mode(load_mode::again_on_loading);
    volume.lock.wake();
}

/// Runs an operation that reads metadata and can be repeated from its beginning. What it answers with the error
/// `again` is not heard outside.
template <class Volume, class Operation>
auto with_loads(Volume& volume, Operation&& operation) noexcept {
    if constexpr (!Volume::threading_type::concurrent) {
        return operation();
    } else {
        const auto before = volume.lock.mode();
        volume.lock.set_mode(load_mode::again_on_miss);
        for (unsigned tries = 0;; ++tries) {
            if (tries == loads_outside_max) volume.lock.set_mode(load_mode::again_on_loading);
            auto done = operation();
            if (!done.has_error() || done.error().code != errc::again) {
                volume.lock.set_mode(before);
                return done;
            }
            load_wanted(volume);
        }
    }
}

}  // namespace ashlar::inline v0
